//! Tensors made from numbers: `zeros`, `arange`, `tensor`, ...

use crate::shapes::call::{Call, Outcome, refuse, unknown};
use crate::shapes::value::{Tensor, Value};
use crate::tensor::DType;

fn dtype(call: &Call<'_>, default: DType) -> DType {
    let code = call.get("dtype").and_then(Value::int);
    code.and_then(super::scalar_type).unwrap_or(default)
}

/// `zeros(size)`, `ones`, `full(size, fill_value)`, `empty`, `rand`, `randn`; `new_zeros(self, size)`, ...
pub(super) fn filled(call: &mut Call<'_>) -> Outcome {
    call.said.is_constant = true;
    let default = match call.get("self") {
        Some(Value::Tensor(like)) => like.dtype,
        _ => DType::Float32,
    };
    let Some(size) = call.ints("size")? else {
        return unknown("no size is given");
    };
    let shape: Option<Vec<usize>> = size.iter().map(|&n| usize::try_from(n).ok()).collect();
    match shape {
        Some(shape) => call.result(shape, dtype(call, default)),
        None => refuse(format!("{size:?} has a negative size")),
    }
}

/// `arange(end)`, `arange(start, end)`, `arange(start, end, step)`
pub(super) fn arange(call: &mut Call<'_>) -> Outcome {
    let named = |name: &str| call.get(name).and_then(Value::float);
    let positional: Vec<f64> = (0..3)
        .map_while(|at| call.at(at).and_then(Value::float))
        .collect();
    let (start, end, step) = if named("end").is_some() {
        (
            named("start").unwrap_or(0.0),
            named("end"),
            named("step").unwrap_or(1.0),
        )
    } else {
        match positional[..] {
            [end] => (0.0, Some(end), 1.0),
            [start, end] => (start, Some(end), 1.0),
            [start, end, step] => (start, Some(end), step),
            _ => (0.0, None, 1.0),
        }
    };
    let Some(end) = end else {
        return unknown("where it ends is not known");
    };
    let length = ((end - start) / step).ceil();
    if !(0.0..1e15).contains(&length) {
        return refuse(format!("from {start} to {end} by {step}"));
    }
    let is_whole = start.fract() == 0.0 && end.fract() == 0.0 && step.fract() == 0.0;
    call.result(
        [length as usize],
        dtype(
            call,
            if is_whole {
                DType::Int64
            } else {
                DType::Float32
            },
        ),
    )
}

/// `linspace(start, end, steps)`
pub(super) fn linspace(call: &mut Call<'_>) -> Outcome {
    let steps = usize::try_from(call.int("steps", 100)?).unwrap_or(0);
    call.result([steps], dtype(call, DType::Float32))
}

/// `eye(n, m)`
pub(super) fn eye(call: &mut Call<'_>) -> Outcome {
    let n = call.int("n", 0)?;
    let m = match call.get("m") {
        Some(value) if matches!(value, Value::Int(_)) => value.int().unwrap_or(n),
        _ => n,
    };
    let size = |n: i64| usize::try_from(n).unwrap_or(0);
    call.result([size(n), size(m)], dtype(call, DType::Float32))
}

/// `tensor(data)`: a number, or lists of numbers; `scalar_tensor`, `NumToTensor`.
pub(super) fn literal(call: &mut Call<'_>) -> Outcome {
    call.said.is_same = true;
    let Some(data) = call.at(0) else {
        return unknown("no data is given");
    };
    let mut shape = Vec::new();
    let mut inner = data.clone();
    while let Some(items) = inner.items() {
        shape.push(items.len());
        match items.into_iter().next() {
            Some(first) => inner = first,
            None => break,
        }
        if shape.len() > 16 {
            return refuse("lists lie too deep in each other");
        }
    }
    let found = match inner {
        Value::Float(_) => DType::Float32,
        Value::Bool(_) => DType::Bool,
        _ => DType::Int64,
    };
    let mut tensor = Tensor::new(shape, dtype(call, found));
    tensor.number = data.float().filter(|_| tensor.rank() == 0);
    Ok(Value::Tensor(tensor))
}

/// `one_hot(self, num_classes)`
pub(super) fn one_hot(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let classes = call.int("num_classes", -1)?;
    let Ok(classes) = usize::try_from(classes) else {
        return unknown("how many classes there are depends on the data");
    };
    let mut shape = input.shape.to_vec();
    shape.push(classes);
    call.result(shape, DType::Int64)
}

/// `meshgrid(tensors)`
pub(super) fn meshgrid(call: &mut Call<'_>) -> Outcome {
    let tensors = call.tensors("tensors")?;
    let mut shape: Vec<usize> = tensors
        .iter()
        .map(|tensor| tensor.numel().unwrap_or(0))
        .collect();
    if matches!(call.get("indexing"), Some(Value::Str(word)) if &**word == "xy") && shape.len() > 1
    {
        shape.swap(0, 1);
    }
    let each = tensors
        .iter()
        .map(|tensor| call.result(shape.clone(), tensor.dtype));
    Ok(Value::list(each.collect::<Outcome<_>>()?))
}
