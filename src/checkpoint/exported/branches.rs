//! The modules of an exported program as a tree, with its tensors.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::graph;
use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;
use crate::checkpoint::Tree;
use crate::error::{Error, Result};

/// Modules as branches of a tree, tensors as its leaves.
pub(super) struct Branches<'m> {
    pub(super) modules: HashMap<&'m str, &'m graph::Traced>,
    /// By parent and key.
    pub(super) nodes: HashMap<(NodeId, String), NodeId>,
}

impl Branches<'_> {
    /// Adds the tree of the numbered tensors; returns its root.
    pub(super) fn grow<'n>(
        mut self,
        tree: &mut Tree,
        parent: Option<NodeId>,
        key: String,
        tensors: impl Iterator<Item = (usize, &'n str)>,
        depth: usize,
    ) -> Result<NodeId> {
        let root = self.branch(tree, parent, key, "");
        for (number, name) in tensors {
            let (mut below, mut at) = (root, 0);
            if name.matches('.').count() > depth {
                return Err(Error::limit(format!(
                    "a tensor lies more than {depth} levels deep (tree_depth)"
                )));
            }
            while let Some(dot) = name[at..].find('.') {
                let key = (below, name[at..at + dot].to_owned());
                below = match self.nodes.get(&key) {
                    Some(&known) => known,
                    None => {
                        let id = self.branch(tree, Some(below), key.1.clone(), &name[..at + dot]);
                        self.nodes.insert(key, id);
                        id
                    }
                };
                at += dot + 1;
            }
            tree.push(
                Some(below),
                name[at..].to_owned(),
                NodeValue::Tensor(number),
            );
        }
        Ok(root)
    }

    fn branch(&self, tree: &mut Tree, parent: Option<NodeId>, key: String, path: &str) -> NodeId {
        let known = self.modules.get(path);
        let class = known.map_or("torch.nn.modules.module.Module", |m| &m.class);
        let value = NodeValue::Module {
            class: class.to_owned(),
        };
        let id = tree.push(parent, key, value);
        for (name, value) in known.map(|m| &m.attributes).into_iter().flatten() {
            tree.push_json(id, name, value);
        }
        id
    }
}

/// `in_channels`, `out_channels` and `kernel_size` of a convolution, which its weight shows.
pub(super) fn add_sizes(attributes: &mut Map<String, Value>, shape: &[usize]) {
    let Some(groups) = attributes.get("groups").and_then(Value::as_u64) else {
        return;
    };
    let [first, second, kernel @ ..] = shape else {
        return;
    };
    let (first, second) = (*first as u64, (*second as u64).saturating_mul(groups));
    let transposed = attributes.get("transposed") == Some(&Value::Bool(true));
    let (input, output) = if transposed {
        (first, second)
    } else {
        (second, first)
    };
    attributes.insert("in_channels".into(), input.into());
    attributes.insert("out_channels".into(), output.into());
    attributes.insert("kernel_size".into(), kernel.into());
}
