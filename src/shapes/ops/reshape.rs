//! What gives the same elements another shape, or takes some of them.

use crate::shapes::call::{Call, Outcome, Wrong, axis, mismatch, refuse, unknown};
use crate::shapes::value::{Tensor, Value, product};
use crate::tensor::DType;

fn view_of(call: &mut Call<'_>, input: &Tensor, shape: Vec<usize>) -> Outcome {
    call.said.is_view = true;
    call.said.is_same = *shape == *input.shape;
    if call.said.is_same {
        return Ok(Value::Tensor(input.clone()));
    }
    let mut output = Tensor::new(shape, input.dtype);
    output.number = input.number.filter(|_| output.numel() == Some(1));
    Ok(Value::Tensor(output))
}

/// `20 * 4 * 4 = 320`
fn folded(sizes: &[usize]) -> String {
    let words: Vec<String> = sizes.iter().map(usize::to_string).collect();
    match product(sizes) {
        Some(n) if sizes.len() > 1 => format!("{} = {n}", words.join(" * ")),
        _ => String::new(),
    }
}

/// `flatten(self, start_dim, end_dim)`
pub(super) fn flatten(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let start = call.axis("start_dim", 0, input.rank())?;
    let end = call.axis("end_dim", -1, input.rank())?;
    if input.rank() == 0 {
        return view_of(call, &input, vec![1]);
    }
    if start > end {
        return refuse(format!("start_dim {start} comes after end_dim {end}"));
    }
    call.said.detail = folded(&input.shape[start..=end]);
    let mut shape = input.shape[..start].to_vec();
    shape.push(product(&input.shape[start..=end]).unwrap_or(usize::MAX));
    shape.extend(&input.shape[end + 1..]);
    view_of(call, &input, shape)
}

/// `unflatten(self, dim, sizes)`
pub(super) fn unflatten(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let at = call.axis_of("dim", 0, &input)?;
    let sizes = call.ints("sizes|unflattened_size")?.unwrap_or_default();
    let inner = solve(&input.shape[at..=at], &sizes)?;
    let mut shape = input.shape[..at].to_vec();
    shape.extend(inner);
    shape.extend(&input.shape[at + 1..]);
    view_of(call, &input, shape)
}

/// The sizes with `-1` replaced by what is left.
fn solve(from: &[usize], sizes: &[i64]) -> Outcome<Vec<usize>> {
    let Some(total) = product(from) else {
        return refuse("too many elements");
    };
    let mut open = None;
    let mut shape = Vec::new();
    for (axis, &size) in sizes.iter().enumerate() {
        match (usize::try_from(size), size, open) {
            (Ok(size), _, _) => shape.push(size),
            (Err(_), -1, None) => {
                open = Some(axis);
                shape.push(1);
            }
            (Err(_), -1, Some(_)) => return refuse(format!("{sizes:?} has two open sizes")),
            _ => return refuse(format!("{size} is no size")),
        }
    }
    let known = product(&shape).unwrap_or(usize::MAX);
    if let Some(axis) = open {
        if known == 0 || total % known != 0 {
            // a first axis that is left open is the batch: what one of it has is what does not fit
            let each = if axis == 0 {
                total / from.first().copied().unwrap_or(1).max(1)
            } else {
                total
            };
            let why = format!("{total} elements ({}) cannot be {sizes:?}", words(from));
            return mismatch(Wrong::Features, known, each, why);
        }
        shape[axis] = total / known;
        return Ok(shape);
    }
    match known == total {
        true => Ok(shape),
        false => mismatch(
            Wrong::Features,
            known,
            total,
            format!(
                "{total} elements ({}) cannot be {sizes:?}, which has {known}",
                words(from)
            ),
        ),
    }
}

fn words(shape: &[usize]) -> String {
    let words: Vec<String> = shape.iter().map(usize::to_string).collect();
    words.join(" * ")
}

/// `view(self, size)`, `reshape(self, shape)`
pub(super) fn view(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let Some(sizes) = call.ints("size|shape")? else {
        return unknown("no shape is given");
    };
    let shape = solve(&input.shape, &sizes)?;
    // what was put together to one axis: the axes in front of it are the same
    let same = input
        .shape
        .iter()
        .zip(&shape)
        .take_while(|(a, b)| a == b)
        .count();
    if shape.len() == same + 1 && input.rank() > shape.len() {
        call.said.detail = folded(&input.shape[same..]);
    }
    let batch = input.shape.first().copied().unwrap_or(0);
    if sizes.first() == Some(&-1)
        && input.live
        && input.rank() > 2
        && shape.len() == 2
        && shape[0] != batch
    {
        call.said.warning = Some(format!(
            "{sizes:?} made {} rows of {} elements ({}): the batch of {batch} became {}",
            shape[0],
            product(&input.shape).unwrap_or(0),
            words(&input.shape),
            shape[0]
        ));
    }
    view_of(call, &input, shape)
}

pub(super) fn permute(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let rank = input.rank();
    let axes = match call.name {
        "transpose" | "swapaxes" | "swapdims" => {
            let mut axes: Vec<i64> = (0..rank as i64).collect();
            let (a, b) = (
                call.axis("dim0|axis0", 0, rank)?,
                call.axis("dim1|axis1", 1, rank)?,
            );
            if rank > 0 {
                axes.swap(a, b);
            }
            axes
        }
        "t" | "numpy_T" | "adjoint" | "mT" => {
            if rank > 2 && call.name == "t" {
                return refuse(format!("takes 2 axes at most, got shape {:?}", input.shape));
            }
            let mut axes: Vec<i64> = (0..rank as i64).collect();
            match call.name {
                "numpy_T" => axes.reverse(),
                _ if rank >= 2 => axes.swap(rank - 1, rank - 2),
                _ => {}
            }
            axes
        }
        "movedim" => return movedim(call, &input),
        _ => call.ints("dims")?.unwrap_or_default(),
    };
    permuted(call, &input, &axes)
}

fn permuted(call: &mut Call<'_>, input: &Tensor, axes: &[i64]) -> Outcome {
    let mut shape = Vec::new();
    let mut seen = vec![false; input.rank()];
    for &number in axes {
        let at = axis(number, input.rank())?;
        if at >= input.rank() || std::mem::replace(&mut seen[at], true) {
            return refuse(format!("{axes:?} is no order of {} axes", input.rank()));
        }
        shape.push(input.shape[at]);
    }
    if shape.len() != input.rank() {
        return refuse(format!("{axes:?} is no order of {} axes", input.rank()));
    }
    call.said.detail = format!("{axes:?}");
    call.said.is_view = true;
    call.result(shape, input.dtype)
}

fn movedim(call: &mut Call<'_>, input: &Tensor) -> Outcome {
    let rank = input.rank();
    let axes = |name: &str| -> Outcome<Vec<usize>> {
        let numbers = call.ints(name)?.unwrap_or_default();
        numbers.iter().map(|&number| axis(number, rank)).collect()
    };
    let (from, to) = (axes("source")?, axes("destination")?);
    let mut order = vec![None; rank];
    for (from, to) in from.iter().zip(&to) {
        order[*to] = Some(*from);
    }
    let mut rest = (0..rank).filter(|at| !from.contains(at));
    let order: Vec<i64> = order
        .into_iter()
        .map(|at| at.or_else(|| rest.next()).unwrap_or(0) as i64)
        .collect();
    permuted(call, input, &order)
}

pub(super) fn squeeze(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let axes = match call.ints("dim")? {
        None => (0..input.rank()).collect(),
        Some(numbers) => numbers
            .iter()
            .map(|&n| axis(n, input.rank()))
            .collect::<Outcome<Vec<_>>>()?,
    };
    let kept = input
        .shape
        .iter()
        .enumerate()
        .filter(|(at, size)| **size != 1 || !axes.contains(at));
    let shape = kept.map(|(_, &size)| size).collect();
    view_of(call, &input, shape)
}

pub(super) fn unsqueeze(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let at = axis(call.int("dim", 0)?, input.rank() + 1)?;
    let mut shape = input.shape.to_vec();
    shape.insert(at, 1);
    view_of(call, &input, shape)
}

/// `cat(tensors, dim)`, `concat`, `hstack`, `vstack`
pub(super) fn cat(call: &mut Call<'_>) -> Outcome {
    let tensors = call.tensors("tensors")?;
    // an empty tensor of one axis fits everywhere
    let real: Vec<&Tensor> = tensors
        .iter()
        .filter(|tensor| *tensor.shape != [0])
        .collect();
    let Some(first) = real.first() else {
        return match tensors.first() {
            Some(first) => call.result([0], first.dtype),
            None => refuse("nothing to put together"),
        };
    };
    let default = match call.name {
        "hstack" => i64::from(first.rank() > 1),
        _ => 0,
    };
    let at = call.axis_of("dim|axis", default, first)?;
    let mut shape = first.shape.to_vec();
    let mut parts = vec![shape[at]];
    let mut dtype = first.dtype;
    for tensor in &real[1..] {
        let fits = tensor.rank() == first.rank()
            && (0..first.rank()).all(|axis| axis == at || tensor.shape[axis] == first.shape[axis]);
        if !fits {
            return refuse(format!(
                "{:?} and {:?} may differ on axis {at} alone",
                first.shape, tensor.shape
            ));
        }
        dtype = super::pointwise::promote(dtype, tensor.dtype);
        parts.push(tensor.shape[at]);
    }
    let words: Vec<String> = parts.iter().map(usize::to_string).collect();
    shape[at] = parts
        .iter()
        .fold(0, |n: usize, &part| n.saturating_add(part));
    call.said.detail = format!("dim {at}: {} = {}", words.join(" + "), shape[at]);
    call.result(shape, dtype)
}

pub(super) fn stack(call: &mut Call<'_>) -> Outcome {
    let tensors = call.tensors("tensors")?;
    let Some(first) = tensors.first() else {
        return refuse("nothing to stack");
    };
    if let Some(other) = tensors.iter().find(|tensor| tensor.shape != first.shape) {
        return refuse(format!("{:?} and {:?} differ", first.shape, other.shape));
    }
    let at = axis(call.int("dim", 0)?, first.rank() + 1)?;
    let mut shape = first.shape.to_vec();
    shape.insert(at, tensors.len());
    call.result(shape, first.dtype)
}

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

/// `expand(self, size)`, `broadcast_to`, `expand_as(self, other)`, `view_as`, `reshape_as`
pub(super) fn expand(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    if call.name.ends_with("_as") {
        let other = call.tensor("other")?;
        if call.name == "expand_as" {
            return expanded(
                call,
                &input,
                &other.shape.iter().map(|&n| n as i64).collect::<Vec<_>>(),
            );
        }
        let sizes: Vec<i64> = other.shape.iter().map(|&n| n as i64).collect();
        let shape = solve(&input.shape, &sizes)?;
        return view_of(call, &input, shape);
    }
    let sizes = call.ints("size")?.unwrap_or_default();
    expanded(call, &input, &sizes)
}

fn expanded(call: &mut Call<'_>, input: &Tensor, sizes: &[i64]) -> Outcome {
    let Some(new) = sizes.len().checked_sub(input.rank()) else {
        return refuse(format!("{:?} has more axes than {sizes:?}", input.shape));
    };
    let mut shape = Vec::new();
    for (axis, &size) in sizes.iter().enumerate() {
        let old = axis.checked_sub(new).map(|at| input.shape[at]);
        shape.push(match (old, usize::try_from(size)) {
            (Some(old), Err(_)) => old,
            (Some(old), Ok(size)) if old == size || old == 1 => size,
            (None, Ok(size)) => size,
            _ => return refuse(format!("{:?} cannot be expanded to {sizes:?}", input.shape)),
        });
    }
    view_of(call, input, shape)
}

/// `repeat(self, repeats)`, `tile(self, dims)`
pub(super) fn repeat(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let mut repeats = call.ints("repeats|dims")?.unwrap_or_default();
    let mut shape = input.shape.to_vec();
    if call.name == "tile" {
        while repeats.len() < shape.len() {
            repeats.insert(0, 1);
        }
    }
    if repeats.len() < shape.len() {
        return refuse(format!(
            "{repeats:?} has fewer axes than shape {:?}",
            input.shape
        ));
    }
    while shape.len() < repeats.len() {
        shape.insert(0, 1);
    }
    for (size, times) in shape.iter_mut().zip(&repeats) {
        *size = size.saturating_mul(usize::try_from(*times).unwrap_or(0));
    }
    call.result(shape, input.dtype)
}

/// `repeat_interleave(self, repeats, dim)`
pub(super) fn repeat_interleave(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let Some(times) = call.get("repeats").and_then(Value::int) else {
        return unknown("how often each is repeated depends on the data");
    };
    let times = usize::try_from(times).unwrap_or(0);
    if !call.has("dim") {
        return call.result(
            [input.numel().unwrap_or(0).saturating_mul(times)],
            input.dtype,
        );
    }
    let at = call.axis_of("dim", 0, &input)?;
    let mut shape = input.shape.to_vec();
    shape[at] = shape[at].saturating_mul(times);
    call.result(shape, input.dtype)
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

/// `channel_shuffle(self, groups)`
pub(super) fn channel_shuffle(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self")?;
    let groups = usize::try_from(call.int("groups", 1)?).unwrap_or(0);
    let channels = input.shape.get(1).copied().unwrap_or(0);
    if groups == 0 || channels % groups != 0 {
        return refuse(format!("{channels} channels cannot form {groups} groups"));
    }
    call.result(input.shape.to_vec(), input.dtype)
}
