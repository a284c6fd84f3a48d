//! `nn.Module`s pickled whole: an object with a dict of parameters, one of buffers and one of submodules.
//!
//! Names are those of `state_dict()`: parameters, then buffers that are not in `_non_persistent_buffers_set`, then the
//! submodules', each after its path; `None`s are left out. What else a module has are attributes: hyperparameters,
//! shown in the tree and, where they are plain, kept as JSON. Tensors among them are no part of the state.
//! A class may override `state_dict()`, which cannot be known without running it; torch's own that do are known
//! ([`super::quantized`]).
//!
//! Source: `torch/nn/modules/module.py`, `Module._save_to_state_dict` and `Module.state_dict`.

use std::collections::HashSet;

use crate::bytes::Budget;
use crate::checkpoint::objects;
use crate::checkpoint::python::Python;
use crate::checkpoint::quantized;
use crate::checkpoint::torchscript::code::Classes;
use crate::error::Result;
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;

/// A module's parts, by what they are.
#[derive(Default)]
pub(super) struct ModuleParts {
    pub(super) attributes: Vec<(String, ValueId)>,
    /// Parameters and buffers that are part of the state.
    pub(super) state: Vec<(String, ValueId)>,
    /// Parameters and buffers that are not: `None`, or not persistent.
    pub(super) other: Vec<(String, ValueId)>,
    /// Numbers that the class's `state_dict()` makes tensors of.
    pub(super) numbers: Vec<(String, ValueId)>,
    pub(super) modules: Vec<(String, ValueId)>,
    /// The class, where the pickle calls it otherwise.
    pub(super) class: Option<&'static str>,
    /// Names of the buffers, in the state or not.
    pub(super) buffers: HashSet<String>,
    /// What the code of a TorchScript program says of the class: hyperparameters.
    pub(super) constants: serde_json::Map<String, serde_json::Value>,
}

/// Attributes of every module that say nothing about it.
const INTERNAL: &[&str] = &[
    "_parameters",
    "_buffers",
    "_modules",
    "_non_persistent_buffers_set",
    "_is_full_backward_hook",
    "_compiled_call_impl",
];

/// The parts, if the object is a module: what has `_parameters` and `_modules` among its attributes, or (TorchScript)
/// what is of a class that the program calls a module.
pub(super) fn parts(
    python: Python<'_>,
    object: &Object,
    classes: Option<&Classes>,
    lenient: bool,
) -> Option<ModuleParts> {
    if let Some(compiled) = compiled(python, object) {
        return Some(compiled);
    }
    let traced = traced(python, object);
    let state = match (traced, &object.state[..]) {
        (Some(state), _) => state,
        (None, [state]) => *state,
        (None, _) => return None,
    };
    if let Some(classes) = classes {
        return script_parts(python, object, state, classes);
    }
    if let Some(parts) = quantized::convolution(python, object, state) {
        return Some(parts);
    }
    let traced = traced.is_some();
    let parameters = named(python, python.entry(state, "_parameters")?)?;
    // of a pickle that breaks off they may not have come yet
    let modules = match python.entry(state, "_modules") {
        None if lenient => Vec::new(),
        modules => named(python, modules?)?,
    };
    let buffers = python
        .entry(state, "_buffers")
        .and_then(|id| named(python, id));
    let temporary = python.entry(state, "_non_persistent_buffers_set");
    let temporary = temporary.map_or_else(HashSet::new, |id| texts(python, id));
    let mut parts = ModuleParts {
        class: traced.then_some("torch.fx.graph_module.GraphModule"),
        ..ModuleParts::default()
    };
    for (name, id) in parameters {
        parts.sort_in(python, name, id, true);
    }
    for (name, id) in buffers.unwrap_or_default() {
        let persistent = !temporary.contains(name.as_str());
        parts.buffers.insert(name.clone());
        parts.sort_in(python, name, id, persistent);
    }
    for (name, id) in modules {
        if *python.get(id) == Value::None {
            parts.other.push((name, id));
        } else {
            parts.modules.push((name, id));
        }
    }
    let attributes = named(python, state)?;
    parts.attributes = attributes
        .into_iter()
        .filter(|(name, id)| is_telling(python, name, *id))
        .collect();
    quantized::add_state(python, object, &mut parts);
    Some(parts)
}

/// What `torch.compile` makes of a module: a call of its class with the module.
fn compiled(python: Python<'_>, object: &Object) -> Option<ModuleParts> {
    let is_compiled = ("torch._dynamo.eval_frame", "OptimizedModule");
    match (python.callable(object)?, python.args(object)) {
        (class, [module, ..]) if class == is_compiled && object.state.is_empty() => {
            Some(ModuleParts {
                modules: vec![("_orig_mod".to_owned(), *module)],
                ..ModuleParts::default()
            })
        }
        _ => None,
    }
}

/// The attributes of a module that `torch.fx` traced, which are an argument of the function that makes it.
fn traced(python: Python<'_>, object: &Object) -> Option<ValueId> {
    let ("torch.fx.graph_module", name) = python.callable(object)? else {
        return None;
    };
    let position = match name {
        "reduce_graph_module" => 0,
        "reduce_package_graph_module" | "reduce_deploy_graph_module" => 1,
        _ => return None,
    };
    python.args(object).get(position).copied()
}

/// The class says which attributes are parameters and buffers; attributes that are modules are submodules.
fn script_parts(
    python: Python<'_>,
    object: &Object,
    state: ValueId,
    classes: &Classes,
) -> Option<ModuleParts> {
    let class_of = |object: &Object| {
        let (module, name) = python.callable(object)?;
        classes.get(module, name)
    };
    let class = class_of(object)?;
    let attributes = named(python, state)?;
    let mut parts = ModuleParts {
        constants: class.constants.clone(),
        ..ModuleParts::default()
    };
    let mut buffers = Vec::new();
    for (name, id) in attributes {
        let is_module =
            matches!(python.get(id), Value::Object(object) if class_of(object).is_some());
        if is_module {
            parts.modules.push((name, id));
        } else if class.parameters.contains(&name) {
            parts.sort_in(python, name, id, true);
        } else if class.buffers.contains(&name) {
            buffers.push((name, id));
        } else if is_telling(python, &name, id) {
            parts.attributes.push((name, id));
        }
    }
    for (name, id) in buffers {
        parts.buffers.insert(name.clone());
        parts.sort_in(python, name, id, true);
    }
    Some(parts)
}

impl ModuleParts {
    fn sort_in(&mut self, python: Python<'_>, name: String, id: ValueId, persistent: bool) {
        if persistent && *python.get(id) != Value::None {
            self.state.push((name, id));
        } else {
            self.other.push((name, id));
        }
    }

    /// The plain attributes as JSON: `stride`, `padding`, ...
    pub(super) fn json(
        &self,
        python: Python<'_>,
        budget: &mut Budget,
    ) -> Result<serde_json::Map<String, serde_json::Value>> {
        let mut map = serde_json::Map::new();
        for (name, id) in self
            .attributes
            .iter()
            .filter(|(name, _)| !name.starts_with('_'))
        {
            let (value, values) = objects::json_and_size(python, *id);
            budget.spend(name.len() + values * size_of::<serde_json::Value>())?;
            if let Some(value) = value {
                map.insert(name.clone(), value);
            }
        }
        Ok(map)
    }
}

/// The entries of a dict or an OrderedDict, by their names.
fn named(python: Python<'_>, id: ValueId) -> Option<Vec<(String, ValueId)>> {
    let entries = match python.get(id) {
        Value::Dict(entries) => entries,
        Value::Object(object) => match python.callable(object)? {
            ("collections", "OrderedDict") => &object.entries,
            _ => return None,
        },
        _ => return None,
    };
    Some(
        entries
            .iter()
            .map(|(key, value)| (python.key(*key), *value))
            .collect(),
    )
}

/// The texts in a set.
fn texts<'g>(python: Python<'g>, id: ValueId) -> HashSet<&'g str> {
    let items = match python.get(id) {
        Value::Set(items) | Value::FrozenSet(items) => &items[..],
        Value::Object(object) => match python.args(object) {
            [items] => python.items(*items).unwrap_or(&[]),
            _ => &[],
        },
        _ => &[],
    };
    items.iter().filter_map(|&item| python.str(item)).collect()
}

/// Hooks and caches that are empty are left out: every module has a dozen.
fn is_telling(python: Python<'_>, name: &str, id: ValueId) -> bool {
    if INTERNAL.contains(&name) {
        return false;
    }
    if !name.starts_with('_') {
        return true;
    }
    match python.get(id) {
        Value::None | Value::Bool(_) => false,
        Value::Dict(entries) => !entries.is_empty(),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => !items.is_empty(),
        Value::Object(object) => {
            !object.entries.is_empty() || !object.items.is_empty() || !object.state.is_empty()
        }
        _ => true,
    }
}
