//! What is left of a damaged checkpoint: the tensors that its pickle or header tells of, and which of their bytes are
//! there.
//!
//! The idea: reading is the same as ever ([`super::unpickled`]), but a storage may be shorter than it should be, or
//! not there at all. In a zip the pickle comes first and the directory last, so of a cut-off download everything is
//! known but where the records lie, and that the local headers tell ([`Survey`]). A legacy stream is pickles, then
//! storages in a known order; a safetensors file is its header, then tensors at known places.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::legacy;
use crate::checkpoint::open;
use crate::checkpoint::places::{Bytes, DataFile, Place};
use crate::checkpoint::safetensors;
use crate::checkpoint::storages::Backing;
use crate::checkpoint::unpickled;
use crate::checkpoint::unpickled::Meaning;
use crate::container::FileKind;
use crate::container::zip::{Member, Method, Survey};
use crate::error::{Error, Result};
use crate::pickle;
use crate::safetensors::Header;
use crate::tensor::ByteOrder;

const PICKLE: &str = "data.pkl";

/// A checkpoint of which bytes may be missing.
#[derive(Debug)]
pub struct Salvage {
    /// Its tensors; [`Checkpoint::view`] fails for those whose bytes are not all there.
    pub checkpoint: Checkpoint,
    /// What is wrong with a storage, by [`StorageId`]; `None` for those that are as they should be.
    pub damage: Vec<Option<Damage>>,
    /// What else is wrong, one line each.
    pub notes: Vec<String>,
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
        match self {
            Damage::Missing => format!("its storage {storage} is not in the file"),
            Damage::Cut { available } => {
                format!("its storage {storage} is cut off after {available} bytes")
            }
            Damage::Corrupt(why) => format!("its storage {storage} is damaged: {why}"),
            Damage::Length { has } => {
                format!("its storage {storage} has {has} bytes, not as many as it should")
            }
        }
    }
}

/// A storage as it was found.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Its bytes, as far as they are there.
    pub(super) bytes: FoundBytes,
    /// What is wrong with it, apart from its length.
    pub(super) damage: Option<Damage>,
}

#[derive(Clone, Debug)]
pub(super) enum FoundBytes {
    /// In the file.
    File(Range<usize>),
    /// Inflated.
    Owned(Arc<[u8]>),
}

impl FoundBytes {
    pub(super) fn len(&self) -> usize {
        match self {
            FoundBytes::File(range) => range.len(),
            FoundBytes::Owned(bytes) => bytes.len(),
        }
    }

    /// The first `len` of them.
    pub(super) fn place(&self, len: usize) -> Place {
        match self {
            FoundBytes::File(range) => Place::File(
                0,
                range.start..range.end.min(range.start.saturating_add(len)),
            ),
            FoundBytes::Owned(bytes) => Place::Owned(bytes[..len.min(bytes.len())].into()),
        }
    }
}

/// All storages that were found, by key.
pub(super) type Wreck = HashMap<String, Found>;

impl Salvage {
    /// Opens what is left of the file at `path`.
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`], where not even the tensors' names and places are left.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let source = ByteSource::open(path)?;
        Self::of(path, source, limits).map_err(|e| e.in_file(path))
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
        match FileKind::detect(&source, path) {
            FileKind::Zip => of_zip(path, source, limits),
            FileKind::LegacyTorch => of_legacy(path, source, limits),
            FileKind::Safetensors => of_safetensors(path, source, limits),
            FileKind::Foreign(foreign) => Err(crate::container::foreign_error(&foreign)),
            // whole, or not at all
            _ => open::single(path, source, limits).map(|checkpoint| Self {
                damage: vec![None; checkpoint.storages().len()],
                checkpoint,
                notes: Vec::new(),
            }),
        }
    }

    /// Why a tensor cannot be had; `None` if all of its bytes, and those of its parts, are there and undamaged.
    pub fn lost(&self, tensor: &TensorEntry) -> Option<String> {
        if let Some(lost) = tensor.parts.iter().find_map(|part| self.lost(part)) {
            return Some(lost);
        }
        let StorageId(id) = tensor.storage?;
        let storage = self.checkpoint.storages().get(id)?;
        let damage = self.damage.get(id)?.as_ref()?;
        let there = match damage {
            Damage::Missing => 0,
            Damage::Corrupt(_) => return Some(damage.describe(&storage.key)),
            Damage::Cut { available } | Damage::Length { has: available } => *available,
        };
        let needed = tensor.dtype.bytes_of(tensor.layout.extent());
        let is_there = needed.is_some_and(|needed| needed <= there);
        (!is_there).then(|| damage.describe(&storage.key))
    }

    /// What became of each storage that the pickle names, against what was found of it.
    fn compare(checkpoint: Checkpoint, wreck: &Wreck, notes: Vec<String>) -> Self {
        let damage = checkpoint
            .storages()
            .iter()
            .zip(&checkpoint.bytes.places)
            .map(|(storage, place)| {
                let key = storage.key.rsplit('/').next().unwrap_or(&storage.key);
                let Some(found) = wreck.get(key).or_else(|| wreck.get(&storage.key)) else {
                    let in_pickle = matches!(place, Place::Owned(_));
                    return (storage.nbytes > 0 && !in_pickle).then_some(Damage::Missing);
                };
                let has = found.bytes.len();
                match &found.damage {
                    Some(Damage::Cut { available }) => Some(Damage::Cut {
                        available: *available,
                    }),
                    Some(damage) => Some(damage.clone()),
                    None if storage.view_of.is_none() && has != storage.nbytes => {
                        Some(Damage::Length { has })
                    }
                    None => None,
                }
            })
            .collect();
        Self {
            checkpoint,
            damage,
            notes,
        }
    }
}

fn of_zip(path: &Path, source: ByteSource, limits: &Limits) -> Result<Salvage> {
    let survey = Survey::of(&source, limits)?;
    let is_program = survey.members.iter().any(|member| {
        let name = &member.record.name;
        name.ends_with("constants.pkl")
            || name.ends_with(".json") && name.contains("/models/")
            || name == "serialized_exported_program.json"
    });
    if is_program && let Ok(checkpoint) = open::single(path, source.clone(), limits) {
        return Ok(of_program(checkpoint, &survey, &source, limits));
    }
    let is_pickle = |name: &str| {
        name == PICKLE
            || name
                .strip_suffix(PICKLE)
                .and_then(|folder| folder.strip_suffix('/'))
                .is_some_and(|folder| !folder.contains('/'))
    };
    let member = survey.members.iter().find(|m| is_pickle(&m.record.name));
    let Some(member) = member else {
        return Err(Error::malformed(
            "its data.pkl is not there, which says what tensors there are: nothing can be recovered",
        ));
    };
    let mut notes: Vec<String> = survey
        .problems
        .iter()
        .map(|problem| match &problem.record {
            Some(name) => format!("{name}: {}", problem.message),
            None => problem.message.clone(),
        })
        .collect();
    let most = match member.record.method {
        Method::Stored => limits.pickle_bytes,
        Method::Deflated => limits.inflated(member.available),
    };
    let bytes = member
        .content(&source, most)
        .map_err(|e| e.in_record(PICKLE))?;
    let graph = pickle::read(&bytes, &limits.for_pickle(member.available))
        .map_err(|e| e.in_record(PICKLE))?;
    if let Some(why) = wrong_crc(member, &bytes[..]) {
        notes.push(format!(
            "{PICKLE}: {why}: names, shapes and numbers may be wrong"
        ));
    }
    let folder = &member.record.name[..member.record.name.len() - PICKLE.len()];
    let byte_order = survey
        .find(&format!("{folder}byteorder"))
        .and_then(|member| member.content(&source, 64).ok());
    let byte_order = match byte_order.as_deref() {
        Some(text) if text.starts_with(b"big") => ByteOrder::Big,
        _ => ByteOrder::Little,
    };
    let data = format!("{folder}data/");
    let wreck: Wreck = survey
        .members
        .iter()
        .rev() // of two of one name, torch reads the first
        .filter_map(|member| {
            let key = member.record.name.strip_prefix(&data)?;
            Some((key.to_owned(), found(member, &source, limits)))
        })
        .collect();
    drop(bytes);
    let unpickled = unpickled::unpickled(
        &graph,
        &source,
        Backing::Wreck(wreck.clone(), "data/"),
        byte_order,
        limits,
        &Meaning::PLAIN,
    )
    .map_err(|e| e.in_record(PICKLE))?;
    let file = DataFile {
        source,
        zip: None,
        byte_order,
    };
    let bytes = Bytes::of_one(file, Vec::new(), limits.tensor_bytes);
    let checkpoint = unpickled.into_checkpoint(path, Format::TorchZip, byte_order, bytes);
    Ok(Salvage::compare(checkpoint, &wreck, notes))
}

/// A TorchScript or exported program that opens: its storages against their CRCs.
fn of_program(checkpoint: Checkpoint, survey: &Survey, source: &[u8], limits: &Limits) -> Salvage {
    let by_place: HashMap<u64, &Member> = survey
        .members
        .iter()
        .map(|member| (member.record.data_at, member))
        .collect();
    let damage = checkpoint
        .storages()
        .iter()
        .map(|storage| found(by_place.get(&storage.file_offset?)?, source, limits).damage)
        .collect();
    Salvage {
        checkpoint,
        damage,
        notes: Vec::new(),
    }
}

/// A record's bytes, checked against its CRC.
fn found(member: &Member, source: &[u8], limits: &Limits) -> Found {
    let from = usize::try_from(member.record.data_at).unwrap_or(usize::MAX);
    let available = usize::try_from(member.available).unwrap_or(0);
    let kept = FoundBytes::File(from..from.saturating_add(available));
    if member.record.method == Method::Deflated {
        let most = limits.inflated(member.available).max(64 << 20);
        return match member.content(source, most) {
            Ok(bytes) => Found {
                damage: wrong_crc(member, &bytes).map(Damage::Corrupt),
                bytes: FoundBytes::Owned(bytes.into_owned().into()),
            },
            Err(error) => Found {
                bytes: FoundBytes::File(from..from),
                damage: Some(Damage::Corrupt(error.message().to_owned())),
            },
        };
    }
    let damage = if !member.readable {
        Some(Damage::Corrupt("it is encrypted or compressed".to_owned()))
    } else if member.available < member.record.stored_len {
        Some(Damage::Cut { available })
    } else if !member.stated {
        // as long as it should be or not: `compare` tells; at the end of a cut-off file it is a cut
        (from.saturating_add(available) >= source.len()).then_some(Damage::Cut { available })
    } else {
        wrong_crc(member, member.kept(source)).map(Damage::Corrupt)
    };
    Found {
        bytes: kept,
        damage,
    }
}

/// What is wrong with the CRC; files without any have 0.
fn wrong_crc(member: &Member, bytes: &[u8]) -> Option<String> {
    let stated = member.record.crc32;
    if stated == 0 || !member.stated || !member.is_whole() {
        return None;
    }
    let crc32 = crc32fast::hash(bytes);
    (crc32 != stated)
        .then(|| format!("its bytes have the CRC {crc32:08x}, it should be {stated:08x}"))
}

fn of_legacy(path: &Path, source: ByteSource, limits: &Limits) -> Result<Salvage> {
    let mut notes = Vec::new();
    let stream = legacy::rest(&source, limits, &mut notes)?;
    let wreck: Wreck = stream
        .runs
        .into_iter()
        .map(|(key, run)| {
            let available = run.len();
            let damage = (stream.cut.as_ref() == Some(&key)).then_some(Damage::Cut { available });
            let bytes = FoundBytes::File(run);
            (key, Found { bytes, damage })
        })
        .collect();
    let backing = Backing::Wreck(wreck.clone(), "");
    let mut unpickled = unpickled::unpickled(
        &stream.graph,
        &source,
        backing,
        ByteOrder::Little,
        limits,
        &Meaning::PLAIN,
    )
    .map_err(|e| e.behind(stream.object_at))?;
    if notes.is_empty() {
        unpickled
            .notes
            .extend(legacy::trailing(&source, stream.end));
    }
    let bytes = Bytes::of_one(DataFile::little(source), Vec::new(), limits.tensor_bytes);
    let checkpoint = unpickled.into_checkpoint(path, Format::TorchLegacy, ByteOrder::Little, bytes);
    let mut salvage = Salvage::compare(checkpoint, &wreck, notes);
    // a window of a storage is there as far as the storage is
    let views: Vec<(usize, StorageId, usize)> = salvage
        .checkpoint
        .storages()
        .iter()
        .enumerate()
        .filter_map(|(number, storage)| storage.view_of.map(|(root, at)| (number, root, at)))
        .collect();
    for (number, root, at) in views {
        let nbytes = salvage.checkpoint.storages()[number].nbytes;
        salvage.damage[number] = match &salvage.damage[root.0] {
            Some(Damage::Cut { available } | Damage::Length { has: available })
                if *available >= at.saturating_add(nbytes) =>
            {
                None
            }
            Some(Damage::Cut { available } | Damage::Length { has: available }) => {
                Some(Damage::Cut {
                    available: available.saturating_sub(at),
                })
            }
            other => other.clone(),
        };
    }
    Ok(salvage)
}

fn of_safetensors(path: &Path, source: ByteSource, limits: &Limits) -> Result<Salvage> {
    let header = Header::parse(&source, limits)?;
    let mut notes = Vec::new();
    if let Err(error) = header.check_places(source.len()) {
        notes.push(error.message().to_owned());
    }
    let len = source.len();
    let checkpoint = safetensors::checkpoint(path, source, header, limits)?;
    let damage = checkpoint
        .storages()
        .iter()
        .map(|storage| {
            let start = storage.file_offset.unwrap_or(0);
            let start = usize::try_from(start).unwrap_or(usize::MAX);
            let available = len.saturating_sub(start).min(storage.nbytes);
            match available {
                0 if storage.nbytes > 0 => Some(Damage::Missing),
                n if n < storage.nbytes => Some(Damage::Cut { available }),
                _ => None,
            }
        })
        .collect();
    Ok(Salvage {
        checkpoint,
        damage,
        notes,
    })
}
