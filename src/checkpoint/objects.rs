//! Objects of Python's and numpy's own that appear in checkpoints, and what `tree` shows of them.
//!
//! An object that is not listed here is a placeholder with its class's name, whose arguments and attributes are
//! walked ([`super::unfold`]); so this table is about looks, and nothing depends on it being complete.

use serde_json::json;

use crate::checkpoint::NodeValue;
use crate::checkpoint::python::Python;
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::ByteOrder;
use crate::tensor::{DType, Element, Layout, TensorView};

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
    if let Some(array) = array(python, id) {
        return Some(NodeValue::Array {
            dtype: array.dtype,
            shape: array.shape,
        });
    }
    match (module, name) {
        ("numpy", "dtype") => {
            let name = numpy_dtype(python, id)?;
            return Some(NodeValue::Repr(format!("numpy.dtype('{name}')")));
        }
        ("numpy.core.multiarray", "scalar") => {
            let (dtype, value) = scalar(python, args)?;
            let value = match value {
                Element::Bool(b) => String::from(if b { "True" } else { "False" }),
                value => value.to_string(),
            };
            return Some(NodeValue::Repr(format!("numpy.{dtype}({value})")));
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

/// A numpy array, by type and shape.
pub(super) struct Array {
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
}

/// The array that `_reconstruct` and its state (version, shape, dtype, Fortran order, data) describe, or
/// `_frombuffer` (protocol 5).
pub(super) fn array(python: Python<'_>, id: ValueId) -> Option<Array> {
    let Value::Object(object) = python.get(id) else {
        return None;
    };
    let (shape, dtype) = match python.callable(object)? {
        ("numpy.core.multiarray", "_reconstruct") => {
            let [.., state] = object.state[..] else {
                return None;
            };
            let [_version, shape, dtype, ..] = python.items(state)? else {
                return None;
            };
            (*shape, *dtype)
        }
        ("numpy.core.numeric", "_frombuffer") => {
            let [_data, dtype, shape, ..] = python.args(object) else {
                return None;
            };
            (*shape, *dtype)
        }
        _ => return None,
    };
    let sizes = python.items(shape)?.iter().take(64); // numpy has at most 64 axes
    let shape = sizes.map(|&size| usize::try_from(python.int(size)?).ok());
    Some(Array {
        dtype: numpy_dtype(python, dtype)?,
        shape: shape.collect::<Option<_>>()?,
    })
}

/// `dtype('f4', False, True)` with state (version, byte order, ...): numpy's own name of it.
fn numpy_dtype(python: Python<'_>, id: ValueId) -> Option<String> {
    let Value::Object(object) = python.get(id) else {
        return None;
    };
    if python.callable(object)? != ("numpy", "dtype") {
        return None;
    }
    let code: String = python
        .str(*python.args(object).first()?)?
        .chars()
        .take(64)
        .collect();
    let state = object.state.first().and_then(|&state| python.items(state));
    let order = state
        .and_then(|state| python.str(*state.get(1)?))
        .unwrap_or("|");
    if order == ">" {
        return Some(format!(">{code}"));
    }
    Some(match known_code(&code) {
        Some(dtype) => dtype.name().to_owned(),
        None if code == "O8" => "object".into(),
        None if order == "<" => format!("<{code}"),
        None => code,
    })
}

fn known_code(code: &str) -> Option<DType> {
    let code = code.trim_start_matches(['<', '|', '=']);
    DType::ALL.iter().copied().find(|dtype| {
        dtype
            .npy_descr()
            .is_some_and(|descr| !descr.contains('V') && &descr[1..] == code)
    })
}

/// `scalar(dtype, bytes)`: numpy's name of the type, and the value's text.
fn scalar(python: Python<'_>, args: &[ValueId]) -> Option<(String, Element)> {
    let [dtype, data] = args else { return None };
    let name = numpy_dtype(python, *dtype)?;
    let (order, dtype) = match name.strip_prefix('>') {
        Some(code) => (ByteOrder::Big, known_code(code)?),
        None => (ByteOrder::Little, DType::from_name(&name)?),
    };
    let layout = Layout::contiguous(Vec::new()).ok()?;
    let view = TensorView::new(python.bytes(*data)?, dtype, layout, order).ok()?;
    Some((dtype.name().to_owned(), view.element(&[])?))
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
            NodeValue::Repr(text) => match scalar(python, python.args(object)) {
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
