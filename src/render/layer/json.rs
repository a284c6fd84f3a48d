//! Everything that the page says, and what it leaves out.

use serde_json::{Map, Value, json};

use super::super::ls::memory_word;
use super::super::number;
use super::address;
use super::dump;
use super::figures;
use super::output::Costs;
use super::placement;
use super::unfold;
use super::window;
use super::words;
use crate::execute::PaddingMode;
use crate::explain::Convolution;
use crate::explain::ElementAt;
use crate::explain::Known;
use crate::explain::Layer;
use crate::explain::Origin;
use crate::explain::Output;
use crate::explain::Padding;
use crate::explain::Part;
use crate::explain::Relation;
use crate::explain::Selection;
use crate::explain::Slice;
use crate::explain::window::unread;

/// Axes up to which a formula is written out.
const FORMULA_AXES: usize = 16;

/// The document.
pub fn json(layer: &Layer) -> Value {
    let (evidence, class) = words::evidence(layer);
    json!({
        "file": layer.file.to_string_lossy(),
        "format": layer.format,
        "name": layer.name,
        "kind": layer.kind.name(),
        "kind_from": evidence,
        "class": class,
        "attributes": layer.attributes,
        "summary": words::summary(layer),
        "weight": weight(layer),
        "others": layer.others.iter().map(part).collect::<Vec<_>>(),
        "convolution": layer.convolution.as_ref().map(convolution),
        "slices": layer.slices.iter().map(slice).collect::<Vec<_>>(),
        "inner_slices": layer.channels.iter().map(slice).collect::<Vec<_>>(),
        "output": layer.output.as_ref().map(|found| output(layer, found)),
        "selection": layer.selection.as_ref().map(|chosen| selection(layer, chosen)),
        "element": layer.element.as_ref().map(|found| element(layer, found)),
        "memory": memory(layer),
        "im2col": layer.sections.im2col.as_ref().map(|found| unfold::json(layer, found)),
        "as": layer.sections.layout.as_ref().map(|found| placement::json(layer, found)),
        "hex": layer.sections.hex.as_ref().map(|found| dump::json(layer, found)),
        "figures": layer.sections.figures.as_ref().map(figures::json),
        "window": layer.sections.window.as_ref().map(window::json),
    })
}

fn weight(layer: &Layer) -> Value {
    let weight = &layer.weight;
    let mut object = part(weight);
    let axes: Vec<Value> = layer
        .axes
        .iter()
        .zip(&weight.shape)
        .map(|(axis, size)| {
            json!({"letter": axis.letter(), "size": size, "meaning": words::axis(layer, *axis)})
        })
        .collect();
    object.insert("axes".to_owned(), Value::Array(axes));
    if weight.shape.len() <= FORMULA_AXES {
        let letters = address::letters(&layer.axes);
        let flat = address::horner(&letters, &weight.shape);
        let stored = address::strided(&letters, &weight.stride, weight.storage_offset);
        object.insert(
            "formula".to_owned(),
            json!({"flat": flat, "storage_element": stored}),
        );
    }
    Value::Object(object)
}

fn part(part: &Part) -> Map<String, Value> {
    let neighbours: Vec<Value> = part
        .neighbours
        .iter()
        .map(|(name, relation)| {
            let relation = match relation {
                Relation::Same => "same",
                Relation::Overlapping => "overlapping",
                Relation::Apart => "apart",
            };
            json!({"name": name, "relation": relation})
        })
        .collect();
    let file = part.whole.spot.as_ref().and_then(|spot| spot.file.as_ref());
    let mut object = Map::from_iter([
        ("name".to_owned(), json!(part.name)),
        ("dtype".to_owned(), json!(part.dtype.name())),
        ("shape".to_owned(), json!(part.shape)),
        ("stride".to_owned(), json!(part.stride)),
        ("storage_offset".to_owned(), json!(part.storage_offset)),
        ("numel".to_owned(), json!(part.numel)),
        ("nbytes".to_owned(), json!(part.nbytes)),
        ("memory".to_owned(), json!(memory_word(&part.memory))),
        (
            "storage".to_owned(),
            json!(part.storage.as_ref().map(|(key, ..)| key)),
        ),
        (
            "storage_nbytes".to_owned(),
            json!(part.storage.as_ref().map(|(_, size, _)| size)),
        ),
        ("shared_with".to_owned(), Value::Array(neighbours)),
        ("file_offset".to_owned(), json!(file.map(|file| file.start))),
        ("file_end".to_owned(), json!(file.map(|file| file.end))),
    ]);
    for (key, value) in &part.extra {
        object.entry(key).or_insert_with(|| value.clone());
    }
    object
}

fn known<T>(known: &Known<T>, value: Value) -> Value {
    let origin = match known.origin {
        Origin::File => "file",
        Origin::Flag => "flag",
        Origin::Follows => "input",
        Origin::Default => "default",
    };
    json!({"value": value, "from": origin})
}

fn convolution(conv: &Convolution) -> Value {
    let hyper = &conv.hyper;
    let padding = match &hyper.padding.value {
        Padding::Same => json!("same"),
        Padding::Valid => json!("valid"),
        Padding::Sizes(sizes) => json!(sizes),
    };
    json!({
        "transposed": conv.transposed,
        "in_channels": conv.in_channels,
        "out_channels": conv.out_channels,
        "kernel_size": conv.kernel,
        "groups": known(&conv.groups, json!(conv.groups.value)),
        "channels_per_group": conv.channels_per_group(),
        "filters_per_group": conv.filters_per_group(),
        "stride": known(&hyper.stride, json!(hyper.stride.value)),
        "padding": known(&hyper.padding, padding),
        "dilation": known(&hyper.dilation, json!(hyper.dilation.value)),
        "output_padding": known(&hyper.output_padding, json!(hyper.output_padding.value)),
        "padding_mode": known(&hyper.padding_mode, json!(hyper.padding_mode.value)),
    })
}

fn slice(slice: &Slice) -> Value {
    let spot = slice.spot.as_ref();
    let file = spot.and_then(|spot| spot.file.as_ref());
    json!({
        "index": slice.prefix,
        "flat": [slice.flat.start, slice.flat.end],
        "storage_elements": spot.map(|spot| [spot.elements.start, spot.elements.end]),
        "file_bytes": file.map(|file| [file.start, file.end]),
        "scattered": spot.is_some_and(|spot| !spot.exact),
    })
}

/// The axes as they lie, slowest first; with `--memory`, the weights of the first elements too.
fn memory(layer: &Layer) -> Value {
    let picture = &layer.picture;
    let cuts: Vec<Value> = picture
        .cuts
        .iter()
        .map(|cut| {
            let letter = layer.axes[cut.axis].letter();
            json!({"axis": cut.axis, "letter": letter, "size": cut.size, "stride": cut.stride, "covers": cut.covers})
        })
        .collect();
    let strip = layer.sections.memory.then_some(&picture.strip);
    json!({"offset": picture.offset, "span": picture.span, "slowest_first": cuts, "first_elements": strip})
}

fn output(layer: &Layer, output: &Output) -> Value {
    let mode = layer
        .convolution
        .as_ref()
        .map(|conv| conv.hyper.padding_mode.value.as_str());
    let mode = mode
        .and_then(|mode| PaddingMode::parse(mode).ok())
        .unwrap_or_default();
    let is_plain = layer
        .convolution
        .as_ref()
        .is_some_and(|conv| !conv.transposed);
    let axes: Vec<Value> = output
        .axes
        .iter()
        .map(|axis| {
            json!({
                "input": axis.input, "padding": [axis.padding.0, axis.padding.1],
                "dilation": axis.dilation, "kernel": axis.kernel, "stride": axis.stride,
                "output_padding": axis.output_padding, "output": axis.output, "unread": axis.unread,
                "unread_inputs": is_plain.then(|| unread(axis, mode)).flatten(),
                "sees": axis.dilation * axis.kernel.saturating_sub(1) + 1,
            })
        })
        .collect();
    let costs = layer
        .convolution
        .as_ref()
        .map(|conv| Costs::of(layer, conv, output));
    json!({
        "input": output.input, "shape": output.shape, "axes": axes,
        "multiply_adds": costs.as_ref().map(|costs| costs.multiply_adds),
        "bytes": costs.as_ref().map(|costs| json!({
            "input": costs.input, "weight": costs.weight, "output": costs.result, "unfolded": costs.unfolded,
        })),
    })
}

fn selection(layer: &Layer, selection: &Selection) -> Value {
    let dtype = layer.weight.dtype;
    let grids: Vec<Value> = selection
        .grids
        .iter()
        .map(|grid| {
            let rows: Vec<Vec<Value>> = grid
                .rows
                .iter()
                .map(|row| row.iter().map(|value| number::json(value, dtype)).collect())
                .collect();
            let mut object = slice(&grid.slice);
            object["values"] = json!(rows);
            object
        })
        .collect();
    let others: Map<String, Value> = layer
        .companions
        .iter()
        .map(|c| (c.name.clone(), number::json(&c.value, c.dtype)))
        .collect();
    json!({
        "index": selection.fixed,
        "slice": selection.slice.as_ref().map(slice),
        "others": others,
        "grids": grids,
    })
}

fn element(layer: &Layer, element: &ElementAt) -> Value {
    let width = layer.weight.dtype.bits().div_ceil(4) + 2;
    let bytes: String = element
        .bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    json!({
        "index": element.index,
        "flat": element.flat,
        "storage_element": element.storage_element,
        "file_offset": element.file_offset,
        "bytes": bytes,
        "value": number::json(&element.value, layer.weight.dtype),
        "bits": format!("{:#0width$x}", element.bits),
    })
}
