//! The graph of values unfolded into a tree, with the tensors on the way.
//!
//! The simple version is a recursive function: show a value, then each of its parts below it. Departures:
//! 1. the path is a stack of our own, so that a deep file cannot end the program; its height has a limit;
//! 2. a value that lies inside itself is shown once, and as a reference the second time;
//! 3. a value that is shared is shown wherever it is, as `state_dict()` would list it: a file can multiply its values
//!    so. What the tree takes is paid for before it is taken, from a budget that grows with the size of the pickle.

mod parts;

use parts::{Frame, Group, Items, Part, Shown, Unfolding};
use parts::{branch, entries_of, leaf, state_groups};

use std::collections::HashMap;
use std::collections::HashSet;

use crate::bytes::Limits;
use crate::checkpoint::Module;
use crate::checkpoint::Node;
use crate::checkpoint::NodeId;
use crate::checkpoint::NodeValue;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::Tree;
use crate::checkpoint::module;
use crate::checkpoint::names;
use crate::checkpoint::numpy;
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
    /// Tensors that are keys of dicts, and the values that were shown: most such keys lie elsewhere too.
    tensor_keys: Vec<ValueId>,
    /// Lengths of bytes that are written as encoded text: one such value may be met a million times.
    encoded: HashMap<ValueId, usize>,
    shown: Vec<bool>,
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
        tensor_keys: Vec::new(),
        encoded: HashMap::new(),
        shown: vec![false; python.0.values.len()],
        losses: Vec::new(),
        rebuilder,
    };
    unfolder.walk()?;
    let mut notes = Vec::new();
    let keys: HashSet<ValueId> = unfolder.tensor_keys.iter().copied().collect();
    let hidden = keys.iter().filter(|id| !unfolder.shown[id.0 as usize]);
    match hidden.count() {
        0 => {}
        1 => notes.push(
            "1 tensor is nothing but the key of a dict: it has no name, and is not listed"
                .to_owned(),
        ),
        n => notes.push(format!(
            "{n} tensors are nothing but keys of dicts: they have no names, and are not listed"
        )),
    }
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
        let root = Part {
            key: String::new(),
            id: self.python.0.root,
            shown: match self.meaning.listed {
                true => Shown::Listed,
                false => Shown::Unlisted,
            },
            tensor_key: None,
        };
        path.extend(self.enter(None, root)?);
        while let Some(frame) = path.last_mut() {
            let Some(part) = frame.next(self.python) else {
                self.on_path[frame.id.0 as usize] = 0;
                path.pop();
                continue;
            };
            let (node, path_len) = (frame.node, frame.path_len);
            self.path.truncate(path_len);
            if path.len() > 1 {
                self.path.push('.');
            }
            self.path.push_str(&part.key);
            if path.len() > self.limits.tree_depth {
                return Err(Error::limit(format!(
                    "the values lie more than {} levels deep (tree_depth)",
                    self.limits.tree_depth
                ))
                .at_offset(self.python.0.offset(part.id)));
            }
            path.extend(self.enter(Some(node), part)?);
        }
        Ok(())
    }

    /// Adds the node of a value; a frame if it has parts.
    fn enter(&mut self, parent: Option<NodeId>, part: Part) -> Result<Option<Frame<'g>>> {
        let Part { key, id, shown, .. } = part;
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
        if let Some(key) = part.tensor_key {
            self.rebuilder.budget.spend(2 * size_of::<ValueId>())?;
            self.tensor_keys.push(key);
        }
        self.shown[id.0 as usize] = true;
        let seen = self.on_path[id.0 as usize];
        if seen != 0 {
            let value = NodeValue::Reference(NodeId(seen as usize - 1));
            self.tree.push(parent, key, value);
            return Ok(None);
        }
        let listed = shown != Shown::Unlisted;
        let unfolding = match shown {
            Shown::Numbers => match self.rebuilder.number(id)? {
                Some(made) => self.tensor(made, listed)?,
                None => self.unfold(id, listed)?,
            },
            _ => self.unfold(id, listed)?,
        };
        let node = self.tree.push(parent, key, unfolding.value);
        for (key, value) in &unfolding.said {
            self.tree.push_json(node, key, value);
        }
        if unfolding.groups.is_empty() {
            return Ok(None);
        }
        self.on_path[id.0 as usize] = u32::try_from(node.0 + 1).unwrap_or(u32::MAX);
        let path_len = self.path.len();
        Ok(Some(Frame::new(
            id,
            node,
            path_len,
            listed,
            unfolding.groups,
        )))
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
                    Items::pairs(entries),
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
        if let Some(&len) = self.encoded.get(&id) {
            return Ok(leaf(NodeValue::Bytes(len)));
        }
        if let Some(value) = objects::leaf(python, id, object) {
            if let NodeValue::Bytes(len) = value {
                self.encoded.insert(id, len);
            }
            // an array of objects has them as a list
            return Ok(match numpy::objects(python, object) {
                Some(items) => branch(value, Items::of(items)),
                None => leaf(value),
            });
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
        groups.extend(Group::of(Items::pairs(&object.entries)));
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
        let shown = match rebuilt.is_wrapper {
            true => Shown::Listed,
            false => Shown::Unlisted,
        };
        let groups =
            state_groups(self.python, &rebuilt.state).map(|group| Group { shown, ..group });
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
        let class = match parts.class {
            Some(class) => class.to_owned(),
            None => self.python.class(object),
        };
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
            (parts.attributes, Shown::Unlisted),
            (parts.other, Shown::Unlisted),
            (parts.state, Shown::Listed),
            (parts.numbers, Shown::Numbers),
            (parts.modules, Shown::Listed),
        ];
        let groups = groups.into_iter().filter(|(items, _)| !items.is_empty());
        let groups = groups.map(|(items, shown)| Group {
            items: Items::Named(items.into_iter()),
            shown,
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
