//! How a tensor's elements lie in its storage, and who else lives there.

use std::ops::Range;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::tensor::Layout;

/// How the elements of a tensor lie in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// C order, no gaps.
    Contiguous,
    /// The channel axis (1) moves fastest: `torch.channels_last` (4-d) or `channels_last_3d` (5-d).
    ChannelsLast,
    /// The first axis moves fastest, the last slowest (Fortran order), no gaps.
    ColumnMajor,
    /// Some other order of the axes, no gaps; axes from slowest to fastest.
    Permuted(Vec<usize>),
    /// Several indices share one element (stride 0).
    Expanded,
    /// Gaps between elements, or overlaps.
    Strided,
}

impl Memory {
    /// Classifies a layout. Axes of size 1 do not count: any stride fits them.
    pub fn of(layout: &Layout) -> Self {
        if layout.is_contiguous() {
            return Self::Contiguous;
        }
        let (shape, stride) = (layout.shape(), layout.stride());
        let mut axes: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] > 1).collect();
        if axes.iter().any(|&axis| stride[axis] == 0) {
            return Self::Expanded;
        }
        if shape.len() >= 4 && is_dense(layout, &channels_last(shape.len())) {
            return Self::ChannelsLast;
        }
        let reversed: Vec<usize> = (0..shape.len()).rev().collect();
        if is_dense(layout, &reversed) {
            return Self::ColumnMajor;
        }
        // stable: axes of equal stride keep their order, and are found out by `is_dense`
        axes.sort_by_key(|&axis| std::cmp::Reverse(stride[axis]));
        if is_dense(layout, &axes) {
            return Self::Permuted(axes);
        }
        Self::Strided
    }

    /// Whether every element of the covered range belongs to the tensor exactly once.
    pub fn is_dense(&self) -> bool {
        !matches!(self, Self::Expanded | Self::Strided)
    }
}

/// Axes of an N-d tensor from slowest to fastest in `channels_last`.
fn channels_last(rank: usize) -> Vec<usize> {
    let mut axes = vec![0];
    axes.extend(2..rank);
    axes.push(1);
    axes
}

/// Indices of the first `count` elements as they lie in memory, for dense layouts that are not in C order.
pub fn first_stored(layout: &Layout, count: usize) -> Vec<Vec<usize>> {
    let memory = Memory::of(layout);
    if memory == Memory::Contiguous || !memory.is_dense() {
        return Vec::new();
    }
    let (shape, stride) = (layout.shape(), layout.stride());
    let mut fastest_first: Vec<usize> = (0..shape.len()).collect();
    fastest_first.sort_by_key(|&axis| stride[axis]);
    let index_of = |mut number: usize| {
        let mut index = vec![0; shape.len()];
        for &axis in &fastest_first {
            index[axis] = number % shape[axis];
            number /= shape[axis];
        }
        index
    };
    (0..count.min(layout.numel())).map(index_of).collect()
}

/// How a tensor lies in memory, from the slowest axis to the fastest: what a picture of it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Axes of more than one index, slowest first; those of stride 0 first of all.
    pub cuts: Vec<Cut>,
    /// Elements of the storage, from the first one of the tensor on, with the flat index (C order) of the weight that
    /// each is; `None` in the gaps.
    pub strip: Vec<Option<usize>>,
    /// Elements of the storage before the first one.
    pub offset: usize,
    /// Elements from the first one of the tensor to the last.
    pub span: usize,
}

/// One axis in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The axis.
    pub axis: usize,
    /// Its size.
    pub size: usize,
    /// Elements from one index to the next.
    pub stride: usize,
    /// Elements from the first to the last that one index of it covers.
    pub covers: usize,
}

/// Elements of a strip.
const STRIP: usize = 4096;

impl Picture {
    /// Of a layout.
    pub fn of(layout: &Layout) -> Self {
        let (shape, stride) = (layout.shape(), layout.stride());
        let mut axes: Vec<usize> = (0..shape.len()).filter(|&axis| shape[axis] > 1).collect();
        // stable: the earlier axis is the slower one where strides are equal, as in C order
        axes.sort_by_key(|&axis| (stride[axis] != 0, std::cmp::Reverse(stride[axis])));
        let covers = |axis: usize| {
            let faster = axes
                .iter()
                .filter(|&&other| other != axis && stride[other] < stride[axis].max(1));
            faster
                .map(|&other| (shape[other] - 1) * stride[other])
                .sum::<usize>()
                + 1
        };
        let range = range(layout);
        let mut strip = vec![None; range.len().min(STRIP)];
        // every element whose index is small enough to be in the strip
        let most: Vec<usize> = shape
            .iter()
            .zip(stride)
            .map(|(&n, &s)| n.min(strip.len().checked_div(s).unwrap_or(0) + 1))
            .collect();
        let total: usize = most.iter().fold(1, |total, &n| total.saturating_mul(n));
        if layout.numel() > 0 && total <= STRIP << 8 {
            for mut number in (0..total).rev() {
                let mut index = vec![0; shape.len()];
                for axis in (0..shape.len()).rev() {
                    index[axis] = number % most[axis];
                    number /= most[axis];
                }
                let place = layout
                    .offset_of(&index)
                    .and_then(|at| at.checked_sub(range.start));
                if let Some(cell) = place.and_then(|place| strip.get_mut(place)) {
                    *cell = layout.ravel(&index);
                }
            }
        } else {
            strip.clear();
        }
        Self {
            cuts: axes
                .iter()
                .map(|&axis| Cut {
                    axis,
                    size: shape[axis],
                    stride: stride[axis],
                    covers: covers(axis),
                })
                .collect(),
            strip,
            offset: layout.storage_offset(),
            span: range.len(),
        }
    }
}

/// Whether the elements lie without gaps when the axes are walked from slowest to fastest in the order of `axes`.
fn is_dense(layout: &Layout, axes: &[usize]) -> bool {
    let mut expected: usize = 1;
    for &axis in axes.iter().rev() {
        if layout.shape()[axis] == 1 {
            continue;
        }
        if layout.stride()[axis] != expected {
            return false;
        }
        // no overflow: the product is at most the number of elements, which the layout has checked
        expected = expected.saturating_mul(layout.shape()[axis]);
    }
    true
}

/// Where a run of bytes lies: in its storage, and in the file where the storage lies there in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// Elements of the storage.
    pub elements: Range<u64>,
    /// Bytes of the file.
    pub file: Option<Range<u64>>,
    /// Whether the run holds the asked-for elements and nothing else (in whatever order).
    pub exact: bool,
    /// Where they lie at equal distances: the distance, in elements.
    pub every: Option<usize>,
}

impl Spot {
    /// The place of `layout`, a part of `tensor`, in the file; `None` for an empty layout.
    pub fn of(checkpoint: &Checkpoint, tensor: &TensorEntry, layout: &Layout) -> Option<Self> {
        if layout.numel() == 0 {
            return None;
        }
        let elements = layout.storage_offset() as u64..layout.extent() as u64;
        let bits = tensor.dtype.bits();
        let first = tensor.layout.storage_offset() as u64;
        let file = checkpoint.file_offset(tensor).map(|base| {
            let byte = |element: u64| base.saturating_add(bytes_of(element - first, bits));
            byte(elements.start)..byte(elements.end)
        });
        Some(Self {
            elements,
            file,
            exact: Memory::of(layout).is_dense(),
            every: distance(layout),
        })
    }
}

/// The distance between neighbours of a layout whose elements lie at equal distances above 1.
fn distance(layout: &Layout) -> Option<usize> {
    let axes = || {
        layout
            .shape()
            .iter()
            .zip(layout.stride())
            .filter(|(n, _)| **n > 1)
    };
    let step = axes()
        .map(|(_, &stride)| stride)
        .min()
        .filter(|&step| step > 1)?;
    if axes().any(|(_, stride)| !stride.is_multiple_of(step)) {
        return None;
    }
    let shape: Vec<usize> = axes().map(|(&n, _)| n).collect();
    let stride = axes().map(|(_, stride)| stride / step).collect();
    let scaled = Layout::new(shape, stride, 0).ok()?;
    Memory::of(&scaled).is_dense().then_some(step)
}

/// Bytes that `elements` elements take, rounded up for sub-byte types.
pub fn bytes_of(elements: u64, bits: usize) -> u64 {
    let bytes = (u128::from(elements) * bits as u128).div_ceil(8);
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// How another tensor in the same storage relates to a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// The same elements: tied weights.
    Same,
    /// Some elements in common.
    Overlapping,
    /// Another part of the storage.
    Apart,
}

impl Relation {
    /// Between two layouts over one storage.
    pub fn between(a: &Layout, b: &Layout) -> Self {
        let (a_range, b_range) = (range(a), range(b));
        if a_range.end <= b_range.start || b_range.end <= a_range.start {
            Self::Apart
        } else if a_range == b_range && Memory::of(a).is_dense() && Memory::of(b).is_dense() {
            Self::Same
        } else {
            Self::Overlapping
        }
    }
}

/// Elements of the storage from the first to the last that `layout` reaches.
pub fn range(layout: &Layout) -> Range<usize> {
    layout.storage_offset()..layout.extent().max(layout.storage_offset())
}

/// Which tensors live in which storage.
#[derive(Debug)]
pub struct Sharing {
    /// Tensor numbers per storage.
    residents: Vec<Vec<usize>>,
}

impl Sharing {
    /// Of a whole checkpoint.
    pub fn of(checkpoint: &Checkpoint) -> Self {
        let mut residents = vec![Vec::new(); checkpoint.storages().len()];
        for (number, tensor) in checkpoint.tensors().iter().enumerate() {
            if let Some(StorageId(storage)) = tensor.storage
                && let Some(list) = residents.get_mut(storage)
            {
                list.push(number);
            }
        }
        Self { residents }
    }

    /// The tensors in storage `id`, by number.
    pub fn residents(&self, id: StorageId) -> &[usize] {
        self.residents.get(id.0).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, Relation};
    use crate::tensor::Layout;

    fn layout(shape: &[usize], stride: &[usize], offset: usize) -> Layout {
        Layout::new(shape.to_vec(), stride.to_vec(), offset).unwrap()
    }

    #[test]
    fn memory_orders_are_told_apart() {
        let of = |shape: &[usize], stride: &[usize]| Memory::of(&layout(shape, stride, 0));
        assert_eq!(of(&[4, 3, 3, 2], &[18, 6, 2, 1]), Memory::Contiguous);
        assert_eq!(of(&[4, 3, 3, 2], &[18, 1, 6, 3]), Memory::ChannelsLast);
        assert_eq!(of(&[10, 3, 3, 3], &[1, 10, 30, 90]), Memory::ColumnMajor);
        assert_eq!(of(&[2, 3], &[1, 2]), Memory::ColumnMajor);
        assert_eq!(of(&[2, 3, 4], &[4, 8, 1]), Memory::Permuted(vec![1, 0, 2]));
        assert_eq!(of(&[2, 3], &[0, 1]), Memory::Expanded);
        assert_eq!(of(&[2, 3], &[6, 2]), Memory::Strided);
        assert_eq!(of(&[3, 3], &[1, 1]), Memory::Strided);
    }

    #[test]
    fn memory_is_walked_from_the_fastest_axis() {
        let layout = layout(&[2, 3, 2, 2], &[1, 2, 6, 12], 0);
        let first = super::first_stored(&layout, 3);
        assert_eq!(first, [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]);
        let offsets: Vec<_> = first.iter().map(|index| layout.offset_of(index)).collect();
        assert_eq!(offsets, [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn equal_distances_are_seen() {
        let of = |shape: &[usize], stride: &[usize]| super::distance(&layout(shape, stride, 5));
        assert_eq!(of(&[3, 3, 3], &[10, 30, 90]), Some(10));
        assert_eq!(of(&[3, 3], &[9, 3]), Some(3));
        assert_eq!(of(&[3, 3], &[3, 1]), None, "side by side");
        assert_eq!(of(&[3, 2], &[10, 4]), None);
        assert_eq!(of(&[3], &[0]), None);
    }

    #[test]
    fn a_picture_goes_from_the_slowest_axis_to_the_fastest() {
        let picture = |shape: &[usize], stride: &[usize], offset| {
            super::Picture::of(&layout(shape, stride, offset))
        };
        let found = picture(&[10, 3, 3, 3], &[1, 10, 30, 90], 0);
        let cuts: Vec<_> = found
            .cuts
            .iter()
            .map(|cut| (cut.axis, cut.stride, cut.covers))
            .collect();
        assert_eq!(cuts, [(3, 90, 90), (2, 30, 30), (1, 10, 10), (0, 1, 1)]);
        assert_eq!(found.strip[..3], [Some(0), Some(27), Some(54)]);
        assert_eq!(found.strip.len(), 270);
        assert!(found.strip.iter().all(Option::is_some));
        let found = picture(&[2, 3], &[8, 2], 4);
        assert_eq!((found.offset, found.span), (4, 13));
        let cells: String = found
            .strip
            .iter()
            .map(|cell| cell.map_or('.', |flat| char::from(b'0' + flat as u8)))
            .collect();
        assert_eq!(cells, "0.1.2...3.4.5");
        let found = picture(&[4, 3], &[0, 1], 0);
        assert_eq!(found.cuts[0].stride, 0);
        assert_eq!(
            found.strip,
            [Some(0), Some(1), Some(2)],
            "the first of those that share it"
        );
    }

    #[test]
    fn relations_in_one_storage() {
        let whole = layout(&[4, 3], &[3, 1], 0);
        let flipped = layout(&[3, 4], &[1, 3], 0);
        let half = layout(&[2, 3], &[3, 1], 0);
        let rest = layout(&[2, 3], &[3, 1], 6);
        assert_eq!(Relation::between(&whole, &flipped), Relation::Same);
        assert_eq!(Relation::between(&whole, &half), Relation::Overlapping);
        assert_eq!(Relation::between(&half, &rest), Relation::Apart);
    }
}
