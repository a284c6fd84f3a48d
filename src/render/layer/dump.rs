//! `--hex`: the bytes of a filter as they lie in the file, beside the weights that they are.

use std::io::{Result, Write};

use super::super::number::{cell, count, grouped};
use super::super::paint::Paint;
use super::text::{WIDTH, label, line};
use super::values::prefix_words;
use crate::explain::CountedIn;
use crate::explain::Dump;
use crate::explain::Layer;

/// Lines that are printed.
const LINES: usize = 64;
/// Characters of a value.
const CELL: usize = 9;

/// The section.
pub(super) fn write(out: &mut dyn Write, layer: &Layer, dump: &Dump, paint: Paint) -> Result<()> {
    label(out, paint, "bytes")?;
    let fixed: Vec<usize> = dump.fixed.iter().map_while(|index| *index).collect();
    let what = match dump.fixed.iter().any(Option::is_some) {
        true if fixed.len() == dump.fixed.iter().flatten().count() => prefix_words(layer, &fixed),
        true => "the chosen part".to_owned(),
        false => "all of it".to_owned(),
    };
    let order = match layer.byte_order {
        crate::tensor::ByteOrder::Little => "little-endian: the lowest byte comes first",
        crate::tensor::ByteOrder::Big => "big-endian: the highest byte comes first",
    };
    writeln!(
        out,
        "{}, {} of {}",
        paint.title(what),
        count(dump.elements as u64, "weight"),
        layer.weight.dtype.name()
    )?;
    line(out, order)?;
    if dump.counted_in == CountedIn::Storage {
        line(
            out,
            "not in the file in the clear: offsets count from the storage's start",
        )?;
    }
    let index_width = dump
        .lines
        .iter()
        .take(LINES)
        .flat_map(|line| &line.weights)
        .map(|weight| joined(&weight.index).len())
        .max()
        .unwrap_or(0)
        .max(5);
    let longest = dump
        .lines
        .iter()
        .map(|line| line.bytes.len())
        .max()
        .unwrap_or(8)
        .max(8);
    let head = format!(
        "{:<10}{:<w$} {:<index_width$}  values",
        "offset",
        "bytes",
        "index",
        w = longest * 3 + 1
    );
    writeln!(out, "  {}", paint.dim(head))?;
    let mut end = None;
    for row in dump.lines.iter().take(LINES) {
        if end.is_some_and(|end| end != row.offset) {
            let gap = row.offset - end.unwrap_or(row.offset);
            writeln!(
                out,
                "  {}",
                paint.dim(format!("          {} of others", count(gap, "byte")))
            )?;
        }
        end = Some(row.offset + row.bytes.len() as u64);
        print(out, layer, row, index_width, longest, paint)?;
    }
    if dump.lines.len() > LINES {
        let more = grouped((dump.lines.len() - LINES) as u64);
        let text = format!("... {more} more lines: --filter and --channel choose, --json has all");
        writeln!(out, "  {}", paint.dim(text))?;
    }
    Ok(())
}

fn print(
    out: &mut dyn Write,
    layer: &Layer,
    row: &crate::explain::dump::Line,
    index_width: usize,
    longest: usize,
    paint: Paint,
) -> Result<()> {
    let dtype = layer.weight.dtype;
    let each = (dtype.bits() / 8).max(1);
    let mut hex = String::new();
    for (i, byte) in row.bytes.iter().enumerate() {
        // a wider gap between elements of several bytes
        let gap = if each > 1 && i > 0 && i % each == 0 {
            " "
        } else {
            ""
        };
        hex += &format!("{gap}{byte:02x} ");
    }
    let index = row
        .weights
        .first()
        .map_or_else(String::new, |weight| joined(&weight.index));
    let mut room = WIDTH - 2 - 10 - (longest * 3 + 1) - 1 - index_width - 1;
    let mut values = String::new();
    for (i, weight) in row.weights.iter().enumerate() {
        let width = if each < 2 { 4 } else { CELL };
        let mut text = cell(&weight.value, dtype, width.max(8));
        if weight.shared > 1 {
            text += &format!(" (of {} indices)", grouped(weight.shared as u64));
        }
        let text = format!(" {text:>width$}");
        if text.len() > room || (i + 1 < row.weights.len() && room < text.len() + 4) {
            values += " ...";
            break;
        }
        room -= text.len();
        values += &text;
    }
    let offset = format!("{:08x}", row.offset);
    writeln!(
        out,
        "  {}{:<w$} {index:<index_width$} {}",
        paint.dim(format!("{offset:<10}")),
        hex.trim_end(),
        paint.key(values),
        w = longest * 3 + 1
    )
}

fn joined(index: &[usize]) -> String {
    index
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",")
}

/// As JSON: every line.
pub(super) fn json(layer: &Layer, dump: &Dump) -> serde_json::Value {
    let lines: Vec<_> = dump
        .lines
        .iter()
        .map(|line| {
            let bytes: String = line
                .bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let weights: Vec<_> = line
                .weights
                .iter()
                .map(|weight| {
                    serde_json::json!({
                        "index": weight.index, "flat": weight.flat, "indices": weight.shared,
                        "value": super::super::number::json(&weight.value, layer.weight.dtype),
                    })
                })
                .collect();
            serde_json::json!({"offset": line.offset, "bytes": bytes, "weights": weights})
        })
        .collect();
    let counted = match dump.counted_in {
        CountedIn::File => "file",
        CountedIn::Storage => "storage",
    };
    serde_json::json!({"offsets_in": counted, "index": dump.fixed, "lines": lines})
}
