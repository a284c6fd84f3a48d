//! Tar archives: which members there are, and where their bytes lie.
//!
//! A member is a header of 512 bytes and its data, filled up to a multiple of 512; two blocks of zeros end the archive.
//! Long names and sizes come in members of their own before the one that they are about. Source of the format: POSIX
//! `pax`, and for `L` GNU tar.

use std::ops::Range;

use crate::bytes::Limits;
use crate::error::{Error, ErrorKind, Result};

/// Bytes of a block: members begin at multiples of it.
pub const BLOCK: usize = 512;

/// A file in the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its bytes in the file.
    pub data: Range<usize>,
}

/// The plain files of the archive, in order. Folders and links are left out.
///
/// # Errors
///
/// `Malformed` where a header is damaged or a member reaches past the end of the file; `Limit` for more than
/// [`Limits::records`] members.
pub fn members(bytes: &[u8], limits: &Limits) -> Result<Vec<Member>> {
    let mut members = Vec::new();
    walk(bytes, limits, &mut members).map(|()| members)
}

/// The same of a damaged archive, up to where it is damaged, and what is wrong there. The last member may be cut off.
///
/// # Errors
///
/// `Limit` only.
pub fn members_left(bytes: &[u8], limits: &Limits) -> Result<(Vec<Member>, Option<Error>)> {
    let mut members = Vec::new();
    let error = match walk(bytes, limits, &mut members) {
        Ok(()) => return Ok((members, None)),
        Err(error) if error.kind() == ErrorKind::Limit => return Err(error),
        Err(error) => error,
    };
    let at = members
        .last()
        .map_or(0, |last| last.data.end.next_multiple_of(BLOCK));
    if let Some(header) = bytes.get(at..at + BLOCK)
        && has_right_sum(header)
        && at + BLOCK < bytes.len()
    {
        members.push(Member {
            name: name(header),
            data: at + BLOCK..bytes.len(),
        });
    }
    Ok((members, Some(error)))
}

fn walk(bytes: &[u8], limits: &Limits, members: &mut Vec<Member>) -> Result<()> {
    let mut at = 0;
    let mut next = Overrides::default();
    while let Some(header) = bytes.get(at..at + BLOCK) {
        if header.iter().all(|&b| b == 0) {
            break;
        }
        let (kind, data) =
            read_header(bytes, header, at, &next).map_err(|e| e.at_offset(at as u64))?;
        at = data.end.next_multiple_of(BLOCK);
        match kind {
            b'x' => next.pax(&bytes[data]),
            b'L' => next.name = Some(text(&bytes[data])),
            b'g' => {}
            b'0' | b'7' | 0 => {
                if members.len() >= limits.records {
                    return Err(Error::limit(format!(
                        "the tar has more than {} members",
                        limits.records
                    )));
                }
                let name = next.name.take().unwrap_or_else(|| name(header));
                next = Overrides::default();
                members.push(Member { name, data });
            }
            _ => next = Overrides::default(),
        }
    }
    Ok(())
}

/// What an extended header says about the member behind it.
#[derive(Default)]
struct Overrides {
    name: Option<String>,
    size: Option<usize>,
}

impl Overrides {
    /// Lines of `LENGTH KEY=VALUE`.
    fn pax(&mut self, mut data: &[u8]) {
        while let Some(space) = data.iter().position(|&b| b == b' ') {
            let length = std::str::from_utf8(&data[..space]).ok();
            let length = length.and_then(|text| text.parse::<usize>().ok());
            let Some(line) = length.and_then(|length| data.get(space + 1..length)) else {
                return;
            };
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            if let Some(name) = line.strip_prefix(b"path=") {
                self.name = Some(text(name));
            } else if let Some(size) = line.strip_prefix(b"size=") {
                self.size = std::str::from_utf8(size).ok().and_then(|s| s.parse().ok());
            }
            data = &data[length.unwrap_or(data.len())..];
        }
    }
}

fn has_right_sum(header: &[u8]) -> bool {
    let declared = number(&header[148..156]);
    let sum = |byte: fn(u8) -> i64| -> i64 {
        let shown = header.iter().enumerate().map(|(i, &b)| match i {
            148..156 => i64::from(b' '),
            _ => byte(b),
        });
        shown.sum()
    };
    // some old writers added signed bytes
    let sums = [sum(i64::from), sum(|b| i64::from(b as i8))];
    declared.is_some_and(|n| sums.contains(&(n as i64)))
}

/// The kind of the member whose header lies at `at`, and where its data lies.
fn read_header(
    bytes: &[u8],
    header: &[u8],
    at: usize,
    next: &Overrides,
) -> Result<(u8, Range<usize>)> {
    if !has_right_sum(header) {
        return Err(Error::malformed(
            "the tar's header has a wrong checksum: the file is damaged",
        ));
    }
    let kind = header[156];
    let size = match next.size {
        Some(size) if !matches!(kind, b'x' | b'g' | b'L') => Some(size),
        _ => number(&header[124..136]),
    };
    let has_data = !matches!(kind, b'1'..=b'6');
    let size = if has_data { size } else { Some(0) };
    let start = at + BLOCK;
    let end = size.and_then(|size| start.checked_add(size));
    match end {
        Some(end) if end <= bytes.len() => Ok((kind, start..end)),
        _ => Err(Error::malformed(format!(
            "the member {:?} of the tar should end at byte {}, the file ends at byte {}",
            name(header),
            end.unwrap_or(usize::MAX),
            bytes.len()
        ))
        .with_hint("the file was cut off: download or copy it again")),
    }
}

/// Octal digits, or (where the first bit is set) a big-endian number.
fn number(field: &[u8]) -> Option<usize> {
    if field[0] & 0x80 != 0 {
        let mut bytes = field.to_vec();
        bytes[0] &= 0x7f;
        return bytes.iter().try_fold(0usize, |n, &byte| {
            n.checked_mul(256)?.checked_add(byte.into())
        });
    }
    let digits = field.iter().copied();
    let digits = digits.skip_while(|&b| b == b' ');
    let digits = digits.take_while(|&b| b != b' ' && b != 0);
    digits.into_iter().try_fold(0usize, |n, digit| {
        let digit = (digit as char).to_digit(8)? as usize;
        n.checked_mul(8)?.checked_add(digit)
    })
}

fn name(header: &[u8]) -> String {
    let short = text(&header[..100]);
    let prefix = match &header[257..263] {
        b"ustar\0" => text(&header[345..500]),
        _ => String::new(),
    };
    if prefix.is_empty() {
        short
    } else {
        format!("{prefix}/{short}")
    }
}

/// Up to the first NUL; what is not UTF-8 is escaped.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes[..end].escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BLOCK, members};
    use crate::bytes::Limits;

    fn header(name: &str, size: usize, kind: u8) -> Vec<u8> {
        let mut header = vec![0; BLOCK];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
        header[148..156].fill(b' ');
        header[156] = kind;
        header[257..263].copy_from_slice(b"ustar\0");
        let sum: usize = header.iter().map(|&b| usize::from(b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        header
    }

    fn member(name: &str, data: &[u8], kind: u8) -> Vec<u8> {
        let mut bytes = header(name, data.len(), kind);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        bytes
    }

    fn names(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let members = members(bytes, &Limits::default()).unwrap();
        members
            .into_iter()
            .map(|m| (m.name, bytes[m.data].to_vec()))
            .collect()
    }

    #[test]
    fn members_with_short_long_and_extended_names() {
        let tar = [
            member("folder/", b"", b'5'),
            member("a", b"1234", b'0'),
            member("pax", b"17 path=much/long\n", b'x')[..].to_vec(),
            member("short", b"56", b'0'),
            member("././@LongLink", b"longer\0", b'L'),
            member("cut", &[7; 600], 0),
            vec![0; 2 * BLOCK],
            member("behind the end", b"x", b'0'),
        ]
        .concat();
        let found = names(&tar);
        assert_eq!(found[0], ("a".into(), b"1234".to_vec()));
        assert_eq!(found[1].1, b"56");
        assert_eq!(found[2], ("longer".into(), vec![7; 600]));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn damage_is_named_by_its_place() {
        let mut tar = member("a", b"1234", b'0');
        tar.truncate(BLOCK + 2);
        let error = members(&tar, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("byte 0") && error.contains("516"), "{error}");
        let mut tar = member("a", b"1234", b'0');
        tar[3] = b'!';
        let error = members(&tar, &Limits::default()).unwrap_err().to_string();
        assert!(error.contains("checksum"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, at in 0usize..600, value: u8) {
            let _ = members(&bytes, &Limits::default());
            let mut tar = [member("a", b"1234", b'0'), member("b", &bytes, b'x'), member("c", b"", b'0')].concat();
            let at = at % tar.len();
            tar[at] = value;
            if let Ok(found) = members(&tar, &Limits::default()) {
                prop_assert!(found.iter().all(|m| m.data.end <= tar.len()));
            }
        }
    }
}
