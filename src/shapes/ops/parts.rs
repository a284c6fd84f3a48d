//! What takes some of the elements: splits, slices, indices, windows.

use super::reshape::view_of;
use crate::shapes::call::{Call, Outcome, Wrong, mismatch, refuse, unknown};
use crate::shapes::value::Value;
use crate::tensor::DType;

/// `chunk(self, chunks, dim)`, `split(self, size or sizes, dim)`, `tensor_split`, `unbind`
pub(super) fn split(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|tensor")?;
    let at = call.axis_of("dim", 0, &input)?;
    let size = input.shape[at];
    let whole = |n: i64| usize::try_from(n).unwrap_or(0);
    let parts: Vec<usize> = match call.name {
        "unbind" => vec![1; size],
        "chunk" => {
            let chunks = whole(call.int("chunks", 1)?).max(1);
            pieces(size, size.div_ceil(chunks))
        }
        "tensor_split" => {
            let chunks = whole(call.int("sections|indices", 1)?).max(1);
            (0..chunks)
                .map(|n| size / chunks + usize::from(n < size % chunks))
                .collect()
        }
        _ => match call.get("split_size|split_sizes|split_size_or_sections") {
            Some(value) if value.int().is_some() => {
                let each = whole(value.int().unwrap_or(0));
                if each == 0 && size > 0 {
                    return refuse("parts of no size");
                }
                pieces(size, each)
            }
            _ => {
                let numbers = call
                    .ints("split_size|split_sizes|split_size_or_sections")?
                    .unwrap_or_default();
                let sum = numbers.iter().fold(0i64, |n, &part| n.saturating_add(part));
                if sum != size as i64 || numbers.iter().any(|&n| n < 0) {
                    return mismatch(
                        Wrong::Other,
                        whole(sum),
                        size,
                        format!("parts of {numbers:?} make {sum}, axis {at} has {size}"),
                    );
                }
                numbers.into_iter().map(whole).collect()
            }
        },
    };
    if parts.len() > 1 << 16 {
        return unknown(format!("{} parts are too many", parts.len()));
    }
    call.said.is_view = true;
    call.said.detail = format!("dim {at}");
    let mut tensors = Vec::new();
    for part in parts {
        let mut shape = input.shape.to_vec();
        match call.name {
            "unbind" => {
                shape.remove(at);
            }
            _ => shape[at] = part,
        }
        tensors.push(call.result(shape, input.dtype)?);
    }
    Ok(Value::list(tensors))
}

/// `size` cut into parts of `each`; the last may be smaller.
fn pieces(size: usize, each: usize) -> Vec<usize> {
    if size == 0 {
        return vec![0];
    }
    let each = each.max(1);
    (0..size.div_ceil(each))
        .map(|n| each.min(size - n * each))
        .collect()
}

/// `select(self, dim, index)`
pub(super) fn select(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let at = call.axis_of("dim", 0, &input)?;
    let size = input.shape[at];
    if let Some(index) = call.get("index").and_then(Value::int)
        && !(-(size as i64)..size as i64).contains(&index)
    {
        return refuse(format!(
            "index {index} is outside of axis {at}, which has {size}"
        ));
    }
    call.said.is_view = true;
    let mut shape = input.shape.to_vec();
    shape.remove(at);
    call.result(shape, input.dtype)
}

/// `slice(self, dim, start, end, step)`
pub(super) fn slice(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let at = call.axis_of("dim", 0, &input)?;
    let size = input.shape[at];
    let (start, end) = (call.int("start", 0)?, call.int("end", i64::MAX)?);
    let step = usize::try_from(call.int("step", 1)?).unwrap_or(0);
    if step == 0 {
        return refuse("a step must be at least 1");
    }
    let length = sliced(size, start, end, step);
    let mut shape = input.shape.to_vec();
    shape[at] = length;
    call.said.detail = format!("dim {at}");
    view_of(call, &input, shape)
}

/// How many of `size` a slice takes; negative numbers count from the end.
pub(in crate::shapes) fn sliced(size: usize, start: i64, end: i64, step: usize) -> usize {
    let size = size as i64;
    let bound = |n: i64| {
        if n < 0 {
            n.saturating_add(size).max(0)
        } else {
            n.min(size)
        }
    };
    let (start, end) = (bound(start), bound(end));
    usize::try_from(end - start).map_or(0, |length| length.div_ceil(step))
}

/// `narrow(self, dim, start, length)`
pub(super) fn narrow(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let at = call.axis_of("dim", 0, &input)?;
    let length = usize::try_from(call.int("length", 0)?).unwrap_or(usize::MAX);
    let start = call.int("start", 0)?;
    let size = input.shape.get(at).copied().unwrap_or(0);
    let begin = if start < 0 {
        start + size as i64
    } else {
        start
    };
    if usize::try_from(begin).map_or(true, |begin| begin.saturating_add(length) > size) {
        return refuse(format!(
            "{length} from {start} are not in axis {at}, which has {size}"
        ));
    }
    let mut shape = input.shape.to_vec();
    shape[at] = length;
    view_of(call, &input, shape)
}

/// The windows of `tensor.unfold(dim, size, step)`.
pub(super) fn windows(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let at = call.axis("dimension", 0, input.rank())?;
    let whole = |n: i64| usize::try_from(n).unwrap_or(0);
    let (size, step) = (whole(call.int("size", 1)?), whole(call.int("step", 1)?));
    let mut shape = input.shape.to_vec();
    let Some(last) = shape.get_mut(at) else {
        return refuse("a number has no windows");
    };
    if step == 0 || size > *last {
        return refuse(format!("windows of {size} every {step} are not in {last}"));
    }
    *last = (*last - size) / step + 1;
    shape.push(size);
    call.said.is_view = true;
    call.result(shape, input.dtype)
}

/// `index(self, [tensor or None, ...])`: those axes become the tensors' common shape.
pub(super) fn index(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let Some(items) = call.get("indices").and_then(Value::items) else {
        return unknown("the indices are not known");
    };
    let mut tensors = Vec::new();
    let mut places = Vec::new();
    for (axis, item) in items.iter().enumerate() {
        match item {
            Value::None => {}
            Value::Tensor(tensor) if tensor.dtype == DType::Bool => {
                return unknown("how many a mask picks depends on the data");
            }
            Value::Tensor(tensor) => {
                places.push(axis);
                tensors.push(tensor.clone());
            }
            _ => return unknown("the indices are not known"),
        }
    }
    if items.len() > input.rank() {
        return refuse(format!(
            "{} indices for shape {:?}",
            items.len(),
            input.shape
        ));
    }
    let common = super::pointwise::broadcast_all(&tensors)?;
    let adjacent = places.windows(2).all(|pair| pair[1] == pair[0] + 1);
    let mut shape = Vec::new();
    if !adjacent {
        shape.extend(&common);
    }
    for (axis, &size) in input.shape.iter().enumerate() {
        if !places.contains(&axis) {
            shape.push(size);
        } else if adjacent && places.first() == Some(&axis) {
            shape.extend(&common);
        }
    }
    call.result(shape, input.dtype)
}

/// `index_select(self, dim, index)`, `gather(self, dim, index)`, `take_along_dim`, `masked_select`
pub(super) fn gather(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    if call.name == "masked_select" {
        return unknown("how many a mask picks depends on the data");
    }
    let index = call.tensor("index")?;
    if call.name == "gather" {
        return call.result(index.shape.to_vec(), input.dtype);
    }
    let at = call.axis("dim", 0, input.rank())?;
    let mut shape = input.shape.to_vec();
    if let Some(size) = shape.get_mut(at) {
        *size = index.numel().unwrap_or(0);
    }
    call.result(shape, input.dtype)
}

/// `diagonal(self, offset, dim1, dim2)`, `tril`, `flip` keep or cut; `roll` and `flip` keep.
pub(super) fn diagonal(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let (a, b) = (
        call.axis("dim1", 0, input.rank())?,
        call.axis("dim2", 1, input.rank())?,
    );
    if a == b || input.rank() < 2 {
        return refuse("a diagonal needs two axes");
    }
    let offset = call.int("offset", 0)?;
    let (rows, columns) = (input.shape[a] as i64, input.shape[b] as i64);
    let length = match offset >= 0 {
        true => rows.min(columns.saturating_sub(offset)),
        false => rows.saturating_add(offset).min(columns),
    };
    let mut shape: Vec<usize> = (0..input.rank())
        .filter(|axis| *axis != a && *axis != b)
        .map(|axis| input.shape[axis])
        .collect();
    shape.push(usize::try_from(length).unwrap_or(0));
    call.said.is_view = true;
    call.result(shape, input.dtype)
}
