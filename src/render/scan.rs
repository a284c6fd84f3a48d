//! `scan`: findings for people, and for programs.

use std::collections::HashMap;
use std::io::{Result, Write};
use std::path::PathBuf;

use serde_json::{Value, json};

use super::escape;
use super::number::grouped;
use super::paint::Paint;
use crate::error::Error;
use crate::scan::{Finding, Kind, Level, Name, Report};

/// Findings that are shown to people; programs get all of them.
const SHOWN: usize = 50;
/// Findings of one kind about one name that are shown to people.
const SHOWN_OF_EACH: usize = 3;
/// Longest name in a column.
const WIDEST: usize = 60;

/// Writes findings, a count of names, and the verdict.
pub fn text(out: &mut dyn Write, report: &Report, paint: Paint, names: bool) -> Result<()> {
    let file = report.file.display().to_string();
    writeln!(out, "{}", paint.title(escape::text(&file)))?;
    let mut shown = 0;
    let mut of_each: HashMap<(Kind, &str), usize> = HashMap::new();
    for finding in &report.findings {
        let of_this = of_each.entry((finding.kind, &finding.what)).or_default();
        *of_this += 1;
        if *of_this <= SHOWN_OF_EACH && shown < SHOWN {
            write_finding(out, finding, paint)?;
            shown += 1;
        }
    }
    let more = report.findings.len() - shown + report.left_out;
    if more > 0 {
        writeln!(
            out,
            "  and {} more; --json has them, repetitions counted",
            grouped(more as u64)
        )?;
    }
    if names {
        write_names(out, &report.names, paint)?;
    }
    write_verdicts(out, report, paint)?;
    writeln!(out, "{}", paint.dim(summary(report)))?;
    writeln!(out, "verdict: {}", verdict(report.verdict, paint))
}

fn verdict(level: Level, paint: Paint) -> String {
    let verdict = level.verdict();
    match level {
        Level::Inert => paint.good(verdict).to_string(),
        Level::Unknown => paint.warn(verdict).to_string(),
        Level::Dangerous => paint.bad(verdict).to_string(),
    }
}

/// The verdict on each file of a folder, those that are not clean first.
fn write_verdicts(out: &mut dyn Write, report: &Report, paint: Paint) -> Result<()> {
    let mut files: Vec<_> = report.verdicts.iter().collect();
    files.sort_by_key(|(_, level)| std::cmp::Reverse(*level));
    for (file, level) in files.iter().take(SHOWN) {
        let name = escape::text(&file.display().to_string()).to_string();
        let padding = " ".repeat(11 - level.verdict().len());
        writeln!(out, "  {}{padding} {name}", verdict(*level, paint))?;
    }
    if let Some(more) = files.len().checked_sub(SHOWN).filter(|&more| more > 0) {
        writeln!(out, "  and {} more files, none worse", grouped(more as u64))?;
    }
    Ok(())
}

/// `3 files: 1 clean, 1 dangerous, 1 not scanned`, and the verdict on all.
pub fn total(out: &mut dyn Write, reports: &[Report], failed: usize, paint: Paint) -> Result<()> {
    let count = |level| {
        reports
            .iter()
            .filter(|report| report.verdict == level)
            .count()
    };
    let mut counts: Vec<String> = [Level::Inert, Level::Unknown, Level::Dangerous]
        .into_iter()
        .filter(|&level| count(level) > 0)
        .map(|level| format!("{} {}", grouped(count(level) as u64), level.verdict()))
        .collect();
    if failed > 0 {
        counts.push(format!("{} not scanned", grouped(failed as u64)));
    }
    let files = plural(reports.len() + failed, "file");
    writeln!(
        out,
        "{}",
        paint.dim(format!("{files}: {}", counts.join(", ")))
    )?;
    match reports.iter().map(|report| report.verdict).max() {
        Some(Level::Inert) | None if failed > 0 => {
            writeln!(out, "verdict: {}", paint.warn("not all were scanned"))
        }
        worst => writeln!(
            out,
            "verdict: {}",
            verdict(worst.unwrap_or(Level::Inert), paint)
        ),
    }
}

fn plural(n: usize, one: &str) -> String {
    let ending = if n == 1 { "" } else { "s" };
    format!("{} {one}{ending}", grouped(n as u64))
}

fn level(level: Level, paint: Paint) -> String {
    match level {
        Level::Inert => paint.good(format!("{:<11}", level.name())).to_string(),
        Level::Unknown => paint.warn(format!("{:<11}", level.name())).to_string(),
        Level::Dangerous => paint.bad(format!("{:<11}", level.name())).to_string(),
    }
}

fn write_finding(out: &mut dyn Write, finding: &Finding, paint: Paint) -> Result<()> {
    let what = escape::text(&finding.what);
    writeln!(
        out,
        "  {} {}: {}",
        level(finding.level, paint),
        paint.key(finding.kind.name()),
        paint.name(what)
    )?;
    let mut place = match &finding.file {
        Some(file) => format!("{}: {}", file.display(), finding.place),
        None => finding.place.clone(),
    };
    match finding.path.as_deref() {
        None => {}
        Some("") => place.push_str(", the object itself"),
        Some(path) => place.push_str(&format!(", at {path}")),
    }
    writeln!(out, "              {}", escape::text(&finding.message))?;
    writeln!(out, "              {}", paint.dim(escape::text(&place)))
}

fn write_names(out: &mut dyn Write, names: &[Name], paint: Paint) -> Result<()> {
    let width = names.iter().map(|name| name.what.chars().count()).max();
    let width = width.unwrap_or(0).min(WIDEST);
    for name in names {
        let what = escape::text(&name.what);
        let by = if name.allowed { "  (--allow)" } else { "" };
        let place = match name.path.as_deref() {
            None | Some("") => name.place.clone(),
            Some(path) => format!("{}, at {path}", name.place),
        };
        writeln!(
            out,
            "  {} {}  {:>7}  {}{by}",
            level(name.level, paint),
            paint.name(format!("{what:<width$}")),
            grouped(name.count as u64),
            escape::text(&place),
        )?;
    }
    Ok(())
}

/// `3 pickles, 12 names: 10 known-inert, 1 unknown, 1 dangerous`
fn summary(report: &Report) -> String {
    let count = |wanted: Level| {
        report
            .names
            .iter()
            .filter(|name| name.level == wanted)
            .count()
    };
    let mut text = format!(
        "{}, {}",
        plural(report.pickles, "pickle"),
        plural(report.names.len(), "name")
    );
    let counts: Vec<String> = [Level::Inert, Level::Unknown, Level::Dangerous]
        .into_iter()
        .filter(|&level| count(level) > 0)
        .map(|level| format!("{} {}", grouped(count(level) as u64), level.name()))
        .collect();
    if !counts.is_empty() {
        text.push_str(&format!(": {}", counts.join(", ")));
    }
    if report.files > 1 || report.skipped > 0 {
        text.push_str(&format!(" (in {}", plural(report.files, "file")));
        if report.skipped > 0 {
            text.push_str(&format!(
                "; {} of kinds that hold no pickle",
                plural(report.skipped, "other")
            ));
        }
        text.push(')');
    }
    text
}

/// The contract's document: `file`, `verdict`, `findings`; and every name under `globals`.
pub fn json(report: &Report) -> Value {
    let findings: Vec<Value> = report.findings.iter().map(finding_json).collect();
    let globals: Vec<Value> = report
        .names
        .iter()
        .map(|name| {
            json!({
                "what": name.what,
                "level": name.level.name(),
                "allowed": name.allowed,
                "count": name.count,
                "where": name.place,
                "path": name.path,
            })
        })
        .collect();
    json!({
        "file": report.file.display().to_string(),
        "verdict": report.verdict.verdict(),
        "findings": findings,
        "findings_left_out": report.left_out,
        "globals": globals,
        "pickles": report.pickles,
        "files": report.files,
        "files_without_pickles": report.skipped,
        "file_verdicts": report.verdicts.iter().map(|(file, level)| {
            json!({"file": file.display().to_string(), "verdict": level.verdict()})
        }).collect::<Vec<Value>>(),
    })
}

/// Of several files: the worst verdict, a document for each, and why others were not scanned.
pub fn json_of_several(reports: &[Report], failures: &[(&PathBuf, Error)]) -> Value {
    let worst = reports.iter().map(|report| report.verdict).max();
    let failed: Vec<Value> = failures
        .iter()
        .map(
            |(file, error)| json!({"file": file.display().to_string(), "error": error.to_string()}),
        )
        .collect();
    json!({
        "verdict": worst.map(Level::verdict).filter(|_| failures.is_empty() || worst > Some(Level::Inert)),
        "reports": reports.iter().map(json).collect::<Vec<Value>>(),
        "not_scanned": failed,
    })
}

fn finding_json(finding: &Finding) -> Value {
    let mut value = json!({
        "kind": finding.kind.name(),
        "what": finding.what,
        "where": finding.place,
        "path": finding.path,
        "level": finding.level.name(),
        "message": finding.message,
        "file_offset": finding.file_offset,
    });
    if let (Some(file), Some(object)) = (&finding.file, value.as_object_mut()) {
        object.insert("file".to_owned(), json!(file.display().to_string()));
    }
    value
}
