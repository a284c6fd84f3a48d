//! What the Fourier transforms of 8 x 8 and 16 x 16 tiles share: constants, and the discrete Fourier transform of
//! four complex numbers.
//!
//! A tile's transform is a real one down the columns, which makes 8 (4) rows of complex numbers out of 16 (8) real
//! ones, and a complex one within each row. A real signal's transform is symmetric, so only half of it is kept. Row 0
//! holds two real rows: frequency 0 as its real part, the highest frequency as its imaginary part. After the transform
//! within that row the two are separated again, and lanes 0 and 1 are pairs of real numbers, all others complex.
//!
//! The formulas are NNPACK's (src/x86_64-fma/fft/*.py, fft16x16.py), every addition and every fused step in its place,
//! factors of 1, -1 and 0 included: they show with infinities, and 0 in the sign of zero.

use super::arithmetic::Arithmetic;
use super::arithmetic::Lanes;
use super::arithmetic::hex;
use super::arithmetic::negative;

/// sqrt(2)/2
pub(super) const SQRT_HALF: f32 = hex(0x6a09e6, -1);
/// cos(pi/8)
pub(super) const COS_1_8: f32 = hex(0xd906bc, -1);
/// cos(3*pi/8)
pub(super) const COS_3_8: f32 = hex(0x87de2a, -2);

/// cos(i*pi/4), sin(i*pi/4)
pub(super) const QUARTERS: [[f32; 4]; 2] = [
    [1.0, SQRT_HALF, 0.0, -SQRT_HALF],
    [0.0, SQRT_HALF, 1.0, SQRT_HALF],
];

/// Eight complex numbers: `[real, imaginary]`.
pub(super) type Complex = [Lanes; 2];

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From the image.
    Forward,
    /// Back to it.
    Inverse,
}

/// The transform of four complex numbers, lane by lane.
#[inline(always)]
pub(super) fn four<A: Arithmetic>(
    a: &mut A,
    x: [Complex; 4],
    direction: Direction,
) -> [Complex; 4] {
    let [[r0, i0], [r1, i1], [r2, i2], [r3, i3]] = x;
    let [r0, r2] = a.butterfly(r0, r2);
    let [i0, i2] = a.butterfly(i0, i2);
    let [r1, r3] = a.butterfly(r1, r3);
    let [i1, i3] = a.butterfly(i1, i3);
    // times -i (forward) or i (inverse) exchanges the parts of the fourth
    let [r0, r1] = a.butterfly(r0, r1);
    let [i0, i1] = a.butterfly(i0, i1);
    let ([r_plus, r_minus], [i_plus, i_minus]) = (a.butterfly(r2, i3), a.butterfly(i2, r3));
    match direction {
        Direction::Forward => [[r0, i0], [r_plus, i_minus], [r1, i1], [r_minus, i_plus]],
        Direction::Inverse => [[r0, i0], [r_minus, i_plus], [r1, i1], [r_plus, i_minus]],
    }
}

/// `x` times the conjugate of `cos + i sin` (forward), or times it (inverse).
#[inline(always)]
pub(super) fn twiddled<A: Arithmetic>(
    a: &mut A,
    [real, imaginary]: Complex,
    [cos, sin]: [Lanes; 2],
    direction: Direction,
) -> Complex {
    let new_real = a.mul(real, cos);
    let new_imaginary = a.mul(imaginary, cos);
    let sin = match direction {
        Direction::Forward => sin,
        Direction::Inverse => negative(sin),
    };
    let minus = negative(sin);
    [
        a.fma(imaginary, sin, new_real),
        a.fma(real, minus, new_imaginary),
    ]
}
