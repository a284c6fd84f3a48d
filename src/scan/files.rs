//! Which kind of file is it, and which pickles are in it?

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::findings::{Findings, Kind, Spot};
use super::folder;
use super::program::{self, Context};
use super::{Level, Options, Report};
use crate::bytes::{Access, ByteSource};
use crate::container::zip::Survey;
use crate::container::{FileKind, Foreign, foreign_error};
use crate::error::Result;
use crate::safetensors;

/// Archives inside archives, checkpoints inside checkpoints.
pub(super) const DEEPEST: usize = 6;
/// How often each byte of a file may be looked at, inside of archives inside of archives: each level does so once.
const LOOKS: u64 = 8;
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
    /// A file.
    pub(super) fn whole(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self {
            label: name.to_string_lossy().into_owned(),
            whole: true,
            base: Some(0),
            numbered: false,
            depth: 0,
        }
    }

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
    pub(super) skipped: usize,
    pub(super) verdicts: Vec<(PathBuf, Level)>,
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
            verdicts: Vec::new(),
        }
    }

    pub(super) fn finish(self) -> Report {
        let Findings {
            list: mut findings,
            mut names,
            left_out,
            worst,
            ..
        } = self.findings;
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.level));
        names.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.what.cmp(&b.what)));
        Report {
            file: self.file,
            verdict: worst,
            findings,
            left_out,
            names,
            pickles: self.pickles,
            files: self.files,
            skipped: self.skipped,
            verdicts: self.verdicts,
        }
    }

    /// A file, an index with its shards, or a folder.
    pub(super) fn path(&mut self, path: &Path) -> Result<()> {
        if path.is_dir() {
            return self.several(path, &folder::list(path)?);
        }
        let source = ByteSource::open(path)?;
        if FileKind::detect(&source, path) == FileKind::ShardIndex {
            let at = Where::whole(path);
            let shards = self.shards(&source, &at).map_err(|e| e.in_file(path))?;
            let beside = path.parent().unwrap_or(Path::new(""));
            let shards: Vec<PathBuf> = shards.iter().map(|name| beside.join(name)).collect();
            if shards.is_empty() {
                return Ok(()); // it names files elsewhere, which is found
            }
            return self.several(beside, &shards);
        }
        self.source(&source, path).map_err(|e| e.in_file(path))
    }

    /// A file's bytes.
    pub(super) fn source(&mut self, source: &ByteSource, path: &Path) -> Result<()> {
        source.expect(Access::Runs);
        let len = source.len() as u64;
        let inflated = self.options.limits.inflated_storage(len) as u64;
        self.bytes_left = len.saturating_mul(LOOKS).saturating_add(inflated);
        self.nested(source, &Where::whole(path), path)?;
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
        if kind != FileKind::Zip && kind != FileKind::Tar {
            self.zip_at_the_end(bytes, at, path, &kind, &[])?;
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
            FileKind::Tar => self.tar(bytes, at, path),
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
            // text; path() scans its shards
            FileKind::ShardIndex => self.shards(bytes, at).map(|_| ()),
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

    /// A file that is no zip by its beginning may be one by its end, where zip programs look; one that begins where a
    /// member does was scanned with it.
    fn zip_at_the_end(
        &mut self,
        bytes: &[u8],
        at: &Where,
        path: &Path,
        kind: &FileKind,
        members: &[usize],
    ) -> Result<()> {
        if at.depth >= DEEPEST {
            self.too_deep(at);
            return Ok(());
        }
        let survey = match Survey::of(bytes, &self.options.limits) {
            Ok(survey) => survey,
            Err(error) => {
                let (kind, spot) = (Kind::Limit, at.spot(0));
                self.findings
                    .add(kind, Level::Unknown, "records", &spot, error.message());
                return Ok(());
            }
        };
        let is_member = usize::try_from(survey.start).is_ok_and(|start| members.contains(&start));
        if survey.directory.is_none() || survey.members.is_empty() || is_member {
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
        // formats of models that hold no pickles: GGUF, ONNX, ...; and what has a zip at its end
        let is_model = foreign.hint.contains("another framework's format");
        if !is_model && self.findings.worst_here == Level::Inert {
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

    /// A tar: torch.save's before 0.1.10 (pickles beside storages), or another. Source: `_load_legacy` of
    /// `torch/serialization.py`.
    fn tar(&mut self, bytes: &[u8], at: &Where, path: &Path) -> Result<()> {
        const BLOCK: usize = 512;
        let mut known = Vec::new();
        let mut header_at = 0;
        while let Some(header) = bytes.get(header_at..header_at + BLOCK) {
            let field = |range: Range<usize>| {
                let bytes = header[range].split(|&b| b == 0).next().unwrap_or(&[]);
                String::from_utf8_lossy(bytes).into_owned()
            };
            let name = field(0..100);
            let octal = field(124..136);
            let size = usize::from_str_radix(octal.trim(), 8).unwrap_or(0);
            let from = header_at + BLOCK;
            let size = size.min(bytes.len() - from);
            header_at = from + size.div_ceil(BLOCK) * BLOCK;
            if name.is_empty() {
                continue;
            }
            let mut inside = at.inside(&name, at.base.map(|base| base + from as u64));
            inside.numbered = true;
            self.tar_name(&name, header[156], &inside);
            let content = &bytes[from..from + size];
            let plain = name.trim_start_matches("./");
            if ["pickle", "sys_info"].contains(&plain) {
                let (end, _) = self.pickle_at(content, 0, &inside);
                known.push(from..from + end);
            } else if ["storages", "tensors"].contains(&plain) {
                // a count, and as many descriptions with bytes behind them: searched
            } else if !matches!(
                FileKind::detect(content, Path::new(&name)),
                FileKind::Foreign(_)
            ) {
                inside.numbered = false;
                self.nested(content, &inside.deeper(), Path::new(&name))?;
                known.push(from..from + size);
            }
        }
        let members: Vec<usize> = known.iter().map(|range| range.start).collect();
        self.strays(bytes, known, at, &|offset| (None, offset));
        self.zip_at_the_end(bytes, at, path, &FileKind::Tar, &members)
    }

    /// Links, and names that lead elsewhere: torch extracts two of the members.
    fn tar_name(&mut self, name: &str, kind: u8, at: &Where) {
        let link = matches!(kind, b'1'..=b'6').then_some("is a link or a device");
        let odd = link.filter(|_| kind != b'5').or(folder::leads_out(name));
        if let Some(odd) = odd {
            let spot = at.spot(0);
            self.findings
                .add(Kind::PathTraversal, Level::Unknown, name, &spot, odd);
        }
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
        let objects = ["O", "object"]
            .iter()
            .any(|kind| memchr::memmem::find(header, kind.as_bytes()).is_some());
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
