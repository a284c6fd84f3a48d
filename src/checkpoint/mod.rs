//! The join: named, typed tensors over storages, whatever the file was.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::bytes::Limits;
use crate::error::Result;
use crate::tensor::{ByteOrder, DType, Layout, TensorView};

pub mod tree;

pub use tree::{Node, NodeId, NodeValue, Tree};

/// What kind of file a checkpoint was; [`Format::name`] is the contract's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `torch.save` since 1.6: a zip.
    TorchZip,
    /// safetensors.
    Safetensors,
}

impl Format {
    /// `torch-zip`, `safetensors`, ...
    pub fn name(self) -> &'static str {
        match self {
            Format::TorchZip => "torch-zip",
            Format::Safetensors => "safetensors",
        }
    }
}

/// Index into [`Checkpoint::storages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageId(pub usize);

/// A run of bytes that tensors are views of.
#[derive(Clone, Debug)]
pub struct Storage {
    /// Key as `ls` shows it: `data/0`; empty for safetensors.
    pub key: String,
    /// Device it was saved from (`cpu`, `cuda:0`); changes nothing for a reader.
    pub location: String,
    /// Element type of the storage class.
    pub dtype: DType,
    /// Length in bytes, as declared.
    pub nbytes: usize,
    /// Absolute offset of its first byte in the file; `None` where compressed or absent.
    pub file_offset: Option<u64>,
}

/// A named tensor.
#[derive(Clone, Debug)]
pub struct TensorEntry {
    /// Full name: keys on the way, joined by `.`.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape, stride, storage offset.
    pub layout: Layout,
    /// The storage; `None` for meta tensors and those kinds that have no single storage (sparse, nested).
    pub storage: Option<StorageId>,
    /// `requires_grad` as saved (`false` where the format does not say).
    pub requires_grad: bool,
    /// Lazy conjugation bit.
    pub conj: bool,
    /// Lazy negation bit.
    pub neg: bool,
    /// Sparse, quantized, meta, nested: what else belongs to the tensor, as JSON for `ls --json` (empty: a plain one).
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// A module object found in the file, or nothing but its name where the file holds a state dict.
#[derive(Clone, Debug)]
pub struct Module {
    /// Path, as in tensor names (`layer1.0.conv2`).
    pub path: String,
    /// Class as written: `torch.nn.modules.conv.Conv2d`.
    pub class: String,
    /// Plain attributes (`stride`, `padding`, ...), as JSON: numbers, strings, lists, null.
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// An opened checkpoint. Nothing of a tensor's data is read before [`Checkpoint::view`].
#[derive(Debug)]
pub struct Checkpoint {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    pub(crate) byte_order: ByteOrder,
    pub(crate) tensors: Vec<TensorEntry>,
    pub(crate) storages: Vec<Storage>,
    pub(crate) modules: Vec<Module>,
    pub(crate) tree: Tree,
    pub(crate) metadata: BTreeMap<String, String>,
}

impl Checkpoint {
    /// Opens the file at `path`, whatever readable format it has.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let _ = (path, limits);
        todo!()
    }
    /// Opens bytes held in memory (`name` stands for the path in errors).
    pub fn from_bytes(name: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Self> {
        let _ = (name, bytes, limits);
        todo!()
    }
    /// The path as given.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Kind of file.
    pub fn format(&self) -> Format {
        self.format
    }
    /// Byte order of the stored elements.
    pub fn byte_order(&self) -> ByteOrder {
        self.byte_order
    }
    /// Every tensor, in the file's own order.
    pub fn tensors(&self) -> &[TensorEntry] {
        &self.tensors
    }
    /// Every storage.
    pub fn storages(&self) -> &[Storage] {
        &self.storages
    }
    /// Every module object (empty for state dicts).
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }
    /// Everything in the file, tensors and the rest.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
    /// safetensors' `__metadata__`; empty elsewhere.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }
    /// The whole bytes of a storage: borrowed from the map, or inflated.
    pub fn storage_bytes(&self, id: StorageId) -> Result<Cow<'_, [u8]>> {
        let _ = id;
        todo!()
    }
    /// A tensor's elements.
    pub fn view(&self, tensor: &TensorEntry) -> Result<TensorView<'_>> {
        let _ = tensor;
        todo!()
    }
    /// Absolute file offset of the tensor's first element (`None`: compressed, absent, empty storage).
    pub fn file_offset(&self, tensor: &TensorEntry) -> Option<u64> {
        let _ = tensor;
        todo!()
    }
    /// The tensor called `name`, or the only one that `name` is a dotted suffix of. Ambiguous: an error listing the
    /// matches; unknown: an error suggesting near names.
    pub fn find_tensor(&self, name: &str) -> Result<&TensorEntry> {
        let _ = name;
        todo!()
    }
    /// Full path of the layer `name` (a module path, a unique suffix of one, or a tensor name of it): the prefix that,
    /// with `.weight` appended, names a tensor. Same errors as [`Checkpoint::find_tensor`].
    pub fn find_layer(&self, name: &str) -> Result<String> {
        let _ = name;
        todo!()
    }
    /// The module object at exactly `path`.
    pub fn module(&self, path: &str) -> Option<&Module> {
        let _ = path;
        todo!()
    }
}
