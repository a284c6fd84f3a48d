//! Which format is it? Each has a file here that turns it into a [`Checkpoint`].

use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::safetensors;
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
        FileKind::LegacyTorch => {
            not_yet("torch.save(torch.load(FILE, weights_only=True), NEW) writes today's format")
        }
        FileKind::Tar => {
            not_yet("if it packs other files, unpack it and open the checkpoint inside")
        }
        FileKind::RawPickle => not_yet("torch.save writes a format that is"),
        FileKind::Npy => {
            not_yet("a single array is read where a command asks for one, such as `run --input`")
        }
        FileKind::ShardIndex => not_yet("open the shards that it names one by one"),
        FileKind::Foreign(foreign) => Err(crate::container::foreign_error(&foreign)),
    }
}
