//! numpy's `.npy`: a header with type and shape, and the elements.
//!
//! A `.npz` is a zip with a member `KEY.npy` for each array; [`view`] reads such a member as it does a file.
//!
//! Source of the format: `numpy/lib/format.py`, versions 1.0 to 3.0. Elements that numpy has no number for are written
//! as raw bytes: bfloat16 as `<V2`, which is what ml_dtypes writes, 8-bit floats as `|V1`, complex32 as `|V4`;
//! `numpy.load(...).view(ml_dtypes.bfloat16)` makes numbers of them again. Elements of less than a byte are refused.

mod literal;
mod reader;
mod writer;

pub use reader::{Header, view};
pub use writer::{header, write};

/// Name of the member of a `.npz` that holds the array `key`.
pub fn npz_member(key: &str) -> String {
    format!("{key}.npy")
}

const MAGIC: &[u8] = b"\x93NUMPY";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{header, view, write};
    use crate::bytes::Limits;
    use crate::tensor::{ByteOrder, DType, Element, Layout, TensorView};

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn refusal(header: &str, data: &[u8]) -> String {
        view(&npy(header, data), &Limits::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn every_type_that_has_a_descr_is_written_and_most_come_back() {
        for &dtype in DType::ALL {
            let layout = Layout::contiguous(vec![2, 3]).unwrap();
            let bytes: Vec<u8> = (0..dtype.bytes_of(6).unwrap()).map(|i| i as u8).collect();
            let tensor = TensorView::new(bytes.clone(), dtype, layout, ByteOrder::Little).unwrap();
            let mut file = Vec::new();
            assert_eq!(
                write(&tensor, &mut file).is_ok(),
                dtype.npy_descr().is_some(),
                "{dtype}"
            );
            let Some(descr) = dtype.npy_descr() else {
                continue;
            };
            assert!(file.ends_with(&bytes));
            assert_eq!((file.len() - bytes.len()) % 64, 0);
            let again = view(&file, &Limits::default());
            if descr.starts_with("|V") {
                assert!(again.unwrap_err().to_string().contains("raw bytes"));
            } else {
                assert_eq!(again.unwrap().to_bytes().unwrap(), bytes, "{dtype}");
            }
        }
    }

    #[test]
    fn fortran_order_and_big_endian() {
        let data: Vec<u8> = (0..6i16).flat_map(i16::to_be_bytes).collect();
        let file = npy(
            "{'descr': '>i2', 'fortran_order': True, 'shape': (2L, 3), }\n",
            &data,
        );
        let view = view(&file, &Limits::default()).unwrap();
        assert_eq!(view.layout().stride(), [1, 2]);
        assert_eq!(view.element(&[1, 0]), Some(Element::Int(1)));
        assert_eq!(view.element(&[0, 2]), Some(Element::Int(4)));
    }

    #[test]
    fn each_refusal_says_what_is_wrong() {
        for (header, message) in [
            (
                "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
                "Python objects",
            ),
            (
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
                "structured",
            ),
            (
                "{'descr': '<U3', 'fortran_order': False, 'shape': (1,), }",
                "'<U3'",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
                "need 12 bytes",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 4611686018427387904), }",
                "more than 2^63",
            ),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os'), }",
                "byte ",
            ),
            ("{'descr': '<f4', 'shape': (1,), }", "fortran_order"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
                "byte ",
            ),
            ("{'descr': '<f4", "byte "),
        ] {
            let error = refusal(header, &[0; 8]);
            assert!(error.contains(message), "{header}\n{error}");
        }
        let cut = &npy(
            "{'descr': '<f4', 'fortran_order': False, 'shape': (), }",
            &[0; 4],
        )[..20];
        let error = view(cut, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("header needs"), "{error}");
    }

    #[test]
    fn the_header_is_numpys_own() {
        // numpy.save of numpy.zeros((2, 3), "f4"), numpy 2
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        let written = header(DType::Float32, &[2, 3]).unwrap();
        assert_eq!(written.len(), 128);
        assert_eq!(&written[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert_eq!(&written[10..10 + text.len()], text.as_bytes());
        assert!(written.ends_with(b" \n"));
        assert!(
            header(DType::Float32, &[])
                .unwrap()
                .windows(13)
                .any(|w| w == b"'shape': (), ")
        );
        assert!(
            header(DType::Float32, &[5])
                .unwrap()
                .windows(14)
                .any(|w| w == b"'shape': (5,),")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in "[{}'a-z<:,() 0-9]{0,60}") {
            let _ = view(&bytes, &Limits::default());
            let _ = view(&npy(&text, &bytes), &Limits::default());
        }
    }
}
