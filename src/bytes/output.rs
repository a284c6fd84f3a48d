//! Output files that appear whole or not at all.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::error::{Error, Result};

/// Writes `path` by writing a temporary file beside it and renaming that; on any failure nothing appears.
///
/// `fill` reports what it could not write as an [`std::io::Error`].
pub fn write_whole<T>(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<T>,
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
    let mut out = BufWriter::with_capacity(1 << 20, file);
    let filled = fill(&mut out).map_err(|e| error(&e))?;
    let file = out.into_inner().map_err(|e| error(e.error()))?;
    file.persist(path).map_err(|e| error(&e.error))?;
    Ok(filled)
}
