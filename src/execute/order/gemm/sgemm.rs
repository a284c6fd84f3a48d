//! The order of additions inside one call of oneDNN's sgemm (oneDNN 3.13, src/cpu/x64/gemm/).
//!
//! Each call goes one of four ways: a vector on either side (gemv), the kernels that copy their operands into tiles
//! first, and those that do not. Only the last treat edges of their tiles differently.

use std::ops::Range;

use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::Step;
use crate::execute::order::blocks;
use crate::execute::order::gemm::Kernels;
use crate::execute::order::gemm::threads::Partition;
use crate::execute::order::gemm::threads::Size;
use crate::execute::order::gemm::threads::partition;
use crate::execute::order::gemm::threads::worthwhile;
use crate::execute::order::gemm::threads::worthwhile_for_vector;

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Call {
    pub(super) kernels: Kernels,
    /// Threads available inside.
    pub(super) threads: i64,
    pub(super) size: Size,
    /// Whether the left operand lies transposed, its rows densely.
    pub(super) left_transposed: bool,
    /// Whether the right operand lies transposed, its columns densely.
    pub(super) transposed: bool,
    /// Elements of the left operand from one product to the next.
    pub(super) lda: i64,
    /// Of the right operand from one column to the next; transposed: from one product to the next.
    pub(super) ldb: i64,
    /// Of the result from one column to the next.
    pub(super) ldc: i64,
    /// Tap with which the product starts.
    pub(super) first_tap: i64,
}

/// Elements of the result that are summed alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) rows: Range<i64>,
    pub(super) columns: Range<i64>,
    /// What happens to the total.
    pub(super) steps: Vec<Step>,
}

impl Call {
    /// Rectangles that cover the result.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let Size { m, n, k } = self.size;
        if self.kernels == Kernels::Reference {
            return self.uncopied(&partition(self.kernels, self.size, self.threads));
        }
        if self.left_transposed && self.kernels == Kernels::Avx512 && (2..16).contains(&n) {
            return vec![self.whole(self.few_columns())];
        }
        if self.left_transposed && (n == 1 || m == 1) {
            return vec![self.whole(self.dot_products())];
        }
        if n == 1 {
            return vec![self.whole(self.column(m))];
        }
        if m == 1 && self.transposed {
            return vec![self.whole(self.strided_column(n))];
        }
        if m == 1 {
            return vec![self.whole(self.dot_products())];
        }
        let threads = worthwhile(self.kernels, self.size, self.threads);
        if self.copies(threads) {
            let chains = blocks(k as usize, self.copied_block(k) as usize);
            let chains = chains.map(|len| Step::fresh_chain(len, self.kernels.fuse()));
            return vec![self.whole(chains.collect())];
        }
        self.uncopied(&partition(self.kernels, self.size, threads))
    }

    /// The same, whatever the size, without copies.
    pub(super) fn cells_in_place(&self) -> Vec<Cell> {
        match self.size.n {
            1 => vec![self.whole(self.column(self.size.m))],
            _ => self.uncopied(&partition(self.kernels, self.size, 1)),
        }
    }

    fn whole(&self, steps: Vec<Step>) -> Cell {
        Cell {
            rows: 0..self.size.m,
            columns: 0..self.size.n,
            steps,
        }
    }

    /// One column of `m` sums: a chain; or, with threads along k, one for each of them.
    fn column(&self, m: i64) -> Vec<Step> {
        let k = self.size.k;
        let fused = self.kernels.fuse();
        let threads = worthwhile_for_vector(self.kernels, m, k, self.threads);
        if threads == 1 || m > threads * 500 || k < threads * 128 {
            return vec![Step::chain(k as usize, fused)];
        }
        let (share, more) = (k / threads, k % threads);
        let shares = (0..threads).map(|thread| (share + i64::from(thread < more)) as usize);
        let mut steps: Vec<Step> = shares.map(|len| Step::fresh_chain(len, fused)).collect();
        if let Some(Step::Fold { fresh, .. }) = steps.first_mut() {
            *fresh = false;
        }
        steps
    }

    /// The same into a result whose elements do not lie side by side: sums are made aside and added to +0.
    fn strided_column(&self, n: i64) -> Vec<Step> {
        let mut steps = self.column(n);
        if self.ldc != 1 {
            if let Some(Step::Fold { fresh, .. }) = steps.first_mut() {
                *fresh = true;
            }
            steps.insert(0, Step::fresh_chain(0, self.kernels.fuse()));
        }
        steps
    }

    /// One row: dot products; in blocks of 512 where the vector is not dense.
    fn dot_products(&self) -> Vec<Step> {
        const BLOCK: usize = 512;
        let k = self.size.k as usize;
        let dense = self.lda == 1 || self.left_transposed;
        let block = if dense { k } else { BLOCK };
        let pieces = |len| Step::Fold {
            len,
            fresh: false,
            fold: Fold::Pieces {
                lanes: match self.kernels {
                    Kernels::Sse41 | Kernels::Reference => 4,
                    Kernels::Avx | Kernels::Avx2 | Kernels::Avx512 => 8,
                },
                fused: self.kernels.fuse(),
            },
        };
        blocks(k, block).map(pieces).collect()
    }

    /// Few columns of a product whose operands both lie densely along it
    /// (f32/jit_avx512_core_gemm_smalln_tn_f32_kern.cpp): one lane each for every sixteenth product.
    fn few_columns(&self) -> Vec<Step> {
        vec![Step::Fold {
            len: self.size.k as usize,
            fresh: false,
            fold: Fold::Lanes {
                head: 0,
                lanes: 16,
                group: 1,
                join: Join::Halving,
                fused: true,
            },
        }]
    }

    /// Whether operands are copied into tiles (`nocopy_checker` in gemm_driver.cpp).
    fn copies(&self, threads: i64) -> bool {
        const LIMIT: i64 = 378;
        let Size { m, n, k } = self.size;
        let overhead = 1.0 / m as f64 + 1.0 / n as f64;
        let large = k >= threads * LIMIT && (m >= threads * LIMIT || (m <= LIMIT && n <= LIMIT));
        match self.kernels {
            Kernels::Sse41 => true,
            Kernels::Reference => false,
            Kernels::Avx | Kernels::Avx2 => {
                let small = (m <= 128 && n <= 128)
                    || match self.transposed {
                        true => n <= threads || k <= threads,
                        false => {
                            n <= threads * 16 || k <= threads * 2 || (m <= 64 && n >= threads * 16)
                        }
                    };
                overhead < 0.0038 && (large || !small)
            }
            Kernels::Avx512 => {
                // rows that far apart fall into the same cache sets
                let far_apart = self.lda % 1024 == 0;
                let plain = !self.transposed && !self.left_transposed;
                if plain && threads <= 8 && far_apart && k > 500 && n > 100 {
                    return true;
                }
                let aligned = self.lda % 256 == 0 && self.ldb % 256 == 0;
                let few = m < 1200 && n < 200 && k < 1200;
                if self.left_transposed && threads == 1 && m > 100 && (few || aligned) {
                    return true;
                }
                let aliases = [self.lda, self.ldb, self.ldc]
                    .iter()
                    .any(|ld| ld % 256 == 0);
                let small = (m <= threads * 28 && (!self.transposed || m >= n))
                    || n <= threads * 28
                    || k <= threads;
                (overhead < 0.00196 || (self.transposed && far_apart))
                    && ((aliases && m >= 32 && n > 16) || large || !small)
            }
        }
    }

    /// Products per block of the kernels that copy (`get_k_blocking`).
    fn copied_block(&self, k: i64) -> i64 {
        let (whole, block) = match self.kernels {
            Kernels::Sse41 | Kernels::Avx | Kernels::Reference => (256, 256),
            Kernels::Avx2 => (256, 192),
            Kernels::Avx512 => (384, 384),
        };
        match k {
            _ if k <= whole => k,
            _ if k < 2 * block => (k + 1) / 2,
            _ => block,
        }
    }

    /// The kernels that do not copy: f32/jit_avx_gemm_f32.cpp and f32/jit_avx512_common_gemm_f32.cpp.
    fn uncopied(&self, partition: &Partition) -> Vec<Cell> {
        let Partition { threads, share } = partition;
        let shares = |threads: i64, share: i64, total: i64| {
            let starts = (0..threads).map(move |thread| thread * share);
            starts
                .map(move |start| start..total.min(start + share))
                .filter(|range| !range.is_empty())
        };
        let mut cells = Vec::new();
        for pixels in shares(threads.m, share.m, self.size.m) {
            for channels in shares(threads.n, share.n, self.size.n) {
                for (rows, tile) in self.row_tiles(pixels.end - pixels.start) {
                    for (columns, width) in self.column_tiles(channels.end - channels.start) {
                        let parts = match self.kernels {
                            Kernels::Reference => self.reference_parts(partition, tile, width),
                            _ => self.parts(partition, self.tile_fold(tile, width)),
                        };
                        let pixels = shifted(&rows, pixels.start);
                        self.add_joined(&mut cells, pixels, &channels, columns, &parts);
                    }
                }
            }
        }
        cells
    }

    /// The same of the reference: full tiles in whole blocks, other elements in one chain through all of them
    /// (src/cpu/gemm/f32/ref_gemm_f32.cpp).
    fn reference_parts(&self, partition: &Partition, rows: i64, columns: i64) -> Vec<Vec<Step>> {
        let block = if self.transposed { 96 } else { 256 };
        let (tile_rows, tile_columns) = REFERENCE_TILE;
        let whole = rows == tile_rows && columns == tile_columns;
        (0..partition.threads.k)
            .map(|thread| {
                let start = thread * partition.share.k;
                let len = (self.size.k.min(start + partition.share.k) - start).max(0) as usize;
                let fresh = |len| Step::fresh_chain(len, true);
                match (whole, thread) {
                    (true, _) => blocks(len, block).map(fresh).collect(),
                    (false, 0) => vec![Step::chain(len, true)],
                    (false, _) => vec![fresh(len)],
                }
            })
            .collect()
    }

    /// Each thread's sums along k.
    fn parts(&self, partition: &Partition, fold: Fold) -> Vec<Vec<Step>> {
        let block = match self.kernels {
            Kernels::Avx512 => 384,
            _ if self.transposed => 96,
            _ => 256,
        };
        (0..partition.threads.k)
            .map(|thread| {
                let start = thread * partition.share.k;
                let end = self.size.k.min(start + partition.share.k);
                let folds = halved_blocks(end - start, block, block);
                let fold = |len: i64| Step::Fold {
                    len: len as usize,
                    fresh: true,
                    fold,
                };
                folds.into_iter().map(fold).collect()
            })
            .collect()
    }

    /// Threads along k have a sum each; they are added up in as many bands of channels, by the thread whose sum comes
    /// right after the first thread's.
    fn add_joined(
        &self,
        cells: &mut Vec<Cell>,
        pixels: Range<i64>,
        share: &Range<i64>,
        columns: Range<i64>,
        parts: &[Vec<Step>],
    ) {
        for (thread, band) in bands(parts.len(), share.end - share.start).enumerate() {
            let channels = band.start.max(columns.start)..band.end.min(columns.end);
            if !channels.is_empty() {
                cells.push(Cell {
                    rows: pixels.clone(),
                    columns: shifted(&channels, share.start),
                    steps: self.joined(parts, thread),
                });
            }
        }
    }

    /// The first part, then the one of `thread`, then the others.
    fn joined(&self, parts: &[Vec<Step>], thread: usize) -> Vec<Step> {
        let length = |part: &Vec<Step>| part.iter().map(Step::taps).sum::<usize>();
        let start = |part: usize| parts[..part].iter().map(length).sum::<usize>();
        let mut steps = parts[0].clone();
        let others = (1..parts.len()).filter(|&part| part != thread);
        let mut expected = 1;
        for part in (thread > 0).then_some(thread).into_iter().chain(others) {
            if part != expected {
                steps.push(Step::Seek(self.first_tap as usize + start(part)));
            }
            expected = part + 1;
            match parts[part].as_slice() {
                [one] => steps.push(one.clone()),
                several => steps.push(Step::Sub(several.to_vec())),
            }
        }
        steps
    }

    /// Rows that go into the same kind of tile, and its height. Only AVX2 treats them differently.
    fn row_tiles(&self, rows: i64) -> Vec<(Range<i64>, i64)> {
        const BLOCK: i64 = 4032;
        match self.kernels {
            Kernels::Avx2 => runs(
                halved_blocks(rows, BLOCK, BLOCK + BLOCK / 2)
                    .into_iter()
                    .flat_map(|block| {
                        let rest = block % 16;
                        [(block - rest, 16), (rest, if rest > 8 { 16 } else { 8 })]
                    }),
            ),
            Kernels::Reference => tiles(rows, REFERENCE_TILE.0),
            Kernels::Sse41 | Kernels::Avx | Kernels::Avx512 => vec![(0..rows, rows)],
        }
    }

    /// Columns that go into tiles of the same width.
    fn column_tiles(&self, columns: i64) -> Vec<(Range<i64>, i64)> {
        let block = if self.left_transposed { 96 } else { 48 };
        match self.kernels {
            Kernels::Avx2 => runs(
                halved_blocks(columns, block, block + block / 2)
                    .into_iter()
                    .flat_map(|block| [(block - block % 6, 6), (block % 6, block % 6)]),
            ),
            Kernels::Reference => tiles(columns, REFERENCE_TILE.1),
            Kernels::Sse41 | Kernels::Avx | Kernels::Avx512 => vec![(0..columns, columns)],
        }
    }

    /// How a tile of so many rows and columns sums: narrow ones take two products at a time.
    fn tile_fold(&self, rows: i64, columns: i64) -> Fold {
        let pairs = |fused| Fold::Lanes {
            head: 0,
            lanes: 2,
            group: 2,
            join: Join::Halving,
            fused,
        };
        match (self.kernels, rows, columns) {
            (Kernels::Avx512 | Kernels::Reference, ..) | (Kernels::Avx2, 16, 4..) => {
                Fold::Chain { fused: true }
            }
            (Kernels::Avx2, _, 3..) => pairs(true),
            (Kernels::Sse41 | Kernels::Avx | Kernels::Avx2, ..) => pairs(false),
        }
    }
}

/// Rows and columns of a tile of the reference.
const REFERENCE_TILE: (i64, i64) = (16, 6);

/// Whole tiles of `size`, and the rest.
fn tiles(total: i64, size: i64) -> Vec<(Range<i64>, i64)> {
    runs([(total - total % size, size), (total % size, total % size)].into_iter())
}

fn shifted(range: &Range<i64>, by: i64) -> Range<i64> {
    range.start + by..range.end + by
}

/// `total` in blocks of `block` while two of them are left, then halves if more than `alone` is left.
fn halved_blocks(total: i64, block: i64, alone: i64) -> Vec<i64> {
    let mut lengths = Vec::new();
    let mut rest = total;
    while rest > 0 {
        let length = match rest {
            _ if rest >= 2 * block => block,
            _ if rest > alone => (rest + 1) / 2,
            _ => rest,
        };
        lengths.push(length);
        rest -= length;
    }
    lengths
}

/// Lengths with their kinds, as ranges; neighbours of one kind are joined.
fn runs(lengths: impl Iterator<Item = (i64, i64)>) -> Vec<(Range<i64>, i64)> {
    let mut runs: Vec<(Range<i64>, i64)> = Vec::new();
    let mut at = 0;
    for (length, kind) in lengths.filter(|&(length, _)| length > 0) {
        match runs.last_mut() {
            Some((range, last)) if *last == kind => range.end += length,
            _ => runs.push((at..at + length, kind)),
        }
        at += length;
    }
    runs
}

/// `total` dealt out as evenly as can be, larger bands first (`partition_unit_diff`).
fn bands(count: usize, total: i64) -> impl Iterator<Item = Range<i64>> {
    let count = count as i64;
    let least = (total / count).max(1);
    let more = (total - least * count).max(0);
    (0..count).map(move |band| {
        let start = band * least + band.min(more);
        let end = start + least + i64::from(band < more);
        start.min(total)..end.min(total)
    })
}
