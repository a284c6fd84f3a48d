//! Whose is each byte of the file?
//!
//! What is known of the file is laid out as spans, sorted, and whatever is left between them is nobody's. So the spans
//! cover the file from its first byte to its last, whatever the file claims.

use crate::checkpoint::Checkpoint;
use crate::checkpoint::described::Described;
use crate::container::zip::Survey;
use crate::explain;

/// Tensors that a span names.
const NAMED: usize = 3;

/// What a run of bytes is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A local header of a zip, with its padding.
    Header,
    /// What follows a record's data: its CRC and sizes.
    Descriptor,
    /// The directory and the end of a zip.
    Directory,
    /// A record that is no storage: the pickle, the version, ...
    Record,
    /// A storage.
    Storage,
    /// Pickles, or a header of another format.
    Description,
    /// What fills up to where the next thing may begin.
    Padding,
    /// Nobody's.
    Gap,
}

impl Owner {
    /// `header`, `storage`, `gap`, ...
    pub fn name(self) -> &'static str {
        match self {
            Owner::Header => "header",
            Owner::Descriptor => "descriptor",
            Owner::Directory => "directory",
            Owner::Record => "record",
            Owner::Storage => "storage",
            Owner::Description => "description",
            Owner::Padding => "padding",
            Owner::Gap => "gap",
        }
    }
}

/// A run of bytes with one owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Where it begins.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
    /// What it is.
    pub owner: Owner,
    /// Of what: a record's name, tensors' names.
    pub what: String,
    /// Of a storage: bytes that no tensor reaches.
    pub slack: u64,
}

/// Every byte of the file, in order.
pub(super) fn of(
    bytes: &[u8],
    survey: Option<&Survey>,
    checkpoint: Option<&Checkpoint>,
    described: Vec<Described>,
) -> Vec<Span> {
    let storages = checkpoint.map(storages).unwrap_or_default();
    let len = bytes.len() as u64;
    match survey {
        Some(survey) => {
            let mut spans = Vec::new();
            archive(survey, &storages, &mut spans);
            cover(spans, len)
        }
        None => {
            let mut beside: Vec<Span> = described.into_iter().map(Span::from).collect();
            let first = storages.iter().map(|span| span.from).min();
            if let Some(first) = first.filter(|_| beside.is_empty()) {
                // cut off or damaged, and some of it read all the same
                let what = "everything before the first storage";
                beside.push(span(0, first, Owner::Description, what));
            }
            let whole = cover(storages, len);
            fill(whole, &cover(beside, len))
        }
    }
}

/// Puts what describes into the gaps between the storages. Both cover the file.
fn fill(spans: Vec<Span>, beside: &[Span]) -> Vec<Span> {
    let mut filled: Vec<Span> = Vec::new();
    for gap in spans {
        if gap.owner != Owner::Gap {
            filled.push(gap);
            continue;
        }
        let first = beside.partition_point(|other| other.to <= gap.from);
        let inside = beside[first..]
            .iter()
            .take_while(|other| other.from < gap.to);
        filled.extend(inside.map(|other| Span {
            from: other.from.max(gap.from),
            to: other.to.min(gap.to),
            ..other.clone()
        }));
    }
    filled
}

impl From<Described> for Span {
    fn from(described: Described) -> Self {
        let owner = match described.is_padding {
            true => Owner::Padding,
            false => Owner::Description,
        };
        let (from, to) = (described.range.start as u64, described.range.end as u64);
        span(from, to, owner, &described.what)
    }
}

fn span(from: u64, to: u64, owner: Owner, what: &str) -> Span {
    Span {
        from,
        to,
        owner,
        what: what.to_owned(),
        slack: 0,
    }
}

/// Headers, data and descriptors of a zip's records, and its directory.
fn archive(survey: &Survey, storages: &[Span], spans: &mut Vec<Span>) {
    for member in &survey.members {
        let record = &member.record;
        let end = record.data_at.saturating_add(member.available);
        spans.push(span(
            record.header_at,
            record.data_at,
            Owner::Header,
            &record.name,
        ));
        // sorted by where they begin; of those that begin here the first that is not empty
        let from = storages.partition_point(|s| s.from < record.data_at);
        let here = storages[from..]
            .iter()
            .take_while(|s| s.from == record.data_at);
        match here.into_iter().find(|s| s.to > s.from) {
            Some(storage) => spans.push(Span {
                to: end,
                ..storage.clone()
            }),
            None => spans.push(span(record.data_at, end, Owner::Record, &record.name)),
        }
        spans.push(span(end, member.end, Owner::Descriptor, &record.name));
    }
    if let Some(directory) = &survey.directory {
        spans.push(span(
            directory.start,
            directory.end,
            Owner::Directory,
            "directory and end record",
        ));
    }
}

/// Storages that lie in the file as they are, with the tensors in them.
fn storages(checkpoint: &Checkpoint) -> Vec<Span> {
    let referenced = explain::referenced(checkpoint);
    let mut names: Vec<Vec<&str>> = vec![Vec::new(); checkpoint.storages().len()];
    for tensor in checkpoint.tensors() {
        for part in tensor.parts.iter().chain([tensor]) {
            let root = part.storage.map(|id| {
                let view_of = checkpoint
                    .storages()
                    .get(id.0)
                    .and_then(|storage| storage.view_of);
                view_of.map_or(id.0, |(root, _)| root.0)
            });
            if let Some(list) = root.and_then(|id| names.get_mut(id)) {
                list.push(&tensor.name);
            }
        }
    }
    let mut spans: Vec<Span> = checkpoint
        .storages()
        .iter()
        .zip(names)
        .zip(referenced)
        .filter_map(|((storage, names), referenced)| {
            let from = storage.file_offset.filter(|_| storage.view_of.is_none())?;
            let mut what = storage.key.clone();
            let some: Vec<&str> = names.iter().take(NAMED).copied().collect();
            if !some.is_empty() {
                let more = names.len() - some.len();
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                let between = if what.is_empty() { "" } else { ": " };
                what = format!("{what}{between}{}{more}", some.join(", "));
            }
            let nbytes = storage.nbytes as u64;
            Some(Span {
                from,
                to: from.saturating_add(nbytes),
                owner: Owner::Storage,
                what,
                slack: nbytes.saturating_sub(referenced),
            })
        })
        .collect();
    spans.sort_by_key(|span| span.from);
    spans
}

/// Sorted, cut where they overlap or pass the end, and with gaps for what is left.
fn cover(mut spans: Vec<Span>, len: u64) -> Vec<Span> {
    spans.sort_by_key(|span| (span.from, span.to));
    let mut covered: Vec<Span> = Vec::new();
    let mut at = 0;
    for mut span in spans {
        span.from = span.from.max(at);
        span.to = span.to.min(len);
        span.slack = span.slack.min(span.to.saturating_sub(span.from));
        if span.from >= span.to {
            continue;
        }
        if span.from > at {
            covered.push(self::span(at, span.from, Owner::Gap, ""));
        }
        at = span.to;
        covered.push(span);
    }
    if at < len {
        covered.push(span(at, len, Owner::Gap, ""));
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::{Owner, cover, fill, span};

    #[test]
    fn the_spans_cover_everything_once() {
        let spans = vec![
            span(10, 20, Owner::Record, "b"),
            span(2, 12, Owner::Record, "a"),
            span(25, 99, Owner::Record, "c"),
        ];
        let covered = cover(spans, 30);
        let ends: Vec<_> = covered.iter().map(|s| (s.from, s.to, s.owner)).collect();
        assert_eq!(
            ends,
            [
                (0, 2, Owner::Gap),
                (2, 12, Owner::Record),
                (12, 20, Owner::Record),
                (20, 25, Owner::Gap),
                (25, 30, Owner::Record)
            ]
        );
        let storages = cover(
            vec![
                span(8, 10, Owner::Storage, ""),
                span(12, 20, Owner::Storage, ""),
            ],
            30,
        );
        let ends: Vec<_> = fill(storages, &covered)
            .iter()
            .map(|s| (s.from, s.to, s.owner))
            .collect();
        assert_eq!(
            ends,
            [
                (0, 2, Owner::Gap),
                (2, 8, Owner::Record),
                (8, 10, Owner::Storage),
                (10, 12, Owner::Record),
                (12, 20, Owner::Storage),
                (20, 25, Owner::Gap),
                (25, 30, Owner::Record)
            ]
        );
        assert_eq!(cover(Vec::new(), 3)[0].owner, Owner::Gap);
        assert!(cover(Vec::new(), 0).is_empty());
    }
}
