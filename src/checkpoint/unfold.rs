//! The graph of values unfolded into a tree, with the tensors on the way.
//!
//! The simple version is a recursive function: show a value, then each of its parts below it. Departures:
//! 1. the path is a stack of our own, so that a deep file cannot end the program; its height has a limit;
//! 2. a value that lies inside itself is shown once, and as a reference the second time;
//! 3. a value that is shared is shown wherever it is, as `state_dict()` would list it: a file can multiply its values
//!    so. What the tree takes is paid for before it is taken, from a budget that grows with the size of the pickle.

use crate::bytes::Limits;
use crate::checkpoint::Module;
use crate::checkpoint::Node;
use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::Tree;
use crate::checkpoint::module;
use crate::checkpoint::names;
use crate::checkpoint::objects;
use crate::checkpoint::python;
use crate::checkpoint::python::Python;
use crate::checkpoint::rebuild::Found;
use crate::checkpoint::rebuild::Rebuilder;
use crate::checkpoint::rebuild::Rebuilt;
use crate::checkpoint::salvage::Loss;
use crate::checkpoint::unpickled::Meaning;
use crate::error::{Error, Result};
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::layout::list;

/// Tensors outside a module's state that a note names.
const NAMED: usize = 3;
/// What the tree shows in place of a tensor that is lost.
const LOST: &str = "<lost>";

/// Everything that a pickle holds.
pub(super) struct Unfolded {
    pub(super) tree: Tree,
    pub(super) tensors: Vec<TensorEntry>,
    pub(super) modules: Vec<Module>,
    pub(super) notes: Vec<String>,
    /// Tensors of a damaged file that cannot be rebuilt.
    pub(super) losses: Vec<Loss>,
}

/// The parts of a value that are still to come, in order.
enum Items<'g> {
    /// By their positions.
    Indexed(std::iter::Enumerate<std::slice::Iter<'g, ValueId>>),
    /// By their keys.
    Pairs(std::slice::Iter<'g, (ValueId, ValueId)>),
    Named(std::vec::IntoIter<(String, ValueId)>),
}

struct Group<'g> {
    items: Items<'g>,
    /// Whether tensors in it are listed: not where they are attributes of a module.
    listed: bool,
}

/// A value on the path from the root.
struct Frame<'g> {
    id: ValueId,
    node: NodeId,
    path_len: usize,
    listed: bool,
    groups: std::vec::IntoIter<Group<'g>>,
    current: Option<Group<'g>>,
}

/// What a value shows, and its parts.
struct Unfolding<'g> {
    value: NodeValue,
    /// Parts that are no values of the pickle.
    said: serde_json::Map<String, serde_json::Value>,
    groups: Vec<Group<'g>>,
}

struct Unfolder<'r, 'g, 'z> {
    rebuilder: &'r mut Rebuilder<'g, 'z>,
    python: Python<'g>,
    limits: &'r Limits,
    meaning: &'r Meaning<'r>,
    tree: Tree,
    tensors: Vec<TensorEntry>,
    modules: Vec<Module>,
    /// The name of the value at hand.
    path: String,
    /// The node of each value that is on the path, plus one.
    on_path: Vec<u32>,
    unlisted: Vec<String>,
    unlisted_count: usize,
    losses: Vec<Loss>,
}

/// Unfolds the whole graph from its root.
pub(super) fn unfold<'g>(
    rebuilder: &mut Rebuilder<'g, '_>,
    limits: &Limits,
    meaning: &Meaning<'_>,
) -> Result<Unfolded> {
    let python = rebuilder.python;
    let mut unfolder = Unfolder {
        python,
        limits,
        meaning,
        tree: Tree::default(),
        tensors: Vec::new(),
        modules: Vec::new(),
        path: String::new(),
        on_path: vec![0; python.0.values.len()],
        unlisted: Vec::new(),
        unlisted_count: 0,
        losses: Vec::new(),
        rebuilder,
    };
    unfolder.walk()?;
    let mut notes = Vec::new();
    if unfolder.unlisted_count > 0 {
        notes.push(format!(
            "{} tensors are attributes of modules or tensors, or temporary buffers: no part of state_dict(), and not listed: {}{}",
            unfolder.unlisted_count,
            unfolder.unlisted.join(", "),
            if unfolder.unlisted_count > NAMED { ", ..." } else { "" }
        ));
    }
    Ok(Unfolded {
        tree: unfolder.tree,
        tensors: unfolder.tensors,
        modules: unfolder.modules,
        notes,
        losses: unfolder.losses,
    })
}

impl<'g> Unfolder<'_, 'g, '_> {
    fn walk(&mut self) -> Result<()> {
        let mut path: Vec<Frame<'g>> = Vec::new();
        let root = self.python.0.root;
        path.extend(self.enter(None, String::new(), root, self.meaning.listed)?);
        while let Some(frame) = path.last_mut() {
            let Some((key, id, listed)) = frame.next(self.python) else {
                self.on_path[frame.id.0 as usize] = 0;
                path.pop();
                continue;
            };
            let (node, path_len) = (frame.node, frame.path_len);
            self.path.truncate(path_len);
            if path.len() > 1 {
                self.path.push('.');
            }
            self.path.push_str(&key);
            if path.len() > self.limits.tree_depth {
                return Err(Error::limit(format!(
                    "the values lie more than {} levels deep (tree_depth)",
                    self.limits.tree_depth
                ))
                .at_offset(self.python.0.offset(id)));
            }
            path.extend(self.enter(Some(node), key, id, listed)?);
        }
        Ok(())
    }

    /// Adds the node of a value; a frame if it has parts.
    fn enter(
        &mut self,
        parent: Option<NodeId>,
        key: String,
        id: ValueId,
        listed: bool,
    ) -> Result<Option<Frame<'g>>> {
        if self.tree.nodes.len() >= self.limits.tree_nodes {
            return Err(Error::limit(format!(
                "the file unfolds to more than {} values (tree_nodes)",
                self.limits.tree_nodes
            )));
        }
        // the key stands in the node and, while it is on it, in the path
        self.rebuilder
            .budget
            .spend(size_of::<Node>() + size_of::<NodeId>() + 2 * key.len())?;
        let seen = self.on_path[id.0 as usize];
        if seen != 0 {
            let value = NodeValue::Reference(NodeId(seen as usize - 1));
            self.tree.push(parent, key, value);
            return Ok(None);
        }
        let unfolding = self.unfold(id, listed)?;
        let node = self.tree.push(parent, key, unfolding.value);
        for (key, value) in &unfolding.said {
            self.tree.push_json(node, key, value);
        }
        if unfolding.groups.is_empty() {
            return Ok(None);
        }
        self.on_path[id.0 as usize] = u32::try_from(node.0 + 1).unwrap_or(u32::MAX);
        Ok(Some(Frame {
            id,
            node,
            path_len: self.path.len(),
            listed,
            groups: unfolding.groups.into_iter(),
            current: None,
        }))
    }

    fn unfold(&mut self, id: ValueId, listed: bool) -> Result<Unfolding<'g>> {
        let python = self.python;
        let id = python.untagged(id);
        let value = match python.get(id) {
            Value::None => NodeValue::None,
            Value::Bool(b) => NodeValue::Bool(*b),
            Value::Int(n) => NodeValue::Int(n.to_string()),
            Value::BigInt(bytes) => {
                let text = python::decimal(bytes);
                self.rebuilder.budget.spend(text.len())?;
                NodeValue::Int(text)
            }
            Value::Float(x) => NodeValue::Float(*x),
            Value::Str(text) => {
                self.rebuilder.budget.spend(text.len())?;
                NodeValue::Str(text.to_string())
            }
            Value::Bytes(bytes) => NodeValue::Bytes(bytes.len()),
            Value::Global { .. } => NodeValue::Global(python.global_name(id).unwrap_or_default()),
            Value::Extension(code) => NodeValue::Global(format!("extension {code}")),
            Value::List(items) => return Ok(branch(NodeValue::List, Items::of(items))),
            Value::Tuple(items) => {
                return Ok(branch(NodeValue::Tuple { class: None }, Items::of(items)));
            }
            Value::Set(items) | Value::FrozenSet(items) => {
                return Ok(branch(NodeValue::Set, Items::of(items)));
            }
            Value::Dict(entries) => {
                return Ok(branch(
                    NodeValue::Dict { class: None },
                    Items::Pairs(entries.iter()),
                ));
            }
            Value::Persistent(_) => return self.persistent(id, listed),
            Value::Object(object) => return self.object(id, object, listed),
        };
        Ok(leaf(value))
    }

    fn found(&mut self, id: ValueId) -> Result<Found> {
        let losses = self.meaning.lenient.then_some(&mut self.losses);
        let found = self.rebuilder.found(id, &self.path, losses);
        found.map_err(|e| self.about(e))
    }

    /// What lies outside the pickle: a storage; in legacy files a class; in those of before 0.1.10 a tensor too.
    fn persistent(&mut self, id: ValueId, listed: bool) -> Result<Unfolding<'g>> {
        if let Some(class) = self.python.class_named_by(id) {
            let name = self.python.global_name(class).unwrap_or_default();
            return Ok(leaf(NodeValue::Global(name)));
        }
        match self.found(id)? {
            Found::Tensor(rebuilt) => self.tensor(*rebuilt, listed),
            Found::Lost => Ok(leaf(NodeValue::Repr(LOST.into()))),
            Found::Other => Ok(leaf(self.storage(id)?)),
        }
    }

    /// A storage that is no tensor's, or that a tensor shares.
    fn storage(&mut self, id: ValueId) -> Result<NodeValue> {
        let storage = self.rebuilder.storages.named_by(self.python, id);
        if self.meaning.lenient && storage.is_err() {
            return Ok(NodeValue::Repr(LOST.into()));
        }
        let Some(storage) = storage.map_err(|e| self.about(e))? else {
            return Ok(NodeValue::None); // not reached: the value is a persistent id
        };
        let storage = self.rebuilder.storages.get(storage);
        Ok(NodeValue::Storage {
            dtype: storage.dtype,
            numel: storage.dtype.elements_in(storage.nbytes),
        })
    }

    fn object(&mut self, id: ValueId, object: &'g Object, listed: bool) -> Result<Unfolding<'g>> {
        let python = self.python;
        match self.found(id)? {
            Found::Tensor(rebuilt) => return self.tensor(*rebuilt, listed),
            Found::Lost => return Ok(leaf(NodeValue::Repr(LOST.into()))),
            Found::Other => {}
        }
        if let Some(value) = objects::leaf(python, id, object) {
            return Ok(leaf(value));
        }
        if self.rebuilder.storages.is_inside(python, object) {
            return Ok(leaf(self.storage(id)?));
        }
        if let Some(parts) =
            module::parts(python, object, self.meaning.classes, self.meaning.lenient)
        {
            return self.module(object, parts, listed);
        }
        let class = python.class(object);
        self.rebuilder.budget.spend(class.len())?;
        let args = python.args(object);
        let mut groups = Vec::new();
        let value = match (python.callable(object), args) {
            (Some(("builtins", "set" | "frozenset")), [items])
                if python.items(*items).is_some() =>
            {
                groups.extend(Group::of(Items::of(python.items(*items).unwrap_or(&[]))));
                NodeValue::Set
            }
            (Some(("collections", "OrderedDict" | "Counter")), [entries]) => {
                groups.extend(Group::of(entries_of(python, *entries)));
                NodeValue::Dict { class: Some(class) }
            }
            // the argument is what makes a missing value
            (Some(("collections", "OrderedDict" | "Counter" | "defaultdict")), _) => {
                NodeValue::Dict { class: Some(class) }
            }
            (Some(("collections", "deque")), [_, _]) => NodeValue::Object { class }, // () and its longest length
            _ => {
                self.arguments(object, args, &mut groups);
                if object.items.is_empty() && !object.entries.is_empty() {
                    NodeValue::Dict { class: Some(class) }
                } else {
                    NodeValue::Object { class }
                }
            }
        };
        groups.extend(Group::of(Items::of(&object.items)));
        groups.extend(Group::of(Items::Pairs(object.entries.iter())));
        groups.extend(state_groups(python, &object.state));
        Ok(Unfolding::of(value, groups))
    }

    /// The arguments of a call that nobody makes: by position, unless items or entries have those names.
    fn arguments(&self, object: &'g Object, args: &'g [ValueId], groups: &mut Vec<Group<'g>>) {
        let python = self.python;
        let args = match python.callable(object) {
            // copyreg's first argument is the class, which is shown; a base and its value may follow
            Some(("copyreg", "_reconstructor")) => match args {
                [_, _, value] if *python.get(*value) != Value::None => &args[2..],
                _ => &[],
            },
            Some(("copyreg", "__newobj__" | "__newobj_ex__")) => args.get(1..).unwrap_or(&[]),
            _ => args,
        };
        if object.items.is_empty() && object.entries.is_empty() {
            groups.extend(Group::of(Items::of(args)));
        } else if !args.is_empty() {
            groups.push(Group::named(vec![("args".into(), object.args)]));
        }
        let tuple = matches!(python.get(object.args), Value::Tuple(_) | Value::List(_));
        if !tuple {
            groups.push(Group::named(vec![("args".into(), object.args)]));
        }
        if let Some(kwargs) = object.kwargs {
            groups.push(Group::named(vec![("kwargs".into(), kwargs)]));
        }
        if python.global(object.callable).is_none() {
            // a call of what another call would have made
            groups.push(Group::named(vec![("callable".into(), object.callable)]));
        }
    }

    fn tensor(&mut self, rebuilt: Rebuilt, listed: bool) -> Result<Unfolding<'g>> {
        let mut entry = rebuilt.entry;
        // a wrapper has no elements but those of its attributes; of all others the attributes lie beside the state
        let wrapper = entry.storage.is_none() && entry.parts.is_empty();
        let groups = state_groups(self.python, &rebuilt.state).map(|group| Group {
            listed: wrapper,
            ..group
        });
        let groups = groups.collect();
        if listed {
            self.rebuilder
                .budget
                .spend(size_of::<TensorEntry>() + self.path.len())?;
            entry.name.clone_from(&self.path);
            self.tensors.push(entry);
            let value = NodeValue::Tensor(self.tensors.len() - 1);
            return Ok(Unfolding::of(value, groups));
        }
        self.unlisted_count += 1;
        if self.unlisted.len() < NAMED {
            self.unlisted.push(self.path.chars().take(100).collect());
        }
        let shape = list(entry.layout.shape());
        let text = format!("torch.Tensor({}, {shape})", entry.dtype);
        self.rebuilder.budget.spend(text.len())?;
        Ok(Unfolding::of(NodeValue::Repr(text), groups))
    }

    fn module(
        &mut self,
        object: &'g Object,
        parts: module::ModuleParts,
        listed: bool,
    ) -> Result<Unfolding<'g>> {
        let class = self.python.class(object);
        let mut attributes = parts.json(self.python, &mut self.rebuilder.budget)?;
        for (name, value) in &parts.constants {
            self.rebuilder.budget.spend(4 * size_of::<Node>())?;
            attributes.insert(name.clone(), value.clone());
        }
        if listed {
            let cost = size_of::<Module>() + self.path.len() + class.len();
            self.rebuilder.budget.spend(cost)?;
            self.modules.push(Module {
                path: self.path.clone(),
                class: class.clone(),
                attributes,
            });
        }
        let groups = [
            (parts.attributes, false),
            (parts.other, false),
            (parts.state, true),
            (parts.modules, true),
        ];
        let groups = groups.into_iter().filter(|(items, _)| !items.is_empty());
        let groups = groups.map(|(items, listed)| Group {
            items: Items::Named(items.into_iter()),
            listed,
        });
        Ok(Unfolding {
            value: NodeValue::Module { class },
            said: parts.constants,
            groups: groups.collect(),
        })
    }

    /// Names the tensor or storage that an error is about.
    fn about(&self, error: Error) -> Error {
        let name = names::shorten(&self.path);
        let mut named = Error::new(error.kind(), format!("{name:?}: {}", error.message()));
        if let Some(offset) = error.location().offset {
            named = named.at_offset(offset);
        }
        match error.hint() {
            Some(hint) => named.with_hint(hint),
            None => named,
        }
    }
}

impl<'g> Frame<'g> {
    /// The next part: its key, the value, whether tensors in it are listed.
    fn next(&mut self, python: Python<'g>) -> Option<(String, ValueId, bool)> {
        loop {
            if let Some(group) = &mut self.current
                && let Some((key, id)) = group.items.next(python)
            {
                return Some((key, id, self.listed && group.listed));
            }
            self.current = Some(self.groups.next()?);
        }
    }
}

impl<'g> Items<'g> {
    fn of(items: &'g [ValueId]) -> Self {
        Items::Indexed(items.iter().enumerate())
    }

    fn next(&mut self, python: Python<'g>) -> Option<(String, ValueId)> {
        match self {
            Items::Indexed(items) => items.next().map(|(number, id)| (number.to_string(), *id)),
            Items::Pairs(pairs) => pairs.next().map(|(key, id)| (python.key(*key), *id)),
            Items::Named(named) => named.next(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Items::Indexed(items) => items.len() == 0,
            Items::Pairs(pairs) => pairs.len() == 0,
            Items::Named(named) => named.len() == 0,
        }
    }
}

impl<'g> Group<'g> {
    fn of(items: Items<'g>) -> Option<Self> {
        (!items.is_empty()).then_some(Self {
            items,
            listed: true,
        })
    }

    fn named(items: Vec<(String, ValueId)>) -> Self {
        Self {
            items: Items::Named(items.into_iter()),
            listed: true,
        }
    }
}

impl<'g> Unfolding<'g> {
    fn of(value: NodeValue, groups: Vec<Group<'g>>) -> Self {
        Self {
            value,
            said: serde_json::Map::new(),
            groups,
        }
    }
}

fn leaf<'g>(value: NodeValue) -> Unfolding<'g> {
    Unfolding::of(value, Vec::new())
}

fn branch<'g>(value: NodeValue, items: Items<'g>) -> Unfolding<'g> {
    Unfolding::of(value, Group::of(items).into_iter().collect())
}

/// The entries that a dict is made of: another dict, or (Python 2) a list of pairs.
fn entries_of(python: Python<'_>, id: ValueId) -> Items<'_> {
    if let Value::Dict(entries) = python.get(id) {
        return Items::Pairs(entries.iter());
    }
    let pairs = python.items(id).unwrap_or(&[]).iter();
    let pairs = pairs.map(|&pair| match python.items(pair) {
        Some([key, value]) => (python.key(*key), *value),
        _ => ("?".into(), pair), // no dict could be made of it
    });
    Items::Named(pairs.collect::<Vec<_>>().into_iter())
}

/// What BUILD would have set: attributes by their names, from a dict, or a pair of dicts (the second of slots).
fn state_groups<'g>(
    python: Python<'g>,
    states: &[ValueId],
) -> impl Iterator<Item = Group<'g>> + use<'g> {
    let mut groups = Vec::new();
    for &state in states {
        let dict = |id: ValueId| match python.get(id) {
            Value::None => Some(&[][..]),
            Value::Dict(entries) => Some(&entries[..]),
            _ => None,
        };
        let pair = match python.get(state) {
            Value::Tuple(pair) if pair.len() == 2 => dict(pair[0]).zip(dict(pair[1])),
            _ => None,
        };
        if let Some(entries) = dict(state) {
            groups.extend(Group::of(Items::Pairs(entries.iter())));
        } else if let Some((attributes, slots)) = pair {
            groups.extend(Group::of(Items::Pairs(attributes.iter())));
            groups.extend(Group::of(Items::Pairs(slots.iter())));
        } else {
            groups.push(Group::named(vec![("state".into(), state)]));
        }
    }
    groups.into_iter()
}
