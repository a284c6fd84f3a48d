//! Storage bytes + dtype + layout, validated once.

use std::borrow::Cow;
use std::io::Write;

use crate::error::{Error, Result};
use crate::tensor::dtype::{ByteOrder, DType, Encoding};
use crate::tensor::element::Element;
use crate::tensor::layout::Layout;
use crate::tensor::logical;

/// A tensor's elements: infallible to read once built.
#[derive(Clone, Debug)]
pub struct TensorView<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) dtype: DType,
    pub(super) layout: Layout,
    pub(super) order: ByteOrder,
    pub(super) conj: bool,
    pub(super) neg: bool,
}

impl<'a> TensorView<'a> {
    /// Joins storage bytes (the whole storage) with a layout; refused where the layout reaches past the bytes.
    ///
    /// Elements of less than a byte are packed, the first in the lowest bits.
    pub fn new(
        bytes: impl Into<Cow<'a, [u8]>>,
        dtype: DType,
        layout: Layout,
        order: ByteOrder,
    ) -> Result<Self> {
        let bytes = bytes.into();
        let needed = dtype.bytes_of(layout.extent());
        if needed.is_none_or(|needed| needed > bytes.len()) {
            return Err(Error::malformed(format!(
                "reaches element {} of its storage, which has {} bytes: {} elements of {dtype}",
                layout.extent().saturating_sub(1),
                bytes.len(),
                dtype.elements_in(bytes.len())
            )));
        }
        Ok(Self {
            bytes,
            dtype,
            layout,
            order,
            conj: false,
            neg: false,
        })
    }

    /// Marks the view as conjugated and/or negated (torch's lazy bits). Negation changes floats, complex numbers and
    /// integers, conjugation complex numbers.
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

    /// The element at `index`, decoded, conjugation and negation resolved; `None` outside the shape.
    pub fn element(&self, index: &[usize]) -> Option<Element> {
        let mut bits = self.stored(index)?;
        if self.conj || self.neg {
            let mut bytes = bits.to_le_bytes();
            let size = self.dtype.bits() / 8;
            logical::resolve(&mut bytes[..size], self.dtype, self.conj, self.neg);
            bits = u128::from_le_bytes(bytes);
        }
        Some(Element::decode(self.dtype, bits))
    }

    /// The element's bits as an integer, byte order resolved, as stored (before conjugation and negation):
    /// `0x3f8a1c22` for a float32. Of a complex number the real part is in the high digits. `None` outside the shape.
    pub fn bits(&self, index: &[usize]) -> Option<u128> {
        let bits = self.stored(index)?;
        let half = self.dtype.bits() / 2;
        Some(if self.dtype.is_complex() {
            let low = bits & ((1u128 << half) - 1);
            low << half | bits >> half
        } else {
            bits
        })
    }

    /// The bits as they lie in memory on a little-endian machine.
    fn stored(&self, index: &[usize]) -> Option<u128> {
        let offset = self.layout.offset_of(index)?;
        let bits = self.dtype.bits();
        if bits < 8 {
            return Some(logical::packed(&self.bytes, offset, bits).into());
        }
        let size = bits / 8;
        let mut bytes = [0; 16];
        bytes[..size].copy_from_slice(self.bytes.get(offset * size..(offset + 1) * size)?);
        if self.order == ByteOrder::Big {
            logical::turn_round(&mut bytes[..size], self.dtype.component_bytes());
        }
        Some(u128::from_le_bytes(bytes))
    }

    /// Writes the logical elements: C-contiguous, little-endian, conjugation and negation resolved. Elements of less
    /// than a byte are packed, the first in the lowest bits; what the last byte has left is zero.
    ///
    /// Takes at most a megabyte of memory; where the elements lie as wanted, they are written in one go.
    pub fn write_logical(&self, out: &mut dyn Write) -> std::io::Result<()> {
        logical::write(self, out)
    }

    /// Whether the logical elements lie in the storage just as they are written, so that nothing is copied.
    pub fn is_as_it_lies(&self) -> bool {
        self.as_it_lies().is_some()
    }

    /// The logical elements' bytes, where they lie in the storage just as they are written.
    pub fn as_it_lies(&self) -> Option<&[u8]> {
        logical::as_they_lie(self)
    }

    /// The logical elements as bytes, as [`TensorView::write_logical`] writes them: borrowed where they lie so.
    ///
    /// # Errors
    ///
    /// `Limit` where there is no memory for them.
    pub fn to_bytes(&self) -> Result<Cow<'_, [u8]>> {
        if let Some(bytes) = logical::as_they_lie(self) {
            return Ok(Cow::Borrowed(bytes));
        }
        let mut bytes = Vec::new();
        let size = self.dtype.bytes_of(self.layout.numel());
        size.and_then(|size| bytes.try_reserve_exact(size).ok())
            .ok_or_else(|| no_memory(self.layout.numel(), self.dtype))?;
        self.write_logical(&mut bytes)
            .map_err(|e| Error::malformed(e.to_string()))?; // a Vec takes everything
        Ok(Cow::Owned(bytes))
    }

    /// The logical elements as float32 in C order; refused for any other dtype.
    ///
    /// # Errors
    ///
    /// `Unsupported` for another dtype, `Limit` where there is no memory for them.
    pub fn to_f32(&self) -> Result<Vec<f32>> {
        if self.dtype.encoding() != Encoding::Float32 {
            return Err(Error::unsupported(format!(
                "has elements of {}, float32 is needed",
                self.dtype
            )));
        }
        let bytes = self.to_bytes()?;
        let mut values = Vec::new();
        values
            .try_reserve_exact(self.layout.numel())
            .map_err(|_| no_memory(self.layout.numel(), self.dtype))?;
        let (words, _) = bytes.as_chunks::<4>();
        values.extend(words.iter().map(|&word| f32::from_le_bytes(word)));
        Ok(values)
    }
}

fn no_memory(numel: usize, dtype: DType) -> Error {
    Error::limit(format!(
        "there is no memory for {numel} elements of {dtype}"
    ))
}
