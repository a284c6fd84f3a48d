//! Where each element of a tensor lies in its storage: shape, stride, storage offset.

/// Shape, stride and storage offset, all in elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    shape: Vec<usize>,
    stride: Vec<usize>,
    storage_offset: usize,
}

impl Layout {
    /// A layout; refused where `shape` and `stride` differ in length or any size overflows.
    pub fn new(
        shape: Vec<usize>,
        stride: Vec<usize>,
        storage_offset: usize,
    ) -> crate::error::Result<Self> {
        todo!("{shape:?} {stride:?} {storage_offset}")
    }
    /// The C-contiguous layout of `shape` at offset 0.
    pub fn contiguous(shape: Vec<usize>) -> crate::error::Result<Self> {
        todo!("{shape:?}")
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
        todo!()
    }
    /// Elements of the storage needed: one past the highest offset reached, 0 for an empty tensor.
    pub fn extent(&self) -> usize {
        todo!()
    }
    /// Whether the elements lie in C order without gaps (as `torch.Tensor.is_contiguous()`).
    pub fn is_contiguous(&self) -> bool {
        todo!()
    }
    /// Storage offset (in elements, `storage_offset` included) of the element at `index`; `None` outside the shape.
    pub fn offset_of(&self, index: &[usize]) -> Option<usize> {
        todo!("{index:?}")
    }
    /// Index of the `flat`-th element in C order; `None` past the end.
    pub fn unravel(&self, flat: usize) -> Option<Vec<usize>> {
        todo!("{flat}")
    }
    /// Position of `index` in C order; `None` outside the shape.
    pub fn ravel(&self, index: &[usize]) -> Option<usize> {
        todo!("{index:?}")
    }
}
