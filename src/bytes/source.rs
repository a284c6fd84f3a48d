//! The bytes of a file: a memory map, or an owned buffer.
#![allow(unsafe_code)] // the memory map; one of the crate's two files with unsafe

use std::ops::Deref;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Read-only bytes, cheap to clone.
#[derive(Clone, Debug)]
pub struct ByteSource(Inner, Option<Range<usize>>);

#[derive(Clone, Debug)]
enum Inner {
    Owned(Arc<[u8]>),
    Mapped(Arc<memmap2::Mmap>),
}

impl ByteSource {
    /// Maps the file at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        let file =
            std::fs::File::open(path).map_err(|e| Error::io(path, "cannot be opened", &e))?;
        let metadata = file
            .metadata()
            .map_err(|e| Error::io(path, "cannot be read", &e))?;
        if metadata.is_dir() {
            return Err(Error::usage("is a folder, not a checkpoint file").in_file(path));
        }
        if metadata.len() == 0 {
            return Ok(Self::from(Vec::new())); // an empty file cannot be mapped
        }
        // SAFETY: the map is read-only and private to this process. Another process that cuts the file off while it
        // is mapped would end this one with SIGBUS, and one that writes to it would change bytes under a `&[u8]`;
        // both are inherent to memory maps and stated in the README. No code here keeps a decoded invariant that a
        // changed byte could break: every read is bounds-checked against the map's length, which does not change.
        let map = unsafe { memmap2::Mmap::map(&file) }
            .map_err(|e| Error::io(path, "cannot be mapped", &e))?;
        Ok(Self(Inner::Mapped(Arc::new(map)), None))
    }
}

impl ByteSource {
    /// A part of the bytes, as a source of its own; nothing is copied. What lies beyond the end is left out.
    #[must_use]
    pub fn slice(&self, part: Range<usize>) -> Self {
        let base = self.1.as_ref().map_or(0, |part| part.start);
        let end = part.end.min(self.len());
        let start = part.start.min(end);
        Self(self.0.clone(), Some(base + start..base + end))
    }
}

/// How the bytes are about to be read; a hint to the operating system, where it takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Long runs, as storages are read.
    Runs,
    /// A few bytes here and there, as headers are: nothing around them is worth fetching from the disk.
    Scattered,
}

impl ByteSource {
    /// Says how the bytes are about to be read. Changes speed and nothing else.
    pub fn expect(&self, access: Access) {
        #[cfg(unix)]
        if let Inner::Mapped(map) = &self.0 {
            // a hint: where it is not taken, everything still works
            let _ = map.advise(match access {
                Access::Runs => memmap2::Advice::Normal,
                Access::Scattered => memmap2::Advice::Random,
            });
        }
        #[cfg(not(unix))]
        let _ = access;
    }
}

impl From<Vec<u8>> for ByteSource {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Inner::Owned(bytes.into()), None)
    }
}

impl Deref for ByteSource {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        let whole: &[u8] = match &self.0 {
            Inner::Owned(bytes) => bytes,
            Inner::Mapped(map) => map,
        };
        match &self.1 {
            Some(part) => whole.get(part.clone()).unwrap_or(&[]), // inside: slice() saw to it
            None => whole,
        }
    }
}

impl AsRef<[u8]> for ByteSource {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::ByteSource;

    #[test]
    fn slices_of_slices() {
        let source = ByteSource::from((0..10).collect::<Vec<u8>>());
        let part = source.slice(2..8);
        assert_eq!(part[..], [2, 3, 4, 5, 6, 7]);
        assert_eq!(part.slice(1..3)[..], [3, 4]);
        assert_eq!(part.slice(4..100)[..], [6, 7]);
        assert!(part.slice(50..60).is_empty());
    }
}
