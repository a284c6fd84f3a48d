//! A pickle that breaks off: what it had built by then.
//!
//! The idea: a pickler writes a container first, and then, in order, what goes into it. Where the program ends too
//! early, all that was finished lies on the stack, sorted by marks: above each mark are the items of the container
//! below it. So the marks are taken off from the top, and what lies above each goes where SETITEMS, APPENDS or BUILD
//! would have put it. Calls of which an argument is missing are dropped, and so is a key without its value.
//!
//! Containers of a single item have no mark: SETITEM follows the item. An empty dict with a key behind it may be one
//! that was being filled, or an empty one with a neighbour (modules have a dozen in a row). Between the items of another
//! dict it is taken to be empty, elsewhere to be filled; where the bytes do not tell, [`Prefix::uncertain`] says so.

use super::Machine;
use crate::error::{Error, ErrorKind, Result};
use crate::pickle::value::{Graph, Object, ObjectKind, Value, ValueId};

/// What was built before the program broke off.
#[derive(Debug)]
pub struct Prefix {
    /// The graph; `consumed` is how far the program ran.
    pub graph: Graph,
    /// Why it ended before STOP; `None` where it did not.
    pub error: Option<Error>,
    /// Whether it could not be told if the last values lie in the empty dict or list before them, or beside it.
    pub uncertain: bool,
}

/// What to do with the next values of an open run.
enum Step {
    /// The value is finished: it goes into the container.
    Finished,
    /// It goes into the container, and all behind it into itself.
    Enter,
    /// It goes into the container, and the value behind it is its state; all behind that goes into the state.
    State,
    /// Nothing from here on is finished.
    Stop,
}

impl Machine<'_> {
    /// Runs up to STOP, or as far as the program goes.
    ///
    /// # Errors
    ///
    /// `Limit` only.
    pub(in crate::pickle) fn run_prefix(mut self) -> Result<Prefix> {
        self.unfinished = true;
        let error = loop {
            match self.advance() {
                Ok(true) => {
                    let root = self.pop();
                    return Ok(Prefix {
                        graph: self.finish(root),
                        error: None,
                        uncertain: false,
                    });
                }
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::Limit => return Err(error),
                Err(error) => break error,
            }
        };
        let mut uncertain = false;
        while let Some(mark) = self.marks.pop() {
            self.close(mark.min(self.stack.len()), &mut uncertain)?;
        }
        let items = std::mem::take(&mut self.stack);
        let tuple = self.alloc(Value::Tuple(Vec::new()))?;
        self.fill(tuple, &items, true, &mut uncertain)?;
        let root = match self.value(tuple) {
            Value::Tuple(items) if items.len() == 1 => items[0],
            _ => tuple,
        };
        Ok(Prefix {
            graph: self.finish(root),
            error: Some(error),
            uncertain,
        })
    }

    /// Puts what lies above a mark into what lies below it.
    fn close(&mut self, mark: usize, uncertain: &mut bool) -> Result<()> {
        let items = self.take_from(mark)?;
        let below = (mark > self.fence()).then(|| self.top());
        match below.map(|below| self.value(below)) {
            Some(Value::Dict(_) | Value::List(_) | Value::Object(_)) => {
                self.fill(self.top(), &items, false, uncertain)
            }
            // a call without all of its arguments
            Some(Value::Global { .. }) => {
                self.stack.pop();
                Ok(())
            }
            Some(Value::Set(_)) => Ok(()),
            _ => {
                let tuple = self.alloc(Value::Tuple(Vec::new()))?;
                self.fill(tuple, &items, false, uncertain)?;
                self.push_id(tuple)
            }
        }
    }

    /// Puts values into a container, and into one another where one is not finished.
    fn fill(
        &mut self,
        target: ValueId,
        items: &[ValueId],
        alone: bool,
        uncertain: &mut bool,
    ) -> Result<()> {
        let (mut target, mut rest, mut sure) = (target, items, alone);
        loop {
            let by_key = self.takes_keys(target, rest);
            let (entry, behind) = match (by_key, rest) {
                (true, [key, value, behind @ ..]) if self.is_key(*key) => {
                    ([Some(*key), Some(*value)], behind)
                }
                (false, [value, behind @ ..]) => ([None, Some(*value)], behind),
                _ => return Ok(()),
            };
            let [key, Some(value)] = entry else {
                return Ok(());
            };
            let step = self.step_at(value, behind, by_key, uncertain, sure);
            if matches!(step, Step::Stop) {
                return Ok(());
            }
            if !self.put_into(target, key, value)? {
                return Ok(());
            }
            match (step, behind) {
                (Step::Finished, _) => rest = behind,
                (Step::Enter, _) => (target, rest, sure) = (value, behind, true),
                (Step::State, [state, behind @ ..]) => {
                    let state = *state;
                    if let Value::Object(object) = &mut self.values[value.0 as usize] {
                        self.budget.push(&mut object.state, state)?;
                    }
                    (target, rest, sure) = (state, behind, true);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Whether the value is finished, given what lies behind it in the same run.
    fn step_at(
        &self,
        value: ValueId,
        behind: &[ValueId],
        by_key: bool,
        uncertain: &mut bool,
        sure: bool,
    ) -> Step {
        let Some(&next) = behind.first() else {
            return match self.value(value) {
                Value::Global { .. } => Step::Stop, // perhaps of a call
                _ => Step::Finished,
            };
        };
        // what lies two behind could not, if the value were to take the next two
        let two_are_done = behind.len() >= 3 && !self.is_open(behind[1]) && self.is_key(behind[2]);
        let next_is_key = self.is_key(next);
        match self.value(value) {
            // a function, and arguments of which TUPLE1 to TUPLE3 would have made a tuple
            Value::Global { .. }
                if behind.len() <= 3 || matches!(self.value(next), Value::Tuple(_)) =>
            {
                Step::Stop
            }
            Value::Object(_)
                if matches!(self.value(next), Value::Dict(_))
                    && (by_key || self.takes_state(value)) =>
            {
                Step::State
            }
            Value::List(items) if items.is_empty() && !(by_key && next_is_key) => {
                let is_one = by_key || sure || behind.len() < 2 || self.is_open(next);
                *uncertain |= is_one && !by_key && !sure;
                if is_one { Step::Enter } else { Step::Finished }
            }
            _ if self.is_open(value) && next_is_key && !two_are_done => {
                *uncertain |= !sure;
                if by_key && !sure {
                    Step::Finished
                } else {
                    Step::Enter
                }
            }
            _ => Step::Finished,
        }
    }

    /// Adds to whatever container it is; false where that is none, or cannot have the key.
    fn put_into(&mut self, target: ValueId, key: Option<ValueId>, value: ValueId) -> Result<bool> {
        if let Some(key) = key {
            let from = self.stack.len();
            self.push_id(key)?;
            self.push_id(value)?;
            let outcome = self.insert_pairs(target, from);
            self.stack.truncate(from);
            return match outcome {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::Limit => Err(error),
                Err(_) => Ok(false),
            };
        }
        let budget = &mut self.budget;
        match &mut self.values[target.0 as usize] {
            Value::List(items) | Value::Tuple(items) => budget.push(items, value)?,
            Value::Object(object) => budget.push(&mut object.items, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether what goes into it comes in keys and values.
    fn takes_keys(&self, target: ValueId, items: &[ValueId]) -> bool {
        match self.value(target) {
            Value::Dict(_) => true,
            // an OrderedDict, or a deque
            Value::Object(object) => {
                !object.entries.is_empty()
                    || object.items.is_empty() && items.first().is_some_and(|&id| self.is_key(id))
            }
            _ => false,
        }
    }

    /// Whether it may be a key of a dict, and not its value's state or argument.
    fn is_key(&self, id: ValueId) -> bool {
        matches!(
            self.value(id),
            Value::None
                | Value::Bool(_)
                | Value::Int(_)
                | Value::BigInt(_)
                | Value::Float(_)
                | Value::Str(_)
                | Value::Bytes(_)
        )
    }

    /// Whether it is a dict, or an object that may be one, with nothing in it yet.
    fn is_open(&self, id: ValueId) -> bool {
        match self.value(id) {
            Value::Dict(entries) => entries.is_empty(),
            Value::Object(object) => {
                self.is_made_empty(object)
                    && object.entries.is_empty()
                    && object.items.is_empty()
                    && object.state.is_empty()
            }
            _ => false,
        }
    }

    /// Whether it was made of nothing, or of names alone, as an OrderedDict or a defaultdict is.
    fn is_made_empty(&self, object: &Object) -> bool {
        match self.value(object.args) {
            Value::Tuple(args) => args
                .iter()
                .all(|&arg| matches!(self.value(arg), Value::Global { .. })),
            _ => false,
        }
    }

    /// Whether a dict behind it in a list is more likely its state than its neighbour.
    fn takes_state(&self, id: ValueId) -> bool {
        let Value::Object(object) = self.value(id) else {
            return false;
        };
        let by_copyreg = matches!(
            self.value(object.callable),
            Value::Global { name, .. } if **name == *"_reconstructor"
        );
        let by_call = object.kind == ObjectKind::Reduce && !by_copyreg;
        object.state.is_empty() && (!by_call || self.is_made_empty(object))
    }
}
