//! A layer made ready, and its tasks: who computes which slice of the output, tile by tile.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::program::Padded;
use super::program::Program;
use super::program::SLACK;
use super::tile;
use crate::execute::Geometry;
use crate::execute::order::Plan;
use crate::execute::order::Region;
use crate::execute::order::interpret::Operands;
use crate::execute::order::interpret::Unrolled;

/// Output channels per task, and lanes of the widest channel tile.
pub(super) const BLOCK: usize = 32;

/// Fewer output channels than this in a task: lanes go across pixels.
const CHANNEL_LANES_FROM: usize = 8;

/// Everything that tasks read.
pub(super) struct Layer<'a> {
    operands: &'a Operands<'a>,
    g: &'a Geometry,
    plan: &'a Plan,
    padded: Padded,
    input: Vec<f32>,
    /// One for each recipe of the plan; `None`: the interpreter's.
    programs: Vec<Option<Program>>,
    /// Indices into the plan's regions, by image.
    regions: Vec<Vec<usize>>,
}

/// One image's run of output channels, all of one group; the slice holds `channels.len() * pixels` elements.
pub(super) struct Task<'a> {
    image: usize,
    channels: Range<usize>,
    output: &'a mut [f32],
}

impl<'a> Layer<'a> {
    pub(super) fn new(operands: &'a Operands<'a>, g: &'a Geometry, plan: &'a Plan) -> Self {
        let padded = Padded::new(g);
        let compile = |recipe| {
            let padded = padded.as_ref()?;
            Program::compile(g, padded, recipe, operands.bias.is_some())
        };
        let programs: Vec<_> = plan.recipes.iter().map(compile).collect();
        let mut regions = vec![Vec::new(); g.batch];
        for (index, region) in plan.regions.iter().enumerate() {
            for image in region.images.clone() {
                regions[image].push(index);
            }
        }
        let input = match &padded {
            Some(padded) if programs.iter().any(Option::is_some) => pad(operands, g, padded),
            _ => Vec::new(),
        };
        let padded = padded.unwrap_or_default(); // unused without programs
        Self {
            operands,
            g,
            plan,
            padded,
            input,
            programs,
            regions,
        }
    }
}

fn pad(operands: &Operands<'_>, g: &Geometry, padded: &Padded) -> Vec<f32> {
    let mut buffer = vec![0.0; padded.len(g)];
    let plane = g.input[0] * g.input[1];
    let end = buffer.len() - SLACK;
    if plane > 0 {
        buffer[..end]
            .par_chunks_mut(padded.plane())
            .zip(operands.input.par_chunks(plane))
            .for_each(|(to, from)| padded.fill(g, from, to));
    }
    buffer
}

/// Cuts the output into tasks.
pub(super) fn split<'o>(layer: &Layer<'_>, mut output: &'o mut [f32]) -> Vec<Task<'o>> {
    let g = layer.g;
    let mut tasks = Vec::new();
    for image in 0..g.batch {
        for group in 0..g.groups {
            let end = (group + 1) * g.group_out();
            let mut first = group * g.group_out();
            while first < end {
                let channels = first..end.min(first + BLOCK);
                first = channels.end;
                let (slice, rest) = output.split_at_mut(channels.len() * g.pixels());
                output = rest;
                tasks.push(Task {
                    image,
                    channels,
                    output: slice,
                });
            }
        }
    }
    tasks
}

/// Computes one task. Inlined into functions compiled for the processor's vectors, `L` being the lanes and `P` the
/// pixels of a channel tile.
#[inline(always)]
pub(super) fn run<const L: usize, const P: usize>(layer: &Layer<'_>, mut task: Task<'_>) {
    for &index in &layer.regions[task.image] {
        let region = &layer.plan.regions[index];
        let channels = region.channels.start.max(task.channels.start)
            ..region.channels.end.min(task.channels.end);
        if channels.is_empty() {
            continue;
        }
        let part = Part {
            channels,
            pixels: region.pixels.clone(),
            region,
        };
        match &layer.programs[region.recipe] {
            None => interpret(layer, &mut task, &part, |_, _| true),
            Some(program) => {
                let wide = part.channels.len() >= CHANNEL_LANES_FROM;
                match (wide, program.fused) {
                    (true, true) => by_channels::<L, P, true>(layer, program, &mut task, &part),
                    (true, false) => by_channels::<L, P, false>(layer, program, &mut task, &part),
                    (false, true) => by_pixels::<true>(layer, program, &mut task, &part),
                    (false, false) => by_pixels::<false>(layer, program, &mut task, &part),
                }
                if program.may_doubt() {
                    interpret(layer, &mut task, &part, |value, border| {
                        program.doubtful(value, border)
                    });
                }
            }
        }
    }
}

/// What of a region falls into a task.
struct Part<'a> {
    channels: Range<usize>,
    pixels: Range<usize>,
    region: &'a Region,
}

/// The interpreter, for those elements that `wanted` picks by their value so far and by whether padding is read.
fn interpret(
    layer: &Layer<'_>,
    task: &mut Task<'_>,
    part: &Part<'_>,
    wanted: impl Fn(f32, bool) -> bool,
) {
    let g = layer.g;
    let mut unrolled = None;
    let mut scratch = Vec::new();
    let border = |axis: usize, o: usize| {
        g.input_at(axis, o, 0).is_none() || g.input_at(axis, o, g.kernel[axis] - 1).is_none()
    };
    for channel in part.channels.clone() {
        let start = (channel - task.channels.start) * g.pixels();
        for pixel in part.pixels.clone() {
            let border = border(0, pixel / g.output[1]) || border(1, pixel % g.output[1]);
            let value = &mut task.output[start + pixel];
            if wanted(*value, border) {
                let unrolled = unrolled.get_or_insert_with(|| {
                    Unrolled::new(g, &layer.plan.recipes[part.region.recipe])
                });
                *value =
                    unrolled.element(layer.operands, [task.image, channel, pixel], &mut scratch);
            }
        }
    }
}

/// The input of the task's group.
fn group_input<'a>(layer: &'a Layer<'_>, task: &Task<'_>) -> &'a [f32] {
    let group = task.channels.start / layer.g.group_out();
    &layer.input[layer.padded.group_start(layer.g, task.image, group)..]
}

/// Lanes across output channels: L channels by P pixels at a time.
#[inline(always)]
fn by_channels<const L: usize, const P: usize, const FUSED: bool>(
    layer: &Layer<'_>,
    program: &Program,
    task: &mut Task<'_>,
    part: &Part<'_>,
) {
    let mut first = part.channels.start;
    while first < part.channels.end {
        let rest = part.channels.end - first;
        if rest <= 8 {
            channel_block::<8, P, FUSED>(layer, program, task, part, first..first + rest);
            return;
        }
        let channels = first..first + rest.min(L);
        first = channels.end;
        channel_block::<L, P, FUSED>(layer, program, task, part, channels);
    }
}

#[inline(always)]
fn channel_block<const L: usize, const P: usize, const FUSED: bool>(
    layer: &Layer<'_>,
    program: &Program,
    task: &mut Task<'_>,
    part: &Part<'_>,
    channels: Range<usize>,
) {
    let weights = pack::<L>(layer, program, &channels);
    let bias: [f32; L] = std::array::from_fn(|l| match layer.operands.bias {
        Some(bias) if l < channels.len() => bias[channels.start + l],
        _ => 0.0,
    });
    let lanes = Lanes {
        layer,
        program,
        weights: &weights,
        bias: &bias,
        input: group_input(layer, task),
        rows: (channels.start - task.channels.start, channels.len()),
    };
    let mut pixel = part.pixels.start;
    while pixel + P <= part.pixels.end {
        lanes.tile::<P, FUSED>(task.output, pixel);
        pixel += P;
    }
    while pixel + 2 <= part.pixels.end {
        lanes.tile::<2, FUSED>(task.output, pixel);
        pixel += 2;
    }
    if pixel < part.pixels.end {
        lanes.tile::<1, FUSED>(task.output, pixel);
    }
}

/// L weights for each tap in walk order; lanes past the last channel hold zeros.
fn pack<const L: usize>(layer: &Layer<'_>, program: &Program, channels: &Range<usize>) -> Vec<f32> {
    let taps = layer.g.taps();
    let mut packed = vec![0.0; program.weights.len() * L];
    // a few taps of every filter at a time, so that what is written stays in the nearest cache
    const TAPS: usize = 64;
    for (to, walk) in packed
        .chunks_mut(TAPS * L)
        .zip(program.weights.chunks(TAPS))
    {
        for (lane, channel) in channels.clone().enumerate() {
            let filter = &layer.operands.weight[channel * taps..][..taps];
            for (to, &tap) in to.chunks_exact_mut(L).zip(walk) {
                to[lane] = filter[tap as usize];
            }
        }
    }
    packed
}

/// What the tiles of one block of channels share.
struct Lanes<'a, const L: usize> {
    layer: &'a Layer<'a>,
    program: &'a Program,
    weights: &'a [f32],
    bias: &'a [f32; L],
    input: &'a [f32],
    /// First row of the task's output, and how many.
    rows: (usize, usize),
}

impl<const L: usize> Lanes<'_, L> {
    #[inline(always)]
    fn tile<const P: usize, const FUSED: bool>(&self, output: &mut [f32], pixel: usize) {
        let g = self.layer.g;
        let places: [usize; P] = std::array::from_fn(|p| {
            let (oh, ow) = ((pixel + p) / g.output[1], (pixel + p) % g.output[1]);
            self.layer.padded.pixel(g, oh, ow)
        });
        let span = self.input.len() - places[P - 1];
        let inputs = places.map(|place| &self.input[place..place + span]);
        let tile = tile::channels::<L, P, FUSED>(self.program, inputs, self.weights, self.bias);
        for lane in 0..self.rows.1 {
            let at = (self.rows.0 + lane) * g.pixels() + pixel;
            for (out, lanes) in output[at..at + P].iter_mut().zip(&tile) {
                *out = lanes[lane];
            }
        }
    }
}

/// A piece of one output row of one channel.
#[derive(Clone, Copy)]
struct Strip {
    channel: usize,
    row: usize,
    column: usize,
    width: usize,
}

/// Lanes across output pixels.
#[inline(always)]
fn by_pixels<const FUSED: bool>(
    layer: &Layer<'_>,
    program: &Program,
    task: &mut Task<'_>,
    part: &Part<'_>,
) {
    let g = layer.g;
    let taps = g.taps();
    let in_order = program
        .weights
        .iter()
        .enumerate()
        .all(|(i, &w)| i == w as usize);
    let filters = &layer.operands.weight[part.channels.start * taps..part.channels.end * taps];
    let weights: Cow<'_, [f32]> = if in_order {
        Cow::Borrowed(filters)
    } else {
        let filters = filters.chunks_exact(taps);
        Cow::Owned(
            filters
                .flat_map(|f| program.weights.iter().map(|&t| f[t as usize]))
                .collect(),
        )
    };
    let strips = Strips {
        layer,
        program,
        weights: &weights,
        first_channel: part.channels.start,
        input: group_input(layer, task),
        task_channel: task.channels.start,
    };
    let rows = part.pixels.start / g.output[1]..=(part.pixels.end - 1) / g.output[1];
    let mut pending: [Vec<Strip>; 3] = Default::default();
    for channel in part.channels.clone() {
        for row in rows.clone() {
            let start = part.pixels.start.max(row * g.output[1]) - row * g.output[1];
            let end = part.pixels.end.min((row + 1) * g.output[1]) - row * g.output[1];
            let mut column = start;
            while column < end {
                let (class, lanes) = match end - column {
                    1..=8 => (0, 8),
                    9..=16 => (1, 16),
                    _ => (2, 32),
                };
                let width = lanes.min(end - column);
                pending[class].push(Strip {
                    channel,
                    row,
                    column,
                    width,
                });
                column += width;
            }
        }
    }
    strips.all::<8, 6, FUSED>(&pending[0], task.output);
    strips.all::<16, 4, FUSED>(&pending[1], task.output);
    strips.all::<32, 2, FUSED>(&pending[2], task.output);
}

/// What the strips of one part share.
struct Strips<'a> {
    layer: &'a Layer<'a>,
    program: &'a Program,
    /// Filters in walk order, from `first_channel` on.
    weights: &'a [f32],
    first_channel: usize,
    input: &'a [f32],
    task_channel: usize,
}

impl Strips<'_> {
    #[inline(always)]
    fn all<const L: usize, const P: usize, const FUSED: bool>(
        &self,
        strips: &[Strip],
        output: &mut [f32],
    ) {
        let (tiles, rest) = strips.as_chunks::<P>();
        for tile in tiles {
            self.tile::<L, P, FUSED>(tile, output);
        }
        for &strip in rest {
            self.tile::<L, 1, FUSED>(&[strip], output);
        }
    }

    #[inline(always)]
    fn tile<const L: usize, const P: usize, const FUSED: bool>(
        &self,
        strips: &[Strip; P],
        output: &mut [f32],
    ) {
        let g = self.layer.g;
        let taps = self.program.weights.len();
        let places = strips.map(|s| self.layer.padded.pixel(g, s.row, s.column));
        let span = self.input.len() - places.iter().copied().fold(0, usize::max);
        let inputs = places.map(|place| &self.input[place..place + span]);
        let weights =
            strips.map(|s| &self.weights[(s.channel - self.first_channel) * taps..][..taps]);
        let bias = strips.map(|s| self.layer.operands.bias.map_or(0.0, |bias| bias[s.channel]));
        let tile = tile::pixels::<L, P, FUSED>(self.program, inputs, weights, bias);
        for (strip, values) in strips.iter().zip(&tile) {
            let at = (strip.channel - self.task_channel) * g.pixels()
                + strip.row * g.output[1]
                + strip.column;
            output[at..at + strip.width].copy_from_slice(&values[..strip.width]);
        }
    }
}
