//! Tensors whose bytes are a record of the archive, and whose layout stands in a config beside it.

use serde_json::{Map, Value};

use super::{Payload, Reader};
use crate::checkpoint::Storage;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::places::Place;
use crate::checkpoint::salvage;
use crate::container::zip::Member;
use crate::container::zip::Method;
use crate::container::zip::Record;
use crate::error::{Error, Result};
use crate::tensor::{DType, Layout};

impl Reader<'_> {
    /// A tensor over the raw bytes of a record.
    pub(super) fn raw(&mut self, folder: &str, payload: &Payload) -> Result<TensorEntry> {
        let Some(meta) = &payload.tensor_meta else {
            return Err(Error::malformed(
                "nothing says of which type and shape it is",
            ));
        };
        let dtype = scalar_type(meta.dtype).ok_or_else(|| {
            Error::unsupported(format!(
                "its dtype has the number {}, which is unknown",
                meta.dtype
            ))
        })?;
        let sizes = |list: &[Value]| list.iter().map(size).collect::<Result<Vec<_>>>();
        let layout = Layout::new(
            sizes(&meta.sizes)?,
            sizes(&meta.strides)?,
            size(&meta.storage_offset)?,
        )?;
        let mut entry = TensorEntry {
            name: String::new(),
            dtype,
            layout,
            storage: None,
            requires_grad: payload.is_param && meta.requires_grad,
            conj: false,
            neg: false,
            extra: Map::new(),
            parts: Vec::new(),
        };
        let shown = format!("{folder}{}", payload.path_name);
        let needed = dtype.bytes_of(entry.layout.extent());
        let cut = |m: &Member| !m.is_whole() || m.record.len as usize != needed.unwrap_or(0);
        let full = format!("{}{shown}", self.prefix);
        if self.lenient() && self.zip.found(&full).is_none_or(cut) {
            let Some(needed) = needed else {
                return Err(Error::malformed(format!("{} has no end", entry.layout)));
            };
            entry.storage = Some(self.left_of(shown, dtype, needed));
            return Ok(entry);
        }
        let Some(record) = self.find(&shown) else {
            return Err(
                Error::malformed(format!("its record {shown:?} is not in the file"))
                    .with_hint("the file is incomplete: download or save it again"),
            );
        };
        let record = record.clone();
        if record.len == 0 && needed != Some(0) {
            // exported from tensors without elements
            entry.extra.insert("device".into(), Value::from("meta"));
            return Ok(entry);
        }
        if needed.is_none_or(|needed| needed as u64 > record.len) {
            return Err(Error::malformed(format!(
                "{} reaches element {} of {dtype}, but its record {shown:?} has {} bytes",
                entry.layout,
                entry.layout.extent().saturating_sub(1),
                record.len
            )));
        }
        entry.storage = Some(self.storage(shown, dtype, &record)?);
        Ok(entry)
    }

    /// What is left of a damaged file's storage, `needed` bytes of which a tensor reaches.
    fn left_of(&mut self, shown: String, dtype: DType, needed: usize) -> StorageId {
        let full = format!("{}{shown}", self.prefix);
        let (place, damage) = salvage::of_record(self.zip, &full, needed, self.source.len());
        let id = StorageId(self.whole.storages.len());
        self.whole.storages.push(Storage {
            key: shown,
            file: None,
            location: "cpu".into(),
            dtype,
            nbytes: needed,
            file_offset: match &place {
                Place::File(_, range) if !range.is_empty() => Some(range.start as u64),
                _ => None,
            },
            view_of: None,
        });
        self.whole.bytes.places.push(place);
        if let Some(damage) = damage {
            self.whole.wreckage.damage.insert(id, damage);
        }
        id
    }

    /// The storage of a record; the same for all tensors that name it.
    fn storage(&mut self, shown: String, dtype: DType, record: &Record) -> Result<StorageId> {
        if let Some(&known) = self.storages.get(&shown) {
            return Ok(known);
        }
        let (Ok(start), Ok(nbytes)) =
            (usize::try_from(record.data_at), usize::try_from(record.len))
        else {
            return Err(Error::limit(
                "a record is larger than this machine's memory",
            ));
        };
        let stored = record.method == Method::Stored;
        self.whole.bytes.places.push(if stored {
            Place::File(0, start..start + nbytes)
        } else {
            Place::Record(0, Box::new(record.clone()), nbytes)
        });
        let id = StorageId(self.whole.storages.len());
        self.storages.insert(shown.clone(), id);
        if self.lenient() {
            let end = self.source.len();
            let (_, damage) = salvage::of_record(self.zip, &record.name, nbytes, end);
            if let Some(damage) = damage {
                self.whole.wreckage.damage.insert(id, damage);
            }
        }
        self.whole.storages.push(Storage {
            key: shown,
            file: None,
            location: "cpu".into(),
            dtype,
            nbytes,
            file_offset: (stored && nbytes > 0).then_some(record.data_at),
            view_of: None,
        });
        Ok(id)
    }
}

/// `{"as_int": 3}`
fn size(value: &Value) -> Result<usize> {
    let size = value.get("as_int").unwrap_or(value).as_u64();
    size.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| {
        let shown: String = value.to_string().chars().take(60).collect();
        Error::malformed(format!(
            "its layout holds {shown}, expected a number from 0 to 2^63"
        ))
    })
}

/// `ScalarType` of `torch/_export/serde/schema.py`.
pub(super) fn scalar_type(number: u32) -> Option<DType> {
    let name = match number {
        1 => "uint8",
        2 => "int8",
        3 => "int16",
        4 => "int32",
        5 => "int64",
        6 => "float16",
        7 => "float32",
        8 => "float64",
        9 => "complex32",
        10 => "complex64",
        11 => "complex128",
        12 => "bool",
        13 => "bfloat16",
        28 => "uint16",
        29 => "float8_e4m3fn",
        30 => "float8_e5m2",
        31 => "float8_e4m3fnuz",
        32 => "float8_e5m2fnuz",
        33 => "float8_e8m0fnu",
        34 => "uint32",
        35 => "uint64",
        _ => return None,
    };
    DType::from_name(name)
}
