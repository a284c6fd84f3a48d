//! The storages that persistent ids of a torch zip name: one per record and element type.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::bytes::ByteSource;
use crate::checkpoint::Place;
use crate::checkpoint::Storage;
use crate::checkpoint::StorageId;
use crate::checkpoint::python::Python;
use crate::container::Zip;
use crate::container::zip::Method;
use crate::error::{Error, Result};
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::DType;

/// A compressed storage of more bytes is not inflated while the file is opened.
const INFLATED_EARLY: usize = 1 << 20;

/// All storages met so far.
pub(super) struct Storages<'z> {
    source: &'z ByteSource,
    zip: &'z Zip,
    /// `archive/`
    prefix: String,
    storages: Vec<Storage>,
    places: Vec<Place>,
    known: HashMap<(String, DType, usize), StorageId>,
}

/// What a persistent id says.
struct PersistentId<'g> {
    dtype: DType,
    key: String,
    location: &'g str,
    numel: usize,
}

impl<'z> Storages<'z> {
    pub(super) fn new(source: &'z ByteSource, zip: &'z Zip, prefix: String) -> Self {
        Self {
            source,
            zip,
            prefix,
            storages: Vec::new(),
            places: Vec::new(),
            known: HashMap::new(),
        }
    }

    pub(super) fn get(&self, id: StorageId) -> &Storage {
        &self.storages[id.0]
    }

    /// The storage that the value `id` names, if it is a persistent id at all.
    ///
    /// # Errors
    ///
    /// `Malformed` where the persistent id is not one that torch writes, or the record is missing or too short.
    pub(super) fn named_by(
        &mut self,
        python: Python<'_>,
        id: ValueId,
    ) -> Result<Option<StorageId>> {
        let Value::Persistent(description) = python.get(id) else {
            return Ok(None);
        };
        let at = python.0.offset(id);
        let said = persistent_id(python, *description).map_err(|e| e.at_offset(at))?;
        self.add(said).map(Some).map_err(|e| e.at_offset(at))
    }

    fn add(&mut self, said: PersistentId<'_>) -> Result<StorageId> {
        let PersistentId {
            dtype,
            key,
            location,
            numel,
        } = said;
        if let Some(&known) = self.known.get(&(key.clone(), dtype, numel)) {
            return Ok(known);
        }
        // of sub-byte types torch counts bytes here
        let element = dtype.bits().div_ceil(8);
        let nbytes = numel.checked_mul(element).ok_or_else(|| {
            Error::malformed(format!(
                "the storage {key:?} has {numel} elements of {dtype}: too many"
            ))
        })?;
        let shown = format!("data/{key}");
        let full = format!("{}{shown}", self.prefix);
        let zip = self.zip;
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
            Ok(start) if stored => Place::File(start..start + nbytes), // inside the file: the zip was audited
            _ => Place::Record(Box::new(record.clone()), nbytes),
        };
        let id = StorageId(self.storages.len());
        self.storages.push(Storage {
            key: shown,
            location: location.to_owned(),
            dtype,
            nbytes,
            file_offset: (stored && nbytes > 0).then_some(record.data_at),
        });
        self.places.push(place);
        self.known.insert((key, dtype, numel), id);
        Ok(id)
    }

    /// A storage's bytes, if reading them now is cheap: quantizers and nested tensors keep their numbers in tensors.
    pub(super) fn early(&self, id: StorageId) -> Option<Cow<'_, [u8]>> {
        match &self.places[id.0] {
            Place::File(range) => Some(Cow::Borrowed(&self.source[range.clone()])),
            Place::Record(record, nbytes) => {
                let bytes = self.zip.read(record, INFLATED_EARLY).ok()?;
                Some(Cow::Owned(bytes.get(..*nbytes)?.to_vec()))
            }
        }
    }

    /// Bytes that [`Storages::early`] has to inflate.
    pub(super) fn early_cost(&self, id: StorageId) -> usize {
        match &self.places[id.0] {
            Place::File(_) => 0,
            Place::Record(_, nbytes) => *nbytes,
        }
    }

    pub(super) fn finish(self) -> (Vec<Storage>, Vec<Place>) {
        (self.storages, self.places)
    }
}

/// `('storage', StorageClass, key, location, numel)`
fn persistent_id(python: Python<'_>, id: ValueId) -> Result<PersistentId<'_>> {
    let Some(items) = python.items(id) else {
        return Err(Error::malformed(format!(
            "a persistent id is {}, expected a tuple",
            python.get(id).kind()
        )));
    };
    let [kind, class, key, location, numel] = items else {
        return Err(Error::malformed(format!(
            "a storage tuple has {} items, expected 5",
            items.len()
        )));
    };
    if python.str(*kind) != Some("storage") {
        return Err(Error::malformed(format!(
            "a persistent id is of kind {}, expected 'storage'",
            python.repr(*kind)
        )));
    }
    let class_name = python.global(*class).map_or("", |(_, name)| name);
    let Some(dtype) = DType::from_storage_class(class_name.trim_start_matches('_')) else {
        return Err(Error::unsupported(format!(
            "the storage class {} is unknown",
            python.repr(*class)
        )));
    };
    let key = match python.get(*key) {
        Value::Int(n) => n.to_string(),
        _ => python
            .str(*key)
            .ok_or_else(|| Error::malformed("a storage key is not text"))?
            .to_owned(),
    };
    let numel = python.int(*numel).and_then(|n| usize::try_from(n).ok());
    let numel = numel.ok_or_else(|| {
        Error::malformed(format!("the storage {key:?} has no number of elements"))
    })?;
    Ok(PersistentId {
        dtype,
        key,
        location: python.str(*location).unwrap_or(""),
        numel,
    })
}
