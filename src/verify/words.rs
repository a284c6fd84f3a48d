//! What to say about an order that was found by trying.

use serde_json::json;

use crate::execute::Call;
use crate::execute::Order;
use crate::execute::kernel::Tiled;
use crate::execute::order::custom;
use crate::execute::order::custom::Bias;
use crate::execute::order::custom::Parts;
use crate::execute::predict;
use crate::verify::diagnose::Diagnosis;
use crate::verify::diagnose::Finding;
use crate::verify::golden::Case;
use crate::verify::replay::ChosenBy;
use crate::verify::search::Problem;
use crate::verify::trial::Outcome;

/// Why the order that reproduces everything is not the one that the origin predicts; nothing where it is one of those
/// that the origin leaves open.
pub(super) fn found<R: Tiled>(
    call: &Call,
    case: &Case,
    outcome: &Outcome<R>,
    problem: &Problem<'_, R>,
) -> Option<Diagnosis> {
    if outcome.chosen_by != ChosenBy::Search {
        return None;
    }
    let mut findings = Vec::new();
    if let Some(words) = &outcome.variation {
        let text = format!("the origin is not right: PyTorch adds in this order with {words}");
        findings.push(Finding::new("origin", text, json!({"would_fit": words})));
    } else if let Some(words) = unheard_of(call, case, &outcome.order) {
        findings.push(Finding::new("order", words, json!({})));
    }
    if let Some(finding) = old(outcome, problem) {
        findings.push(finding);
    }
    (!findings.is_empty()).then(|| Diagnosis {
        findings,
        ..Diagnosis::default()
    })
}

/// PyTorch of 2017-18 summed on the CPU in a plain loop.
fn old<R: Tiled>(outcome: &Outcome<R>, problem: &Problem<'_, R>) -> Option<Finding> {
    let old = Order::Sequential {
        channels_last: false,
        fused: false,
        bias_last: true,
    };
    let g = problem.geometry;
    // for very few products every order is this one
    let is_old = outcome.order == old || outcome.order.plan(g) == old.plan(g);
    (is_old && g.taps() > 4).then(|| {
        let text = "c, kh, kw in sequence, every product and every sum rounded, the bias last: as PyTorch of 2017-18 \
                    added, and as hand-written loops do";
        Finding::new("order", text, json!({"as": "torch 2017-18"}))
    })
}

/// An order that no origin leads to.
fn unheard_of(call: &Call, case: &Case, order: &Order) -> Option<String> {
    let known = predict::predict(call, &case.origin);
    if known.iter().any(|prediction| prediction.order == *order) {
        return None;
    }
    match order {
        Order::Custom(variant) => Some(format!(
            "an order that no known PyTorch backend has: {}. `--order {order}` pins it",
            spelled_out(variant)
        )),
        Order::Sequential { .. } => None,
        _ if case.origin.is_unknown() => None,
        _ => Some(
            "an order that PyTorch has elsewhere, but not for this layer at this origin or one close to it".into(),
        ),
    }
}

/// The variant in words.
fn spelled_out(variant: &custom::Variant) -> String {
    let name = variant.to_string();
    let loops: Vec<&str> = name
        .chars()
        .take(3)
        .map(|letter| match letter {
            'c' => "channels",
            'h' => "kernel rows",
            _ => "kernel columns",
        })
        .collect();
    let mut words = format!("loops over {}", loops.join(", "));
    if let Some(block) = variant.channel_block {
        words += &format!(" in blocks of {block} channels");
    }
    words += &match variant.parts {
        Parts::One => ", one sum".to_owned(),
        Parts::Blocks(k) => format!(", partial sums of {k} products"),
        Parts::Library(_) => ", partial sums of blocks as matrix libraries cut them".into(),
        Parts::EachBlock => ", a partial sum for each block".into(),
        Parts::EachLoop(1) => format!(", a partial sum for each of the {}", loops[0]),
        Parts::EachLoop(_) => format!(
            ", a partial sum for each of the {} and {}",
            loops[0], loops[1]
        ),
    };
    if let Some((lanes, _)) = variant.lanes {
        words += &format!(" in {lanes} lanes");
    }
    words += if variant.fused {
        ", fused multiply-add"
    } else {
        ", product and sum rounded separately"
    };
    words += match variant.bias {
        Bias::Start => ", going on from the bias",
        Bias::First => ", added to the bias",
        Bias::Second => ", the bias after the first",
        Bias::Last => ", the bias last",
    };
    if variant.zero_padding {
        words += ", padding multiplied as +0";
    }
    words
}
