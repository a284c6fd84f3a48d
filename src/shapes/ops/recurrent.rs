//! LSTM, GRU, RNN, and their cells.

use crate::shapes::call::{Call, Outcome, Wrong, refuse, takes_other, unknown};
use crate::shapes::value::{Tensor, Value};

/// `lstm(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)`, `gru`, `rnn_tanh`,
/// `rnn_relu`. With packed sequences the second argument is the batch sizes.
pub(super) fn recurrent(call: &mut Call<'_>) -> Outcome {
    let input = call.tensor("input|data")?;
    if call.has("batch_sizes") || matches!(call.at(3), Some(Value::List(_))) {
        return unknown("a packed sequence: its lengths are data");
    }
    let weights = call.tensors("params")?;
    let states = match call.get("hx") {
        Some(Value::Tensor(state)) => vec![state.clone()],
        _ => call.tensors("hx")?,
    };
    let directions = 1 + usize::from(call.bool("bidirectional")?);
    let layers = usize::try_from(call.int("num_layers", 1)?).unwrap_or(0);
    let batch_first = call.bool("batch_first")?;
    let (Some(first), Some(recurrent)) = (weights.first(), weights.get(1)) else {
        return unknown("its weights are not known");
    };
    let (&[_, takes], &[_, hidden]) = (&*first.shape, &*recurrent.shape) else {
        return refuse("its weights are no matrices");
    };
    // with proj_size the state that goes round is smaller than the cell
    let gates = if call.name == "lstm" {
        4
    } else if call.name == "gru" {
        3
    } else {
        1
    };
    let cell = first.shape[0] / gates;
    let Some((&got, lead)) = input.shape.split_last() else {
        return refuse("a number is no sequence");
    };
    if got != takes {
        return takes_other(Wrong::Features, takes, "features", got);
    }
    let batch = match lead.len() {
        1 => None,
        2 => Some(lead[usize::from(!batch_first)]),
        _ => return refuse(format!("takes 2 or 3 axes, got shape {:?}", input.shape)),
    };
    let mut shape = lead.to_vec();
    shape.push(hidden.saturating_mul(directions));
    let state = |size: usize| {
        let mut shape = vec![layers.saturating_mul(directions)];
        shape.extend(batch);
        shape.push(size);
        shape
    };
    if let Some(given) = states.first()
        && *given.shape != state(hidden)[..]
    {
        return refuse(format!(
            "the state has shape {:?}, expected {:?}",
            given.shape,
            state(hidden)
        ));
    }
    let steps = lead
        .iter()
        .fold(1u64, |n, &size| n.saturating_mul(size as u64));
    let products: u64 = weights
        .iter()
        .filter(|weight| weight.rank() == 2)
        .map(|weight| weight.numel().unwrap_or(0) as u64)
        .fold(0, u64::saturating_add);
    call.said.macs = steps.saturating_mul(products);
    call.said.detail = format!(
        "{takes}->{hidden}, {layers} layer{}",
        if layers == 1 { "" } else { "s" }
    );
    if directions == 2 {
        call.said.detail += ", both ways";
    }
    let output = call.result(shape, input.dtype)?;
    let mut items = vec![output, call.result(state(hidden), input.dtype)?];
    if call.name == "lstm" {
        items.push(call.result(state(cell), input.dtype)?);
    }
    Ok(Value::tuple(items))
}

/// `lstm_cell(input, hx, w_ih, w_hh, ...)`, `gru_cell`, `rnn_tanh_cell`, `rnn_relu_cell`
pub(super) fn cell(call: &mut Call<'_>) -> Outcome {
    let (input, weight, recurrent) = (
        call.tensor("input")?,
        call.tensor("w_ih")?,
        call.tensor("w_hh")?,
    );
    let (Some(&got), Some(&takes)) = (input.shape.last(), weight.shape.last()) else {
        return refuse("a number is no input");
    };
    if got != takes {
        return takes_other(Wrong::Features, takes, "features", got);
    }
    let hidden = recurrent.shape.last().copied().unwrap_or(0);
    let mut shape = input.shape[..input.rank() - 1].to_vec();
    let batch = shape
        .iter()
        .fold(1u64, |n, &size| n.saturating_mul(size as u64));
    let products = |weight: &Tensor| weight.numel().unwrap_or(0) as u64;
    call.said.macs = batch.saturating_mul(products(&weight).saturating_add(products(&recurrent)));
    shape.push(hidden);
    let state = call.result(shape, input.dtype)?;
    match call.name {
        "lstm_cell" => Ok(Value::tuple(vec![state.clone(), state])),
        _ => Ok(state),
    }
}
