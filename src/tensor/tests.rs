//! Views against ndarray, which has its own idea of strides.

use ndarray::{ArrayView, IxDyn, ShapeBuilder};
use proptest::prelude::*;

use super::{ByteOrder, DType, Element, Layout, TensorView};

fn logical(view: &TensorView<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    view.write_logical(&mut out).unwrap();
    out
}

fn bytes_of(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// Each element by itself: the oracle of `write_logical`.
fn one_by_one(view: &TensorView<'_>) -> Vec<Element> {
    (0..view.layout().numel())
        .map(|flat| {
            let index = view.layout().unravel(flat).unwrap();
            view.element(&index).unwrap()
        })
        .collect()
}

prop_compose! {
    /// Any strides at all: broken, overlapping, expanded.
    fn layouts()(axes in prop::collection::vec((0usize..5, 0usize..7), 0..5), offset in 0usize..4) -> Layout {
        let (shape, stride) = axes.into_iter().unzip();
        Layout::new(shape, stride, offset).unwrap()
    }
}

proptest! {
    #[test]
    fn a_view_is_what_ndarray_sees(layout in layouts()) {
        let storage: Vec<f32> = (0..layout.extent()).map(|i| i as f32 + 0.5).collect();
        let bytes = bytes_of(&storage);
        let view = TensorView::new(&bytes[..], DType::Float32, layout.clone(), ByteOrder::Little).unwrap();
        if layout.numel() > 0 {
            let shape = IxDyn(layout.shape()).strides(IxDyn(layout.stride()));
            // ndarray refuses views whose elements overlap only where they are mutable
            let theirs = ArrayView::from_shape(shape, &storage[layout.storage_offset()..]);
            prop_assume!(theirs.is_ok());
            let theirs: Vec<f32> = theirs.unwrap().iter().copied().collect();
            prop_assert_eq!(view.to_f32().unwrap(), theirs);
        } else {
            prop_assert_eq!(view.to_f32().unwrap(), Vec::<f32>::new());
        }
    }

    #[test]
    fn writing_agrees_with_looking_at_each_element(
        layout in layouts(),
        which in 0..DType::ALL.len(),
        (big, conj, neg) in any::<(bool, bool, bool)>(),
        seed in any::<[u8; 32]>(),
    ) {
        let dtype = DType::ALL[which];
        let (conj, neg) = if dtype.bits() < 8 { (false, false) } else { (conj, neg) };
        let nbytes = dtype.bytes_of(layout.extent()).unwrap();
        let bytes: Vec<u8> = seed.iter().copied().cycle().take(nbytes).collect();
        let order = if big { ByteOrder::Big } else { ByteOrder::Little };
        let view = TensorView::new(bytes, dtype, layout.clone(), order).unwrap().with_bits(conj, neg);
        let written = logical(&view);
        let flat = Layout::contiguous(layout.shape().to_vec()).unwrap();
        let again = TensorView::new(written, dtype, flat, ByteOrder::Little).unwrap();
        // as text, so that a NaN equals a NaN
        prop_assert_eq!(format!("{:?}", one_by_one(&view)), format!("{:?}", one_by_one(&again)));
    }
}

#[test]
fn a_view_may_not_reach_past_its_bytes() {
    let layout = Layout::new(vec![2, 2], vec![3, 1], 1).unwrap(); // needs 6 elements
    for (nbytes, fits) in [(24, true), (23, false)] {
        let view = TensorView::new(
            vec![0; nbytes],
            DType::Float32,
            layout.clone(),
            ByteOrder::Little,
        );
        assert_eq!(view.is_ok(), fits, "{nbytes}");
    }
    let packed = TensorView::new(vec![0; 3], DType::QUInt4x2, layout, ByteOrder::Little);
    assert!(packed.is_ok());
}

#[test]
fn bits_have_the_byte_order_resolved() {
    let view = |bytes: &'static [u8], dtype, order| {
        TensorView::new(bytes, dtype, Layout::contiguous(vec![]).unwrap(), order).unwrap()
    };
    let one = view(&[0x3f, 0x80, 0, 0], DType::Float32, ByteOrder::Big);
    assert_eq!(one.bits(&[]), Some(0x3f80_0000));
    assert_eq!(one.element(&[]), Some(Element::Float(1.0)));
    let complex = view(
        &[0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0],
        DType::Complex64,
        ByteOrder::Little,
    );
    assert_eq!(complex.bits(&[]), Some(0x3f80_0000_c000_0000));
    assert_eq!(complex.element(&[]), Some(Element::Complex(1.0, -2.0)));
    assert_eq!(
        complex.with_bits(true, false).element(&[]),
        Some(Element::Complex(1.0, 2.0))
    );
}

#[test]
fn long_rows_come_in_several_chunks() {
    let numel = 700_000; // more than a chunk, and not a multiple of one
    let storage: Vec<f32> = (0..2 * numel).map(|i| i as f32).collect();
    let bytes = bytes_of(&storage);
    let every_second = Layout::new(vec![numel], vec![2], 0).unwrap();
    let view =
        TensorView::new(&bytes[..], DType::Float32, every_second, ByteOrder::Little).unwrap();
    let wanted: Vec<f32> = storage.iter().copied().step_by(2).collect();
    assert_eq!(view.to_f32().unwrap(), wanted);
}

#[test]
fn a_hopeless_expansion_is_an_error_not_an_abort() {
    let layout = Layout::new(vec![1 << 60], vec![0], 0).unwrap();
    let view = TensorView::new(vec![0; 4], DType::Float32, layout, ByteOrder::Little).unwrap();
    assert!(view.to_f32().is_err());
}
