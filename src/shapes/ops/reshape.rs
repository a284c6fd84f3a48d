//! What gives the same elements another shape, or takes some of them.

use crate::shapes::call::{Call, Outcome, Wrong, axis, mismatch, refuse, unknown};
use crate::shapes::value::{Tensor, Value, product};

pub(super) fn view_of(call: &mut Call<'_>, input: &Tensor, shape: Vec<usize>) -> Outcome {
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
