//! What a persistent id says: which storage, of which type and length, and perhaps which window of it.

use crate::checkpoint::python::Python;
use crate::error::{Error, Result};
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::DType;

/// What a persistent id says.
pub(super) struct PersistentId<'g> {
    pub(super) dtype: DType,
    pub(super) key: String,
    pub(super) location: &'g str,
    pub(super) numel: usize,
    /// Key, offset and number of elements of a window of it.
    pub(super) view: Option<(String, usize, usize)>,
}

/// Of sub-byte types torch counts bytes here.
pub(super) fn storage_bytes(dtype: DType, numel: usize) -> Option<usize> {
    numel.checked_mul(dtype.bits().div_ceil(8))
}

pub(super) fn too_many(key: &str, dtype: DType, numel: usize) -> Error {
    Error::malformed(format!(
        "the storage {key:?} has {numel} elements of {dtype}: too many"
    ))
}

/// A number, in digits or as text.
pub(super) fn number_key(python: Python<'_>, id: ValueId) -> Result<String> {
    match (python.int(id), python.str(id)) {
        (Some(n), _) => Ok(n.to_string()),
        (_, Some(text)) if text.len() < 32 => Ok(text.to_owned()),
        _ => Err(Error::malformed(format!(
            "a persistent id is {}, expected a number",
            python.get(id).kind()
        ))),
    }
}

/// `('storage', StorageClass, key, location, numel)`, of legacy files with a sixth item: a view.
pub(super) fn persistent_id(
    python: Python<'_>,
    id: ValueId,
    length: usize,
) -> Result<PersistentId<'_>> {
    let Some(items) = python.items(id) else {
        return Err(Error::malformed(format!(
            "a persistent id is {}, expected a tuple",
            python.get(id).kind()
        )));
    };
    let (true, [kind, class, key, location, numel, view @ ..]) = (items.len() == length, items)
    else {
        return Err(Error::malformed(format!(
            "a storage tuple has {} items, expected {length}",
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
    let key = key_of(python, *key)?;
    let size = |id: ValueId| python.int(id).and_then(|n| usize::try_from(n).ok());
    let numel = size(*numel).ok_or_else(|| {
        Error::malformed(format!("the storage {key:?} has no number of elements"))
    })?;
    let view = match view {
        [view] if *python.get(*view) != Value::None => {
            let parts = match python.items(*view) {
                Some([key, offset, numel]) => {
                    let numbers = size(*offset).zip(size(*numel));
                    numbers.map(|(offset, numel)| Ok((key_of(python, *key)?, offset, numel)))
                }
                _ => None,
            };
            Some(parts.ok_or_else(|| {
                Error::malformed(format!(
                    "the storage {key:?} is viewed by {}, expected a key, an offset and a size",
                    python.repr(*view)
                ))
            })??)
        }
        _ => None,
    };
    Ok(PersistentId {
        dtype,
        key,
        location: python.str(*location).unwrap_or(""),
        numel,
        view,
    })
}

/// A storage's key: text, or a number.
pub(super) fn key_of(python: Python<'_>, id: ValueId) -> Result<String> {
    match python.get(id) {
        Value::Int(n) => Ok(n.to_string()),
        _ => python
            .str(id)
            .map(str::to_owned)
            .ok_or_else(|| Error::malformed("a storage key is not text")),
    }
}
