//! How the brgemm convolution cuts a layer: `brg_blocking_t::calc_blocks` and its helpers in
//! src/cpu/x64/jit_brgemm_conv_utils.cpp.
//!
//! For every block of output channels, of kernel rows and of output columns, the largest block of input channels that
//! the caches hold is taken, an efficiency is estimated ([`super::efficiency`]), and the first best wins.

use crate::execute::predict::onednn::brgemm::layer::Layer;
use crate::execute::predict::onednn::brgemm::tile;
use crate::execute::predict::onednn::brgemm::tile::Product;
use crate::execute::predict::onednn::brgemm::tile::Simd;
use crate::execute::predict::onednn::brgemm::tile::Tile;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::div_up;
use crate::execute::predict::onednn::sizes::round_up;

/// How the kernel gets at its input (`exec_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// In place; outputs whose tap lies in the padding are left out by the kernel (`exec_vpad`).
    VirtualPadding,
    /// In place; kernel columns that do not reach all outputs of a block are called for those they reach
    /// (`exec_base`).
    InPlace,
    /// From a copy with the padding made real (`exec_trans`).
    Copied(Lowering),
}

/// Kernel axes that the copy turns into channels, where there is one input channel only (`relo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lowering {
    /// Neither.
    None,
    /// Columns.
    Columns,
    /// Columns, and within each the rows.
    ColumnsRows,
}

/// What the search knows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search<'a> {
    pub(super) layer: &'a Layer,
    pub(super) simd: Simd,
    pub(super) threads: i64,
    pub(super) access: Access,
    /// The parts of the caches that it reckons with, bytes; `l1_all`: the whole of level 1.
    pub(super) l1: i64,
    pub(super) l1_all: i64,
    pub(super) l2: i64,
    /// Output pixels innermost loop order (`loop_ndhwgc`), channels innermost.
    pub(super) channels_inner: bool,
    /// Whether an output block spans rows (`is_os_blocking`).
    pub(super) spans_rows: bool,
    /// Vectors of output channels in a block, at most.
    pub(super) most_vectors: i64,
}

/// One way to cut.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    /// Output channels.
    pub(super) out_channels: i64,
    /// Input channels.
    pub(super) in_channels: i64,
    /// Kernel slices in one call.
    pub(super) kernel_slices: i64,
    /// Kernel rows, columns in one call.
    pub(super) kernel: [i64; 2],
    /// Output slices.
    pub(super) slices: i64,
    /// Output rows.
    pub(super) rows: i64,
    /// Output columns.
    pub(super) columns: i64,
    /// Register tile.
    pub(super) tile: Tile,
}

impl Cut {
    /// Output pixels of a block.
    pub(super) fn pixels(&self, search: &Search<'_>) -> i64 {
        match search.spans_rows {
            true => self.columns * self.rows,
            false => self.columns,
        }
    }
}

impl Search<'_> {
    /// The best cut; `None` where none is possible.
    pub(super) fn best(&self) -> Option<Cut> {
        let mut best: Option<(Cut, f32)> = None;
        let most = div_up(self.layer.out_channels, self.simd.lanes).min(self.most_vectors);
        for vectors in (1..=most).rev() {
            let out_channels = vectors * self.simd.lanes;
            if !self.is_worth_trying(out_channels) {
                continue;
            }
            let Some(cut) = self.best_for(out_channels) else {
                continue;
            };
            if !self.all_products_fit(&cut) {
                continue;
            }
            let efficiency = self.efficiency(&cut);
            if efficiency > best.map_or(0.0, |(_, efficiency)| efficiency) {
                best = Some((cut, efficiency));
            }
        }
        best.map(|(cut, _)| cut)
    }

    /// `fast_check_oc_block`
    fn is_worth_trying(&self, out_channels: i64) -> bool {
        let all = round_up(self.layer.out_channels, self.simd.lanes);
        let [sh, sw] = self.layer.stride;
        let strides = self.layer.depth.stride * sh * sw;
        match out_channels {
            64 => all % 64 == 0 && all * 4 < 192 * 4,
            48 => all % 48 == 0 && all * 4 <= 384 * 4 && self.layer.input_pixels() > 81 * strides,
            _ => true,
        }
    }

    /// The best cut with blocks of so many output channels (`calc_blocks`).
    fn best_for(&self, out_channels: i64) -> Option<Cut> {
        let all_or_one = |size: i64| if size > 1 { vec![size, 1] } else { vec![1] };
        let mut best: Option<(Cut, f32)> = None;
        let mut unroll = 0;
        for slices in all_or_one(self.layer.depth.kernel) {
            for rows in all_or_one(self.layer.kernel[ROWS]) {
                self.try_kernel(out_channels, [slices, rows], &mut unroll, &mut best);
            }
        }
        best.map(|(cut, _)| cut)
    }

    /// `iterate_ker_block`. `unroll` goes on from one candidate to the next, as oneDNN's does.
    fn try_kernel(
        &self,
        out_channels: i64,
        [kernel_slices, kernel_rows]: [i64; 2],
        unroll: &mut i64,
        best: &mut Option<(Cut, f32)>,
    ) {
        let kernel = [kernel_rows, self.kernel_columns(out_channels)];
        let taken = [kernel_slices * kernel_rows, kernel[COLUMNS]];
        let in_channels = self.in_channels(out_channels, taken, None, *unroll);
        let [slices, rows] = self.slices_and_rows(out_channels, in_channels);
        let columns = self.layer.output[COLUMNS];
        let most = columns.min(self.most_columns(out_channels));
        let sizes: Vec<i64> = if self.spans_rows {
            vec![columns]
        } else {
            let mut sizes: Vec<i64> = (1..=columns).map(|parts| div_up(columns, parts)).collect();
            sizes.dedup();
            sizes.retain(|&size| size <= most);
            sizes
        };
        for columns in sizes {
            let pixels = if self.spans_rows {
                columns * rows
            } else {
                columns
            };
            let in_channels = self.in_channels(out_channels, taken, Some(pixels), *unroll);
            let mut cut = Cut {
                out_channels,
                in_channels,
                kernel_slices,
                kernel,
                slices,
                rows,
                columns,
                tile: Tile {
                    rows: 1,
                    last_rows: 1,
                    vectors: 1,
                },
            };
            let Some(tile) = self.tile(&cut) else {
                continue;
            };
            cut.tile = tile;
            *unroll = tile.rows;
            if !self.tail_has_tile(&cut) {
                continue;
            }
            let efficiency = self.efficiency(&cut);
            if best.is_none_or(|(_, best)| efficiency > best || best == 0.0) {
                *best = Some((cut, efficiency));
            }
        }
    }

    /// Kernel columns in one call: in place, only one where the weights would not fit.
    fn kernel_columns(&self, out_channels: i64) -> i64 {
        let columns = self.layer.kernel[COLUMNS];
        let weights = self.layer.in_channels * out_channels * 4;
        match self.access {
            Access::InPlace if weights * columns >= self.l2 => 1,
            _ => columns,
        }
    }

    /// Output columns for which the threads are busy, at most.
    fn most_columns(&self, out_channels: i64) -> i64 {
        let layer = self.layer;
        let blocks = div_up(layer.out_channels, out_channels);
        let work = (layer.batch * layer.groups * blocks * layer.pixels()) as f32;
        let share = (work / (0.9 * self.threads as f32)).ceil();
        (share as i64).clamp(1, layer.output[COLUMNS])
    }

    /// Output slices and rows of a block: more than one only in copies.
    fn slices_and_rows(&self, out_channels: i64, in_channels: i64) -> [i64; 2] {
        let layer = self.layer;
        if !matches!(
            self.access,
            Access::Copied(Lowering::None | Lowering::Columns)
        ) {
            return [1, 1];
        }
        let [height, width] =
            [ROWS, COLUMNS].map(|a| layer.input[a] + layer.near[a] + layer.far[a]);
        let depth = &layer.depth;
        let all_slices = depth.input + depth.padding + depth.far_padding();
        let [rows, columns] = layer.output;
        let row = 2 * 4 * in_channels * width + 4 * columns * out_channels;
        let weights = 4 * layer.kernel_taps() * in_channels * out_channels;
        let other = weights + 4 * 2 * 16 * out_channels;
        let available = div_up(self.l2, 2).min((self.l2 - other).max(0));
        let (mut fitting_slices, mut fitting) = (1, rows);
        if all_slices * height * row > available {
            fitting_slices = (available / (height * row)).clamp(1, depth.output);
            if fitting_slices == 1 {
                fitting = (available / row).clamp(1, rows);
            }
        }
        let groups = if layer.out_channels > 32 {
            layer.groups
        } else {
            1
        };
        let work = layer.batch * div_up(groups * layer.out_channels, out_channels);
        let shares = div_up(self.threads, work);
        let slices = div_up(depth.output, shares);
        let rows = div_up(rows, shares * div_up(depth.output, slices));
        [fitting_slices.min(slices), fitting.min(rows)]
    }

    /// The largest block of input channels that the caches hold (`select_ic_block`).
    fn in_channels(
        &self,
        out_channels: i64,
        [kernel_rows, kernel_columns]: [i64; 2],
        pixels: Option<i64>,
        unroll: i64,
    ) -> i64 {
        let layer = self.layer;
        let lanes = self.simd.lanes;
        let usual = usual_unroll(self.simd, out_channels);
        let outputs = pixels.map_or(usual, |pixels| pixels.min(usual));
        let read = if self.spans_rows {
            outputs
        } else {
            layer.columns_read(outputs, kernel_columns)
        };
        let all = div_up(layer.in_channels, lanes);
        let mut most = all.min(5 * lanes);
        if kernel_columns > 1 {
            most = most.min(self.l1 / (read * 4 * lanes)).max(1);
        }
        let weights = kernel_rows * kernel_columns * out_channels * 4;
        let input = kernel_rows * read * 4;
        let output = unroll * out_channels * 4;
        most = most
            .min((self.l2 - output) / ((weights + input) * lanes))
            .max(1);
        if self.simd == tile::AVX2 && all <= 256 && weights + input < 1400 {
            most = all;
        }
        // always at least half full
        let even = |&blocks: &i64| all as f32 / round_up(all, blocks) as f32 >= 0.5;
        let blocks = (1..=most.min(all)).rev().find(even).unwrap_or(1);
        match self.access {
            Access::Copied(Lowering::Columns | Lowering::ColumnsRows) => layer.in_channels,
            _ => layer.in_channels.min(blocks * lanes),
        }
    }

    /// Input channels of a 1x1 convolution's block, where all cuts agree (they do for usual caches).
    pub(super) fn pointwise_channels(&self) -> Option<i64> {
        let most = div_up(self.layer.out_channels, self.simd.lanes).min(4);
        let mut blocks = (1..=most).flat_map(|vectors| {
            let out_channels = vectors * self.simd.lanes;
            let usual = usual_unroll(self.simd, out_channels);
            // the fewest and the most pixels at a time; `unroll` is one of them at most
            [1, usual].map(|pixels| self.in_channels(out_channels, [1, 1], Some(pixels), usual))
        });
        let first = blocks.next()?;
        blocks.all(|block| block == first).then_some(first)
    }

    /// The register tile of a cut (`estimate_brgemm_ur`).
    fn tile(&self, cut: &Cut) -> Option<Tile> {
        let product = self.first_product(cut)?;
        Tile::new(self.simd, &product, self.padding(), self.l1_all)
    }

    /// Whether the last rows have a tile too.
    fn tail_has_tile(&self, cut: &Cut) -> bool {
        let rows = self.products_of(cut).rows[1];
        rows == 0
            || self.padding() <= 0
            || self.first_product(cut).is_some_and(|product| {
                let tail = Product { rows, ..product };
                Tile::new(self.simd, &tail, self.padding(), self.l1_all).is_some()
            })
    }

    fn first_product(&self, cut: &Cut) -> Option<Product> {
        let all = self.products_of(cut);
        let first = |sizes: [i64; 2]| sizes.into_iter().find(|&size| size > 0);
        Some(Product {
            rows: first(all.rows)?,
            columns: first(all.columns)?,
            products: first(all.products)?,
        })
    }

    /// Virtual padding that a tile must be as high as.
    fn padding(&self) -> i64 {
        match self.access {
            Access::VirtualPadding => {
                let [left, right] = [self.layer.near[COLUMNS], self.layer.far[COLUMNS]];
                left.max(right)
            }
            Access::InPlace | Access::Copied(_) => 0,
        }
    }

    /// Whether every product, the tails included, has a tile (`get_brgemm_ur`).
    fn all_products_fit(&self, cut: &Cut) -> bool {
        self.each_product(cut, |tile| tile.is_some())
    }

    /// Whether the tails of those tiles are as high as the virtual padding too (`brgemm_desc_finalize`).
    pub(super) fn tails_fit(&self, cut: &Cut) -> bool {
        self.each_product(cut, |tile| {
            tile.is_some_and(|tile| tile.last_rows >= self.padding())
        })
    }

    fn each_product(&self, cut: &Cut, holds: impl Fn(Option<Tile>) -> bool) -> bool {
        const MOST_PADDING: i64 = 100;
        if self.padding() > MOST_PADDING {
            return false;
        }
        let all = self.products_of(cut);
        let some = |sizes: [i64; 2]| sizes.into_iter().filter(|&size| size > 0);
        some(all.rows).all(|rows| {
            some(all.columns).all(|columns| {
                some(all.products).all(|products| {
                    let product = Product {
                        rows,
                        columns,
                        products,
                    };
                    holds(Tile::new(self.simd, &product, self.padding(), self.l1_all))
                })
            })
        })
    }

    /// Sizes of whole blocks, and of the last ones; 0 where there is none.
    fn products_of(&self, cut: &Cut) -> Tails {
        let layer = self.layer;
        let pixels = if self.spans_rows {
            layer.slice_pixels()
        } else {
            layer.output[COLUMNS]
        };
        let block = cut.pixels(self);
        let split =
            |total: i64, block: i64| [if total >= block { block } else { 0 }, total % block];
        let [kh, kw] = layer.kernel;
        let lowered = match self.access {
            Access::Copied(Lowering::Columns) => kw,
            Access::Copied(Lowering::ColumnsRows) => kh * kw,
            _ => 1,
        };
        Tails {
            rows: split(pixels, block),
            columns: split(layer.out_channels, cut.out_channels),
            products: split(layer.in_channels, cut.in_channels).map(|channels| channels * lowered),
        }
    }
}

/// Whole and last sizes of the matrix products of a cut.
struct Tails {
    rows: [i64; 2],
    columns: [i64; 2],
    products: [i64; 2],
}

/// Output pixels that a tile usually has (`estimate_ur`).
fn usual_unroll(simd: Simd, out_channels: i64) -> i64 {
    match (simd.lanes, out_channels) {
        (8, 32) => 3,
        (8, 24) => 4,
        (8, 16) => 6,
        (8, _) => 14,
        (_, 64) => 6,
        (_, 48) => 9,
        (_, 32) => 14,
        _ => 28,
    }
}
