//! Everything in a file as a tree: what `pthinspect tree` shows.

/// Index of a node in its [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NodeId(pub usize);

/// The nodes; children by id. Bounded by [`crate::bytes::Limits::tree_nodes`].
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// All nodes; the root is node 0 where there is one.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// Adds a node below `parent`.
    pub(crate) fn push(&mut self, parent: Option<NodeId>, key: String, value: NodeValue) -> NodeId {
        let id = NodeId(self.nodes.len());
        self.nodes.push(Node {
            key,
            value,
            children: Vec::new(),
        });
        if let Some(parent) = parent {
            self.nodes[parent.0].children.push(id);
        }
        id
    }

    /// Adds a JSON value below `parent`; lists are tuples, as modules' hyperparameters are.
    pub(crate) fn push_json(&mut self, parent: NodeId, key: &str, value: &serde_json::Value) {
        let mut left = vec![(parent, key.to_owned(), value)];
        while let Some((parent, key, value)) = left.pop() {
            let node = match value {
                serde_json::Value::Null => NodeValue::None,
                serde_json::Value::Bool(b) => NodeValue::Bool(*b),
                serde_json::Value::Number(n) => match n.as_f64() {
                    Some(x) if n.is_f64() => NodeValue::Float(x),
                    _ => NodeValue::Int(n.to_string()),
                },
                serde_json::Value::String(text) => NodeValue::Str(text.clone()),
                serde_json::Value::Array(_) => NodeValue::Tuple { class: None },
                serde_json::Value::Object(_) => NodeValue::Dict { class: None },
            };
            let id = self.push(Some(parent), key, node);
            // the last is taken first
            match value {
                serde_json::Value::Array(items) => {
                    let items = items.iter().enumerate().rev();
                    left.extend(items.map(|(n, item)| (id, n.to_string(), item)));
                }
                serde_json::Value::Object(entries) => {
                    left.extend(entries.iter().rev().map(|(k, v)| (id, k.clone(), v)));
                }
                _ => {}
            }
        }
    }
}

/// One node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Key in its parent as it prints (`conv1`, `0`), empty for the root.
    pub key: String,
    /// What it is.
    pub value: NodeValue,
    /// Its children, in order.
    pub children: Vec<NodeId>,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum NodeValue {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// Any integer, in decimal.
    Int(String),
    /// A float.
    Float(f64),
    /// Text.
    Str(String),
    /// Raw bytes: how many.
    Bytes(usize),
    /// A dict (or OrderedDict, defaultdict: then `class` names it).
    Dict {
        /// Class, where it is not plain `dict`.
        class: Option<String>,
    },
    /// A list.
    List,
    /// A tuple (or namedtuple: then `class` names it).
    Tuple {
        /// Class, where it is not plain `tuple`.
        class: Option<String>,
    },
    /// A set or frozenset.
    Set,
    /// Index into [`super::Checkpoint::tensors`].
    Tensor(usize),
    /// A storage saved outside a tensor: element type and count.
    Storage {
        /// Element type.
        dtype: crate::tensor::DType,
        /// Elements.
        numel: usize,
    },
    /// A numpy array.
    Array {
        /// numpy's own name of the dtype.
        dtype: String,
        /// Shape.
        shape: Vec<usize>,
    },
    /// A small object as Python's `repr` shows it: `torch.device('cuda', 1)`.
    Repr(String),
    /// A class or function, by name.
    Global(String),
    /// An `nn.Module`, by class; children are hyperparameters, parameters and submodules.
    Module {
        /// Class.
        class: String,
    },
    /// Any other object: a named placeholder; children are its arguments and state.
    Object {
        /// Class or function that would have made it.
        class: String,
    },
    /// The same value as an earlier node (cycle), which is not shown again.
    Reference(NodeId),
}
