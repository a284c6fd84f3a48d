//! What a damaged file still holds, saved: every tensor whose bytes are wholly there, and a list of the others.
//!
//! [`Salvage`] tells what is there; this module decides what can be written and writes it, whole or not at all.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::bytes::Limits;
use crate::bytes::output;
use crate::checkpoint::Salvage;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, ErrorKind, Result};
use crate::safetensors::stream;

/// What became of the tensors.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The damaged file.
    pub file: PathBuf,
    /// What was written; `None` where there was nothing to write.
    pub output: Option<PathBuf>,
    /// Written, in the file's own order.
    pub saved: Vec<Saved>,
    /// Not written, in the file's own order.
    pub lost: Vec<Lost>,
    /// What is wrong with the file, one line each.
    pub damage: Vec<String>,
}

/// A tensor that was saved.
#[derive(Clone, Debug)]
pub struct Saved {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: &'static str,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Bytes.
    pub nbytes: u64,
}

/// A tensor that was not.
#[derive(Clone, Debug)]
pub struct Lost {
    /// Its name.
    pub name: String,
    /// Element type.
    pub dtype: &'static str,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Why.
    pub why: String,
}

/// Saves what is left of the file at `path` as the safetensors file `out`.
///
/// # Errors
///
/// Where not even the tensors' names and places are left, as [`Salvage::open`]; `Io` where `out` cannot be written.
/// Tensors that are lost are no error.
pub fn recover(path: &Path, out: &Path, limits: &Limits) -> Result<Recovery> {
    let same = std::fs::canonicalize(path)
        .ok()
        .zip(std::fs::canonicalize(out).ok());
    if same.is_some_and(|(a, b)| a == b) {
        return Err(Error::usage("--output is the damaged file itself").in_file(out));
    }
    let salvage = &Salvage::open(path, limits)?;
    let (mut recovery, chosen) = plan(path, salvage);
    if chosen.is_empty() {
        return Ok(recovery);
    }
    let tensors: Vec<stream::Outgoing<'_>> = chosen
        .iter()
        .map(|&(tensor, ref name)| stream::Outgoing {
            name,
            dtype: tensor.dtype,
            shape: tensor.layout.shape(),
            view: Box::new(move || salvage.checkpoint.view(tensor)),
        })
        .collect();
    let metadata: Vec<(String, String)> = salvage
        .checkpoint
        .metadata()
        .iter()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut failure = None;
    let written = output::write_whole(out, |file| {
        stream::write(&tensors, &metadata, file).map_err(|error| {
            let text = error.to_string();
            failure = Some(error);
            std::io::Error::other(text)
        })
    });
    match (written, failure) {
        (Ok(()), _) => recovery.output = Some(out.to_owned()),
        (Err(_), Some(error)) if error.kind() != ErrorKind::Io => return Err(error),
        (Err(error), _) => return Err(error),
    }
    Ok(recovery)
}

/// What can be saved, and under which names.
fn plan<'s>(path: &Path, salvage: &'s Salvage) -> (Recovery, Vec<(&'s TensorEntry, String)>) {
    let mut recovery = Recovery {
        file: path.to_owned(),
        output: None,
        saved: Vec::new(),
        lost: Vec::new(),
        damage: salvage.notes.clone(),
    };
    let mut chosen = Vec::new();
    let mut names = HashSet::new();
    for tensor in salvage.checkpoint.tensors() {
        match savable(salvage, tensor, &mut names) {
            Ok(()) => {
                recovery.saved.push(Saved {
                    name: tensor.name.clone(),
                    dtype: tensor.dtype.name(),
                    shape: tensor.layout.shape().to_vec(),
                    nbytes: tensor.nbytes() as u64,
                });
                chosen.push((tensor, tensor.name.clone()));
            }
            Err(why) => recovery.lost.push(Lost {
                name: tensor.name.clone(),
                dtype: tensor.dtype.name(),
                shape: tensor.layout.shape().to_vec(),
                why,
            }),
        }
    }
    (recovery, chosen)
}

fn savable<'s>(
    salvage: &Salvage,
    tensor: &'s TensorEntry,
    names: &mut HashSet<&'s str>,
) -> Result<(), String> {
    if let Some(why) = salvage.lost(tensor) {
        return Err(why);
    }
    if stream::tag_and_shape(tensor.dtype, tensor.layout.shape()).is_none() {
        return Err(format!(
            "its bytes are there, but safetensors has no type {}",
            tensor.dtype
        ));
    }
    if !tensor.parts.is_empty() {
        return Err("its bytes are there, but safetensors has no such tensors".to_owned());
    }
    if tensor.name == "__metadata__" {
        return Err("its bytes are there, but safetensors allows no such name".to_owned());
    }
    // views of meta tensors and of tensors that are expanded beyond all measure fail
    salvage
        .checkpoint
        .view(tensor)
        .map_err(|error| error.message().to_owned())?;
    if !names.insert(&tensor.name) {
        return Err("its bytes are there, but another tensor has its name".to_owned());
    }
    Ok(())
}
