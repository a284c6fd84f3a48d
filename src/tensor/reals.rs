//! Packed elements as real numbers, many at a time: for figures and histograms, where [`super::TensorView::element`]
//! would be slow.

use half::{bf16, f16};

use crate::tensor::dtype::{DType, Encoding};
use crate::tensor::element::Element;

/// Calls `visit` with each of the first `numel` elements of `bytes` (packed, little-endian, as
/// [`super::TensorView::write_logical`] writes them) as a float64: integers rounded to the nearest, `bool` as 0 or 1,
/// complex numbers as their modulus, both numbers of a pair of float4.
pub fn each_real(dtype: DType, bytes: &[u8], numel: usize, mut visit: impl FnMut(f64)) {
    match dtype.encoding() {
        Encoding::Float32 => words::<4>(bytes, |word| visit(f32::from_le_bytes(word).into())),
        Encoding::Float64 => words::<8>(bytes, |word| visit(f64::from_le_bytes(word))),
        Encoding::Float16 => words::<2>(bytes, |word| visit(f16::from_le_bytes(word).to_f64())),
        Encoding::BFloat16 => words::<2>(bytes, |word| visit(bf16::from_le_bytes(word).to_f64())),
        _ if dtype.bits() < 8 => {
            for at in 0..numel {
                let code = super::logical::packed(bytes, at, dtype.bits());
                real(&Element::decode(dtype, code.into()), &mut visit);
            }
        }
        _ => {
            for element in bytes.chunks_exact(dtype.bits() / 8) {
                let mut word = [0; 16];
                word[..element.len()].copy_from_slice(element);
                real(
                    &Element::decode(dtype, u128::from_le_bytes(word)),
                    &mut visit,
                );
            }
        }
    }
}

/// Every code of a type of at most 8 bits, decoded: entry `n` is the element whose bits are `n`. `None` for wider types.
pub fn codes(dtype: DType) -> Option<Vec<Element>> {
    let bits = dtype.bits();
    (bits <= 8).then(|| {
        (0..1u128 << bits)
            .map(|code| Element::decode(dtype, code))
            .collect()
    })
}

fn words<const SIZE: usize>(bytes: &[u8], visit: impl FnMut([u8; SIZE])) {
    let (words, _) = bytes.as_chunks::<SIZE>();
    words.iter().copied().for_each(visit);
}

fn real(element: &Element, visit: &mut impl FnMut(f64)) {
    match *element {
        Element::Float(value) => visit(value),
        Element::Int(value) => visit(value as f64),
        Element::Bool(value) => visit(value.into()),
        Element::Complex(re, im) => visit(re.hypot(im)),
        Element::Pair(low, high) => {
            visit(low);
            visit(high);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{codes, each_real};
    use crate::tensor::DType;
    use crate::tensor::Element;

    fn reals(dtype: DType, bytes: &[u8], numel: usize) -> Vec<f64> {
        let mut found = Vec::new();
        each_real(dtype, bytes, numel, |value| found.push(value));
        found
    }

    #[test]
    fn every_type_is_decoded_as_elements_are() {
        let bytes: Vec<u8> = (0..64u8).map(|n| n.wrapping_mul(37)).collect();
        for &dtype in DType::ALL {
            let numel = dtype.elements_in(bytes.len());
            let layout = crate::tensor::Layout::contiguous(vec![numel]).unwrap();
            let view = crate::tensor::TensorView::new(
                &bytes[..],
                dtype,
                layout,
                crate::tensor::ByteOrder::Little,
            )
            .unwrap();
            let mut wanted = Vec::new();
            for at in 0..numel {
                match view.element(&[at]).unwrap() {
                    Element::Float(value) => wanted.push(value),
                    Element::Int(value) => wanted.push(value as f64),
                    Element::Bool(value) => wanted.push(value.into()),
                    Element::Complex(re, im) => wanted.push(re.hypot(im)),
                    Element::Pair(low, high) => wanted.extend([low, high]),
                }
            }
            let same = |a: &f64, b: &f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
            let found = reals(dtype, &bytes, numel);
            assert_eq!(found.len(), wanted.len(), "{dtype}");
            assert!(
                found.iter().zip(&wanted).all(|(a, b)| same(a, b)),
                "{dtype}"
            );
        }
    }

    #[test]
    fn codes_are_those_of_narrow_types() {
        assert_eq!(codes(DType::Int8).unwrap()[255], Element::Int(-1));
        assert_eq!(codes(DType::QUInt4x2).unwrap().len(), 16);
        assert_eq!(codes(DType::Float16), None);
    }
}
