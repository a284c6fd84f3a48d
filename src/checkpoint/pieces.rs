//! A tensor in several pieces, boxes of it that lie in different files: put together when it is asked for.

use crate::checkpoint::places::{Bytes, DataFile, Place};
use crate::error::{Error, Result};
use crate::tensor::{ByteOrder, DType, Layout, TensorView};

/// More pieces than this are not compared with one another for overlaps.
const COMPARED: usize = 4096;

/// A box of the tensor.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    /// Where it begins in the tensor, per axis.
    pub(crate) offsets: Vec<usize>,
    /// Its sizes, and how its elements lie in its place.
    pub(crate) layout: Layout,
    /// Its bytes.
    pub(crate) place: Place,
}

/// All pieces of a tensor: they fill it, and no two overlap.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    dtype: DType,
    shape: Vec<usize>,
    pieces: Vec<Piece>,
}

impl Pieces {
    /// Pieces of a tensor of that shape.
    ///
    /// # Errors
    ///
    /// `Malformed` where a piece reaches out of the tensor, two overlap, or some part of it is in none.
    pub(crate) fn new(dtype: DType, shape: Vec<usize>, pieces: Vec<Piece>) -> Result<Self> {
        let whole = Layout::contiguous(shape)?;
        let shape = whole.shape().to_vec();
        let mut filled = 0usize;
        for piece in &pieces {
            let sizes = piece.layout.shape();
            let fits = piece.offsets.len() == shape.len()
                && sizes.len() == shape.len()
                && (0..shape.len()).all(|axis| {
                    piece.offsets[axis]
                        .checked_add(sizes[axis])
                        .is_some_and(|end| end <= shape[axis])
                });
            if !fits {
                return Err(Error::malformed(format!(
                    "its piece of {sizes:?} at {:?} reaches out of its sizes {shape:?}",
                    piece.offsets
                )));
            }
            filled = filled.saturating_add(piece.layout.numel());
        }
        if pieces.len() <= COMPARED {
            for (number, a) in pieces.iter().enumerate() {
                if let Some(b) = pieces[..number].iter().find(|b| overlap(a, b)) {
                    return Err(Error::malformed(format!(
                        "two of its pieces overlap, those at {:?} and {:?}",
                        b.offsets, a.offsets
                    )));
                }
            }
        }
        if filled != whole.numel() {
            return Err(Error::malformed(format!(
                "its pieces hold {filled} of its {} elements",
                whole.numel()
            ))
            .with_hint("get all files of the checkpoint"));
        }
        Ok(Self {
            dtype,
            shape,
            pieces,
        })
    }

    /// The place of a tensor that is a single piece, one element after another in little-endian order.
    pub(crate) fn run(&self, files: &[DataFile]) -> Option<Place> {
        let [piece] = &self.pieces[..] else {
            return None;
        };
        let Place::File(file, range) = &piece.place else {
            return None;
        };
        let start = self.dtype.bytes_of(piece.layout.storage_offset())?;
        let nbytes = self.dtype.bytes_of(piece.layout.numel())?;
        let little = files.get(*file)?.byte_order == ByteOrder::Little;
        let start = range.start.checked_add(start)?;
        let inside = start.checked_add(nbytes)? <= range.end;
        (little && inside && piece.layout.is_contiguous())
            .then(|| Place::File(*file, start..start + nbytes))
    }

    /// The whole tensor, C-contiguous and little-endian.
    pub(crate) fn assemble(&self, bytes: &Bytes) -> Result<Vec<u8>> {
        let layout = Layout::contiguous(self.shape.clone())?;
        let width = match self.dtype.bits() {
            bits if bits.is_multiple_of(8) => bits / 8,
            _ => {
                return Err(Error::unsupported(format!(
                    "{} in pieces cannot be put together",
                    self.dtype
                )));
            }
        };
        let nbytes = layout.numel().saturating_mul(width);
        if nbytes > bytes.tensor_bytes {
            return Err(Error::limit(format!(
                "its {nbytes} bytes are more than {} (tensor_bytes)",
                bytes.tensor_bytes
            )));
        }
        let mut whole = vec![0; nbytes];
        for piece in &self.pieces {
            let stored = bytes.at(&piece.place)?;
            let order = bytes.byte_order_at(&piece.place);
            let view = TensorView::new(stored, self.dtype, piece.layout.clone(), order)?;
            put(&mut whole, layout.stride(), piece, &view.to_bytes()?, width);
        }
        Ok(whole)
    }
}

/// Copies a piece's elements to where they belong, one row of its last axis at a time.
fn put(whole: &mut [u8], stride: &[usize], piece: &Piece, elements: &[u8], width: usize) {
    let sizes = piece.layout.shape();
    if elements.is_empty() {
        return; // and the sizes may be of any size
    }
    let row = sizes.last().copied().unwrap_or(1) * width;
    let outer = sizes.len().saturating_sub(1);
    let mut index = vec![0; outer];
    for from in elements.chunks(row) {
        let at = (0..sizes.len()).map(|axis| {
            let within = index.get(axis).copied().unwrap_or(0);
            (piece.offsets[axis] + within) * stride[axis]
        });
        let at = at.sum::<usize>() * width;
        whole[at..at + from.len()].copy_from_slice(from);
        for axis in (0..outer).rev() {
            index[axis] += 1;
            if index[axis] < sizes[axis] {
                break;
            }
            index[axis] = 0;
        }
    }
}

fn overlap(a: &Piece, b: &Piece) -> bool {
    a.layout.numel() > 0
        && b.layout.numel() > 0
        && (0..a.offsets.len()).all(|axis| {
            a.offsets[axis] < b.offsets[axis] + b.layout.shape()[axis]
                && b.offsets[axis] < a.offsets[axis] + a.layout.shape()[axis]
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::{Piece, Pieces};
    use crate::checkpoint::places::{Bytes, Place};
    use crate::tensor::{DType, Layout};

    /// The box of `whole` (of bytes) from `offsets` on, in a place of its own.
    fn piece(whole: &[u8], shape: &[usize], offsets: &[usize], sizes: &[usize]) -> Piece {
        let layout = Layout::contiguous(sizes.to_vec()).unwrap();
        let all = Layout::contiguous(shape.to_vec()).unwrap();
        let bytes = (0..layout.numel()).map(|flat| {
            let index = layout.unravel(flat).unwrap();
            let at: Vec<usize> = index.iter().zip(offsets).map(|(i, o)| i + o).collect();
            whole[all.offset_of(&at).unwrap()]
        });
        let bytes: Arc<[u8]> = bytes.collect();
        Piece {
            offsets: offsets.to_vec(),
            layout,
            place: Place::Owned(bytes),
        }
    }

    fn nothing() -> Bytes {
        Bytes {
            files: Vec::new(),
            places: Vec::new(),
            tensor_bytes: 1 << 20,
        }
    }

    proptest! {
        #[test]
        fn what_was_cut_up_is_put_together(shape in prop::collection::vec(0usize..5, 0..4), cuts in prop::collection::vec(0usize..5, 4)) {
            let whole = Layout::contiguous(shape.clone()).unwrap();
            let bytes: Vec<u8> = (0..whole.numel()).map(|n| n as u8).collect();
            // each axis is cut once, which makes up to 16 boxes
            let mut boxes: Vec<(Vec<usize>, Vec<usize>)> = vec![(vec![], vec![])];
            for (&size, &cut) in shape.iter().zip(&cuts) {
                let cut = cut.min(size);
                let halves = |(o, s): &(Vec<usize>, Vec<usize>)| [(0, cut), (cut, size - cut)].map(|(at, len)| ([&o[..], &[at]].concat(), [&s[..], &[len]].concat()));
                boxes = boxes.iter().flat_map(halves).collect();
            }
            let pieces: Vec<Piece> = boxes.iter().map(|(o, s)| piece(&bytes, &shape, o, s)).collect();
            let pieces = Pieces::new(DType::UInt8, shape, pieces).unwrap();
            prop_assert_eq!(pieces.assemble(&nothing()).unwrap(), bytes);
        }
    }

    #[test]
    fn pieces_that_do_not_fit_are_refused() {
        let whole: Vec<u8> = (0..12).collect();
        let part = |offsets: &[usize], sizes: &[usize]| piece(&whole, &[3, 4], offsets, sizes);
        let new = |pieces| {
            Pieces::new(DType::UInt8, vec![3, 4], pieces)
                .unwrap_err()
                .to_string()
        };
        assert!(new(vec![part(&[0, 0], &[2, 4])]).contains("8 of its 12"));
        assert!(new(vec![part(&[0, 0], &[2, 4]), part(&[1, 0], &[2, 4])]).contains("overlap"));
        let mut outside = part(&[0, 0], &[3, 4]);
        outside.offsets = vec![1, 0];
        assert!(new(vec![outside.clone()]).contains("reaches out"));
        outside.offsets = vec![usize::MAX, 0];
        assert!(new(vec![outside.clone()]).contains("reaches out"));
        outside.offsets = vec![0];
        assert!(new(vec![outside]).contains("reaches out"));
    }
}
