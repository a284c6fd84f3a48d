//! A safetensors header as a [`Checkpoint`]: every tensor is a contiguous storage of its own.

use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::NodeValue;
use crate::checkpoint::Storage;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::Tree;
use crate::checkpoint::places::{Bytes, DataFile, Place};
use crate::error::Result;
use crate::safetensors::Header;
use crate::safetensors::HeaderEntry;
use crate::tensor::{ByteOrder, DType, Layout};

pub(super) fn open(path: &Path, source: ByteSource, limits: &Limits) -> Result<Checkpoint> {
    let header = Header::read(&source, limits)?;
    checkpoint(path, source, header, limits)
}

/// The checkpoint that a header tells of; places beyond the end of the file end there.
pub(super) fn checkpoint(
    path: &Path,
    source: ByteSource,
    header: Header,
    limits: &Limits,
) -> Result<Checkpoint> {
    let mut tensors = Vec::with_capacity(header.entries.len());
    let mut storages = Vec::with_capacity(header.entries.len());
    let mut places = Vec::with_capacity(header.entries.len());
    let tree = tree(&header);
    for (number, entry) in header.entries.into_iter().enumerate() {
        let (dtype, shape) = as_torch_has_it(&entry);
        let layout = Layout::contiguous(shape).map_err(|e| {
            e.in_record(&entry.name)
                .at_offset(entry.value_span.start as u64)
        })?;
        storages.push(Storage {
            key: String::new(),
            file: None,
            location: "cpu".into(),
            dtype,
            nbytes: entry.data.len(),
            file_offset: Some(entry.data.start as u64),
            view_of: None,
        });
        let end = source.len();
        places.push(Place::File(
            0,
            entry.data.start.min(end)..entry.data.end.min(end),
        ));
        tensors.push(TensorEntry {
            name: entry.name,
            dtype,
            layout,
            storage: Some(StorageId(number)),
            requires_grad: false,
            conj: false,
            neg: false,
            extra: serde_json::Map::new(),
            parts: Vec::new(),
        });
    }
    Ok(Checkpoint {
        path: path.to_owned(),
        format: Format::Safetensors,
        byte_order: ByteOrder::Little,
        tensors,
        storages,
        modules: Vec::new(),
        tree,
        metadata: header.metadata.into_iter().collect(),
        notes: Vec::new(),
        instances: Default::default(),
        bytes: Bytes {
            files: vec![DataFile::little(source)],
            places,
            tensor_bytes: limits.tensor_bytes,
        },
        wreckage: Default::default(),
    })
}

/// torch reads `F4` two numbers to an element, so half as wide. Of odd width it would refuse the tensor; that one is
/// shown as the file has it.
fn as_torch_has_it(entry: &HeaderEntry) -> (DType, Vec<usize>) {
    let mut shape = entry.shape.clone();
    match shape.last_mut() {
        Some(last) if entry.dtype == DType::Float4E2m1fn && last.is_multiple_of(2) => {
            *last /= 2;
            (DType::Float4E2m1fnX2, shape)
        }
        _ => (entry.dtype, shape),
    }
}

fn tree(header: &Header) -> Tree {
    let mut tree = Tree::default();
    let root = tree.push(None, String::new(), NodeValue::Dict { class: None });
    if !header.metadata.is_empty() {
        let value = NodeValue::Dict { class: None };
        let metadata = tree.push(Some(root), "__metadata__".into(), value);
        for (key, text) in &header.metadata {
            tree.push(Some(metadata), key.clone(), NodeValue::Str(text.clone()));
        }
    }
    for (number, entry) in header.entries.iter().enumerate() {
        tree.push(Some(root), entry.name.clone(), NodeValue::Tensor(number));
    }
    tree
}
