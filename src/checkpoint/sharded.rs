//! A checkpoint in several files, shards, and an index that says which tensor is in which: as transformers saves them.
//!
//! `{"metadata": {"total_size": 123}, "weight_map": {"conv.weight": "model-00001-of-00002.safetensors", ...}}`
//!
//! The shards are read whole, whatever the index says of them; where the two disagree a note says so. Nobody else's
//! word is asked: a loader that trusts the index misses tensors, and one that trusts the shards may take another's.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::DISAGREE;
use crate::checkpoint::Format;
use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;
use crate::checkpoint::Part;
use crate::checkpoint::Tree;
use crate::checkpoint::absorb::Under;
use crate::checkpoint::folder;
use crate::checkpoint::names;
use crate::checkpoint::open;
use crate::checkpoint::open::Mode;
use crate::checkpoint::places::Bytes;
use crate::checkpoint::salvage::Loss;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::ByteOrder;

/// Names in a note.
const NAMED: usize = 3;

#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    metadata: Option<serde_json::Value>,
    weight_map: WeightMap,
}

/// Tensor and shard, in the file's order; names may repeat, as a JSON object's may.
struct WeightMap(Vec<(String, String)>);

impl<'de> Deserialize<'de> for WeightMap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = WeightMap;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensor names and file names")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<WeightMap, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(WeightMap(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// Opens the checkpoint whose index is at `index`; `shown` is what the user asked for: the index, or its folder.
pub(super) fn open(
    shown: &Path,
    index: &Path,
    source: &ByteSource,
    limits: &Limits,
    mode: Mode,
) -> Result<Checkpoint> {
    let index_map = match (read(source, limits), mode) {
        (Err(error), Mode::Salvage) if error.kind() == ErrorKind::Malformed => {
            return without_index(shown, index, &error, limits);
        }
        (read, _) => read?,
    };
    let folder = index.parent().unwrap_or(Path::new(""));
    let mut whole = empty(shown, Format::Sharded, limits);
    let mut held = Held::default();
    for shard in shards(&index_map)? {
        let added = add_shard(&mut whole, &mut held, folder, &shard, limits, mode);
        match (added, mode) {
            (Err(error), Mode::Salvage) if error.kind() != ErrorKind::Limit => {
                held.is_partial = true;
                lose(&mut whole, &index_map, &shard, &error);
            }
            (added, _) => added?,
        }
    }
    let losses = &mut whole.wreckage.losses;
    losses.retain(|loss| !held.tensors.contains_key(&loss.name));
    whole.notes.extend(held.against(&index_map));
    if let Some(bytes) = whole.bytes.files.first() {
        whole.byte_order = bytes.byte_order;
    }
    Ok(whole)
}

/// The shards that an index names, with the tensors that should be in each.
pub(super) fn parts(index: &Path, source: &ByteSource, limits: &Limits) -> Result<Vec<Part>> {
    let said = read(source, limits)?;
    let folder = index.parent().unwrap_or(Path::new(""));
    let part = |shard: String| {
        let tensors = said.weight_map.0.iter().filter(|(_, at)| *at == shard);
        Part {
            path: folder.join(&shard),
            tensors: tensors.map(|(tensor, _)| tensor.clone()).collect(),
            pieces: Vec::new(),
        }
    };
    Ok(shards(&said)?.into_iter().map(part).collect())
}

/// Opens a shard, and takes over what it holds.
fn add_shard(
    whole: &mut Checkpoint,
    held: &mut Held,
    folder: &Path,
    shard: &str,
    limits: &Limits,
    mode: Mode,
) -> Result<()> {
    let path = folder.join(shard);
    if !path.is_file() {
        return Err(Error::malformed(format!(
            "names the shard {:?}, which is not beside it",
            names::shorten(shard)
        ))
        .with_hint("get all the shards; each can also be opened by itself"));
    }
    let opened = ByteSource::open(&path)
        .and_then(|source| open::file(&path, source, limits, mode))
        .map_err(|e| e.in_file(&path))?;
    held.add(&opened, shard)?;
    let file: Arc<Path> = path.into();
    let under = Under {
        parent: NodeId(0),
        key: None,
        prefix: "",
        file: Some((&file, shard)),
    };
    let before = whole.wreckage.notes.len();
    whole.absorb(opened, &under);
    for note in &mut whole.wreckage.notes[before..] {
        *note = format!("{shard}: {note}");
    }
    Ok(())
}

/// A shard that cannot be opened: what the index says of it is lost.
fn lose(whole: &mut Checkpoint, index: &Index, shard: &str, error: &Error) {
    let there = error.location().file.is_some();
    let why = match there {
        true => format!("its shard {shard:?} cannot be read: {}", error.message()),
        false => format!("its shard {shard:?} is not there"),
    };
    whole.wreckage.notes.push(match there {
        true => error.to_string(),
        false => error.message().to_owned(),
    });
    for (tensor, _) in index.weight_map.0.iter().filter(|(_, of)| of == shard) {
        whole.wreckage.losses.push(Loss {
            name: tensor.clone(),
            dtype: None,
            shape: None,
            why: why.clone(),
        });
    }
}

/// What is left where the index itself is damaged: every file of weights beside it.
fn without_index(shown: &Path, index: &Path, error: &Error, limits: &Limits) -> Result<Checkpoint> {
    let folder = index.parent().unwrap_or(Path::new(""));
    let mut whole = empty(shown, Format::Sharded, limits);
    whole.wreckage.notes.push(format!(
        "the index is damaged ({}): every file of weights beside it was read, and a missing one would not be missed",
        error.message()
    ));
    let mut held = Held::default();
    for path in folder::weights(folder)? {
        let shard = path.file_name().unwrap_or_default().to_string_lossy();
        let added = add_shard(&mut whole, &mut held, folder, &shard, limits, Mode::Salvage);
        if let Err(error) = added {
            whole.wreckage.notes.push(error.to_string());
        }
    }
    Ok(whole)
}

/// A checkpoint of no files yet: a dict of nothing.
pub(super) fn empty(path: &Path, format: Format, limits: &Limits) -> Checkpoint {
    let mut tree = Tree::default();
    tree.push(None, String::new(), NodeValue::Dict { class: None });
    Checkpoint {
        path: path.to_owned(),
        format,
        byte_order: ByteOrder::Little,
        tensors: Vec::new(),
        storages: Vec::new(),
        modules: Vec::new(),
        tree,
        metadata: Default::default(),
        notes: Vec::new(),
        instances: Default::default(),
        bytes: Bytes {
            files: Vec::new(),
            places: Vec::new(),
            tensor_bytes: limits.tensor_bytes,
        },
        wreckage: Default::default(),
    }
}

fn read(bytes: &[u8], limits: &Limits) -> Result<Index> {
    if bytes.len() > limits.header_bytes {
        return Err(Error::limit(format!(
            "is an index of {} bytes, the limit is {} (header_bytes)",
            bytes.len(),
            limits.header_bytes
        )));
    }
    let index: Index = serde_json::from_slice(bytes)
        .map_err(|e| Error::malformed(format!("is no index of a sharded checkpoint: {e}")))?;
    let mut seen = HashSet::new();
    for (tensor, _) in &index.weight_map.0 {
        if !seen.insert(tensor) {
            return Err(Error::malformed(format!(
                "the index names the tensor {:?} twice: programs choose differently",
                names::shorten(tensor)
            )));
        }
    }
    Ok(index)
}

/// The names of the shards, in the order of the index. All lie beside it, or below.
fn shards(index: &Index) -> Result<Vec<String>> {
    let mut seen = HashSet::new();
    let mut shards = Vec::new();
    for (_, shard) in &index.weight_map.0 {
        check_inside(shard)?;
        if seen.insert(shard) {
            shards.push(shard.clone());
        }
    }
    // the index is often sorted by tensor; the shards' own numbers are their order
    shards.sort();
    Ok(shards)
}

/// That a file named in an index lies beside it, or below.
pub(super) fn check_inside(name: &str) -> Result<()> {
    let inside = Path::new(name)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !inside || name.is_empty() || name.contains('\\') {
        return Err(Error::malformed(format!(
            "names the file {:?}, which is not a file beside the index",
            names::shorten(name)
        )));
    }
    Ok(())
}

/// Which tensors the shards hold.
#[derive(Default)]
struct Held {
    /// By name, the shard.
    tensors: HashMap<String, String>,
    bytes: u64,
    /// Whether a shard could not be opened.
    is_partial: bool,
}

impl Held {
    fn add(&mut self, shard: &Checkpoint, name: &str) -> Result<()> {
        for tensor in shard.tensors() {
            let before = self.tensors.insert(tensor.name.clone(), name.to_owned());
            if let Some(before) = before.filter(|before| before != name) {
                return Err(Error::malformed(format!(
                    "two shards hold {:?}: {before:?} and {name:?}; programs choose differently",
                    names::shorten(&tensor.name)
                )));
            }
            self.bytes = self.bytes.saturating_add(tensor.nbytes() as u64);
        }
        Ok(())
    }

    /// Where index and shards disagree, one line each.
    fn against(&self, index: &Index) -> Vec<String> {
        let mut notes = Vec::new();
        let (mut missing, mut elsewhere, mut named) = (Vec::new(), Vec::new(), HashSet::new());
        for (tensor, shard) in &index.weight_map.0 {
            named.insert(tensor.as_str());
            match self.tensors.get(tensor) {
                None => missing.push(tensor.as_str()),
                Some(held) if held != shard => elsewhere.push(tensor.as_str()),
                Some(_) => {}
            }
        }
        let mut surplus: Vec<&str> = self.tensors.keys().map(String::as_str).collect();
        surplus.retain(|tensor| !named.contains(tensor));
        surplus.sort_unstable();
        if self.is_partial {
            missing.clear(); // they are lost, and said to be
        }
        for (found, what) in [
            (missing, "named by the index and in no shard"),
            (elsewhere, "in another shard than the index says"),
            (surplus, "in a shard and not named by the index"),
        ] {
            if !found.is_empty() {
                notes.push(format!(
                    "{DISAGREE}: {} {what}: {}",
                    match found.len() {
                        1 => "1 tensor is".to_owned(),
                        n => format!("{n} tensors are"),
                    },
                    some(&found)
                ));
            }
        }
        let total = index.metadata.as_ref().and_then(|m| m.get("total_size"));
        let total = total.and_then(|total| total.as_u64());
        if let Some(total) = total.filter(|&total| total != self.bytes && !self.is_partial) {
            notes.push(format!(
                "{DISAGREE}: the index counts {total} bytes of tensors, the shards hold {}",
                self.bytes
            ));
        }
        notes
    }
}

fn some(names: &[&str]) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(NAMED)
        .map(|name| names::shorten(name))
        .collect();
    if names.len() > NAMED {
        shown.push("...".to_owned());
    }
    shown.join(", ")
}

/// The index in `folder`, if it holds one. `None` where there is none.
///
/// # Errors
///
/// `Usage` where there are several and none is called as transformers would.
pub(super) fn index_in(folder: &Path, files: &[PathBuf]) -> Result<Option<PathBuf>> {
    let name = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let indices: Vec<&PathBuf> = files
        .iter()
        .filter(|path| name(path).ends_with(".index.json"))
        .collect();
    let preferred = [
        "model.safetensors.index.json",
        "pytorch_model.bin.index.json",
    ];
    let found = preferred
        .iter()
        .find_map(|wanted| indices.iter().find(|path| name(path) == *wanted));
    match (found, &indices[..]) {
        (Some(index), _) => Ok(Some(index.to_path_buf())),
        (None, []) => Ok(None),
        (None, [only]) => Ok(Some(only.to_path_buf())),
        (None, several) => Err(Error::usage(format!(
            "holds {} indexes of sharded checkpoints: {}",
            several.len(),
            some(
                &several
                    .iter()
                    .map(|p| name(p))
                    .collect::<Vec<_>>()
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
            )
        ))
        .in_file(folder)
        .with_hint("name one of them")),
    }
}
