//! PyTorch's own matrix products for bfloat16 and float16 (aten/src/ATen/native/cpu/BlasKernel.cpp): what Slow2d and
//! SlowDilated2d fall back to where no library has one.
//!
//! Every output element is a dot product by itself: float32 accumulators take the products in turn, their total is
//! added to the bias, and that is rounded once. No blocks, no edges, no threads.

use crate::execute::Geometry;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;

/// Contiguous input (`gemm_notrans_`): im2col's sequence, padding multiplied, `lanes` accumulators (`sum` unrolls its
/// loop by four), the bias last. The compiler fuses the steps where the file is compiled for AVX2; products of bfloat16 are
/// exact in float32, so that shows where one of them overflows and nowhere else.
pub fn interleaved(g: &Geometry, lanes: usize, fused: bool) -> Recipe {
    let fold = Step::Fold {
        len: g.taps(),
        fresh: true,
        fold: Fold::Interleaved { lanes, fused },
    };
    Recipe {
        walk: Walk::IM2COL,
        padding: PaddingTaps::Zero,
        steps: vec![fold, Step::Bias],
    }
}

/// float32 numbers in a vector of these kernels, with AVX-512 too.
const VECTOR: usize = 8;
/// Vectors that the main loop adds to.
const VECTORS: usize = 8;

/// channels_last input (`fp16_dot_with_fp32_arith`, `bf16_dot_with_fp32_arith` in
/// ReducedPrecisionFloatGemvFastPathKernel.cpp, torch 2.6 and later): kh, kw, c. Rounds of 64 products onto as many
/// lanes, then rounds of 16 onto 8 lanes, the rest one by one, the bias last. Without AVX2 (`sequential`) the last eight
/// lanes are joined one after the other, and nothing is fused.
pub fn dot(g: &Geometry, sequential: bool) -> Recipe {
    let products = g.taps();
    let main = products / (VECTORS * VECTOR) * (VECTORS * VECTOR);
    let vectors = products / (2 * VECTOR) * (2 * VECTOR);
    let lanes = |len, lanes| Step::Fold {
        len,
        fresh: true,
        fold: Fold::Lanes {
            head: 0,
            lanes,
            group: lanes,
            join: match sequential {
                true => Join::HalvingThenSequence,
                false => Join::Halving,
            },
            fused: !sequential,
        },
    };
    Recipe {
        walk: Walk::CHANNELS_LAST,
        padding: PaddingTaps::Zero,
        steps: vec![
            lanes(main, VECTORS * VECTOR),
            lanes(vectors - main, VECTOR),
            Step::chain(products - vectors, false),
            Step::Bias,
        ],
    }
}
