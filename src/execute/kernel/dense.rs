//! Layers with many output channels per group: inputs are gathered, a few hundred taps at a time.
//!
//! Some neighbouring output pixels make a tile. What one tap reads of the input for them is gathered into one vector, tap
//! after tap in the walk's sequence, for as many taps as the nearest cache holds (a segment of the program); these
//! vectors, the tile's panel, then meet the weights of every block of output channels, which lie in the same sequence. So
//! the inner loop reads two streams from start to end, whatever the kernel size, stride, padding or order, and what it
//! finds is stored as it lies. Between two segments the totals wait in the output.

use std::ops::Range;

use super::aligned::Aligned;
use super::layer::Layer;
use super::layer::Task;
use super::pack;
use super::program::Op;
use super::program::Program;
use super::program::Segment;
use super::program::Single;
use super::tile;
use super::vector::Apart;
use super::vector::Simd;
use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::kernel::Tiled;

/// Lanes of the widest tile.
pub(super) const MOST_LANES: usize = 32;

/// Blocks of output channels that do not make up for gathering.
const FEW_BLOCKS: usize = 4;

/// What tasks leave behind for the next one.
#[derive(Debug, Default)]
pub(super) struct Scratch<R> {
    pub(super) panels: Aligned<R>,
    pub(super) weights: Aligned<R>,
    /// Rows of a tile that is not full.
    spare: Vec<R>,
    /// A narrow group's input.
    pub(super) planes: Vec<R>,
}

/// A tile's pixels.
struct Part {
    /// Within the rectangle.
    pixels: Range<usize>,
    /// Lanes for them.
    lanes: usize,
    /// Which of the runs are its own.
    runs: Range<usize>,
}

/// Pixels of one output row, in a tile.
#[derive(Clone, Copy)]
struct Run {
    lane: usize,
    len: usize,
    /// Place of the first in the group's input.
    place: usize,
}

/// Whether an input value meets several taps.
fn reads_again(g: &Geometry) -> bool {
    g.kernel != [1, 1]
}

/// Pixels in tiles of these widths, the widest first.
fn parts<R: Tiled>(
    layer: &Layer<'_, R>,
    pixels: &Range<usize>,
    widths: [usize; 3],
) -> (Vec<Part>, Vec<Run>) {
    let g = layer.g;
    let (mut parts, mut runs) = (Vec::new(), Vec::new());
    let in_line = layer.padded.in_line(g);
    let mut pixel = pixels.start;
    while pixel < pixels.end {
        // long rows that are read in place, several times, are cut into tiles of their own
        let row_end = pixel + g.output[1] - pixel % g.output[1];
        let apart = !in_line && reads_again(g) && g.output[1] >= widths[0];
        let rest = match apart {
            true => pixels.end.min(row_end) - pixel,
            false => pixels.end - pixel,
        };
        let fits = widths.into_iter().find(|&lanes| lanes <= rest);
        let lanes = fits.unwrap_or(widths[2]);
        let end = pixel + rest.min(lanes);
        let (start, first_run) = (pixel, runs.len());
        while pixel < end {
            let (oh, ow) = (pixel / g.output[1], pixel % g.output[1]);
            let row_end = if in_line {
                end
            } else {
                pixel + g.output[1] - ow
            };
            let next = end.min(row_end);
            runs.push(Run {
                lane: pixel - start,
                len: next - pixel,
                place: layer.padded.pixel(g, oh, ow),
            });
            pixel = next;
        }
        parts.push(Part {
            pixels: start - pixels.start..end - pixels.start,
            lanes,
            runs: first_run..runs.len(),
        });
    }
    (parts, runs)
}

/// Computes one rectangle of one group. Inlined into functions compiled for the processor's vectors; C is the channels of
/// a block.
#[inline(always)]
pub(super) fn run<
    R: Tiled,
    I: Simd<R>,
    H: Simd<R>,
    const W: usize,
    const M: usize,
    const C: usize,
    const FUSED: bool,
>(
    (simd, half): (I, H),
    layer: &Layer<'_, R>,
    program: &Program,
    task: &mut Task<'_, R>,
    scratch: &mut Scratch<R>,
) {
    let rect = &task.rect;
    let widths = [W * I::LANES, M * I::LANES, H::LANES];
    let (parts, runs) = parts(layer, &rect.pixels, widths);
    let lanes: usize = parts.iter().map(|part| part.lanes).sum();
    let input = layer.group_input(rect.image, rect.channels.start / layer.g.group_out());
    let filters = pack::Filters::new(layer.operands.weight, layer.g, &rect.channels);
    let packed = layer.packed(rect);
    let in_place_pays = rect.channels.len() <= FEW_BLOCKS * C || reads_again(layer.g);
    scratch.spare.resize(C * MOST_LANES, R::ZERO);
    for (index, segment) in program.segments.iter().enumerate() {
        let taps = segment.taps.clone();
        let panels = scratch.panels.of(lanes * taps.len() + MOST_LANES);
        let offsets = &program.offsets[taps.clone()];
        // one run is read in place where gathering it would cost more than it spares
        let last = offsets.iter().max().map_or(0, |&last| last as usize);
        let in_place = |part: &Part| match &runs[part.runs.clone()] {
            [run] if segment.single.is_some() && in_place_pays => {
                let input = &input[run.place..];
                (last + part.lanes <= input.len()).then_some(input)
            }
            _ => None,
        };
        let mut at = 0;
        for part in &parts {
            if in_place(part).is_some() {
                at += part.lanes * taps.len();
                continue;
            }
            let panel = &mut panels[at..];
            let gathering = Gathering {
                offsets,
                input,
                runs: &runs[part.runs.clone()],
                lanes: part.lanes,
            };
            // vectors as long as the longest run
            match part.lanes.min(layer.g.output[1].max(gathering.runs[0].len)) {
                len if len <= widths[2] => gathering.run::<H, 1>(half, panel),
                len if len <= widths[1] => gathering.run::<I, M>(simd, panel),
                _ => gathering.run::<I, W>(simd, panel),
            }
            at += part.lanes * taps.len();
        }
        let (weights, stride, first) = match packed {
            Some(weights) => (weights, program.weights.len() * C, taps.start * C),
            None => {
                pack::segment(&filters, program, segment, C, &mut scratch.weights);
                (scratch.weights.get(), taps.len() * C, 0)
            }
        };
        let work = Work {
            ops: &program.ops[segment.ops.clone()],
            single: segment.single,
            resumes: index > 0,
            start: taps.start,
            offsets,
            weights,
            stride,
            first,
            bias: layer.operands.bias.map(|bias| &bias[rect.channels.clone()]),
            ahead: match packed {
                Some(_) => None,
                None => program.segments.get(index + 1).map(|next| (&filters, next)),
            },
        };
        let mut at = 0;
        for part in &parts {
            let panel = &panels[at..at + part.lanes * taps.len()];
            let (rows, pixels) = (&mut task.rows[..], &part.pixels);
            let spare = &mut scratch.spare[..];
            let in_place = in_place(part);
            macro_rules! apart {
                ($simd:ident $kind:ident $vectors:tt) => {
                    match (in_place, segment.single) {
                        (Some(input), _) => {
                            $simd.apart(TileWork::<R, $kind, $vectors, C, true, true, FUSED>(
                                &work, $simd, input, rows, pixels, spare,
                            ))
                        }
                        (_, Some(_)) => {
                            $simd.apart(TileWork::<R, $kind, $vectors, C, false, true, FUSED>(
                                &work, $simd, panel, rows, pixels, spare,
                            ))
                        }
                        _ => $simd.apart(TileWork::<R, $kind, $vectors, C, false, false, FUSED>(
                            &work, $simd, panel, rows, pixels, spare,
                        )),
                    }
                };
            }
            match part.lanes {
                lanes if lanes == widths[0] => {
                    apart!(simd I W);
                }
                lanes if lanes == widths[1] => {
                    apart!(simd I M);
                }
                _ => apart!(half H 1),
            }
            at += part.lanes * taps.len();
        }
    }
}

/// What each tap reads for a tile's pixels.
struct Gathering<'a, R> {
    offsets: &'a [u32],
    input: &'a [R],
    runs: &'a [Run],
    /// Of the tile.
    lanes: usize,
}

impl<R: Real> Gathering<'_, R> {
    /// Into vectors one after the other, by copies of a vector, or of W, which are as long as every run. They go forward,
    /// so that what is copied too much is overwritten; lanes past the last pixel hold whatever lies there.
    #[inline(always)]
    fn run<I: Simd<R>, const W: usize>(&self, simd: I, panel: &mut [R]) {
        let copied = W * I::LANES;
        for (tap, &offset) in self.offsets.iter().enumerate() {
            for run in self.runs {
                let at = run.place + offset as usize;
                let to = &mut panel[tap * self.lanes + run.lane..];
                match self.input.get(at..at + copied) {
                    Some(from) if run.len <= I::LANES => {
                        simd.store(simd.load(from), to);
                    }
                    Some(from) => tile::store(simd, &tile::load::<R, I, W>(simd, from), to),
                    None => to[..run.len].copy_from_slice(&self.input[at..at + run.len]),
                }
            }
        }
    }
}

/// A segment's work for every tile.
pub(super) struct Work<'a, R> {
    ops: &'a [Op],
    single: Option<Single>,
    /// Whether there is a total from the segment before.
    pub(super) resumes: bool,
    /// First tap.
    pub(super) start: usize,
    /// Of the taps.
    pub(super) offsets: &'a [u32],
    /// Blocks of weights, `stride` from one to the next, in each the segment's from `first` on.
    pub(super) weights: &'a [R],
    pub(super) stride: usize,
    pub(super) first: usize,
    /// The rectangle's.
    pub(super) bias: Option<&'a [R]>,
    /// What is packed next, and is asked for while the first tile is computed.
    ahead: Option<(&'a pack::Filters<'a, R>, &'a Segment)>,
}

impl<R: Tiled> Work<'_, R> {
    /// A tile's pixels in every channel.
    #[inline(always)]
    fn tile<
        I: Simd<R>,
        const W: usize,
        const C: usize,
        const IN_PLACE: bool,
        const SINGLE: bool,
        const FUSED: bool,
    >(
        &self,
        simd: I,
        inputs: &[R],
        rows: &mut [&mut [R]],
        pixels: &Range<usize>,
        spare: &mut [R],
    ) {
        let lanes = W * I::LANES;
        let ahead = self.ahead.filter(|_| pixels.start == 0);
        for (block, rows) in rows.chunks_mut(C).enumerate() {
            if let Some((filters, next)) = ahead {
                filters.sources(block, C, next).for_each(R::prefetch);
            }
            let weights =
                &self.weights[block * self.stride + self.first..][..self.offsets.len() * C];
            let mut bias = [R::ZERO; C];
            if let Some(all) = self.bias {
                bias[..rows.len()].copy_from_slice(&all[block * C..][..rows.len()]);
            }
            let dense = tile::Dense::<R, I, C, IN_PLACE, FUSED> {
                simd,
                start: self.start,
                inputs,
                offsets: self.offsets,
                weights: weights.as_chunks::<C>().0,
                bias: &bias,
            };
            // a tile that is not full is made beside the output
            let full = pixels.len() == lanes && rows.len() == C;
            if !full && self.resumes {
                for (spare, row) in spare.chunks_exact_mut(lanes).zip(rows.iter()) {
                    spare[..pixels.len()].copy_from_slice(&row[pixels.clone()]);
                }
            }
            let mut spares = spare.chunks_exact_mut(lanes);
            let mut own = rows.iter_mut();
            let mut totals: [&mut [R]; C] = std::array::from_fn(|_| {
                let own = own.next().filter(|_| full);
                own.map(|row| &mut row[pixels.clone()])
                    .or_else(|| spares.next())
                    .unwrap_or_default()
            });
            self.totals::<I, W, C, IN_PLACE, SINGLE, FUSED>(simd, &mut totals, &dense);
            if !full {
                for (row, spare) in rows.iter_mut().zip(spare.chunks_exact(lanes)) {
                    row[pixels.clone()].copy_from_slice(&spare[..pixels.len()]);
                }
            }
        }
    }

    #[inline(always)]
    fn totals<
        I: Simd<R>,
        const W: usize,
        const C: usize,
        const IN_PLACE: bool,
        const SINGLE: bool,
        const FUSED: bool,
    >(
        &self,
        simd: I,
        rows: &mut [&mut [R]; C],
        dense: &tile::Dense<'_, R, I, C, IN_PLACE, FUSED>,
    ) {
        let acc = match self.single {
            Some(ops) if SINGLE => tile::single::<R, I, W, C>(simd, ops, rows, dense),
            _ if SINGLE => return,
            _ => {
                let mut acc = [[simd.splat(R::ZERO); W]; C];
                if self.resumes {
                    for (acc, row) in acc.iter_mut().zip(rows.iter()) {
                        *acc = tile::load(simd, row);
                    }
                }
                tile::total(simd, self.ops, acc, dense)
            }
        };
        for (acc, row) in acc.iter().zip(rows) {
            tile::store(simd, acc, row);
        }
    }
}

/// A tile that is done in a function of its own.
struct TileWork<
    't,
    'a,
    'o,
    R,
    I,
    const W: usize,
    const C: usize,
    const IN_PLACE: bool,
    const SINGLE: bool,
    const FUSED: bool,
>(
    &'t Work<'a, R>,
    I,
    &'t [R],
    &'t mut [&'o mut [R]],
    &'t Range<usize>,
    &'t mut [R],
);

impl<
    R: Tiled,
    I: Simd<R>,
    const W: usize,
    const C: usize,
    const IN_PLACE: bool,
    const SINGLE: bool,
    const FUSED: bool,
> Apart for TileWork<'_, '_, '_, R, I, W, C, IN_PLACE, SINGLE, FUSED>
{
    #[inline(always)]
    fn run(self) {
        let Self(work, simd, inputs, rows, pixels, spare) = self;
        work.tile::<I, W, C, IN_PLACE, SINGLE, FUSED>(simd, inputs, rows, pixels, spare);
    }
}
