//! im2col + MKL sgemm: PyTorch's Slow2d and SlowDilated2d backends.
//!
//! The layer is one matrix product per image and group: y[M pixels, Ng channels] = columns[M, K] * weight[K, Ng],
//! taps in im2col order c, kh, kw, padding taps multiplied as +0, the total starting as the bias (beta = 1).
//! Measured against torch 2.0 to 2.15 (MKL 2022.2 and 2024.2), on AMD processors with and without AVX-512:
//!
//! * *big* (M >= 12 and Ng >= 4): K is cut into blocks; each block is one fused chain from +0, added to the total;
//! * *small*: plain SSE code, product and sum rounded separately, no blocks. Which of its loops an element falls into
//!   depends on the 16-byte alignment of its address, which PyTorch's 64-byte aligned buffers make predictable;
//! * several threads split the channels, and a last share of fewer than four channels takes the small path.

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

/// Which of PyTorch's two callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Slow2d: images in parallel, a column buffer for each.
    Slow2d,
    /// SlowDilated2d: one image after the other through the same column buffer.
    SlowDilated2d,
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
        let caller = match self.caller {
            Caller::Slow2d => "mkl-slow2d",
            Caller::SlowDilated2d => "mkl-slow-dilated2d",
        };
        let blocks = match self.blocks {
            KBlocks::Even(most) => format!("kb{most}"),
            KBlocks::Halves(most) => format!("halves{most}"),
        };
        write!(f, "{caller}/{blocks}-t{}", self.threads)
    }
}

impl Variant {
    /// Reads what `Display` writes: the family, and the words after its slash.
    pub(super) fn parse(family: &str, words: &[&str]) -> Option<Self> {
        let [blocks, threads] = words else {
            return None;
        };
        Some(Self {
            caller: match family {
                "mkl-slow2d" => Caller::Slow2d,
                "mkl-slow-dilated2d" => Caller::SlowDilated2d,
                _ => return None,
            },
            blocks: match number(blocks, "kb") {
                Some(most) => KBlocks::Even(most),
                None => KBlocks::Halves(number(blocks, "halves")?),
            },
            threads: number(threads, "t")?,
        })
    }
}

/// Rows and channels below which the big kernels are not used.
const BIG_PIXELS: usize = 12;
const BIG_CHANNELS: usize = 4;

/// The plan for `g`.
pub fn plan(g: &Geometry, variant: &Variant) -> Plan {
    let mut plan = Plan::default();
    let channels = g.group_out();
    for group in 0..g.groups {
        for image in 0..g.batch {
            let sgemm = Sgemm {
                g,
                variant,
                group,
                image,
            };
            let big = if g.pixels() >= BIG_PIXELS && channels >= BIG_CHANNELS {
                sgemm.big_channels()
            } else {
                0
            };
            sgemm.add_big(&mut plan, 0..big);
            match g.pixels() {
                1 => sgemm.add_dots(&mut plan, big..channels),
                _ => sgemm.add_small(&mut plan, big..channels),
            }
        }
    }
    plan
}

/// One matrix product: one image of one group.
struct Sgemm<'a> {
    g: &'a Geometry,
    variant: &'a Variant,
    group: usize,
    image: usize,
}

impl Sgemm<'_> {
    /// Channels (of this group) that the big kernels compute; the rest takes the small path.
    fn big_channels(&self) -> usize {
        let (m, k, n) = (self.g.pixels(), self.g.taps(), self.g.group_out());
        let threaded = m > 100 || (m > 16 && k > 4) || k > 16;
        if self.variant.threads < 2 || !threaded {
            return n;
        }
        let share = n.div_ceil(2).next_multiple_of(4);
        if share < n && n - share < BIG_CHANNELS {
            share
        } else {
            n
        }
    }

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
                walk: Walk::IM2COL,
                padding: PaddingTaps::Zero,
                steps: std::iter::once(Step::Bias).chain(folds).collect(),
            },
        );
    }

    fn add_big(&self, plan: &mut Plan, channels: Range<usize>) {
        let lengths = self.variant.blocks.lengths(self.g.taps());
        let chains = lengths.into_iter().map(|k| Step::fresh_chain(k, true));
        self.add(plan, channels, 0..self.g.pixels(), chains);
    }

    /// Two or more pixels: sequential, but for the first pixels of a channel up to a 16-byte boundary of the output.
    fn add_small(&self, plan: &mut Plan, channels: Range<usize>) {
        let (m, n) = (self.g.pixels(), self.g.group_out());
        for j in channels {
            let peel = to_boundary((self.image * n + j) * m);
            let peel = if m >= peel + 4 { peel } else { 0 };
            let eights = Step::Fold {
                len: self.g.taps(),
                fresh: false,
                fold: Fold::Eights,
            };
            self.add(plan, j..j + 1, 0..peel, [eights]);
            self.add(plan, j..j + 1, peel..m, [Step::chain(self.g.taps(), false)]);
        }
    }

    /// One pixel: each channel is a dot product of its weight row and the one column.
    fn add_dots(&self, plan: &mut Plan, channels: Range<usize>) {
        let (k, n) = (self.g.taps(), self.g.group_out());
        let quads = n / 4 * 4;
        for j in channels {
            let (head, lanes, group) = if j < quads {
                // four channels at once; the boundary is that of the fourth one's row, past its first element
                (1 + to_boundary((self.group * n + 3) * k + 1), 4, 4)
            } else {
                let second_of_more = j % 4 == 1 && n % 4 > 1;
                let lanes = if second_of_more { 4 } else { 8 };
                (1 + to_boundary(self.column_offset() + 1), lanes, 8)
            };
            let dot = Step::Fold {
                len: k,
                fresh: true,
                fold: Fold::Lanes {
                    head,
                    lanes,
                    group,
                    join: Join::Halving,
                    fused: false,
                },
            };
            self.add(plan, j..j + 1, 0..1, [dot]);
        }
    }

    /// Elements from a 16-byte boundary to the column that this product reads.
    fn column_offset(&self) -> usize {
        let (g, k) = (self.g, self.g.taps());
        let pointwise = g.kernel == [1, 1] && g.stride == [1, 1] && g.padding == [0, 0];
        let image = match self.variant.caller {
            Caller::Slow2d => self.image * k,
            Caller::SlowDilated2d => 0,
        };
        if pointwise && g.batch == 1 {
            image + self.group * k // the input itself, narrowed to the group
        } else {
            image
        }
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
