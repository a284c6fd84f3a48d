//! The objects of a pickle whose class is a module, with all that they hold: what following a model's `forward` needs.
//!
//! [`crate::checkpoint::Module`] has the plain attributes of a module for people to read; here the attributes are
//! values that refer to each other, so that a weight that two modules share is one tensor, and a list of modules is a
//! list. Parameters, buffers and submodules are attributes, as they are in Python.

use std::collections::HashMap;
use std::sync::Arc;

use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::checkpoint::module;
use crate::checkpoint::names;
use crate::checkpoint::objects;
use crate::checkpoint::rebuild::Rebuilder;
use crate::checkpoint::torchscript::code::Classes;
use crate::error::{Error, Result};
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;

/// Levels of values in values.
const DEPTH: usize = 150;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Attribute {
    /// `None`
    None,
    /// `True`, `False`
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// Number in [`Instances::tensors`].
    Tensor(usize),
    /// Number in [`Instances::objects`].
    Object(usize),
    /// A list.
    List(Vec<Attribute>),
    /// A tuple, `torch.Size`.
    Tuple(Vec<Attribute>),
    /// A dict, an `OrderedDict`.
    Dict(Vec<(Attribute, Attribute)>),
    /// A class or function, or a call of one that has no parts, by its name.
    Global(String),
    /// Anything else.
    Other,
}

/// An object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    /// Class as written: `torch.nn.modules.conv.Conv2d`, `__torch__.torch.nn.modules.conv.Conv2d`.
    pub class: String,
    /// Attributes, in order; parameters and buffers and submodules too.
    pub attributes: Vec<(String, Attribute)>,
    /// Which of them are parameters (not for TorchScript, whose code says it).
    pub parameters: Vec<String>,
    /// Which of them are submodules, in order.
    pub modules: Vec<String>,
    /// Whether it is a module.
    pub is_module: bool,
}

impl Instance {
    /// The attribute of that name.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        let mut found = self.attributes.iter().filter(|(key, _)| key == name);
        found.next().map(|(_, value)| value)
    }
}

/// All objects of a checkpoint that are modules, or parts of modules.
#[derive(Clone, Debug, Default)]
pub struct Instances {
    /// What the file holds.
    pub root: Option<Attribute>,
    /// Constants of a TorchScript program: `CONSTANTS.c0`, ...
    pub constants: Vec<Attribute>,
    /// Objects.
    pub objects: Vec<Instance>,
    /// Tensors; their names are those of the state dict where they are part of it, else empty.
    pub tensors: Vec<TensorEntry>,
    /// Why there are none, where there should be.
    pub missing: Option<String>,
}

/// Everything that the graph's root reaches.
pub(super) fn instances(rebuilder: &mut Rebuilder<'_, '_>, classes: Option<&Classes>) -> Instances {
    let root = rebuilder.python.0.root;
    let mut builder = Builder {
        rebuilder,
        classes,
        found: Instances::default(),
        known: HashMap::new(),
    };
    match builder.value(root, DEPTH) {
        Ok(value) => Instances {
            root: Some(value),
            ..builder.found
        },
        // the tree has been paid for and is shown; only what follows a forward method is missing
        Err(error) => Instances {
            missing: Some(error.message().to_owned()),
            ..Instances::default()
        },
    }
}

struct Builder<'b, 'g, 'z> {
    rebuilder: &'b mut Rebuilder<'g, 'z>,
    classes: Option<&'b Classes>,
    found: Instances,
    /// Objects and tensors that were met before.
    known: HashMap<ValueId, Attribute>,
}

impl<'g> Builder<'_, 'g, '_> {
    fn value(&mut self, id: ValueId, depth: usize) -> Result<Attribute> {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(Attribute::Other);
        };
        let python = self.rebuilder.python;
        let id = python.untagged(id);
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        self.rebuilder.budget.spend(size_of::<Attribute>())?;
        Ok(match python.get(id) {
            Value::None => Attribute::None,
            Value::Bool(b) => Attribute::Bool(*b),
            Value::Int(n) => Attribute::Int(*n),
            Value::Float(x) => Attribute::Float(*x),
            Value::Str(text) => {
                self.rebuilder.budget.spend(text.len())?;
                Attribute::Str((**text).into())
            }
            Value::Global { .. } => Attribute::Global(python.global_name(id).unwrap_or_default()),
            Value::List(items) => Attribute::List(self.values(items, depth)?),
            Value::Tuple(items) => Attribute::Tuple(self.values(items, depth)?),
            Value::Dict(entries) => Attribute::Dict(self.entries(entries, depth)?),
            Value::Object(object) => self.object(id, object, depth)?,
            Value::Persistent(_) => self.tensor(id)?.unwrap_or(Attribute::Other),
            _ => Attribute::Other,
        })
    }

    fn values(&mut self, items: &[ValueId], depth: usize) -> Result<Vec<Attribute>> {
        items.iter().map(|&item| self.value(item, depth)).collect()
    }

    fn entries(
        &mut self,
        entries: &[(ValueId, ValueId)],
        depth: usize,
    ) -> Result<Vec<(Attribute, Attribute)>> {
        let entries = entries.iter();
        entries
            .map(|&(key, value)| Ok((self.value(key, depth)?, self.value(value, depth)?)))
            .collect()
    }

    fn tensor(&mut self, id: ValueId) -> Result<Option<Attribute>> {
        let Some(rebuilt) = self.rebuilder.tensor(id)? else {
            return Ok(None);
        };
        self.rebuilder.budget.spend(size_of::<TensorEntry>())?;
        self.found.tensors.push(rebuilt.entry);
        let value = Attribute::Tensor(self.found.tensors.len() - 1);
        self.known.insert(id, value.clone());
        Ok(Some(value))
    }

    fn object(&mut self, id: ValueId, object: &'g Object, depth: usize) -> Result<Attribute> {
        let python = self.rebuilder.python;
        if let Some(tensor) = self.tensor(id)? {
            return Ok(tensor);
        }
        if let Some(items) = python.items(id) {
            return Ok(Attribute::Tuple(self.values(items, depth)?));
        }
        match python.callable(object) {
            Some(("collections", "OrderedDict" | "defaultdict")) => {
                return Ok(Attribute::Dict(self.entries(&object.entries, depth)?));
            }
            Some(("builtins", "set" | "frozenset")) => {
                let items = python.args(object).first().and_then(|&id| python.items(id));
                return Ok(Attribute::List(self.values(items.unwrap_or(&[]), depth)?));
            }
            _ => {}
        }
        if objects::leaf(python, id, object).is_some() {
            return Ok(Attribute::Global(python.repr(id)));
        }
        if let Some(parts) = module::parts(python, object, self.classes, false) {
            return self.module(id, object, parts, depth);
        }
        let number = self.reserve(id, self.class(object))?;
        let mut attributes = Vec::new();
        for &state in &object.state {
            // attributes by name; slots and other states are nobody's shape
            if let Value::Dict(entries) = python.get(state) {
                for &(key, value) in entries {
                    attributes.push((python.key(key), self.value(value, depth)?));
                }
            }
        }
        if let Some(found) = self.found.objects.get_mut(number) {
            found.attributes = attributes;
        }
        Ok(Attribute::Object(number))
    }

    /// A place for the object, so that what lies inside it may refer to it.
    fn reserve(&mut self, id: ValueId, class: String) -> Result<usize> {
        self.rebuilder
            .budget
            .spend(size_of::<Instance>() + class.len())?;
        let number = self.found.objects.len();
        self.known.insert(id, Attribute::Object(number));
        self.found.objects.push(Instance {
            class,
            ..Instance::default()
        });
        Ok(number)
    }

    /// Plain attributes that nobody reads and forward methods do: `_qkv_same_embed_dim`.
    fn private(&mut self, object: &'g Object, instance: &mut Instance) -> Result<()> {
        let python = self.rebuilder.python;
        for &state in &object.state {
            let Value::Dict(entries) = python.get(state) else {
                continue;
            };
            for &(key, value) in entries {
                let plain = matches!(
                    python.get(python.untagged(value)),
                    Value::None
                        | Value::Bool(_)
                        | Value::Int(_)
                        | Value::Float(_)
                        | Value::Str(_)
                        | Value::List(_)
                        | Value::Tuple(_)
                );
                let name = python
                    .str(key)
                    .filter(|name| plain && name.starts_with('_'));
                if let Some(name) = name.filter(|name| instance.get(name).is_none()) {
                    self.rebuilder
                        .budget
                        .spend(2 * name.len() + size_of::<String>())?;
                    let value = self.value(value, DEPTH)?;
                    instance.attributes.push((name.to_owned(), value));
                }
            }
        }
        Ok(())
    }

    /// TorchScript's classes under their full names, by which the code is found.
    fn class(&self, object: &Object) -> String {
        let python = self.rebuilder.python;
        let full = python.callable(object).filter(|_| self.classes.is_some());
        match full {
            Some((module, name)) => format!("{module}.{name}"),
            None => python.class(object),
        }
    }

    fn module(
        &mut self,
        id: ValueId,
        object: &'g Object,
        parts: module::ModuleParts,
        depth: usize,
    ) -> Result<Attribute> {
        let number = self.reserve(id, self.class(object))?;
        let mut instance = Instance {
            is_module: true,
            ..Instance::default()
        };
        let buffers = |name: &str| parts.buffers.contains(name);
        for (name, _) in parts.state.iter().chain(&parts.other) {
            if !buffers(name) {
                instance.parameters.push(name.clone());
            }
        }
        instance.modules = parts.modules.iter().map(|(name, _)| name.clone()).collect();
        let all = [
            &parts.attributes,
            &parts.state,
            &parts.other,
            &parts.modules,
        ];
        for (name, value) in all.into_iter().flatten() {
            self.rebuilder
                .budget
                .spend(2 * name.len() + size_of::<String>())?;
            let value = self.value(*value, depth)?;
            instance.attributes.push((name.clone(), value));
        }
        self.private(object, &mut instance)?;
        if let Some(found) = self.found.objects.get_mut(number) {
            instance.class = std::mem::take(&mut found.class);
            *found = instance;
        }
        Ok(Attribute::Object(number))
    }
}

impl Instances {
    /// The paths of the modules under the root, each as `state_dict()` would begin its names, outermost first; a
    /// module inside of a module is not among them.
    pub fn outermost(&self) -> Vec<(String, usize)> {
        let mut found = Vec::new();
        if let Some(root) = &self.root {
            self.search(root, String::new(), DEPTH, &mut found);
        }
        found
    }

    fn search(
        &self,
        value: &Attribute,
        path: String,
        depth: usize,
        found: &mut Vec<(String, usize)>,
    ) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        let joined = |key: &str| match path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        match value {
            Attribute::Object(number) => {
                let object = &self.objects[*number];
                if object.is_module {
                    found.push((path, *number));
                    return;
                }
                for (name, value) in &object.attributes {
                    self.search(value, joined(name), depth, found);
                }
            }
            Attribute::List(items) | Attribute::Tuple(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.search(item, joined(&number.to_string()), depth, found);
                }
            }
            Attribute::Dict(entries) => {
                for (key, value) in entries {
                    let key = match key {
                        Attribute::Str(text) => text.to_string(),
                        Attribute::Int(n) => n.to_string(),
                        _ => continue,
                    };
                    self.search(value, joined(&key), depth, found);
                }
            }
            _ => {}
        }
    }

    /// Takes over the constants of a TorchScript program, which lie in a pickle of their own; the storages of that one
    /// are numbered from `storages` on.
    pub(super) fn take_constants(&mut self, other: Self, storages: usize) {
        let first = self.tensors.len();
        for mut tensor in other.tensors {
            if let Some(StorageId(id)) = &mut tensor.storage {
                *id += storages;
            }
            self.tensors.push(tensor);
        }
        // constants are tensors, and plain values of the types that TorchScript has
        let moved = |value: Attribute| match value {
            Attribute::Tensor(number) => Attribute::Tensor(first + number),
            Attribute::Object(_) => Attribute::Other,
            value => value,
        };
        if let Some(Attribute::Tuple(items) | Attribute::List(items)) = other.root {
            self.constants = items.into_iter().map(moved).collect();
        }
    }

    /// Fails where the objects are missing though the file has modules.
    pub(super) fn check(&self) -> Result<()> {
        match &self.missing {
            Some(why) => Err(Error::limit(names::shorten(why))),
            None => Ok(()),
        }
    }
}
