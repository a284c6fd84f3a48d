//! MKL's small loops: products that are too small for the big kernels, and what those leave at the edges.
//!
//! None of them is fused. They read or write 16 bytes at a time and take single elements up to the first 16-byte
//! boundary, so that the order of an element depends on addresses.

use std::ops::Range;

use super::blocks;
use super::product::Form;
use super::product::Part;
use super::product::Product;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::Step;

/// Products that the long loops take at a time.
const GROUP: usize = 8;

impl Product {
    /// Elements from `offset` to the next 16-byte boundary.
    fn short_of_boundary(&self, offset: usize) -> usize {
        offset.wrapping_neg() % self.alignment()
    }

    /// Elements of a product's vector register: 16 bytes.
    fn lanes(&self) -> usize {
        if self.double { 2 } else { 4 }
    }

    /// A matrix times a vector: each of `width` elements is a dot product of a row of the matrix, `matrix` elements
    /// from a boundary, and the vector, `vector` elements from one. Gives the elements and their steps.
    pub(super) fn dots(
        &self,
        width: usize,
        matrix: usize,
        vector: usize,
    ) -> Vec<(Range<usize>, Step)> {
        let whole = width / 4 * 4;
        // four rows at once: the boundary is that of the fourth one, past its first element
        let head = 1 + self.short_of_boundary(matrix + 3 * self.k + 1);
        // the sum begins with the first product, not with +0
        let dot = |head, lanes, group| {
            let begin = Step::Begin { negative: true };
            Step::Sub(vec![begin, self.dot(self.k, false, head, lanes, group)])
        };
        let mut dots = vec![(0..whole, dot(head, self.lanes(), self.lanes()))];
        let head = 1 + self.short_of_boundary(vector + 1);
        let rest = width - whole;
        for at in 0..rest {
            // the rows that are left take as many registers as there are to spare
            let lanes = match (at, rest, self.double) {
                (1, _, _) => self.lanes(),
                (0, 2 | 3, true) => 4,
                _ => GROUP,
            };
            dots.push((whole + at..whole + at + 1, dot(head, lanes, GROUP)));
        }
        dots.retain(|(elements, _)| !elements.is_empty());
        dots
    }

    /// A share, or an edge of one, by the small loops; `cut` is how its K is cut.
    pub(super) fn small(
        &self,
        rows: &Range<usize>,
        columns: &Range<usize>,
        cut: &[Range<usize>],
        parts: &mut Vec<Part>,
    ) {
        let misaligned = |column| match self.form {
            Form::Plain => {
                self.short_of_boundary(self.offsets[2] + column * self.rows + rows.start)
            }
            Form::Transposed => self.short_of_boundary(self.offsets[1] + column * self.k),
        };
        if rows.is_empty() {
            return;
        }
        let mut start = columns.start;
        while start < columns.end {
            let head = misaligned(start);
            let alike = (start..columns.end).take_while(|&column| misaligned(column) == head);
            let run = start..start + alike.count();
            start = run.end;
            match self.form {
                Form::Plain => self.small_plain(rows, &run, head, cut, parts),
                Form::Transposed => self.small_transposed(rows, &run, head, cut, parts),
            }
        }
    }

    /// Down the columns of the output: the elements up to its first boundary in eights, the others in sequence.
    fn small_plain(
        &self,
        rows: &Range<usize>,
        columns: &Range<usize>,
        head: usize,
        cut: &[Range<usize>],
        parts: &mut Vec<Part>,
    ) {
        let peel = if rows.len() >= head + self.lanes() {
            head
        } else {
            0
        };
        let eights = blocks::folded(cut, |len| Step::Fold {
            len,
            fresh: false,
            fold: Fold::Eights,
        });
        let chains = blocks::folded(cut, |len| Step::chain(len, false));
        let middle = rows.start + peel;
        parts.push(Part::new(rows.start..middle, columns.clone(), eights));
        parts.push(Part::new(middle..rows.end, columns.clone(), chains));
    }

    /// Dot products of rows of both matrices: four rows of the first at once, then those that are left.
    fn small_transposed(
        &self,
        rows: &Range<usize>,
        columns: &Range<usize>,
        head: usize,
        cut: &[Range<usize>],
        parts: &mut Vec<Part>,
    ) {
        let middle = rows.start + rows.len() / 4 * 4;
        for (rows, lanes, group) in [
            (rows.start..middle, self.lanes(), self.lanes()),
            (middle..rows.end, GROUP, GROUP),
        ] {
            let steps = blocks::folded(cut, |len| self.dot(len, true, head, lanes, group));
            parts.push(Part::new(rows, columns.clone(), steps));
        }
    }

    /// A dot product by SSE lanes: `head` products in sequence, then groups, then the rest in sequence.
    fn dot(&self, len: usize, fresh: bool, head: usize, lanes: usize, group: usize) -> Step {
        let join = if self.double && lanes == GROUP {
            Join::Registers
        } else {
            Join::Halving
        };
        Step::Fold {
            len,
            fresh,
            fold: Fold::Lanes {
                head,
                lanes,
                group,
                join,
                fused: false,
            },
        }
    }
}
