//! Lengths and checksums of a damaged zip's records, each found once.
//!
//! A damaged zip is not refused for records that overlap, and a file can have a thousand entries for one record, or a
//! thousand storages that name it. So what was found is kept, by the place of the data; and what is read in all is
//! bounded by what a zip of that size can hold.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Member, Method};
use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::error::{Error, ErrorKind, Result};

#[derive(Debug)]
pub(super) struct Checks(Mutex<State>);

/// Length and CRC, or why there is none.
type Found = Result<(u64, u32), (ErrorKind, String)>;

#[derive(Debug)]
struct State {
    /// By the place of the data, its length and its method.
    known: HashMap<(u64, u64, Method), Found>,
    kept_left: u64,
    inflated_left: u64,
}

impl Checks {
    pub(super) fn new(file_len: usize, limits: &Limits) -> Self {
        let kept_left = file_len as u64;
        Self(Mutex::new(State {
            known: HashMap::new(),
            kept_left,
            inflated_left: limits.inflated_storage(kept_left) as u64,
        }))
    }

    /// Length and CRC of a member's bytes, inflated.
    pub(super) fn of(
        &self,
        member: &Member,
        file: &ByteSource,
        limits: &Limits,
    ) -> Result<(u64, u32)> {
        // one at a time: the second who asks finds the answer
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let record = &member.record;
        let key = (record.data_at, member.available, record.method);
        if let Some(known) = state.known.get(&key) {
            return known
                .clone()
                .map_err(|(kind, message)| Error::new(kind, message));
        }
        let most = limits.inflated_storage(member.available) as u64;
        let inflates = match record.method {
            Method::Stored => 0,
            Method::Deflated => record.len.min(most),
        };
        let kept = state.kept_left.checked_sub(member.available);
        let inflated = state.inflated_left.checked_sub(inflates);
        let found = match (kept, inflated) {
            (Some(kept), Some(inflated)) => {
                (state.kept_left, state.inflated_left) = (kept, inflated);
                let found = member.checksum(file, most);
                found.map_err(|e| (e.kind(), e.message().to_owned()))
            }
            _ => Err((
                ErrorKind::Limit,
                "was not read: the zip's records overlap, or inflate to far more than the file (inflate_ratio)".to_owned(),
            )),
        };
        state.known.insert(key, found.clone());
        found.map_err(|(kind, message)| Error::new(kind, message))
    }
}
