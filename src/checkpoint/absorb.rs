//! Several checkpoints as one: what one holds, put into another.

use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::Node;
use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;

/// Where the contents of the other checkpoint go.
pub(super) struct Under<'a> {
    /// The node below which its tree goes.
    pub(super) parent: NodeId,
    /// The key of its root there; `None`: not the root, but what is below it.
    pub(super) key: Option<&'a str>,
    /// What is put before the names of its tensors and modules.
    pub(super) prefix: &'a str,
    /// The file it was read from, where that is not this checkpoint's own, and what its storages' keys begin with.
    pub(super) file: Option<(&'a Arc<Path>, &'a str)>,
}

impl Checkpoint {
    /// Takes over everything that `other` holds: files, storages, tensors, modules, tree and notes.
    pub(super) fn absorb(&mut self, other: Checkpoint, under: &Under<'_>) {
        let storages = self.storages.len();
        // one without a file of its own is another part of this one's
        let files = match other.bytes.files.len() {
            0 => 0,
            _ => self.bytes.files.len(),
        };
        let tensors = self.tensors.len();
        self.bytes.files.extend(other.bytes.files);
        let places = other.bytes.places.into_iter();
        self.bytes
            .places
            .extend(places.map(|place| place.moved(files)));
        for mut storage in other.storages {
            if let Some((file, shown)) = under.file {
                storage.file.get_or_insert_with(|| file.clone());
                storage.key = match &*storage.key {
                    "" => shown.to_owned(),
                    key => format!("{shown}:{key}"),
                };
            }
            if let Some((StorageId(root), _)) = &mut storage.view_of {
                *root += storages;
            }
            self.storages.push(storage);
        }
        for mut tensor in other.tensors {
            move_tensor(&mut tensor, storages);
            tensor.name = join(under.prefix, &tensor.name);
            self.tensors.push(tensor);
        }
        for mut module in other.modules {
            module.path = join(under.prefix, &module.path);
            self.modules.push(module);
        }
        self.graft(other.tree.nodes, under, tensors);
        self.notes.extend(other.notes);
        self.wreckage.absorb(other.wreckage, storages, under.prefix);
    }

    /// Puts a tree below a node of this one's; its tensors are numbered from `tensors` on.
    fn graft(&mut self, nodes: Vec<Node>, under: &Under<'_>, tensors: usize) {
        let first = self.tree.nodes.len();
        // without its root the others move up by one
        let base = if under.key.is_some() {
            first
        } else {
            first.wrapping_sub(1)
        };
        let moved = |id: NodeId| NodeId(base.wrapping_add(id.0));
        let mut below = Vec::new();
        for (number, mut node) in nodes.into_iter().enumerate() {
            for child in &mut node.children {
                *child = moved(*child);
            }
            match &mut node.value {
                NodeValue::Tensor(tensor) => *tensor += tensors,
                NodeValue::Reference(NodeId(0)) if under.key.is_none() => {
                    node.value = NodeValue::Reference(under.parent);
                }
                NodeValue::Reference(id) => *id = moved(*id),
                _ => {}
            }
            match (number, under.key) {
                (0, None) => below = node.children,
                (0, Some(key)) => {
                    below = vec![NodeId(first)];
                    node.key = key.to_owned();
                    self.tree.nodes.push(node);
                }
                _ => self.tree.nodes.push(node),
            }
        }
        if let Some(parent) = self.tree.nodes.get_mut(under.parent.0) {
            parent.children.extend(below);
        }
    }
}

fn move_tensor(tensor: &mut TensorEntry, storages: usize) {
    if let Some(StorageId(id)) = &mut tensor.storage {
        *id += storages;
    }
    // parts have no parts with parts: torch makes none, and the reader bounds them
    for part in &mut tensor.parts {
        move_tensor(part, storages);
    }
}

/// `prefix.name`, where both are there.
pub(super) fn join(prefix: &str, name: &str) -> String {
    match (prefix, name) {
        ("", name) => name.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, name) => format!("{prefix}.{name}"),
    }
}
