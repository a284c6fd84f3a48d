//! The walk: which program, which inputs, what happened.

use std::collections::HashMap;
use std::path::PathBuf;

use super::call::{Outcome, Trouble, Wrong};
use super::exported;
use super::fits;
use super::fits::Fits;
use super::interpreter::Interpreter;
use super::program::{Insert, Program};
use super::trace::{Broken, FileTensor, Step, Trace};
use super::value::{Origin, Tensor, Value};
use crate::bytes::Limits;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::{ExportedGraph, InputKind, SymSize};
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::DType;

/// What the user asks for.
#[derive(Clone, Debug, Default)]
pub struct WalkOptions {
    /// Shapes of the inputs, in order; a name where the user gave one.
    pub inputs: Vec<(Option<String>, Vec<usize>)>,
    /// Only this module.
    pub module: Option<String>,
    /// Operators behind modules.
    pub inserts: Vec<Insert>,
    /// Whether to look for inputs that fit.
    pub fits: bool,
}

/// An input, as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalkInput {
    /// What the program calls it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// What happened on the way of an input through a model.
#[derive(Clone, Debug)]
pub struct Walk {
    /// The file.
    pub file: PathBuf,
    /// `torch-zip`, `torchscript`, ...
    pub format: &'static str,
    /// Path of the module that was walked; empty for the whole.
    pub module: String,
    /// Its class.
    pub class: String,
    /// The inputs.
    pub inputs: Vec<WalkInput>,
    /// Every operator, in order.
    pub steps: Vec<Step>,
    /// Shapes of what comes out; `None` where a shape is not known, or nothing came out.
    pub outputs: Option<Vec<Vec<usize>>>,
    /// Where it broke.
    pub broken: Option<Broken>,
    /// Why it could not be followed to its end, where that is so.
    pub lost: Option<String>,
    /// What is worth a word of warning.
    pub warnings: Vec<String>,
    /// Modules of somebody's own, path and class, whose parts were walked in the order of their definition.
    pub assumed: Vec<(String, String)>,
    /// What was put in by the user.
    pub inserts: Vec<Insert>,
    /// Elements of all parameters of the walked module, used or not.
    pub parameters: u64,
    /// Which inputs would fit; of an exported program, as far as its operators go.
    pub fits: Option<Fits>,
    /// Pooling that, put behind convolutions, would let an assumed order fit: found by trying.
    pub would_fit: Vec<Insert>,
    /// The sizes that an exported program was exported with, one list for each input: `1`, `s0 from 2 up`.
    pub exported_for: Vec<Vec<String>>,
}

impl Walk {
    /// Walks through the model in the checkpoint.
    ///
    /// # Errors
    ///
    /// `Unsupported` for files that hold no model, only its tensors; `Usage` for inputs that are not the program's,
    /// and for an unknown module; `Malformed` and `Limit` for code that cannot be read or does not end. An input that
    /// the model refuses is no error: see [`Walk::broken`].
    pub fn of(checkpoint: &Checkpoint, options: &WalkOptions, limits: &Limits) -> Result<Self> {
        let mut model = Model::of(checkpoint, options, limits)?;
        let shapes: Vec<Vec<usize>> = options
            .inputs
            .iter()
            .map(|(_, shape)| shape.clone())
            .collect();
        let names = model.input_names(options)?;
        let run = model.run(&shapes, true, limits)?;
        let mut walk = Self {
            file: checkpoint.path().to_owned(),
            format: checkpoint.format().name(),
            module: model.path.clone(),
            class: model.class.clone(),
            inputs: names
                .into_iter()
                .zip(shapes.clone())
                .map(|(name, shape)| WalkInput { name, shape })
                .collect(),
            steps: run.trace.steps,
            outputs: run.outputs,
            broken: run.trace.broken,
            lost: run.lost,
            warnings: run.trace.warnings,
            assumed: run.trace.assumed_modules,
            inserts: options.inserts.clone(),
            parameters: model
                .files
                .iter()
                .filter(|file| file.is_parameter)
                .map(|file| file.numel)
                .sum(),
            fits: None,
            would_fit: Vec::new(),
            exported_for: model.exported_for(),
        };
        walk.warnings.dedup();
        walk.assumed.dedup();
        if options.fits && walk.lost.is_none() && (walk.broken.is_some() || walk.outputs.is_some())
        {
            walk.fits = fits::search(&model, &shapes, &walk, limits)?;
        }
        if walk
            .broken
            .as_ref()
            .is_some_and(|broken| broken.assumed && broken.what == Wrong::Features)
            && options.inserts.is_empty()
        {
            walk.would_fit = model.pools(&walk, &shapes, limits)?;
        }
        Ok(walk)
    }

    /// Multiply-adds of all steps.
    pub fn macs(&self) -> u64 {
        self.steps
            .iter()
            .fold(0, |sum, step| sum.saturating_add(step.macs))
    }

    /// Bytes of everything that the steps make.
    pub fn bytes(&self) -> u64 {
        self.steps
            .iter()
            .fold(0, |sum, step| sum.saturating_add(step.bytes))
    }

    /// Whether the input goes through to the end, every shape known.
    pub fn arrives(&self) -> bool {
        self.broken.is_none() && self.lost.is_none() && self.outputs.is_some()
    }
}

/// A model, ready to be walked again and again.
pub(super) struct Model {
    body: Body,
    pub(super) path: String,
    class: String,
    files: Vec<FileTensor>,
}

enum Body {
    Script(Box<Program>, usize),
    Exported(Box<ExportedGraph>),
}

/// One walk.
pub(super) struct Run {
    pub(super) trace: Trace,
    pub(super) outputs: Option<Vec<Vec<usize>>>,
    pub(super) lost: Option<String>,
    /// What it cost.
    pub(super) cost: u64,
}

impl Model {
    fn of(checkpoint: &Checkpoint, options: &WalkOptions, limits: &Limits) -> Result<Self> {
        let graphs = checkpoint.exported_graphs(limits)?;
        if !graphs.is_empty() {
            return Self::exported(graphs, options);
        }
        let sources = checkpoint.script_sources(limits)?;
        let in_file = |error: Error| error.in_file(checkpoint.path());
        let program = match sources.is_empty() {
            false => Program::script(checkpoint, &sources).map_err(in_file)?,
            true => Program::pickled(checkpoint).map_err(in_file)?,
        };
        Self::objects(program, options).map_err(in_file)
    }

    fn exported(graphs: Vec<(String, ExportedGraph)>, options: &WalkOptions) -> Result<Self> {
        let names: Vec<String> = graphs.iter().map(|(name, _)| name.clone()).collect();
        let one = graphs.len() == 1;
        let wanted = options.module.as_deref();
        let found = graphs.into_iter().find(|(name, _)| match wanted {
            Some(wanted) => name == wanted,
            None => one,
        });
        let Some((name, graph)) = found else {
            return Err(match wanted {
                Some(wanted) if one => Error::usage(format!(
                    "an exported program is one graph: its part {wanted:?} cannot be walked alone"
                )),
                _ => Error::usage(format!(
                    "several models are in the file: {}",
                    names.join(", ")
                ))
                .with_hint("choose one with --module NAME"),
            });
        };
        Ok(Self {
            files: exported::files(&graph),
            class: graph.class.clone(),
            path: if one { String::new() } else { name },
            body: Body::Exported(Box::new(graph)),
        })
    }

    fn objects(mut program: Program, options: &WalkOptions) -> Result<Self> {
        let roots = program.instances().outermost();
        if roots.is_empty() {
            return Err(Error::unsupported(
                "holds tensors and no model: which layer follows which is not in the file",
            )
            .with_hint("save the whole module, a TorchScript program or an exported one; `layer NAME --input` tells one layer's sizes"));
        }
        let mut files = Vec::new();
        let mut found: Vec<(usize, String)> = Vec::new();
        for (path, object) in &roots {
            let named = program.name(*object, path);
            if let Some(wanted) = &options.module {
                let inside = program
                    .at(wanted)
                    .or_else(|| program.at(&super::program::joined(path, wanted)));
                if let Some(inside) = inside {
                    files = named;
                    found = vec![(inside, program.path(inside).to_owned())];
                    break;
                }
            } else {
                files = named;
                found.push((*object, path.clone()));
            }
        }
        let (object, path) = match (&found[..], &options.module) {
            ([(object, path)], _) => (*object, path.clone()),
            ([], Some(wanted)) => {
                return Err(Error::usage(format!("no module is called {wanted:?}"))
                    .with_hint("`pthinspect tree FILE` shows them"));
            }
            (several, _) => {
                let names: Vec<&str> = several.iter().map(|(_, path)| path.as_str()).collect();
                return Err(Error::usage(format!(
                    "several models are in the file: {}",
                    names.join(", ")
                ))
                .with_hint("choose one with --module NAME"));
            }
        };
        // only what lies in the walked module counts
        if !path.is_empty() {
            let prefix = format!("{path}.");
            for file in &mut files {
                file.is_parameter &= file.name.starts_with(&prefix);
            }
        }
        for insert in &options.inserts {
            let exists = program
                .at(&insert.after)
                .or_else(|| program.at(&super::program::joined(&path, &insert.after)));
            if exists.is_none() {
                return Err(Error::usage(format!(
                    "--after {}: no module is called so",
                    insert.after
                ))
                .with_hint("`pthinspect tree FILE` shows them"));
            }
        }
        let inserts: Vec<Insert> = options
            .inserts
            .iter()
            .map(|insert| match program.at(&insert.after) {
                Some(_) => insert.clone(),
                None => Insert {
                    after: super::program::joined(&path, &insert.after),
                    ..insert.clone()
                },
            })
            .collect();
        program.insert(&inserts);
        Ok(Self {
            class: program.class(object).to_owned(),
            body: Body::Script(Box::new(program), object),
            path,
            files,
        })
    }

    /// Where a `max_pool2d` of 2, the functional call that is seen most, would have to stand for the input to go
    /// through: behind all convolutions, else behind some of them.
    fn pools(
        &mut self,
        walk: &Walk,
        shapes: &[Vec<usize>],
        limits: &Limits,
    ) -> Result<Vec<Insert>> {
        const MOST: usize = 6;
        let mut limits = limits.clone();
        limits.program_steps = limits.program_steps.min(100_000);
        let convolutions = walk
            .steps
            .iter()
            .filter(|step| step.op == "conv2d" && step.assumed);
        let mut behind: Vec<&str> = convolutions.map(|step| step.path.as_str()).collect();
        behind.dedup();
        behind.truncate(MOST);
        let mut choices: Vec<u32> = (1..1 << behind.len()).collect();
        choices.sort_by_key(|choice| std::cmp::Reverse(choice.count_ones()));
        for choice in choices {
            let chosen = behind
                .iter()
                .enumerate()
                .filter(|(number, _)| choice >> number & 1 == 1);
            let inserts: Vec<Insert> = chosen
                .map(|(_, path)| Insert {
                    after: (*path).to_owned(),
                    op: "max_pool2d".to_owned(),
                    numbers: vec![2],
                })
                .collect();
            let Body::Script(program, _) = &mut self.body else {
                return Ok(Vec::new());
            };
            program.insert(&inserts);
            let fits = match self.run(shapes, true, &limits) {
                Ok(run) => run.trace.broken.is_none() && run.outputs.is_some(),
                Err(error) if error.kind() == ErrorKind::Limit => false,
                Err(error) => return Err(error),
            };
            if fits {
                return Ok(inserts);
            }
        }
        Ok(Vec::new())
    }

    /// The model, and the names of the inputs that it cannot do without.
    pub(super) fn unasked(checkpoint: &Checkpoint, limits: &Limits) -> Result<(Self, Vec<String>)> {
        let model = Self::of(checkpoint, &WalkOptions::default(), limits)?;
        let (mut names, least) = model.all_input_names();
        names.truncate(least);
        Ok((model, names))
    }

    /// The sizes of an exported program's inputs.
    pub(super) fn exported_sizes(&self) -> Vec<Vec<SymSize>> {
        let Body::Exported(graph) = &self.body else {
            return Vec::new();
        };
        let users = graph.inputs.iter();
        let users = users.filter(|input| input.kind == InputKind::User);
        users.filter_map(|input| input.sizes.clone()).collect()
    }

    /// Whether the tensor belongs to what is walked.
    pub(super) fn walks(&self, tensor: &str) -> bool {
        self.files
            .iter()
            .any(|file| file.is_parameter && file.name == tensor)
    }

    /// The sizes of the inputs that PyTorch takes, where the file says.
    fn exported_for(&self) -> Vec<Vec<String>> {
        let Body::Exported(graph) = &self.body else {
            return Vec::new();
        };
        let users = graph
            .inputs
            .iter()
            .filter(|input| input.kind == InputKind::User);
        let sizes = users.filter_map(|input| input.sizes.as_ref());
        sizes
            .map(|sizes| {
                let words = sizes.iter().map(|size| match size {
                    SymSize::Fixed(n) => n.to_string(),
                    SymSize::Free(_, least, most) => match (least.filter(|least| *least > 2), most)
                    {
                        (None, None) => "any".to_owned(),
                        (least, None) => format!("{}..", least.unwrap_or(0)),
                        (least, Some(most)) => format!("{}..{most}", least.unwrap_or(1)),
                    },
                    SymSize::Computed => "computed".to_owned(),
                });
                words.collect()
            })
            .collect()
    }

    /// What the program calls its inputs, and how many of them it must have.
    fn all_input_names(&self) -> (Vec<String>, usize) {
        match &self.body {
            Body::Exported(graph) => {
                let users = graph
                    .inputs
                    .iter()
                    .filter(|input| input.kind == InputKind::User && input.sizes.is_some());
                let names: Vec<String> = users.map(|input| input.name.clone()).collect();
                let least = names.len();
                (names, least)
            }
            Body::Script(program, object) => match program.method(*object, "forward") {
                Some(forward) => {
                    let parameters = forward.parameters.get(1..).unwrap_or(&[]);
                    let least = parameters
                        .iter()
                        .filter(|parameter| parameter.default.is_none())
                        .count();
                    (
                        parameters
                            .iter()
                            .map(|parameter| parameter.name.to_string())
                            .collect(),
                        least,
                    )
                }
                None => (vec!["input".to_owned()], 1),
            },
        }
    }

    /// What the program calls its inputs; as many as were given.
    fn input_names(&self, options: &WalkOptions) -> Result<Vec<String>> {
        let (names, least) = self.all_input_names();
        let given = options.inputs.len();
        if given < least || given > names.len() {
            let wanted = if least == names.len() {
                least.to_string()
            } else {
                format!("{least} to {}", names.len())
            };
            return Err(Error::usage(format!(
                "the model takes {wanted} input{} ({}), got {given}",
                if names.len() == 1 { "" } else { "s" },
                names.join(", ")
            ))
            .with_hint("give --input once for each, in this order"));
        }
        Ok(names.into_iter().take(given).collect())
    }

    /// Walks with inputs of those shapes.
    ///
    /// An exported program refuses sizes that it was not exported with, whatever its operators would take: only with
    /// `guarded` is that asked.
    pub(super) fn run(&self, shapes: &[Vec<usize>], guarded: bool, limits: &Limits) -> Result<Run> {
        let mut trace = Trace {
            files: self.files.clone(),
            ..Trace::default()
        };
        let inputs: Vec<Value> = shapes
            .iter()
            .enumerate()
            .map(|(number, shape)| {
                Value::Tensor(Tensor {
                    origin: Origin::Input(number),
                    live: true,
                    ..Tensor::new(shape.clone(), self.input_dtype(number))
                })
            })
            .collect();
        let (outcome, trace, cost) = match &self.body {
            Body::Exported(graph) => {
                if guarded {
                    self.check_inputs(graph, shapes, &mut trace);
                }
                let refused = trace.broken.take();
                let outcome = exported::run(graph, &inputs, &mut trace);
                // what PyTorch checks first, it refuses first
                trace.broken = refused.or(trace.broken);
                let cost = 10 * graph.nodes.len() as u64;
                (outcome, trace, cost)
            }
            Body::Script(program, object) => {
                let mut interpreter = Interpreter::new(program, trace, limits.program_steps);
                let arguments = inputs.into_iter().map(|value| (None, value)).collect();
                let outcome = interpreter.module(*object, arguments);
                let cost = limits.program_steps - interpreter.fuel;
                (outcome, interpreter.trace, cost)
            }
        };
        finish(outcome, trace, cost)
    }

    fn input_dtype(&self, number: usize) -> DType {
        match &self.body {
            Body::Exported(graph) => {
                let mut users = graph
                    .inputs
                    .iter()
                    .filter(|input| input.kind == InputKind::User && input.sizes.is_some());
                users
                    .nth(number)
                    .and_then(|input| input.dtype)
                    .unwrap_or(DType::Float32)
            }
            Body::Script(..) => DType::Float32,
        }
    }

    /// The shapes that the program was exported for.
    fn check_inputs(&self, graph: &ExportedGraph, shapes: &[Vec<usize>], trace: &mut Trace) {
        let mut symbols = HashMap::new();
        let users = graph
            .inputs
            .iter()
            .filter(|input| input.kind == InputKind::User && input.sizes.is_some());
        for (number, (input, shape)) in users.zip(shapes).enumerate() {
            if let Some(why) = exported::guard(input, shape, &mut symbols) {
                let refusal = super::call::Refusal {
                    why,
                    ..Default::default()
                };
                let tensor = Tensor {
                    origin: Origin::Input(number),
                    ..Tensor::new(shape.clone(), DType::Float32)
                };
                let mut broken = trace.broken(&refusal, "input", &[tensor], "");
                broken.path.clone_from(&input.name);
                trace.broken = Some(broken);
                return;
            }
        }
    }
}

fn finish(outcome: Outcome, trace: Trace, cost: u64) -> Result<Run> {
    let (outputs, lost) = match outcome {
        Ok(value) => {
            let tensors = value.tensors();
            let known = !matches!(value, Value::Unknown) && !tensors.is_empty();
            let shapes = tensors.iter().map(|tensor| tensor.shape.to_vec()).collect();
            (known.then_some(shapes), None)
        }
        Err(Trouble::Refused(_)) => (None, None),
        Err(Trouble::Unknown(why)) => (None, Some(why)),
        Err(Trouble::Fatal(error)) => return Err(error),
    };
    Ok(Run {
        trace,
        outputs,
        lost,
        cost,
    })
}
