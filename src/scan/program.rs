//! One pickle: every name in it, every call, every odd thing.

use super::Level;
use super::arguments::Values;
use super::code;
use super::findings::{Finding, Findings, Kind, Spot, cut};
use super::known::{self, Known, Use};
use super::paths::Paths;
use super::tensors::{self, Records, Wrong};
use crate::bytes::Limits;
use crate::error::ErrorKind;
use crate::pickle;
use crate::pickle::Object;
use crate::pickle::ObjectKind;
use crate::pickle::OddityKind;
use crate::pickle::Trace;
use crate::pickle::Value;
use crate::pickle::ValueId;

/// Checkpoints inside the pickle that are looked into; each may hold more.
const NESTED: usize = 1000;

/// Attributes of an object that only look like those by which Python finds what to run: `torch.jit` and `typing` leave
/// them behind.
const NOTES: &[&str] = &[
    "__overloads__",
    "__constants__",
    "__orig_class__",
    "__annotations__",
    "__doc__",
];

/// What a pickle is part of.
pub(super) struct Context<'c> {
    /// The record, as findings name it: `data.pkl`.
    pub(super) record: &'c str,
    /// Where in the record its first byte lies.
    pub(super) base: u64,
    /// Where in the file.
    pub(super) file_offset: Option<u64>,
    /// Whether TorchScript reads it, for which `__torch__` names classes in `code/`.
    pub(super) torchscript: bool,
    /// Whether it is of a tar, in which numbers stand for storages and tensors.
    pub(super) numbered: bool,
    /// The records of the storages, where there are such.
    pub(super) records: Option<&'c Records>,
}

impl Context<'_> {
    pub(super) fn spot(&self, offset: u64) -> Spot {
        Spot {
            text: format!("{}+{:#x}", self.record, self.base.saturating_add(offset)),
            file_offset: self.file_offset.map(|base| base.saturating_add(offset)),
        }
    }
}

/// How a pickle ended, and what was inside.
pub(super) struct Outcome {
    /// Bytes up to its end.
    pub(super) consumed: usize,
    /// Whether it ran up to STOP.
    pub(super) ended: bool,
    /// Legacy checkpoints that it holds as bytes: where, and the bytes.
    pub(super) nested: Vec<(u64, Vec<u8>)>,
}

/// Examines the pickle at the start of `bytes`.
pub(super) fn examine(
    bytes: &[u8],
    context: &Context<'_>,
    findings: &mut Findings<'_>,
    limits: &Limits,
) -> Outcome {
    let trace = pickle::trace(bytes, limits);
    let paths = Paths::of(&trace.graph);
    let mut program = Program {
        values: Values(&trace.graph),
        trace: &trace,
        paths: &paths,
        context,
        findings,
        nested: Vec::new(),
    };
    program.run();
    let nested = program.nested;
    oddities(&trace, context, findings);
    Outcome {
        consumed: trace.graph.consumed,
        ended: trace.ended(),
        nested,
    }
}

struct Program<'p, 'o> {
    values: Values<'p>,
    trace: &'p Trace,
    paths: &'p Paths,
    context: &'p Context<'p>,
    findings: &'p mut Findings<'o>,
    nested: Vec<(u64, Vec<u8>)>,
}

impl Program<'_, '_> {
    fn run(&mut self) {
        for (number, value) in self.trace.graph.values.iter().enumerate() {
            let id = ValueId(u32::try_from(number).unwrap_or(u32::MAX));
            match value {
                Value::Global { module, name } => self.name(id, module, name),
                Value::Object(object) => self.object(id, object),
                Value::Extension(code) => self.report(
                    id,
                    Kind::Extension,
                    Level::Unknown,
                    &format!("extension {code}"),
                    || {
                        "what this number stands for depends on the program that loads the file"
                            .to_owned()
                    },
                ),
                Value::Persistent(inner)
                    if self.context.numbered
                        && (self.values.int(*inner).is_some()
                            || self.values.text(*inner).is_some()) => {}
                Value::Persistent(inner) => {
                    match tensors::persistent_id(self.values, *inner, self.context.records) {
                        Ok(()) => {}
                        Err(Wrong::Form(message)) => {
                            self.report(
                                id,
                                Kind::PersistentId,
                                Level::Unknown,
                                "persistent id",
                                || message,
                            );
                        }
                        Err(Wrong::Size(message)) => {
                            self.report(id, Kind::Tensor, Level::Unknown, "storage", || message);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn level(&self, module: &str, name: &str) -> (Level, Option<Use>, bool) {
        if self.context.torchscript
            && (module == "__torch__" || module.starts_with("__torch__."))
            && !code::is_foreign_class(module, name)
        {
            return (Level::Inert, Some(Use::New), false);
        }
        let (level, usage) = match known::known(module, name) {
            Known::Inert(usage) => return (Level::Inert, Some(usage), false),
            Known::Unknown => (Level::Unknown, None),
            Known::Dangerous => (Level::Dangerous, None),
        };
        if self.findings.is_allowed(&format!("{module}.{name}")) {
            return (Level::Inert, usage, true);
        }
        (level, usage, false)
    }

    fn name(&mut self, id: ValueId, module: &str, name: &str) {
        let (level, _, allowed) = self.level(module, name);
        let full = format!("{module}.{name}");
        let (paths, graph, context) = (self.paths, &self.trace.graph, self.context);
        let place = || {
            let spot = context.spot(graph.offset(id));
            (spot.text, paths.path(graph, id))
        };
        self.findings.name(&full, level, allowed, place);
        if level > Level::Inert {
            self.report(id, Kind::Global, level, &full, || match level {
                Level::Dangerous => "reaches beyond data".to_owned(),
                _ => "nobody vouches for this name".to_owned(),
            });
        }
    }

    fn object(&mut self, id: ValueId, object: &Object) {
        self.state(id, object);
        let Some((module, name)) = self.values.global(object.callable) else {
            let what = self.values.get(object.callable).kind();
            self.report(id, Kind::Call, Level::Dangerous, &what, || {
                "is called: what it is, only running the pickle would tell".to_owned()
            });
            return;
        };
        let full = format!("{module}.{name}");
        let (level, usage, allowed) = self.level(module, name);
        if allowed {
            return;
        }
        let Some(usage) = usage else {
            // making an object of an unknown class is what its name was reported for
            if object.kind != ObjectKind::NewObj {
                let values = self.values;
                self.report(id, Kind::Call, level, &full, || {
                    format!("would run {}", call_text(values, &full, object))
                });
            }
            return;
        };
        if let Err(odd) = self.values.judge(usage, object) {
            let level = match name {
                "getattr" | "_load_from_bytes" | "type" | "partial" => Level::Dangerous,
                _ => Level::Unknown,
            };
            self.report(id, Kind::Call, level, &full, || odd);
            return;
        }
        if let Some(lie) = tensors::lie(self.values, object) {
            self.report(id, Kind::Tensor, Level::Unknown, &full, || lie);
        }
        if known::today(module, name) == ("torch.storage", "_load_from_bytes") {
            self.nested_checkpoint(id, object);
        }
    }

    fn nested_checkpoint(&mut self, id: ValueId, object: &Object) {
        let args = self.values.items(object.args);
        let bytes = args
            .and_then(|args| args.first())
            .and_then(|&bytes| self.values.bytes(bytes));
        match bytes {
            Some(bytes) if self.nested.len() < NESTED => {
                self.nested
                    .push((self.trace.graph.offset(id), bytes.into_owned()));
            }
            _ => self.report(
                id,
                Kind::Call,
                Level::Unknown,
                "torch.storage._load_from_bytes",
                || "loads bytes that were not looked into".to_owned(),
            ),
        }
    }

    /// What BUILD sets: attributes, which must not be those by which Python finds what to run.
    fn state(&mut self, id: ValueId, object: &Object) {
        if object.state.len() > 1 {
            self.report(id, Kind::State, Level::Unknown, "state", || {
                format!("state is set {} times on one object", object.state.len())
            });
        }
        let mut dicts = Vec::new();
        for &state in &object.state {
            match self.values.get(state) {
                Value::Tuple(parts) => dicts.extend(parts.iter().copied()),
                _ => dicts.push(state),
            }
        }
        for dict in dicts {
            let Value::Dict(entries) = self.values.get(dict) else {
                continue;
            };
            let special = entries.iter().find_map(|(key, _)| {
                let key = self.values.text(*key)?;
                let dunder = key.len() > 4 && key.starts_with("__") && key.ends_with("__");
                (dunder && !NOTES.contains(&key)).then_some(key)
            });
            if let Some(special) = special {
                self.report(id, Kind::State, Level::Dangerous, special, || {
                    "is set as an attribute: Python calls such by itself".to_owned()
                });
            }
        }
    }

    fn report(
        &mut self,
        id: ValueId,
        kind: Kind,
        level: Level,
        what: &str,
        message: impl FnOnce() -> String,
    ) {
        if !self.findings.wants(kind, level, what) {
            return;
        }
        let graph = &self.trace.graph;
        let spot = self.context.spot(graph.offset(id));
        self.findings.keep(Finding {
            kind,
            what: what.to_owned(),
            place: spot.text,
            path: self.paths.path(graph, id),
            level,
            message: message(),
            file_offset: spot.file_offset,
            file: None,
        });
    }
}

/// `posix.system('id')`, within a line.
fn call_text(values: Values<'_>, name: &str, object: &Object) -> String {
    let args: Vec<String> = values
        .items(object.args)
        .unwrap_or(&[])
        .iter()
        .take(8)
        .map(|&arg| short(values, arg, 3))
        .collect();
    cut(&format!("{name}({})", args.join(", ")))
}

fn short(values: Values<'_>, id: ValueId, depth: usize) -> String {
    match values.get(id) {
        Value::Str(text) => format!("{:?}", text.chars().take(80).collect::<String>()),
        Value::Bytes(bytes) => format!("b\"{}\"", bytes[..bytes.len().min(40)].escape_ascii()),
        Value::Int(n) => n.to_string(),
        Value::Float(x) => x.to_string(),
        Value::Bool(b) => if *b { "True" } else { "False" }.to_owned(),
        Value::None => "None".to_owned(),
        Value::Global { module, name } => cut(&format!("{module}.{name}")),
        Value::Tuple(items) | Value::List(items) if depth > 0 => {
            let items: Vec<String> = items
                .iter()
                .take(4)
                .map(|&i| short(values, i, depth - 1))
                .collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(inner) if depth > 0 => match values.global(inner.callable) {
            Some((module, name)) => {
                let args = values.items(inner.args).unwrap_or(&[]);
                let args: Vec<String> = args
                    .iter()
                    .take(4)
                    .map(|&i| short(values, i, depth - 1))
                    .collect();
                cut(&format!("{module}.{name}({})", args.join(", ")))
            }
            None => "…".to_owned(),
        },
        _ => "…".to_owned(),
    }
}

fn oddities(trace: &Trace, context: &Context<'_>, findings: &mut Findings<'_>) {
    for oddity in &trace.oddities {
        let (kind, level) = match oddity.kind {
            OddityKind::ParserDependent => (Kind::ParserDependent, Level::Unknown),
            OddityKind::MemoOverwritten | OddityKind::MemoFar => (Kind::Memo, Level::Unknown),
            OddityKind::Opcode => (Kind::Opcode, Level::Unknown),
            OddityKind::State => (Kind::State, Level::Dangerous),
            OddityKind::ComputedName => (Kind::ComputedName, Level::Dangerous),
        };
        let spot = context.spot(oddity.offset);
        findings.add(kind, level, oddity.opcode.name(), &spot, &oddity.message);
    }
    findings.left_out += trace.oddities_left_out;
    let Some(error) = &trace.error else {
        return;
    };
    let spot = context.spot(error.location().offset.unwrap_or(0));
    let kind = if error.kind() == ErrorKind::Limit {
        Kind::Limit
    } else {
        Kind::Damaged
    };
    let message = format!("{}; what follows is not read", error.message());
    findings.add(kind, Level::Unknown, context.record, &spot, &message);
}
