//! The memo: numbered references to values.
//!
//! Writers count from 0 (or 1), so a plain vector serves; but a file may name any index up to 2^64 - 1, and a vector
//! would allocate up to it. Indices far beyond those in use go to a map.

use std::collections::HashMap;

use super::value::ValueId;
use crate::bytes::Budget;
use crate::error::Result;

#[derive(Default)]
pub(super) struct Memo {
    dense: Vec<Option<ValueId>>,
    sparse: HashMap<u64, ValueId>,
    len: u64,
}

impl Memo {
    /// How many indices are in use; MEMOIZE's next index.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn get(&self, index: u64) -> Option<ValueId> {
        let dense = usize::try_from(index).ok().and_then(|i| self.dense.get(i));
        dense
            .copied()
            .flatten()
            .or_else(|| self.sparse.get(&index).copied())
    }

    pub(super) fn put(&mut self, index: u64, value: ValueId, budget: &mut Budget) -> Result<()> {
        if self.get(index).is_none() {
            self.len += 1;
        }
        // by how many are in use, so that holes never outnumber them
        let near = usize::try_from(self.len)
            .unwrap_or(usize::MAX)
            .saturating_mul(2)
            .saturating_add(64);
        match usize::try_from(index) {
            Ok(i) if i < near && !self.sparse.contains_key(&index) => {
                if i >= self.dense.len() {
                    let more = i + 1 - self.dense.len();
                    budget.reserve(&mut self.dense, more)?;
                    self.dense.resize(i + 1, None);
                }
                self.dense[i] = Some(value);
            }
            _ => {
                // twice: the table doubles where it is full
                budget.spend(2 * size_of::<(u64, ValueId)>())?;
                self.sparse.insert(index, value);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Memo;
    use crate::bytes::Budget;
    use crate::pickle::ValueId;

    #[test]
    fn far_indices_cost_no_more_than_near_ones() {
        let mut budget = Budget::new(1 << 12, "the memo");
        let mut memo = Memo::default();
        for (n, index) in [0, 1, u64::from(u32::MAX), u64::MAX, 5000, 2]
            .into_iter()
            .enumerate()
        {
            memo.put(index, ValueId(n as u32), &mut budget).unwrap();
        }
        assert_eq!(memo.get(u64::MAX), Some(ValueId(3)));
        assert_eq!(memo.get(5000), Some(ValueId(4)));
        assert_eq!(memo.get(3), None);
        assert_eq!(memo.len(), 6);
    }

    #[test]
    fn an_index_put_far_away_stays_itself_when_the_vector_reaches_it() {
        let mut budget = Budget::new(1 << 20, "the memo");
        let mut memo = Memo::default();
        memo.put(1000, ValueId(7), &mut budget).unwrap();
        for i in 0..1000 {
            memo.put(i, ValueId(i as u32), &mut budget).unwrap();
        }
        memo.put(1000, ValueId(8), &mut budget).unwrap();
        assert_eq!(memo.get(1000), Some(ValueId(8)));
        assert_eq!(memo.len(), 1001);
    }
}
