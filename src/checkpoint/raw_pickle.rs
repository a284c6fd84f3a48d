//! A pickle that `torch.save` did not write: `pickle.dump` of whatever it was. Tensors in it have their storages
//! inside the pickle, each as a legacy stream of its own.

use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::places::{Bytes, DataFile};
use crate::checkpoint::storages::Backing;
use crate::checkpoint::unpickled;
use crate::checkpoint::unpickled::Unpickled;
use crate::error::{Error, Result};
use crate::pickle;
use crate::tensor::ByteOrder;

pub(super) fn open(path: &Path, source: ByteSource, limits: &Limits) -> Result<Checkpoint> {
    if source.len() > limits.pickle_bytes {
        return Err(Error::limit(format!(
            "is a pickle of {} bytes, the limit is {} (pickle_bytes)",
            source.len(),
            limits.pickle_bytes
        )));
    }
    let graph = pickle::read(&source, limits)?;
    let backing = Backing::Pickle(limits);
    let Unpickled {
        tree,
        tensors,
        modules,
        mut notes,
        storages,
        places,
    } = unpickled::unpickled(&graph, &source, backing, ByteOrder::Little, limits)?;
    if graph.consumed < source.len() {
        notes.push(format!(
            "{} bytes follow the end of the pickle, which pickle.load does not read",
            source.len() - graph.consumed
        ));
    }
    Ok(Checkpoint {
        path: path.to_owned(),
        format: Format::Pickle,
        byte_order: ByteOrder::Little,
        tensors,
        storages,
        modules,
        tree,
        metadata: Default::default(),
        notes,
        bytes: Bytes::of_one(DataFile::little(source), places, limits.tensor_bytes),
    })
}
