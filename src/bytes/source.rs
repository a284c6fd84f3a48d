//! The bytes of a file: a memory map, or an owned buffer.
#![allow(unsafe_code)] // the memory map; one of the crate's two files with unsafe

use std::io::Write;
use std::ops::Deref;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::error::{Error, Result};

/// Read-only bytes, cheap to clone.
#[derive(Clone, Debug)]
pub struct ByteSource(Inner, Option<Range<usize>>);

#[derive(Clone, Debug)]
enum Inner {
    Owned(Arc<[u8]>),
    Mapped(Arc<Mapped>),
}

#[derive(Debug)]
struct Mapped {
    map: memmap2::Mmap,
    /// The file itself, unless many are open already.
    file: Option<Kept>,
    /// Bytes of small pieces that were read and not let go of.
    crumbs: AtomicUsize,
}

/// Files that are kept open for [`ByteSource::peek`]: far fewer than a process may open, since a checkpoint may have
/// thousands of shards.
const OPEN: usize = 64;
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// One of the files that are kept open.
#[derive(Debug)]
struct Kept(std::fs::File);

impl Kept {
    fn of(file: std::fs::File) -> Option<Self> {
        if KEPT.fetch_add(1, Ordering::Relaxed) < OPEN {
            return Some(Self(file));
        }
        KEPT.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        KEPT.fetch_sub(1, Ordering::Relaxed);
    }
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
        let crumbs = AtomicUsize::new(0);
        let file = Kept::of(file);
        let mapped = Mapped { map, file, crumbs };
        Ok(Self(Inner::Mapped(Arc::new(mapped)), None))
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
        if let Inner::Mapped(mapped) = &self.0 {
            // a hint: where it is not taken, everything still works
            let _ = mapped.map.advise(match access {
                Access::Runs => memmap2::Advice::Normal,
                Access::Scattered => memmap2::Advice::Random,
            });
        }
        #[cfg(not(unix))]
        let _ = access;
    }
}

/// Bytes that are read one after the other before their pages are let go of.
const WINDOW: usize = 4 << 20;
/// Fewer are not worth a call of the operating system.
const CRUMB: usize = 64 << 10;
/// Until there are so many of them.
const CRUMBS: usize = 64 << 20;

impl ByteSource {
    /// Reads the bytes from `at` on into `buffer` without mapping their page: of a few bytes here and there, as headers
    /// are, that is far quicker. How many were read; `None` where the system has no such call, or the source is no file:
    /// the map has the same bytes.
    pub fn peek(&self, at: usize, buffer: &mut [u8]) -> Option<usize> {
        #[cfg(unix)]
        if let Inner::Mapped(mapped) = &self.0 {
            use std::os::unix::fs::FileExt;
            let base = self.1.as_ref().map_or(0, |part| part.start);
            let most = buffer.len().min(self.len().checked_sub(at)?);
            let file = &mapped.file.as_ref()?.0;
            return file.read_at(&mut buffer[..most], (base + at) as u64).ok();
        }
        let _ = (at, buffer);
        None
    }

    /// Copies `bytes`, which lie in this map, from its file to where `to` is written next, within the operating system.
    /// How many were copied: none where it cannot do that, and not all where it gave up; the rest is to be written.
    pub fn copy_to(&self, bytes: &[u8], to: &std::fs::File) -> usize {
        #[cfg(target_os = "linux")]
        if let Inner::Mapped(mapped) = &self.0
            && let (Some(file), Some(at)) = (&mapped.file, mapped.at(bytes))
        {
            let (mut from, end) = (at as u64, (at + bytes.len()) as u64);
            while from < end {
                let rest = usize::try_from(end - from).unwrap_or(usize::MAX);
                match rustix::fs::copy_file_range(&file.0, Some(&mut from), to, None, rest) {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {} // `from` has moved on
                }
            }
            return bytes.len() - (end - from) as usize;
        }
        let _ = (bytes, to);
        0
    }

    /// Lets go of the pages that hold `bytes`, where those lie in this map: they no longer count as this process's memory,
    /// and are mapped again when they are read again. So a file is read through in the memory of a piece of it.
    ///
    /// Of small pieces the pages stay, until many have come together.
    pub fn release(&self, bytes: &[u8]) {
        #[cfg(unix)]
        if let Inner::Mapped(mapped) = &self.0 {
            mapped.release(bytes);
        }
        #[cfg(not(unix))]
        let _ = bytes;
    }

    /// Reads `bytes`, which lie in this map, piece by piece, letting go of each piece that `each` has seen.
    pub fn pieces(&self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for piece in bytes.chunks(WINDOW) {
            each(piece);
            self.release(piece);
        }
    }
}

#[cfg(unix)]
impl Mapped {
    /// Where `bytes` lie in the map.
    fn at(&self, bytes: &[u8]) -> Option<usize> {
        let start = self.map.as_ptr() as usize;
        let at = (bytes.as_ptr() as usize).checked_sub(start);
        at.filter(|&at| at < self.map.len() && bytes.len() <= self.map.len() - at)
    }

    fn release(&self, bytes: &[u8]) {
        let Some(at) = self.at(bytes) else {
            return; // somebody else's
        };
        let (at, len) = if bytes.len() >= CRUMB {
            (at, bytes.len())
        } else if self.crumbs.fetch_add(bytes.len(), Ordering::Relaxed) + bytes.len() < CRUMBS {
            return;
        } else {
            self.crumbs.store(0, Ordering::Relaxed);
            (0, self.map.len())
        };
        // SAFETY: the map is of a file, shared and read-only, so nothing is lost: the range, which lies inside the map,
        // is read from the same file again. A hint: where it is not taken, everything still works.
        let _ = unsafe {
            self.map
                .unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, at, len)
        };
    }
}

/// A writer that hands on what it gets, and lets go of what of it lies in a map.
#[derive(Debug)]
pub struct Releasing<'a, W> {
    source: &'a ByteSource,
    out: W,
}

impl<'a, W: Write> Releasing<'a, W> {
    /// In front of `out`, for the bytes of `source`.
    pub fn new(source: &'a ByteSource, out: W) -> Self {
        Self { source, out }
    }

    /// The writer behind it.
    pub fn into_inner(self) -> W {
        self.out
    }
}

impl<W: Write> Write for Releasing<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(&bytes[..bytes.len().min(WINDOW)])?;
        self.source.release(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
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
            Inner::Mapped(mapped) => &mapped.map,
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
    use std::io::{Read, Seek, Write};

    use super::{ByteSource, Releasing, WINDOW};

    #[test]
    fn what_is_let_go_of_is_read_again() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..2 * WINDOW + 12_345)
            .map(|i| ((i * i) >> 7) as u8)
            .collect();
        file.write_all(&bytes).unwrap();
        for source in [
            ByteSource::open(file.path()).unwrap(),
            ByteSource::from(bytes.clone()),
        ] {
            let part = source.slice(777..source.len());
            let mut seen = Vec::new();
            part.pieces(&part, |piece| seen.extend_from_slice(piece));
            assert!(seen == bytes[777..]);
            let mut out = Releasing::new(&part, Vec::new());
            out.write_all(&part[5..]).unwrap();
            // bytes of somebody else are left alone
            out.write_all(&bytes[..WINDOW + 1]).unwrap();
            let out = out.into_inner();
            assert!(out[..part.len() - 5] == bytes[782..] && out.ends_with(&bytes[..WINDOW + 1]));
            let mut few = [0; 9];
            if let Some(read) = part.peek(3, &mut few) {
                assert_eq!((read, &few[..]), (9, &part[3..12]));
                assert_eq!(part.peek(part.len() - 2, &mut few), Some(2));
                assert_eq!(part.peek(part.len() + 1, &mut few), None);
            }
            source.release(&[]);
            let mut copy = tempfile::tempfile().unwrap();
            let done = part.copy_to(&part[9..], &copy);
            assert_eq!(part.copy_to(&bytes, &copy), 0, "somebody else's");
            let mut copied = Vec::new();
            copy.rewind().unwrap();
            copy.read_to_end(&mut copied).unwrap();
            assert!(copied == part[9..9 + done]);
            source.release(&source);
            assert!(source[..] == bytes);
        }
    }

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
