//! `torch.save` since 1.6: a zip of a pickle, `data.pkl`, and a record for each storage, `data/0`, `data/1`, ...
//!
//! | record | what it holds |
//! | --- | --- |
//! | `data.pkl` | the object; storages by persistent ids: `('storage', class, key, location, numel)` |
//! | `data/KEY` | a storage's bytes |
//! | `byteorder` | `little` or `big`; where it is missing, little |
//! | `version`, `.format_version`, `.storage_alignment`, `.data/serialization_id` | nothing that a reader needs |
//!
//! All lie in one folder, whose name is free. Source: `torch/serialization.py`, `_save` and `_load` of torch 2.15.

use std::borrow::Cow;
use std::path::Path;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Format;
use crate::checkpoint::exported;
use crate::checkpoint::places::{Bytes, DataFile};
use crate::checkpoint::storages::Backing;
use crate::checkpoint::torchscript;
use crate::checkpoint::unpickled;
use crate::checkpoint::unpickled::Meaning;
use crate::container::Zip;
use crate::container::zip::Method;
use crate::container::zip::Record;
use crate::error::{Error, Result};
use crate::pickle;
use crate::tensor::ByteOrder;

const PICKLE: &str = "data.pkl";

pub(super) fn open(path: &Path, source: ByteSource, limits: &Limits) -> Result<Checkpoint> {
    let zip = Zip::open(&source, limits)?;
    of_zip(path, source, zip, limits)
}

/// The same of a zip that is open, and may be a damaged one.
pub(super) fn of_zip(
    path: &Path,
    source: ByteSource,
    zip: Zip,
    limits: &Limits,
) -> Result<Checkpoint> {
    let lenient = zip.is_wreck();
    if let Some(prefix) = exported::prefix(&zip) {
        return exported::open(path, source, zip, &prefix, limits);
    }
    let (record, prefix) = data_pkl(&zip)?;
    let byte_order = byte_order(&zip, &prefix)?;
    let code = format!("{prefix}code/");
    let is_program = zip.find(&format!("{prefix}constants.pkl")).is_some()
        || lenient && zip.records().iter().any(|r| r.name.starts_with(&code));
    if is_program {
        let record = record.clone();
        return torchscript::open(path, source, zip, (record, prefix), byte_order, limits);
    }
    let (bytes, for_pickle) = read_pickle(&zip, record, limits)?;
    let mut damage = Vec::new();
    let graph = unpickled::graph(&bytes, &for_pickle, lenient, &mut damage)
        .map_err(|e| e.in_record(PICKLE))
        .and_then(|graph| behind_its_pickle(graph, &damage, &zip, record))?;
    damage.extend(damaged_pickle(&zip, record, &bytes));
    let backing = Backing::Zip {
        zip: &zip,
        folder: format!("{prefix}data/"),
        shown: "data/",
    };
    let mut unpickled = unpickled::unpickled(
        &graph,
        &source,
        backing,
        byte_order,
        limits,
        &Meaning::plain(lenient),
    )
    .map_err(|e| e.in_record(PICKLE))?;
    unpickled.wreckage.notes.extend(damage);
    if graph.consumed < bytes.len() && !lenient {
        unpickled.notes.push(format!(
            "{PICKLE} has {} bytes after the end of its pickle, which torch does not read",
            bytes.len() - graph.consumed
        ));
    }
    drop(bytes);
    let file = DataFile {
        source,
        zip: Some(zip),
        byte_order,
    };
    let bytes = Bytes::of_one(file, Vec::new(), limits.tensor_bytes);
    Ok(unpickled.into_checkpoint(path, Format::TorchZip, byte_order, bytes))
}

/// The bytes of a pickle's record, and the limits for what it builds.
pub(super) fn read_pickle<'z>(
    zip: &'z Zip,
    record: &Record,
    limits: &Limits,
) -> Result<(Cow<'z, [u8]>, Limits)> {
    let bytes = zip.read_limited(record, limits.pickle_bytes, "pickle_bytes")?;
    let held = match record.method {
        Method::Stored => 0,
        Method::Deflated => bytes.len(),
    };
    Ok((bytes, limits.for_inflated(record.stored_len, held)))
}

/// Refuses a zip that was cut off inside its pickle, if nothing but the pickle lies before the cut.
fn behind_its_pickle(
    graph: pickle::Graph,
    damage: &[String],
    zip: &Zip,
    record: &Record,
) -> Result<pickle::Graph> {
    let others = zip.records().iter();
    let data_before = others.filter(|other| other.data_at < record.data_at && other.len > 0);
    let cut = zip.found(&record.name).is_some_and(|m| !m.is_whole());
    if cut && !damage.is_empty() && data_before.count() == 0 {
        return Err(Error::malformed(
            "is cut off: it says which tensors there are, and their bytes would come after it, so none is left",
        )
        .at_offset(graph.consumed as u64)
        .in_record(PICKLE)
        .with_hint("download or copy the file again"));
    }
    Ok(graph)
}

/// What is wrong with the bytes of a damaged file's pickle.
pub(super) fn damaged_pickle(zip: &Zip, record: &Record, bytes: &[u8]) -> Option<String> {
    let crc32 = zip.found(&record.name)?.wrong_crc(bytes)?;
    let name = record.name.rsplit('/').next().unwrap_or(PICKLE);
    Some(format!(
        "{name}: its bytes have the CRC {crc32:08x}, it should be {:08x}: names, shapes and numbers may be wrong",
        record.crc32
    ))
}

/// The pickle's record, and the folder it is in, with its slash.
fn data_pkl(zip: &Zip) -> Result<(&Record, String)> {
    let in_a_folder = |name: &str| {
        let folder = name
            .strip_suffix(PICKLE)
            .and_then(|folder| folder.strip_suffix('/'));
        folder.is_some_and(|folder| !folder.contains('/'))
    };
    let mut pickles = zip
        .records()
        .iter()
        .filter(|record| in_a_folder(&record.name));
    if zip.is_wreck() {
        let record = pickles.next().or_else(|| zip.find(PICKLE));
        return match record {
            Some(record) => Ok((
                record,
                record.name[..record.name.len() - PICKLE.len()].to_owned(),
            )),
            None if is_torchs(zip) => Err(Error::malformed(
                "its data.pkl is not there, which says what the tensors are called and where they lie",
            )),
            None => Err(no_pickle(zip)),
        };
    }
    if let (Some(first), Some(second)) = (pickles.next(), pickles.next()) {
        return Err(Error::malformed(format!(
            "holds two checkpoints: {:?} and {:?}; programs choose differently",
            first.name, second.name
        ))
        .with_hint("unpack the zip and zip each folder by itself"));
    }
    if let Some(record) = zip.find_in_root(PICKLE) {
        let prefix = record.name[..record.name.len() - PICKLE.len()].to_owned();
        return Ok((record, prefix));
    }
    // zipped by hand, without the folder
    if let Some(record) = zip.find(PICKLE) {
        return Ok((record, String::new()));
    }
    Err(no_pickle(zip))
}

/// Whether records are there that torch writes, storages first of all.
fn is_torchs(zip: &Zip) -> bool {
    zip.records().iter().any(|record| {
        let inner = record.name.split_once('/').map_or("", |(_, inner)| inner);
        let number = inner.strip_prefix("data/").unwrap_or("");
        number.parse::<u64>().is_ok() || inner == ".data/serialization_id"
    })
}

/// A zip of something else: what, as far as its records tell.
fn no_pickle(zip: &Zip) -> Error {
    let names = || zip.records().iter().map(|record| record.name.as_str());
    let any = |end: &str| names().any(|name| name.ends_with(end));
    let refuse = |what: &str, hint: &str| Error::unsupported(what).with_hint(hint);
    if zip.records().is_empty() {
        return refuse("is an empty zip archive", "download or save it again");
    }
    if any("model.weights.h5") {
        return refuse(
            "is a Keras model (.keras), not a checkpoint that this program reads",
            "open it with Keras, or export the weights to safetensors there",
        );
    }
    if names().all(|name| name.ends_with(".npy")) {
        return refuse(
            "is a numpy .npz archive, not a checkpoint",
            "its arrays can be used where a command asks for one: FILE.npz:KEY",
        );
    }
    let inside = names().find(|name| {
        let ends = [".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".pth.tar"];
        ends.iter().any(|end| name.ends_with(end))
    });
    if let Some(inside) = inside {
        return refuse(
            &format!("is a zip archive that is no checkpoint itself; it holds {inside:?}"),
            "unpack it and open the checkpoint inside",
        );
    }
    if any("AndroidManifest.xml") || any("META-INF/MANIFEST.MF") || any("[Content_Types].xml") {
        return refuse(
            "is a zip archive of a program or a document, not a checkpoint",
            "this is probably the wrong file; check the path",
        );
    }
    let some: Vec<String> = names().take(3).map(|name| format!("{name:?}")).collect();
    refuse(
        &format!(
            "is a zip archive without {PICKLE}, so not a checkpoint; it holds {}{}",
            some.join(", "),
            if zip.records().len() > 3 { ", ..." } else { "" }
        ),
        "check the path; torch.save writes data.pkl into a folder of the archive",
    )
}

pub(super) fn byte_order(zip: &Zip, prefix: &str) -> Result<ByteOrder> {
    let name = format!("{prefix}byteorder");
    let Some(record) = zip.find(&name) else {
        return Ok(ByteOrder::Little);
    };
    if zip.is_wreck() {
        let big = zip
            .read(record, 64)
            .is_ok_and(|text| text.starts_with(b"big"));
        return Ok(if big {
            ByteOrder::Big
        } else {
            ByteOrder::Little
        });
    }
    match &zip.read(record, 64)?[..] {
        b"little" => Ok(ByteOrder::Little),
        b"big" => Ok(ByteOrder::Big),
        other => Err(Error::malformed(format!(
            "the byte order is \"{}\", expected little or big",
            other.escape_ascii()
        ))
        .in_record(name)),
    }
}
