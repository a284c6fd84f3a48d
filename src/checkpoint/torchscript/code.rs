//! What the code of a TorchScript program says about its classes, without running it.
//!
//! The code is Python as torch's own printer writes it (`torch/csrc/jit/serialization/python_print.cpp`), one statement
//! to a line, so lines are all that is looked at:
//!
//! ```text
//! class Conv2d(Module):
//!   __parameters__ = ["weight", "bias", ]
//!   __buffers__ = []
//!   stride : Final[Tuple[int, int]] = (2, 2)
//!   def forward(self: __torch__.torch.nn.modules.conv.___torch_mangle_1.Conv2d,
//!     x: Tensor) -> Tensor:
//!     _0 = torch._convolution(x, weight, bias, [2, 2], [1, 1], [1, 1], False, [0, 0], 1, False, False, True, True)
//! ```
//!
//! A scripted module has its hyperparameters as `Final`s; a traced one only has them in the calls of its methods.

use std::collections::HashMap;
use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::bytes::Limits;
use crate::container::Zip;
use crate::error::{Error, Result};

/// Deepest nesting of a literal.
const DEPTH: usize = 8;
/// Longest line whose literals are read.
const LONGEST_LINE: usize = 1 << 16;

/// The classes of a program, by their qualified names: `__torch__.torch.nn.modules.conv.Conv2d`.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct Classes {
    known: HashMap<String, Class>,
    /// Of a damaged file: whether code is missing.
    incomplete: bool,
}

/// What the code says about a class of modules.
#[derive(Debug, Default)]
pub(in crate::checkpoint) struct Class {
    /// Attributes that are parameters.
    pub(in crate::checkpoint) parameters: HashSet<String>,
    /// Attributes that are buffers.
    pub(in crate::checkpoint) buffers: HashSet<String>,
    /// Constants, and the arguments of the only convolution in its methods.
    pub(in crate::checkpoint) constants: Map<String, Value>,
    /// Arguments of each convolution in its methods that has the module's own weight.
    convolutions: Vec<Map<String, Value>>,
    /// What is put around the input before it.
    pads: Vec<(Vec<u64>, String)>,
}

impl Classes {
    /// Reads the code below `prefix`.
    ///
    /// # Errors
    ///
    /// `Limit` for more than [`Limits::pickle_bytes`] of code; `Malformed` for code that is damaged.
    pub(super) fn read(zip: &Zip, prefix: &str, limits: &Limits) -> Result<Self> {
        let mut classes = Self::default();
        let mut left = limits.pickle_bytes as u64;
        for record in zip.records() {
            let name = record.name.strip_prefix(prefix);
            let Some(name) = name
                .and_then(|name| name.strip_prefix("code/"))
                .and_then(|name| name.strip_suffix(".py"))
            else {
                continue;
            };
            left = left.checked_sub(record.len).ok_or_else(|| {
                Error::limit(format!(
                    "the program has more than {} bytes of code (pickle_bytes)",
                    limits.pickle_bytes
                ))
            })?;
            let code = match zip.read_limited(record, limits.pickle_bytes, "pickle_bytes") {
                Err(_) if zip.is_wreck() => {
                    classes.incomplete = true;
                    continue;
                }
                code => code?,
            };
            classes.add(&name.replace('/', "."), &String::from_utf8_lossy(&code));
        }
        // what is written behind the code
        let behind = zip.find(&format!("{prefix}constants.pkl"));
        classes.incomplete |= zip.is_wreck() && behind.is_none();
        Ok(classes)
    }

    /// The class of that module and name; `None` for what is no module.
    pub(in crate::checkpoint) fn get(&self, module: &str, name: &str) -> Option<&Class> {
        if self.incomplete {
            return None; // half of them would hide the tensors of the others
        }
        self.known.get(&format!("{module}.{name}"))
    }

    /// Whether code is missing: then nothing is known of any class.
    pub(super) fn is_incomplete(&self) -> bool {
        self.incomplete
    }

    /// Adds the classes of one file.
    fn add(&mut self, module: &str, code: &str) {
        let mut current: Option<(String, Class)> = None;
        for line in code.lines().filter(|line| line.len() <= LONGEST_LINE) {
            if !line.starts_with(' ') {
                self.finish(current.take());
                let name = line
                    .strip_prefix("class ")
                    .and_then(|rest| rest.strip_suffix("(Module):"));
                current = name.map(|name| (format!("{module}.{name}"), Class::default()));
            } else if let Some((_, class)) = &mut current {
                class.read_line(line.trim_start());
            }
        }
        self.finish(current);
    }

    fn finish(&mut self, class: Option<(String, Class)>) {
        if let Some((name, mut class)) = class {
            class.take_over_calls();
            self.known.insert(name, class);
        }
    }
}

impl Class {
    fn read_line(&mut self, line: &str) {
        let texts = |list: &str| -> HashSet<String> {
            let list = literal(list);
            let items = list
                .as_ref()
                .and_then(Value::as_array)
                .into_iter()
                .flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        if let Some(list) = line.strip_prefix("__parameters__ = ") {
            self.parameters = texts(list);
        } else if let Some(list) = line.strip_prefix("__buffers__ = ") {
            self.buffers = texts(list);
        } else if let Some((name, rest)) = line.split_once(" : Final[") {
            let value = rest.split_once("] = ").and_then(|(_, text)| literal(text));
            if let Some(value) = value {
                self.constants.insert(name.to_owned(), value);
            }
        } else {
            // two that differ say as much as a million: nobody's hyperparameters
            let differ = |calls: &[Map<String, Value>]| matches!(calls, [a, .., b] if a != b);
            if !differ(&self.convolutions) {
                self.convolutions.truncate(1);
                self.convolutions.extend(convolution(line));
            }
            if self.pads.len() < 2 {
                self.pads.extend(pad(line));
            }
        }
    }

    /// What the only convolution is called with are the module's hyperparameters, where no constants say them.
    fn take_over_calls(&mut self) {
        let Some(first) = self.convolutions.first() else {
            return;
        };
        if self.constants.contains_key("stride") || self.convolutions.iter().any(|c| c != first) {
            return;
        }
        for (name, value) in first {
            self.constants.insert(name.clone(), value.clone());
        }
        if let [(sizes, mode)] = &self.pads[..]
            && let Some(padding) = padding_of(sizes)
        {
            self.constants.insert("padding".to_owned(), json!(padding));
            self.constants
                .insert("padding_mode".to_owned(), json!(mode));
        }
    }
}

/// Last axis first, both sides of each; equal on both sides as a convolution's are.
pub(in crate::checkpoint) fn padding_of(sizes: &[u64]) -> Option<Vec<u64>> {
    let pairs = sizes.chunks(2).rev();
    pairs
        .map(|pair| match pair {
            [before, after] if before == after => Some(*before),
            _ => None,
        })
        .collect()
}

/// The arguments of a call to `function` in the line.
fn arguments<'l>(line: &'l str, function: &str) -> Option<Vec<&'l str>> {
    let start = line.find(function)? + function.len();
    let inside = line[start..].strip_prefix('(')?;
    let (mut depth, mut quoted, mut from) = (0usize, false, 0);
    let mut found = Vec::new();
    for (at, byte) in inside.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'(' | b'[' => depth += 1,
            b')' if depth == 0 => {
                found.push(inside[from..at].trim());
                return Some(found);
            }
            b')' | b']' => depth = depth.checked_sub(1)?,
            b',' if depth == 0 => {
                found.push(inside[from..at].trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    None
}

/// The hyperparameters of a convolution with the module's own weight.
fn convolution(line: &str) -> Option<Map<String, Value>> {
    // in the order of their arguments from the fourth on
    const PLAIN: &[&str] = &["stride", "padding", "dilation", "groups"];
    const TRANSPOSED: &[&str] = &["stride", "padding", "output_padding", "groups", "dilation"];
    const FULL: &[&str] = &[
        "stride",
        "padding",
        "dilation",
        "transposed",
        "output_padding",
        "groups",
    ];
    let calls: [(&str, &[&str]); 9] = [
        ("torch._convolution_mode", PLAIN),
        ("torch._convolution", FULL),
        ("torch.convolution", FULL),
        ("torch.conv1d", PLAIN),
        ("torch.conv2d", PLAIN),
        ("torch.conv3d", PLAIN),
        ("torch.conv_transpose1d", TRANSPOSED),
        ("torch.conv_transpose2d", TRANSPOSED),
        ("torch.conv_transpose3d", TRANSPOSED),
    ];
    if !line.contains("conv") {
        return None;
    }
    let (names, given) = calls
        .iter()
        .find_map(|(function, names)| arguments(line, function).map(|given| (names, given)))?;
    if !matches!(given.get(1), Some(&"weight" | &"self.weight")) {
        return None;
    }
    let mut map = Map::new();
    for (name, text) in names.iter().zip(given.get(3..).unwrap_or(&[])) {
        map.insert((*name).to_owned(), literal(text)?);
    }
    // what is left out is the default
    map.entry("stride").or_insert(json!([1]));
    map.entry("padding").or_insert(json!([0]));
    map.entry("dilation").or_insert(json!([1]));
    map.entry("groups").or_insert(json!(1));
    Some(map)
}

/// `torch.pad(x, [1, 1, 1, 1], "reflect")`
fn pad(line: &str) -> Option<(Vec<u64>, String)> {
    let given = arguments(line, "torch.pad")?;
    let sizes = literal(given.get(1)?)?;
    let sizes = sizes.as_array()?.iter().map(Value::as_u64);
    let mode = literal(given.get(2)?)?;
    Some((sizes.collect::<Option<_>>()?, mode.as_str()?.to_owned()))
}

/// A number, text, `True`, `None`, or a list or tuple of these.
fn literal(text: &str) -> Option<Value> {
    let (value, rest) = read_literal(text.trim(), DEPTH)?;
    rest.trim().is_empty().then_some(value)
}

fn read_literal(text: &str, depth: usize) -> Option<(Value, &str)> {
    let depth = depth.checked_sub(1)?;
    for (word, value) in [
        ("True", json!(true)),
        ("False", json!(false)),
        ("None", Value::Null),
    ] {
        if let Some(rest) = text.strip_prefix(word) {
            return Some((value, rest));
        }
    }
    if let Some(mut rest) = text.strip_prefix(['(', '[']) {
        let mut items = Vec::new();
        loop {
            rest = rest.trim_start();
            if let Some(rest) = rest.strip_prefix([')', ']']) {
                return Some((Value::Array(items), rest));
            }
            let (item, after) = read_literal(rest, depth)?;
            items.push(item);
            rest = after.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
    }
    if let Some(inside) = text.strip_prefix('"') {
        let (text, rest) = inside.split_once('"')?;
        // escapes do not occur in the names and modes that are asked for
        return (!text.contains('\\')).then(|| (json!(text), rest));
    }
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    if let Ok(n) = number.parse::<i64>() {
        return Some((json!(n), rest));
    }
    let x: f64 = number.parse().ok()?;
    x.is_finite().then(|| (json!(x), rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Classes, literal};

    #[test]
    fn literals_as_torch_prints_them() {
        assert_eq!(
            literal("[\"weight\", \"bias\", ]"),
            Some(json!(["weight", "bias"]))
        );
        assert_eq!(literal("(2, 2)"), Some(json!([2, 2])));
        assert_eq!(literal("1.0000000000000001e-05"), Some(json!(1e-5)));
        assert_eq!(literal("-3"), Some(json!(-3)));
        assert_eq!(literal("None"), Some(json!(null)));
        for bad in ["", "(1", "f(2)", "[1", "\"open", "inf", &"(".repeat(100)] {
            assert_eq!(literal(bad), None, "{bad}");
        }
    }

    #[test]
    fn scripted_and_traced_modules() {
        let code = "class Conv2d(Module):\n  __parameters__ = [\"weight\", \"bias\", ]\n  __buffers__ = []\n  weight : Tensor\n  \
                    stride : Final[Tuple[int, int]] = (2, 2)\n  padding_mode : Final[str] = \"zeros\"\n  def forward(self: X) -> Tensor:\n    \
                    _0 = torch.conv2d(x, weight, bias, [9, 9])\n    return _0\nclass Traced(Module):\n  __parameters__ = [\"weight\", ]\n  def forward(self, x):\n    \
                    input = torch.pad(x, [2, 2, 1, 1], \"reflect\")\n    \
                    _0 = torch._convolution(input, weight, None, [2, 1], [0, 0], [1, 1], False, [0, 0], 3, False, False, True, True)\n    return _0\nclass NotOne(Object):\n  x : int\n";
        let mut classes = Classes::default();
        classes.add("__torch__.a", code);
        let scripted = classes.get("__torch__.a", "Conv2d").unwrap();
        assert!(scripted.parameters.contains("bias") && scripted.buffers.is_empty());
        assert_eq!(scripted.constants["stride"], json!([2, 2]));
        let traced = classes.get("__torch__.a", "Traced").unwrap();
        assert_eq!(traced.constants["stride"], json!([2, 1]));
        assert_eq!(traced.constants["padding"], json!([1, 2]));
        assert_eq!(traced.constants["padding_mode"], "reflect");
        assert_eq!(traced.constants["groups"], 3);
        assert!(classes.get("__torch__.a", "NotOne").is_none());
    }

    #[test]
    fn a_module_of_two_convolutions_says_nothing_about_either() {
        let code = "class Two(Module):\n  def forward(self, x):\n    a = torch.conv2d(x, weight, None, [1, 1])\n    b = torch.conv2d(x, weight, None, [2, 2])\n";
        let mut classes = Classes::default();
        classes.add("m", code);
        assert!(classes.get("m", "Two").unwrap().constants.is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_code_is_survived(code: String, line in "[ a-z\\[\\]\\(\\),\".=:0-9]{0,80}") {
            let mut classes = Classes::default();
            classes.add("m", &code);
            classes.add("m", &format!("class A(Module):\n  {line}\n  x = torch.conv2d(x, weight{line}\n  y : Final[int] = {line}\n"));
        }
    }
}
