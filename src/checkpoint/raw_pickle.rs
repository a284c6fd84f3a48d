//! A pickle that `torch.save` did not write: `pickle.dump` of whatever it was. Tensors in it have their storages
//! inside the pickle, each as a legacy stream of its own.

use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::open::Mode;
use crate::checkpoint::places::{Bytes, DataFile};
use crate::checkpoint::storages::Backing;
use crate::checkpoint::unpickled;
use crate::checkpoint::unpickled::Meaning;
use crate::error::{Error, Result};
use crate::tensor::ByteOrder;

pub(super) fn open(
    path: &Path,
    source: ByteSource,
    limits: &Limits,
    mode: Mode,
) -> Result<Checkpoint> {
    if source.len() > limits.pickle_bytes {
        return Err(Error::limit(format!(
            "is a pickle of {} bytes, the limit is {} (pickle_bytes)",
            source.len(),
            limits.pickle_bytes
        )));
    }
    let lenient = mode == Mode::Salvage;
    let mut damage = Vec::new();
    let graph = unpickled::graph(&source, limits, lenient, &mut damage)?;
    let backing = Backing::Pickle(limits);
    let mut unpickled = unpickled::unpickled(
        &graph,
        &source,
        backing,
        ByteOrder::Little,
        limits,
        &Meaning::plain(lenient),
    )?;
    unpickled.wreckage.notes = damage;
    if graph.consumed < source.len() && unpickled.wreckage.notes.is_empty() {
        unpickled.notes.push(format!(
            "{} bytes follow the end of the pickle, which pickle.load does not read",
            source.len() - graph.consumed
        ));
    }
    let bytes = Bytes::of_one(DataFile::little(source), Vec::new(), limits.tensor_bytes);
    Ok(unpickled.into_checkpoint(path, Format::Pickle, ByteOrder::Little, bytes))
}
