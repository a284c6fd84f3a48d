//! The sum as one order makes it, one line per addition, folded into the width that there is.

use std::io::Result;
use std::io::Write;

use super::Explained;
use super::accumulator;
use super::bits;
use super::cell;
use super::chosen;
use super::exact;
use super::kept;
use super::product;
use super::term;
use crate::execute::FloatType;
use crate::execute::Real;
use crate::execute::order::trace::Row;
use crate::execute::order::trace::Trace;
use crate::execute::order::trace::What;
use crate::render::Paint;
use crate::render::number;

/// Columns of the table.
const COLUMNS: usize = 10;
const STEP: usize = 0;
const TERM: usize = 1;
const INTO: usize = 7;
const BITS: usize = 9;

/// How wide the table is made; the first one that fits is taken.
#[derive(Clone, Copy, Debug)]
struct Style {
    /// Digits of input, weight and product.
    cell: usize,
    /// Digits of the sum; `None`: as many as read back as the same number.
    sum: Option<usize>,
    heads: [&'static str; COLUMNS],
    /// Columns that are left out.
    without: &'static [usize],
}

const WIDE: [&str; COLUMNS] = [
    "step", "c,kh,kw", "weight", "c,y,x", "x", "w", "x*w", "into", "sum", "bits",
];
const NARROW: [&str; COLUMNS] = [
    "step", "tap", "flat", "pixel", "x", "w", "x*w", "into", "sum", "bits",
];

fn style(
    cell: usize,
    sum: Option<usize>,
    heads: [&'static str; COLUMNS],
    without: &'static [usize],
) -> Style {
    Style {
        cell,
        sum,
        heads,
        without,
    }
}

/// From the widest to the narrowest.
fn styles() -> [Style; 7] {
    [
        style(9, None, WIDE, &[]),
        style(8, Some(9), NARROW, &[]),
        style(7, Some(9), NARROW, &[]),
        style(7, Some(8), NARROW, &[STEP]),
        style(7, Some(8), NARROW, &[STEP, 2]),
        style(7, Some(8), NARROW, &[STEP, 2, 4, 5]),
        style(7, Some(8), NARROW, &[STEP, 2, 4, 5, BITS]),
    ]
}

/// Runs of taps that are left out, and rows that are not shown, as one line each.
enum Line {
    Row(usize),
    LeftOut(usize, usize),
    Hidden(usize),
}

fn lines<R: Real>(trace: &Trace<R>, limit: usize) -> Vec<Line> {
    let mut all: Vec<Line> = Vec::new();
    for (i, row) in trace.rows.iter().enumerate() {
        match (&row.what, all.last_mut()) {
            (What::Skipped(_), Some(Line::LeftOut(_, end))) if *end == i => *end = i + 1,
            (What::Skipped(_), _) => all.push(Line::LeftOut(i, i + 1)),
            _ => all.push(Line::Row(i)),
        }
    }
    let is_boundary = |line: &Line| match line {
        Line::Row(i) => trace.rows[*i].what.factors().is_none(),
        _ => false,
    };
    let boundaries: Vec<bool> = all.iter().map(is_boundary).collect();
    let shown = chosen(&boundaries, limit, None);
    let mut lines = Vec::new();
    for (line, shown) in all.into_iter().zip(shown) {
        match (shown, lines.last_mut()) {
            (true, _) => lines.push(line),
            (false, Some(Line::Hidden(n))) => *n += 1,
            (false, _) => lines.push(Line::Hidden(1)),
        }
    }
    lines
}

/// One line per addition.
pub(super) fn write<R: Real>(
    out: &mut dyn Write,
    paint: Paint,
    explained: &Explained<'_, R>,
    limit: usize,
    room: usize,
) -> Result<()> {
    let trace = &explained.first.1;
    let dtype = kept(explained.dtype);
    let lines = lines(trace, limit);
    let mut table = Table::of(styles()[0], trace, &lines, dtype);
    for style in &styles()[1..] {
        if table.width() <= room {
            break;
        }
        table = Table::of(*style, trace, &lines, dtype);
    }
    if table.style.heads[TERM] == NARROW[TERM] {
        let text = "tap c,kh,kw of the filter; flat index of its weight; pixel c,y,x of the input";
        writeln!(out, "  {}", paint.dim(text))?;
    }
    let heads = table.line(&table.style.heads.map(str::to_owned));
    writeln!(out, "{}", paint.dim(heads))?;
    let indent = if table.style.without.contains(&STEP) {
        0
    } else {
        table.widths[STEP]
    };
    for (shown, cells) in lines.iter().zip(&table.cells) {
        match (shown, cells) {
            (Line::Row(i), Some(cells)) => {
                let text = table.line(cells);
                match trace.rows[*i].what.factors() {
                    None => writeln!(out, "{}", paint.name(text))?,
                    Some(_) => writeln!(out, "{text}")?,
                }
            }
            (Line::LeftOut(start, end), _) => {
                let of = |i: usize| term(&trace.rows[i]);
                let range = match end - start {
                    1 => of(*start),
                    _ => format!("{} to {}", of(*start), of(end - 1)),
                };
                let text = format!("skipped, in the padding: {range}");
                writeln!(out, "  {:indent$} {}", "", paint.dim(text))?;
            }
            (Line::Hidden(n), _) => hidden(out, paint, *n, indent)?,
            (Line::Row(_), None) => {}
        }
    }
    Ok(())
}

/// The cells of all lines in one style.
struct Table {
    style: Style,
    cells: Vec<Option<[String; COLUMNS]>>,
    widths: [usize; COLUMNS],
}

impl Table {
    fn of<R: Real>(style: Style, trace: &Trace<R>, lines: &[Line], dtype: FloatType) -> Self {
        let cells: Vec<_> = lines
            .iter()
            .map(|line| match line {
                Line::Row(i) => Some(row_cells(*i, &trace.rows[*i], dtype, style)),
                Line::LeftOut(..) | Line::Hidden(_) => None,
            })
            .collect();
        let width = |column: usize| {
            if style.without.contains(&column) {
                return 0;
            }
            let texts = cells
                .iter()
                .flatten()
                .map(|row: &[String; COLUMNS]| &row[column]);
            // what joins lanes may be long, and has the columns after it to itself
            let texts = texts.filter(|text| column != TERM || text.len() <= 11);
            let longest = texts.map(String::len).max().unwrap_or(0);
            longest.max(style.heads[column].len())
        };
        Self {
            widths: std::array::from_fn(width),
            style,
            cells,
        }
    }

    fn columns(&self) -> impl Iterator<Item = usize> {
        (0..COLUMNS).filter(|column| !self.style.without.contains(column))
    }

    fn width(&self) -> usize {
        1 + self
            .columns()
            .map(|column| self.widths[column] + 1)
            .sum::<usize>()
    }

    fn line(&self, cells: &[String; COLUMNS]) -> String {
        let mut text = String::from(" ");
        let mut end = 1;
        for column in self.columns() {
            end += self.widths[column] + 1;
            let cell = &cells[column];
            // a long cell takes room from those after it
            let width = end.saturating_sub(text.chars().count() + 1);
            text += &match column {
                TERM | INTO | BITS => format!(" {cell:<width$}"),
                _ => format!(" {cell:>width$}"),
            };
        }
        text.trim_end().to_owned()
    }
}

pub(super) fn hidden(out: &mut dyn Write, paint: Paint, n: usize, width: usize) -> Result<()> {
    let n = number::count(n as u64, "more line");
    let text = format!("... {n}: --rows shows more, --json all");
    writeln!(out, "  {:width$} {}", "", paint.dim(text))
}

fn row_cells<R: Real>(
    step: usize,
    row: &Row<R>,
    dtype: FloatType,
    style: Style,
) -> [String; COLUMNS] {
    let mut cells: [String; COLUMNS] = Default::default();
    cells[STEP] = step.to_string();
    cells[TERM] = term(row);
    cells[INTO] = accumulator(row.into);
    cells[8] = match style.sum {
        None => exact(row.sum, dtype),
        Some(width) => cell(row.sum.to_f64(), width),
    };
    cells[BITS] = bits(row.sum, dtype);
    let value = |value: f64| cell(value, style.cell);
    match &row.what {
        What::Product { factors, fused } => {
            cells[2] = factors
                .weight_at
                .map_or("filled".into(), |at| at.to_string());
            cells[3] = match factors.input_at {
                Some([_, c, y, x]) => format!("{c},{y},{x}"),
                None => "padding".into(),
            };
            cells[4] = value(factors.x.to_f64());
            cells[5] = value(factors.w.to_f64());
            cells[6] = match fused {
                true => value(product(factors)),
                false => value((factors.x * factors.w).to_f64()),
            };
        }
        What::Bias(bias) => cells[6] = value(bias.to_f64()),
        What::Part(part, _) => cells[6] = value(part.to_f64()),
        What::Skipped(_) | What::Joined { .. } | What::NotCalled | What::Flushed => {}
    }
    cells
}
