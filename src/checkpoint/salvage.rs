//! What is left of a damaged checkpoint: the tensors that its pickle or header tells of, and which of their bytes are
//! there.
//!
//! The idea: every format is read by the same code as ever, over a container of which bytes may be missing. A zip is
//! then what a survey of it finds ([`Zip::of_survey`]), a stream or tar what lies before the end, a pickle what it had
//! built when it broke off. A storage that is shorter than it should be, or not there at all, is no error but
//! [`Damage`], and a tensor that cannot be rebuilt or of which nothing is left is a [`Loss`].
//!
//! What can be saved depends on what a format writes first:
//!
//! | format | order | of a cut file |
//! | --- | --- | --- |
//! | torch zip | pickle, storages, directory | everything before the cut, behind the pickle |
//! | legacy stream | pickles, storages | the same |
//! | safetensors | header, tensors | the same |
//! | raw pickle | storages inside the pickle | everything before the cut |
//! | TorchScript | storages, pickle, code | what the pickle names before the cut; before it, records without names |
//! | `.pt2` of 2.9 and later | weights, their names, graph | all or nothing but records without names |
//! | tar | pickle, storages, tensors' layouts | the tensors whose layout lies before the cut |
//! | folders | an index, files | each file by itself |

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::absorb;
use crate::checkpoint::folder;
use crate::checkpoint::legacy;
use crate::checkpoint::open::{self, Mode};
use crate::checkpoint::places::Place;
use crate::checkpoint::raw_pickle;
use crate::checkpoint::safetensors;
use crate::checkpoint::tar;
use crate::checkpoint::torch;
use crate::container::FileKind;
use crate::container::Zip;
use crate::container::zip::{Member, Method, Survey};
use crate::error::{Error, ErrorKind, Result};
use crate::safetensors::Header;
use crate::tensor::DType;

/// Records without names that a hint shows.
const SHOWN: usize = 3;

/// A checkpoint of which bytes may be missing.
#[derive(Debug)]
pub struct Salvage {
    /// Its tensors; [`Checkpoint::view`] fails for those whose bytes are not all there.
    pub checkpoint: Checkpoint,
    /// What is wrong with a storage, by [`StorageId`]; `None` for those that are as they should be.
    pub damage: Vec<Option<Damage>>,
    /// Tensors that are known to have been in it, and that [`Checkpoint::tensors`] cannot list.
    pub losses: Vec<Loss>,
    /// What else is wrong, one line each.
    pub notes: Vec<String>,
}

/// A tensor of which it is known that it was there, and not where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Its name.
    pub name: String,
    /// Its type, where that is known.
    pub dtype: Option<DType>,
    /// Its sizes, where they are known.
    pub shape: Option<Vec<usize>>,
    /// Why it is lost.
    pub why: String,
}

/// Everything that is wrong with a checkpoint that was opened as a damaged one.
#[derive(Debug, Default)]
pub(crate) struct Wreckage {
    pub(crate) damage: HashMap<StorageId, Damage>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) notes: Vec<String>,
}

impl Wreckage {
    /// That of another checkpoint, whose storages are numbered from `storages` on and whose names begin with `prefix`.
    pub(super) fn absorb(&mut self, other: Wreckage, storages: usize, prefix: &str) {
        let damage = other.damage.into_iter();
        self.damage
            .extend(damage.map(|(StorageId(id), damage)| (StorageId(storages + id), damage)));
        self.losses
            .extend(other.losses.into_iter().map(|loss| Loss {
                name: absorb::join(prefix, &loss.name),
                ..loss
            }));
        self.notes.extend(other.notes);
    }
}

/// What is wrong with a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// None of its bytes are in the file.
    Missing,
    /// Only so many of its bytes are in the file.
    Cut {
        /// How many.
        available: usize,
    },
    /// All bytes are there, but their CRC is another, or they do not inflate.
    Corrupt(String),
    /// The record has another length than the pickle says.
    Length {
        /// Bytes that the record has.
        has: usize,
    },
}

impl Damage {
    /// What happened, for a line about a tensor: `its storage data/3 is not in the file`.
    pub fn describe(&self, storage: &str) -> String {
        let its = match storage {
            "" => "its data".to_owned(),
            key => format!("its storage {key}"),
        };
        match self {
            Damage::Missing => format!("{its} is not in the file"),
            Damage::Cut { available } => format!("{its} is cut off after {available} bytes"),
            Damage::Corrupt(why) => format!("{its} is damaged: {why}"),
            Damage::Length { has } => {
                format!("{its} has {has} bytes, not as many as it should")
            }
        }
    }

    /// What of it concerns a window of `nbytes` bytes from `start` on.
    pub(super) fn of_window(&self, start: usize, nbytes: usize) -> Option<Damage> {
        match self {
            Damage::Cut { available } | Damage::Length { has: available } => {
                let end = start.saturating_add(nbytes);
                (*available < end).then(|| Damage::Cut {
                    available: available.saturating_sub(start),
                })
            }
            Damage::Missing | Damage::Corrupt(_) => Some(self.clone()),
        }
    }
}

impl Checkpoint {
    /// Why a tensor cannot be had; `None` if all of its bytes, and those of its parts, are there and undamaged.
    pub(super) fn lost(&self, tensor: &TensorEntry) -> Option<String> {
        if let Some(lost) = tensor.parts.iter().find_map(|part| self.lost(part)) {
            return Some(lost);
        }
        let id = tensor.storage?;
        let storage = self.storages.get(id.0)?;
        let damage = self.wreckage.damage.get(&id)?;
        let there = match damage {
            Damage::Missing => 0,
            Damage::Corrupt(_) => return Some(damage.describe(&storage.key)),
            Damage::Cut { available } | Damage::Length { has: available } => *available,
        };
        let needed = tensor.dtype.bytes_of(tensor.layout.extent());
        let is_there = needed.is_some_and(|needed| needed <= there);
        (!is_there).then(|| damage.describe(&storage.key))
    }
}

impl Salvage {
    /// Opens what is left of the file at `path`, or of the folder and the files that belong together there.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`], where not even the tensors' names and places are left.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let checkpoint = match path.is_dir() {
            true => folder::open(path, limits, Mode::Salvage),
            false => open::at(path, limits, Mode::Salvage),
        };
        checkpoint.map(Self::from).map_err(|e| e.in_file(path))
    }

    /// The same of bytes in memory (`name` stands for the path in errors).
    ///
    /// # Errors
    ///
    /// As [`Salvage::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Self> {
        let path = Path::new(name);
        Self::of(path, ByteSource::from(bytes), limits).map_err(|e| e.in_file(path))
    }

    pub(crate) fn of(path: &Path, source: ByteSource, limits: &Limits) -> Result<Self> {
        single(path, source, limits).map(Self::from)
    }

    /// Why a tensor cannot be had; `None` if all of its bytes, and those of its parts, are there and undamaged.
    pub fn lost(&self, tensor: &TensorEntry) -> Option<String> {
        self.checkpoint.lost(tensor)
    }
}

impl From<Checkpoint> for Salvage {
    fn from(mut checkpoint: Checkpoint) -> Self {
        let storages = 0..checkpoint.storages.len();
        let damage = storages.map(|id| checkpoint.wreckage.damage.get(&StorageId(id)).cloned());
        Self {
            damage: damage.collect(),
            losses: std::mem::take(&mut checkpoint.wreckage.losses),
            notes: std::mem::take(&mut checkpoint.wreckage.notes),
            checkpoint,
        }
    }
}

/// Opens what is left of a single file.
pub(super) fn single(path: &Path, source: ByteSource, limits: &Limits) -> Result<Checkpoint> {
    match FileKind::detect(&source, path) {
        FileKind::Zip => of_zip(path, source, limits),
        FileKind::LegacyTorch => legacy::salvage(path, source, limits),
        FileKind::Safetensors => of_safetensors(path, source, limits),
        FileKind::Tar => tar::open(path, source, limits, Mode::Salvage),
        FileKind::RawPickle => raw_pickle::open(path, source, limits, Mode::Salvage),
        // whole, or not at all
        _ => open::single(path, source, limits),
    }
}

fn of_zip(path: &Path, source: ByteSource, limits: &Limits) -> Result<Checkpoint> {
    let survey = Survey::of(&source, limits)?;
    let notes = survey.problems.iter().map(|problem| match &problem.record {
        Some(name) => format!("{name}: {}", problem.message),
        None => problem.message.clone(),
    });
    let notes: Vec<String> = notes.collect();
    let zip = Zip::of_survey(&source, &survey, limits);
    if zip.records().is_empty() && !survey.members.is_empty() {
        return Err(Error::unsupported(
            "is a zip of which every record is encrypted, or compressed as torch never does",
        )
        .with_hint("unpack it with the password, and zip it again without"));
    }
    let mut checkpoint = torch::of_zip(path, source, zip, limits)
        .map_err(|error| with_records(error, &nameless(&survey)))?;
    checkpoint.wreckage.notes.splice(0..0, notes);
    Ok(checkpoint)
}

/// The records of a damaged zip that hold the bytes of tensors, whole and with the right CRC.
#[derive(Debug)]
pub struct RawRecords {
    source: ByteSource,
    tensor_bytes: usize,
    members: Vec<Member>,
    records: Vec<RawRecord>,
}

/// A record, and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    /// Its name: `model/data/0`.
    pub name: String,
    /// Where its bytes lie in the file.
    pub data_at: u64,
    /// How many they are, inflated.
    pub len: u64,
}

impl RawRecords {
    /// Those of the zip at `path`.
    ///
    /// # Errors
    ///
    /// `Io` where the file cannot be read, `Unsupported` where it is no zip, `Limit` as [`Survey::of`].
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let source = ByteSource::open(path)?;
        if FileKind::detect(&source, path) != FileKind::Zip {
            return Err(Error::unsupported("is no zip: it has no records").in_file(path));
        }
        let survey = Survey::of(&source, limits).map_err(|e| e.in_file(path))?;
        let is_right = |member: &&&Member| {
            let most = limits.inflated_storage(member.available) as u64;
            let measured = member.checksum(&source, most);
            measured.is_ok_and(|(len, crc32)| {
                let stated = member.record.crc32;
                len == member.record.len && (stated == 0 || stated == crc32)
            })
        };
        let members = nameless(&survey);
        let members: Vec<Member> = members
            .iter()
            .filter(is_right)
            .map(|&m| m.clone())
            .collect();
        let records = members.iter().map(|member| RawRecord {
            name: member.record.name.clone(),
            data_at: member.record.data_at,
            len: member.record.len,
        });
        Ok(Self {
            records: records.collect(),
            members,
            tensor_bytes: limits.tensor_bytes,
            source,
        })
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, RawRecord> {
        self.records.iter()
    }

    /// The bytes of one.
    ///
    /// # Errors
    ///
    /// `Limit` where a deflated one has more than [`Limits::tensor_bytes`]; `Usage` for a number that is none of theirs.
    pub fn bytes(&self, number: usize) -> Result<std::borrow::Cow<'_, [u8]>> {
        let member = self.members.get(number);
        let member = member.ok_or_else(|| Error::usage("there is no such record"))?;
        member.content(&self.source, self.tensor_bytes)
    }
}

/// The whole records of folders where storages lie.
fn nameless(survey: &Survey) -> Vec<&Member> {
    let is_data = |member: &&Member| {
        let name = member.record.name.as_str();
        let file = name.rsplit('/').next().unwrap_or(name);
        let folder = name[..name.len() - file.len()].trim_end_matches('/');
        let in_data = folder.ends_with("data") || folder.ends_with("constants");
        let weights = folder.ends_with("data/weights") && !file.ends_with(".json");
        (in_data && !file.ends_with(".pkl") || weights) && member.is_whole() && member.readable
    };
    let members = survey.members.iter().filter(is_data);
    members.filter(|m| m.record.len > 0).collect()
}

/// Says which records are there although nobody knows what they are.
fn with_records(error: Error, whole: &[&Member]) -> Error {
    if whole.is_empty() || error.hint().is_some() || error.kind() != ErrorKind::Malformed {
        return error;
    }
    let shown = whole.iter().take(SHOWN);
    let shown: Vec<String> = shown
        .map(|m| format!("{} of {} bytes", m.record.name, m.record.len))
        .collect();
    let more = if whole.len() > SHOWN { ", ..." } else { "" };
    error.with_hint(format!(
        "{} records lie whole in it ({}{more}): `recover --raw` saves them as bytes, without names, types and shapes",
        whole.len(),
        shown.join(", ")
    ))
}

/// Where the bytes of a record of a damaged zip are, of which there should be `nbytes`, and what is wrong with them.
pub(super) fn of_record(
    zip: &Zip,
    name: &str,
    nbytes: usize,
    end_of_file: usize,
) -> (Place, Option<Damage>) {
    let Some(member) = zip.found(name) else {
        return (
            Place::File(0, 0..0),
            (nbytes > 0).then_some(Damage::Missing),
        );
    };
    if member.record.method == Method::Deflated {
        let place = Place::Record(0, Box::new(member.record.clone()), nbytes);
        let damage = match zip.measure(member) {
            Ok(has) if has != nbytes as u64 => Some(Damage::Length {
                has: usize::try_from(has).unwrap_or(usize::MAX),
            }),
            Ok(_) => None,
            Err(error) => Some(Damage::Corrupt(error.message().to_owned())),
        };
        return (place, damage);
    }
    let from = usize::try_from(member.record.data_at).unwrap_or(usize::MAX);
    let available = usize::try_from(member.available).unwrap_or(0);
    let place = Place::File(0, from..from.saturating_add(available.min(nbytes)));
    let is_last = from.saturating_add(available) >= end_of_file;
    let damage = if member.available < member.record.stored_len || !member.stated && is_last {
        Some(Damage::Cut { available })
    } else if let Some(why) = wrong_crc(zip, member) {
        Some(Damage::Corrupt(why))
    } else if available != nbytes {
        Some(Damage::Length { has: available })
    } else {
        None
    };
    (place, damage)
}

/// What is wrong with the bytes of a stored record; `None` where nobody can tell.
fn wrong_crc(zip: &Zip, member: &Member) -> Option<String> {
    let stated = member.record.crc32;
    if stated == 0 || !member.is_whole() {
        return None;
    }
    match zip.checksum(member) {
        Ok((_, found)) if found == stated => None,
        Ok((_, found)) => Some(format!(
            "its bytes have the CRC {found:08x}, it should be {stated:08x}"
        )),
        Err(error) => Some(error.message().to_owned()),
    }
}

/// The same of a run of a stream, as far as it lies in the file.
pub(super) fn of_run(run: Option<&Range<usize>>, nbytes: usize) -> (Place, Option<Damage>) {
    let Some(run) = run else {
        return (
            Place::File(0, 0..0),
            (nbytes > 0).then_some(Damage::Missing),
        );
    };
    let available = run.len();
    let place = Place::File(0, run.start..run.start + available.min(nbytes));
    let damage = match available {
        _ if available == nbytes => None,
        _ if available < nbytes => Some(Damage::Cut { available }),
        _ => Some(Damage::Length { has: available }),
    };
    (place, damage)
}

/// A safetensors file of which bytes may be missing.
pub(super) fn of_safetensors(
    path: &Path,
    source: ByteSource,
    limits: &Limits,
) -> Result<Checkpoint> {
    let header = Header::parse(&source, limits)?;
    let places = header.check_places(source.len());
    let len = source.len();
    let mut checkpoint = safetensors::checkpoint(path, source, header, limits)?;
    if let Err(error) = places {
        checkpoint.wreckage.notes.push(error.message().to_owned());
    }
    for (number, storage) in checkpoint.storages.iter().enumerate() {
        let start = usize::try_from(storage.file_offset.unwrap_or(0)).unwrap_or(usize::MAX);
        let available = len.saturating_sub(start).min(storage.nbytes);
        let damage = match available {
            0 if storage.nbytes > 0 => Damage::Missing,
            n if n < storage.nbytes => Damage::Cut { available },
            _ => continue,
        };
        checkpoint.wreckage.damage.insert(StorageId(number), damage);
    }
    Ok(checkpoint)
}
