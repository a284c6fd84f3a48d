//! Expressions: names, attributes, items, operators.

use std::rc::Rc;

use super::call::Outcome;
use super::interpreter::{Frame, Interpreter};
use super::scalar;
use super::value::Value;
use crate::script::Expr;

impl Interpreter<'_> {
    pub(super) fn eval(&mut self, expression: &Expr, frame: &mut Frame) -> Outcome {
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

    pub(super) fn all(&mut self, items: &[Expr], frame: &mut Frame) -> Outcome<Vec<Value>> {
        items.iter().map(|item| self.eval(item, frame)).collect()
    }

    pub(super) fn item(&mut self, list: Value, index: Value, frame: &Frame) -> Outcome {
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
    pub(super) fn get(&self, object: usize, name: &str) -> Value {
        let set = self.set.get(&(object, name.into()));
        set.cloned()
            .or_else(|| self.program.attribute(object, name))
            .unwrap_or(Value::Unknown)
    }

    pub(super) fn attribute(
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
                    "shape" => {
                        self.trace
                            .apply("size", std::slice::from_ref(&object), &[], &path)?
                    }
                    "dtype" | "device" => self.trace.apply(
                        &format!("prim.{name}"),
                        std::slice::from_ref(&object),
                        &[],
                        &path,
                    )?,
                    "T" => {
                        self.trace
                            .apply("numpy_T", std::slice::from_ref(&object), &[], &path)?
                    }
                    _ => Value::Unknown,
                }
            }
            _ => Value::Unknown,
        })
    }

    /// The full name, where an expression is one and does not begin with a variable.
    pub(super) fn global(&self, expression: &Expr, frame: &Frame) -> Option<String> {
        let path = expression.dotted()?;
        let first = path.split('.').next()?;
        (!frame.locals.contains_key(first)).then_some(path)
    }
}
