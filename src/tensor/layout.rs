//! Where each element of a tensor lies in its storage: shape, stride, storage offset.
//!
//! The element at index `i` lies at `storage_offset + i[0] * stride[0] + i[1] * stride[1] + ...` elements from the
//! storage's start. All of this arithmetic is checked once, in [`Layout::new`]; afterwards nothing can overflow.

use crate::error::{Error, Result};

/// torch counts elements in an `int64_t`.
const MOST: usize = i64::MAX as usize;

/// Shape, stride and storage offset, all in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    shape: Vec<usize>,
    stride: Vec<usize>,
    storage_offset: usize,
    numel: usize,
    extent: usize,
}

impl Layout {
    /// A layout; refused where `shape` and `stride` differ in length or any size overflows.
    pub fn new(shape: Vec<usize>, stride: Vec<usize>, storage_offset: usize) -> Result<Self> {
        if shape.len() != stride.len() {
            return Err(Error::malformed(format!(
                "shape {} has {} axes, stride {} has {}",
                list(&shape),
                shape.len(),
                list(&stride),
                stride.len()
            )));
        }
        let Some(numel) = numel(&shape) else {
            return Err(too_large(&shape));
        };
        let extent = if numel == 0 {
            Some(0)
        } else {
            highest(&shape, &stride, storage_offset).and_then(|offset| offset.checked_add(1))
        };
        let Some(extent) = extent.filter(|&n| n <= MOST && storage_offset <= MOST) else {
            return Err(Error::malformed(format!(
                "shape {} with stride {} and storage offset {storage_offset} reaches beyond 2^63 elements",
                list(&shape),
                list(&stride)
            )));
        };
        Ok(Self {
            shape,
            stride,
            storage_offset,
            numel,
            extent,
        })
    }

    /// The C-contiguous layout of `shape` at offset 0.
    pub fn contiguous(shape: Vec<usize>) -> Result<Self> {
        let mut stride = vec![1; shape.len()];
        let mut step = 1usize;
        for (axis, &size) in shape.iter().enumerate().rev() {
            stride[axis] = step;
            step = step
                .checked_mul(size.max(1)) // as torch does, so that an empty tensor has strides
                .filter(|&n| n <= MOST)
                .ok_or_else(|| too_large(&shape))?;
        }
        Self::new(shape, stride, 0)
    }

    /// Sizes per axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Elements from one index to the next, per axis.
    pub fn stride(&self) -> &[usize] {
        &self.stride
    }

    /// Elements from the storage's start to the element at index 0.
    pub fn storage_offset(&self) -> usize {
        self.storage_offset
    }

    /// Number of elements (1 for a 0-d tensor).
    pub fn numel(&self) -> usize {
        self.numel
    }

    /// Elements of the storage needed: one past the highest offset reached, 0 for an empty tensor.
    pub fn extent(&self) -> usize {
        self.extent
    }

    /// Whether the elements lie in C order without gaps (as `torch.Tensor.is_contiguous()`).
    pub fn is_contiguous(&self) -> bool {
        self.numel == 0 || self.dense_in((0..self.shape.len()).rev())
    }

    /// Whether the elements lie in NHWC order without gaps (as `is_contiguous(memory_format=torch.channels_last)`).
    /// Only of 4-d tensors; one with a single channel, or a single row and column, is contiguous as well.
    pub fn is_channels_last(&self) -> bool {
        self.shape.len() == 4 && self.dense_in([1, 3, 2, 0])
    }

    /// Whether the elements lie in NDHWC order without gaps (as `torch.channels_last_3d`). Only of 5-d tensors.
    pub fn is_channels_last_3d(&self) -> bool {
        self.shape.len() == 5 && self.dense_in([1, 4, 3, 2, 0])
    }

    /// Whether `axes`, innermost first, follow one another without gaps. Where an axis has one index its stride is
    /// never used, and torch does not look at it.
    fn dense_in(&self, axes: impl IntoIterator<Item = usize>) -> bool {
        let mut step = 1usize;
        for axis in axes {
            let size = self.shape[axis];
            if size != 1 {
                if self.stride[axis] != step {
                    return false;
                }
                step = step.saturating_mul(size);
            }
        }
        true
    }

    /// Storage offset (in elements, `storage_offset` included) of the element at `index`; `None` outside the shape.
    pub fn offset_of(&self, index: &[usize]) -> Option<usize> {
        self.inside(index)
            .then(|| self.storage_offset + dot(index, &self.stride))
    }

    /// Index of the `flat`-th element in C order; `None` past the end.
    pub fn unravel(&self, flat: usize) -> Option<Vec<usize>> {
        if flat >= self.numel {
            return None;
        }
        let mut rest = flat;
        let mut index = vec![0; self.shape.len()];
        for (i, &size) in index.iter_mut().zip(&self.shape).rev() {
            *i = rest % size; // no size is 0 where there is an element
            rest /= size;
        }
        Some(index)
    }

    /// Position of `index` in C order; `None` outside the shape.
    pub fn ravel(&self, index: &[usize]) -> Option<usize> {
        self.inside(index).then(|| {
            index
                .iter()
                .zip(&self.shape)
                .fold(0, |flat, (&i, &size)| flat * size + i)
        })
    }

    fn inside(&self, index: &[usize]) -> bool {
        index.len() == self.shape.len() && index.iter().zip(&self.shape).all(|(i, size)| i < size)
    }

    /// The axes that are left when those of one index are dropped and neighbours that follow one another without a
    /// gap are joined: (size, stride), outermost first. The elements and their order stay the same.
    pub(super) fn joined_axes(&self) -> Vec<(usize, usize)> {
        let mut axes: Vec<(usize, usize)> = Vec::with_capacity(self.shape.len());
        for (&size, &stride) in self.shape.iter().zip(&self.stride) {
            if size == 1 {
                continue;
            }
            match axes.last_mut() {
                Some((outer, outer_stride)) if stride.checked_mul(size) == Some(*outer_stride) => {
                    *outer = outer.saturating_mul(size); // at most numel, or 0
                    *outer_stride = stride;
                }
                _ => axes.push((size, stride)),
            }
        }
        axes
    }
}

fn numel(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    let n = shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size))?;
    (n <= MOST).then_some(n)
}

fn highest(shape: &[usize], stride: &[usize], storage_offset: usize) -> Option<usize> {
    shape
        .iter()
        .zip(stride)
        .try_fold(storage_offset, |offset, (&size, &step)| {
            offset.checked_add((size - 1).checked_mul(step)?)
        })
}

fn dot(index: &[usize], stride: &[usize]) -> usize {
    index.iter().zip(stride).map(|(i, step)| i * step).sum()
}

fn too_large(shape: &[usize]) -> Error {
    Error::malformed(format!("shape {} has more than 2^63 elements", list(shape)))
}

impl std::fmt::Display for Layout {
    /// `shape [2, 3] with stride [3, 1] and storage offset 0`; cut where a hostile file has a million axes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (shape, stride) = (list(&self.shape), list(&self.stride));
        let offset = self.storage_offset;
        write!(
            f,
            "shape {shape} with stride {stride} and storage offset {offset}"
        )
    }
}

/// `[64, 3, 7, 7]`; cut after 16 axes, since a hostile file may have a million.
pub(crate) fn list(sizes: &[usize]) -> String {
    match sizes {
        [first @ .., _] if first.len() >= 16 => {
            format!("{:?} and {} more", &sizes[..16], sizes.len() - 16)
        }
        _ => format!("{sizes:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::Layout;
    use proptest::prelude::*;

    fn layout(shape: &[usize], stride: &[usize]) -> Layout {
        Layout::new(shape.to_vec(), stride.to_vec(), 0).unwrap()
    }

    #[test]
    fn torch_looks_at_no_stride_of_an_axis_of_one() {
        assert!(layout(&[1, 3], &[17, 1]).is_contiguous());
        assert!(layout(&[2, 1, 3], &[3, 99, 1]).is_contiguous());
        assert!(!layout(&[2, 3], &[1, 2]).is_contiguous());
        assert!(layout(&[2, 0, 3], &[9, 9, 9]).is_contiguous());
        assert!(layout(&[], &[]).is_contiguous());
        assert!(!layout(&[2], &[0]).is_contiguous());
    }

    #[test]
    fn channels_last() {
        let nhwc = layout(&[2, 3, 4, 5], &[60, 1, 15, 3]);
        assert!(nhwc.is_channels_last() && !nhwc.is_contiguous());
        let one_channel = layout(&[2, 1, 4, 5], &[20, 20, 5, 1]);
        assert!(one_channel.is_channels_last() && one_channel.is_contiguous());
        assert!(layout(&[1, 2, 3, 4, 5], &[1, 1, 40, 10, 2]).is_channels_last_3d());
    }

    #[test]
    fn what_overflows_is_refused() {
        let huge = usize::MAX / 2;
        assert!(Layout::new(vec![huge, 3], vec![1, 1], 0).is_err());
        assert!(Layout::new(vec![2], vec![usize::MAX], 0).is_err());
        assert!(Layout::new(vec![2], vec![1], usize::MAX).is_err());
        assert!(Layout::new(vec![2, 2], vec![1], 0).is_err());
        assert!(Layout::contiguous(vec![huge, 3]).is_err());
        let expanded = Layout::new(vec![1 << 60], vec![0], 5).unwrap();
        assert_eq!((expanded.numel(), expanded.extent()), (1 << 60, 6));
        let empty = Layout::new(vec![0, huge, huge], vec![1, 1, 1], 7).unwrap();
        assert_eq!((empty.numel(), empty.extent()), (0, 0));
    }

    #[test]
    fn the_message_stays_short() {
        let error = Layout::new(vec![2; 1000], vec![1], 0)
            .unwrap_err()
            .to_string();
        assert!(
            error.len() < 200 && error.contains("and 984 more"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn ravel_and_unravel_are_inverse(shape in prop::collection::vec(1usize..5, 0..5), seed: usize) {
            let layout = Layout::contiguous(shape).unwrap();
            let flat = seed % layout.numel();
            let index = layout.unravel(flat).unwrap();
            prop_assert_eq!(layout.ravel(&index), Some(flat));
            prop_assert_eq!(layout.offset_of(&index), Some(flat)); // contiguous at 0
            prop_assert_eq!(layout.unravel(layout.numel()), None);
        }

        #[test]
        fn joined_axes_keep_the_offsets(
            axes in prop::collection::vec((1usize..4, 0usize..9), 0..5),
        ) {
            let (shape, stride): (Vec<_>, Vec<_>) = axes.into_iter().unzip();
            let layout = Layout::new(shape, stride, 3).unwrap();
            let joined = layout.joined_axes();
            let (sizes, steps): (Vec<_>, Vec<_>) = joined.into_iter().unzip();
            let short = Layout::new(sizes, steps, 3).unwrap();
            prop_assert_eq!(short.numel(), layout.numel());
            for flat in 0..layout.numel() {
                let at = |l: &Layout| l.offset_of(&l.unravel(flat).unwrap()).unwrap();
                prop_assert_eq!(at(&short), at(&layout));
            }
        }
    }
}
