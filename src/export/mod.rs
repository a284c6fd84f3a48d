//! Tensors to files that any program can read, with a manifest that says what was written.

pub mod array;
mod filename;
mod manifest;

use std::collections::HashMap;
use std::collections::HashSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::Value;

pub use manifest::Entry;

use crate::bytes::digest::Sha256;
use crate::bytes::output::Whole;
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
    /// Whether the manifest has the SHA-256 of each tensor's elements.
    pub digests: bool,
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

/// Tensors that are not written, and why.
type Skipped = Vec<(String, String)>;

type Parts = (Vec<Entry>, Skipped);

/// A tensor that has elements to write.
struct Job<'a> {
    tensor: &'a TensorEntry,
    axes: Option<&'a [String]>,
    laid: Option<&'a Laid>,
}

/// The tensors that are written, in their order, and those that are not.
fn jobs<'a>(checkpoint: &Checkpoint, request: &'a Request<'_>) -> Result<(Vec<Job<'a>>, Skipped)> {
    let (mut jobs, mut skipped) = (Vec::new(), Vec::new());
    for (tensor, axes) in &request.tensors {
        // views are borrowed from the map; only inflated storages are held in memory, and those one at a time
        if view(checkpoint, tensor, request, &mut skipped)?.is_some() {
            jobs.push(Job {
                tensor,
                axes: axes.as_deref(),
                laid: request.layouts.get(&tensor.name),
            });
        }
    }
    Ok((jobs, skipped))
}

/// Several files at a time.
fn write_folder(checkpoint: &Checkpoint, request: &Request<'_>, format: Format) -> Result<Parts> {
    let (jobs, skipped) = jobs(checkpoint, request)?;
    let mut taken = HashSet::new();
    let files = jobs
        .iter()
        .map(|job| filename::unique(&job.tensor.name, format.ending(), &mut taken));
    let jobs: Vec<(usize, (&Job<'_>, String))> = jobs.iter().zip(files).enumerate().collect();
    let (inflated, mut plain): (Vec<_>, Vec<_>) = jobs
        .into_iter()
        .partition(|(_, (job, _))| checkpoint.inflates(job.tensor));
    // the largest first: no thread is left with a large one at the end
    plain.sort_by_key(|(_, (job, _))| std::cmp::Reverse(job.tensor.nbytes()));
    let write = |(number, (job, file)): (usize, (&Job<'_>, String))| {
        let view = checkpoint.view(job.tensor)?;
        let sha256 = write_whole(&request.output.join(&file), |out| {
            if request.digests {
                return hashed(checkpoint, job, &view, format, out).map(Some);
            }
            header(job, &view, format, out)?;
            elements(checkpoint, job, &view, out).map(|()| None)
        })?;
        let entry = Entry::new(job.tensor, job.axes, job.laid, file, 0, sha256);
        Ok((number, entry))
    };
    let plain: Result<Vec<(usize, Entry)>> = plain.into_iter().par_bridge().map(write).collect();
    let mut entries = plain?;
    for job in inflated {
        entries.push(write(job)?);
    }
    entries.sort_by_key(|(number, _)| *number);
    Ok((
        entries.into_iter().map(|(_, entry)| entry).collect(),
        skipped,
    ))
}

/// One tensor after the other; those that lie ready in the file are hashed meanwhile.
fn write_file(checkpoint: &Checkpoint, request: &Request<'_>, format: Format) -> Result<Parts> {
    let (jobs, skipped) = jobs(checkpoint, request)?;
    let lies_ready = |job: &Job<'_>| job.laid.is_none() && !checkpoint.inflates(job.tensor);
    let mut failure = None;
    let write = || {
        write_whole(request.output, |out| {
            let mut digests = Vec::with_capacity(jobs.len());
            for job in &jobs {
                let view = checkpoint
                    .view(job.tensor)
                    .map_err(|e| failed(&mut failure, e))?;
                digests.push(if lies_ready(job) || !request.digests {
                    header(job, &view, format, out)?;
                    elements(checkpoint, job, &view, out)?;
                    None
                } else {
                    Some(hashed(checkpoint, job, &view, format, out)?)
                });
            }
            Ok(digests)
        })
    };
    let hash = || {
        let ready = (0..jobs.len()).filter(|&n| request.digests && lies_ready(&jobs[n]));
        let mut ready: Vec<usize> = ready.collect();
        ready.sort_by_key(|&n| std::cmp::Reverse(jobs[n].tensor.nbytes()));
        let numbered = |n: usize| {
            let view = checkpoint.view(jobs[n].tensor)?;
            let digest = digest(checkpoint, &jobs[n], &view)
                .map_err(|e| Error::io(checkpoint.path(), "cannot be read", &e))?;
            Ok((n, digest))
        };
        let digests: Result<HashMap<usize, String>> =
            ready.into_iter().par_bridge().map(numbered).collect();
        digests
    };
    let (written, hashes) = rayon::join(write, hash);
    if let Some(error) = failure {
        return Err(error);
    }
    let (written, mut hashes) = (written?, hashes?);
    let name = request.output.file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let (mut entries, mut offset) = (Vec::with_capacity(jobs.len()), 0);
    for (n, (job, digest)) in jobs.iter().zip(written).enumerate() {
        let sha256 = digest.or_else(|| hashes.remove(&n));
        let file = name.clone().into_owned();
        let entry = Entry::new(job.tensor, job.axes, job.laid, file, offset, sha256);
        offset += entry.nbytes;
        entries.push(entry);
    }
    Ok((entries, skipped))
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
fn hashed(
    checkpoint: &Checkpoint,
    job: &Job<'_>,
    view: &TensorView<'_>,
    format: Format,
    out: &mut Whole,
) -> std::io::Result<String> {
    header(job, view, format, out)?;
    if job.laid.is_none() && view.is_as_it_lies() {
        checkpoint.copy_logical(job.tensor, view, out)?;
        return digest(checkpoint, job, view);
    }
    let mut hash = Sha256::new(out);
    match job.laid {
        None => checkpoint.write_logical(job.tensor, view, &mut hash)?,
        Some(laid) => rearranged(laid, view, &mut hash)?,
    }
    Ok(hash.finish())
}

/// Writes a tensor's elements.
fn elements(
    checkpoint: &Checkpoint,
    job: &Job<'_>,
    view: &TensorView<'_>,
    out: &mut Whole,
) -> std::io::Result<()> {
    match job.laid {
        None => checkpoint.copy_logical(job.tensor, view, out),
        Some(laid) => rearranged(laid, view, out),
    }
}

/// Writes a tensor's elements in another memory format.
fn rearranged(laid: &Laid, view: &TensorView<'_>, out: &mut dyn Write) -> std::io::Result<()> {
    let bytes = view.to_bytes().map_err(std::io::Error::other)?;
    let size = view.dtype().bits() / 8;
    laid.blocked.write(&bytes, size, out)
}

/// The digest of a tensor's logical elements.
fn digest(
    checkpoint: &Checkpoint,
    job: &Job<'_>,
    view: &TensorView<'_>,
) -> std::io::Result<String> {
    let mut hash = Sha256::new(std::io::sink());
    checkpoint.write_logical(job.tensor, view, &mut hash)?;
    Ok(hash.finish())
}

/// What the format has in front of the elements.
fn header(
    job: &Job<'_>,
    view: &TensorView<'_>,
    format: Format,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    if format == Format::Raw {
        return Ok(());
    }
    let shape = match job.laid {
        Some(laid) => laid.blocked.array_shape(),
        None => view.layout().shape().to_vec(),
    };
    out.write_all(&npy::header(view.dtype(), &shape).map_err(std::io::Error::other)?)
}
