//! What the file does not say about a layer.

use std::io::{Result, Write};

use super::super::paint::Paint;
use super::super::wrap::paragraph;
use super::text::{LABEL, WIDTH, label};
use super::words;
use crate::explain::Convolution;
use crate::explain::Evidence;
use crate::explain::Kind;
use crate::explain::Layer;
use crate::explain::Origin;
use crate::explain::Padding;
use crate::explain::Role;

/// What a weight does not tell is assumed; how to say otherwise.
pub(super) fn write(out: &mut dyn Write, layer: &Layer, paint: Paint) -> Result<()> {
    let text = match &layer.convolution {
        Some(conv) => convolution(layer, conv),
        None => other(layer),
    };
    if text.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    label(out, paint, "assumed")?;
    let mut wrapped = Vec::new();
    paragraph(&mut wrapped, &text, LABEL, WIDTH)?;
    // the label stands in the first line's margin
    out.write_all(&wrapped[LABEL..])
}

/// A table of vectors and a matrix look the same.
fn other(layer: &Layer) -> String {
    let has_bias = layer.others.iter().any(|part| part.role == Role::Bias);
    if layer.kind == Kind::Linear && layer.evidence == Evidence::Shape && !has_bias {
        "Linear, by its shape alone: an Embedding [num, dim] looks the same.".to_owned()
    } else {
        String::new()
    }
}

fn convolution(layer: &Layer, conv: &Convolution) -> String {
    let hyper = &conv.hyper;
    let origins = [
        ("stride", hyper.stride.origin),
        ("padding", hyper.padding.origin),
        ("dilation", hyper.dilation.origin),
        ("groups", conv.groups.origin),
    ];
    let unknown: Vec<&str> = origins
        .iter()
        .filter(|(_, o)| *o == Origin::Default)
        .map(|(name, _)| *name)
        .collect();
    if unknown.is_empty() {
        return String::new();
    }
    let words: Vec<String> = unknown
        .iter()
        .map(|name| match *name {
            "stride" => format!("stride {}", sizes(&hyper.stride.value)),
            "padding" => format!("padding {}", padding(&hyper.padding.value)),
            "dilation" => format!("dilation {}", sizes(&hyper.dilation.value)),
            _ => format!("groups {}", conv.groups.value),
        })
        .collect();
    let mut text = format!(
        "{}: a state dict holds weights, not arguments. Flags say otherwise: --stride, --padding, \
         --dilation, --groups or --in-channels.",
        words.join(", ")
    );
    if conv.may_be_depthwise() {
        let filters = layer.weight.shape[0];
        text += &if layer.is_deeper {
            format!(
                " Filters of one channel in the middle of a network: probably depthwise, --groups {filters}."
            )
        } else {
            format!(
                " Filters of one channel: the input has one, or the layer is depthwise, --groups {filters}."
            )
        };
    }
    text
}

/// `2`, or `2 x 1` where the axes differ.
fn sizes(values: &[usize]) -> String {
    match values {
        [first, rest @ ..] if rest.iter().all(|value| value == first) => first.to_string(),
        values => words::times(values),
    }
}

fn padding(padding: &Padding) -> String {
    match padding {
        Padding::Same => "'same'".to_owned(),
        Padding::Valid => "'valid'".to_owned(),
        Padding::Sizes(values) => sizes(values),
    }
}
