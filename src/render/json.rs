//! JSON that people can read too: what fits on a line stays on it.

use std::io::{Result, Write};

use serde_json::{Map, Value};

use super::escape::is_unsafe;

/// Longest line that an array or object is kept on.
const WIDTH: usize = 110;

/// Writes `document` and a final newline.
pub fn write(out: &mut dyn Write, document: &Value) -> Result<()> {
    value(out, document, 0)?;
    out.write_all(b"\n")
}

/// An object over several lines: `fields`, and one more that `last` writes.
pub(super) fn object(
    out: &mut dyn Write,
    fields: &Map<String, Value>,
    indent: usize,
    key: &str,
    last: &mut dyn FnMut(&mut dyn Write, usize) -> Result<()>,
) -> Result<()> {
    let inner = indent + 2;
    out.write_all(b"{")?;
    for (key, item) in fields {
        write!(out, "\n{:inner$}", "")?;
        string(out, key)?;
        out.write_all(b": ")?;
        value(out, item, inner)?;
        out.write_all(b",")?;
    }
    write!(out, "\n{:inner$}", "")?;
    string(out, key)?;
    out.write_all(b": ")?;
    last(out, inner)?;
    write!(out, "\n{:indent$}}}", "")
}

/// An array over several lines, of items that `each` writes.
pub(super) fn array<T>(
    out: &mut dyn Write,
    items: &[T],
    indent: usize,
    each: &mut dyn FnMut(&mut dyn Write, &T, usize) -> Result<()>,
) -> Result<()> {
    let inner = indent + 2;
    out.write_all(b"[")?;
    for (number, item) in items.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        write!(out, "{comma}\n{:inner$}", "")?;
        each(out, item, inner)?;
    }
    write!(out, "\n{:indent$}]", "")
}

/// Recursion is as deep as the document, whose depth the tree's limits bound.
pub(super) fn value(out: &mut dyn Write, value_: &Value, indent: usize) -> Result<()> {
    if fits(value_, WIDTH.saturating_sub(indent)).is_some() {
        return inline(out, value_);
    }
    match value_ {
        Value::Array(items) => {
            let lines = items.iter().map(|item| (None, item));
            block(out, lines, b"[", b"]", indent)
        }
        Value::Object(entries) => {
            let lines = entries.iter().map(|(key, item)| (Some(key), item));
            block(out, lines, b"{", b"}", indent)
        }
        scalar => write_scalar(out, scalar),
    }
}

fn block<'a>(
    out: &mut dyn Write,
    lines: impl Iterator<Item = (Option<&'a String>, &'a Value)>,
    open: &[u8],
    close: &[u8],
    indent: usize,
) -> Result<()> {
    out.write_all(open)?;
    for (i, (key, item)) in lines.enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}\n{:width$}", "", width = indent + 2)?;
        if let Some(key) = key {
            string(out, key)?;
            out.write_all(b": ")?;
        }
        value(out, item, indent + 2)?;
    }
    write!(out, "\n{:indent$}", "")?;
    out.write_all(close)
}

fn inline(out: &mut dyn Write, value: &Value) -> Result<()> {
    match value {
        Value::Array(items) => {
            out.write_all(b"[")?;
            for (i, item) in items.iter().enumerate() {
                out.write_all(if i == 0 { b"" } else { b", " })?;
                inline(out, item)?;
            }
            out.write_all(b"]")
        }
        Value::Object(entries) => {
            out.write_all(b"{")?;
            for (i, (key, item)) in entries.iter().enumerate() {
                out.write_all(if i == 0 { b"" } else { b", " })?;
                string(out, key)?;
                out.write_all(b": ")?;
                inline(out, item)?;
            }
            out.write_all(b"}")
        }
        scalar => write_scalar(out, scalar),
    }
}

/// A number, word or string; strings also escape what a terminal would act on and JSON would let through.
fn write_scalar(out: &mut dyn Write, scalar: &Value) -> Result<()> {
    match scalar {
        Value::String(text) => string(out, text),
        scalar => write!(out, "{scalar}"),
    }
}

fn string(out: &mut dyn Write, text: &str) -> Result<()> {
    let quoted = serde_json::to_string(text)?;
    if !quoted.chars().any(is_unsafe) {
        return out.write_all(quoted.as_bytes());
    }
    let mut units = [0; 2];
    for c in quoted.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
        } else {
            write!(out, "{c}")?;
        }
    }
    Ok(())
}

/// What is left of `budget` characters after `value` on one line; stops early, so the cost is bounded by the budget.
fn fits(value: &Value, budget: usize) -> Option<usize> {
    match value {
        Value::Array(items) => items.iter().try_fold(budget.checked_sub(2)?, |left, item| {
            fits(item, left.checked_sub(2)?)
        }),
        Value::Object(entries) => entries
            .iter()
            .try_fold(budget.checked_sub(2)?, |left, (key, item)| {
                fits(item, left.checked_sub(key.len() + 6)?)
            }),
        Value::String(text) => budget.checked_sub(text.len() + 2),
        scalar => budget.checked_sub(scalar.to_string().len()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn reads_back_and_breaks_only_long_lines() {
        let document =
            json!({"shape": [1, 2], "long": vec!["0123456789"; 20], "key \"x\"": "\u{9b}\n"});
        let mut out = Vec::new();
        super::write(&mut out, &document).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            document
        );
        assert!(text.starts_with("{\n  \"shape\": [1, 2],\n  \"long\": [\n    \"0123456789\",\n"));
    }
}
