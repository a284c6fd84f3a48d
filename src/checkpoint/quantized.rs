//! Modules of `torch.ao.nn.quantized` saved whole. Their weights are packed for one processor's kernels, and saved as
//! what they were packed from; their classes have a `_save_to_state_dict` of their own:
//!
//! | class | pickled | in `state_dict()` |
//! | --- | --- | --- |
//! | `LinearPackedParams` | `_packed_params`: a `ScriptObject` of (weight, bias) | `_packed_params`: (weight, bias) |
//! | `EmbeddingPackedParams` | `_packed_weight`: a `ScriptObject` of (version, [weight], ...) | `_packed_weight`: weight |
//! | `PackedParameter`, `RNNCellBase` | `param`, `_packed_weight_ih`, ...: `ScriptObject`s | the same |
//! | `Linear`, `QFunctional` | `scale` and `zero_point`: numbers | tensors of these |
//! | `Conv2d` and its like | a tuple: hyperparameters, weight, bias, `scale`, `zero_point` | `weight`, `bias`, tensors of the numbers |
//!
//! Source: `torch/ao/nn/quantized/modules/{linear,conv,embedding_ops,functional_modules}.py` and
//! `torch/ao/nn/quantized/dynamic/modules/rnn.py` of torch 2.15.

use crate::checkpoint::module::ModuleParts;
use crate::checkpoint::python::Python;
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;

/// What a quantized convolution's state is, by position (`_ConvNd.__getstate__`).
const CONVOLUTION: [&str; 15] = [
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "transposed",
    "output_padding",
    "groups",
    "padding_mode",
    "weight",
    "bias",
    "scale",
    "zero_point",
    "training",
];

/// Whether the class is one of torch's quantized modules, and its name.
fn class<'g>(python: Python<'g>, object: &Object) -> Option<&'g str> {
    let (module, name) = match (python.callable(object)?, python.args(object)) {
        (("copyreg", "_reconstructor" | "__newobj__"), [class, ..]) => python.global(*class)?,
        (class, _) => class,
    };
    let is_quantized = ["torch.ao.nn.", "torch.nn."].iter().any(|root| {
        let below = module.strip_prefix(root).unwrap_or("");
        below.split('.').any(|part| part == "quantized")
    });
    is_quantized.then_some(name)
}

/// The parts of a quantized convolution.
pub(super) fn convolution(
    python: Python<'_>,
    object: &Object,
    state: ValueId,
) -> Option<ModuleParts> {
    let Value::Tuple(items) = python.get(state) else {
        return None;
    };
    if !class(python, object)?.starts_with("Conv") || items.len() + 1 < CONVOLUTION.len() {
        return None; // without `training` before 1.4
    }
    let mut parts = ModuleParts::default();
    for (name, &id) in CONVOLUTION.iter().zip(items) {
        let list = match *name {
            "weight" | "bias" if *python.get(id) == Value::None => &mut parts.other,
            "weight" | "bias" => &mut parts.state,
            "scale" | "zero_point" => &mut parts.numbers,
            _ => &mut parts.attributes,
        };
        list.push(((*name).to_owned(), id));
    }
    Some(parts)
}

/// Takes what the class's `_save_to_state_dict` adds out of the attributes.
pub(super) fn add_state(python: Python<'_>, object: &Object, parts: &mut ModuleParts) {
    let Some(class) = class(python, object) else {
        return;
    };
    let makes_tensors = matches!(
        class,
        "Linear" | "LinearReLU" | "QFunctional" | "LinearLeakyReLU" | "LinearTanh"
    );
    let mut attributes = Vec::new();
    for (name, id) in std::mem::take(&mut parts.attributes) {
        let packed = packed(python, id);
        match (&*name, packed) {
            ("_packed_params", Some(packed)) => parts.state.push((name, packed)),
            ("_packed_weight", Some(packed)) => {
                let weight = embedding(python, packed).unwrap_or(packed);
                parts.state.push((name, weight));
            }
            (_, Some(_)) => parts.state.push((name, id)),
            ("scale" | "zero_point", None) if makes_tensors => parts.numbers.push((name, id)),
            _ => attributes.push((name, id)),
        }
    }
    parts.attributes = attributes;
}

/// What a `ScriptObject` was packed from: the first of its state's two items, the other being its class.
fn packed(python: Python<'_>, id: ValueId) -> Option<ValueId> {
    let Value::Object(object) = python.get(id) else {
        return None;
    };
    let ("torch" | "torch._C", "ScriptObject") = python.callable(object)? else {
        return None;
    };
    match *python.items(*object.state.first()?)? {
        [packed, _class] => Some(packed),
        _ => None,
    }
}

/// The weight of `(version, [weight], floats, integers)`.
fn embedding(python: Python<'_>, packed: ValueId) -> Option<ValueId> {
    let tensors = *python.items(packed)?.get(1)?;
    python.items(tensors)?.first().copied()
}
