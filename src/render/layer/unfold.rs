//! `--im2col`: the weight as a matrix, the unfolded input, and which row and column is what.

use std::io::{Result, Write};

use super::super::number::bytes;
use super::super::paint::Paint;
use super::super::wrap::lines;
use super::text::{LABEL, WIDTH, label, line};
use super::words;
use crate::explain::Im2col;
use crate::explain::Layer;
use crate::explain::Memory;

/// Letters of the kernel's axes and of the output's.
const KERNEL: [&str; 3] = ["z", "y", "x"];
const OUTPUT: [&str; 3] = ["oz", "oy", "ox"];

/// The section.
pub(super) fn write(
    out: &mut dyn Write,
    layer: &Layer,
    im2col: &Im2col,
    paint: Paint,
) -> Result<()> {
    shapes(out, layer, im2col, paint)?;
    writeln!(out)?;
    formulas(out, layer, im2col, paint)?;
    writeln!(out)?;
    weight_table(out, im2col, paint)?;
    writeln!(out)?;
    input_table(out, im2col, paint)
}

/// The three matrices, and what becomes of their product.
fn shapes(out: &mut dyn Write, layer: &Layer, m: &Im2col, paint: Paint) -> Result<()> {
    let batch: Vec<usize> = m.batch.into_iter().collect();
    let with_batch = |rest: &[usize]| format!("{:?}", [&batch[..], rest].concat());
    let text = match m.groups {
        0 | 1 => format!(
            "[{}, {}] x [{}, {}] = [{}, {}]",
            m.filters, m.rows, m.rows, m.columns, m.filters, m.columns
        ),
        groups => format!(
            "{groups} products [{}, {}] x [{}, {}]: group g takes filters {} * g on, rows {} * g on",
            m.filters / groups,
            m.taps(),
            m.taps(),
            m.columns,
            m.filters / groups,
            m.taps()
        ),
    };
    label(out, paint, "im2col")?;
    let mut wrapped = lines(&text, WIDTH - LABEL).into_iter();
    writeln!(out, "{}", paint.title(wrapped.next().unwrap_or_default()))?;
    wrapped.try_for_each(|text| line(out, &text))?;
    let stored = match layer.weight.memory {
        Memory::Contiguous => "the same numbers in the same order: a view, no copy",
        _ => "a copy: the weight does not lie in the order of its indices",
    };
    let each = layer.weight.dtype.bits() as u64;
    let size = (m.rows as u64)
        .saturating_mul(m.columns as u64)
        .saturating_mul(each)
        / 8;
    let images = match m.batch {
        Some(n) if n > 1 => format!(", each of {n} images"),
        _ => String::new(),
    };
    let pixels = m.image.iter().product::<usize>().saturating_mul(m.channels) as u64 * each / 8;
    let times = size as f64 / pixels.max(1) as f64;
    let mut output = vec![m.filters];
    output.extend(&m.output);
    for (name, shape, note) in [
        (
            "weight",
            format!("[{}, {}]", m.filters, m.taps()),
            stored.to_owned(),
        ),
        (
            "unfolded",
            with_batch(&[m.rows, m.columns]),
            format!(
                "{}{images}; the input takes {}, {times:.1} times less",
                bytes(size),
                bytes(pixels)
            ),
        ),
        (
            "output",
            with_batch(&output),
            format!("[{}, {}] seen as maps", m.filters, m.columns),
        ),
    ] {
        let note = lines(&note, WIDTH - LABEL - 30);
        for (i, note) in note.into_iter().enumerate() {
            let (name, shape) = if i == 0 { (name, &shape[..]) } else { ("", "") };
            let text = format!(
                "{:<9}{} {}",
                name,
                paint.key(format!("{shape:<19}")),
                paint.dim(note)
            );
            line(out, text.trim_end())?;
        }
    }
    Ok(())
}

fn horner(symbols: &[&str], sizes: &[usize]) -> String {
    let mut text = symbols
        .first()
        .map_or_else(|| "0".to_owned(), ToString::to_string);
    for (i, (symbol, size)) in symbols.iter().zip(sizes).enumerate().skip(1) {
        text = match i {
            1 => format!("{text}*{size} + {symbol}"),
            _ => format!("({text})*{size} + {symbol}"),
        };
    }
    text
}

fn formulas(out: &mut dyn Write, layer: &Layer, m: &Im2col, paint: Paint) -> Result<()> {
    let dims = m.kernel.len();
    let (kernel, pixel) = (&KERNEL[3 - dims..], &OUTPUT[3 - dims..]);
    let symbols: Vec<&str> = ["i"].iter().chain(kernel).copied().collect();
    let sizes: Vec<usize> = [m.channels].iter().chain(&m.kernel).copied().collect();
    label(out, paint, "row")?;
    writeln!(
        out,
        "r = {}   {}",
        horner(&symbols, &sizes),
        paint.dim(format!("input channel i, kernel {}", kernel.join(", ")))
    )?;
    label(out, paint, "column")?;
    writeln!(
        out,
        "p = {}   {}",
        horner(pixel, &m.output),
        paint.dim(format!("output pixel {}", pixel.join(", ")))
    )?;
    let Some((conv, output)) = layer.convolution.as_ref().zip(layer.output.as_ref()) else {
        return Ok(());
    };
    let hyper = &conv.hyper;
    let place = |axis: usize| {
        let (stride, dilation) = (hyper.stride.value[axis], hyper.dilation.value[axis]);
        let scaled = |factor: usize, symbol: &str| match factor {
            1 => symbol.to_owned(),
            factor => format!("{symbol}*{factor}"),
        };
        let padding = match output.axes[axis].padding.0 {
            0 => String::new(),
            n => format!(" - {n}"),
        };
        format!(
            "{} + {}{padding}",
            scaled(stride, pixel[axis]),
            scaled(dilation, kernel[axis])
        )
    };
    let places: Vec<String> = (0..dims).map(place).collect();
    label(out, paint, "cell")?;
    writeln!(out, "r, p = input[i, {}]", places.join(", "))?;
    if output.axes.iter().any(|axis| axis.padding != (0, 0)) {
        let text = match hyper.padding_mode.value.as_str() {
            "zeros" => "  0 where that is outside of the image".to_owned(),
            mode => format!("  padding_mode {mode} where that is outside of the image"),
        };
        line(out, &paint.dim(text).to_string())?;
    }
    Ok(())
}

/// Numbers worth showing among `count`: the first, those around `period`, the last.
fn landmarks(count: usize, periods: &[usize]) -> Vec<usize> {
    let mut shown = vec![0, 1, count.saturating_sub(1)];
    for &period in periods {
        shown.extend([period.saturating_sub(1), period]);
    }
    shown.retain(|&n| n < count);
    shown.sort_unstable();
    shown.dedup();
    shown
}

/// As [`landmarks`], without those just before a seam: columns are dearer than rows.
fn seams(count: usize, periods: &[usize]) -> Vec<usize> {
    let mut shown = vec![0, 1, count.saturating_sub(1)];
    shown.extend(periods);
    shown.retain(|&n| n < count);
    shown.sort_unstable();
    shown.dedup();
    shown
}

fn joined(index: &[usize]) -> String {
    index
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// The weight as a matrix: which cell is which weight.
fn weight_table(out: &mut dyn Write, m: &Im2col, paint: Paint) -> Result<()> {
    let taps: usize = m.kernel.iter().product();
    let width = m.kernel.last().copied().unwrap_or(1);
    let columns = seams(m.taps(), &[width, taps]);
    let heads: Vec<String> = columns
        .iter()
        .map(|&column| format!("r {column}"))
        .collect();
    let axes = KERNEL[3 - m.kernel.len()..].join(",");
    let rows = landmarks(m.filters, &[]).into_iter().map(|o| {
        let cells = columns
            .iter()
            .map(|&column| format!("{o},{}", joined(&m.row(column))));
        (format!("filter {o}"), cells.collect())
    });
    let title = format!("the weight as a matrix: the weight o,i,{axes} in each cell");
    table(
        out,
        &title,
        &heads,
        rows.collect(),
        m.taps(),
        &columns,
        paint,
    )
}

/// The unfolded input: which cell is which pixel.
fn input_table(out: &mut dyn Write, m: &Im2col, paint: Paint) -> Result<()> {
    let taps: usize = m.kernel.iter().product();
    let width = m.kernel.last().copied().unwrap_or(1);
    let line = m.output.last().copied().unwrap_or(1);
    let columns = seams(m.columns, &[line]);
    let heads: Vec<String> = columns
        .iter()
        .map(|&column| format!("p {column} ({})", joined(&m.column(column))))
        .collect();
    let axes = KERNEL[3 - m.kernel.len()..].join(",");
    let rows = landmarks(m.rows, &[width, taps]).into_iter().map(|row| {
        let cells = columns.iter().map(|&column| match m.source(row, column) {
            Some(source) => joined(&source),
            None => "0".to_owned(),
        });
        (
            format!("r {row} ({})", joined(&m.row(row))),
            cells.collect(),
        )
    });
    let title = format!("the unfolded input: the pixel i,{axes} of the input in each cell");
    table(
        out,
        &title,
        &heads,
        rows.collect(),
        m.columns,
        &columns,
        paint,
    )
}

/// A table whose columns `shown` are some of `count`; dots stand for those between.
fn table(
    out: &mut dyn Write,
    title: &str,
    heads: &[String],
    rows: Vec<(String, Vec<String>)>,
    count: usize,
    shown: &[usize],
    paint: Paint,
) -> Result<()> {
    let first = rows.iter().map(|(head, _)| head.len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..heads.len())
        .map(|i| {
            let cells = rows.iter().map(|(_, cells)| cells[i].len());
            cells.max().unwrap_or(0).max(heads[i].len())
        })
        .collect();
    // as many columns as fit
    let gap = |i: usize| match i > 0 && shown[i] != shown[i - 1] + 1 {
        true => " ... ",
        false => "  ",
    };
    let mut room = WIDTH - 2 - first - 4;
    let fitting = widths.iter().enumerate().take_while(|&(i, &width)| {
        let wanted = width + gap(i).len();
        let fits = room >= wanted;
        room = room.saturating_sub(wanted);
        fits
    });
    let fitting = fitting.count().max(1);
    writeln!(out, "  {}", paint.title(title))?;
    let text = |cells: &[String]| {
        let cells = cells.iter().take(fitting).enumerate();
        cells
            .map(|(i, cell)| format!("{}{cell:<w$}", gap(i), w = widths[i]))
            .collect::<String>()
    };
    let more = match fitting == heads.len() && shown.last().is_some_and(|&last| last + 1 == count) {
        true => "",
        false => " ...",
    };
    let head = format!("{:first$}{}", "", text(heads));
    writeln!(out, "  {}", paint.dim(head.trim_end()))?;
    for (head, cells) in &rows {
        let text = text(cells);
        writeln!(
            out,
            "  {}{}{more}",
            paint.dim(format!("{head:<first$}")),
            text.trim_end()
        )?;
    }
    Ok(())
}

/// As JSON: shapes, formulas in words, and what every row and column is as far as there are not too many.
pub(super) fn json(layer: &Layer, m: &Im2col) -> serde_json::Value {
    const LISTED: usize = 1 << 16;
    let row: Vec<Vec<usize>> = (0..m.rows.min(LISTED)).map(|row| m.row(row)).collect();
    let column: Vec<Vec<usize>> = (0..m.columns.min(LISTED))
        .map(|column| m.column(column))
        .collect();
    let sources = (m.rows * m.columns <= LISTED).then(|| {
        let of_row = |row: usize| (0..m.columns).map(move |column| m.flat_source(row, column));
        (0..m.rows)
            .map(|row| of_row(row).collect())
            .collect::<Vec<Vec<_>>>()
    });
    serde_json::json!({
        "weight_matrix": [m.filters, m.taps()],
        "unfolded": m.batch.into_iter().chain([m.rows, m.columns]).collect::<Vec<_>>(),
        "output": layer.output.as_ref().map(|output| &output.shape),
        "groups": m.groups,
        "rows": row,
        "columns": column,
        "rows_are": format!("[channel, {}]", words::times(&m.kernel)),
        "input_flat": sources,
        "bytes": unfolded_bytes(layer, m),
    })
}

fn unfolded_bytes(layer: &Layer, m: &Im2col) -> u64 {
    let elements = m.rows as u64 * m.columns as u64;
    elements.saturating_mul(layer.weight.dtype.bits() as u64) / 8
}

#[cfg(test)]
mod tests {
    use super::{horner, landmarks};

    #[test]
    fn landmarks_are_the_ends_and_the_seams() {
        assert_eq!(landmarks(75, &[5, 25]), [0, 1, 4, 5, 24, 25, 74]);
        assert_eq!(landmarks(1, &[1, 1]), [0]);
        assert_eq!(landmarks(0, &[1]), [0; 0]);
        assert_eq!(horner(&["i", "y", "x"], &[3, 5, 4]), "(i*5 + y)*4 + x");
    }
}
