//! What a file holds beside tensors and modules: numbers, texts, containers, objects, by the name on the way to them.

use serde::Serialize;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::Node;
use crate::checkpoint::NodeValue;
use crate::checkpoint::Tree;

/// Entries that are kept.
const KEPT: usize = 20_000;
/// Items of a numbered list that are kept.
const ITEMS: usize = 64;
/// Characters of a text that are kept.
const TEXT: usize = 200;
/// Characters of a list of plain values that is one entry.
const INLINE: usize = 120;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Content {
    /// Keys on the way, joined by `.`.
    pub name: String,
    /// What is there, as Python would print it.
    pub text: String,
}

/// The entries in the file's order, and how many were left out. Modules are told of elsewhere; their plain attributes
/// are part of them.
pub(super) fn of(checkpoint: &Checkpoint) -> (Vec<Content>, usize) {
    let tree = checkpoint.tree();
    let mut found = Vec::new();
    let mut left_out = 0;
    let mut waiting = Vec::new();
    if let Some(root) = tree.nodes.first() {
        waiting.push((root, String::new(), 0));
    }
    while let Some((node, name, depth)) = waiting.pop() {
        let list = inline(tree, node);
        let is_module = matches!(node.value, NodeValue::Module { .. });
        if !is_module && !matches!(node.value, NodeValue::Tensor(_)) {
            if found.len() < KEPT {
                let text = list.clone().unwrap_or_else(|| label(node));
                found.push(Content {
                    name: name.clone(),
                    text,
                });
            } else {
                left_out += 1;
            }
        }
        if list.is_some() {
            continue;
        }
        let numbered = matches!(
            node.value,
            NodeValue::List | NodeValue::Tuple { .. } | NodeValue::Set
        );
        let most = if numbered { ITEMS } else { usize::MAX };
        left_out += node.children.len().saturating_sub(most);
        // the last is taken first
        for child in node.children.iter().take(most).rev() {
            let child = &tree.nodes[child.0];
            let is_attribute =
                is_module && (scalar(child).is_some() || inline(tree, child).is_some());
            if !is_attribute {
                let inner = if depth == 0 {
                    child.key.clone()
                } else {
                    format!("{name}.{}", child.key)
                };
                waiting.push((child, inner, depth + 1));
            }
        }
    }
    // what is told in a place of its own
    let is_metadata = |name: &str| {
        let key = name.split('.').next().unwrap_or(name);
        checkpoint.format() == Format::Safetensors && key == "__metadata__"
    };
    found.retain(|content| !is_metadata(&content.name));
    (found, left_out)
}

fn label(node: &Node) -> String {
    let count = node.children.len();
    let entries = |what: &str, word: &str| format!("{what}, {count} {word}");
    let of = |class: &Option<String>, plain: &str| {
        let class = class.as_deref().unwrap_or(plain);
        class.rsplit('.').next().unwrap_or(class).to_owned()
    };
    match &node.value {
        NodeValue::Dict { class } => entries(&of(class, "dict"), "entries"),
        NodeValue::List => entries("list", "items"),
        NodeValue::Tuple { class } => entries(&of(class, "tuple"), "items"),
        NodeValue::Set => entries("set", "items"),
        NodeValue::Storage { dtype, numel } => format!("storage of {numel} {dtype}"),
        NodeValue::Array { dtype, shape } => format!("numpy array {dtype} {shape:?}"),
        NodeValue::Global(name) => format!("name {}", cut(name)),
        NodeValue::Object { class } => format!("object {}", cut(class)),
        NodeValue::Reference(_) => "a value that is shown above".to_owned(),
        _ => scalar(node).unwrap_or_default(),
    }
}

/// A list of plain values that is short enough for one line.
fn inline(tree: &Tree, node: &Node) -> Option<String> {
    let (open, close) = match &node.value {
        NodeValue::List => ("[", "]"),
        NodeValue::Tuple { class: None } => ("(", ")"),
        NodeValue::Set => ("{", "}"),
        _ => return None,
    };
    let mut text = open.to_owned();
    for (number, child) in node.children.iter().enumerate() {
        if number > 0 {
            text.push_str(", ");
        }
        text.push_str(&scalar(&tree.nodes[child.0])?);
        if text.len() > INLINE {
            return None;
        }
    }
    Some(text + close)
}

fn scalar(node: &Node) -> Option<String> {
    Some(match &node.value {
        NodeValue::None => "None".to_owned(),
        NodeValue::Bool(true) => "True".to_owned(),
        NodeValue::Bool(false) => "False".to_owned(),
        NodeValue::Int(text) | NodeValue::Repr(text) => cut(text),
        NodeValue::Float(value) => format!("{value:?}"),
        NodeValue::Str(text) => format!("'{}'", cut(text)),
        NodeValue::Bytes(length) => format!("bytes, {length}"),
        _ => return None,
    })
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
