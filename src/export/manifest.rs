//! What was written: enough for a program that has never heard of PyTorch.

use std::io::{Result, Write};

use serde_json::{Map, Value, json};

use super::Format;
use super::Laid;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;

/// One tensor in the manifest.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Full name.
    pub name: String,
    /// PyTorch's name of the element type.
    pub dtype: &'static str,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Words for the axes, in the order of the shape, where they are known.
    pub axes: Option<Vec<String>>,
    /// File, relative to the manifest.
    pub file: String,
    /// Where the tensor starts in it.
    pub offset: u64,
    /// Bytes of the elements.
    pub nbytes: u64,
    /// Digest of the elements, where it was asked for.
    pub sha256: Option<String>,
    /// The memory format, where it is not the tensor's own axes in C order.
    pub layout: Option<Laid>,
    /// What else belongs to a quantized tensor.
    pub extra: Map<String, Value>,
}

impl Entry {
    pub(super) fn new(
        tensor: &TensorEntry,
        axes: Option<&[String]>,
        layout: Option<&Laid>,
        file: String,
        offset: u64,
        sha256: Option<String>,
    ) -> Self {
        let bits = tensor.layout.numel() as u128 * tensor.dtype.bits() as u128;
        Self {
            name: tensor.name.clone(),
            dtype: tensor.dtype.name(),
            shape: tensor.layout.shape().to_vec(),
            axes: axes.map(<[String]>::to_vec),
            file,
            offset,
            nbytes: match layout {
                Some(laid) => laid.nbytes(tensor.dtype),
                None => u64::try_from(bits.div_ceil(8)).unwrap_or(u64::MAX),
            },
            sha256,
            layout: layout.cloned(),
            extra: tensor.extra.clone(),
        }
    }

    fn json(&self) -> Value {
        let mut object = Map::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("dtype".to_owned(), json!(self.dtype)),
            ("shape".to_owned(), json!(self.shape)),
            ("axes".to_owned(), json!(self.axes)),
            (
                "axis_order".to_owned(),
                match &self.layout {
                    None => json!("C: the last axis moves fastest"),
                    Some(laid) => json!(format!("{}: see layout", laid.tag.text())),
                },
            ),
            ("byte_order".to_owned(), json!("little")),
            ("file".to_owned(), json!(self.file)),
            ("offset".to_owned(), json!(self.offset)),
            ("nbytes".to_owned(), json!(self.nbytes)),
        ]);
        if let Some(sha256) = &self.sha256 {
            object.insert("sha256".to_owned(), json!(sha256));
        }
        if let Some(laid) = &self.layout {
            object.insert("layout".to_owned(), layout(laid));
        }
        for (key, value) in &self.extra {
            object.entry(key).or_insert_with(|| value.clone());
        }
        Value::Object(object)
    }
}

/// A memory format for a program that has never heard of its name: the array's shape, C order, and of which axis of
/// `dims` each of its axes counts what: `(index // divide) % size`. Blocks are filled up with zeros.
fn layout(laid: &Laid) -> Value {
    let blocked = &laid.blocked;
    let axes = blocked.digits.iter().map(|digit| {
        json!({
            "axis": blocked.axes[digit.axis].to_string(), "divide": digit.divide, "size": digit.size,
            "stride": digit.stride,
        })
    });
    let names = blocked.axes.iter().map(ToString::to_string);
    json!({
        "tag": laid.tag.text(),
        "onednn": blocked.spellings,
        "shape": blocked.array_shape(),
        "dims": blocked.dims,
        "dims_are": names.collect::<Vec<_>>(),
        "padded": blocked.padded,
        "axes": axes.collect::<Vec<_>>(),
    })
}

/// The manifest.
pub(super) fn document(
    checkpoint: &Checkpoint,
    format: Format,
    entries: &[Entry],
    skipped: &[(String, String)],
) -> Value {
    let skipped: Vec<Value> = skipped
        .iter()
        .map(|(name, why)| json!({"name": name, "why": why}))
        .collect();
    json!({
        "pthinspect": env!("CARGO_PKG_VERSION"),
        "source": checkpoint.path().to_string_lossy(),
        "source_format": checkpoint.format().name(),
        "format": format.name(),
        "tensors": entries.iter().map(Entry::json).collect::<Vec<_>>(),
        "skipped": skipped,
    })
}

/// Writes the document with one tensor to a line: both people and `grep` read it.
pub(super) fn write(out: &mut dyn Write, document: &Value) -> Result<()> {
    let Some(entries) = document.as_object() else {
        return writeln!(out, "{document}");
    };
    out.write_all(b"{")?;
    for (i, (key, value)) in entries.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(out, "{comma}\n  {}: ", Value::from(key.as_str()))?;
        match value.as_array() {
            Some(items) if !items.is_empty() => {
                let lines: Vec<String> = items.iter().map(|item| format!("    {item}")).collect();
                write!(out, "[\n{}\n  ]", lines.join(",\n"))?;
            }
            _ => write!(out, "{value}")?,
        }
    }
    out.write_all(b"\n}\n")
}
