//! What works element by element, and normalization: the shape stays, or is that of the larger one.

use crate::shapes::call::{Call, Outcome, Wrong, mismatch, refuse, takes_other};
use crate::shapes::value::{Tensor, Value};
use crate::tensor::DType;

/// One tensor in, the same shape out: activations, `clamp`, `exp`, ...
pub(super) fn unary(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let number = input.number.and_then(|x| match call.name {
        "neg" => Some(-x),
        "sqrt" => Some(x.sqrt()),
        "ceil" => Some(x.ceil()),
        "floor" => Some(x.floor()),
        "abs" => Some(x.abs()),
        _ => None,
    });
    let dtype = match call.name {
        "isnan" | "isinf" | "isfinite" | "logical_not" => DType::Bool,
        _ => input.dtype,
    };
    let mut output = Tensor::new(input.shape.clone(), dtype);
    output.number = number;
    Ok(Value::Tensor(output))
}

/// The shape stays whatever it is, and so do the elements: `contiguous`, `detach`, `to`, ...
pub(super) fn same(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    call.said.is_same = true;
    let dtype = match call.get("dtype").and_then(Value::int) {
        Some(code) => super::scalar_type(code).unwrap_or(input.dtype),
        None => match call.name {
            "float" => DType::Float32,
            "double" => DType::Float64,
            "half" => DType::Float16,
            "bfloat16" => DType::BFloat16,
            "long" => DType::Int64,
            "int" => DType::Int32,
            "bool" => DType::Bool,
            _ => input.dtype,
        },
    };
    Ok(Value::Tensor(Tensor { dtype, ..input }))
}

/// The shape stays; the elements are new ones, of that type or the given one: `zeros_like`, `rand_like`, ...
pub(super) fn like(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    call.said.is_constant = true;
    let dtype = call
        .get("dtype")
        .and_then(Value::int)
        .and_then(super::scalar_type);
    call.result(input.shape.to_vec(), dtype.unwrap_or(input.dtype))
}

/// `dropout(input, p, train)`, `feature_dropout`, ...
pub(super) fn dropout(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("input|self")?;
    if let Some(p) = call.float("p")? {
        call.said.detail = format!("p={p}");
    }
    // without training nothing is changed
    call.said.is_view = !call.bool("train|training")?;
    Ok(Value::Tensor(Tensor::new(input.shape.clone(), input.dtype)))
}

/// The shape that two broadcast to; the sizes are aligned at the end, and one stands for any.
pub(super) fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>, usize> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], axis: usize| {
        let missing = rank - shape.len();
        axis.checked_sub(missing).map_or(1, |at| shape[at])
    };
    (0..rank)
        .map(|axis| match (size(a, axis), size(b, axis)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(axis),
        })
        .collect()
}

/// Broadcasts all of them, or says which two do not fit.
pub(super) fn broadcast_all(tensors: &[Tensor]) -> Outcome<Vec<usize>> {
    let mut shape = Vec::new();
    for tensor in tensors {
        shape = match broadcast(&shape, &tensor.shape) {
            Ok(shape) => shape,
            Err(axis) => {
                let rank = shape.len().max(tensor.rank());
                let at = |shape: &[usize]| {
                    axis.checked_sub(rank - shape.len())
                        .map_or(1, |at| shape[at])
                };
                return mismatch(
                    Wrong::Other,
                    at(&shape),
                    at(&tensor.shape),
                    format!("{shape:?} and {:?} differ on axis {axis}", tensor.shape),
                );
            }
        };
    }
    Ok(shape)
}

/// The element type of two together: a number alone does not change a tensor's type unless its kind is higher.
pub(super) fn promote(a: DType, b: DType) -> DType {
    let rank = |dtype: DType| match dtype {
        DType::Bool => 0,
        DType::UInt8 | DType::Int8 => 1,
        DType::Int16 => 2,
        DType::Int32 => 3,
        DType::Int64 => 4,
        DType::Float16 | DType::BFloat16 => 6,
        DType::Float32 => 7,
        DType::Float64 => 8,
        DType::Complex64 => 9,
        DType::Complex128 => 10,
        _ => 5,
    };
    match (a, b) {
        (DType::Float16, DType::BFloat16) | (DType::BFloat16, DType::Float16) => DType::Float32,
        _ if rank(b) > rank(a) => b,
        _ => a,
    }
}

/// Two or more tensors or numbers, broadcast: `add`, `mul`, `eq`, `where`, ...
pub(super) fn elementwise(call: &mut Call<'_>) -> Outcome {
    let mut tensors = Vec::new();
    let mut numbers = Vec::new();
    // what follows the operands are factors (`alpha`), modes and the like: numbers or text
    let operands = if call.name == "where" { 3 } else { 2 };
    for at in 0..operands {
        match call.at(at) {
            Some(Value::Tensor(tensor)) => {
                numbers.push(tensor.number);
                tensors.push(tensor.clone());
            }
            Some(Value::Unknown) => {
                return crate::shapes::call::unknown("what goes in is not known");
            }
            Some(value) => numbers.push(value.float()),
            None => {}
        }
    }
    // `addcmul(self, tensor1, tensor2)`, `lerp`, `clamp` with tensors
    for value in call.all().skip(operands) {
        if let Value::Tensor(tensor) = value {
            tensors.push(tensor.clone());
        }
    }
    let shape = broadcast_all(&tensors)?;
    let mut dtype = match call.name {
        "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "logical_and" | "logical_or" | "logical_xor"
        | "isin" | "isclose" => DType::Bool,
        "masked_fill" => tensors.first().map_or(DType::Float32, |first| first.dtype),
        "where" => tensors.last().map_or(DType::Float32, |last| last.dtype),
        _ => {
            let strong = tensors.iter().filter(|tensor| tensor.rank() > 0);
            let strong: Vec<DType> = strong.map(|tensor| tensor.dtype).collect();
            let all: Vec<DType> = match strong.is_empty() {
                true => tensors.iter().map(|tensor| tensor.dtype).collect(),
                false => strong,
            };
            all.into_iter().reduce(promote).unwrap_or(DType::Float32)
        }
    };
    let is_whole = matches!(
        dtype,
        DType::Bool | DType::UInt8 | DType::Int8 | DType::Int16 | DType::Int32 | DType::Int64
    );
    if is_whole && matches!(call.name, "div" | "true_divide") && !call.has("rounding_mode") {
        dtype = DType::Float32;
    }
    let mut output = Tensor::new(shape, dtype);
    if let [Some(a), Some(b)] = numbers[..]
        && output.rank() == 0
    {
        output.number = arithmetic(call, a, b);
    }
    Ok(Value::Tensor(output))
}

/// Sizes are computed in tensors of one number, by traced programs.
fn arithmetic(call: &Call<'_>, a: f64, b: f64) -> Option<f64> {
    let alpha = call.float("alpha").ok()?.unwrap_or(1.0);
    let mode = match call.get("rounding_mode") {
        Some(Value::Str(mode)) => mode.to_string(),
        _ => String::new(),
    };
    Some(match call.name {
        "add" => a + alpha * b,
        "sub" => a - alpha * b,
        "rsub" => b - alpha * a,
        "mul" => a * b,
        "div" if mode == "floor" => (a / b).floor(),
        "div" if mode == "trunc" => (a / b).trunc(),
        "div" | "true_divide" => a / b,
        "floor_divide" => (a / b).floor(),
        "remainder" => a - b * (a / b).floor(),
        "pow" => a.powf(b),
        "eq" => f64::from(a == b),
        "ne" => f64::from(a != b),
        "lt" => f64::from(a < b),
        "le" => f64::from(a <= b),
        "gt" => f64::from(a > b),
        "ge" => f64::from(a >= b),
        "maximum" | "max" => a.max(b),
        "minimum" | "min" => a.min(b),
        _ => return None,
    })
}

/// Channels on axis 1, with as many running means and weights: `batch_norm`, `instance_norm`.
pub(super) fn channel_norm(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("input|self")?;
    let channels = if input.rank() > 1 { input.shape[1] } else { 0 };
    if input.rank() < 2 {
        return refuse(format!("takes 2 axes or more, got shape {:?}", input.shape));
    }
    for name in ["weight", "bias", "running_mean", "running_var"] {
        if let Some(tensor) = call.optional(name)?
            && tensor.numel() != Some(channels)
        {
            let takes = tensor.numel().unwrap_or(0);
            return takes_other(Wrong::Channels, takes, "channels", channels);
        }
    }
    let is_instance = call.name == "instance_norm" && call.bool("use_input_stats")?;
    let per_channel = input.shape[2..]
        .iter()
        .fold(1usize, |n, &size| n.saturating_mul(size));
    let values = if is_instance {
        per_channel
    } else {
        per_channel.saturating_mul(input.shape[0])
    };
    if (is_instance || call.bool("training")?) && values == 1 {
        return refuse("one value per channel has no variance to normalize by");
    }
    Ok(Value::Tensor(Tensor::new(input.shape.clone(), input.dtype)))
}

/// `group_norm(input, num_groups, weight, bias, eps)`
pub(super) fn group_norm(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("input")?;
    let groups = usize::try_from(call.int("num_groups", 1)?).unwrap_or(0);
    let channels = input.shape.get(1).copied().unwrap_or(0);
    if groups == 0 || channels % groups != 0 || input.rank() < 2 {
        return refuse(format!("{channels} channels cannot form {groups} groups"));
    }
    for name in ["weight", "bias"] {
        if let Some(tensor) = call.optional(name)?
            && *tensor.shape != [channels]
        {
            let takes = tensor.numel().unwrap_or(0);
            return takes_other(Wrong::Channels, takes, "channels", channels);
        }
    }
    call.said.detail = format!("{groups} groups");
    Ok(Value::Tensor(Tensor::new(input.shape.clone(), input.dtype)))
}

/// `layer_norm(input, normalized_shape, ...)`, `rms_norm`: over the last axes, which must be just those.
pub(super) fn layer_norm(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("input")?;
    let normalized: Vec<usize> = call
        .ints("normalized_shape")?
        .unwrap_or_default()
        .iter()
        .map(|&n| usize::try_from(n).unwrap_or(0))
        .collect();
    if !input.shape.ends_with(&normalized) {
        let (takes, got) = (
            normalized.last().copied().unwrap_or(0),
            input.shape.last().copied().unwrap_or(0),
        );
        let why = format!(
            "normalizes over {normalized:?}, got shape {:?}",
            input.shape
        );
        return mismatch(Wrong::Features, takes, got, why);
    }
    Ok(Value::Tensor(Tensor::new(input.shape.clone(), input.dtype)))
}

/// Along one axis, the shape stays: `softmax`, `log_softmax`, `cumsum`, `sort`, `glu` halves it.
pub(super) fn along(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let axis = call.axis("dim", -1, input.rank())?;
    call.said.detail = format!("dim {axis}");
    let mut shape = input.shape.to_vec();
    let dtype = call
        .get("dtype")
        .and_then(Value::int)
        .and_then(super::scalar_type)
        .unwrap_or(input.dtype);
    match call.name {
        "glu" if shape.is_empty() => return refuse("a number cannot be halved"),
        "glu" => {
            if shape[axis] % 2 != 0 {
                return refuse(format!("axis {axis} of {} cannot be halved", shape[axis]));
            }
            shape[axis] /= 2;
        }
        "sort" | "cummax" | "cummin" => {
            let indices = call.result(shape.clone(), DType::Int64)?;
            return Ok(Value::tuple(vec![call.result(shape, dtype)?, indices]));
        }
        "argsort" => return call.result(shape, DType::Int64),
        _ => {}
    }
    call.result(shape, dtype)
}

/// `prelu(self, weight)`: one weight, or one per channel.
pub(super) fn prelu(call: &mut Call<'_>) -> Outcome {
    let (input, weight) = (call.tensor("self")?, call.tensor("weight")?);
    let channels = input.shape.get(1).copied().unwrap_or(1);
    if let Some(weights) = weight.numel()
        && weights != 1
        && weights != channels
    {
        return mismatch(
            Wrong::Channels,
            weights,
            channels,
            format!("takes {weights} channels, got {channels}"),
        );
    }
    Ok(Value::Tensor(Tensor::new(input.shape.clone(), input.dtype)))
}
