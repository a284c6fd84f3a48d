//! oneDNN's kernels for bfloat16 with AVX-512.
//!
//! They are made of one instruction, `vdpbf16ps`: two products at a time are added to a float32 accumulator, the second
//! (odd) one first, each with one rounding, and subnormal numbers count as zeros throughout - operands, sums between
//! the two and sums after them. (Measured on an AMD Zen 4: 5,000,000 of 5,000,000 random operands; it is also what
//! Intel's manual says.) Products of two bfloat16 fit into float32, so that only the sequence and the zeros are
//! peculiar. Where the processor has no such instruction, oneDNN takes its place with two fused multiply-adds in the
//! same sequence, which keep subnormal numbers (src/cpu/x64/jit_avx512_core_bf16cvt.hpp of oneDNN 3.13).
//!
//! Channels come in pairs, so an odd one out has a partner of +0 times +0. The finished sum is rounded to bfloat16
//! once, by an instruction that flushes subnormal numbers, too.

use std::fmt;

use crate::execute::Geometry;
use crate::execute::order::Axis;
use crate::execute::order::Fold;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::blocks;
use crate::execute::order::brgemm;
use crate::execute::order::brgemm::Access;
use crate::execute::order::name::number;

/// Which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kernel {
    /// `jit_bf16:*`
    Direct {
        /// Input channels per block.
        channel_block: usize,
    },
    /// `jit_bf16_1x1:*`
    Pointwise {
        /// Input channels per reduce block.
        reduce: usize,
    },
    /// `jit_dw:*`
    Depthwise,
    /// `brg_conv_fwd:*`, `brgconv_1x1:*`
    Brgemm(brgemm::Variant),
}

/// What the order depends on besides the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Kernel.
    pub kernel: Kernel,
    /// By fused multiply-adds, in place of the instruction for pairs.
    pub emulated: bool,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kernel {
            Kernel::Direct { channel_block } => write!(f, "onednn-bf16-direct/ic{channel_block}")?,
            Kernel::Pointwise { reduce } => write!(f, "onednn-bf16-1x1/rb{reduce}")?,
            Kernel::Depthwise => f.write_str("onednn-bf16-depthwise/pairs")?,
            Kernel::Brgemm(variant) => write!(f, "onednn-bf16-brgemm/{variant}")?,
        }
        f.write_str(if self.emulated { "-emulated" } else { "" })
    }
}

impl Variant {
    /// Reads what `Display` writes: the family, and the words after its slash.
    pub(super) fn parse(family: &str, words: &[&str]) -> Option<Self> {
        let (words, emulated) = match words {
            [words @ .., "emulated"] => (words, true),
            words => (words, false),
        };
        let kernel = match (family, words) {
            ("onednn-bf16-direct", [block]) => Kernel::Direct {
                channel_block: number(block, "ic")?,
            },
            ("onednn-bf16-1x1", [reduce]) => Kernel::Pointwise {
                reduce: number(reduce, "rb")?,
            },
            ("onednn-bf16-depthwise", ["pairs"]) => Kernel::Depthwise,
            ("onednn-bf16-brgemm", words) => Kernel::Brgemm(brgemm::Variant::parse(words)?),
            _ => return None,
        };
        Some(Self { kernel, emulated })
    }
}

/// kh, kw, pairs of channels in blocks of `channel_block`, filled up to a multiple of `fill_to`.
fn pairs(channel_block: usize, fill_to: usize) -> Walk {
    Walk {
        channel_block,
        fill_to,
        loops: [Axis::Row, Axis::Column, Axis::SwappedPairs],
    }
}

/// The plan for `g`.
pub fn plan(g: &Geometry, variant: &Variant) -> Plan {
    let fold = |len, fresh| Step::Fold {
        len,
        fresh,
        fold: match variant.emulated {
            true => Fold::Chain { fused: true },
            false => Fold::FlushedChain,
        },
    };
    let (walk, mut steps) = match variant.kernel {
        Kernel::Direct { channel_block } => {
            // so few channels that the input stays in its plain layout: one block, filled up to whole pairs
            let flat = g.groups == 1 && g.group_in() < channel_block;
            let walk = match flat {
                true => pairs(g.group_in().next_multiple_of(2), 2),
                false => pairs(channel_block, channel_block.next_multiple_of(2)),
            };
            let taps = walk.channels(g) * g.kernel[0] * g.kernel[1];
            (walk, vec![fold(taps, true), Step::Bias])
        }
        Kernel::Pointwise { reduce } => {
            let walk = pairs(usize::MAX, 16);
            let taps = walk.channels(g) * g.kernel[0] * g.kernel[1];
            let folds = blocks(taps, reduce).map(|len| fold(len, true));
            (walk, folds.chain([Step::Bias]).collect())
        }
        Kernel::Depthwise => {
            let walk = pairs(2, 2);
            let taps = walk.channels(g) * g.kernel[0] * g.kernel[1];
            (walk, vec![Step::Bias, fold(taps, false)])
        }
        Kernel::Brgemm(kind) => return brgemm(g, &kind, variant.emulated),
    };
    if !variant.emulated {
        steps.push(Step::Flush);
    }
    let recipe = Recipe {
        walk,
        padding: PaddingTaps::Skipped,
        steps,
    };
    Plan::uniform(g, recipe)
}

/// A single input channel, copied so that kernel columns (or all taps) lie side by side: those are the pairs.
fn single_channel(g: &Geometry, loops: [Axis; 3], row: usize, emulated: bool) -> Recipe {
    let fold = match emulated {
        true => Fold::Chain { fused: true },
        false => Fold::FlushedChain,
    };
    let mut steps = Vec::new();
    let mut at = 0;
    let mut take = |tap: usize| {
        let seek = (tap != at).then_some(Step::Seek(tap));
        at = tap + 1;
        let fold = Step::Fold {
            len: 1,
            fresh: false,
            fold,
        };
        seek.into_iter().chain([fold])
    };
    for first in (0..g.taps()).step_by(row) {
        let end = g.taps().min(first + row);
        for pair in (first..end).step_by(2) {
            if pair + 1 < end {
                steps.extend(take(pair + 1));
            }
            steps.extend(take(pair));
        }
    }
    steps.push(Step::Bias);
    Recipe {
        walk: Walk {
            loops,
            ..Walk::CHANNELS_LAST
        },
        padding: PaddingTaps::Zero,
        steps,
    }
}

/// The calls are those of float32, of whole pairs of channels.
fn brgemm(g: &Geometry, variant: &brgemm::Variant, emulated: bool) -> Plan {
    let single = match variant.access {
        _ if g.group_in() > 1 => None,
        Access::Copied => Some(([Axis::Row, Axis::Column, Axis::Channel], g.kernel[1])),
        Access::CopiedColumns => Some(([Axis::Column, Axis::Row, Axis::Channel], g.taps())),
        Access::Whole | Access::Edges { .. } => None,
    };
    if let Some((loops, row)) = single {
        let mut recipe = single_channel(g, loops, row, emulated);
        if !emulated {
            recipe.steps.push(Step::Flush);
        }
        return Plan::uniform(g, recipe);
    }
    let even = Geometry {
        in_channels: g.groups * g.group_in().next_multiple_of(2),
        ..*g
    };
    let mut plan = brgemm::plan(&even, variant);
    for recipe in &mut plan.recipes {
        recipe.walk.fill_to = 2;
        for axis in &mut recipe.walk.loops {
            if *axis == Axis::Channel {
                *axis = Axis::SwappedPairs;
            }
        }
        if !emulated {
            flush(&mut recipe.steps);
            recipe.steps.push(Step::Flush);
        }
    }
    plan
}

fn flush(steps: &mut [Step]) {
    for step in steps {
        match step {
            Step::Fold { fold, .. } => *fold = Fold::FlushedChain,
            Step::Sub(steps) => flush(steps),
            Step::Bias | Step::Seek(_) | Step::Flush => {}
        }
    }
}
