//! What torch's own rebuild functions mean: the calls that make tensors, and nothing else.
//!
//! | call | arguments |
//! | --- | --- |
//! | `_rebuild_tensor` | storage, storage_offset, size, stride |
//! | `_rebuild_tensor_v2` | the same, requires_grad, hooks, and perhaps metadata: `{"conj": True, "neg": True}` |
//! | `_rebuild_tensor_v3` | storage, storage_offset, size, stride, requires_grad, hooks, dtype, perhaps metadata |
//! | `_rebuild_qtensor` | storage, storage_offset, size, stride, quantizer, requires_grad, hooks |
//! | `_rebuild_parameter` | tensor, requires_grad, hooks |
//! | `_rebuild_parameter_with_state` | tensor, requires_grad, hooks, state |
//! | `_rebuild_from_type_v2` | function, class, its arguments, state |
//! | `_rebuild_sparse_tensor` | layout, (indices, values, size, is_coalesced) or (compressed, plain, values, size) |
//! | `_rebuild_nested_tensor` | buffer, sizes, strides, storage_offsets |
//! | `_rebuild_njt` | dict of values, offsets, lengths, _ragged_idx, ... |
//! | `_rebuild_meta_tensor_no_storage` | dtype, size, stride, requires_grad |
//! | `_rebuild_wrapper_subclass` | class, dtype, size, stride, storage_offset, layout, device, requires_grad |
//! | `_rebuild_device_tensor_from_cpu_tensor` | tensor, dtype, device, requires_grad |
//! | `_rebuild_device_tensor_from_numpy`, `_rebuild_xla_tensor` | array, dtype, device, requires_grad |
//!
//! Source: `torch/_utils.py`, `torch/_tensor.py`, `torch/nested/_internal/nested_tensor.py` of torch 2.15.

use serde_json::json;

use crate::bytes::Budget;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::python::Python;
use crate::checkpoint::storages::Storages;
use crate::error::{Error, Result};
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::{ByteOrder, DType, Layout};

mod composite;
mod found;
mod inline;
mod nested;
mod old;

pub(super) use found::Found;

/// A parameter of a subclass of a device's tensor is four calls deep; a hostile file would go on.
const DEPTH: usize = 8;

/// Where torch has, or had, its rebuild functions.
const MODULES: &[&str] = &[
    "torch._utils",
    "torch._tensor",
    "torch.tensor",
    "torch.nested._internal.nested_tensor",
];

/// A tensor, and the values of its attributes (dicts, usually).
pub(super) struct Rebuilt {
    pub(super) entry: TensorEntry,
    pub(super) state: Vec<ValueId>,
    /// Whether it has no elements but those of its attributes.
    pub(super) is_wrapper: bool,
}

impl Rebuilt {
    fn plain(entry: TensorEntry) -> Self {
        Self {
            entry,
            state: Vec::new(),
            is_wrapper: false,
        }
    }
}

/// Whether the value is a tensor, or a part of one: a call of one of torch's rebuild functions.
pub(super) fn is_tensor(python: Python<'_>, id: ValueId) -> bool {
    match python.get(id) {
        Value::Object(object) => python
            .callable(object)
            .is_some_and(|(module, name)| is_rebuild(module, name)),
        _ => false,
    }
}

fn is_rebuild(module: &str, name: &str) -> bool {
    MODULES.contains(&module) && name.starts_with("_rebuild")
}

/// Reads tensors out of a pickle's graph.
pub(super) struct Rebuilder<'g, 'z> {
    pub(super) python: Python<'g>,
    pub(super) storages: Storages<'z>,
    pub(super) byte_order: ByteOrder,
    /// What everything made of the pickle's values may take.
    pub(super) budget: Budget,
}

type Args<'g> = &'g [ValueId];

impl<'g> Rebuilder<'g, '_> {
    /// The tensor that the value `id` would be; `None` if it is something else.
    pub(super) fn tensor(&mut self, id: ValueId) -> Result<Option<Rebuilt>> {
        self.tensor_within(id, DEPTH)
    }

    fn tensor_within(&mut self, id: ValueId, depth: usize) -> Result<Option<Rebuilt>> {
        let at = self.python.0.offset(id);
        let object = match self.python.get(id) {
            Value::Object(object) => object,
            Value::Persistent(_) => return self.outside(id).map_err(|e| e.at_offset(at)),
            _ => return Ok(None),
        };
        if let Some(rebuilt) = self.old(object, depth).map_err(|e| e.at_offset(at))? {
            return Ok(Some(rebuilt));
        }
        let args = self.python.args(object);
        let Some(mut rebuilt) = self
            .call(object.callable, args, depth)
            .map_err(|e| e.at_offset(at))?
        else {
            return Ok(None);
        };
        rebuilt.state.extend(&object.state);
        Ok(Some(rebuilt))
    }

    fn call(&mut self, function: ValueId, args: Args<'g>, depth: usize) -> Result<Option<Rebuilt>> {
        let Some((module, name)) = self.python.global(function) else {
            return Ok(None);
        };
        if !is_rebuild(module, name) {
            return Ok(None);
        }
        if depth == 0 {
            return Err(Error::malformed(format!(
                "{DEPTH} rebuild calls lie one inside the other"
            )));
        }
        self.budget.spend(size_of::<TensorEntry>())?;
        let entry = match name {
            "_rebuild_from_type_v2" | "_rebuild_from_type" => return self.retyped(args, depth),
            "_rebuild_parameter" | "_rebuild_parameter_with_state" => {
                let mut inner = self.inner(args, 0, depth)?;
                inner.entry.requires_grad = self.flag(args, 1);
                inner.state.extend(args.get(3));
                return Ok(Some(inner));
            }
            "_rebuild_device_tensor_from_cpu_tensor" => {
                let mut inner = self.inner(args, 0, depth)?;
                inner.entry.requires_grad = self.flag(args, 3);
                self.set_device(&mut inner.entry, args, 2);
                return Ok(Some(inner));
            }
            "_rebuild_tensor" => self.strided(args, None)?,
            "_rebuild_tensor_v2" => {
                let entry = self.strided(args, None)?;
                self.with_bits(entry, args.get(6))?
            }
            // In a big-endian file its elements are turned round as any others. torch 2.15 leaves them as they are,
            // since the storage is untyped, and so reads other numbers than were saved.
            "_rebuild_tensor_v3" => {
                let dtype = self.dtype(args, 6)?;
                let entry = self.strided(args, Some(dtype))?;
                self.with_bits(entry, args.get(7))?
            }
            "_rebuild_qtensor" => self.quantized(args, depth)?,
            "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => self.sparse(args, depth)?,
            "_rebuild_nested_tensor" => self.nested(args, depth)?,
            "_rebuild_njt" => self.jagged(args, depth)?,
            "_rebuild_meta_tensor_no_storage" => self.meta(args)?,
            "_rebuild_wrapper_subclass" => {
                let entry = self.wrapper(args)?;
                return Ok(Some(Rebuilt {
                    is_wrapper: true,
                    ..Rebuilt::plain(entry)
                }));
            }
            "_rebuild_device_tensor_from_numpy" | "_rebuild_xla_tensor" => self.inlined(args)?,
            _ => return Ok(None),
        };
        Ok(Some(Rebuilt::plain(entry)))
    }

    fn meta(&mut self, args: Args<'g>) -> Result<TensorEntry> {
        let (shape, stride) = (self.sizes(args, 1, "size")?, self.sizes(args, 2, "stride")?);
        let layout = Layout::new(shape, stride, 0)?;
        let mut entry = without_storage(self.dtype(args, 0)?, layout, self.flag(args, 3));
        entry.extra.insert("device".into(), json!("meta"));
        Ok(entry)
    }

    /// A tensor over a storage. `dtype` where the storage is untyped.
    fn strided(&mut self, args: Args<'g>, dtype: Option<DType>) -> Result<TensorEntry> {
        let value = self.argument(args, 0, "storage")?;
        let Some(id) = self.storages.named_by(self.python, value)? else {
            return Err(Error::malformed(format!(
                "its storage is {}, expected a persistent id",
                self.python.get(value).kind()
            )));
        };
        let offset = self.argument(args, 1, "storage_offset")?;
        let offset = self.size(offset, "storage_offset")?;
        let layout = Layout::new(
            self.sizes(args, 2, "size")?,
            self.sizes(args, 3, "stride")?,
            offset,
        )?;
        let mut entry = self.over(id, layout, dtype)?;
        entry.requires_grad = self.flag(args, 4);
        Ok(entry)
    }

    /// A tensor of that layout over that storage, which must reach as far. `dtype` where the storage is untyped.
    fn over(&self, id: StorageId, layout: Layout, dtype: Option<DType>) -> Result<TensorEntry> {
        let storage = self.storages.get(id);
        let dtype = dtype.unwrap_or(storage.dtype);
        let needed = dtype.bytes_of(layout.extent());
        if needed.is_none_or(|needed| needed > storage.nbytes) {
            return Err(Error::malformed(format!(
                "{layout} reaches element {} of {dtype}, but its storage {} has {} bytes",
                layout.extent() - 1,
                storage.key,
                storage.nbytes
            )));
        }
        let mut entry = without_storage(dtype, layout, false);
        entry.storage = Some(id);
        Ok(entry)
    }

    /// The lazy bits: `{"conj": True}`.
    fn with_bits(&self, mut entry: TensorEntry, metadata: Option<&ValueId>) -> Result<TensorEntry> {
        let Some(&metadata) = metadata else {
            return Ok(entry);
        };
        let bit = |name| {
            let value = self.python.entry(metadata, name);
            let value = value.and_then(|value| self.python.bool(value));
            value.unwrap_or(false)
        };
        entry.conj = bit("conj") && entry.dtype.is_complex();
        entry.neg = bit("neg");
        if entry.neg && (entry.dtype == DType::Bool || entry.dtype.bits() < 8) {
            return Err(Error::malformed(format!(
                "a tensor of {} is marked as negated",
                entry.dtype
            )));
        }
        Ok(entry)
    }

    /// `(func, class, args, state)`: a tensor with another class, or attributes, around it.
    fn retyped(&mut self, args: Args<'g>, depth: usize) -> Result<Option<Rebuilt>> {
        let function = self.argument(args, 0, "function")?;
        let inner = self.argument(args, 2, "args")?;
        let inner = self.python.items(inner).unwrap_or(&[]);
        let Some(mut rebuilt) = self.call(function, inner, depth - 1)? else {
            return Ok(None);
        };
        let class = args
            .get(1)
            .and_then(|&class| self.python.global_name(class));
        let plain = [
            "torch._tensor.Tensor",
            "torch.Tensor",
            "torch.nn.parameter.Parameter",
            "torch.nn.parameter.Buffer",
        ];
        if let Some(class) = class.filter(|class| !plain.contains(&class.as_str())) {
            rebuilt
                .entry
                .extra
                .entry("subclass")
                .or_insert(json!(class));
        }
        // a jagged tensor's attributes are its parts over again
        if rebuilt.entry.layout_name() != Some("jagged") {
            rebuilt.state.extend(args.get(3));
        }
        Ok(Some(rebuilt))
    }

    fn inner(&mut self, args: Args<'g>, position: usize, depth: usize) -> Result<Rebuilt> {
        let id = self.argument(args, position, "tensor")?;
        self.expect_tensor(id, depth)
    }

    fn expect_tensor(&mut self, id: ValueId, depth: usize) -> Result<Rebuilt> {
        self.tensor_within(id, depth - 1)?.ok_or_else(|| {
            Error::malformed(format!(
                "where a tensor is expected, there is {}",
                self.python.get(id).kind()
            ))
        })
    }

    /// A component, by its role.
    fn part(
        &mut self,
        args: Args<'g>,
        position: usize,
        role: &str,
        depth: usize,
    ) -> Result<TensorEntry> {
        let id = self.argument(args, position, role)?;
        self.component(id, role, depth)
    }

    fn component(&mut self, id: ValueId, role: &str, depth: usize) -> Result<TensorEntry> {
        let mut entry = self.expect_tensor(id, depth)?.entry;
        entry.name = role.to_owned();
        Ok(entry)
    }

    /// A tensor whose class makes its elements of other tensors, which are its attributes.
    fn wrapper(&mut self, args: Args<'g>) -> Result<TensorEntry> {
        let offset = self.argument(args, 4, "storage_offset")?;
        let offset = self.size(offset, "storage_offset")?;
        let layout = Layout::new(
            self.sizes(args, 2, "size")?,
            self.sizes(args, 3, "stride")?,
            offset,
        )?;
        let mut entry = without_storage(self.dtype(args, 1)?, layout, self.flag(args, 7));
        let class = args
            .first()
            .and_then(|&class| self.python.global_name(class));
        entry.extra.insert("subclass".into(), json!(class));
        self.set_device(&mut entry, args, 6);
        Ok(entry)
    }

    fn set_device(&self, entry: &mut TensorEntry, args: Args<'g>, position: usize) {
        let device = args.get(position).map(|&id| match self.python.str(id) {
            Some(device) => device.to_owned(),
            None => self.python.repr(id),
        });
        entry.extra.insert("device".into(), json!(device));
    }

    fn argument(&self, args: Args<'g>, position: usize, what: &str) -> Result<ValueId> {
        args.get(position).copied().ok_or_else(|| {
            Error::malformed(format!(
                "a rebuild call has {} arguments, {what} is missing",
                args.len()
            ))
        })
    }

    fn flag(&self, args: Args<'g>, position: usize) -> bool {
        let value = args.get(position).and_then(|&id| self.python.bool(id));
        value.unwrap_or(false)
    }

    fn dtype(&self, args: Args<'g>, position: usize) -> Result<DType> {
        let id = self.argument(args, position, "dtype")?;
        let name = self.python.global(id).map_or("", |(_, name)| name);
        DType::from_name(name).ok_or_else(|| {
            Error::unsupported(format!("the dtype {} is unknown", self.python.repr(id)))
        })
    }

    fn sizes(&mut self, args: Args<'g>, position: usize, what: &str) -> Result<Vec<usize>> {
        let id = self.argument(args, position, what)?;
        let Some(items) = self.python.items(id) else {
            return Err(Error::malformed(format!(
                "its {what} is {}, expected a tuple",
                self.python.get(id).kind()
            )));
        };
        self.budget
            .spend(items.len().saturating_mul(size_of::<usize>()))?;
        items.iter().map(|&item| self.size(item, what)).collect()
    }

    fn size(&self, id: ValueId, what: &str) -> Result<usize> {
        let size = self.python.int(id).and_then(|n| usize::try_from(n).ok());
        size.ok_or_else(|| {
            Error::malformed(format!(
                "its {what} holds {}, expected a number from 0 to 2^63",
                self.python.repr(id)
            ))
        })
    }
}

fn without_storage(dtype: DType, layout: Layout, requires_grad: bool) -> TensorEntry {
    TensorEntry {
        name: String::new(),
        dtype,
        layout,
        storage: None::<StorageId>,
        requires_grad,
        conj: false,
        neg: false,
        extra: serde_json::Map::new(),
        parts: Vec::new(),
    }
}
