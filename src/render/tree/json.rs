//! The tree as one JSON document, written node by node: a list of a million numbers needs no memory but its own.

use std::io::{Result, Write};

use serde_json::{Map, Value, json};

use super::super::json;
use super::int;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;

/// Nodes that are made into a document at once; no branch of more fits on one line.
const AT_ONCE: usize = 64;

/// Writes the document, and a final newline.
pub fn json(out: &mut dyn Write, checkpoint: &Checkpoint) -> Result<()> {
    let mut fields = Map::new();
    fields.insert(
        "file".to_owned(),
        json!(checkpoint.path().to_string_lossy()),
    );
    fields.insert("format".to_owned(), json!(checkpoint.format().name()));
    fields.insert("metadata".to_owned(), json!(checkpoint.metadata()));
    let root = NodeId(0);
    if checkpoint.tree().nodes.is_empty() {
        fields.insert("tree".to_owned(), Value::Null);
    } else if is_small(checkpoint, root, &mut { AT_ONCE }) {
        fields.insert("tree".to_owned(), json_node(checkpoint, root));
    } else {
        json::object(out, &fields, 0, "tree", &mut |out, indent| {
            branch(out, checkpoint, root, indent)
        })?;
        return out.write_all(b"\n");
    }
    json::write(out, &Value::Object(fields))
}

/// Recursion is as deep as the tree, which `Limits::tree_depth` bounds.
fn branch(out: &mut dyn Write, checkpoint: &Checkpoint, id: NodeId, indent: usize) -> Result<()> {
    let mut left = AT_ONCE;
    if is_small(checkpoint, id, &mut left) {
        return json::value(out, &json_node(checkpoint, id), indent);
    }
    let children = &checkpoint.tree().nodes[id.0].children;
    let fields = fields(checkpoint, id);
    json::object(out, &fields, indent, "children", &mut |out, indent| {
        json::array(out, children, indent, &mut |out, &child, indent| {
            branch(out, checkpoint, child, indent)
        })
    })
}

/// Whether the branch has no more than `left` nodes, which are counted down.
fn is_small(checkpoint: &Checkpoint, id: NodeId, left: &mut usize) -> bool {
    let Some(less) = left.checked_sub(1) else {
        return false;
    };
    *left = less;
    let children = &checkpoint.tree().nodes[id.0].children;
    children
        .iter()
        .all(|&child| is_small(checkpoint, child, left))
}

/// The node without its children.
fn fields(checkpoint: &Checkpoint, id: NodeId) -> Map<String, Value> {
    let node = &checkpoint.tree().nodes[id.0];
    let mut object = match json_value(checkpoint, &node.value) {
        Value::Object(object) => object,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    if !node.key.is_empty() {
        object.shift_insert(0, "key".to_owned(), Value::String(node.key.clone()));
    }
    object
}

/// A small branch.
fn json_node(checkpoint: &Checkpoint, id: NodeId) -> Value {
    let mut object = fields(checkpoint, id);
    let children = &checkpoint.tree().nodes[id.0].children;
    if !children.is_empty() {
        let children = children.iter();
        let children = children
            .map(|&child| json_node(checkpoint, child))
            .collect();
        object.insert("children".to_owned(), Value::Array(children));
    }
    Value::Object(object)
}

fn json_value(checkpoint: &Checkpoint, value: &NodeValue) -> Value {
    match value {
        NodeValue::None => json!({"type": "none"}),
        NodeValue::Bool(value) => json!({"type": "bool", "value": value}),
        NodeValue::Int(text) => json!({"type": "int", "value": int(text)}),
        NodeValue::Float(value) if value.is_finite() => json!({"type": "float", "value": value}),
        NodeValue::Float(value) => json!({"type": "float", "value": value.to_string()}),
        NodeValue::Str(text) => json!({"type": "str", "value": text}),
        NodeValue::Repr(text) => json!({"type": "repr", "value": text}),
        NodeValue::Bytes(length) => json!({"type": "bytes", "length": length}),
        NodeValue::Dict { class } => json!({"type": "dict", "class": class}),
        NodeValue::List => json!({"type": "list"}),
        NodeValue::Tuple { class } => json!({"type": "tuple", "class": class}),
        NodeValue::Set => json!({"type": "set"}),
        NodeValue::Tensor(number) => match checkpoint.tensors().get(*number) {
            Some(tensor) => json!({
                "type": "tensor",
                "name": tensor.name,
                "dtype": tensor.dtype.name(),
                "shape": tensor.layout.shape(),
            }),
            None => json!({"type": "tensor"}),
        },
        NodeValue::Storage { dtype, numel } => {
            json!({"type": "storage", "dtype": dtype.name(), "numel": numel})
        }
        NodeValue::Array { dtype, shape } => {
            json!({"type": "array", "dtype": dtype, "shape": shape})
        }
        NodeValue::Global(name) => json!({"type": "global", "name": name}),
        NodeValue::Module { class } => json!({"type": "module", "class": class}),
        NodeValue::Object { class } => json!({"type": "object", "class": class}),
        NodeValue::Reference(NodeId(target)) => json!({"type": "reference", "node": target}),
    }
}
