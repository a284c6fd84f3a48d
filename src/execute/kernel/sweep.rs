//! Rows of one channel that share their inputs: what one output row reads for a kernel row, the next one reads for the
//! kernel row before.
//!
//! Seven output rows, a vector of each, go down the input together. Each vector of the input is loaded once and meets the
//! weights of every output row that it reaches, so a 3x3 kernel loads 27 vectors where row by row it would load 63. An
//! output row still meets its taps in their own sequence: kernel row after kernel row, as the input rows come by.

use super::program::Program;
use super::tile;
use super::tile::Chain;
use super::tile::Tile;
use super::vector::Simd;
use crate::execute::Real;

/// Rows side by side.
pub(super) const ROWS: usize = 7;

/// Kernels that are swept with, high and wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Three,
    Five,
    Seven,
}

impl Size {
    /// That of a program whose output rows lie `pitch` from each other in the input: tap after tap along kernel rows
    /// that lie as far from each other.
    pub(super) fn of(program: &Program, pitch: usize) -> Option<Self> {
        let sizes = [(Self::Three, 3), (Self::Five, 5), (Self::Seven, 7)];
        let is_swept = |size: usize| {
            let ops = program.single;
            let kernels = program.offsets.chunks(size * size);
            ops.is_some_and(|ops| ops.from == 0 && ops.to == program.offsets.len())
                && kernels.into_iter().all(|kernel| {
                    let places = (0..size).flat_map(|kh| (0..size).map(move |kw| kh * pitch + kw));
                    kernel.len() == size * size
                        && kernel
                            .iter()
                            .zip(places)
                            .all(|(&offset, place)| offset as usize == kernel[0] as usize + place)
                })
        };
        let found = sizes.into_iter().find(|&(_, size)| is_swept(size));
        found.map(|(size, _)| size)
    }
}

/// A vector of neighbouring output pixels of each of seven rows that follow each other, by kernels of K x K.
pub(super) struct Sweep<'a, R, I, const K: usize, const FUSED: bool> {
    pub(super) simd: I,
    pub(super) offsets: &'a [u32],
    /// From the place of the first row's first pixel on.
    pub(super) input: &'a [R],
    /// From one row's to the next.
    pub(super) pitch: usize,
    /// The channel's filter.
    pub(super) weights: &'a [R],
    pub(super) bias: R,
}

/// Which output rows an input row reaches, by which kernel row: with the totals in as many variables, since of an array
/// that is indexed in a loop the compiler leaves a copy in memory.
macro_rules! sweeps {
    ($($size:literal by $($total:ident)+ { $($row:literal: $($acc:ident $kh:literal),+;)+ })+) => {
        $(
            impl<R: Real, I: Simd<R>, const FUSED: bool> Chain<I::Vector, 1, ROWS>
                for Sweep<'_, R, I, $size, FUSED>
            {
                #[inline(always)]
                fn chain(
                    &self,
                    acc: Tile<I::Vector, 1, ROWS>,
                    _: usize,
                    _: usize,
                ) -> Tile<I::Vector, 1, ROWS> {
                    let simd = self.simd;
                    let [$([mut $total]),+] = acc;
                    let kernels = self.offsets.chunks_exact($size * $size);
                    let weights = self.weights.as_chunks::<{ $size * $size }>().0;
                    for (offsets, w) in kernels.zip(weights) {
                        let input = &self.input[offsets[0] as usize..];
                        $(
                            let row = &input[$row * self.pitch..][..I::LANES + $size - 1];
                            for kw in 0..$size {
                                let x = simd.load(&row[kw..]);
                                $($acc = tile::step::<R, I, FUSED>(
                                    simd,
                                    $acc,
                                    x,
                                    simd.splat(w[$kh * $size + kw]),
                                );)+
                            }
                        )+
                    }
                    [$([$total]),+]
                }

                #[inline(always)]
                fn bias(&self) -> Tile<I::Vector, 1, ROWS> {
                    [[self.simd.splat(self.bias)]; ROWS]
                }
            }
        )+
    };
}

sweeps! {
    3 by a b c d e f g {
        0: a 0;
        1: b 0, a 1;
        2: c 0, b 1, a 2;
        3: d 0, c 1, b 2;
        4: e 0, d 1, c 2;
        5: f 0, e 1, d 2;
        6: g 0, f 1, e 2;
        7: g 1, f 2;
        8: g 2;
    }
    5 by a b c d e f g {
        0: a 0;
        1: b 0, a 1;
        2: c 0, b 1, a 2;
        3: d 0, c 1, b 2, a 3;
        4: e 0, d 1, c 2, b 3, a 4;
        5: f 0, e 1, d 2, c 3, b 4;
        6: g 0, f 1, e 2, d 3, c 4;
        7: g 1, f 2, e 3, d 4;
        8: g 2, f 3, e 4;
        9: g 3, f 4;
        10: g 4;
    }
    7 by a b c d e f g {
        0: a 0;
        1: b 0, a 1;
        2: c 0, b 1, a 2;
        3: d 0, c 1, b 2, a 3;
        4: e 0, d 1, c 2, b 3, a 4;
        5: f 0, e 1, d 2, c 3, b 4, a 5;
        6: g 0, f 1, e 2, d 3, c 4, b 5, a 6;
        7: g 1, f 2, e 3, d 4, c 5, b 6;
        8: g 2, f 3, e 4, d 5, c 6;
        9: g 3, f 4, e 5, d 6;
        10: g 4, f 5, e 6;
        11: g 5, f 6;
        12: g 6;
    }
}
