//! What `verify` says: text, JSON, JUnit.

use std::io::Result;
use std::io::Write;
use std::path::Path;

use quick_junit::NonSuccessKind;
use quick_junit::Report;
use quick_junit::TestCase;
use quick_junit::TestCaseStatus;
use quick_junit::TestSuite;
use serde_json::Value;
use serde_json::json;

use crate::error::Error;
use crate::execute::FloatType;
use crate::execute::Real;
use crate::render::Paint;
use crate::render::diagnosis;
use crate::render::escape;
use crate::verify::CaseReport;
use crate::verify::ChosenBy;
use crate::verify::Comparison;
use crate::verify::Processors;
use crate::verify::Status;
use crate::verify::compare::Difference;
use crate::verify::compare::NAN_ULP;
use crate::verify::compare::ulp_distance;

const STATUSES: [Status; 4] = [
    Status::Identical,
    Status::Close,
    Status::Different,
    Status::Error,
];

/// One case: a line, and under it what differs. `width` is that of the longest name beside it.
pub fn case(out: &mut dyn Write, paint: Paint, report: &CaseReport, width: usize) -> Result<()> {
    let status = match report.status {
        Status::Identical => paint.good(report.status.name()),
        Status::Close => paint.warn(report.status.name()),
        Status::Different | Status::Error => paint.bad(report.status.name()),
    };
    let name = escape::text(&report.name);
    write!(out, "  {status:<9}  {:<width$}", paint.name(name))?;
    if let (Some(order), Some(comparison)) = (report.order, &report.comparison) {
        let count = match report.status {
            Status::Identical => comparison.elements.to_string(),
            _ => format!("{} of {}", comparison.identical, comparison.elements),
        };
        let chosen = match report.chosen_by {
            ChosenBy::Flag => "--order",
            chosen_by => chosen_by.name(),
        };
        let order = order.to_string();
        write!(out, "  {order:<28}  {:<6}  {count}", paint.dim(chosen))?;
    }
    writeln!(out)?;
    for line in details(report) {
        let line = match line.strip_prefix("likely:") {
            Some(rest) => format!("{}{rest}", paint.warn("likely:")),
            None => line,
        };
        writeln!(out, "{:INDENT$}{line}", "")?;
    }
    Ok(())
}

/// The processors that the file's outputs leave, where its origin does not say.
pub fn processors(out: &mut dyn Write, paint: Paint, left: &Processors) -> Result<()> {
    let what = match left.families.as_slice() {
        [one] => one.clone(),
        several => format!("one of: {}", several.join("; ")),
    };
    let (explained, telling) = (left.explained, left.telling);
    let count = format!("({explained} of {telling} telling cases)");
    writeln!(out, "  {} {what} {count}", paint.dim("processor:"))
}

/// The same for all files that need it.
pub fn processors_json(all: &[(&Path, Processors)]) -> Value {
    let rows = all.iter().map(|(file, left)| {
        json!({
            "file": file.display().to_string(),
            "remaining": left.families,
            "explained": left.explained,
            "telling": left.telling,
        })
    });
    rows.collect()
}

/// What differs, or why it could not be run.
fn details(report: &CaseReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(error) = &report.error {
        lines.push(escape::text(error.message()).to_string());
        lines.extend(error.hint().map(|hint| format!("hint: {hint}")));
    }
    if let Some(diagnosis) = report
        .diagnosis
        .as_ref()
        .filter(|_| report.status == Status::Identical)
    {
        lines.extend(diagnosis::causes(diagnosis, INDENT));
    }
    let Some(comparison) = &report.comparison else {
        return lines;
    };
    if let Some(first) = &comparison.first {
        lines.push(format!(
            "first at {:?}: {} apart",
            index(&report.shape, first.flat),
            ulps(ulp_distance(comparison.dtype, first.expected, first.actual)),
        ));
        for (what, value) in [("expected", first.expected), ("computed", first.actual)] {
            lines.push(format!(
                "  {what} {} ({})",
                bits(comparison.dtype, value),
                number(comparison.dtype, value)
            ));
        }
        lines.push(format!(
            "{} of {} elements differ, by at most {} and {:.3e}",
            comparison.elements - comparison.identical,
            comparison.elements,
            ulps(comparison.max_ulp),
            comparison.max_abs,
        ));
        if report.chosen_by == ChosenBy::None {
            lines.push(format!(
                "none of {} orders reproduces it; this one comes closest",
                report.tried
            ));
        }
        if let Some(diagnosis) = &report.diagnosis {
            let dtype = comparison.dtype;
            lines.extend(diagnosis::causes(diagnosis, INDENT));
            lines.extend(diagnosis::figures(
                diagnosis,
                dtype,
                &|flat| index(&report.shape, flat),
                &|bits| number(dtype, bits),
                &ulps,
            ));
        }
    }
    lines
}

/// Blanks before what is said about a case.
const INDENT: usize = 13;

fn ulps(distance: u64) -> String {
    match distance {
        NAN_ULP => "a NaN".into(),
        1 => "1 ULP".into(),
        n => format!("{n} ULPs"),
    }
}

/// `0x3f8a1c22`: as many digits as the type has.
fn bits(dtype: FloatType, bits: u64) -> String {
    format!("{bits:#0width$x}", width = 2 + 2 * dtype.bytes())
}

/// Shortest decimal text that `dtype`, or the float32 that it is widened to, reads back.
fn number(dtype: FloatType, bits: u64) -> String {
    match dtype {
        FloatType::Float64 => format!("{:e}", f64::from_bits(bits)),
        narrower => format!("{:e}", f32::of_bits(bits, narrower)),
    }
}

/// Logical index of the `flat`-th element in C order.
fn index(shape: &[usize], mut flat: usize) -> Vec<usize> {
    let mut index = vec![0; shape.len()];
    for (at, &size) in index.iter_mut().zip(shape).rev() {
        *at = flat % size.max(1);
        flat /= size.max(1);
    }
    index
}

fn count(reports: &[(&Path, CaseReport)], status: Status) -> usize {
    reports.iter().filter(|(_, r)| r.status == status).count()
}

/// `20 cases: 19 identical, 1 different`
pub fn summary(out: &mut dyn Write, paint: Paint, reports: &[(&Path, CaseReport)]) -> Result<()> {
    let counts: Vec<_> = STATUSES
        .iter()
        .filter_map(|&status| match count(reports, status) {
            0 => None,
            n => Some(format!("{n} {}", status.name())),
        })
        .collect();
    let cases = match reports.len() {
        1 => "1 case".to_owned(),
        n => format!("{n} cases"),
    };
    let line = format!("{cases}: {}", counts.join(", "));
    if count(reports, Status::Identical) == reports.len() {
        writeln!(out, "{}", paint.good(line))
    } else {
        writeln!(out, "{}", paint.bad(line))
    }
}

/// The contract's document.
pub fn json(reports: &[(&Path, CaseReport)]) -> Value {
    let cases: Vec<Value> = reports
        .iter()
        .map(|(file, report)| case_json(file, report))
        .collect();
    let mut summary = json!({ "cases": reports.len() });
    for status in STATUSES {
        let key = match status {
            Status::Error => "errors",
            Status::Identical | Status::Close | Status::Different => status.name(),
        };
        summary[key] = count(reports, status).into();
    }
    json!({ "cases": cases, "summary": summary })
}

fn case_json(file: &Path, report: &CaseReport) -> Value {
    let mut case = json!({
        "file": file.display().to_string(),
        "name": report.name,
        "status": report.status.name(),
        "order": report.order.map(|order| order.to_string()),
        "chosen_by": report.chosen_by.name(),
    });
    let empty = Comparison::empty(FloatType::Float32);
    let comparison = report.comparison.as_deref().unwrap_or(&empty);
    case["elements"] = comparison.elements.into();
    case["identical"] = comparison.identical.into();
    // a NaN against a number: all ones in the type's width
    let most = u64::MAX >> (64 - 8 * comparison.dtype.bytes());
    case["max_ulp"] = comparison.max_ulp.min(most).into();
    case["max_abs"] = comparison.max_abs.into(); // null where infinite
    case["first_difference"] = match &comparison.first {
        None => Value::Null,
        Some(Difference {
            flat,
            expected,
            actual,
        }) => json!({
            "index": index(&report.shape, *flat),
            "expected": bits(comparison.dtype, *expected),
            "actual": bits(comparison.dtype, *actual),
        }),
    };
    case["seconds"] = report.seconds.clone().into();
    case["orders_tried"] = report.tried.into();
    case["diagnosis"] = match &report.diagnosis {
        None => Value::Null,
        Some(diagnosis) => diagnosis::json(
            diagnosis,
            comparison.dtype,
            &|flat| index(&report.shape, flat),
            &|value| bits(comparison.dtype, value),
        ),
    };
    if let Some(error) = &report.error {
        case["error"] = error.to_string().into();
        case["hint"] = error.hint().into();
    }
    case
}

/// A JUnit report: one suite per golden file, one test per case.
pub fn junit(reports: &[(&Path, CaseReport)]) -> crate::error::Result<String> {
    let mut junit = Report::new("pthinspect verify");
    for group in reports.chunk_by(|a, b| a.0 == b.0) {
        let mut suite = TestSuite::new(group[0].0.display().to_string());
        for (_, report) in group {
            let status = match report.status {
                Status::Identical | Status::Close => TestCaseStatus::success(),
                Status::Different => TestCaseStatus::non_success(NonSuccessKind::Failure),
                Status::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
            };
            let mut test = TestCase::new(report.name.clone(), status);
            test.set_time(std::time::Duration::from_secs_f64(
                report.seconds.first().copied().unwrap_or(0.0),
            ));
            let details = details(report);
            if !details.is_empty() {
                test.status.set_message(details[0].clone());
                test.status.set_description(details.join("\n"));
            }
            suite.add_test_case(test);
        }
        junit.add_test_suite(suite);
    }
    junit
        .to_string()
        .map_err(|e| Error::usage(format!("the JUnit report cannot be written: {e}")))
}
