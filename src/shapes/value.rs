//! What a program computes with, as far as shapes need it: tensors without their elements, and plain Python values.

use std::cell::RefCell;
use std::rc::Rc;

use crate::tensor::DType;

/// A value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Rc<str>),
    Tensor(Tensor),
    List(Rc<RefCell<Vec<Value>>>),
    Tuple(Rc<Tuple>),
    Dict(Rc<RefCell<Vec<(Value, Value)>>>),
    /// Number of an object in the file.
    Object(usize),
    /// A function, by its full name.
    Function(Rc<str>),
    /// Nobody can say without running it.
    Unknown,
}

/// A tuple, or a named tuple.
#[derive(Debug)]
pub(super) struct Tuple {
    pub(super) items: Vec<Value>,
    pub(super) fields: Vec<String>,
}

/// A tensor without its elements.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) shape: Rc<[usize]>,
    pub(super) dtype: DType,
    pub(super) origin: Origin,
    /// Whether it depends on what the user puts in.
    pub(super) live: bool,
    /// Its only element, where it is known.
    pub(super) number: Option<f64>,
}

/// Where a tensor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An input, by its number.
    Input(usize),
    /// A step, by its number, counted from 0.
    Step(usize),
    /// A tensor of the file, by a number that is the same for the same tensor.
    File(usize),
    /// Made from nothing but numbers.
    Nothing,
}

impl Tensor {
    /// A tensor that an operator makes.
    pub(super) fn new(shape: impl Into<Rc<[usize]>>, dtype: DType) -> Self {
        Self {
            shape: shape.into(),
            dtype,
            origin: Origin::Nothing,
            live: false,
            number: None,
        }
    }

    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    pub(super) fn numel(&self) -> Option<usize> {
        product(&self.shape)
    }
}

/// How many elements; `None` where that is no number of this machine.
pub(super) fn product(shape: &[usize]) -> Option<usize> {
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1usize, |n, &size| n.checked_mul(size))
}

impl Value {
    pub(super) fn list(items: Vec<Value>) -> Self {
        Value::List(Rc::new(RefCell::new(items)))
    }

    pub(super) fn tuple(items: Vec<Value>) -> Self {
        Value::Tuple(Rc::new(Tuple {
            items,
            fields: Vec::new(),
        }))
    }

    pub(super) fn ints(sizes: &[usize]) -> Self {
        Value::list(sizes.iter().map(|&size| Value::Int(size as i64)).collect())
    }

    pub(super) fn text(text: impl AsRef<str>) -> Self {
        Value::Str(text.as_ref().into())
    }

    /// The items of a list or tuple, and the rows of a tensor where it is asked to be a list.
    pub(super) fn items(&self) -> Option<Vec<Value>> {
        match self {
            Value::List(items) => Some(items.borrow().clone()),
            Value::Tuple(tuple) => Some(tuple.items.clone()),
            Value::Dict(entries) => Some(
                entries
                    .borrow()
                    .iter()
                    .map(|(key, _)| key.clone())
                    .collect(),
            ),
            _ => None,
        }
    }

    pub(super) fn int(&self) -> Option<i64> {
        match self {
            Value::Int(n) => Some(*n),
            Value::Bool(b) => Some(i64::from(*b)),
            Value::Tensor(tensor) => tensor.number.filter(|x| x.fract() == 0.0).map(|x| x as i64),
            _ => None,
        }
    }

    pub(super) fn float(&self) -> Option<f64> {
        match self {
            Value::Float(x) => Some(*x),
            Value::Tensor(tensor) => tensor.number,
            other => other.int().map(|n| n as f64),
        }
    }

    /// What `if` makes of it; `None` where nobody can say.
    pub(super) fn truth(&self) -> Option<bool> {
        Some(match self {
            Value::None => false,
            Value::Bool(b) => *b,
            Value::Int(n) => *n != 0,
            Value::Float(x) => *x != 0.0,
            Value::Str(text) => !text.is_empty(),
            Value::Tensor(tensor) => tensor.number? != 0.0,
            Value::List(items) => !items.borrow().is_empty(),
            Value::Tuple(tuple) => !tuple.items.is_empty(),
            Value::Dict(entries) => !entries.borrow().is_empty(),
            Value::Object(_) | Value::Function(_) => true,
            Value::Unknown => return None,
        })
    }

    /// Whether two values are equal, where that can be said.
    pub(super) fn equals(&self, other: &Value) -> Option<bool> {
        Some(match (self, other) {
            (Value::Unknown, _) | (_, Value::Unknown) => return None,
            (Value::None, Value::None) => true,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::Object(a), Value::Object(b)) => a == b,
            (Value::List(_) | Value::Tuple(_), Value::List(_) | Value::Tuple(_)) => {
                let (a, b) = (self.items()?, other.items()?);
                if a.len() != b.len() {
                    return Some(false);
                }
                for (a, b) in a.iter().zip(&b) {
                    if !a.equals(b)? {
                        return Some(false);
                    }
                }
                true
            }
            (Value::Tensor(tensor), _) | (_, Value::Tensor(tensor)) if tensor.number.is_none() => {
                return None;
            }
            _ => match (self.float(), other.float()) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        })
    }

    /// Every tensor in it.
    pub(super) fn tensors(&self) -> Vec<Tensor> {
        let mut found = Vec::new();
        self.collect(&mut found, 8);
        found
    }

    fn collect(&self, found: &mut Vec<Tensor>, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else {
            return;
        };
        match self {
            Value::Tensor(tensor) => found.push(tensor.clone()),
            Value::List(items) => items
                .borrow()
                .iter()
                .for_each(|item| item.collect(found, depth)),
            Value::Tuple(tuple) => tuple
                .items
                .iter()
                .for_each(|item| item.collect(found, depth)),
            Value::Dict(entries) => {
                entries
                    .borrow()
                    .iter()
                    .for_each(|(_, value)| value.collect(found, depth));
            }
            _ => {}
        }
    }

    /// The same value with every tensor in it changed.
    pub(super) fn map(self, change: &impl Fn(Tensor) -> Tensor) -> Self {
        match self {
            Value::Tensor(tensor) => Value::Tensor(change(tensor)),
            Value::List(items) => {
                let items = items.borrow().clone();
                Value::list(items.into_iter().map(|item| item.map(change)).collect())
            }
            Value::Tuple(tuple) => Value::Tuple(Rc::new(Tuple {
                items: tuple
                    .items
                    .iter()
                    .map(|item| item.clone().map(change))
                    .collect(),
                fields: tuple.fields.clone(),
            })),
            other => other,
        }
    }

    /// What Python's `str` would print, cut at `most` characters.
    pub(super) fn show(&self, most: usize) -> String {
        let list = |items: &[Value], open: char, close: char| {
            let mut text = String::from(open);
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    text += ", ";
                }
                if text.len() > most {
                    text += "...";
                    break;
                }
                text += &item.show(most);
            }
            text.push(close);
            text
        };
        match self {
            Value::None => "None".to_owned(),
            Value::Bool(true) => "True".to_owned(),
            Value::Bool(false) => "False".to_owned(),
            Value::Int(n) => n.to_string(),
            Value::Float(x) => format!("{x:?}"),
            Value::Str(text) => text.chars().take(most).collect(),
            Value::Tensor(tensor) => match tensor.number {
                Some(x) => x.to_string(),
                None => format!("tensor of shape {:?}", tensor.shape),
            },
            Value::List(items) => list(&items.borrow(), '[', ']'),
            Value::Tuple(tuple) => list(&tuple.items, '(', ')'),
            Value::Dict(_) => "{...}".to_owned(),
            Value::Object(_) => "an object".to_owned(),
            Value::Function(name) => name.to_string(),
            Value::Unknown => "?".to_owned(),
        }
    }
}
