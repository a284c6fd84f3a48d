//! Is the file whole? Checksums, sizes, places, missing and surplus storages; and whose is each of its bytes?
//!
//! Everything is read, so this takes as long as reading the file does. What a damaged file still holds is told by the
//! tensors ([`Salvage`]), so that the report says what the damage costs and not only where it is.

mod map;
mod several;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::bytes::{ByteSource, Limits};
use crate::checkpoint::described;
use crate::checkpoint::{Checkpoint, Damage, Salvage};
use crate::container::FileKind;
use crate::container::zip::{Member, Method, ProblemKind, Survey};
use crate::error::{Error, ErrorKind, Result};
use crate::explain;

pub use map::{Owner, Span};

/// Lost tensors that a report names.
const NAMED: usize = 1000;

/// What a check found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file.
    pub file: PathBuf,
    /// `torch-zip`, ...; of an archive that is no checkpoint of ours `zip`.
    pub format: &'static str,
    /// Bytes of the file.
    pub size: u64,
    /// What is damaged, missing or contradictory.
    pub problems: Vec<Problem>,
    /// What is odd and costs nothing.
    pub notes: Vec<Problem>,
    /// Records of which the CRC was computed and is right.
    pub verified: usize,
    /// Tensors in all.
    pub tensors: usize,
    /// Tensors whose bytes are not all there, or damaged, and why.
    pub lost: Vec<(String, String)>,
    /// Lost tensors beyond those.
    pub lost_more: usize,
    /// Bytes of storages that should be in the file and are not.
    pub missing: u64,
    /// Bytes of all storages, and bytes that at least one tensor reaches; `None` where the tensors are not known.
    pub bytes: Option<(u64, u64)>,
    /// Storages with more than one tensor.
    pub groups: Vec<Group>,
    /// Every byte of the file, in order, where asked for.
    pub map: Option<Vec<Span>>,
}

/// Something wrong, or odd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Of what kind: `crc`, `cut-off`, `missing-storage`, ...
    pub kind: &'static str,
    /// The record, storage or tensor; empty where it is the file.
    pub what: String,
    /// Where in the file.
    pub at: Option<u64>,
    /// One line.
    pub message: String,
}

/// Tensors that share a storage.
#[derive(Clone, Debug)]
pub struct Group {
    /// The storage's key.
    pub storage: String,
    /// Its bytes.
    pub nbytes: u64,
    /// Those that a tensor reaches.
    pub referenced: u64,
    /// Name of each tensor, and whether it has the same elements as the first.
    pub tensors: Vec<(String, bool)>,
}

/// Checks the file at `path`; `with_map`: also tells every byte's owner.
///
/// # Errors
///
/// `Io` where it cannot be read; `Unsupported` for a file that is no checkpoint, which is named. Damage is no error.
pub fn check(path: &Path, limits: &Limits, with_map: bool) -> Result<Report> {
    if path.is_dir() {
        return several::of(path, limits);
    }
    let source = ByteSource::open(path)?;
    if FileKind::detect(&source, path) == FileKind::ShardIndex {
        return several::of(path, limits);
    }
    of_source(path, source, limits, with_map).map_err(|e| e.in_file(path))
}

/// Checks bytes in memory; `name` stands for the path.
///
/// # Errors
///
/// As [`check`].
pub fn check_bytes(name: &str, bytes: Vec<u8>, limits: &Limits, with_map: bool) -> Result<Report> {
    let path = Path::new(name);
    of_source(path, ByteSource::from(bytes), limits, with_map).map_err(|e| e.in_file(path))
}

fn of_source(path: &Path, source: ByteSource, limits: &Limits, with_map: bool) -> Result<Report> {
    let kind = FileKind::detect(&source, path);
    let format = match &kind {
        FileKind::Foreign(foreign) => return Err(crate::container::foreign_error(foreign)),
        FileKind::Zip => "zip",
        FileKind::Safetensors => "safetensors",
        FileKind::LegacyTorch => "torch-legacy",
        FileKind::Tar => "torch-tar",
        FileKind::RawPickle => "pickle",
        FileKind::Npy => "npy",
        FileKind::ShardIndex => "sharded",
    };
    let mut report = Report::new(path, format, source.len() as u64);
    let survey = match kind {
        FileKind::Zip => Some(Survey::of(&source, limits)?),
        _ => None,
    };
    if let Some(survey) = &survey {
        report.archive(&source, survey, limits);
    }
    let salvage = match Salvage::of(path, source.clone(), limits) {
        Ok(salvage) => Some(salvage),
        Err(error) => {
            report.unreadable(error, survey.as_ref())?;
            None
        }
    };
    if let Some(salvage) = &salvage {
        report.format = salvage.checkpoint.format().name();
        report.contents(salvage, survey.as_ref());
        // whatever a rescue reads over
        if report.is_whole()
            && let Err(error) = Checkpoint::of(path, source.clone(), limits)
        {
            report.unreadable(error, survey.as_ref())?;
        }
    }
    if with_map {
        let described = described::described(path, &source, limits);
        report.map = Some(map::of(
            &source,
            survey.as_ref(),
            salvage.as_ref().map(|s| &s.checkpoint),
            described,
        ));
    }
    Ok(report)
}

impl Report {
    fn new(path: &Path, format: &'static str, size: u64) -> Self {
        Self {
            file: path.to_owned(),
            format,
            size,
            problems: Vec::new(),
            notes: Vec::new(),
            verified: 0,
            tensors: 0,
            lost: Vec::new(),
            lost_more: 0,
            missing: 0,
            bytes: None,
            groups: Vec::new(),
            map: None,
        }
    }

    /// Whether nothing is damaged, missing or contradictory.
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }

    fn add(&mut self, kind: &'static str, what: &str, at: Option<u64>, message: impl Into<String>) {
        self.problems.push(Problem {
            kind,
            what: what.to_owned(),
            at,
            message: message.into(),
        });
    }

    fn note(
        &mut self,
        kind: &'static str,
        what: &str,
        at: Option<u64>,
        message: impl Into<String>,
    ) {
        self.notes.push(Problem {
            kind,
            what: what.to_owned(),
            at,
            message: message.into(),
        });
    }

    /// The zip's structure, and the CRC of each record.
    fn archive(&mut self, source: &ByteSource, survey: &Survey, limits: &Limits) {
        for problem in &survey.problems {
            let kind = match problem.kind {
                ProblemKind::NoDirectory | ProblemKind::Cut => "cut-off",
                ProblemKind::Duplicate | ProblemKind::CaseTwin => "duplicate",
                ProblemKind::Mismatch => "header-mismatch",
                ProblemKind::Overlap => "overlap",
                ProblemKind::Outside => "outside",
                ProblemKind::Unlisted => "unlisted",
                ProblemKind::Impossible => "offset",
                ProblemKind::Unreadable => "unreadable",
                ProblemKind::Name => "name",
            };
            let what = problem.record.as_deref().unwrap_or("");
            self.add(kind, what, Some(problem.at), problem.message.clone());
        }
        let chosen = within_the_file(source, survey, limits);
        let outcomes: Vec<Crc> = survey
            .members
            .par_iter()
            .zip(&chosen)
            .map(|(member, chosen)| match chosen {
                true => crc(source, member, limits),
                false => Crc::TooMuch,
            })
            .collect();
        let (mut without, mut too_much) = (0, 0);
        for (member, outcome) in survey.members.iter().zip(outcomes) {
            match outcome {
                Crc::Right => self.verified += 1,
                Crc::None => without += 1,
                Crc::NotRead => {}
                Crc::TooMuch => too_much += 1,
                Crc::Wrong(message) => {
                    self.add(
                        "crc",
                        &member.record.name,
                        Some(member.record.data_at),
                        message,
                    );
                }
            }
        }
        if too_much > 0 {
            let message = format!(
                "{too_much} records were not checked: all together have more bytes than the file, or inflate to more than {} (inflate_ratio)",
                limits.inflated_storage(source.len() as u64)
            );
            self.add("unchecked", "", None, message);
        }
        if without > 0 {
            let message = format!("{without} records have no CRC: damage to them cannot be seen");
            self.note("crc", "", None, message);
        }
        self.alignment(source, survey);
    }

    /// Where torch says how storages are aligned, they are.
    fn alignment(&mut self, source: &[u8], survey: &Survey) {
        let says = survey
            .members
            .iter()
            .find(|member| member.record.name.ends_with("/.storage_alignment"))
            .and_then(|member| member.content(source, 32).ok())
            .and_then(|text| std::str::from_utf8(&text).ok()?.trim().parse::<u64>().ok());
        let Some(alignment) = says.filter(|&alignment| alignment > 1) else {
            return;
        };
        let is_astray = |member: &&Member| {
            let record = &member.record;
            record.name.split('/').nth(1) == Some("data")
                && record.method == Method::Stored
                && record.stored_len > 0
                && !record.data_at.is_multiple_of(alignment)
        };
        let mut astray = survey.members.iter().filter(is_astray);
        if let Some(first) = astray.next() {
            let count = 1 + astray.count();
            let message = format!(
                "{count} storages do not lie at multiples of {alignment} bytes, as the file says of itself: zipped again by another program?"
            );
            self.note(
                "alignment",
                &first.record.name,
                Some(first.record.data_at),
                message,
            );
        }
    }

    /// The pickle or header cannot be read.
    fn unreadable(&mut self, error: Error, survey: Option<&Survey>) -> Result<()> {
        match error.kind() {
            ErrorKind::Malformed => {
                let what = error.location().record.clone().unwrap_or_default();
                let at = error.location().offset.filter(|_| what.is_empty());
                self.add("contents", &what, at, error.message());
                Ok(())
            }
            // an archive of something else, with nothing wrong about it
            ErrorKind::Unsupported if survey.is_some() && self.is_whole() => Err(error),
            ErrorKind::Unsupported if survey.is_some() => {
                self.note("format", "", None, error.message());
                Ok(())
            }
            ErrorKind::Io | ErrorKind::Unsupported | ErrorKind::Limit | ErrorKind::Usage => {
                Err(error)
            }
        }
    }

    /// Tensors and storages against what is there.
    fn contents(&mut self, salvage: &Salvage, survey: Option<&Survey>) {
        let checkpoint = &salvage.checkpoint;
        let kind = if survey.is_none() {
            "cut-off"
        } else {
            "contents"
        };
        for note in &salvage.notes {
            let said = self
                .problems
                .iter()
                .any(|problem| note.ends_with(&problem.message));
            if !said {
                self.add(kind, "", None, note.clone());
            }
        }
        for (storage, damage) in checkpoint.storages().iter().zip(&salvage.damage) {
            let at = storage.file_offset;
            let gone = match damage {
                Some(Damage::Missing) => storage.nbytes,
                Some(Damage::Cut { available }) => storage.nbytes.saturating_sub(*available),
                _ => 0,
            };
            if storage.view_of.is_none() {
                self.missing = self.missing.saturating_add(gone as u64);
            }
            match damage {
                None | Some(Damage::Corrupt(_)) => {} // reported as its record's
                _ if storage.view_of.is_some() => {}
                Some(damage @ Damage::Missing) => {
                    self.add(
                        "missing-storage",
                        &storage.key,
                        None,
                        damage.describe(&storage.key),
                    );
                }
                Some(damage @ Damage::Cut { .. }) => {
                    self.add("cut-off", &storage.key, at, damage.describe(&storage.key));
                }
                Some(Damage::Length { has }) => {
                    let message = format!(
                        "the pickle says that it has {} bytes, the record has {has}",
                        storage.nbytes
                    );
                    self.add("numel", &storage.key, at, message);
                }
            }
        }
        for tensor in checkpoint.tensors() {
            if let Some(why) = salvage.lost(tensor) {
                if self.lost.len() < NAMED {
                    self.lost.push((tensor.name.clone(), why));
                } else {
                    self.lost_more += 1;
                }
            }
        }
        for loss in &salvage.losses {
            if self.lost.len() < NAMED {
                self.lost.push((loss.name.clone(), loss.why.clone()));
            } else {
                self.lost_more += 1;
            }
        }
        self.tensors = checkpoint.tensors().len() + salvage.losses.len();
        for note in checkpoint.notes() {
            self.note("contents", "", None, note.clone());
        }
        if let Some(survey) = survey {
            self.surplus(checkpoint, survey);
        }
        self.sharing(checkpoint);
    }

    /// Records where storages lie, of which the pickle names none.
    fn surplus(&mut self, checkpoint: &Checkpoint, survey: &Survey) {
        let known: HashSet<&str> = checkpoint
            .storages()
            .iter()
            .map(|s| s.key.as_str())
            .collect();
        for member in &survey.members {
            let name = &member.record.name;
            let Some((_, inner)) = name.split_once('/') else {
                continue;
            };
            if inner.starts_with("data/") && !member.record.is_folder() && !known.contains(inner) {
                let message = format!("{} bytes that no value names", member.record.stored_len);
                self.note(
                    "surplus-storage",
                    name,
                    Some(member.record.data_at),
                    message,
                );
            }
        }
    }

    fn sharing(&mut self, checkpoint: &Checkpoint) {
        let totals = explain::Totals::of(checkpoint);
        self.bytes = Some((totals.stored, totals.referenced));
        let referenced = explain::referenced(checkpoint);
        let mut residents = vec![Vec::new(); checkpoint.storages().len()];
        for tensor in checkpoint.tensors() {
            if let Some(list) = tensor.storage.and_then(|id| residents.get_mut(id.0)) {
                list.push(tensor);
            }
        }
        for ((storage, tensors), referenced) in
            checkpoint.storages().iter().zip(&residents).zip(referenced)
        {
            let [first, _, ..] = tensors[..] else {
                continue;
            };
            let same = |other: &crate::checkpoint::TensorEntry| {
                explain::Relation::between(&first.layout, &other.layout) == explain::Relation::Same
            };
            self.groups.push(Group {
                storage: storage.key.clone(),
                nbytes: storage.nbytes as u64,
                referenced,
                tensors: tensors
                    .iter()
                    .take(NAMED)
                    .map(|t| (t.name.clone(), same(t)))
                    .collect(),
            });
        }
    }
}

enum Crc {
    Right,
    /// The writer left it out.
    None,
    /// The record is not whole, or not readable: that is reported by itself.
    NotRead,
    /// The records together would take far longer to read than the file: they overlap, or inflate far.
    TooMuch,
    Wrong(String),
}

/// Which records are read: those that come first, as long as what is read of the file is no more than the file has, and
/// what that inflates to is no more than a storage of the file's size may inflate to. Ten thousand entries of the
/// directory may share one record.
fn within_the_file(source: &[u8], survey: &Survey, limits: &Limits) -> Vec<bool> {
    let mut kept_left = source.len() as u64;
    let mut inflated_left = limits.inflated_storage(kept_left) as u64;
    let mut choose = |member: &Member| {
        let kept = kept_left.checked_sub(member.available)?;
        if member.record.method == Method::Deflated {
            inflated_left = inflated_left.checked_sub(most_of(member, limits))?;
        }
        kept_left = kept;
        Some(())
    };
    let members = survey.members.iter();
    members.map(|member| choose(member).is_some()).collect()
}

/// What a deflated record can inflate to before it is given up.
fn most_of(member: &Member, limits: &Limits) -> u64 {
    let most = limits.inflated_storage(member.available) as u64;
    member.record.len.min(most)
}

fn crc(source: &ByteSource, member: &Member, limits: &Limits) -> Crc {
    if !member.readable || !member.is_whole() {
        return Crc::NotRead;
    }
    let stated = member.record.crc32;
    if stated == 0 && member.record.stored_len > 0 {
        return Crc::None;
    }
    let most = most_of(member, limits);
    match member.checksum(source, most) {
        Err(error) if error.kind() == ErrorKind::Limit && most == member.record.len => {
            Crc::Wrong(format!("inflates to more than its {most} bytes"))
        }
        Err(error) => Crc::Wrong(error.message().to_owned()),
        Ok((len, _)) if len != member.record.len => Crc::Wrong(format!(
            "inflates to {len} bytes, it should have {}",
            member.record.len
        )),
        Ok((_, found)) if found == stated => Crc::Right,
        Ok((_, found)) => Crc::Wrong(format!(
            "its bytes have the CRC {found:08x}, it should be {stated:08x}: they are damaged"
        )),
    }
}
