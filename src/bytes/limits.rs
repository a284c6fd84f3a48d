//! Limits that hostile files run into before memory does.

use crate::error::{Error, Result};

/// Memory that the values of a pickle may take for each byte that it has in the file; the densest take about 80.
const MEMORY_RATIO: u64 = 128;
/// Memory that the values of any pickle may take.
const MEMORY_FREE: u64 = 64 << 20;
/// Bytes that a record may inflate to, however few it is kept in.
const INFLATED_FREE: u64 = 16 << 20;
/// The same of a storage, whose numbers may be all alike: it is inflated when somebody asks for it, and then dropped.
const STORAGE_FREE: u64 = 64 << 20;

macro_rules! limits {
    ($($(#[doc = $doc:literal])+ $name:ident: $type:ty = $value:expr;)+) => {
        /// Upper bounds, each spent before the memory it stands for is taken.
        ///
        /// Errors of the kind [`crate::ErrorKind::Limit`] name the limit in brackets; `--limit NAME=VALUE` raises it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Limits {
            $($(#[doc = $doc])+ pub $name: $type,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $value,)+ }
            }
        }

        impl Limits {
            /// Name, value and meaning (on one line) of each.
            pub fn table(&self) -> Vec<(&'static str, u64, &'static str)> {
                vec![$((stringify!($name), self.$name as u64, concat!($($doc),+).trim_ascii()),)+]
            }

            /// Sets one by its name; `false` where there is none of that name.
            pub fn set(&mut self, name: &str, value: u64) -> bool {
                match name {
                    // what does not fit the machine's addresses is no limit on it
                    $(stringify!($name) => self.$name = <$type>::try_from(value).unwrap_or(<$type>::MAX),)+
                    _ => return false,
                }
                true
            }
        }
    };
}

limits! {
    /// Zip records.
    records: usize = 4_000_000;
    /// Bytes of one pickle (inflated).
    pickle_bytes: usize = 1 << 30;
    /// Bytes of a safetensors or npy header.
    header_bytes: usize = 256 << 20;
    /// Axes of a tensor in a safetensors header; torch computes with at most 64.
    axes: usize = 65_536;
    /// Opcodes of one pickle.
    pickle_steps: u64 = 200_000_000;
    /// Bytes owned by the values of one pickle, or of JSON. Unless it is set, no more than 128 for each byte that the file
    /// keeps of the pickle, beyond 64 MiB.
    pickle_memory: usize = 2 << 30;
    /// Nodes of the tree that a checkpoint is unfolded into (shared values count at each place they show).
    tree_nodes: usize = 20_000_000;
    /// Depth of that tree.
    tree_depth: usize = 1000;
    /// Bytes of that tree, with the names of the tensors in it: this many, and 32 more for each byte of the pickle. What
    /// a file shares many times multiplies here.
    tree_bytes: usize = 48 << 20;
    /// Bytes that each byte of a compressed record may inflate to, beyond the first 16 MiB (of a storage 64 MiB).
    inflate_ratio: u64 = 200;
    /// Expressions that may be evaluated when the program in a file is followed, for its shapes.
    program_steps: u64 = 20_000_000;
    /// Bytes of one inflated storage, or of one tensor copied out of its storage.
    tensor_bytes: usize = 64 << 30;
    /// Pixels of a picture: as many as PIL takes without a warning.
    picture_pixels: usize = 89_478_485;
}

impl Limits {
    /// Bytes that a compressed record of `stored_len` bytes may inflate to.
    pub fn inflated(&self, stored_len: u64) -> usize {
        self.inflated_beyond(stored_len, INFLATED_FREE)
    }

    /// Bytes that a compressed storage of `stored_len` bytes may inflate to; also all those of a file of that length
    /// together, where one after another is inflated to be checked.
    pub fn inflated_storage(&self, stored_len: u64) -> usize {
        self.inflated_beyond(stored_len, STORAGE_FREE)
    }

    fn inflated_beyond(&self, stored_len: u64, free: u64) -> usize {
        let most = stored_len.saturating_mul(self.inflate_ratio).max(free);
        usize::try_from(most).unwrap_or(usize::MAX)
    }

    /// These limits for a pickle of `stored_len` bytes in the file: unless [`Limits::pickle_memory`] was set, its values
    /// may take no more than what a pickle of that many bytes can ask for, so that one that is compressed a thousandfold
    /// cannot multiply that again.
    #[must_use]
    pub fn for_pickle(&self, stored_len: u64) -> Self {
        self.for_inflated(stored_len, 0)
    }

    /// The same where the pickle had to be inflated to `inflated` bytes, which count as its values do.
    #[must_use]
    pub fn for_inflated(&self, stored_len: u64, inflated: usize) -> Self {
        let mut limits = self.clone();
        if self.pickle_memory == Self::default().pickle_memory {
            let most = stored_len.saturating_mul(MEMORY_RATIO).max(MEMORY_FREE);
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            limits.pickle_memory = self.pickle_memory.min(most).saturating_sub(inflated);
        }
        limits
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

#[cfg(test)]
mod tests {
    use super::Limits;

    #[test]
    fn every_limit_is_in_the_table_and_can_be_set() {
        let mut limits = Limits::default();
        let names: Vec<_> = limits.table().into_iter().map(|row| row.0).collect();
        assert!(names.len() >= 10);
        for name in names {
            assert!(limits.set(name, 7), "{name}");
        }
        assert!(
            limits
                .table()
                .iter()
                .all(|&(_, value, meaning)| value == 7 && meaning.ends_with('.'))
        );
        assert!(!limits.set("memory", 1));
    }

    #[test]
    fn what_is_compressed_far_may_not_ask_for_more() {
        let limits = Limits::default();
        assert_eq!(limits.inflated(1000), 16 << 20);
        assert_eq!(limits.inflated(1 << 20), 200 << 20);
        assert_eq!(limits.inflated_storage(1000), 64 << 20);
        assert_eq!(limits.inflated_storage(1 << 20), 200 << 20);
        assert_eq!(limits.for_pickle(1000).pickle_memory, 64 << 20);
        assert_eq!(limits.for_pickle(1 << 20).pickle_memory, 128 << 20);
        assert_eq!(limits.for_pickle(1 << 30).pickle_memory, 2 << 30);
        assert_eq!(limits.for_inflated(1000, 60 << 20).pickle_memory, 4 << 20);
        assert_eq!(limits.for_inflated(1000, 65 << 20).pickle_memory, 0);
        // who sets it means it
        let set = Limits {
            pickle_memory: 1 << 30,
            ..Limits::default()
        };
        assert_eq!(set.for_inflated(1000, 65 << 20).pickle_memory, 1 << 30);
    }
}
