//! The axes of any tensor, for manifests.

use std::collections::HashMap;

use super::kind::{Axis, Clues, Kind};
use super::layer::joined;
use super::placement::letters;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::Error;
use crate::error::Result;
use crate::tensor::Blocked;
use crate::tensor::Tag;

/// What the axes of any tensor count, without explaining its whole layer.
#[derive(Debug)]
pub struct AxisNames<'a> {
    checkpoint: &'a Checkpoint,
    by_name: HashMap<&'a str, &'a TensorEntry>,
}

impl<'a> AxisNames<'a> {
    /// For the tensors of `checkpoint`.
    pub fn of(checkpoint: &'a Checkpoint) -> Self {
        let by_name = checkpoint
            .tensors()
            .iter()
            .map(|t| (t.name.as_str(), t))
            .collect();
        Self {
            checkpoint,
            by_name,
        }
    }

    /// The words for the axes of a layer's weight, in the order of its shape; `None` where they are not known.
    pub fn of_tensor(&self, tensor: &TensorEntry) -> Option<Vec<String>> {
        let kind = self.kind(tensor, path_of(tensor)?, false);
        kind.name()?;
        let axes = kind.axes(tensor.layout.shape().len());
        Some(axes.into_iter().map(Axis::word).collect())
    }

    /// `tensor` in the memory format `tag`; `None` where the tag is one for tensors of another rank. `groups` and
    /// `transposed` are what the user says.
    ///
    /// # Errors
    ///
    /// `Usage` where the tag has the groups as an axis and nobody says how many there are, and what
    /// [`Blocked::of`] refuses.
    pub fn in_layout(
        &self,
        tensor: &TensorEntry,
        tag: &Tag,
        groups: Option<usize>,
        transposed: bool,
    ) -> Result<Option<Blocked>> {
        let shape = tensor.layout.shape();
        if !tag.fits(shape.len()) || tag.is_data() {
            return Ok(None);
        }
        // a tensor that is nobody's weight is taken for one by its shape
        let path = path_of(tensor).unwrap_or(&tensor.name);
        let kind = self.kind(tensor, path, transposed);
        let module = self.checkpoint.module(path);
        let in_file = module.and_then(|module| module.attributes.get("groups")?.as_u64());
        let in_file = in_file.and_then(|groups| usize::try_from(groups).ok());
        let groups = groups.or(in_file);
        if tag.has_groups(shape.len()) && groups.is_none() {
            return Err(groups_unknown(tag));
        }
        let letters = letters(kind, shape.len());
        Blocked::of(tag, shape, &letters, groups.unwrap_or(1))
            .map(Some)
            .map_err(|error| error.in_record(tensor.name.clone()))
    }

    fn kind(&self, tensor: &TensorEntry, path: &str, transposed: bool) -> Kind {
        let sibling = |last: &str| self.by_name.get(joined(path, last).as_str());
        let shape = tensor.layout.shape();
        let (kind, _) = Kind::identify(&Clues {
            name: path,
            class: self
                .checkpoint
                .module(path)
                .map(|module| module.class.as_str()),
            shape,
            bias: sibling("bias").map(|bias| bias.layout.shape()),
            running_mean: sibling("running_mean").is_some(),
            transposed,
        });
        kind
    }
}

/// The layer whose weight `tensor` is, by its name.
fn path_of(tensor: &TensorEntry) -> Option<&str> {
    match tensor.name.as_str() {
        "weight" => Some(""),
        name => name.strip_suffix(".weight"),
    }
}

/// A layout needs the number of groups, and nobody says it.
pub(super) fn groups_unknown(tag: &Tag) -> Error {
    Error::usage(format!(
        "{} takes the groups apart, and the file does not say how many there are",
        tag.text()
    ))
    .with_hint("--groups says it; for a depthwise layer it is the number of input channels")
}
