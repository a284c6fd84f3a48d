//! Other numbers to compute with: float64, TF32, bfloat16, float16 in place of float32.

use half::bf16;
use half::f16;
use serde_json::json;

use super::Different;
use super::Finding;
use super::Scene;
use crate::execute::FloatType;
use crate::execute::kernel::Tiled;
use crate::verify::compare::same;
use crate::verify::textbook::Reading;
use crate::verify::textbook::Sum;
use crate::verify::textbook::Textbook;

/// Elements that are looked at.
const LOOK: usize = 256;

fn looked_at<R: Tiled>(scene: &Scene<'_, R>) -> Vec<usize> {
    let all: Vec<usize> = (0..scene.raw.expected.len()).collect();
    super::spread(&all, LOOK)
}

/// Differences as small as roundings.
pub(super) fn small<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Finding {
    let elements = scene.raw.expected.len();
    let flats = looked_at(scene);
    let rounded = flats.iter().filter(|&&flat| {
        let sum = scene.problem.sum(scene.problem.place(flat));
        let once = R::from_f64(sum.value).rounded(scene.problem.dtype);
        same(scene.raw.expected[flat], once)
    });
    let rounded = rounded.count();
    // short sums are rounded right in many orders; then this says nothing
    let told_apart = 2 * (elements - different.flats.len()) < elements;
    if scene.problem.dtype != FloatType::Float64 && told_apart && 50 * rounded >= 49 * flats.len() {
        let text = format!(
            "computed in float64 and rounded once: so come out {rounded} of {} elements looked at",
            flats.len()
        );
        let details =
            json!({"as": "float64", "sampled": flats.len(), "sampled_identical": rounded});
        return Finding::new("precision", text, details);
    }
    let identical = elements - different.flats.len();
    let text = format!(
        "another order of the same additions: every difference is as small as roundings are, so tensors and \
         arguments are right. The closest order agrees in {:.1} %. A library that does not sum products (Winograd, FFT), \
         or a kernel that this program does not know?",
        100.0 * identical as f64 / elements.max(1) as f64
    );
    Finding::new("order", text, json!({"identical": identical}))
}

/// Numbers with fewer digits than float32.
struct Narrow {
    name: &'static str,
    round: fn(f64) -> f64,
}

const NARROW: [Narrow; 4] = [
    Narrow {
        name: "bfloat16",
        round: |x| bf16::from_f64(x).to_f64(),
    },
    Narrow {
        name: "float16",
        round: |x| f16::from_f64(x).to_f64(),
    },
    Narrow {
        name: "TF32",
        round: |x| to_tf32(x, true),
    },
    Narrow {
        name: "TF32 (cut off)",
        round: |x| to_tf32(x, false),
    },
];

/// Ten bits of mantissa: to nearest with ties away from zero, as the conversion instruction does, or cut off, as the
/// tensor cores do.
fn to_tf32(x: f64, nearest: bool) -> f64 {
    let bits = (x as f32).to_bits();
    let half = if nearest { 1 << 12 } else { 0 };
    f64::from(f32::from_bits((bits.wrapping_add(half)) & !0x1fff))
}

/// Differences that fewer digits would make.
pub(super) fn low<R: Tiled>(scene: &Scene<'_, R>) -> Option<Finding> {
    if scene.problem.dtype != FloatType::Float32 {
        return None;
    }
    let flats = looked_at(scene);
    let reading = scene.reading();
    stored(scene, &flats, &reading).or_else(|| operands(scene, &flats, &reading))
}

/// The tensors rounded to `narrow`.
fn rounded_book<R: Tiled>(scene: &Scene<'_, R>, narrow: &Narrow, with_bias: bool) -> Textbook {
    let mut book = scene.book();
    let round = |values: &mut Vec<f64>| values.iter_mut().for_each(|v| *v = (narrow.round)(*v));
    round(&mut book.input);
    round(&mut book.weight);
    if with_bias {
        book.bias.as_mut().into_iter().for_each(round);
    }
    book
}

fn sums<R: Tiled>(
    scene: &Scene<'_, R>,
    book: &Textbook,
    reading: &Reading,
    flats: &[usize],
) -> Vec<Sum> {
    let shape = scene.raw.output_shape;
    let sum = |&flat: &usize| book.sum(reading, super::index(shape, flat));
    flats.iter().map(sum).collect()
}

/// Every saved number is one of the narrow type: a model in that type, or autocast.
fn stored<R: Tiled>(scene: &Scene<'_, R>, flats: &[usize], reading: &Reading) -> Option<Finding> {
    let values: Vec<f64> = flats
        .iter()
        .map(|&flat| scene.raw.expected[flat].to_f64())
        .collect();
    let narrow = NARROW[..2].iter().find(|narrow| {
        let is_one = |&v: &f64| v == (narrow.round)(v) || v.is_nan();
        values.iter().all(is_one) && values.iter().any(|v| *v != 0.0)
    })?;
    let book = rounded_book(scene, narrow, true);
    let sums = sums(scene, &book, reading, flats);
    // one unit of the narrow type: roundings before the last may tip it
    let unit = if narrow.name == "bfloat16" {
        2f64.powi(-7)
    } else {
        2f64.powi(-10)
    };
    let near = sums.iter().zip(&values).filter(|(sum, value)| {
        (sum.value - **value).abs() <= unit * sum.value.abs() + unit * 1e-3 * sum.magnitude
    });
    let near = near.count();
    if 20 * near < 19 * flats.len() {
        return None;
    }
    let once = sums
        .iter()
        .zip(&values)
        .filter(|(s, v)| (narrow.round)(s.value) == **v);
    let text = format!(
        "computed in {}: every saved number is one of that type, and {near} of {} looked at are what it gives \
         ({} to the bit). A model in {}, or autocast, saved as float32?",
        narrow.name,
        flats.len(),
        once.count(),
        narrow.name
    );
    let details = json!({"as": narrow.name, "sampled": flats.len(), "sampled_fitting": near});
    Some(Finding::new("precision", text, details))
}

/// The factors rounded, the sum in float32: tensor cores, or oneDNN's fast-math modes.
fn operands<R: Tiled>(scene: &Scene<'_, R>, flats: &[usize], reading: &Reading) -> Option<Finding> {
    let (fitting, narrow) = NARROW
        .iter()
        .map(|narrow| {
            let book = rounded_book(scene, narrow, false);
            let sums = sums(scene, &book, reading, flats);
            let fits = |(sum, flat): &(&Sum, &usize)| {
                book.fits(**sum, scene.raw.expected[**flat].to_f64())
            };
            (sums.iter().zip(flats).filter(fits).count(), narrow)
        })
        .max_by_key(|(fitting, _)| *fitting)?;
    if 20 * fitting < 19 * flats.len() {
        return None;
    }
    let (inputs, name) = ("input and weight rounded to", narrow.name);
    let text = format!(
        "computed in {name}: with {inputs} {name} before they are multiplied, {fitting} of {} elements looked at \
         come out but for roundings. A GPU, or torch.set_float32_matmul_precision?",
        flats.len()
    );
    let details = json!({"as": name, "sampled": flats.len(), "sampled_fitting": fitting});
    Some(Finding::new("precision", text, details))
}
