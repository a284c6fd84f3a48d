//! The sum as JSON, with every step.

use serde_json::Value;
use serde_json::json;

use super::Explained;
use super::accumulator;
use super::bits;
use super::in_float64;
use super::in_padding;
use super::joined;
use super::kept;
use super::product;
use super::ulps;
use crate::execute::FloatType;
use crate::execute::Order;
use crate::execute::Real;
use crate::execute::order::trace::Factors;
use crate::execute::order::trace::Pair;
use crate::execute::order::trace::Row;
use crate::execute::order::trace::Trace;
use crate::execute::order::trace::What;
use crate::render::number;
use crate::tensor::DType;
use crate::tensor::Element;

/// Everything, as JSON.
pub fn json<R: Real>(explained: &Explained<'_, R>) -> Value {
    let (order, trace) = &explained.first;
    let mut document = json!({
        "index": explained.index,
        "taps": explained.geometry.taps(),
        "padding_taps": trace.factors().filter(|f| in_padding(f)).count(),
        "float64": float(in_float64(trace)),
    });
    sum_json(&mut document, order, trace, explained);
    if let Some((order, other)) = &explained.against {
        let mut against = json!({});
        sum_json(&mut against, order, other, explained);
        let pair = Pair::of(trace, other);
        let at = pair.part_at.map(|at| pair.rows[at]);
        against["ulp"] = ulps(trace.result, other.result, explained.dtype).into();
        against["parts_at"] = match at {
            None => Value::Null,
            Some((i, j)) => json!({"step": i, "against_step": j}),
        };
        against["whole"] = match &explained.whole {
            None => Value::Null,
            Some(whole) => json!({
                "elements": whole.elements, "identical": whole.identical, "max_abs": whole.max_abs,
                "max_ulp": whole.max_ulp,
            }),
        };
        document["against"] = against;
    }
    document
}

fn float(value: f64) -> Value {
    number::json(&Element::Float(value), DType::Float64)
}

fn value_json<R: Real>(value: R, dtype: FloatType) -> Value {
    number::json(&Element::Float(value.to_f64()), dtype.dtype())
}

fn sum_json<R: Real>(
    document: &mut Value,
    order: &Order,
    trace: &Trace<R>,
    explained: &Explained<'_, R>,
) {
    document["order"] = order.to_string().into();
    document["result"] = value_json(trace.result, explained.dtype);
    document["bits"] = bits(trace.result, explained.dtype).into();
    let steps = trace.rows.iter();
    let steps = steps.map(|row| step_json(row, trace.at[1], explained));
    document["steps"] = steps.collect::<Vec<_>>().into();
}

fn step_json<R: Real>(row: &Row<R>, filter: usize, explained: &Explained<'_, R>) -> Value {
    let dtype = kept(explained.dtype);
    let value = |value: &R| value_json(*value, dtype);
    let mut step = match &row.what {
        What::Bias(bias) => json!({"what": "bias", "value": value(bias)}),
        What::Product { factors, fused } => {
            let mut step = factors_json("product", factors, filter, explained);
            step["fused"] = (*fused).into();
            step
        }
        What::Skipped(factors) => factors_json("skipped", factors, filter, explained),
        What::Joined { lanes, join } => json!({
            "what": "joined",
            "lanes": lanes.iter().map(value).collect::<Vec<_>>(),
            "as": joined(lanes.len(), *join),
        }),
        What::Part(part, from) => {
            json!({"what": "part", "from": accumulator(*from), "value": value(part)})
        }
        What::NotCalled => json!({"what": "not_called"}),
        What::Flushed => json!({"what": "flushed"}),
    };
    step["into"] = accumulator(row.into).into();
    step["sum"] = value(&row.sum);
    step["bits"] = bits(row.sum, dtype).into();
    step
}

fn factors_json<R: Real>(
    what: &str,
    factors: &Factors<R>,
    filter: usize,
    explained: &Explained<'_, R>,
) -> Value {
    let dtype = explained.dtype;
    let tap = &factors.tap;
    let index = factors
        .weight_at
        .map(|_| json!([filter, tap.channel, tap.row, tap.column]));
    json!({
        "what": what,
        "tap": [tap.channel, tap.row, tap.column],
        "weight_index": index,
        "weight_flat": factors.weight_at,
        "filter_flat": factors.weight_at.map(|at| at - filter * explained.geometry.taps()),
        "input_index": factors.input_at,
        "x": value_json(factors.x, dtype),
        "w": value_json(factors.w, dtype),
        "product": float(product(factors)),
    })
}
