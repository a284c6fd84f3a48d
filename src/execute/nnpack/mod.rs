//! NNPACK's convolutions, executed.
//!
//! Which algorithm a layer gets, and in which blocks sums are taken, says [`crate::execute::order::nnpack`]; here are
//! the algorithms. Three of them transform: a tile of the image and a tile that holds the kernel become values of
//! which each meets only its counterpart, are multiplied, summed over the input channels, and transformed back to a
//! tile of outputs ([`tile`], [`winograd`], [`fourier8`], [`fourier16`], [`products`]). The fourth is a matrix product.
//! Every addition, product and fused step is where NNPACK's kernels for AVX2 have it (src/x86_64-fma, written in
//! PeachPy's Python: facts from there, no code), in arithmetic without subnormal numbers ([`arithmetic`]).
//!
//! [`reference`] calculates one output element at a time, straight from those words: it is the definition. [`fast`] and
//! [`gemm`] give the same bits in vectors and threads.

use crate::execute::Geometry;
use crate::execute::order::interpret::Operands;
use crate::execute::order::nnpack::Blocked;

mod arithmetic;
mod dispatch;
mod fast;
mod fourier;
mod fourier16;
mod fourier8;
mod gemm;
mod products;
mod reference;
mod tile;
mod winograd;

#[cfg(test)]
mod tests;

/// The output `[N, O, OH, OW]`, on rayon's current thread pool.
pub fn run(operands: &Operands<'_>, g: &Geometry, blocked: Blocked) -> Vec<f32> {
    fast::run(operands, g, blocked)
}

/// The same, one element at a time.
pub fn run_reference(operands: &Operands<'_>, g: &Geometry, blocked: Blocked) -> Vec<f32> {
    reference::run(operands, g, blocked)
}

/// One output element: (image, channel, pixel = oh*OW + ow).
pub fn element(operands: &Operands<'_>, g: &Geometry, blocked: Blocked, at: [usize; 3]) -> f32 {
    reference::element(operands, g, blocked, at)
}
