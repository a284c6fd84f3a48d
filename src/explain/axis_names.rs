//! The axes of any tensor, for manifests.

use std::collections::HashMap;

use super::kind::{Axis, Clues, Kind};
use super::layer::joined;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;

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
        let path = match tensor.name.as_str() {
            "weight" => "",
            name => name.strip_suffix(".weight")?,
        };
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
            transposed: false,
        });
        kind.name()?;
        Some(kind.axes(shape.len()).into_iter().map(Axis::word).collect())
    }
}
