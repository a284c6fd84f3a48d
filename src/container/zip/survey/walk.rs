//! Records of which no directory tells: from local header to local header.
//!
//! A local header may leave its sizes to a descriptor behind the data (torch's always do). Going backwards is easy: a
//! descriptor states how long its data is, so it knows where they began. All descriptors are found in one pass and
//! kept by that place, and a record's length is one look-up, however many there are.

use std::collections::HashMap;
use std::ops::Range;

use memchr::memmem;

use super::Member;
use crate::bytes::Limits;
use crate::container::zip::audit;
use crate::container::zip::audit::Local;
use crate::container::zip::{Method, Record};
use crate::error::{Error, Result};

const DESCRIPTOR: &[u8; 4] = b"PK\x07\x08";
/// Signatures that are kept of one file.
const SIGNATURES: usize = 4 << 20;
/// Longest name of a record that is found without a directory.
const LONGEST_NAME: usize = 4096;

/// Length of the descriptor at the start of `bytes`, if it says of the record what the directory says.
pub(super) fn descriptor_len(bytes: &[u8], record: &Record) -> Option<u64> {
    let crc = record.crc32.to_le_bytes();
    let narrow = |n: u64| (n as u32).to_le_bytes(); // of the 32-bit form
    let mut forms: [Vec<u8>; 2] = [crc.to_vec(), crc.to_vec()];
    forms[0].extend([record.stored_len.to_le_bytes(), record.len.to_le_bytes()].concat());
    forms[1].extend([narrow(record.stored_len), narrow(record.len)].concat());
    let signed = bytes.strip_prefix(DESCRIPTOR);
    for form in &forms {
        if signed.is_some_and(|rest| rest.starts_with(form)) {
            return Some(4 + form.len() as u64);
        }
    }
    let plain = forms.iter().find(|form| bytes.starts_with(form));
    plain.map(|form| form.len() as u64)
}

/// Where signatures lie in a file.
#[derive(Default)]
pub(super) struct Signatures {
    /// Local headers, and entries and ends of directories, in order.
    headers: Vec<usize>,
    /// Descriptors, by where the data that they describe would begin.
    descriptors: HashMap<usize, Described>,
}

#[derive(Clone, Copy)]
struct Described {
    at: usize,
    crc32: u32,
    stored_len: u64,
    len: u64,
    descriptor: usize,
}

impl Signatures {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self::within(bytes, 0..bytes.len())
    }

    pub(super) fn within(bytes: &[u8], range: Range<usize>) -> Self {
        let mut found = Self::default();
        for at in memmem::find_iter(&bytes[range.clone()], b"PK").take(SIGNATURES) {
            let at = range.start + at;
            match bytes.get(at + 2..at + 4) {
                Some([3, 4] | [1, 2] | [5, 6] | [6, 6]) => found.headers.push(at),
                Some([7, 8]) => {
                    for described in read_descriptors(bytes, at).into_iter().flatten() {
                        let data_at = at - described.stored_len as usize; // at most `at`
                        found.descriptors.entry(data_at).or_insert(described);
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn next_header(&self, from: usize) -> Option<usize> {
        let next = self.headers.partition_point(|&at| at < from);
        self.headers.get(next).copied()
    }
}

/// The descriptor at `at` in its two forms: sizes of eight bytes and of four.
fn read_descriptors(bytes: &[u8], at: usize) -> [Option<Described>; 2] {
    let number = |from: usize, width: usize| {
        let bytes = bytes.get(from..from + width)?;
        let mut wide = [0; 8];
        wide[..width].copy_from_slice(bytes);
        Some(u64::from_le_bytes(wide))
    };
    [8, 4].map(|width| {
        let described = Described {
            at,
            crc32: number(at + 4, 4)? as u32, // four bytes
            stored_len: number(at + 8, width)?,
            len: number(at + 8 + width, width)?,
            descriptor: 8 + 2 * width,
        };
        (described.stored_len <= at as u64).then_some(described)
    })
}

/// The records between two places of the file, from local header to local header.
pub(super) fn walk(
    bytes: &[u8],
    from: usize,
    to: usize,
    signatures: &Signatures,
    limits: &Limits,
) -> Result<Vec<Member>> {
    let mut found = Vec::new();
    let mut at = from;
    while let Some(header_at) = signatures.next_header(at).filter(|&at| at < to) {
        at = header_at + 4;
        if !bytes[header_at..].starts_with(audit::LOCAL) {
            continue;
        }
        let Ok(local) = audit::read_local(&bytes[header_at..to], header_at as u64) else {
            continue;
        };
        let name_is_plausible = (1..=LONGEST_NAME).contains(&local.name.len())
            && std::str::from_utf8(local.name).is_ok_and(|name| !name.contains(char::is_control));
        if !name_is_plausible {
            continue;
        }
        if found.len() >= limits.records {
            return Err(Error::limit(format!(
                "more than {} records (records)",
                limits.records
            )));
        }
        let member = measure(header_at, &local, to, signatures);
        at = at.max(usize::try_from(member.end).unwrap_or(to));
        found.push(member);
    }
    Ok(found)
}

/// A record that only its local header tells of.
fn measure(header_at: usize, local: &Local<'_>, to: usize, signatures: &Signatures) -> Member {
    let data_at = usize::try_from(local.data_at).unwrap_or(to);
    let unstated = local.is_described() && (local.stored_len == 0 || local.crc32 == 0);
    let described = signatures
        .descriptors
        .get(&data_at)
        .filter(|described| unstated && described.at < to);
    let (crc32, stored_len, len, tail, stated) = match described {
        Some(d) => (d.crc32, d.stored_len, d.len, d.descriptor, true),
        None if !unstated => (local.crc32, local.stored_len, local.len, 0, true),
        None => {
            // up to the next header, or to the end
            let end = signatures.next_header(data_at).unwrap_or(to).min(to);
            let len = end.saturating_sub(data_at) as u64;
            (local.crc32, len, len, 0, false)
        }
    };
    let available = stored_len.min(to.saturating_sub(data_at) as u64);
    let method = audit::method(local.method);
    Member {
        record: Record {
            name: audit::display_name(local.name),
            header_at: header_at as u64,
            data_at: local.data_at,
            len,
            stored_len,
            crc32,
            method: method.as_ref().copied().unwrap_or(Method::Stored),
        },
        listed: false,
        stated,
        available,
        readable: method.is_ok() && local.flags & audit::ENCRYPTION == 0,
        end: local.data_at + available + tail as u64,
    }
}
