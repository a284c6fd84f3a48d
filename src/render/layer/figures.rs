//! `--figures`: a line of figures per filter.

use std::io::{Result, Write};

use super::super::number::{cell, count, grouped};
use super::super::paint::Paint;
use super::text::{LABEL, label, line};
use super::words;
use crate::explain::Figures;
use crate::explain::Layer;
use crate::explain::Sort;
use crate::explain::figures::Filter;
use crate::tensor::DType;
use crate::tensor::Element;

/// Filters that are listed: from the start, and from the end.
const LISTED: (usize, usize) = (24, 8);
/// Characters of a figure.
const CELL: usize = 9;

fn figure(value: f64) -> String {
    match value.is_nan() {
        true => "-".to_owned(),
        false => cell(&Element::Float(value), DType::Float64, CELL),
    }
}

/// The section.
pub(super) fn write(
    out: &mut dyn Write,
    layer: &Layer,
    figures: &Figures,
    paint: Paint,
) -> Result<()> {
    let word = words::slice_word(layer.kind).unwrap_or("index");
    let sorted = match figures.sorted {
        Sort::Index => String::new(),
        Sort::Min => ", by min, the smallest first".to_owned(),
        sort => format!(", by {}, the largest first", sort.name()),
    };
    label(out, paint, "figures")?;
    writeln!(
        out,
        "{}, each of {}{sorted}",
        count(figures.filters.len() as u64, word),
        count(
            figures.filters.first().map_or(0, |filter| filter.count) as u64,
            "value"
        ),
    )?;
    let head = format!(
        "{:>8} {:>CELL$} {:>CELL$} {:>CELL$} {:>CELL$} {:>CELL$} {:>6}",
        if word.len() > 8 { "index" } else { word },
        "norm",
        "mean",
        "std",
        "min",
        "max",
        "zeros"
    );
    writeln!(out, "  {}", paint.dim(head))?;
    let (first, last) = LISTED;
    let total = figures.filters.len();
    for (i, filter) in figures.filters.iter().enumerate() {
        if total > first + last && i == first {
            let hidden = grouped((total - first - last) as u64);
            writeln!(
                out,
                "  {}",
                paint.dim(format!("     ... {hidden} more: --json has all"))
            )?;
        }
        if total <= first + last || i < first || i >= total - last {
            print(out, filter, paint)?;
        }
    }
    remarks(out, figures, word, paint)
}

fn print(out: &mut dyn Write, filter: &Filter, paint: Paint) -> Result<()> {
    let mut notes = Vec::new();
    if filter.is_dead() {
        notes.push("dead".to_owned());
    }
    for (number, what) in [(filter.nan, "NaN"), (filter.inf, "Inf")] {
        if number > 0 {
            notes.push(format!("{number} {what}"));
        }
    }
    notes.extend(filter.same_as.map(|other| format!("= {other}")));
    let figures: String = [filter.norm, filter.mean, filter.std, filter.min, filter.max]
        .map(|value| format!(" {:>CELL$}", figure(value)))
        .concat();
    let line = format!("{:>8}{figures} {:>6}", filter.index, filter.zeros);
    match notes.is_empty() {
        true => writeln!(out, "  {line}"),
        false => writeln!(out, "  {line} {}", paint.warn(notes.join(", "))),
    }
}

/// What stands out.
fn remarks(out: &mut dyn Write, figures: &Figures, word: &str, paint: Paint) -> Result<()> {
    let number =
        |test: &dyn Fn(&Filter) -> bool| figures.filters.iter().filter(|f| test(f)).count();
    let dead = number(&|filter| filter.is_dead());
    let same = number(&|filter| filter.same_as.is_some());
    let broken = number(&|filter| filter.nan + filter.inf > 0);
    let mut norms: Vec<f64> = figures.filters.iter().map(|filter| filter.norm).collect();
    norms.sort_by(f64::total_cmp);
    if let (Some(&smallest), Some(&largest), false) = (norms.first(), norms.last(), norms.len() < 2)
    {
        let text = format!(
            "norms from {} to {}, the middle one {}",
            figure(smallest).trim(),
            figure(largest).trim(),
            figure(norms[norms.len() / 2]).trim()
        );
        line(out, &paint.dim(text).to_string())?;
    }
    for (number, text) in [
        (dead, "dead: all zeros, the output is the bias alone"),
        (same, "the same bits as an earlier one"),
        (broken, "with NaN or infinities, which figures leave out"),
    ] {
        if number > 0 {
            writeln!(
                out,
                "{:LABEL$}{}",
                "",
                paint.warn(format!("{} {text}", count(number as u64, word)))
            )?;
        }
    }
    Ok(())
}

/// As JSON: every filter.
pub(super) fn json(figures: &Figures) -> serde_json::Value {
    let number = |value: f64| super::super::number::json(&Element::Float(value), DType::Float64);
    let filters: Vec<_> = figures
        .filters
        .iter()
        .map(|filter| {
            serde_json::json!({
                "index": filter.index, "numel": filter.count, "norm": number(filter.norm), "mean": number(filter.mean),
                "std": number(filter.std), "min": number(filter.min), "max": number(filter.max), "zeros": filter.zeros,
                "nan": filter.nan, "inf": filter.inf, "dead": filter.is_dead(), "same_as": filter.same_as,
            })
        })
        .collect();
    serde_json::json!({"sorted_by": figures.sorted.name(), "filters": filters})
}
