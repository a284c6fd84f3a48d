//! The layer's tensors, and what the weight's axes mean.

use std::io::{Result, Write};

use super::super::escape;
use super::super::number::{bytes, count};
use super::super::paint::Paint;
use super::text::{DRAWN_AXES, LABEL};
use super::words;
use crate::explain::Layer;
use crate::explain::Part;

/// The last part of a tensor's name.
fn short<'a>(layer: &Layer, part: &'a Part) -> &'a str {
    part.name
        .strip_prefix(&layer.name)
        .map_or(&part.name[..], |rest| rest.trim_start_matches('.'))
}

/// The weight with the diagram of its axes, then a line for each tensor beside it.
pub(super) fn tensors(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    let parts = || std::iter::once(&layer.weight).chain(&layer.others);
    let widest = parts()
        .map(|part| short(layer, part).chars().count() + 2)
        .max();
    let width = widest.unwrap_or(0).clamp(LABEL - 2, 24);
    let weight = &layer.weight;
    let size = format!(
        "{}, {}",
        count(weight.numel as u64, "value"),
        bytes(weight.nbytes)
    );
    let column = line(out, layer, weight, width, &size, paint)?;
    if weight.shape.len() <= DRAWN_AXES {
        diagram(out, layer, column, paint)?;
    }
    for part in &layer.others {
        let place = part.whole.spot.as_ref().and_then(|spot| spot.file.as_ref());
        let place = place.map_or_else(String::new, |file| format!("byte {}", file.start));
        let notes = [words::role(layer, part.role), &place];
        let notes: Vec<&str> = notes.into_iter().filter(|note| !note.is_empty()).collect();
        line(out, layer, part, width, &notes.join(", "), paint)?;
    }
    Ok(())
}

/// One tensor's line; returns the column of its shape's first digit.
fn line(
    out: &mut dyn Write,
    layer: &Layer,
    part: &Part,
    width: usize,
    note: &str,
    paint: Paint,
) -> Result<usize> {
    let name = match short(layer, part) {
        "" => "tensor",
        name => name,
    };
    let name = format!("{:<width$}", escape::text(name));
    let dtype = format!("{:<8}", part.dtype.name());
    let shape = match part.shape.len() {
        0..=DRAWN_AXES => format!("{:?}", part.shape),
        axes => format!("[{axes} axes]"),
    };
    writeln!(
        out,
        "  {}{dtype} {}  {}",
        paint.name(&name),
        paint.key(shape),
        paint.dim(note)
    )?;
    Ok(2 + name.chars().count() + dtype.len() + 2)
}

/// What each axis counts, hanging from the sizes above.
fn diagram(out: &mut dyn Write, layer: &Layer, start: usize, paint: Paint) -> Result<()> {
    let weight = &layer.weight;
    // the column of each size's first digit
    let mut columns = Vec::new();
    let mut column = start;
    for size in &weight.shape {
        columns.push(column);
        column += size.to_string().len() + 2;
    }
    let corner = column;
    for axis in (0..columns.len()).rev() {
        let mut line = String::new();
        for (i, &column) in columns[..=axis].iter().enumerate() {
            let pad = column - line.chars().count();
            line.extend(std::iter::repeat_n(' ', pad));
            line.push(if i == axis { '└' } else { '│' });
        }
        let reach = corner.saturating_sub(line.chars().count()).max(1);
        line.extend(std::iter::repeat_n('─', reach));
        let range = match weight.shape[axis] {
            0 => "empty".to_owned(),
            1 => "0".to_owned(),
            size => format!("0 to {}", size - 1),
        };
        writeln!(
            out,
            "{} {}  {:<9} {}",
            paint.dim(line),
            paint.key(layer.axes[axis].letter()),
            range,
            words::axis(layer, layer.axes[axis])
        )?;
    }
    Ok(())
}
