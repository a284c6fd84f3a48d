//! Sums, means, extremes over axes.

use crate::shapes::call::{Call, Outcome, axis, refuse};
use crate::shapes::value::{Tensor, Value};
use crate::tensor::DType;

/// The shape without (or with one in place of) those axes; all of them where none is given.
fn reduced(input: &Tensor, axes: Option<&[i64]>, keep: bool) -> Outcome<Vec<usize>> {
    let all: Vec<i64> = (0..input.rank() as i64).collect();
    let mut gone = vec![false; input.rank()];
    for &number in axes.filter(|axes| !axes.is_empty()).unwrap_or(&all) {
        let at = axis(number, input.rank())?;
        if let Some(gone) = gone.get_mut(at)
            && std::mem::replace(gone, true)
        {
            return refuse(format!("axis {at} is given twice"));
        }
    }
    let sizes = input.shape.iter().zip(gone);
    Ok(sizes
        .filter_map(|(&size, gone)| match (gone, keep) {
            (false, _) => Some(size),
            (true, true) => Some(1),
            (true, false) => None,
        })
        .collect())
}

fn described(call: &mut Call<'_>, axes: Option<&[i64]>) {
    if let Some(axes) = axes {
        call.said.detail = match axes {
            [one] => format!("dim {one}"),
            several => format!("dims {several:?}"),
        };
    }
}

/// `sum`, `mean`, `var`, `std`, `amax`, `norm`, `logsumexp`, `all`, `any`, `prod`: `(self, dim, keepdim)`.
pub(super) fn over(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let axes = match call.name {
        // norm(self, p, dim, keepdim); var(self, unbiased) with a truth value in the place of dim
        "var" | "std" if matches!(call.get("dim"), Some(Value::Bool(_))) => None,
        _ => call.ints("dim")?,
    };
    let keep = call.bool("keepdim")?;
    described(call, axes.as_deref());
    let shape = reduced(&input, axes.as_deref(), keep)?;
    let dtype = match (call.name, call.get("dtype").and_then(Value::int)) {
        ("all" | "any", _) => DType::Bool,
        ("count_nonzero", _) => DType::Int64,
        (_, Some(code)) => super::scalar_type(code).unwrap_or(input.dtype),
        ("sum" | "prod", None)
            if matches!(input.dtype, DType::Bool | DType::Int32 | DType::UInt8) =>
        {
            DType::Int64
        }
        _ => input.dtype,
    };
    call.result(shape, dtype)
}

/// `max`, `min`, `median`, `mode`, `kthvalue`: over everything, over one axis (with the places), or of two tensors.
pub(super) fn extreme(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    if matches!(call.at(1), Some(Value::Tensor(tensor)) if tensor.number.is_none() || tensor.rank() > 0)
        || call.has("other")
    {
        return super::pointwise::elementwise(call);
    }
    let place = if call.name == "kthvalue" {
        call.ints("dim")?.or(Some(vec![-1]))
    } else {
        call.ints("dim")?
    };
    let Some(axes) = place else {
        return call.result([], input.dtype);
    };
    described(call, Some(&axes));
    let shape = reduced(&input, Some(&axes), call.bool("keepdim")?)?;
    let places = call.result(shape.clone(), DType::Int64)?;
    Ok(Value::tuple(vec![call.result(shape, input.dtype)?, places]))
}

/// `argmax`, `argmin`
pub(super) fn place(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let axes = call.ints("dim")?;
    described(call, axes.as_deref());
    let shape = reduced(&input, axes.as_deref(), call.bool("keepdim")?)?;
    call.result(shape, DType::Int64)
}

/// `topk(self, k, dim)`
pub(super) fn topk(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let at = call.axis("dim", -1, input.rank())?;
    let k = usize::try_from(call.int("k", 1)?).unwrap_or(usize::MAX);
    let mut shape = input.shape.to_vec();
    match shape.get_mut(at) {
        Some(size) if k <= *size => *size = k,
        Some(size) => return refuse(format!("the {k} largest of {size}")),
        None => {}
    }
    let places = call.result(shape.clone(), DType::Int64)?;
    Ok(Value::tuple(vec![call.result(shape, input.dtype)?, places]))
}

/// `var_mean`, `std_mean`: both.
pub(super) fn both(call: &mut Call<'_>) -> Outcome {
    let one = over(call)?;
    Ok(Value::tuple(vec![one.clone(), one]))
}
