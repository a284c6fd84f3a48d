//! The local headers against the central directory: a file that says two things is refused, because programs choose
//! differently and a scanner that chooses one is fooled by the other.
//!
//! 1. Names are unique, letter case apart: of two equal names torch reads the first and others the last; torch also
//!    takes `DATA.PKL` for `data.pkl`.
//! 2. Each local header has the name, method and encryption flag of its entry, and its sizes and CRC where it states
//!    them. Where flag bit 3 is set they follow the data instead, and the header may hold zeros; torch writes that.
//! 3. Sorted by place, no record reaches into the next one or into the directory.
//!
//! One header is read per record and no data: listing a large file touches one page per record.
//! Source of the format: PKWARE APPNOTE.TXT 6.3.10, section 4.3.7; behaviour of torch: `caffe2/serialize/inline_container.cc`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::directory::{Central, Zip64};
use super::{Method, Oddity, Record};
use crate::bytes::ByteSource;
use crate::bytes::Cursor;
use crate::error::{Error, Result};

pub(super) const LOCAL: &[u8; 4] = b"PK\x03\x04";
const ENCRYPTED: u16 = 1;
/// Sizes and CRC follow the data.
const DESCRIPTOR: u16 = 1 << 3;
const STRONG_ENCRYPTION: u16 = 1 << 6;
const MASKED_HEADERS: u16 = 1 << 13;
pub(super) const ENCRYPTION: u16 = ENCRYPTED | STRONG_ENCRYPTION | MASKED_HEADERS;
/// A data descriptor: signature, CRC, two sizes of four or eight bytes.
const LONGEST_DESCRIPTOR: u64 = 24;
/// Deflate makes no more of a byte: 258 from two bits.
const DEFLATE_RATIO: u64 = 1032;

/// Local headers that are read before their pages are let go of: around each header that is touched the operating system
/// maps what it has of the file, 64 KiB as a rule.
const AT_ONCE: usize = 64;

/// Bytes that a local header fits into, name and torch's padding included.
const HEADER: usize = 512;

/// Names in lower case, and where they stand.
pub(super) type Names = HashMap<Box<str>, usize>;

/// The records of the directory, each checked against its local header.
pub(super) fn records(
    source: &ByteSource,
    directory_at: u64,
    entries: &[Central<'_>],
) -> Result<Vec<Record>> {
    // the headers and data end where the directory begins
    let bytes = usize::try_from(directory_at)
        .ok()
        .and_then(|end| source.get(..end))
        .unwrap_or(source);
    let mut records = Vec::with_capacity(entries.len());
    for some in entries.chunks(AT_ONCE) {
        for entry in some {
            let name = display_name(entry.name);
            records
                .push(record(source, bytes, entry, name).map_err(|(name, e)| e.in_record(name))?);
        }
        // as a rule they lie in the order of the directory: what lies between is theirs, too
        let places = || records[records.len() - some.len()..].iter();
        let first = places().map(|record| record.header_at).min();
        let last = places().map(|record| record.data_at).max();
        let span = first.zip(last).and_then(|(first, last)| {
            bytes.get(usize::try_from(first).ok()?..usize::try_from(last).ok()?)
        });
        source.release(span.unwrap_or_default());
    }
    Ok(records)
}

/// UTF-8 as every writer of checkpoints has it, else escaped.
pub(super) fn display_name(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) => name.to_owned(),
        Err(_) => name.escape_ascii().to_string(),
    }
}

fn record(
    source: &ByteSource,
    bytes: &[u8],
    entry: &Central<'_>,
    name: String,
) -> std::result::Result<Record, (String, Error)> {
    match place(source, bytes, entry) {
        Ok((data_at, method)) => Ok(Record {
            name,
            header_at: entry.header_at,
            data_at,
            len: entry.len,
            stored_len: entry.stored_len,
            crc32: entry.crc32,
            method,
        }),
        Err(error) => Err((name, error)),
    }
}

/// Where the data of `entry` lies, and how it is kept.
fn place(source: &ByteSource, bytes: &[u8], entry: &Central<'_>) -> Result<(u64, Method)> {
    if entry.name.contains(&0) {
        return Err(Error::malformed(
            "its name holds a NUL byte, at which some programs end it and others do not",
        ));
    }
    if entry.flags & ENCRYPTION != 0 {
        return Err(Error::unsupported("is encrypted")
            .with_hint("unpack the zip with its password and zip it again"));
    }
    let method = method(entry.method)?;
    let data_at = check_local(source, bytes, entry)?;
    let end = data_at.checked_add(entry.stored_len);
    if end.is_none_or(|end| end > bytes.len() as u64) {
        return Err(Error::malformed(format!(
            "its data runs from byte {data_at} over {} bytes, past the end of the records at byte {}",
            entry.stored_len,
            bytes.len()
        )));
    }
    if !is_possible(method, entry.stored_len, entry.len) {
        return Err(Error::malformed(format!(
            "{} bytes cannot hold {} bytes {}",
            entry.stored_len,
            entry.len,
            method.name()
        )));
    }
    Ok((data_at, method))
}

/// Whether `len` bytes can be kept in `stored_len`.
pub(super) fn is_possible(method: Method, stored_len: u64, len: u64) -> bool {
    match method {
        Method::Stored => len == stored_len,
        Method::Deflated => len <= stored_len.saturating_add(1).saturating_mul(DEFLATE_RATIO),
    }
}

pub(super) fn method(number: u16) -> Result<Method> {
    let name = match number {
        0 => return Ok(Method::Stored),
        8 => return Ok(Method::Deflated),
        1 => "shrink",
        2..=5 => "reduce",
        6 => "implode",
        9 => "deflate64",
        12 => "bzip2",
        14 => "LZMA",
        93 => "zstd",
        95 => "xz",
        98 => "PPMd",
        99 => "AES encryption",
        _ => "an unknown method",
    };
    Err(Error::unsupported(format!(
        "is compressed with {name} (method {number}); stored and deflated are read"
    ))
    .with_hint("unpack the zip and zip it again, stored or deflated"))
}

/// A local header; sizes are zip64's where those are used.
pub(super) struct Local<'a> {
    pub(super) flags: u16,
    pub(super) method: u16,
    pub(super) crc32: u32,
    pub(super) stored_len: u64,
    pub(super) len: u64,
    pub(super) name: &'a [u8],
    pub(super) data_at: u64,
}

impl Local<'_> {
    /// Whether a descriptor follows the data.
    pub(super) fn is_described(&self) -> bool {
        self.flags & DESCRIPTOR != 0
    }
}

/// Reads the local header at the start of `bytes`, which lies at byte `at` of the file.
pub(super) fn read_local(bytes: &[u8], at: u64) -> Result<Local<'_>> {
    const WHAT: &str = "its local header";
    let mut cursor = Cursor::new(bytes, at);
    if cursor.take(4, WHAT)? != LOCAL {
        return Err(Error::malformed("there is no local header"));
    }
    let _version = cursor.u16(WHAT)?;
    let flags = cursor.u16(WHAT)?;
    let method = cursor.u16(WHAT)?;
    let _time = cursor.u32(WHAT)?;
    let crc32 = cursor.u32(WHAT)?;
    let stored_len = cursor.u32(WHAT)?;
    let len = cursor.u32(WHAT)?;
    let name_len = cursor.u16(WHAT)?;
    let extra_len = cursor.u16(WHAT)?;
    let name = cursor.take(name_len.into(), WHAT)?;
    let extra = cursor.take(extra_len.into(), WHAT)?;
    let mut wide = Zip64::find(extra)?;
    Ok(Local {
        flags,
        method,
        crc32,
        // in this order (4.5.3)
        len: wide.widen(len)?,
        stored_len: wide.widen(stored_len)?,
        name,
        data_at: cursor.offset(),
    })
}

/// Checks the local header of `entry`; returns where the data begins.
fn check_local(source: &ByteSource, bytes: &[u8], entry: &Central<'_>) -> Result<u64> {
    // most headers are short: read alone, not with the pages around; what is wrong is told by the map
    let mut header = [0; HEADER];
    let at = usize::try_from(entry.header_at).unwrap_or(usize::MAX);
    let read = source.peek(at, &mut header).unwrap_or(0);
    let room = bytes.len().saturating_sub(at);
    let local = match read_local(&header[..read.min(room)], entry.header_at) {
        Ok(local) => local,
        Err(_) => local_of(bytes, entry)?,
    };
    match disagreements(&local, entry).into_iter().next() {
        Some(message) => Err(Error::malformed(message)),
        None => Ok(local.data_at),
    }
}

/// The local header of `entry`.
pub(super) fn local_of<'b>(bytes: &'b [u8], entry: &Central<'_>) -> Result<Local<'b>> {
    let at = entry.header_at;
    let Some(rest) = usize::try_from(at).ok().and_then(|at| bytes.get(at..)) else {
        return Err(Error::malformed(format!(
            "its local header should lie at byte {at}, but the records end at byte {}",
            bytes.len()
        )));
    };
    read_local(rest, at).map_err(|e| Error::malformed(format!("at byte {at}: {}", e.message())))
}

/// In what a local header and its entry of the directory disagree.
pub(super) fn disagreements(local: &Local<'_>, entry: &Central<'_>) -> Vec<String> {
    let at = entry.header_at;
    if local.name != entry.name {
        let (local, central) = (display_name(local.name), display_name(entry.name));
        return vec![disagree(at, "name", &local, &central)];
    }
    let described = local.is_described();
    let unstated = |n: u64| described && (n == 0 || n == u64::from(u32::MAX));
    let encryption = [local.flags & ENCRYPTION, entry.flags & ENCRYPTION];
    let fields: [(&str, u64, u64, bool); 5] = [
        ("method", local.method.into(), entry.method.into(), false),
        (
            "encryption flags",
            encryption[0].into(),
            encryption[1].into(),
            false,
        ),
        ("size", local.len, entry.len, unstated(local.len)),
        (
            "stored size",
            local.stored_len,
            entry.stored_len,
            unstated(local.stored_len),
        ),
        (
            "CRC",
            local.crc32.into(),
            entry.crc32.into(),
            unstated(local.crc32.into()),
        ),
    ];
    fields
        .into_iter()
        .filter(|&(_, local, central, unstated)| local != central && !unstated)
        .map(|(what, local, central, _)| {
            disagree(at, what, &local.to_string(), &central.to_string())
        })
        .collect()
}

fn disagree(at: u64, what: &str, local: &str, central: &str) -> String {
    format!(
        "its local header at byte {at} has the {what} {local}, the zip's directory has {central}: programs would read different things"
    )
}

/// An index by name; two records of one name, letter case apart, are refused.
pub(super) fn names(records: &[Record]) -> Result<Names> {
    let mut names = Names::with_capacity(records.len());
    for (i, record) in records.iter().enumerate() {
        match names.entry(record.name.to_ascii_lowercase().into()) {
            Entry::Vacant(vacant) => {
                vacant.insert(i);
            }
            Entry::Occupied(first) => return Err(twins(&records[*first.get()], record)),
        }
    }
    Ok(names)
}

fn twins(first: &Record, second: &Record) -> Error {
    let (a, b) = (first.header_at, second.header_at);
    if first.name == second.name {
        return Error::malformed(format!(
            "two records have this name, at byte {a} and at byte {b}: torch reads the first, others the last"
        ))
        .in_record(&first.name);
    }
    Error::malformed(format!(
        "at byte {a}; its twin {} lies at byte {b}: torch does not tell upper from lower case, others do",
        second.name
    ))
    .in_record(&first.name)
}

/// Refuses records that overlap; returns what lies between and around them and belongs to none.
pub(super) fn gaps(
    records: &[Record],
    directory_at: u64,
    zip_end: u64,
    file_end: u64,
) -> Result<Vec<Oddity>> {
    let mut by_place: Vec<&Record> = records.iter().collect();
    by_place.sort_by_key(|r| (r.header_at, r.end()));
    let mut oddities = Vec::new();
    let mut note = |from: u64, to: u64, allowed: u64| {
        if to.saturating_sub(from) > allowed {
            oddities.push(Oddity {
                at: from,
                len: to - from,
            });
        }
    };
    note(0, by_place.first().map_or(directory_at, |r| r.header_at), 0);
    for pair in by_place.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        if a.end() > b.header_at {
            return Err(Error::malformed(format!(
                "bytes {} to {} overlap those of {} from byte {}",
                a.header_at,
                a.end(),
                b.name,
                b.header_at
            ))
            .in_record(&a.name));
        }
        note(a.end(), b.header_at, LONGEST_DESCRIPTOR);
    }
    if let Some(last) = by_place.last() {
        note(last.end(), directory_at, LONGEST_DESCRIPTOR);
    }
    note(zip_end, file_end, 0);
    Ok(oddities)
}
