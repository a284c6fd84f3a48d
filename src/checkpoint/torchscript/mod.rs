//! TorchScript: `torch.jit.save`, and what the lite interpreter reads (`.ptl`), which has byte code beside it.
//!
//! | record | what it holds |
//! | --- | --- |
//! | `data.pkl`, `data/N` | the module: objects of classes that the program defines, tensors as `torch.save` has them |
//! | `code/**/*.py` | those classes: which attributes are parameters and which are buffers, constants, methods |
//! | `constants.pkl`, `constants/N` | tensors that the methods use, `CONSTANTS.c0`, ... |
//!
//! Names are those of `torch.jit.load(FILE).state_dict()`: the attributes that the class calls parameters or buffers.
//! TorchScript does not keep which buffers were persistent, so all are listed. Nothing of the code is run; see [`code`].

pub(super) mod code;

use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::NodeId;
use crate::checkpoint::absorb::Under;
use crate::checkpoint::places::{Bytes, DataFile};
use crate::checkpoint::storages::Backing;
use crate::checkpoint::torch;
use crate::checkpoint::unpickled;
use crate::checkpoint::unpickled::Meaning;
use crate::container::Zip;
use crate::container::zip::Record;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::ByteOrder;

/// Opens the program in the folder `prefix` (with its slash) of the zip, whose module is in the record `data`.
pub(super) fn open(
    path: &Path,
    source: ByteSource,
    zip: Zip,
    (data, prefix): (Record, String),
    byte_order: ByteOrder,
    limits: &Limits,
) -> Result<Checkpoint> {
    let classes = code::Classes::read(&zip, &prefix, limits)?;
    let bytes = Bytes::of_one(
        DataFile::little(source.clone()),
        Vec::new(),
        limits.tensor_bytes,
    );
    let part = |record: &Record, folder: &'static str, listed: bool, bytes: Bytes| {
        let name = &record.name[prefix.len()..];
        let (pickle, for_pickle) = torch::read_pickle(&zip, record, limits)?;
        let mut damage = Vec::new();
        let graph = unpickled::graph(&pickle, &for_pickle, zip.is_wreck(), &mut damage)
            .map_err(|e| e.in_record(name))?;
        damage.extend(torch::damaged_pickle(&zip, record, &pickle));
        let backing = Backing::Zip {
            zip: &zip,
            folder: format!("{prefix}{folder}"),
            shown: folder,
        };
        let meaning = Meaning {
            classes: Some(&classes),
            listed,
            lenient: zip.is_wreck(),
        };
        let mut unpickled =
            unpickled::unpickled(&graph, &source, backing, byte_order, limits, &meaning)
                .map_err(|e| e.in_record(name))?;
        unpickled.wreckage.notes.extend(damage);
        Ok::<_, crate::error::Error>(unpickled.into_checkpoint(
            path,
            Format::TorchScript,
            byte_order,
            bytes,
        ))
    };
    let mut program = part(&data, "data/", true, bytes)?;
    if let Some(record) = zip.find(&format!("{prefix}constants.pkl")) {
        let nowhere = Bytes {
            files: Vec::new(),
            places: Vec::new(),
            tensor_bytes: limits.tensor_bytes,
        };
        let constants = match part(record, "constants/", false, nowhere) {
            Err(error) if zip.is_wreck() && error.kind() != ErrorKind::Limit => {
                program.wreckage.notes.push(error.to_string());
                None
            }
            other => Some(other?),
        };
        if let Some(mut constants) = constants {
            constants.notes.clear();
            program.instances.take_constants(
                std::mem::take(&mut constants.instances),
                program.storages.len(),
            );
            if !constants.storages.is_empty() {
                program.notes.push(format!(
                "{} storages hold constants of the program (CONSTANTS.c0, ...): no part of state_dict(), and not listed",
                constants.storages.len()
            ));
                let under = Under {
                    parent: NodeId(0),
                    key: Some("constants.pkl"),
                    prefix: "",
                    file: None,
                };
                program.absorb(constants, &under);
            }
        }
    }
    if classes.is_incomplete() {
        program.wreckage.notes.push(
            "the program's code is not all there, which says what is a parameter or a buffer: every tensor is listed"
                .to_owned(),
        );
    }
    if let Some(file) = program.bytes.files.first_mut() {
        file.zip = Some(zip);
        file.byte_order = byte_order;
    }
    Ok(program)
}

/// The text of each file of code, and the module that it defines.
pub(super) fn sources(zip: &Zip, limits: &Limits) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut left = limits.pickle_bytes as u64;
    for record in zip.records() {
        // in the folder that the zip has one of
        let name = record
            .name
            .split_once("code/")
            .filter(|(before, _)| before.is_empty() || before.find('/') == Some(before.len() - 1));
        let Some(module) = name.and_then(|(_, name)| name.strip_suffix(".py")) else {
            continue;
        };
        left = left
            .checked_sub(record.len)
            .ok_or_else(|| Error::limit("the program has too much code (pickle_bytes)"))?;
        let code = zip.read(record, limits.pickle_bytes)?;
        let text = String::from_utf8_lossy(&code).into_owned();
        found.push((module.replace('/', "."), text));
    }
    Ok(found)
}
