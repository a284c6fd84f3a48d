//! A checkpoint inside a record of another: read where it lies if it is stored, else inflated.

use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::open;
use crate::checkpoint::open::Mode;
use crate::container::Zip;
use crate::container::zip::Method;
use crate::container::zip::Record;
use crate::error::{Error, Result};

/// Opens the bytes `at` of the source as a file of its own; places are counted from the source's start.
pub(super) fn part(
    path: &Path,
    source: &ByteSource,
    at: std::ops::Range<usize>,
    limits: &Limits,
    mode: Mode,
) -> Result<Checkpoint> {
    let base = at.start as u64;
    let mut inner = open::file(path, source.slice(at), limits, mode)?;
    for storage in &mut inner.storages {
        storage.file_offset = storage.file_offset.map(|offset| base + offset);
    }
    Ok(inner)
}

/// Opens a record as a file of its own; storages' keys begin with `shown`.
pub(super) fn record(
    path: &Path,
    source: &ByteSource,
    zip: &Zip,
    record: &Record,
    shown: &str,
    limits: &Limits,
) -> Result<Checkpoint> {
    let mode = match zip.is_wreck() {
        true => Mode::Salvage,
        false => Mode::Whole,
    };
    let place = usize::try_from(record.data_at)
        .ok()
        .zip(usize::try_from(record.end()).ok());
    let opened = match (record.method, place) {
        (Method::Stored, Some((start, end))) => {
            // of a damaged zip's record less may be there
            let at = start.min(source.len())..end.min(source.len());
            part(path, source, at, limits, mode)
        }
        _ => {
            let bytes = zip
                .read_limited(record, limits.pickle_bytes, "pickle_bytes")?
                .into_owned();
            open::file(path, ByteSource::from(bytes), limits, mode).map(|mut inner| {
                for storage in &mut inner.storages {
                    storage.file_offset = None;
                }
                inner
            })
        }
    };
    let mut inner = opened.map_err(|e| {
        let mut inside = Error::new(e.kind(), format!("the file in it {}", said(&e)));
        if let Some(hint) = e.hint() {
            inside = inside.with_hint(hint);
        }
        inside.in_record(shown)
    })?;
    for storage in &mut inner.storages {
        storage.key = match &*storage.key {
            "" => shown.to_owned(),
            key => format!("{shown}:{key}"),
        };
    }
    Ok(inner)
}

/// What an error says, with its place.
fn said(error: &Error) -> String {
    match error.location() {
        at if at.record.is_some() || at.offset.is_some() => format!("is damaged: {error}"),
        _ => error.message().to_owned(),
    }
}
