//! Two traces of one element beside each other: where do two orders part?
//!
//! Taps are what both have in common, so the n-th tap of one stands beside the n-th tap of the other, and what happens
//! between taps (a bias, a partial sum that joins) gets lines of its own.

use super::Row;
use super::Trace;
use super::same_bits;
use crate::execute::Real;

/// Two traces of one element side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// Row of the one, row of the other; those of one pair belong to the same place.
    pub rows: Vec<(Option<usize>, Option<usize>)>,
    /// The first pair from which on they differ; `None` where they never do.
    pub part_at: Option<usize>,
}

impl Pair {
    /// Puts the n-th tap of one beside the n-th tap of the other; what lies between taps has places of its own,
    /// unless both do the same there.
    pub fn of<R: Real>(one: &Trace<R>, other: &Trace<R>) -> Self {
        let mut rows = Vec::new();
        let (mut i, mut j) = (0, 0);
        loop {
            match (one.rows.get(i), other.rows.get(j)) {
                (None, None) => break,
                (Some(a), Some(b)) if is_tap(a) == is_tap(b) => {
                    rows.push((Some(i), Some(j)));
                    (i, j) = (i + 1, j + 1);
                }
                (Some(a), b) if !is_tap(a) || b.is_none() => {
                    rows.push((Some(i), None));
                    i += 1;
                }
                _ => {
                    rows.push((None, Some(j)));
                    j += 1;
                }
            }
        }
        let same = |&(i, j): &(Option<usize>, Option<usize>)| match (i, j) {
            (Some(i), Some(j)) => alike(&one.rows[i], &other.rows[j]),
            // what has no counterpart and changes nothing is no parting
            _ => false,
        };
        let part_at = rows.iter().position(|pair| !same(pair));
        Self { rows, part_at }
    }
}

fn is_tap<R>(row: &Row<R>) -> bool {
    row.what.factors().is_some()
}

/// Whether both do the same with the same result.
fn alike<R: Real>(a: &Row<R>, b: &Row<R>) -> bool {
    let same_term = match (a.what.factors(), b.what.factors()) {
        (Some(a), Some(b)) => a.tap == b.tap,
        (None, None) => true,
        _ => false,
    };
    let same_kind = std::mem::discriminant(&a.what) == std::mem::discriminant(&b.what);
    same_term && same_kind && same_bits(a.sum, b.sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::FloatType;
    use crate::execute::order::interpret::Operands;
    use crate::execute::order::tests::values;

    #[test]
    fn traces_part_where_the_orders_do() {
        let g = crate::execute::conv2d::resolve(
            [1, 20, 3, 3],
            [4, 20, 3, 3],
            None,
            &crate::execute::Arguments::default(),
        )
        .unwrap();
        let (input, weight) = (values(3, 180), values(5, 720));
        let bias = [0.5, 0.25, 1.0, 2.0];
        let operands = Operands {
            input: &input,
            weight: &weight,
            bias: Some(&bias),
        };
        let trace = |name: &str| {
            Trace::of(
                &name.parse().unwrap(),
                &g,
                &operands,
                FloatType::Float32,
                [0, 1, 0],
            )
            .unwrap()
        };
        let blocks = trace("custom/hwc-ic16-each_block-fma-bias_first");
        let same = Pair::of(&blocks, &blocks);
        assert_eq!(same.part_at, None);
        assert_eq!(same.rows.len(), blocks.rows.len());
        // bias, then 144 products to a part of their own; in one chain they start from the bias
        let chain = trace("custom/hwc-ic16-fma-bias_start");
        assert_eq!(Pair::of(&chain, &blocks).part_at, Some(1));
        let last = trace("custom/hwc-ic16-fma-bias_last");
        assert_eq!(Pair::of(&chain, &last).part_at, Some(0));
    }
}
