//! Elements as float64, for drawing.

use super::MOST_VALUES;
use crate::error::Error;
use crate::error::Result;
use crate::tensor::ByteOrder;
use crate::tensor::DType;
use crate::tensor::Element;
use crate::tensor::Layout;
use crate::tensor::TensorView;

/// The elements of a tensor in C order, one at a time.
pub(super) struct Numbers<'a> {
    flat: TensorView<'a>,
    floats: Option<&'a [[u8; 4]]>,
}

/// Refuses elements that are no single real numbers.
pub(super) fn check(dtype: DType) -> Result<()> {
    if dtype.is_complex() || dtype == DType::Float4E2m1fnX2 {
        return Err(Error::unsupported(format!(
            "has elements of {dtype}, each of which is two numbers; one is drawn as one shade"
        ))
        .with_hint("`pthinspect export` writes them, numpy takes them apart"));
    }
    Ok(())
}

impl<'a> Numbers<'a> {
    /// `bytes` are the elements in C order, little-endian.
    pub(super) fn new(bytes: &'a [u8], dtype: DType, count: usize) -> Result<Self> {
        check(dtype)?;
        let layout = Layout::contiguous(vec![count])?;
        Ok(Self {
            flat: TensorView::new(bytes, dtype, layout, ByteOrder::Little)?,
            floats: (dtype == DType::Float32).then_some(bytes.as_chunks().0),
        })
    }

    /// The number at flat position `at`.
    pub(super) fn at(&self, at: usize) -> f64 {
        if let Some(floats) = self.floats {
            return floats
                .get(at)
                .map_or(f64::NAN, |&bytes| f32::from_le_bytes(bytes).into());
        }
        match self.flat.element(&[at]) {
            Some(Element::Float(value)) => value,
            Some(Element::Int(value)) => value as f64,
            Some(Element::Bool(value)) => f64::from(u8::from(value)),
            Some(Element::Complex(..) | Element::Pair(..)) | None => f64::NAN,
        }
    }
}

/// Refuses more values than can be drawn.
pub(super) fn check_count(count: Option<usize>) -> Result<usize> {
    count.filter(|&count| count <= MOST_VALUES).ok_or_else(|| {
        Error::limit(format!("more than {MOST_VALUES} values to draw"))
            .with_hint("choose some with --filter and --channel")
    })
}
