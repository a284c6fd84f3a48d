//! The header: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.

use crate::bytes::Cursor;
use crate::bytes::Limits;
use crate::error::Error;
use crate::error::Result;
use crate::tensor::ByteOrder;
use crate::tensor::DType;
use crate::tensor::Layout;

const MAGIC: &[u8] = b"\x93NUMPY";

/// What the header says.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// Element type.
    pub dtype: DType,
    /// Byte order of the elements.
    pub order: ByteOrder,
    /// The first axis is the fastest.
    pub fortran_order: bool,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Offset of the first element from the start of the file.
    pub data_at: usize,
}

impl Header {
    /// Reads the header at the start of `bytes`.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let mut cursor = Cursor::new(bytes, 0);
        if cursor.take(MAGIC.len(), "the magic number")? != MAGIC {
            return Err(Error::malformed(
                "is no .npy file: it does not start with \\x93NUMPY",
            ));
        }
        let major = cursor.u8("the version")?;
        let _minor = cursor.u8("the version")?;
        let length = match major {
            1 => usize::from(cursor.u16("the header's length")?),
            2 | 3 => cursor.u32("the header's length")? as usize,
            other => {
                return Err(Error::unsupported(format!(
                    ".npy version {other}; versions 1 to 3 are known"
                )));
            }
        };
        if length > limits.header_bytes {
            return Err(Error::limit(format!(
                "the header has {length} bytes, more than the limit header_bytes of {}",
                limits.header_bytes
            )));
        }
        let start = cursor.offset();
        let text = cursor.take(length, "the header")?;
        let literal = Literal { text, at: 0, start }.read()?;
        literal.into_header(cursor.position(), start)
    }

    /// Bytes of all elements.
    pub fn nbytes(&self) -> Result<usize> {
        let numel = self
            .shape
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size));
        numel
            .and_then(|numel| self.dtype.bytes_of(numel))
            .ok_or_else(|| Error::malformed(format!("the shape {:?} overflows", self.shape)))
    }

    /// Shape and strides.
    pub fn layout(&self) -> Result<Layout> {
        if !self.fortran_order {
            return Layout::contiguous(self.shape.clone());
        }
        let mut step = 1usize;
        let mut stride = Vec::with_capacity(self.shape.len());
        for &size in &self.shape {
            stride.push(step);
            step = step.saturating_mul(size.max(1)); // Layout refuses what overflows
        }
        Layout::new(self.shape.clone(), stride, 0)
    }
}

/// The header's three entries as they are read; the rest of the text must be the literal's own punctuation.
struct Literal<'a> {
    text: &'a [u8],
    at: usize,
    /// Offset of the text in the file, for errors.
    start: u64,
}

#[derive(Default)]
struct Entries {
    descr: Option<String>,
    fortran_order: Option<bool>,
    shape: Option<Vec<usize>>,
}

impl Literal<'_> {
    fn read(mut self) -> Result<Entries> {
        let mut entries = Entries::default();
        self.expect(b'{')?;
        while !self.accept(b'}') {
            let key = self.string()?;
            self.expect(b':')?;
            match key.as_str() {
                "descr" => entries.descr = Some(self.string()?),
                "fortran_order" => entries.fortran_order = Some(self.truth()?),
                "shape" => entries.shape = Some(self.shape()?),
                _ => return Err(self.wrong("one of the keys descr, fortran_order, shape")),
            }
            if !self.accept(b',') {
                self.expect(b'}')?;
                break;
            }
        }
        if !self.text[self.at..].iter().all(u8::is_ascii_whitespace) {
            return Err(self.wrong("the end of the header"));
        }
        Ok(entries)
    }

    fn peek(&mut self) -> Option<u8> {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.text.get(self.at).copied()
    }

    fn accept(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: u8) -> Result<()> {
        if self.accept(wanted) {
            return Ok(());
        }
        Err(self.wrong(&format!("{:?}", char::from(wanted))))
    }

    fn wrong(&self, expected: &str) -> Error {
        Error::malformed(format!(
            "the header is no plain literal: expected {expected}"
        ))
        .at_offset(self.start + self.at as u64)
    }

    fn string(&mut self) -> Result<String> {
        let quote = match self.peek() {
            Some(quote @ (b'\'' | b'"')) => quote,
            Some(b'[') => {
                return Err(Error::unsupported(
                    "structured arrays (a descr that is a list) are not read",
                ));
            }
            _ => return Err(self.wrong("a string")),
        };
        let rest = &self.text[self.at + 1..];
        let end = rest.iter().position(|&b| b == quote || b == b'\\');
        match end {
            Some(end) if rest[end] == quote => {
                self.at += end + 2;
                Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
            }
            _ => Err(self.wrong("a plain string")),
        }
    }

    fn word(&mut self) -> &[u8] {
        self.peek();
        let rest = &self.text[self.at..];
        let end = rest.iter().position(|b| !b.is_ascii_alphanumeric());
        let word = &rest[..end.unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn truth(&mut self) -> Result<bool> {
        match self.word() {
            b"True" => Ok(true),
            b"False" => Ok(false),
            _ => Err(self.wrong("True or False")),
        }
    }

    fn shape(&mut self) -> Result<Vec<usize>> {
        let mut shape = Vec::new();
        self.expect(b'(')?;
        while !self.accept(b')') {
            let digits = String::from_utf8_lossy(self.word()).into_owned();
            // Python 2 wrote 3L
            let digits = digits.strip_suffix('L').unwrap_or(&digits);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(self.wrong("a size"));
            }
            shape.push(digits.parse().map_err(|_| {
                Error::malformed(format!("the size {digits} in the shape is too large"))
                    .at_offset(self.start + self.at as u64)
            })?);
            if !self.accept(b',') {
                self.expect(b')')?;
                break;
            }
        }
        Ok(shape)
    }
}

impl Entries {
    fn into_header(self, data_at: usize, start: u64) -> Result<Header> {
        let missing =
            |key: &str| Error::malformed(format!("the header has no {key:?}")).at_offset(start);
        let descr = self.descr.ok_or_else(|| missing("descr"))?;
        let (order, dtype) = parse_descr(&descr)?;
        Ok(Header {
            dtype,
            order,
            fortran_order: self.fortran_order.ok_or_else(|| missing("fortran_order"))?,
            shape: self.shape.ok_or_else(|| missing("shape"))?,
            data_at,
        })
    }
}

fn parse_descr(descr: &str) -> Result<(ByteOrder, DType)> {
    let (order, kind) = match descr.as_bytes().first() {
        Some(b'<' | b'|' | b'=') => (ByteOrder::Little, &descr[1..]),
        Some(b'>') => (ByteOrder::Big, &descr[1..]),
        _ => (ByteOrder::Little, descr),
    };
    if kind.starts_with('O') {
        return Err(Error::unsupported(
            "an array of Python objects, which numpy pickles; it is not read",
        ));
    }
    DType::ALL
        .iter()
        .copied()
        .filter(|_| !kind.starts_with('V')) // raw bytes: nobody says of what
        .find(|dtype| dtype.npy_descr().is_some_and(|known| &known[1..] == kind))
        .map(|dtype| (order, dtype))
        .ok_or_else(|| Error::unsupported(format!("elements of numpy's type {descr:?}")))
}

/// See [`super::write_header`].
pub(super) fn write(dtype: DType, shape: &[usize]) -> Result<Vec<u8>> {
    let descr = dtype.npy_descr().ok_or_else(|| {
        Error::unsupported(format!("numpy has no type for {}", dtype.name()))
            .with_hint("export it as raw binary")
    })?;
    let sizes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    let comma = if shape.len() == 1 { "," } else { "" };
    let literal = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}{comma}), }}",
        sizes.join(", ")
    );
    // version 1 holds 65,535 bytes; a shape that long does not exist
    let prefix = MAGIC.len() + 4;
    let total = (prefix + literal.len() + 1).next_multiple_of(64);
    let length = u16::try_from(total - prefix)
        .map_err(|_| Error::unsupported(format!("a .npy of {} axes", shape.len())))?;
    let mut header = MAGIC.to_vec();
    header.extend([1, 0]);
    header.extend(length.to_le_bytes());
    header.extend(literal.bytes());
    header.resize(total - 1, b' ');
    header.push(b'\n');
    Ok(header)
}
