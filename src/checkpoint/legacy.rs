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
use std::ops::Range;
use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Cursor;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::names;
use crate::checkpoint::persistent;
use crate::checkpoint::places::{Bytes, DataFile};
use crate::checkpoint::python::Python;
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
    checkpoint(path, source, stream, limits, Vec::new())
}

/// The checkpoint that a stream holds; with notes, that a damaged one may hold.
fn checkpoint(
    path: &Path,
    source: ByteSource,
    stream: Stream,
    limits: &Limits,
    damage: Vec<String>,
) -> Result<Checkpoint> {
    let lenient = stream.is_wreck;
    let backing = match lenient {
        true => Backing::Wreck(stream.runs),
        false => Backing::Stream(stream.runs),
    };
    let mut unpickled = unpickled::unpickled(
        &stream.graph,
        &source,
        backing,
        ByteOrder::Little,
        limits,
        &Meaning::plain(lenient),
    )
    .map_err(|e| e.behind(stream.object_at))?;
    unpickled.wreckage.notes = damage;
    if stream.end < source.len() && unpickled.wreckage.notes.is_empty() {
        unpickled.notes.push(format!(
            "{} bytes follow the last storage, from byte {} on, which torch does not read",
            source.len() - stream.end,
            stream.end
        ));
    }
    let bytes = Bytes::of_one(DataFile::little(source), Vec::new(), limits.tensor_bytes);
    Ok(unpickled.into_checkpoint(path, Format::TorchLegacy, ByteOrder::Little, bytes))
}

/// The parts of the stream.
struct Stream {
    /// Of the object.
    graph: Graph,
    /// Where its pickle begins.
    object_at: u64,
    /// Where the pickles end and the first storage's length begins.
    storages_at: usize,
    /// Where each storage's bytes lie, by key.
    runs: HashMap<String, Range<usize>>,
    /// Where the last one ends.
    end: usize,
    /// Whether runs may be missing, or shorter than they should be.
    is_wreck: bool,
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
        let walk = Walk::of(bytes, reader.at, &dtypes, &keys);
        if let Some(stop) = walk.stopped {
            return Err(stop.error.at_offset(keys_at));
        }
        Ok(Self {
            graph,
            object_at,
            storages_at: reader.at,
            runs: walk.runs,
            end: walk.end,
            is_wreck: false,
        })
    }
}

/// What the bytes of a stream are that no storage has: the pickles, and the length before each storage.
pub(super) fn described(bytes: &[u8], limits: &Limits) -> Result<Vec<(Range<usize>, String)>> {
    let stream = Stream::read(bytes, limits)?;
    let lengths = stream.runs.iter().map(|(key, run)| {
        let length = run.start - LENGTH..run.start;
        (
            length,
            format!("length of the storage {}", names::shorten(key)),
        )
    });
    let pickles = (0..stream.storages_at, "pickles".to_owned());
    Ok(lengths.chain([pickles]).collect())
}

/// What is left of a stream: the object must be there, storages may be missing.
pub(super) fn salvage(path: &Path, source: ByteSource, limits: &Limits) -> Result<Checkpoint> {
    let mut reader = Pickles::new(&source, limits);
    for _ in 0..3 {
        reader.next()?;
    }
    let (graph, object_at) = reader.next().map_err(|e| {
        let message = format!(
            "{}: what the tensors are called stands here, and their bytes come after it, so none can be had",
            e.message()
        );
        let at = e.location().offset;
        let refused = Error::new(e.kind(), message).with_hint("download or copy the file again");
        at.into_iter().fold(refused, Error::at_offset)
    })?;
    let mut notes = Vec::new();
    let walk = match reader.next() {
        Ok((keys, _)) => {
            let dtypes = first_types(&graph).map_err(|e| e.behind(object_at))?;
            Walk::of(&source, reader.at, &dtypes, &keys)
        }
        Err(error) => {
            notes.push(format!("the list of storage keys: {}", error.message()));
            Walk {
                end: source.len(),
                ..Walk::default()
            }
        }
    };
    notes.extend(walk.stopped.map(|stop| stop.note));
    let stream = Stream {
        graph,
        object_at,
        storages_at: reader.at,
        runs: walk.runs,
        end: walk.end,
        is_wreck: true,
    };
    checkpoint(path, source, stream, limits, notes)
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
    /// Where the bytes of each lie, by key, as far as they are there.
    runs: HashMap<String, Range<usize>>,
    /// Where the last one ends.
    end: usize,
    stopped: Option<Stop>,
}

/// Why a walk ended early: for who wants the whole file, and for who takes what there is.
struct Stop {
    error: Error,
    note: String,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        let note = error.message().to_owned();
        Self { error, note }
    }
}

impl Walk {
    fn of(bytes: &[u8], start: usize, dtypes: &HashMap<String, DType>, keys: &Graph) -> Self {
        let mut walk = Self {
            end: start,
            ..Self::default()
        };
        let python = Python(keys);
        walk.stopped = match python.items(keys.root) {
            Some(items) => items
                .iter()
                .find_map(|&key| walk.step(bytes, dtypes, python, key).err()),
            None => Some(Stop::from(Error::malformed(format!(
                "the list of storage keys is {}",
                keys.get(keys.root).kind()
            )))),
        };
        walk
    }

    /// The next storage.
    fn step(
        &mut self,
        bytes: &[u8],
        dtypes: &HashMap<String, DType>,
        python: Python<'_>,
        key: ValueId,
    ) -> Result<(), Stop> {
        let key = persistent::key_of(python, key)?;
        let Some(&dtype) = dtypes.get(&key) else {
            return Err(Stop::from(Error::malformed(format!(
                "the list of storages names {key:?}, which the object does not hold: how long it is nobody says"
            ))));
        };
        if self.runs.contains_key(&key) {
            return Err(Stop::from(Error::malformed(format!(
                "the list of storages names {key:?} twice"
            ))));
        }
        let about = |e| cut_off(e, &format!("the storage {key:?}"));
        let mut cursor = Cursor::new(bytes, 0);
        cursor.take(self.end, "the stream")?;
        let nbytes = match declared(&mut cursor, dtype) {
            Ok(nbytes) => nbytes,
            Err(error) => {
                let note = match cursor.position() == self.end {
                    true => format!(
                        "the file ends at byte {}, before the storage {key:?}",
                        bytes.len()
                    ),
                    false => format!("the length of the storage {key:?} is damaged"),
                };
                let error = about(error);
                return Err(Stop { error, note });
            }
        };
        let start = cursor.position();
        let available = nbytes.min(cursor.remaining());
        self.runs.insert(key.clone(), start..start + available);
        self.end = start + available;
        match cursor.take(nbytes, "it") {
            Ok(_) => Ok(()),
            Err(error) => Err(Stop {
                error: about(error),
                note: format!(
                    "the file ends at byte {}, in the storage {key:?}, which should end at byte {}",
                    bytes.len(),
                    start.saturating_add(nbytes)
                ),
            }),
        }
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
    let nbytes = nbytes.and_then(|numel| persistent::storage_bytes(dtype, numel));
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
            let said = persistent::persistent_id(python, *description, 6);
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
    let said = persistent::persistent_id(python, *description, 6)?;
    let nbytes = persistent::storage_bytes(said.dtype, said.numel);
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
