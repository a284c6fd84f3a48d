//! A figure as JSON: what is drawn, over which range, and every filter in numbers.

use serde_json::Value;
use serde_json::json;

use super::About;
use super::Drawn;
use crate::explain::Figure;
use crate::explain::plot::Arrangement;
use crate::explain::plot::FilterFigures;
use crate::explain::plot::Shade;
use crate::explain::plot::Subject;
use crate::render::number;
use crate::tensor::DType;
use crate::tensor::Element;

/// The document; `drawn` where something was drawn.
pub fn json(figure: &Figure, about: &About, drawn: Option<&Drawn>) -> Value {
    let panel = figure.panels.first();
    let mut document = json!({
        "file": about.file,
        "name": figure.name,
        "subject": match figure.subject {
            Subject::Weight => "weight",
            Subject::Norms => "norms",
            Subject::Maps => "feature_maps",
        },
        "kind": figure.kind,
        "dtype": figure.dtype.name(),
        "shape": figure.shape,
        "groups": figure.groups,
        "arrangement": match &figure.arrangement {
            Arrangement::Flow(_) => "panels",
            Arrangement::Table(_) => "table",
            Arrangement::Matrix(..) => "matrix",
            Arrangement::Vector => "vector",
        },
        "panels": figure.panels.len(),
        "panel": panel.map(|panel| json!([panel.rows, panel.columns])),
        "sorted": figure.sorted,
        "scale": scale(figure),
        "filters": figure.filters.iter().enumerate().map(|(at, f)| filter(f, figure, at)).collect::<Vec<_>>(),
    });
    if let Some(input) = &about.input {
        document["input"] = json!(input);
        document["image"] = json!(about.image.unwrap_or(0));
        document["order"] = json!(about.order);
    }
    if let Some(drawn) = drawn {
        document["drawn"] = json!({
            "filters": drawn.filters,
            "channels": drawn.channels,
            "values_per_cell": drawn.factor,
        });
    }
    document
}

fn scale(figure: &Figure) -> Value {
    let scale = &figure.scale;
    json!({
        "colors": match scale.shade {
            Shade::Diverging => "diverging",
            Shade::Sequential => "sequential",
            Shade::Grey => "grey",
            Shade::Rgb => "rgb",
        },
        "range": [element(scale.range.0, figure), element(scale.range.1, figure)],
        "given": scale.given,
        "per_filter": scale.each.is_some(),
        "beyond": scale.beyond,
    })
}

fn filter(figures: &FilterFigures, figure: &Figure, at: usize) -> Value {
    let [nan, infinite, negative] = figures.odd;
    let mut document = json!({
        "index": figures.index,
        "count": figures.count,
        "norm": float(figures.norm),
        "mean": float(figures.mean),
        "min": element(figures.min, figure),
        "max": element(figures.max, figure),
        "zeros": figures.zeros,
        "nan": nan,
        "inf": infinite,
        "-inf": negative,
    });
    if let Some((low, high)) = figure.scale.each.as_ref().and_then(|each| each.get(at)) {
        document["range"] = json!([element(*low, figure), element(*high, figure)]);
    }
    document
}

/// One of the drawn values, in the digits of its type.
fn element(value: f64, figure: &Figure) -> Value {
    match figure.subject {
        Subject::Norms => float(value),
        Subject::Weight | Subject::Maps => number::json(&Element::Float(value), figure.dtype),
    }
}

/// A number; what JSON has no number for as text.
pub(super) fn float(value: f64) -> Value {
    number::json(&Element::Float(value), DType::Float64)
}
