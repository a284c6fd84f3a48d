//! The Fourier transform of tiles of 8 x 8.
//!
//! Values: four rows of eight complex numbers, see [`super::fourier`].

use super::arithmetic::Arithmetic;
use super::arithmetic::Lanes;
use super::arithmetic::negative;
use super::arithmetic::permute;
use super::arithmetic::shuffle;
use super::fourier::Complex;
use super::fourier::Direction;
use super::fourier::QUARTERS;
use super::fourier::SQRT_HALF;
use super::fourier::four;
use super::fourier::twiddled;

/// 8 x 8 real numbers to their transform.
#[inline(always)]
pub(super) fn forward<A: Arithmetic>(a: &mut A, rows: [Lanes; 8]) -> [Complex; 4] {
    let rows = rows.map(|row| a.meet(row));
    let mut values = down(a, rows).map(|row| within_row(a, row, Direction::Forward));
    values[0] = separated(a, values[0]);
    values
}

/// A transform back to 8 x 8 real numbers, the bias added to each.
#[inline(always)]
pub(super) fn inverse<A: Arithmetic>(a: &mut A, mut values: [Complex; 4], bias: f32) -> [Lanes; 8] {
    // frequency 0 is the sum of all 64
    let bias = a.meet([bias, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    values[0][0] = a.fma1(bias, 64.0, values[0][0]);
    values[0] = joined(a, values[0]);
    let values = values.map(|row| {
        let row = within_row(a, row, Direction::Inverse);
        row.map(|part| a.scale(part, 0.125))
    });
    up(a, values)
}

/// Down the columns: a real transform of length 8 as a complex one of length 4 of (even, odd) rows.
#[inline(always)]
fn down<A: Arithmetic>(a: &mut A, x: [Lanes; 8]) -> [Complex; 4] {
    let pairs = [[x[0], x[1]], [x[2], x[3]], [x[4], x[5]], [x[6], x[7]]];
    let [first, [r1, i1], [r2, i2], [r3, i3]] = four(a, pairs, Direction::Forward);
    let first = a.butterfly(first[0], first[1]);

    let (g_real, g_imaginary) = (a.add(r1, r3), a.sub(i1, i3));
    let (h_real, h_imaginary) = (a.add(i1, i3), a.sub(r3, r1));
    let [plus, minus] = a.butterfly(h_real, h_imaginary);

    let [r1, r3] = a.scaled_butterfly(g_real, plus, SQRT_HALF);
    let i1 = a.fnma1(minus, SQRT_HALF, g_imaginary);
    let i3 = a.fnma1(minus, SQRT_HALF, negative(g_imaginary));
    let halves = [r1, i1, r3, i3].map(|x| a.scale(x, 0.5));
    [
        first,
        [halves[0], halves[1]],
        [r2, negative(i2)],
        [halves[2], halves[3]],
    ]
}

/// The way back of [`down`], and an eighth of it.
#[inline(always)]
fn up<A: Arithmetic>(a: &mut A, w: [Complex; 4]) -> [Lanes; 8] {
    let [[r0, i0], [r1, i1], [r2, i2], [r3, i3]] = w;
    let [r0, i0, r1, i1, r3, i3] = [r0, i0, r1, i1, r3, i3].map(|x| a.scale(x, 0.125));
    let second = [a.scale(r2, 0.25), a.scale(i2, -0.25)];
    let zeroth = a.butterfly(r0, i0);

    let (h_real, h_imaginary) = (a.sub(r1, r3), a.add(i1, i3));
    let (g_real, g_imaginary) = (a.add(r1, r3), a.sub(i1, i3));
    let [plus, minus] = a.butterfly(h_real, h_imaginary);

    let [r3, r1] = a.scaled_butterfly(g_real, plus, SQRT_HALF);
    let i1 = a.fma1(minus, SQRT_HALF, g_imaginary);
    let i3 = a.fma1(minus, SQRT_HALF, negative(g_imaginary));
    let [[x0, x1], [x2, x3], [x4, x5], [x6, x7]] =
        four(a, [zeroth, [r1, i1], second, [r3, i3]], Direction::Inverse);
    [x0, x1, x2, x3, x4, x5, x6, x7]
}

/// The complex transform of length 8 within one row.
#[inline(always)]
fn within_row<A: Arithmetic>(a: &mut A, row: Complex, direction: Direction) -> Complex {
    const HALVES: Lanes = [1.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
    const PAIRS: Lanes = [1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0];
    const NEIGHBOURS: Lanes = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
    const TWIDDLES: [Lanes; 2] = {
        let [cos, sin] = QUARTERS;
        [
            [1.0, 1.0, 1.0, 1.0, cos[0], cos[1], cos[2], cos[3]],
            [0.0, 0.0, 0.0, 0.0, sin[0], sin[1], sin[2], sin[3]],
        ]
    };
    let row = row.map(|x| a.fma(x, HALVES, permute(x, [4, 5, 6, 7, 0, 1, 2, 3])));
    let row = twiddled(a, row, TWIDDLES, direction);
    let row = row.map(|x| a.fma(x, PAIRS, permute(x, [2, 3, 0, 1, 6, 7, 4, 5])));
    // lanes 3 and 7 times -i or i: the parts change places, and one of them its sign
    let [real, imaginary] = row;
    let mut new_real = shuffle(real, imaginary, [0, 1, 2, 11, 4, 5, 6, 15]);
    let mut new_imaginary = shuffle(imaginary, real, [0, 1, 2, 11, 4, 5, 6, 15]);
    let turned = match direction {
        Direction::Forward => &mut new_imaginary,
        Direction::Inverse => &mut new_real,
    };
    for lane in [3, 7] {
        turned[lane] = -turned[lane];
    }
    let row = [new_real, new_imaginary];
    let row = row.map(|x| a.fma(x, NEIGHBOURS, permute(x, [1, 0, 3, 2, 5, 4, 7, 6])));
    row.map(|x| permute(x, [0, 4, 2, 6, 1, 5, 3, 7]))
}

/// Row 0 holds the transforms of two real rows, x + iy: separated into (x0, y0), (x4, y4) and pairs of complex
/// numbers.
#[inline(always)]
fn separated<A: Arithmetic>(a: &mut A, [wr, wi]: Complex) -> Complex {
    const SIGNS: Lanes = [0.0, 0.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
    const SCALE: Lanes = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
    let (up, down) = ([4, 4, 1, 1, 2, 2, 3, 3], [0, 0, 7, 7, 6, 6, 5, 5]);
    let (wr_up, wr_down) = (permute(wr, up), permute(wr, down));
    let (wi_up, wi_down) = (permute(wi, up), permute(wi, down));
    let sums_r = a.fma(wr_up, SIGNS, wr_down);
    let sums_i = a.fma(wi_down, SIGNS.map(|sign| 0.0 - sign), wi_up);
    let mut real = shuffle(sums_r, sums_i, [0, 9, 2, 11, 4, 13, 6, 15]);
    real[1] = wi_down[1];
    let mut imaginary = shuffle(sums_r, sums_i, [0, 9, 10, 3, 12, 5, 14, 7]);
    imaginary[0] = wr_up[0];
    [a.mul(real, SCALE), a.mul(imaginary, SCALE)]
}

/// The way back of [`separated`].
#[inline(always)]
fn joined<A: Arithmetic>(a: &mut A, [fr, fi]: Complex) -> Complex {
    const SIGNS: Lanes = [0.0, -1.0, -1.0, -1.0, 0.0, 1.0, 1.0, 1.0];
    let (even, odd) = ([0, 2, 4, 6, 1, 6, 4, 2], [1, 3, 5, 7, 0, 7, 5, 3]);
    let (fr_even, fr_odd) = (permute(fr, even), permute(fr, odd));
    let (fi_even, fi_odd) = (permute(fi, even), permute(fi, odd));
    let mut real = a.fma(fi_odd, SIGNS, fr_even);
    let mut imaginary = a.fma(fi_even, SIGNS.map(|sign| 0.0 - sign), fr_odd);
    real[4] = fi_odd[4];
    imaginary[4] = fi_even[4];
    [real, imaginary]
}
