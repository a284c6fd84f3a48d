//! The picture of memory: a ruler for each axis, from the slowest to the fastest, each one cell of the ruler above
//! under a magnifying glass; then the weights that lie first, side by side.

use std::io::{Result, Write};

use super::super::number::{bytes, count, grouped};
use super::super::paint::Paint;
use super::text::{LABEL, WIDTH, label, line};
use crate::explain::Cut;
use crate::explain::Layer;
use crate::explain::Memory;
use crate::explain::Picture;

/// Columns of a ruler.
const RULER: usize = 60;
/// Cells of one line of the map, and lines.
const MAP: (usize, usize) = (60, 4);

/// The rulers alone: what the page shows of a weight that does not lie in the order of its indices.
pub(super) fn rulers(
    out: &mut dyn Write,
    layer: &Layer,
    picture: &Picture,
    paint: Paint,
) -> Result<()> {
    let moving: Vec<&Cut> = picture.cuts.iter().filter(|cut| cut.stride > 0).collect();
    if moving.iter().any(|cut| cut.covers > cut.stride) {
        return line(
            out,
            "indices overlap: some elements are several weights at once",
        );
    }
    let mut start = picture.offset;
    let mut above: Vec<String> = Vec::new();
    for (number, cut) in moving.iter().enumerate() {
        let letter = layer.axes[cut.axis].letter();
        let of = match above.last() {
            None => letter.clone(),
            Some(cell) => format!("{letter} within {cell}"),
        };
        let apart = match cut.stride {
            1 => "side by side".to_owned(),
            n => format!("{} apart", grouped(n as u64)),
        };
        let size = layer.weight.dtype.bits();
        let apart = match size.is_multiple_of(8) && cut.stride > 1 {
            true => format!("{apart}, {}", bytes((cut.stride * size / 8) as u64)),
            false => apart,
        };
        let last = number + 1 == moving.len();
        let (numbers, cells) = ruler(cut, &letter, start, last);
        let text = format!("{of}: {apart}");
        line(out, &paint.dim(text).to_string())?;
        line(out, &paint.dim(numbers).to_string())?;
        line(out, &cells)?;
        above.push(format!("{letter}=0"));
        start = picture.offset;
    }
    Ok(())
}

/// The line of element numbers, and the cells below it. A cell that is not all this tensor's ends in dots.
fn ruler(cut: &Cut, letter: &str, start: usize, is_fastest: bool) -> (String, String) {
    let number = |i: usize| (start + i * cut.stride).to_string();
    let name = |i: usize| format!("{letter}={i}");
    let widest = number(cut.size).len().max(name(cut.size).len()) + 1;
    let dots = cut.stride > cut.covers;
    let narrow = widest + if dots { 3 } else { 0 };
    let (cells, width) = match cut.size * narrow <= RULER {
        true => (cut.size, (RULER / cut.size).clamp(narrow, 20)),
        // the first ones, three dots, the last one
        false => (RULER.saturating_sub(narrow + 4) / narrow, narrow),
    };
    let (mut numbers, mut line) = (String::new(), String::new());
    let mut push = |i: usize| {
        let filled = ((width - 1) * cut.covers).div_ceil(cut.stride.max(1));
        let mut cell: String = format!("{:<w$}", name(i), w = width - 1);
        if dots {
            let kept = filled.max(name(i).len());
            cell.truncate(kept);
            cell.extend(std::iter::repeat_n('.', width - 1 - kept.min(width - 1)));
        }
        numbers += &format!("{:<width$}", number(i));
        line += &format!("|{cell}");
    };
    (0..cells).for_each(&mut push);
    if cells < cut.size {
        push(cut.size - 1);
        // in front of the last cell
        let at = cells * width;
        numbers.insert_str(at, "    ");
        line.insert_str(at, "|...");
    }
    let end = start + (cut.size - 1) * cut.stride + cut.covers;
    let end = if is_fastest && cut.stride == 1 {
        start + cut.size
    } else {
        end
    };
    (format!("{numbers}{end}"), format!("{line}|"))
}

/// The whole section.
pub(super) fn write(
    out: &mut dyn Write,
    layer: &Layer,
    picture: &Picture,
    paint: Paint,
) -> Result<()> {
    let weight = &layer.weight;
    label(out, paint, "lies")?;
    let order: Vec<String> = picture
        .cuts
        .iter()
        .filter(|cut| cut.stride > 0)
        .map(|cut| layer.axes[cut.axis].letter())
        .collect();
    let walk = match order.as_slice() {
        [slowest, .., fastest] => format!(", {slowest} slowest, {fastest} fastest"),
        _ => String::new(),
    };
    let in_file = weight
        .whole
        .spot
        .as_ref()
        .and_then(|spot| spot.file.as_ref());
    let place = in_file.map_or_else(String::new, |file| format!("from file byte {}", file.start));
    writeln!(
        out,
        "{} of {}{walk}",
        count(weight.numel as u64, "weight"),
        weight.dtype.name()
    )?;
    if !place.is_empty() {
        line(out, &place)?;
    }
    if picture.offset > 0 {
        let before = count(picture.offset as u64, "element");
        line(
            out,
            &format!("behind {before} of the storage that are not its own"),
        )?;
    }
    if weight.numel > 0 && picture.span > weight.numel {
        let text = format!(
            "spread over {}: {} in the gaps are not this tensor's",
            count(picture.span as u64, "element"),
            grouped((picture.span - weight.numel) as u64)
        );
        line(out, &text)?;
    }
    for cut in picture.cuts.iter().filter(|cut| cut.stride == 0) {
        let letter = layer.axes[cut.axis].letter();
        let text = format!(
            "{letter}: stride 0, all {} indices are the same elements",
            cut.size
        );
        line(out, &paint.warn(text).to_string())?;
    }
    writeln!(out)?;
    rulers(out, layer, picture, paint)?;
    if picture.strip.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    if !matches!(weight.memory, Memory::Contiguous) && !weight.memory.is_dense() {
        map(out, picture, paint)?;
    }
    neighbours(out, layer, picture, paint)
}

/// Which elements are the tensor's.
fn map(out: &mut dyn Write, picture: &Picture, paint: Paint) -> Result<()> {
    let (width, lines) = MAP;
    let text = format!("map: # a weight, . none of it; {width} elements to a line");
    line(out, &paint.dim(text).to_string())?;
    for (i, cells) in picture.strip.chunks(width).take(lines).enumerate() {
        let cells: String = cells
            .iter()
            .map(|cell| if cell.is_some() { '#' } else { '.' })
            .collect();
        let start = picture.offset + i * width;
        line(
            out,
            &format!("{} {cells}", paint.dim(format!("{start:>6}"))),
        )?;
    }
    if picture.strip.len() > width * lines || picture.span > picture.strip.len() {
        line(out, &paint.dim("       ...").to_string())?;
    }
    writeln!(out)
}

/// The first elements, each with its weight.
fn neighbours(out: &mut dyn Write, layer: &Layer, picture: &Picture, paint: Paint) -> Result<()> {
    let shape = &layer.weight.shape;
    let text = |flat: usize| {
        let mut left = flat;
        let mut index = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            index[axis] = left % shape[axis].max(1);
            left /= shape[axis].max(1);
        }
        let index: Vec<String> = index.iter().map(ToString::to_string).collect();
        [index.join(","), flat.to_string()]
    };
    let mut rows = [Vec::new(), Vec::new(), Vec::new()];
    let mut used = 9;
    for (i, cell) in picture.strip.iter().enumerate() {
        let [index, flat] = cell.map_or(["-".to_owned(), "-".to_owned()], text);
        let element = (picture.offset + i).to_string();
        let width = index.len().max(flat.len()).max(element.len()) + 2;
        if used + width + 3 > WIDTH - LABEL {
            rows[0].push("...".to_owned());
            break;
        }
        used += width;
        for (row, text) in rows.iter_mut().zip([element, index, flat]) {
            row.push(format!("{text:<width$}"));
        }
    }
    for (head, row) in ["element", "weight", "flat"].iter().zip(rows) {
        let head = paint.dim(format!("{head:<9}"));
        line(out, &format!("{head}{}", row.concat().trim_end()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::ruler;
    use crate::explain::Cut;

    fn cut(size: usize, stride: usize, covers: usize) -> Cut {
        Cut {
            axis: 0,
            size,
            stride,
            covers,
        }
    }

    #[test]
    fn rulers_stay_in_their_columns_and_show_gaps() {
        for size in 2..300 {
            for (stride, covers) in [(1, 1), (90, 90), (90, 40), (123_456, 123_456)] {
                let (numbers, cells) = ruler(&cut(size, stride, covers), "y", 0, stride == 1);
                assert!(cells.len() <= 70, "{cells}");
                assert!(numbers.len() <= 80, "{numbers}");
                let dots = cells.replace("|...|", "").contains('.');
                assert_eq!(dots, covers < stride, "{cells}");
                let first = cells
                    .split('|')
                    .position(|cell| cell.starts_with("y=1"))
                    .unwrap();
                let column = cells.match_indices('|').nth(first - 1).unwrap().0;
                assert!(
                    numbers[column..].starts_with(&stride.to_string()),
                    "{numbers}\n{cells}"
                );
            }
        }
    }
}
