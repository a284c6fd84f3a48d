//! The owner of every byte, short enough to embed.

use serde::Serialize;

use crate::check::Owner;
use crate::check::Span;

/// Owners, as [`FileMap::spans`] counts them.
pub const OWNERS: [Owner; 7] = [
    Owner::Header,
    Owner::Descriptor,
    Owner::Directory,
    Owner::Record,
    Owner::Storage,
    Owner::Description,
    Owner::Gap,
];

/// Every byte of one file, in order.
#[derive(Debug, Serialize)]
pub struct FileMap {
    /// The file.
    pub file: String,
    /// Its bytes.
    pub size: u64,
    /// Names of the owners.
    pub owners: Vec<&'static str>,
    /// Runs of bytes with one owner, one after the other without gaps: length, number of the owner, of what, and of a
    /// storage the bytes that no tensor reaches.
    pub spans: Vec<(u64, usize, String, u64)>,
}

impl FileMap {
    /// From a check's map.
    pub fn of(file: &str, size: u64, map: &[Span]) -> Self {
        let number = |owner| OWNERS.iter().position(|&known| known == owner).unwrap_or(0);
        Self {
            file: file.to_owned(),
            size,
            owners: OWNERS.iter().map(|owner| owner.name()).collect(),
            spans: map
                .iter()
                .map(|span| {
                    let length = span.to - span.from;
                    (length, number(span.owner), span.what.clone(), span.slack)
                })
                .collect(),
        }
    }
}
