//! One number of the weight, the bias or the input that was another when the output was made.
//!
//! The difference of an element is then that number's change times what it is multiplied with. So each candidate
//! number is fitted to the differences (least squares), the best are tried with each of their bits flipped, and what
//! is left is proved: with that bit flipped, the elements come out in every bit. A change that is no flipped bit is
//! named when it explains the differences but for rounding.

use rayon::prelude::*;
use serde_json::json;

use super::Different;
use super::Finding;
use super::Scene;
use super::filters;
use super::spread;
use crate::execute::FloatType;
use crate::execute::kernel::Operands;
use crate::execute::kernel::Tiled;
use crate::execute::order::Plan;
use crate::execute::order::interpret::Unrolled;
use crate::verify::compare::same;
use crate::verify::textbook::tolerance;

/// Elements on which candidates are fitted.
const FIT: usize = 1024;
/// Candidates whose bits are tried.
const BEST: usize = 48;
/// Elements on which a flipped bit is proved.
const PROVE: usize = 4096;

/// A number that may have been another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Suspect {
    /// Flat index in the weight.
    Weight(usize),
    /// Filter.
    Bias(usize),
    /// Flat index in the input as the backend gets it.
    Input(usize),
}

/// The one number, if there is one.
pub(super) fn change<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Option<Finding> {
    if different.flats.len() < 3 {
        return None; // one number of many always explains two elements
    }
    let groups = suspects(scene, different).into_iter();
    let mut groups = groups.map(|(suspects, affected)| fit(scene, different, &suspects, &affected));
    groups.find_map(|found| found)
}

/// One or two elements differ: every flipped bit that explains them, of weight, bias or input.
pub(super) fn few<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Option<Finding> {
    let mut found = Vec::new();
    for (suspects, affected) in suspects(scene, different) {
        let points = points_of(scene, different, &affected);
        let ranked = ranked(scene, &suspects, &points);
        let mut altered = Altered::default();
        let proofs = ranked.iter();
        found.extend(
            proofs.filter_map(|&s| flipped(scene, different, s, &points, &affected, &mut altered)),
        );
    }
    let several = found.len();
    let mut first = found.into_iter().next()?;
    if several > 1 {
        first.text = format!(
            "{several} numbers could have had one flipped bit; for instance, {}",
            first.text
        );
    }
    Some(first)
}

/// Numbers that all elements that differ depend on, with the elements that depend on one of them.
type Group = (Vec<Suspect>, Vec<usize>);

fn suspects<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Vec<Group> {
    let wrong = filters::wrong(scene, different);
    let one_filter = match (&wrong, scene.geometry().out_channels) {
        (Some(wrong), _) => <[usize; 1]>::try_from(wrong.as_slice()).ok().map(|[f]| f),
        (None, 1) => Some(0),
        (None, _) => None,
    };
    let of_one = |filter| (of_filter(scene, filter), filters::elements(scene, filter));
    let of_filter = one_filter.map(of_one);
    of_filter
        .into_iter()
        .chain(of_input(scene, different))
        .collect()
}

fn of_filter<R: Tiled>(scene: &Scene<'_, R>, filter: usize) -> Vec<Suspect> {
    let taps = scene.geometry().taps();
    let weights = (filter * taps..(filter + 1) * taps).map(Suspect::Weight);
    let bias = scene.problem.operands.bias.map(|_| Suspect::Bias(filter));
    bias.into_iter().chain(weights).collect()
}

/// Input elements that all elements that differ read, and all elements that read one of their pixels.
fn of_input<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Option<Group> {
    let g = scene.geometry();
    let places: Vec<[usize; 3]> = different
        .flats
        .iter()
        .map(|&f| scene.problem.place(f))
        .collect();
    let first = places.first()?;
    let group = first[1] / g.group_out();
    let window = g.kernel[0] * g.kernel[1];
    let mut pixels: Vec<usize> = places.iter().map(|p| p[2]).collect();
    pixels.sort_unstable();
    pixels.dedup();
    let apart = places
        .iter()
        .any(|p| p[0] != first[0] || p[1] / g.group_out() != group);
    if apart || pixels.len() > window {
        return None;
    }
    let reads = |pixel: usize| -> Vec<[usize; 2]> {
        let (oh, ow) = (pixel / g.output[1], pixel % g.output[1]);
        let rows = (0..g.kernel[0]).filter_map(|k| g.input_at(0, oh, k));
        let rows: Vec<usize> = rows.collect();
        let columns = (0..g.kernel[1]).filter_map(|k| g.input_at(1, ow, k));
        let columns: Vec<usize> = columns.collect();
        let pairs = rows
            .iter()
            .flat_map(|&y| columns.iter().map(move |&x| [y, x]));
        pairs.collect()
    };
    let mut common = reads(*pixels.first()?);
    for &pixel in &pixels {
        let these = reads(pixel);
        common.retain(|at| these.contains(at));
    }
    let planes =
        (group * g.group_in()..(group + 1) * g.group_in()).map(|c| first[0] * g.in_channels + c);
    let suspects: Vec<Suspect> = planes
        .flat_map(|plane| {
            let flat = move |[y, x]: &[usize; 2]| {
                Suspect::Input((plane * g.input[0] + y) * g.input[1] + x)
            };
            common.iter().map(flat).collect::<Vec<_>>()
        })
        .collect();
    // what reads one of these pixels lies around the pixels that differ
    let near = |pixel: &usize| {
        let these = reads(*pixel);
        these.iter().any(|at| common.contains(at))
    };
    let around: Vec<usize> = (0..g.pixels()).filter(near).collect();
    let filters = group * g.group_out()..(group + 1) * g.group_out();
    let affected = filters
        .flat_map(|o| {
            let start = (first[0] * g.out_channels + o) * g.pixels();
            around.iter().map(move |p| start + p)
        })
        .collect();
    Some((suspects, affected))
}

/// What the suspect is multiplied with in the element at `place`.
fn factor<R: Tiled>(scene: &Scene<'_, R>, suspect: Suspect, place: [usize; 3]) -> f64 {
    let g = scene.geometry();
    let operands = &scene.problem.operands;
    let [image, channel, pixel] = place;
    let (oh, ow) = (pixel / g.output[1], pixel % g.output[1]);
    match suspect {
        Suspect::Bias(filter) => f64::from(u8::from(filter == channel)),
        Suspect::Weight(flat) => {
            let (rest, kw) = (flat / g.kernel[1], flat % g.kernel[1]);
            let (rest, kh) = (rest / g.kernel[0], rest % g.kernel[0]);
            let (o, i) = (rest / g.group_in(), rest % g.group_in());
            let at = g.input_at(0, oh, kh).zip(g.input_at(1, ow, kw));
            at.filter(|_| o == channel).map_or(0.0, |(y, x)| {
                let plane = image * g.in_channels + channel / g.group_out() * g.group_in() + i;
                operands.input[(plane * g.input[0] + y) * g.input[1] + x].to_f64()
            })
        }
        Suspect::Input(flat) => {
            let (rest, x) = (flat / g.input[1], flat % g.input[1]);
            let (plane, y) = (rest / g.input[0], rest % g.input[0]);
            let (n, c) = (plane / g.in_channels, plane % g.in_channels);
            if n != image || c / g.group_in() != channel / g.group_out() {
                return 0.0;
            }
            let tap = |axis: usize, o: usize, at: usize| {
                (0..g.kernel[axis]).find(|&k| g.input_at(axis, o, k) == Some(at))
            };
            let at = tap(0, oh, y).zip(tap(1, ow, x));
            at.map_or(0.0, |(kh, kw)| {
                let i = c % g.group_in();
                let flat = ((channel * g.group_in() + i) * g.kernel[0] + kh) * g.kernel[1] + kw;
                operands.weight[flat].to_f64()
            })
        }
    }
}

/// An element that the fit looks at.
struct Point {
    flat: usize,
    place: [usize; 3],
    saved: f64,
    /// Without the change, in float64.
    value: f64,
    magnitude: f64,
}

fn points<R: Tiled>(scene: &Scene<'_, R>, flats: &[usize]) -> Vec<Point> {
    let point = |&flat: &usize| {
        let place = scene.problem.place(flat);
        let sum = scene.problem.sum(place);
        Point {
            flat,
            place,
            saved: scene.raw.expected[flat].to_f64(),
            value: sum.value,
            magnitude: sum.magnitude,
        }
    };
    flats.par_iter().map(point).collect()
}

/// Elements that differ, and some that may not.
fn points_of<R: Tiled>(
    scene: &Scene<'_, R>,
    different: &Different,
    affected: &[usize],
) -> Vec<Point> {
    let mut flats = spread(&different.flats, FIT);
    flats.extend(spread(affected, FIT / 4));
    flats.sort_unstable();
    flats.dedup();
    points(scene, &flats)
}

fn fit<R: Tiled>(
    scene: &Scene<'_, R>,
    different: &Different,
    suspects: &[Suspect],
    affected: &[usize],
) -> Option<Finding> {
    let points = points_of(scene, different, affected);
    let ranked = ranked(scene, suspects, &points);
    let mut altered = Altered::default();
    for &suspect in &ranked {
        if let Some(finding) = flipped(scene, different, suspect, &points, affected, &mut altered) {
            return Some(finding);
        }
    }
    // a change that is more than one bit has to be larger than rounding to be seen
    if different.large == 0 {
        return None;
    }
    ranked
        .iter()
        .find_map(|&suspect| changed(scene, suspect, &points))
}

/// The suspects that explain most of the differences; all of them where some are not finite.
fn ranked<R: Tiled>(scene: &Scene<'_, R>, suspects: &[Suspect], points: &[Point]) -> Vec<Suspect> {
    if points.iter().any(|p| !p.saved.is_finite()) {
        return suspects.to_vec();
    }
    let off: Vec<f64> = points
        .iter()
        .map(|p| p.saved - scene.actual[p.flat].to_f64())
        .collect();
    let score = |&suspect: &Suspect| {
        let (mut with, mut own) = (0.0, 0.0);
        for (p, off) in points.iter().zip(&off) {
            let factor = factor(scene, suspect, p.place);
            with += off * factor;
            own += factor * factor;
        }
        let explained = if own > 0.0 { with * with / own } else { 0.0 };
        (explained, suspect)
    };
    let mut scored: Vec<(f64, Suspect)> = suspects.par_iter().map(score).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0));
    scored.truncate(BEST);
    scored.into_iter().map(|(_, suspect)| suspect).collect()
}

fn value<R: Tiled>(scene: &Scene<'_, R>, suspect: Suspect) -> R {
    let operands = &scene.problem.operands;
    match suspect {
        Suspect::Weight(flat) => operands.weight[flat],
        Suspect::Input(flat) => operands.input[flat],
        Suspect::Bias(filter) => operands.bias.map_or(R::ZERO, |bias| bias[filter]),
    }
}

/// One bit of the suspect flipped: which, proved.
fn flipped<R: Tiled>(
    scene: &Scene<'_, R>,
    different: &Different,
    suspect: Suspect,
    points: &[Point],
    affected: &[usize],
    altered: &mut Altered<R>,
) -> Option<Finding> {
    let dtype = scene.problem.dtype;
    let old = value(scene, suspect);
    let taps = scene.geometry().taps();
    for bit in (0..dtype.bytes() * 8).rev() {
        let new = R::of_bits(old.bits(dtype) ^ (1 << bit), dtype);
        let by = new.to_f64() - old.to_f64();
        let fits = points.iter().all(|p| {
            let change = by * factor(scene, suspect, p.place);
            let value = p.value + change;
            if !p.saved.is_finite() || !value.is_finite() || value.abs() > largest(dtype) {
                return !p.saved.is_finite()
                    && (!value.is_finite() || value.abs() > largest(dtype));
            }
            let sum = crate::verify::textbook::Sum {
                value,
                magnitude: p.magnitude + change.abs(),
            };
            (p.saved - value).abs() <= 2.0 * tolerance(dtype, taps, sum)
        });
        if fits && proves(scene, different, suspect, new, affected, altered) {
            return Some(named(scene, suspect, new, Some(bit)));
        }
    }
    None
}

fn largest(dtype: FloatType) -> f64 {
    match dtype {
        FloatType::Float64 => f64::MAX,
        FloatType::Float32 | FloatType::BFloat16 => f64::from(f32::MAX),
        FloatType::Float16 => 65504.0,
    }
}

/// Copies of the operands in which one number at a time is another: large, so each is made once, where it is needed.
struct Altered<R> {
    input: Option<Vec<R>>,
    weight: Option<Vec<R>>,
    bias: Option<Vec<R>>,
}

impl<R> Default for Altered<R> {
    fn default() -> Self {
        Self {
            input: None,
            weight: None,
            bias: None,
        }
    }
}

impl<R: Tiled> Altered<R> {
    /// The copy that holds the suspect, and where.
    fn copy_of(
        &mut self,
        operands: &Operands<'_, R>,
        suspect: Suspect,
    ) -> Option<(&mut Vec<R>, usize)> {
        let (copy, from, at) = match suspect {
            Suspect::Weight(flat) => (&mut self.weight, operands.weight, flat),
            Suspect::Input(flat) => (&mut self.input, operands.input, flat),
            Suspect::Bias(filter) => (&mut self.bias, operands.bias?, filter),
        };
        Some((copy.get_or_insert_with(|| from.to_vec()), at))
    }
}

/// Whether all elements that read the suspect come out with the new number, and so every difference is explained.
fn proves<R: Tiled>(
    scene: &Scene<'_, R>,
    different: &Different,
    suspect: Suspect,
    new: R,
    affected: &[usize],
    altered: &mut Altered<R>,
) -> bool {
    let saved = scene.problem.operands;
    let Some((copy, at)) = altered.copy_of(&saved, suspect) else {
        return false;
    };
    let old = std::mem::replace(&mut copy[at], new);
    let proved = explains(scene, different, affected, altered);
    if let Some((copy, at)) = altered.copy_of(&saved, suspect) {
        copy[at] = old;
    }
    proved
}

/// Whether every difference is explained by the altered operands.
fn explains<R: Tiled>(
    scene: &Scene<'_, R>,
    different: &Different,
    affected: &[usize],
    altered: &Altered<R>,
) -> bool {
    let saved = scene.problem.operands;
    let operands = Operands {
        input: altered.input.as_deref().unwrap_or(saved.input),
        weight: altered.weight.as_deref().unwrap_or(saved.weight),
        bias: altered.bias.as_deref().or(saved.bias),
    };
    let plan = scene.order.plan(scene.geometry());
    let mut flats = spread(&different.flats, PROVE);
    flats.extend(spread(affected, PROVE / 4));
    let mut scratch = Vec::new();
    flats.iter().all(|&flat| {
        let at = scene.problem.place(flat);
        let actual = element(scene, &plan, &operands, at, &mut scratch);
        actual.is_some_and(|actual| same(scene.raw.expected[flat], actual))
    })
}

fn element<R: Tiled>(
    scene: &Scene<'_, R>,
    plan: &Plan,
    operands: &Operands<'_, R>,
    at: [usize; 3],
    scratch: &mut Vec<(R, R)>,
) -> Option<R> {
    let recipe = &plan.recipes[plan.region_at(at[0], at[1], at[2])?.recipe];
    let unrolled = Unrolled::new(scene.geometry(), recipe);
    let element = unrolled.element(operands, at, scratch);
    Some(element.rounded(scene.problem.dtype))
}

/// The suspect was some other number.
fn changed<R: Tiled>(scene: &Scene<'_, R>, suspect: Suspect, points: &[Point]) -> Option<Finding> {
    let dtype = scene.problem.dtype;
    let taps = scene.geometry().taps();
    let of = |p: &Point| factor(scene, suspect, p.place);
    let strongest = points
        .iter()
        .filter(|p| p.saved.is_finite())
        .max_by(|a, b| of(a).abs().total_cmp(&of(b).abs()))?;
    let by = (strongest.saved - strongest.value) / of(strongest);
    if !by.is_finite() || by == 0.0 {
        return None;
    }
    let allowed = |p: &Point| {
        let sum = crate::verify::textbook::Sum {
            value: p.value,
            magnitude: p.magnitude + (by * of(p)).abs(),
        };
        tolerance(dtype, taps, sum)
    };
    let slack = allowed(strongest) / of(strongest).abs();
    let fits = points.iter().all(|p| {
        let off = (p.saved - p.value - by * of(p)).abs();
        off <= 2.0 * allowed(p) + slack * of(p).abs()
    });
    let moved = points.iter().filter(|p| of(p) != 0.0).count();
    (fits && moved >= 3).then(|| {
        let new = R::from_f64(value(scene, suspect).to_f64() + by);
        named(scene, suspect, new, None)
    })
}

fn named<R: Tiled>(scene: &Scene<'_, R>, suspect: Suspect, new: R, bit: Option<usize>) -> Finding {
    let g = scene.geometry();
    let old = value(scene, suspect);
    let (kind, what, place) = match suspect {
        Suspect::Bias(filter) => ("bias_value", "bias", vec![filter]),
        Suspect::Weight(flat) => {
            let (rest, x) = (flat / g.kernel[1], flat % g.kernel[1]);
            let (rest, y) = (rest / g.kernel[0], rest % g.kernel[0]);
            let place = vec![rest / g.group_in(), rest % g.group_in(), y, x];
            ("weight_value", "weight", place)
        }
        Suspect::Input(flat) => {
            let (rest, x) = (flat / g.input[1], flat % g.input[1]);
            let (rest, y) = (rest / g.input[0], rest % g.input[0]);
            let place = vec![rest / g.in_channels, rest % g.in_channels, y, x];
            ("input_value", "input", place)
        }
    };
    let padded = match suspect {
        Suspect::Input(_) if scene.problem.operands.input.len() != scene.raw.input.len() => {
            " (padded)"
        }
        _ => "",
    };
    let was = format!(
        "{:e} here, {:e} when the output was made",
        old.to_f64(),
        new.to_f64()
    );
    let mut details = json!({"index": place, "here": old.to_f64(), "then": new.to_f64()});
    let text = match bit {
        Some(bit) => {
            details["bit"] = bit.into();
            format!(
                "one flipped bit in one {what}: bit {bit} of {what}{padded}{place:?} ({was}); with it flipped back, every \
                 element that reads it comes out"
            )
        }
        None => format!(
            "one {what} was another number: {what}{padded}{place:?} ({was}, give or take roundings); that explains every difference"
        ),
    };
    Finding::new(kind, text, details)
}
