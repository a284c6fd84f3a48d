//! The last pixels of a rectangle, fewer than the shortest vector: lanes are output channels here.
//!
//! A tile of neighbouring pixels with one lane in use costs as much as a full one, and of an image of 7x7 one pixel in
//! forty-nine is left over. Weights lie by blocks of as many channels as a vector has lanes, so a block's weights of one
//! tap are a vector, which meets one input in every lane. P pixels by B blocks make eight chains, enough to hide how long
//! one multiply-add takes. Each element's own sequence is the same.

// Index loops with constant bounds are unrolled, and the arrays live in registers.
#![allow(clippy::needless_range_loop)]

use std::ops::Range;

use super::dense::Work;
use super::program::Single;
use super::tile;
use super::tile::Chain;
use super::tile::Tile;
use super::vector::Apart;
use super::vector::Pieces;
use super::vector::Simd;
use crate::execute::Real;

/// Pixels of a part, `skip` lanes into it, in every channel.
pub(super) struct Leftover<'t, 'a, 'o, R, I, const IN_PLACE: bool, const FUSED: bool> {
    pub(super) simd: I,
    pub(super) work: &'t Work<'a, R>,
    pub(super) ops: Single,
    /// As [`tile::Dense`] has them: one vector for each tap, or the input from the place of the first pixel on.
    pub(super) inputs: &'t [R],
    pub(super) rows: &'t mut [&'o mut [R]],
    pub(super) pixels: Range<usize>,
    /// Room for nine vectors.
    pub(super) spare: &'t mut [R],
}

/// P pixels in every channel, B blocks at a time, in a function of their own.
struct Few<
    'l,
    't,
    'a,
    'o,
    R,
    I,
    const P: usize,
    const B: usize,
    const IN_PLACE: bool,
    const FUSED: bool,
>(&'l mut Leftover<'t, 'a, 'o, R, I, IN_PLACE, FUSED>, usize);

/// Inputs of P pixels and weights of B blocks of channels.
struct Across<'a, R, I: Simd<R>, const B: usize, const IN_PLACE: bool, const FUSED: bool>
where
    R: Real,
{
    simd: I,
    /// First tap.
    start: usize,
    /// From the first pixel on.
    inputs: &'a [R],
    offsets: &'a [u32],
    weights: Pieces<'a, R, B>,
    bias: [I::Vector; B],
}

impl<R: Real, I: Simd<R>, const IN_PLACE: bool, const FUSED: bool>
    Leftover<'_, '_, '_, R, I, IN_PLACE, FUSED>
{
    /// Computes them.
    #[inline(always)]
    pub(super) fn run(mut self) {
        let (simd, count) = (self.simd, self.pixels.len());
        let mut skip = 0;
        while skip < count {
            match count - skip {
                1 => {
                    simd.apart(Few::<R, I, 1, 8, IN_PLACE, FUSED>(&mut self, skip));
                    skip += 1;
                }
                2 => {
                    simd.apart(Few::<R, I, 2, 4, IN_PLACE, FUSED>(&mut self, skip));
                    skip += 2;
                }
                _ => {
                    simd.apart(Few::<R, I, 4, 2, IN_PLACE, FUSED>(&mut self, skip));
                    skip += 4;
                }
            }
        }
    }
}

macro_rules! across {
    ($pixels:literal by $blocks:literal) => {
        impl<R: Real, I: Simd<R>, const IN_PLACE: bool, const FUSED: bool> Apart
            for Few<'_, '_, '_, '_, R, I, $pixels, $blocks, IN_PLACE, FUSED>
        {
            #[inline(always)]
            fn run(self) {
                let Self(part, skip) = self;
                let (simd, work, lanes) = (part.simd, part.work, I::LANES);
                let start = part.pixels.start + skip;
                let pixels = start..part.pixels.end.min(start + $pixels);
                let mut block = 0;
                for rows in part.rows.chunks_mut($blocks * lanes) {
                    // where there are fewer blocks, the last one again: what comes of it is not stored
                    let last = (rows.len() - 1) / lanes;
                    let (bias, totals) = part.spare.split_at_mut(lanes);
                    let mut biases = [simd.splat(R::ZERO); $blocks];
                    if let Some(all) = work.bias {
                        for b in 0..$blocks {
                            let all = &all[(block + b.min(last)) * lanes..];
                            let known = lanes.min(all.len());
                            bias[..known].copy_from_slice(&all[..known]);
                            biases[b] = simd.load(bias);
                        }
                    }
                    let across = Across::<R, I, $blocks, IN_PLACE, FUSED> {
                        simd,
                        start: work.start,
                        inputs: &part.inputs[skip..],
                        offsets: work.offsets,
                        weights: Pieces::new(
                            work.weights,
                            std::array::from_fn(|b| {
                                (block + b.min(last)) * work.stride + work.first
                            }),
                        ),
                        bias: biases,
                    };
                    let totals = &mut totals[..$blocks * $pixels * lanes];
                    if work.resumes {
                        for (c, row) in rows.iter().enumerate() {
                            let to = &mut totals[c / lanes * $pixels * lanes + c % lanes..];
                            for (to, &so_far) in
                                to.iter_mut().step_by(lanes).zip(&row[pixels.clone()])
                            {
                                *to = so_far;
                            }
                        }
                    }
                    let mut each = totals.chunks_exact_mut($pixels * lanes);
                    let mut tiles: [&mut [R]; $blocks] =
                        std::array::from_fn(|_| each.next().unwrap_or_default());
                    let acc =
                        tile::single::<R, I, $pixels, $blocks>(simd, part.ops, &tiles, &across);
                    for (acc, tile) in acc.iter().zip(&mut tiles) {
                        tile::store(simd, acc, tile);
                    }
                    for (c, row) in rows.iter_mut().enumerate() {
                        let from = &totals[c / lanes * $pixels * lanes + c % lanes..];
                        for (to, &total) in row[pixels.clone()]
                            .iter_mut()
                            .zip(from.iter().step_by(lanes))
                        {
                            *to = total;
                        }
                    }
                    block += $blocks;
                }
            }
        }

        impl<R: Real, I: Simd<R>, const IN_PLACE: bool, const FUSED: bool>
            Chain<I::Vector, $pixels, $blocks> for Across<'_, R, I, $blocks, IN_PLACE, FUSED>
        {
            #[inline(always)]
            fn chain(
                &self,
                mut acc: Tile<I::Vector, $pixels, $blocks>,
                from: usize,
                to: usize,
            ) -> Tile<I::Vector, $pixels, $blocks> {
                let (simd, lanes) = (self.simd, I::LANES);
                for tap in from - self.start..to - self.start {
                    let at = match IN_PLACE {
                        true => self.offsets[tap] as usize,
                        false => tap * lanes,
                    };
                    let x = &self.inputs[at..][..$pixels];
                    let w = self.weights.load(simd, tap * lanes);
                    for p in 0..$pixels {
                        let x = simd.splat(x[p]);
                        for b in 0..$blocks {
                            acc[b][p] = tile::step::<R, I, FUSED>(simd, acc[b][p], x, w[b]);
                        }
                    }
                }
                acc
            }

            #[inline(always)]
            fn bias(&self) -> Tile<I::Vector, $pixels, $blocks> {
                let mut bias = [[self.simd.splat(R::ZERO); $pixels]; $blocks];
                for b in 0..$blocks {
                    bias[b] = [self.bias[b]; $pixels];
                }
                bias
            }
        }
    };
}

across!(1 by 8);
across!(2 by 4);
across!(4 by 2);
