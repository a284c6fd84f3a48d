//! The header, in the order of the file, with the place of each name.

use std::collections::HashMap;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bytes::Cursor;
use crate::bytes::Limits;
use crate::error::{Error, Result};
use crate::tensor::DType;

/// Bytes of the header's length, before the header.
const LENGTH_BYTES: usize = 8;
const METADATA: &str = "__metadata__";

/// A parsed and validated header.
#[derive(Clone, Debug)]
pub struct Header {
    /// One entry per tensor, in the order of the header.
    pub entries: Vec<HeaderEntry>,
    /// `__metadata__`, in the order of the header.
    pub metadata: Vec<(String, String)>,
    /// Where the data begins: bytes from the start of the file.
    pub data_at: usize,
}

/// One tensor of the header. All positions are in bytes from the start of the file.
#[derive(Clone, Debug)]
pub struct HeaderEntry {
    /// Its name.
    pub name: String,
    /// Element type: of `F4` `float4_e2m1fn`, four bits to an element.
    pub dtype: DType,
    /// Sizes per axis, in elements.
    pub shape: Vec<usize>,
    /// Its bytes.
    pub data: Range<usize>,
    /// Its name in the header, quotes included.
    pub key_span: Range<usize>,
    /// What the header says of it, braces included.
    pub value_span: Range<usize>,
}

#[derive(Deserialize)]
struct TensorInfo {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl Header {
    /// Parses and validates the header of the whole file `bytes`; no tensor data is touched.
    ///
    /// # Errors
    ///
    /// `Malformed`, with the byte offset, for JSON that is none, names that occur twice, unknown types, and data that
    /// does not follow one another without gaps up to the end of the file; `Limit` for a header of more than
    /// [`Limits::header_bytes`], or a tensor of more axes than [`Limits::axes`].
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let header = Self::parse(bytes, limits)?;
        header.check_places(bytes.len())?;
        Ok(header)
    }

    /// Parses the header alone: the data may be cut off, and need not lie as it should.
    ///
    /// # Errors
    ///
    /// As [`Header::read`], but for what concerns the places of the data.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let text = text(bytes, limits)?;
        let data_at = LENGTH_BYTES + text.len();
        let mut header = Self {
            entries: Vec::new(),
            metadata: Vec::new(),
            data_at,
        };
        let mut scanner = Scanner { text, at: 0 };
        scanner.members(|scanner, key, key_span| {
            if key == METADATA {
                header.metadata = metadata(scanner)?;
            } else {
                let entry = entry(scanner, key, key_span, data_at, limits)?;
                header.entries.push(entry);
            }
            Ok(())
        })?;
        scanner.end()?;
        Ok(header)
    }

    /// The data of the tensors follow one another without gaps and fill the file.
    ///
    /// # Errors
    ///
    /// `Malformed` for the first gap, overlap or end that is not where it should be.
    pub fn check_places(&self, file_len: usize) -> Result<()> {
        let mut order: Vec<&HeaderEntry> = self.entries.iter().collect();
        order.sort_by_key(|entry| (entry.data.start, entry.data.end));
        let mut end = self.data_at;
        let mut before = String::from("the header");
        for entry in order {
            if entry.data.start != end {
                let what = if entry.data.start < end {
                    "overlaps"
                } else {
                    "leaves a gap after"
                };
                return Err(Error::malformed(format!(
                    "{}: its data begins at byte {} of the file, which {what} {before}, whose end is byte {end}",
                    quoted(&entry.name),
                    entry.data.start
                ))
                .at_offset(entry.key_span.start as u64));
            }
            end = entry.data.end;
            before = quoted(&entry.name);
        }
        if end > file_len {
            let beyond = self
                .entries
                .iter()
                .filter(|e| e.data.end > file_len)
                .count();
            return Err(Error::malformed(format!(
                "is cut off: its header describes {end} bytes, it has {file_len}; {beyond} of {} tensors are not all there",
                self.entries.len()
            ))
            .with_hint("download or copy it again"));
        }
        if end < file_len {
            return Err(Error::malformed(format!(
                "has {} bytes that belong to no tensor after the last one",
                file_len - end
            ))
            .at_offset(end as u64));
        }
        Ok(())
    }
}

/// The header's text: its length is the file's first eight bytes.
fn text<'a>(bytes: &'a [u8], limits: &Limits) -> Result<&'a str> {
    let mut cursor = Cursor::new(bytes, 0);
    let length = cursor.u64("the length of a safetensors header")?;
    if length > limits.header_bytes as u64 {
        return Err(Error::limit(format!(
            "the safetensors header has {length} bytes, the limit is {} (header_bytes)",
            limits.header_bytes
        ))
        .at_offset(0));
    }
    if length > cursor.remaining() as u64 {
        return Err(Error::malformed(format!(
            "is cut off inside the header: it has {length} bytes from byte 8 on, the file ends at byte {}",
            bytes.len()
        ))
        .with_hint("download or copy it again"));
    }
    let header = cursor.take(length as usize, "the safetensors header")?;
    std::str::from_utf8(header).map_err(|e| {
        Error::malformed("the safetensors header is not UTF-8")
            .at_offset((LENGTH_BYTES + e.valid_up_to()) as u64)
    })
}

fn metadata(scanner: &mut Scanner<'_>) -> Result<Vec<(String, String)>> {
    if scanner.literal("null") {
        return Ok(Vec::new());
    }
    let mut pairs = Vec::new();
    scanner.members(|scanner, key, _| {
        let (value, _) = scanner.value("a text in __metadata__")?;
        pairs.push((key, value));
        Ok(())
    })?;
    Ok(pairs)
}

fn entry(
    scanner: &mut Scanner<'_>,
    name: String,
    key_span: Range<usize>,
    data_at: usize,
    limits: &Limits,
) -> Result<HeaderEntry> {
    let (info, value_span): (TensorInfo, _) = scanner
        .value("dtype, shape and data_offsets")
        .map_err(|e| {
            Error::malformed(format!("{}: {}", quoted(&name), e.message()))
                .at_offset(e.location().offset.unwrap_or(0))
        })?;
    let refuse = |message: String| {
        Error::malformed(format!("{}: {message}", quoted(&name))).at_offset(value_span.start as u64)
    };
    let Some(dtype) = DType::from_safetensors_tag(&info.dtype) else {
        return Err(refuse(format!("unknown dtype {}", quoted(&info.dtype))));
    };
    if info.shape.len() > limits.axes {
        let (axes, most) = (info.shape.len(), limits.axes);
        return Err(Error::limit(format!(
            "{}: a tensor of {axes} axes, more than {most} (axes)",
            quoted(&name)
        ))
        .at_offset(value_span.start as u64));
    }
    let (start, end) = info.data_offsets;
    // the product of all sizes, zeros included, must fit: as the crate has it
    let numel = info
        .shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size));
    let bits = numel.and_then(|n| n.checked_mul(dtype.bits()));
    let Some(bits) = bits else {
        return Err(refuse("its shape has too many elements".into()));
    };
    let Some(data) = place(data_at, start, end) else {
        return Err(refuse(format!(
            "its data_offsets [{start}, {end}] run backwards, or too far"
        )));
    };
    if !bits.is_multiple_of(8) {
        return Err(refuse(format!("its {bits} bits do not fill whole bytes")));
    }
    if bits / 8 != end - start {
        return Err(refuse(format!(
            "its dtype and shape need {} bytes, its data_offsets span {}",
            bits / 8,
            end - start
        )));
    }
    Ok(HeaderEntry {
        name,
        dtype,
        shape: info.shape,
        data,
        key_span,
        value_span,
    })
}

fn place(data_at: usize, start: usize, end: usize) -> Option<Range<usize>> {
    (start <= end).then_some(())?;
    Some(data_at.checked_add(start)?..data_at.checked_add(end)?)
}

/// A name as errors show it: escaped, and cut where a hostile file makes it endless.
fn quoted(name: &str) -> String {
    let mut shown: String = name.chars().take(120).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// A walk through JSON that knows where it is; values are serde_json's, one at a time.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    /// The members of an object, each name once. `each` reads the value.
    fn members(
        &mut self,
        mut each: impl FnMut(&mut Self, String, Range<usize>) -> Result<()>,
    ) -> Result<()> {
        let mut seen: HashMap<String, usize> = HashMap::new();
        self.expect(b'{')?;
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let (key, span): (String, _) = self.value("a name")?;
            if let Some(first) = seen.insert(key.clone(), span.start) {
                return Err(Error::malformed(format!(
                    "the name {} occurs twice, first at byte {first}; programs choose differently",
                    quoted(&key)
                ))
                .at_offset(span.start as u64));
            }
            self.expect(b':')?;
            each(self, key, span)?;
            if !self.take(b',') {
                return self.expect(b'}');
            }
        }
    }

    fn value<T: DeserializeOwned>(&mut self, what: &str) -> Result<(T, Range<usize>)> {
        self.skip_space();
        let start = self.at;
        let rest = &self.text[start..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<T>();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok((value, LENGTH_BYTES + start..LENGTH_BYTES + self.at))
            }
            Some(Err(e)) => {
                let at = start + position(rest, &e);
                Err(Error::malformed(format!("expected {what}: {}", reason(&e)))
                    .at_offset((LENGTH_BYTES + at) as u64))
            }
            None => Err(self.error(&format!("expected {what}, the header ends here"))),
        }
    }

    fn literal(&mut self, literal: &str) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(literal);
        if found {
            self.at += literal.len();
        }
        found
    }

    fn skip_space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|b| b" \t\r\n".contains(b)).count();
    }

    fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<()> {
        if self.take(byte) {
            return Ok(());
        }
        Err(self.error(&format!("expected `{}`", byte as char)))
    }

    /// Only padding may follow.
    fn end(&mut self) -> Result<()> {
        self.skip_space();
        if self.at == self.text.len() {
            return Ok(());
        }
        Err(self.error("there is more after the end of the JSON"))
    }

    fn error(&self, message: &str) -> Error {
        Error::malformed(format!("the safetensors header: {message}"))
            .at_offset((LENGTH_BYTES + self.at) as u64)
    }
}

/// serde_json counts lines and columns (in bytes).
fn position(text: &str, error: &serde_json::Error) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum();
    (before + error.column().saturating_sub(1)).min(text.len())
}

/// Its message, without `at line 1 column 7`.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((reason, _)) => reason.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::Header;
    use crate::bytes::Limits;
    use crate::tensor::DType;
    use proptest::prelude::*;

    fn file(header: &str, data: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        bytes
    }

    fn read(header: &str, data: usize) -> Result<Header, String> {
        Header::read(&file(header, data), &Limits::default()).map_err(|e| e.to_string())
    }

    const A: &str = r#""a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;

    #[test]
    fn keeps_the_order_and_the_places() {
        let header =
            format!(r#"{{"z":{{"dtype":"BF16","shape":[3],"data_offsets":[8,14]}}, {A} }}  "#);
        let read = read(&header, 14).unwrap();
        let names: Vec<&str> = read.entries.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(names, ["z", "a"]);
        let bytes = file(&header, 14);
        for entry in &read.entries {
            assert_eq!(
                bytes[entry.key_span.clone()],
                *format!("{:?}", entry.name).as_bytes()
            );
            assert!(bytes[entry.value_span.clone()].starts_with(b"{\"dtype\""));
        }
        assert_eq!(read.entries[0].dtype, DType::BFloat16);
        assert_eq!(read.entries[0].data, bytes.len() - 6..bytes.len());
    }

    #[test]
    fn each_refusal_names_the_place() {
        let b = |offsets: &str| {
            format!(r#"{{{A},"b":{{"dtype":"U8","shape":[4],"data_offsets":{offsets}}}}}"#)
        };
        for (header, data, message) in [
            (
                b("[8,12]"),
                11,
                "is cut off: its header describes 127 bytes, it has 126; 1 of 2",
            ),
            (
                b("[8,12]"),
                13,
                "byte 127: has 1 bytes that belong to no tensor",
            ),
            (
                b("[9,13]"),
                13,
                "byte 62: \"b\": its data begins at byte 124 of the file, which leaves a gap after \"a\"",
            ),
            (b("[7,11]"), 11, "overlaps \"a\", whose end is byte"),
            (b("[8,13]"), 13, "need 4 bytes, its data_offsets span 5"),
            (b("[12,8]"), 12, "run backwards"),
            (
                b("[8]"),
                12,
                "\"b\": expected dtype, shape and data_offsets: invalid length 1",
            ),
            (b("[-1,3]"), 12, "invalid value"),
            (
                format!("{{{A},{A}}}"),
                8,
                "byte 62: the name \"a\" occurs twice, first at byte 9",
            ),
            (A.replace("F32", "F33"), 8, "expected `{`"),
            (
                format!("{{{}}}", A.replace("F32", "F33")),
                8,
                "unknown dtype \"F33\"",
            ),
            (
                format!("{{{}}}", A.replace("[2]", "[9223372036854775807,9]")),
                8,
                "too many elements",
            ),
            (format!("{{{A}}} x"), 8, "more after the end"),
            (format!("{{{A}"), 8, "expected `}`"),
            (
                r#"{"__metadata__":{"a":1}}"#.into(),
                0,
                "expected a text in __metadata__",
            ),
            (
                r#"{"__metadata__":{"a":"1","a":"2"}}"#.into(),
                0,
                "occurs twice",
            ),
            ("[]".into(), 0, "expected `{`"),
        ] {
            let error = read(&header, data).unwrap_err();
            assert!(error.contains(message), "{header}\n{error}");
        }
    }

    #[test]
    fn a_long_header_is_a_limit() {
        let error = Header::read(&[0xff; 16], &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("header_bytes"), "{error}");
    }

    prop_compose! {
        /// Headers that are nearly right: names from a small set, sizes that mostly fit.
        fn headers()(
            entries in prop::collection::vec(("[ab]\\\\?.{0,2}", 0usize..4, 0usize..4, -1i64..2), 0..5),
            dtype in prop::sample::select(vec!["F32", "U8", "F4", "F6_E2M3", "C64", "X"]),
            tail in "[ \n]{0,3}x?",
            slack in -1i64..2,
        ) -> (String, usize, bool) {
            let mut at = 0i64;
            let mut parts = Vec::new();
            let names: std::collections::HashSet<&str> = entries.iter().map(|e| e.0.as_str()).collect();
            let twice = names.len() < entries.len();
            for (name, rows, columns, wrong) in entries {
                let bits = match dtype { "F4" => 4, "F6_E2M3" => 6, "U8" => 8, "F32" => 32, _ => 64 };
                let bytes = (rows * columns * bits).div_ceil(8) as i64;
                let wrong = if wrong == 1 { 1 } else { 0 };
                parts.push(format!("{}:{{\"dtype\":\"{dtype}\",\"shape\":[{rows},{columns}],\"data_offsets\":[{at},{}]}}",
                    serde_json::to_string(&name).unwrap(), at + bytes + wrong));
                at += bytes;
            }
            let slack = if slack == 1 { 1 } else { 0 };
            (format!("{{{}}}{tail}", parts.join(",")), (at + slack) as usize, twice)
        }
    }

    proptest! {
        #[test]
        fn the_crate_gives_the_same_verdict((header, data, twice) in headers()) {
            let bytes = file(&header, data);
            let ours = Header::read(&bytes, &Limits::default());
            let theirs = safetensors::SafeTensors::deserialize(&bytes);
            match (ours, theirs) {
                (Ok(ours), Ok(theirs)) => {
                    prop_assert_eq!(ours.entries.len(), theirs.len());
                    for entry in ours.entries {
                        let tensor = theirs.tensor(&entry.name).unwrap();
                        prop_assert_eq!(tensor.shape(), &entry.shape[..]);
                        prop_assert_eq!(tensor.data(), &bytes[entry.data]);
                    }
                }
                // of two equal names the crate forgets the first, whatever it says
                (Err(ours), Ok(_)) => prop_assert!(twice, "{ours}"),
                (Ok(_), Err(theirs)) => prop_assert!(false, "the crate refuses: {theirs}"),
                (Err(_), Err(_)) => {}
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = Header::read(&bytes, &Limits::default());
        }
    }
}
