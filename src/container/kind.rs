//! What kind of file is this? By its first bytes; by its name only where bytes alone would be a guess.

use std::path::Path;

use crate::error::{Error, Result};

use super::foreign;

/// What a file is, as far as its first bytes tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A zip: what `torch.save` writes since 1.6; TorchScript, `.pt2` and `.npz` too.
    Zip,
    /// safetensors.
    Safetensors,
    /// Pickles in a row and raw storages: what `torch.save` wrote before 1.6.
    LegacyTorch,
    /// A tar: what `torch.save` wrote before 0.1.10, among others.
    Tar,
    /// A pickle that is not `torch.save`'s.
    RawPickle,
    /// `numpy.save`.
    Npy,
    /// The JSON index of a sharded checkpoint (`weight_map`).
    ShardIndex,
    /// Something that holds no checkpoint that this program reads.
    Foreign(Foreign),
}

/// A file of another kind, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// One line: `is an HTML page ("Sign in"), not a checkpoint`.
    pub message: String,
    /// What to do; one line.
    pub hint: String,
}

/// LONG1 of torch's legacy magic number 0x1950a86a20f9469cfc6c.
const LEGACY_MAGIC: &[u8] = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19";
/// The same as protocols 0 and 1 write it.
const LEGACY_MAGIC_TEXT: &[u8] = b"L119547037146038801333356L";
/// A safetensors header is at most 100 MB by its own rule; more than this is another file's text.
const SAFETENSORS_HEADER: u64 = 1 << 32;
/// Bytes that [`FileKind::detect`] looks at.
const LOOKED_AT: usize = 64 << 10;

impl FileKind {
    /// Detects the kind of the file at `path` that begins with (or is) `bytes`. Never fails: what is not known is
    /// [`FileKind::Foreign`]. At most the first 64 KiB are looked at.
    pub fn detect(bytes: &[u8], path: &Path) -> FileKind {
        let head = &bytes[..bytes.len().min(LOOKED_AT)];
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            FileKind::Zip
        } else if is_legacy(head) {
            FileKind::LegacyTorch
        } else if head.starts_with(b"\x93NUMPY") {
            FileKind::Npy
        } else if head.get(257..262) == Some(b"ustar") {
            FileKind::Tar
        } else if is_safetensors(head) {
            FileKind::Safetensors
        } else if is_binary_pickle(head) {
            FileKind::RawPickle
        } else if let Some(foreign) = foreign::by_magic(head, path) {
            FileKind::Foreign(foreign)
        } else if is_shard_index(head) {
            FileKind::ShardIndex
        } else if is_text_pickle(bytes) {
            FileKind::RawPickle
        } else {
            FileKind::Foreign(foreign::by_guess(head, bytes.len(), path))
        }
    }

    /// What it is, in a few words: `a zip archive`.
    pub fn name(&self) -> &'static str {
        match self {
            FileKind::Zip => "a zip archive",
            FileKind::Safetensors => "a safetensors file",
            FileKind::LegacyTorch => "a legacy torch checkpoint (torch.save before 1.6)",
            FileKind::Tar => "a tar archive (torch.save before 0.1.10, or another)",
            FileKind::RawPickle => "a pickle that torch.save did not write",
            FileKind::Npy => "a numpy array",
            FileKind::ShardIndex => "the index of a sharded checkpoint",
            FileKind::Foreign(_) => "no checkpoint",
        }
    }

    /// The error for a file that holds no checkpoint; `Ok` for all other kinds.
    pub fn known(self) -> Result<FileKind> {
        match self {
            FileKind::Foreign(foreign) => Err(foreign_error(&foreign)),
            kind => Ok(kind),
        }
    }
}

/// One line about what the file is, and a hint about what to do.
pub fn foreign_error(foreign: &Foreign) -> Error {
    Error::unsupported(&foreign.message).with_hint(&foreign.hint)
}

fn is_legacy(head: &[u8]) -> bool {
    // PROTO, perhaps FRAME, then the number
    let start = &head[..head.len().min(32)];
    start.windows(LEGACY_MAGIC.len()).any(|w| w == LEGACY_MAGIC)
        || start.starts_with(LEGACY_MAGIC_TEXT)
}

fn is_safetensors(head: &[u8]) -> bool {
    // the length of the header, then the header, which must begin with a brace
    match head {
        [a, b, c, d, e, f, g, h, b'{', ..] => {
            let length = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
            (2..SAFETENSORS_HEADER).contains(&length)
        }
        _ => false,
    }
}

fn is_binary_pickle(head: &[u8]) -> bool {
    // PROTO, then an opcode that can begin a pickle
    matches!(head, [0x80, 2..=5, first, ..] if *first >= 0x80 || b"(]})cCXUTBKMJNG".contains(first))
}

/// Protocols 0 and 1 have no signature: a few beginnings that text does not have, and STOP at the end.
fn is_text_pickle(bytes: &[u8]) -> bool {
    const BEGINNINGS: &[&[u8]] = &[
        b"(dp",
        b"(lp",
        b"(tp",
        b"(d.",
        b"(l.",
        b"(t.",
        b"(dS",
        b"(lS",
        b"(S'",
        b"(ccopy_reg",
        b"(i__main__",
        b"ccopy_reg\n",
        b"ccollections\n",
        b"c__builtin__\n",
        b"cbuiltins\n",
        b"ctorch",
        b"cnumpy",
        b"}q",
        b"]q",
        b"(cp",
        b"}.",
        b"].",
        b").",
    ];
    BEGINNINGS.iter().any(|b| bytes.starts_with(b)) && bytes.ends_with(b".")
}

fn is_shard_index(head: &[u8]) -> bool {
    let text = head.trim_ascii_start();
    text.starts_with(b"{") && text.windows(12).any(|w| w == b"\"weight_map\"")
}
