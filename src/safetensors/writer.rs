//! Writing, by the crate: tensors sorted by alignment and name, the header padded to eight bytes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;

use safetensors::Dtype;

use crate::error::{Error, Result};
use crate::tensor::{DType, TensorView};

/// One tensor on its way out.
struct Outgoing<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl safetensors::View for &Outgoing<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// Writes named tensors and `metadata` as a safetensors file; their logical elements, so contiguous and little-endian.
///
/// # Errors
///
/// `Unsupported` for types that safetensors lacks, naming the tensor; `Usage` for a name that occurs twice or is
/// `__metadata__`; `Io` where `out` fails.
pub fn write(
    tensors: &[(String, TensorView<'_>)],
    metadata: &[(String, String)],
    out: &mut dyn Write,
) -> Result<()> {
    let mut outgoing: Vec<(&str, Outgoing<'_>)> = Vec::with_capacity(tensors.len());
    let mut names = std::collections::HashSet::new();
    for (name, view) in tensors {
        if name == "__metadata__" || !names.insert(name) {
            return Err(Error::usage(format!(
                "safetensors cannot hold two tensors, or metadata and a tensor, called {name:?}"
            )));
        }
        outgoing.push((name, prepare(view).map_err(|e| e.in_record(name))?));
    }
    let metadata: HashMap<String, String> = metadata.iter().cloned().collect();
    let metadata = (!metadata.is_empty()).then_some(metadata);
    let bytes = safetensors::serialize(outgoing.iter().map(|(name, t)| (name, t)), metadata)
        .map_err(|e| Error::unsupported(format!("cannot be written as safetensors: {e}")))?;
    out.write_all(&bytes).map_err(|e| {
        Error::new(
            crate::error::ErrorKind::Io,
            format!("safetensors cannot be written: {e}"),
        )
    })
}

fn prepare<'a>(view: &'a TensorView<'_>) -> Result<Outgoing<'a>> {
    let mut shape = view.layout().shape().to_vec();
    let dtype = view.dtype();
    let tag = if dtype == DType::Float4E2m1fnX2 {
        if let Some(last) = shape.last_mut() {
            *last = last.saturating_mul(2); // two to a byte: as safetensors.torch writes it
        }
        DType::Float4E2m1fn.safetensors_tag()
    } else {
        dtype.safetensors_tag()
    };
    let tag = tag
        .and_then(|tag| serde_json::from_value(serde_json::Value::from(tag)).ok())
        .ok_or_else(|| Error::unsupported(format!("safetensors has no type {dtype}")))?;
    Ok(Outgoing {
        dtype: tag,
        shape,
        bytes: view.to_bytes()?,
    })
}

#[cfg(test)]
mod tests {
    use crate::bytes::Limits;
    use crate::safetensors::Header;
    use crate::tensor::{ByteOrder, DType, Layout, TensorView};

    #[test]
    fn every_type_that_safetensors_has_comes_back() {
        for &dtype in DType::ALL {
            let layout = Layout::contiguous(vec![2, 4]).unwrap();
            let bytes: Vec<u8> = (0..dtype.bytes_of(8).unwrap()).map(|i| i as u8).collect();
            let view = TensorView::new(bytes.clone(), dtype, layout, ByteOrder::Little).unwrap();
            let mut file = Vec::new();
            let metadata = [("key".to_owned(), "value".to_owned())];
            let written = super::write(&[("w".into(), view)], &metadata, &mut file);
            let tagged = dtype.safetensors_tag().is_some() || dtype == DType::Float4E2m1fnX2;
            assert_eq!(written.is_ok(), tagged, "{dtype}");
            if !tagged {
                continue;
            }
            let header = Header::read(&file, &Limits::default()).unwrap();
            assert_eq!(header.metadata, metadata);
            assert_eq!(file[header.entries[0].data.clone()], bytes, "{dtype}");
        }
    }
}
