//! Layers with many output channels and long sums: lanes are output channels.
//!
//! A block's weights of one tap are two vectors, and each meets one input, in every lane, for each of some neighbouring
//! output pixels: a strip of as many as there are registers for their totals. The inputs are read where they lie, so
//! nothing is gathered, and images of 7, 14, 28 or 56 pixels leave no lane empty. Weights are packed block by block right
//! before they are met, and while one block is computed the processor is asked for the filters of the next. A strip's
//! totals lie pixel after pixel; once done they are turned and put into the rows of the output.

// Index loops with constant bounds are unrolled, and the arrays live in registers.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::dense::Scratch;
use super::layer::Layer;
use super::layer::Task;
use super::pack;
use super::program::Op;
use super::program::Program;
use super::program::Segment;
use super::tile;
use super::vector::Apart;
use super::vector::Pieces;
use super::vector::Simd;
use crate::execute::Real;
use crate::execute::kernel::Tiled;

/// Vectors of a block of output channels.
pub(super) const VECTORS: usize = 2;

/// Pixels of a strip at most, of vectors of which so many fit into the registers: those of a tap's weights and of an
/// input are needed as well.
pub(super) const fn most(registers: usize) -> usize {
    (registers - VECTORS - 1) / VECTORS
}

/// Neighbouring output pixels: of one row, or as many of each of two that follow each other.
struct Strip {
    /// Of the first, within the rectangle.
    first: usize,
    /// Of one row.
    len: usize,
    /// One or two.
    rows: usize,
    /// Where the first pixel of each row lies in the group's input.
    places: [usize; 2],
}

impl Strip {
    fn pixels(&self) -> usize {
        self.rows * self.len
    }
}

/// Cuts pixels into strips of about one length, at most `most` long.
fn strips<R: Tiled>(layer: &Layer<'_, R>, pixels: &Range<usize>, most: usize) -> Vec<Strip> {
    let (g, in_line) = (layer.g, layer.padded.in_line(layer.g));
    let width = g.output[1];
    let row_end = |pixel: usize| match in_line {
        true => pixels.end,
        false => pixels.end.min((pixel / width + 1) * width),
    };
    let place = |pixel: usize| layer.padded.pixel(g, pixel / width, pixel % width);
    let mut strips = Vec::new();
    let mut start = pixels.start;
    while start < pixels.end {
        let end = row_end(start);
        let len = end - start;
        if 2 * len <= most && end < pixels.end && row_end(end) - end == len {
            strips.push(Strip {
                first: start - pixels.start,
                len,
                rows: 2,
                places: [place(start), place(end)],
            });
            start = end + len;
            continue;
        }
        let count = len.div_ceil(most);
        for part in 0..count {
            let [from, to] = [part, part + 1].map(|part| start + len * part / count);
            strips.push(Strip {
                first: from - pixels.start,
                len: to - from,
                rows: 1,
                places: [place(from); 2],
            });
        }
        start = end;
    }
    strips
}

/// Computes one rectangle of one group. Inlined into functions compiled for the processor's vectors.
#[inline(always)]
pub(super) fn run<R: Tiled, I: Simd<R>>(
    simd: I,
    layer: &Layer<'_, R>,
    program: &Program,
    task: &mut Task<'_, R>,
    scratch: &mut Scratch<R>,
) {
    let rect = &task.rect;
    let width = VECTORS * I::LANES;
    let most = most(I::REGISTERS);
    let strips = strips(layer, &rect.pixels, most);
    let input = layer.group_input(rect.image, rect.channels.start / layer.g.group_out());
    let filters = pack::Filters::new(layer.operands.weight, layer.g, &rect.channels);
    let packed = layer.packed(rect);
    let segments = &program.segments;
    // between two segments the totals of all pixels wait, else those of a strip are done at once
    let kept = if segments.len() > 1 {
        rect.pixels.len()
    } else {
        0
    };
    let totals = scratch.panels.of((kept + most) * width);
    let biases = layer.operands.bias.map(|bias| &bias[rect.channels.clone()]);
    let mut bias = vec![R::ZERO; width];
    for (block, rows) in task.rows.chunks_mut(width).enumerate() {
        if let Some(all) = biases {
            bias[..rows.len()].copy_from_slice(&all[block * width..][..rows.len()]);
        }
        for (index, segment) in segments.iter().enumerate() {
            let weights = match packed {
                Some(weights) => {
                    let at = block * program.weights.len() + segment.taps.start;
                    &weights[at * width..][..segment.taps.len() * width]
                }
                None => pack::one(
                    &filters,
                    block,
                    program,
                    segment,
                    width,
                    &mut scratch.weights,
                ),
            };
            let ahead = match packed {
                Some(_) => Vec::new(),
                None => packed_next(&filters, segments, [block, index], width),
            };
            let work = Work {
                simd,
                ops: &program.ops[segment.ops.clone()],
                input,
                start: segment.taps.start,
                offsets: &program.offsets[segment.taps.clone()],
                weights,
                bias: &bias,
            };
            let last = index + 1 == segments.len();
            work.strips(
                &strips,
                totals,
                kept > 0,
                last.then_some(&mut *rows),
                &ahead,
            );
        }
    }
}

/// The filters of the segment after the one of a block, or of the first in the next block.
fn packed_next<'a, R: Tiled>(
    filters: &pack::Filters<'a, R>,
    segments: &[Segment],
    [block, index]: [usize; 2],
    width: usize,
) -> Vec<&'a [R]> {
    match segments.get(index + 1) {
        Some(next) => filters.sources(block, width, next).collect(),
        None => filters.sources(block + 1, width, &segments[0]).collect(),
    }
}

/// A segment's work for every strip.
struct Work<'a, R, I> {
    simd: I,
    ops: &'a [Op],
    /// The group's.
    input: &'a [R],
    /// First tap.
    start: usize,
    /// Of the taps.
    offsets: &'a [u32],
    /// Of the taps: a block's channels for each.
    weights: &'a [R],
    /// The block's.
    bias: &'a [R],
}

impl<R: Tiled, I: Simd<R>> Work<'_, R, I> {
    /// Every strip's totals, which are kept apart or lie in one place, into the rows of the output if they are done.
    #[inline(always)]
    fn strips(
        &self,
        strips: &[Strip],
        totals: &mut [R],
        are_kept: bool,
        mut rows: Option<&mut [&mut [R]]>,
        ahead: &[&[R]],
    ) {
        let width = self.bias.len();
        let mut ahead = ahead.chunks(ahead.len().div_ceil(strips.len().max(1)).max(1));
        for strip in strips {
            let pixels = strip.first..strip.first + strip.pixels();
            let at = if are_kept { pixels.start * width } else { 0 };
            let totals = &mut totals[at..];
            // nearer, until they are written
            for row in rows.iter().flat_map(|rows| rows.iter()) {
                R::prefetch(&row[pixels.clone()]);
            }
            let own = &mut totals[..pixels.len() * width];
            self.strip(strip, own, ahead.next().unwrap_or_default());
            if let Some(rows) = &mut rows {
                R::turn(totals, width, rows, pixels);
            }
        }
    }

    /// The ops over a strip's totals.
    #[inline(always)]
    fn strip(&self, strip: &Strip, totals: &mut [R], ahead: &[&[R]]) {
        let mut saved: Vec<Vec<R>> = Vec::new(); // allocates only for nested sums
        for op in self.ops {
            match *op {
                Op::Zero => totals.fill(R::ZERO),
                Op::NegativeZero => totals.fill(R::from_f64(-0.0)),
                Op::SetBias => {
                    for pixel in totals.chunks_exact_mut(self.bias.len()) {
                        pixel.copy_from_slice(self.bias);
                    }
                }
                Op::AddBias => {
                    for pixel in totals.chunks_exact_mut(self.bias.len()) {
                        add(pixel, self.bias);
                    }
                }
                Op::Chain { from, to, fresh } => {
                    // of an empty one, wherever that is, only a zero can be added
                    let taps = if from == to {
                        0..0
                    } else {
                        from - self.start..to - self.start
                    };
                    self.chain(strip, taps, fresh, totals, ahead);
                }
                Op::Save => saved.push(totals.to_vec()),
                Op::AddToSaved => {
                    if let Some(outer) = saved.pop() {
                        add(totals, &outer);
                    }
                }
            }
        }
    }

    /// On through some taps of the segment's.
    #[inline(always)]
    fn chain(
        &self,
        strip: &Strip,
        taps: Range<usize>,
        fresh: bool,
        totals: &mut [R],
        ahead: &[&[R]],
    ) {
        let width = VECTORS * I::LANES;
        let simd = self.simd;
        let (offsets, weights) = (
            &self.offsets[taps.clone()],
            &self.weights[taps.start * width..taps.end * width],
        );
        macro_rules! lengths {
            ($rows:literal: $($len:literal)+) => {
                match strip.len {
                    $($len if $rows * $len <= most(I::REGISTERS) => simd.apart(Chain::<R, I, $rows, $len> {
                        simd,
                        inputs: Pieces::new(self.input, std::array::from_fn(|row| strip.places[row])),
                        offsets,
                        weights,
                        totals,
                        fresh,
                        ahead,
                        skip: taps.start,
                    }),)+
                    _ => {}
                }
            };
        }
        match strip.rows {
            1 => lengths!(1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
            _ => lengths!(2: 1 2 3 4 5 6 7),
        }
    }
}

/// Adds the numbers of one slice to those of another.
#[inline(always)]
fn add<R: Real>(totals: &mut [R], others: &[R]) {
    for (total, &other) in totals.iter_mut().zip(others) {
        *total += other;
    }
}

/// Some taps of a strip of LEN pixels in each of ROWS rows.
struct Chain<'a, R, I, const ROWS: usize, const LEN: usize> {
    simd: I,
    /// From the place of each row's first pixel on.
    inputs: Pieces<'a, R, ROWS>,
    offsets: &'a [u32],
    weights: &'a [R],
    /// A block's for each pixel.
    totals: &'a mut [R],
    /// Whether they are a sum of their own, from +0 on, that is added to the totals.
    fresh: bool,
    /// What is packed next, some of it: as many taps of each filter are asked for as are computed.
    ahead: &'a [&'a [R]],
    /// Taps of the segment before these.
    skip: usize,
}

/// The loop over the taps with the totals in as many variables: of an array that is indexed in a loop with checks, the
/// compiler leaves a copy in memory.
macro_rules! chains {
    ($($rows:literal by $len:literal: $($a:ident $b:ident $row:literal $at:literal),+;)+) => {
        $(
            impl<R: Tiled, I: Simd<R>> Apart for Chain<'_, R, I, $rows, $len> {
                #[inline(always)]
                fn run(self) {
                    let Self { simd, inputs, offsets, weights, totals, fresh, ahead, skip } = self;
                    let (lanes, width) = (I::LANES, VECTORS * I::LANES);
                    let line = (64 / size_of::<R>()).max(1);
                    let totals = &mut totals[..$rows * $len * width];
                    $(let (mut $a, mut $b) = (simd.splat(R::ZERO), simd.splat(R::ZERO));)+
                    if !fresh {
                        $(
                            let at = ($row * $len + $at) * width;
                            $a = simd.load(&totals[at..]);
                            $b = simd.load(&totals[at + lanes..]);
                        )+
                    }
                    let taps = offsets.chunks(line).zip(weights.chunks(line * width));
                    for (index, (offsets, weights)) in taps.enumerate() {
                        for filter in ahead {
                            if let Some(next) = filter.get(skip + index * line..) {
                                R::prefetch(&next[..next.len().min(1)]);
                            }
                        }
                        for (&offset, w) in offsets.iter().zip(weights.chunks_exact(width)) {
                            let w: [I::Vector; VECTORS] = tile::load(simd, w);
                            let x = inputs.arrays::<$len>(offset as usize);
                            $(
                                let v = simd.splat(x[$row][$at]);
                                $a = tile::step::<R, I, true>(simd, $a, v, w[0]);
                                $b = tile::step::<R, I, true>(simd, $b, v, w[1]);
                            )+
                        }
                    }
                    if fresh {
                        $(
                            let at = ($row * $len + $at) * width;
                            $a = simd.add($a, simd.load(&totals[at..]));
                            $b = simd.add($b, simd.load(&totals[at + lanes..]));
                        )+
                    }
                    $(
                        let at = ($row * $len + $at) * width;
                        simd.store($a, &mut totals[at..]);
                        simd.store($b, &mut totals[at + lanes..]);
                    )+
                }
            }
        )+
    };
}

chains! {
    1 by 1: a0 b0 0 0;
    1 by 2: a0 b0 0 0, a1 b1 0 1;
    1 by 3: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2;
    1 by 4: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3;
    1 by 5: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4;
    1 by 6: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5;
    1 by 7: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, a6 b6 0 6;
    1 by 8: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, a6 b6 0 6, a7 b7 0 7;
    1 by 9: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, a6 b6 0 6, a7 b7 0 7, a8 b8 0 8;
    1 by 10: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, a6 b6 0 6, a7 b7 0 7, a8 b8 0 8,
        a9 b9 0 9;
    1 by 11: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, a6 b6 0 6, a7 b7 0 7, a8 b8 0 8,
        a9 b9 0 9, a10 b10 0 10;
    1 by 12: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, a6 b6 0 6, a7 b7 0 7, a8 b8 0 8,
        a9 b9 0 9, a10 b10 0 10, a11 b11 0 11;
    1 by 13: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, a6 b6 0 6, a7 b7 0 7, a8 b8 0 8,
        a9 b9 0 9, a10 b10 0 10, a11 b11 0 11, a12 b12 0 12;
    1 by 14: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, a6 b6 0 6, a7 b7 0 7, a8 b8 0 8,
        a9 b9 0 9, a10 b10 0 10, a11 b11 0 11, a12 b12 0 12, a13 b13 0 13;
    2 by 1: a0 b0 0 0, c0 d0 1 0;
    2 by 2: a0 b0 0 0, a1 b1 0 1, c0 d0 1 0, c1 d1 1 1;
    2 by 3: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, c0 d0 1 0, c1 d1 1 1, c2 d2 1 2;
    2 by 4: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, c0 d0 1 0, c1 d1 1 1, c2 d2 1 2, c3 d3 1 3;
    2 by 5: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, c0 d0 1 0, c1 d1 1 1, c2 d2 1 2, c3 d3 1 3, c4 d4 1 4;
    2 by 6: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, c0 d0 1 0, c1 d1 1 1, c2 d2 1 2, c3 d3 1 3,
        c4 d4 1 4, c5 d5 1 5;
    2 by 7: a0 b0 0 0, a1 b1 0 1, a2 b2 0 2, a3 b3 0 3, a4 b4 0 4, a5 b5 0 5, a6 b6 0 6, c0 d0 1 0, c1 d1 1 1, c2 d2 1 2,
        c3 d3 1 3, c4 d4 1 4, c5 d5 1 5, c6 d6 1 6;
}
