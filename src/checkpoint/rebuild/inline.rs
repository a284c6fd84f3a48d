//! Tensors whose elements are no storage of the file, but values of the pickle: numpy arrays, and numbers that a
//! module's `state_dict()` makes tensors of. And those that have no elements yet.

use std::sync::Arc;

use serde_json::json;

use super::{Args, Rebuilder, Rebuilt, without_storage};
use crate::checkpoint::Storage;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::numpy;
use crate::checkpoint::places::Place;
use crate::error::{Error, Result};
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::{ByteOrder, DType, Layout};

impl<'g> Rebuilder<'g, '_> {
    /// `_rebuild_device_tensor_from_numpy(array, dtype, device, requires_grad)`: as devices without storages save theirs.
    pub(super) fn inlined(&mut self, args: Args<'g>) -> Result<TensorEntry> {
        let id = self.argument(args, 0, "array")?;
        let Some(array) = numpy::array(self.python, id) else {
            return Err(Error::malformed(format!(
                "where a numpy array is expected, there is {}",
                self.python.get(id).kind()
            )));
        };
        let dtype = self.dtype(args, 1)?;
        let layout = match &array.data {
            Some((_, true)) => {
                let turned = Layout::contiguous(array.shape.iter().rev().copied().collect())?;
                let stride = turned.stride().iter().rev().copied().collect();
                Layout::new(array.shape, stride, 0)?
            }
            _ => Layout::contiguous(array.shape)?,
        };
        let (Some((said, ByteOrder::Little)), Some((data, _))) = (array.numbers, array.data) else {
            return Err(Error::unsupported(format!(
                "its elements are a numpy array of {}, which torch does not take",
                array.dtype
            )));
        };
        if said != dtype {
            return Err(Error::unsupported(format!(
                "its elements are a numpy array of {said}, which torch converts to {dtype}"
            )));
        }
        if dtype.bytes_of(layout.numel()) != Some(data.len()) {
            return Err(Error::malformed(format!(
                "its elements are a numpy array of {} bytes, for {layout} of {dtype}",
                data.len()
            )));
        }
        self.budget.spend(data.len())?;
        let mut entry = without_storage(dtype, layout, self.flag(args, 3));
        entry.storage = Some(self.owned(id, dtype, data.into_owned()));
        self.set_device(&mut entry, args, 2);
        Ok(entry)
    }

    /// The tensor that `torch.tensor` makes of a number: float32 of a float, int64 of an int. `None` for what is none.
    pub(in crate::checkpoint) fn number(&mut self, id: ValueId) -> Result<Option<Rebuilt>> {
        let (dtype, bytes) = match self.python.get(id) {
            Value::Float(x) => (DType::Float32, (*x as f32).to_le_bytes().to_vec()),
            Value::Int(n) => (DType::Int64, n.to_le_bytes().to_vec()),
            _ => return Ok(None),
        };
        self.budget.spend(size_of::<TensorEntry>())?;
        let mut entry = without_storage(dtype, Layout::contiguous(Vec::new())?, false);
        entry.storage = Some(self.owned(id, dtype, bytes));
        Ok(Some(Rebuilt::plain(entry)))
    }

    /// A storage of bytes that were taken out of the pickle, or made of its values.
    fn owned(&mut self, id: ValueId, dtype: DType, bytes: Vec<u8>) -> StorageId {
        let at = self.python.0.offset(id);
        let key = format!("pickle+{at:#x}");
        let known = (key.clone(), dtype, bytes.len());
        if let Some(storage) = self.storages.known(&known) {
            return storage;
        }
        let storage = Storage {
            key,
            file: None,
            location: "cpu".to_owned(),
            dtype,
            nbytes: bytes.len(),
            file_offset: None,
            view_of: None,
        };
        self.storages
            .push(storage, Place::Owned(Arc::from(bytes)), known)
    }

    /// `UninitializedParameter(requires_grad)`: what a lazy module has before it has seen an input. Of the type torch
    /// has by default: the pickle does not say.
    pub(super) fn uninitialized(&self, args: Args<'g>) -> Result<Rebuilt> {
        let layout = Layout::contiguous(vec![0])?;
        let mut entry = without_storage(DType::Float32, layout, self.flag(args, 0));
        entry.extra.insert("layout".into(), json!("uninitialized"));
        Ok(Rebuilt::plain(entry))
    }

    /// Bytes taken out of the pickle are little-endian, whatever the file is.
    pub(super) fn byte_order_of(&self, id: StorageId) -> ByteOrder {
        match self.storages.is_owned(id) {
            true => ByteOrder::Little,
            false => self.byte_order,
        }
    }
}
