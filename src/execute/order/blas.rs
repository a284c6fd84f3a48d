//! im2col + the BLAS of PyTorch's wheels for aarch64: OpenBLAS up to torch 2.10, NVPL from 2.11 on.
//!
//! A layer is one matrix product per image and group, the total beginning as the bias, padding taps multiplied as +0.
//! K is cut into blocks; each is a chain from +0 that is added to the total. Elements at the edges of tiles are summed
//! as all others. OpenBLAS (driver/level3/level3.c, param.h) takes whole blocks while two or more are left, then two
//! halves, the first rounded up to the height of a tile; with SVE a small product
//! (kernel/arm64/gemm_small_kernel_permit_sve.c) is not cut.
//!
//! One output channel or one output pixel is a matrix times a vector: columns that are added to the total one after
//! the other, or dot products in lanes. Each library has its own sequence, read off with values that tell one
//! summation tree from another.

use std::fmt;

use crate::execute::Geometry;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::blocks;

/// A library, and which processor's kernels of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Library {
    /// NVPL.
    Nvpl,
    /// OpenBLAS for Neoverse N1, NEON.
    OpenblasN1,
    /// OpenBLAS for Neoverse V1, SVE of 256 bits.
    OpenblasV1,
    /// OpenBLAS for A64FX, SVE of 512 bits.
    OpenblasA64fx,
}

/// Multiplications of a product that OpenBLAS's small kernels take.
const SMALL: usize = 64 * 64 * 64;

impl Library {
    const ALL: [(Library, &'static str); 4] = [
        (Library::Nvpl, "nvpl"),
        (Library::OpenblasN1, "openblas_n1"),
        (Library::OpenblasV1, "openblas_v1"),
        (Library::OpenblasA64fx, "openblas_a64fx"),
    ];

    fn name(self) -> &'static str {
        let known = Self::ALL.iter().find(|(library, _)| *library == self);
        known.map_or("nvpl", |(_, name)| name)
    }

    /// Lengths of the blocks of a product of `rows` x `columns` sums of `total` products.
    fn lengths(self, rows: usize, columns: usize, total: usize) -> Vec<usize> {
        // products per block (GEMM_Q), and what halves are multiples of (GEMM_UNROLL_M)
        let (block, unit) = match self {
            Library::Nvpl => return blocks(total, 640).collect(),
            Library::OpenblasN1 | Library::OpenblasV1 => (640, 16),
            Library::OpenblasA64fx => (352, 4),
        };
        let multiplications = rows.saturating_mul(columns).saturating_mul(total);
        if self != Library::OpenblasN1 && multiplications <= SMALL {
            return vec![total];
        }
        let mut lengths = Vec::new();
        let mut rest = total;
        while rest > 0 {
            let length = match rest {
                _ if rest >= 2 * block => block,
                _ if rest > block => (rest / 2).next_multiple_of(unit).min(rest),
                _ => rest,
            };
            lengths.push(length);
            rest -= length;
        }
        lengths
    }

    /// One output channel: the columns of the matrix onto the total, product by product.
    fn column(self, total: usize) -> Vec<Step> {
        match self {
            Library::OpenblasN1 => vec![Step::chain(total, false)],
            // three columns at a time, a third of them apart
            Library::OpenblasV1 | Library::OpenblasA64fx => {
                let third = total.div_ceil(3);
                let taps = (0..third).flat_map(|first| [first, first + third, first + 2 * third]);
                let taps = taps.filter(|&tap| tap < total);
                taps.flat_map(|tap| [Step::Seek(tap), Step::chain(1, true)])
                    .collect()
            }
            // of each eight the first two on their own, the second of them first
            Library::Nvpl => {
                let mut steps = Vec::new();
                for first in (0..total / 8 * 8).step_by(8) {
                    steps.push(Step::Sub(vec![
                        Step::Seek(first + 1),
                        Step::fresh_chain(1, true),
                        Step::Seek(first),
                        Step::chain(1, true),
                    ]));
                    steps.push(Step::Seek(first + 2));
                    steps.push(Step::chain(6, true));
                }
                steps.push(Step::chain(total % 8, true));
                steps
            }
        }
    }

    /// One output pixel: a dot product in lanes.
    fn row(self, total: usize) -> Vec<Step> {
        let (lanes, group, join) = match self {
            Library::Nvpl => (4, 4, Join::Horizontal),
            Library::OpenblasV1 => (8, 1, Join::Pairs),
            // of NEON's the lanes are not known
            Library::OpenblasN1 => return vec![Step::fresh_chain(total, true)],
            Library::OpenblasA64fx => (16, 1, Join::Pairs),
        };
        vec![Step::Fold {
            len: total,
            fresh: true,
            fold: Fold::Lanes {
                head: 0,
                lanes,
                group,
                join,
                fused: true,
            },
        }]
    }
}

/// What the order depends on besides the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Library.
    pub library: Library,
    /// Whether the input is channels_last.
    pub nhwc: bool,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layout = if self.nhwc { "-nhwc" } else { "" };
        write!(f, "{}{layout}", self.library.name())
    }
}

impl Variant {
    /// Reads what `Display` writes.
    pub(super) fn parse(words: &[&str]) -> Option<Self> {
        let (name, nhwc) = match words {
            [name] => (name, false),
            [name, "nhwc"] => (name, true),
            _ => return None,
        };
        let known = Library::ALL.iter().find(|(_, known)| known == name);
        known.map(|&(library, _)| Self { library, nhwc })
    }

    /// Whether what is known covers `g`.
    pub fn knows(&self, g: &Geometry) -> bool {
        let (pixels, channels) = (g.pixels(), g.group_out());
        if self.nhwc {
            return pixels > 1 && channels > 1;
        }
        match self.library {
            Library::Nvpl => channels > 1 || pixels == 1 || pixels % 4 < 2,
            Library::OpenblasN1 => pixels > 1 || channels == 1,
            Library::OpenblasV1 | Library::OpenblasA64fx => true,
        }
    }

    /// The plan for `g`.
    pub(super) fn plan(self, g: &Geometry) -> Plan {
        let (pixels, channels, total) = (g.pixels(), g.group_out(), g.taps());
        let whole = |steps| Plan::uniform(g, self.recipe(steps));
        if self.nhwc || (pixels > 1 && channels > 1) {
            let lengths = self.library.lengths(pixels, channels, total);
            let chains = lengths.into_iter().map(|len| Step::fresh_chain(len, true));
            return whole(chains.collect());
        }
        if channels > 1 || (pixels == 1 && self.library == Library::Nvpl) {
            return whole(self.library.row(total));
        }
        // NVPL takes four pixels at a time
        let paired = match self.library {
            Library::Nvpl => pixels / 4 * 4,
            _ => pixels,
        };
        let mut plan = Plan::default();
        let column = self.recipe(self.library.column(total));
        let alone = self.recipe(vec![Step::chain(total, true)]);
        plan.add(0..g.batch, 0..g.out_channels, 0..paired, column);
        plan.add(0..g.batch, 0..g.out_channels, paired..pixels, alone);
        plan
    }

    fn recipe(self, steps: Vec<Step>) -> Recipe {
        let begin = [Step::Bias, Step::Begin { negative: false }];
        Recipe {
            walk: match self.nhwc {
                true => Walk::CHANNELS_LAST,
                false => Walk::IM2COL,
            },
            padding: PaddingTaps::Zero,
            steps: begin.into_iter().chain(steps).collect(),
        }
    }
}
