//! What would unpickling this file run? Every name and every call in it, sorted; nothing is ever executed.
//!
//! The idea: an allow-list. A pickle is a program, and it is harmless only if every name in it is one that this module
//! knows ([`known`]) and every call is the call that torch, numpy or Python's own pickling makes, with the arguments
//! that it makes it with ([`arguments`]). All else is *unknown*, and names that are known to reach beyond data are
//! *dangerous*; that second list only sorts, nothing is clean for not being on it.
//!
//! What runs is only half of it: a file that two programs read differently shows the scanner one thing and the victim
//! another. So the structure is looked at too ([`archive`]), with a reader that refuses nothing and chooses nothing,
//! and all bytes of the file are searched for pickles where none belongs ([`stray`]).
//!
//! | question | module |
//! |---|---|
//! | what kind of file is it, and which pickles are in it? | [`files`], [`archive`] |
//! | what does one pickle name and call? | [`program`], by [`pickle::trace`](crate::pickle::trace()) |
//! | where in the object does a value lie? | [`paths`] |
//! | who vouches for a name? | [`known`] |
//! | is this the call that a correct writer makes? | [`arguments`], [`tensors`] |
//! | are there pickles where none belongs? | [`stray`] |
//! | is there code beside the pickles? | [`code`] |
//! | which files of a folder are looked into? | [`folder`] |

mod archive;
mod arguments;
mod code;
mod files;
mod findings;
mod folder;
mod known;
mod paths;
mod program;
mod stray;
mod tensors;

use std::path::{Path, PathBuf};

use globset::GlobSet;

use crate::bytes::ByteSource;
use crate::bytes::Limits;
use crate::error::Result;

pub use findings::{Finding, Kind, Name};

/// How bad a name or an oddity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// On the list, or vouched for by the user.
    Inert,
    /// Nobody vouches for it, or no correct writer produces it.
    Unknown,
    /// It reaches beyond data: code, files, processes, or whatever the loader does.
    Dangerous,
}

impl Level {
    /// `known-inert`, `unknown`, `dangerous`.
    pub fn name(self) -> &'static str {
        match self {
            Level::Inert => "known-inert",
            Level::Unknown => "unknown",
            Level::Dangerous => "dangerous",
        }
    }

    /// The verdict on a file whose worst finding has this level: `clean`, `unknown`, `dangerous`.
    pub fn verdict(self) -> &'static str {
        match self {
            Level::Inert => "clean",
            other => other.name(),
        }
    }
}

/// What a scan found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The file or folder.
    pub file: PathBuf,
    /// The worst level of all findings; [`Level::Inert`] is clean.
    pub verdict: Level,
    /// Everything that is not known to be inert, the worst first, then in the file's order.
    pub findings: Vec<Finding>,
    /// Findings beyond those: repetitions of names and calls that are listed.
    pub left_out: usize,
    /// Every name that the pickles hold, once.
    pub names: Vec<Name>,
    /// Pickles that were read.
    pub pickles: usize,
    /// Files that were looked into: more than one in a folder.
    pub files: usize,
    /// Files of a folder that hold no pickle by their kind (text, pictures).
    pub skipped: usize,
    /// The verdict on each file of a folder that was looked into; empty where one file was scanned.
    pub verdicts: Vec<(PathBuf, Level)>,
}

/// What to scan by.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names (`mypackage.config.*`) that the user vouches for.
    pub allow: GlobSet,
    /// Limits; what runs into one is reported as a finding.
    pub limits: Limits,
}

/// Scans the file, the index of a sharded checkpoint with its shards, or every file of a folder.
///
/// # Errors
///
/// `Io` where a file cannot be read, `Unsupported` for a file that is no checkpoint and holds no pickle (a web page, a
/// git-lfs pointer, a compressed archive). A damaged or hostile file is no error: what is wrong with it is found.
pub fn scan(path: &Path, options: &Options) -> Result<Report> {
    let mut scanner = files::Scanner::new(path, options);
    scanner.path(path)?;
    Ok(scanner.finish())
}

/// Scans bytes in memory; `name` stands for the path.
///
/// # Errors
///
/// As [`scan`].
pub fn scan_bytes(name: &str, bytes: Vec<u8>, options: &Options) -> Result<Report> {
    let path = Path::new(name);
    let mut scanner = files::Scanner::new(path, options);
    scanner
        .source(&ByteSource::from(bytes), path)
        .map_err(|e| e.in_file(path))?;
    Ok(scanner.finish())
}

#[cfg(test)]
mod tests;
