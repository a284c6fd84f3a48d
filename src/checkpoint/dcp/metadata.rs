//! The `.metadata` of a distributed checkpoint: dataclasses of `torch.distributed.checkpoint.metadata`, pickled.
//!
//! `Metadata(state_dict_metadata, planner_data, storage_data, ...)`: the first says of each name what it is, the second
//! by which keys it is reached in the state dict (that of the default planner), the third where each piece lies.

use std::collections::HashMap;

use crate::bytes::Budget;
use crate::bytes::Limits;
use crate::checkpoint::names;
use crate::checkpoint::python::Python;
use crate::error::{Error, Result};
use crate::pickle;
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::DType;

/// What was saved under a name.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) name: String,
    /// The keys on the way to it; the name alone where nobody says.
    pub(super) path: Vec<Key>,
    pub(super) saved: Saved,
}

/// A key of a dict, or a position in a list.
#[derive(Debug)]
pub(super) enum Key {
    Name(String),
    Index(i64),
}

impl Key {
    pub(super) fn text(&self) -> String {
        match self {
            Key::Name(name) => name.clone(),
            Key::Index(n) => n.to_string(),
        }
    }
}

#[derive(Debug)]
pub(super) enum Saved {
    Tensor {
        dtype: DType,
        shape: Vec<usize>,
        requires_grad: bool,
        chunks: Vec<Chunk>,
    },
    /// Anything else, pickled.
    Object(Chunk),
}

/// A piece: which part of the tensor, and where.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) offsets: Vec<usize>,
    pub(super) sizes: Vec<usize>,
    pub(super) file: String,
    pub(super) at: usize,
    pub(super) len: usize,
}

/// Where a piece lies.
struct Place {
    file: String,
    at: usize,
    len: usize,
}

/// Bytes that the pieces may take for each byte of the file, beside [`Limits::tree_bytes`]: tensors may share one list
/// of pieces, and then each piece is many.
const PIECES_PER_BYTE: usize = 16;

/// By name and offsets; objects have none.
type Places = HashMap<(String, Option<Vec<usize>>), Place>;

/// Reads the pickle; items in its order.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Vec<Item>> {
    let most = bytes.len().min(limits.pickle_bytes);
    let graph = pickle::read(&bytes[..most], limits)?;
    let python = Python(&graph);
    let metadata = fields(python, graph.root, "Metadata")?;
    let places = places(python, field(python, metadata, "storage_data")?)?;
    let paths = python
        .entry(metadata, "planner_data")
        .map(|id| paths(python, id));
    let mut paths = paths.unwrap_or_default();
    let items = field(python, metadata, "state_dict_metadata")?;
    let for_size = bytes.len().saturating_mul(PIECES_PER_BYTE);
    let most = limits.tree_bytes.saturating_add(for_size);
    let mut budget = Budget::new(most, "the pieces of the tensors (tree_bytes)");
    let mut found = Vec::new();
    for &(name, value) in entries(python, items)? {
        let name = text(python, name)?;
        let saved = saved(python, &name, value, &places, &mut budget).map_err(|e| {
            let named = format!("{:?}: {}", names::shorten(&name), e.message());
            Error::new(e.kind(), named).at_offset(graph.offset(value))
        })?;
        let path = paths.remove(&name);
        found.push(Item {
            path: path.unwrap_or_else(|| vec![Key::Name(name.clone())]),
            name,
            saved,
        });
    }
    Ok(found)
}

fn saved(
    python: Python<'_>,
    name: &str,
    value: ValueId,
    places: &Places,
    budget: &mut Budget,
) -> Result<Saved> {
    let mut chunk = |offsets: Option<Vec<usize>>, sizes: Vec<usize>| {
        let key = (name.to_owned(), offsets);
        let Some(place) = places.get(&key) else {
            return Err(Error::malformed(format!(
                "nothing says where its piece at {:?} lies",
                key.1.unwrap_or_default()
            )));
        };
        let numbers = sizes.len().saturating_mul(2 * size_of::<usize>());
        budget.spend(numbers.saturating_add(2 * size_of::<Chunk>() + place.file.len()))?;
        Ok(Chunk {
            offsets: key.1.unwrap_or_default(),
            sizes,
            file: place.file.clone(),
            at: place.at,
            len: place.len,
        })
    };
    if class(python, value) == Some("BytesStorageMetadata") {
        return chunk(None, Vec::new()).map(Saved::Object);
    }
    let tensor = fields(python, value, "TensorStorageMetadata")?;
    let properties = field(python, tensor, "properties")?;
    let (dtype, requires_grad) = properties_of(python, properties)?;
    let shape = sizes(python, field(python, tensor, "size")?)?;
    let mut chunks = Vec::new();
    for &piece in python
        .items(field(python, tensor, "chunks")?)
        .unwrap_or(&[])
    {
        let piece = fields(python, piece, "ChunkStorageMetadata")?;
        let offsets = sizes(python, field(python, piece, "offsets")?)?;
        let sizes = sizes(python, field(python, piece, "sizes")?)?;
        chunks.push(chunk(Some(offsets), sizes)?);
    }
    Ok(Saved::Tensor {
        dtype,
        shape,
        requires_grad,
        chunks,
    })
}

/// `(dtype, layout, requires_grad, memory_format, pin_memory, strides)`, as a tuple or by name.
fn properties_of(python: Python<'_>, id: ValueId) -> Result<(DType, bool)> {
    let state = state_of(python, id);
    let (dtype, requires_grad) = match state.map(|state| (state, python.items(state))) {
        Some((_, Some([dtype, _, requires_grad, ..]))) => (Some(*dtype), Some(*requires_grad)),
        Some((state, _)) => (
            python.entry(state, "dtype"),
            python.entry(state, "requires_grad"),
        ),
        None => (None, None),
    };
    let name = dtype.and_then(|dtype| python.global(dtype));
    let Some(known) = name.and_then(|(_, name)| DType::from_name(name)) else {
        let shown = dtype.map_or_else(|| "missing".to_owned(), |dtype| python.repr(dtype));
        return Err(Error::unsupported(format!("its dtype is {shown}")));
    };
    let requires_grad = requires_grad.and_then(|id| python.bool(id));
    Ok((known, requires_grad.unwrap_or(false)))
}

/// Where each piece lies.
fn places(python: Python<'_>, id: ValueId) -> Result<Places> {
    let mut places = Places::new();
    for &(index, info) in entries(python, id)? {
        let index = fields(python, index, "MetadataIndex")?;
        let name = text(python, field(python, index, "fqn")?)?;
        let offset = python.entry(index, "offset");
        let offset = match offset.filter(|&id| *python.get(id) != Value::None) {
            Some(offset) => Some(sizes(python, offset)?),
            None => None,
        };
        let info = fields(python, info, "_StorageInfo")?;
        let transforms = python.entry(info, "transform_descriptors");
        let transforms = transforms.and_then(|id| python.items(id)).unwrap_or(&[]);
        if let [transform, ..] = transforms {
            return Err(Error::unsupported(format!(
                "{:?} is written by the extension {}",
                names::shorten(&name),
                python.repr(*transform)
            ))
            .with_hint("save it without extensions"));
        }
        let place = Place {
            file: text(python, field(python, info, "relative_path")?)?,
            at: size(python, field(python, info, "offset")?)?,
            len: size(python, field(python, info, "length")?)?,
        };
        places.insert((name, offset), place);
    }
    Ok(places)
}

/// The default planner's word: `{"optim.state.0.step": ("optim", "state", 0, "step")}`. Others' are passed over.
fn paths(python: Python<'_>, id: ValueId) -> HashMap<String, Vec<Key>> {
    let mut paths = HashMap::new();
    for &(name, path) in entries(python, id).unwrap_or(&[]) {
        let (Some(name), Some(path)) = (python.str(name), python.items(path)) else {
            continue;
        };
        let keys = path.iter().map(|&key| match python.int(key) {
            Some(n) => Some(Key::Index(n)),
            None => python.str(key).map(|key| Key::Name(key.to_owned())),
        });
        if let Some(keys) = keys.collect::<Option<Vec<Key>>>().filter(|k| !k.is_empty()) {
            paths.insert(name.to_owned(), keys);
        }
    }
    paths
}

fn object<'g>(python: Python<'g>, id: ValueId) -> Option<&'g Object> {
    match python.get(id) {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

/// The name of the class of DCP's that a value is an instance of.
fn class<'g>(python: Python<'g>, id: ValueId) -> Option<&'g str> {
    let (module, name) = python.callable(object(python, id)?)?;
    module.starts_with("torch.distributed").then_some(name)
}

fn state_of(python: Python<'_>, id: ValueId) -> Option<ValueId> {
    object(python, id)?.state.last().copied()
}

/// The attributes of an instance of that class.
fn fields(python: Python<'_>, id: ValueId, expected: &str) -> Result<ValueId> {
    let state = state_of(python, id);
    state
        .filter(|_| class(python, id) == Some(expected))
        .ok_or_else(|| {
            Error::malformed(format!(
                "where a {expected} is expected, there is {}",
                python.repr(id)
            ))
        })
}

fn field(python: Python<'_>, state: ValueId, name: &str) -> Result<ValueId> {
    python
        .entry(state, name)
        .ok_or_else(|| Error::malformed(format!("a dataclass has no {name}")))
}

fn entries<'g>(python: Python<'g>, id: ValueId) -> Result<&'g [(ValueId, ValueId)]> {
    match python.get(id) {
        Value::Dict(entries) => Ok(entries),
        other => Err(Error::malformed(format!(
            "where a dict is expected, there is {}",
            other.kind()
        ))),
    }
}

fn text(python: Python<'_>, id: ValueId) -> Result<String> {
    let text = python.str(id);
    text.map(str::to_owned)
        .ok_or_else(|| Error::malformed(format!("{} where text is expected", python.repr(id))))
}

fn size(python: Python<'_>, id: ValueId) -> Result<usize> {
    let size = python.int(id).and_then(|n| usize::try_from(n).ok());
    size.ok_or_else(|| Error::malformed(format!("{} where a size is expected", python.repr(id))))
}

fn sizes(python: Python<'_>, id: ValueId) -> Result<Vec<usize>> {
    let Some(items) = python.items(id) else {
        return Err(Error::malformed(format!(
            "{} where sizes are expected",
            python.repr(id)
        )));
    };
    items.iter().map(|&item| size(python, item)).collect()
}
