//! Two orders of one sum, tap beside tap.

use std::io::Result;
use std::io::Write;

use super::Explained;
use super::accumulator;
use super::bits;
use super::cell;
use super::chosen;
use super::exact;
use super::kept;
use super::table::hidden;
use super::term;
use crate::execute::FloatType;
use crate::execute::Order;
use crate::execute::Real;
use crate::execute::order::trace::Pair;
use crate::execute::order::trace::Row;
use crate::execute::order::trace::Trace;
use crate::execute::order::trace::What;
use crate::render::Paint;

/// Both orders, tap beside tap.
pub(super) fn table<R: Real>(
    out: &mut dyn Write,
    paint: Paint,
    explained: &Explained<'_, R>,
    (second, other): &(Order, Trace<R>),
    limit: usize,
    room: usize,
) -> Result<()> {
    let (first, one) = &explained.first;
    let dtype = kept(explained.dtype);
    let pair = Pair::of(one, other);
    let boundaries: Vec<bool> = pair
        .rows
        .iter()
        .map(|&(i, j)| {
            let row = i.map(|i| &one.rows[i]).or(j.map(|j| &other.rows[j]));
            row.is_some_and(|row| row.what.factors().is_none())
        })
        .collect();
    let shown = chosen(&boundaries, limit, pair.part_at);
    let mut table = Table::of(&pair, [one, other], &shown, dtype, None);
    if table.width() > room {
        table = Table::of(&pair, [one, other], &shown, dtype, Some(9));
    }
    table.has_into = table.width() <= room;
    let steps = table.steps;
    let left = table.left();
    let names = [first.to_string(), second.to_string()];
    // names too long for their columns stand above, beside their labels
    let fits = 2 + steps + 1 + left + 3 + names[1].len() <= room && names[0].len() <= left;
    let names = if fits {
        names
    } else {
        ["order", "against"].map(str::to_owned)
    };
    writeln!(
        out,
        "  {:steps$} {:<left$} | {}",
        "",
        paint.name(&names[0]),
        paint.name(&names[1])
    )?;
    let heads = HEADS.map(str::to_owned);
    let heads = format!(
        "{:>steps$} {} | {}",
        "step",
        table.cells(0, &heads),
        table.cells(1, &heads)
    );
    writeln!(out, "  {}", paint.dim(heads.trim_end()))?;
    let mut skipped = 0;
    let left_out = |&(i, j): &(Option<usize>, Option<usize>)| {
        let is = |row: &Row<R>| matches!(row.what, What::Skipped(_));
        i.is_some_and(|i| is(&one.rows[i])) && j.is_some_and(|j| is(&other.rows[j]))
    };
    for (step, (row, shown)) in table.sides.iter().zip(&shown).enumerate() {
        let all_the_same = left_out(&pair.rows[step]) && pair.part_at != Some(step);
        if !shown || all_the_same {
            skipped += 1;
            continue;
        }
        if skipped > 0 {
            hidden(out, paint, skipped, steps)?;
            skipped = 0;
        }
        let [a, b] = [0, 1].map(|s| table.cells(s, &row[s]));
        let same = row[0][3] == row[1][3];
        let mark = if same { "|" } else { "≠" };
        let text = format!("{step:>steps$} {a} {mark} {b}");
        writeln!(out, "  {}", text.trim_end())?;
        if pair.part_at == Some(step) {
            let text = format!(
                "{:>w$}",
                "they part here: the first sum that differs ^",
                w = steps + left + 3
            );
            writeln!(out, "  {}", paint.warn(text))?;
        }
    }
    if pair.part_at.is_none() {
        writeln!(
            out,
            "  {}",
            paint.good("they never part: the same additions")
        )?;
    }
    Ok(())
}

/// Term, accumulator, sum, bits.
const HEADS: [&str; 4] = ["c,kh,kw", "into", "sum", "bits"];

/// The cells of both sides.
struct Table {
    sides: Vec<[[String; 4]; 2]>,
    widths: [[usize; 4]; 2],
    steps: usize,
    has_into: bool,
}

impl Table {
    /// With `digits` for a sum, or as many as read back as the same number.
    fn of<R: Real>(
        pair: &Pair,
        traces: [&Trace<R>; 2],
        shown: &[bool],
        dtype: FloatType,
        digits: Option<usize>,
    ) -> Self {
        let side = |trace: &Trace<R>, row: Option<usize>| {
            let Some(row) = row.map(|row| &trace.rows[row]) else {
                return Default::default();
            };
            if let What::Skipped(_) = row.what {
                return [
                    term(row),
                    "skipped".to_owned(),
                    String::new(),
                    String::new(),
                ];
            }
            let sum = match digits {
                None => exact(row.sum, dtype),
                Some(digits) => cell(row.sum.to_f64(), digits),
            };
            [term(row), accumulator(row.into), sum, bits(row.sum, dtype)]
        };
        let rows = pair.rows.iter();
        let sides: Vec<_> = rows
            .map(|&(i, j)| [side(traces[0], i), side(traces[1], j)])
            .collect();
        let width = |s: usize, column: usize| {
            let visible = sides.iter().zip(shown).filter(|(_, shown)| **shown);
            let longest = visible
                .map(|(row, _): (&[[String; 4]; 2], _)| row[s][column].len())
                .max();
            longest.unwrap_or(0).max(HEADS[column].len())
        };
        Self {
            widths: [0, 1].map(|s| [0, 1, 2, 3].map(|column| width(s, column))),
            steps: pair.rows.len().to_string().len().max(4),
            has_into: true,
            sides,
        }
    }

    /// Columns of the left side.
    fn left(&self) -> usize {
        let [a, into, c, d] = self.widths[0];
        a + c + d + 2 + if self.has_into { into + 1 } else { 0 }
    }

    fn width(&self) -> usize {
        let right: usize = self.widths[1].iter().sum();
        2 + self.steps + 1 + self.left() + 3 + right + 3
    }

    fn cells(&self, s: usize, cells: &[String; 4]) -> String {
        let [a, b, c, d] = self.widths[s];
        let into = match self.has_into {
            true => format!("{:<b$} ", cells[1]),
            false => String::new(),
        };
        format!("{:<a$} {into}{:>c$} {:<d$}", cells[0], cells[2], cells[3])
    }
}
