//! A folder as a checkpoint: sharded, or with a single checkpoint in it.

use std::path::{Path, PathBuf};

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::Part;
use crate::checkpoint::dcp;
use crate::checkpoint::open;
use crate::checkpoint::open::Mode;
use crate::checkpoint::sharded;
use crate::error::{Error, Result};

const FRAMEWORK: &str = "open it with that framework, or export the weights to safetensors there";

/// Endings of files that hold weights.
const ENDINGS: &[&str] = &[
    ".safetensors",
    ".bin",
    ".pth",
    ".pt",
    ".pt2",
    ".ptl",
    ".ckpt",
    ".pth.tar",
    ".pt.tar",
    ".pkl",
];

/// Opens what is in a folder, as far as that is one checkpoint.
pub(super) fn open(folder: &Path, limits: &Limits, mode: Mode) -> Result<Checkpoint> {
    let index = folder.join(dcp::METADATA);
    if index.is_file() {
        return dcp::open(folder, &index, limits, mode).map_err(|e| e.in_file(&index));
    }
    let files = files(folder)?;
    if let Some(index) = sharded::index_in(folder, &files)? {
        let source = ByteSource::open(&index)?;
        return sharded::open(folder, &index, &source, limits, mode).map_err(|e| e.in_file(&index));
    }
    let seen: Vec<String> = files
        .iter()
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let has_pieces = files
        .iter()
        .any(|f| f.extension().is_some_and(|e| e == "distcp"));
    let candidates: Vec<PathBuf> = files.into_iter().filter(|path| is_weights(path)).collect();
    let is_safetensors = |path: &PathBuf| path.extension().is_some_and(|e| e == "safetensors");
    if candidates.iter().all(is_safetensors)
        && candidates
            .iter()
            .any(|file| dcp::holds_pieces(file, limits))
    {
        return dcp::open_safetensors(folder, &candidates, limits, mode);
    }
    match &candidates[..] {
        [only] => {
            let source = ByteSource::open(only)?;
            open::file(only, source, limits, mode).map_err(|e| e.in_file(only))
        }
        [] if has_pieces => Err(Error::malformed(
            "holds .distcp files and no .metadata, which says what lies where in them",
        )
        .in_file(folder)
        .with_hint("get the .metadata of this distributed checkpoint; its name begins with a dot, so copying may miss it")),
        [] => Err(nothing_in(folder, &seen)),
        several => {
            let names = several.iter().take(4).map(|path| {
                let name = path.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            });
            let names: Vec<String> = names.collect();
            let more = if several.len() > 4 { ", ..." } else { "" };
            Err(Error::usage(format!(
                "is a folder with {} checkpoints and no index: {}{more}",
                several.len(),
                names.join(", ")
            ))
            .in_file(folder)
            .with_hint("name one of them"))
        }
    }
}

/// What a folder holds in which there is no checkpoint.
fn nothing_in(folder: &Path, seen: &[String]) -> Error {
    let any = |ends: &[&str]| {
        let mut names = seen.iter();
        names.find(|name| ends.iter().any(|end| name.ends_with(end)))
    };
    let (what, hint) = if seen.iter().any(|name| name == "saved_model.pb") {
        (
            "is a TensorFlow SavedModel, not a checkpoint that this program reads".to_owned(),
            FRAMEWORK,
        )
    } else if let Some(other) = any(&[
        ".msgpack",
        ".h5",
        ".keras",
        ".onnx",
        ".gguf",
        ".tflite",
        ".ckpt.index",
    ]) {
        (
            format!(
                "is a folder with weights for another framework only: {}",
                super::names::shorten(other)
            ),
            FRAMEWORK,
        )
    } else {
        let shown: Vec<String> = seen
            .iter()
            .take(3)
            .map(|name| super::names::shorten(name))
            .collect();
        let holds = match seen.len() {
            0 => "no file at all".to_owned(),
            1..=3 => shown.join(", "),
            _ => format!("{}, ...", shown.join(", ")),
        };
        (
            format!(
                "is a folder without a checkpoint in it, no index (*.index.json) and no file of weights: it holds {holds}"
            ),
            "name the file, or the folder that the weights are in",
        )
    };
    Error::usage(what).in_file(folder).with_hint(hint)
}

/// The files that a checkpoint in several lies in, whether they are there or not.
pub(super) fn parts(path: &Path, limits: &Limits) -> Result<Vec<Part>> {
    let metadata = match path.file_name() {
        Some(name) if name == dcp::METADATA => path.to_owned(),
        _ => path.join(dcp::METADATA),
    };
    if metadata.is_file() {
        return dcp::parts(&metadata, limits);
    }
    if !path.is_dir() {
        return sharded::parts(path, &ByteSource::open(path)?, limits);
    }
    let files = files(path)?;
    if let Some(index) = sharded::index_in(path, &files)? {
        return sharded::parts(&index, &ByteSource::open(&index)?, limits);
    }
    Ok(weights(path)?
        .into_iter()
        .map(|path| Part {
            path,
            tensors: Vec::new(),
            pieces: Vec::new(),
        })
        .collect())
}

/// The files of weights in the folder.
pub(super) fn weights(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = files(folder)?;
    files.retain(|path| is_weights(path));
    Ok(files)
}

fn is_weights(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The files of the folder, sorted; not those in folders of it.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let error = |e| Error::io(folder, "cannot be listed", &e);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
