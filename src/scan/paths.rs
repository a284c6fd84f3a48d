//! Where in the object a value lies: the keys on the way to it, as tensors are named.
//!
//! One walk from the root, breadth first, gives each value the parent that reaches it first; a path is put together
//! only for what is shown. Arguments and functions of a call lie where its result lies; of a module's attributes
//! `_modules`, `_parameters` and `_buffers` do not show.

use crate::pickle::Graph;
use crate::pickle::Value;
use crate::pickle::ValueId;

/// Keys of a path that are shown.
const KEYS: usize = 64;
/// Characters of a key that are shown.
const KEY_LENGTH: usize = 100;

#[derive(Clone, Copy)]
enum Step {
    /// The same place as the parent.
    Same,
    /// By this key.
    Key(ValueId),
    /// By position.
    Index(u32),
}

/// The parent of each value, and the way from it.
pub(super) struct Paths {
    parents: Vec<Option<(ValueId, Step)>>,
    root: ValueId,
}

impl Paths {
    pub(super) fn of(graph: &Graph) -> Self {
        let mut paths = Self {
            parents: vec![None; graph.values.len()],
            root: graph.root,
        };
        let mut queue = std::collections::VecDeque::from([graph.root]);
        while let Some(id) = queue.pop_front() {
            let mut reach = |child: ValueId, step: Step| {
                let slot = &mut paths.parents[child.0 as usize];
                if slot.is_none() && child != paths.root {
                    *slot = Some((id, step));
                    queue.push_back(child);
                }
            };
            children(graph, id, &mut reach);
        }
        paths
    }

    /// The path, or `None` where the root does not reach the value.
    pub(super) fn path(&self, graph: &Graph, id: ValueId) -> Option<String> {
        let mut keys = Vec::new();
        let mut at = id;
        let mut more = false;
        while at != self.root {
            let (parent, step) = self.parents[at.0 as usize]?;
            match step {
                _ if keys.len() >= KEYS => more = true,
                Step::Same => {}
                Step::Index(index) => keys.push(index.to_string()),
                Step::Key(key) => keys.push(key_text(graph, key)),
            }
            at = parent;
        }
        if more {
            keys.push("…".to_owned());
        }
        keys.reverse();
        Some(keys.join("."))
    }
}

fn children(graph: &Graph, id: ValueId, reach: &mut impl FnMut(ValueId, Step)) {
    let index = |i: usize| Step::Index(u32::try_from(i).unwrap_or(u32::MAX));
    match graph.get(id) {
        Value::List(items) | Value::Tuple(items) | Value::Set(items) | Value::FrozenSet(items) => {
            for (i, &item) in items.iter().enumerate() {
                reach(item, index(i));
            }
        }
        Value::Dict(entries) => pairs(entries, false, graph, reach),
        Value::Persistent(inner) => reach(*inner, Step::Same),
        Value::Object(object) => {
            pairs(&object.entries, false, graph, reach);
            for (i, &item) in object.items.iter().enumerate() {
                reach(item, index(i));
            }
            for &state in &object.state {
                attributes(graph, state, reach);
            }
            reach(object.callable, Step::Same);
            // an OrderedDict's own arguments and a rebuild call's lie where it lies
            if let Value::Tuple(args) | Value::List(args) = graph.get(object.args) {
                for &arg in args {
                    reach(arg, Step::Same);
                }
            }
            reach(object.args, Step::Same);
            if let Some(kwargs) = object.kwargs {
                reach(kwargs, Step::Same);
            }
        }
        _ => {}
    }
}

/// What BUILD sets: a dict of attributes, or a pair of two such dicts.
fn attributes(graph: &Graph, state: ValueId, reach: &mut impl FnMut(ValueId, Step)) {
    match graph.get(state) {
        Value::Dict(entries) => pairs(entries, true, graph, reach),
        Value::Tuple(parts) => {
            for &part in parts {
                match graph.get(part) {
                    Value::Dict(entries) => pairs(entries, true, graph, reach),
                    _ => reach(part, Step::Same),
                }
            }
        }
        _ => {}
    }
    reach(state, Step::Same);
}

fn pairs(
    entries: &[(ValueId, ValueId)],
    attributes: bool,
    graph: &Graph,
    reach: &mut impl FnMut(ValueId, Step),
) {
    const UNSHOWN: [&str; 3] = ["_modules", "_parameters", "_buffers"];
    for &(key, value) in entries {
        let unshown =
            attributes && matches!(graph.get(key), Value::Str(text) if UNSHOWN.contains(&&**text));
        reach(value, if unshown { Step::Same } else { Step::Key(key) });
        reach(key, Step::Same);
    }
}

fn key_text(graph: &Graph, key: ValueId) -> String {
    match graph.get(key) {
        Value::Str(text) => {
            let mut short: String = text.chars().take(KEY_LENGTH).collect();
            if short.len() < text.len() {
                short.push('…');
            }
            short
        }
        Value::Int(n) => n.to_string(),
        Value::Bool(b) => if *b { "True" } else { "False" }.to_owned(),
        Value::None => "None".to_owned(),
        Value::Global { module, name } => format!("{module}.{name}"),
        other => format!("<{}>", other.kind()),
    }
}
