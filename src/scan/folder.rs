//! Folders, and sharded checkpoints: which files are looked into, and what the others are.
//!
//! A file of a folder is passed over only where its kind is known and holds no pickle: text, pictures. What may hold
//! one and cannot be read (a compressed archive, a file that is named like a checkpoint and is none) is a finding, so
//! that a folder is not clean because of what was not looked at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::Level;
use super::files::{Scanner, Where};
use super::findings::Kind;
use crate::bytes::ByteSource;
use crate::container::FileKind;
use crate::error::{Error, Result};

/// Files of a folder.
const FILES: usize = 100_000;
/// Levels of a folder.
const FOLDERS: usize = 64;
/// Endings of files that are read as checkpoints or pickles.
const ENDINGS: &[&str] = &[
    "pt",
    "pth",
    "pt2",
    "ptl",
    "ckpt",
    "bin",
    "pkl",
    "pickle",
    "p",
    "dat",
    "data",
    "model",
    "distcp",
    "safetensors",
    "npy",
    "npz",
    "joblib",
    "dill",
    "mar",
    "nemo",
    "torch",
    "tar",
    "zip",
];
/// What foreign files are that hold others.
const WRAPPED: &[&str] = &["archive", "encrypted", "split"];

impl Scanner<'_> {
    /// The files of a folder, or the shards of a checkpoint.
    pub(super) fn several(&mut self, folder: &Path, files: &[PathBuf]) -> Result<()> {
        let mut any = false;
        for path in files {
            let shown = path.strip_prefix(folder).unwrap_or(path).to_owned();
            self.findings.file = Some(shown.clone());
            self.findings.worst_here = Level::Inert;
            let source = ByteSource::open(path)?;
            match self.source(&source, path) {
                Ok(()) => any = true,
                Err(error)
                    if self.findings.worst_here > Level::Inert
                        || may_hold_pickles(&source, path) =>
                {
                    any = true;
                    let at = Where::whole(path);
                    let message = format!("was not looked into: it {}", error.message());
                    self.findings.add(
                        Kind::NotScanned,
                        Level::Unknown,
                        &at.label,
                        &at.spot(0),
                        &message,
                    );
                }
                Err(_) => {
                    self.skipped += 1;
                    continue;
                }
            }
            self.verdicts.push((shown, self.findings.worst_here));
        }
        self.findings.file = None;
        if any {
            return Ok(());
        }
        Err(Error::unsupported("holds no checkpoint")
            .in_file(folder)
            .with_hint("name a file that does"))
    }

    /// The shards that an index names; names of files that are not beside it are found.
    pub(super) fn shards(&mut self, index: &[u8], at: &Where) -> Result<Vec<String>> {
        let index: serde_json::Value = serde_json::from_slice(index)
            .map_err(|e| Error::malformed(format!("the index is no JSON: {e}")))?;
        let map = index.get("weight_map").and_then(|map| map.as_object());
        let map = map.ok_or_else(|| Error::malformed("the index has no weight_map"))?;
        let names: BTreeSet<&str> = map
            .values()
            .map(|name| name.as_str().unwrap_or(""))
            .collect();
        let mut beside = Vec::new();
        for name in names {
            let leads_out = leads_out(name).or_else(|| {
                name.contains(['/', '\\', '\0'])
                    .then_some("is no file beside the index")
            });
            match leads_out {
                None if !name.is_empty() => beside.push(name.to_owned()),
                None => return Err(Error::malformed("the index names a shard by nothing")),
                Some(message) => {
                    self.findings.add(
                        Kind::PathTraversal,
                        Level::Unknown,
                        name,
                        &at.spot(0),
                        message,
                    );
                }
            }
        }
        Ok(beside)
    }
}

/// What is wrong with a name that leads out of the folder that it is in.
pub(super) fn leads_out(name: &str) -> Option<&'static str> {
    let drive = name.as_bytes().get(1) == Some(&b':')
        && name.starts_with(|c: char| c.is_ascii_alphabetic());
    if name.starts_with(['/', '\\']) || drive {
        return Some("is an absolute path");
    }
    name.split(['/', '\\'])
        .any(|part| part == "..")
        .then_some("leads out of its folder by ..")
}

fn may_hold_pickles(bytes: &[u8], path: &Path) -> bool {
    let ending = path
        .extension()
        .map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    if ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())) {
        return true;
    }
    match FileKind::detect(bytes, path) {
        FileKind::Foreign(foreign) => WRAPPED.iter().any(|word| foreign.message.contains(word)),
        _ => true,
    }
}

/// Regular files below a folder, sorted.
pub(super) fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    list_into(folder, 0, &mut files)?;
    files.sort();
    Ok(files)
}

fn list_into(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let error = |e| Error::io(folder, "cannot be listed", &e);
    if depth > FOLDERS {
        return Err(Error::limit(format!("lies more than {FOLDERS} folders deep")).in_file(folder));
    }
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        let kind = entry.file_type().map_err(error)?;
        let path = entry.path();
        if kind.is_dir() {
            list_into(&path, depth + 1, files)?;
        } else if path.is_file() {
            files.push(path);
        }
        if files.len() > FILES {
            return Err(Error::limit(format!("holds more than {FILES} files")).in_file(folder));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::leads_out;

    #[test]
    fn names_that_lead_elsewhere() {
        for name in [
            "/etc/passwd",
            "../a",
            "a/../../b",
            "a\\..\\b",
            "C:\\a",
            "\\\\host\\a",
        ] {
            assert!(leads_out(name).is_some(), "{name}");
        }
        for name in ["a", "a/b", "..a", "a..", "model-00001-of-00002.bin", "..."] {
            assert_eq!(leads_out(name), None, "{name}");
        }
    }
}
