//! Code that lies beside the pickles: machine code, Python source, TorchScript.
//!
//! * A compiled package (`aoti_compile_and_package`) holds a shared library, which its loader loads.
//! * An archive of `torch.package` holds Python source, by which the names in its pickles are resolved: the importer
//!   runs it, whatever the names are.
//! * TorchScript is no Python: its code reaches what torch's operators reach. A few of those write and read files, and
//!   some classes load libraries. The code is not run here but cut into words, and an operator counts wherever it is
//!   named. Source: `torch/csrc/jit/frontend/{lexer,parser}`, `torch/csrc/jit/runtime/register_prim_ops.cpp`.

/// Operators of torch's own that read or write a file.
const FILES: &[&str] = &["save", "load", "from_file", "from_file_shared"];
/// Namespaces of operators that torch and torchvision bring along, and that compute.
const NAMESPACES: &[&str] = &[
    "_caffe2",
    "_quantized",
    "aten",
    "mkldnn",
    "mkldnn_prepacked",
    "nested",
    "nnapi",
    "prepacked",
    "prim",
    "prims",
    "quantized",
    "quantized_decomposed",
    "sparse",
    "static_runtime",
    "torchaudio",
    "torchvision",
    "xnnpack",
];
/// Namespaces of classes that torch brings along, and that hold packed weights.
const CLASSES: &[&str] = &[
    "metal",
    "mkldnn",
    "nnapi",
    "quantized",
    "rnn",
    "sparse",
    "vulkan",
    "xnnpack",
];

/// Whether bytes are a program or shared library.
pub(super) fn is_machine_code(bytes: &[u8]) -> bool {
    match bytes {
        [0x7f, b'E', b'L', b'F', 1..=2, 1..=2, 1, ..]
        | [0xcf | 0xce, 0xfa, 0xed, 0xfe, _, 0, 0, 1 | 0, ..] => true,
        [b'M', b'Z', ..] => {
            let at = bytes.get(0x3c..0x40).and_then(|at| at.try_into().ok());
            let at = at.map_or(usize::MAX, |at| u32::from_le_bytes(at) as usize);
            bytes.get(at..at.saturating_add(4)) == Some(b"PE\0\0")
        }
        _ => false,
    }
}

/// Whether `__torch__.torch.classes.…` names a class that holds more than weights.
pub(super) fn is_foreign_class(module: &str, name: &str) -> bool {
    let full = format!("{module}.{name}");
    full.strip_prefix("__torch__.torch.classes.")
        .and_then(|rest| rest.split('.').next())
        .is_some_and(|namespace| !CLASSES.contains(&namespace))
}

/// An operator or class in TorchScript code that reaches beyond computing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) name: String,
    /// Where in the code.
    pub(super) at: usize,
    /// Whether it reads or writes files for certain.
    pub(super) is_file: bool,
}

/// What code reaches, in its order.
pub(super) fn reaches(code: &[u8]) -> impl Iterator<Item = Reach> {
    let text = |(from, to): (usize, usize)| std::str::from_utf8(&code[from..to]).unwrap_or("");
    let ends = std::iter::repeat_n((code.len(), code.len()), 4);
    // two words before `first.last.next`, and the rest of it: no more is kept of code that may be long
    let mut around = [(0, 0); 7];
    let words = (Words { code, at: 0 }).chain(ends);
    words.filter_map(move |word| {
        around.rotate_left(1);
        around[6] = word;
        let [torch, before, first, dot, last, dot_next, next] = around.map(text);
        if dot != "." {
            return None;
        }
        let is_part = before == ".";
        let is_file = match first {
            "torch" if !is_part && FILES.contains(&last) => true,
            "aten" if FILES.contains(&last) => true,
            "ops" if !is_part && !NAMESPACES.contains(&last) => false,
            "classes" if torch == "torch" && is_part && !CLASSES.contains(&last) => false,
            _ => return None,
        };
        let mut name = format!("{first}.{last}");
        if !is_file && dot_next == "." && !next.is_empty() {
            name = format!("{name}.{next}");
        }
        Some(Reach {
            name,
            at: around[2].0,
            is_file,
        })
    })
}

/// The same of a mobile model's bytecode, which names its operators by texts: `aten::conv2d`.
pub(super) fn operators(bytecode: &[u8]) -> impl Iterator<Item = Reach> {
    let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    memchr::memmem::find_iter(bytecode, b"::").filter_map(move |at| {
        let before = &bytecode[..at];
        let from = before.iter().rposition(|b| !is_name(b));
        let from = from.map_or(0, |last| last + 1);
        let after = &bytecode[at + 2..];
        let len = after.iter().position(|b| !is_name(b));
        let text = |bytes| std::str::from_utf8(bytes).unwrap_or("");
        let (space, name) = (
            text(&before[from..]),
            text(&after[..len.unwrap_or(after.len())]),
        );
        // the opcode behind the text may look like a part of it
        let is_file = space == "aten" && FILES.iter().any(|file| name.starts_with(file));
        let counts = is_file || !space.is_empty() && !NAMESPACES.contains(&space);
        counts.then(|| Reach {
            name: format!("{space}.{name}"),
            at: from,
            is_file,
        })
    })
}

/// Names and single signs, without blanks, comments and texts: where each begins and ends.
struct Words<'c> {
    code: &'c [u8],
    at: usize,
}

impl Iterator for Words<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
        loop {
            let from = self.at;
            let byte = *self.code.get(from)?;
            self.at += 1;
            match byte {
                b'#' => {
                    let rest = &self.code[self.at..];
                    self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                }
                b'"' | b'\'' => self.at = text_end(self.code, from),
                b' ' | b'\t' | b'\r' | b'\n' | b'\\' => {}
                _ if is_name(byte) => {
                    let rest = &self.code[self.at..];
                    self.at += rest.iter().position(|&b| !is_name(b)).unwrap_or(rest.len());
                    return Some((from, self.at));
                }
                _ => return Some((from, self.at)),
            }
        }
    }
}

/// Where the text ends whose quote is at `from`; one that does not end hides nothing: what follows is read as code.
fn text_end(code: &[u8], from: usize) -> usize {
    let quote = code[from];
    let mut at = from + 1;
    while let Some(&byte) = code.get(at) {
        match byte {
            b'\\' => at += 1,
            b'\n' => return from + 1,
            _ if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    from + 1
}

#[cfg(test)]
mod tests {
    use super::{is_foreign_class, is_machine_code, reaches};

    fn names(code: &str) -> Vec<String> {
        reaches(code.as_bytes()).map(|reach| reach.name).collect()
    }

    #[test]
    fn operators_that_reach_beyond_computing() {
        assert_eq!(names("    torch.save(x, \"/tmp/x\")\n"), ["torch.save"]);
        assert_eq!(
            names("_0 = (torch . # odd\n from_file)(\"x\")"),
            ["torch.from_file"]
        );
        assert_eq!(names("ops.aten.save(x)"), ["aten.save"]);
        assert_eq!(
            names("_0 = ops.image.write_file(\"x\", y)"),
            ["ops.image.write_file"]
        );
        assert_eq!(
            names("x : __torch__.torch.classes.aoti.Runner"),
            ["classes.aoti.Runner"]
        );
        assert_eq!(names("s = '\ntorch.save(x)"), ["torch.save"]);
    }

    #[test]
    fn operators_of_bytecode() {
        let found =
            super::operators(b"(X\x0a\0\0\0aten::saveX\0\0\0\0X\x0caten::conv2dX\x08mine::op");
        let names: Vec<String> = found.map(|reach| reach.name).collect();
        assert_eq!(names, ["aten.saveX", "mine.op"]);
    }

    #[test]
    fn code_that_computes() {
        for code in [
            "_0 = torch.add(x, y)\n  weight : __torch__.torch.classes.quantized.LinearPackedParamsBase",
            "ops.prim.data(x); ops.quantized.linear(a, b); ops.torchvision.nms(a, b)",
            "text = \"torch.save(x)\" # torch.save(x)",
            "__torch__.torchvision.ops.misc.Conv2dNormActivation",
            "self.save.load(x)\nself.classes.weight",
        ] {
            assert_eq!(names(code), Vec::<String>::new(), "{code}");
        }
    }

    #[test]
    fn programs_and_classes() {
        assert!(is_machine_code(b"\x7fELF\x02\x01\x01\0"));
        assert!(!is_machine_code(b"MZ but no program"));
        assert!(is_foreign_class("__torch__.torch.classes.aoti", "Runner"));
        assert!(!is_foreign_class(
            "__torch__.torch.classes.quantized",
            "Conv2dPackedParamsBase"
        ));
        assert!(!is_foreign_class("__torch__", "Net"));
    }
}
