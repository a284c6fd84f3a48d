//! Every tensor of a checkpoint, and what the file stores beside what its tensors reach.

use std::path::PathBuf;

use rayon::prelude::*;

use super::memory::{Memory, Relation, Sharing, bytes_of, range};
use crate::bytes::Limits;
use crate::bytes::digest::Sha256;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, Result};

/// What `ls` shows.
#[derive(Debug)]
pub struct Listing {
    /// The file.
    pub file: PathBuf,
    /// `torch-zip`, `safetensors`, ...
    pub format: &'static str,
    /// One row per tensor, in the file's own order.
    pub rows: Vec<Row>,
    /// Sums over the whole file, chosen or not.
    pub totals: Totals,
}

/// One tensor.
#[derive(Debug)]
pub struct Row {
    /// Full name.
    pub name: String,
    /// PyTorch's name of the element type.
    pub dtype: &'static str,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Elements from one index to the next, per axis.
    pub stride: Vec<usize>,
    /// Elements from the storage's start to the first one.
    pub storage_offset: usize,
    /// Elements.
    pub numel: usize,
    /// Bytes of the elements.
    pub nbytes: u64,
    /// Key of the storage; empty where a format has none.
    pub storage: Option<String>,
    /// The file that holds it, where that is not [`Listing::file`].
    pub file: Option<PathBuf>,
    /// Where the first element lies in its file.
    pub file_offset: Option<u64>,
    /// How the elements lie in memory.
    pub memory: Memory,
    /// `sparse_coo`, `nested`, ... where stride and storage offset mean nothing.
    pub layout: Option<String>,
    /// Other tensors with the same elements (tied weights).
    pub tied: usize,
    /// Other tensors that share some elements.
    pub overlapping: usize,
    /// Whether the storage is larger than what this tensor reaches.
    pub part: bool,
    /// Lazily conjugated: the elements are the conjugates of what is stored.
    pub conj: bool,
    /// Lazily negated.
    pub neg: bool,
    /// What else belongs to a sparse, quantized or meta tensor.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// What a sparse or nested tensor is made of, and a quantized one's scales and zero points.
    pub parts: Vec<Row>,
    /// Digest of the logical elements, where asked for.
    pub sha256: Option<String>,
}

/// Sums over the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tensors in the file.
    pub tensors: usize,
    /// Elements of all tensors, each tensor counted whole.
    pub elements: u64,
    /// Storages in the file.
    pub storages: usize,
    /// Bytes of all storages.
    pub stored: u64,
    /// Bytes of the storages that at least one tensor reaches.
    pub referenced: u64,
}

impl Listing {
    /// Lists `chosen` tensors of the checkpoint.
    pub fn of(checkpoint: &Checkpoint, chosen: &[&TensorEntry]) -> Self {
        let sharing = Sharing::of(checkpoint);
        let rows = chosen
            .iter()
            .map(|tensor| Row::of(checkpoint, &sharing, tensor))
            .collect();
        Self {
            file: checkpoint.path().to_owned(),
            format: checkpoint.format().name(),
            rows,
            totals: Totals::of(checkpoint),
        }
    }

    /// Fills in the digests, several tensors at a time, but of compressed ones one at a time: each has to be inflated
    /// whole. `chosen` are the tensors that were listed.
    ///
    /// # Errors
    ///
    /// `Limit` where the tensors repeat the bytes of their storages (as expanded ones and many views of one storage do)
    /// beyond what [`Limits::inflate_ratio`] allows; else as [`Checkpoint::view`].
    pub fn add_digests(
        &mut self,
        checkpoint: &Checkpoint,
        chosen: &[&TensorEntry],
        limits: &Limits,
    ) -> Result<()> {
        bound_repetition(checkpoint, chosen, limits)?;
        let rows = self.rows.iter_mut().zip(chosen.iter().copied());
        let (inflated, mut plain): (Vec<_>, Vec<_>) =
            rows.partition(|(_, tensor)| checkpoint.inflates(tensor));
        // the largest first, each taken by whoever is free: no thread is left with a large one at the end
        plain.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.nbytes()));
        plain
            .into_iter()
            .par_bridge()
            .try_for_each(|(row, tensor)| row.add_digest(checkpoint, tensor))?;
        inflated
            .into_iter()
            .try_for_each(|(row, tensor)| row.add_digest(checkpoint, tensor))
    }
}

/// Elements that are read again and again are like bytes that inflate: a few of them in the file can be hours of work.
fn bound_repetition(
    checkpoint: &Checkpoint,
    chosen: &[&TensorEntry],
    limits: &Limits,
) -> Result<()> {
    let stored = checkpoint.storages().iter().filter(|s| s.view_of.is_none());
    let stored = stored.fold(0u64, |sum, s| sum.saturating_add(s.nbytes as u64));
    let tensors = chosen
        .iter()
        .flat_map(|tensor| tensor.parts.iter().chain([*tensor]));
    let read = tensors
        .filter(|tensor| tensor.storage.is_some())
        .fold(0u64, |sum, tensor| {
            sum.saturating_add(tensor.nbytes() as u64)
        });
    let most = limits.inflated_storage(stored) as u64;
    if read > most {
        return Err(Error::limit(format!(
            "its tensors have {read} bytes of elements in {stored} bytes of storage, the limit is {most} (inflate_ratio)"
        ))
        .in_file(checkpoint.path()));
    }
    Ok(())
}

/// SHA-256 of the logical elements: C-contiguous, little-endian, conjugation and negation resolved.
pub fn digest(checkpoint: &Checkpoint, tensor: &TensorEntry) -> Result<String> {
    let mut hash = Sha256::new(std::io::sink());
    let view = checkpoint.view(tensor)?;
    checkpoint
        .write_logical(tensor, &view, &mut hash)
        .map_err(|e| Error::io(checkpoint.path(), "cannot be read", &e))?;
    Ok(hash.finish())
}

impl Row {
    /// The digest of the elements, and of those of the parts: meta, sparse and nested tensors have none of their own.
    fn add_digest(&mut self, checkpoint: &Checkpoint, tensor: &TensorEntry) -> Result<()> {
        if tensor.storage.is_some() {
            self.sha256 = Some(digest(checkpoint, tensor)?);
        }
        for (row, part) in self.parts.iter_mut().zip(&tensor.parts) {
            row.add_digest(checkpoint, part)?;
        }
        Ok(())
    }

    /// Whether it has a shape: that of a nested tensor is its buffer's, an uninitialized one has none.
    pub fn has_shape(&self) -> bool {
        !matches!(
            self.layout.as_deref(),
            Some("nested" | "jagged" | "uninitialized")
        )
    }

    fn of(checkpoint: &Checkpoint, sharing: &Sharing, tensor: &TensorEntry) -> Self {
        let storage = tensor
            .storage
            .and_then(|StorageId(id)| checkpoint.storages().get(id));
        let layout = &tensor.layout;
        let (tied, overlapping) = companions(checkpoint, sharing, tensor);
        let reached = bytes_of(range(layout).len() as u64, tensor.dtype.bits());
        Self {
            name: tensor.name.clone(),
            dtype: tensor.dtype.name(),
            shape: layout.shape().to_vec(),
            stride: layout.stride().to_vec(),
            storage_offset: layout.storage_offset(),
            numel: layout.numel(),
            nbytes: tensor.nbytes() as u64,
            storage: storage.map(|storage| storage.key.clone()),
            file: checkpoint.file_of(tensor).map(Into::into),
            file_offset: checkpoint.file_offset(tensor),
            memory: Memory::of(layout),
            layout: tensor.layout_name().map(str::to_owned),
            tied,
            overlapping,
            part: storage.is_some_and(|storage| reached < storage.nbytes as u64),
            conj: tensor.conj,
            neg: tensor.neg,
            extra: tensor.extra.clone(),
            parts: tensor
                .parts
                .iter()
                .map(|part| Row::of(checkpoint, sharing, part))
                .collect(),
            sha256: None,
        }
    }
}

/// How many other tensors have the same elements, and how many share some. A storage with very many residents is
/// counted by its first thousand: a hostile file must not make this quadratic.
fn companions(checkpoint: &Checkpoint, sharing: &Sharing, tensor: &TensorEntry) -> (usize, usize) {
    let Some(id) = tensor.storage else {
        return (0, 0);
    };
    let (mut tied, mut overlapping) = (0, 0);
    let residents = sharing.residents(id).iter().take(1000);
    let others = residents.map(|&number| &checkpoint.tensors()[number]);
    for other in others.filter(|other| !std::ptr::eq(*other, tensor)) {
        match Relation::between(&tensor.layout, &other.layout) {
            Relation::Same => tied += 1,
            Relation::Overlapping => overlapping += 1,
            Relation::Apart => {}
        }
    }
    (tied, overlapping)
}

impl Totals {
    /// Of a checkpoint.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let tensors = checkpoint.tensors();
        let mut totals = Self {
            tensors: tensors.len(),
            elements: tensors
                .iter()
                .fold(0, |sum: u64, t| sum.saturating_add(t.layout.numel() as u64)),
            storages: checkpoint.storages().len(),
            ..Self::default()
        };
        for (storage, reached) in checkpoint.storages().iter().zip(referenced(checkpoint)) {
            if storage.view_of.is_some() {
                continue; // its bytes are another's
            }
            totals.stored = totals.stored.saturating_add(storage.nbytes as u64);
            totals.referenced = totals.referenced.saturating_add(reached);
        }
        totals
    }
}

/// Of each storage, how many of its bytes at least one tensor reaches.
pub fn referenced(checkpoint: &Checkpoint) -> Vec<u64> {
    let mut reached = vec![Vec::new(); checkpoint.storages().len()];
    for tensor in checkpoint.tensors() {
        tensor
            .parts
            .iter()
            .chain([tensor])
            .for_each(|part| reach(checkpoint, part, &mut reached));
    }
    reached.iter_mut().map(|ranges| union(ranges)).collect()
}

/// Adds the bytes that `tensor` reaches to those of its storage, or of the one that this is a window of.
fn reach(checkpoint: &Checkpoint, tensor: &TensorEntry, reached: &mut [Vec<(u64, u64)>]) {
    let Some(storage) = tensor.storage else {
        return;
    };
    let view_of = checkpoint.storages().get(storage.0).and_then(|s| s.view_of);
    let (StorageId(root), base) = view_of.unwrap_or((storage, 0));
    if let Some(ranges) = reached.get_mut(root) {
        let (range, bits) = (range(&tensor.layout), tensor.dtype.bits());
        let byte = |element: usize| bytes_of(element as u64, bits).saturating_add(base as u64);
        ranges.push((byte(range.start), byte(range.end)));
    }
}

/// Length of the union of ranges.
fn union(ranges: &mut [(u64, u64)]) -> u64 {
    ranges.sort_unstable();
    let (mut length, mut reached) = (0, 0);
    for &(start, end) in &*ranges {
        length += end.saturating_sub(start.max(reached));
        reached = reached.max(end);
    }
    length
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_union_counts_nothing_twice() {
        assert_eq!(super::union(&mut [(4, 8), (0, 5), (6, 7), (10, 12)]), 10);
        assert_eq!(super::union(&mut []), 0);
    }
}
