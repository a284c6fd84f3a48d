//! Modules the way PyTorch prints them: `Conv2d(3, 192, kernel_size=(5, 5), stride=(1, 1))`.

use serde_json::{Map, Value};

use super::escape;
use super::number;

/// How one argument is shown.
enum Show {
    /// `3`
    Bare,
    /// `stride=(1, 1)`
    Always,
    /// Only where it is not this (written as JSON).
    Unless(&'static [&'static str]),
}

type Table = &'static [(&'static str, Show)];

/// `extra_repr` of the modules whose own leaves defaults out or names positional.
fn table(class: &str) -> Option<Table> {
    use Show::{Always, Bare, Unless};
    const CONV: Table = &[
        ("in_channels", Bare),
        ("out_channels", Bare),
        ("kernel_size", Always),
        ("stride", Always),
        ("padding", Unless(&["[0]", "[0,0]", "[0,0,0]"])),
        ("dilation", Unless(&["[1]", "[1,1]", "[1,1,1]"])),
        ("output_padding", Unless(&["[0]", "[0,0]", "[0,0,0]"])),
        ("groups", Unless(&["1"])),
        ("padding_mode", Unless(&["\"zeros\""])),
    ];
    const NORM: Table = &[
        ("num_features", Bare),
        ("eps", Always),
        ("momentum", Always),
        ("affine", Always),
        ("track_running_stats", Always),
    ];
    const POOL: Table = &[
        ("kernel_size", Always),
        ("stride", Always),
        ("padding", Always),
        ("dilation", Always),
        ("ceil_mode", Always),
    ];
    const EMBEDDING: Table = &[
        ("num_embeddings", Bare),
        ("embedding_dim", Bare),
        ("padding_idx", Unless(&["null"])),
        ("max_norm", Unless(&["null"])),
    ];
    const LAYER_NORM: Table = &[
        ("normalized_shape", Bare),
        ("eps", Always),
        ("elementwise_affine", Always),
    ];
    const ACTIVATION: Table = &[("inplace", Unless(&["false"]))];
    match class {
        "Conv1d" | "Conv2d" | "Conv3d" | "ConvTranspose1d" | "ConvTranspose2d"
        | "ConvTranspose3d" => Some(CONV),
        "BatchNorm1d" | "BatchNorm2d" | "BatchNorm3d" | "SyncBatchNorm" | "InstanceNorm1d"
        | "InstanceNorm2d" | "InstanceNorm3d" => Some(NORM),
        "MaxPool1d" | "MaxPool2d" | "MaxPool3d" => Some(POOL),
        "Embedding" => Some(EMBEDDING),
        "LayerNorm" => Some(LAYER_NORM),
        "ReLU" | "ReLU6" | "SiLU" | "Hardswish" | "Hardsigmoid" => Some(ACTIVATION),
        _ => None,
    }
}

/// The last part of a class name.
pub fn short_class(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

/// `Conv2d(3, 192, kernel_size=(5, 5), stride=(1, 1))`; `has_bias` is known from the tensors.
pub fn text(class: &str, attributes: &Map<String, Value>, has_bias: bool) -> String {
    let short = short_class(class);
    let mut arguments: Vec<String> = match table(short) {
        Some(table) => table
            .iter()
            .filter_map(|(name, show)| argument(name, show, attributes.get(*name)?))
            .collect(),
        None => attributes
            .iter()
            .filter(|(name, _)| !name.starts_with('_') && *name != "training")
            .map(|(name, found)| format!("{name}={}", value(found)))
            .collect(),
    };
    match short {
        "Linear" => arguments.push(format!("bias={}", if has_bias { "True" } else { "False" })),
        name if name.starts_with("Conv") && table(name).is_some() && !has_bias => {
            arguments.push("bias=False".to_owned());
        }
        _ => {}
    }
    format!("{}({})", escape::text(short), arguments.join(", "))
}

fn argument(name: &str, show: &Show, found: &Value) -> Option<String> {
    match show {
        Show::Bare => Some(value(found)),
        Show::Unless(defaults) if defaults.contains(&found.to_string().as_str()) => None,
        Show::Always | Show::Unless(_) => Some(format!("{name}={}", value(found))),
    }
}

/// A value as Python prints it, as far as it is known whether a list was a tuple: hyperparameters are tuples.
pub fn value(value_: &Value) -> String {
    match value_ {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, number::python)
        }
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("'{}'", escape::text(&escape::shorten(text, 60))),
        Value::Array(items) if items.len() == 1 => format!("({},)", value(&items[0])),
        Value::Array(items) if items.len() <= 8 => {
            format!(
                "({})",
                items.iter().map(value).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Array(items) => format!("({} items)", items.len()),
        Value::Object(entries) => format!("{{{} entries}}", entries.len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    fn text(class: &str, attributes: Value, has_bias: bool) -> String {
        super::text(class, attributes.as_object().unwrap(), has_bias)
    }

    #[test]
    fn modules_print_as_in_pytorch() {
        let conv = json!({"training": true, "in_channels": 3, "out_channels": 192, "kernel_size": [5, 5],
            "stride": [1, 1], "padding": [2, 2], "dilation": [1, 1], "transposed": false,
            "output_padding": [0, 0], "groups": 1, "padding_mode": "zeros"});
        assert_eq!(
            text("torch.nn.modules.conv.Conv2d", conv.clone(), true),
            "Conv2d(3, 192, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))"
        );
        assert!(text("torch.nn.modules.conv.Conv2d", conv, false).ends_with(", bias=False)"));
        let linear = json!({"training": true, "in_features": 320, "out_features": 50});
        assert_eq!(
            text("torch.nn.modules.linear.Linear", linear, true),
            "Linear(in_features=320, out_features=50, bias=True)"
        );
        assert_eq!(
            text(
                "my.Net",
                json!({"training": true, "name": "a\u{1b}b"}),
                true
            ),
            "Net(name='a\\x1bb')"
        );
    }
}
