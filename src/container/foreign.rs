//! Files that are often met where a checkpoint was expected: what they are, and what to do.
//!
//! Signatures are those of the formats' own specifications; the cases are those that users report
//! ("invalid load key, '<'" is a web page, "'v'" is a git-lfs pointer).

use std::path::Path;

use super::kind::Foreign;

/// A signature: where, which bytes, what it is, what to do.
struct Magic(usize, &'static [u8], &'static str, &'static str);

const UNPACK: &str = "unpack it and open the checkpoint inside";
const OWN_TOOL: &str = "this is another framework's format; open it with that framework, or export the weights to safetensors there";
const SERVER: &str = "a download that failed often leaves the server's message in the file; get the file again, or check the path";
const WRONG_FILE: &str = "this is probably the wrong file; check the path";

const MAGICS: &[Magic] = &[
    Magic(
        0,
        b"\x1f\x8b",
        "a gzip archive",
        "decompress it first: gunzip (or tar xzf, if it is a .tar.gz)",
    ),
    Magic(0, b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    Magic(
        0,
        b"\xfd7zXZ\0",
        "an xz archive",
        "decompress it first: unxz (or tar xJf)",
    ),
    Magic(
        0,
        b"\x28\xb5\x2f\xfd",
        "a Zstandard archive",
        "decompress it first: unzstd",
    ),
    Magic(
        0,
        b"BZh",
        "a bzip2 archive",
        "decompress it first: bunzip2 (or tar xjf)",
    ),
    Magic(
        0,
        b"\x04\x22\x4d\x18",
        "an LZ4 archive",
        "decompress it first: unlz4",
    ),
    Magic(
        0,
        b"\x5d\0\0",
        "an LZMA archive",
        "decompress it first: unlzma (or tar --lzma -xf)",
    ),
    Magic(
        0,
        b"\x78\x9c",
        "zlib-compressed data (joblib's, perhaps)",
        "decompress it first; joblib.load reads joblib's",
    ),
    Magic(0, b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    Magic(
        0,
        b"PK\x07\x08",
        "one part of a split zip archive",
        "join the parts first",
    ),
    Magic(0, b"GGUF", "a GGUF file (llama.cpp)", OWN_TOOL),
    Magic(0, b"lmgg", "a GGML file (llama.cpp, old)", OWN_TOOL),
    Magic(0, b"tjgg", "a GGJT file (llama.cpp, old)", OWN_TOOL),
    Magic(
        0,
        b"\x89HDF\r\n\x1a\n",
        "an HDF5 file (Keras, older TensorFlow)",
        OWN_TOOL,
    ),
    Magic(4, b"TFL3", "a TensorFlow Lite model", OWN_TOOL),
    Magic(
        4,
        b"ET12",
        "an ExecuTorch program",
        "open the checkpoint that it was exported from",
    ),
    Magic(
        0,
        b"ptrt",
        "a TensorRT engine",
        "open the checkpoint that it was built from",
    ),
    Magic(
        0,
        b"ftrt",
        "a TensorRT engine",
        "open the checkpoint that it was built from",
    ),
    Magic(0, b"T7\0\0", "a Torch7 (Lua) file", OWN_TOOL),
    Magic(0, b"PAR1", "a Parquet file", WRONG_FILE),
    Magic(0, b"ARROW1", "an Arrow file", WRONG_FILE),
    Magic(0, b"SQLite format 3\0", "an SQLite database", WRONG_FILE),
    Magic(0, b"\x89PNG\r\n\x1a\n", "a PNG picture", WRONG_FILE),
    Magic(0, b"\xff\xd8\xff", "a JPEG picture", WRONG_FILE),
    Magic(0, b"GIF8", "a GIF picture", WRONG_FILE),
    Magic(8, b"WAVE", "a WAV sound", WRONG_FILE),
    Magic(8, b"WEBP", "a WebP picture", WRONG_FILE),
    Magic(4, b"ftyp", "an MP4 video", WRONG_FILE),
    Magic(0, b"%PDF", "a PDF document", WRONG_FILE),
    Magic(
        0,
        b"\x7fELF",
        "a Linux program or library (ELF)",
        WRONG_FILE,
    ),
    Magic(0, b"MZ", "a Windows program or library", WRONG_FILE),
    Magic(
        0,
        b"\xcf\xfa\xed\xfe",
        "a macOS program or library",
        WRONG_FILE,
    ),
    Magic(
        0,
        b"!<arch>\n",
        "a static library or Debian package",
        WRONG_FILE,
    ),
    Magic(0, b"#!", "a script", WRONG_FILE),
];

/// Protocol buffers have no signature: by extension.
const BY_EXTENSION: &[(&str, &str)] = &[
    ("onnx", "an ONNX model"),
    ("mlmodel", "a Core ML model"),
    ("pb", "a TensorFlow graph"),
    ("caffemodel", "a Caffe model"),
    ("pdparams", "a PaddlePaddle checkpoint"),
    ("msgpack", "a Flax checkpoint"),
    ("index", "a TensorFlow checkpoint's index"),
    ("meta", "the graph of a TensorFlow checkpoint"),
    ("weights", "a Darknet model"),
    ("ubj", "an XGBoost model"),
];

fn foreign(what: &str, hint: &str) -> Foreign {
    Foreign {
        message: format!("is {what}, not a checkpoint that this program reads"),
        hint: hint.to_owned(),
    }
}

/// What the first bytes say for certain.
pub(super) fn by_magic(head: &[u8], path: &Path) -> Option<Foreign> {
    if head.is_empty() {
        return Some(Foreign {
            message: "is empty (0 bytes)".to_owned(),
            hint: "the download or the save did not happen; get the file again".to_owned(),
        });
    }
    if head.starts_with(b"version https://git-lfs.github.com/") {
        return Some(git_lfs(head));
    }
    let text = head
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(head)
        .trim_ascii_start();
    if begins_with_any(text, &["<!doctype html", "<html", "<head", "<body"]) {
        return Some(web_page(text));
    }
    if begins_with_any(text, &["<?xml", "<error"]) {
        return Some(xml(text));
    }
    let magic = MAGICS
        .iter()
        .find(|m| head.get(m.0..).is_some_and(|rest| rest.starts_with(m.1)));
    magic
        .map(|m| foreign(m.2, m.3))
        .or_else(|| tensorflow(head, path))
        .or_else(|| protobuf(head, path))
        .or_else(|| is_msgpack(head).then(|| foreign("msgpack data (Flax writes such)", OWN_TOOL)))
}

/// What is left when nothing is certain.
pub(super) fn by_guess(head: &[u8], file_len: usize, path: &Path) -> Foreign {
    if head.iter().all(|&b| b == 0) {
        return Foreign {
            message: format!("begins with {} zero bytes", head.len()),
            hint: "space was reserved but never filled: the download or copy did not finish; get the file again".to_owned(),
        };
    }
    if let Some(line) = first_line_of_text(head, file_len) {
        return match line.as_bytes()[0] {
            b'{' | b'[' if !line.contains("\"error\"") && !line.contains("\"message\"") => foreign(
                "JSON text",
                "open the weights beside it (.safetensors, .pth, .bin)",
            ),
            b'{' => foreign(&format!("a server's message (JSON): {line}"), SERVER),
            _ => foreign(&format!("text beginning with \"{line}\""), SERVER),
        };
    }
    let extension = extension(path);
    if let Some((_, what)) = BY_EXTENSION.iter().find(|(e, _)| *e == extension) {
        return foreign(&format!("by its name {what}"), OWN_TOOL);
    }
    let start: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
    Foreign {
        message: format!(
            "is of no kind known here: it begins with the bytes {}",
            start.join(" ")
        ),
        hint: "readable are torch.save's zip files and safetensors; `file` may know what this is"
            .to_owned(),
    }
}

fn begins_with_any(text: &[u8], beginnings: &[&str]) -> bool {
    beginnings.iter().any(|b| {
        text.get(..b.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(b.as_bytes()))
    })
}

/// Source of the format: the git-lfs specification, `docs/spec.md`.
fn git_lfs(head: &[u8]) -> Foreign {
    let text = String::from_utf8_lossy(&head[..head.len().min(1024)]);
    let size = text.lines().find_map(|line| line.strip_prefix("size "));
    let size = size.filter(|s| s.len() < 20 && s.bytes().all(|b| b.is_ascii_digit()));
    let of = size.map_or(String::new(), |size| format!(" to a file of {size} bytes"));
    Foreign {
        message: format!("is a git-lfs pointer{of}, not the file itself"),
        hint: "run `git lfs pull` where it was cloned".to_owned(),
    }
}

fn web_page(text: &[u8]) -> Foreign {
    let title =
        between(text, "<title", "</title").map_or(String::new(), |t| format!(" titled \"{t}\""));
    Foreign {
        message: format!("is a web page (HTML){title}, not a checkpoint"),
        hint: "the download gave a page instead of the file: use the direct (\"raw\", \"resolve\") link, or log in first".to_owned(),
    }
}

fn xml(text: &[u8]) -> Foreign {
    let message =
        between(text, "<message", "</message").or_else(|| between(text, "<code", "</code"));
    match message {
        Some(message) => Foreign {
            message: format!("is a server's error message (XML): \"{message}\""),
            hint: "the link has expired or needs a login; get a new one and download again"
                .to_owned(),
        },
        None => foreign("XML text", WRONG_FILE),
    }
}

/// The text of the first such element, whatever the case of its tags, made fit for one line.
fn between(text: &[u8], open: &str, close: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let position = |from: usize, what: &[u8]| {
        let rest = lower.get(from..)?;
        rest.windows(what.len())
            .position(|w| w == what)
            .map(|i| from + i)
    };
    let start = position(0, open.as_bytes())?;
    let start = position(start, b">")? + 1;
    let end = position(start, close.as_bytes())?;
    let inner = one_line(&String::from_utf8_lossy(&text[start..end]));
    (!inner.is_empty()).then_some(inner)
}

fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    let cut: String = line.chars().take(60).collect();
    if cut.len() < line.len() {
        format!("{cut}...")
    } else {
        cut
    }
}

fn first_line_of_text(head: &[u8], file_len: usize) -> Option<String> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // a character may be cut where looking ended
        Err(e) if e.error_len().is_none() && file_len > head.len() => {
            std::str::from_utf8(&head[..e.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_text = text
        .chars()
        .all(|c| !c.is_control() || c.is_whitespace() || c == '\u{1b}');
    let line = text.lines().map(one_line).find(|line| !line.is_empty())?;
    is_text.then_some(line)
}

fn extension(path: &Path) -> String {
    path.extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase()
}

/// A SavedModel is a protocol buffer (its version, 1, then a graph), a checkpoint three files that only their names tell.
fn tensorflow(head: &[u8], path: &Path) -> Option<Foreign> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_data = name
        .rsplit_once(".data-")
        .is_some_and(|(_, rest)| rest.contains("-of-"));
    let what = match head {
        [0x08, 0x01, 0x12, ..] if extension(path) == "pb" => "a TensorFlow SavedModel",
        _ if is_data => "the data of a TensorFlow checkpoint, by its name",
        _ if head.starts_with(b"model_checkpoint_path:") => {
            "the list of a TensorFlow checkpoint's files"
        }
        _ if extension(path) == "pb" && !head.is_empty() && head[0] == 0x0a => "a TensorFlow graph",
        _ => return None,
    };
    Some(foreign(what, OWN_TOOL))
}

/// A map whose first key is a short text: what `flax.serialization` writes.
fn is_msgpack(head: &[u8]) -> bool {
    let [map @ (0x81..=0x8f | 0xde), rest @ ..] = head else {
        return false;
    };
    let rest = match (map, rest) {
        (0xde, [_, _, rest @ ..]) => rest,
        (_, rest) => rest,
    };
    match rest {
        [length @ 0xa1..=0xbf, key @ ..] => {
            let key = key.get(..usize::from(length - 0xa0));
            key.is_some_and(|key| key.iter().all(|b| b.is_ascii_graphic()))
        }
        _ => false,
    }
}

/// ONNX and Core ML: field 1 is a small version number; ONNX's next field is the producer (2), the domain or the
/// graph (7).
fn protobuf(head: &[u8], path: &Path) -> Option<Foreign> {
    match (extension(path).as_str(), head) {
        ("mlmodel", [0x08, 1..=16, 0x12, ..]) => Some(foreign("a Core ML model", OWN_TOOL)),
        (_, [0x08, 1..=16, 0x12 | 0x1a | 0x22 | 0x3a | 0x42, ..]) => {
            Some(foreign("an ONNX model, it seems", OWN_TOOL))
        }
        _ => None,
    }
}
