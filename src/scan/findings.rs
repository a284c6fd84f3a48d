//! What was found, counted and kept within bounds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use globset::GlobSet;

use super::Level;

/// Findings that are kept of one name or oddity; the rest are counted.
const KEPT_OF_EACH: usize = 20;
/// Findings that are kept in all.
const KEPT: usize = 20_000;
/// Names that are kept.
const NAMES: usize = 100_000;
/// Bytes of a name as findings show it.
const LONGEST: usize = 300;

/// One thing that is not known to be inert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of what kind.
    pub kind: Kind,
    /// The name, the record, or what it is about.
    pub what: String,
    /// Record and offset: `data.pkl+0x1a3`.
    pub place: String,
    /// Where in the object, as tensors are named; `None` where the object does not show it, or it is not in a pickle.
    pub path: Option<String>,
    /// How bad.
    pub level: Level,
    /// One line for people.
    pub message: String,
    /// Offset in the file, where the bytes lie there as they are.
    pub file_offset: Option<u64>,
    /// The file, where a folder was scanned.
    pub file: Option<PathBuf>,
}

/// A name that a pickle holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// `torch._utils._rebuild_tensor_v2`
    pub what: String,
    /// How bad.
    pub level: Level,
    /// Whether only `--allow` vouches for it.
    pub allowed: bool,
    /// How often it is named, memo references not counted.
    pub count: usize,
    /// Where it is named first: `data.pkl+0x1a3`.
    pub place: String,
    /// Where in the object.
    pub path: Option<String>,
}

macro_rules! kinds {
    ($($variant:ident $name:literal $help:literal;)+) => {
        /// Kinds of findings.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Kind {
            $(#[doc = $help] $variant,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),+];

            /// The word in `--json` and SARIF.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)+ }
            }
            /// What such a finding means, in a line.
            pub fn help(self) -> &'static str {
                match self { $(Kind::$variant => $help,)+ }
            }
        }
    };
}

kinds! {
    Global "global" "A class or function that nobody vouches for, or that is known to reach beyond data.";
    Call "call" "A call that no correct writer makes: an unknown function, or a known one with other arguments.";
    State "state" "State that is set on something which has none, or that changes how its class behaves.";
    Extension "extension" "A name by number (EXT): what it means depends on the program that loads the file.";
    PersistentId "persistent-id" "A persistent id that is not a storage.";
    Tensor "tensor" "A tensor or storage whose sizes do not fit its bytes.";
    ParserDependent "parser-dependent" "A notation that unpicklers read differently, or only some of them read.";
    Memo "memo" "The memo is used in a way in which no writer uses it.";
    Opcode "opcode" "An opcode that no writer of this protocol emits.";
    ComputedName "computed-name" "A name that the pickle computes when it is loaded.";
    TrailingBytes "trailing-bytes" "Bytes after the end of a pickle, which its loader does not read.";
    HiddenPickle "hidden-pickle" "A pickle where none belongs.";
    Damaged "damaged" "A pickle or a record that cannot be read to its end.";
    Limit "limit" "A limit that protects against hostile files was reached.";
    DuplicateMember "duplicate-member" "Two members of an archive have one name: programs choose differently.";
    CaseTwin "case-twin" "Two members differ in letter case alone: torch takes one for the other.";
    HeaderMismatch "header-mismatch" "The two headers of a member disagree: programs read different things.";
    Overlap "overlap" "Members of an archive share bytes.";
    OutsideArchive "outside-archive" "Bytes of an archive that belong to no member.";
    UnlistedMember "unlisted-member" "A member that the archive's directory does not list.";
    Unreadable "unreadable-member" "An encrypted member, or one compressed by a method that torch does not read.";
    MemberName "member-name" "A member's name that programs read differently.";
    DeflateBomb "deflate-bomb" "A member that inflates to far more than it is.";
    TwoCheckpoints "two-checkpoints" "An archive of two checkpoints: programs choose differently.";
    PathTraversal "path-traversal" "A name that leads out of the folder of the file that names it.";
    NativeCode "native-code" "Machine code inside of a model: whoever loads the model as a package runs it.";
    PythonSource "python-source" "Python source inside of a model, which its loader runs.";
    ScriptCode "script-code" "TorchScript code that reaches files, or operators that torch does not bring along.";
    NotScanned "not-scanned" "A file that may hold a pickle and could not be looked into.";
    Polyglot "polyglot" "A file of two formats: programs choose differently.";
}

/// Collects findings and names.
pub(super) struct Findings<'o> {
    allow: &'o GlobSet,
    /// Named in findings, where a folder is scanned.
    pub(super) file: Option<PathBuf>,
    pub(super) list: Vec<Finding>,
    pub(super) left_out: usize,
    /// The worst level of all findings, those left out included.
    pub(super) worst: Level,
    /// The worst of the file at hand.
    pub(super) worst_here: Level,
    pub(super) names: Vec<Name>,
    by_name: HashMap<String, usize>,
    counts: HashMap<(Kind, String), usize>,
}

impl<'o> Findings<'o> {
    pub(super) fn new(allow: &'o GlobSet) -> Self {
        Self {
            allow,
            file: None,
            list: Vec::new(),
            left_out: 0,
            worst: Level::Inert,
            worst_here: Level::Inert,
            names: Vec::new(),
            by_name: HashMap::new(),
            counts: HashMap::new(),
        }
    }

    /// Whether the user vouches for the name.
    pub(super) fn is_allowed(&self, name: &str) -> bool {
        !self.allow.is_empty() && self.allow.is_match(Path::new(name))
    }

    /// Whether another finding of that kind about `what` would be kept: if not, it is counted, and need not be made.
    pub(super) fn wants(&mut self, kind: Kind, level: Level, what: &str) -> bool {
        self.worst = self.worst.max(level);
        self.worst_here = self.worst_here.max(level);
        let full = self.list.len() >= KEPT;
        let count = match self.counts.get_mut(&(kind, what.to_owned())) {
            Some(count) => count,
            None if full => {
                self.left_out += 1;
                return false;
            }
            None => self.counts.entry((kind, what.to_owned())).or_default(),
        };
        *count += 1;
        if *count > KEPT_OF_EACH || full {
            self.left_out += 1;
            return false;
        }
        true
    }

    /// Keeps a finding that [`Findings::wants`] asked for.
    pub(super) fn keep(&mut self, mut finding: Finding) {
        finding.what = cut(&finding.what);
        finding.message = cut(&finding.message);
        finding.file.clone_from(&self.file);
        self.list.push(finding);
    }

    /// A finding about the structure.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        level: Level,
        what: &str,
        place: &Spot,
        message: &str,
    ) {
        if self.wants(kind, level, what) {
            self.keep(Finding {
                kind,
                what: what.to_owned(),
                place: place.text.clone(),
                path: None,
                level,
                message: message.to_owned(),
                file_offset: place.file_offset,
                file: None,
            });
        }
    }

    /// Counts a name; `place` is asked where it is met first.
    pub(super) fn name(
        &mut self,
        what: &str,
        level: Level,
        allowed: bool,
        place: impl FnOnce() -> (String, Option<String>),
    ) {
        if let Some(&known) = self.by_name.get(what) {
            self.names[known].count += 1;
            return;
        }
        if self.names.len() >= NAMES {
            return; // whatever is not inert is a finding all the same
        }
        let (place, path) = place();
        self.by_name.insert(what.to_owned(), self.names.len());
        self.names.push(Name {
            what: cut(what),
            level,
            allowed,
            count: 1,
            place,
            path,
        });
    }
}

/// A place in a file, as findings show it.
#[derive(Clone, Debug)]
pub(super) struct Spot {
    pub(super) text: String,
    pub(super) file_offset: Option<u64>,
}

/// Text that fits a line.
pub(super) fn cut(text: &str) -> String {
    if text.len() <= LONGEST {
        return text.to_owned();
    }
    let end = (0..=LONGEST).rev().find(|&i| text.is_char_boundary(i));
    format!("{}…", &text[..end.unwrap_or(0)])
}
