//! How MKL's threads share a product.

use std::ops::Range;

use super::product::Product;

/// Rows of a share are a multiple of this: float32, float64.
const ROWS: [usize; 2] = [16, 12];
/// Columns of a share are a multiple of this.
const COLUMNS: usize = 4;

impl Product {
    /// The shares, rows and columns; a single one where MKL stays on one thread.
    pub(super) fn shares(&self) -> Vec<[Range<usize>; 2]> {
        let [m, n] = [self.rows, self.columns];
        let (rows, columns) = if !self.is_threaded() {
            (deal(m, 1), deal(n, 1))
        } else if self.cnr && m > n {
            (deal(m, self.threads), deal(n, 1))
        } else if self.cnr {
            (deal(m, 1), deal(n, self.threads))
        } else {
            let [rows, columns] = self.grid();
            let unit = ROWS[usize::from(self.double)];
            (cut(m, rows, unit), cut(n, columns, COLUMNS))
        };
        let with_columns = |rows: Range<usize>| {
            let shares = columns.iter().cloned();
            shares.map(move |columns| [rows.clone(), columns])
        };
        rows.into_iter().flat_map(with_columns).collect()
    }

    fn is_threaded(&self) -> bool {
        let all_within = |size, k| self.rows <= size && self.columns <= size && self.k <= k;
        // a matrix times a vector stays on one
        let vector = self.rows == 1 || self.columns == 1;
        self.threads > 1 && !vector && !all_within(16, 16) && !all_within(100, 4)
    }

    /// Rows and columns of the grid of shares.
    fn grid(&self) -> [usize; 2] {
        let (m, n, threads) = (self.rows, self.columns, self.threads);
        match threads {
            // dgemm goes by the product's proportions
            _ if self.double && threads % 2 == 1 && n < m => [threads, 1],
            _ if self.double && threads % 2 == 1 => [1, threads],
            _ if self.double && 2 * n < m => [threads, 1],
            _ if self.double && n > 2 * m => [1, threads],
            _ if self.double && threads % 4 == 0 => [4, threads / 4],
            _ if self.double => [2, threads / 2],
            // sgemm by the number of threads only
            1 => [1, 1],
            2 => [1, 2],
            3 | 4 => [threads - 1, 1],
            _ => {
                let divides = |columns: &usize| threads % columns <= 1;
                let columns = (1..=(threads - 1).isqrt()).rev().find(divides).unwrap_or(1);
                [threads / columns, columns]
            }
        }
    }
}

/// `total` cut into at most `parts` of equal size, a multiple of `unit`; the last may be smaller.
fn cut(total: usize, parts: usize, unit: usize) -> Vec<Range<usize>> {
    let share = total.div_ceil(parts).next_multiple_of(unit);
    let starts = (0..total).step_by(share);
    starts
        .map(|start| start..total.min(start + share))
        .collect()
}

/// `total` dealt out to `parts`: where it does not come out even, the first ones have one more, but a single one that
/// is left over goes to the last.
fn deal(total: usize, parts: usize) -> Vec<Range<usize>> {
    let (each, over) = (total / parts, total % parts);
    let has_more = |part| {
        if over == 1 {
            part + 1 == parts
        } else {
            part < over
        }
    };
    let mut start = 0;
    let mut shares = Vec::new();
    for part in 0..parts {
        let end = start + each + usize::from(has_more(part));
        shares.push(start..end);
        start = end;
    }
    shares.retain(|share| !share.is_empty());
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::order::mkl::KBlocks;
    use crate::execute::order::mkl::product::Form;

    fn product(rows: usize, columns: usize, threads: usize) -> Product {
        Product {
            form: Form::Plain,
            blocks: KBlocks::Even(192),
            double: false,
            cnr: false,
            threads,
            rows,
            columns,
            k: 20,
            offsets: [0; 3],
        }
    }

    #[test]
    fn sgemm_grids_as_measured() {
        let grid = |threads| product(1000, 11, threads).grid();
        assert_eq!([2, 3, 4, 5].map(grid), [[1, 2], [2, 1], [3, 1], [2, 2]]);
        assert_eq!([6, 7, 8, 9].map(grid), [[3, 2], [3, 2], [4, 2], [4, 2]]);
        assert_eq!([10, 14, 16, 17].map(grid), [[3, 3], [7, 2], [5, 3], [4, 4]]);
        assert_eq!(
            [23, 25, 26, 32].map(grid),
            [[11, 2], [6, 4], [5, 5], [8, 4]]
        );
    }

    #[test]
    fn dgemm_grids_as_measured() {
        let grid = |rows, columns, threads| {
            Product {
                double: true,
                ..product(rows, columns, threads)
            }
            .grid()
        };
        assert_eq!(grid(17, 16, 3), [3, 1]);
        assert_eq!(grid(17, 17, 3), [1, 3]);
        assert_eq!(grid(53, 21, 6), [6, 1]);
        assert_eq!(grid(53, 29, 6), [2, 3]);
        assert_eq!(grid(17, 34, 8), [4, 2]);
        assert_eq!(grid(17, 35, 8), [1, 8]);
    }

    #[test]
    fn shares_of_rows_and_columns() {
        assert_eq!(
            product(33, 5, 5).shares(),
            [[0..32, 0..4], [0..32, 4..5], [32..33, 0..4], [32..33, 4..5],]
        );
        assert_eq!(product(16, 16, 5).k, 20);
        let few = Product {
            k: 16,
            ..product(16, 16, 5)
        };
        assert_eq!(few.shares(), [[0..16, 0..16]]);
        assert_eq!(product(500, 1, 4).shares(), [[0..500, 0..1]]);
        assert_eq!(deal(61, 6), [0..10, 10..20, 20..30, 30..40, 40..50, 50..61]);
        assert_eq!(deal(11, 4), [0..3, 3..6, 6..9, 9..11]);
        assert_eq!(deal(2, 4), [0..1, 1..2]);
    }
}
