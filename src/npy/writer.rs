//! Writing: the header as numpy 2 writes it, byte for byte, and the logical elements.

use std::io::Write;

use crate::error::{Error, ErrorKind, Result};
use crate::npy::MAGIC;
use crate::tensor::{DType, TensorView};

/// The elements begin at a multiple of this.
const ALIGNMENT: usize = 64;
/// numpy leaves room for the first size to grow to this many digits.
const GROWTH_DIGITS: usize = 21;

/// The header of an array of `shape` in C order, little-endian.
///
/// # Errors
///
/// `Unsupported` for elements of less than a byte.
pub fn header(dtype: DType, shape: &[usize]) -> Result<Vec<u8>> {
    let Some(descr) = dtype.npy_descr() else {
        return Err(Error::unsupported(format!(
            "numpy has no elements of {} bits, as {dtype} has",
            dtype.bits()
        ))
        .with_hint("export raw bytes or safetensors instead"));
    };
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let mut text = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        sizes.join(", ")
    );
    if let Some(first) = sizes.first() {
        text.push_str(&" ".repeat(GROWTH_DIGITS.saturating_sub(first.len())));
    }
    // version 1.0 keeps the length in two bytes, 2.0 in four
    let (version, length_bytes) = if text.len() + ALIGNMENT < usize::from(u16::MAX) {
        (1, 2)
    } else {
        (2, 4)
    };
    let before = MAGIC.len() + 2 + length_bytes;
    let padding = ALIGNMENT - (before + text.len() + 1) % ALIGNMENT;
    text.push_str(&" ".repeat(padding));
    text.push('\n');
    let mut header = MAGIC.to_vec();
    header.extend([version, 0]);
    header.extend(&(text.len() as u64).to_le_bytes()[..length_bytes]);
    header.extend(text.as_bytes());
    Ok(header)
}

/// Writes a tensor as a `.npy`: its logical elements in C order, little-endian.
///
/// # Errors
///
/// As [`header`]; `Io` where `out` fails.
pub fn write(view: &TensorView<'_>, out: &mut dyn Write) -> Result<()> {
    let header = header(view.dtype(), view.layout().shape())?;
    out.write_all(&header)
        .and_then(|()| view.write_logical(out))
        .map_err(|e| Error::new(ErrorKind::Io, format!("the .npy cannot be written: {e}")))
}
