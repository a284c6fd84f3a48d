//! A layer made ready, and its tasks: who computes which slice of the output, tile by tile.

use std::borrow::Cow;
use std::ops::Range;

use rayon::prelude::*;

use super::program::Padded;
use super::program::Program;
use super::program::SLACK;
use super::tile;
use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Region;
use crate::execute::order::interpret::Operands;
use crate::execute::order::interpret::Product;
use crate::execute::order::interpret::Unrolled;

/// Output channels per task, and lanes of the widest channel tile.
pub(super) const BLOCK: usize = 32;

/// Fewer output channels than this in a task: lanes go across pixels.
const CHANNEL_LANES_FROM: usize = 8;

/// Everything that tasks read.
pub(super) struct Layer<'a, R> {
    operands: &'a Operands<'a, R>,
    g: &'a Geometry,
    plan: &'a Plan,
    padded: Padded,
    /// Those in `input`.
    images: Range<usize>,
    /// Those, padded; unless the operand is read itself.
    input: Vec<R>,
    /// One for each recipe of the plan; `None`: the interpreter's.
    programs: Vec<Option<Program>>,
    /// Indices into the plan's regions, by image.
    regions: Vec<Vec<usize>>,
}

/// One image's run of output channels, all of one group or of whole narrow groups; the slice holds
/// `channels.len() * pixels` elements.
pub(super) struct Task<'a, R> {
    image: usize,
    channels: Range<usize>,
    output: &'a mut [R],
}

impl<'a, R: Real> Layer<'a, R> {
    pub(super) fn new(operands: &'a Operands<'a, R>, g: &'a Geometry, plan: &'a Plan) -> Self {
        let padded = Padded::new(g);
        let flushing = plan.recipes.iter().any(Recipe::flushes);
        let subnormals = flushing && may_be_subnormal(operands);
        let compile = |recipe: &Recipe| {
            let padded = padded.as_ref()?;
            if subnormals && recipe.flushes() {
                return None;
            }
            Program::compile(g, padded, recipe, operands.bias.is_some())
        };
        let programs: Vec<_> = plan.recipes.iter().map(compile).collect();
        let mut regions = vec![Vec::new(); g.batch];
        for (index, region) in plan.regions.iter().enumerate() {
            for image in region.images.clone() {
                regions[image].push(index);
            }
        }
        let padded = padded.unwrap_or_default(); // unused without programs
        Self {
            operands,
            g,
            plan,
            padded,
            images: 0..0,
            input: Vec::new(),
            programs,
            regions,
        }
    }

    /// How many images [`Layer::load`] takes at a time.
    pub(super) fn images_at_once(&self) -> usize {
        if self.programs.iter().any(Option::is_some) {
            self.padded.images_at_once(self.g)
        } else {
            self.g.batch
        }
    }

    /// Whether no copy of the input is made. Lanes across pixels need one, since they read beyond its end.
    fn reads_operand(&self) -> bool {
        Padded::is_input(self.g) && !is_narrow(self.g)
    }

    /// Pads the images whose tasks come next.
    pub(super) fn load(&mut self, images: Range<usize>) {
        if !self.reads_operand() && self.programs.iter().any(Option::is_some) {
            self.input = pad(self.operands, self.g, &self.padded, &images);
        }
        self.images = images;
    }
}

/// Whether a group has too few output channels for lanes across them.
fn is_narrow(g: &Geometry) -> bool {
    g.group_out() < CHANNEL_LANES_FROM
}

/// Whether any sum of products of these operands might be subnormal, judged by the least of them: every product, and
/// so every rounded sum, is a multiple of the last place of the least product.
fn may_be_subnormal<R: Real>(operands: &Operands<'_, R>) -> bool {
    let last_place = |values: &[R]| {
        let magnitudes = values.iter().map(|x| x.to_f64().abs());
        let least = magnitudes
            .filter(|&x| x > 0.0)
            .fold(f64::INFINITY, f64::min);
        least * R::EPSILON
    };
    let products = last_place(operands.input) * last_place(operands.weight);
    let biases = operands.bias.map_or(f64::INFINITY, last_place);
    products.min(biases) < R::LEAST_NORMAL
}

fn pad<R: Real>(
    operands: &Operands<'_, R>,
    g: &Geometry,
    padded: &Padded,
    images: &Range<usize>,
) -> Vec<R> {
    let mut buffer = vec![R::ZERO; padded.len(g, images.len())];
    let plane = g.input[0] * g.input[1];
    let end = buffer.len() - SLACK;
    if plane > 0 {
        buffer[..end]
            .par_chunks_mut(padded.plane())
            .zip(operands.input[images.start * g.in_channels * plane..].par_chunks(plane))
            .for_each(|(to, from)| padded.fill(g, from, to));
    }
    buffer
}

/// Cuts the output of the images loaded into tasks.
pub(super) fn split<'o, R>(layer: &Layer<'_, R>, mut output: &'o mut [R]) -> Vec<Task<'o, R>> {
    let g = layer.g;
    let mut tasks = Vec::new();
    for image in layer.images.clone() {
        // narrow groups are taken together: a task's own cost is that of many of their elements
        let groups = (BLOCK / g.group_out()).max(1);
        let groups = if is_narrow(g) { groups } else { 1 };
        for group in (0..g.groups).step_by(groups) {
            let end = g.groups.min(group + groups) * g.group_out();
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
pub(super) fn run<R: Real, const L: usize, const P: usize>(
    layer: &Layer<'_, R>,
    mut task: Task<'_, R>,
) {
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
            None => interpret(layer, &mut task, &part),
            Some(program) => {
                let wide = !is_narrow(layer.g)
                    && (part.channels.len() >= CHANNEL_LANES_FROM || layer.reads_operand());
                match (wide, program.fused) {
                    (true, true) => by_channels::<R, L, P, true>(layer, program, &mut task, &part),
                    (true, false) => {
                        by_channels::<R, L, P, false>(layer, program, &mut task, &part)
                    }
                    (false, true) => by_pixels::<R, true>(layer, program, &mut task, &part),
                    (false, false) => by_pixels::<R, false>(layer, program, &mut task, &part),
                }
                if program.may_doubt() {
                    interpret_doubtful(layer, program, &mut task, &part);
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

/// Elements that are asked together whether one of them is doubtful.
const TOGETHER: usize = 128;

/// The interpreter, for every element.
fn interpret<R: Real>(layer: &Layer<'_, R>, task: &mut Task<'_, R>, part: &Part<'_>) {
    let mut repair = Repair::new(layer, part);
    for channel in part.channels.clone() {
        for pixel in part.pixels.clone() {
            repair.element(task, channel, pixel);
        }
    }
}

/// The interpreter, for the elements that the kernel may have got wrong.
#[inline(always)]
fn interpret_doubtful<R: Real>(
    layer: &Layer<'_, R>,
    program: &Program,
    task: &mut Task<'_, R>,
    part: &Part<'_>,
) {
    let mut repair = Repair::new(layer, part);
    for channel in part.channels.clone() {
        let start = (channel - task.channels.start) * layer.g.pixels();
        let mut from = part.pixels.start;
        while from < part.pixels.end {
            let to = part.pixels.end.min(from + TOGETHER);
            if Program::may_doubt_any(&task.output[start + from..start + to]) {
                for pixel in from..to {
                    let value = task.output[start + pixel];
                    if program.doubtful(value, repair.reads_padding(pixel)) {
                        repair.element(task, channel, pixel);
                    }
                }
            }
            from = to;
        }
    }
}

/// Computes single elements again.
struct Repair<'a, R> {
    layer: &'a Layer<'a, R>,
    region: &'a Region,
    unrolled: Option<Unrolled<'a>>,
    scratch: Vec<Product<R>>,
}

impl<'a, R: Real> Repair<'a, R> {
    fn new(layer: &'a Layer<'_, R>, part: &Part<'a>) -> Self {
        Self {
            layer,
            region: part.region,
            unrolled: None,
            scratch: Vec::new(),
        }
    }

    fn reads_padding(&self, pixel: usize) -> bool {
        let g = self.layer.g;
        !g.reaches_all(0, pixel / g.output[1]) || !g.reaches_all(1, pixel % g.output[1])
    }

    #[cold]
    fn element(&mut self, task: &mut Task<'_, R>, channel: usize, pixel: usize) {
        let Layer {
            g, plan, operands, ..
        } = self.layer;
        let unrolled = self
            .unrolled
            .get_or_insert_with(|| Unrolled::new(g, &plan.recipes[self.region.recipe]));
        let at = (channel - task.channels.start) * g.pixels() + pixel;
        let element = [task.image, channel, pixel];
        task.output[at] = unrolled.element(operands, element, &mut self.scratch);
    }
}

/// The input of the task's image, from one group on.
fn group_input<'a, R: Real>(layer: &'a Layer<'_, R>, image: usize, group: usize) -> &'a [R] {
    let (input, first) = match layer.reads_operand() {
        true => (layer.operands.input, 0),
        false => (&layer.input[..], layer.images.start),
    };
    let start = layer.padded.group_start(layer.g, image - first, group);
    &input[start..]
}

/// Lanes across output channels: L channels by P pixels at a time.
#[inline(always)]
fn by_channels<R: Real, const L: usize, const P: usize, const FUSED: bool>(
    layer: &Layer<'_, R>,
    program: &Program,
    task: &mut Task<'_, R>,
    part: &Part<'_>,
) {
    let mut first = part.channels.start;
    while first < part.channels.end {
        let rest = part.channels.end - first;
        if rest <= 8 {
            channel_block::<R, 8, P, FUSED>(layer, program, task, part, first..first + rest);
            return;
        }
        let channels = first..first + rest.min(L);
        first = channels.end;
        channel_block::<R, L, P, FUSED>(layer, program, task, part, channels);
    }
}

#[inline(always)]
fn channel_block<R: Real, const L: usize, const P: usize, const FUSED: bool>(
    layer: &Layer<'_, R>,
    program: &Program,
    task: &mut Task<'_, R>,
    part: &Part<'_>,
    channels: Range<usize>,
) {
    let weights = pack::<R, L>(layer, program, &channels);
    let bias: [R; L] = std::array::from_fn(|l| match layer.operands.bias {
        Some(bias) if l < channels.len() => bias[channels.start + l],
        _ => R::ZERO,
    });
    let lanes = Lanes {
        layer,
        program,
        weights: &weights,
        bias: &bias,
        input: group_input(layer, task.image, channels.start / layer.g.group_out()),
        rows: (channels.start - task.channels.start, channels.len()),
    };
    let mut pixel = part.pixels.start;
    while pixel < part.pixels.end {
        // tiles as alike as can be: a small one costs nearly as much as a large one
        let rest = part.pixels.end - pixel;
        let wanted = rest.div_ceil(rest.div_ceil(P));
        // of a few sizes, each of which is compiled for every kind of vectors
        let size = match wanted {
            7 => 7,
            _ if rest >= P => P,
            _ => rest.min(2),
        };
        match size {
            7 => lanes.tile::<7, FUSED>(task.output, pixel),
            2 => lanes.tile::<2, FUSED>(task.output, pixel),
            1 => lanes.tile::<1, FUSED>(task.output, pixel),
            _ => lanes.tile::<P, FUSED>(task.output, pixel),
        }
        pixel += size;
    }
}

/// L weights for each tap in walk order; lanes past the last channel hold zeros.
fn pack<R: Real, const L: usize>(
    layer: &Layer<'_, R>,
    program: &Program,
    channels: &Range<usize>,
) -> Vec<R> {
    let taps = layer.g.taps();
    let mut packed = Vec::with_capacity(program.weights.len() * L);
    // a few taps of every filter at a time, so that what is written stays in the nearest cache
    const TAPS: usize = 32;
    let filter = |lane: usize| &layer.operands.weight[(channels.start + lane) * taps..][..taps];
    for walk in program.weights.chunks(TAPS) {
        let mut some = [[R::ZERO; L]; TAPS];
        let whole = channels.len() / 8 * 8;
        for lane in (0..whole).step_by(8) {
            let filters: [&[R]; 8] = std::array::from_fn(|k| filter(lane + k));
            for (to, &tap) in some.iter_mut().zip(walk) {
                // one by one: a vector made of eight single stores would have to wait for them
                let to = &mut to[lane..lane + 8];
                for (to, filter) in to.iter_mut().zip(filters) {
                    *to = filter[tap as usize];
                }
            }
        }
        for lane in whole..channels.len() {
            for (to, &tap) in some.iter_mut().zip(walk) {
                to[lane] = filter(lane)[tap as usize];
            }
        }
        packed.extend_from_slice(some[..walk.len()].as_flattened());
    }
    packed
}

/// What the tiles of one block of channels share.
struct Lanes<'a, R, const L: usize> {
    layer: &'a Layer<'a, R>,
    program: &'a Program,
    weights: &'a [R],
    bias: &'a [R; L],
    input: &'a [R],
    /// First row of the task's output, and how many.
    rows: (usize, usize),
}

impl<R: Real, const L: usize> Lanes<'_, R, L> {
    #[inline(always)]
    fn tile<const P: usize, const FUSED: bool>(&self, output: &mut [R], pixel: usize) {
        let g = self.layer.g;
        let places: [usize; P] = std::array::from_fn(|p| {
            let (oh, ow) = ((pixel + p) / g.output[1], (pixel + p) % g.output[1]);
            self.layer.padded.pixel(g, oh, ow)
        });
        let span = self.input.len() - places[P - 1];
        let inputs = places.map(|place| &self.input[place..place + span]);
        let tile = tile::channels::<R, L, P, FUSED>(self.program, inputs, self.weights, self.bias);
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
fn by_pixels<R: Real, const FUSED: bool>(
    layer: &Layer<'_, R>,
    program: &Program,
    task: &mut Task<'_, R>,
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
    let weights: Cow<'_, [R]> = if in_order {
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
        input: group_input(layer, task.image, 0),
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
struct Strips<'a, R> {
    layer: &'a Layer<'a, R>,
    program: &'a Program,
    /// Filters in walk order, from `first_channel` on.
    weights: &'a [R],
    first_channel: usize,
    /// Of all groups.
    input: &'a [R],
    task_channel: usize,
}

impl<R: Real> Strips<'_, R> {
    #[inline(always)]
    fn all<const L: usize, const P: usize, const FUSED: bool>(
        &self,
        strips: &[Strip],
        output: &mut [R],
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
        output: &mut [R],
    ) {
        let g = self.layer.g;
        let taps = self.program.weights.len();
        let places = strips.map(|s| {
            let group = self
                .layer
                .padded
                .group_start(g, 0, s.channel / g.group_out());
            group + self.layer.padded.pixel(g, s.row, s.column)
        });
        let span = self.input.len() - places.iter().copied().fold(0, usize::max);
        let inputs = places.map(|place| &self.input[place..place + span]);
        let weights =
            strips.map(|s| &self.weights[(s.channel - self.first_channel) * taps..][..taps]);
        let bias = strips.map(|s| {
            self.layer
                .operands
                .bias
                .map_or(R::ZERO, |bias| bias[s.channel])
        });
        let tile = tile::pixels::<R, L, P, FUSED>(self.program, inputs, weights, bias);
        for (strip, values) in strips.iter().zip(&tile) {
            let at = (strip.channel - self.task_channel) * g.pixels()
                + strip.row * g.output[1]
                + strip.column;
            output[at..at + strip.width].copy_from_slice(&values[..strip.width]);
        }
    }
}
