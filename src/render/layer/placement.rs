//! `--as LAYOUT`: where each weight goes in another program's memory format.

use std::io::{Result, Write};

use super::super::number::{bytes, grouped};
use super::super::paint::Paint;
use super::super::wrap::items;
use super::super::wrap::lines;
use super::text::{LABEL, WIDTH, label, line};
use crate::explain::Layer;
use crate::explain::Placement;
use crate::tensor::Blocked;
use crate::tensor::tag::Digit;

/// Positions that are shown.
const SHOWN: usize = 20;

/// Who keeps weights in which layout: oneDNN's spelling, and the users.
const USERS: [(&str, &str); 26] = [
    ("oihw", "PyTorch, ONNX, Caffe; oneDNN calls it oihw"),
    (
        "ohwi",
        "TensorFlow Lite, CMSIS-NN, cuDNN's NHWC, PyTorch's channels_last",
    ),
    ("hwio", "TensorFlow, Keras, JAX"),
    ("iohw", "what PyTorch keeps of a transposed convolution"),
    ("oiw", "PyTorch, ONNX (one dimension)"),
    ("owi", "channels last (one dimension)"),
    ("wio", "TensorFlow, Keras (one dimension)"),
    ("oidhw", "PyTorch, ONNX (three dimensions)"),
    ("odhwi", "PyTorch's channels_last_3d"),
    ("dhwio", "TensorFlow, Keras (three dimensions)"),
    ("OIhw8i8o", "oneDNN's direct and 1x1 convolutions with AVX2"),
    (
        "OIhw16i16o",
        "oneDNN's direct and 1x1 convolutions with AVX-512",
    ),
    ("Ohwi8o", "oneDNN with AVX2, first layers of few channels"),
    (
        "Ohwi16o",
        "oneDNN with AVX-512, first layers of few channels",
    ),
    (
        "OIhw4i16o4i",
        "oneDNN's int8 convolutions with AVX-512 VNNI",
    ),
    ("OIhw2i8o4i", "oneDNN's int8 convolutions with AVX2"),
    ("OIhw8i16o2i", "oneDNN's bfloat16 convolutions with AVX-512"),
    ("gOIhw8i8o", "oneDNN's grouped convolutions with AVX2"),
    ("gOIhw16i16o", "oneDNN's grouped convolutions with AVX-512"),
    ("Goihw8g", "oneDNN's depthwise convolutions with AVX2"),
    ("Goihw16g", "oneDNN's depthwise convolutions with AVX-512"),
    ("hwigo", "TensorFlow's depthwise convolutions"),
    (
        "ihwgo",
        "TensorFlow Lite's and CMSIS-NN's depthwise convolutions",
    ),
    (
        "nhwc",
        "channels_last; TensorFlow, TensorFlow Lite, CMSIS-NN",
    ),
    ("nChw8c", "oneDNN with AVX2"),
    ("nChw16c", "oneDNN with AVX-512"),
];

/// The section.
pub(super) fn write(
    out: &mut dyn Write,
    layer: &Layer,
    placement: &Placement,
    paint: Paint,
) -> Result<()> {
    let blocked = &placement.blocked;
    let symbols = Symbols::of(layer, placement);
    label(out, paint, "as")?;
    let [names, counted] = &blocked.spellings;
    let also: Vec<&str> = [names, counted]
        .into_iter()
        .filter(|spelled| *spelled != placement.tag.text())
        .map(String::as_str)
        .collect();
    let also = match also.as_slice() {
        [] => String::new(),
        some => format!("  (in oneDNN {})", some.join(" or ")),
    };
    writeln!(
        out,
        "{}{}",
        paint.key(placement.tag.text()),
        paint.dim(also)
    )?;
    if let Some((_, users)) = USERS.iter().find(|(tag, _)| *tag == names) {
        line(out, users)?;
    }
    size(out, layer, placement, paint)?;
    writeln!(out)?;
    axes(out, layer, placement, &symbols, paint)?;
    writeln!(out)?;
    label(out, paint, "goes to")?;
    let terms: Vec<String> = digits(blocked)
        .map(|digit| symbols.term(blocked, digit))
        .collect();
    let formula = if terms.is_empty() {
        "0".to_owned()
    } else {
        terms.join(" + ")
    };
    let mut wrapped = lines(&format!("position = {formula}"), WIDTH - LABEL).into_iter();
    writeln!(out, "{}", wrapped.next().unwrap_or_default())?;
    wrapped.try_for_each(|text| line(out, &format!("  {text}")))?;
    if let Some((index, position)) = &placement.chosen {
        let byte = position * layer.weight.dtype.bits() / 8;
        line(
            out,
            &format!("{index:?} goes to {}, byte {byte}", paint.key(position)),
        )?;
    }
    first(out, placement, paint)?;
    if !placement.is_input {
        writeln!(out)?;
        let text = format!(
            "`pthinspect export {} --as {}` writes it",
            layer.name,
            placement.tag.text()
        );
        line(
            out,
            &paint.dim(super::super::escape::text(&text)).to_string(),
        )?;
    }
    Ok(())
}

/// Digits of more than one value, slowest first.
fn digits(blocked: &Blocked) -> impl Iterator<Item = &Digit> {
    blocked.digits.iter().filter(|digit| digit.size > 1)
}

fn size(out: &mut dyn Write, layer: &Layer, placement: &Placement, paint: Paint) -> Result<()> {
    let blocked = &placement.blocked;
    let size = (blocked.numel as u64).saturating_mul(layer.weight.dtype.bits() as u64) / 8;
    let what = if placement.is_input {
        "the input"
    } else {
        "the weight"
    };
    let text = format!(
        "{what} {:?} becomes {}, {}",
        blocked.dims,
        paint.key(format!("{:?}", blocked.array_shape())),
        bytes(size)
    );
    line(out, &text)?;
    if blocked.padding() > 0 {
        let text = format!(
            "blocks are filled up with zeros, to {:?}: {} of {} values are padding",
            blocked.padded,
            grouped(blocked.padding() as u64),
            grouped(blocked.numel as u64)
        );
        for text in lines(&text, WIDTH - LABEL) {
            line(out, &text)?;
        }
    }
    Ok(())
}

/// A line for each axis of the new array: what it counts, its size, its stride.
fn axes(
    out: &mut dyn Write,
    layer: &Layer,
    placement: &Placement,
    symbols: &Symbols,
    paint: Paint,
) -> Result<()> {
    let blocked = &placement.blocked;
    let each = layer.weight.dtype.bits();
    let rows: Vec<[String; 3]> = blocked
        .digits
        .iter()
        .map(|digit| {
            let stride = digit.stride * each / 8;
            [
                symbols.digit(blocked, digit),
                digit.size.to_string(),
                format!(
                    "{} apart, {}",
                    grouped(digit.stride as u64),
                    bytes(stride as u64)
                ),
            ]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (a, b) = (width(0).max(6), width(1).max(4));
    label(out, paint, "axes")?;
    writeln!(
        out,
        "{}",
        paint.dim(format!("{:<a$}  {:>b$}  one step", "counts", "size"))
    )?;
    for (i, row) in rows.iter().enumerate() {
        let end = match i {
            0 => "   slowest",
            _ if i + 1 == rows.len() => "   fastest",
            _ => "",
        };
        line(
            out,
            &format!(
                "{:<a$}  {:>b$}  {}{}",
                row[0],
                row[1],
                row[2],
                paint.dim(end)
            ),
        )?;
    }
    Ok(())
}

/// The first positions and what lies there.
fn first(out: &mut dyn Write, placement: &Placement, paint: Paint) -> Result<()> {
    line(
        out,
        &paint.dim("first positions, padding as -:").to_string(),
    )?;
    let text = |index: &Option<Vec<usize>>| match index {
        Some(index) => index
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(","),
        None => "-".to_owned(),
    };
    let mut texts: Vec<String> = placement.first.iter().take(SHOWN).map(text).collect();
    if placement.blocked.numel > SHOWN {
        texts.push("...".to_owned());
    }
    for text in items(texts.iter().map(String::as_str), "  ", WIDTH - LABEL - 2) {
        line(out, &format!("  {text}"))?;
    }
    Ok(())
}

/// The letters of the tensor's own index.
struct Symbols(Vec<String>);

impl Symbols {
    fn of(layer: &Layer, placement: &Placement) -> Self {
        let blocked = &placement.blocked;
        if placement.is_input {
            return Self(blocked.axes.iter().map(ToString::to_string).collect());
        }
        let mut letters: Vec<String> = layer.axes.iter().map(|axis| axis.letter()).collect();
        // the first axis taken apart: number of the group, and what is left within it
        if blocked.axes.len() > letters.len() && !letters.is_empty() {
            let each = blocked.dims[1];
            let (group, rest) = match each {
                1 => (letters[0].clone(), format!("({}%1)", letters[0])),
                each => (
                    format!("({}//{each})", letters[0]),
                    format!("({}%{each})", letters[0]),
                ),
            };
            letters.splice(..1, [group, rest]);
        }
        Self(letters)
    }

    /// `o//8`, `o%8`, `o//4%4`, `o`.
    fn digit(&self, blocked: &Blocked, digit: &Digit) -> String {
        let symbol = &self.0[digit.axis];
        let over = match digit.divide {
            1 => String::new(),
            n => format!("//{n}"),
        };
        // an axis that is not cut, or the number of its blocks, needs no remainder
        let is_whole = digit.divide * digit.size >= blocked.padded[digit.axis];
        let rest = match is_whole {
            true => String::new(),
            false => format!("%{}", digit.size),
        };
        format!("{symbol}{over}{rest}")
    }

    fn term(&self, blocked: &Blocked, digit: &Digit) -> String {
        let text = self.digit(blocked, digit);
        let is_plain = !text.contains(['/', '%'])
            || text.ends_with(')') && text.starts_with('(') && text.matches('(').count() == 1;
        match digit.stride {
            1 => text,
            n if is_plain => format!("{n}*{text}"),
            n => format!("{n}*({text})"),
        }
    }
}

/// As JSON.
pub(super) fn json(layer: &Layer, placement: &Placement) -> serde_json::Value {
    let blocked = &placement.blocked;
    let symbols = Symbols::of(layer, placement);
    let terms: Vec<String> = digits(blocked)
        .map(|digit| symbols.term(blocked, digit))
        .collect();
    let digits: Vec<_> = blocked
        .digits
        .iter()
        .map(|digit| {
            serde_json::json!({
                "counts": symbols.digit(blocked, digit), "size": digit.size, "stride": digit.stride,
                "axis": blocked.axes[digit.axis].to_string(), "divide": digit.divide, "is_block": digit.is_block,
            })
        })
        .collect();
    serde_json::json!({
        "tag": placement.tag.text(),
        "onednn": blocked.spellings,
        "of": if placement.is_input { "input" } else { "weight" },
        "dims": blocked.dims,
        "padded": blocked.padded,
        "shape": blocked.array_shape(),
        "axes": digits,
        "numel": blocked.numel,
        "padding": blocked.padding(),
        "nbytes": blocked.numel as u64 * layer.weight.dtype.bits() as u64 / 8,
        "formula": terms.join(" + "),
        "first": placement.first,
        "chosen": placement.chosen.as_ref().map(|(index, position)| serde_json::json!({"index": index, "position": position})),
    })
}
