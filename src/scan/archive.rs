//! A zip: what its structure hides, and which of its members are pickles.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use super::Level;
use super::code;
use super::files::{Scanner, Where};
use super::findings::{Kind, Spot};
use super::folder;
use super::program::{self, Context};
use super::stray;
use super::tensors::Records;
use crate::container::Method;
use crate::container::zip::{self, Member, Problem, ProblemKind, Survey};
use crate::error::{ErrorKind, Result};

/// A storage that inflates to no more is searched, however well it was compressed.
const STORAGE_FREE: usize = 64 << 20;

/// Pickles that belong to formats of torch's, by their names in the root folder.
const PICKLES: [&str; 6] = [
    "data.pkl",
    "constants.pkl",
    "attributes.pkl",
    "bytecode.pkl",
    "traced_inputs.pkl",
    "mobile_debug_handles.pkl",
];

/// What of an archive the scan of a member needs to know.
struct Archive<'b> {
    bytes: &'b [u8],
    root: String,
    torchscript: bool,
    /// Whether it is one of `torch.package`.
    package: bool,
    is_torch: bool,
    whole: bool,
    survey: Survey,
}

impl Scanner<'_> {
    /// Scans a zip and everything in it; of several, one after another, each.
    pub(super) fn archive(&mut self, bytes: &[u8], at: &Where, path: &Path) -> Result<()> {
        let mut zips = zip::one_after_another(bytes, &self.options.limits);
        if zips.len() > 1 && !bytes.starts_with(b"PK\x03\x04") {
            // no zip lies before the first: its survey tells of the bytes there
            zips.remove(0);
            zips[0].start = 0;
        }
        if zips.len() == 1 {
            return self.one_archive(bytes, at);
        }
        // a distributed checkpoint's file is so, and torch finds each by its place
        if path.extension().is_none_or(|ending| ending != "distcp") {
            let message = format!("{} zips, one after another", zips.len());
            let what = "several zips";
            self.findings
                .add(Kind::Polyglot, Level::Unknown, what, &at.spot(0), &message);
        }
        for zip in zips {
            self.one_archive(&bytes[zip.clone()], &at.part(zip.start as u64))?;
        }
        Ok(())
    }

    fn one_archive(&mut self, bytes: &[u8], at: &Where) -> Result<()> {
        let survey = match Survey::of(bytes, &self.options.limits) {
            Ok(survey) => survey,
            Err(error) => {
                self.findings.add(
                    Kind::Limit,
                    Level::Unknown,
                    "records",
                    &at.spot(0),
                    error.message(),
                );
                self.strays(bytes, Vec::new(), at, &|offset| (None, offset));
                return Ok(());
            }
        };
        let archive = Archive::new(bytes, survey);
        for problem in &archive.survey.problems {
            self.structure(problem, &archive, at);
        }
        self.two_checkpoints(&archive, at);
        let mut known: Vec<Range<usize>> = Vec::new();
        for member in &archive.survey.members {
            if !member.record.is_folder() || member.available > 0 {
                known.extend(self.member(&archive, member, at)?);
            }
        }
        known.sort_by_key(|range| range.start);
        self.strays(bytes, known, at, &|offset| archive.owner(offset));
        Ok(())
    }

    fn structure(&mut self, problem: &Problem, archive: &Archive<'_>, at: &Where) {
        let kind = match problem.kind {
            ProblemKind::NoDirectory | ProblemKind::Cut | ProblemKind::Impossible => Kind::Damaged,
            ProblemKind::Duplicate => Kind::DuplicateMember,
            ProblemKind::CaseTwin => Kind::CaseTwin,
            ProblemKind::Mismatch => Kind::HeaderMismatch,
            ProblemKind::Overlap => Kind::Overlap,
            ProblemKind::Outside => Kind::OutsideArchive,
            ProblemKind::Unlisted => Kind::UnlistedMember,
            ProblemKind::Unreadable => Kind::Unreadable,
            ProblemKind::Name => Kind::MemberName,
        };
        let what = match &problem.record {
            Some(name) => archive.relative(name).to_owned(),
            None => "zip".to_owned(),
        };
        let spot = at.spot(problem.at);
        self.findings
            .add(kind, Level::Unknown, &what, &spot, &problem.message);
    }

    fn two_checkpoints(&mut self, archive: &Archive<'_>, at: &Where) {
        let names = archive
            .survey
            .members
            .iter()
            .map(|member| &member.record.name);
        let pickles: BTreeSet<&str> = names
            .map(String::as_str)
            .filter(|name| match name.split_once('/') {
                Some((_, rest)) => rest.eq_ignore_ascii_case("data.pkl"),
                None => name.eq_ignore_ascii_case("data.pkl"),
            })
            .collect();
        let roots: BTreeSet<String> = pickles
            .iter()
            .map(|name| name.to_ascii_lowercase())
            .collect();
        if roots.len() > 1 {
            let some: Vec<&str> = pickles.into_iter().take(4).collect();
            let message = format!("holds several checkpoints: {}", some.join(", "));
            self.findings.add(
                Kind::TwoCheckpoints,
                Level::Unknown,
                "data.pkl",
                &at.spot(0),
                &message,
            );
        }
    }

    /// Scans a member; returns the bytes of the file that need not be searched for pickles.
    fn member(
        &mut self,
        archive: &Archive<'_>,
        member: &Member,
        at: &Where,
    ) -> Result<Option<Range<usize>>> {
        let name = archive.relative(&member.record.name).to_owned();
        let kept = kept_range(member);
        if let Some(message) = folder::leads_out(&member.record.name) {
            let spot = at.spot(member.record.header_at);
            self.findings
                .add(Kind::PathTraversal, Level::Unknown, &name, &spot, message);
        }
        let len = usize::try_from(member.available).unwrap_or(usize::MAX);
        if !member.readable || !self.affords(len, at) {
            return Ok(None);
        }
        let pickled = archive.is_pickle(&name);
        let stored_len = member.available;
        let most = if pickled {
            self.options.limits.inflated(stored_len)
        } else {
            self.options.limits.inflated(stored_len).max(STORAGE_FREE)
        };
        let content = match member.content(archive.bytes, most) {
            Ok(content) => content,
            Err(error) => {
                let kind = if error.kind() == ErrorKind::Limit {
                    Kind::DeflateBomb
                } else {
                    Kind::Damaged
                };
                let spot = at.spot(member.record.data_at);
                self.findings
                    .add(kind, Level::Unknown, &name, &spot, error.message());
                return Ok(None);
            }
        };
        let deflated = member.record.method == Method::Deflated;
        if deflated && !self.affords(content.len(), at) {
            return Ok(None);
        }
        if deflated && content.len() as u64 != member.record.len {
            let message = format!(
                "inflates to {} bytes where the headers say {}",
                content.len(),
                member.record.len
            );
            let spot = at.spot(member.record.data_at);
            self.findings
                .add(Kind::HeaderMismatch, Level::Unknown, &name, &spot, &message);
        }
        let file_offset = (!deflated).then_some(at.base.unwrap_or(0) + member.record.data_at);
        let inside = at.inside(&name, file_offset.filter(|_| at.base.is_some()));
        self.code(archive, &name, &content, &inside);
        if pickled {
            self.pickled_member(archive, &content, stored_len, &name, &inside);
            return Ok((!deflated).then_some(kept));
        }
        if content.starts_with(b"PK\x03\x04") || name.ends_with(".npy") {
            if at.depth < super::files::DEEPEST {
                self.nested(&content, &inside.deeper(), Path::new(&name))?;
                return Ok((!deflated).then_some(kept));
            }
            self.too_deep(&inside);
        }
        if deflated {
            self.strays(&content, Vec::new(), &inside, &|offset| (None, offset));
        }
        Ok(None)
    }

    /// Code that the member is.
    fn code(&mut self, archive: &Archive<'_>, name: &str, content: &[u8], inside: &Where) {
        let lower = name.to_ascii_lowercase();
        if code::is_machine_code(content) {
            let message = "is a program or shared library, which whoever loads the package runs";
            self.findings.add(
                Kind::NativeCode,
                Level::Unknown,
                name,
                &inside.spot(0),
                message,
            );
        }
        if archive.package && [".py", ".pyc"].iter().any(|ending| lower.ends_with(ending)) {
            let message = "torch.package runs it, and finds the names of its pickles in it";
            self.findings.add(
                Kind::PythonSource,
                Level::Unknown,
                name,
                &inside.spot(0),
                message,
            );
        }
        let reached: Box<dyn Iterator<Item = code::Reach>> = match () {
            () if !archive.torchscript => return,
            () if lower.ends_with(".py") => Box::new(code::reaches(content)),
            () if lower == "bytecode.pkl" => Box::new(code::operators(content)),
            () => return,
        };
        for reach in reached {
            let (level, message) = if reach.is_file {
                (Level::Dangerous, "reads or writes files when the code runs")
            } else {
                (
                    Level::Unknown,
                    "is none that torch brings along and that only computes",
                )
            };
            let spot = inside.spot(reach.at as u64);
            self.findings
                .add(Kind::ScriptCode, level, &reach.name, &spot, message);
        }
    }

    fn pickled_member(
        &mut self,
        archive: &Archive<'_>,
        content: &[u8],
        stored_len: u64,
        name: &str,
        inside: &Where,
    ) {
        let records = archive.records(name);
        let context = Context {
            record: &inside.label,
            base: 0,
            file_offset: inside.base,
            torchscript: archive.torchscript,
            numbered: false,
            records: records.as_ref(),
        };
        self.pickles += 1;
        let inflated = content
            .len()
            .saturating_sub(usize::try_from(stored_len).unwrap_or(0));
        let limits = self.options.limits.for_inflated(stored_len, inflated);
        let outcome = program::examine(content, &context, &mut self.findings, &limits);
        self.nested_pickles(outcome.nested, inside);
        if outcome.ended && outcome.consumed < content.len() {
            let rest = content.len() - outcome.consumed;
            let message = format!("{rest} bytes follow the end of the pickle");
            let spot = inside.spot(outcome.consumed as u64);
            self.findings
                .add(Kind::TrailingBytes, Level::Unknown, name, &spot, &message);
        }
        if outcome.consumed < content.len() {
            let done = 0..outcome.consumed;
            self.strays(content, vec![done], inside, &|offset| (None, offset));
        }
    }

    /// Searches for pickles where none belongs, outside of the `known` ranges, and reports what they would run.
    pub(super) fn strays(
        &mut self,
        bytes: &[u8],
        known: Vec<Range<usize>>,
        at: &Where,
        owner: &dyn Fn(u64) -> (Option<String>, u64),
    ) {
        let search = stray::search(bytes, &known);
        for stray in search.found {
            let (label, offset) = owner(stray.at as u64);
            let label = label.map_or_else(|| at.label.clone(), |name| at.join(&name));
            let file_offset = at.base.map(|base| base + stray.at as u64);
            let spot = Spot {
                text: format!("{label}+{offset:#x}"),
                file_offset,
            };
            let message = format!("a pickle of {} bytes lies where none belongs", stray.len);
            self.findings
                .add(Kind::HiddenPickle, Level::Unknown, &label, &spot, &message);
            let context = Context {
                record: &label,
                base: offset,
                file_offset,
                torchscript: false,
                numbered: false,
                records: None,
            };
            self.pickles += 1;
            let bytes = &bytes[stray.at..stray.at + stray.len];
            let limits = self.options.limits.for_pickle(stray.len as u64);
            program::examine(bytes, &context, &mut self.findings, &limits);
        }
        if let Some(gave_up) = search.gave_up_at {
            let message = "too much looks like a pickle from here on: the rest was not searched";
            let spot = at.spot(gave_up as u64);
            self.findings
                .add(Kind::Limit, Level::Unknown, "search", &spot, message);
        }
    }
}

fn kept_range(member: &Member) -> Range<usize> {
    let from = usize::try_from(member.record.data_at).unwrap_or(usize::MAX);
    let len = usize::try_from(member.available).unwrap_or(0);
    from..from.saturating_add(len)
}

impl<'b> Archive<'b> {
    fn new(bytes: &'b [u8], survey: Survey) -> Self {
        let first = survey
            .members
            .first()
            .map_or("", |member| &member.record.name);
        let root = match first.split_once('/') {
            Some((root, _)) => format!("{root}/"),
            None => String::new(),
        };
        let mut archive = Self {
            bytes,
            root,
            torchscript: false,
            package: false,
            is_torch: false,
            whole: survey.directory.is_some(),
            survey,
        };
        let any = |wanted: &dyn Fn(&str) -> bool| {
            let names = archive.survey.members.iter();
            names
                .map(|member| archive.relative(&member.record.name))
                .any(wanted)
        };
        let torchscript = any(&|name| name == "constants.pkl" || name.starts_with("code/"));
        let is_torch = torchscript || any(&|name| name.eq_ignore_ascii_case("data.pkl"));
        let package = any(&|name| name == ".data/extern_modules");
        (archive.torchscript, archive.is_torch, archive.package) = (torchscript, is_torch, package);
        archive
    }

    /// A name without the root folder.
    fn relative<'n>(&self, name: &'n str) -> &'n str {
        match name.strip_prefix(self.root.as_str()) {
            Some("") | None => name,
            Some(rest) => rest,
        }
    }

    /// Whether a member of that name is a pickle that belongs there.
    fn is_pickle(&self, name: &str) -> bool {
        let lower = name.to_ascii_lowercase();
        PICKLES.contains(&lower.as_str())
            || self.torchscript && (lower.ends_with(".pkl") || lower.ends_with(".debug_pkl"))
            || lower.ends_with("/data.pkl")
            || !self.is_torch
                && [".pkl", ".pickle", ".p"]
                    .iter()
                    .any(|end| lower.ends_with(end))
    }

    /// The records of the storages that the pickle of that name may name.
    fn records(&self, pickle: &str) -> Option<Records> {
        let folder = match pickle {
            "data.pkl" if self.whole => "data/",
            "constants.pkl" if self.whole => "constants/",
            _ => return None,
        };
        let members = self.survey.members.iter();
        let storages = members.filter_map(|member| {
            let key = self.relative(&member.record.name).strip_prefix(folder)?;
            Some((key.to_owned(), member.record.len))
        });
        Some(storages.collect())
    }

    /// The member whose bytes lie there, and the offset inside it.
    fn owner(&self, offset: u64) -> (Option<String>, u64) {
        let members = self.survey.members.iter();
        let mut owners = members.filter(|member| {
            (member.record.data_at..member.record.data_at + member.available).contains(&offset)
        });
        match owners.next() {
            Some(member) => (
                Some(self.relative(&member.record.name).to_owned()),
                offset - member.record.data_at,
            ),
            None => (None, offset),
        }
    }
}
