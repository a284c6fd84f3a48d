//! Several zips in one file, one after another, as a distributed checkpoint's file holds them.

use std::ops::Range;

use super::directory::Directory;
use crate::bytes::Limits;

/// The zips that lie in a file one after another, each from its first byte to the next one's; what lies before the
/// first of them is the first range, whatever it is. One range for a file of one zip, or of none.
///
/// Found from the end: an end record says where its zip begins, and before that another may end.
pub fn one_after_another(bytes: &[u8], limits: &Limits) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut end = bytes.len();
    while let Ok((directory, start)) = Directory::read_anywhere(&bytes[..end], limits) {
        let start = usize::try_from(start).unwrap_or(0);
        // an end record alone is a zip too, but one of nothing: it belongs to what lies before it
        if start == 0 || start >= end || directory.entries.is_empty() {
            break;
        }
        ranges.push(start..end);
        end = start;
    }
    ranges.push(0..end);
    ranges.reverse();
    ranges
}
