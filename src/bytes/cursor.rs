//! Little-endian reads that cannot run past the end and remember where they are.

use crate::error::{Error, Result};

/// A position in bytes; `base` is the absolute offset of the first byte, for errors.
#[derive(Clone, Debug)]
pub struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    base: u64,
}

impl<'a> Cursor<'a> {
    /// At the start of `bytes`, whose first byte lies at `base` of whatever the errors should name.
    pub fn new(bytes: &'a [u8], base: u64) -> Self {
        Self { bytes, at: 0, base }
    }

    /// Offset from the start of the bytes.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Offset as errors name it.
    pub fn offset(&self) -> u64 {
        self.base + self.at as u64
    }

    /// Bytes left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `n` bytes; `what` names them in the error if they are not all there.
    pub fn take(&mut self, n: usize, what: &str) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        if n > rest.len() {
            return Err(Error::malformed(format!(
                "{what} needs {n} bytes, only {} are left",
                rest.len()
            ))
            .at_offset(self.offset()));
        }
        self.at += n;
        Ok(&rest[..n])
    }

    /// The bytes up to the next newline, which is passed over and not returned; `what` names them in the error if
    /// there is no newline.
    pub fn line(&mut self, what: &str) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(n) = rest.iter().position(|&b| b == b'\n') else {
            return Err(
                Error::malformed(format!("{what} has no newline at its end"))
                    .at_offset(self.offset()),
            );
        };
        self.at += n + 1;
        Ok(&rest[..n])
    }

    fn array<const N: usize>(&mut self, what: &str) -> Result<[u8; N]> {
        let bytes = self.take(N, what)?;
        let mut out = [0; N];
        out.copy_from_slice(bytes);
        Ok(out)
    }

    /// The next byte.
    pub fn u8(&mut self, what: &str) -> Result<u8> {
        Ok(self.array::<1>(what)?[0])
    }

    /// The next two bytes, little-endian.
    pub fn u16(&mut self, what: &str) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array(what)?))
    }

    /// The next four bytes, little-endian.
    pub fn u32(&mut self, what: &str) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(what)?))
    }

    /// The next eight bytes, little-endian.
    pub fn u64(&mut self, what: &str) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array(what)?))
    }
}
