//! `--output-at y,x`: the input window that one output pixel reads, drawn as a grid.

use std::io::{Result, Write};

use super::super::number::{count, grouped};
use super::super::paint::Paint;
use super::text::{LABEL, WIDTH, label, line};
use crate::execute::PaddingMode;
use crate::explain::Layer;
use crate::explain::Tap;
use crate::explain::Window;

/// Rows and columns of a grid that are drawn; wider ones are drawn with one character to a cell.
const DRAWN: usize = 40;

/// The section.
pub(super) fn write(
    out: &mut dyn Write,
    layer: &Layer,
    window: &Window,
    paint: Paint,
) -> Result<()> {
    let Some(conv) = &layer.convolution else {
        return Ok(());
    };
    const NAMES: [&str; 3] = ["z", "y", "x"];
    let names = &NAMES[3 - window.axes.len().min(3)..];
    let at: Vec<String> = names
        .iter()
        .zip(&window.output)
        .map(|(n, i)| format!("{n} {i}"))
        .collect();
    label(out, paint, "window")?;
    let channels = count(conv.channels_per_group() as u64, "channel");
    let whose = if conv.groups.value > 1 {
        " of its group"
    } else {
        ""
    };
    if conv.transposed {
        writeln!(
            out,
            "{}",
            paint.title(format!(
                "output {} is stamped by these input pixels",
                at.join(", ")
            ))
        )?;
        line(
            out,
            &format!("in each of {channels}{whose}, by the kernel index"),
        )?;
        return stamps(out, window, names);
    }
    writeln!(
        out,
        "{}",
        paint.title(format!(
            "output {} reads, in each of {channels}{whose}:",
            at.join(", ")
        ))
    )?;
    let (rows, columns): (&[Tap], &[Tap]) = match window.axes.as_slice() {
        [.., rows, columns] => (rows, columns),
        [columns] => (&[], columns),
        [] => return Ok(()),
    };
    if let [planes, _, _] = window.axes.as_slice() {
        let planes: Vec<String> = planes
            .iter()
            .map(|tap| match tap.source {
                Some(source) if source as i64 == tap.at => source.to_string(),
                Some(source) => format!("{} (a copy of {source})", tap.at),
                None => format!("{} (zeros)", tap.at),
            })
            .collect();
        line(out, &format!("planes {}", planes.join(", ")))?;
    }
    writeln!(out)?;
    grid(out, rows, columns, paint)?;
    legend(out, layer, window, paint)
}

/// The kernel's rows and columns from the first to the last, those between the taps as `None`.
fn spread(taps: &[Tap]) -> Vec<(i64, Option<Tap>)> {
    let (Some(first), Some(last)) = (taps.first(), taps.last()) else {
        return Vec::new();
    };
    let on = |at: i64| taps.iter().find(|tap| tap.at == at).copied();
    (first.at..=last.at).map(|at| (at, on(at))).collect()
}

/// Whether a tap stands in the padding.
fn is_outside(tap: &Tap) -> bool {
    tap.source.is_none_or(|source| source as i64 != tap.at)
}

/// What a cell reads: the pixel's row and column, `0` in the padding, `.` between the taps.
fn cell(row: Option<Tap>, column: Option<Tap>) -> String {
    let (Some(row), Some(column)) = (row, column) else {
        return ".".to_owned();
    };
    let (Some(y), Some(x)) = (row.source, column.source) else {
        return "0".to_owned();
    };
    let copied = if is_outside(&row) || is_outside(&column) {
        "'"
    } else {
        ""
    };
    format!("{y},{x}{copied}")
}

fn grid(out: &mut dyn Write, rows: &[Tap], columns: &[Tap], paint: Paint) -> Result<()> {
    let (across, down) = (spread(columns), spread(rows));
    let is_line = down.is_empty();
    let down: Vec<Option<(i64, Option<Tap>)>> = match is_line {
        true => vec![None],
        false => down.into_iter().map(Some).collect(),
    };
    if across.len() > DRAWN || down.len() > DRAWN {
        let text = format!(
            "a window of {} x {} pixels is too large to draw; --json has its taps",
            down.len(),
            across.len()
        );
        return line(out, &text);
    }
    let texts: Vec<Vec<String>> = down
        .iter()
        .map(|row| {
            let cells = across.iter().map(|(_, column)| match row {
                None => match column {
                    None => ".".to_owned(),
                    Some(tap) => one(tap),
                },
                Some((_, row)) => cell(*row, *column),
            });
            cells.collect()
        })
        .collect();
    let widest = texts.iter().flatten().map(String::len).max().unwrap_or(1);
    let heads = across
        .iter()
        .map(|(at, _)| at.to_string().len())
        .max()
        .unwrap_or(1);
    let width = widest.max(heads) + 1;
    // row heads: `y -2  ky 0 `
    let margin = 14;
    if margin + across.len() * width > WIDTH - 2 {
        return compact(out, &down, &across, paint);
    }
    let kernel: String = across
        .iter()
        .map(|(_, tap)| {
            format!(
                "{:>width$}",
                tap.map_or(String::new(), |tap| tap.kernel.to_string())
            )
        })
        .collect();
    let places: String = across
        .iter()
        .map(|(at, _)| format!("{at:>width$}"))
        .collect();
    writeln!(out, "  {}", paint.dim(format!("{:>margin$}{kernel}", "kx")))?;
    writeln!(out, "  {}", paint.dim(format!("{:>margin$}{places}", "x")))?;
    for (row, cells) in down.iter().zip(&texts) {
        let head = match row {
            None => String::new(),
            Some((at, Some(tap))) => format!("ky {:<3} y {at:>4}", tap.kernel),
            Some((at, None)) => format!("       y {at:>4}"),
        };
        let mut text = String::new();
        for (i, cell) in cells.iter().enumerate() {
            let padded = format!("{cell:>width$}");
            let reads_zero = |tap: Option<Tap>| tap.is_some_and(|tap| tap.source.is_none());
            let in_padding = cell.ends_with('\'')
                || reads_zero(row.and_then(|(_, row)| row))
                || reads_zero(across[i].1);
            text += &match (cell.as_str(), in_padding) {
                (".", _) => paint.dim(padded).to_string(),
                (_, true) => paint.negative(padded).to_string(),
                (_, false) => paint.key(padded).to_string(),
            };
        }
        writeln!(out, "  {}{text}", paint.dim(format!("{head:<margin$}")))?;
    }
    Ok(())
}

/// A cell of a one-dimensional window.
fn one(tap: &Tap) -> String {
    match tap.source {
        None => "0".to_owned(),
        Some(source) if is_outside(tap) => format!("{source}'"),
        Some(source) => source.to_string(),
    }
}

/// One character to a cell.
fn compact(
    out: &mut dyn Write,
    down: &[Option<(i64, Option<Tap>)>],
    across: &[(i64, Option<Tap>)],
    paint: Paint,
) -> Result<()> {
    let (first, last) = (
        across.first().map_or(0, |c| c.0),
        across.last().map_or(0, |c| c.0),
    );
    line(
        out,
        &paint
            .dim(format!(
                "columns x {first} to {last}: # read, . between the taps, + padding"
            ))
            .to_string(),
    )?;
    for row in down {
        let tap = |row: &Option<Tap>, column: &Option<Tap>| match (row, column) {
            (Some(row), Some(column)) if is_outside(row) || is_outside(column) => '+',
            (Some(_), Some(_)) => '#',
            _ => '.',
        };
        let cells: String = across
            .iter()
            .map(|(_, column)| match row {
                None => tap(column, column),
                Some((_, row)) => tap(row, column),
            })
            .flat_map(|c| [' ', c])
            .collect();
        let head = row.map_or_else(String::new, |(at, _)| format!("y {at:>4}"));
        writeln!(
            out,
            "  {}{cells}",
            paint.dim(format!("{head:<w$}", w = LABEL - 2))
        )?;
    }
    Ok(())
}

fn legend(out: &mut dyn Write, layer: &Layer, window: &Window, paint: Paint) -> Result<()> {
    let Some(conv) = &layer.convolution else {
        return Ok(());
    };
    let cells: usize = window.axes.iter().map(Vec::len).product();
    let inside: usize = window
        .axes
        .iter()
        .map(|taps| taps.iter().filter(|tap| !is_outside(tap)).count())
        .product();
    let padding = cells - inside;
    let taps = grouped((cells * conv.channels_per_group()) as u64);
    let cell = if window.axes.len() == 1 { "x" } else { "y,x" };
    let mut notes = vec![format!(
        "{cell} is the pixel that the tap reads; {taps} products make one output"
    )];
    if padding > 0 {
        notes.push(match window.mode {
            PaddingMode::Zeros => format!("0 is padding: {padding} of {cells} taps read a zero that is not in the image"),
            mode => format!(
                "' is padding, filled with a copy of that pixel (padding_mode {}): {padding} of {cells} taps",
                mode.name()
            ),
        });
    }
    if conv.hyper.dilation.value.iter().any(|&d| d > 1) {
        notes.push(". is passed over by the dilation".to_owned());
    }
    writeln!(out)?;
    notes.iter().try_for_each(|note| {
        super::super::wrap::lines(note, WIDTH - LABEL)
            .iter()
            .try_for_each(|text| line(out, &paint.dim(text).to_string()))
    })
}

/// The input pixels of a transposed convolution's output pixel.
fn stamps(out: &mut dyn Write, window: &Window, names: &[&str]) -> Result<()> {
    for (name, taps) in names.iter().zip(&window.axes) {
        let pairs: Vec<String> = taps
            .iter()
            .map(|tap| format!("{name} {} by k{name} {}", tap.at, tap.kernel))
            .collect();
        let text = match pairs.is_empty() {
            true => format!("no {name}: nothing reaches it, it is the bias alone"),
            false => pairs.join(", "),
        };
        for text in super::super::wrap::lines(&text, WIDTH - LABEL) {
            line(out, &text)?;
        }
    }
    Ok(())
}

/// As JSON.
pub(super) fn json(window: &Window) -> serde_json::Value {
    let axes: Vec<Vec<_>> = window
        .axes
        .iter()
        .map(|taps| {
            let taps = taps.iter();
            taps.map(
                |tap| serde_json::json!({"kernel": tap.kernel, "at": tap.at, "source": tap.source}),
            )
            .collect()
        })
        .collect();
    serde_json::json!({"output": window.output, "padding_mode": window.mode.name(), "axes": axes})
}
