//! Arm Compute Library's convolutions, which oneDNN hands layers to on aarch64.
//!
//! The matrix product meets the taps as kh, kw, c, padding multiplied as +0. Its *hybrid* kernels keep the result in
//! registers, or pick it up again, through all of K: one chain from the bias. Its *interleaved* kernels copy both
//! operands into panels first and cut K so that a panel stays in half a level-1 cache of 32 KiB: each block is a chain
//! from +0 that is added to the output, the bias with the first. (src/core/NEON/kernels/arm_gemm/gemm_interleaved.hpp,
//! gemm_hybrid_indirect.hpp.)

use std::fmt;

use crate::execute::Geometry;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::blocks;
use crate::execute::order::name::number;

/// How the matrix product is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gemm {
    /// One chain from the bias.
    Hybrid,
    /// Blocks of so many products.
    Interleaved {
        /// Products per block.
        block: usize,
    },
}

impl fmt::Display for Gemm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gemm::Hybrid => f.write_str("hybrid"),
            Gemm::Interleaved { block } => write!(f, "kb{block}"),
        }
    }
}

impl Gemm {
    /// Reads what `Display` writes.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "hybrid" => Some(Gemm::Hybrid),
            word => Some(Gemm::Interleaved {
                block: number(word, "kb")?,
            }),
        }
    }

    /// The recipe for all elements of `g`.
    pub(super) fn recipe(self, g: &Geometry) -> Recipe {
        let steps = match self {
            Gemm::Hybrid => vec![Step::Bias, Step::chain(g.taps(), true)],
            Gemm::Interleaved { block } => {
                let mut steps: Vec<Step> = blocks(g.taps(), block)
                    .map(|len| Step::fresh_chain(len, true))
                    .collect();
                steps.insert(1.min(steps.len()), Step::Bias);
                steps
            }
        };
        Recipe {
            walk: Walk::CHANNELS_LAST,
            padding: PaddingTaps::Zero,
            steps,
        }
    }
}
