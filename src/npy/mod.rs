//! numpy's `.npy`: a magic number, a header that is a Python literal, and the elements; `.npz` is a zip of those.
//!
//! Format: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>, versions 1 to 3. The header is
//! read as the literal that it is, never evaluated; arrays of Python objects (pickles) are refused.

use std::borrow::Cow;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::container::Zip;
use crate::error::Error;
use crate::error::Result;
use crate::tensor::DType;
use crate::tensor::TensorView;

pub mod header;

pub use header::Header;

/// The array of a `.npy` file that starts with the first of `bytes`.
pub fn read<'a>(bytes: impl Into<Cow<'a, [u8]>>, limits: &Limits) -> Result<TensorView<'a>> {
    let bytes = bytes.into();
    let header = Header::read(&bytes, limits)?;
    let data = match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[header.data_at..]),
        Cow::Owned(mut bytes) => Cow::Owned(bytes.split_off(header.data_at)),
    };
    let (wanted, there) = (header.nbytes()?, data.len());
    if there < wanted {
        return Err(Error::malformed(format!(
            "the header announces {wanted} bytes of elements, {there} are there"
        ))
        .at_offset(header.data_at as u64));
    }
    TensorView::new(data, header.dtype, header.layout()?, header.order)
}

/// The header of a `.npy` of little-endian elements in C order, padded to 64 bytes as numpy does.
///
/// Refused for types that numpy cannot hold even as raw bytes.
pub fn write_header(dtype: DType, shape: &[usize]) -> Result<Vec<u8>> {
    header::write(dtype, shape)
}

/// The array `key` of a `.npz`: its member `KEY.npy`. Without a key, the only one.
pub fn read_npz(
    source: &ByteSource,
    key: Option<&str>,
    limits: &Limits,
) -> Result<TensorView<'static>> {
    let zip = Zip::open(source, limits)?;
    let arrays: Vec<_> = zip
        .records()
        .iter()
        .filter_map(|record| Some((record.name.strip_suffix(".npy")?, record)))
        .collect();
    let chosen = match key {
        Some(key) => arrays.iter().find(|(name, _)| *name == key),
        None if arrays.len() == 1 => arrays.first(),
        None => None,
    };
    let Some((_, record)) = chosen else {
        let names: Vec<_> = arrays.iter().take(8).map(|(name, _)| *name).collect();
        let what = match key {
            Some(key) => format!("the .npz has no array {key:?}"),
            None => "the .npz has more arrays than one, and no :KEY says which".to_owned(),
        };
        return Err(Error::usage(what).with_hint(format!("it has {}", names.join(", "))));
    };
    let bytes = zip.read(record, limits.tensor_bytes)?.into_owned();
    read(bytes, limits).map_err(|e| e.in_record(record.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Element;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn read_all(header: &str, data: &[u8]) -> Result<Vec<f32>> {
        read(npy(header, data), &Limits::default())?.to_f32()
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = write_header(DType::Float32, &[2, 1]).unwrap();
        assert_eq!(bytes.len() % 64, 0);
        bytes.extend([1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()));
        let view = read(bytes, &Limits::default()).unwrap();
        assert_eq!(view.layout().shape(), [2, 1]);
        assert_eq!(view.to_f32().unwrap(), [1.5, -2.0]);
    }

    #[test]
    fn fortran_order_and_big_endian_are_understood() {
        let numbers = [1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0];
        let little: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let big: Vec<u8> = numbers.iter().flat_map(|x| x.to_be_bytes()).collect();
        let fortran = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }";
        assert_eq!(
            read_all(fortran, &little).unwrap(),
            [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]
        );
        let swapped = "{'descr': '>f4', 'fortran_order': False, 'shape': (6,), }";
        assert_eq!(read_all(swapped, &big).unwrap(), numbers);
    }

    #[test]
    fn a_scalar_has_no_axes() {
        let bytes = npy(
            "{'descr': '<i8', 'fortran_order': False, 'shape': (), }",
            &7i64.to_le_bytes(),
        );
        let view = read(bytes, &Limits::default()).unwrap();
        assert_eq!(view.element(&[]), Some(Element::Int(7)));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let ok = "'fortran_order': False, 'shape': (2,), }";
        for (header, wanted) in [
            (format!("{{'descr': '|O', {ok}"), "Python objects"),
            (format!("{{'descr': 'f4' + '', {ok}"), "expected"),
            (format!("{{'descr': '<f4', {ok}"), "8 bytes of elements, 0"),
            (format!("{{'descr': '<q9', {ok}"), "\"<q9\""),
            ("{'descr': '<f4', 'shape': (2,)}".into(), "fortran_order"),
            (
                "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}".into(),
                "too large",
            ),
            ("".into(), "expected"),
        ] {
            let error = read_all(&header, &[]).unwrap_err().to_string();
            assert!(error.contains(wanted), "{header}: {error}");
        }
        let cut = npy(&format!("{{'descr': '<f4', {ok}"), &[0; 8]);
        for end in 0..cut.len() {
            assert!(read(&cut[..end], &Limits::default()).is_err());
        }
    }
}
