//! The storages that a pickle names: one per key and element type, wherever the file keeps their bytes.
//!
//! | file | named by | bytes |
//! | --- | --- | --- |
//! | zip | `('storage', class, key, location, numel)` | the record `data/KEY` |
//! | legacy stream | the same, and `None` or `(view_key, offset, numel)` | after the pickles, in the order of a list of keys |
//! | tar | a number | in the member `storages` |
//! | raw pickle | `torch.storage._load_from_bytes(b'...')` | in there, a legacy stream of its own |

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Storage;
use crate::checkpoint::StorageId;
use crate::checkpoint::legacy;
use crate::checkpoint::persistent::{self, PersistentId, number_key, storage_bytes, too_many};
use crate::checkpoint::places::Place;
use crate::checkpoint::python::Python;
use crate::checkpoint::salvage;
use crate::checkpoint::salvage::Damage;
use crate::checkpoint::tar::Tables;
use crate::container::Zip;
use crate::container::zip::Method;
use crate::error::{Error, Result};
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::{DType, Layout};

/// A compressed storage of more bytes is not inflated while the file is opened.
const INFLATED_EARLY: usize = 1 << 20;

/// Where a file keeps the bytes of its storages.
pub(super) enum Backing<'z> {
    /// One record each.
    Zip {
        /// The archive.
        zip: &'z Zip,
        /// What stands before the key in a record's name: `archive/data/`.
        folder: String,
        /// The same as `ls` shows it: `data/`.
        shown: &'static str,
    },
    /// Runs of bytes, by key.
    Stream(HashMap<String, Range<usize>>),
    /// Runs of bytes, and tensors, by number.
    Tar(Tables),
    /// What is left of those of a damaged stream, by key.
    Wreck(HashMap<String, Range<usize>>),
    /// Inside the pickle itself.
    Pickle(&'z Limits),
}

/// All storages met so far.
pub(super) struct Storages<'z> {
    source: &'z ByteSource,
    backing: Backing<'z>,
    storages: Vec<Storage>,
    places: Vec<Place>,
    damage: HashMap<StorageId, Damage>,
    known: HashMap<(String, DType, usize), StorageId>,
}

impl<'z> Storages<'z> {
    pub(super) fn new(source: &'z ByteSource, backing: Backing<'z>) -> Self {
        Self {
            source,
            backing,
            storages: Vec::new(),
            places: Vec::new(),
            damage: HashMap::new(),
            known: HashMap::new(),
        }
    }

    pub(super) fn get(&self, id: StorageId) -> &Storage {
        &self.storages[id.0]
    }

    /// The storage that the value `id` names, if it names one at all.
    ///
    /// # Errors
    ///
    /// `Malformed` where the persistent id is not one that torch writes, or the bytes are missing or too short.
    pub(super) fn named_by(
        &mut self,
        python: Python<'_>,
        id: ValueId,
    ) -> Result<Option<StorageId>> {
        let at = python.0.offset(id);
        let found = match python.get(id) {
            Value::Persistent(_) if python.class_named_by(id).is_some() => Ok(None),
            Value::Persistent(description) => match &self.backing {
                Backing::Tar(_) => self.of_tar(python, *description),
                Backing::Zip { .. } => persistent::persistent_id(python, *description, 5)
                    .and_then(|said| self.add(said))
                    .map(Some),
                Backing::Stream(_) | Backing::Wreck(_) | Backing::Pickle(_) => {
                    persistent::persistent_id(python, *description, 6)
                        .and_then(|said| self.add(said))
                        .map(Some)
                }
            },
            Value::Object(_) => self.inside_pickle(python, id),
            _ => Ok(None),
        };
        found.map_err(|e| e.at_offset(at))
    }

    fn add(&mut self, said: PersistentId<'_>) -> Result<StorageId> {
        let PersistentId {
            dtype,
            key,
            location,
            numel,
            view,
        } = said;
        let root = match self.known.get(&(key.clone(), dtype, numel)) {
            Some(&known) => known,
            None => {
                let nbytes =
                    storage_bytes(dtype, numel).ok_or_else(|| too_many(&key, dtype, numel))?;
                let (place, shown, damage) = self.place(&key, dtype, numel, nbytes)?;
                let storage = Storage {
                    key: shown,
                    file: None,
                    location: location.to_owned(),
                    dtype,
                    nbytes,
                    file_offset: match &place {
                        Place::File(_, range) if !range.is_empty() => Some(range.start as u64),
                        _ => None,
                    },
                    view_of: None,
                };
                let id = self.push(storage, place, (key.clone(), dtype, numel));
                if let Some(damage) = damage {
                    self.damage.insert(id, damage);
                }
                id
            }
        };
        match view {
            Some((view_key, offset, size)) => self.window(root, dtype, view_key, offset, size),
            None => Ok(root),
        }
    }

    /// The storage that was pushed under that key.
    pub(super) fn known(&self, key: &(String, DType, usize)) -> Option<StorageId> {
        self.known.get(key).copied()
    }

    /// Whether its bytes were taken out of the pickle.
    pub(super) fn is_owned(&self, id: StorageId) -> bool {
        matches!(self.places[id.0], Place::Owned(_))
    }

    pub(super) fn push(
        &mut self,
        storage: Storage,
        place: Place,
        key: (String, DType, usize),
    ) -> StorageId {
        let id = StorageId(self.storages.len());
        self.storages.push(storage);
        self.places.push(place);
        self.known.insert(key, id);
        id
    }

    /// A window of a storage, as torch of before 1.0 had them.
    pub(super) fn window(
        &mut self,
        root: StorageId,
        dtype: DType,
        key: String,
        offset: usize,
        numel: usize,
    ) -> Result<StorageId> {
        if let Some(&known) = self.known.get(&(key.clone(), dtype, numel)) {
            return Ok(known);
        }
        let whole = &self.storages[root.0];
        let start = storage_bytes(dtype, offset);
        let nbytes = storage_bytes(dtype, numel);
        let (Some(start), Some(nbytes)) = (start, nbytes) else {
            return Err(too_many(&key, dtype, numel));
        };
        if start
            .checked_add(nbytes)
            .is_none_or(|end| end > whole.nbytes)
        {
            return Err(Error::malformed(format!(
                "the storage view {key:?} is bytes {start} to {} of the storage {:?}, which has {}",
                start.saturating_add(nbytes),
                whole.key,
                whole.nbytes
            )));
        }
        let place = match &self.places[root.0] {
            Place::File(file, range) => {
                // of a damaged file's storage less may be there than it should have
                let from = range.end.min(range.start.saturating_add(start));
                Place::File(*file, from..range.end.min(from.saturating_add(nbytes)))
            }
            Place::Owned(bytes) => {
                let from = start.min(bytes.len());
                Place::Owned(bytes[from..bytes.len().min(from.saturating_add(nbytes))].into())
            }
            Place::Record(..) | Place::Pieces(_) => {
                return Err(Error::unsupported("a storage view in a compressed record"));
            }
        };
        let storage = Storage {
            key: key.clone(),
            dtype,
            nbytes,
            file_offset: whole
                .file_offset
                .filter(|_| nbytes > 0)
                .and_then(|at| at.checked_add(start as u64)),
            view_of: Some((root, start)),
            ..whole.clone()
        };
        let damage = self.damage.get(&root);
        let damage = damage.and_then(|damage| damage.of_window(start, nbytes));
        let id = self.push(storage, place, (key, dtype, numel));
        if let Some(damage) = damage {
            self.damage.insert(id, damage);
        }
        Ok(id)
    }

    /// Where the bytes of the storage `key` are, and the key as `ls` shows it.
    fn place(
        &self,
        key: &str,
        dtype: DType,
        numel: usize,
        nbytes: usize,
    ) -> Result<(Place, String, Option<Damage>)> {
        match &self.backing {
            Backing::Zip { zip, folder, shown } => {
                let full = format!("{folder}{key}");
                if zip.is_wreck() {
                    let (place, damage) = salvage::of_record(zip, &full, nbytes, self.source.len());
                    return Ok((place, format!("{shown}{key}"), damage));
                }
                let Some(record) = zip.find(&full) else {
                    return Err(Error::malformed(format!(
                        "its storage's record {full:?} is not in the file"
                    ))
                    .with_hint("the file is incomplete: download or save it again"));
                };
                if record.len != nbytes as u64 {
                    // torch 2.15 refuses longer ones too
                    return Err(Error::malformed(format!(
                        "its storage has {numel} elements of {dtype}, {nbytes} bytes, but the record {full:?} has {} bytes",
                        record.len
                    )));
                }
                let stored = record.method == Method::Stored;
                let place = match usize::try_from(record.data_at) {
                    // inside the file: the zip was audited
                    Ok(start) if stored => Place::File(0, start..start + nbytes),
                    _ => Place::Record(0, Box::new(record.clone()), nbytes),
                };
                Ok((place, format!("{shown}{key}"), None))
            }
            Backing::Stream(runs) => {
                let Some(run) = runs.get(key) else {
                    return Err(Error::malformed(format!(
                        "its storage {key:?} is not in the file's list of storages"
                    )));
                };
                if run.len() != nbytes {
                    return Err(Error::malformed(format!(
                        "its storage has {numel} elements of {dtype}, {nbytes} bytes, but the file has {} bytes of it",
                        run.len()
                    )));
                }
                Ok((Place::File(0, run.clone()), key.to_owned(), None))
            }
            Backing::Wreck(runs) => {
                let (place, damage) = salvage::of_run(runs.get(key), nbytes);
                Ok((place, key.to_owned(), damage))
            }
            Backing::Tar(_) | Backing::Pickle(_) => Err(Error::malformed(format!(
                "its storage {key:?} lies outside the pickle, and the file is nothing but a pickle"
            ))),
        }
    }

    /// What a number stands for in a tar: a storage, or (`None`) something else.
    fn of_tar(&mut self, python: Python<'_>, description: ValueId) -> Result<Option<StorageId>> {
        let Backing::Tar(tables) = &self.backing else {
            return Ok(None);
        };
        let key = number_key(python, description)?;
        if tables.tensors.contains_key(&key) {
            return Ok(None);
        }
        self.tar_storage(&key).map(Some)
    }

    /// The storage of that number in a tar.
    pub(super) fn tar_storage(&mut self, key: &str) -> Result<StorageId> {
        let Backing::Tar(tables) = &self.backing else {
            return Err(Error::malformed("a number where a storage is expected"));
        };
        if let Some(run) = tables.storages.get(key) {
            let known = (key.to_owned(), run.dtype, run.range.len());
            if let Some(&id) = self.known.get(&known) {
                return Ok(id);
            }
            let storage = Storage {
                key: key.to_owned(),
                file: None,
                location: run.location.clone(),
                dtype: run.dtype,
                nbytes: run.range.len(),
                file_offset: (!run.range.is_empty()).then_some(run.range.start as u64),
                view_of: None,
            };
            let place = Place::File(0, run.range.clone());
            return Ok(self.push(storage, place, known));
        }
        let Some((root, offset, numel)) = tables.views.get(key).cloned() else {
            return Err(Error::malformed(format!(
                "nothing in the file has the number {key}"
            )));
        };
        let root = self.tar_storage(&root)?; // no view: the tables were checked
        let dtype = self.get(root).dtype;
        self.window(root, dtype, key.to_owned(), offset, numel)
    }

    /// The tensor that a number stands for in a tar.
    pub(super) fn tensor_named_by(
        &mut self,
        python: Python<'_>,
        id: ValueId,
    ) -> Result<Option<(StorageId, Layout)>> {
        let (Backing::Tar(tables), Value::Persistent(description)) =
            (&self.backing, python.get(id))
        else {
            return Ok(None);
        };
        if python.class_named_by(id).is_some() {
            return Ok(None);
        }
        let key = number_key(python, *description)?;
        let Some((storage, layout)) = tables.tensors.get(&key).cloned() else {
            return Ok(None);
        };
        let storage = self.tar_storage(&storage)?;
        Ok(Some((storage, layout)))
    }

    /// Whether an object is a storage that a raw pickle has inside it.
    pub(super) fn is_inside(&self, python: Python<'_>, object: &Object) -> bool {
        matches!(self.backing, Backing::Pickle(_))
            && python.callable(object) == Some(("torch.storage", "_load_from_bytes"))
    }

    /// `torch.storage._load_from_bytes(b'...')`: a legacy stream inside a pickle.
    fn inside_pickle(&mut self, python: Python<'_>, id: ValueId) -> Result<Option<StorageId>> {
        let (Backing::Pickle(limits), Value::Object(object)) = (&self.backing, python.get(id))
        else {
            return Ok(None);
        };
        if !self.is_inside(python, object) {
            return Ok(None);
        }
        let known = (format!("#{}", id.0), DType::UInt8, 0);
        if let Some(&storage) = self.known.get(&known) {
            return Ok(Some(storage));
        }
        let argument = python.args(object).first().copied();
        let stream = argument.and_then(|argument| python.bytes(argument));
        let (Some(argument), Some(stream)) = (argument, stream) else {
            return Err(Error::malformed("a storage that is not made of bytes"));
        };
        let found = legacy::lone_storage(&stream, limits)?;
        let at = python.0.offset(argument);
        let place = match verbatim(self.source, at, &stream) {
            Some(start) => Place::File(0, start + found.range.start..start + found.range.end),
            None => Place::Owned(Arc::from(&stream[found.range.clone()])),
        };
        let storage = Storage {
            key: format!("pickle+{at:#x}"),
            file: None,
            location: found.location,
            dtype: found.dtype,
            nbytes: found.range.len(),
            file_offset: match &place {
                Place::File(_, range) if !range.is_empty() => Some(range.start as u64),
                _ => None,
            },
            view_of: None,
        };
        Ok(Some(self.push(storage, place, known)))
    }

    /// A storage's bytes, if reading them now is cheap: quantizers and nested tensors keep their numbers in tensors.
    pub(super) fn early(&self, id: StorageId) -> Option<Cow<'_, [u8]>> {
        match (&self.places[id.0], &self.backing) {
            (Place::File(_, range), _) => Some(Cow::Borrowed(&self.source[range.clone()])),
            (Place::Owned(bytes), _) => Some(Cow::Borrowed(bytes)),
            (Place::Record(_, record, nbytes), Backing::Zip { zip, .. }) => {
                let bytes = zip.read(record, INFLATED_EARLY).ok()?;
                Some(Cow::Owned(bytes.get(..*nbytes)?.to_vec()))
            }
            (Place::Record(..) | Place::Pieces(_), _) => None,
        }
    }

    /// Bytes that [`Storages::early`] has to inflate.
    pub(super) fn early_cost(&self, id: StorageId) -> usize {
        match &self.places[id.0] {
            Place::File(..) | Place::Owned(_) | Place::Pieces(_) => 0,
            Place::Record(_, _, nbytes) => *nbytes,
        }
    }

    pub(super) fn finish(self) -> (Vec<Storage>, Vec<Place>, HashMap<StorageId, Damage>) {
        (self.storages, self.places, self.damage)
    }
}

/// Where the bytes of the opcode at `at` begin, if the file has them as they are: behind the opcode and a length of
/// one, four or eight bytes.
fn verbatim(source: &[u8], at: u64, bytes: &[u8]) -> Option<usize> {
    let at = usize::try_from(at).ok()?;
    [2, 5, 9].into_iter().map(|head| at + head).find(|&start| {
        let end = start.saturating_add(bytes.len());
        source.get(start..end) == Some(bytes)
    })
}
