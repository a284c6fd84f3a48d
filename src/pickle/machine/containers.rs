//! Lists, tuples, dicts and sets, and what is added to them or to objects.

use super::Machine;
use crate::error::{Error, Result};
use crate::pickle::keys::Place;
use crate::pickle::value::{Value, ValueId};

impl Machine<'_> {
    pub(super) fn list(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let items = self.take_from(mark)?;
        self.push(Value::List(items))
    }

    pub(super) fn tuple_from_mark(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let items = self.take_from(mark)?;
        self.push(Value::Tuple(items))
    }

    pub(super) fn tuple(&mut self, n: usize) -> Result<()> {
        let items = self.take_from(self.stack.len() - n)?;
        self.push(Value::Tuple(items))
    }

    pub(super) fn append(&mut self, from: usize) -> Result<()> {
        let Self {
            values,
            stack,
            budget,
            ..
        } = self;
        let target = stack[from - 1];
        let items = match &mut values[target.0 as usize] {
            Value::List(items) => items,
            Value::Object(object) => &mut object.items,
            other => {
                let kind = other.kind();
                return Err(self.malformed(format!("adds items to {kind}, which has none")));
            }
        };
        budget.reserve(items, stack.len() - from)?;
        items.extend(stack.drain(from..));
        Ok(())
    }

    pub(super) fn dict(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let dict = self.alloc(Value::Dict(Vec::new()))?;
        self.insert_pairs(dict, mark)?;
        self.push_id(dict)
    }

    pub(super) fn set_items(&mut self, from: usize) -> Result<()> {
        let target = self.stack[from - 1];
        self.insert_pairs(target, from)
    }

    /// Keys and values by turns, from `from` on, into a dict or object.
    pub(super) fn insert_pairs(&mut self, target: ValueId, from: usize) -> Result<()> {
        let n = self.stack.len() - from;
        if n % 2 == 1 {
            return Err(self.malformed(format!("the last of {n} keys and values has no partner")));
        }
        if self.entries(target).is_none() {
            let kind = self.value(target).kind();
            return Err(self.malformed(format!("sets items of {kind}, which has none to set")));
        }
        for at in (from..from + n).step_by(2) {
            let (key, item) = (self.stack[at], self.stack[at + 1]);
            let next = self.entries(target).map_or(0, Vec::len);
            let place = self
                .keys
                .place(&self.values, target, key, next, &mut self.budget)?;
            let budget = &mut self.budget;
            let entries = match &mut self.values[target.0 as usize] {
                Value::Dict(entries) => entries,
                Value::Object(object) => &mut object.entries,
                _ => continue, // checked above
            };
            match place {
                Place::New => budget.push(entries, (key, item))?,
                Place::At(i) => entries[i].1 = item,
                Place::Unhashable => return Err(self.unhashable(key)),
            }
        }
        self.stack.truncate(from);
        Ok(())
    }

    fn entries(&self, id: ValueId) -> Option<&Vec<(ValueId, ValueId)>> {
        match self.value(id) {
            Value::Dict(entries) => Some(entries),
            Value::Object(object) => Some(&object.entries),
            _ => None,
        }
    }

    fn unhashable(&self, key: ValueId) -> Error {
        self.malformed(format!("{} cannot be a key", self.value(key).kind()))
    }

    pub(super) fn add_items(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let target = self.stack[mark - 1];
        match self.value(target) {
            Value::Set(_) => self.insert_items(target, mark),
            Value::Object(_) => self.append(mark),
            other => {
                Err(self.malformed(format!("adds items to {}, which is no set", other.kind())))
            }
        }
    }

    pub(super) fn frozen_set(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let set = self.alloc(Value::FrozenSet(Vec::new()))?;
        self.insert_items(set, mark)?;
        self.push_id(set)
    }

    /// Everything on the stack from `from` on into a set; of equal items, the first stays, as in Python.
    fn insert_items(&mut self, set: ValueId, from: usize) -> Result<()> {
        for at in from..self.stack.len() {
            let item = self.stack[at];
            let (Value::Set(items) | Value::FrozenSet(items)) = self.value(set) else {
                return Ok(()); // only called with sets
            };
            let next = items.len();
            match self
                .keys
                .place(&self.values, set, item, next, &mut self.budget)?
            {
                Place::New => {}
                Place::At(_) => continue,
                Place::Unhashable => return Err(self.unhashable(item)),
            }
            if let Value::Set(items) | Value::FrozenSet(items) = &mut self.values[set.0 as usize] {
                self.budget.push(items, item)?;
            }
        }
        self.stack.truncate(from);
        Ok(())
    }
}
