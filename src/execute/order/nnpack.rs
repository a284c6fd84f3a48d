//! NNPACK: which of its algorithms convolves a layer, and in which blocks its sums are taken.
//!
//! PyTorch hands NNPACK batches of 16 images or more when oneDNN is switched off (aten/src/ATen/native/NNPACK.cpp).
//! Stride 1 goes to `nnp_convolution_output`, which does not sum products of inputs and weights at all: it transforms
//! tiles of the image and the kernel, multiplies value by value, sums those products over the input channels, and
//! transforms back. Every output depends on every input of its tile, so there is no order of additions over taps, and
//! no summation tree: the algorithm itself ([`crate::execute::nnpack`]) is what is named here. Other strides go to
//! `nnp_convolution_inference`, image by image: im2col and a matrix product, an ordinary sum in blocks.
//!
//! The sums over channels (over products, for other strides) are cut into blocks that fill the level-1 cache; each
//! block starts from +0 and is added to the blocks before it. Nothing else of the machine matters: neither the other
//! caches, which only cut batches and output channels, nor the number of threads.
//!
//! Source: Maratyszcza/NNPACK, src/convolution-output.c, src/convolution-inference.c and src/init.c.

use std::fmt;

use crate::execute::Geometry;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::blocks;

/// NNPACK on one kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Level-1 data cache that one hardware thread has for itself, in KiB.
    pub l1_kib: usize,
}

/// How a layer is convolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// F(6x6, 3x3) on tiles of 8 x 8 (`wt8x8`).
    Winograd,
    /// Fourier transforms of tiles of 8 x 8 (`ft8x8`).
    Fourier8,
    /// Fourier transforms of tiles of 16 x 16 (`ft16x16`).
    Fourier16,
    /// im2col and a matrix product (`implicit_gemm`).
    Gemm,
}

impl Algorithm {
    /// What `nnp_convolution_algorithm_auto` takes for `g`. Layers that NNPACK refuses (dilated, padded as widely as
    /// the kernel, kernels over 16) are treated as strided ones.
    pub fn of(g: &Geometry) -> Self {
        let tiled = g.stride == [1, 1] && accepts(g);
        if !tiled {
            return Algorithm::Gemm;
        }
        if g.kernel[0].max(g.kernel[1]) > 8 {
            return Algorithm::Fourier16;
        }
        let tiles = |side: usize| -> usize {
            let along = |axis: usize| g.output[axis].div_ceil(side - g.kernel[axis] + 1);
            along(0) * along(1)
        };
        if tiles(8) > 4 * tiles(16) {
            Algorithm::Fourier16
        } else if g.kernel == [3, 3] {
            Algorithm::Winograd
        } else {
            Algorithm::Fourier8
        }
    }

    /// NNPACK's name.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Winograd => "nnpack wt8x8",
            Algorithm::Fourier8 => "nnpack ft8x8",
            Algorithm::Fourier16 => "nnpack ft16x16",
            Algorithm::Gemm => "nnpack implicit_gemm",
        }
    }

    /// Rows and columns of an input tile; `None` where there are no tiles.
    pub fn side(self) -> Option<usize> {
        match self {
            Algorithm::Winograd | Algorithm::Fourier8 => Some(8),
            Algorithm::Fourier16 => Some(16),
            Algorithm::Gemm => None,
        }
    }
}

/// Whether NNPACK convolves such a layer at all.
pub fn accepts(g: &Geometry) -> bool {
    let fits = |axis: usize| g.kernel[axis] <= 16 && g.padding[axis] < g.kernel[axis];
    g.dilation == [1, 1] && fits(0) && fits(1)
}

/// What is to be done for one geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Input channels (of [`Algorithm::Gemm`]: products) that are summed before the sum is added to the others'.
    pub block: usize,
}

impl Variant {
    /// The usual one: 32 KiB.
    pub const USUAL: Variant = Variant { l1_kib: 32 };

    /// Algorithm and blocks for `g`.
    pub fn blocked(&self, g: &Geometry) -> Blocked {
        let algorithm = Algorithm::of(g);
        // bytes of a vector (of a pair of vectors, for complex numbers), and how many the innermost loop holds: a row
        // of the matrix product's register block plus a column
        let (bytes, held) = match algorithm {
            Algorithm::Winograd => (32, 3 + 4),
            Algorithm::Fourier8 | Algorithm::Fourier16 => (64, 2 + 2),
            Algorithm::Gemm => (4, 4 + 24),
        };
        let fitting = (self.l1_kib << 10) / bytes / held;
        let most = match algorithm {
            Algorithm::Gemm => g.taps(),
            _ => g.group_in(),
        };
        Blocked {
            algorithm,
            block: (fitting / 2 * 2).clamp(2, most.max(2)),
        }
    }

    /// The algorithm for `g`. For strided layers the regions tell the sums as well.
    pub fn plan(&self, g: &Geometry) -> Plan {
        let blocked = self.blocked(g);
        let mut plan = match blocked.algorithm {
            Algorithm::Gemm => Plan::uniform(g, gemm(g, blocked.block)),
            _ => Plan::default(),
        };
        plan.nnpack = Some(blocked);
        plan
    }

    /// Reads `l1_32k`.
    pub fn parse(words: &[&str]) -> Option<Self> {
        let [word] = words else { return None };
        let digits = word.strip_prefix("l1_")?.strip_suffix('k')?;
        let l1_kib: usize = digits.parse().ok()?;
        (l1_kib.to_string() == digits && (1..=1 << 20).contains(&l1_kib))
            .then_some(Variant { l1_kib })
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "l1_{}k", self.l1_kib)
    }
}

/// c, kh, kw in blocks, each from +0; bias last.
fn gemm(g: &Geometry, block: usize) -> Recipe {
    let chains = blocks(g.taps(), block).map(|len| Step::fresh_chain(len, true));
    Recipe {
        walk: Walk::IM2COL,
        padding: PaddingTaps::Zero,
        steps: chains.chain([Step::Bias]).collect(),
    }
}
