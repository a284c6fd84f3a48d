//! The last lines of the page: what more there is to see of this layer.

use std::io::{Result, Write};

use super::super::paint::Paint;
use super::super::wrap::items;
use super::text::{LABEL, WIDTH, label, line};
use crate::explain::Kind;
use crate::explain::Layer;

/// Names the flags that fit this layer and were not given.
pub(super) fn write(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    let shape = &layer.weight.shape;
    if shape.is_empty() || layer.weight.numel == 0 {
        return Ok(());
    }
    let layout = match layer.kind {
        Kind::Conv(1) => "--as OWI",
        Kind::Conv(2) | Kind::ConvTranspose(2) => "--as OHWI",
        Kind::Conv(3) => "--as ODHWI",
        Kind::Linear => "--as IO",
        _ => "",
    };
    let is_convolution = layer.convolution.is_some();
    let is_plain = layer
        .convolution
        .as_ref()
        .is_some_and(|conv| !conv.transposed);
    let at: Vec<&str> = shape.iter().map(|_| "0").collect();
    let at = format!("--at {}", at.join(","));
    let input = layer
        .convolution
        .as_ref()
        .map_or("", |conv| match conv.kernel.len() {
            1 => "--input N,C,L",
            2 => "--input N,C,H,W",
            _ => "--input N,C,D,H,W",
        });
    let pixel = layer
        .convolution
        .as_ref()
        .map_or("", |conv| match conv.kernel.len() {
            1 => "--output-at x",
            2 => "--output-at y,x",
            _ => "--output-at z,y,x",
        });
    let flags = [
        (true, "--memory"),
        (is_convolution, "--arguments"),
        (is_convolution && layer.output.is_none(), input),
        (is_convolution && layer.output.is_some(), pixel),
        (is_plain && layer.output.is_some(), "--im2col"),
        (!layout.is_empty(), layout),
        (layer.selection.is_none() && shape.len() > 1, "--filter 0"),
        (layer.element.is_none(), &at),
        (true, "--hex"),
        (!layer.weight.dtype.is_complex(), "--figures"),
    ];
    let fitting = flags.iter().filter(|(fits, _)| *fits);
    let fitting: Vec<String> = fitting.map(|(_, flag)| (*flag).to_owned()).collect();
    writeln!(out)?;
    label(out, paint, "more")?;
    for (i, text) in items(fitting.iter().map(String::as_str), "  ", WIDTH - LABEL)
        .iter()
        .enumerate()
    {
        let text = paint.dim(text).to_string();
        match i {
            0 => writeln!(out, "{text}")?,
            _ => line(out, &text)?,
        }
    }
    Ok(())
}
