//! Which of Arm Compute Library's matrix products oneDNN gets (src/core/NEON/kernels/arm_gemm/gemm_fp32.cpp).
//!
//! oneDNN asks for kernels whose weights lie in a fixed format; there are two for NEON, and where there is SVE two for
//! that instead. Each estimates its cycles, in float32, from the tiles it would compute, and the cheapest is taken, the
//! first of equals.

use crate::execute::order::acl::Gemm;
use crate::execute::predict::onednn::sizes::Sizes;
use crate::execute::predict::onednn::sizes::div_up;
use crate::execute::predict::onednn::sizes::round_up;

/// A kernel, and what it is believed to do in a cycle.
#[derive(Clone, Copy, Debug)]
struct Kernel {
    /// Rows and columns of a tile.
    tile: [i64; 2],
    /// Products per cycle.
    products: f32,
    /// Interleaved: bytes copied into panels and bytes added to the output, per cycle.
    copies: Option<[f32; 2]>,
}

/// The kernels in the sequence in which they are asked, for SVE vectors of so many bits (0: NEON).
fn kernels(sve_bits: i64) -> [Kernel; 2] {
    let lanes = sve_bits / 32;
    let sve = [
        Kernel {
            tile: [8, 3 * lanes],
            products: 13.51,
            copies: Some([9.27, 3.98]),
        },
        Kernel {
            tile: [6, 4 * lanes],
            products: 15.27,
            copies: None,
        },
    ];
    let neon = [
        Kernel {
            tile: [8, 12],
            products: 12.56,
            copies: Some([9.83, 3.02]),
        },
        Kernel {
            tile: [6, 16],
            products: 13.16,
            copies: None,
        },
    ];
    match sve_bits {
        0 => neon,
        _ => sve,
    }
}

/// A matrix product: output pixels, output channels, products in `sections` of `depth`, images.
#[derive(Clone, Copy, Debug)]
struct Problem {
    rows: i64,
    columns: i64,
    depth: i64,
    sections: i64,
    images: i64,
    threads: i64,
}

/// The level-1 cache that is always reckoned with, bytes.
const L1_BYTES: i64 = 32 << 10;

impl Kernel {
    /// Products per block of an interleaved kernel (`get_k_block_size`).
    fn block(&self, products: i64) -> i64 {
        let widest = self.tile[0].max(self.tile[1]);
        let most = (L1_BYTES / 2 / (4 * widest)).max(1);
        div_up(products, div_up(products, most))
    }

    /// `estimate_cycles`, in its own float32 steps.
    fn cycles(&self, p: &Problem) -> u64 {
        let [height, width] = self.tile;
        let products = p.depth * p.sections;
        let columns = round_up(p.columns, width);
        let Some([copied, added]) = self.copies else {
            let mut cycles = (p.images * p.rows * columns * products) as f32 / self.products;
            if p.columns < width || (p.columns > width && p.columns < 2 * width) {
                cycles *= 1.15;
            }
            return cycles as u64;
        };
        let rows = round_up(p.rows, height);
        let blocks = div_up(p.depth, self.block(products));
        let mut cycles = (p.images * rows * columns * products) as f32 / self.products
            + (p.images * rows * products * 4) as f32 / copied
            + (p.images * blocks * p.rows * columns * 4) as f32 / added;
        let shares = (div_up(p.rows, height) * p.images) as f32 * 0.9;
        if shares < p.threads as f32 {
            cycles *= p.threads as f32 / shares;
        }
        cycles as u64
    }
}

/// The cheapest kernel; an estimate of 0 is taken at once.
fn cheapest(kernels: &[Kernel], problem: &Problem) -> Option<Kernel> {
    let mut best: Option<(u64, Kernel)> = None;
    for kernel in kernels {
        let cycles = kernel.cycles(problem);
        if cycles == 0 {
            return Some(*kernel);
        }
        if best.is_none_or(|(least, _)| cycles < least) {
            best = Some((cycles, *kernel));
        }
    }
    best.map(|(_, kernel)| kernel)
}

/// How the product of the layer is cut. `indirect`: the input is read in place, tap by tap; else from columns.
pub(super) fn gemm(s: &Sizes, sve_bits: i64, threads: i64, indirect: bool) -> Option<Gemm> {
    // the estimates must stay within 64 bits; no such layer has ever run
    let factors = [s.batch, s.pixels() + 8, s.out_channels + 64];
    let taps = s.kernel[0].checked_mul(s.kernel[1])?;
    let all = factors
        .iter()
        .chain(&[s.in_channels, taps, 16])
        .try_fold(1i64, |product, &factor| product.checked_mul(factor));
    all.filter(|&product| product > 0)?;
    let asked = Problem {
        rows: s.pixels(),
        columns: s.out_channels,
        depth: s.in_channels,
        sections: 1,
        images: s.batch,
        threads,
    };
    let real = match indirect {
        true => Problem {
            sections: taps,
            ..asked
        },
        false => Problem {
            depth: s.in_channels * taps,
            ..asked
        },
    };
    let kernel = cheapest(&kernels(sve_bits), &real)?;
    Some(match kernel.copies {
        None => Gemm::Hybrid,
        Some(_) => Gemm::Interleaved {
            block: kernel.block(s.in_channels * taps) as usize,
        },
    })
}
