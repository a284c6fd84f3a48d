//! The chosen values: grids and single elements.

use std::io::{Result, Write};

use super::super::escape;
use super::super::number::{cell, count, element as exact, grouped};
use super::super::paint::Paint;
use super::address;
use super::text::{LABEL, WIDTH, label, place_text};
use super::words;
use crate::explain::ElementAt;
use crate::explain::Grid;
use crate::explain::Layer;
use crate::explain::Selection;
use crate::tensor::Element;

/// Characters of a value in a grid.
const CELL: usize = 9;
/// Grids shown before the rest is only counted.
const GRIDS: usize = 16;
/// Rows and columns of a grid shown.
const ROWS: usize = 64;
const COLUMNS: usize = 84;

/// The chosen filter, channel, row, ...
pub(super) fn selection(
    out: &mut dyn Write,
    layer: &Layer,
    selection: &Selection,
    paint: Paint,
) -> Result<()> {
    if let Some(slice) = &selection.slice {
        let range = format!("{}..{}", slice.flat.start, slice.flat.end);
        let values = count(slice.flat.end - slice.flat.start, "value");
        writeln!(
            out,
            "  {}  {values}, flat {}, file bytes {}",
            paint.title(prefix_words(layer, &slice.prefix)),
            paint.key(range),
            place_text(slice)
        )?;
    }
    for companion in &layer.companions {
        let value = exact(&companion.value, companion.dtype);
        writeln!(
            out,
            "  {} {value}",
            paint.name(escape::text(&companion.name))
        )?;
    }
    let repeated = selection
        .slice
        .as_ref()
        .filter(|_| selection.grids.len() == 1);
    for grid in selection.grids.iter().take(GRIDS) {
        if repeated.is_none() {
            let flat = format!("flat {}..{}", grid.slice.flat.start, grid.slice.flat.end);
            writeln!(
                out,
                "  {}  {}",
                paint.name(prefix_words(layer, &grid.slice.prefix)),
                paint.dim(format_args!(
                    "{flat}, file bytes {}",
                    place_text(&grid.slice)
                ))
            )?;
        }
        values(out, layer, grid, paint)?;
    }
    if selection.grids.len() > GRIDS {
        let more = grouped((selection.grids.len() - GRIDS) as u64);
        let text = format!("... {more} more grids: --filter and --channel choose, --json has all");
        writeln!(out, "  {}", paint.dim(text))?;
    }
    Ok(())
}

/// `filter 7, channel 0`
pub(super) fn prefix_words(layer: &Layer, prefix: &[usize]) -> String {
    let axis_word = |axis: usize| match axis {
        0 => words::slice_word(layer.kind).map(str::to_owned),
        1 if words::slice_word(layer.kind).is_some() && layer.weight.shape.len() > 2 => {
            Some(words::inner_word(layer.kind).to_owned())
        }
        _ => None,
    };
    let word = |axis| axis_word(axis).unwrap_or_else(|| layer.axes[axis].letter());
    let parts: Vec<_> = prefix
        .iter()
        .enumerate()
        .map(|(axis, index)| format!("{} {index}", word(axis)))
        .collect();
    parts.join(", ")
}

/// The values of a grid, in blocks of as many columns as fit.
fn values(out: &mut dyn Write, layer: &Layer, grid: &Grid, paint: Paint) -> Result<()> {
    let dtype = layer.weight.dtype;
    if let (None, [[value]]) = (
        grid.axes.1,
        &grid.rows.iter().map(Vec::as_slice).collect::<Vec<_>>()[..],
    ) {
        let name = escape::text(&layer.weight.name);
        return writeln!(out, "  {} {}", paint.name(name), exact(value, dtype));
    }
    let columns = grid.rows.first().map_or(0, Vec::len);
    let texts: Vec<Vec<String>> = grid
        .rows
        .iter()
        .take(ROWS)
        .map(|row| {
            row.iter()
                .take(COLUMNS)
                .map(|value| cell(value, dtype, CELL))
                .collect()
        })
        .collect();
    let widest = texts
        .iter()
        .flatten()
        .map(String::len)
        .max()
        .unwrap_or(0)
        .max(CELL);
    let row_letter = grid.axes.0.map(|axis| layer.axes[axis].letter());
    let column_letter = grid.axes.1.map(|axis| layer.axes[axis].letter());
    let per_block = ((WIDTH - LABEL) / (widest + 1)).max(1);
    let shown = columns.min(COLUMNS);
    for start in (0..shown).step_by(per_block) {
        let block = start..(start + per_block).min(shown);
        if let Some(letter) = &column_letter {
            let heads: String = block
                .clone()
                .map(|x| format!(" {:>widest$}", format!("{letter}={x}")))
                .collect();
            writeln!(out, "{:LABEL$}{}", "", paint.dim(heads))?;
        }
        for (y, row) in texts.iter().enumerate() {
            let head = row_letter
                .as_ref()
                .map_or_else(String::new, |letter| format!("{letter}={y}"));
            write!(out, "{}", paint.dim(format_args!("{head:>LABEL$}")))?;
            for (text, value) in row[block.clone()].iter().zip(&grid.rows[y][block.clone()]) {
                write_value(out, &format!("{text:>widest$}"), value, paint)?;
            }
            writeln!(out)?;
        }
    }
    if columns > shown || grid.rows.len() > ROWS {
        let text = format!(
            "... {} x {columns} values in all: --json has them",
            grid.rows.len()
        );
        writeln!(out, "{:LABEL$}{}", "", paint.dim(text))?;
    }
    Ok(())
}

/// A padded value after a blank, coloured by its sign.
fn write_value(out: &mut dyn Write, text: &str, value: &Element, paint: Paint) -> Result<()> {
    match value {
        Element::Float(v) if !v.is_finite() => write!(out, " {}", paint.bad(text)),
        Element::Float(v) if *v < 0.0 => write!(out, " {}", paint.negative(text)),
        _ => write!(out, " {text}"),
    }
}

/// One element: index, flat position, storage, file byte, bytes, value, bits.
pub(super) fn element(
    out: &mut dyn Write,
    layer: &Layer,
    element: &ElementAt,
    paint: Paint,
) -> Result<()> {
    let weight = &layer.weight;
    let index = &element.index;
    writeln!(
        out,
        "  {}  {}",
        paint.title(format!("{}{index:?}", escape::text(&weight.name))),
        paint.dim(prefix_words(layer, index))
    )?;
    let symbols = address::digits(index);
    label(out, paint, "flat")?;
    writeln!(
        out,
        "{} = {}",
        address::horner(&symbols, &weight.shape),
        paint.key(element.flat)
    )?;
    label(out, paint, "storage")?;
    let sum = products(index, &weight.stride, weight.storage_offset);
    let key = match &weight.storage {
        Some((key, ..)) if !key.is_empty() => format!(" of {}", escape::text(key)),
        _ => String::new(),
    };
    writeln!(
        out,
        "{sum} = element {}{key}",
        paint.key(element.storage_element)
    )?;
    file_byte(out, layer, element, paint)?;
    label(out, paint, "value")?;
    writeln!(out, "{}", paint.key(exact(&element.value, weight.dtype)))?;
    label(out, paint, "bits")?;
    let width = weight.dtype.bits().div_ceil(4) + 2;
    let anatomy = anatomy(weight.dtype.name(), element.bits);
    writeln!(
        out,
        "{}{anatomy}",
        paint.key(format!("{:#0width$x}", element.bits))
    )
}

fn file_byte(out: &mut dyn Write, layer: &Layer, element: &ElementAt, paint: Paint) -> Result<()> {
    let weight = &layer.weight;
    label(out, paint, "file")?;
    let bytes: Vec<String> = element
        .bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let bytes = bytes.join(" ");
    let first = weight
        .whole
        .spot
        .as_ref()
        .and_then(|spot| spot.file.as_ref());
    let (Some(at), Some(first)) = (element.file_offset, first) else {
        return writeln!(out, "not in the file in the clear; bytes {bytes}");
    };
    let steps = element.storage_element - weight.storage_offset;
    let way = if weight.dtype.bits().is_multiple_of(8) {
        format!("{} + {steps}*{} = ", first.start, weight.dtype.bits() / 8)
    } else {
        String::new()
    };
    writeln!(
        out,
        "{way}byte {} {}  {bytes}",
        paint.key(at),
        paint.dim(format_args!("({at:#x})"))
    )
}

/// `7*75 + 2*25 + 4*5 + 1*1`, the storage offset first where there is one.
fn products(index: &[usize], stride: &[usize], offset: usize) -> String {
    let mut terms: Vec<String> = index
        .iter()
        .zip(stride)
        .map(|(index, stride)| format!("{index}*{stride}"))
        .collect();
    if offset > 0 || terms.is_empty() {
        terms.insert(0, offset.to_string());
    }
    terms.join(" + ")
}

/// Sign, exponent and mantissa of the common float types.
fn anatomy(dtype: &str, bits: u128) -> String {
    let (exponent_bits, mantissa_bits) = match dtype {
        "float32" => (8, 23),
        "float64" => (11, 52),
        "float16" => (5, 10),
        "bfloat16" => (8, 7),
        _ => return String::new(),
    };
    let mantissa = bits & ((1 << mantissa_bits) - 1);
    let exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
    let sign = if bits >> (exponent_bits + mantissa_bits) & 1 == 1 {
        '-'
    } else {
        '+'
    };
    let bias = (1i64 << (exponent_bits - 1)) - 1;
    let what = match i64::try_from(exponent).unwrap_or(0) {
        0 if mantissa == 0 => "zero".to_owned(),
        0 => "subnormal".to_owned(),
        e if e == (1 << exponent_bits) - 1 => {
            if mantissa == 0 {
                "infinite".to_owned()
            } else {
                "not a number".to_owned()
            }
        }
        e => format!("exponent 2^{}", e - bias),
    };
    format!("  sign {sign}, {what}, mantissa {mantissa:#x}")
}

#[cfg(test)]
mod tests {
    use super::{anatomy, products};

    #[test]
    fn bits_are_taken_apart() {
        assert_eq!(
            anatomy("float32", 0x3c23_d70a),
            "  sign +, exponent 2^-7, mantissa 0x23d70a"
        );
        assert_eq!(
            anatomy("float32", 0x8000_0000),
            "  sign -, zero, mantissa 0x0"
        );
        assert_eq!(
            anatomy("bfloat16", 0x7f80),
            "  sign +, infinite, mantissa 0x0"
        );
        assert_eq!(anatomy("int64", 1), "");
    }

    #[test]
    fn sums_show_every_term() {
        assert_eq!(
            products(&[7, 2, 4, 1], &[75, 25, 5, 1], 0),
            "7*75 + 2*25 + 4*5 + 1*1"
        );
        assert_eq!(products(&[], &[], 0), "0");
        assert_eq!(products(&[1], &[2], 9), "9 + 1*2");
    }
}
