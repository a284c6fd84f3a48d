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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::FileKind;
    use crate::error::ErrorKind;

    fn detect(bytes: &[u8]) -> FileKind {
        FileKind::detect(bytes, Path::new("model.pth"))
    }

    #[test]
    fn known_kinds() {
        let mut tar = vec![b'x'; 512];
        tar[257..263].copy_from_slice(b"ustar\0");
        let cases: &[(&[u8], FileKind)] = &[
            (b"PK\x03\x04\0\0\x08\x08", FileKind::Zip),
            (b"PK\x05\x06", FileKind::Zip),
            (
                b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
                FileKind::LegacyTorch,
            ),
            (
                b"\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
                FileKind::LegacyTorch,
            ),
            (
                b"L119547037146038801333356L\n.I1001\n.",
                FileKind::LegacyTorch,
            ),
            (b"\x93NUMPY\x01\0", FileKind::Npy),
            (&tar, FileKind::Tar),
            (b"\x02\0\0\0\0\0\0\0{}", FileKind::Safetensors),
            (b"\x80\x02}q\0.", FileKind::RawPickle),
            (b"\x80\x04\x95\x02\0\0\0\0\0\0\0}\x94.", FileKind::RawPickle),
            (b"(dp0\n.", FileKind::RawPickle),
            (
                b" {\"metadata\": {}, \"weight_map\": {}}",
                FileKind::ShardIndex,
            ),
        ];
        for (bytes, kind) in cases {
            assert_eq!(&detect(bytes), kind, "{}", bytes.escape_ascii());
            assert!(kind.clone().known().is_ok());
        }
    }

    #[test]
    fn foreign_kinds_say_what_they_are_and_what_to_do() {
        let cases: &[(&[u8], &str, &str)] = &[
            (b"", "is empty (0 bytes)", "get the file again"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 46830571\n",
                "is a git-lfs pointer to a file of 46830571 bytes, not the file itself",
                "git lfs pull",
            ),
            (
                b"\xef\xbb\xbf\n<!DOCTYPE html><html><head><TITLE lang=en>Sign in\n &#8211; Drive</Title>",
                "is a web page (HTML) titled \"Sign in &#8211; Drive\", not a checkpoint",
                "direct",
            ),
            (b"<html><body>x", "is a web page (HTML), not a checkpoint", "direct"),
            (
                b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>",
                "is a server's error message (XML): \"Request has expired\"",
                "get a new one",
            ),
            (b"\x1f\x8b\x08\0", "is a gzip archive, not a checkpoint that this program reads", "gunzip"),
            (b"7z\xbc\xaf\x27\x1c\0", "is a 7-Zip archive", "unpack"),
            (b"\xfd7zXZ\0", "is an xz archive", "unxz"),
            (b"\x28\xb5\x2f\xfd\0", "is a Zstandard archive", "unzstd"),
            (b"Rar!\x1a\x07\0", "is a RAR archive", "unpack"),
            (b"GGUF\x03\0", "is a GGUF file", "another framework"),
            (b"\x89HDF\r\n\x1a\n", "is an HDF5 file", "another framework"),
            (b"\x1c\0\0\0TFL3", "is a TensorFlow Lite model", "another framework"),
            (b"\x89PNG\r\n\x1a\n", "is a PNG picture", "wrong file"),
            (b"\xff\xd8\xff\xe0", "is a JPEG picture", "wrong file"),
            (b"%PDF-1.7", "is a PDF document", "wrong file"),
            (b"\x7fELF\x02", "is a Linux program or library", "wrong file"),
            (b"\x08\x07\x12\x07pytorch", "is an ONNX model, it seems", "another framework"),
            (b"\x5d\0\0\x80\0\xff", "is an LZMA archive", "unlzma"),
            (b"\x78\x9c\x01", "is zlib-compressed data", "decompress"),
            (b"\x82\xa6params\x81\xa4bias", "is msgpack data", "another framework"),
            (b"\xde\0\x20\xa6params\x81\xa4bias", "is msgpack data", "another framework"),
            (b"model_checkpoint_path: \"model.ckpt\"\n", "is the list of a TensorFlow checkpoint's files", "another framework"),
            (b"{\"error\":\"Rate limit exceeded\"}", "is a server's message (JSON): {\"error\":\"Rate limit", "download"),
            (b"{\0\0\x07learner", "is of no kind known here", "readable are"),
            (b"{\"a\": 1}", "is JSON text", "beside it"),
            (b"404: Not Found", "is text beginning with \"404: Not Found\"", "download"),
            ("\n  é\nb".as_bytes(), "is text beginning with \"é\"", "download"),
            (&[0; 100], "begins with 100 zero bytes", "did not finish"),
            (b"\xde\xad\xbe\xef", "is of no kind known here: it begins with the bytes de ad be ef", "readable are"),
        ];
        for (bytes, message, hint) in cases {
            let error = detect(bytes).known().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(
                error.message().starts_with(message),
                "{} / {message}",
                error.message()
            );
            assert!(
                error.hint().unwrap().contains(hint),
                "{:?} / {hint}",
                error.hint()
            );
        }
        let named: &[(&str, &[u8], &str)] = &[
            (
                "saved_model.pb",
                b"\x08\x01\x12\xa2\x01\n\x12",
                "is a TensorFlow SavedModel",
            ),
            (
                "model.ckpt.data-00000-of-00001",
                b"\xde\xad",
                "is the data of a TensorFlow checkpoint, by its name",
            ),
            (
                "model.ckpt.index",
                b"\0\0\x05",
                "is by its name a TensorFlow checkpoint's index",
            ),
            (
                "yolo.weights",
                b"\0\0\0\0\x02",
                "is by its name a Darknet model",
            ),
            ("model.onnx", b"\x08\x08\x12\x07pytorch", "is an ONNX model"),
        ];
        for (name, bytes, message) in named {
            let error = FileKind::detect(bytes, Path::new(name))
                .known()
                .unwrap_err();
            assert!(error.message().starts_with(message), "{name}: {error}");
        }
        let by_name = FileKind::detect(b"\xde\xad\xbe\xef", Path::new("graph.pb"))
            .known()
            .unwrap_err();
        assert!(
            by_name
                .message()
                .starts_with("is by its name a TensorFlow graph")
        );
    }

    #[test]
    fn text_cut_where_looking_ends_is_still_text() {
        let text = "é".repeat(super::LOOKED_AT);
        for shift in [0, 1] {
            let error = detect(&text.as_bytes()[2 * shift..]).known().unwrap_err();
            assert!(error.message().starts_with("is text"), "{error}");
        }
        let odd = format!("a{text}");
        assert!(
            detect(odd.as_bytes())
                .known()
                .unwrap_err()
                .message()
                .starts_with("is text")
        );
    }

    proptest! {
        #[test]
        fn detection_never_panics_and_stays_on_one_line(start in 0usize..8, bytes in any::<Vec<u8>>()) {
            let starts: [&[u8]; 8] = [b"", b"<html><title", b"<?xml <message", b"version https://git-lfs.github.com/", b"{", b"PK", b"\x80\x02", b"\x08\x01"];
            let bytes = [starts[start], &bytes].concat();
            if let FileKind::Foreign(foreign) = detect(&bytes) {
                prop_assert!(!foreign.message.contains(|c: char| c.is_control()));
                prop_assert!(foreign.message.len() < 500);
            }
        }
    }
}
