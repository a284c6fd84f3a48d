//! One array to a file: `.npy`, `.npz`, `.safetensors`, or `.pt` as `torch.load` reads it.

use std::borrow::Cow;
use std::io::Cursor;
use std::io::Write;

use zip::CompressionMethod;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::error::Error;
use crate::error::Result;
use crate::npy;
use crate::safetensors;
use crate::tensor::ByteOrder;
use crate::tensor::DType;
use crate::tensor::Layout;
use crate::tensor::TensorView;

/// Files that hold arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrayFormat {
    /// One array.
    Npy,
    /// A zip of `.npy`.
    Npz,
    /// Named tensors.
    Safetensors,
    /// A tensor saved alone, or a dict of tensors.
    Torch,
}

impl ArrayFormat {
    /// By the file's ending.
    pub fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let endings = [
            (".npy", ArrayFormat::Npy),
            (".npz", ArrayFormat::Npz),
            (".safetensors", ArrayFormat::Safetensors),
            (".pt", ArrayFormat::Torch),
            (".pth", ArrayFormat::Torch),
        ];
        endings
            .into_iter()
            .find(|(ending, _)| name.ends_with(ending))
            .map(|(_, format)| format)
    }
}

/// An array apart from any file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Element type.
    pub dtype: DType,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Elements in C order, little-endian.
    pub elements: Vec<u8>,
}

/// The bytes of a file that holds `array` under `key` (`output` where a key is needed and none
/// is given; a `.pt` without one is a tensor alone).
pub fn encode(format: ArrayFormat, key: Option<&str>, array: &Array) -> Result<Vec<u8>> {
    let Array {
        dtype,
        shape,
        elements,
    } = array;
    let npy_file = || -> Result<Vec<u8>> {
        let mut file = npy::header(*dtype, shape)?;
        file.extend_from_slice(elements);
        Ok(file)
    };
    match format {
        ArrayFormat::Npy if key.is_some() => {
            Err(Error::usage("a .npy holds one array, which has no name")
                .with_hint("leave out the :KEY, or write a .npz"))
        }
        ArrayFormat::Npy => npy_file(),
        ArrayFormat::Npz => {
            let member = npy::npz_member(key.unwrap_or("output"));
            archive(&[(&member, &npy_file()?)])
        }
        ArrayFormat::Safetensors => {
            let layout = Layout::contiguous(shape.to_vec())?;
            let elements = Cow::Borrowed(elements.as_slice());
            let view = TensorView::new(elements, *dtype, layout, ByteOrder::Little)?;
            let mut file = Vec::new();
            let name = key.unwrap_or("output").to_owned();
            safetensors::write(&[(name, view)], &[], &mut file)?;
            Ok(file)
        }
        ArrayFormat::Torch => archive(&[
            ("archive/data.pkl", &pickle(key, *dtype, shape)?),
            ("archive/byteorder", b"little"),
            ("archive/data/0", elements),
            ("archive/version", b"3\n"),
        ]),
    }
}

/// A zip of stored records whose contents start at multiples of 64 bytes, as torch writes them.
fn archive(records: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let failed = |e: &dyn std::fmt::Display| Error::unsupported(format!("cannot be zipped: {e}"));
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in records {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(content.len() > 1 << 31)
            .with_alignment(64);
        zip.start_file(*name, options).map_err(|e| failed(&e))?;
        zip.write_all(content).map_err(|e| failed(&e))?;
    }
    Ok(zip.finish().map_err(|e| failed(&e))?.into_inner())
}

/// What `torch.save` writes for a contiguous tensor in storage 0, or for a dict of one: protocol 2.
fn pickle(key: Option<&str>, dtype: DType, shape: &[usize]) -> Result<Vec<u8>> {
    let class = dtype.storage_class().ok_or_else(|| {
        Error::unsupported(format!("torch has no typed storage for {dtype}"))
            .with_hint("write a .safetensors instead")
    })?;
    let mut out = b"\x80\x02".to_vec();
    if let Some(key) = key {
        out.push(b'}'); // EMPTY_DICT
        text(&mut out, key);
    }
    out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
    text(&mut out, "storage");
    out.extend(format!("ctorch\n{class}\n").bytes());
    text(&mut out, "0");
    text(&mut out, "cpu");
    integer(&mut out, shape.iter().product());
    out.extend(b"tQK\x00"); // the tuple's end, BINPERSID, storage offset 0
    tuple(&mut out, shape);
    tuple(&mut out, &strides(shape));
    out.extend(b"\x89ccollections\nOrderedDict\n)RtR"); // requires_grad, hooks; the two calls
    if key.is_some() {
        out.push(b's'); // SETITEM
    }
    out.push(b'.');
    Ok(out)
}

fn strides(shape: &[usize]) -> Vec<usize> {
    let mut step = 1;
    let mut strides: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let stride = step;
            step *= size.max(1);
            stride
        })
        .collect();
    strides.reverse();
    strides
}

fn tuple(out: &mut Vec<u8>, sizes: &[usize]) {
    out.push(b'(');
    for &size in sizes {
        integer(out, size);
    }
    out.push(b't');
}

/// LONG1, eight bytes and one for the sign.
fn integer(out: &mut Vec<u8>, value: usize) {
    out.extend([0x8a, 9]);
    out.extend((value as u64).to_le_bytes());
    out.push(0);
}

/// BINUNICODE
fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    // a name longer than 4 GiB does not fit into a command line
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::Limits;
    use crate::checkpoint::Checkpoint;

    #[test]
    fn what_is_written_is_read_back() {
        let data = [1.0f32, -2.5, 3.25, 0.0, 5.0, -6.0];
        let array = Array {
            dtype: DType::Float32,
            shape: vec![1, 2, 3],
            elements: data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        for (format, key, name) in [
            (ArrayFormat::Safetensors, Some("y"), "y"),
            (ArrayFormat::Safetensors, None, "output"),
            (ArrayFormat::Torch, None, ""),
            (ArrayFormat::Torch, Some("y"), "y"),
        ] {
            let bytes = encode(format, key, &array).unwrap();
            let file = Checkpoint::from_bytes("x", bytes, &Limits::default()).unwrap();
            let tensor = &file.tensors()[0];
            assert_eq!(tensor.name, name);
            assert_eq!(tensor.layout.shape(), [1, 2, 3]);
            assert_eq!(file.view(tensor).unwrap().to_f32().unwrap(), data);
        }
    }
}
