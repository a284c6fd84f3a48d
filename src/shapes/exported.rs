//! Follows the graph of an exported program, node by node.

use std::collections::HashMap;

use super::call::{Outcome, refuse, unknown};
use super::trace::{FileTensor, Trace};
use super::value::{Origin, Tensor, Value};
use crate::checkpoint::{Argument, ExportedGraph, ExportedInput, InputKind, SymSize};
use crate::tensor::DType;

/// Graphs inside of graphs.
const DEPTH: usize = 16;

type Names = HashMap<String, Value>;

/// The tensors of the file, by the names that the graph has for them.
pub(super) fn files(graph: &ExportedGraph) -> Vec<FileTensor> {
    let inputs = graph.inputs.iter();
    inputs
        .map(|input| {
            let (name, is_parameter) = match &input.kind {
                InputKind::Parameter(name) => (name.clone(), true),
                InputKind::Buffer(name) | InputKind::Constant(name) => (name.clone(), false),
                InputKind::User => (String::new(), false),
            };
            let shape = fixed(input).unwrap_or_default();
            FileTensor {
                name,
                numel: shape
                    .iter()
                    .fold(1u64, |n, &size| n.saturating_mul(size as u64)),
                is_parameter,
                ..FileTensor::default()
            }
        })
        .collect()
}

fn fixed(input: &ExportedInput) -> Option<Vec<usize>> {
    let sizes = input.sizes.as_ref()?.iter();
    sizes
        .map(|size| match size {
            SymSize::Fixed(n) => Some(*n),
            _ => None,
        })
        .collect()
}

/// Why the program takes no input of that shape; `None` where it does.
pub(super) fn guard(
    input: &ExportedInput,
    shape: &[usize],
    symbols: &mut HashMap<String, usize>,
) -> Option<String> {
    let sizes = input.sizes.as_ref()?;
    if sizes.len() != shape.len() {
        return Some(format!(
            "was exported for {} axes, got {shape:?}",
            sizes.len()
        ));
    }
    for (axis, (size, &got)) in sizes.iter().zip(shape).enumerate() {
        match size {
            SymSize::Fixed(n) if *n != got => {
                return Some(format!(
                    "axis {axis} was exported as {n} and nothing else, got {got}"
                ));
            }
            SymSize::Free(symbol, least, most) => {
                let known = *symbols.entry(symbol.clone()).or_insert(got);
                if known != got {
                    return Some(format!(
                        "axis {axis} was exported as equal to another of {known}, got {got}"
                    ));
                }
                // torch guards nothing below 2: a range from 2 on is what it assumes, not what it checks
                let least = least.filter(|least| *least > 2).unwrap_or(0);
                if (got as u64) < least || most.is_some_and(|most| got as u64 > most) {
                    let upper = most.map_or("up".to_owned(), |most| format!("to {most}"));
                    return Some(format!(
                        "axis {axis} was exported for {least} {upper}, got {got}"
                    ));
                }
            }
            _ => {}
        }
    }
    None
}

/// Runs the graph on `values`, one for each of its inputs that the user gives.
pub(super) fn run(graph: &ExportedGraph, values: &[Value], trace: &mut Trace) -> Outcome {
    let mut names: Names = HashMap::new();
    let mut given = values.iter();
    for (number, input) in graph.inputs.iter().enumerate() {
        let value = match (&input.kind, fixed(input)) {
            (InputKind::User, _) => given
                .next()
                .cloned()
                .unwrap_or_else(|| plain(&input.fixed, &Names::new())),
            (_, Some(shape)) => Value::Tensor(Tensor {
                origin: Origin::File(number),
                ..Tensor::new(shape, input.dtype.unwrap_or(DType::Float32))
            }),
            (_, None) => Value::Unknown,
        };
        names.insert(input.name.clone(), value);
    }
    nodes(graph, names, trace, DEPTH)
}

fn nodes(graph: &ExportedGraph, mut names: Names, trace: &mut Trace, depth: usize) -> Outcome {
    let Some(depth) = depth.checked_sub(1) else {
        return unknown("graphs lie too deep in each other");
    };
    for node in &graph.nodes {
        let inner = node
            .inputs
            .iter()
            .position(|(_, argument)| matches!(argument, Argument::Graph(_)));
        let value = match inner.and_then(|at| Some((at, &node.inputs.get(at)?.1))) {
            Some((at, Argument::Graph(inner))) if node.target.contains("wrap_with") => {
                let arguments = node.inputs[at + 1..]
                    .iter()
                    .map(|(_, argument)| plain(argument, &names));
                let own = inner
                    .inputs
                    .iter()
                    .map(|input| input.name.clone())
                    .zip(arguments)
                    .collect();
                nodes(inner, own, trace, depth)?
            }
            _ => {
                let named: Vec<(String, Value)> = node
                    .inputs
                    .iter()
                    .map(|(name, argument)| (name.clone(), plain(argument, &names)))
                    .collect();
                let unnamed = named.iter().all(|(name, _)| name.is_empty());
                // numbers' operators have `a` and `b`
                let by_position = unnamed
                    || node.target.starts_with("_operator.")
                    || node.target.starts_with("math.");
                let positional: Vec<Value> = match by_position {
                    true => named.iter().map(|(_, value)| value.clone()).collect(),
                    false => Vec::new(),
                };
                trace.apply(
                    &node.target,
                    &positional,
                    if by_position { &[] } else { &named },
                    &node.path,
                )?
            }
        };
        assign(&node.outputs, node.gives_list, value, &mut names);
    }
    let mut outputs: Vec<Value> = graph
        .outputs
        .iter()
        .map(|argument| plain(argument, &names))
        .collect();
    match outputs.len() {
        1 => Ok(outputs.remove(0)),
        0 => refuse("the program gives nothing back"),
        _ => Ok(Value::tuple(outputs)),
    }
}

fn assign(outputs: &[Vec<String>], gives_list: bool, value: Value, names: &mut Names) {
    let flat: Vec<&String> = outputs.iter().flatten().collect();
    if flat.len() == 1 && !gives_list {
        let value = match value {
            // a tuple of one
            Value::Tuple(tuple) if tuple.items.len() == 1 => tuple.items[0].clone(),
            value => value,
        };
        names.insert(flat[0].clone(), value);
        return;
    }
    let items = value.items().unwrap_or_default();
    for (number, name) in flat.into_iter().enumerate() {
        let item = items.get(number).cloned().unwrap_or(Value::Unknown);
        names.insert(name.clone(), item);
    }
}

fn plain(argument: &Argument, names: &Names) -> Value {
    match argument {
        Argument::None => Value::None,
        Argument::Bool(b) => Value::Bool(*b),
        Argument::Int(n) => Value::Int(*n),
        Argument::Float(x) => Value::Float(*x),
        Argument::Str(text) => Value::text(text),
        Argument::Name(name) => names.get(name).cloned().unwrap_or(Value::Unknown),
        Argument::List(items) => Value::list(items.iter().map(|item| plain(item, names)).collect()),
        Argument::Graph(_) | Argument::Other(_) => Value::Unknown,
    }
}
