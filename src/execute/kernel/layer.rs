//! A layer made ready, and its tasks: who computes which rectangle of the output.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::OnceLock;

use rayon::prelude::*;

use super::aligned::Aligned;
use super::cutting;
use super::cutting::Cutting;
use super::dense::Scratch;
use super::dispatch;
use super::dispatch::Tiled;
use super::form::Form;
use super::pack;
use super::padded::Padded;
use super::padded::SLACK;
use super::program;
use super::program::Program;
use super::repair::Doubts;
use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Region;
use crate::execute::order::interpret::Operands;
use crate::execute::vectors::Vectors;

/// Output channels of a task at most (in tests all of these limits are low, so that they are met), a multiple of every block's: the weights of a segment then stay in the second cache.
const CHANNELS: usize = if cfg!(test) { 24 } else { 264 };

/// Pixels of a task are a multiple of this, the lanes of the widest tile.
const PIXELS: usize = 32;

/// Elements of the inputs that a task of a dense layer gathers at a time; half of a usual second cache.
const PANELS: usize = if cfg!(test) { 1 << 9 } else { 1 << 16 };

/// Elements that a task reads of the input, where lanes are channels.
const INPUTS: usize = if cfg!(test) { 1 << 9 } else { 1 << 17 };

/// Output elements of a task of narrow groups, about.
const NARROW_TASK: usize = if cfg!(test) { 1 << 6 } else { 1 << 16 };

/// What executions leave behind for the next one.
#[derive(Debug, Default)]
pub struct Memory<R> {
    /// An output that is not needed any more.
    pub output: Vec<R>,
    padded: Vec<R>,
    /// Whose padding is in there.
    padded_for: Option<Geometry>,
    packed: Vec<Aligned<R>>,
    scratch: Vec<Scratch<R>>,
}

/// Everything that tasks read.
pub(super) struct Layer<'a, R> {
    pub(super) operands: &'a Operands<'a, R>,
    pub(super) g: &'a Geometry,
    pub(super) plan: &'a Plan,
    pub(super) padded: Padded,
    pub(super) form: Form,
    /// One for each recipe of the plan; `None`: the interpreter's.
    pub(super) programs: Vec<Option<Program>>,
    /// Those in `input`.
    images: Range<usize>,
    /// Those, padded; unless the operand is read itself.
    input: Vec<R>,
    /// Whether the padding is in there.
    is_padded: bool,
    packs: Vec<Pack<R>>,
    /// For packs.
    spare: Vec<Aligned<R>>,
    scratch: Mutex<Vec<Scratch<R>>>,
    /// Found out when first asked for.
    pub(super) doubts: OnceLock<Doubts>,
}

/// Scratch that goes back to its layer when a thread's tasks are done.
pub(super) struct Lent<'a, R: Default> {
    pub(super) scratch: Scratch<R>,
    to: &'a Mutex<Vec<Scratch<R>>>,
}

impl<R: Default> Drop for Lent<'_, R> {
    fn drop(&mut self) {
        if let Ok(mut scratch) = self.to.lock() {
            scratch.push(std::mem::take(&mut self.scratch));
        }
    }
}

/// A rectangle of the output that one task computes by one recipe.
#[derive(Clone, Debug)]
pub(super) struct Rect {
    pub(super) image: usize,
    /// Of one group, or of whole narrow groups.
    pub(super) channels: Range<usize>,
    pub(super) pixels: Range<usize>,
    pub(super) recipe: usize,
    /// Its weights, where others need them too.
    pack: Option<usize>,
}

/// Weights packed for several tasks.
struct Pack<R> {
    recipe: usize,
    channels: Range<usize>,
    weights: Aligned<R>,
}

/// A rectangle and its rows: one slice for each channel.
pub(super) struct Task<'o, R> {
    pub(super) rect: Rect,
    pub(super) rows: Vec<&'o mut [R]>,
}

impl<'a, R: Tiled> Layer<'a, R> {
    pub(super) fn new(
        operands: &'a Operands<'a, R>,
        g: &'a Geometry,
        plan: &'a Plan,
        form: Form,
        memory: &mut Memory<R>,
    ) -> Self {
        let padded = Padded::new(g);
        let segment = match form {
            Form::Across { .. } => program::LONG_SEGMENT,
            _ => program::SEGMENT,
        };
        let flushing = plan.recipes.iter().any(Recipe::flushes);
        let subnormals = flushing && may_be_subnormal(operands);
        let compile = |recipe: &Recipe| {
            let padded = padded.as_ref()?;
            if subnormals && recipe.flushes() {
                return None;
            }
            Program::compile(g, padded, recipe, operands.bias.is_some(), segment)
        };
        let programs: Vec<_> = plan.recipes.iter().map(compile).collect();
        Self {
            operands,
            g,
            plan,
            padded: padded.unwrap_or_default(), // unused without programs
            form,
            programs,
            images: 0..0,
            input: std::mem::take(&mut memory.padded),
            is_padded: memory.padded_for.take().as_ref() == Some(g),
            packs: Vec::new(),
            spare: std::mem::take(&mut memory.packed),
            scratch: Mutex::new(std::mem::take(&mut memory.scratch)),
            doubts: OnceLock::new(),
        }
    }

    /// Memory for one thread's tasks.
    pub(super) fn borrow_scratch(&self) -> Lent<'_, R> {
        let left = self.scratch.lock().ok().and_then(|mut left| left.pop());
        Lent {
            scratch: left.unwrap_or_default(),
            to: &self.scratch,
        }
    }

    /// Leaves what the next layer can use.
    pub(super) fn leave(self, memory: &mut Memory<R>) {
        memory.padded_for = self.is_padded.then_some(*self.g);
        memory.padded = self.input;
        memory.packed = self.packs.into_iter().map(|pack| pack.weights).collect();
        memory.scratch = self.scratch.into_inner().unwrap_or_default();
    }

    /// Whether a padded copy of whole images is made.
    fn makes_copy(&self) -> bool {
        let any = self.programs.iter().any(Option::is_some);
        any && self.form != Form::Narrow && !Padded::is_input(self.g)
    }

    /// How many images [`Layer::load`] takes at a time.
    pub(super) fn images_at_once(&self) -> usize {
        if self.makes_copy() {
            self.padded.images_at_once(self.g)
        } else {
            self.g.batch
        }
    }

    /// Pads the images whose tasks come next.
    pub(super) fn load(&mut self, images: Range<usize>, vectors: Vectors) {
        if self.makes_copy() {
            let len = images.len() * self.g.in_channels * self.padded.plane + SLACK;
            if !self.is_padded {
                self.input.clear(); // what is left of another layer's input is no padding
            }
            self.input.resize(len, R::ZERO);
            self.is_padded = true;
            let plane = self.g.input[0] * self.g.input[1];
            let from = &self.operands.input[images.start * self.g.in_channels * plane..];
            if plane > 0 {
                let end = self.input.len() - SLACK;
                let (padded, g) = (&self.padded, self.g);
                self.input[..end]
                    .par_chunks_mut(padded.plane)
                    .zip(from.par_chunks(plane))
                    .for_each(|(to, from)| dispatch::pad(padded, g, from, to, vectors));
            }
        }
        self.images = images;
    }

    /// The input of an image from one group on, padded if need be.
    pub(super) fn group_input(&self, image: usize, group: usize) -> &[R] {
        let (input, first) = match Padded::is_input(self.g) {
            true => (self.operands.input, 0),
            false => (&self.input[..], self.images.start),
        };
        &input[self.padded.group_start(self.g, image - first, group)..]
    }

    /// The weights of a rectangle, block after block, if they have been packed.
    pub(super) fn packed(&self, rect: &Rect) -> Option<&[R]> {
        Some(self.packs[rect.pack?].weights.get())
    }

    /// Cuts the images loaded into rectangles, and packs the weights that several of them need.
    pub(super) fn cut(&mut self) -> Vec<Rect> {
        let threads = rayon::current_num_threads();
        let mut rects = Vec::new();
        for region in &self.plan.regions {
            let images =
                self.images.start.max(region.images.start)..self.images.end.min(region.images.end);
            let pieces = match (&self.programs[region.recipe], self.form) {
                (None, _) => self.interpreted_pieces(region),
                (_, Form::Narrow) => {
                    let tasks = if threads > 1 { 4 * threads } else { 1 };
                    self.narrow_pieces(region, tasks.div_ceil(images.len().max(1)))
                }
                (Some(program), Form::Dense { width }) => {
                    self.dense_pieces(region, program, images.len(), width)
                }
                (Some(program), Form::Across { width, most }) => {
                    self.across_pieces(region, program, images.len(), [width, most])
                }
            };
            for image in images {
                rects.extend(pieces.iter().map(|(channels, pixels)| Rect {
                    image,
                    channels: channels.clone(),
                    pixels: pixels.clone(),
                    recipe: region.recipe,
                    pack: None,
                }));
            }
        }
        if let Form::Dense { width } | Form::Across { width, .. } = self.form {
            self.pack(&mut rects, width);
        }
        rects
    }

    fn interpreted_pieces(&self, region: &Region) -> Vec<(Range<usize>, Range<usize>)> {
        chunks(&region.channels, 8)
            .map(|channels| (channels, region.pixels.clone()))
            .collect()
    }

    /// Whole groups, at least `tasks` pieces if there are as many.
    fn narrow_pieces(&self, region: &Region, tasks: usize) -> Vec<(Range<usize>, Range<usize>)> {
        let g = self.g;
        let elements = region.channels.len() * region.pixels.len();
        let tasks = tasks.max(elements / NARROW_TASK).max(1);
        let channels = region
            .channels
            .len()
            .div_ceil(tasks)
            .next_multiple_of(g.group_out());
        // from a group's start, so that no group is padded for two tasks
        let first = region.channels.start / g.group_out() * g.group_out();
        chunks(&(first..region.channels.end), channels)
            .map(|c| {
                (
                    c.start.max(region.channels.start)..c.end,
                    region.pixels.clone(),
                )
            })
            .collect()
    }

    /// Channels of one group by pixels, the same for each of some images.
    fn dense_pieces(
        &self,
        region: &Region,
        program: &Program,
        images: usize,
        width: usize,
    ) -> Vec<(Range<usize>, Range<usize>)> {
        let g = self.g;
        let taps = program.segments.iter().map(|s| s.taps.len()).max();
        let most = (PANELS / taps.unwrap_or(1).max(1))
            .max(1)
            .next_multiple_of(PIXELS);
        let cutting = Cutting {
            channels: region.channels.len().min(g.group_out()),
            pixels: region.pixels.len(),
            taps: program.weights.len(),
            most: [CHANNELS, most],
            unit: [width, PIXELS],
            copies: images * region.channels.len().div_ceil(g.group_out()),
            gather: cutting::GATHER,
            pack: cutting::PACK,
        };
        self.cut_groups(region, cutting.best(rayon::current_num_threads()))
    }

    /// The same where lanes are channels: whole rows, and as many pixels as read what stays in the second cache.
    fn across_pieces(
        &self,
        region: &Region,
        program: &Program,
        images: usize,
        [width, most]: [usize; 2],
    ) -> Vec<(Range<usize>, Range<usize>)> {
        let g = self.g;
        let row = if self.padded.in_line(g) {
            most
        } else {
            g.output[1].max(1)
        };
        let read = [0, 1].map(|axis| g.stride[axis].min(g.kernel[axis]));
        let read = g.group_in() * read[0] * read[1];
        let rows = (INPUTS / read.max(1) / row).max(1);
        let cutting = Cutting {
            channels: region.channels.len().min(g.group_out()),
            pixels: region.pixels.len(),
            taps: program.weights.len(),
            most: [usize::MAX, rows * row],
            unit: [width, row],
            copies: images * region.channels.len().div_ceil(g.group_out()),
            gather: 0,
            pack: cutting::PACK / 3,
        };
        self.cut_groups(region, cutting.best(rayon::current_num_threads()))
    }

    /// Pieces of so many channels and pixels, none of two groups.
    fn cut_groups(
        &self,
        region: &Region,
        [channels, chunk]: [usize; 2],
    ) -> Vec<(Range<usize>, Range<usize>)> {
        let g = self.g;
        let mut pieces = Vec::new();
        let mut start = region.channels.start;
        while start < region.channels.end {
            let group_end = (start / g.group_out() + 1) * g.group_out();
            let end = group_end.min(region.channels.end);
            for channels in chunks(&(start..end), channels) {
                for pixels in chunks(&region.pixels, chunk) {
                    pieces.push((channels.clone(), pixels));
                }
            }
            start = end;
        }
        pieces
    }

    /// Packs the weights that several rectangles need.
    fn pack(&mut self, rects: &mut [Rect], width: usize) {
        rects.sort_by_key(|r| (r.recipe, r.channels.start, r.channels.end));
        let mut packs = Vec::new();
        let alike = |a: &Rect, b: &Rect| a.recipe == b.recipe && a.channels == b.channels;
        for alike in rects.chunk_by_mut(alike) {
            let (recipe, channels) = (alike[0].recipe, alike[0].channels.clone());
            let Some(program) = &self.programs[recipe] else {
                continue;
            };
            let together = program.segments.iter().all(|s| s.source.is_some());
            if alike.len() == 1 && together {
                continue; // packed segment by segment, and used while they are near
            }
            let known = self
                .packs
                .iter()
                .position(|p| p.recipe == recipe && p.channels == channels);
            let index = known.unwrap_or(self.packs.len() + packs.len());
            if known.is_none() {
                packs.push((recipe, channels));
            }
            for rect in alike {
                rect.pack = Some(index);
            }
        }
        let (programs, operands, g) = (&self.programs, self.operands, self.g);
        let mut spare = std::mem::take(&mut self.spare).into_iter();
        let packs: Vec<_> = packs
            .into_iter()
            .map(|(recipe, channels)| (recipe, channels, spare.next().unwrap_or_default()))
            .collect();
        let packs = packs
            .into_par_iter()
            .map(|(recipe, channels, mut weights)| {
                if let Some(program) = &programs[recipe] {
                    let filters = pack::Filters::new(operands.weight, g, &channels);
                    pack::whole(&filters, program, width, &mut weights);
                }
                Pack {
                    recipe,
                    channels,
                    weights,
                }
            });
        let packs: Vec<_> = packs.collect();
        self.packs.extend(packs);
    }
}

/// Pieces of `size`, the last one shorter.
pub(super) fn chunks(range: &Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let (start, end) = (range.start, range.end);
    (start..end)
        .step_by(size.max(1))
        .map(move |at| at..end.min(at + size.max(1)))
}

/// Gives each rectangle its slices of the output, which begins at image `first`.
pub(super) fn deal<'o, R>(
    g: &Geometry,
    rects: Vec<Rect>,
    first: usize,
    mut output: &'o mut [R],
) -> Vec<Task<'o, R>> {
    // sorted by plane, in each as they lie in the output: a plan's regions are disjoint and cover it
    let mut left_to_right: Vec<usize> = (0..rects.len()).collect();
    left_to_right.sort_by_key(|&index| rects[index].pixels.start);
    let planes_of = |rect: &Rect| {
        let image = (rect.image - first) * g.out_channels;
        image + rect.channels.start..image + rect.channels.end
    };
    let mut ends = vec![0; output.len() / g.pixels().max(1) + 1];
    for rect in &rects {
        planes_of(rect).for_each(|plane| ends[plane + 1] += 1);
    }
    for plane in 1..ends.len() {
        ends[plane] += ends[plane - 1];
    }
    let mut pieces = vec![0; ends.last().copied().unwrap_or(0)];
    for index in left_to_right {
        for plane in planes_of(&rects[index]) {
            pieces[ends[plane]] = index;
            ends[plane] += 1;
        }
    }
    let mut tasks: Vec<Task<'o, R>> = Vec::with_capacity(rects.len());
    tasks.extend(rects.into_iter().map(|rect| Task {
        rows: Vec::with_capacity(rect.channels.len()),
        rect,
    }));
    for index in pieces {
        let (row, rest) = output.split_at_mut(tasks[index].rect.pixels.len());
        output = rest;
        tasks[index].rows.push(row);
    }
    tasks
}

/// Whether any sum of products of these operands might be subnormal, judged by the least of them: every product, and
/// so every rounded sum, is a multiple of the last place of the least product.
#[inline(always)]
pub(super) fn may_be_subnormal<R: Real>(operands: &Operands<'_, R>) -> bool {
    let last_place = |values: &[R]| R::least_magnitude(values) * R::EPSILON;
    let products = last_place(operands.input) * last_place(operands.weight);
    let biases = operands.bias.map_or(f64::INFINITY, last_place);
    products.min(biases) < R::LEAST_NORMAL
}
