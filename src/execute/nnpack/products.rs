//! Transformed inputs times transformed weights, summed over the input channels.
//!
//! Each value meets only its counterpart, so it is 64 (256) sums side by side: of real numbers for Winograd, of a
//! complex number and a conjugate for Fourier (a convolution in the sense of neural networks is a correlation). In the
//! first pair of registers of a Fourier transform lanes 0 and 1 are two real numbers each, in the place of the real
//! part and in the place of the imaginary part; they take part in the second half of the complex product with zeros.

use super::arithmetic::Arithmetic;
use super::arithmetic::Lanes;
use super::arithmetic::negative;

/// A sum of products so far, and what is added to it: `sum + x * w`.
#[inline(always)]
pub(super) fn real<A: Arithmetic>(a: &mut A, sum: Lanes, x: Lanes, w: Lanes) -> Lanes {
    a.fma(x, w, sum)
}

/// `sum + x * conjugate(w)`; `first` is the first pair of registers.
#[inline(always)]
pub(super) fn complex<A: Arithmetic>(
    a: &mut A,
    sum: [Lanes; 2],
    x: [Lanes; 2],
    w: [Lanes; 2],
    first: bool,
) -> [Lanes; 2] {
    let [mut for_imaginary, mut crosswise] = w;
    if first {
        for lane in 0..2 {
            for_imaginary[lane] = w[1][lane];
            crosswise[lane] = 0.0;
        }
    }
    let real = a.fma(x[0], w[0], sum[0]);
    let imaginary = a.fma(x[1], for_imaginary, sum[1]);
    [
        a.fma(x[1], crosswise, real),
        a.fma(negative(x[0]), crosswise, imaginary),
    ]
}
