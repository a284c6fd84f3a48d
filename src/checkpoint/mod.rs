//! The join: named, typed tensors over storages, whatever the file was.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::bytes::Releasing;
use crate::bytes::output::Whole;
use crate::error::Error;
use crate::error::Result;
use crate::tensor::{ByteOrder, DType, Layout, TensorView};

mod absorb;
mod dcp;
pub(crate) mod described;
mod exported;
mod folder;
pub mod instances;
mod legacy;
mod module;
mod names;
mod nested;
mod numpy;
mod objects;
mod open;
mod persistent;
mod pieces;
mod places;
mod python;
mod quantized;
mod raw_pickle;
mod rebuild;
mod safetensors;
pub mod salvage;
mod sharded;
mod storages;
mod tar;
mod torch;
mod torchscript;
pub mod tree;
mod unfold;
mod unpickled;

pub use exported::program::{
    Argument, ExportedGraph, ExportedInput, ExportedNode, InputKind, SymSize,
};
pub use instances::{Attribute, Instance, Instances};
use places::{Bytes, Place};
use salvage::Wreckage;
pub use salvage::{Damage, Loss, RawRecord, RawRecords, Salvage};
pub use tree::{Node, NodeId, NodeValue, Tree};

/// The names that the `.metadata` of a distributed checkpoint gives, in its order; the pieces are not looked at.
///
/// # Errors
///
/// `Malformed` for what is not such a file, `Unsupported` for pieces written by extensions and unknown dtypes, `Limit`
/// as for any pickle.
pub fn distributed_names(metadata: &[u8], limits: &Limits) -> Result<Vec<String>> {
    dcp::names(metadata, limits)
}

/// The files that a folder's or an index's checkpoint lies in, by what names them: which may be missing.
///
/// # Errors
///
/// As [`Checkpoint::open`], where the index cannot be read.
pub(crate) fn parts(path: &Path, limits: &Limits) -> Result<Vec<Part>> {
    folder::parts(path, limits).map_err(|e| e.in_file(path))
}

/// A file of a checkpoint in several.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) path: PathBuf,
    /// The tensors that an index says are in it.
    pub(crate) tensors: Vec<String>,
    /// The torch zips in it, and what each is a piece of; empty: the whole file is one checkpoint.
    pub(crate) pieces: Vec<(String, std::ops::Range<usize>)>,
}

/// What notes about index and shards begin with.
pub(crate) const DISAGREE: &str = "index and shards disagree";

/// What kind of file a checkpoint was; [`Format::name`] is the contract's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// `torch.save` since 1.6: a zip.
    TorchZip,
    /// `torch.save` from 0.1.10 to 1.5: pickles in a row, then raw storages.
    TorchLegacy,
    /// `torch.save` before 0.1.10: a tar.
    TorchTar,
    /// A pickle that `torch.save` did not write.
    Pickle,
    /// `torch.jit.save`: a program and its module.
    TorchScript,
    /// `torch.export.save`: a graph and its weights.
    TorchExport,
    /// A distributed checkpoint: a folder of pieces.
    Dcp,
    /// An index, and the shards that it names.
    Sharded,
    /// safetensors.
    Safetensors,
}

impl Format {
    /// `torch-zip`, `safetensors`, ...
    pub fn name(self) -> &'static str {
        match self {
            Format::TorchZip => "torch-zip",
            Format::TorchLegacy => "torch-legacy",
            Format::TorchTar => "torch-tar",
            Format::Pickle => "pickle",
            Format::TorchScript => "torchscript",
            Format::TorchExport => "torch-export",
            Format::Dcp => "dcp",
            Format::Sharded => "sharded",
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
    /// The file that holds it; `None` for the one that was opened.
    pub file: Option<Arc<Path>>,
    /// Device it was saved from (`cpu`, `cuda:0`); changes nothing for a reader.
    pub location: String,
    /// Element type of the storage class.
    pub dtype: DType,
    /// Length in bytes, as declared.
    pub nbytes: usize,
    /// Absolute offset of its first byte in its file; `None` where compressed, in pieces or absent.
    pub file_offset: Option<u64>,
    /// The storage that it is a window of, and how many bytes from its start: files of before 1.0 know such.
    pub view_of: Option<(StorageId, usize)>,
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
    /// What a tensor without a single storage is made of (`indices`, `values` of a sparse one; the rows of a nested
    /// one), and a quantized one's scales and zero points; named by their role. Empty for all others.
    pub parts: Vec<TensorEntry>,
}

impl TensorEntry {
    /// Bytes of the elements, packed; those of the parts where the tensor has no single storage.
    pub fn nbytes(&self) -> usize {
        if self.layout_name().is_some() {
            let parts = self.parts.iter().map(TensorEntry::nbytes);
            return parts.fold(0, usize::saturating_add);
        }
        let nbytes = self.dtype.bytes_of(self.layout.numel());
        nbytes.unwrap_or(usize::MAX)
    }

    /// `sparse_coo`, `sparse_csr`, ..., `nested`, `jagged`, `uninitialized`; `None` for an ordinary (strided) tensor. Stride and
    /// storage offset of [`TensorEntry::layout`] mean nothing where there is such a name, and of a nested or jagged
    /// tensor the shape is that of its buffer of values.
    pub fn layout_name(&self) -> Option<&str> {
        self.extra.get("layout")?.as_str()
    }
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
    pub(crate) notes: Vec<String>,
    pub(crate) instances: Instances,
    pub(crate) bytes: Bytes,
    /// What is wrong with it, where it was opened as a damaged one.
    pub(crate) wreckage: Wreckage,
}

impl Checkpoint {
    /// Opens the file at `path`, whatever readable format it has; the index of a sharded checkpoint with the shards
    /// beside it, or the folder that holds them.
    ///
    /// Files are mapped, and only directory, pickle or header is read.
    ///
    /// # Errors
    ///
    /// `Io` where the file cannot be read; `Unsupported` for other formats, which are named; `Malformed` for a file
    /// that breaks its own format's rules; `Limit` where it asks for more than `limits` allow. The file is named, and
    /// the record and byte offset as far as they are known.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        open::at(path, limits, open::Mode::Whole).map_err(|e| e.in_file(path))
    }

    /// Opens bytes held in memory (`name` stands for the path in errors).
    ///
    /// # Errors
    ///
    /// As [`Checkpoint::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>, limits: &Limits) -> Result<Self> {
        let path = Path::new(name);
        open::single(path, ByteSource::from(bytes), limits).map_err(|e| e.in_file(path))
    }

    /// Opens a file that is read already.
    pub(crate) fn of(path: &Path, source: ByteSource, limits: &Limits) -> Result<Self> {
        open::single(path, source, limits)
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
    /// What was found and cannot be shown, one line each: state that only running code would give.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The objects that are modules, with all that they hold; empty for state dicts and exported programs.
    ///
    /// # Errors
    ///
    /// `Limit` where they would take too much memory.
    pub fn instances(&self) -> Result<&Instances> {
        self.instances.check().map_err(|e| e.in_file(&self.path))?;
        Ok(&self.instances)
    }

    /// The code of a TorchScript program: the module that each file defines (`__torch__.torch.nn.modules.conv`), and
    /// its text. Empty for all other formats.
    ///
    /// # Errors
    ///
    /// `Malformed` and `Limit` as for [`Checkpoint::open`].
    pub fn script_sources(&self, limits: &Limits) -> Result<Vec<(String, String)>> {
        match (self.format, self.zip()) {
            (Format::TorchScript, Some(zip)) => {
                torchscript::sources(zip, limits).map_err(|e| e.in_file(&self.path))
            }
            _ => Ok(Vec::new()),
        }
    }

    /// The graphs of an exported program, each with the name of its model. Empty for all other formats.
    ///
    /// # Errors
    ///
    /// `Malformed` and `Limit` as for [`Checkpoint::open`].
    pub fn exported_graphs(&self, limits: &Limits) -> Result<Vec<(String, ExportedGraph)>> {
        let (Format::TorchExport, Some(zip)) = (self.format, self.zip()) else {
            return Ok(Vec::new());
        };
        let prefix = exported::prefix(zip).unwrap_or_default();
        exported::programs(zip, &prefix, limits).map_err(|e| e.in_file(&self.path))
    }

    fn zip(&self) -> Option<&crate::container::Zip> {
        self.bytes.files.first()?.zip.as_ref()
    }

    /// The whole bytes of a storage: borrowed from the map, or inflated.
    ///
    /// # Errors
    ///
    /// `Malformed` where the compressed record is damaged; `Limit` where it is larger than [`Limits::tensor_bytes`];
    /// `Usage` for a storage of another checkpoint.
    pub fn storage_bytes(&self, id: StorageId) -> Result<Cow<'_, [u8]>> {
        self.bytes.get(id).map_err(|e| e.in_file(&self.path))
    }

    /// A tensor's elements.
    ///
    /// # Errors
    ///
    /// `Unsupported` for tensors without elements of their own (sparse, nested, meta); `Limit` where the elements
    /// would fill more than [`Limits::tensor_bytes`] (as an expanded tensor's may); else as
    /// [`Checkpoint::storage_bytes`].
    pub fn view(&self, tensor: &TensorEntry) -> Result<TensorView<'_>> {
        self.try_view(tensor).map_err(|e| {
            e.in_record(names::shorten(&tensor.name))
                .in_file(&self.path)
        })
    }

    /// Writes the elements that `view` of `tensor` shows, as [`TensorView::write_logical`] does, and lets go of each part
    /// of the file that has been read: however large the tensor, a few megabytes of it are in memory at a time.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn write_logical(
        &self,
        tensor: &TensorEntry,
        view: &TensorView<'_>,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let place = tensor.storage.and_then(|id| self.bytes.in_file(id));
        let Some((source, storage)) = place else {
            return view.write_logical(out);
        };
        view.write_logical(&mut Releasing::new(source, out))?;
        if !view.is_as_it_lies() {
            source.release(storage); // read here and there, and copied
        }
        Ok(())
    }

    /// [`Checkpoint::write_logical`] into a file, straight from the checkpoint's where the elements lie there as they are
    /// written.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub fn copy_logical(
        &self,
        tensor: &TensorEntry,
        view: &TensorView<'_>,
        out: &mut Whole,
    ) -> std::io::Result<()> {
        let place = tensor.storage.and_then(|id| self.bytes.in_file(id));
        match (place, view.as_it_lies()) {
            (Some((source, _)), Some(bytes)) => out.copy_from(source, bytes),
            _ => self.write_logical(tensor, view, out),
        }
    }

    fn try_view(&self, tensor: &TensorEntry) -> Result<TensorView<'_>> {
        let Some(id) = tensor.storage else {
            let (what, hint) = match tensor.layout_name() {
                Some("uninitialized") => (
                    "is uninitialized: the file holds no elements of it, not even a shape"
                        .to_owned(),
                    "save the model after it has seen an input",
                ),
                Some(layout) => (
                    format!("is {layout}: it has no single run of elements"),
                    "its parts can be read",
                ),
                None if tensor.extra.contains_key("subclass") => (
                    "is of a class that makes its elements of other tensors".to_owned(),
                    "the tensors that it is made of are listed below its name, and can be read",
                ),
                None => (
                    "is on the meta device: the file holds no elements of it".to_owned(),
                    "save the model after its weights are loaded",
                ),
            };
            return Err(Error::unsupported(what).with_hint(hint));
        };
        if tensor.nbytes() > self.bytes.tensor_bytes {
            return Err(Error::limit(format!(
                "its {} elements fill {} bytes, the limit is {} (tensor_bytes)",
                tensor.layout.numel(),
                tensor.nbytes(),
                self.bytes.tensor_bytes
            )));
        }
        let bytes = self.storage_bytes(id)?;
        let view = TensorView::new(
            bytes,
            tensor.dtype,
            tensor.layout.clone(),
            self.bytes.byte_order(id),
        )?;
        Ok(view.with_bits(tensor.conj, tensor.neg))
    }

    /// Absolute offset of the tensor's first element in [`Checkpoint::file_of`] (`None`: compressed, in pieces, absent,
    /// no element at all).
    pub fn file_offset(&self, tensor: &TensorEntry) -> Option<u64> {
        let start = self.storages.get(tensor.storage?.0)?.file_offset?;
        if tensor.layout.numel() == 0 {
            return None;
        }
        // wider than 64 bits: what a damaged file declares need not lie in it
        let bits = tensor.layout.storage_offset() as u128 * tensor.dtype.bits() as u128;
        start.checked_add(u64::try_from(bits / 8).ok()?)
    }

    /// Bytes of all files that it was read from.
    pub fn file_len(&self) -> u64 {
        let files = self.bytes.files.iter();
        files.fold(0, |sum, file| sum.saturating_add(file.source.len() as u64))
    }

    /// Whether reading the storage takes memory for all of its bytes at once: it is compressed.
    pub fn is_compressed(&self, id: StorageId) -> bool {
        matches!(self.bytes.places.get(id.0), Some(Place::Record(..)))
    }

    /// Whether reading the tensor, or a part that it is made of, inflates a storage: such tensors are read one at a time.
    pub fn inflates(&self, tensor: &TensorEntry) -> bool {
        let tensors = tensor.parts.iter().chain([tensor]);
        let mut storages = tensors.filter_map(|tensor| tensor.storage);
        storages.any(|id| self.is_compressed(id))
    }

    /// The file that holds the tensor's elements, where it is not [`Checkpoint::path`].
    pub fn file_of(&self, tensor: &TensorEntry) -> Option<&Path> {
        self.storages.get(tensor.storage?.0)?.file.as_deref()
    }

    /// The tensors that lie in a storage, in the file's order: more than one where weights are tied or views of one
    /// another.
    pub fn sharing(&self, storage: StorageId) -> impl Iterator<Item = &TensorEntry> {
        self.tensors
            .iter()
            .filter(move |tensor| tensor.storage == Some(storage))
    }

    /// The tensor called `name`, or the only one that `name` is a dotted suffix of. Ambiguous: an error listing the
    /// matches; unknown: an error suggesting near names.
    pub fn find_tensor(&self, name: &str) -> Result<&TensorEntry> {
        names::find_tensor(&self.tensors, name).map_err(|e| e.in_file(&self.path))
    }

    /// Full path of the layer `name` (a module path, a unique suffix of one, or a tensor name of it): the prefix that,
    /// with `.weight` appended, names a tensor. Same errors as [`Checkpoint::find_tensor`].
    pub fn find_layer(&self, name: &str) -> Result<String> {
        names::find_layer(self, name).map_err(|e| e.in_file(&self.path))
    }

    /// The module object at exactly `path`.
    pub fn module(&self, path: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.path == path)
    }
}
