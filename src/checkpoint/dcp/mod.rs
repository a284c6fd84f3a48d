//! Distributed checkpoints (DCP): a folder in which every rank wrote its pieces of the tensors.
//!
//! * `.metadata`, a pickle, says of each name what it is: a tensor of so many sizes in such pieces, or an object. Of each
//!   piece it says in which file it is, from which byte and how long. A `.distcp` file is torch zips one after another.
//! * Without `.metadata`: safetensors files whose metadata says where in the tensor each piece begins
//!   (`DCP_SHARDING_INFO`), as `HuggingFaceStorageWriter(save_distributed=True)` writes them.
//!
//! A tensor in one piece is a view of the file as any other. One in several is put together when it is asked for:
//! see [`super::pieces`]. Names are those of the state dict that was saved: the pieces' names join its keys by dots.
//!
//! Source: `torch/distributed/checkpoint/{metadata,filesystem,hf_storage}.py` of torch 2.15.

mod files;
mod metadata;

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;
use crate::checkpoint::Storage;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::absorb::Under;
use crate::checkpoint::names;
use crate::checkpoint::open::Mode;
use crate::checkpoint::pieces::{Piece, Pieces};
use crate::checkpoint::places::Place;
use crate::checkpoint::safetensors;
use crate::checkpoint::salvage::{self, Loss};
use crate::checkpoint::sharded;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{DType, Layout};

use files::Files;
pub(super) use files::parts;
use metadata::{Chunk, Item, Key, Saved};

/// The file that says what is where.
pub(super) const METADATA: &str = ".metadata";
/// Where in the tensors the pieces of a safetensors file begin.
const SHARDING: &str = "DCP_SHARDING_INFO";

/// A tensor that is being put together.
struct Whole {
    name: String,
    dtype: DType,
    shape: Vec<usize>,
    requires_grad: bool,
    pieces: Vec<(Piece, Source)>,
}

/// Where a piece was read from.
#[derive(Clone)]
struct Source {
    file: Arc<Path>,
    shown: String,
    offset: Option<u64>,
    location: String,
}

/// Opens the checkpoint whose `.metadata` is at `index`; `shown` is what the user asked for.
pub(super) fn open(shown: &Path, index: &Path, limits: &Limits, mode: Mode) -> Result<Checkpoint> {
    let source = ByteSource::open(index)?;
    let saved = metadata::read(&source, limits).map_err(|e| match mode {
        Mode::Whole => e,
        Mode::Salvage => e.with_hint(
            "it says where in the .distcp files each piece lies: without it none can be found",
        ),
    })?;
    let folder = index.parent().unwrap_or(Path::new(""));
    let mut files = Files::new(folder, limits, mode);
    let mut whole = sharded::empty(shown, Format::Dcp, limits);
    let mut branches = HashMap::new();
    for Item { name, path, saved } in saved {
        let node = branch(&mut whole, &mut branches, &name, &path, limits)?;
        let key = path.last().map_or_else(|| name.clone(), Key::text);
        match saved {
            Saved::Object(chunk) => {
                let (opened, file) = match files.piece(&chunk, &name) {
                    Err(error) if files.forgives(&error) => {
                        whole.wreckage.notes.push(error.message().to_owned());
                        continue;
                    }
                    piece => piece?,
                };
                let under = Under {
                    parent: node,
                    key: Some(&key),
                    prefix: &name,
                    file: Some((&file, &chunk.file)),
                };
                whole.absorb(opened, &under);
            }
            Saved::Tensor {
                dtype,
                shape,
                requires_grad,
                chunks,
            } => {
                let mut tensor = Whole {
                    name,
                    dtype,
                    shape,
                    requires_grad,
                    pieces: Vec::new(),
                };
                let loss = loss_of(&tensor);
                let pieces = take_pieces(&mut whole, &mut files, &chunks, &mut tensor);
                let value = NodeValue::Tensor(whole.tensors.len());
                match pieces.and_then(|()| add(&mut whole, tensor)) {
                    Err(error) if files.forgives(&error) => {
                        whole.wreckage.losses.push(Loss {
                            why: said_of_one(&error),
                            ..loss
                        });
                    }
                    added => {
                        added?;
                        whole.tree.push(Some(node), key, value);
                    }
                }
            }
        }
    }
    Ok(whole)
}

/// All pieces of a tensor.
fn take_pieces(
    whole: &mut Checkpoint,
    files: &mut Files<'_>,
    chunks: &[Chunk],
    tensor: &mut Whole,
) -> Result<()> {
    for chunk in chunks {
        let (opened, file) = files.piece(chunk, &tensor.name)?;
        let (piece, source) = take_piece(whole, opened, chunk, file, tensor)?;
        tensor.pieces.push((piece, source));
    }
    Ok(())
}

fn loss_of(tensor: &Whole) -> Loss {
    Loss {
        name: tensor.name.clone(),
        dtype: Some(tensor.dtype),
        shape: Some(tensor.shape.clone()),
        why: String::new(),
    }
}

/// An error without the name of the tensor that it begins with.
fn said_of_one(error: &Error) -> String {
    let message = error.message();
    match message.split_once("\": ") {
        Some((name, rest)) if name.starts_with('"') => rest.to_owned(),
        _ => message.to_owned(),
    }
}

/// The names that a `.metadata` gives.
pub(super) fn names(bytes: &[u8], limits: &Limits) -> Result<Vec<String>> {
    let items = metadata::read(bytes, limits)?.into_iter();
    Ok(items.map(|item| item.name).collect())
}

/// The tensor alone that a piece should be; its files become those of the whole.
fn take_piece(
    whole: &mut Checkpoint,
    mut opened: Checkpoint,
    chunk: &Chunk,
    file: Arc<Path>,
    tensor: &Whole,
) -> Result<(Piece, Source)> {
    let wrong = |what: String| {
        Error::malformed(format!(
            "{:?}: the piece at {:?} in {:?} {what}",
            names::shorten(&tensor.name),
            chunk.offsets,
            names::shorten(&chunk.file)
        ))
    };
    let [entry] = &opened.tensors[..] else {
        return Err(wrong(format!("holds {} tensors", opened.tensors.len())));
    };
    let Some(StorageId(storage)) = entry.storage else {
        return Err(wrong("has no elements of its own".to_owned()));
    };
    if let Some(why) = opened.lost(entry) {
        return Err(wrong(format!("is not whole: {why}")));
    }
    if entry.dtype != tensor.dtype || entry.layout.shape() != chunk.sizes {
        return Err(wrong(format!(
            "is {} of {:?}, expected {} of {:?}",
            entry.dtype,
            entry.layout.shape(),
            tensor.dtype,
            chunk.sizes
        )));
    }
    if entry.conj || entry.neg {
        return Err(wrong("is lazily conjugated or negated".to_owned()));
    }
    let first = whole.bytes.files.len();
    let layout = entry.layout.clone();
    let source = Source {
        offset: opened.file_offset(entry),
        file,
        shown: chunk.file.clone(),
        location: opened.storages[storage].location.clone(),
    };
    let place = opened.bytes.places.swap_remove(storage).moved(first);
    whole.bytes.files.append(&mut opened.bytes.files);
    let piece = Piece {
        offsets: chunk.offsets.clone(),
        layout,
        place,
    };
    Ok((piece, source))
}

/// Adds a tensor whose pieces are all there.
fn add(whole: &mut Checkpoint, tensor: Whole) -> Result<()> {
    let Whole {
        name,
        dtype,
        shape,
        requires_grad,
        pieces,
    } = tensor;
    let about = |e: Error| {
        Error::new(
            e.kind(),
            format!("{:?}: {}", names::shorten(&name), e.message()),
        )
    };
    let layout = Layout::contiguous(shape).map_err(about)?;
    let nbytes = dtype.bytes_of(layout.numel()).unwrap_or(usize::MAX);
    let (pieces, mut sources): (Vec<Piece>, Vec<Source>) = pieces.into_iter().unzip();
    let count = pieces.len();
    let pieces = Pieces::new(dtype, layout.shape().to_vec(), pieces).map_err(about)?;
    let mut extra = serde_json::Map::new();
    if count > 1 {
        extra.insert("pieces".into(), count.into());
    }
    // all of one piece that lies as it should is a run of bytes of its file
    let run = pieces.run(&whole.bytes.files);
    let source = (count == 1).then(|| sources.swap_remove(0));
    let shown = match &source {
        Some(source) => source.shown.clone(),
        None => {
            sources.dedup_by(|a, b| a.shown == b.shown);
            let shown: Vec<&str> = sources.iter().map(|s| s.shown.as_str()).take(3).collect();
            shown.join("+")
        }
    };
    let id = StorageId(whole.storages.len());
    whole.storages.push(Storage {
        key: shown,
        file: source.as_ref().map(|source| source.file.clone()),
        location: source.as_ref().map_or("cpu", |s| &s.location).to_owned(),
        dtype,
        nbytes,
        file_offset: match (&run, &source) {
            (Some(_), Some(source)) => source.offset,
            _ => None,
        },
        view_of: None,
    });
    whole
        .bytes
        .places
        .push(run.unwrap_or(Place::Pieces(Arc::new(pieces))));
    whole.tensors.push(TensorEntry {
        name,
        dtype,
        layout,
        storage: Some(id),
        requires_grad,
        conj: false,
        neg: false,
        extra,
        parts: Vec::new(),
    });
    Ok(())
}

/// The node that an item's last key is below: dicts and lists on the way are made where they are missing.
fn branch(
    whole: &mut Checkpoint,
    branches: &mut HashMap<(NodeId, String), NodeId>,
    name: &str,
    path: &[Key],
    limits: &Limits,
) -> Result<NodeId> {
    let mut node = NodeId(0);
    if path.len() > limits.tree_depth {
        return Err(Error::limit(format!(
            "{:?} lies more than {} levels deep (tree_depth)",
            names::shorten(name),
            limits.tree_depth
        )));
    }
    for pair in path.windows(2) {
        let tree = &mut whole.tree;
        let value = match pair[1] {
            Key::Index(_) => NodeValue::List,
            Key::Name(_) => NodeValue::Dict { class: None },
        };
        let key = (node, pair[0].text());
        node = match branches.get(&key) {
            Some(&known) => known,
            None => {
                let id = tree.push(Some(node), key.1.clone(), value);
                branches.insert(key, id);
                id
            }
        };
    }
    Ok(node)
}

/// Whether a safetensors file says that it holds pieces.
pub(super) fn holds_pieces(path: &Path, limits: &Limits) -> bool {
    ByteSource::open(path)
        .and_then(|source| salvage::of_safetensors(path, source, limits))
        .is_ok_and(|shard| shard.metadata.contains_key(SHARDING))
}

/// Opens the safetensors files of a folder, whose tensors are pieces.
pub(super) fn open_safetensors(
    folder: &Path,
    files: &[PathBuf],
    limits: &Limits,
    mode: Mode,
) -> Result<Checkpoint> {
    let mut whole = sharded::empty(folder, Format::Dcp, limits);
    // by name, so that the order does not depend on who wrote first
    let mut tensors: BTreeMap<String, Whole> = BTreeMap::new();
    let mut lost: BTreeMap<String, String> = BTreeMap::new();
    let mut unread = None;
    for path in files {
        let opened = ByteSource::open(path)
            .and_then(|source| match mode {
                Mode::Whole => safetensors::open(path, source, limits),
                Mode::Salvage => salvage::of_safetensors(path, source, limits),
            })
            .map_err(|e| e.in_file(path));
        match opened {
            Err(error) if mode == Mode::Salvage && error.kind() != ErrorKind::Limit => {
                whole.wreckage.notes.push(error.to_string());
                unread = path.file_name();
            }
            shard => add_shard(&mut whole, shard?, path, &mut tensors, &mut lost)?,
        }
    }
    for (name, tensor) in tensors {
        let value = NodeValue::Tensor(whole.tensors.len());
        let loss = loss_of(&tensor);
        // nothing says of which tensors an unreadable file held pieces: any may reach further than what is left
        let why = lost.remove(&name).or_else(|| {
            let file = unread?.to_string_lossy();
            Some(format!(
                "pieces of it may lie in {file:?}, which cannot be read"
            ))
        });
        let added = match why {
            Some(why) => Err(Error::malformed(why)),
            None => add(&mut whole, tensor),
        };
        match added {
            Err(error) if mode == Mode::Salvage && error.kind() != ErrorKind::Limit => {
                whole.wreckage.losses.push(Loss {
                    why: said_of_one(&error),
                    ..loss
                });
            }
            added => {
                added?;
                whole.tree.push(Some(NodeId(0)), name, value);
            }
        }
    }
    Ok(whole)
}

/// Takes over the pieces that one safetensors file holds; those that are not whole make their tensors lost.
fn add_shard(
    whole: &mut Checkpoint,
    mut shard: Checkpoint,
    path: &Path,
    tensors: &mut BTreeMap<String, Whole>,
    lost: &mut BTreeMap<String, String>,
) -> Result<()> {
    let offsets = saved_offsets(&shard).map_err(|e| e.in_file(path))?;
    let file: Arc<Path> = path.into();
    let shown = path.file_name().unwrap_or_default().to_string_lossy();
    let first = whole.bytes.files.len();
    let mut places = shard.bytes.places.iter();
    for entry in shard.tensors() {
        let place = places.next().cloned();
        let (Some(offsets), Some(place)) = (offsets.get(&entry.name), place) else {
            return Err(Error::malformed(format!(
                "does not say which part of {:?} it holds",
                names::shorten(&entry.name)
            ))
            .in_file(path));
        };
        if shard.lost(entry).is_some() {
            let why = format!("its piece at {offsets:?} in {shown:?} is cut off");
            lost.entry(entry.name.clone()).or_insert(why);
        }
        let source = Source {
            offset: shard.file_offset(entry),
            file: file.clone(),
            shown: shown.clone().into_owned(),
            location: "cpu".to_owned(),
        };
        let piece = Piece {
            offsets: offsets.clone(),
            layout: entry.layout.clone(),
            place: place.moved(first),
        };
        let tensor = tensors.entry(entry.name.clone()).or_insert_with(|| Whole {
            name: entry.name.clone(),
            dtype: entry.dtype,
            shape: vec![0; offsets.len()],
            requires_grad: false,
            pieces: Vec::new(),
        });
        grow(tensor, entry, &piece).map_err(|e| e.in_file(path))?;
        tensor.pieces.push((piece, source));
    }
    let notes = std::mem::take(&mut shard.wreckage.notes).into_iter();
    let notes = notes.map(|note| format!("{shown}: {note}"));
    whole.wreckage.notes.extend(notes);
    whole.bytes.files.extend(shard.bytes.files);
    Ok(())
}

/// The sizes of the whole are nowhere: it reaches as far as its pieces.
fn grow(tensor: &mut Whole, entry: &TensorEntry, piece: &Piece) -> Result<()> {
    let shape = entry.layout.shape();
    let fits = entry.dtype == tensor.dtype
        && piece.offsets.len() == shape.len()
        && tensor.shape.len() == shape.len();
    let ends = piece.offsets.iter().zip(shape);
    let ends: Option<Vec<usize>> = ends
        .map(|(&offset, &size)| offset.checked_add(size))
        .collect();
    let Some(ends) = ends.filter(|_| fits) else {
        return Err(Error::malformed(format!(
            "its piece of {:?} does not fit those of other files",
            names::shorten(&tensor.name)
        )));
    };
    for (size, end) in tensor.shape.iter_mut().zip(ends) {
        *size = (*size).max(end);
    }
    Ok(())
}

/// `{"conv.weight": {"saved_offsets": [0, 0, 0, 0]}}`
fn saved_offsets(shard: &Checkpoint) -> Result<HashMap<String, Vec<usize>>> {
    #[derive(serde::Deserialize)]
    struct Saved {
        saved_offsets: Vec<usize>,
    }
    let text = shard.metadata.get(SHARDING).map_or("{}", String::as_str);
    let saved: HashMap<String, Saved> = serde_json::from_str(text)
        .map_err(|e| Error::malformed(format!("its {SHARDING} is not what it should be: {e}")))?;
    let saved = saved.into_iter();
    Ok(saved
        .map(|(name, saved)| (name, saved.saved_offsets))
        .collect())
}
