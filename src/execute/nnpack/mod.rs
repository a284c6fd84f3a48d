//! NNPACK's convolutions, executed.
//!
//! Which algorithm a layer gets, and in which blocks sums are taken, says [`crate::execute::order::nnpack`]; here are
//! the algorithms. Three of them transform: a tile of the image and a tile that holds the kernel become values of
//! which each meets only its counterpart, are multiplied, summed over the input channels, and transformed back to a
//! tile of outputs ([`tile`], [`winograd`], [`fourier8`], [`fourier16`], [`products`]). The fourth is a matrix product.
//! Every addition, product and fused step is where NNPACK's kernels for AVX2 have it (src/x86_64-fma, written in
//! PeachPy's Python: facts from there, no code), in arithmetic without subnormal numbers ([`arithmetic`]).
//!
//! [`mod@reference`] calculates one output element at a time, straight from those words: it is the definition. [`fast`] and
//! [`gemm`] give the same bits in vectors and threads.

use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::order::interpret::Operands;
use crate::execute::vectors::Vectors;

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

pub use crate::execute::order::nnpack::Blocked;

/// The operands in float32, the only numbers that NNPACK knows; others are rounded to it, which PyTorch never asks for.
#[derive(Clone, Debug)]
pub struct Float32 {
    input: Vec<f32>,
    weight: Vec<f32>,
    bias: Option<Vec<f32>>,
}

impl Float32 {
    /// Input, weight and bias, rounded.
    pub fn of<R: Real>(operands: &Operands<'_, R>) -> Self {
        let rounded = |numbers: &[R]| numbers.iter().map(|x| x.to_f64() as f32).collect();
        Self {
            input: rounded(operands.input),
            weight: rounded(operands.weight),
            bias: operands.bias.map(rounded),
        }
    }

    fn operands(&self) -> Operands<'_> {
        Operands {
            input: &self.input,
            weight: &self.weight,
            bias: self.bias.as_deref(),
        }
    }

    /// The output `[N, O, OH, OW]`, on rayon's current thread pool.
    pub fn run(&self, g: &Geometry, blocked: Blocked, vectors: Vectors) -> Vec<f32> {
        fast::run(&self.operands(), g, blocked, vectors)
    }

    /// The same, one tile after the other, in the arithmetic that defines it.
    pub fn run_reference(&self, g: &Geometry, blocked: Blocked) -> Vec<f32> {
        reference::run(&self.operands(), g, blocked)
    }

    /// One output element: (image, channel, pixel = oh*OW + ow).
    pub fn element(&self, g: &Geometry, blocked: Blocked, at: [usize; 3]) -> f32 {
        reference::element(&self.operands(), g, blocked, at)
    }
}
