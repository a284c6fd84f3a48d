//! Writing tensor by tensor, so that a file may be larger than memory.
//!
//! The header's length is a multiple of eight, and tensors come with the widest elements first, so that each begins at
//! a multiple of its element's size, as the crate does it. Within a width they keep the order in which they are given.

use std::io::Write;

use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::tensor::{DType, TensorView};

/// Name, element type as safetensors calls it, and shape of a tensor that can be written; `None` for types that
/// safetensors lacks.
pub fn tag_and_shape(dtype: DType, shape: &[usize]) -> Option<(&'static str, Vec<usize>)> {
    let mut shape = shape.to_vec();
    if dtype == DType::Float4E2m1fnX2 {
        // two to a byte: as safetensors.torch writes it
        let last = shape.last_mut()?;
        *last = last.checked_mul(2)?;
        return Some((DType::Float4E2m1fn.safetensors_tag()?, shape));
    }
    Some((dtype.safetensors_tag()?, shape))
}

/// A tensor on its way out: `view` makes it when its turn has come.
pub struct Outgoing<'a> {
    /// Its name.
    pub name: &'a str,
    /// Element type.
    pub dtype: DType,
    /// Sizes per axis.
    pub shape: &'a [usize],
    /// Makes the view of its elements.
    pub view: Box<dyn Fn() -> Result<TensorView<'a>> + 'a>,
}

/// Writes tensors and `metadata`; names must be unique.
///
/// # Errors
///
/// `Unsupported` for an element type that safetensors lacks; `Io` where `out` fails; whatever a view fails with.
pub fn write(
    tensors: &[Outgoing<'_>],
    metadata: &[(String, String)],
    out: &mut dyn Write,
) -> Result<()> {
    let mut order: Vec<&Outgoing<'_>> = tensors.iter().collect();
    order.sort_by_key(|tensor| std::cmp::Reverse(tensor.dtype.bits()));
    let mut header = Map::new();
    if !metadata.is_empty() {
        let metadata: Map<String, Value> = metadata
            .iter()
            .map(|(k, v)| (k.clone(), json!(v)))
            .collect();
        header.insert("__metadata__".to_owned(), Value::Object(metadata));
    }
    let mut at = 0usize;
    for tensor in &order {
        let (tag, shape) = tag_and_shape(tensor.dtype, tensor.shape).ok_or_else(|| {
            Error::unsupported(format!("safetensors has no type {}", tensor.dtype))
                .in_record(tensor.name)
        })?;
        let numel = tensor
            .shape
            .iter()
            .try_fold(1usize, |n, &size| n.checked_mul(size));
        let nbytes = numel.and_then(|numel| tensor.dtype.bytes_of(numel));
        let end = nbytes.and_then(|nbytes| at.checked_add(nbytes));
        let end = end.ok_or_else(|| Error::limit("the tensors have too many bytes"))?;
        let entry = json!({"dtype": tag, "shape": shape, "data_offsets": [at, end]});
        if header.insert(tensor.name.to_owned(), entry).is_some() {
            return Err(Error::usage(format!(
                "two tensors are called {:?}",
                tensor.name
            )));
        }
        at = end;
    }
    let mut text = Value::Object(header).to_string();
    while !text.len().is_multiple_of(8) {
        text.push(' ');
    }
    let io = |e: std::io::Error| {
        Error::new(ErrorKind::Io, format!("safetensors cannot be written: {e}"))
    };
    out.write_all(&(text.len() as u64).to_le_bytes())
        .map_err(io)?;
    out.write_all(text.as_bytes()).map_err(io)?;
    for tensor in order {
        (tensor.view)()?.write_logical(out).map_err(io)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Outgoing, write};
    use crate::bytes::Limits;
    use crate::safetensors::Header;
    use crate::tensor::{ByteOrder, DType, Layout, TensorView};

    #[test]
    fn every_type_that_safetensors_has_comes_back_aligned() {
        let types: Vec<DType> = DType::ALL
            .iter()
            .copied()
            .filter(|&dtype| super::tag_and_shape(dtype, &[2, 4]).is_some())
            .collect();
        let names: Vec<String> = types.iter().map(|dtype| dtype.name().to_owned()).collect();
        let bytes = |dtype: DType| -> Vec<u8> {
            (0..dtype.bytes_of(8).unwrap()).map(|i| i as u8).collect()
        };
        let tensors: Vec<Outgoing<'_>> = types
            .iter()
            .zip(&names)
            .map(|(&dtype, name)| Outgoing {
                name,
                dtype,
                shape: &[2, 4],
                view: Box::new(move || {
                    let layout = Layout::contiguous(vec![2, 4])?;
                    TensorView::new(bytes(dtype), dtype, layout, ByteOrder::Little)
                }),
            })
            .collect();
        let mut file = Vec::new();
        write(
            &tensors,
            &[("key".to_owned(), "value".to_owned())],
            &mut file,
        )
        .unwrap();
        let header = Header::read(&file, &Limits::default()).unwrap();
        assert_eq!(header.metadata, [("key".to_owned(), "value".to_owned())]);
        assert_eq!(header.entries.len(), types.len());
        assert_eq!(header.data_at % 8, 0);
        for entry in &header.entries {
            let dtype = DType::from_name(&entry.name).unwrap();
            assert_eq!(file[entry.data.clone()], bytes(dtype), "{dtype}");
            assert_eq!(
                entry.data.start % dtype.bits().div_ceil(8).min(8),
                0,
                "{dtype}"
            );
        }
        // the crate agrees
        assert!(safetensors::SafeTensors::deserialize(&file).is_ok());
    }
}
