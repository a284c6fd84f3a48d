//! What a single file's bytes are that belong to no storage: pickles, headers, lengths.

use std::ops::Range;
use std::path::Path;

use crate::bytes::Limits;
use crate::checkpoint::legacy;
use crate::container::FileKind;
use crate::container::tar;
use crate::pickle;
use crate::safetensors::Header;

/// A run of bytes that describes, and what it is; it may reach over storages that lie in it.
pub(crate) struct Described {
    pub(crate) range: Range<usize>,
    pub(crate) what: String,
    /// Whether it is nothing but zeros between others.
    pub(crate) is_padding: bool,
}

impl Described {
    fn new(range: Range<usize>, what: impl Into<String>) -> Self {
        Self {
            range,
            what: what.into(),
            is_padding: false,
        }
    }
}

/// The runs of a file that is no zip; of a damaged one none.
pub(crate) fn described(path: &Path, bytes: &[u8], limits: &Limits) -> Vec<Described> {
    match FileKind::detect(bytes, path) {
        FileKind::LegacyTorch => {
            let runs = legacy::described(bytes, limits).unwrap_or_default();
            let runs = runs
                .into_iter()
                .map(|(run, what)| Described::new(run, what));
            runs.collect()
        }
        FileKind::RawPickle => match pickle::read(bytes, limits) {
            Ok(graph) => vec![Described::new(0..graph.consumed, "pickle")],
            Err(_) => Vec::new(),
        },
        FileKind::Safetensors => match Header::parse(bytes, limits) {
            Ok(header) => vec![Described::new(0..header.data_at, "length and header")],
            Err(_) => Vec::new(),
        },
        FileKind::Tar => of_tar(bytes, limits),
        _ => Vec::new(),
    }
}

/// Headers, the members' bytes, and what fills them up to blocks of 512.
fn of_tar(bytes: &[u8], limits: &Limits) -> Vec<Described> {
    let mut runs = Vec::new();
    let mut at = 0;
    for member in tar::members(bytes, limits).unwrap_or_default() {
        let head = format!("header of {}", member.name);
        runs.push(Described::new(at..member.data.start, head));
        at = member
            .data
            .end
            .next_multiple_of(tar::BLOCK)
            .min(bytes.len());
        let padding = member.data.end..at;
        runs.push(Described::new(member.data, member.name));
        runs.push(Described {
            is_padding: true,
            ..Described::new(padding, "up to a multiple of 512")
        });
    }
    if bytes[at..].iter().all(|&byte| byte == 0) {
        runs.push(Described {
            is_padding: true,
            ..Described::new(at..bytes.len(), "end of the tar")
        });
    }
    runs
}
