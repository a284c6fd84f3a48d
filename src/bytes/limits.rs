//! Limits that hostile files run into before memory does.

use crate::error::{Error, Result};

/// Bytes that a record may inflate to, however few it is kept in.
const INFLATED_FREE: u64 = 16 << 20;

/// Upper bounds, each spent before the memory it stands for is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Zip records.
    pub records: usize,
    /// Bytes of one pickle (inflated).
    pub pickle_bytes: usize,
    /// Bytes of a safetensors or npy header.
    pub header_bytes: usize,
    /// Opcodes of one pickle.
    pub pickle_steps: u64,
    /// Bytes owned by the values of one pickle.
    pub pickle_memory: usize,
    /// Nodes of the tree that a checkpoint is unfolded into (shared values count at each place they show).
    pub tree_nodes: usize,
    /// Depth of that tree.
    pub tree_depth: usize,
    /// Bytes of that tree, with the names of the tensors in it: this many, and 64 more for each byte of the pickle. What
    /// a file shares many times multiplies here.
    pub tree_bytes: usize,
    /// Bytes that each byte of a compressed record may inflate to, beyond the first 16 MiB.
    pub inflate_ratio: u64,
    /// Bytes of one inflated storage, or of one tensor copied out of its storage.
    pub tensor_bytes: usize,
}

impl Limits {
    /// Bytes that a compressed pickle of `stored_len` bytes may inflate to.
    pub fn inflated(&self, stored_len: u64) -> usize {
        let most = stored_len.saturating_mul(self.inflate_ratio).max(INFLATED_FREE);
        usize::try_from(most).unwrap_or(usize::MAX).min(self.pickle_bytes)
    }
}

/// What is left of one limit on memory: spent before the memory is taken, never given back.
#[derive(Clone, Debug)]
pub struct Budget {
    total: usize,
    left: usize,
    what: &'static str,
}

impl Budget {
    /// `total` bytes, for `what` (as the error names it: `the values of the pickle`).
    pub fn new(total: usize, what: &'static str) -> Self {
        Self {
            total,
            left: total,
            what,
        }
    }

    /// Takes `bytes`, or fails with [`crate::ErrorKind::Limit`].
    pub fn spend(&mut self, bytes: usize) -> Result<()> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Error::limit(format!(
                "{} would take more than {} bytes of memory",
                self.what, self.total
            ))),
        }
    }

    /// Makes room for `more` further items in `vec`, at least doubling it where it must grow, and pays for the growth.
    pub fn reserve<T>(&mut self, vec: &mut Vec<T>, more: usize) -> Result<()> {
        if vec.capacity() - vec.len() >= more {
            return Ok(());
        }
        let wanted = vec.len().saturating_add(more);
        let capacity = wanted.max(vec.capacity().saturating_mul(2)).max(4);
        self.spend((capacity - vec.capacity()).saturating_mul(size_of::<T>()))?;
        vec.reserve_exact(capacity - vec.len());
        Ok(())
    }

    /// Appends `item` to `vec`, paying for growth.
    pub fn push<T>(&mut self, vec: &mut Vec<T>, item: T) -> Result<()> {
        self.reserve(vec, 1)?;
        vec.push(item);
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            records: 4_000_000,
            pickle_bytes: 1 << 30,
            header_bytes: 256 << 20,
            pickle_steps: 200_000_000,
            pickle_memory: 2 << 30,
            tree_nodes: 20_000_000,
            tree_depth: 1000,
            tree_bytes: 64 << 20,
            inflate_ratio: 200,
            tensor_bytes: 64 << 30,
        }
    }
}
