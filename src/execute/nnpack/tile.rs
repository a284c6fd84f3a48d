//! Tiles: which inputs one holds, and its three transforms behind one interface.
//!
//! Along each axis a tile of T inputs gives T - K + 1 outputs; tiles overlap by K - 1. What lies in the padding, or
//! beyond the image in the last tiles, is zero. The kernel's transform is that of a tile with the kernel in its first
//! rows and columns.

use std::ops::Range;

use super::arithmetic::Arithmetic;
use super::arithmetic::Lanes;
use super::arithmetic::ZERO;
use super::fourier8;
use super::fourier16;
use super::winograd;
use crate::execute::Geometry;

/// Numbers of a tile in rows, or its transform: registers of eight.
pub(super) type Registers = [Lanes; 32];

/// A tile before it is transformed.
#[derive(Clone, Debug)]
pub(super) struct Tile {
    /// Two registers per row; of a tile of 8 columns only the first is used.
    pub(super) rows: [[Lanes; 2]; 16],
    /// Rows that have inputs; the others are zero.
    pub(super) present: Range<usize>,
}

/// Where tiles lie along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    /// Outputs per tile.
    pub(super) step: usize,
    /// Tiles.
    pub(super) count: usize,
}

impl Steps {
    /// Along `axis`, for tiles of `side` inputs.
    pub(super) fn of(g: &Geometry, axis: usize, side: usize) -> Self {
        let step = side - g.kernel[axis] + 1;
        Self {
            step,
            count: g.output[axis].div_ceil(step),
        }
    }

    /// The outputs of tile `i` of an axis with `size` outputs.
    pub(super) fn outputs(&self, i: usize, size: usize) -> Range<usize> {
        i * self.step..size.min((i + 1) * self.step)
    }

    /// Tile `i`'s first input and the place in the tile where it goes, and how many inputs follow.
    fn inputs(&self, i: usize, side: usize, padding: usize, size: usize) -> [usize; 3] {
        let first = i * self.step;
        let input = first.saturating_sub(padding).min(size);
        let place = padding.saturating_sub(first).min(side);
        [input, place, (size - input).min(side - place)]
    }
}

impl Tile {
    /// Numbers from `source`, whose rows are `stride` apart: `counts` rows and columns from `from` on, put at `places`.
    fn cut(source: &[f32], stride: usize, axes: [[usize; 3]; 2]) -> Self {
        let [[y, top, rows], [x, left, columns]] = axes;
        let mut tile = Tile {
            rows: [[ZERO; 2]; 16],
            present: top..top + rows,
        };
        for row in 0..rows {
            let start = (y + row) * stride + x;
            let numbers = &source[start..start + columns];
            let row = tile.rows[top + row].as_flattened_mut();
            row[left..left + columns].copy_from_slice(numbers);
        }
        tile
    }

    /// Tile (`at[0]`, `at[1]`) of one channel of one image.
    pub(super) fn of_image(channel: &[f32], g: &Geometry, side: usize, at: [usize; 2]) -> Self {
        let axes = [0, 1].map(|axis| {
            Steps::of(g, axis, side).inputs(at[axis], side, g.padding[axis], g.input[axis])
        });
        Self::cut(channel, g.input[1], axes)
    }

    /// One channel of one filter.
    pub(super) fn of_kernel(channel: &[f32], g: &Geometry) -> Self {
        let axes = [0, 1].map(|axis| [0, 0, g.kernel[axis]]);
        Self::cut(channel, g.kernel[1], axes)
    }

    /// The first eight columns of the first eight rows.
    fn eight(&self) -> [Lanes; 8] {
        std::array::from_fn(|row| self.rows[row][0])
    }
}

/// A transform of tiles.
pub(super) trait Transform {
    /// Rows and columns of a tile.
    const SIDE: usize;
    /// Registers of the transform: SIDE * SIDE / 8.
    const REGISTERS: usize;
    /// Whether registers come in pairs, real and imaginary, and are multiplied as complex numbers.
    const COMPLEX: bool;

    /// The transform of a tile of the image.
    fn input<A: Arithmetic>(a: &mut A, tile: &Tile) -> Registers;
    /// The transform of a channel of a filter.
    fn kernel<A: Arithmetic>(a: &mut A, tile: &Tile) -> Registers;
    /// Back to outputs, which are the first rows and columns; with the bias.
    fn output<A: Arithmetic>(a: &mut A, values: &Registers, bias: f32) -> [[Lanes; 2]; 16];
}

/// [`winograd`].
pub(super) struct Winograd;
/// [`fourier8`].
pub(super) struct Fourier8;
/// [`fourier16`].
pub(super) struct Fourier16;

/// The first registers of 32, or of a tile's rows.
#[inline(always)]
fn fill<const N: usize>(values: [Lanes; N]) -> Registers {
    let mut registers = [ZERO; 32];
    registers[..N].copy_from_slice(&values);
    registers
}

#[inline(always)]
fn rows<const N: usize>(values: [Lanes; N]) -> [[Lanes; 2]; 16] {
    let mut rows = [[ZERO; 2]; 16];
    for (row, values) in rows.iter_mut().zip(values) {
        row[0] = values;
    }
    rows
}

impl Transform for Winograd {
    const SIDE: usize = 8;
    const REGISTERS: usize = 8;
    const COMPLEX: bool = false;

    #[inline(always)]
    fn input<A: Arithmetic>(a: &mut A, tile: &Tile) -> Registers {
        fill(winograd::input(a, tile.eight()))
    }
    #[inline(always)]
    fn kernel<A: Arithmetic>(a: &mut A, tile: &Tile) -> Registers {
        let [first, second, third] = [0, 1, 2].map(|row| tile.rows[row][0]);
        fill(winograd::kernel(a, [first, second, third]))
    }
    #[inline(always)]
    fn output<A: Arithmetic>(a: &mut A, values: &Registers, bias: f32) -> [[Lanes; 2]; 16] {
        let values = std::array::from_fn(|i| values[i]);
        rows(winograd::output(a, values, bias))
    }
}

impl Transform for Fourier8 {
    const SIDE: usize = 8;
    const REGISTERS: usize = 8;
    const COMPLEX: bool = true;

    #[inline(always)]
    fn input<A: Arithmetic>(a: &mut A, tile: &Tile) -> Registers {
        let [[a0, a1], [b0, b1], [c0, c1], [d0, d1]] = fourier8::forward(a, tile.eight());
        fill([a0, a1, b0, b1, c0, c1, d0, d1])
    }
    #[inline(always)]
    fn kernel<A: Arithmetic>(a: &mut A, tile: &Tile) -> Registers {
        Self::input(a, tile)
    }
    #[inline(always)]
    fn output<A: Arithmetic>(a: &mut A, values: &Registers, bias: f32) -> [[Lanes; 2]; 16] {
        let values = std::array::from_fn(|i| [values[2 * i], values[2 * i + 1]]);
        rows(fourier8::inverse(a, values, bias))
    }
}

impl Transform for Fourier16 {
    const SIDE: usize = 16;
    const REGISTERS: usize = 32;
    const COMPLEX: bool = true;

    #[inline(always)]
    fn input<A: Arithmetic>(a: &mut A, tile: &Tile) -> Registers {
        let values = fourier16::forward(a, &tile.rows, tile.present.clone());
        let mut registers = [ZERO; 32];
        registers.copy_from_slice(values.as_flattened().as_flattened());
        registers
    }
    #[inline(always)]
    fn kernel<A: Arithmetic>(a: &mut A, tile: &Tile) -> Registers {
        Self::input(a, tile)
    }
    #[inline(always)]
    fn output<A: Arithmetic>(a: &mut A, values: &Registers, bias: f32) -> [[Lanes; 2]; 16] {
        let row = |i: usize| {
            let at = |j: usize| values[4 * i + j];
            [[at(0), at(1)], [at(2), at(3)]]
        };
        fourier16::inverse(a, std::array::from_fn(row), bias)
    }
}
