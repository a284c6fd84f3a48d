//! The files that the pieces of a distributed checkpoint lie in.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::metadata::{self, Chunk, Saved};
use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Part;
use crate::checkpoint::names;
use crate::checkpoint::nested;
use crate::checkpoint::open::Mode;
use crate::checkpoint::sharded;
use crate::error::{Error, ErrorKind, Result};

/// The files that a `.metadata` names, with the pieces in each.
pub(in crate::checkpoint) fn parts(index: &Path, limits: &Limits) -> Result<Vec<Part>> {
    let saved = metadata::read(&ByteSource::open(index)?, limits)?;
    let folder = index.parent().unwrap_or(Path::new(""));
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for item in saved {
        let chunks = match item.saved {
            Saved::Object(chunk) => vec![chunk],
            Saved::Tensor { chunks, .. } => chunks,
        };
        for chunk in chunks {
            sharded::check_inside(&chunk.file)?;
            let part = parts.entry(chunk.file.clone()).or_insert_with(|| Part {
                path: folder.join(&chunk.file),
                tensors: Vec::new(),
                pieces: Vec::new(),
            });
            let range = chunk.at..chunk.at.saturating_add(chunk.len);
            part.pieces.push((item.name.clone(), range));
        }
    }
    Ok(parts.into_values().collect())
}

/// The files of pieces, each opened once.
pub(super) struct Files<'l> {
    folder: &'l Path,
    limits: &'l Limits,
    mode: Mode,
    open: HashMap<String, (ByteSource, Arc<Path>)>,
}

impl<'l> Files<'l> {
    pub(super) fn new(folder: &'l Path, limits: &'l Limits, mode: Mode) -> Self {
        Self {
            folder,
            limits,
            mode,
            open: HashMap::new(),
        }
    }

    /// Whether an error costs the piece that it is about and nothing else.
    pub(super) fn forgives(&self, error: &Error) -> bool {
        self.mode == Mode::Salvage && error.kind() != ErrorKind::Limit
    }

    /// The checkpoint that a piece is, and its file.
    pub(super) fn piece(&mut self, chunk: &Chunk, name: &str) -> Result<(Checkpoint, Arc<Path>)> {
        let about = |e: Error| {
            let message = format!("{:?}: {}", names::shorten(name), e.message());
            let named = Error::new(e.kind(), message);
            match e.hint() {
                Some(hint) => named.with_hint(hint),
                None => named,
            }
        };
        if !self.open.contains_key(&chunk.file) {
            sharded::check_inside(&chunk.file).map_err(about)?;
            let path = self.folder.join(&chunk.file);
            if !path.is_file() {
                return Err(about(
                    Error::malformed(format!(
                        "a piece of it lies in the file {:?}, which is not there",
                        names::shorten(&chunk.file)
                    ))
                    .with_hint("get all files of the checkpoint"),
                ));
            }
            let source = ByteSource::open(&path)?;
            self.open.insert(chunk.file.clone(), (source, path.into()));
        }
        let (source, path) = &self.open[&chunk.file];
        let end = chunk.at.checked_add(chunk.len);
        let end = match self.mode {
            Mode::Salvage if chunk.at < source.len() => end.map(|end| end.min(source.len())),
            _ => end,
        };
        let Some(end) = end.filter(|&end| end <= source.len()) else {
            return Err(about(
                Error::malformed(format!(
                    "a piece of it is {} bytes from byte {} on of {:?}, which has {}",
                    chunk.len,
                    chunk.at,
                    names::shorten(&chunk.file),
                    source.len()
                ))
                .with_hint("the file was cut off: get it again"),
            ));
        };
        let opened =
            nested::part(path, source, chunk.at..end, self.limits, self.mode).map_err(about)?;
        Ok((opened, path.clone()))
    }
}
