//! A record as it lies, and its bytes as far as they do.

use std::borrow::Cow;
use std::io::Read;

use crate::bytes::ByteSource;
use crate::container::zip::{Method, Record};
use crate::error::{Error, Result};

/// A record, listed in the directory or not.
#[derive(Clone, Debug)]
pub struct Member {
    /// Name and place. Where neither header nor descriptor tells the length, it is what lies before the next header.
    pub record: Record,
    /// Whether the directory lists it.
    pub listed: bool,
    /// Whether length and CRC are stated, and not guessed.
    pub stated: bool,
    /// How many of its bytes, as kept, lie in the file.
    pub available: u64,
    /// Whether its bytes can be had: stored or deflated, and not encrypted.
    pub readable: bool,
    /// Where it ends, descriptor included.
    pub end: u64,
}

/// Bytes that are reserved for what is inflated, whatever is declared.
const RESERVED: usize = 64 << 20;

impl Member {
    /// Whether all of its bytes lie in the file.
    pub fn is_whole(&self) -> bool {
        self.stated && self.available == self.record.stored_len
    }

    /// Its bytes: borrowed where stored, else inflated, `limit` bytes at most.
    ///
    /// # Errors
    ///
    /// `Limit` where it inflates to more; `Malformed` where the deflated data is damaged; `Unsupported` where it is
    /// encrypted or compressed otherwise.
    pub fn content<'b>(&self, file: &'b [u8], limit: usize) -> Result<Cow<'b, [u8]>> {
        let kept = self.kept(file);
        if !self.readable {
            return Err(Error::unsupported(
                "is encrypted, or compressed by another method",
            ));
        }
        if self.record.method == Method::Stored {
            return Ok(Cow::Borrowed(kept));
        }
        // no more than may come out, and touched only as it comes
        let declared = usize::try_from(self.record.len).unwrap_or(limit);
        let mut bytes = Vec::with_capacity(declared.min(limit).min(RESERVED));
        let most = (limit as u64).saturating_add(1);
        let mut inflater = flate2::read::DeflateDecoder::new(kept).take(most);
        let outcome = inflater.read_to_end(&mut bytes);
        if bytes.len() > limit {
            return Err(inflates_too_far(kept.len(), limit as u64));
        }
        match outcome {
            Ok(_) => Ok(Cow::Owned(bytes)),
            Err(e) => Err(Error::malformed(format!(
                "its deflated data is damaged: {e}"
            ))),
        }
    }

    /// How many bytes it holds and their CRC, found in passing: no memory is taken for them. It is given up where a
    /// deflated one has more than `limit`.
    ///
    /// # Errors
    ///
    /// As [`Member::content`].
    pub fn checksum(&self, file: &ByteSource, limit: u64) -> Result<(u64, u32)> {
        let kept = self.kept(file);
        if !self.readable || self.record.method == Method::Stored {
            let bytes = self.content(file, 0)?;
            let mut hasher = crc32fast::Hasher::new();
            file.pieces(&bytes, |piece| hasher.update(piece));
            return Ok((bytes.len() as u64, hasher.finalize()));
        }
        let mut inflater = flate2::read::DeflateDecoder::new(kept);
        let mut hasher = crc32fast::Hasher::new();
        let (mut len, mut piece) = (0u64, vec![0; 64 << 10]);
        loop {
            let read = inflater
                .read(&mut piece)
                .map_err(|e| Error::malformed(format!("its deflated data is damaged: {e}")))?;
            if read == 0 {
                return Ok((len, hasher.finalize()));
            }
            len = len.saturating_add(read as u64);
            if len > limit {
                return Err(inflates_too_far(kept.len(), limit));
            }
            hasher.update(&piece[..read]);
        }
    }

    /// The CRC that its bytes have (inflated) and should not have; `None` where it is right or unknown: files without
    /// any have 0, and of a record that is cut off nobody can tell.
    pub fn wrong_crc(&self, bytes: &[u8]) -> Option<u32> {
        let stated = self.record.crc32;
        if stated == 0 || !self.is_whole() {
            return None;
        }
        let crc32 = crc32fast::hash(bytes);
        (crc32 != stated).then_some(crc32)
    }

    /// Its bytes as kept, as far as they lie in the file.
    pub fn kept<'b>(&self, file: &'b [u8]) -> &'b [u8] {
        let from = usize::try_from(self.record.data_at).unwrap_or(usize::MAX);
        let to = usize::try_from(self.record.data_at.saturating_add(self.available));
        file.get(from..to.unwrap_or(usize::MAX)).unwrap_or(&[])
    }
}

fn inflates_too_far(kept: usize, limit: u64) -> Error {
    Error::limit(format!(
        "inflates from {kept} bytes to more than {limit} (inflate_ratio)"
    ))
}
