//! Matrix products: fully connected layers, attention, einsum. Multiply-adds are counted as the number of products.

use super::pointwise::broadcast;
use crate::shapes::call::{Call, Outcome, Wrong, mismatch, refuse, unknown};
use crate::shapes::value::{Tensor, Value};

fn count(factors: &[usize]) -> u64 {
    factors
        .iter()
        .fold(1u64, |n, &factor| n.saturating_mul(factor as u64))
}

/// `linear(input, weight, bias)`
pub(super) fn linear(call: &mut Call<'_>) -> Outcome {
    let (input, weight) = (call.tensor("input|self")?, call.tensor("weight")?);
    let (gives, takes) = match *weight.shape {
        [gives, takes] => (Some(gives), takes),
        [takes] => (None, takes),
        _ => {
            return refuse(format!(
                "a weight of shape {:?} is no linear layer's",
                weight.shape
            ));
        }
    };
    let Some((&got, lead)) = input.shape.split_last() else {
        return refuse("a number is no input");
    };
    if got != takes {
        let why = format!(
            "takes {takes} feature{}, got {got}",
            if takes == 1 { "" } else { "s" }
        );
        return mismatch(Wrong::Features, takes, got, why);
    }
    if let (Some(bias), Some(gives)) = (call.optional("bias")?, gives)
        && broadcast(&bias.shape, &[gives]).is_err()
    {
        return refuse(format!(
            "the bias has shape {:?}, expected [{gives}]",
            bias.shape
        ));
    }
    let mut shape = lead.to_vec();
    shape.extend(gives);
    call.said.macs = count(lead).saturating_mul(count(&weight.shape));
    call.said.detail = format!("{takes}->{}", gives.unwrap_or(1));
    call.result(shape, input.dtype)
}

/// `bilinear(input1, input2, weight, bias)`: weight `[out, in1, in2]`.
pub(super) fn bilinear(call: &mut Call<'_>) -> Outcome {
    let (a, b, weight) = (
        call.tensor("input1")?,
        call.tensor("input2")?,
        call.tensor("weight")?,
    );
    let [gives, first, second] = *weight.shape else {
        return refuse(format!(
            "a weight of shape {:?} is no bilinear layer's",
            weight.shape
        ));
    };
    let (Some((&x, lead)), Some((&y, other))) = (a.shape.split_last(), b.shape.split_last()) else {
        return refuse("a number is no input");
    };
    if (x, y) != (first, second) {
        return mismatch(
            Wrong::Features,
            if x == first { second } else { first },
            if x == first { y } else { x },
            format!("takes {first} and {second} features, got {x} and {y}"),
        );
    }
    if lead != other {
        return refuse(format!("{:?} and {:?} differ", a.shape, b.shape));
    }
    let mut shape = lead.to_vec();
    shape.push(gives);
    call.said.macs = count(lead).saturating_mul(count(&weight.shape));
    call.result(shape, a.dtype)
}

fn inner<T>(a: &[usize], b: &[usize], x: usize, y: usize) -> Outcome<T> {
    mismatch(
        Wrong::Features,
        y,
        x,
        format!("{a:?} times {b:?}: {x} columns meet {y} rows"),
    )
}

/// `matmul(self, other)`, with batches broadcast; `mm`, `bmm`, `mv`, `dot` are stricter cases of it.
pub(super) fn matmul(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (
        call.tensor("self|input")?,
        call.tensor("other|mat2|vec|tensor")?,
    );
    let wanted = match call.name {
        "mm" => Some((2, 2)),
        "bmm" => Some((3, 3)),
        "mv" => Some((2, 1)),
        "dot" | "vdot" | "inner" => Some((1, 1)),
        _ => None,
    };
    if wanted.is_some_and(|(x, y)| (a.rank(), b.rank()) != (x, y)) && call.name != "inner" {
        return refuse(format!(
            "{} takes no {:?} and {:?}",
            call.name, a.shape, b.shape
        ));
    }
    let (shape, macs) = multiplied(&a.shape, &b.shape)?;
    if call.name == "bmm" && a.shape[0] != b.shape[0] {
        return refuse(format!(
            "{:?} and {:?} have different batches",
            a.shape, b.shape
        ));
    }
    call.said.macs = macs;
    call.said.detail = "@".to_owned();
    call.result(shape, a.dtype)
}

fn multiplied(a: &[usize], b: &[usize]) -> Outcome<(Vec<usize>, u64)> {
    if a.is_empty() || b.is_empty() {
        return refuse("a number is no matrix");
    }
    // a vector is a row on the left and a column on the right
    let left: Vec<usize> = if a.len() == 1 {
        vec![1, a[0]]
    } else {
        a.to_vec()
    };
    let right: Vec<usize> = if b.len() == 1 {
        vec![b[0], 1]
    } else {
        b.to_vec()
    };
    let (batch_a, batch_b) = (&left[..left.len() - 2], &right[..right.len() - 2]);
    let (m, k) = (left[left.len() - 2], left[left.len() - 1]);
    let (rows, n) = (right[right.len() - 2], right[right.len() - 1]);
    if k != rows {
        return inner(a, b, k, rows);
    }
    let Ok(mut shape) = broadcast(batch_a, batch_b) else {
        return refuse(format!("{a:?} times {b:?}: the batches differ"));
    };
    let macs = count(&shape).saturating_mul(count(&[m, k, n]));
    if a.len() > 1 {
        shape.push(m);
    }
    if b.len() > 1 {
        shape.push(n);
    }
    Ok((shape, macs))
}

/// `addmm(self, mat1, mat2)`, `baddbmm(self, batch1, batch2)`, `addmv`, `addbmm`
pub(super) fn add_product(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("self|input")?;
    let (a, b) = (
        call.tensor("mat1|batch1|mat")?,
        call.tensor("mat2|batch2|vec")?,
    );
    let (mut shape, macs) = multiplied(&a.shape, &b.shape)?;
    if call.name == "addbmm" && shape.len() == 3 {
        shape.remove(0);
    }
    match broadcast(&shape, &input.shape) {
        Ok(sum) if sum == shape => {}
        _ => return refuse(format!("{:?} cannot be added to {shape:?}", input.shape)),
    }
    call.said.macs = macs;
    call.result(shape, a.dtype)
}

/// `outer(self, vec2)`
pub(super) fn outer(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.tensor("self")?, call.tensor("vec2")?);
    let (Some(rows), Some(columns)) = (a.numel(), b.numel()) else {
        return refuse("too many elements");
    };
    call.result([rows, columns], a.dtype)
}

/// `scaled_dot_product_attention(query, key, value, ...)`: `[..., L, E]`, `[..., S, E]`, `[..., S, Ev]`.
pub(super) fn attention(call: &mut Call<'_>) -> Outcome {
    let (q, k, v) = (
        call.tensor("query")?,
        call.tensor("key")?,
        call.tensor("value")?,
    );
    for tensor in [&q, &k, &v] {
        if tensor.rank() < 2 {
            return refuse(format!("{:?} is no sequence of vectors", tensor.shape));
        }
    }
    let last = |tensor: &Tensor, back: usize| tensor.shape[tensor.rank() - back];
    if last(&q, 1) != last(&k, 1) {
        return inner(&q.shape, &k.shape, last(&q, 1), last(&k, 1));
    }
    if last(&k, 2) != last(&v, 2) {
        return refuse(format!("{} keys and {} values", last(&k, 2), last(&v, 2)));
    }
    let batch = |tensor: &Tensor| tensor.shape[..tensor.rank() - 2].to_vec();
    let mut lead = batch(&q);
    if call.bool("enable_gqa")? {
        // fewer key heads, each used by several query heads
    } else {
        for other in [batch(&k), batch(&v)] {
            lead = match broadcast(&lead, &other) {
                Ok(lead) => lead,
                Err(_) => {
                    return refuse(format!(
                        "{:?}, {:?} and {:?} have different batches",
                        q.shape, k.shape, v.shape
                    ));
                }
            };
        }
    }
    let (length, keys) = (last(&q, 2), last(&k, 2));
    let each =
        count(&[length, keys, last(&q, 1)]).saturating_add(count(&[length, keys, last(&v, 1)]));
    call.said.macs = count(&lead).saturating_mul(each);
    let mut shape = lead;
    shape.extend([length, last(&v, 1)]);
    call.said.detail = format!("{length} queries, {keys} keys");
    call.result(shape, q.dtype)
}

/// `[N, L, E]`, or a refusal.
fn sequence(tensor: &Tensor, size: usize) -> Outcome<(usize, usize)> {
    match *tensor.shape {
        [batch, length, got] if got == size => Ok((batch, length)),
        [_, _, got] => mismatch(
            Wrong::Features,
            size,
            got,
            format!("takes {size} features, got {got}"),
        ),
        _ => refuse(format!("takes 3 axes, got shape {:?}", tensor.shape)),
    }
}

/// Products of an attention with its four projections.
fn attention_macs(batch: usize, length: usize, keys: usize, size: usize) -> u64 {
    let projections = count(&[batch, size, size]).saturating_mul(2 * (length as u64 + keys as u64));
    projections.saturating_add(count(&[2, batch, length, keys, size]))
}

/// `_native_multi_head_attention(query, key, value, embed_dim, ...)`: what `nn.MultiheadAttention` takes in evaluation.
pub(super) fn native_attention(call: &mut Call<'_>) -> Outcome {
    let (q, k, v) = (
        call.tensor("query")?,
        call.tensor("key")?,
        call.tensor("value")?,
    );
    let size = usize::try_from(call.int("embed_dim", 0)?).unwrap_or(0);
    let heads = call.int("num_head", 1)?;
    let ((batch, length), (_, keys)) = (sequence(&q, size)?, sequence(&k, size)?);
    sequence(&v, size)?;
    call.said.macs = attention_macs(batch, length, keys, size);
    call.said.detail = format!("{heads} heads, {length} queries, {keys} keys");
    let output = call.result([batch, length, size], q.dtype)?;
    let weights = match (
        call.get("need_weights").and_then(Value::truth),
        call.get("average_attn_weights").and_then(Value::truth),
    ) {
        (Some(false), _) => Value::None,
        (_, Some(false)) => call.result(
            [batch, usize::try_from(heads).unwrap_or(0), length, keys],
            q.dtype,
        )?,
        _ => call.result([batch, length, keys], q.dtype)?,
    };
    Ok(Value::tuple(vec![output, weights]))
}

/// `_transformer_encoder_layer_fwd(src, embed_dim, num_heads, ...)`: a whole `nn.TransformerEncoderLayer` in one.
pub(super) fn encoder_layer(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("src")?;
    let size = usize::try_from(call.int("embed_dim", 0)?).unwrap_or(0);
    let (batch, length) = sequence(&input, size)?;
    let feed = [call.tensor("ffn_weight_1")?, call.tensor("ffn_weight_2")?];
    let feed = feed
        .iter()
        .map(|weight| count(&weight.shape))
        .fold(0u64, u64::saturating_add);
    let attention = attention_macs(batch, length, length, size);
    call.said.macs = attention.saturating_add(count(&[batch, length]).saturating_mul(feed));
    call.result(input.shape.to_vec(), input.dtype)
}

/// `einsum(equation, tensors)`
pub(super) fn einsum(call: &mut Call<'_>) -> Outcome {
    let Some(Value::Str(equation)) = call.get("equation") else {
        return unknown("the equation is not known");
    };
    let tensors = call.tensors("tensors")?;
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (inputs, output) = match equation.split_once("->") {
        Some((inputs, output)) => (inputs.to_owned(), Some(output.to_owned())),
        None => (equation.clone(), None),
    };
    let terms: Vec<&str> = inputs.split(',').collect();
    if terms.len() != tensors.len() {
        return refuse(format!(
            "{equation:?} is about {} tensors, got {}",
            terms.len(),
            tensors.len()
        ));
    }
    let mut sizes: Vec<(char, usize)> = Vec::new();
    let mut rest: Vec<usize> = Vec::new(); // what "..." stands for
    for (term, tensor) in terms.iter().zip(&tensors) {
        let letters: Vec<char> = term.replace("...", "").chars().collect();
        let Some(open) = tensor.rank().checked_sub(letters.len()) else {
            return refuse(format!(
                "{term:?} does not describe shape {:?}",
                tensor.shape
            ));
        };
        let before = term.find("...").unwrap_or(term.len());
        if open > 0 && !term.contains("...") {
            return refuse(format!(
                "{term:?} does not describe shape {:?}",
                tensor.shape
            ));
        }
        let Ok(joined) = broadcast(&rest, &tensor.shape[before.min(letters.len())..][..open])
        else {
            return refuse(format!("{equation:?}: the batches differ"));
        };
        rest = joined;
        for (number, letter) in letters.iter().enumerate() {
            let size = tensor.shape[if number < before {
                number
            } else {
                number + open
            }];
            match sizes.iter_mut().find(|(known, _)| known == letter) {
                Some((_, known)) if *known == size || size == 1 => {}
                Some((_, known)) if *known == 1 => *known = size,
                Some((_, known)) => {
                    return refuse(format!("{equation:?}: {letter} is {known} and {size}"));
                }
                None => sizes.push((*letter, size)),
            }
        }
    }
    let output = output.unwrap_or_else(|| {
        // letters that occur once, in order of the alphabet
        let mut once: Vec<char> = sizes
            .iter()
            .map(|(letter, _)| *letter)
            .filter(|c| inputs.matches(*c).count() == 1)
            .collect();
        once.sort_unstable();
        let dots = if inputs.contains("...") { "..." } else { "" };
        dots.to_owned() + &once.into_iter().collect::<String>()
    });
    let mut shape = Vec::new();
    let mut letters = output.as_str();
    while let Some(letter) = letters.chars().next() {
        if let Some(after) = letters.strip_prefix("...") {
            shape.extend(&rest);
            letters = after;
            continue;
        }
        match sizes.iter().find(|(known, _)| *known == letter) {
            Some((_, size)) => shape.push(*size),
            None => return refuse(format!("{equation:?}: {letter} is in no input")),
        }
        letters = &letters[letter.len_utf8()..];
    }
    if tensors.len() > 1 {
        let all: Vec<usize> = sizes.iter().map(|(_, size)| *size).chain(rest).collect();
        call.said.macs = count(&all);
    }
    call.said.detail = equation;
    let dtype = tensors
        .first()
        .map_or(crate::tensor::DType::Float32, |tensor| tensor.dtype);
    call.result(shape, dtype)
}

/// `embedding(weight, indices)`
pub(super) fn embedding(call: &mut Call<'_>) -> Outcome {
    let (weight, indices) = (call.tensor("weight")?, call.tensor("indices")?);
    let [vectors, size] = *weight.shape else {
        return refuse(format!(
            "a weight of shape {:?} is no table of vectors",
            weight.shape
        ));
    };
    let mut shape = indices.shape.to_vec();
    shape.push(size);
    call.said.detail = format!("{vectors} vectors of {size}");
    call.result(shape, weight.dtype)
}

/// `embedding_bag(weight, indices, offsets, ...)`: one vector per bag.
pub(super) fn embedding_bag(call: &mut Call<'_>) -> Outcome {
    let (weight, indices) = (call.tensor("weight")?, call.tensor("indices")?);
    let bags = match call.optional("offsets")? {
        Some(offsets) => offsets
            .numel()
            .unwrap_or(0)
            .saturating_sub(usize::from(call.bool("include_last_offset")?)),
        None => indices.shape.first().copied().unwrap_or(0),
    };
    let size = weight.shape.last().copied().unwrap_or(0);
    let output = call.result([bags, size], weight.dtype)?;
    let none = Value::Unknown;
    Ok(Value::tuple(vec![output, none.clone(), none.clone(), none]))
}

/// `cdist(x1, x2)`
pub(super) fn cdist(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.tensor("x1")?, call.tensor("x2")?);
    if a.rank() < 2 || b.rank() < 2 || a.shape.last() != b.shape.last() {
        return refuse(format!(
            "{:?} and {:?} are no lists of vectors of one size",
            a.shape, b.shape
        ));
    }
    let (x, y) = (a.rank() - 2, b.rank() - 2);
    let Ok(mut shape) = broadcast(&a.shape[..x], &b.shape[..y]) else {
        return refuse(format!(
            "{:?} and {:?} have different batches",
            a.shape, b.shape
        ));
    };
    shape.extend([a.shape[x], b.shape[y]]);
    call.result(shape, a.dtype)
}

/// `cosine_similarity(x1, x2, dim)`, `pairwise_distance`
pub(super) fn similarity(call: &mut Call<'_>) -> Outcome {
    let (a, b) = (call.tensor("x1")?, call.tensor("x2")?);
    let mut shape = super::pointwise::broadcast_all(&[a.clone(), b])?;
    if shape.is_empty() {
        return refuse("a number is no vector");
    }
    let default = if call.name == "cosine_similarity" {
        1
    } else {
        -1
    };
    let at = call.axis("dim", default, shape.len())?;
    match call.bool("keepdim")? {
        true => shape[at] = 1,
        false => {
            shape.remove(at);
        }
    }
    call.result(shape, a.dtype)
}
