//! A zip as it lies, contradictions included: what [`super::Zip`] refuses to choose between, and what is left of a zip
//! whose directory is lost.
//!
//! The idea: a zip says everything twice, in the directory at its end and in a local header before each record. Where
//! the directory can be read, its entries are held against the local headers and against the bytes, and every
//! disagreement is a [`Problem`] with a place. Where it cannot (the file was cut off), the records are found by walking
//! from local header to local header ([`mod@walk`]).

mod member;
mod walk;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::ops::Range;

use memchr::memmem;

pub use self::member::Member;

use super::audit::{self, Local};
use super::directory::{Central, Directory};
use super::{Method, Record};
use crate::bytes::Limits;
use crate::error::{ErrorKind, Result};
use walk::{Signatures, descriptor_len, walk};

/// What is wrong with a zip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of what kind.
    pub kind: ProblemKind,
    /// The record, where it is about one.
    pub record: Option<String>,
    /// Where, in the file.
    pub at: u64,
    /// How many bytes it is about (0: a place).
    pub len: u64,
    /// What, in a line.
    pub message: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemKind {
    /// There is no directory, or none that can be read: the file was cut off or damaged.
    NoDirectory,
    /// Two records have one name.
    Duplicate,
    /// Two records have one name, letter case apart.
    CaseTwin,
    /// Local header, descriptor and directory disagree.
    Mismatch,
    /// Two records share bytes.
    Overlap,
    /// Bytes that belong to no record.
    Outside,
    /// A record that the directory does not list.
    Unlisted,
    /// A record reaches past the end of the file.
    Cut,
    /// It cannot be what it says: a header that is not there, a size that cannot be.
    Impossible,
    /// Encrypted, or compressed by a method that torch does not read.
    Unreadable,
    /// A name that programs read differently.
    Name,
}

/// Everything in a zip, and everything wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// Those that the directory lists, in its order, then the others as they lie.
    pub members: Vec<Member>,
    /// What is wrong, in order of discovery.
    pub problems: Vec<Problem>,
    /// The directory and the end record, comment included; `None` where there is none that can be read.
    pub directory: Option<Range<u64>>,
    /// Where the archive begins: 0, or behind what was put before it.
    pub start: u64,
}

impl Survey {
    /// Surveys a whole file.
    ///
    /// # Errors
    ///
    /// `Limit` for more than [`Limits::records`] records; all else is a problem in the survey.
    pub fn of(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let mut survey = Self::default();
        match Directory::read_anywhere(bytes, limits) {
            Ok((directory, start)) => {
                survey.start = start;
                survey.directory = Some(directory.at..directory.end);
                let signatures = Signatures::default();
                for entry in &directory.entries {
                    survey.listed(bytes, directory.at, entry);
                }
                survey.twins();
                survey.places(bytes, directory.at, directory.end, &signatures, limits)?;
            }
            Err(error) if error.kind() == ErrorKind::Limit => return Err(error),
            Err(error) => {
                survey.problem(
                    ProblemKind::NoDirectory,
                    None,
                    bytes.len() as u64,
                    0,
                    error.message(),
                );
                let signatures = Signatures::of(bytes);
                let found = walk(bytes, 0, bytes.len(), &signatures, limits)?;
                survey.members = found;
                survey.twins();
            }
        }
        Ok(survey)
    }

    /// The first member of that name.
    pub fn find(&self, name: &str) -> Option<&Member> {
        self.members
            .iter()
            .find(|member| member.record.name == name)
    }

    fn problem(
        &mut self,
        kind: ProblemKind,
        record: Option<&str>,
        at: u64,
        len: u64,
        message: &str,
    ) {
        self.problems.push(Problem {
            kind,
            record: record.map(str::to_owned),
            at,
            len,
            message: message.to_owned(),
        });
    }

    /// An entry of the directory, held against its local header.
    fn listed(&mut self, bytes: &[u8], directory_at: u64, entry: &Central<'_>) {
        let name = audit::display_name(entry.name);
        let at = entry.header_at;
        if entry.name.contains(&0) {
            let message =
                "its name holds a NUL byte, at which some programs end it and others do not";
            self.problem(ProblemKind::Name, Some(&name), at, 0, message);
        }
        let encrypted = entry.flags & audit::ENCRYPTION != 0;
        let method = audit::method(entry.method);
        if encrypted || method.is_err() {
            let why = method
                .as_ref()
                .err()
                .map_or("is encrypted", |e| e.message());
            self.problem(ProblemKind::Unreadable, Some(&name), at, 0, why);
        }
        let records = usize::try_from(directory_at)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let local = match audit::local_of(&bytes[..records], entry) {
            Ok(local) => local,
            Err(e) => {
                self.problem(ProblemKind::Impossible, Some(&name), at, 0, e.message());
                return;
            }
        };
        for message in audit::disagreements(&local, entry) {
            self.problem(ProblemKind::Mismatch, Some(&name), at, 0, &message);
        }
        let available = (records as u64)
            .saturating_sub(local.data_at)
            .min(entry.stored_len);
        if available < entry.stored_len {
            let message = format!(
                "its {} bytes from byte {} on reach past the end of the records at byte {records}",
                entry.stored_len, local.data_at
            );
            self.problem(
                ProblemKind::Cut,
                Some(&name),
                local.data_at,
                available,
                &message,
            );
        }
        let record = Record {
            name,
            header_at: at,
            data_at: local.data_at,
            len: entry.len,
            stored_len: entry.stored_len,
            crc32: entry.crc32,
            method: method.as_ref().copied().unwrap_or(Method::Stored),
        };
        let readable = !encrypted && method.is_ok();
        if readable && !audit::is_possible(record.method, entry.stored_len, entry.len) {
            let message = format!(
                "{} bytes cannot hold {} bytes {}",
                entry.stored_len,
                entry.len,
                record.method.name()
            );
            self.problem(ProblemKind::Impossible, Some(&record.name), at, 0, &message);
        }
        let end = self.descriptor(bytes, records, &local, &record, available);
        self.members.push(Member {
            record,
            listed: true,
            stated: true,
            available,
            readable,
            end,
        });
    }

    /// Where a record ends, the descriptor that its header announces included; that must repeat the directory.
    fn descriptor(
        &mut self,
        bytes: &[u8],
        records: usize,
        local: &Local<'_>,
        record: &Record,
        available: u64,
    ) -> u64 {
        let end = record.data_at + available;
        if !local.is_described() || available < record.stored_len {
            return end;
        }
        let from = usize::try_from(end).unwrap_or(records).min(records);
        match descriptor_len(&bytes[from..records], record) {
            Some(len) => end + len,
            None => {
                let message =
                    "the descriptor behind its data does not repeat the directory's CRC and sizes";
                self.problem(ProblemKind::Mismatch, Some(&record.name), end, 0, message);
                end
            }
        }
    }

    /// Names that occur twice, letter case apart.
    fn twins(&mut self) {
        let mut names: HashMap<String, usize> = HashMap::with_capacity(self.members.len());
        let mut found = Vec::new();
        for (number, member) in self.members.iter().enumerate() {
            match names.entry(member.record.name.to_ascii_lowercase()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(number);
                }
                Entry::Occupied(first) => found.push((*first.get(), number)),
            }
        }
        for (first, second) in found {
            let (a, b) = (&self.members[first].record, &self.members[second].record);
            let (name, at) = (b.name.clone(), b.header_at);
            let (kind, message) = if a.name == b.name {
                (
                    ProblemKind::Duplicate,
                    format!(
                        "two records have this name, at byte {} and at byte {at}: torch reads the first, others the last",
                        a.header_at
                    ),
                )
            } else {
                (
                    ProblemKind::CaseTwin,
                    format!(
                        "differs from {} at byte {} in letter case alone: torch does not tell them apart, others do",
                        a.name, a.header_at
                    ),
                )
            };
            self.problem(kind, Some(&name), at, 0, &message);
        }
    }

    /// Overlaps, and bytes that belong to nobody; in those, records that the directory does not list.
    fn places(
        &mut self,
        bytes: &[u8],
        directory_at: u64,
        end: u64,
        signatures: &Signatures,
        limits: &Limits,
    ) -> Result<()> {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|&i| (self.members[i].record.header_at, self.members[i].end));
        let mut reached = 0;
        let mut last: Option<usize> = None;
        let mut gaps = Vec::new();
        for number in order {
            let member = &self.members[number];
            let at = member.record.header_at;
            if at > reached {
                gaps.push((reached, at));
            }
            if let Some(before) = last.filter(|_| at < reached) {
                let before = &self.members[before].record;
                let message = format!(
                    "begins inside {}, which ends at byte {reached}",
                    before.name
                );
                let name = member.record.name.clone();
                self.problem(ProblemKind::Overlap, Some(&name), at, 0, &message);
            }
            let member = &self.members[number];
            if member.end > reached {
                reached = member.end;
                last = Some(number);
            }
        }
        if directory_at > reached {
            gaps.push((reached, directory_at));
        }
        if bytes.len() as u64 > end {
            gaps.push((end, bytes.len() as u64));
        }
        for (from, to) in gaps {
            self.gap(bytes, from, to, signatures, limits)?;
        }
        Ok(())
    }

    fn gap(
        &mut self,
        bytes: &[u8],
        from: u64,
        to: u64,
        signatures: &Signatures,
        limits: &Limits,
    ) -> Result<()> {
        let where_ = match (from, self.directory.as_ref()) {
            (0, _) => "before the first record",
            (_, Some(directory)) if from >= directory.end => "after the end of the zip",
            _ => "between records",
        };
        let message = format!("{} bytes {where_} belong to no record", to - from);
        self.problem(ProblemKind::Outside, None, from, to - from, &message);
        // both lie inside the file
        let range = from as usize..to as usize;
        let own;
        let signatures = if memmem::find(&bytes[range.clone()], audit::LOCAL).is_some() {
            own = Signatures::within(bytes, range.clone());
            &own
        } else {
            signatures
        };
        for member in walk(bytes, range.start, range.end, signatures, limits)? {
            let (name, at) = (member.record.name.clone(), member.record.header_at);
            let message = "the zip's directory does not list this record: some programs read it, others do not";
            self.problem(ProblemKind::Unlisted, Some(&name), at, 0, message);
            self.members.push(member);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
