//! im2col + MKL sgemm: PyTorch's Slow2d and SlowDilated2d backends.
//!
//! A layer is one matrix product per image and group, over K = (C/G)*KH*KW products with the total starting as the
//! bias (beta = 1) and padding taps multiplied as +0. Contiguous input is handed over as columns ([`nchw`]),
//! channels_last input as rows ([`nhwc`]). Measured against torch 2.0 to 2.15 (MKL 2022.2 and 2024.2), on AMD
//! processors with and without AVX-512:
//!
//! * *big* products: K is cut into blocks; each block is one fused chain from +0, added to the total;
//! * *small* ones: plain SSE code, product and sum rounded separately, no blocks. Which of its loops an element falls
//!   into depends on 16-byte alignment, which PyTorch's 64-byte aligned buffers make predictable;
//! * several threads split the product, and a last share that is too narrow takes the small path.

use std::fmt;
use std::ops::Range;

use crate::execute::Geometry;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::name::number;

mod nchw;
mod nhwc;

/// How the big path cuts K.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KBlocks {
    /// Blocks of at most this many, as on AMD (192): up to one block whole; below two blocks floor(K/2) (an odd K
    /// leaves a last block of 1); from two blocks on, whole blocks, the rest last.
    Even(usize),
    /// As MKL's AVX-512 kernels on Intel (384): whole blocks while two or more are left, then two halves, the first
    /// rounded up.
    Halves(usize),
}

impl KBlocks {
    /// The block lengths for K = `total`.
    pub fn lengths(self, total: usize) -> Vec<usize> {
        match self {
            KBlocks::Even(most) => {
                let block = match total {
                    k if k <= most => k,
                    k if k < 2 * most => k / 2,
                    _ => most,
                };
                super::blocks(total, block).collect()
            }
            KBlocks::Halves(most) => {
                let mut lengths = Vec::new();
                let mut rest = total;
                while rest >= 2 * most {
                    lengths.push(most);
                    rest -= most;
                }
                if rest > most {
                    lengths.push(rest.div_ceil(2));
                    rest /= 2;
                }
                lengths.extend((rest > 0).then_some(rest));
                lengths
            }
        }
    }
}

/// Which of PyTorch's callers, with which input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Slow2d: images in parallel, a column buffer for each.
    Slow2d,
    /// SlowDilated2d: one image after the other through the same column buffer.
    SlowDilated2d,
    /// Slow2d of channels_last input.
    Slow2dNhwc,
    /// SlowDilated2d of channels_last input.
    SlowDilated2dNhwc,
}

impl Caller {
    const ALL: [(Caller, &'static str); 4] = [
        (Caller::Slow2d, "mkl-slow2d"),
        (Caller::SlowDilated2d, "mkl-slow-dilated2d"),
        (Caller::Slow2dNhwc, "mkl-slow2d-nhwc"),
        (Caller::SlowDilated2dNhwc, "mkl-slow-dilated2d-nhwc"),
    ];

    /// The family's name.
    fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(caller, _)| *caller == self)
            .map_or("mkl", |(_, name)| name)
    }

    /// Whether every image has a buffer of its own.
    fn keeps_buffers(self) -> bool {
        matches!(self, Caller::Slow2d | Caller::Slow2dNhwc)
    }
}

/// What the order depends on besides the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Caller.
    pub caller: Caller,
    /// K blocks of the big path.
    pub blocks: KBlocks,
    /// Threads that one sgemm runs with.
    pub threads: usize,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let blocks = match self.blocks {
            KBlocks::Even(most) => format!("kb{most}"),
            KBlocks::Halves(most) => format!("halves{most}"),
        };
        write!(f, "{}/{blocks}-t{}", self.caller.name(), self.threads)
    }
}

impl Variant {
    /// Reads what `Display` writes: the family, and the words after its slash.
    pub(super) fn parse(family: &str, words: &[&str]) -> Option<Self> {
        let [blocks, threads] = words else {
            return None;
        };
        Some(Self {
            caller: Caller::ALL.iter().find(|(_, name)| *name == family)?.0,
            blocks: match number(blocks, "kb") {
                Some(most) => KBlocks::Even(most),
                None => KBlocks::Halves(number(blocks, "halves")?),
            },
            threads: number(threads, "t")?,
        })
    }
}

/// The plan for `g`.
pub fn plan(g: &Geometry, variant: &Variant) -> Plan {
    match variant.caller {
        Caller::Slow2d | Caller::SlowDilated2d => nchw::plan(g, variant),
        Caller::Slow2dNhwc | Caller::SlowDilated2dNhwc => nhwc::plan(g, variant),
    }
}

/// One matrix product: one image of one group, its taps in one sequence.
struct Product<'a> {
    g: &'a Geometry,
    group: usize,
    image: usize,
    walk: Walk,
}

impl Product<'_> {
    /// Adds a region, of channels counted within the group: the folds onto the bias.
    fn add(
        &self,
        plan: &mut Plan,
        channels: Range<usize>,
        pixels: Range<usize>,
        folds: impl IntoIterator<Item = Step>,
    ) {
        let first = self.group * self.g.group_out();
        plan.add(
            self.image..self.image + 1,
            first + channels.start..first + channels.end,
            pixels,
            Recipe {
                walk: self.walk,
                padding: PaddingTaps::Zero,
                steps: std::iter::once(Step::Bias).chain(folds).collect(),
            },
        );
    }
}

/// Whether MKL uses more than one thread for `rows` by `k`.
fn is_threaded(variant: &Variant, rows: usize, k: usize) -> bool {
    variant.threads > 1 && (rows > 100 || (rows > 16 && k > 4) || k > 16)
}

/// How many of `width` columns the big kernels take, at least `least` at a time, when two threads share them; the
/// rest, a last share that is too narrow, takes the small path.
fn big_width(threaded: bool, width: usize, least: usize) -> usize {
    let share = width.div_ceil(2).next_multiple_of(4);
    if threaded && share < width && width - share < least {
        share
    } else {
        width
    }
}

/// The big path: a fused chain from +0 per block of K, each added to the total.
fn big(blocks: KBlocks, k: usize) -> Vec<Step> {
    let lengths = blocks.lengths(k);
    lengths
        .into_iter()
        .map(|len| Step::fresh_chain(len, true))
        .collect()
}

/// A dot product by SSE lanes: `head` products in sequence, then groups, then the rest in sequence.
fn dot(k: usize, head: usize, lanes: usize, group: usize) -> Step {
    Step::Fold {
        len: k,
        fresh: true,
        fold: Fold::Lanes {
            head,
            lanes,
            group,
            join: Join::Halving,
            fused: false,
        },
    }
}

/// Elements from `offset` to the next multiple of four float32.
fn to_boundary(offset: usize) -> usize {
    offset.wrapping_neg() % 4
}

#[cfg(test)]
mod tests {
    use super::KBlocks;

    #[test]
    fn k_blocks_as_measured() {
        let amd = KBlocks::Even(192);
        assert_eq!(amd.lengths(192), [192]);
        assert_eq!(amd.lengths(193), [96, 96, 1]);
        assert_eq!(amd.lengths(383), [191, 191, 1]);
        assert_eq!(amd.lengths(400), [192, 192, 16]);
        let intel = KBlocks::Halves(384);
        assert_eq!(intel.lengths(384), [384]);
        assert_eq!(intel.lengths(577), [289, 288]);
        assert_eq!(intel.lengths(1152), [384, 384, 384]);
        assert_eq!(intel.lengths(1000), [384, 308, 308]);
    }
}
