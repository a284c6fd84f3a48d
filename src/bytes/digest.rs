//! SHA-256 of what passes through.

use std::io::{Result, Write};

use sha2::Digest;

/// A writer that hashes what it hands on.
#[derive(Debug)]
pub struct Sha256<W> {
    hasher: sha2::Sha256,
    out: W,
}

impl<W: Write> Sha256<W> {
    /// In front of `out`.
    pub fn new(out: W) -> Self {
        Self {
            hasher: sha2::Sha256::new(),
            out,
        }
    }

    /// The digest of everything written, in lower-case hexadecimal.
    pub fn finish(self) -> String {
        self.hasher
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

impl<W: Write> Write for Sha256<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    #[test]
    fn the_standard_test_vector() {
        let mut hash = super::Sha256::new(Vec::new());
        hash.write_all(b"abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.finish(), expected);
    }
}
