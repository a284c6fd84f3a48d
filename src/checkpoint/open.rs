//! Which format is it? Each has a file here that turns it into a [`Checkpoint`].

use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::legacy;
use crate::checkpoint::raw_pickle;
use crate::checkpoint::safetensors;
use crate::checkpoint::tar;
use crate::checkpoint::torch;
use crate::container::FileKind;
use crate::error::{Error, Result};

pub(super) fn open(path: &Path, source: ByteSource, limits: &Limits) -> Result<Checkpoint> {
    let kind = FileKind::detect(&source, path);
    let not_yet = |hint: &str| {
        let message = format!("is {}: that format is not read yet", kind.name());
        Err(Error::unsupported(message).with_hint(hint))
    };
    match kind {
        FileKind::Zip => torch::open(path, source, limits),
        FileKind::Safetensors => safetensors::open(path, source, limits),
        FileKind::LegacyTorch => legacy::open(path, source, limits),
        FileKind::Tar => tar::open(path, source, limits),
        FileKind::RawPickle => raw_pickle::open(path, source, limits),
        FileKind::Npy => {
            not_yet("a single array is read where a command asks for one, such as `run --input`")
        }
        FileKind::ShardIndex => not_yet("open the shards that it names one by one"),
        FileKind::Foreign(foreign) => Err(crate::container::foreign_error(&foreign)),
    }
}
