//! One filter, one channel, one element: which flat indices, which bytes, which values.

use std::ops::Range;

use super::memory::{Spot, bytes_of};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, Result};
use crate::tensor::Element;
use crate::tensor::Layout;

/// Most elements that are read for showing.
const SHOWN_LIMIT: usize = 1 << 22;

/// All elements whose first indices are fixed.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The fixed first indices.
    pub prefix: Vec<usize>,
    /// Flat indices, in C order of the whole tensor.
    pub flat: Range<u64>,
    /// Where they lie; `None` for an empty slice.
    pub spot: Option<Spot>,
}

/// The chosen part of a weight.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Per axis: the chosen index, or all.
    pub fixed: Vec<Option<usize>>,
    /// The chosen part as one slice, where the chosen axes are the first ones.
    pub slice: Option<Slice>,
    /// Its values, grid by grid.
    pub grids: Vec<Grid>,
}

/// Values along the last one or two axes (none: a single value).
#[derive(Clone, Debug)]
pub struct Grid {
    /// Where it lies.
    pub slice: Slice,
    /// The axes that run along rows and columns; both `None` for a single value.
    pub axes: (Option<usize>, Option<usize>),
    /// Rows of values.
    pub rows: Vec<Vec<Element>>,
}

/// One element, down to its bits.
#[derive(Clone, Debug)]
pub struct ElementAt {
    /// Index along each axis.
    pub index: Vec<usize>,
    /// Position in C order.
    pub flat: usize,
    /// Position in the storage, in elements.
    pub storage_element: usize,
    /// First byte in the file.
    pub file_offset: Option<u64>,
    /// The stored bytes, in the file's order; empty for sub-byte types.
    pub bytes: Vec<u8>,
    /// The value.
    pub value: Element,
    /// Its bits, byte order resolved.
    pub bits: u128,
}

impl Slice {
    /// The slice of `tensor` under `prefix`, which must lie inside the shape.
    pub fn of(checkpoint: &Checkpoint, tensor: &TensorEntry, prefix: &[usize]) -> Result<Self> {
        let layout = &tensor.layout;
        let (shape, stride) = (layout.shape(), layout.stride());
        let inside = prefix.len() <= shape.len() && prefix.iter().zip(shape).all(|(i, n)| i < n);
        if !inside {
            return Err(outside(tensor, prefix));
        }
        let rest = prefix.len();
        // only where the tensor is empty can it overflow: of all others the layout has checked the extent
        let offset = prefix
            .iter()
            .zip(stride)
            .fold(0usize, |at, (i, s)| at.saturating_add(i.saturating_mul(*s)));
        let part = Layout::new(
            shape[rest..].to_vec(),
            stride[rest..].to_vec(),
            layout.storage_offset().saturating_add(offset),
        )?;
        let length = part.numel() as u64;
        let number = prefix.iter().zip(shape).fold(0, |flat: u64, (&i, &n)| {
            flat.saturating_mul(n as u64).saturating_add(i as u64)
        });
        let start = number.saturating_mul(length);
        Ok(Self {
            prefix: prefix.to_vec(),
            flat: start..start.saturating_add(length),
            spot: Spot::of(checkpoint, tensor, &part),
        })
    }
}

fn outside(tensor: &TensorEntry, index: &[usize]) -> Error {
    Error::usage(format!(
        "index {index:?} is outside {} of shape {:?}",
        if tensor.name.is_empty() {
            "the tensor"
        } else {
            &tensor.name
        },
        tensor.layout.shape()
    ))
}

impl Selection {
    /// Reads the elements of `tensor` where every `Some` of `fixed` (one per axis) is the index along that axis.
    pub fn of(
        checkpoint: &Checkpoint,
        tensor: &TensorEntry,
        fixed: Vec<Option<usize>>,
    ) -> Result<Self> {
        let shape = tensor.layout.shape();
        let leading = fixed.iter().take_while(|index| index.is_some()).count();
        let is_prefix = fixed[leading..].iter().all(Option::is_none);
        let chosen: Vec<usize> = fixed.iter().flatten().copied().collect();
        let slice = if is_prefix {
            Some(Slice::of(checkpoint, tensor, &chosen)?)
        } else {
            None
        };
        let counts: Vec<usize> = shape
            .iter()
            .zip(&fixed)
            .map(|(&n, index)| if index.is_some() { 1 } else { n })
            .collect();
        let total = counts
            .iter()
            .try_fold(1, |total: usize, &n| total.checked_mul(n));
        if total.is_none_or(|total| total > SHOWN_LIMIT) {
            return Err(
                Error::limit(format!("more than {SHOWN_LIMIT} values to show"))
                    .with_hint("choose a smaller part with --filter and --channel, or use export"),
            );
        }
        let trailing = fixed
            .iter()
            .rev()
            .take_while(|index| index.is_none())
            .count()
            .min(2);
        let outer = shape.len() - trailing;
        let mut grids = Vec::new();
        if total != Some(0) {
            let view = checkpoint.view(tensor)?;
            for number in 0..counts[..outer].iter().product() {
                let prefix = index_of(number, &counts[..outer], &fixed);
                let slice = Slice::of(checkpoint, tensor, &prefix)?;
                grids.push(Grid {
                    rows: rows(&view, &prefix, &shape[outer..])?,
                    axes: match trailing {
                        0 => (None, None),
                        1 => (None, Some(outer)),
                        _ => (Some(outer), Some(outer + 1)),
                    },
                    slice,
                });
            }
        }
        Ok(Self {
            fixed,
            slice,
            grids,
        })
    }
}

/// The `number`-th index over the free axes among `counts`, the fixed ones filled in.
fn index_of(mut number: usize, counts: &[usize], fixed: &[Option<usize>]) -> Vec<usize> {
    let mut index = vec![0; counts.len()];
    for axis in (0..counts.len()).rev() {
        index[axis] = fixed[axis].unwrap_or(number % counts[axis]);
        number /= counts[axis];
    }
    index
}

fn rows(
    view: &crate::tensor::TensorView<'_>,
    prefix: &[usize],
    grid: &[usize],
) -> Result<Vec<Vec<Element>>> {
    let (height, width) = match grid {
        [] => (1, 1),
        [width] => (1, *width),
        [height, width, ..] => (*height, *width),
    };
    let value = |row: usize, column: usize| {
        let mut index = prefix.to_vec();
        index.extend([row, column].into_iter().skip(2 - grid.len()));
        view.element(&index)
            .ok_or_else(|| Error::unsupported("elements of this type cannot be shown one by one"))
    };
    (0..height)
        .map(|row| (0..width).map(|column| value(row, column)).collect())
        .collect()
}

impl ElementAt {
    /// The element of `tensor` at `index`.
    pub fn at(checkpoint: &Checkpoint, tensor: &TensorEntry, index: &[usize]) -> Result<Self> {
        let layout = &tensor.layout;
        let (Some(flat), Some(storage_element)) = (layout.ravel(index), layout.offset_of(index))
        else {
            return Err(outside(tensor, index));
        };
        let view = checkpoint.view(tensor)?;
        let (Some(value), Some(bits)) = (view.element(index), view.bits(index)) else {
            return Err(Error::unsupported(format!(
                "single elements of {} cannot be shown",
                tensor.dtype.name()
            )));
        };
        let width = tensor.dtype.bits();
        let first = layout.storage_offset();
        let file_offset = checkpoint
            .file_offset(tensor)
            .map(|base| base + bytes_of((storage_element - first) as u64, width));
        Ok(Self {
            index: index.to_vec(),
            flat,
            storage_element,
            file_offset,
            bytes: stored_bytes(checkpoint, tensor, storage_element)?,
            value,
            bits,
        })
    }

    /// The element of `tensor` at flat position `flat`.
    pub fn at_flat(checkpoint: &Checkpoint, tensor: &TensorEntry, flat: usize) -> Result<Self> {
        let index = tensor.layout.unravel(flat).ok_or_else(|| {
            Error::usage(format!(
                "flat index {flat} is outside {}, which has {} elements",
                if tensor.name.is_empty() {
                    "the tensor"
                } else {
                    &tensor.name
                },
                tensor.layout.numel()
            ))
        })?;
        Self::at(checkpoint, tensor, &index)
    }
}

fn stored_bytes(checkpoint: &Checkpoint, tensor: &TensorEntry, element: usize) -> Result<Vec<u8>> {
    let bits = tensor.dtype.bits();
    let Some(storage) = tensor.storage.filter(|_| bits.is_multiple_of(8)) else {
        return Ok(Vec::new());
    };
    let bytes = checkpoint.storage_bytes(storage)?;
    let start = element * (bits / 8);
    Ok(bytes
        .get(start..start + bits / 8)
        .unwrap_or_default()
        .to_vec())
}
