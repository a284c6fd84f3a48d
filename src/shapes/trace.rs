//! The record of a walk: one step per operator that makes a tensor.

use super::call::{AxisFormula, Outcome, Refusal, Said, Trouble, Wrong, refuse};
use super::ops;
use super::scalar;
use super::value::{Origin, Tensor, Value};
use crate::error::Error;
use crate::tensor::DType;

/// Steps that a walk may have.
const MOST_STEPS: usize = 200_000;

/// One operator, called once.
#[derive(Clone, Debug)]
pub struct Step {
    /// Path of the module that it belongs to.
    pub path: String,
    /// Name: `conv2d`, `relu_`, ...
    pub op: String,
    /// What it works on: earlier steps and inputs, in the order of its arguments; tensors of the file are left out.
    pub inputs: Vec<Origin>,
    /// Shape of each of those.
    pub input_shapes: Vec<Vec<usize>>,
    /// What comes out: shape and element type of each tensor; `None` where nobody can say.
    pub outputs: Option<Vec<(Vec<usize>, DType)>>,
    /// How the spatial sizes come about.
    pub formulas: Vec<AxisFormula>,
    /// Its arguments in a few words: `1->10 k5`, `20 * 4 * 4 = 320`.
    pub detail: String,
    /// Elements of the parameters that it uses, those that an earlier step used left out.
    pub parameters: u64,
    /// Whether it uses parameters that an earlier step used.
    pub shares_parameters: bool,
    /// Multiply-adds.
    pub macs: u64,
    /// Bytes that its output takes; 0 for views and what works in place.
    pub bytes: u64,
    /// Whether its result depends on what the user puts in.
    pub live: bool,
    /// Whether the file does not tell that it is there.
    pub assumed: bool,
    /// Why the output is not known.
    pub unknown: Option<String>,
}

/// What refused to work.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Path of the module.
    pub path: String,
    /// Operator.
    pub op: String,
    /// Shapes that it got.
    pub input_shapes: Vec<Vec<usize>>,
    /// Those that it works on.
    pub inputs: Vec<Origin>,
    /// Why.
    pub why: String,
    /// The formula that has no result.
    pub formulas: Vec<AxisFormula>,
    /// What it takes, and what it got, where these are numbers.
    pub expected: Option<usize>,
    /// See [`Broken::expected`].
    pub got: Option<usize>,
    /// Which kind of size is wrong.
    pub what: Wrong,
    /// Whether it lies where the order of the modules is assumed.
    pub assumed: bool,
}

/// A tensor of the file.
#[derive(Clone, Debug, Default)]
pub(super) struct FileTensor {
    pub(super) name: String,
    pub(super) numel: u64,
    pub(super) is_parameter: bool,
    pub(super) used: bool,
}

/// Writes down what happens.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) steps: Vec<Step>,
    pub(super) files: Vec<FileTensor>,
    pub(super) broken: Option<Broken>,
    pub(super) warnings: Vec<String>,
    /// Modules of somebody's own, path and class, whose parts were walked in the order of their definition.
    pub(super) assumed_modules: Vec<(String, String)>,
    /// Whether the order of the modules is assumed at the moment.
    pub(super) assumed: bool,
}

impl Trace {
    /// Calls an operator on behalf of the module at `path`.
    pub(super) fn apply(
        &mut self,
        target: &str,
        positional: &[Value],
        named: &[(String, Value)],
        path: &str,
    ) -> Outcome {
        let name = ops::bare(target);
        if let Some(result) = scalar::call(name, positional, named) {
            return result.map_err(|trouble| self.note(trouble, name, positional, named, path));
        }
        let mut inputs = Vec::new();
        for value in positional
            .iter()
            .chain(named.iter().map(|(_, value)| value))
        {
            inputs.extend(value.tensors());
        }
        match ops::call(name, positional, named) {
            Some(Ok(done)) => self.record(name, &inputs, done, path),
            Some(Err(Trouble::Unknown(why))) => self.unknown(name, &inputs, &why, path),
            Some(Err(trouble)) => Err(self.note(trouble, name, positional, named, path)),
            None => self.unknown(name, &inputs, "no rule for this operator is known", path),
        }
    }

    /// Keeps where the trouble is, the first time.
    fn note(
        &mut self,
        trouble: Trouble,
        op: &str,
        positional: &[Value],
        named: &[(String, Value)],
        path: &str,
    ) -> Trouble {
        if let Trouble::Refused(refusal) = &trouble
            && self.broken.is_none()
        {
            let mut inputs = Vec::new();
            for value in positional
                .iter()
                .chain(named.iter().map(|(_, value)| value))
            {
                inputs.extend(value.tensors());
            }
            self.broken = Some(self.broken(refusal, op, &inputs, path));
        }
        trouble
    }

    pub(super) fn broken(
        &self,
        refusal: &Refusal,
        op: &str,
        inputs: &[Tensor],
        path: &str,
    ) -> Broken {
        let live: Vec<&Tensor> = inputs
            .iter()
            .filter(|tensor| self.is_activation(tensor))
            .collect();
        Broken {
            path: self.place(inputs, path),
            op: op.to_owned(),
            input_shapes: live.iter().map(|tensor| tensor.shape.to_vec()).collect(),
            inputs: live.iter().map(|tensor| tensor.origin).collect(),
            why: refusal.why.clone(),
            formulas: refusal.formulas.clone(),
            expected: refusal.expected,
            got: refusal.got,
            what: refusal.what,
            assumed: self.assumed,
        }
    }

    fn is_activation(&self, tensor: &Tensor) -> bool {
        matches!(tensor.origin, Origin::Input(_) | Origin::Step(_))
    }

    /// The module at hand, or the one inside of it whose weight is used.
    fn place(&self, inputs: &[Tensor], path: &str) -> String {
        let owners = inputs.iter().filter_map(|tensor| match tensor.origin {
            Origin::File(number) => self.files.get(number),
            _ => None,
        });
        for owner in
            owners.filter(|owner| owner.is_parameter || owner.name.ends_with("running_mean"))
        {
            let module = owner.name.rsplit_once('.').map_or("", |(module, _)| module);
            let inside = path.is_empty()
                || module
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.starts_with('.'));
            if inside && !module.is_empty() {
                return module.to_owned();
            }
        }
        path.to_owned()
    }

    fn step(&mut self, op: &str, inputs: &[Tensor], path: &str) -> Outcome<Step> {
        if self.steps.len() >= MOST_STEPS {
            return Err(Trouble::Fatal(Error::limit(format!(
                "the program takes more than {MOST_STEPS} steps"
            ))));
        }
        let live: Vec<&Tensor> = inputs
            .iter()
            .filter(|tensor| self.is_activation(tensor))
            .collect();
        let mut step = Step {
            path: self.place(inputs, path),
            op: op.to_owned(),
            inputs: live.iter().map(|tensor| tensor.origin).collect(),
            input_shapes: live.iter().map(|tensor| tensor.shape.to_vec()).collect(),
            outputs: None,
            formulas: Vec::new(),
            detail: String::new(),
            parameters: 0,
            shares_parameters: false,
            macs: 0,
            bytes: 0,
            live: inputs.iter().any(|tensor| tensor.live),
            assumed: self.assumed,
            unknown: None,
        };
        for tensor in inputs {
            let Origin::File(number) = tensor.origin else {
                continue;
            };
            let Some(file) = self.files.get_mut(number).filter(|file| file.is_parameter) else {
                continue;
            };
            match std::mem::replace(&mut file.used, true) {
                true => step.shares_parameters = true,
                false => step.parameters = step.parameters.saturating_add(file.numel),
            }
        }
        Ok(step)
    }

    fn unknown(&mut self, op: &str, inputs: &[Tensor], why: &str, path: &str) -> Outcome {
        let mut step = self.step(op, inputs, path)?;
        step.live = true;
        step.unknown = Some(why.to_owned());
        self.steps.push(step);
        Ok(Value::Unknown)
    }

    fn record(&mut self, op: &str, inputs: &[Tensor], done: ops::Done, path: &str) -> Outcome {
        let said: Said = done.said;
        let live = inputs.iter().any(|tensor| tensor.live) && !said.is_constant;
        let first = inputs.first();
        if said.is_same
            || done
                .value
                .tensors()
                .iter()
                .all(|tensor| tensor.number.is_some())
        {
            // nothing to see: the tensor goes on as what it was
            let origin = first.map_or(Origin::Nothing, |first| first.origin);
            return Ok(done.value.map(&|tensor| Tensor {
                origin,
                live,
                ..tensor
            }));
        }
        let mut step = self.step(op, inputs, path)?;
        let outputs = done.value.tensors();
        let no_memory = said.is_view || done.in_place;
        for tensor in &outputs {
            let bytes = tensor
                .numel()
                .and_then(|n| tensor.dtype.bytes_of(n))
                .unwrap_or(usize::MAX);
            step.bytes = step
                .bytes
                .saturating_add(if no_memory { 0 } else { bytes as u64 });
        }
        step.outputs = Some(
            outputs
                .iter()
                .map(|tensor| (tensor.shape.to_vec(), tensor.dtype))
                .collect(),
        );
        step.formulas = said.formulas;
        step.detail = said.detail;
        step.macs = said.macs;
        step.live = live;
        self.warnings.extend(said.warning);
        let origin = Origin::Step(self.steps.len());
        self.steps.push(step);
        Ok(done.value.map(&|tensor| Tensor {
            origin,
            live,
            ..tensor
        }))
    }

    /// Notes that a module cannot be followed; its result is not known.
    pub(super) fn lost(
        &mut self,
        path: &str,
        class: &str,
        inputs: &[Tensor],
        why: &str,
    ) -> Outcome {
        let mut step = self.step(class, inputs, path)?;
        step.path = path.to_owned();
        step.live = true;
        step.unknown = Some(why.to_owned());
        self.steps.push(step);
        Ok(Value::Unknown)
    }

    /// What the code of the program itself refuses.
    pub(super) fn raised(&mut self, message: &str, inputs: &[Tensor], path: &str) -> Trouble {
        let refusal = Refusal {
            why: message.to_owned(),
            ..Refusal::default()
        };
        if self.broken.is_none() {
            self.broken = Some(self.broken(&refusal, "raise", inputs, path));
        }
        match refuse::<Value>(message) {
            Err(trouble) => trouble,
            Ok(_) => Trouble::Refused(refusal),
        }
    }
}
