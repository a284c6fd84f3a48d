//! What a damaged file still holds, saved: every tensor whose bytes are wholly there, and a list of the others.
//!
//! [`Salvage`] tells what is there; this module decides what can be written and writes it, whole or not at all. Where
//! nobody can tell any more what the records of a zip are, [`Options::raw`] saves them as they are, bytes under the
//! records' names.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::bytes::Limits;
use crate::bytes::output;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::RawRecords;
use crate::checkpoint::Salvage;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, ErrorKind, Result};
use crate::safetensors::stream;
use crate::tensor::{ByteOrder, DType, Layout, TensorView};

/// What became of the tensors.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The damaged file.
    pub file: PathBuf,
    /// What was written; `None` where there was nothing to write.
    pub output: Option<PathBuf>,
    /// Written, in the file's own order.
    pub saved: Vec<Saved>,
    /// Not written, in the file's own order.
    pub lost: Vec<Lost>,
    /// What is wrong with the file, one line each.
    pub damage: Vec<String>,
}

/// A tensor that was saved.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: &'static str,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Bytes.
    pub nbytes: u64,
}

/// A tensor that was not.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Its name.
    pub name: String,
    /// Element type, where that is still known.
    pub dtype: Option<&'static str>,
    /// Sizes per axis, where they are still known.
    pub shape: Option<Vec<usize>>,
    /// Why.
    pub why: String,
}

/// What to save.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Records of a zip too that are whole and of which no tensor is saved: as bytes, under the records' names.
    pub raw: bool,
}

/// Saves what is left of the file at `path` as the safetensors file `out`.
///
/// # Errors
///
/// Where not even the tensors' names and places are left, as [`Salvage::open`], unless there are raw records to save;
/// `Io` where `out` cannot be written. Tensors that are lost are no error.
pub fn recover(path: &Path, out: &Path, options: Options, limits: &Limits) -> Result<Recovery> {
    let same = std::fs::canonicalize(path)
        .ok()
        .zip(std::fs::canonicalize(out).ok());
    if same.is_some_and(|(a, b)| a == b) {
        return Err(Error::usage("--output is the damaged file itself").in_file(out));
    }
    let records = match options.raw {
        true => Some(RawRecords::open(path, limits)?),
        false => None,
    };
    let mut recovery = Recovery {
        file: path.to_owned(),
        output: None,
        saved: Vec::new(),
        lost: Vec::new(),
        damage: Vec::new(),
    };
    let salvage = match Salvage::open(path, limits) {
        Ok(salvage) => Some(salvage),
        Err(error) if records.as_ref().is_some_and(|r| r.iter().len() > 0) => {
            recovery.damage.push(error.to_string());
            None
        }
        Err(error) => return Err(error),
    };
    let chosen = match &salvage {
        Some(salvage) => plan(&mut recovery, salvage, limits),
        None => Vec::new(),
    };
    let raw = match &records {
        Some(records) => unclaimed(records, salvage.as_ref(), &chosen),
        None => Vec::new(),
    };
    let mut tensors: Vec<stream::Outgoing<'_>> = Vec::new();
    let mut metadata = Vec::new();
    if let Some(salvage) = &salvage {
        tensors.extend(chosen.iter().map(|&tensor| stream::Outgoing {
            name: &tensor.name,
            dtype: tensor.dtype,
            shape: tensor.layout.shape(),
            view: Box::new(move || salvage.checkpoint.view(tensor)),
        }));
        let pairs = salvage.checkpoint.metadata().iter();
        metadata.extend(pairs.map(|(key, value)| (key.clone(), value.clone())));
    }
    for raw in &raw {
        recovery.saved.push(Saved {
            name: raw.name.to_owned(),
            dtype: DType::UInt8.name(),
            shape: raw.shape.to_vec(),
            nbytes: raw.shape[0] as u64,
        });
        tensors.push(raw.outgoing());
    }
    if !tensors.is_empty() {
        write(&tensors, &metadata, out)?;
        recovery.output = Some(out.to_owned());
    }
    Ok(recovery)
}

fn write(
    tensors: &[stream::Outgoing<'_>],
    metadata: &[(String, String)],
    out: &Path,
) -> Result<()> {
    let mut failure = None;
    let written = output::write_whole(out, |file| {
        stream::write(tensors, metadata, file).map_err(|error| {
            let text = error.to_string();
            failure = Some(error);
            std::io::Error::other(text)
        })
    });
    match (written, failure) {
        (Err(_), Some(error)) if error.kind() != ErrorKind::Io => Err(error),
        (written, _) => written,
    }
}

/// A record of a zip as a tensor of bytes.
struct Raw<'r> {
    name: &'r str,
    shape: [usize; 1],
    number: usize,
    records: &'r RawRecords,
}

impl<'r> Raw<'r> {
    fn outgoing<'s>(&'s self) -> stream::Outgoing<'s> {
        stream::Outgoing {
            name: self.name,
            dtype: DType::UInt8,
            shape: &self.shape,
            view: Box::new(|| {
                let bytes = self.records.bytes(self.number)?;
                let layout = Layout::contiguous(self.shape.to_vec())?;
                TensorView::new(bytes, DType::UInt8, layout, ByteOrder::Little)
            }),
        }
    }
}

/// The records in which no saved tensor lies.
fn unclaimed<'r>(
    records: &'r RawRecords,
    salvage: Option<&Salvage>,
    chosen: &[&TensorEntry],
) -> Vec<Raw<'r>> {
    let mut claimed = HashSet::new();
    let mut names = HashSet::new();
    for tensor in chosen {
        names.insert(tensor.name.as_str());
        let storages = salvage.map_or(&[][..], |salvage| salvage.checkpoint.storages());
        let storage = tensor.storage.and_then(|id| storages.get(id.0));
        claimed.extend(storage.and_then(|storage| storage.file_offset));
    }
    let records_of = records.iter().enumerate();
    let free = records_of.filter(|(_, record)| {
        !claimed.contains(&record.data_at) && !names.contains(record.name.as_str())
    });
    free.filter_map(|(number, record)| {
        Some(Raw {
            name: &record.name,
            shape: [usize::try_from(record.len).ok()?],
            number,
            records,
        })
    })
    .collect()
}

/// What can be saved; says what cannot.
fn plan<'s>(
    recovery: &mut Recovery,
    salvage: &'s Salvage,
    limits: &Limits,
) -> Vec<&'s TensorEntry> {
    recovery.damage.clone_from(&salvage.notes);
    let mut work = Work::of(salvage, limits);
    let mut chosen = Vec::new();
    let mut names = HashSet::new();
    for tensor in salvage.checkpoint.tensors() {
        match savable(salvage, tensor, &mut names, &mut work) {
            Ok(()) => {
                recovery.saved.push(Saved {
                    name: tensor.name.clone(),
                    dtype: tensor.dtype.name(),
                    shape: tensor.layout.shape().to_vec(),
                    nbytes: tensor.nbytes() as u64,
                });
                chosen.push(tensor);
            }
            Err(why) => recovery.lost.push(Lost {
                name: tensor.name.clone(),
                dtype: Some(tensor.dtype.name()),
                shape: Some(tensor.layout.shape().to_vec()),
                why,
            }),
        }
    }
    recovery.lost.extend(salvage.losses.iter().map(|loss| Lost {
        name: loss.name.clone(),
        dtype: loss.dtype.map(DType::name),
        shape: loss.shape.clone(),
        why: loss.why.clone(),
    }));
    chosen
}

/// Bytes that may still be read and written. A few in the file can be made many: by tensors that are expanded, and by
/// tensors of one compressed storage, which is inflated for each.
struct Work {
    left: u64,
    most: u64,
}

impl Work {
    fn of(salvage: &Salvage, limits: &Limits) -> Self {
        let storages = salvage.checkpoint.storages().iter();
        let stored = storages
            .filter(|storage| storage.view_of.is_none())
            .fold(0u64, |sum, s| sum.saturating_add(s.nbytes as u64));
        // what a damaged file declares need not be there
        let kept = match salvage.checkpoint.file_len() {
            0 => stored,
            len => len,
        };
        let most = limits.inflated_storage(kept) as u64;
        Self { left: most, most }
    }

    fn spend(&mut self, checkpoint: &Checkpoint, tensor: &TensorEntry) -> Result<(), String> {
        let inflated = tensor.storage.filter(|&id| checkpoint.is_compressed(id));
        let inflated = inflated.and_then(|id| checkpoint.storages().get(id.0));
        let inflated = inflated.map_or(0, |storage| storage.nbytes as u64);
        let bytes = inflated.saturating_add(tensor.nbytes() as u64);
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            format!(
                "its bytes are there, but with those before it they repeat what the file has to more than {} (inflate_ratio)",
                self.most
            )
        })?;
        Ok(())
    }
}

fn savable<'s>(
    salvage: &Salvage,
    tensor: &'s TensorEntry,
    names: &mut HashSet<&'s str>,
    work: &mut Work,
) -> Result<(), String> {
    if let Some(why) = salvage.lost(tensor) {
        return Err(why);
    }
    if stream::tag_and_shape(tensor.dtype, tensor.layout.shape()).is_none() {
        return Err(format!(
            "its bytes are there, but safetensors has no type {}",
            tensor.dtype
        ));
    }
    if !tensor.parts.is_empty() {
        return Err("its bytes are there, but safetensors has no such tensors".to_owned());
    }
    if tensor.name == "__metadata__" {
        return Err("its bytes are there, but safetensors allows no such name".to_owned());
    }
    work.spend(&salvage.checkpoint, tensor)?;
    // views of meta tensors and of tensors that are expanded beyond all measure fail
    salvage
        .checkpoint
        .view(tensor)
        .map_err(|error| error.message().to_owned())?;
    if !names.insert(&tensor.name) {
        return Err("its bytes are there, but another tensor has its name".to_owned());
    }
    Ok(())
}
