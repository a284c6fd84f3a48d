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
use super::value::{Tensor, Tuple, Value};
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
    set: HashMap<(usize, Rc<str>), Value>,
    /// Expressions that may still be evaluated.
    pub(super) fuel: u64,
    depth: usize,
}

/// What a function knows.
pub(super) struct Frame {
    locals: HashMap<Rc<str>, Value>,
    /// Path of the module that it works for.
    path: Rc<str>,
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

    fn spend(&mut self) -> Outcome<()> {
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
    fn call(
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

    fn assign(
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

    fn unpack(
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
    fn iterate(&mut self, value: &Value) -> Option<Vec<Value>> {
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

    fn eval(&mut self, expression: &Expr, frame: &mut Frame) -> Outcome {
        self.spend()?;
        Ok(match expression {
            Expr::None => Value::None,
            Expr::Bool(b) => Value::Bool(*b),
            Expr::Int(n) => Value::Int(*n),
            Expr::Float(x) => Value::Float(*x),
            Expr::Str(text) => Value::Str(text.clone()),
            Expr::Name(name) => match frame.locals.get(name) {
                Some(value) => value.clone(),
                None => Value::Function(name.clone()),
            },
            Expr::Attribute(object, name) => {
                return self.attribute(expression, object, name, frame);
            }
            Expr::Item(list, index) => {
                let list = self.eval(list, frame)?;
                let index = self.eval(index, frame)?;
                return self.item(list, index, frame);
            }
            Expr::Call(function, arguments) => return self.called(function, arguments, frame),
            Expr::List(items) => Value::list(self.all(items, frame)?),
            Expr::Tuple(items) => Value::tuple(self.all(items, frame)?),
            Expr::Dict(entries) => {
                let mut found = Vec::new();
                for (key, value) in entries {
                    found.push((self.eval(key, frame)?, self.eval(value, frame)?));
                }
                Value::Dict(Rc::new(std::cell::RefCell::new(found)))
            }
            Expr::Choice(parts) => {
                let (condition, then, other) = &**parts;
                match self.eval(condition, frame)?.truth() {
                    Some(true) => return self.eval(then, frame),
                    Some(false) => return self.eval(other, frame),
                    None => Value::Unknown,
                }
            }
            Expr::Operator(name @ ("and" | "or"), sides) => {
                let left = self.eval(&sides[0], frame)?;
                match left.truth() {
                    Some(truth) if truth == (*name == "or") => left,
                    Some(_) => return self.eval(&sides[1], frame),
                    None => Value::Unknown,
                }
            }
            Expr::Operator(name, sides) => {
                let sides = self.all(sides, frame)?;
                let path = frame.path.clone();
                return self.trace.apply(name, &sides, &[], &path);
            }
        })
    }

    fn all(&mut self, items: &[Expr], frame: &mut Frame) -> Outcome<Vec<Value>> {
        items.iter().map(|item| self.eval(item, frame)).collect()
    }

    fn item(&mut self, list: Value, index: Value, frame: &Frame) -> Outcome {
        match &list {
            Value::Object(number) => {
                let parts = self.program.parts(*number);
                let at = match &index {
                    Value::Str(name) => return Ok(self.get(*number, name)),
                    index => index.int(),
                };
                let at = at.map(|at| if at < 0 { at + parts.len() as i64 } else { at });
                let part = at.and_then(|at| parts.get(usize::try_from(at).ok()?).copied());
                Ok(part.map_or(Value::Unknown, Value::Object))
            }
            Value::Tensor(_) => {
                let path = frame.path.clone();
                self.trace
                    .apply("select", &[list.clone(), Value::Int(0), index], &[], &path)
            }
            _ => scalar::item(&list, &index),
        }
    }

    /// An attribute of an object in the file.
    fn get(&self, object: usize, name: &str) -> Value {
        let set = self.set.get(&(object, name.into()));
        set.cloned()
            .or_else(|| self.program.attribute(object, name))
            .unwrap_or(Value::Unknown)
    }

    fn attribute(
        &mut self,
        whole: &Expr,
        object: &Expr,
        name: &Rc<str>,
        frame: &mut Frame,
    ) -> Outcome {
        if let Some(path) = self.global(whole, frame) {
            return Ok(match path.strip_prefix("CONSTANTS.c") {
                Some(number) => self.program.constant(number),
                None => Value::Function(path.into()),
            });
        }
        let object = self.eval(object, frame)?;
        Ok(match &object {
            Value::Object(number) => self.get(*number, name),
            Value::Tuple(tuple) => {
                let at = tuple.fields.iter().position(|field| **field == **name);
                at.and_then(|at| tuple.items.get(at))
                    .cloned()
                    .unwrap_or(Value::Unknown)
            }
            Value::Tensor(_) => {
                let path = frame.path.clone();
                match &**name {
                    "shape" => self.trace.apply("size", &[object.clone()], &[], &path)?,
                    "dtype" | "device" => {
                        self.trace
                            .apply(&format!("prim.{name}"), &[object.clone()], &[], &path)?
                    }
                    "T" => self.trace.apply("numpy_T", &[object.clone()], &[], &path)?,
                    _ => Value::Unknown,
                }
            }
            _ => Value::Unknown,
        })
    }

    /// The full name, where an expression is one and does not begin with a variable.
    fn global(&self, expression: &Expr, frame: &Frame) -> Option<String> {
        let path = expression.dotted()?;
        let first = path.split('.').next()?;
        (!frame.locals.contains_key(first)).then_some(path)
    }

    fn called(
        &mut self,
        function: &Expr,
        arguments: &[(Option<Rc<str>>, Expr)],
        frame: &mut Frame,
    ) -> Outcome {
        if let Some(name) = self.global(function, frame) {
            return self.global_called(&name, arguments, frame);
        }
        if let Expr::Attribute(object, method) = function {
            let receiver = self.eval(object, frame)?;
            let arguments = self.arguments(arguments, frame)?;
            return self.method(receiver, method, arguments, frame);
        }
        match self.eval(function, frame)? {
            Value::Function(name) => self.global_called(&name, arguments, frame),
            Value::Object(object) => {
                let arguments = self.arguments(arguments, frame)?;
                self.module(object, arguments)
            }
            _ => {
                self.arguments(arguments, frame)?;
                Ok(Value::Unknown)
            }
        }
    }

    fn arguments(
        &mut self,
        arguments: &[(Option<Rc<str>>, Expr)],
        frame: &mut Frame,
    ) -> Outcome<Vec<(Option<Rc<str>>, Value)>> {
        let arguments = arguments.iter();
        arguments
            .map(|(name, value)| Ok((name.clone(), self.eval(value, frame)?)))
            .collect()
    }

    fn method(
        &mut self,
        receiver: Value,
        method: &Rc<str>,
        arguments: Vec<(Option<Rc<str>>, Value)>,
        frame: &Frame,
    ) -> Outcome {
        let Value::Object(object) = receiver else {
            let (mut positional, named) = split(arguments);
            positional.insert(0, receiver);
            return self.operator(method, positional, named, frame);
        };
        if &**method == "forward" {
            return self.module(object, arguments);
        }
        if let Some(function) = self.program.method(object, method) {
            let path: Rc<str> = self.program.path(object).into();
            return self.call(&function, Some(Value::Object(object)), arguments, path);
        }
        match (&**method, self.get(object, method)) {
            (_, Value::Object(part)) => self.module(part, arguments),
            ("values", _) => Ok(Value::list(
                self.program
                    .parts(object)
                    .into_iter()
                    .map(Value::Object)
                    .collect(),
            )),
            ("items", _) => {
                let parts = self.program.parts(object).into_iter();
                let pairs = parts.map(|part| {
                    let path = self.program.path(part);
                    let name = path.rsplit('.').next().unwrap_or(path);
                    Value::tuple(vec![Value::text(name), Value::Object(part)])
                });
                Ok(Value::list(pairs.collect()))
            }
            _ => Ok(Value::Unknown),
        }
    }

    fn operator(
        &mut self,
        name: &str,
        mut positional: Vec<Value>,
        named: Vec<(String, Value)>,
        frame: &Frame,
    ) -> Outcome {
        // x.view(1, -1): sizes one by one
        let spread = ["view", "reshape", "permute", "expand", "repeat", "tile"]
            .contains(&super::ops::bare(name));
        if spread && positional.len() > 1 && matches!(positional[1], Value::Int(_)) {
            let sizes = positional.split_off(1);
            positional.push(Value::list(sizes));
        }
        let path = frame.path.clone();
        self.trace.apply(name, &positional, &named, &path)
    }

    fn global_called(
        &mut self,
        name: &str,
        arguments: &[(Option<Rc<str>>, Expr)],
        frame: &mut Frame,
    ) -> Outcome {
        match (name, arguments) {
            // types are no values
            ("annotate" | "unchecked_cast", [_, (_, value)]) => return self.eval(value, frame),
            ("uninitialized", _) => return Ok(Value::Unknown),
            ("isinstance", [(_, value), (_, class)]) => {
                let value = self.eval(value, frame)?;
                return Ok(is_instance(&value, class).map_or(Value::Unknown, Value::Bool));
            }
            _ => {}
        }
        let arguments = self.arguments(arguments, frame)?;
        if let Some(function) = self.program.function(name) {
            let path = frame.path.clone();
            return self.call(&function, None, arguments, path);
        }
        if let Some(fields) = self.program.named_tuple(name) {
            let (items, _) = split(arguments);
            return Ok(Value::Tuple(Rc::new(Tuple { items, fields })));
        }
        let (positional, named) = split(arguments);
        if let Some(result) = self.builtin(name, &positional, frame) {
            return result;
        }
        if name.starts_with("__torch__.") {
            return unknown(format!("{name} is not in the file"));
        }
        self.operator(name, positional, named, frame)
    }

    /// Functions of Python's own.
    fn builtin(&mut self, name: &str, arguments: &[Value], frame: &Frame) -> Option<Outcome> {
        let first = arguments.first();
        Some(match name {
            "ops.prim.RaiseException" | "raise" => {
                let message = first.map_or_else(String::new, |value| value.show(200));
                let inputs: Vec<Tensor> = frame
                    .locals
                    .values()
                    .flat_map(Value::tensors)
                    .filter(|t| t.live)
                    .take(1)
                    .collect();
                let path = frame.path.clone();
                Err(self.trace.raised(
                    message.trim_start_matches("AssertionError: "),
                    &inputs,
                    &path,
                ))
            }
            "range" => {
                let numbers: Option<Vec<i64>> = arguments.iter().map(Value::int).collect();
                let (start, end, step) = match numbers.as_deref() {
                    Some([end]) => (0, *end, 1),
                    Some([start, end]) => (*start, *end, 1),
                    Some([start, end, step]) if *step != 0 => (*start, *end, *step),
                    _ => return Some(Ok(Value::Unknown)),
                };
                let count = if step > 0 {
                    end.saturating_sub(start)
                } else {
                    start.saturating_sub(end)
                };
                let count = count.max(0).unsigned_abs().div_ceil(step.unsigned_abs());
                if count > 1 << 20 {
                    return Some(unknown("a loop of more than a million rounds"));
                }
                Ok(Value::list(
                    (0..count as i64)
                        .map(|n| Value::Int(start + n * step))
                        .collect(),
                ))
            }
            "getattr" => match arguments {
                [Value::Object(object), Value::Str(name), default @ ..] => {
                    Ok(match self.get(*object, name) {
                        Value::Unknown => default.first().cloned().unwrap_or(Value::Unknown),
                        value => value,
                    })
                }
                _ => Ok(Value::Unknown),
            },
            "hasattr" => match arguments {
                [Value::Object(object), Value::Str(name)] => Ok(Value::Bool(!matches!(
                    self.get(*object, name),
                    Value::Unknown
                ))),
                _ => Ok(Value::Unknown),
            },
            "enumerate" => match first.and_then(|value| self.iterate(value)) {
                Some(items) => {
                    let pairs = items.into_iter().enumerate();
                    Ok(Value::list(
                        pairs
                            .map(|(n, item)| Value::tuple(vec![Value::Int(n as i64), item]))
                            .collect(),
                    ))
                }
                None => Ok(Value::Unknown),
            },
            "reversed" => match first.and_then(|value| self.iterate(value)) {
                Some(mut items) => {
                    items.reverse();
                    Ok(Value::list(items))
                }
                None => Ok(Value::Unknown),
            },
            "zip" => {
                let lists: Option<Vec<Vec<Value>>> =
                    arguments.iter().map(|value| self.iterate(value)).collect();
                let lists = lists?;
                let length = lists.iter().map(Vec::len).min().unwrap_or(0);
                let rows = (0..length)
                    .map(|n| Value::tuple(lists.iter().map(|list| list[n].clone()).collect()));
                Ok(Value::list(rows.collect()))
            }
            "len" => match first {
                Some(Value::Object(object)) => {
                    Ok(Value::Int(self.program.parts(*object).len() as i64))
                }
                _ => return None,
            },
            "print" => Ok(Value::None),
            _ => return None,
        })
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

type Split = (Vec<Value>, Vec<(String, Value)>);

fn split(arguments: Vec<(Option<Rc<str>>, Value)>) -> Split {
    let mut found = (Vec::new(), Vec::new());
    for (name, value) in arguments {
        match name {
            Some(name) => found.1.push((name.to_string(), value)),
            None => found.0.push(value),
        }
    }
    found
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

/// `isinstance`, as far as shapes depend on it.
fn is_instance(value: &Value, class: &Expr) -> Option<bool> {
    let name = match class {
        Expr::Tuple(classes) => {
            let mut any = false;
            for class in classes {
                any |= is_instance(value, class)?;
            }
            return Some(any);
        }
        Expr::Item(class, _) => class.dotted()?,
        class => class.dotted()?,
    };
    Some(match (value, name.as_str()) {
        (Value::Unknown, _) => return None,
        (Value::Tensor(_), "Tensor" | "torch.Tensor") => true,
        (Value::Int(_), "int")
        | (Value::Float(_), "float")
        | (Value::Bool(_), "bool")
        | (Value::Str(_), "str") => true,
        (Value::List(_), "List" | "list")
        | (Value::Tuple(_), "Tuple" | "tuple")
        | (Value::Dict(_), "Dict" | "dict") => true,
        _ => false,
    })
}
