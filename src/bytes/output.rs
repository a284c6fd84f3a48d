//! Output files that appear whole or not at all.

use std::io::{BufWriter, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::source::ByteSource;
use super::source::Releasing;

use crate::error::{Error, Result};

/// Writes `path` by writing a temporary file beside it and renaming that; on any failure nothing appears.
///
/// `fill` reports what it could not write as an [`std::io::Error`].
pub fn write_whole<T>(
    path: &Path,
    fill: impl FnOnce(&mut Whole) -> std::io::Result<T>,
) -> Result<T> {
    let error = |e: &std::io::Error| Error::io(path, "cannot be written", e);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".pthinspect-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // what `open` would ask for; the process's umask narrows it as for any new file
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let file = builder.tempfile_in(folder).map_err(|e| error(&e))?;
    let mut out = Whole(BufWriter::with_capacity(1 << 20, file));
    let filled = fill(&mut out).map_err(|e| error(&e))?;
    let file = out.0.into_inner().map_err(|e| error(e.error()))?;
    file.persist(path).map_err(|e| error(&e.error))?;
    Ok(filled)
}

/// A file that is being written.
#[derive(Debug)]
pub struct Whole(BufWriter<NamedTempFile>);

impl Whole {
    /// Writes `bytes`, which lie in `source`: many of them from file to file, where the system can do that.
    pub fn copy_from(&mut self, source: &ByteSource, bytes: &[u8]) -> std::io::Result<()> {
        let mut done = 0;
        if bytes.len() >= MANY {
            self.0.flush()?;
            done = source.copy_to(bytes, self.0.get_ref().as_file());
        }
        Releasing::new(source, &mut self.0).write_all(&bytes[done..])
    }
}

impl Write for Whole {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Bytes that are worth a call of the operating system.
const MANY: usize = 1 << 18;
