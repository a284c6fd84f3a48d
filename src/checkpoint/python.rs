//! Python's values as they lie in a pickle's graph: their parts, and their text.
//!
//! Nothing here follows the graph deeper than [`DEPTH`], and no text grows beyond [`LONGEST`] bytes.

use std::borrow::Cow;
use std::fmt::Write;

use crate::pickle::Graph;
use crate::pickle::Object;
use crate::pickle::Value;
use crate::pickle::ValueId;
use crate::tensor::Element;

/// Levels of a value that are shown in one line.
const DEPTH: usize = 8;
/// Bytes of a value's text in one line.
const LONGEST: usize = 1 << 10;
/// Bytes of an integer that is shown in decimal.
const LONGEST_INT: usize = 256;

/// A graph, read as Python would mean it.
#[derive(Clone, Copy)]
pub(super) struct Python<'g>(pub(super) &'g Graph);

impl<'g> Python<'g> {
    pub(super) fn get(self, id: ValueId) -> &'g Value {
        self.0.get(id)
    }

    /// The items of a tuple, a list, or of what is made of one: `torch.Size((2, 3))`.
    pub(super) fn items(self, id: ValueId) -> Option<&'g [ValueId]> {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => Some(items),
            Value::Object(object) => {
                let (callable, [first, ..]) = (self.callable(object)?, self.args(object)) else {
                    return None;
                };
                let made_of_items = match callable {
                    (_, "Size") => self.args(object).len() == 1,
                    ("torch.jit._pickle", name) => {
                        name.starts_with("build_") || name == "restore_type_tag"
                    }
                    _ => false,
                };
                match self.get(*first) {
                    Value::Tuple(items) | Value::List(items) if made_of_items => Some(items),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    pub(super) fn args(self, object: &'g Object) -> &'g [ValueId] {
        match self.get(object.args) {
            Value::Tuple(args) | Value::List(args) => args,
            _ => &[],
        }
    }

    /// A value without the type that TorchScript writes around lists and dicts: `restore_type_tag(value, 'List[int]')`,
    /// `build_intlist([1, 2])`.
    pub(super) fn untagged(self, id: ValueId) -> ValueId {
        let Value::Object(object) = self.get(id) else {
            return id;
        };
        match (self.callable(object), self.args(object)) {
            (Some(("torch.jit._pickle", "restore_type_tag")), [value, _]) => *value,
            (Some(("torch.jit._pickle", name)), [value]) if name.starts_with("build_") => *value,
            _ => id,
        }
    }

    /// The class that a persistent id names. Legacy files save a module's class as `('module', class, file, source)`,
    /// those of before 0.1.10 without the word.
    pub(super) fn class_named_by(self, id: ValueId) -> Option<ValueId> {
        let Value::Persistent(description) = self.get(id) else {
            return None;
        };
        let class = match self.items(*description)? {
            [word, class, _, _] if self.str(*word) == Some("module") => *class,
            [class, _, _] => *class,
            _ => return None,
        };
        matches!(self.get(class), Value::Global { .. }).then_some(class)
    }

    /// Module and name of a class or function, by their names of today: `__builtin__.xrange` is `builtins.range`.
    pub(super) fn global(self, id: ValueId) -> Option<(&'g str, &'g str)> {
        let id = self.class_named_by(id).unwrap_or(id);
        let Value::Global { module, name } = self.get(id) else {
            return None;
        };
        Some(match (&**module, &**name) {
            ("__builtin__", "xrange") => ("builtins", "range"),
            ("__builtin__", "long") => ("builtins", "int"),
            ("__builtin__", "unicode") => ("builtins", "str"),
            ("__builtin__", name) => ("builtins", name),
            ("copy_reg", name) => ("copyreg", name),
            (module, name) => match module.strip_prefix("numpy._core") {
                // numpy 2 moved it; most files have the older name
                Some("") => ("numpy.core", name),
                Some(".multiarray") => ("numpy.core.multiarray", name),
                Some(".numeric") => ("numpy.core.numeric", name),
                _ => (module, name),
            },
        })
    }

    pub(super) fn callable(self, object: &Object) -> Option<(&'g str, &'g str)> {
        self.global(object.callable)
    }

    /// `torch.nn.modules.conv.Conv2d`; builtins without their module.
    pub(super) fn global_name(self, id: ValueId) -> Option<String> {
        let (module, name) = self.global(id)?;
        let name = if module == "builtins" || module.is_empty() {
            name.to_owned()
        } else {
            format!("{module}.{name}")
        };
        Some(cut(name))
    }

    pub(super) fn int(self, id: ValueId) -> Option<i64> {
        match self.get(id) {
            Value::Int(n) => Some(*n),
            Value::Bool(b) => Some(i64::from(*b)),
            Value::BigInt(bytes) if bytes.len() <= 8 => {
                let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) {
                    0xff
                } else {
                    0
                };
                let mut wide = [fill; 8];
                wide[..bytes.len()].copy_from_slice(bytes);
                Some(i64::from_le_bytes(wide))
            }
            _ => None,
        }
    }

    pub(super) fn float(self, id: ValueId) -> Option<f64> {
        match self.get(id) {
            Value::Float(x) => Some(*x),
            _ => self.int(id).map(|n| n as f64),
        }
    }

    pub(super) fn bool(self, id: ValueId) -> Option<bool> {
        self.int(id).map(|n| n != 0)
    }

    /// Text; Python 2's strings of ASCII too.
    pub(super) fn str(self, id: ValueId) -> Option<&'g str> {
        match self.get(id) {
            Value::Str(text) => Some(text),
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Bytes; also as protocol 2 has them: `_codecs.encode("...", "latin1")`.
    pub(super) fn bytes(self, id: ValueId) -> Option<Cow<'g, [u8]>> {
        match self.get(id) {
            Value::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Value::Object(object) => match (self.callable(object)?, self.args(object)) {
                (("_codecs", "encode"), [text, ..]) => self.latin1(*text).map(Cow::Owned),
                (("builtins", "bytearray" | "bytes"), []) => Some(Cow::Borrowed(&[])),
                (("builtins", "bytearray" | "bytes"), [inner, ..]) => match self.get(*inner) {
                    Value::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
                    Value::Str(_) => self.latin1(*inner).map(Cow::Owned),
                    Value::Object(call) if self.callable(call)? == ("_codecs", "encode") => {
                        self.latin1(*self.args(call).first()?).map(Cow::Owned)
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        }
    }

    fn latin1(self, id: ValueId) -> Option<Vec<u8>> {
        let Value::Str(text) = self.get(id) else {
            return None;
        };
        text.chars()
            .map(|c| u8::try_from(u32::from(c)).ok())
            .collect()
    }

    /// A dict's entry, by its name.
    pub(super) fn entry(self, id: ValueId, name: &str) -> Option<ValueId> {
        let Value::Dict(entries) = self.get(id) else {
            return None;
        };
        let found = entries.iter().find(|(key, _)| self.str(*key) == Some(name));
        found.map(|(_, value)| *value)
    }

    /// A dict's key as it prints.
    pub(super) fn key(self, id: ValueId) -> String {
        match self.get(id) {
            Value::Str(text) => text.to_string(), // whole: it names tensors
            Value::Bytes(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => text.to_owned(),
                Err(_) => self.repr(id),
            },
            Value::Object(object) if self.callable(object) == Some(("torch", "device")) => {
                let parts = self.args(object).iter();
                let parts: Vec<String> = parts
                    .map(|&part| {
                        self.str(part)
                            .map_or_else(|| self.repr(part), str::to_owned)
                    })
                    .collect();
                cut(parts.join(":"))
            }
            _ => self.repr(id),
        }
    }

    /// Text as Python's `repr` has it.
    pub(super) fn quoted(self, text: &str) -> String {
        let mut quoted = String::new();
        quote(text, &mut quoted);
        quoted
    }

    /// The value as Python's `repr` has it, in one line, cut where it grows long.
    pub(super) fn repr(self, id: ValueId) -> String {
        let mut text = String::new();
        self.write(id, &mut text, DEPTH);
        cut(text)
    }

    fn write(self, id: ValueId, out: &mut String, depth: usize) {
        if depth == 0 || out.len() > LONGEST {
            out.push('…');
            return;
        }
        let sequence = |items: &[ValueId], ends: (&str, &str), out: &mut String| {
            self.write_items(items, ends, out, depth);
        };
        match self.get(id) {
            Value::None => out.push_str("None"),
            Value::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
            Value::Int(n) => out.push_str(&n.to_string()),
            Value::BigInt(bytes) => out.push_str(&cut(decimal(bytes))),
            Value::Float(x) => out.push_str(&Element::Float(*x).to_string()),
            Value::Str(text) => quote(text, out),
            Value::Bytes(bytes) => {
                let shown = &bytes[..bytes.len().min(LONGEST)];
                let _ = write!(out, "b'{}'", shown.escape_ascii()); // a String takes everything
            }
            Value::List(items) => sequence(items, ("[", "]"), out),
            Value::Tuple(items) if items.len() == 1 => sequence(items, ("(", ",)"), out),
            Value::Tuple(items) => sequence(items, ("(", ")"), out),
            Value::Set(items) => sequence(items, ("{", "}"), out),
            Value::FrozenSet(items) => sequence(items, ("frozenset({", "})"), out),
            Value::Dict(entries) => {
                out.push('{');
                for (number, (key, value)) in entries.iter().enumerate() {
                    if out.len() > LONGEST {
                        break;
                    }
                    out.push_str(if number == 0 { "" } else { ", " });
                    self.write(*key, out, depth - 1);
                    out.push_str(": ");
                    self.write(*value, out, depth - 1);
                }
                out.push('}');
            }
            Value::Global { .. } => out.push_str(&self.global_name(id).unwrap_or_default()),
            Value::Persistent(_) => match self.global_name(id) {
                Some(class) => out.push_str(&class),
                None => out.push_str("<storage>"),
            },
            Value::Extension(code) => out.push_str(&format!("<extension {code}>")),
            Value::Object(object) => match (self.callable(object), self.args(object)) {
                (Some(("_codecs", "encode")), _) if self.bytes(id).is_some() => {
                    let bytes = self.bytes(id).unwrap_or_default();
                    let shown = &bytes[..bytes.len().min(LONGEST)];
                    let _ = write!(out, "b'{}'", shown.escape_ascii());
                }
                (Some(("builtins", "frozenset")), [items]) if self.items(*items).is_some() => {
                    let items = self.items(*items).unwrap_or(&[]);
                    sequence(items, ("frozenset({", "})"), out);
                }
                _ => self.write_call(id, object, out, depth),
            },
        }
    }

    /// `class(arguments)`
    fn write_call(self, id: ValueId, object: &'g Object, out: &mut String, depth: usize) {
        out.push_str(&self.class(object));
        if let Some(bytes) = self.bytes(id) {
            let shown = &bytes[..bytes.len().min(LONGEST)];
            let _ = write!(out, "(b'{}')", shown.escape_ascii());
        } else {
            self.write_items(self.args(object), ("(", ")"), out, depth);
        }
    }

    fn write_items(self, items: &[ValueId], ends: (&str, &str), out: &mut String, depth: usize) {
        out.push_str(ends.0);
        for (number, item) in items.iter().enumerate() {
            if out.len() > LONGEST {
                break;
            }
            out.push_str(if number == 0 { "" } else { ", " });
            self.write(*item, out, depth - 1);
        }
        out.push_str(ends.1);
    }

    /// What an object is an instance of, or the function that would have made it.
    pub(super) fn class(self, object: &Object) -> String {
        let made_by = match self.callable(object) {
            // copyreg makes an instance of its first argument
            Some(("copyreg", "_reconstructor" | "__newobj__" | "__newobj_ex__")) => {
                match self.get(object.args) {
                    Value::Tuple(args) => args.first().copied().unwrap_or(object.callable),
                    _ => object.callable,
                }
            }
            _ => object.callable,
        };
        match self.global_name(made_by) {
            Some(name) if name.starts_with("__torch__.") => script_class(&name),
            Some(name) => name,
            None => format!("the result of {}", self.get(made_by).kind()),
        }
    }
}

/// `__torch__.torch.nn.modules.conv.___torch_mangle_3.Conv2d` as the class was called before it became a program.
fn script_class(name: &str) -> String {
    let parts = name.split('.').skip(1);
    let parts: Vec<&str> = parts
        .filter(|p| !p.starts_with("___torch_mangle_"))
        .collect();
    parts.join(".")
}

fn cut(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|&i| text.is_char_boundary(i));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    text
}

/// Text in quotes, as Python's `repr` chooses them.
fn quote(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        if out.len() > LONGEST {
            break;
        }
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => {
                let _ = write!(out, "\\x{:02x}", u32::from(c)); // a String takes everything
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

/// An integer of any length, two's complement and little-endian, in decimal.
pub(super) fn decimal(bytes: &[u8]) -> String {
    if bytes.len() > LONGEST_INT {
        return format!("<an integer of {} bytes>", bytes.len());
    }
    let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
    // the magnitude in limbs of 32 bits, the least first
    let mut carry = negative;
    let mut magnitude: Vec<u8> = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        if negative {
            let (byte, over) = (!byte).overflowing_add(carry.into());
            magnitude.push(byte);
            carry = over;
        } else {
            magnitude.push(byte);
        }
    }
    if negative && carry {
        magnitude.push(1); // of no bytes at all
    }
    let mut limbs: Vec<u32> = magnitude
        .chunks(4)
        .map(|chunk| {
            let mut limb = [0; 4];
            limb[..chunk.len()].copy_from_slice(chunk);
            u32::from_le_bytes(limb)
        })
        .collect();
    let mut groups = Vec::new(); // nine digits each, the least first
    while limbs.iter().any(|&limb| limb != 0) {
        let mut rest = 0u64;
        for limb in limbs.iter_mut().rev() {
            let wide = rest << 32 | u64::from(*limb);
            *limb = (wide / 1_000_000_000) as u32;
            rest = wide % 1_000_000_000;
        }
        groups.push(rest);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
    }
    let mut text = String::from(if negative { "-" } else { "" });
    let mut groups = groups.into_iter().rev();
    let _ = write!(text, "{}", groups.next().unwrap_or(0)); // a String takes everything
    for group in groups {
        let _ = write!(text, "{group:09}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn integers_of_any_length() {
        assert_eq!(decimal(&[]), "0");
        assert_eq!(decimal(&[0xff]), "-1");
        assert_eq!(decimal(&[0x80]), "-128");
        assert_eq!(decimal(&[0, 0x80]), "-32768");
        assert_eq!(
            decimal(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]),
            u64::MAX.to_string()
        );
        let mut power = vec![0; 13];
        power[12] = 16; // 2^100
        assert_eq!(decimal(&power), "1267650600228229401496703205376");
        assert!(decimal(&[1; 5000]).contains("5000 bytes"));
    }
}
