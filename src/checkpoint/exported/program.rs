//! The graph of an exported program, node by node, for those who follow it.
//!
//! Source: `torch/_export/serde/schema.py` of torch 2.15. An argument is an object with one key that says what it is:
//! `{"as_ints": [2, 2]}`, `{"as_tensor": {"name": "x"}}`, `{"as_sym_int": {"as_name": "s77"}}`.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::tensor::DType;

/// Graphs inside of graphs, lists in lists.
const DEPTH: usize = 16;

/// An argument of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// Nothing.
    None,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// Text.
    Str(String),
    /// What another node, or an input, is called: a tensor or a number.
    Name(String),
    /// Several.
    List(Vec<Argument>),
    /// A graph that the node runs.
    Graph(Box<ExportedGraph>),
    /// Anything else, by its kind: `as_device`, `as_custom_obj`, ...
    Other(String),
}

/// A size as the program was exported with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SymSize {
    /// This number and no other.
    Fixed(usize),
    /// A symbol, and what it may be: least and largest.
    Free(String, Option<u64>, Option<u64>),
    /// Something that follows from symbols.
    Computed,
}

/// What an input of the graph is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// What the caller gives.
    User,
    /// A parameter, by its name in the state dict.
    Parameter(String),
    /// A buffer, by its name in the state dict.
    Buffer(String),
    /// A constant of the program.
    Constant(String),
}

/// An input of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedInput {
    /// Its name in the graph.
    pub name: String,
    /// What it is.
    pub kind: InputKind,
    /// Its sizes, where it is a tensor.
    pub sizes: Option<Vec<SymSize>>,
    /// Its element type.
    pub dtype: Option<DType>,
    /// The number, where the caller gives one that the program was exported with.
    pub fixed: Argument,
}

/// One call.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedNode {
    /// `torch.ops.aten.conv2d.default`, `_operator.add`, ...
    pub target: String,
    /// Arguments by name.
    pub inputs: Vec<(String, Argument)>,
    /// Names of what comes out; several in one list where the operator gives a list of tensors.
    pub outputs: Vec<Vec<String>>,
    /// Whether what comes out is a list.
    pub gives_list: bool,
    /// Path of the innermost module that it was traced in.
    pub path: String,
    /// Class of that module.
    pub class: String,
}

/// A graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExportedGraph {
    /// Inputs in order.
    pub inputs: Vec<ExportedInput>,
    /// Calls in order.
    pub nodes: Vec<ExportedNode>,
    /// What it gives back.
    pub outputs: Vec<Argument>,
    /// Class of the module that was exported.
    pub class: String,
}

/// Reads the graph of a program.
///
/// # Errors
///
/// `Malformed` for what is not such a file.
pub(super) fn graph(json: &[u8]) -> Result<ExportedGraph> {
    let refuse = |what: &str| Error::malformed(format!("is no exported program's graph: {what}"));
    let program: Value = serde_json::from_slice(json).map_err(|e| refuse(&e.to_string()))?;
    let module = program
        .get("graph_module")
        .ok_or_else(|| refuse("it has no graph_module"))?;
    let graph = module
        .get("graph")
        .ok_or_else(|| refuse("it has no graph"))?;
    let reader = Reader {
        ranges: program.get("range_constraints").and_then(Value::as_object),
    };
    let mut found = reader.graph(graph, DEPTH);
    let specs = module
        .pointer("/signature/input_specs")
        .and_then(Value::as_array);
    let mut kinds: HashMap<String, (InputKind, Argument)> = specs
        .into_iter()
        .flatten()
        .filter_map(|spec| kind(spec.as_object()?))
        .collect();
    for input in &mut found.inputs {
        if let Some((kind, fixed)) = kinds.remove(&input.name) {
            (input.kind, input.fixed) = (kind, fixed);
        }
    }
    // mutated buffers and the like are outputs of the graph, not of the program
    let outputs = module
        .pointer("/signature/output_specs")
        .and_then(Value::as_array);
    let is_users = |spec: &Value| spec.get("user_output").is_some();
    if let Some(specs) = outputs.filter(|specs| specs.len() == found.outputs.len()) {
        let mut specs = specs.iter();
        found.outputs.retain(|_| specs.next().is_some_and(is_users));
    }
    if let Some(node) = program.pointer("/graph_module/graph/nodes/0/metadata/nn_module_stack") {
        let first = node.as_str().and_then(|stack| stack.split(';').next());
        found.class = first
            .and_then(|entry| entry.splitn(3, ',').nth(2))
            .unwrap_or("")
            .to_owned();
    }
    Ok(found)
}

/// `{"parameter": {"arg": {"name": "p_conv_weight"}, "parameter_name": "conv.weight"}}`
fn kind(spec: &Map<String, Value>) -> Option<(String, (InputKind, Argument))> {
    let (word, said) = spec.iter().next()?;
    let name = match said.pointer("/arg/name").and_then(Value::as_str) {
        Some(name) => name.to_owned(),
        None => match argument(said.get("arg")?, DEPTH) {
            Argument::Name(name) => name,
            _ => return None,
        },
    };
    let called = |key: &str| {
        said.get(key)
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    };
    let fixed = said
        .get("value")
        .map_or(Argument::None, |value| argument(value, DEPTH));
    let kind = match word.as_str() {
        "parameter" => InputKind::Parameter(called("parameter_name")),
        "buffer" => InputKind::Buffer(called("buffer_name")),
        "tensor_constant" => InputKind::Constant(called("tensor_constant_name")),
        "user_input" => InputKind::User,
        word => InputKind::Constant(word.to_owned()),
    };
    Some((name, (kind, fixed)))
}

struct Reader<'v> {
    /// Symbol to its least and largest value.
    ranges: Option<&'v Map<String, Value>>,
}

impl Reader<'_> {
    fn graph(&self, graph: &Value, depth: usize) -> ExportedGraph {
        let list = |key: &str| {
            graph
                .get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let tensors = graph.get("tensor_values").and_then(Value::as_object);
        let inputs = list("inputs").filter_map(|value| {
            let name = match argument(value, depth) {
                Argument::Name(name) => name,
                _ => return None,
            };
            let facts = tensors.and_then(|tensors| tensors.get(&name));
            Some(ExportedInput {
                sizes: facts.and_then(|facts| self.sizes(facts)),
                dtype: facts
                    .and_then(|facts| facts.get("dtype")?.as_u64())
                    .and_then(|number| super::raw::scalar_type(u32::try_from(number).ok()?)),
                name,
                kind: InputKind::User,
                fixed: Argument::None,
            })
        });
        ExportedGraph {
            inputs: inputs.collect(),
            nodes: list("nodes").map(|value| self.node(value, depth)).collect(),
            outputs: list("outputs")
                .map(|value| argument(value, depth))
                .collect(),
            class: String::new(),
        }
    }

    fn sizes(&self, facts: &Value) -> Option<Vec<SymSize>> {
        let sizes = facts.get("sizes")?.as_array()?.iter();
        Some(sizes.map(|size| self.size(size)).collect())
    }

    /// `{"as_int": 3}`, `{"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", ...}}`
    fn size(&self, size: &Value) -> SymSize {
        if let Some(n) = size.get("as_int").and_then(Value::as_u64) {
            return usize::try_from(n).map_or(SymSize::Computed, SymSize::Fixed);
        }
        let expression = size
            .pointer("/as_expr/expr_str")
            .and_then(Value::as_str)
            .unwrap_or("");
        let symbol = expression
            .strip_prefix("Symbol('")
            .and_then(|rest| rest.split_once('\''))
            .filter(|(_, rest)| !rest.contains("Symbol("))
            .map(|(symbol, _)| symbol)
            .or_else(|| {
                Some(expression).filter(|e| !e.is_empty() && e.chars().all(char::is_alphanumeric))
            });
        let Some(symbol) = symbol else {
            return SymSize::Computed;
        };
        let range = self.ranges.and_then(|ranges| ranges.get(symbol));
        let bound = |key: &str| range.and_then(|range| range.get(key)?.as_u64());
        SymSize::Free(symbol.to_owned(), bound("min_val"), bound("max_val"))
    }

    fn node(&self, node: &Value, depth: usize) -> ExportedNode {
        let text = |key: &str| {
            node.get(key)
                .and_then(Value::as_str)
                .unwrap_or("")
                .to_owned()
        };
        let list = |key: &str| {
            node.get(key)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let inputs = list("inputs").map(|input| {
            let name = input.get("name").and_then(Value::as_str).unwrap_or("");
            let value =
                input
                    .get("arg")
                    .map_or(Argument::None, |value| match value.get("as_graph") {
                        Some(inner) => self.inner(inner, depth),
                        None => argument(value, depth),
                    });
            (name.to_owned(), value)
        });
        let mut gives_list = false;
        let outputs = list("outputs").map(|output| match argument(output, depth) {
            Argument::Name(name) => vec![name],
            Argument::List(names) => {
                gives_list = true;
                let names = names.into_iter().map(|name| match name {
                    Argument::Name(name) => name,
                    _ => String::new(),
                });
                names.collect()
            }
            _ => vec![String::new()],
        });
        let outputs = outputs.collect();
        let stack = node
            .pointer("/metadata/nn_module_stack")
            .and_then(Value::as_str);
        let (path, class) = innermost(stack.unwrap_or(""));
        ExportedNode {
            target: text("target"),
            inputs: inputs.collect(),
            outputs,
            gives_list,
            path,
            class,
        }
    }

    fn inner(&self, inner: &Value, depth: usize) -> Argument {
        match (inner.get("graph"), depth.checked_sub(1)) {
            (Some(graph), Some(depth)) => Argument::Graph(Box::new(self.graph(graph, depth))),
            _ => Argument::Other("as_graph".to_owned()),
        }
    }
}

/// Path and class of the last of `L__self__,,Net;L__self__conv,conv,torch.nn.modules.conv.Conv2d`.
fn innermost(stack: &str) -> (String, String) {
    let last = stack.split(';').rev().find(|entry| !entry.is_empty());
    let mut parts = last.unwrap_or("").splitn(3, ',').skip(1);
    // a module called twice has "@1" behind its path
    let path = parts.next().unwrap_or("").split('@').next().unwrap_or("");
    (path.to_owned(), parts.next().unwrap_or("").to_owned())
}

/// `{"as_ints": [2, 2]}` and its kin.
fn argument(value: &Value, depth: usize) -> Argument {
    let Some(depth) = depth.checked_sub(1) else {
        return Argument::Other("too deep".to_owned());
    };
    let Some((kind, value)) = value.as_object().and_then(|object| object.iter().next()) else {
        return plain(value);
    };
    match kind.as_str() {
        "as_none" => Argument::None,
        "as_name" | "name" => value
            .as_str()
            .map_or(Argument::None, |name| Argument::Name(name.to_owned())),
        "as_tensor" | "as_sym_int" | "as_sym_bool" | "as_sym_float" | "as_optional_tensor" => {
            argument(value, depth)
        }
        "as_tensors"
        | "as_sym_ints"
        | "as_sym_bools"
        | "as_sym_floats"
        | "as_optional_tensors"
        | "as_nested_tensors" => {
            let items = value.as_array().into_iter().flatten();
            Argument::List(items.map(|item| argument(item, depth)).collect())
        }
        "as_int" | "as_ints" | "as_float" | "as_floats" | "as_bool" | "as_bools" | "as_string"
        | "as_strings" | "as_int_lists" | "as_scalar_type" => plain(value),
        other => Argument::Other(other.to_owned()),
    }
}

fn plain(value: &Value) -> Argument {
    match value {
        Value::Null => Argument::None,
        Value::Bool(b) => Argument::Bool(*b),
        Value::Number(n) => match n.as_i64() {
            Some(n) => Argument::Int(n),
            None => Argument::Float(n.as_f64().unwrap_or(f64::NAN)),
        },
        // floats that JSON has no number for
        Value::String(text) => match text.as_str() {
            "Infinity" => Argument::Float(f64::INFINITY),
            "-Infinity" => Argument::Float(f64::NEG_INFINITY),
            "NaN" => Argument::Float(f64::NAN),
            text => Argument::Str(text.to_owned()),
        },
        Value::Array(items) => Argument::List(items.iter().map(argument_or_plain).collect()),
        Value::Object(_) => Argument::Other("object".to_owned()),
    }
}

fn argument_or_plain(value: &Value) -> Argument {
    match value {
        Value::Array(items) => Argument::List(items.iter().map(plain).collect()),
        value => plain(value),
    }
}
