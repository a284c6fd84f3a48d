//! Why a golden differs: what `verify` adds to a case.

use serde_json::Value;
use serde_json::json;

use crate::execute::FloatType;
use crate::render::wrap;
use crate::verify::Diagnosis;
use crate::verify::compare::NAN_ULP;
use crate::verify::compare::ulp_distance;
use crate::verify::diagnose::Bin;

/// Upper ends of the rows of a histogram.
const ROWS: [u64; 7] = [1, 2, 4, 8, 16, 256, 65536];
/// Characters of the longest bar.
const BAR: usize = 30;
/// Worst elements shown.
const WORST: usize = 3;
/// Characters of a line.
const WIDTH: usize = 80;

/// The causes, in lines of at most [`WIDTH`] characters after an indent of `indent`.
pub(super) fn causes(diagnosis: &Diagnosis, indent: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for finding in &diagnosis.findings {
        let text = format!("likely: {}", finding.text);
        let width = WIDTH.saturating_sub(indent + 2);
        for (i, line) in wrap::lines(&text, width).into_iter().enumerate() {
            lines.push(if i == 0 { line } else { format!("  {line}") });
        }
    }
    lines
}

/// How many elements are how far apart, and the worst of them.
pub(super) fn figures(
    diagnosis: &Diagnosis,
    dtype: FloatType,
    index: &dyn Fn(usize) -> Vec<usize>,
    value: &dyn Fn(u64) -> String,
    ulps: &dyn Fn(u64) -> String,
) -> Vec<String> {
    // one element is shown in full already
    if diagnosis
        .histogram
        .iter()
        .map(|bin| bin.count)
        .sum::<usize>()
        < 2
    {
        return Vec::new();
    }
    let rows = rows(&diagnosis.histogram);
    let most = rows.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let wide = |texts: Vec<usize>| texts.into_iter().max().unwrap_or(0);
    let names = wide(rows.iter().map(|(name, _)| name.len()).collect());
    let digits = wide(rows.iter().map(|(_, n)| n.to_string().len()).collect());
    let mut lines: Vec<String> = rows
        .iter()
        .map(|(name, count)| {
            let bar = "#".repeat((count * BAR).div_ceil(most));
            format!("ULPs {name:<names$}  {count:>digits$}  {bar}")
        })
        .collect();
    let worst = diagnosis.worst.iter().take(WORST).map(|d| {
        let apart = ulps(ulp_distance(dtype, d.expected, d.actual));
        let (expected, actual) = (value(d.expected), value(d.actual));
        format!(
            "worst {:?}: {expected}, computed {actual}, {apart}",
            index(d.flat)
        )
    });
    lines.extend(worst);
    lines
}

/// Bins put together for people.
fn rows(bins: &[Bin]) -> Vec<(String, usize)> {
    let mut rows: Vec<(String, usize)> = Vec::new();
    let mut from = 1;
    for to in ROWS {
        let within = bins.iter().filter(|bin| bin.from >= from && bin.to <= to);
        let name = if from == to {
            to.to_string()
        } else {
            format!("{from} to {to}")
        };
        rows.push((name, within.map(|bin| bin.count).sum()));
        from = to + 1;
    }
    let more = bins
        .iter()
        .filter(|bin| bin.from >= from && bin.to != NAN_ULP);
    rows.push(("more".into(), more.map(|bin| bin.count).sum()));
    let nan = bins.iter().filter(|bin| bin.to == NAN_ULP);
    rows.push(("a NaN".into(), nan.map(|bin| bin.count).sum()));
    rows.retain(|(_, count)| *count > 0);
    rows
}

/// `{"findings": [...], "ulp_histogram": [...], "worst": [...]}`
pub(super) fn json(
    diagnosis: &Diagnosis,
    dtype: FloatType,
    index: &dyn Fn(usize) -> Vec<usize>,
    bits: &dyn Fn(u64) -> String,
) -> Value {
    let findings = diagnosis.findings.iter().map(|finding| {
        json!({
            "kind": finding.kind,
            "text": finding.text,
            "identical": finding.identical,
            "details": finding.details,
        })
    });
    // a NaN has no distance
    let ulp = |ulp: u64| (ulp != NAN_ULP).then_some(ulp);
    let histogram = diagnosis
        .histogram
        .iter()
        .map(|bin| json!({"from": ulp(bin.from), "to": ulp(bin.to), "count": bin.count}));
    let worst = diagnosis.worst.iter().map(|d| {
        json!({
            "index": index(d.flat),
            "expected": bits(d.expected),
            "actual": bits(d.actual),
            "ulp": ulp(ulp_distance(dtype, d.expected, d.actual)),
        })
    });
    json!({
        "findings": findings.collect::<Vec<_>>(),
        "ulp_histogram": histogram.collect::<Vec<_>>(),
        "worst": worst.collect::<Vec<_>>(),
    })
}
