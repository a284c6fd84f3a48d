//! The end of a zip and its central directory, as written: every entry, duplicates included.
//!
//! The `zip` crate keeps one entry per name and drops the rest before anybody can see them, so the directory is read
//! here. Source of the format: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16 and 4.5.3 (zip64).

use crate::bytes::Cursor;
use crate::bytes::Limits;
use crate::error::{Error, Result};

const END: &[u8; 4] = b"PK\x05\x06";
const END64: &[u8; 4] = b"PK\x06\x06";
const LOCATOR64: &[u8; 4] = b"PK\x06\x07";
const CENTRAL: &[u8; 4] = b"PK\x01\x02";
const END_LEN: usize = 22;
const LOCATOR64_LEN: usize = 20;
const END64_LEN: usize = 56;
const CENTRAL_LEN: usize = 46;
/// The comment after the end record has a 16-bit length.
const MAX_COMMENT: usize = u16::MAX as usize;

/// One entry of the central directory; sizes and offsets are zip64's where those are used.
#[derive(Clone, Debug)]
pub(super) struct Central<'a> {
    pub(super) name: &'a [u8],
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc32: u32,
    pub(super) stored_len: u64,
    pub(super) len: u64,
    pub(super) header_at: u64,
}

/// The central directory and what surrounds it.
pub(super) struct Directory<'a> {
    pub(super) entries: Vec<Central<'a>>,
    /// Where it begins: no record may reach further.
    pub(super) at: u64,
    /// Where the zip ends: after the end record and its comment.
    pub(super) end: u64,
}

/// What the end record (or its zip64 twin) says.
#[derive(Debug, PartialEq, Eq)]
struct End {
    entries: u64,
    size: u64,
    at: u64,
}

impl<'a> Directory<'a> {
    pub(super) fn read(bytes: &'a [u8], limits: &Limits) -> Result<Self> {
        let (directory, start) = Self::read_if(bytes, limits, |start| start == 0)?;
        debug_assert_eq!(start, 0);
        Ok(directory)
    }

    /// Also of a zip that something was put in front of; returns where the zip begins, which its offsets count from.
    /// Those of the entries count from the start of `bytes`.
    pub(super) fn read_anywhere(bytes: &'a [u8], limits: &Limits) -> Result<(Self, u64)> {
        Self::read_if(bytes, limits, |_| true)
    }

    fn read_if(
        bytes: &'a [u8],
        limits: &Limits,
        may_begin_at: impl Fn(u64) -> bool,
    ) -> Result<(Self, u64)> {
        let end_at = find_end(bytes)?;
        let (end, directory_end) = read_end(bytes, end_at, may_begin_at(1))?;
        let comment = usize::from(u16::from_le_bytes([bytes[end_at + 20], bytes[end_at + 21]]));
        if end.entries > limits.records as u64 {
            return Err(Error::limit(format!(
                "the zip has {} records, the limit is {} (records)",
                end.entries, limits.records
            )));
        }
        let start = end
            .at
            .checked_add(end.size)
            .and_then(|ends| (directory_end as u64).checked_sub(ends));
        let Some(start) = start.filter(|&start| may_begin_at(start)) else {
            return Err(misplaced(&end, directory_end));
        };
        let at = end.at + start;
        // both fit usize: they are not beyond the directory's end
        let range = at as usize..directory_end;
        let end = End { at, ..end };
        let mut entries = read_entries(&bytes[range], &end)?;
        for entry in &mut entries {
            entry.header_at = entry.header_at.saturating_add(start);
        }
        let directory = Self {
            entries,
            at,
            end: (end_at + END_LEN + comment) as u64,
        };
        Ok((directory, start))
    }
}

/// The end record stands at the end, before a comment of unknown length: the last signature that leaves room for its
/// own comment is taken. torch's reader (miniz) searches the same way.
fn find_end(bytes: &[u8]) -> Result<usize> {
    let last = bytes.len().checked_sub(END_LEN);
    let first = bytes.len().saturating_sub(END_LEN + MAX_COMMENT);
    let found = last.and_then(|last| {
        (first..=last).rev().find(|&at| {
            let comment = usize::from(u16::from_le_bytes([bytes[at + 20], bytes[at + 21]]));
            bytes[at..].starts_with(END) && at + END_LEN + comment <= bytes.len()
        })
    });
    found.ok_or_else(|| cut_off(bytes))
}

fn cut_off(bytes: &[u8]) -> Error {
    let zeros = bytes
        .iter()
        .rev()
        .take(MAX_COMMENT)
        .take_while(|&&b| b == 0)
        .count();
    let n = bytes.len();
    let error = if zeros >= 512 {
        Error::malformed(format!(
            "the end of the zip is missing: the file ends in zero bytes from byte {} or earlier",
            n - zeros
        ))
    } else {
        Error::malformed(format!(
            "the end of the zip is missing: the file was cut off at byte {n} (download incomplete?)"
        ))
    };
    error.with_hint("compare the file's size with the original's and download or copy it again")
}

/// The directory's place, and where the directory must end: at the zip64 end record where there is one, else at the
/// end record.
fn read_end(bytes: &[u8], end_at: usize, shifted: bool) -> Result<(End, usize)> {
    let mut cursor = Cursor::new(&bytes[end_at + 4..], end_at as u64 + 4);
    const WHAT: &str = "the zip's end record";
    let disks = [cursor.u16(WHAT)?, cursor.u16(WHAT)?];
    let here = u64::from(cursor.u16(WHAT)?);
    let end = End {
        entries: cursor.u16(WHAT)?.into(),
        size: cursor.u32(WHAT)?.into(),
        at: cursor.u32(WHAT)?.into(),
    };
    let Some((end64, end64_at)) = read_end64(bytes, end_at, shifted)? else {
        if disks != [0, 0] || here != end.entries {
            return Err(split(end_at));
        }
        return Ok((end, end_at));
    };
    let agree = |small: u64, saturated: u64, wide: u64| small == saturated || small == wide;
    if !(agree(end.entries, u16::MAX.into(), end64.entries)
        && agree(end.size, u32::MAX.into(), end64.size)
        && agree(end.at, u32::MAX.into(), end64.at))
    {
        return Err(Error::malformed(format!(
            "the zip's end record and its zip64 end record disagree ({end:?}, {end64:?}): programs would see different files in it"
        ))
        .at_offset(end_at as u64));
    }
    Ok((end64, end64_at))
}

/// `shifted`: whether something may have been put in front of the zip, so that it lies further on than it should.
fn read_end64(bytes: &[u8], end_at: usize, shifted: bool) -> Result<Option<(End, usize)>> {
    let Some(locator_at) = end_at.checked_sub(LOCATOR64_LEN) else {
        return Ok(None);
    };
    if !bytes[locator_at..].starts_with(LOCATOR64) {
        return Ok(None);
    }
    let mut cursor = Cursor::new(&bytes[locator_at + 4..], locator_at as u64 + 4);
    const WHAT: &str = "the zip64 end record";
    let _disk = cursor.u32(WHAT)?;
    let at = cursor.u64(WHAT)?;
    let is_there = |&at: &usize| at < locator_at && bytes[at..].starts_with(END64);
    let just_before = || locator_at.checked_sub(END64_LEN).filter(|_| shifted);
    let place = just_before().filter(is_there);
    let place = place.or_else(|| usize::try_from(at).ok().filter(is_there));
    let Some(end64_at) = place else {
        return Err(Error::malformed(format!(
            "the zip64 end record should lie at byte {at}, it is not there: bytes are missing before it, or were added"
        ))
        .at_offset(locator_at as u64));
    };
    let mut cursor = Cursor::new(&bytes[end64_at + 4..], end64_at as u64 + 4);
    let size = cursor.u64(WHAT)?;
    if size.checked_add(12 + end64_at as u64) != Some(locator_at as u64) {
        return Err(
            Error::malformed(format!("the zip64 end record has a wrong size ({size})"))
                .at_offset(end64_at as u64),
        );
    }
    let _versions = cursor.u32(WHAT)?;
    let disks = [cursor.u32(WHAT)?, cursor.u32(WHAT)?];
    let here = cursor.u64(WHAT)?;
    let end = End {
        entries: cursor.u64(WHAT)?,
        size: cursor.u64(WHAT)?,
        at: cursor.u64(WHAT)?,
    };
    if disks != [0, 0] || here != end.entries {
        return Err(split(end64_at));
    }
    Ok(Some((end, end64_at)))
}

fn split(at: usize) -> Error {
    Error::unsupported("the zip is split over several files")
        .at_offset(at as u64)
        .with_hint("join the parts first")
}

fn misplaced(end: &End, directory_end: usize) -> Error {
    let says = format!(
        "the zip's directory should lie at byte {} and be {} bytes long",
        end.at, end.size
    );
    let ends = end.at.saturating_add(end.size);
    let directory_end = directory_end as u64;
    let why = match directory_end.checked_sub(ends) {
        Some(more) => format!(
            "{more} bytes too many lie before its end: something was put in front of the zip or into it"
        ),
        None => format!("{} bytes are missing before its end", ends - directory_end),
    };
    Error::malformed(format!("{says}, but {why}"))
}

fn read_entries<'a>(bytes: &'a [u8], end: &End) -> Result<Vec<Central<'a>>> {
    if end.entries > (bytes.len() / CENTRAL_LEN) as u64 {
        return Err(Error::malformed(format!(
            "the zip's directory has room for {} records, it should have {}",
            bytes.len() / CENTRAL_LEN,
            end.entries
        ))
        .at_offset(end.at));
    }
    // no more than the file is long: an entry of 46 bytes or more becomes less than twice that
    let mut entries = Vec::with_capacity(usize::try_from(end.entries).unwrap_or(0));
    let mut cursor = Cursor::new(bytes, end.at);
    for n in 0..end.entries {
        let at = cursor.offset();
        let entry = read_entry(&mut cursor).map_err(|e| {
            let message = format!("entry {n} of the zip's directory: {}", e.message());
            Error::malformed(message).at_offset(at)
        })?;
        entries.push(entry);
    }
    if cursor.remaining() > 0 {
        return Err(Error::malformed(format!(
            "the zip's directory holds {} bytes more than its {} entries",
            cursor.remaining(),
            end.entries
        ))
        .at_offset(cursor.offset()));
    }
    Ok(entries)
}

fn read_entry<'a>(cursor: &mut Cursor<'a>) -> Result<Central<'a>> {
    const WHAT: &str = "it";
    if cursor.take(4, WHAT)? != CENTRAL {
        return Err(Error::malformed("its signature PK\\x01\\x02 is missing"));
    }
    let _versions = cursor.u32(WHAT)?;
    let flags = cursor.u16(WHAT)?;
    let method = cursor.u16(WHAT)?;
    let _time = cursor.u32(WHAT)?;
    let crc32 = cursor.u32(WHAT)?;
    let stored_len = cursor.u32(WHAT)?;
    let len = cursor.u32(WHAT)?;
    let name_len = cursor.u16(WHAT)?;
    let extra_len = cursor.u16(WHAT)?;
    let comment_len = cursor.u16(WHAT)?;
    let disk = cursor.u16(WHAT)?;
    let _attributes = cursor.take(6, WHAT)?;
    let header_at = cursor.u32(WHAT)?;
    let name = cursor.take(name_len.into(), "its name")?;
    let extra = cursor.take(extra_len.into(), "its extra field")?;
    cursor.take(comment_len.into(), "its comment")?;
    if disk != 0 && disk != u16::MAX {
        return Err(Error::malformed("it lies in another file of a split zip"));
    }
    let mut wide = Zip64::find(extra)?;
    Ok(Central {
        name,
        flags,
        method,
        crc32,
        // in this order, and only where the 32-bit field is full (4.5.3)
        len: wide.widen(len)?,
        stored_len: wide.widen(stored_len)?,
        header_at: wide.widen(header_at)?,
    })
}

/// The zip64 extra field: 64-bit values for those 32-bit fields that are full.
pub(super) struct Zip64<'a>(Option<Cursor<'a>>);

impl<'a> Zip64<'a> {
    const ID: u16 = 1;

    /// Walks the extra field's blocks. Bytes after the last whole block are padding, as torch and `zipalign` write.
    pub(super) fn find(extra: &'a [u8]) -> Result<Self> {
        let mut found = None;
        let mut cursor = Cursor::new(extra, 0);
        while cursor.remaining() >= 4 {
            let id = cursor.u16("extra")?;
            let len = cursor.u16("extra")?;
            let Ok(block) = cursor.take(len.into(), "extra") else {
                break;
            };
            if id == Self::ID && found.replace(Cursor::new(block, 0)).is_some() {
                return Err(Error::malformed("it has two zip64 fields"));
            }
        }
        Ok(Self(found))
    }

    /// `field`, or the next 64-bit value where it is full.
    pub(super) fn widen(&mut self, field: u32) -> Result<u64> {
        match &mut self.0 {
            Some(wide) if field == u32::MAX => wide.u64("its zip64 field"),
            _ => Ok(field.into()),
        }
    }
}
