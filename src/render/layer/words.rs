//! The sentences: what a layer does, and what each axis of its weight counts.

use serde_json::Value;

use super::super::number::grouped;
use crate::explain::Axis;
use crate::explain::Convolution;
use crate::explain::Kind;
use crate::explain::Layer;
use crate::explain::Role;

/// `3 x 5 x 5`
pub(super) fn times(sizes: &[usize]) -> String {
    sizes
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" x ")
}

fn plural(number: usize, thing: &str) -> String {
    super::super::number::count(number as u64, thing)
}

/// What one axis counts, for the diagram.
pub(super) fn axis(layer: &Layer, axis: Axis) -> String {
    let transposed = layer
        .convolution
        .as_ref()
        .is_some_and(|conv| conv.transposed);
    let groups = layer
        .convolution
        .as_ref()
        .map_or(1, |conv| conv.groups.value);
    match axis {
        Axis::Filter => "filter = output channel".to_owned(),
        Axis::Channel if groups > 1 => "channel of the group, summed over".to_owned(),
        Axis::Channel => "input channel, summed over".to_owned(),
        Axis::TransposedIn => "input channel, first here".to_owned(),
        Axis::TransposedOut if groups > 1 => "output channel within its group".to_owned(),
        Axis::TransposedOut => "output channel".to_owned(),
        Axis::KernelDepth if !transposed => "kernel plane, summed over".to_owned(),
        Axis::KernelDepth => "kernel plane".to_owned(),
        Axis::KernelRow if !transposed => "kernel row, summed over".to_owned(),
        Axis::KernelRow => "kernel row".to_owned(),
        Axis::KernelColumn if !transposed && layer.weight.shape.len() == 3 => {
            "kernel position, summed over".to_owned()
        }
        Axis::KernelColumn if !transposed => "kernel column, summed over".to_owned(),
        Axis::KernelColumn if layer.weight.shape.len() == 3 => "kernel position".to_owned(),
        Axis::KernelColumn => "kernel column".to_owned(),
        Axis::Output => "output".to_owned(),
        Axis::Input => "input, summed over".to_owned(),
        Axis::Vector => "row: the vector of token t".to_owned(),
        Axis::Component => "component of the vector".to_owned(),
        Axis::NormChannel => "channel".to_owned(),
        Axis::Plain(axis) => format!("axis {axis}"),
    }
}

/// The line that leaves no room for the wrong belief.
pub(super) fn summary(layer: &Layer) -> String {
    let shape = &layer.weight.shape;
    if let Some(conv) = &layer.convolution {
        return if conv.transposed {
            transposed(conv, shape)
        } else {
            convolution(conv, shape)
        };
    }
    match (layer.kind, &shape[..]) {
        (Kind::Linear, &[outputs, inputs]) => format!(
            "{} from {}: row o holds the {} weights of output o. y[o] = sum over i of W[o, i] * x[i]{}.",
            plural(outputs, "output"),
            plural(inputs, "input"),
            grouped(inputs as u64),
            if has(layer, Role::Bias) {
                " + bias[o]"
            } else {
                ""
            },
        ),
        (Kind::Embedding, &[count, size]) => format!(
            "A table of {}, each of {}: row t is the vector of token t.",
            plural(count, "vector"),
            plural(size, "number"),
        ),
        (Kind::BatchNorm, &[channels]) => format!(
            "{}, each with numbers of its own: y = (x - running_mean[c]) / \
             sqrt(running_var[c] + eps) * weight[c] + bias[c].",
            plural(channels, "channel"),
        ),
        (Kind::Norm, _) => {
            "y = (x - mean) / sqrt(var + eps) * weight + bias; mean and variance are \
                            taken from the input, so the file holds none."
                .to_owned()
        }
        _ => format!("A tensor of {}.", plural(layer.weight.numel, "element")),
    }
}

fn convolution(conv: &Convolution, shape: &[usize]) -> String {
    let (filters, groups) = (shape[0], conv.groups.value);
    let start = format!(
        "{}, each {}.",
        plural(filters, "filter"),
        times(&shape[1..])
    );
    let seen = shape[1];
    if groups <= 1 {
        let channels = match seen {
            1 => "one input channel".to_owned(),
            2 => "both input channels".to_owned(),
            _ => format!("all {} input channels", grouped(seen as u64)),
        };
        return format!(
            "{start} Every filter sees {channels}, and its {} products are summed into one number of one \
             output map: {}.",
            grouped(
                shape[1..]
                    .iter()
                    .fold(1, |n: u64, &k| n.saturating_mul(k as u64))
            ),
            plural(filters, "output map"),
        );
    }
    let per_group = conv.filters_per_group();
    let which = match (seen, per_group) {
        (1, 1) => "filter o sees input channel o and no other".to_owned(),
        (1, _) => format!("filter o sees input channel o // {per_group} and no other"),
        (_, _) => {
            format!("filter o sees the {seen} input channels from {seen} * (o // {per_group}) on")
        }
    };
    let depthwise = if conv.is_depthwise() {
        " (depthwise)"
    } else {
        ""
    };
    format!(
        "{start} {} in {}{depthwise}: {which}. The products are summed into one output map per filter.",
        plural(filters, "filter"),
        plural(groups, "group"),
    )
}

fn transposed(conv: &Convolution, shape: &[usize]) -> String {
    let grouped_note = match conv.groups.value {
        1 => String::new(),
        groups => format!(
            " In {}: input channel i reaches the {} output channels from {} * (i // {}) on.",
            plural(groups, "group"),
            shape[1],
            shape[1],
            conv.channels_per_group(),
        ),
    };
    format!(
        "Transposed: input channels come first. Each of {} has {} kernels of {}, one per output \
         channel; every input pixel stamps its kernel, scaled, onto the output, and overlapping stamps \
         are added.{grouped_note}",
        plural(shape[0], "input channel"),
        grouped(shape[1] as u64),
        times(&shape[2..]),
    )
}

fn has(layer: &Layer, role: Role) -> bool {
    layer.others.iter().any(|part| part.role == role)
}

/// What another tensor of the layer does.
pub(super) fn role(layer: &Layer, role: Role) -> &'static str {
    let convolution = layer.convolution.is_some();
    match (role, layer.kind) {
        (Role::Weight, Kind::BatchNorm | Kind::Norm) => "gamma, the scale",
        (Role::Bias, Kind::BatchNorm | Kind::Norm) => "beta, the shift",
        (Role::Bias, _) if convolution => "added to the output map of each filter",
        (Role::Bias, Kind::Linear) => "added to the outputs",
        (Role::RunningMean, _) => "mean, subtracted",
        (Role::RunningVar, _) => "variance, divided by",
        (Role::BatchCounter, _) => "training batches seen",
        _ => "",
    }
}

/// The layer on one line: as PyTorch prints it where the file knows, else what its shape tells.
pub(super) fn headline(layer: &Layer) -> String {
    if let (crate::explain::Evidence::Class(class), Some(attributes)) =
        (&layer.evidence, &layer.attributes)
    {
        return super::super::module::text(class, attributes, has(layer, Role::Bias));
    }
    let Some(name) = layer.kind.name() else {
        return "tensor".to_owned();
    };
    match &layer.convolution {
        Some(conv) if conv.may_be_depthwise() => {
            format!(
                "{name}, {}, kernel {}",
                plural(conv.out_channels, "filter"),
                times(&conv.kernel)
            )
        }
        Some(conv) => format!(
            "{name}, {} -> {} channels, kernel {}",
            conv.in_channels,
            conv.out_channels,
            times(&conv.kernel)
        ),
        None => name.to_owned(),
    }
}

/// What the layer is called where several words exist: `a filter`, `a row`, `a vector`.
pub(super) fn slice_word(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Conv(_) => Some("filter"),
        Kind::ConvTranspose(_) => Some("input channel"),
        Kind::Linear => Some("row"),
        Kind::Embedding => Some("vector"),
        Kind::BatchNorm => Some("channel"),
        _ => None,
    }
}

/// What the second axis of a weight with three or more is called.
pub(super) fn inner_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Conv(_) => "channel",
        Kind::ConvTranspose(_) => "output channel",
        _ => "slice",
    }
}

/// Why the kind is what it is, for JSON.
pub(super) fn evidence(layer: &Layer) -> (&'static str, Value) {
    match &layer.evidence {
        crate::explain::Evidence::Class(class) => ("class", Value::String(class.clone())),
        crate::explain::Evidence::Flag => ("flag", Value::Null),
        crate::explain::Evidence::Shape => ("shape", Value::Null),
    }
}
