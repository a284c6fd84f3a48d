//! Calls: of modules, of the program's functions, of Python's own, of operators.

use std::rc::Rc;

use super::call::{Outcome, unknown};
use super::interpreter::{Frame, Interpreter};
use super::value::{Tensor, Tuple, Value};
use crate::script::Expr;

impl Interpreter<'_> {
    pub(super) fn called(
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

    pub(super) fn arguments(
        &mut self,
        arguments: &[(Option<Rc<str>>, Expr)],
        frame: &mut Frame,
    ) -> Outcome<Vec<(Option<Rc<str>>, Value)>> {
        let arguments = arguments.iter();
        arguments
            .map(|(name, value)| Ok((name.clone(), self.eval(value, frame)?)))
            .collect()
    }

    pub(super) fn method(
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

    pub(super) fn operator(
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

    pub(super) fn global_called(
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
    pub(super) fn builtin(
        &mut self,
        name: &str,
        arguments: &[Value],
        frame: &Frame,
    ) -> Option<Outcome> {
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
