//! Reading: the header, checked, and a view of the elements as they lie.

use crate::bytes::Cursor;
use crate::bytes::Limits;
use crate::error::{Error, Result};
use crate::npy::MAGIC;
use crate::npy::literal::{Literal, Parser};
use crate::tensor::{ByteOrder, DType, Layout, TensorView};

/// What a `.npy` header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Element type.
    pub dtype: DType,
    /// Byte order of the elements.
    pub order: ByteOrder,
    /// Shape and stride (column-major in Fortran order), in elements.
    pub layout: Layout,
    /// Where the elements begin, in bytes.
    pub data_at: usize,
}

impl Header {
    /// Parses the header of the whole file `bytes`.
    ///
    /// # Errors
    ///
    /// `Malformed` with the byte offset; `Unsupported` for Python objects, text, times, structured types and raw bytes
    /// (`|V1`), which could be any type; `Limit` for a header of more than [`Limits::header_bytes`].
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, 0);
        if cursor.take(MAGIC.len(), "the .npy signature")? != MAGIC {
            return Err(Error::malformed("is no .npy file: \\x93NUMPY is missing").at_offset(0));
        }
        let (major, minor) = (
            cursor.u8("the .npy version")?,
            cursor.u8("the .npy version")?,
        );
        let length = match major {
            1 => usize::from(cursor.u16("the .npy header's length")?),
            2 | 3 => cursor.u32("the .npy header's length")? as usize,
            _ => {
                return Err(Error::unsupported(format!(
                    "is of .npy version {major}.{minor}; 1.0 to 3.0 are read"
                ))
                .at_offset(6));
            }
        };
        if length > limits.header_bytes {
            return Err(Error::limit(format!(
                "the .npy header has {length} bytes, the limit is {} (header_bytes)",
                limits.header_bytes
            )));
        }
        let at = cursor.position();
        let text = cursor.take(length, "the .npy header")?;
        Self::parse(Parser::new(text, at).whole()?, cursor.position())
            .map_err(|e| e.at_offset(at as u64))
    }

    fn parse(literal: Literal, data_at: usize) -> Result<Self> {
        let Literal::Dict(entries) = literal else {
            return Err(Error::malformed("the .npy header is no dict"));
        };
        let field = |name: &str| {
            let found = entries.iter().find(|(key, _)| key == name);
            found
                .map(|(_, value)| value)
                .ok_or_else(|| Error::malformed(format!("the .npy header has no {name}")))
        };
        let (dtype, order) = element_type(field("descr")?)?;
        let shape = shape(field("shape")?)?;
        let layout = match field("fortran_order")? {
            Literal::Bool(false) => Layout::contiguous(shape)?,
            Literal::Bool(true) => column_major(shape)?,
            _ => {
                return Err(Error::malformed(
                    "the .npy header's fortran_order is neither True nor False",
                ));
            }
        };
        Ok(Self {
            dtype,
            order,
            layout,
            data_at,
        })
    }
}

/// The array in the whole file `bytes`: borrowed, of any order of axes and bytes. What follows its last element is
/// ignored, as numpy does.
///
/// # Errors
///
/// As [`Header::read`]; `Malformed` where the file ends before the last element.
pub fn view<'a>(bytes: &'a [u8], limits: &Limits) -> Result<TensorView<'a>> {
    let header = Header::read(bytes, limits)?;
    let data = &bytes[header.data_at..];
    let needed = header.dtype.bytes_of(header.layout.numel());
    if needed.is_none_or(|needed| needed > data.len()) {
        return Err(Error::malformed(format!(
            "is cut off: {} elements of {} need {} bytes, {} follow the header",
            header.layout.numel(),
            header.dtype,
            needed.map_or_else(|| "too many".into(), |n| n.to_string()),
            data.len()
        ))
        .at_offset(header.data_at as u64));
    }
    TensorView::new(data, header.dtype, header.layout, header.order)
}

fn element_type(descr: &Literal) -> Result<(DType, ByteOrder)> {
    let Literal::Text(descr) = descr else {
        return Err(
            Error::unsupported("is a structured array (several fields to an element)")
                .with_hint("save the field you want as an array of its own"),
        );
    };
    let (order, code) = match descr.split_at_checked(1) {
        Some((">", code)) => (ByteOrder::Big, code),
        Some(("<" | "|" | "=", code)) => (ByteOrder::Little, code),
        _ => (ByteOrder::Little, descr.as_str()),
    };
    if descr == "<V2" {
        return Ok((DType::BFloat16, ByteOrder::Little)); // what ml_dtypes and we write
    }
    let known = DType::ALL.iter().find(|dtype| {
        dtype
            .npy_descr()
            .is_some_and(|d| !d.contains('V') && &d[1..] == code)
    });
    if let Some(&dtype) = known {
        return Ok((dtype, order));
    }
    let refuse = |what: &str, hint: &str| Err(Error::unsupported(what).with_hint(hint));
    match code.as_bytes().first() {
        Some(b'?') => Ok((DType::Bool, order)),
        Some(b'O') => refuse(
            "holds pickled Python objects, which only running code could read",
            "save an array of numbers: array.astype(numpy.float32)",
        ),
        Some(b'V') => refuse(
            &format!("holds raw bytes ({descr}) without saying of which type"),
            "save the array as a type that numpy knows, or in a safetensors file",
        ),
        _ => refuse(
            &format!(
                "has elements of the numpy type '{}', which is no number that torch has",
                descr.escape_debug()
            ),
            "save an array of numbers: array.astype(numpy.float32)",
        ),
    }
}

fn shape(literal: &Literal) -> Result<Vec<usize>> {
    let error = || Error::malformed("the .npy header's shape is no tuple of sizes");
    let Literal::Sequence(sizes) = literal else {
        return Err(error());
    };
    let sizes = sizes.iter().map(|size| match size {
        Literal::Int(size) => usize::try_from(*size).map_err(|_| error()),
        _ => Err(error()),
    });
    sizes.collect()
}

/// The first axis is the innermost.
fn column_major(mut shape: Vec<usize>) -> Result<Layout> {
    shape.reverse();
    let layout = Layout::contiguous(shape)?;
    let reversed = |sizes: &[usize]| sizes.iter().rev().copied().collect();
    Layout::new(reversed(layout.shape()), reversed(layout.stride()), 0)
}
