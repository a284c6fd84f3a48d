//! Which kind of file is it, and which pickles are in it?

use std::path::{Path, PathBuf};

use super::findings::{Findings, Kind, Spot};
use super::program::{self, Context};
use super::{Level, Options, Report};
use crate::bytes::{Access, ByteSource};
use crate::container::zip::Survey;
use crate::container::{FileKind, Foreign, foreign_error};
use crate::error::{Error, Result};
use crate::safetensors;

/// Archives inside archives, checkpoints inside checkpoints.
pub(super) const DEEPEST: usize = 6;
/// How often each byte of a file may be looked at, inside of archives inside of archives: each level does so once.
const LOOKS: u64 = 8;
/// Files of a folder.
const FILES: usize = 100_000;
/// Levels of a folder.
const FOLDERS: usize = 16;
/// Pickles in a row that a legacy file begins with.
const LEGACY_PICKLES: usize = 5;

/// Where the bytes at hand come from.
#[derive(Clone)]
pub(super) struct Where {
    /// `data.pkl`, `extra/model.pt!data.pkl`; of the file itself its name.
    pub(super) label: String,
    /// Whether the label is that of the whole file.
    pub(super) whole: bool,
    /// Where they begin in the file; `None` where they were inflated or decoded.
    pub(super) base: Option<u64>,
    /// Whether they are of a tar, in which numbers stand for storages and tensors.
    pub(super) numbered: bool,
    /// Archives and checkpoints around them.
    pub(super) depth: usize,
}

impl Where {
    pub(super) fn spot(&self, offset: u64) -> Spot {
        Spot {
            text: format!("{}+{offset:#x}", self.label),
            file_offset: self.base.map(|base| base.saturating_add(offset)),
        }
    }

    /// The label of a member.
    pub(super) fn join(&self, name: &str) -> String {
        if self.whole {
            name.to_owned()
        } else {
            format!("{}!{name}", self.label)
        }
    }

    pub(super) fn inside(&self, name: &str, base: Option<u64>) -> Self {
        Self {
            label: self.join(name),
            whole: false,
            base,
            numbered: false,
            depth: self.depth,
        }
    }

    /// One of several archives in a file.
    pub(super) fn part(&self, offset: u64) -> Self {
        Self {
            label: self.join(&format!("zip+{offset:#x}")),
            whole: false,
            base: self.base.map(|base| base.saturating_add(offset)),
            ..self.clone()
        }
    }

    pub(super) fn deeper(&self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self.clone()
        }
    }
}

/// The scan of a file, or of a folder.
pub(super) struct Scanner<'o> {
    pub(super) options: &'o Options,
    pub(super) findings: Findings<'o>,
    pub(super) pickles: usize,
    /// Bytes of members and of what is nested in them that may still be looked at in this file. Archives that hold one
    /// another many times, and records that overlap, have more of them than anybody could read.
    bytes_left: u64,
    file: PathBuf,
    files: usize,
    skipped: usize,
}

impl<'o> Scanner<'o> {
    pub(super) fn new(file: &Path, options: &'o Options) -> Self {
        Self {
            options,
            findings: Findings::new(&options.allow),
            pickles: 0,
            bytes_left: 0,
            file: file.to_owned(),
            files: 0,
            skipped: 0,
        }
    }

    pub(super) fn finish(self) -> Report {
        let Findings {
            list: mut findings,
            mut names,
            left_out,
            ..
        } = self.findings;
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        names.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.what.cmp(&b.what)));
        let worst = findings.iter().map(|finding| finding.level).max();
        Report {
            file: self.file,
            verdict: worst.unwrap_or(Level::Inert),
            findings,
            left_out,
            names,
            pickles: self.pickles,
            files: self.files,
            skipped: self.skipped,
        }
    }

    /// A file, an index with its shards, or a folder.
    pub(super) fn path(&mut self, path: &Path) -> Result<()> {
        if path.is_dir() {
            let mut files = Vec::new();
            list(path, 0, &mut files)?;
            files.sort();
            return self.several(path, &files);
        }
        let source = ByteSource::open(path)?;
        if FileKind::detect(&source, path) == FileKind::ShardIndex {
            let folder = path.parent().unwrap_or(Path::new(""));
            let shards = shards(&source, folder).map_err(|e| e.in_file(path))?;
            return self.several(folder, &shards);
        }
        self.source(&source, path).map_err(|e| e.in_file(path))
    }

    fn several(&mut self, folder: &Path, files: &[PathBuf]) -> Result<()> {
        let mut any = false;
        for path in files {
            let shown = path.strip_prefix(folder).unwrap_or(path);
            self.findings.file = Some(shown.to_owned());
            let source = ByteSource::open(path)?;
            match self.source(&source, path) {
                Ok(()) => any = true,
                Err(_) => self.skipped += 1, // text, pictures: no pickle in them
            }
        }
        self.findings.file = None;
        if any {
            return Ok(());
        }
        Err(Error::unsupported("holds no checkpoint")
            .in_file(folder)
            .with_hint("name a file that does"))
    }

    /// A file's bytes.
    pub(super) fn source(&mut self, source: &ByteSource, path: &Path) -> Result<()> {
        source.expect(Access::Runs);
        let len = source.len() as u64;
        let inflated = self.options.limits.inflated_storage(len) as u64;
        self.bytes_left = len.saturating_mul(LOOKS).saturating_add(inflated);
        let name = path.file_name().unwrap_or(path.as_os_str());
        let at = Where {
            label: name.to_string_lossy().into_owned(),
            whole: true,
            base: Some(0),
            numbered: false,
            depth: 0,
        };
        self.nested(source, &at, path)?;
        self.files += 1;
        Ok(())
    }

    /// Whether `len` more bytes of what lies in the file may be looked at; if not, that is a finding.
    pub(super) fn affords(&mut self, len: usize, at: &Where) -> bool {
        if let Some(left) = self.bytes_left.checked_sub(len as u64) {
            self.bytes_left = left;
            return true;
        }
        self.bytes_left = 0;
        let message = "what lies in the file, inflated and inside each other, is far more than the file: the rest was not looked into (inflate_ratio)";
        let (kind, level) = (Kind::DeflateBomb, Level::Unknown);
        self.findings
            .add(kind, level, "too much", &at.spot(0), message);
        false
    }

    /// Bytes of any kind.
    pub(super) fn nested(&mut self, bytes: &[u8], at: &Where, path: &Path) -> Result<()> {
        if at.depth > 0 && !self.affords(bytes.len(), at) {
            return Ok(());
        }
        let kind = FileKind::detect(bytes, path);
        if kind != FileKind::Zip {
            self.zip_at_the_end(bytes, at, path, &kind)?;
        }
        match kind {
            FileKind::Zip => {
                if bytes.get(257..262) == Some(b"ustar") {
                    self.polyglot(at, "a tar archive as well: old versions of torch read that");
                }
                self.archive(bytes, at, path)
            }
            FileKind::LegacyTorch => {
                self.legacy(bytes, at);
                Ok(())
            }
            FileKind::Tar => {
                self.tar(bytes, at);
                Ok(())
            }
            FileKind::RawPickle => {
                self.raw_pickle(bytes, at);
                Ok(())
            }
            FileKind::Npy => {
                self.npy(bytes, at);
                Ok(())
            }
            FileKind::Safetensors => {
                self.safetensors(bytes, at);
                Ok(())
            }
            FileKind::ShardIndex => Ok(()), // text; path() scans its shards
            FileKind::Foreign(foreign) => self.foreign(bytes, at, &foreign),
        }
    }

    fn polyglot(&mut self, at: &Where, message: &str) {
        self.findings.add(
            Kind::Polyglot,
            Level::Unknown,
            &at.label,
            &at.spot(0),
            &format!("is {message}"),
        );
    }

    pub(super) fn too_deep(&mut self, at: &Where) {
        let message = format!("lies {DEEPEST} archives deep, and was not looked into");
        self.findings.add(
            Kind::Limit,
            Level::Unknown,
            &at.label,
            &at.spot(0),
            &message,
        );
    }

    /// A file that is no zip by its beginning may be one by its end, where zip programs look.
    fn zip_at_the_end(
        &mut self,
        bytes: &[u8],
        at: &Where,
        path: &Path,
        kind: &FileKind,
    ) -> Result<()> {
        if at.depth >= DEEPEST {
            self.too_deep(at);
            return Ok(());
        }
        let Ok(survey) = Survey::of(bytes, &self.options.limits) else {
            return Ok(()); // more records than the limit: the search for pickles goes on
        };
        if survey.directory.is_none() || survey.members.is_empty() {
            return Ok(());
        }
        self.polyglot(
            at,
            &format!(
                "{} by its beginning and a zip archive by its end: programs choose differently",
                kind.name()
            ),
        );
        self.archive(bytes, &at.deeper(), path)
    }

    fn foreign(&mut self, bytes: &[u8], at: &Where, foreign: &Foreign) -> Result<()> {
        // pickles have no signature: what calls a name is one
        let trace =
            crate::pickle::trace(bytes, &self.options.limits.for_pickle(bytes.len() as u64));
        let names =
            |value: &crate::pickle::Value| matches!(value, crate::pickle::Value::Global { .. });
        if trace.graph.values.iter().any(names) {
            drop(trace);
            self.raw_pickle(bytes, at);
            return Ok(());
        }
        drop(trace);
        // formats of models that hold no pickles: GGUF, ONNX, ...
        if !foreign.hint.contains("another framework's format") {
            return Err(foreign_error(foreign));
        }
        self.strays(bytes, Vec::new(), at, &|offset| (None, offset));
        Ok(())
    }

    /// One pickle at an offset; returns its end, or `None` where it did not reach STOP.
    fn pickle_at(&mut self, bytes: &[u8], offset: usize, at: &Where) -> (usize, bool) {
        let context = Context {
            record: &at.label,
            base: offset as u64,
            file_offset: at.base.map(|base| base + offset as u64),
            torchscript: false,
            numbered: at.numbered,
            records: None,
        };
        self.pickles += 1;
        let rest = bytes.get(offset..).unwrap_or(&[]);
        let outcome = {
            let limits = self.options.limits.for_pickle(rest.len() as u64);
            program::examine(rest, &context, &mut self.findings, &limits)
        };
        self.nested_pickles(outcome.nested, at);
        (offset + outcome.consumed, outcome.ended)
    }

    fn raw_pickle(&mut self, bytes: &[u8], at: &Where) {
        let (end, ended) = self.pickle_at(bytes, 0, at);
        if ended && end < bytes.len() {
            let message = format!("{} bytes follow the end of the pickle", bytes.len() - end);
            let spot = at.spot(end as u64);
            self.findings.add(
                Kind::TrailingBytes,
                Level::Unknown,
                &at.label,
                &spot,
                &message,
            );
        }
        let done = 0..end;
        self.strays(bytes, vec![done], at, &|offset| (None, offset));
    }

    /// Five pickles in a row, then storages.
    pub(super) fn legacy(&mut self, bytes: &[u8], at: &Where) {
        let mut end = 0;
        for _ in 0..LEGACY_PICKLES {
            let ended;
            (end, ended) = self.pickle_at(bytes, end, at);
            if !ended {
                break;
            }
        }
        let done = 0..end;
        self.strays(bytes, vec![done], at, &|offset| (None, offset));
    }

    /// Checkpoints that a pickle holds as bytes.
    pub(super) fn nested_pickles(&mut self, nested: Vec<(u64, Vec<u8>)>, at: &Where) {
        for (offset, bytes) in nested {
            let inner = Where {
                label: format!("{}+{offset:#x}!storage", at.label),
                whole: false,
                base: None,
                numbered: false,
                depth: at.depth + 1,
            };
            if inner.depth > DEEPEST {
                self.too_deep(&inner);
                continue;
            }
            // what torch.load makes of them is decided by their beginning, as for any file
            if self.nested(&bytes, &inner, Path::new("storage")).is_err() {
                let message = "loads bytes that are no checkpoint";
                self.findings.add(
                    Kind::Damaged,
                    Level::Unknown,
                    &inner.label,
                    &inner.spot(0),
                    message,
                );
            }
        }
    }

    /// torch.save before 0.1.10: a tar of pickles and storages. Source: `_load_legacy` of `torch/serialization.py`.
    fn tar(&mut self, bytes: &[u8], at: &Where) {
        const BLOCK: usize = 512;
        let mut known = Vec::new();
        let mut header_at = 0;
        while let Some(header) = bytes.get(header_at..header_at + BLOCK) {
            let name: Vec<u8> = header[..100]
                .iter()
                .copied()
                .take_while(|&b| b != 0)
                .collect();
            let name = String::from_utf8_lossy(&name).into_owned();
            let octal: Vec<u8> = header[124..136]
                .iter()
                .copied()
                .filter(u8::is_ascii_digit)
                .collect();
            let size = std::str::from_utf8(&octal)
                .ok()
                .and_then(|text| usize::from_str_radix(text, 8).ok());
            let from = header_at + BLOCK;
            let size = size.unwrap_or(0).min(bytes.len() - from);
            if !name.is_empty() {
                let mut inside = at.inside(&name, at.base.map(|base| base + from as u64));
                inside.numbered = true;
                let content = &bytes[from..from + size];
                if ["pickle", "sys_info"]
                    .iter()
                    .any(|known| name.trim_start_matches("./") == *known)
                {
                    let (end, _) = self.pickle_at(content, 0, &inside);
                    known.push(from..from + end);
                }
            }
            header_at = from + size.div_ceil(BLOCK) * BLOCK;
        }
        self.strays(bytes, known, at, &|offset| (None, offset));
    }

    /// An array of objects is a pickle behind the header.
    fn npy(&mut self, bytes: &[u8], at: &Where) {
        let len = match bytes.get(6..12) {
            Some([1, _, a, b, ..]) => 10 + usize::from(u16::from_le_bytes([*a, *b])),
            Some([_, _, a, b, c, d]) => {
                let len = u32::from_le_bytes([*a, *b, *c, *d]);
                usize::try_from(len)
                    .unwrap_or(usize::MAX)
                    .saturating_add(12)
            }
            _ => bytes.len(),
        };
        let header = bytes.get(..len).unwrap_or(bytes);
        let objects = memchr::memmem::find(header, b"O").is_some();
        if objects && len < bytes.len() {
            let (end, _) = self.pickle_at(bytes, len, at);
            let done = len..end;
            self.strays(bytes, vec![done], at, &|offset| (None, offset));
        } else {
            self.strays(bytes, Vec::new(), at, &|offset| (None, offset));
        }
    }

    fn safetensors(&mut self, bytes: &[u8], at: &Where) {
        if let Err(error) = safetensors::Header::read(bytes, &self.options.limits) {
            let spot = at.spot(error.location().offset.unwrap_or(0));
            self.findings.add(
                Kind::Damaged,
                Level::Unknown,
                "header",
                &spot,
                error.message(),
            );
        }
        self.strays(bytes, Vec::new(), at, &|offset| (None, offset));
    }
}

/// Regular files below a folder.
fn list(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let error = |e| Error::io(folder, "cannot be listed", &e);
    for entry in std::fs::read_dir(folder).map_err(error)? {
        let entry = entry.map_err(error)?;
        let kind = entry.file_type().map_err(error)?;
        let path = entry.path();
        if kind.is_dir() && depth < FOLDERS && entry.file_name() != ".git" {
            list(&path, depth + 1, files)?;
        } else if path.is_file() {
            files.push(path);
        }
        if files.len() > FILES {
            return Err(Error::limit(format!("holds more than {FILES} files")).in_file(folder));
        }
    }
    Ok(())
}

/// The shards that an index names: files beside it.
fn shards(index: &[u8], folder: &Path) -> Result<Vec<PathBuf>> {
    let index: serde_json::Value = serde_json::from_slice(index)
        .map_err(|e| Error::malformed(format!("the index is no JSON: {e}")))?;
    let map = index.get("weight_map").and_then(|map| map.as_object());
    let map = map.ok_or_else(|| Error::malformed("the index has no weight_map"))?;
    let mut shards = std::collections::BTreeSet::new();
    for shard in map.values() {
        let shard = shard.as_str().unwrap_or_default();
        let is_beside = !shard.is_empty() && !shard.contains(['/', '\\', '\0']) && shard != "..";
        if !is_beside {
            return Err(Error::malformed(format!(
                "the index names {shard:?}, which is no file beside it"
            )));
        }
        shards.insert(folder.join(shard));
    }
    Ok(shards.into_iter().collect())
}
