//! One call of an operator: its arguments by name, and what it says about its result.

use super::value::{Tensor, Value, product};
use crate::error::Error;
use crate::geometry::Window;
use crate::tensor::DType;

/// Why there is no result.
#[derive(Debug)]
pub(super) enum Trouble {
    /// PyTorch would refuse these arguments.
    Refused(Refusal),
    /// Nobody can say without running it: why.
    Unknown(String),
    /// The walk itself must end.
    Fatal(Error),
}

/// What PyTorch would refuse, in plain words.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusal {
    pub(super) why: String,
    pub(super) formulas: Vec<AxisFormula>,
    /// What the layer takes, and what it got, where that is a number.
    pub(super) expected: Option<usize>,
    pub(super) got: Option<usize>,
    /// The axis of the input that is wrong.
    pub(super) what: Wrong,
}

/// Which kind of size is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wrong {
    /// Channels.
    Channels,
    /// The inputs of a fully connected layer.
    Features,
    /// Height or width.
    Spatial,
    /// Anything else.
    #[default]
    Other,
}

impl Wrong {
    /// One word, for JSON.
    pub fn name(self) -> &'static str {
        match self {
            Wrong::Channels => "channels",
            Wrong::Features => "features",
            Wrong::Spatial => "spatial",
            Wrong::Other => "other",
        }
    }
}

/// How one spatial size comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AxisFormula {
    /// `H`, `W`, ...
    pub axis: &'static str,
    /// The window.
    pub window: Window,
}

pub(super) type Outcome<T = Value> = Result<T, Trouble>;

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Trouble::Fatal(error)
    }
}

/// What PyTorch refuses, and why.
pub(super) fn refuse<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Trouble::Refused(Refusal {
        why: why.into(),
        ..Refusal::default()
    }))
}

/// The same, where a number was expected and another one came.
pub(super) fn mismatch<T>(what: Wrong, expected: usize, got: usize, why: String) -> Outcome<T> {
    Err(Trouble::Refused(Refusal {
        why,
        expected: Some(expected),
        got: Some(got),
        what,
        formulas: Vec::new(),
    }))
}

/// The same of a size: the operator takes `expected` `plural`, and got another number of them.
pub(super) fn takes_other<T>(what: Wrong, expected: usize, plural: &str, got: usize) -> Outcome<T> {
    let why = format!("takes {expected} {plural}, got {got}");
    mismatch(what, expected, got, why)
}

pub(super) fn unknown<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Trouble::Unknown(why.into()))
}

/// What a call says about its result.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) formulas: Vec<AxisFormula>,
    pub(super) macs: u64,
    /// No memory of its own.
    pub(super) is_view: bool,
    /// How the result comes about: `20 * 4 * 4 = 320`.
    pub(super) detail: String,
    /// The result holds the same elements under the same shape: no step of its own.
    pub(super) is_same: bool,
    /// The result does not depend on the elements of the arguments.
    pub(super) is_constant: bool,
    /// What is worth a word of warning.
    pub(super) warning: Option<String>,
}

/// A call.
pub(super) struct Call<'c> {
    /// Name of the operator, without its module and without the underscore of an operator that works in place.
    pub(super) name: &'c str,
    /// Names of the arguments in the operator's own order.
    names: &'static [&'static str],
    positional: &'c [Value],
    named: &'c [(String, Value)],
    pub(super) said: Said,
}

impl<'c> Call<'c> {
    pub(super) fn new(
        name: &'c str,
        names: &'static [&'static str],
        positional: &'c [Value],
        named: &'c [(String, Value)],
    ) -> Self {
        Self {
            name,
            names,
            positional,
            named,
            said: Said::default(),
        }
    }

    /// The argument; `None` where it is left out or `None`. A name may have others behind it: `dim|axis`.
    pub(super) fn get(&self, name: &str) -> Option<&'c Value> {
        let by_name = name
            .split('|')
            .find_map(|name| self.named.iter().find(|(key, _)| key == name));
        let found = by_name.map(|(_, value)| value).or_else(|| {
            let mut places = name
                .split('|')
                .filter_map(|name| self.names.iter().position(|known| *known == name));
            self.positional.get(places.next()?)
        });
        found.filter(|value| !matches!(value, Value::None))
    }

    /// The argument at that position, whatever it is called.
    pub(super) fn at(&self, position: usize) -> Option<&'c Value> {
        let named = || self.named.get(position.checked_sub(self.positional.len())?);
        let found = self
            .positional
            .get(position)
            .or_else(|| named().map(|(_, value)| value));
        found.filter(|value| !matches!(value, Value::None))
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &'c Value> {
        self.positional
            .iter()
            .chain(self.named.iter().map(|(_, value)| value))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn optional(&self, name: &str) -> Outcome<Option<Tensor>> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Tensor(tensor)) => Ok(Some(tensor.clone())),
            Some(Value::Unknown) => unknown("what goes in is not known"),
            Some(other) => unknown(format!("{name} is {}, not a tensor", other.show(40))),
        }
    }

    pub(super) fn tensor(&self, name: &str) -> Outcome<Tensor> {
        match self.optional(name)? {
            Some(tensor) => Ok(tensor),
            None => unknown(format!("no {name} is given")),
        }
    }

    pub(super) fn tensors(&self, name: &str) -> Outcome<Vec<Tensor>> {
        let Some(items) = self.get(name).and_then(Value::items) else {
            return unknown(format!("{name} is no list of tensors"));
        };
        let mut found = Vec::new();
        for item in items {
            match item {
                Value::Tensor(tensor) => found.push(tensor),
                Value::None => {}
                _ => return unknown("what goes in is not known"),
            }
        }
        Ok(found)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Outcome<i64> {
        match self.get(name) {
            None => Ok(default),
            Some(value) => match value.int() {
                Some(n) => Ok(n),
                None => unknown(format!("the number {name} is not known")),
            },
        }
    }

    pub(super) fn bool(&self, name: &str) -> Outcome<bool> {
        match self.get(name) {
            None => Ok(false),
            Some(value) => match value.truth() {
                Some(b) => Ok(b),
                None => unknown(format!("whether {name} holds is not known")),
            },
        }
    }

    pub(super) fn float(&self, name: &str) -> Outcome<Option<f64>> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match value.float() {
                Some(x) => Ok(Some(x)),
                None => unknown(format!("the number {name} is not known")),
            },
        }
    }

    /// A list of numbers; a single number is a list of one.
    pub(super) fn ints(&self, name: &str) -> Outcome<Option<Vec<i64>>> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        if let Some(n) = value.int() {
            return Ok(Some(vec![n]));
        }
        let items = value.items().unwrap_or_else(|| vec![Value::Unknown]);
        match items.iter().map(Value::int).collect() {
            Some(numbers) => Ok(Some(numbers)),
            None => unknown(format!("the numbers {name} are not known")),
        }
    }

    /// Numbers from 0 up, one per axis: one stands for all.
    pub(super) fn sizes(&self, name: &str, axes: usize, default: usize) -> Outcome<Vec<usize>> {
        let Some(numbers) = self.ints(name)?.filter(|numbers| !numbers.is_empty()) else {
            return Ok(vec![default; axes]);
        };
        let sizes: Option<Vec<usize>> = numbers.iter().map(|&n| usize::try_from(n).ok()).collect();
        match sizes {
            None => refuse(format!("{name} is {numbers:?}: no negative numbers")),
            Some(sizes) if sizes.len() == axes => Ok(sizes),
            Some(sizes) if sizes.len() == 1 => Ok(vec![sizes[0]; axes]),
            Some(sizes) => refuse(format!("{name} needs 1 or {axes} numbers, got {sizes:?}")),
        }
    }

    /// An axis, counted from the end where it is negative.
    pub(super) fn axis(&self, name: &str, default: i64, rank: usize) -> Outcome<usize> {
        axis(self.int(name, default)?, rank)
    }

    /// The same for a tensor that must have one.
    pub(super) fn axis_of(&self, name: &str, default: i64, tensor: &Tensor) -> Outcome<usize> {
        match tensor.rank() {
            0 => refuse("a number has no axes"),
            rank => self.axis(name, default, rank),
        }
    }

    /// A result of that shape.
    pub(super) fn result(&self, shape: impl Into<Vec<usize>>, dtype: DType) -> Outcome {
        let shape = shape.into();
        if product(&shape).is_none_or(|n| n > 1 << 56) {
            return refuse(format!("a tensor of shape {shape:?} fits no memory"));
        }
        Ok(Value::Tensor(Tensor::new(shape, dtype)))
    }
}

/// `-1` is the last of `rank` axes.
pub(super) fn axis(axis: i64, rank: usize) -> Outcome<usize> {
    // a number counts as one axis
    let ranks = rank.max(1) as i64;
    let counted = if axis < 0 { axis + ranks } else { axis };
    match (0..ranks).contains(&counted) {
        true => Ok(counted as usize),
        false => refuse(format!("axis {axis} does not exist: the tensor has {rank}")),
    }
}
