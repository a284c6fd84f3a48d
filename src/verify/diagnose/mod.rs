//! Why does a golden differ?
//!
//! Every answer is computed, never guessed from the looks of a number: a cause is named when the output, or a sample
//! of it, comes out with that cause in place. The differences decide where to look. Those as small as roundings speak
//! for another order or another type of numbers; large ones in a few elements for damage to the output, in whole
//! filters for other weights, everywhere for other arguments, tensors whose axes are taken for others, a lower
//! precision, or something that was done to the output afterwards.

use serde_json::Value;

use crate::execute::Arguments;
use crate::execute::Call;
use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::Order;
use crate::execute::Origin;
use crate::execute::Real;
use crate::execute::conv2d;
use crate::execute::kernel;
use crate::execute::kernel::Kernel;
use crate::execute::kernel::Operands;
use crate::execute::kernel::Tiled;
use crate::execute::predict;
use crate::execute::real;
use crate::verify::compare;
use crate::verify::compare::Difference;
use crate::verify::compare::same;
use crate::verify::search::Problem;
use crate::verify::textbook::Reading;
use crate::verify::textbook::Textbook;
use crate::verify::textbook::tolerance;

mod afterwards;
mod damage;
mod filters;
mod precision;
mod readings;
mod single;

/// What is known about a difference.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// Causes, the likeliest first.
    pub findings: Vec<Finding>,
    /// How many elements are how far apart.
    pub histogram: Vec<Bin>,
    /// The elements that are furthest apart, the worst first.
    pub worst: Vec<Difference>,
}

/// A cause.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is about: `origin`, `order`, `arguments`, ...
    pub kind: &'static str,
    /// A sentence.
    pub text: String,
    /// Elements that come out in every bit with this cause in place, where that was computed.
    pub identical: Option<usize>,
    /// Numbers to go with it.
    pub details: Value,
}

impl Finding {
    pub(super) fn new(kind: &'static str, text: impl Into<String>, details: Value) -> Self {
        Self {
            kind,
            text: text.into(),
            identical: None,
            details,
        }
    }

    fn proved(mut self, identical: usize, elements: usize) -> Self {
        let all = if identical == elements {
            format!("all {elements} elements come out to the bit")
        } else {
            format!("{identical} of {elements} elements come out to the bit")
        };
        self.text += &format!("; with that, {all}");
        self.identical = Some(identical);
        self
    }
}

/// Differences of `from` to `to` units in the last place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    /// Smallest.
    pub from: u64,
    /// Largest.
    pub to: u64,
    /// Elements.
    pub count: usize,
}

/// The tensors as the call got them.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a, R> {
    /// `[N, C, H, W]`
    pub input: &'a [R],
    /// Its shape.
    pub input_shape: [usize; 4],
    /// `[O, C/G, KH, KW]`
    pub weight: &'a [R],
    /// Its shape.
    pub weight_shape: [usize; 4],
    /// `[O]`
    pub bias: Option<&'a [R]>,
    /// The saved output, `[N, O, OH, OW]`.
    pub expected: &'a [R],
    /// Its shape.
    pub output_shape: [usize; 4],
    /// stride, padding, ...
    pub arguments: Arguments,
}

/// A case that differs.
#[derive(Debug)]
pub struct Scene<'a, R> {
    /// The tensors.
    pub raw: Raw<'a, R>,
    /// The same as the backend gets them.
    pub problem: Problem<'a, R>,
    /// The call.
    pub call: &'a Call,
    /// Where it is said to have been made.
    pub origin: &'a Origin,
    /// The order that came closest.
    pub order: Order,
    /// What comes out in it.
    pub actual: &'a [R],
    /// Orders tried.
    pub tried: usize,
}

/// Worst elements kept.
const WORST: usize = 8;

/// Why `scene` differs.
pub fn diagnose<R: Tiled>(scene: &Scene<'_, R>) -> Diagnosis {
    let different = Different::of(scene);
    let findings = causes(scene, &different);
    Diagnosis {
        findings,
        histogram: histogram(scene, &different),
        worst: worst(scene, &different),
    }
}

/// The saved shape does not fit the arguments: what would?
pub fn shape<R: Real>(dtype: FloatType, raw: &Raw<'_, R>) -> Option<Finding> {
    let book = Textbook::new(
        dtype,
        (raw.input, raw.input_shape),
        (raw.weight, raw.weight_shape),
        raw.bias,
    );
    readings::shape(raw, &book)
}

fn causes<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Vec<Finding> {
    // one number of a filter or of the input may be wrong so slightly that it looks like rounding
    if let Some(finding) = single::change(scene, different) {
        return vec![finding];
    }
    if let Some(finding) = damage::in_output(scene, different) {
        return vec![finding];
    }
    if different.flats.len() < 3
        && let Some(finding) = single::few(scene, different)
    {
        return vec![finding];
    }
    if different.large == 0 {
        return vec![precision::small(scene, different)];
    }
    if let Some(findings) = filters::some(scene, different) {
        return findings;
    }
    let book = scene.book();
    let found = readings::other(scene, &book)
        .or_else(|| precision::low(scene))
        .or_else(|| afterwards::done(scene, different))
        .or_else(|| filters::permuted(scene));
    if let Some(found) = found {
        return vec![found];
    }
    let mut findings: Vec<Finding> = damage::by_region(scene, different).into_iter().collect();
    if findings.is_empty() {
        let text = format!(
            "other numbers went in: {} of {} elements differ by more than any order could make them; no other \
             stride, padding, dilation, padding mode, axis order or precision fits. Another checkpoint, or another input?",
            different.large,
            scene.raw.expected.len()
        );
        let details = serde_json::json!({"large_differences": different.large});
        findings.push(Finding::new("unknown", text, details));
    }
    findings
}

impl<R: Tiled> Scene<'_, R> {
    fn geometry(&self) -> &Geometry {
        self.problem.geometry
    }

    fn book(&self) -> Textbook {
        let raw = &self.raw;
        Textbook::new(
            self.problem.dtype,
            (raw.input, raw.input_shape),
            (raw.weight, raw.weight_shape),
            raw.bias,
        )
    }

    /// How the call reads its tensors.
    fn reading(&self) -> Reading {
        readings::of(
            &self.raw.arguments,
            self.raw.weight_shape,
            self.raw.input_shape[1],
        )
    }

    /// How many elements come out in every bit where these operands are convolved, in the best of the orders that
    /// the origin leaves open and the one that came closest.
    fn proof(&self, input: &[R], weight: &[R], bias: Option<&[R]>, arguments: &Arguments) -> usize {
        self.prove(
            input,
            self.raw.input_shape,
            weight,
            self.raw.weight_shape,
            bias,
            arguments,
        )
    }

    fn prove(
        &self,
        input: &[R],
        input_shape: [usize; 4],
        weight: &[R],
        weight_shape: [usize; 4],
        bias: Option<&[R]>,
        arguments: &Arguments,
    ) -> usize {
        let Ok(view) = ndarray::ArrayView4::from_shape(input_shape, input) else {
            return 0;
        };
        let prepared = conv2d::prepare(view, weight_shape, bias.map(<[R]>::len), arguments);
        let Ok(prepared) = prepared else { return 0 };
        let g = &prepared.geometry;
        if g.output_shape() != self.raw.output_shape {
            return 0;
        }
        let operands = Operands {
            input: &prepared.input,
            weight,
            bias,
        };
        let call = Call {
            geometry: *g,
            ..*self.call
        };
        let predicted = predict::predict(&call, self.origin).into_iter();
        let mut orders: Vec<Order> = predicted.map(|p| p.order).take(MOST_ORDERS).collect();
        if !orders.contains(&self.order) {
            orders.push(self.order);
        }
        let mut most = 0;
        for order in orders {
            let mut actual = kernel::run(&operands, g, &order.plan(g), Kernel::Fast);
            real::round_all(self.problem.dtype, &mut actual);
            let pairs = self.raw.expected.iter().zip(&actual);
            most = most.max(pairs.filter(|(a, b)| same(**a, **b)).count());
            if most == actual.len() {
                break;
            }
        }
        most
    }
}

/// Orders that a proof tries.
const MOST_ORDERS: usize = 4;

/// The elements that differ.
#[derive(Debug)]
pub(super) struct Different {
    /// In C order.
    flats: Vec<usize>,
    /// How many of them differ by more than rounding.
    large: usize,
}

impl Different {
    fn of<R: Tiled>(scene: &Scene<'_, R>) -> Self {
        let expected = scene.raw.expected;
        let pairs = expected.iter().zip(scene.actual).enumerate();
        let flats: Vec<usize> = pairs
            .filter(|(_, (a, b))| !same(**a, **b))
            .map(|(flat, _)| flat)
            .collect();
        let magnitudes = magnitudes(scene);
        let taps = scene.geometry().taps();
        let large = |&&flat: &&usize| {
            let (e, a) = (expected[flat].to_f64(), scene.actual[flat].to_f64());
            let sum = crate::verify::textbook::Sum {
                value: a,
                magnitude: magnitudes[flat].to_f64(),
            };
            let off = (e - a).abs();
            off.is_nan() || off > tolerance(scene.problem.dtype, taps, sum)
        };
        Self {
            large: flats.iter().filter(large).count(),
            flats,
        }
    }
}

/// Sums of the terms' magnitudes, for every element: the same convolution of absolute values.
fn magnitudes<R: Tiled>(scene: &Scene<'_, R>) -> Vec<R> {
    let absolute = |values: &[R]| -> Vec<R> {
        values
            .iter()
            .map(|v| R::from_f64(v.to_f64().abs()))
            .collect()
    };
    let operands = &scene.problem.operands;
    let (input, weight) = (absolute(operands.input), absolute(operands.weight));
    let bias = operands.bias.map(absolute);
    let operands = Operands {
        input: &input,
        weight: &weight,
        bias: bias.as_deref(),
    };
    let order = Order::OnednnDirect {
        channel_block: 8,
        fused: true,
    };
    let g = scene.geometry();
    kernel::run(&operands, g, &order.plan(g), Kernel::Fast)
}

fn difference<R: Real>(scene: &Scene<'_, R>, flat: usize) -> Difference {
    let dtype = scene.problem.dtype;
    Difference {
        flat,
        expected: scene.raw.expected[flat].bits(dtype),
        actual: scene.actual[flat].bits(dtype),
    }
}

fn ulps<R: Real>(scene: &Scene<'_, R>, flat: usize) -> u64 {
    let d = difference(scene, flat);
    compare::ulp_distance(scene.problem.dtype, d.expected, d.actual)
}

/// 1, 2, 3 to 4, 5 to 8, ...; NaNs on their own.
fn histogram<R: Real>(scene: &Scene<'_, R>, different: &Different) -> Vec<Bin> {
    let mut bins: Vec<Bin> = Vec::new();
    for &flat in &different.flats {
        let distance = ulps(scene, flat);
        let (from, to) = match distance {
            compare::NAN_ULP => (compare::NAN_ULP, compare::NAN_ULP),
            // past the largest power of two there is nothing to be told apart
            d if d > 1 << 62 => ((1 << 62) + 1, compare::NAN_ULP - 1),
            d => {
                let to = d.next_power_of_two();
                (to / 2 + 1, to)
            }
        };
        match bins.iter_mut().find(|bin| bin.from == from) {
            Some(bin) => bin.count += 1,
            None => bins.push(Bin { from, to, count: 1 }),
        }
    }
    bins.sort_by_key(|bin| bin.from);
    bins
}

fn worst<R: Real>(scene: &Scene<'_, R>, different: &Different) -> Vec<Difference> {
    let mut flats = different.flats.clone();
    // stable: of equals the first in C order
    flats.sort_by_key(|&flat| std::cmp::Reverse(ulps(scene, flat)));
    flats.truncate(WORST);
    flats
        .into_iter()
        .map(|flat| difference(scene, flat))
        .collect()
}

/// `[0, 3, 7, 2]` of a flat index.
fn index(shape: [usize; 4], flat: usize) -> [usize; 4] {
    let [_, o, h, w] = shape.map(|size| size.max(1));
    [
        flat / (o * h * w),
        flat / (h * w) % o,
        flat / w % h,
        flat % w,
    ]
}

/// At most `most` of the items, evenly spread, the ends among them.
fn spread<T: Copy>(items: &[T], most: usize) -> Vec<T> {
    if items.len() <= most {
        return items.to_vec();
    }
    let last = items.len() - 1;
    (0..most)
        .map(|i| items[i * last / (most - 1).max(1)])
        .collect()
}

/// `filter 3`, `filters 3 and 17`
fn these(thing: &str, numbers: &[usize]) -> String {
    let plural = if numbers.len() == 1 { "" } else { "s" };
    format!("{thing}{plural} {}", listed(numbers))
}

/// `3, 17 and 40`, `3, 17, 40, ... (12 in all)`
fn listed(numbers: &[usize]) -> String {
    const SHOWN: usize = 8;
    let texts: Vec<String> = numbers.iter().take(SHOWN).map(usize::to_string).collect();
    match texts.as_slice() {
        _ if numbers.len() > SHOWN => {
            format!("{}, ... ({} in all)", texts.join(", "), numbers.len())
        }
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        texts => texts.join(", "),
    }
}
