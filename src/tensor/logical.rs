//! A view's elements in C order, little-endian, whatever its strides, byte order and lazy bits.
//!
//! The simple version: for each index in C order, copy the element, turn its bytes round, flip its signs. Departures:
//! 1. where nothing needs changing and the elements lie in order, they are written in one go;
//! 2. neighbouring axes without a gap between them are joined, so that whole rows are copied, not elements;
//! 3. what is copied is collected in a buffer, changed there and written when it is full.

use std::io::Write;

use crate::tensor::dtype::{ByteOrder, DType, Encoding};
use crate::tensor::view::TensorView;

/// Bytes collected before they are written.
const CHUNK: usize = 1 << 20;

/// The logical elements, if they lie in the storage exactly so.
pub(super) fn as_they_lie<'a>(view: &'a TensorView<'_>) -> Option<&'a [u8]> {
    let layout = &view.layout;
    let bits = view.dtype.bits();
    let turned = view.order == ByteOrder::Big && view.dtype.component_bytes() > 1;
    if turned || view.conj || view.neg || !layout.is_contiguous() {
        return None;
    }
    let (from, len) = if layout.numel() == 0 {
        (0, 0)
    } else if bits < 8 {
        let (from, len) = (layout.storage_offset() * bits, layout.numel() * bits);
        if !from.is_multiple_of(8) || !len.is_multiple_of(8) {
            return None;
        }
        (from / 8, len / 8)
    } else {
        let size = bits / 8;
        (layout.storage_offset() * size, layout.numel() * size)
    };
    view.bytes.get(from..from + len)
}

pub(super) fn write(view: &TensorView<'_>, out: &mut dyn Write) -> std::io::Result<()> {
    if let Some(bytes) = as_they_lie(view) {
        return out.write_all(bytes);
    }
    if view.dtype.bits() < 8 {
        return write_packed(view, out);
    }
    match view.dtype.bits() / 8 {
        1 => write_elements::<1>(view, out),
        2 => write_elements::<2>(view, out),
        4 => write_elements::<4>(view, out),
        8 => write_elements::<8>(view, out),
        _ => write_elements::<16>(view, out),
    }
}

fn write_elements<const SIZE: usize>(
    view: &TensorView<'_>,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(CHUNK.min(view.layout.numel().saturating_mul(SIZE)));
    let mut flush = |buffer: &mut Vec<u8>| {
        finish(view, buffer);
        out.write_all(buffer)?;
        buffer.clear();
        Ok::<(), std::io::Error>(())
    };
    for (mut offset, step, mut count) in rows(view) {
        while count > 0 {
            let room = (CHUNK - buffer.len()) / SIZE;
            let now = count.min(room);
            if step == 1 {
                buffer.extend_from_slice(&view.bytes[offset * SIZE..(offset + now) * SIZE]);
            } else {
                for i in 0..now {
                    let at = (offset + i * step) * SIZE;
                    buffer.extend_from_slice(&view.bytes[at..at + SIZE]);
                }
            }
            count -= now;
            if count > 0 {
                offset += now * step;
            }
            if CHUNK - buffer.len() < SIZE {
                flush(&mut buffer)?;
            }
        }
    }
    flush(&mut buffer)
}

/// Elements of less than a byte, one by one.
fn write_packed(view: &TensorView<'_>, out: &mut dyn Write) -> std::io::Result<()> {
    let bits = view.dtype.bits();
    let mut buffer = Vec::with_capacity(CHUNK);
    let (mut waiting, mut filled) = (0u32, 0);
    for (offset, step, count) in rows(view) {
        for i in 0..count {
            waiting |= u32::from(packed(&view.bytes, offset + i * step, bits)) << filled;
            filled += bits;
            if filled >= 8 {
                buffer.push(waiting as u8);
                waiting >>= 8;
                filled -= 8;
            }
            if buffer.len() == CHUNK {
                out.write_all(&buffer)?;
                buffer.clear();
            }
        }
    }
    if filled > 0 {
        buffer.push(waiting as u8);
    }
    out.write_all(&buffer)
}

/// The innermost rows in C order: offset of the first element, step, number of elements (all in elements).
fn rows(view: &TensorView<'_>) -> impl Iterator<Item = (usize, usize, usize)> {
    let mut outer = view.layout.joined_axes();
    let (count, step) = outer.pop().unwrap_or((1, 1)); // a 0-d tensor, or one element
    let mut index = vec![0; outer.len()];
    let mut offset = view.layout.storage_offset();
    let mut left = view.layout.numel() > 0;
    std::iter::from_fn(move || {
        if !left {
            return None;
        }
        let row = (offset, step, count);
        left = false;
        for axis in (0..outer.len()).rev() {
            let (size, stride) = outer[axis];
            index[axis] += 1;
            if index[axis] < size {
                offset += stride;
                left = true;
                break;
            }
            offset -= (size - 1) * stride;
            index[axis] = 0;
        }
        Some(row)
    })
}

/// The element at `offset` of elements of `bits` < 8 bits, packed from the lowest bit on.
pub(super) fn packed(bytes: &[u8], offset: usize, bits: usize) -> u8 {
    let byte = |i: usize| bytes.get(i).copied().unwrap_or(0); // past the end lies only what is masked off
    let at = offset as u128 * bits as u128;
    let (first, shift) = ((at / 8) as usize, (at % 8) as u32);
    let pair = u16::from(byte(first)) | u16::from(byte(first.saturating_add(1))) << 8;
    (pair >> shift) as u8 & ((1 << bits) - 1)
}

/// Turns collected elements into what is written.
fn finish(view: &TensorView<'_>, buffer: &mut [u8]) {
    if view.order == ByteOrder::Big {
        turn_round(buffer, view.dtype.component_bytes());
    }
    resolve(buffer, view.dtype, view.conj, view.neg);
}

/// Reverses the bytes of each component.
pub(super) fn turn_round(bytes: &mut [u8], component: usize) {
    if component > 1 {
        for component in bytes.chunks_exact_mut(component) {
            component.reverse();
        }
    }
}

/// Applies torch's lazy bits to little-endian elements of whole bytes.
pub(super) fn resolve(bytes: &mut [u8], dtype: DType, conj: bool, neg: bool) {
    let component = dtype.component_bytes();
    if conj && dtype.is_complex() {
        for element in bytes.chunks_exact_mut(2 * component) {
            element[2 * component - 1] ^= 0x80; // the sign of the imaginary part
        }
    }
    if !neg {
        return;
    }
    match dtype.encoding() {
        Encoding::Signed | Encoding::Unsigned => {
            bytes.chunks_exact_mut(component).for_each(negate_integer);
        }
        Encoding::Bool | Encoding::Mini(_) | Encoding::PairOfFloat4 => {} // torch has no such negation
        _ => {
            for part in bytes.chunks_exact_mut(component) {
                part[component - 1] ^= 0x80;
            }
        }
    }
}

/// Two's complement, little-endian, of any length.
fn negate_integer(bytes: &mut [u8]) {
    let mut carry = true;
    for byte in bytes {
        (*byte, carry) = (!*byte).overflowing_add(carry.into());
    }
}
