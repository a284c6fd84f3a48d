//! Which checkpoint a command is about.

use std::path::{Path, PathBuf};

use super::io::Io;
use crate::checkpoint::Checkpoint;
use crate::error::{Error, Result};

/// Environment variable that stands in for FILE.
const VARIABLE: &str = "PTHINSPECT_FILE";

/// Endings of checkpoint files, for the search in the current folder and for telling FILE from NAME.
const ENDINGS: [&str; 9] = [
    ".pth",
    ".pt",
    ".pth.tar",
    ".pt.tar",
    ".ckpt",
    ".safetensors",
    ".bin",
    ".pt2",
    ".ptl",
];

/// Opens FILE, or what stands in for it.
pub(super) fn open(io: &mut Io<'_>, file: Option<&Path>) -> Result<Checkpoint> {
    let path = resolve(io, file)?;
    Checkpoint::open(&path, &io.limits)
}

/// Opens FILE and says on stderr what its reader could not place; for commands that show the whole file.
pub(super) fn open_whole(io: &mut Io<'_>, file: Option<&Path>) -> Result<Checkpoint> {
    let checkpoint = open(io, file)?;
    for note in checkpoint.notes() {
        io.warn(note);
    }
    Ok(checkpoint)
}

/// FILE; else `$PTHINSPECT_FILE`; else the only checkpoint in the current folder, whose name goes to stderr; else an
/// error that lists the candidates.
pub(super) fn resolve(io: &mut Io<'_>, file: Option<&Path>) -> Result<PathBuf> {
    if let Some(file) = file {
        return Ok(file.to_owned());
    }
    if let Some(file) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        return Ok(file.into());
    }
    let candidates = candidates(Path::new("."))?;
    match &candidates[..] {
        [only] => {
            io.say(&format!("reading {}", only.display()));
            Ok(only.clone())
        }
        [] => Err(
            Error::usage("no FILE given, and no checkpoint in the current folder")
                .with_hint(format!("name a file, or set {VARIABLE}")),
        ),
        several => Err(Error::usage(format!(
            "no FILE given, and the current folder has {} checkpoints: {}",
            several.len(),
            listing(several)
        ))
        .with_hint(format!("name one of them, or set {VARIABLE}"))),
    }
}

/// Whether an argument that could be a NAME or a FILE is a FILE: it exists, or its name ends like a checkpoint's. Folders too.
pub(super) fn is_file_argument(argument: &str) -> bool {
    has_ending(argument) || Path::new(argument).exists()
}

fn has_ending(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ENDINGS
        .iter()
        .any(|ending| name.ends_with(ending) && name.len() > ending.len())
}

/// Names of the checkpoints in `folder`, sorted; golden files are not checkpoints, and the shards of one count as their
/// index.
fn candidates(folder: &Path) -> Result<Vec<PathBuf>> {
    let error = |e| Error::io(folder, "cannot be listed", &e);
    let mut found = Vec::new();
    let mut indexed = false;
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = entry.file_name();
        let lower = name.to_string_lossy().to_ascii_lowercase();
        let is_index =
            lower.ends_with(".safetensors.index.json") || lower.ends_with(".bin.index.json");
        indexed |= is_index;
        let is_checkpoint = is_index
            || has_ending(&lower)
                && !lower.ends_with(".golden.safetensors")
                && (!lower.ends_with(".bin") || starts_like_a_zip(&entry.path()));
        if is_checkpoint && entry.path().is_file() {
            found.push(PathBuf::from(name));
        }
    }
    if indexed {
        found.retain(|name| !is_shard(&name.to_string_lossy()));
    }
    found.sort();
    Ok(found)
}

/// `model-00001-of-00002.safetensors`
fn is_shard(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    stem.rsplit_once("-of-").is_some_and(|(before, count)| {
        digits(count)
            && before
                .rsplit_once('-')
                .is_some_and(|(_, number)| digits(number))
    })
}

/// `.bin` is anybody's ending; only a zip makes it worth offering.
fn starts_like_a_zip(path: &Path) -> bool {
    use std::io::Read;
    let mut start = [0; 4];
    std::fs::File::open(path)
        .and_then(|mut file| file.read_exact(&mut start))
        .is_ok_and(|()| start == *b"PK\x03\x04")
}

fn listing(paths: &[PathBuf]) -> String {
    const SHOWN: usize = 8;
    let mut text: Vec<_> = paths
        .iter()
        .take(SHOWN)
        .map(|path| path.display().to_string())
        .collect();
    if paths.len() > SHOWN {
        text.push(format!("and {} more", paths.len() - SHOWN));
    }
    text.join(", ")
}
