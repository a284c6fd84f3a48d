//! Which format is it? Each has a file here that turns it into a [`Checkpoint`].

use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::dcp;
use crate::checkpoint::folder;
use crate::checkpoint::legacy;
use crate::checkpoint::raw_pickle;
use crate::checkpoint::safetensors;
use crate::checkpoint::salvage;
use crate::checkpoint::sharded;
use crate::checkpoint::tar;
use crate::checkpoint::torch;
use crate::container::FileKind;
use crate::error::{Error, Result};

/// Whether damage is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// A checkpoint is whole, or is refused.
    Whole,
    /// What is left of it.
    Salvage,
}

/// Opens a file that belongs to a checkpoint.
pub(super) fn file(
    path: &Path,
    source: ByteSource,
    limits: &Limits,
    mode: Mode,
) -> Result<Checkpoint> {
    match mode {
        Mode::Whole => single(path, source, limits),
        Mode::Salvage => salvage::single(path, source, limits),
    }
}

/// Opens what is at `path`: a file, an index with its shards beside it, or a folder of such.
pub(super) fn at(path: &Path, limits: &Limits, mode: Mode) -> Result<Checkpoint> {
    if path.is_dir() {
        return folder::open(path, limits, mode);
    }
    if path.file_name().is_some_and(|name| name == dcp::METADATA) {
        return dcp::open(path, path, limits, mode);
    }
    let source = ByteSource::open(path)?;
    match FileKind::detect(&source, path) {
        FileKind::ShardIndex => sharded::open(path, path, &source, limits, mode),
        _ => file(path, source, limits, mode),
    }
}

/// Opens a checkpoint that is a single file.
pub(super) fn single(path: &Path, source: ByteSource, limits: &Limits) -> Result<Checkpoint> {
    match FileKind::detect(&source, path) {
        FileKind::Zip => torch::open(path, source, limits),
        FileKind::Safetensors => safetensors::open(path, source, limits),
        FileKind::LegacyTorch => legacy::open(path, source, limits),
        FileKind::Tar => tar::open(path, source, limits, Mode::Whole),
        FileKind::RawPickle => raw_pickle::open(path, source, limits, Mode::Whole),
        FileKind::Npy => Err(
            Error::unsupported("is a numpy array, not a checkpoint").with_hint(
                "a single array is read where a command asks for one, such as `run --input`",
            ),
        ),
        FileKind::ShardIndex => Err(Error::unsupported(
            "is the index of a sharded checkpoint, without the shards",
        )
        .with_hint("open it by its path, with the shards beside it")),
        FileKind::Foreign(foreign) => Err(crate::container::foreign_error(&foreign)),
    }
}
