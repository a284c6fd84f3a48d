//! The register tile of a brgemm kernel: `brgemm_blocking_vmm` in src/cpu/x64/brgemm/brgemm_utils.cpp.

use crate::execute::predict::onednn::sizes::round_up;

/// The vectors of an instruction set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::execute::predict::onednn) struct Simd {
    /// float32 numbers in a register.
    pub(in crate::execute::predict::onednn) lanes: i64,
    /// Registers.
    pub(super) registers: i64,
}

pub(in crate::execute::predict::onednn) const AVX2: Simd = Simd {
    lanes: 8,
    registers: 16,
};

pub(in crate::execute::predict::onednn) const AVX512: Simd = Simd {
    lanes: 16,
    registers: 32,
};

/// One matrix product: rows are output pixels, columns output channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) rows: i64,
    pub(super) columns: i64,
    pub(super) products: i64,
}

/// What is kept in registers at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    /// Rows (`bd_block`).
    pub(super) rows: i64,
    /// Rows of the last tile, where it is not full.
    pub(super) last_rows: i64,
    /// Vectors of columns (`ld_block2`, or what there are).
    pub(super) vectors: i64,
}

impl Tile {
    /// `None` where no tile is as high as the virtual padding `pad`, which the kernel requires.
    pub(super) fn new(simd: Simd, product: &Product, pad: i64, l1: i64) -> Option<Self> {
        let fitting = (1..=4)
            .rev()
            .map(|vectors| Self::widest(simd, product, vectors));
        let mut last = None;
        for (vectors, most_rows) in fitting {
            last = Some((vectors, most_rows));
            let rest = product.rows % most_rows;
            let least_rows = if rest > 0 { rest } else { most_rows };
            if least_rows >= pad {
                break;
            }
            last = None;
        }
        let (vectors, most_rows) = last?;
        let rows = best_rows(product, vectors, most_rows, pad.max(1), l1);
        Some(Self {
            rows,
            last_rows: match product.rows % rows {
                0 => rows,
                rest => rest,
            },
            vectors,
        })
    }

    /// Vectors of columns if `wanted` are tried, and the rows for which there are registers then.
    fn widest(simd: Simd, product: &Product, wanted: i64) -> (i64, i64) {
        let all = product.columns / simd.lanes;
        let vectors = if all >= wanted { wanted } else { all % wanted }.max(1);
        // four vectors take too many of AVX2's registers, so that one of them is loaded at a time
        let one_load = simd == AVX2 && vectors == 4;
        let operands = if one_load { 1 } else { vectors + 1 };
        let rows = (simd.registers - operands) / (vectors + i64::from(one_load));
        (vectors, rows.min(simd.registers / vectors))
    }
}

/// The height that wastes least, larger ones first.
fn best_rows(product: &Product, vectors: i64, most: i64, least: i64, l1: i64) -> i64 {
    let (mut best, mut best_efficiency) = (most, 0.0f32);
    for rows in (least..=most).rev() {
        let filled = product.rows as f32 / round_up(product.rows, rows) as f32;
        let reuse = (vectors as f32 * rows as f32) / ((vectors + rows) * most) as f32;
        let efficiency = filled * reuse;
        let bytes = 4.0 * rows as f32 * product.products as f32;
        if bytes <= l1 as f32 && efficiency > best_efficiency {
            (best, best_efficiency) = (rows, efficiency);
        }
    }
    best
}
