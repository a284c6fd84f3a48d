//! The golden file: a safetensors file with inputs, outputs, maybe weights, and a JSON text under the metadata key
//! `pthinspect.golden` that says what was called where. Unknown keys are ignored.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Map;
use serde_json::Value;

use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::Error;
use crate::error::Result;
use crate::execute::MemoryFormat;
use crate::execute::Op;
use crate::execute::Origin;
use crate::execute::PaddingMode;
use crate::execute::op::LayerArguments;
use crate::execute::op::Padding;

/// The metadata key.
const KEY: &str = "pthinspect.golden";

/// An opened golden file.
#[derive(Debug)]
pub struct Golden {
    /// The tensors.
    pub file: Checkpoint,
    /// The cases, in the file's order.
    pub cases: Vec<Case>,
    /// Which tensor has which name.
    tensors: HashMap<String, usize>,
}

/// One saved call.
#[derive(Clone, Debug)]
pub struct Case {
    /// Name; its tensors are `NAME.input`, `NAME.output`, `NAME.weight`, `NAME.bias`.
    pub name: String,
    /// What was called; `Err` says why this case cannot be replayed.
    pub call: std::result::Result<Box<LayerCall>, String>,
    /// Where: the file's origin, the case's own laid over it. Cases without one of their own share the file's.
    pub origin: Arc<Origin>,
}

/// A call of a layer, without its tensors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerCall {
    /// Which layer.
    pub op: Op,
    /// stride, padding, ...
    pub arguments: LayerArguments,
    /// How the input lay in memory.
    pub memory_format: MemoryFormat,
    /// Whether a Linear's input was not contiguous.
    pub strided: bool,
}

impl Golden {
    /// Opens the golden file at `path`.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self> {
        let file = Checkpoint::open(path, limits)?;
        let text = file.metadata().get(KEY).ok_or_else(|| {
            Error::malformed(format!("is no golden file: its metadata has no {KEY:?}"))
                .in_file(path)
                .with_hint("scripts/capture_golden.py writes golden files")
        })?;
        let cases = parse(text).map_err(|what| {
            Error::malformed(what)
                .in_file(path)
                .in_record(format!("metadata {KEY:?}"))
        })?;
        let tensors = file.tensors().iter().enumerate();
        let tensors = tensors.map(|(number, t)| (t.name.clone(), number));
        let tensors = tensors.collect();
        Ok(Self {
            file,
            cases,
            tensors,
        })
    }

    /// A tensor of a case: `part` is `input`, `output`, `weight` or `bias`.
    pub fn tensor(&self, case: &Case, part: &str) -> Option<&TensorEntry> {
        let name = format!("{}.{part}", case.name);
        self.file.tensors().get(*self.tensors.get(&name)?)
    }
}

fn parse(text: &str) -> std::result::Result<Vec<Case>, String> {
    let mut root: Value = serde_json::from_str(text).map_err(|e| format!("is not JSON: {e}"))?;
    let root = root.as_object_mut().ok_or("is not a JSON object")?;
    match root.get("version").map(Value::as_u64) {
        Some(Some(1)) | None => {}
        Some(_) => {
            return Err(format!(
                "has version {}, this program knows 1",
                root["version"]
            ));
        }
    }
    let file_origin = Arc::new(origin(root.get("origin"))?);
    let Some(Value::Array(cases)) = root.remove("cases") else {
        return Err("has no list \"cases\"".into());
    };
    // each is let go of once it has been read: there may be very many
    let cases: Vec<Case> = cases
        .into_iter()
        .enumerate()
        .map(|(i, case)| {
            let case = case
                .as_object()
                .ok_or_else(|| format!("case {i} is not an object"))?;
            let name = case
                .get("name")
                .and_then(Value::as_str)
                .ok_or_else(|| format!("case {i} has no \"name\""))?;
            let origin = match case.get("origin") {
                None => Arc::clone(&file_origin),
                own => {
                    let own = origin(own).map_err(|e| format!("case {name:?}: {e}"))?;
                    Arc::new(file_origin.overlaid(&own))
                }
            };
            Ok(Case {
                name: name.to_owned(),
                call: call(case).map(Box::new),
                origin,
            })
        })
        .collect::<std::result::Result<_, String>>()?;
    let mut names = std::collections::HashSet::new();
    match cases.iter().find(|case| !names.insert(case.name.as_str())) {
        Some(case) => Err(format!("two cases are called {:?}", case.name)),
        None => Ok(cases),
    }
}

fn origin(value: Option<&Value>) -> std::result::Result<Origin, String> {
    let map = match value {
        None | Some(Value::Null) => return Ok(Origin::default()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err("\"origin\" is not an object".into()),
    };
    let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
    let size = |key: &str| {
        let value = map.get(key).and_then(Value::as_u64);
        value.and_then(|v| usize::try_from(v).ok())
    };
    let env = map.get("env").and_then(Value::as_object);
    let env: BTreeMap<String, String> = env
        .into_iter()
        .flatten()
        .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())))
        .collect();
    Ok(Origin {
        torch: text("torch"),
        device: text("device"),
        machine: text("machine"),
        cpu_capability: text("cpu_capability"),
        cpu_isa: text("cpu_isa"),
        cpu_vendor: text("cpu_vendor"),
        onednn: text("onednn"),
        onednn_isa: text("onednn_isa"),
        cpu_flags: map.get("cpu_flags").and_then(Value::as_array).map(|flags| {
            let flags = flags.iter().filter_map(Value::as_str);
            flags.map(str::to_owned).collect()
        }),
        threads: size("threads").filter(|&t| t > 0),
        mkldnn: map.get("mkldnn").and_then(Value::as_bool),
        l1_bytes: size("l1_bytes").filter(|&b| b > 0),
        l2_bytes: size("l2_bytes").filter(|&b| b > 0),
        l1_threads: size("l1_threads").filter(|&t| t > 0),
        nnpack: map.get("nnpack").and_then(Value::as_bool),
        env,
    })
}

fn call(case: &Map<String, Value>) -> std::result::Result<LayerCall, String> {
    let op = match case.get("op").and_then(Value::as_str) {
        None => Op::Conv2d,
        Some(name) => Op::parse(name).ok_or_else(|| {
            let known = Op::ALL.map(|op| format!("{:?}", op.name())).join(", ");
            format!("the op is {name:?}, this program replays {known}")
        })?,
    };
    let defaults = LayerArguments::default();
    let groups = match case.get("groups") {
        None => 1,
        Some(value) => number(value).ok_or("\"groups\" is not a whole number")?,
    };
    let padding_mode = match case.get("padding_mode") {
        None => PaddingMode::Zeros,
        Some(value) => PaddingMode::parse(value.as_str().unwrap_or_default())
            .map_err(|e| e.message().to_owned())?,
    };
    let memory_format = match case.get("memory_format").and_then(Value::as_str) {
        None | Some("contiguous") => MemoryFormat::Contiguous,
        Some("channels_last" | "channels_last_3d") => MemoryFormat::ChannelsLast,
        Some(other) => {
            return Err(format!(
                "memory_format is {other:?}, expected \"contiguous\" or \"channels_last\""
            ));
        }
    };
    // circular padding makes a tensor of its own, contiguous whatever the input was; where the backend is written down
    // beside it, the format is that of the padded input already
    let copied = padding_mode == PaddingMode::Circular && !case.contains_key("backend");
    let memory_format = match copied {
        true => MemoryFormat::Contiguous,
        false => memory_format,
    };
    let sizes = |key: &str| sizes(case, key, op);
    Ok(LayerCall {
        op,
        arguments: LayerArguments {
            stride: sizes("stride")?.unwrap_or(defaults.stride),
            padding: match case.get("padding").and_then(Value::as_str) {
                Some("same") => Padding::Same,
                Some("valid") => Padding::Valid,
                Some(other) => {
                    return Err(format!(
                        "padding is {other:?}, expected numbers, \"same\" or \"valid\""
                    ));
                }
                None => sizes("padding")?.map_or(defaults.padding, Padding::Sizes),
            },
            dilation: sizes("dilation")?.unwrap_or(defaults.dilation),
            output_padding: sizes("output_padding")?.unwrap_or(defaults.output_padding),
            groups,
            padding_mode,
        },
        memory_format,
        strided: op == Op::Linear
            && case.get("input_layout").and_then(Value::as_str) == Some("strided"),
    })
}

fn number(value: &Value) -> Option<usize> {
    // bounded, so that no size made from it can overflow
    value
        .as_u64()
        .and_then(|n| usize::try_from(n).ok())
        .filter(|&n| n <= 1 << 30)
}

/// One number per axis, or one for all of them.
fn sizes(
    case: &Map<String, Value>,
    key: &str,
    op: Op,
) -> std::result::Result<Option<Vec<usize>>, String> {
    let wrong = || match op.axes() {
        2 => format!("{key:?} is not a whole number or a pair of them"),
        axes => format!("{key:?} is not a whole number or a list of {axes} of them"),
    };
    match case.get(key) {
        None => Ok(None),
        Some(Value::Array(items)) if items.len() == op.axes() => {
            let sizes: Option<Vec<usize>> = items.iter().map(number).collect();
            sizes.map(Some).ok_or_else(wrong)
        }
        Some(Value::Array(_)) => Err(wrong()),
        Some(value) => number(value).map(|n| Some(vec![n])).ok_or_else(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_example_is_understood() {
        let text = r#"{"version": 1, "origin": {"torch": "2.15.0", "threads": 2, "future": [1]},
            "cases": [{"name": "a", "op": "conv2d", "stride": [2, 1], "padding": "same", "dilation": [1, 1],
            "groups": 1, "padding_mode": "zeros", "memory_format": "contiguous", "origin": {"threads": 1}},
            {"name": "b", "op": "einsum"}, {"name": "c"},
            {"name": "d", "op": "conv3d", "stride": [1, 2, 3]}, {"name": "e", "op": "linear"}]}"#;
        let cases = parse(text).unwrap();
        let a = cases[0].call.clone().unwrap();
        assert_eq!(
            (a.arguments.stride, a.arguments.padding),
            (vec![2, 1], Padding::Same)
        );
        assert_eq!(cases[0].origin.threads, Some(1), "the case's own goes over");
        assert_eq!(cases[0].origin.torch.as_deref(), Some("2.15.0"));
        assert!(cases[1].call.clone().unwrap_err().contains("einsum"));
        let d = cases[3].call.clone().unwrap();
        assert_eq!((d.op, d.arguments.stride), (Op::Conv3d, vec![1, 2, 3]));
        assert_eq!(cases[4].call.clone().unwrap().op, Op::Linear);
        assert_eq!(cases[2].origin.threads, Some(2));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        for (text, wanted) in [
            ("{", "is not JSON"),
            ("[]", "is not a JSON object"),
            (r#"{"version": 2, "cases": []}"#, "has version 2"),
            (r#"{"cases": {}}"#, "has no list"),
            (r#"{"cases": [{}]}"#, "case 0 has no \"name\""),
            (r#"{"cases": [{"name": "a"}, {"name": "a"}]}"#, "two cases"),
            (r#"{"origin": 3, "cases": []}"#, "\"origin\" is not"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
        for (case, wanted) in [
            (r#"{"name": "a", "stride": [1, 2, 3]}"#, "\"stride\""),
            (r#"{"name": "a", "padding": "some"}"#, "padding is"),
            (r#"{"name": "a", "groups": -1}"#, "\"groups\""),
            (r#"{"name": "a", "padding_mode": "mirror"}"#, "padding_mode"),
        ] {
            let text = format!(r#"{{"cases": [{case}]}}"#);
            let error = parse(&text).unwrap()[0].call.clone().unwrap_err();
            assert!(error.contains(wanted), "{case}: {error}");
        }
    }
}
