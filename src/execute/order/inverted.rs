//! oneDNN's brgemm convolutions forwards, on the kernel turned round: how it computes a transposed convolution of stride
//! 1 that is channels_last (`brg_deconv` in src/cpu/x64/jit_brgemm_deconv.cpp, oneDNN 3.13).
//!
//! Such a layer is a convolution whose kernel runs backwards on both axes and whose padding is what the kernel has beyond
//! its own. So the calls are those of [`super::brgemm`] for that convolution; only where their taps lie is turned back.

use crate::execute::Addressing;
use crate::execute::Geometry;
use crate::execute::order::Fold;
use crate::execute::order::Plan;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::brgemm;

/// The convolution that `g`, a transposed one of stride 1, comes to; `None` where its padding is wider than the kernel.
pub fn forward(g: &Geometry) -> Option<Geometry> {
    if g.addressing != Addressing::Transposed || g.stride != [1, 1] {
        return None;
    }
    let extent = g.extent();
    let padding = |axis: usize| (extent[axis] - 1).checked_sub(g.padding[axis]);
    Some(Geometry {
        addressing: Addressing::Images,
        padding: [padding(0)?, padding(1)?],
        ..*g
    })
}

/// The plan for `g`.
pub fn plan(g: &Geometry, variant: &brgemm::Variant) -> Plan {
    let Some(forward) = forward(g) else {
        return brgemm::plan(g, &brgemm::Variant::WHOLE); // never PyTorch's, but an order
    };
    // kernel columns are not joined without a stride, and none is in front of the rows
    let variant = brgemm::Variant {
        joined_columns: 1,
        access: match variant.access {
            brgemm::Access::CopiedColumns => brgemm::Access::Copied,
            access => access,
        },
        ..*variant
    };
    let mut plan = brgemm::plan(&forward, &variant);
    for recipe in &mut plan.recipes {
        let turning = Turning::new(g, &recipe.walk);
        recipe.steps = turning.steps(&recipe.steps, &mut 0);
    }
    plan
}

/// Where taps lie once kernel rows and columns are turned round.
struct Turning {
    channels: usize,
    /// Input channels of one block of the walk.
    block: usize,
    /// Kernel rows times columns.
    kernel: usize,
}

impl Turning {
    fn new(g: &Geometry, walk: &Walk) -> Self {
        let channels = g.group_in();
        Self {
            channels,
            block: walk.channel_block.clamp(1, channels.max(1)),
            kernel: g.kernel[0] * g.kernel[1],
        }
    }

    /// The same steps; `at` is the tap that comes next, as it was counted.
    fn steps(&self, steps: &[Step], at: &mut usize) -> Vec<Step> {
        let mut turned = Vec::new();
        for step in steps {
            match step {
                Step::Seek(tap) => *at = *tap,
                Step::Sub(steps) => turned.push(Step::Sub(self.steps(steps, at))),
                Step::Fold {
                    len,
                    fresh,
                    fold: Fold::Chain { fused },
                } if *len > 0 && self.kernel > 1 => {
                    let chain = self.chain(at, *len, *fused);
                    match fresh {
                        true => turned.push(Step::Sub(chain)),
                        false => turned.extend(chain),
                    }
                }
                step => {
                    *at += step.taps();
                    turned.push(step.clone());
                }
            }
        }
        turned
    }

    /// One chain, in pieces that lie side by side.
    fn chain(&self, at: &mut usize, len: usize, fused: bool) -> Vec<Step> {
        let mut steps = Vec::new();
        let end = *at + len;
        while *at < end {
            let first = *at / (self.block * self.kernel) * self.block;
            let width = self.block.min(self.channels - first);
            let within = *at - first * self.kernel;
            let (tap, channel) = (within / width, within % width);
            let piece = (width - channel).min(end - *at);
            let place = first * self.kernel + (self.kernel - 1 - tap) * width + channel;
            steps.extend([Step::Seek(place), Step::chain(piece, fused)]);
            *at += piece;
        }
        steps
    }
}
