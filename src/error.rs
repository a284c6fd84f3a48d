//! The one error type: what kind of failure, where in which file, and what to do about it.
//!
//! A *difference in bits* is never an error: it is a result, reported by [`crate::verify`].

use std::fmt;
use std::path::{Path, PathBuf};

/// Result of everything in this crate that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What the caller can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The operating system refused: no such file, no permission, disk full.
    Io,
    /// The bytes break the rules of their own format (or of PyTorch).
    Malformed,
    /// Valid, but not something that this program reads or computes.
    Unsupported,
    /// A limit that protects against hostile files was reached; see [`crate::bytes::Limits`].
    Limit,
    /// The request itself makes no sense: unknown layer, wrong shape, bad flag.
    Usage,
}

/// Where a failure lies, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The file.
    pub file: Option<PathBuf>,
    /// The record (zip member), header or tensor inside the file.
    pub record: Option<String>,
    /// Byte offset: inside the record where one is named, else inside the file.
    pub offset: Option<u64>,
}

/// A failure: one line for people, and a hint where one helps.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    at: Location,
    message: String,
    hint: Option<String>,
}

impl Error {
    /// A failure of `kind`, described by `message` (one line, no final full stop).
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            at: Location::default(),
            message: message.into(),
            hint: None,
        }))
    }

    /// [`ErrorKind::Malformed`].
    pub fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Malformed, message)
    }

    /// [`ErrorKind::Unsupported`].
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// [`ErrorKind::Limit`].
    pub fn limit(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Limit, message)
    }

    /// [`ErrorKind::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// [`ErrorKind::Io`], naming the file.
    pub fn io(path: &Path, what: &str, source: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, format!("{what}: {source}")).in_file(path)
    }

    /// Names the file, unless one is already named.
    #[must_use]
    pub fn in_file(mut self, path: impl AsRef<Path>) -> Self {
        self.0
            .at
            .file
            .get_or_insert_with(|| path.as_ref().to_owned());
        self
    }

    /// Names the record (or header, or tensor), unless one is already named.
    #[must_use]
    pub fn in_record(mut self, record: impl Into<String>) -> Self {
        self.0.at.record.get_or_insert_with(|| record.into());
        self
    }

    /// Sets the byte offset, unless one is already set.
    #[must_use]
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.0.at.offset.get_or_insert(offset);
        self
    }

    /// Counts the byte offset, where one is set, from `base` bytes earlier: it was that of a part.
    #[must_use]
    pub fn behind(mut self, base: u64) -> Self {
        if let Some(offset) = &mut self.0.at.offset {
            *offset = offset.saturating_add(base);
        }
        self
    }

    /// Adds what the user can do about it: one line, shown after `hint:`.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Where it lies.
    pub fn location(&self) -> &Location {
        &self.0.at
    }

    /// The message without the place.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the user can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    /// `model.pth: data.pkl+0x1a3: storage tuple has 4 items, expected 5`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.0.at;
        if let Some(file) = &at.file {
            write!(f, "{}: ", file.display())?;
        }
        match (&at.record, at.offset) {
            (Some(record), Some(offset)) => write!(f, "{record}+{offset:#x}: ")?,
            (Some(record), None) => write!(f, "{record}: ")?,
            (None, Some(offset)) => write!(f, "byte {offset}: ")?,
            (None, None) => {}
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::Error;

    #[test]
    fn display_names_file_record_and_offset() {
        let error = Error::malformed("storage tuple has 4 items, expected 5")
            .at_offset(0x1a3)
            .in_record("data.pkl")
            .in_file("model.pth");
        assert_eq!(
            error.to_string(),
            "model.pth: data.pkl+0x1a3: storage tuple has 4 items, expected 5"
        );
    }

    #[test]
    fn the_innermost_place_stands() {
        let error = Error::malformed("x").at_offset(1).at_offset(2);
        assert_eq!(error.to_string(), "byte 1: x");
    }
}
