//! What the arguments of a transposed convolution do.

use std::io::{Result, Write};

use super::super::super::paint::Paint;
use super::super::text::line;
use super::super::words::times;
use super::argument;
use super::bias;
use super::group;
use super::plan::coloured;
use super::tuple;
use crate::explain::Convolution;
use crate::explain::Layer;
use crate::explain::Padding;

/// The arguments of a transposed convolution, by what they do to its output.
pub(super) fn write(
    out: &mut dyn Write,
    layer: &Layer,
    conv: &Convolution,
    paint: Paint,
) -> Result<()> {
    let hyper = &conv.hyper;
    let kernel = times(&conv.kernel);
    let text = format!(
        "Every input pixel puts a stamp of {kernel} on the output, scaled by its value; stamps that overlap add up."
    );
    argument(out, "kernel_size", &tuple(&conv.kernel), None, &text, paint)?;
    let step = hyper.stride.value.last().copied().unwrap_or(1);
    let text =
        format!("Neighbouring input pixels put their stamps {step} apart: the output grows.");
    argument(
        out,
        "stride",
        &tuple(&hyper.stride.value),
        Some(hyper.stride.origin),
        &text,
        paint,
    )?;
    let size = conv.kernel.last().copied().unwrap_or(1);
    let reach = hyper.dilation.value.last().copied().unwrap_or(1);
    for pixel in 0..2 {
        let mut row = vec!['.'; (step + reach * size.saturating_sub(1) + 1).min(36)];
        for k in 0..size {
            if let Some(cell) = row.get_mut(pixel * step + k * reach) {
                *cell = '#';
            }
        }
        let row: String = row.into_iter().flat_map(|c| [c, ' ']).collect();
        line(
            out,
            &format!(
                "input x {pixel} reaches  {}",
                coloured(row.trim_end(), paint)
            ),
        )?;
    }
    let text = match &hyper.padding.value {
        Padding::Sizes(sizes) => format!(
            "So many rows and columns are cut off the output on both sides: {}.",
            tuple(sizes)
        ),
        Padding::Same | Padding::Valid => {
            "Rows and columns that are cut off the output.".to_owned()
        }
    };
    let value = match &hyper.padding.value {
        Padding::Sizes(sizes) => tuple(sizes),
        Padding::Same => "'same'".to_owned(),
        Padding::Valid => "'valid'".to_owned(),
    };
    argument(
        out,
        "padding",
        &value,
        Some(hyper.padding.origin),
        &text,
        paint,
    )?;
    let value = tuple(&hyper.output_padding.value);
    let text = "Rows and columns more at the end of the output, since several sizes shrink to one under a stride.";
    argument(
        out,
        "output_padding",
        &value,
        Some(hyper.output_padding.origin),
        text,
        paint,
    )?;
    let value = tuple(&hyper.dilation.value);
    let text = "How far the taps of a stamp stand apart; 1 means no gap.";
    argument(
        out,
        "dilation",
        &value,
        Some(hyper.dilation.origin),
        text,
        paint,
    )?;
    group(out, conv, paint)?;
    bias(out, layer, conv, paint)
}
