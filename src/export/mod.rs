//! Tensors to files that any program can read, with a manifest that says what was written.

pub mod array;
mod filename;
mod manifest;

use std::collections::HashMap;
use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

pub use manifest::Entry;

use crate::bytes::digest::Sha256;
use crate::bytes::output::write_whole;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, Result};
use crate::npy;
use crate::tensor::Blocked;
use crate::tensor::DType;
use crate::tensor::Tag;
use crate::tensor::TensorView;

/// File format of the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The elements' bytes and nothing else.
    Raw,
    /// numpy's `.npy`.
    Npy,
}

impl Format {
    /// `raw`, `npy`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Npy => "npy",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Format::Raw => "bin",
            Format::Npy => "npy",
        }
    }
}

/// What to write where.
#[derive(Debug)]
pub struct Request<'a> {
    /// A file, or a folder: one that exists, or a path that ends in a separator.
    pub output: &'a Path,
    /// `None`: what `output` ends with, else raw.
    pub format: Option<Format>,
    /// The tensors, each with words for its axes where they are known.
    pub tensors: Vec<(&'a TensorEntry, Option<Vec<String>>)>,
    /// Tensors that are to be written in another memory format, by name.
    pub layouts: HashMap<String, Laid>,
}

/// Another memory format for a tensor's elements.
#[derive(Clone, Debug)]
pub struct Laid {
    /// As it was asked for.
    pub tag: Tag,
    /// What it makes of the tensor.
    pub blocked: Blocked,
}

impl Laid {
    /// Bytes that a tensor of `dtype` takes in this layout.
    fn nbytes(&self, dtype: DType) -> u64 {
        let bits = self.blocked.numel as u128 * dtype.bits() as u128;
        u64::try_from(bits.div_ceil(8)).unwrap_or(u64::MAX)
    }
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// The manifest's path.
    pub manifest_path: PathBuf,
    /// The manifest.
    pub manifest: Value,
    /// One entry per tensor.
    pub entries: Vec<Entry>,
    /// Tensors that have no elements of their own to write, and why.
    pub skipped: Vec<(String, String)>,
}

/// Writes the tensors: into a folder, one file each; into a file, one after the other. The manifest comes last, so that
/// where there is one, everything in it is there too.
pub fn write(checkpoint: &Checkpoint, request: &Request<'_>) -> Result<Written> {
    let output = request.output;
    let folder = is_folder(output);
    let by_ending = match output.extension() {
        Some(ending) if !folder && ending.eq_ignore_ascii_case("npy") => Format::Npy,
        _ => Format::Raw,
    };
    let format = request.format.unwrap_or(by_ending);
    let packed = |tensor: &TensorEntry| !tensor.dtype.bits().is_multiple_of(8);
    let packed = request
        .tensors
        .iter()
        .find(|(t, _)| packed(t) && request.layouts.contains_key(&t.name));
    if let Some((tensor, _)) = packed {
        return Err(Error::unsupported(format!(
            "{} has several elements of {} to a byte, which no other layout is known for",
            tensor.name, tensor.dtype
        )));
    }
    if !folder && format == Format::Npy && request.tensors.len() != 1 {
        return Err(Error::usage(format!(
            "{} tensors do not fit into one .npy file",
            request.tensors.len()
        ))
        .with_hint("end OUT with / for a folder with one file per tensor"));
    }
    let (entries, skipped) = if folder {
        std::fs::create_dir_all(output)
            .map_err(|e| Error::io(output, "cannot be made a folder", &e))?;
        write_folder(checkpoint, request, format)?
    } else {
        write_file(checkpoint, request, format)?
    };
    let manifest_path = if folder {
        output.join("manifest.json")
    } else {
        beside(output)
    };
    let manifest = manifest::document(checkpoint, format, &entries, &skipped);
    write_whole(&manifest_path, |out| manifest::write(out, &manifest))?;
    Ok(Written {
        manifest_path,
        manifest,
        entries,
        skipped,
    })
}

fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.to_string_lossy().ends_with(std::path::is_separator)
}

/// `conv1.bin` -> `conv1.bin.json`
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".json");
    name.into()
}

type Parts = (Vec<Entry>, Vec<(String, String)>);

fn write_folder(checkpoint: &Checkpoint, request: &Request<'_>, format: Format) -> Result<Parts> {
    let (mut entries, mut skipped) = (Vec::new(), Vec::new());
    let mut taken = HashSet::new();
    for (tensor, axes) in &request.tensors {
        let Some(view) = view(checkpoint, tensor, request, &mut skipped)? else {
            continue;
        };
        let laid = request.layouts.get(&tensor.name);
        let file = filename::unique(&tensor.name, format.ending(), &mut taken);
        let mut sha256 = String::new();
        write_whole(&request.output.join(&file), |out| {
            sha256 = elements(&view, laid, format, out)?;
            Ok(())
        })?;
        entries.push(Entry::new(tensor, axes.as_deref(), laid, file, 0, sha256));
    }
    Ok((entries, skipped))
}

fn write_file(checkpoint: &Checkpoint, request: &Request<'_>, format: Format) -> Result<Parts> {
    let (mut entries, mut skipped) = (Vec::new(), Vec::new());
    let name = request
        .output
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut views = Vec::new();
    for (tensor, axes) in &request.tensors {
        // views are borrowed from the map; only inflated storages are held in memory, and those one at a time
        if view(checkpoint, tensor, request, &mut skipped)?.is_some() {
            views.push((tensor, axes));
        }
    }
    let mut failure = None;
    let written = write_whole(request.output, |out| {
        let mut offset = 0;
        for (tensor, axes) in views {
            let view = checkpoint
                .view(tensor)
                .map_err(|e| failed(&mut failure, e))?;
            let laid = request.layouts.get(&tensor.name);
            let sha256 = elements(&view, laid, format, out)?;
            let entry = Entry::new(tensor, axes.as_deref(), laid, name.clone(), offset, sha256);
            offset += entry.nbytes;
            entries.push(entry);
        }
        Ok(())
    });
    match (failure, written) {
        (Some(error), _) => Err(error),
        (None, written) => written.map(|()| (entries, skipped)),
    }
}

/// Keeps a library error on its way through a closure that may only fail with an I/O error.
fn failed(slot: &mut Option<Error>, error: Error) -> std::io::Error {
    *slot = Some(error);
    std::io::Error::other("unreadable tensor")
}

/// The tensor's elements; a tensor without a storage of its own is skipped where it was not asked for alone.
fn view<'a>(
    checkpoint: &'a Checkpoint,
    tensor: &TensorEntry,
    request: &Request<'_>,
    skipped: &mut Vec<(String, String)>,
) -> Result<Option<TensorView<'a>>> {
    match checkpoint.view(tensor) {
        Ok(view) => Ok(Some(view)),
        Err(error) if tensor.storage.is_none() && request.tensors.len() > 1 => {
            skipped.push((tensor.name.clone(), error.message().to_owned()));
            Ok(None)
        }
        Err(error) => Err(error
            .in_record(tensor.name.clone())
            .in_file(checkpoint.path())),
    }
}

/// Writes one tensor and returns the digest of its elements (not of a header).
fn elements(
    view: &TensorView<'_>,
    laid: Option<&Laid>,
    format: Format,
    out: &mut dyn Write,
) -> std::io::Result<String> {
    let shape = match laid {
        Some(laid) => laid.blocked.array_shape(),
        None => view.layout().shape().to_vec(),
    };
    if format == Format::Npy {
        out.write_all(&npy::header(view.dtype(), &shape).map_err(std::io::Error::other)?)?;
    }
    let mut hash = Sha256::new(out);
    match laid {
        None => view.write_logical(&mut hash)?,
        Some(laid) => {
            let bytes = view.to_bytes().map_err(std::io::Error::other)?;
            laid.blocked
                .write(&bytes, view.dtype().bits() / 8, &mut hash)?;
        }
    }
    Ok(hash.finish())
}
