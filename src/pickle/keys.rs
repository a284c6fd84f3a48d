//! Which keys are equal: a dict whose keys repeat keeps the place of the first and the value of the last.
//!
//! The plain way, comparing a new key with every old one, takes quadratic time; and comparing two nested tuples item
//! by item takes exponential time where they share their items. So instead:
//!
//! 1. every key is given a *class*, a small number that equal keys share. A scalar's class is looked up by its
//!    content, a tuple's by the classes of its items, which are known already or found first. Nothing is ever
//!    compared in depth, and each tuple is looked at once, however often it is used.
//! 2. one table for the whole graph says where in which container a class stands.
//!
//! Equality is Python's: `1 == 1.0 == True`; a NaN equals only itself; names of classes are equal by name. Objects,
//! persistent ids and frozen sets are compared by identity, since what they would be equal to is not known here.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::literal;
use super::value::{Value, ValueId};
use crate::bytes::Budget;
use crate::error::Result;

/// Content that makes keys equal.
#[derive(PartialEq, Eq, Hash)]
enum Content {
    None,
    Int(i64),
    BigInt(Box<[u8]>),
    /// Bits of a float that is no integer.
    Float(u64),
    Str(Box<str>),
    Bytes(Box<[u8]>),
    Tuple(Box<[Class]>),
    Global(Box<str>, Box<str>),
    Extension(i32),
    Identity(ValueId),
}

impl Content {
    /// Bytes on the heap; a tuple's are paid for where its classes are gathered.
    fn owned_bytes(&self) -> usize {
        match self {
            Content::Str(text) => text.len(),
            Content::Bytes(bytes) | Content::BigInt(bytes) => bytes.len(),
            Content::Global(module, name) => module.len() + name.len(),
            Content::None
            | Content::Int(_)
            | Content::Float(_)
            | Content::Tuple(_)
            | Content::Extension(_)
            | Content::Identity(_) => 0,
        }
    }
}

/// Bytes from which on a scalar's class is remembered.
const LONG: usize = 64;

/// A number that equal keys share.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Class(u32);

/// Places of keys in the containers of one graph.
#[derive(Default)]
pub(super) struct Keys {
    classes: HashMap<Content, Class>,
    /// Keys that take long to hash: tuples, and scalars of more than [`LONG`] bytes. Without it a file could have one
    /// large key hashed a million times. `None`: unhashable.
    known: HashMap<ValueId, Option<Class>>,
    places: HashMap<(ValueId, Class), usize>,
}

/// What a key turned out to be.
pub(super) enum Place {
    /// Not in the container so far.
    New,
    /// Equal to the key of that entry.
    At(usize),
    /// No key at all: a list, dict or set somewhere in it.
    Unhashable,
}

impl Keys {
    /// Looks `key` up among the keys of `container`; a new one is noted to stand at `next`.
    pub(super) fn place(
        &mut self,
        values: &[Value],
        container: ValueId,
        key: ValueId,
        next: usize,
        budget: &mut Budget,
    ) -> Result<Place> {
        let class = match self.class(values, key, budget)? {
            Some(class) => class,
            None if matches!(values[container.0 as usize], Value::Object(_)) => {
                // an object's own __setitem__ may take any key
                self.class_of(Content::Identity(key), budget)?
            }
            None => return Ok(Place::Unhashable),
        };
        match self.places.entry((container, class)) {
            Entry::Occupied(place) => Ok(Place::At(*place.get())),
            Entry::Vacant(vacant) => {
                // twice: the table doubles where it is full
                budget.spend(2 * size_of::<((ValueId, Class), usize)>())?;
                vacant.insert(next);
                Ok(Place::New)
            }
        }
    }

    /// The class of `key`; `None` where Python would say that it is unhashable.
    fn class(
        &mut self,
        values: &[Value],
        key: ValueId,
        budget: &mut Budget,
    ) -> Result<Option<Class>> {
        if let Some(&class) = self.known.get(&key) {
            return Ok(class);
        }
        let value = &values[key.0 as usize];
        match value {
            Value::Tuple(_) => return self.tuple_class(values, key, budget),
            Value::List(_) | Value::Dict(_) | Value::Set(_) => return Ok(None),
            _ => {}
        }
        let content = scalar_content(value, key);
        let long = content.owned_bytes() > LONG;
        let class = Some(self.class_of(content, budget)?);
        if long {
            self.remember(key, class, budget)?;
        }
        Ok(class)
    }

    /// Depth first with a stack of its own. Ends, because a tuple's items are older than the tuple.
    fn tuple_class(
        &mut self,
        values: &[Value],
        tuple: ValueId,
        budget: &mut Budget,
    ) -> Result<Option<Class>> {
        let mut todo = vec![tuple];
        while let Some(&next) = todo.last() {
            let Value::Tuple(items) = &values[next.0 as usize] else {
                todo.pop(); // only tuples are pushed
                continue;
            };
            if self.known.contains_key(&next) {
                todo.pop(); // met twice on the way
                continue;
            }
            let before = todo.len();
            for &item in items {
                if matches!(values[item.0 as usize], Value::Tuple(_))
                    && !self.known.contains_key(&item)
                {
                    budget.push(&mut todo, item)?;
                }
            }
            if todo.len() == before {
                let class = self.class_of_items(values, items, budget)?;
                self.remember(next, class, budget)?;
                todo.pop();
            }
        }
        Ok(self.known.get(&tuple).copied().flatten())
    }

    /// The class of a tuple whose inner tuples are all known.
    fn class_of_items(
        &mut self,
        values: &[Value],
        items: &[ValueId],
        budget: &mut Budget,
    ) -> Result<Option<Class>> {
        let mut classes = Vec::new();
        budget.reserve(&mut classes, items.len())?;
        for &item in items {
            match self.class(values, item, budget)? {
                Some(class) => classes.push(class),
                None => return Ok(None),
            }
        }
        self.class_of(Content::Tuple(classes.into()), budget)
            .map(Some)
    }

    fn remember(&mut self, key: ValueId, class: Option<Class>, budget: &mut Budget) -> Result<()> {
        budget.spend(2 * size_of::<(ValueId, Option<Class>)>())?;
        self.known.insert(key, class);
        Ok(())
    }

    fn class_of(&mut self, content: Content, budget: &mut Budget) -> Result<Class> {
        let fresh = Class(u32::try_from(self.classes.len()).unwrap_or(u32::MAX)); // values are numbered by u32 too
        match self.classes.entry(content) {
            Entry::Occupied(class) => Ok(*class.get()),
            Entry::Vacant(vacant) => {
                budget.spend(vacant.key().owned_bytes() + 2 * size_of::<(Content, Class)>())?;
                Ok(*vacant.insert(fresh))
            }
        }
    }
}

fn scalar_content(value: &Value, id: ValueId) -> Content {
    match value {
        Value::None => Content::None,
        Value::Bool(b) => Content::Int((*b).into()),
        Value::Int(n) => Content::Int(*n),
        Value::BigInt(bytes) => Content::BigInt(bytes.as_slice().into()),
        Value::Float(f) => match literal::integer_of_float(*f) {
            Some(integer) => scalar_content(&integer, id),
            None if f.is_nan() => Content::Identity(id),
            None => Content::Float(f.to_bits()),
        },
        Value::Str(text) => Content::Str(text.clone()),
        Value::Bytes(bytes) => Content::Bytes(bytes.clone()),
        Value::Global { module, name } => Content::Global(module.clone(), name.clone()),
        Value::Extension(code) => Content::Extension(*code),
        Value::Tuple(_)
        | Value::List(_)
        | Value::Dict(_)
        | Value::Set(_)
        | Value::FrozenSet(_)
        | Value::Persistent(_)
        | Value::Object(_) => Content::Identity(id),
    }
}
