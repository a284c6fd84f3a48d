//! What the graph of an exported program says about its modules: their classes, and the arguments of convolutions.
//!
//! Each node of the graph names the operator, its inputs, and the stack of modules that it was traced in:
//! `L__self__,,Net;L__self__conv,conv,torch.nn.modules.conv.Conv2d`. Inputs that are the module's weights have names of
//! their own (`p_conv_weight`), which the signature maps to those of the state dict (`conv.weight`).
//!
//! Source: `torch/_export/serde/schema.py` of torch 2.15; older schemas (from 2.2 on) have the same fields.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::checkpoint::torchscript::code::padding_of;
use crate::error::{Error, Result};

/// Of the whole file, what is of interest.
#[derive(Deserialize)]
struct Program {
    graph_module: GraphModule,
}

#[derive(Deserialize)]
struct GraphModule {
    graph: Graph,
    #[serde(default)]
    signature: Signature,
}

#[derive(Deserialize)]
struct Graph {
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize, Default)]
struct Signature {
    #[serde(default)]
    input_specs: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    target: String,
    #[serde(default)]
    inputs: Vec<Input>,
    #[serde(default)]
    outputs: Vec<Value>,
    #[serde(default)]
    metadata: Map<String, Value>,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    name: String,
    arg: Value,
}

/// A module that the graph was traced in.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Traced {
    pub(super) path: String,
    pub(super) class: String,
    /// Hyperparameters of a convolution; else empty.
    pub(super) attributes: Map<String, Value>,
}

/// The modules, each once, in the order of their first use. `rank` tells how many axes a tensor has.
pub(super) fn modules(json: &[u8], rank: impl Fn(&str) -> Option<usize>) -> Result<Vec<Traced>> {
    let program: Program = serde_json::from_slice(json)
        .map_err(|e| Error::malformed(format!("is no exported program's graph: {e}")))?;
    let names = names(&program.graph_module.signature);
    let mut modules: Vec<Traced> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut add = |path: &str, class: &str| -> usize {
        *known.entry(path.to_owned()).or_insert_with(|| {
            modules.push(Traced {
                path: path.to_owned(),
                class: class.to_owned(),
                attributes: Map::new(),
            });
            modules.len() - 1
        })
    };
    let mut found: Vec<(usize, Map<String, Value>)> = Vec::new();
    let mut pads: HashMap<&str, &Node> = HashMap::new();
    for node in &program.graph_module.graph.nodes {
        let stack = node.metadata.get("nn_module_stack").and_then(Value::as_str);
        let mut inner = None;
        for entry in stack.unwrap_or("").split(';').filter(|e| !e.is_empty()) {
            let mut parts = entry.splitn(3, ',');
            if let (Some(_), Some(path), Some(class)) = (parts.next(), parts.next(), parts.next()) {
                // a module called twice has "@1" behind its path
                let path = path.split('@').next().unwrap_or(path);
                inner = Some(path);
                add(path, class);
            }
        }
        if node.target.starts_with("torch.ops.aten.pad.") {
            pads.extend(
                node.outputs
                    .first()
                    .and_then(tensor_name)
                    .map(|name| (name, node)),
            );
        }
        let Some((layer, attributes)) = convolution(node, &names, &rank, &pads) else {
            continue;
        };
        // functional calls name no module; the weight's name does
        let class = match inner {
            Some(_) => String::new(),
            None => class_of(&node.target, &attributes),
        };
        found.push((add(&layer, &class), attributes));
    }
    for (number, attributes) in found {
        if modules[number].attributes.is_empty() {
            modules[number].attributes = attributes;
        }
    }
    Ok(modules)
}

/// Names in the graph of parameters and buffers, and what the state dict calls them.
fn names(signature: &Signature) -> HashMap<&str, &str> {
    let specs = signature.input_specs.iter().filter_map(|spec| {
        let (kind, said) = spec.iter().next()?;
        let argument = said.get("arg")?.get("name")?.as_str()?;
        Some((argument, said.get(format!("{kind}_name"))?.as_str()?))
    });
    specs.collect()
}

fn tensor_name(value: &Value) -> Option<&str> {
    value.get("as_tensor")?.get("name")?.as_str()
}

/// Path and hyperparameters of a convolution with a weight of the state dict.
fn convolution(
    node: &Node,
    names: &HashMap<&str, &str>,
    rank: &impl Fn(&str) -> Option<usize>,
    pads: &HashMap<&str, &Node>,
) -> Option<(String, Map<String, Value>)> {
    let operator = node.target.strip_prefix("torch.ops.aten.")?;
    let operator = operator.split('.').next()?;
    if !operator.trim_start_matches('_').starts_with("conv") {
        return None;
    }
    let input = |name: &str| node.inputs.iter().find(|input| input.name == name);
    let weight = *names.get(tensor_name(&input("weight")?.arg)?)?;
    let layer = weight.strip_suffix("weight")?;
    let dims = rank(weight)?.checked_sub(2)?;
    let mut attributes = Map::new();
    attributes.insert("stride".to_owned(), json!(vec![1; dims]));
    attributes.insert("padding".to_owned(), json!(vec![0; dims]));
    attributes.insert("dilation".to_owned(), json!(vec![1; dims]));
    attributes.insert("groups".to_owned(), json!(1));
    let transposed = operator.contains("transpose");
    if transposed {
        attributes.insert("output_padding".to_owned(), json!(vec![0; dims]));
    }
    attributes.insert("transposed".to_owned(), json!(transposed));
    for name in [
        "stride",
        "padding",
        "dilation",
        "groups",
        "output_padding",
        "transposed",
    ] {
        if let Some(value) = input(name).and_then(|input| plain(&input.arg)) {
            attributes.insert(name.to_owned(), value);
        }
    }
    if let Some(pad) = input("input").and_then(|i| pads.get(tensor_name(&i.arg)?))
        && let Some((padding, mode)) = padded(pad)
    {
        attributes.insert("padding".to_owned(), json!(padding));
        attributes.insert("padding_mode".to_owned(), json!(mode));
    }
    let layer = layer.strip_suffix('.').unwrap_or(layer);
    Some((layer.to_owned(), attributes))
}

/// The class of a convolution that no module made.
fn class_of(target: &str, attributes: &Map<String, Value>) -> String {
    let dims = attributes["stride"].as_array().map_or(2, Vec::len);
    let transposed = attributes["transposed"] == json!(true) || target.contains("transpose");
    let kind = if transposed { "ConvTranspose" } else { "Conv" };
    format!("torch.nn.modules.conv.{kind}{dims}d")
}

fn padded(pad: &Node) -> Option<(Vec<u64>, String)> {
    let input = |name: &str| pad.inputs.iter().find(|input| input.name == name);
    let sizes = plain(&input("pad")?.arg)?;
    let sizes = sizes.as_array()?.iter().map(Value::as_u64);
    let mode = plain(&input("mode")?.arg)?;
    let padding = padding_of(&sizes.collect::<Option<Vec<_>>>()?)?;
    Some((padding, mode.as_str()?.to_owned()))
}

/// `{"as_ints": [2, 2]}` and its kin.
fn plain(argument: &Value) -> Option<Value> {
    let (kind, value) = argument.as_object()?.iter().next()?;
    matches!(
        &**kind,
        "as_int" | "as_ints" | "as_bool" | "as_string" | "as_float"
    )
    .then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn convolutions_of_modules_and_of_functions() {
        let tensor = |name: &str| json!({"as_tensor": {"name": name}});
        let node = |target: &str, stack: &str, inputs: serde_json::Value, output: &str| {
            let inputs = inputs.as_object().unwrap().iter();
            let inputs: Vec<_> = inputs
                .map(|(name, arg)| json!({"name": name, "arg": arg}))
                .collect();
            json!({"target": target, "inputs": inputs, "outputs": [tensor(output)], "metadata": {"nn_module_stack": stack}})
        };
        let stack = "L__self__,,Net;L__self__a,a.b@1,torch.nn.modules.conv.Conv2d";
        let program = json!({"graph_module": {
            "graph": {"nodes": [
                node("torch.ops.aten.pad.default", stack, json!({"self": tensor("x"), "pad": {"as_ints": [2, 2, 1, 1]}, "mode": {"as_string": "reflect"}}), "padded"),
                node("torch.ops.aten.conv2d.default", stack, json!({"input": tensor("padded"), "weight": tensor("p_a"), "stride": {"as_ints": [2, 1]}}), "y"),
                node("torch.ops.aten.conv_transpose1d.default", "", json!({"input": tensor("y"), "weight": tensor("p_w"), "groups": {"as_int": 3}}), "z"),
                node("torch.ops.aten.conv2d.default", "", json!({"input": tensor("y"), "weight": tensor("computed")}), "u"),
            ]},
            "signature": {"input_specs": [
                {"parameter": {"arg": {"name": "p_a"}, "parameter_name": "a.b.weight"}},
                {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "weight"}},
                {"user_input": {"arg": tensor("x")}}]}}});
        let rank = |name: &str| Some(if name == "weight" { 3 } else { 4 });
        let modules = super::modules(program.to_string().as_bytes(), rank).unwrap();
        let shown: Vec<(&str, &str)> = modules.iter().map(|m| (&*m.path, &*m.class)).collect();
        assert_eq!(
            shown,
            [("", "Net"), ("a.b", "torch.nn.modules.conv.Conv2d")]
        );
        let conv = &modules[1].attributes;
        assert_eq!(conv["stride"], json!([2, 1]));
        assert_eq!(conv["padding"], json!([1, 2]));
        assert_eq!(conv["padding_mode"], "reflect");
        assert_eq!(conv["dilation"], json!([1, 1]));
        assert_eq!(modules[0].attributes["groups"], 3);
    }

    #[test]
    fn what_is_no_graph_is_refused() {
        for text in ["", "{", "[]", "{\"graph_module\": 5}"] {
            assert!(super::modules(text.as_bytes(), |_| None).is_err(), "{text}");
        }
    }
}
