//! `torch.save` from 0.1.10 to 1.5, and today with `_use_new_zipfile_serialization=False`: a stream.
//!
//! | part | what it holds |
//! | --- | --- |
//! | pickle | the magic number 0x1950a86a20f9469cfc6c |
//! | pickle | the protocol, 1001 |
//! | pickle | a dict about the machine that wrote it, which changes nothing: storages are little-endian everywhere |
//! | pickle | the object; storages by persistent ids, modules' classes too, with the source of the class |
//! | pickle | a list of storage keys |
//! | for each key | the number of elements in 8 bytes, then the elements |
//!
//! How long a storage is only the object's pickle tells: the stream counts elements, and the first persistent id of a
//! key says of which type. Source: `torch/serialization.py`, `_legacy_save` and `_legacy_load` of torch 2.15.

use std::collections::HashMap;
use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Cursor;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::names;
use crate::checkpoint::places::{Bytes, DataFile};
use crate::checkpoint::python::Python;
use crate::checkpoint::storages;
use crate::checkpoint::storages::Backing;
use crate::checkpoint::unpickled;
use crate::checkpoint::unpickled::Meaning;
use crate::error::{Error, Result};
use crate::pickle;
use crate::pickle::Graph;
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::{ByteOrder, DType};

/// 0x1950a86a20f9469cfc6c, as pickle keeps it.
const MAGIC: &[u8] = b"l\xfc\x9cF\xf9 j\xa8P\x19";
const PROTOCOL: i64 = 1001;

pub(super) fn open(path: &Path, source: ByteSource, limits: &Limits) -> Result<Checkpoint> {
    let stream = Stream::read(&source, limits)?;
    let backing = Backing::Stream(stream.runs);
    let mut unpickled = unpickled::unpickled(
        &stream.graph,
        &source,
        backing,
        ByteOrder::Little,
        limits,
        &Meaning::PLAIN,
    )
    .map_err(|e| e.behind(stream.object_at))?;
    unpickled.notes.extend(trailing(&source, stream.end));
    let bytes = Bytes::of_one(DataFile::little(source), Vec::new(), limits.tensor_bytes);
    Ok(unpickled.into_checkpoint(path, Format::TorchLegacy, ByteOrder::Little, bytes))
}

/// A line about the bytes behind the last storage.
pub(super) fn trailing(bytes: &[u8], end: usize) -> Option<String> {
    (end < bytes.len()).then(|| {
        format!(
            "{} bytes follow the last storage, from byte {end} on, which torch does not read",
            bytes.len() - end
        )
    })
}

/// The parts of the stream.
struct Stream {
    /// Of the object.
    graph: Graph,
    /// Where its pickle begins.
    object_at: u64,
    /// Where each storage's bytes lie, by key.
    runs: HashMap<String, Range<usize>>,
    /// Where the pickles end and the first storage's length begins.
    storages_at: usize,
    /// Where the last storage ends.
    end: usize,
}

impl Stream {
    fn read(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let mut reader = Pickles::new(bytes, limits);
        let (magic, _) = reader.next()?;
        if !matches!(magic.get(magic.root), Value::BigInt(number) if **number == *MAGIC) {
            return Err(Error::malformed(
                "does not begin with the magic number of torch.save",
            ));
        }
        let (protocol, at) = reader.next()?;
        let python = Python(&protocol);
        if python.int(protocol.root) != Some(PROTOCOL) {
            return Err(Error::unsupported(format!(
                "is a legacy torch checkpoint of protocol {}; {PROTOCOL} is the only one that torch ever wrote",
                python.repr(protocol.root)
            ))
            .at_offset(at));
        }
        let (_machine, _) = reader.next()?;
        let (graph, object_at) = reader.next()?;
        let (keys, keys_at) = reader.next()?;
        let dtypes = first_types(&graph).map_err(|e| e.behind(object_at))?;
        let storages_at = reader.at;
        let walk = Walk::of(bytes, storages_at, &dtypes, &keys);
        if let Some(error) = walk.stopped {
            return Err(error.at_offset(keys_at));
        }
        Ok(Self {
            graph,
            object_at,
            runs: walk.runs.into_iter().collect(),
            storages_at,
            end: walk.end,
        })
    }
}

/// What the bytes of a stream are that no storage has: the pickles, and the length before each storage.
pub(super) fn described(bytes: &[u8], limits: &Limits) -> Result<Vec<(Range<usize>, String)>> {
    let stream = Stream::read(bytes, limits)?;
    let lengths = stream.runs.iter().map(|(key, run)| {
        let at = run.start - LENGTH;
        (
            at..run.start,
            format!("length of the storage {}", names::shorten(key)),
        )
    });
    let pickles = (0..stream.storages_at, "pickles".to_owned());
    Ok(lengths.chain([pickles]).collect())
}

/// What is left of a stream.
pub(super) struct Rest {
    pub(super) graph: Graph,
    pub(super) object_at: u64,
    /// Where the bytes of each storage lie, by key, as far as the file goes.
    pub(super) runs: Vec<(String, Range<usize>)>,
    /// The last storage of these, if it is cut off.
    pub(super) cut: Option<String>,
    /// Where the last storage ends.
    pub(super) end: usize,
}

/// The stream as far as it goes: the object must be there, storages may be missing.
pub(super) fn rest(bytes: &[u8], limits: &Limits, notes: &mut Vec<String>) -> Result<Rest> {
    let mut reader = Pickles::new(bytes, limits);
    for _ in 0..3 {
        reader.next()?;
    }
    let (graph, object_at) = reader.next()?;
    let walk = match reader.next() {
        Ok((keys, _)) => {
            let dtypes = first_types(&graph).map_err(|e| e.behind(object_at))?;
            Walk::of(bytes, reader.at, &dtypes, &keys)
        }
        Err(error) => {
            notes.push(format!("the list of storage keys: {}", error.message()));
            Walk::default()
        }
    };
    if let Some(error) = walk.stopped.filter(|_| walk.cut.is_none()) {
        notes.push(error.message().to_owned());
    }
    Ok(Rest {
        graph,
        object_at,
        runs: walk.runs,
        cut: walk.cut,
        end: walk.end,
    })
}

/// Pickles one after another.
pub(super) struct Pickles<'a> {
    bytes: &'a [u8],
    limits: &'a Limits,
    /// Where the next one begins.
    pub(super) at: usize,
}

impl<'a> Pickles<'a> {
    pub(super) fn new(bytes: &'a [u8], limits: &'a Limits) -> Self {
        Self {
            bytes,
            limits,
            at: 0,
        }
    }

    /// The next pickle, and where it begins.
    pub(super) fn next(&mut self) -> Result<(Graph, u64)> {
        let at = self.at;
        let rest = self.bytes.get(at..).unwrap_or(&[]);
        let most = rest.len().min(self.limits.pickle_bytes);
        let graph = pickle::read(&rest[..most], self.limits).map_err(|e| e.behind(at as u64))?;
        self.at += graph.consumed;
        Ok((graph, at as u64))
    }
}

/// Bytes of the number of elements before each storage.
const LENGTH: usize = 8;

/// The storages of a stream, one after another, up to the first that is not as it should be.
#[derive(Default)]
struct Walk {
    /// Where the bytes of each lie, as far as they are there.
    runs: Vec<(String, Range<usize>)>,
    /// Where the last one ends.
    end: usize,
    /// The last one, if the file ends inside it.
    cut: Option<String>,
    /// What is wrong with the one behind, or with the last.
    stopped: Option<Error>,
}

impl Walk {
    fn of(bytes: &[u8], start: usize, dtypes: &HashMap<String, DType>, keys: &Graph) -> Self {
        let mut walk = Self {
            end: start,
            ..Self::default()
        };
        walk.stopped = walk.go(bytes, dtypes, keys).err();
        walk
    }

    fn go(&mut self, bytes: &[u8], dtypes: &HashMap<String, DType>, keys: &Graph) -> Result<()> {
        let python = Python(keys);
        let Some(keys) = python.items(keys.root) else {
            return Err(Error::malformed(format!(
                "the list of storage keys is {}",
                keys.get(keys.root).kind()
            )));
        };
        let mut seen = HashSet::with_capacity(keys.len());
        let mut cursor = Cursor::new(bytes, 0);
        cursor.take(self.end, "the stream")?;
        for &key in keys {
            let key = storages::key_of(python, key)?;
            let Some(&dtype) = dtypes.get(&key) else {
                return Err(Error::malformed(format!(
                    "the list of storages names {key:?}, which the object does not hold: how long it is nobody says"
                )));
            };
            if !seen.insert(key.clone()) {
                return Err(Error::malformed(format!(
                    "the list of storages names {key:?} twice"
                )));
            }
            let about = |e| cut_off(e, &format!("the storage {key:?}"));
            let nbytes = declared(&mut cursor, dtype).map_err(about)?;
            let start = cursor.position();
            let available = nbytes.min(cursor.remaining());
            self.runs.push((key.clone(), start..start + available));
            if available < nbytes {
                self.cut = Some(key.clone());
            }
            cursor.take(nbytes, "it").map_err(about)?;
            self.end = cursor.position();
        }
        Ok(())
    }
}

/// Elements in 8 bytes, then the elements: where these lie.
pub(super) fn counted(cursor: &mut Cursor<'_>, dtype: DType) -> Result<Range<usize>> {
    let nbytes = declared(cursor, dtype)?;
    let start = cursor.position();
    cursor.take(nbytes, "it")?;
    Ok(start..start + nbytes)
}

/// How many bytes a storage has, by the number of elements before it.
fn declared(cursor: &mut Cursor<'_>, dtype: DType) -> Result<usize> {
    let numel = cursor.u64("its length")?;
    let start = cursor.position();
    let nbytes = usize::try_from(numel).ok();
    let nbytes = nbytes.and_then(|numel| storages::storage_bytes(dtype, numel));
    nbytes.ok_or_else(|| {
        Error::malformed(format!(
            "it should have {numel} elements of {dtype}: too many"
        ))
        .at_offset(start as u64)
    })
}

pub(super) fn cut_off(error: Error, what: &str) -> Error {
    let mut named = Error::malformed(format!("{what}: {}", error.message()));
    if let Some(offset) = error.location().offset {
        named = named.at_offset(offset);
    }
    named.with_hint("the file was cut off or damaged: compare its size with the original's and download or copy it again")
}

/// The element type of each key's first persistent id, which is what torch counts in.
fn first_types(graph: &Graph) -> Result<HashMap<String, DType>> {
    let python = Python(graph);
    let mut types = HashMap::new();
    for (number, value) in graph.values.iter().enumerate() {
        let id = ValueId(u32::try_from(number).unwrap_or(u32::MAX));
        if let Value::Persistent(description) = value
            && python.class_named_by(id).is_none()
        {
            let said = storages::persistent_id(python, *description, 6);
            let said = said.map_err(|e| e.at_offset(graph.offset(id)))?;
            types.entry(said.key).or_insert(said.dtype);
        }
    }
    Ok(types)
}

/// A storage saved alone.
pub(super) struct LoneStorage {
    pub(super) dtype: DType,
    pub(super) location: String,
    /// Its bytes in the stream.
    pub(super) range: Range<usize>,
}

/// The storage that a whole stream is about, as a plain pickle keeps a tensor's.
pub(super) fn lone_storage(bytes: &[u8], limits: &Limits) -> Result<LoneStorage> {
    let stream = Stream::read(bytes, limits).map_err(|e| {
        Error::new(
            e.kind(),
            format!("a storage inside the pickle: {}", e.message()),
        )
    })?;
    let python = Python(&stream.graph);
    let root: ValueId = stream.graph.root;
    let Value::Persistent(description) = python.get(root) else {
        return Err(Error::malformed(format!(
            "where a storage is expected, there is {}",
            python.get(root).kind()
        )));
    };
    let said = storages::persistent_id(python, *description, 6)?;
    let nbytes = storages::storage_bytes(said.dtype, said.numel);
    match stream.runs.get(&said.key) {
        Some(range) if Some(range.len()) == nbytes => Ok(LoneStorage {
            dtype: said.dtype,
            location: said.location.to_owned(),
            range: range.clone(),
        }),
        _ => Err(Error::malformed(format!(
            "a storage inside the pickle should have {} elements of {}, and has not",
            said.numel, said.dtype
        ))),
    }
}
