//! `--input`: the output's shape with the formula filled in, and what follows: what a pixel sees, what stays unread,
//! how much work and memory it is.

use std::io::{Result, Write};

use super::super::number::{bytes, count, grouped};
use super::super::paint::Paint;
use super::super::wrap::lines;
use super::text::{LABEL, WIDTH, label, line};
use super::words::times;
use crate::execute::PaddingMode;
use crate::explain::Convolution;
use crate::explain::Layer;
use crate::explain::Output;
use crate::explain::OutputAxis;
use crate::explain::window;

/// The input's shape, the output's, the formula, and what follows.
pub(super) fn write(
    out: &mut dyn Write,
    layer: &Layer,
    output: &Output,
    paint: Paint,
) -> Result<()> {
    label(out, paint, "output")?;
    let text = format!(
        "input {:?} -> output {}",
        output.input,
        paint.key(format!("{:?}", output.shape))
    );
    writeln!(out, "{text}")?;
    let Some(conv) = &layer.convolution else {
        return Ok(());
    };
    const NAMES: [&str; 3] = ["D", "H", "W"];
    let names = &NAMES[3 - output.axes.len().min(3)..];
    for (name, axis) in names.iter().zip(&output.axes) {
        let formula = formula(axis, conv.transposed);
        line(
            out,
            &format!("{name} = {formula} = {}", paint.key(axis.output)),
        )?;
    }
    if !conv.transposed {
        let extent: Vec<usize> = output
            .axes
            .iter()
            .map(|axis| axis.dilation * axis.kernel.saturating_sub(1) + 1)
            .collect();
        let taps: usize = conv.kernel.iter().product();
        let seen = match taps == extent.iter().product::<usize>() {
            true => String::new(),
            false => format!(", {} of them read", grouped(taps as u64)),
        };
        label(out, paint, "sees")?;
        let pixels = if output.axes.len() == 1 {
            "input pixels"
        } else {
            "of the input"
        };
        writeln!(
            out,
            "one output pixel sees {} {pixels}{seen}",
            times(&extent)
        )?;
        unread(out, conv, output, paint)?;
    }
    costs(out, layer, conv, output, paint)
}

fn formula(axis: &OutputAxis, transposed: bool) -> String {
    let OutputAxis {
        input,
        padding: (before, after),
        dilation,
        kernel,
        stride,
        ..
    } = axis;
    let padding = if before == after {
        format!("2*{before}")
    } else {
        format!("({before}+{after})")
    };
    if transposed {
        let extra = axis.output_padding;
        return format!("({input}-1)*{stride} - {padding} + {dilation}*({kernel}-1) + {extra} + 1");
    }
    format!("floor(({input} + {padding} - {dilation}*({kernel}-1) - 1)/{stride}) + 1")
}

/// The rows and columns that no window reaches, by name.
fn unread(out: &mut dyn Write, conv: &Convolution, output: &Output, paint: Paint) -> Result<()> {
    const NAMES: [&str; 3] = ["plane", "row", "column"];
    let names = &NAMES[3 - output.axes.len().min(3)..];
    let mode = PaddingMode::parse(&conv.hyper.padding_mode.value).unwrap_or_default();
    for (name, axis) in names.iter().zip(&output.axes) {
        let rows = window::unread(axis, mode).unwrap_or_default();
        if !rows.is_empty() {
            label(out, paint, "unread")?;
            let text = format!(
                "{} of the input: no window reaches {}",
                named(name, &rows),
                them(&rows)
            );
            let mut text = lines(&text, WIDTH - LABEL).into_iter();
            writeln!(out, "{}", paint.warn(text.next().unwrap_or_default()))?;
            text.try_for_each(|text| line(out, &paint.warn(text).to_string()))?;
        } else if axis.unread > 0 {
            // rows of the padding alone
            label(out, paint, "unread")?;
            writeln!(
                out,
                "{} of the padding at the end, none of the input",
                count(axis.unread as u64, name)
            )?;
        }
    }
    Ok(())
}

fn them(rows: &[usize]) -> &'static str {
    if rows.len() == 1 { "it" } else { "them" }
}

/// `row 31`, `rows 1, 3, 5 ... 223 (112 rows)`.
fn named(name: &str, rows: &[usize]) -> String {
    const LISTED: usize = 6;
    let list = |rows: &[usize]| {
        rows.iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match rows {
        [row] => format!("{name} {row}"),
        rows if rows.len() <= LISTED => format!("{name}s {}", list(rows)),
        [.., last] => format!(
            "{name}s {} ... {last} ({} in all)",
            list(&rows[..LISTED - 1]),
            grouped(rows.len() as u64)
        ),
        [] => String::new(),
    }
}

/// Multiply-adds and bytes.
fn costs(
    out: &mut dyn Write,
    layer: &Layer,
    conv: &Convolution,
    output: &Output,
    paint: Paint,
) -> Result<()> {
    let Costs {
        multiply_adds,
        input,
        weight,
        result,
        unfolded,
    } = Costs::of(layer, conv, output);
    let product = |sizes: &[usize]| times(sizes);
    let per_output: Vec<usize> = match conv.transposed {
        // every input pixel times the kernels of its channel
        true => output
            .input
            .iter()
            .copied()
            .chain(layer.weight.shape[1..].iter().copied())
            .collect(),
        false => output
            .shape
            .iter()
            .copied()
            .chain(layer.weight.shape[1..].iter().copied())
            .collect(),
    };
    label(out, paint, "work")?;
    let text = format!(
        "{} multiply-adds = {}",
        paint.key(grouped(multiply_adds)),
        product(&per_output)
    );
    writeln!(out, "{text}")?;
    label(out, paint, "takes")?;
    let unfolded = unfolded.map_or_else(String::new, |size| {
        format!(", unfolded input (--im2col) {}", bytes(size))
    });
    let text = format!(
        "input {}, weight {}, output {}{unfolded}",
        bytes(input),
        bytes(weight),
        bytes(result)
    );
    let mut text = lines(&text, WIDTH - LABEL).into_iter();
    writeln!(out, "{}", text.next().unwrap_or_default())?;
    text.try_for_each(|text| line(out, &text))
}

/// Numbers that follow from the sizes; those beyond 2^64 saturate.
pub(super) struct Costs {
    pub(super) multiply_adds: u64,
    /// Bytes of the input, if it has the weight's element type; likewise of the rest.
    pub(super) input: u64,
    pub(super) weight: u64,
    pub(super) result: u64,
    pub(super) unfolded: Option<u64>,
}

impl Costs {
    pub(super) fn of(layer: &Layer, conv: &Convolution, output: &Output) -> Self {
        let product = |sizes: &[usize]| {
            sizes
                .iter()
                .fold(1, |n: u64, &size| n.saturating_mul(size as u64))
        };
        let size = |elements: u64| {
            elements
                .saturating_mul(layer.weight.dtype.bits() as u64)
                .div_ceil(8)
        };
        let each = product(&layer.weight.shape[1..]);
        let (input, result) = (product(&output.input), product(&output.shape));
        let pixels: Vec<usize> = output.axes.iter().map(|axis| axis.output).collect();
        let images = product(&output.input[..output.input.len() - conv.kernel.len() - 1]);
        let rows = product(&conv.kernel).saturating_mul(conv.in_channels as u64);
        let unfolded = rows.saturating_mul(product(&pixels)).saturating_mul(images);
        Self {
            multiply_adds: if conv.transposed { input } else { result }.saturating_mul(each),
            input: size(input),
            weight: layer.weight.nbytes,
            result: size(result),
            unfolded: (!conv.transposed).then(|| size(unfolded)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn rows_are_named_or_counted() {
        assert_eq!(named("row", &[7]), "row 7");
        assert_eq!(named("row", &[1, 3]), "rows 1, 3");
        let odd: Vec<usize> = (0..112).map(|i| 2 * i + 1).collect();
        assert_eq!(
            named("column", &odd),
            "columns 1, 3, 5, 7, 9 ... 223 (112 in all)"
        );
    }
}
