//! Whether the sizes that a rebuild call states fit the storage that it names, and the storage its record.
//!
//! A loader that believes them reads or writes beyond its memory (CVE-2026-24747), or takes all of it.

use std::collections::HashMap;

use super::arguments::Values;
use super::known;
use crate::pickle::Object;
use crate::pickle::ValueId;
use crate::tensor::DType;

/// Elements that a tensor may claim to have beyond those of its storage: nothing that is saved is expanded so far.
const EXPANDED: i128 = 1 << 40;

/// Bytes of each storage's record, by the storage's key.
pub(super) type Records = HashMap<String, u64>;

/// What a persistent id says of a storage.
struct StorageId<'g> {
    key: String,
    numel: i64,
    /// Bytes of an element, as the storage counts them.
    element: i128,
    dtype: Option<DType>,
    class: &'g str,
}

fn storage<'g>(values: Values<'g>, description: ValueId) -> Result<StorageId<'g>, String> {
    let odd = |what: &str| Err(format!("a persistent id {what}"));
    let Some(items) = values.items(description) else {
        return odd(&format!(
            "is {}, not a tuple",
            values.get(description).kind()
        ));
    };
    // a legacy file's has a sixth, for views
    let (&[kind, class, key, location, numel] | &[kind, class, key, location, numel, _]) = items
    else {
        return odd(&format!("has {} items", items.len()));
    };
    if values.text(kind) != Some("storage") {
        return odd("is not of the kind 'storage'");
    }
    let class = match values.global(class) {
        Some((module, name)) if module == "torch" || module.starts_with("torch.") => name,
        _ => return odd("names no storage class of torch"),
    };
    let dtype = DType::from_storage_class(class.trim_start_matches('_'));
    if dtype.is_none() && !class.ends_with("UntypedStorage") {
        return odd(&format!("names {class}, which is no storage class"));
    }
    let key = match (values.text(key), values.int(key)) {
        (Some(key), _) => key.to_owned(),
        (None, Some(key)) => key.to_string(),
        _ => return odd("has no key"),
    };
    if values.text(location).is_none() {
        return odd("has no location");
    }
    match values.int(numel) {
        Some(numel) if numel >= 0 => Ok(StorageId {
            key,
            numel,
            element: dtype.map_or(1, |dtype| dtype.bits().div_ceil(8)) as i128,
            dtype,
            class,
        }),
        _ => odd("has no number of elements"),
    }
}

/// What is wrong with a persistent id: its form, or its number of elements against the record.
pub(super) fn persistent_id(
    values: Values<'_>,
    description: ValueId,
    records: Option<&Records>,
) -> Result<(), Wrong> {
    if values.module_class(description).is_some() {
        return Ok(());
    }
    let storage = storage(values, description).map_err(Wrong::Form)?;
    let Some(records) = records else {
        return Ok(());
    };
    let nbytes = i128::from(storage.numel) * storage.element;
    match records.get(&storage.key) {
        None => Err(Wrong::Size(format!(
            "the storage {:?} has no record in the file",
            storage.key
        ))),
        Some(&len) if i128::from(len) != nbytes => Err(Wrong::Size(format!(
            "the storage {:?} should have {} elements of {}, {nbytes} bytes, its record has {len}",
            storage.key, storage.numel, storage.class
        ))),
        Some(_) => Ok(()),
    }
}

/// What is wrong with a persistent id.
pub(super) enum Wrong {
    /// It is not what torch writes.
    Form(String),
    /// Its record is missing, or of another size.
    Size(String),
}

/// What is wrong with the sizes of a rebuild call; `None` for all other calls.
pub(super) fn lie(values: Values<'_>, object: &Object) -> Option<String> {
    let (module, name) = values.global(object.callable)?;
    let args = values.items(object.args)?;
    if name.ends_with("Tensor") {
        // of before 0.1.10: made empty, its parts are its state
        let [state] = object.state[..] else {
            return None;
        };
        return lie_of(
            values,
            "torch._utils",
            "_rebuild_tensor",
            values.items(state)?,
        );
    }
    if name.starts_with("_rebuild_from_type") {
        let (module, name) = values.global(*args.first()?)?;
        return lie_of(values, module, name, values.items(*args.get(2)?)?);
    }
    lie_of(values, module, name, args)
}

fn lie_of(values: Values<'_>, module: &str, name: &str, args: &[ValueId]) -> Option<String> {
    if !known::is_rebuild(module, name) {
        return None;
    }
    let (sizes_at, own_dtype) = match name {
        "_rebuild_tensor" | "_rebuild_tensor_v2" | "_rebuild_qtensor" => (2, None),
        "_rebuild_tensor_v3" => (2, args.get(6)),
        "_rebuild_meta_tensor_no_storage" => (1, None),
        "_rebuild_wrapper_subclass" => (2, None),
        _ => return None,
    };
    let sizes = ints(values, *args.get(sizes_at)?)?;
    let strides = ints(values, *args.get(sizes_at + 1)?)?;
    let has_storage = name.starts_with("_rebuild_tensor") || name == "_rebuild_qtensor";
    let offset = if has_storage {
        values.int(*args.get(1)?)?
    } else {
        0
    };
    if sizes.len() != strides.len() {
        return Some(format!(
            "{} sizes and {} strides",
            sizes.len(),
            strides.len()
        ));
    }
    if let Some(negative) = sizes
        .iter()
        .chain(&strides)
        .chain([&offset])
        .find(|&&n| n < 0)
    {
        return Some(format!("a size, stride or offset is negative ({negative})"));
    }
    // zeros left out: torch multiplies in any order
    let product = |sizes: &[i64]| {
        sizes
            .iter()
            .filter(|&&size| size > 0)
            .try_fold(1i64, |n, &size| n.checked_mul(size))
    };
    let Some(numel) = product(&sizes) else {
        return Some("the product of its sizes does not fit 64 bits".to_owned());
    };
    if !has_storage {
        return None;
    }
    let extent = sizes
        .iter()
        .zip(&strides)
        .try_fold(i128::from(offset), |at, (&size, &stride)| {
            at.checked_add(i128::from(size - 1).max(0) * i128::from(stride))
        });
    let empty = sizes.contains(&0);
    let description = match values.get(*args.first()?) {
        crate::pickle::Value::Persistent(inner) => *inner,
        _ => return None, // inside the pickle: not looked up
    };
    let storage = storage(values, description).ok()?;
    let dtype = match own_dtype {
        Some(&dtype) => DType::from_name(values.global(dtype)?.1)?,
        None => storage.dtype?,
    };
    let bits = dtype.bits() as i128;
    let bytes = i128::from(storage.numel) * storage.element;
    let reached = match extent {
        _ if empty => 0,
        // rounded up: `div_ceil` is for unsigned numbers
        Some(last) => (last.saturating_add(1).saturating_mul(bits)).saturating_add(7) / 8,
        None => i128::MAX,
    };
    if reached > bytes {
        return Some(format!(
            "it reaches {reached} bytes into its storage {:?}, which has {bytes}",
            storage.key
        ));
    }
    if !empty && i128::from(numel) > EXPANDED.saturating_add(i128::from(storage.numel)) {
        return Some(format!(
            "it repeats the {} elements of its storage to {numel}: whoever copies it runs out of memory",
            storage.numel
        ));
    }
    None
}

fn ints(values: Values<'_>, id: ValueId) -> Option<Vec<i64>> {
    let items = match values.items(id) {
        Some(items) => items,
        None => match values.get(id) {
            crate::pickle::Value::Object(object) => {
                values.items(*values.items(object.args)?.first()?)?
            }
            _ => return None,
        },
    };
    // a larger one is certainly wrong
    let int = |&item: &ValueId| match values.get(item) {
        crate::pickle::Value::BigInt(bytes) => {
            Some(if bytes.last().is_some_and(|b| b & 0x80 != 0) {
                -1
            } else {
                i64::MAX
            })
        }
        _ => values.int(item),
    };
    items.iter().map(int).collect()
}
