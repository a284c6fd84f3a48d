//! Plain Python values: the arithmetic of sizes, lists, texts, and what a program asks a tensor about itself.

use super::call::{Outcome, refuse};
use super::numbers;
use super::ops;
use super::value::Value;
use crate::tensor::DType;

/// Items that a list may have.
const LONGEST: usize = 1 << 20;
/// Characters of a text.
const TEXT: usize = 400;

/// The result, if the function is about plain values; `None` where it is about tensors, or is not known.
pub(super) fn call(name: &str, positional: &[Value], named: &[(String, Value)]) -> Option<Outcome> {
    let get = |at: usize, key: &str| {
        let by_name = || {
            named
                .iter()
                .find(|(name, _)| name == key)
                .map(|(_, value)| value)
        };
        positional.get(at).or_else(by_name)
    };
    let first = get(0, "self")
        .or_else(|| get(0, "a"))
        .unwrap_or(&Value::None);
    let second = get(1, "other")
        .or_else(|| get(1, "b"))
        .unwrap_or(&Value::None);
    if let Some(answer) = about(name, first, get(1, "dim")) {
        return Some(Ok(answer));
    }
    if let Some(answer) = logic(name, first, second) {
        return Some(Ok(answer));
    }
    if is_tensor(first) {
        return None;
    }
    if let Some(answer) = list(name, first, second, positional) {
        return Some(answer);
    }
    if is_tensor(second) {
        return None;
    }
    if let Some(answer) = range(name, positional) {
        return Some(answer);
    }
    let name = name.strip_prefix("_operator.").unwrap_or(name);
    if !numbers::is_plain(name) {
        return None;
    }
    if matches!((first, second), (Value::Unknown, _) | (_, Value::Unknown)) {
        return Some(Ok(Value::Unknown));
    }
    numbers::arithmetic(name, first, second)
}

fn is_tensor(value: &Value) -> bool {
    matches!(value, Value::Tensor(_))
}

/// What a tensor says of itself.
fn about(name: &str, value: &Value, dim: Option<&Value>) -> Option<Value> {
    if let Value::Unknown = value {
        let asks = matches!(
            name,
            "size"
                | "sym_size"
                | "dim"
                | "numel"
                | "sym_numel"
                | "len"
                | "item"
                | "Int"
                | "ScalarImplicit"
                | "IntImplicit"
                | "FloatImplicit"
                | "Float"
                | "Bool"
                | "prim.dtype"
                | "prim.device"
                | "is_floating_point"
                | "prim.shape"
        );
        return asks.then_some(Value::Unknown);
    }
    let tensor = match value {
        Value::Tensor(tensor) => tensor,
        // a number is one already
        _ => {
            return match name {
                "Int" | "int" => value.float().map(|x| Value::Int(x as i64)),
                "Float" | "float" => value.float().map(Value::Float),
                "Bool" | "bool" => value.truth().map(Value::Bool),
                // of a device
                "prim.type" => Some(value.clone()),
                "item" | "ScalarImplicit" | "IntImplicit" | "FloatImplicit" => Some(value.clone()),
                // the walk is one of inference: nothing is recorded for gradients
                "is_grad_enabled"
                | "is_autocast_enabled"
                | "is_inference_mode_enabled"
                | "is_autocast_cpu_enabled"
                | "is_scripting"
                | "_C._get_tracing_state"
                | "jit.is_tracing" => Some(Value::Bool(false)),
                "_assert"
                | "_assert_async"
                | "_assert_scalar"
                | "sym_constrain_range_for_size"
                | "sym_constrain_range"
                | "_check"
                | "warn"
                | "prim.Print"
                | "manual_seed" => Some(Value::None),
                _ => None,
            };
        }
    };
    let size = |dim: &Value| {
        let at = super::call::axis(dim.int()?, tensor.rank()).ok()?;
        tensor.shape.get(at).map(|&size| Value::Int(size as i64))
    };
    let number = |whole: bool| match tensor.number {
        Some(x) if whole => Value::Int(x as i64),
        Some(x) => Value::Float(x),
        None => Value::Unknown,
    };
    let is_float = matches!(
        tensor.dtype,
        DType::Float16 | DType::BFloat16 | DType::Float32 | DType::Float64
    );
    Some(match name {
        "size" | "sym_size" | "prim.shape" | "_shape_as_tensor" => match dim {
            Some(dim) if !matches!(dim, Value::None) => size(dim).unwrap_or(Value::Unknown),
            _ => Value::ints(&tensor.shape),
        },
        "len" => Value::Int(tensor.shape.first().copied().unwrap_or(0) as i64),
        "dim" | "ndimension" => Value::Int(tensor.rank() as i64),
        "numel" | "sym_numel" => tensor
            .numel()
            .map_or(Value::Unknown, |n| Value::Int(n as i64)),
        "prim.dtype" => Value::Int(ops::scalar_code(tensor.dtype)),
        "prim.device" => Value::text("cpu"),
        "prim.layout" => Value::Int(0),
        "prim.requires_grad" | "prim.is_cuda" | "prim.is_mps" | "prim.is_quantized"
        | "prim.is_sparse" | "prim.is_nested" | "is_complex" | "prim.is_meta" | "prim.is_xla"
        | "prim.is_mkldnn" => Value::Bool(false),
        "is_floating_point" => Value::Bool(is_float),
        "is_contiguous" => Value::Bool(true),
        "Int" | "int" | "IntImplicit" => number(true),
        "Float" | "FloatImplicit" => number(false),
        "item" | "ScalarImplicit" => number(!is_float),
        "Bool" => tensor
            .number
            .map_or(Value::Unknown, |x| Value::Bool(x != 0.0)),
        "_assert_async" | "_assert_tensor_metadata" => Value::None,
        _ => return None,
    })
}

/// `range(start, end, step)`, as torch's compiler takes it apart: how many rounds, and the number of each.
fn range(name: &str, positional: &[Value]) -> Option<Outcome> {
    let numbers: Option<Vec<i64>> = positional.iter().map(Value::int).collect();
    Some(Ok(match (name, numbers.as_deref()) {
        ("__range_length", Some([start, end, step])) if *step != 0 => {
            let (from, to) = if *step > 0 {
                (start, end)
            } else {
                (end, start)
            };
            let span = to.saturating_sub(*from).max(0).unsigned_abs();
            Value::Int(i64::try_from(span.div_ceil(step.unsigned_abs())).ok()?)
        }
        ("__derive_index", Some([round, start, step])) => {
            Value::Int(round.checked_mul(*step)?.checked_add(*start)?)
        }
        ("__range_length" | "__derive_index", _) => Value::Unknown,
        _ => return None,
    }))
}

/// Truth, identity, membership.
fn logic(name: &str, a: &Value, b: &Value) -> Option<Value> {
    let truth = |answer: Option<bool>| answer.map_or(Value::Unknown, Value::Bool);
    Some(match name {
        "__not__" | "_operator.not_" => truth(a.truth().map(|truth| !truth)),
        "__is__" | "__isnot__" => {
            let same = match (a, b) {
                (Value::Unknown, _) | (_, Value::Unknown) => None,
                (Value::None, Value::None) => Some(true),
                (Value::None, _) | (_, Value::None) => Some(false),
                (Value::Tensor(a), Value::Tensor(b)) => {
                    Some(a.origin == b.origin && a.shape == b.shape)
                }
                _ => a.equals(b),
            };
            truth(same.map(|same| same == (name == "__is__")))
        }
        "__and__" | "__or__" if !is_tensor(a) && !is_tensor(b) => match (a, b) {
            (Value::Int(x), Value::Int(y)) => {
                Value::Int(if name == "__and__" { x & y } else { x | y })
            }
            _ => truth(match (a.truth(), b.truth(), name) {
                (Some(false), _, "__and__") | (_, Some(false), "__and__") => Some(false),
                (Some(true), _, "__or__") | (_, Some(true), "__or__") => Some(true),
                (Some(x), Some(_), _) => Some(x == (name == "__and__")),
                _ => None,
            }),
        },
        "__contains__" => {
            // `a in b` is written __contains__(b, a) by torch, and the other way round by the operator
            let (container, item) = match (a.items(), b.items()) {
                (Some(_), None) => (a, b),
                (None, Some(_)) => (b, a),
                _ => match (a, b) {
                    (Value::Str(x), Value::Str(y)) => return Some(Value::Bool(x.contains(&**y))),
                    _ => (a, b),
                },
            };
            let items = container.items()?;
            truth(Some(
                items.iter().any(|other| other.equals(item) == Some(true)),
            ))
        }
        _ => return None,
    })
}

/// Lists, dicts, texts.
fn list(name: &str, first: &Value, second: &Value, positional: &[Value]) -> Option<Outcome> {
    let answer = match (name, first) {
        ("format", Value::Str(pattern)) => {
            let mut text = String::new();
            let mut rest = &**pattern;
            for value in &positional[1..] {
                let Some((before, after)) = rest.split_once("{}") else {
                    break;
                };
                text += before;
                text += &value.show(TEXT);
                rest = after;
            }
            text += rest;
            Value::text(text.chars().take(TEXT).collect::<String>())
        }
        ("percentFormat", Value::Str(text)) => Value::Str(text.clone()),
        ("str" | "prim.str", value) => Value::text(value.show(TEXT)),
        ("len", Value::Str(text)) => Value::Int(text.len() as i64),
        ("len", value) => Value::Int(value.items()?.len() as i64),
        ("append", Value::List(items)) => {
            if items.borrow().len() >= LONGEST {
                return Some(refuse("a list grows without end"));
            }
            items.borrow_mut().push(second.clone());
            first.clone()
        }
        ("extend", Value::List(items)) => {
            let more = second.items()?;
            if items.borrow().len() + more.len() > LONGEST {
                return Some(refuse("a list grows without end"));
            }
            items.borrow_mut().extend(more);
            Value::None
        }
        ("insert", Value::List(items)) => {
            let at = usize::try_from(second.int()?)
                .ok()?
                .min(items.borrow().len());
            items.borrow_mut().insert(at, positional.get(2)?.clone());
            Value::None
        }
        ("pop", Value::List(items)) => {
            let at = second.int().unwrap_or(-1);
            let length = items.borrow().len();
            let Some(at) = place(at, length) else {
                return Some(refuse("nothing is left in the list"));
            };
            items.borrow_mut().remove(at)
        }
        ("clear", Value::List(items)) => {
            items.borrow_mut().clear();
            Value::None
        }
        ("reverse", Value::List(items)) => {
            items.borrow_mut().reverse();
            Value::None
        }
        ("copy" | "list", value) => Value::list(value.items()?),
        ("tuple" | "prim.TupleConstruct", value) => Value::tuple(value.items()?),
        ("_set_item" | "__setitem__", Value::List(items)) => {
            let length = items.borrow().len();
            let Some(at) = second.int().and_then(|at| place(at, length)) else {
                return Some(refuse("an index outside of the list"));
            };
            items.borrow_mut()[at] = positional.get(2)?.clone();
            Value::None
        }
        ("_set_item" | "__setitem__", Value::Dict(entries)) => {
            let value = positional.get(2)?.clone();
            let mut entries = entries.borrow_mut();
            if entries.len() >= LONGEST {
                return Some(refuse("a dict grows without end"));
            }
            match entries
                .iter_mut()
                .find(|(key, _)| key.equals(second) == Some(true))
            {
                Some(entry) => entry.1 = value,
                None => entries.push((second.clone(), value)),
            }
            Value::None
        }
        ("__getitem__" | "_operator.getitem" | "getitem", _) => return Some(item(first, second)),
        ("keys", Value::Dict(entries)) => Value::list(
            entries
                .borrow()
                .iter()
                .map(|(key, _)| key.clone())
                .collect(),
        ),
        ("values", Value::Dict(entries)) => Value::list(
            entries
                .borrow()
                .iter()
                .map(|(_, value)| value.clone())
                .collect(),
        ),
        ("items", Value::Dict(entries)) => {
            let entries = entries.borrow();
            let pairs = entries
                .iter()
                .map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()]));
            Value::list(pairs.collect())
        }
        ("slice", value) if !matches!(value, Value::Unknown) => {
            let items = value.items()?;
            let number = |at: usize, default: i64| match positional.get(at) {
                None | Some(Value::None) => Some(default),
                Some(value) => value.int(),
            };
            let (start, end, step) = (number(1, 0)?, number(2, i64::MAX)?, number(3, 1)?);
            let step = usize::try_from(step).ok().filter(|step| *step > 0)?;
            let length = ops::sliced(items.len(), start, end, step);
            let begin = if start < 0 {
                (start + items.len() as i64).max(0)
            } else {
                start
            };
            let taken = items
                .into_iter()
                .skip(usize::try_from(begin).ok()?)
                .step_by(step)
                .take(length)
                .collect();
            match value {
                Value::Tuple(_) => Value::tuple(taken),
                _ => Value::list(taken),
            }
        }
        ("add" | "_operator.add" | "concat", Value::List(_) | Value::Tuple(_)) => {
            let mut items = first.items()?;
            items.extend(second.items()?);
            match first {
                Value::Tuple(_) => Value::tuple(items),
                _ => Value::list(items),
            }
        }
        ("mul", Value::List(_)) => {
            let items = first.items()?;
            let times = usize::try_from(second.int()?).unwrap_or(0);
            if items.len().saturating_mul(times) > LONGEST {
                return Some(refuse("a list grows without end"));
            }
            Value::list(
                items
                    .iter()
                    .cycle()
                    .take(items.len() * times)
                    .cloned()
                    .collect(),
            )
        }
        ("add", Value::Str(a)) => match second {
            Value::Str(b) => Value::text(format!("{a}{b}").chars().take(TEXT).collect::<String>()),
            _ => return None,
        },
        (
            "eq" | "ne",
            Value::List(_) | Value::Tuple(_) | Value::Str(_) | Value::None | Value::Object(_),
        ) => {
            let equal = first.equals(second);
            equal.map_or(Value::Unknown, |equal| Value::Bool(equal == (name == "eq")))
        }
        ("all" | "any", value) => {
            let items = value.items()?;
            let wanted = name == "any";
            let truths: Vec<Option<bool>> = items.iter().map(Value::truth).collect();
            match truths.contains(&Some(wanted)) {
                true => Value::Bool(wanted),
                false if truths.iter().all(Option::is_some) => Value::Bool(!wanted),
                false => Value::Unknown,
            }
        }
        ("sum", value) => {
            let items = value.items()?;
            let numbers: Option<Vec<f64>> = items.iter().map(Value::float).collect();
            let whole = items.iter().all(|item| item.int().is_some());
            match numbers {
                Some(numbers) if whole => Value::Int(numbers.iter().sum::<f64>() as i64),
                Some(numbers) => Value::Float(numbers.iter().sum()),
                None => Value::Unknown,
            }
        }
        ("prim.max" | "prim.min" | "max" | "min", Value::List(_)) => {
            let items: Option<Vec<f64>> = first.items()?.iter().map(Value::float).collect();
            let pick = if name.ends_with("max") {
                f64::max
            } else {
                f64::min
            };
            match items.and_then(|items| items.into_iter().reduce(pick)) {
                Some(x) if x.fract() == 0.0 => Value::Int(x as i64),
                Some(x) => Value::Float(x),
                None => Value::Unknown,
            }
        }
        _ => return None,
    };
    Some(Ok(answer))
}

fn place(at: i64, length: usize) -> Option<usize> {
    let at = if at < 0 { at + length as i64 } else { at };
    usize::try_from(at).ok().filter(|at| *at < length)
}

/// `container[index]`
pub(super) fn item(container: &Value, index: &Value) -> Outcome {
    if let Value::Dict(entries) = container {
        let entries = entries.borrow();
        let found = entries
            .iter()
            .find(|(key, _)| key.equals(index) == Some(true));
        return match found {
            Some((_, value)) => Ok(value.clone()),
            None => refuse(format!("no entry {}", index.show(TEXT))),
        };
    }
    let (Some(items), Some(at)) = (container.items(), index.int()) else {
        return Ok(Value::Unknown);
    };
    match place(at, items.len()) {
        Some(at) => Ok(items[at].clone()),
        None => refuse(format!(
            "index {at} is outside of a list of {}",
            items.len()
        )),
    }
}
