//! Two orders of one sum, tap beside tap.

use std::io::Result;
use std::io::Write;

use super::Explained;
use super::accumulator;
use super::bits;
use super::chosen;
use super::exact;
use super::hidden;
use super::kept;
use super::term;
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
    let side = |trace: &Trace<R>, row: Option<usize>| match row {
        None => [String::new(), String::new(), String::new(), String::new()],
        Some(row) => {
            let row = &trace.rows[row];
            let (into, sum) = match row.what {
                What::Skipped(_) => ("skipped".to_owned(), String::new()),
                _ => (accumulator(row.into), exact(row.sum, dtype)),
            };
            let bits = match row.what {
                What::Skipped(_) => String::new(),
                _ => bits(row.sum, dtype),
            };
            [term(row), into, sum, bits]
        }
    };
    let sides: Vec<[[String; 4]; 2]> = pair
        .rows
        .iter()
        .map(|&(i, j)| [side(one, i), side(other, j)])
        .collect();
    let widths: Vec<[usize; 4]> = (0..2)
        .map(|s| {
            [0, 1, 2, 3].map(|column| {
                let visible = sides.iter().zip(&shown).filter(|(_, shown)| **shown);
                let longest = visible.map(|(row, _)| row[s][column].len()).max();
                longest
                    .unwrap_or(0)
                    .max(["c,kh,kw", "into", "sum", ""][column].len())
            })
        })
        .collect();
    let steps = pair.rows.len().to_string().len().max(4);
    let cells = |s: usize, cells: [&str; 4]| {
        let [a, b, c, d] = widths[s];
        format!(
            "{:<a$} {:<b$} {:>c$} {:<d$}",
            cells[0], cells[1], cells[2], cells[3]
        )
    };
    let left: usize = widths[0].iter().sum::<usize>() + 3;
    writeln!(
        out,
        "  {:steps$} {:<left$} | {}",
        "",
        paint.name(first),
        paint.name(second)
    )?;
    let heads = ["c,kh,kw", "into", "sum", "bits"];
    let heads = format!(
        "{:>steps$} {} | {}",
        "step",
        cells(0, heads),
        cells(1, heads)
    );
    writeln!(out, "  {}", paint.dim(heads.trim_end()))?;
    let mut skipped = 0;
    let left_out = |&(i, j): &(Option<usize>, Option<usize>)| {
        let is = |row: &Row<R>| matches!(row.what, What::Skipped(_));
        i.is_some_and(|i| is(&one.rows[i])) && j.is_some_and(|j| is(&other.rows[j]))
    };
    for (step, (row, shown)) in sides.iter().zip(&shown).enumerate() {
        let all_the_same = left_out(&pair.rows[step]) && pair.part_at != Some(step);
        if !shown || all_the_same {
            skipped += 1;
            continue;
        }
        if skipped > 0 {
            hidden(out, paint, skipped, steps)?;
            skipped = 0;
        }
        let [a, b] = [0, 1].map(|s| cells(s, [&row[s][0], &row[s][1], &row[s][2], &row[s][3]]));
        let same = row[0][2..] == row[1][2..];
        let mark = if same { "|" } else { "≠" };
        let text = format!("{step:>steps$} {a} {mark} {b}");
        let text = text.trim_end();
        match pair.part_at == Some(step) {
            true => writeln!(out, "  {text}  {}", paint.warn("<- they part here"))?,
            false => writeln!(out, "  {text}")?,
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
