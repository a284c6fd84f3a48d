//! PyTorch's own matrix product for bfloat16 and float16 (`gemm_notrans_` in aten/src/ATen/native/cpu/BlasKernel.cpp):
//! what Slow2d and SlowDilated2d fall back to where no library has one.
//!
//! Every output element is a dot product by itself: float32 accumulators take the products in turn (`sum` unrolls its
//! loop by four), the total is added to the bias, and that is rounded once. No blocks, no edges, no threads.

use crate::execute::Geometry;
use crate::execute::order::Fold;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;

/// im2col's sequence, padding multiplied, `lanes` accumulators, the bias last.
pub fn interleaved(g: &Geometry, lanes: usize) -> Recipe {
    let fold = Step::Fold {
        len: g.taps(),
        fresh: true,
        fold: Fold::Interleaved { lanes },
    };
    Recipe {
        walk: Walk::IM2COL,
        padding: PaddingTaps::Zero,
        steps: vec![fold, Step::Bias],
    }
}
