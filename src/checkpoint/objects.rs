//! Objects of Python's own, and small ones of torch's and numpy's, that appear in checkpoints, and what `tree` shows of them.
//!
//! An object that is not listed here is a placeholder with its class's name, whose arguments and attributes are
//! walked ([`super::unfold`]); so this table is about looks, and nothing depends on it being complete.

use serde_json::json;

use crate::checkpoint::NodeValue;
use crate::checkpoint::numpy;
use crate::checkpoint::python::Python;
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::Element;

/// Values in one attribute's JSON.
const JSON_VALUES: usize = 4096;
/// Levels of one attribute's JSON.
const JSON_DEPTH: usize = 16;

/// Classes whose call is their `repr`: plain arguments, no state.
const PRINTED: &[(&str, &str)] = &[
    ("builtins", "complex"),
    ("builtins", "range"),
    ("builtins", "slice"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch.serialization", "_get_layout"),
    ("uuid", "UUID"),
];

/// What an object with nothing inside it shows; `None` for those that have parts, and for those of unknown classes.
pub(super) fn leaf(python: Python<'_>, id: ValueId, object: &Object) -> Option<NodeValue> {
    let (module, name) = python.callable(object)?;
    let args = python.args(object);
    if let Some(bytes) = python.bytes(id) {
        return Some(NodeValue::Bytes(bytes.len()));
    }
    if let Some(array) = numpy::array(python, id) {
        return Some(NodeValue::Array {
            dtype: array.dtype,
            shape: array.shape,
        });
    }
    match (module, name) {
        ("numpy", "dtype") => {
            let name = numpy::dtype_name(python, id)?;
            return Some(NodeValue::Repr(match name.starts_with(['[', '{', '(']) {
                true => format!("numpy.dtype({name})"),
                false => format!("numpy.dtype('{name}')"),
            }));
        }
        ("numpy.core.multiarray", "scalar") => {
            return Some(NodeValue::Repr(numpy::scalar_text(python, args)?));
        }
        ("datetime", "datetime" | "date") => return datetime(python, name, args),
        ("pathlib", class) if class.contains("Path") => return path(python, class, args),
        ("torch.serialization", "_get_layout") => {
            let [layout] = args else { return None };
            return Some(NodeValue::Global(python.str(*layout)?.to_owned()));
        }
        _ => {}
    }
    let plain = object.state.is_empty() && object.items.is_empty() && object.entries.is_empty();
    if !plain || !PRINTED.contains(&(module, name)) {
        return None;
    }
    let text = if name == "Size" {
        python
            .repr(*args.first()?) // torch.Size((2, 3)) is written torch.Size([2, 3])
            .replacen('(', "torch.Size([", 1)
            .trim_end_matches([')', ','])
            .to_owned()
            + "])"
    } else {
        python.repr(id)
    };
    Some(NodeValue::Repr(text))
}

fn path(python: Python<'_>, class: &str, args: &[ValueId]) -> Option<NodeValue> {
    let mut joined = String::new();
    for &part in args.iter().take(64) {
        let part = python.str(part)?;
        if !joined.is_empty() && !joined.ends_with('/') {
            joined.push('/');
        }
        joined.extend(part.chars().take(256));
    }
    Some(NodeValue::Repr(format!(
        "pathlib.{class}('{}')",
        joined.escape_debug()
    )))
}

/// The ten bytes (or four) that `datetime` pickles itself as.
fn datetime(python: Python<'_>, class: &str, args: &[ValueId]) -> Option<NodeValue> {
    let packed = python.bytes(*args.first()?)?;
    let year = u16::from_be_bytes([*packed.first()?, *packed.get(1)?]);
    let rest = packed.get(2..)?;
    let zone = match args.get(1) {
        Some(&zone) => format!(", tzinfo={}", python.repr(zone)),
        None => String::new(),
    };
    let text = match *rest {
        [month, day] => format!("{year}, {month}, {day}"),
        [month, day, hour, minute, second, a, b, c] => {
            let micros = u32::from_be_bytes([0, a, b, c]);
            // the highest bit of the month is `fold`
            format!(
                "{year}, {}, {day}, {hour}, {minute}, {second}, {micros}",
                month & 0x7f
            )
        }
        _ => return None,
    };
    Some(NodeValue::Repr(format!("datetime.{class}({text}{zone})")))
}

/// A plain value as JSON: numbers, text, lists, dicts of these; `None` where it holds anything else, or too much.
/// Tuples and sizes are lists; a dtype or another name is its text.
pub(super) fn json(python: Python<'_>, id: ValueId) -> Option<serde_json::Value> {
    json_and_size(python, id).0
}

/// The same, and how many values it took to find out.
pub(super) fn json_and_size(python: Python<'_>, id: ValueId) -> (Option<serde_json::Value>, usize) {
    let mut left = JSON_VALUES;
    let value = to_json(python, id, JSON_DEPTH, &mut left);
    (value, JSON_VALUES - left)
}

fn to_json(
    python: Python<'_>,
    id: ValueId,
    depth: usize,
    left: &mut usize,
) -> Option<serde_json::Value> {
    *left = left.checked_sub(1)?;
    let depth = depth.checked_sub(1)?;
    if let Some(items) = python.items(id) {
        let items = items.iter().map(|&item| to_json(python, item, depth, left));
        return items.collect();
    }
    Some(match python.get(id) {
        Value::None => serde_json::Value::Null,
        Value::Bool(b) => json!(b),
        Value::Int(n) => json!(n),
        Value::Float(x) if x.is_finite() => json!(x),
        Value::Float(x) => json!(Element::Float(*x).to_string()), // JSON has no infinity
        Value::Str(text) => {
            *left = left.checked_sub(text.len() / 64)?; // a long text counts as several values
            json!(**text)
        }
        Value::Global { .. } => json!(python.global_name(id)?),
        Value::Dict(entries) => {
            let entries = entries.iter().map(|(key, value)| {
                let key = python.key(*key);
                Some((key, to_json(python, *value, depth, left)?))
            });
            serde_json::Value::Object(entries.collect::<Option<_>>()?)
        }
        Value::Object(object) => match leaf(python, id, object)? {
            NodeValue::Repr(text) => match numpy::scalar(python, python.args(object)) {
                Some((_, Element::Float(x))) => json!(x),
                Some((_, Element::Int(n))) => json!(i64::try_from(n).ok()?),
                Some((_, Element::Bool(b))) => json!(b),
                _ => json!(text),
            },
            NodeValue::Global(name) => json!(name),
            _ => return None,
        },
        _ => return None,
    })
}
