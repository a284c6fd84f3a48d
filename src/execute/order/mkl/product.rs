//! One matrix product as MKL computes it: C[m, n] = C + op(A)[m, k] * B[k, n], column-major as BLAS has it.

use std::ops::Range;

use super::blocks;
use super::blocks::KBlocks;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::Step;
use crate::execute::order::gemm;

/// How the first matrix lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// 'N', 'N': its columns are contiguous.
    Plain,
    /// 'T', 'N': its rows are contiguous, as those of a linear layer's weight.
    Transposed,
}

/// A product on its way to MKL.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) form: Form,
    /// MKL's kernels.
    pub(super) blocks: KBlocks,
    /// dgemm instead of sgemm.
    pub(super) double: bool,
    /// `MKL_CBWR` is set: alignment plays no part.
    pub(super) cnr: bool,
    pub(super) threads: usize,
    /// m.
    pub(super) rows: usize,
    /// n.
    pub(super) columns: usize,
    pub(super) k: usize,
    /// Elements from a 16-byte boundary to the first element of A, B and C.
    pub(super) offsets: [usize; 3],
}

/// Rows and columns of the product that are added up alike; the steps come after the bias.
pub(super) struct Part {
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
    pub(super) steps: Vec<Step>,
}

impl Part {
    pub(super) fn new(rows: Range<usize>, columns: Range<usize>, steps: Vec<Step>) -> Self {
        Self {
            rows,
            columns,
            steps,
        }
    }
}

/// What the big kernels want.
struct Tile {
    /// Rows and columns below which they are not used at all.
    least: [usize; 2],
    /// Rows and columns that they take are multiples of this; the rest is edge.
    unit: [usize; 2],
    /// Products below which they are not used.
    least_k: usize,
}

impl Product {
    fn tile(&self) -> Tile {
        let (least, unit, least_k) = match (self.blocks, self.double) {
            (KBlocks::Compatible, false) => ([8, 8], [8, 4], 8),
            (KBlocks::Sse(_), false) => ([4, 8], [4, 8], 4),
            // nothing is too small
            (KBlocks::Halves(_), false) => ([2, 2], [1, 1], 0),
            (KBlocks::Compatible, true) => ([2, 4], [2, 4], 0),
            (_, false) => ([12, 4], [1, 1], 0), // their edges are no different
            (_, true) => ([12, 4], [12, 4], 0),
        };
        Tile {
            least,
            unit,
            least_k,
        }
    }

    /// Elements between the boundaries that the small loops look for.
    pub(super) fn alignment(&self) -> usize {
        match (self.cnr, self.double) {
            (true, _) => 1, // they look for none
            (false, false) => 4,
            (false, true) => 2,
        }
    }

    /// The whole product.
    pub(super) fn parts(&self) -> Vec<Part> {
        let [a, b, _] = self.offsets;
        let mut parts = Vec::new();
        if self.blocks == KBlocks::Tiles {
            return self.tiles();
        }
        if let (KBlocks::Halves(_), false, Form::Plain, 1) =
            (self.blocks, self.double, self.form, self.columns)
        {
            return self.wide_column();
        }
        if self.rows == 1 {
            let dots = self.dots(self.columns, b, a).into_iter();
            return dots
                .map(|(columns, step)| Part::new(0..1, columns, vec![step]))
                .collect();
        }
        if self.columns == 1 && self.form == Form::Transposed {
            let dots = self.dots(self.rows, a, b).into_iter();
            return dots
                .map(|(rows, step)| Part::new(rows, 0..1, vec![step]))
                .collect();
        }
        if self.is_outer() {
            let product = vec![Step::chain(1, false)];
            return vec![Part::new(0..self.rows, 0..self.columns, product)];
        }
        for [rows, columns] in self.shares() {
            self.share(rows, columns, &mut parts);
        }
        parts
    }

    /// A column times a row: nothing is summed but the bias.
    pub(super) fn is_outer(&self) -> bool {
        self.k == 1 && self.rows > 1 && self.columns > 1
    }

    /// One column with AVX-512 on Intel: rows by sixteens take eight products at a time, in a sequence of their own.
    fn wide_column(&self) -> Vec<Part> {
        let whole = self.rows / 16 * 16;
        let alone = Part::new(whole..self.rows, 0..1, vec![Step::chain(self.k, true)]);
        let mut steps = Vec::new();
        for first in (0..self.k / 8 * 8).step_by(8) {
            let one = |tap| [Step::Seek(first + tap), Step::chain(1, true)];
            let pair = |a, b| [one(a), one(b)].concat();
            steps.extend(pair(6, 4));
            steps.push(Step::Sub(pair(7, 5)));
            let both = [pair(2, 0), vec![Step::Sub(pair(3, 1))]];
            steps.push(Step::Sub(both.concat()));
        }
        let rest = self.k % 8;
        if rest > 0 {
            steps.push(Step::Seek(self.k - rest));
            steps.push(Step::chain(rest, true));
        }
        vec![Part::new(0..whole, 0..1, steps), alone]
    }

    /// The kernels of oneDNN's sgemm; one row is a dot product in eight lanes.
    fn tiles(&self) -> Vec<Part> {
        if self.rows == 1 {
            let dot = Step::Fold {
                len: self.k,
                fresh: true,
                fold: Fold::Lanes {
                    head: 0,
                    lanes: 8,
                    group: 1,
                    join: Join::Horizontal,
                    fused: true,
                },
            };
            return vec![Part::new(0..1, 0..self.columns, vec![dot])];
        }
        gemm::tiles_avx2(self.rows, self.columns, self.k)
            .into_iter()
            .map(|(rows, columns, steps)| Part::new(rows, columns, steps))
            .collect()
    }

    /// What one thread does.
    fn share(&self, rows: Range<usize>, columns: Range<usize>, parts: &mut Vec<Part>) {
        let tile = self.tile();
        let [m, n] = [rows.len(), columns.len()];
        if m < tile.least[0] || n < tile.least[1] || self.k < tile.least_k {
            let compatible_dgemm = self.blocks == KBlocks::Compatible && self.double;
            if compatible_dgemm && m > 1 && n > 1 && self.form == Form::Transposed {
                return self.right_edge(&rows, &columns, parts);
            }
            return self.small(&rows, &columns, &self.uncut(), parts);
        }
        if matches!(self.blocks, KBlocks::Sse(_)) && self.form == Form::Plain {
            return self.sse_share(&rows, &columns, parts);
        }
        let below = rows.start + m / tile.unit[0] * tile.unit[0];
        let beside = columns.start + n / tile.unit[1] * tile.unit[1];
        let cut = self.cut();
        parts.push(Part::new(
            rows.start..below,
            columns.start..beside,
            self.big(&cut),
        ));
        self.small(&(below..rows.end), &(columns.start..beside), &cut, parts);
        self.right_edge(&rows, &(beside..columns.end), parts);
    }

    /// SSE on Intel: four rows at a time; the rows that are left are dot products in four lanes. (Where columns are left
    /// too, those follow a sequence that is not known.)
    fn sse_share(&self, rows: &Range<usize>, columns: &Range<usize>, parts: &mut Vec<Part>) {
        let below = rows.start + rows.len() / 4 * 4;
        let cut = self.cut();
        let dots = blocks::folded(&cut, |len| Step::Fold {
            len,
            fresh: true,
            fold: Fold::Lanes {
                head: 0,
                lanes: 4,
                group: 4,
                join: Join::Halving,
                fused: false,
            },
        });
        let whole = Part::new(rows.start..below, columns.clone(), self.big(&cut));
        let rest = Part::new(below..rows.end, columns.clone(), dots);
        parts.extend([whole, rest]);
    }

    /// Columns that the tiles leave over, in full height.
    fn right_edge(&self, rows: &Range<usize>, columns: &Range<usize>, parts: &mut Vec<Part>) {
        if self.form == Form::Plain {
            return self.small(rows, columns, &self.uncut(), parts);
        }
        let [a, b, _] = self.offsets;
        for column in columns.clone() {
            for (at, step) in self.dots(rows.len(), a + rows.start * self.k, b + column * self.k) {
                let at = rows.start + at.start..rows.start + at.end;
                parts.push(Part::new(at, column..column + 1, vec![step]));
            }
        }
    }

    /// K as a whole.
    fn uncut(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.k).collect()
    }

    /// Blocks of K. From 16 threads on, dgemm has sgemm's.
    fn cut(&self) -> Vec<Range<usize>> {
        let blocks = match self.blocks {
            KBlocks::Even(most) if self.double && self.threads >= 16 => KBlocks::Even(most / 4 * 3),
            blocks => blocks,
        };
        blocks.ranges(self.double, self.k)
    }

    fn big(&self, cut: &[Range<usize>]) -> Vec<Step> {
        match (self.blocks, self.double) {
            (KBlocks::Compatible | KBlocks::Sse(_), _) => {
                blocks::folded(cut, |len| Step::fresh_chain(len, false))
            }
            (_, false) => blocks::folded(cut, |len| Step::fresh_chain(len, true)),
            // the total goes on from block to block; an odd K is filled up with +0 times +0
            (_, true) => {
                let mut steps = vec![Step::chain(self.k, true)];
                if !self.k.is_multiple_of(2) {
                    steps.push(Step::Sub(vec![Step::Begin { negative: false }]));
                }
                steps
            }
        }
    }
}
