//! Differences that keep to some of the filters, or move filters to other places.

use std::collections::BTreeMap;

use serde_json::json;

use super::Different;
use super::Finding;
use super::Scene;
use super::spread;
use super::these;
use crate::execute::kernel::Tiled;
use crate::verify::compare::same;

/// Elements of a filter that are looked at.
const LOOK: usize = 64;

/// Filter of a flat index.
fn filter<R: Tiled>(scene: &Scene<'_, R>, flat: usize) -> usize {
    let g = scene.geometry();
    flat / g.pixels().max(1) % g.out_channels
}

/// Flat indices of one filter's elements, of all images.
pub(super) fn elements<R: Tiled>(scene: &Scene<'_, R>, filter: usize) -> Vec<usize> {
    let g = scene.geometry();
    (0..g.batch)
        .flat_map(|image| {
            let start = (image * g.out_channels + filter) * g.pixels();
            start..start + g.pixels()
        })
        .collect()
}

/// Filters with differences, and how many; `None` where all have some.
pub(super) fn wrong<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Option<Vec<usize>> {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for &flat in &different.flats {
        *counts.entry(filter(scene, flat)).or_default() += 1;
    }
    (counts.len() < scene.geometry().out_channels).then(|| counts.into_keys().collect())
}

/// Some filters are right in every bit and others wrong: other weights or another bias there.
pub(super) fn some<R: Tiled>(scene: &Scene<'_, R>, different: &Different) -> Option<Vec<Finding>> {
    let wrong = wrong(scene, different)?;
    let per_filter = scene.geometry().batch * scene.geometry().pixels();
    // an output with a stretch of nonsense in it has wrong filters as well, but not from end to end
    if 10 * different.flats.len() < 9 * wrong.len() * per_filter {
        return None;
    }
    if let Some(finding) = moved(scene, &wrong) {
        return Some(vec![finding]);
    }
    let shifted: Vec<usize> = wrong
        .iter()
        .copied()
        .filter(|&filter| shift(scene, filter).is_some())
        .collect();
    let right = scene.geometry().out_channels - wrong.len();
    let details = json!({"filters": wrong});
    let finding = if shifted.len() == wrong.len() {
        let by = shift(scene, wrong[0]).unwrap_or(0.0);
        let text = format!(
            "another bias for {}: all their elements are off by one number each ({by:e} for filter {}); \
             the other {right} filters are right",
            these("filter", &wrong),
            wrong[0]
        );
        Finding::new("bias", text, details)
    } else {
        let text = format!(
            "other weights in {}: all their elements differ; the other {right} filters are right",
            these("filter", &wrong)
        );
        Finding::new("weights", text, details)
    };
    Some(vec![finding])
}

/// The one number by which all elements of a filter are off.
pub(super) fn shift<R: Tiled>(scene: &Scene<'_, R>, filter: usize) -> Option<f64> {
    let flats = spread(&elements(scene, filter), LOOK);
    let off = |flat: usize| scene.raw.expected[flat].to_f64() - scene.actual[flat].to_f64();
    let [first, rest @ ..] = flats.as_slice() else {
        return None;
    };
    let by = off(*first);
    let constant = rest.iter().all(|&flat| {
        let sum = scene.problem.sum(scene.problem.place(flat));
        let taps = scene.geometry().taps();
        let allowed = crate::verify::textbook::tolerance(scene.problem.dtype, taps, sum);
        (off(flat) - by).abs() <= 2.0 * allowed + by.abs() * 1e-6
    });
    (constant && by.is_finite() && by != 0.0 && !rest.is_empty()).then_some(by)
}

/// Wrong filters whose outputs are those of other filters.
fn moved<R: Tiled>(scene: &Scene<'_, R>, wrong: &[usize]) -> Option<Finding> {
    let g = scene.geometry();
    let found: Vec<(usize, usize)> = wrong
        .iter()
        .map(|&filter| {
            let mine = spread(&elements(scene, filter), LOOK);
            let is_other = |other: &usize| {
                let theirs = spread(&elements(scene, *other), LOOK);
                let mut pairs = mine.iter().zip(&theirs);
                pairs.all(|(&a, &b)| same(scene.raw.expected[a], scene.actual[b]))
            };
            Some((filter, (0..g.out_channels).find(is_other)?))
        })
        .collect::<Option<_>>()?;
    let shown: Vec<String> = found
        .iter()
        .take(6)
        .map(|(here, there)| format!("{here} is {there}"))
        .collect();
    let more = if found.len() > 6 { ", ..." } else { "" };
    let text = format!(
        "filters in another sequence: the saved output's filter {}{more}",
        shown.join(", ")
    );
    let mut finding = Finding::new("filter_order", text, json!({"saved_is": found}));
    finding.identical = Some(scene.raw.expected.len());
    Some(finding)
}

/// All filters are wrong, and each is another.
pub(super) fn permuted<R: Tiled>(scene: &Scene<'_, R>) -> Option<Finding> {
    let filters = scene.geometry().out_channels;
    if filters < 2 {
        return None;
    }
    moved(scene, &(0..filters).collect::<Vec<_>>())
}
