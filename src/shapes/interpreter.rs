//! Follows the code of a program with tensors that have shapes and no elements.
//!
//! The simple version evaluates one expression after another, as Python would. Departures:
//! 1. what depends on elements is [`Value::Unknown`], and whatever it goes into is unknown too; a branch on it is taken
//!    only where the other branch does nothing but raise;
//! 2. a module that cannot be followed gives an unknown result, and the walk goes on behind it;
//! 3. a class whose `forward` is not in the file (a pickled module of somebody's own) is walked in the order in which
//!    its parts were defined, and every step in it is marked as assumed.

use std::collections::HashMap;
use std::rc::Rc;

use super::call::{Outcome, Trouble, refuse, unknown};
use super::program::Program;
use super::scalar;
use super::trace::Trace;
use super::value::Value;
use crate::error::Error;
use crate::script::{Expr, Function, Stmt, Target};

/// Calls inside calls.
const DEPTH: usize = 100;
/// Tuples in tuples on the left of an assignment.
const NESTED: usize = 8;

/// Runs through one walk.
pub(super) struct Interpreter<'p> {
    pub(super) program: &'p Program,
    pub(super) trace: Trace,
    /// Attributes that the code has set.
    pub(super) set: HashMap<(usize, Rc<str>), Value>,
    /// Expressions that may still be evaluated.
    pub(super) fuel: u64,
    depth: usize,
}

/// What a function knows.
pub(super) struct Frame {
    pub(super) locals: HashMap<Rc<str>, Value>,
    /// Path of the module that it works for.
    pub(super) path: Rc<str>,
}

enum Flow {
    Next,
    Return(Value),
}

impl<'p> Interpreter<'p> {
    pub(super) fn new(program: &'p Program, trace: Trace, fuel: u64) -> Self {
        Self {
            program,
            trace,
            set: HashMap::new(),
            fuel,
            depth: 0,
        }
    }

    pub(super) fn spend(&mut self) -> Outcome<()> {
        match self.fuel.checked_sub(1) {
            Some(fuel) => {
                self.fuel = fuel;
                Ok(())
            }
            None => Err(Trouble::Fatal(Error::limit(
                "following the program takes too many steps (program_steps)",
            ))),
        }
    }

    /// Calls the module's `forward`.
    pub(super) fn module(
        &mut self,
        object: usize,
        arguments: Vec<(Option<Rc<str>>, Value)>,
    ) -> Outcome {
        let path: Rc<str> = self.program.path(object).into();
        let Some(forward) = self.program.method(object, "forward") else {
            return self.in_order(object, arguments);
        };
        let mut inputs = Vec::new();
        for (_, value) in &arguments {
            inputs.extend(value.tensors());
        }
        let steps = self.trace.steps.len();
        match self.call(
            &forward,
            Some(Value::Object(object)),
            arguments,
            path.clone(),
        ) {
            Err(Trouble::Unknown(why)) => {
                let class = self.program.class_name(object).to_owned();
                // what was found on the way stays
                debug_assert!(self.trace.steps.len() >= steps);
                self.trace.lost(&path, &class, &inputs, &why)
            }
            outcome => outcome,
        }
    }

    /// A class whose `forward` nobody knows: its parts in the order of their definition.
    fn in_order(&mut self, object: usize, arguments: Vec<(Option<Rc<str>>, Value)>) -> Outcome {
        let path = self.program.path(object).to_owned();
        let class = self.program.class_name(object).to_owned();
        let mut values = arguments.into_iter().map(|(_, value)| value);
        let Some(mut value) = values.next() else {
            return unknown(format!("{class}: its forward is not in the file"));
        };
        let parts = self.program.parts(object);
        if parts.is_empty() || !self.program.is_plain_module(object) {
            let inputs = value.tensors();
            let why = format!("the forward of {class} is not in the file");
            return self.trace.lost(&path, &class, &inputs, &why);
        }
        let before = std::mem::replace(&mut self.trace.assumed, true);
        self.trace.assumed_modules.push((path, class));
        for part in parts {
            if self.enter().is_err() {
                break;
            }
            let outcome = self.assumed_part(part, value);
            self.depth -= 1;
            value = outcome?;
        }
        self.trace.assumed = before;
        Ok(value)
    }

    fn assumed_part(&mut self, part: usize, value: Value) -> Outcome {
        let path = self.program.path(part).to_owned();
        let mut value = value;
        // nobody pools or flattens in a module of its own for a fully connected layer
        if let (Some(takes), Value::Tensor(tensor)) = (self.program.features(part), &value)
            && tensor.rank() > 2
            && tensor.shape.last() != Some(&takes)
        {
            value = self
                .trace
                .apply("flatten", &[value.clone(), Value::Int(1)], &[], "")?;
        }
        value = self.module(part, vec![(None, value)])?;
        for (op, numbers) in self.program.inserted(&path) {
            let mut arguments = vec![value];
            arguments.extend(numbers.iter().map(|&n| Value::Int(n)));
            value = self.trace.apply(op, &arguments, &[], "")?;
        }
        Ok(value)
    }

    fn enter(&mut self) -> Outcome<()> {
        self.spend()?;
        self.depth += 1;
        match self.depth > DEPTH {
            true => {
                self.depth -= 1;
                unknown("calls lie too deep in each other")
            }
            false => Ok(()),
        }
    }

    /// Calls a function.
    pub(super) fn call(
        &mut self,
        function: &Rc<Function>,
        receiver: Option<Value>,
        arguments: Vec<(Option<Rc<str>>, Value)>,
        path: Rc<str>,
    ) -> Outcome {
        self.enter()?;
        let result = self.body(function, receiver, arguments, path);
        self.depth -= 1;
        result
    }

    fn body(
        &mut self,
        function: &Rc<Function>,
        receiver: Option<Value>,
        arguments: Vec<(Option<Rc<str>>, Value)>,
        path: Rc<str>,
    ) -> Outcome {
        let mut frame = Frame {
            locals: HashMap::new(),
            path,
        };
        let mut parameters = function.parameters.iter();
        if let Some(receiver) = receiver
            && let Some(first) = parameters.next()
        {
            frame.locals.insert(first.name.clone(), receiver);
        }
        let mut positional = Vec::new();
        for (name, value) in arguments {
            match name {
                Some(name) => {
                    frame.locals.insert(name, value);
                }
                None => positional.push(value),
            }
        }
        let mut positional = positional.into_iter();
        for parameter in parameters {
            if frame.locals.contains_key(&parameter.name) {
                continue;
            }
            let value = match (positional.next(), &parameter.default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.eval(default, &mut frame)?,
                (None, None) => Value::Unknown,
            };
            frame.locals.insert(parameter.name.clone(), value);
        }
        match self.statements(&function.body, &mut frame)? {
            Flow::Return(value) => Ok(value),
            Flow::Next => Ok(Value::None),
        }
    }

    fn statements(&mut self, statements: &[Stmt], frame: &mut Frame) -> Outcome<Flow> {
        for statement in statements {
            match self.statement(statement, frame)? {
                Flow::Next => {}
                done => return Ok(done),
            }
        }
        Ok(Flow::Next)
    }

    fn statement(&mut self, statement: &Stmt, frame: &mut Frame) -> Outcome<Flow> {
        self.spend()?;
        match statement {
            Stmt::Assign(targets, value, _) => {
                let value = self.eval(value, frame)?;
                match &targets[..] {
                    [target] => self.assign(target, value, frame, NESTED)?,
                    _ => return unknown("an assignment that nobody understands"),
                }
            }
            Stmt::Do(expression, _) => {
                self.eval(expression, frame)?;
            }
            Stmt::If(condition, then, other, line) => {
                let truth = self.eval(condition, frame)?.truth();
                let branch = match truth {
                    Some(true) => then,
                    Some(false) => other,
                    None if only_raises(then) => other,
                    None if only_raises(other) => then,
                    None => {
                        return unknown(format!("line {line}: a branch that depends on the data"));
                    }
                };
                return self.statements(branch, frame);
            }
            Stmt::While(condition, body, line) => loop {
                match self.eval(condition, frame)?.truth() {
                    Some(true) => {}
                    Some(false) => break,
                    None => {
                        return unknown(format!("line {line}: a loop that depends on the data"));
                    }
                }
                self.spend()?;
                match self.statements(body, frame)? {
                    Flow::Next => {}
                    done => return Ok(done),
                }
            },
            Stmt::For(targets, items, body, line) => {
                let items = self.eval(items, frame)?;
                let Some(items) = self.iterate(&items) else {
                    return unknown(format!("line {line}: a loop that depends on the data"));
                };
                for item in items {
                    self.spend()?;
                    match &targets[..] {
                        [target] => self.assign(target, item, frame, NESTED)?,
                        several => self.unpack(several, item, frame, NESTED)?,
                    }
                    match self.statements(body, frame)? {
                        Flow::Next => {}
                        done => return Ok(done),
                    }
                }
            }
            Stmt::Return(value) => return Ok(Flow::Return(self.eval(value, frame)?)),
        }
        Ok(Flow::Next)
    }

    pub(super) fn assign(
        &mut self,
        target: &Target,
        value: Value,
        frame: &mut Frame,
        depth: usize,
    ) -> Outcome<()> {
        let Some(depth) = depth.checked_sub(1) else {
            return unknown("tuples lie too deep in each other");
        };
        match target {
            Target::Name(name) => {
                frame.locals.insert(name.clone(), value);
            }
            Target::Attribute(object, name) => {
                if let Value::Object(number) = self.eval(object, frame)? {
                    self.set.insert((number, name.clone()), value);
                }
            }
            Target::Item(list, index) => {
                let list = self.eval(list, frame)?;
                let index = self.eval(index, frame)?;
                scalar::call("_set_item", &[list, index, value], &[]).transpose_unknown()?;
            }
            Target::Tuple(targets) => self.unpack(targets, value, frame, depth)?,
        }
        Ok(())
    }

    pub(super) fn unpack(
        &mut self,
        targets: &[Target],
        value: Value,
        frame: &mut Frame,
        depth: usize,
    ) -> Outcome<()> {
        let items = match &value {
            Value::Unknown => vec![Value::Unknown; targets.len()],
            value => match self.iterate(value) {
                Some(items) => items,
                None => return unknown(format!("{} is no list", value.show(60))),
            },
        };
        if items.len() != targets.len() {
            return Err(self.trace.raised(
                &format!(
                    "{} values where {} are expected",
                    items.len(),
                    targets.len()
                ),
                &value.tensors(),
                &frame.path,
            ));
        }
        for (target, item) in targets.iter().zip(items) {
            self.assign(target, item, frame, depth)?;
        }
        Ok(())
    }

    /// What a loop goes through: items, submodules, or the parts of a tensor.
    pub(super) fn iterate(&mut self, value: &Value) -> Option<Vec<Value>> {
        match value {
            Value::Object(number) => Some(
                self.program
                    .parts(*number)
                    .into_iter()
                    .map(Value::Object)
                    .collect(),
            ),
            Value::Tensor(_) => {
                let parts = self
                    .trace
                    .apply("unbind", &[value.clone(), Value::Int(0)], &[], "")
                    .ok()?;
                parts.items()
            }
            other => other.items(),
        }
    }
}

/// An outcome that may be missing: what is missing is unknown.
trait Transpose {
    fn transpose_unknown(self) -> Outcome;
}

impl Transpose for Option<Outcome> {
    fn transpose_unknown(self) -> Outcome {
        self.unwrap_or_else(|| refuse("this cannot be done with these values"))
    }
}

/// Whether the block only raises.
fn only_raises(block: &[Stmt]) -> bool {
    let raises = |statement: &Stmt| match statement {
        Stmt::Do(Expr::Call(function, _), _) => function
            .dotted()
            .is_some_and(|name| name == "ops.prim.RaiseException" || name == "raise"),
        _ => false,
    };
    block.iter().any(raises)
}
