//! The bytes of a file: a memory map, or an owned buffer.
#![allow(unsafe_code)] // the memory map; one of the crate's two files with unsafe

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};

/// Read-only bytes, cheap to clone.
#[derive(Clone, Debug)]
pub struct ByteSource(Inner);

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
        Ok(Self(Inner::Mapped(Arc::new(map))))
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
        Self(Inner::Owned(bytes.into()))
    }
}

impl Deref for ByteSource {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Owned(bytes) => bytes,
            Inner::Mapped(map) => map,
        }
    }
}

impl AsRef<[u8]> for ByteSource {
    fn as_ref(&self) -> &[u8] {
        self
    }
}
