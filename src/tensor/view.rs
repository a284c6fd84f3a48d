//! Storage bytes + dtype + layout, validated once.

use std::borrow::Cow;
use std::io::Write;

use crate::error::Result;
use crate::tensor::dtype::{ByteOrder, DType};
use crate::tensor::element::Element;
use crate::tensor::layout::Layout;

/// A tensor's elements: infallible to read once built.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    bytes: Cow<'a, [u8]>,
    dtype: DType,
    layout: Layout,
    order: ByteOrder,
    conj: bool,
    neg: bool,
}

impl<'a> TensorView<'a> {
    /// Joins storage bytes (the whole storage) with a layout; refused where the layout reaches past the bytes.
    pub fn new(
        bytes: impl Into<Cow<'a, [u8]>>,
        dtype: DType,
        layout: Layout,
        order: ByteOrder,
    ) -> Result<Self> {
        let _ = (bytes.into(), dtype, layout, order);
        todo!()
    }
    /// Marks the view as conjugated and/or negated (torch's lazy bits).
    #[must_use]
    pub fn with_bits(mut self, conj: bool, neg: bool) -> Self {
        (self.conj, self.neg) = (conj, neg);
        self
    }
    /// Element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
    /// Shape, stride, offset.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }
    /// The element at `index`, decoded; `None` outside the shape.
    pub fn element(&self, index: &[usize]) -> Option<Element> {
        todo!("{index:?} {:?} {:?}", self.bytes.len(), self.order)
    }
    /// The element's bits as an integer, most significant digit first, as stored in value (byte order resolved):
    /// `0x3f8a1c22` for a float32. `None` outside the shape.
    pub fn bits(&self, index: &[usize]) -> Option<u128> {
        todo!("{index:?}")
    }
    /// Writes the logical elements: C-contiguous, little-endian, conjugation and negation resolved.
    pub fn write_logical(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let _ = out;
        todo!()
    }
    /// The logical elements as float32 in C order; refused for any other dtype.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        todo!()
    }
}
