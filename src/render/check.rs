//! `check`: what is wrong, what it costs, and the map of the file.

use std::io::{Result, Write};

use serde_json::{Value, json};

use super::escape;
use super::number::grouped;
use super::paint::Paint;
use crate::check::{Owner, Problem, Report, Span};

/// Lines of each kind that are shown to people; programs get all of them.
const SHOWN: usize = 40;
/// Tensors of a group that are shown.
const OF_A_GROUP: usize = 6;

/// Writes problems, lost tensors, sharing, sizes, and the verdict.
pub fn text(out: &mut dyn Write, report: &Report, paint: Paint) -> Result<()> {
    let file = report.file.display().to_string();
    writeln!(
        out,
        "{}  {}, {} bytes",
        paint.title(escape::text(&file)),
        report.format,
        grouped(report.size)
    )?;
    for problem in report.problems.iter().take(SHOWN) {
        let kind = paint.bad(problem.kind).to_string();
        write_problem(out, problem, &kind)?;
    }
    more(out, report.problems.len())?;
    for note in report.notes.iter().take(SHOWN) {
        let kind = paint.warn(format!("note: {}", note.kind)).to_string();
        write_problem(out, note, &kind)?;
    }
    more(out, report.notes.len())?;
    for (name, why) in report.lost.iter().take(SHOWN) {
        writeln!(
            out,
            "  {}  {}: {}",
            paint.bad("lost"),
            paint.name(escape::text(name)),
            escape::text(why)
        )?;
    }
    more(out, report.lost.len() + report.lost_more)?;
    groups(out, report, paint)?;
    if let Some(map) = &report.map {
        write_map(out, map, paint)?;
    }
    summary(out, report, paint)
}

fn more(out: &mut dyn Write, count: usize) -> Result<()> {
    if count > SHOWN {
        writeln!(out, "  ... and {} more", grouped((count - SHOWN) as u64))?;
    }
    Ok(())
}

fn write_problem(out: &mut dyn Write, problem: &Problem, kind: &str) -> Result<()> {
    let what = match problem.what.as_str() {
        "" => String::new(),
        what => format!("{}: ", escape::text(what)),
    };
    let at = match problem.at {
        Some(at) => format!(" (byte {at})"),
        None => String::new(),
    };
    writeln!(
        out,
        "  {kind}  {what}{}{at}",
        escape::text(&problem.message)
    )
}

fn groups(out: &mut dyn Write, report: &Report, paint: Paint) -> Result<()> {
    for group in report.groups.iter().take(SHOWN) {
        let mut names: Vec<String> = Vec::new();
        for (number, (name, same)) in group.tensors.iter().take(OF_A_GROUP).enumerate() {
            let name = paint.name(escape::text(name)).to_string();
            names.push(match (number, same) {
                (0, _) => name,
                (_, true) => format!("{name} (the same elements)"),
                (_, false) => format!("{name} (another view)"),
            });
        }
        if group.tensors.len() > OF_A_GROUP {
            names.push(format!("and {} more", group.tensors.len() - OF_A_GROUP));
        }
        writeln!(
            out,
            "  shared  {}: {}",
            escape::text(&group.storage),
            names.join(", ")
        )?;
    }
    more(out, report.groups.len())
}

fn write_map(out: &mut dyn Write, map: &[Span], paint: Paint) -> Result<()> {
    for span in map {
        let slack = match span.slack {
            0 => String::new(),
            slack => format!("  ({} of them used by no tensor)", grouped(slack)),
        };
        let owner = format!("{:<11}", span.owner.name());
        let owner = match span.owner {
            Owner::Gap => paint.warn(owner).to_string(),
            Owner::Storage => paint.key(owner).to_string(),
            _ => paint.dim(owner).to_string(),
        };
        writeln!(
            out,
            "  {:>14} {:>14}  {owner} {}{slack}",
            grouped(span.from),
            grouped(span.to - span.from),
            escape::text(&span.what)
        )?;
    }
    Ok(())
}

fn summary(out: &mut dyn Write, report: &Report, paint: Paint) -> Result<()> {
    let mut parts = Vec::new();
    if report.tensors > 0 {
        let lost = report.lost.len() + report.lost_more;
        parts.push(match lost {
            0 => format!("{} tensors, all there", grouped(report.tensors as u64)),
            lost => format!(
                "{} of {} tensors are there",
                grouped((report.tensors - lost.min(report.tensors)) as u64),
                grouped(report.tensors as u64)
            ),
        });
    }
    if report.missing > 0 {
        // behind the last storage there may be more
        parts.push(format!(
            "at least {} bytes are missing",
            grouped(report.missing)
        ));
    }
    if let Some((stored, referenced)) = report.bytes {
        parts.push(if stored == referenced {
            format!("{} bytes stored, all used", grouped(stored))
        } else {
            format!(
                "{} bytes stored, {} used",
                grouped(stored),
                grouped(referenced)
            )
        });
    }
    if report.verified > 0 {
        parts.push(format!(
            "{} checksums right",
            grouped(report.verified as u64)
        ));
    }
    if !parts.is_empty() {
        writeln!(out, "{}", paint.dim(parts.join("; ")))?;
    }
    if report.is_whole() {
        return writeln!(out, "check: {}", paint.good("whole"));
    }
    writeln!(out, "check: {}", paint.bad("damaged"))?;
    let some_are_there = report.tensors > report.lost.len() + report.lost_more;
    if !report.lost.is_empty() && some_are_there {
        writeln!(
            out,
            "{}",
            paint.dim("`pthinspect recover` saves the tensors that are there")
        )?;
    }
    Ok(())
}

/// One document.
pub fn json(report: &Report) -> Value {
    let problems = |list: &[Problem]| -> Vec<Value> {
        list.iter()
            .map(|p| json!({"kind": p.kind, "what": p.what, "file_offset": p.at, "message": p.message}))
            .collect()
    };
    let lost: Vec<Value> = report
        .lost
        .iter()
        .map(|(name, why)| json!({"name": name, "why": why}))
        .collect();
    let groups: Vec<Value> = report
        .groups
        .iter()
        .map(|group| {
            let tensors: Vec<Value> = group
                .tensors
                .iter()
                .map(|(name, same)| json!({"name": name, "same_elements": same}))
                .collect();
            json!({"storage": group.storage, "nbytes": group.nbytes, "referenced": group.referenced, "tensors": tensors})
        })
        .collect();
    let map = report.map.as_ref().map(|map| {
        let spans: Vec<Value> = map
            .iter()
            .map(|span| {
                json!({"from": span.from, "to": span.to, "owner": span.owner.name(), "what": span.what, "slack": span.slack})
            })
            .collect();
        spans
    });
    json!({
        "file": report.file.display().to_string(),
        "format": report.format,
        "size": report.size,
        "whole": report.is_whole(),
        "problems": problems(&report.problems),
        "notes": problems(&report.notes),
        "checksums_right": report.verified,
        "tensors": report.tensors,
        "lost": lost,
        "lost_left_out": report.lost_more,
        "bytes_missing": report.missing,
        "bytes_stored": report.bytes.map(|(stored, _)| stored),
        "bytes_used": report.bytes.map(|(_, used)| used),
        "shared": groups,
        "map": map,
    })
}
