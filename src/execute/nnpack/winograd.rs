//! Winograd's F(6x6, 3x3): tiles of 8 x 8 inputs, 6 x 6 outputs (Winograd 1980; Lavin and Gray, "Fast Algorithms for
//! Convolutional Neural Networks"), with the interpolation points 0, 1, -1, 2, -2, 1/2, -1/2 and infinity.
//!
//! Each transform is one of columns, a transposition, and the same again. The formulas below are NNPACK's
//! (src/x86_64-fma/winograd/o6x6k3x3.py), every addition and every fused step in its place.

use super::arithmetic::Arithmetic;
use super::arithmetic::Lanes;
use super::arithmetic::ZERO;
use super::arithmetic::hex;
use super::arithmetic::transposed;

/// Eight inputs d to the eight values that are multiplied.
#[inline(always)]
fn input_column<A: Arithmetic>(a: &mut A, d: [Lanes; 8]) -> [Lanes; 8] {
    let even_12 = a.add(d[2], d[6]);
    let odd_12 = a.add(d[1], d[5]);
    let even_34 = a.fma1(d[2], 0.25, d[6]);
    let odd_34 = a.fma1(d[1], 0.25, d[5]);
    let even_56 = a.fnma1(d[4], 5.0, d[6]);
    let odd_56 = a.fma1(d[5], 0.25, d[1]);

    let even_12 = a.fnma1(d[4], 4.25, even_12);
    let odd_12 = a.fnma1(d[3], 4.25, odd_12);
    let even_34 = a.fnma1(d[4], 1.25, even_34);
    let odd_34 = a.fnma1(d[3], 1.25, odd_34);
    let even_56 = a.fma1(d[2], 4.0, even_56);
    let odd_56 = a.fnma1(d[3], 1.25, odd_56);

    let first = a.sub(d[0], d[6]);
    let inner = a.sub(d[4], d[2]);
    let w0 = a.fma1(inner, 5.25, first);
    let last = a.sub(d[7], d[1]);
    let inner = a.sub(d[3], d[5]);
    let w7 = a.fma1(inner, 5.25, last);

    let [w1, w2] = a.butterfly(even_12, odd_12);
    let [w3, w4] = a.scaled_butterfly(even_34, odd_34, 2.0);
    let [w5, w6] = a.scaled_butterfly(even_56, odd_56, 2.0);
    [w0, w1, w2, w3, w4, w5, w6, w7]
}

/// Three weights g to eight values, but for the factors of [`SCALES`].
#[inline(always)]
fn kernel_column<A: Arithmetic>(a: &mut A, g: [Lanes; 3]) -> [Lanes; 8] {
    let ends = a.add(g[0], g[2]);
    let [w1, w2] = a.butterfly(ends, g[1]);
    let right = a.fma1(g[2], 4.0, g[0]);
    let [w3, w4] = a.scaled_butterfly(right, g[1], 2.0);
    let left = a.fma1(g[0], 4.0, g[2]);
    let [w5, w6] = a.scaled_butterfly(left, g[1], 2.0);
    [g[0], w1, w2, w3, w4, w5, w6, g[2]]
}

/// Eight products m to six outputs.
#[inline(always)]
fn output_column<A: Arithmetic>(a: &mut A, m: [Lanes; 8]) -> [Lanes; 6] {
    let [add_12, sub_12] = a.butterfly(m[1], m[2]);
    let [add_34, sub_34] = a.butterfly(m[3], m[4]);
    let [add_56, sub_56] = a.butterfly(m[5], m[6]);

    let s0 = a.add(m[0], add_12);
    let s0 = a.fma1(add_56, 32.0, s0);
    let s0 = a.add(s0, add_34);

    let s1 = a.fma1(sub_56, 16.0, sub_12);
    let s1 = a.fma1(sub_34, 2.0, s1);

    let s2 = a.fma1(add_56, 8.0, add_12);
    let s2 = a.fma1(add_34, 4.0, s2);

    let s3 = a.fma1(sub_34, 8.0, sub_12);
    let s3 = a.fma1(sub_56, 4.0, s3);

    let s4 = a.fma1(add_34, 16.0, add_12);
    let s4 = a.fma1(add_56, 2.0, s4);

    let s5 = a.add(m[7], sub_12);
    let s5 = a.fma1(sub_34, 32.0, s5);
    let s5 = a.add(s5, sub_56);
    [s0, s1, s2, s3, s4, s5]
}

/// 8 x 8 inputs to 8 x 8 values.
#[inline(always)]
pub(super) fn input<A: Arithmetic>(a: &mut A, rows: [Lanes; 8]) -> [Lanes; 8] {
    let rows = rows.map(|row| a.meet(row));
    let columns = transposed(input_column(a, rows));
    input_column(a, columns)
}

/// 3 x 3 weights (in the first three lanes, the others zero) to 8 x 8 values.
#[inline(always)]
pub(super) fn kernel<A: Arithmetic>(a: &mut A, rows: [Lanes; 3]) -> [Lanes; 8] {
    let rows = rows.map(|row| a.meet(row));
    let columns = transposed(kernel_column(a, rows));
    let mut values = kernel_column(a, [columns[0], columns[1], columns[2]]);
    for (row, &[first, next, next_but_one, last]) in values.iter_mut().zip(&SCALES) {
        let [e, f, g, h] = [first, next, next_but_one, last];
        *row = a.mul(*row, [e, f, f, g, g, h, h, e]);
    }
    values
}

/// 8 x 8 products to 6 x 6 outputs (lanes 6 and 7 are to be ignored).
///
/// Coefficient (1, 1) stands for the value at the point (1, 1), so that the bias, added to it alone, is added to every
/// output.
#[inline(always)]
pub(super) fn output<A: Arithmetic>(a: &mut A, mut rows: [Lanes; 8], bias: f32) -> [Lanes; 6] {
    let bias = a.meet([0.0, bias, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    rows[1] = a.add(bias, rows[1]);
    let columns = output_column(a, rows);
    let [s0, s1, s2, s3, s4, s5] = columns;
    let rows = transposed([s0, s1, s2, s3, s4, s5, ZERO, ZERO]);
    output_column(a, rows)
}

/// What the kernel's values are multiplied by at the end, in one rounding for both directions: per row, the factors of
/// lanes 0 and 7, 1 and 2, 3 and 4, 5 and 6. Products of 1, -2/9, 1/90 and 1/180, each rounded as NNPACK has it.
const SCALES: [[f32; 4]; 8] = {
    let [r9, r90, r180] = [hex(0xc71c72, -4), hex(0x6c16c2, -7), hex(0x6c16c2, -8)];
    let [r81, r810, r1620] = [hex(0x948b10, -7), hex(0x43a274, -10), hex(0x43a274, -11)];
    let [r8100, r16200, r32400] = [hex(0x02e85c, -13), hex(0x02e85c, -14), hex(0x02e85c, -15)];
    let edge = [1.0, -2.0 * r9, r90, r180];
    let one = [-2.0 * r9, 4.0 * r81, -2.0 * r810, -2.0 * r1620];
    let two = [r90, -2.0 * r810, r8100, r16200];
    let half = [r180, -2.0 * r1620, r16200, r32400];
    [edge, one, one, two, two, half, half, edge]
};
