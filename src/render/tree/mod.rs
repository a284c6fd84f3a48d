//! `tree`: everything in a file, drawn with lines; long things shortened.

mod json;

use std::io::{Result, Write};

use serde_json::{Map, Value};

use super::escape;
use super::module;
use super::number;
use super::paint::Paint;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::Tree;

pub use json::json;

/// How much to show.
#[derive(Clone, Copy, Debug)]
pub struct TreeOptions {
    /// Levels below the root; `None`: all.
    pub depth: Option<usize>,
    /// Nothing elided.
    pub all: bool,
}

/// Characters of a key that are shown.
const KEY: usize = 120;
/// Characters of a string that are shown.
const STRING: usize = 60;
/// Characters of a list of plain values that stays on its line.
const INLINE: usize = 60;
/// Items of a numbered container that are shown, if it has more than [`ITEMS_MAX`].
const ITEMS: usize = 4;
const ITEMS_MAX: usize = 8;

struct Walk<'a> {
    tree: &'a Tree,
    tensors: &'a [TensorEntry],
    parents: Vec<Option<NodeId>>,
    options: TreeOptions,
    paint: Paint,
}

/// Writes the tree.
pub fn text(
    out: &mut dyn Write,
    checkpoint: &Checkpoint,
    options: TreeOptions,
    paint: Paint,
) -> Result<()> {
    let name = checkpoint.path().to_string_lossy();
    let format = checkpoint.format().name();
    writeln!(
        out,
        "{}  {}",
        paint.title(escape::text(&name)),
        paint.dim(format)
    )?;
    let metadata = checkpoint.metadata();
    for (key, value) in metadata {
        let value = escape::shorten(value, STRING);
        writeln!(
            out,
            "{} {} = \"{}\"",
            paint.dim("metadata"),
            escape::text(key),
            escape::text(&value)
        )?;
    }
    let tree = checkpoint.tree();
    if tree.nodes.is_empty() {
        return Ok(());
    }
    let walk = Walk {
        tree,
        tensors: checkpoint.tensors(),
        parents: parents(tree),
        options,
        paint,
    };
    let root = NodeId(0);
    writeln!(out, "{}", walk.label(root))?;
    walk.children(out, root, &mut String::new(), 1)
}

fn parents(tree: &Tree) -> Vec<Option<NodeId>> {
    let mut parents = vec![None; tree.nodes.len()];
    for (number, node) in tree.nodes.iter().enumerate() {
        for &NodeId(child) in &node.children {
            if let Some(parent) = parents.get_mut(child) {
                *parent = Some(NodeId(number));
            }
        }
    }
    parents
}

impl Walk<'_> {
    /// Recursion is as deep as the tree, which `Limits::tree_depth` bounds.
    fn children(
        &self,
        out: &mut dyn Write,
        id: NodeId,
        guide: &mut String,
        depth: usize,
    ) -> Result<()> {
        if self.options.depth.is_some_and(|limit| depth > limit) || self.is_inline(id) {
            return Ok(());
        }
        let shown = self.shown(id);
        let total = shown.len();
        let kept = if self.elides(id) { ITEMS } else { total };
        for (i, &child) in shown.iter().take(kept).enumerate() {
            let last = i + 1 == total;
            let (branch, below) = if last {
                ("└── ", "    ")
            } else {
                ("├── ", "│   ")
            };
            let key = match self.tree.nodes[child.0].key.as_str() {
                "" => "\"\"".to_owned(),
                key => escape::text(&escape::shorten(key, KEY)).into_owned(),
            };
            let branch = self.paint.dim(format!("{guide}{branch}"));
            writeln!(
                out,
                "{branch}{}: {}",
                self.paint.name(key),
                self.label(child)
            )?;
            let length = guide.len();
            guide.push_str(below);
            self.children(out, child, guide, depth + 1)?;
            guide.truncate(length);
        }
        if kept < total {
            let more = format!(
                "{guide}└── … {} more (--all shows them)",
                number::grouped((total - kept) as u64)
            );
            writeln!(out, "{}", self.paint.dim(more))?;
        }
        Ok(())
    }

    /// The children that get lines of their own: a module's plain attributes are in its label.
    fn shown(&self, id: NodeId) -> Vec<NodeId> {
        let node = &self.tree.nodes[id.0];
        let hides = matches!(node.value, NodeValue::Module { .. }) && !self.options.all;
        let keep = |child: &&NodeId| !hides || self.plain(**child, 1).is_none();
        node.children.iter().filter(keep).copied().collect()
    }

    /// Long numbered containers: what comes after the first items is like them.
    fn elides(&self, id: NodeId) -> bool {
        let node = &self.tree.nodes[id.0];
        let numbered = || {
            node.children.iter().all(|child| {
                let key = &self.tree.nodes[child.0].key;
                !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let container = !matches!(node.value, NodeValue::Module { .. });
        !self.options.all && container && node.children.len() > ITEMS_MAX && numbered()
    }

    /// Lists of plain values stay on their line, elided where they are long.
    fn is_inline(&self, id: NodeId) -> bool {
        self.inline_list(id).is_some()
    }

    fn inline_list(&self, id: NodeId) -> Option<String> {
        let node = &self.tree.nodes[id.0];
        let (open, close) = match &node.value {
            NodeValue::List => ("[", "]"),
            NodeValue::Tuple { class: None } => ("(", ")"),
            NodeValue::Set => ("{", "}"),
            _ => return None,
        };
        let mut text = open.to_owned();
        for (i, child) in node.children.iter().enumerate() {
            let item = scalar(&self.tree.nodes[child.0].value)?;
            if !self.options.all && text.chars().count() + item.chars().count() > INLINE {
                let rest = node.children[i..].iter();
                // the whole list must be plain for a line of its own to say enough
                if !rest
                    .clone()
                    .all(|rest| scalar(&self.tree.nodes[rest.0].value).is_some())
                {
                    return None;
                }
                let more = number::grouped(rest.count() as u64);
                return Some(format!("{text}, … {more} more{close}"));
            }
            if i > 0 {
                text.push_str(", ");
            }
            text.push_str(&item);
        }
        if node.children.len() == 1 && open == "(" {
            text.push(',');
        }
        Some(text + close)
    }

    fn label(&self, id: NodeId) -> String {
        let node = &self.tree.nodes[id.0];
        let count = node.children.len() as u64;
        let entries = || match count {
            1 => "1 entry".to_owned(),
            n => format!("{} entries", number::grouped(n)),
        };
        if let Some(list) = self.inline_list(id) {
            return list;
        }
        match &node.value {
            NodeValue::Dict { class } => {
                let class = class.as_deref().map_or("dict", module::short_class);
                format!("{}, {}", escape::text(class), entries())
            }
            NodeValue::List => format!("list, {}", number::count(count, "item")),
            NodeValue::Tuple { class } => {
                let class = class.as_deref().unwrap_or("tuple");
                format!("{}, {}", escape::text(class), number::count(count, "item"))
            }
            NodeValue::Set => format!("set, {}", number::count(count, "item")),
            NodeValue::Tensor(tensor) => match self.tensors.get(*tensor) {
                Some(tensor) => self.tensor(tensor),
                None => "tensor".to_owned(),
            },
            NodeValue::Storage { dtype, numel } => {
                format!(
                    "storage of {} {}",
                    number::grouped(*numel as u64),
                    dtype.name()
                )
            }
            NodeValue::Array { dtype, shape } => {
                format!("numpy array {} {shape:?}", escape::text(dtype))
            }
            NodeValue::Global(name) => format!("{} {}", self.paint.dim("name"), escape::text(name)),
            NodeValue::Module { class } => self.module(id, class),
            NodeValue::Object { class } => {
                format!("{} {}", self.paint.warn("object"), escape::text(class))
            }
            NodeValue::Reference(target) => format!("(the same as {})", self.path(*target)),
            plain => scalar(plain).unwrap_or_default(),
        }
    }

    fn tensor(&self, tensor: &TensorEntry) -> String {
        let bytes =
            crate::explain::memory::bytes_of(tensor.layout.numel() as u64, tensor.dtype.bits());
        let shape = match tensor.layout.shape() {
            many if many.len() > 64 => format!("[{} axes]", many.len()),
            shape => format!("{shape:?}"),
        };
        format!(
            "{} {}  {}",
            self.paint.key(shape),
            tensor.dtype.name(),
            self.paint.dim(number::bytes(bytes))
        )
    }

    fn module(&self, id: NodeId, class: &str) -> String {
        let node = &self.tree.nodes[id.0];
        let mut attributes = Map::new();
        let mut has_bias = false;
        for &child in &node.children {
            let child_node = &self.tree.nodes[child.0];
            has_bias |=
                child_node.key == "bias" && matches!(child_node.value, NodeValue::Tensor(_));
            if let Some(value) = self.plain(child, 1) {
                attributes.insert(child_node.key.clone(), value);
            }
        }
        self.paint
            .key(module::text(class, &attributes, has_bias))
            .to_string()
    }

    /// A hyperparameter as JSON: a scalar, or a list of scalars.
    fn plain(&self, id: NodeId, levels: usize) -> Option<Value> {
        let node = &self.tree.nodes[id.0];
        match &node.value {
            NodeValue::None => Some(Value::Null),
            NodeValue::Bool(value) => Some(Value::Bool(*value)),
            NodeValue::Int(text) => Some(int(text)),
            NodeValue::Float(value) => Some(serde_json::json!(value)),
            NodeValue::Str(text) => Some(Value::String(text.clone())),
            NodeValue::List | NodeValue::Tuple { class: None } if levels > 0 => node
                .children
                .iter()
                .map(|&child| self.plain(child, levels - 1))
                .collect(),
            _ => None,
        }
    }

    /// The keys on the way to a node.
    fn path(&self, id: NodeId) -> String {
        let mut keys = Vec::new();
        let mut at = Some(id);
        // a tree has no cycles; the bound only guards against a broken one
        while let Some(NodeId(number)) = at.filter(|_| keys.len() < 1000) {
            let Some(node) = self.tree.nodes.get(number) else {
                break;
            };
            if !node.key.is_empty() {
                keys.push(escape::text(&node.key).into_owned());
            }
            at = self.parents.get(number).copied().flatten();
        }
        if keys.is_empty() {
            return "the root".to_owned();
        }
        keys.reverse();
        keys.join(".")
    }
}

fn int(text: &str) -> Value {
    text.parse::<i64>()
        .map_or_else(|_| Value::String(text.to_owned()), Value::from)
}

/// A value that fits on a line, as Python prints it; strings in double quotes, cut where they are long.
fn scalar(value: &NodeValue) -> Option<String> {
    Some(match value {
        NodeValue::None => "None".to_owned(),
        NodeValue::Bool(true) => "True".to_owned(),
        NodeValue::Bool(false) => "False".to_owned(),
        NodeValue::Int(text) => escape::shorten(text, STRING).into_owned(),
        NodeValue::Float(value) => number::python(*value),
        NodeValue::Str(text) => string(text),
        NodeValue::Repr(text) => escape::text(&escape::shorten(text, STRING)).into_owned(),
        NodeValue::Bytes(length) => format!("bytes, {}", number::grouped(*length as u64)),
        _ => return None,
    })
}

fn string(text: &str) -> String {
    let length = text.chars().count();
    let start: String = text.chars().take(STRING).collect();
    let quoted = format!("\"{}\"", escape::text(&start));
    if length > STRING {
        format!("{quoted}… ({} characters)", number::grouped(length as u64))
    } else {
        quoted
    }
}
