//! Checkpoints in several files: the index against what is there, and each file, or each piece of one, by itself.

use std::path::Path;

use super::{NAMED, Problem, Report, check, of_source};
use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Part;
use crate::checkpoint::Salvage;
use crate::error::{Error, ErrorKind, Result};

/// Checks a folder or an index, and all files that belong to it.
pub(super) fn of(path: &Path, limits: &Limits) -> Result<Report> {
    let mut report = Report::new(path, "sharded", 0);
    let mut unread = None;
    match Checkpoint::open(path, limits) {
        Ok(checkpoint) => {
            report.format = checkpoint.format().name();
            report.sharing(&checkpoint);
            report.tensors = checkpoint.tensors().len();
            for note in checkpoint.notes() {
                if note.starts_with(checkpoint::DISAGREE) {
                    report.add("index", "", None, note.clone());
                } else {
                    report.note("contents", "", None, note.clone());
                }
            }
        }
        Err(error) if error.kind() == ErrorKind::Malformed => unread = Some(error),
        Err(error) => return Err(error),
    }
    let parts = match checkpoint::parts(path, limits) {
        Ok(parts) => parts,
        Err(error) => return not_even_the_index(report, path, limits, unread.ok_or(error)?),
    };
    for part in &parts {
        report.part(part, unread.is_some(), limits)?;
    }
    if let Some(error) = unread.filter(|_| report.is_whole()) {
        // of the index itself, since no file has anything wrong with it
        report.add("index", "", None, error.to_string());
    }
    Ok(report)
}

/// The index itself is damaged: what the files beside it hold.
fn not_even_the_index(
    mut report: Report,
    path: &Path,
    limits: &Limits,
    error: Error,
) -> Result<Report> {
    report.add("index", "", None, error.to_string());
    if let Ok(salvage) = Salvage::open(path, limits) {
        report.format = salvage.checkpoint.format().name();
        report.contents(&salvage, None);
    }
    Ok(report)
}

impl Report {
    /// One of the files; `alone`: nothing else tells how many tensors there are.
    fn part(&mut self, part: &Part, alone: bool, limits: &Limits) -> Result<()> {
        let shown = part.path.display().to_string();
        if !part.path.is_file() {
            let message = match part.tensors.len() + part.pieces.len() {
                0 => "the file is not there".to_owned(),
                n => format!("the file is not there: {n} tensors or pieces of such are lost"),
            };
            self.add("missing-shard", &shown, None, message);
            let names = part
                .tensors
                .iter()
                .chain(part.pieces.iter().map(|(n, _)| n));
            for name in names {
                self.lose(name, &format!("its file {shown} is not there"), alone);
            }
            return Ok(());
        }
        if part.pieces.is_empty() {
            let inner = check(&part.path, limits, false)?;
            self.size = self.size.saturating_add(inner.size);
            if alone {
                self.tensors += inner.tensors;
            }
            self.take(inner, &shown, 0);
            return Ok(());
        }
        self.pieces(part, &shown, alone, limits)
    }

    /// A file of torch zips one after another.
    fn pieces(&mut self, part: &Part, shown: &str, alone: bool, limits: &Limits) -> Result<()> {
        let source = ByteSource::open(&part.path)?;
        self.size = self.size.saturating_add(source.len() as u64);
        let mut pieces: Vec<_> = part.pieces.iter().collect();
        pieces.sort_by_key(|(_, at)| (at.start, at.end));
        let mut end = 0;
        for (name, at) in pieces {
            if at.start > end {
                let message = format!("{} bytes belong to no piece", at.start - end);
                self.note("surplus", shown, Some(end as u64), message);
            }
            end = end.max(at.end);
            if at.end > source.len() {
                let message = format!(
                    "the piece of {name:?} should end at byte {}, the file has {}",
                    at.end,
                    source.len()
                );
                self.add("cut-off", shown, Some(source.len() as u64), message);
                self.lose(name, &format!("{shown} is cut off"), alone);
                continue;
            }
            if alone {
                self.tensors += 1;
            }
            let piece = of_source(&part.path, source.slice(at.clone()), limits, false);
            let mut piece = match piece {
                Ok(piece) => piece,
                Err(error) if error.kind() == ErrorKind::Unsupported => {
                    let message = format!("the piece of {name:?}: {}", error.message());
                    self.add("contents", shown, Some(at.start as u64), message);
                    self.lose(name, error.message(), false);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some((_, why)) = piece.lost.drain(..).next() {
                self.lose(name, &why, false);
            }
            self.take(piece, shown, at.start as u64);
        }
        if end < source.len() {
            let message = format!("{} bytes follow the last piece", source.len() - end);
            self.note("surplus", shown, Some(end as u64), message);
        }
        Ok(())
    }

    /// What was found in a file, or from a byte of it on.
    fn take(&mut self, inner: Report, shown: &str, base: u64) {
        let named = |problem: Problem| Problem {
            what: match problem.what.as_str() {
                "" => shown.to_owned(),
                what => format!("{shown}: {what}"),
            },
            at: problem.at.map(|at| at.saturating_add(base)),
            ..problem
        };
        self.verified += inner.verified;
        self.missing = self.missing.saturating_add(inner.missing);
        self.problems.extend(inner.problems.into_iter().map(named));
        let notes = inner
            .notes
            .into_iter()
            .filter(|note| note.kind != "contents");
        self.notes.extend(notes.map(named));
        self.lost_more += inner.lost_more;
        for (name, why) in inner.lost {
            self.lose(&name, &why, false);
        }
    }

    /// A tensor is lost; `counted`: nobody has counted it yet.
    fn lose(&mut self, name: &str, why: &str, counted: bool) {
        self.tensors += usize::from(counted);
        if self.lost.iter().any(|(known, _)| known == name) {
            return;
        }
        if self.lost.len() < NAMED {
            self.lost.push((name.to_owned(), why.to_owned()));
        } else {
            self.lost_more += 1;
        }
    }
}
