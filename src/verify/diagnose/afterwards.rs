//! Something was done to the output before it was saved: an activation (in-place ones reach a saved tensor as well),
//! a factor, a normalisation.

use serde_json::json;

use super::Different;
use super::Finding;
use super::Scene;
use super::filters;
use super::spread;
use crate::execute::kernel::Tiled;
use crate::verify::textbook::tolerance;

/// Elements that are looked at.
const LOOK: usize = 512;

struct Activation {
    name: &'static str,
    apply: fn(f64) -> f64,
}

const ACTIVATIONS: [Activation; 8] = [
    Activation {
        name: "ReLU",
        apply: |x| x.max(0.0),
    },
    Activation {
        name: "ReLU6",
        apply: |x| x.clamp(0.0, 6.0),
    },
    Activation {
        name: "LeakyReLU(0.01)",
        apply: |x| if x < 0.0 { 0.01 * x } else { x },
    },
    Activation {
        name: "SiLU",
        apply: |x| x / (1.0 + (-x).exp()),
    },
    Activation {
        name: "Hardswish",
        apply: |x| x * (x + 3.0).clamp(0.0, 6.0) / 6.0,
    },
    Activation {
        name: "sigmoid",
        apply: |x| 1.0 / (1.0 + (-x).exp()),
    },
    Activation {
        name: "tanh",
        apply: f64::tanh,
    },
    Activation {
        name: "LeakyReLU(0.1)",
        apply: |x| if x < 0.0 { 0.1 * x } else { x },
    },
];

/// One of all that.
pub(super) fn done<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Option<Finding> {
    activation(scene, different)
        .or_else(|| bias(scene))
        .or_else(|| scaled(scene))
        .or_else(|| normalised(scene))
}

/// Saved, computed, and what rounding allows.
fn looked_at<R: Tiled>(scene: &Scene<'_, R>, flats: &[usize]) -> Vec<(f64, f64, f64)> {
    flats
        .iter()
        .map(|&flat| {
            let sum = scene.problem.sum(scene.problem.place(flat));
            let allowed = tolerance(scene.problem.dtype, scene.geometry().taps(), sum);
            (scene.raw.expected[flat].to_f64(), sum.value, 2.0 * allowed)
        })
        .collect()
}

fn activation<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Option<Finding> {
    let all: Vec<usize> = (0..scene.raw.expected.len()).collect();
    let mut flats = spread(&all, LOOK);
    flats.extend(spread(&different.flats, LOOK / 4));
    let values = looked_at(scene, &flats);
    let found = ACTIVATIONS.iter().find(|activation| {
        let fits = |(saved, computed, allowed): &(f64, f64, f64)| {
            let wanted = (activation.apply)(*computed);
            (saved - wanted).abs() <= allowed + 4.0 * f64::from(f32::EPSILON) * wanted.abs()
        };
        values.iter().all(fits)
    })?;
    let text = format!(
        "saved after {}: applied to the computed output it gives the saved one in all {} elements looked at. \
         An activation that works in place overwrites what a hook has saved: save a copy",
        found.name,
        values.len()
    );
    let details = json!({"activation": found.name, "sampled": values.len()});
    Some(Finding::new("afterwards", text, details))
}

/// Every filter is off by one number: the bias left out, added twice, or another one.
fn bias<R: Tiled>(scene: &Scene<'_, R>) -> Option<Finding> {
    let filters = scene.geometry().out_channels;
    let shifts: Vec<f64> = (0..filters)
        .map(|filter| filters::shift(scene, filter))
        .collect::<Option<_>>()?;
    let bias = scene.raw.bias;
    let is = |factor: f64| {
        bias.is_some_and(|bias| {
            let pairs = bias.iter().zip(&shifts);
            pairs.into_iter().all(|(bias, shift)| {
                let wanted = factor * bias.to_f64();
                (wanted - shift).abs() <= 1e-4 * wanted.abs() + 1e-6
            })
        })
    };
    let raw = &scene.raw;
    let (text, proof) = if is(-1.0) {
        let identical = scene.proof(raw.input, raw.weight, None, &raw.arguments);
        ("made without the bias", Some(identical))
    } else if is(1.0) {
        ("made with the bias added twice", None)
    } else if bias.is_none() {
        (
            "made with a bias, which the golden does not hold: every filter is off by one number",
            None,
        )
    } else {
        (
            "made with another bias: every filter is off by one number",
            None,
        )
    };
    let finding = Finding::new(
        "bias",
        text,
        json!({"first_shifts": &shifts[..shifts.len().min(8)]}),
    );
    Some(match proof {
        Some(identical) => finding.proved(identical, raw.expected.len()),
        None => finding,
    })
}

/// The saved output, less its bias or not, is the computed one times a number.
fn scaled<R: Tiled>(scene: &Scene<'_, R>) -> Option<Finding> {
    let all: Vec<usize> = (0..scene.raw.expected.len()).collect();
    let flats = spread(&all, LOOK);
    let values = looked_at(scene, &flats);
    for with_bias in [true, false] {
        let bias = |flat: usize| match scene.raw.bias {
            Some(bias) if !with_bias => bias[scene.problem.place(flat)[1]].to_f64(),
            _ => 0.0,
        };
        let pairs = values.iter().zip(&flats);
        let pairs: Vec<(f64, f64, f64)> = pairs
            .map(|(&(saved, computed, allowed), &flat)| {
                (saved - bias(flat), computed - bias(flat), allowed)
            })
            .collect();
        let largest = pairs
            .iter()
            .max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()))?;
        let factor = largest.0 / largest.1;
        let slack = largest.2 / largest.1.abs();
        let fits = |(saved, computed, allowed): &(f64, f64, f64)| {
            let off = (saved - factor * computed).abs();
            off <= (allowed + computed.abs() * slack) * factor.abs().max(1.0)
        };
        if factor.is_finite()
            && factor != 0.0
            && (factor - 1.0).abs() > 1e-4
            && pairs.iter().all(fits)
        {
            let what = match with_bias {
                true => "the saved output is the computed one",
                false => "the saved output is, but for the bias, the computed one",
            };
            let also = match 1.0 / factor {
                inverse
                    if (inverse - inverse.round()).abs() < 1e-3 * inverse.abs()
                        && inverse.abs() > 1.5 =>
                {
                    format!(" (1/{})", inverse.round())
                }
                _ => String::new(),
            };
            let text = format!("{what} times {factor:.6}{also}: another scale of input or weight?");
            return Some(Finding::new("scale", text, json!({"factor": factor})));
        }
    }
    None
}

/// Per filter a factor and an offset, as a BatchNorm has.
fn normalised<R: Tiled>(scene: &Scene<'_, R>) -> Option<Finding> {
    let g = scene.geometry();
    if g.batch * g.pixels() < 8 {
        return None;
    }
    let mut first = None;
    for filter in spread(&(0..g.out_channels).collect::<Vec<_>>(), 16) {
        let flats = spread(&filters::elements(scene, filter), 48);
        let values = looked_at(scene, &flats);
        let by = |a: &&(f64, f64, f64), b: &&(f64, f64, f64)| a.1.total_cmp(&b.1);
        let (low, high) = (values.iter().min_by(by)?, values.iter().max_by(by)?);
        let factor = (high.0 - low.0) / (high.1 - low.1);
        let offset = low.0 - factor * low.1;
        let slack = (low.2 + high.2) * factor.abs().max(1.0);
        let fits = |(saved, computed, allowed): &(f64, f64, f64)| {
            let off = (saved - factor * computed - offset).abs();
            off <= 4.0 * (slack + allowed * factor.abs().max(1.0)) + 1e-6 * offset.abs()
        };
        if !factor.is_finite() || factor == 0.0 || !values.iter().all(fits) {
            return None;
        }
        first.get_or_insert((factor, offset));
    }
    let (factor, offset) = first?;
    // nearly nothing is no normalisation
    if (factor - 1.0).abs() < 1e-2 && offset.abs() < 1e-2 {
        return None;
    }
    let text = format!(
        "saved after a normalisation: each filter has a factor and an offset of its own (filter 0: times {factor:.6}, \
         plus {offset:.6}), as a BatchNorm applies them"
    );
    let details = json!({"filter_0": {"factor": factor, "offset": offset}});
    Some(Finding::new("afterwards", text, details))
}
