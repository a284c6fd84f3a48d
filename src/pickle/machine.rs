//! The machine that runs a pickle: a stack, marks, a memo, an arena.
//!
//! The idea: every opcode either makes a value, which goes into the arena, or changes one that is there already.
//! Stack, memo and containers hold ids, so a memo hit shares and never copies, and dropping the graph is dropping
//! one vector: nothing in here recurses, however deep the file nests.
//!
//! 1. [`Instruction::decode`] reads opcode and argument; lengths are checked against the bytes that are left.
//! 2. [`Machine::check_stack`] checks what the table says that the opcode takes. The handlers rely on it.
//! 3. The handler pays for memory ([`Budget`]), then takes it.
//!
//! Semantics are those of CPython's `_pickle.c`, except that nothing is called: see [`super::value`].

use super::keys::{Keys, Place};
use super::literal;
use super::memo::Memo;
use super::opcode::{Argument, Instruction, Opcode, Takes, at_opcode};
use super::value::{Graph, Object, ObjectKind, Value, ValueId};
use crate::bytes::{Budget, Cursor, Limits};
use crate::error::{Error, Result};

/// The highest protocol there is.
const HIGHEST_PROTOCOL: u8 = 5;

pub(super) struct Machine<'a> {
    cursor: Cursor<'a>,
    /// The instruction that is being run.
    now: Instruction<'a>,
    values: Vec<Value>,
    offsets: Vec<u64>,
    stack: Vec<ValueId>,
    /// Heights of the stack at which a MARK lies.
    marks: Vec<usize>,
    memo: Memo,
    keys: Keys,
    budget: Budget,
    steps_left: u64,
    steps: u64,
    protocol: u8,
}

impl<'a> Machine<'a> {
    pub(super) fn new(bytes: &'a [u8], limits: &Limits) -> Self {
        Self {
            cursor: Cursor::new(bytes, 0),
            now: Instruction {
                opcode: Opcode::Proto,
                offset: 0,
                argument: Argument::None,
            },
            values: Vec::new(),
            offsets: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: Memo::default(),
            keys: Keys::default(),
            budget: Budget::new(limits.pickle_memory, "the values of the pickle"),
            steps_left: limits.pickle_steps,
            steps: limits.pickle_steps,
            protocol: 0,
        }
    }

    /// Runs up to STOP.
    pub(super) fn run(mut self) -> Result<Graph> {
        loop {
            self.now = Instruction::decode(&mut self.cursor)?;
            self.steps_left = self.steps_left.checked_sub(1).ok_or_else(|| {
                Error::limit(format!("the pickle has more than {} opcodes", self.steps))
                    .at_offset(self.now.offset)
            })?;
            self.check_stack()?;
            if self.now.opcode == Opcode::Stop {
                let root = self.pop();
                return Ok(Graph {
                    values: self.values,
                    offsets: self.offsets,
                    root,
                    protocol: self.protocol,
                    consumed: self.cursor.position(),
                });
            }
            self.step().map_err(|e| e.at_offset(self.now.offset))?;
        }
    }

    /// Runs the instruction; the stack holds what it takes.
    fn step(&mut self) -> Result<()> {
        match self.now.opcode {
            Opcode::Proto => self.proto(),
            // frames let a reader fetch ahead; this one has all bytes, so only the promise is checked
            Opcode::Frame => self.frame(),
            Opcode::Stop => Ok(()), // run() returns there
            Opcode::Mark => self.budget.push(&mut self.marks, self.stack.len()),
            Opcode::Pop => {
                if self.stack.len() > self.fence() {
                    self.stack.pop();
                } else {
                    self.marks.pop();
                }
                Ok(())
            }
            Opcode::PopMark => {
                let mark = self.pop_mark();
                self.stack.truncate(mark);
                Ok(())
            }
            Opcode::Dup => self.push_id(self.top()),
            Opcode::Get | Opcode::BinGet | Opcode::LongBinGet => self.get(),
            Opcode::Put | Opcode::BinPut | Opcode::LongBinPut | Opcode::Memoize => self.put(),
            Opcode::EmptyList => self.push(Value::List(Vec::new())),
            Opcode::EmptyTuple => self.push(Value::Tuple(Vec::new())),
            Opcode::EmptyDict => self.push(Value::Dict(Vec::new())),
            Opcode::EmptySet => self.push(Value::Set(Vec::new())),
            Opcode::List => self.list(),
            Opcode::Tuple => self.tuple_from_mark(),
            Opcode::Tuple1 => self.tuple(1),
            Opcode::Tuple2 => self.tuple(2),
            Opcode::Tuple3 => self.tuple(3),
            Opcode::Dict => self.dict(),
            Opcode::FrozenSet => self.frozen_set(),
            Opcode::Append => self.append(self.stack.len() - 1),
            Opcode::Appends => {
                let mark = self.pop_mark();
                self.append(mark)
            }
            Opcode::SetItem => self.set_items(self.stack.len() - 2),
            Opcode::SetItems => {
                let mark = self.pop_mark();
                self.set_items(mark)
            }
            Opcode::AddItems => self.add_items(),
            Opcode::Global | Opcode::StackGlobal => self.global(),
            Opcode::Ext1 | Opcode::Ext2 | Opcode::Ext4 => self.extension(),
            Opcode::PersId | Opcode::BinPersId => self.persistent(),
            Opcode::Reduce | Opcode::NewObj => self.call(),
            Opcode::NewObjEx => self.call_with_kwargs(),
            Opcode::Inst | Opcode::Obj => self.instance(),
            Opcode::Build => self.build(),
            Opcode::NextBuffer | Opcode::ReadonlyBuffer => Err(Error::unsupported(format!(
                "{}: the pickle wants a buffer that is not in it (protocol 5 out-of-band data)",
                self.now.opcode.name()
            ))),
            _ => self.scalar(),
        }
    }

    // ---- the stack ----

    /// Height below which only an opcode that takes the mark may reach.
    fn fence(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    /// Checks that the stack holds what the opcode takes, as the table says.
    fn check_stack(&self) -> Result<()> {
        let above_mark = self.stack.len() - self.fence();
        let missing = match self.now.opcode.takes() {
            Takes::Values(n) if above_mark >= n => return Ok(()),
            Takes::Values(n) => format!("needs {n} values on the stack, there are {above_mark}"),
            Takes::ValueOrMark if above_mark > 0 || !self.marks.is_empty() => return Ok(()),
            Takes::ValueOrMark => "the stack is empty".to_owned(),
            Takes::Mark { below, above } => {
                let fence_below = self.marks.len().checked_sub(2).map_or(0, |i| self.marks[i]);
                if self.marks.is_empty() {
                    "there is no MARK on the stack".to_owned()
                } else if self.fence() - fence_below < below {
                    "there is nothing below the MARK to add to".to_owned()
                } else if above_mark < above {
                    "there is nothing above the MARK".to_owned()
                } else {
                    return Ok(());
                }
            }
        };
        Err(self.malformed(missing))
    }

    /// A malformed instruction: named, and placed at its opcode.
    fn malformed(&self, message: String) -> Error {
        at_opcode(self.now.opcode, self.now.offset, message)
    }

    fn top(&self) -> ValueId {
        self.stack[self.stack.len() - 1]
    }

    /// Only where the table says that the opcode takes a value.
    fn pop(&mut self) -> ValueId {
        let top = self.top();
        self.stack.pop();
        top
    }

    /// Only where the table says that the opcode takes the mark. Returns where its values begin.
    fn pop_mark(&mut self) -> usize {
        let mark = self.fence();
        self.marks.pop();
        mark
    }

    fn push_id(&mut self, id: ValueId) -> Result<()> {
        self.budget.push(&mut self.stack, id)
    }

    fn push(&mut self, value: Value) -> Result<()> {
        let id = self.alloc(value)?;
        self.push_id(id)
    }

    /// Puts a value into the arena; what it owns on the heap has been paid for.
    fn alloc(&mut self, value: Value) -> Result<ValueId> {
        let id = u32::try_from(self.values.len())
            .map_err(|_| Error::limit("the pickle has more than 4294967295 values"))?;
        self.budget.push(&mut self.values, value)?;
        self.budget.push(&mut self.offsets, self.now.offset)?;
        Ok(ValueId(id))
    }

    fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// Takes everything from `mark` on off the stack.
    fn take_from(&mut self, mark: usize) -> Result<Vec<ValueId>> {
        let n = self.stack.len() - mark;
        self.budget.spend(n * size_of::<ValueId>())?;
        Ok(self.stack.split_off(mark))
    }

    // ---- arguments ----

    fn unsigned(&self) -> u64 {
        match self.now.argument {
            Argument::Unsigned(n) => n,
            _ => 0, // the table fixes the form
        }
    }

    fn bytes(&self) -> &'a [u8] {
        match self.now.argument {
            Argument::Bytes(bytes) => bytes,
            _ => &[], // the table fixes the form
        }
    }

    fn literal<T>(&self, parsed: Result<T, String>) -> Result<T> {
        parsed.map_err(|message| self.malformed(message))
    }

    // ---- values that come out of the bytes ----

    fn scalar(&mut self) -> Result<()> {
        let bytes = self.bytes();
        // no notation here is longer in memory than in the file, but for decimal rounding and Latin-1
        self.budget.spend(bytes.len().saturating_mul(2))?;
        let value = match self.now.opcode {
            Opcode::NewTrue => Value::Bool(true),
            Opcode::NewFalse => Value::Bool(false),
            Opcode::BinInt1 | Opcode::BinInt2 | Opcode::BinInt => Value::Int(self.small_integer()),
            Opcode::Int => self.literal(literal::int_line(bytes))?,
            Opcode::Long => self.literal(literal::long_line(bytes))?,
            Opcode::Long1 | Opcode::Long4 => literal::integer(bytes),
            Opcode::Float => Value::Float(self.literal(literal::float_line(bytes))?),
            Opcode::BinFloat => match self.now.argument {
                Argument::Float(float) => Value::Float(float),
                _ => Value::None, // the table fixes the form
            },
            Opcode::String => python2_string(self.literal(literal::string_line(bytes))?),
            Opcode::BinString | Opcode::ShortBinString => python2_string(bytes.to_vec()),
            Opcode::BinBytes | Opcode::ShortBinBytes | Opcode::BinBytes8 | Opcode::ByteArray8 => {
                Value::Bytes(bytes.into())
            }
            Opcode::Unicode => python2_string(self.literal(literal::raw_unicode_escape(bytes))?),
            Opcode::BinUnicode | Opcode::ShortBinUnicode | Opcode::BinUnicode8 => {
                self.text(bytes)?
            }
            _ => Value::None, // NONE; step() sends nothing else here
        };
        self.push(value)
    }

    fn small_integer(&self) -> i64 {
        match self.now.argument {
            Argument::Signed(n) => n.into(),
            _ => i64::try_from(self.unsigned()).unwrap_or(i64::MAX), // at most 16 bits
        }
    }

    fn text(&self, bytes: &[u8]) -> Result<Value> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Value::Str(text.into())),
            Err(_) if literal::is_text_with_surrogates(bytes) => Ok(Value::Bytes(bytes.into())),
            Err(error) => Err(self.malformed(format!(
                "its text is not UTF-8 (from byte {} of it)",
                error.valid_up_to()
            ))),
        }
    }

    fn name(&self, bytes: &[u8]) -> Result<Box<str>> {
        std::str::from_utf8(bytes)
            .map(Into::into)
            .map_err(|_| self.malformed(format!("the name {} is not UTF-8", literal::shown(bytes))))
    }

    fn proto(&mut self) -> Result<()> {
        match u8::try_from(self.unsigned()) {
            Ok(protocol) if protocol <= HIGHEST_PROTOCOL => {
                self.protocol = self.protocol.max(protocol);
                Ok(())
            }
            _ => Err(Error::unsupported(format!(
                "pickle protocol {}; the highest known is {HIGHEST_PROTOCOL}",
                self.unsigned()
            ))),
        }
    }

    fn frame(&mut self) -> Result<()> {
        let left = self.cursor.remaining() as u64;
        if self.unsigned() > left {
            return Err(self.malformed(format!(
                "declares {} bytes, only {left} are left",
                self.unsigned()
            )));
        }
        Ok(())
    }

    // ---- the memo ----

    fn get(&mut self) -> Result<()> {
        let index = self.memo_index()?;
        match self.memo.get(index) {
            Some(id) => self.push_id(id),
            None => Err(self.malformed(format!("nothing was stored at memo index {index}"))),
        }
    }

    fn put(&mut self) -> Result<()> {
        let index = match self.now.opcode {
            Opcode::Memoize => self.memo.len(),
            _ => self.memo_index()?,
        };
        self.memo.put(index, self.top(), &mut self.budget)
    }

    fn memo_index(&self) -> Result<u64> {
        match self.now.argument {
            Argument::Bytes(line) => self.literal(literal::memo_line(line)),
            _ => Ok(self.unsigned()),
        }
    }

    // ---- containers ----

    fn list(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let items = self.take_from(mark)?;
        self.push(Value::List(items))
    }

    fn tuple_from_mark(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let items = self.take_from(mark)?;
        self.push(Value::Tuple(items))
    }

    fn tuple(&mut self, n: usize) -> Result<()> {
        let items = self.take_from(self.stack.len() - n)?;
        self.push(Value::Tuple(items))
    }

    fn append(&mut self, from: usize) -> Result<()> {
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

    fn dict(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let dict = self.alloc(Value::Dict(Vec::new()))?;
        self.insert_pairs(dict, mark)?;
        self.push_id(dict)
    }

    fn set_items(&mut self, from: usize) -> Result<()> {
        let target = self.stack[from - 1];
        self.insert_pairs(target, from)
    }

    /// Keys and values by turns, from `from` on, into a dict or object.
    fn insert_pairs(&mut self, target: ValueId, from: usize) -> Result<()> {
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

    fn add_items(&mut self) -> Result<()> {
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

    fn frozen_set(&mut self) -> Result<()> {
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

    // ---- names and calls: written down, never followed ----

    fn global(&mut self) -> Result<()> {
        let (module, name) = match self.now.argument {
            Argument::Lines(module, name) => (module, name),
            _ => {
                let name = self.pop();
                let module = self.pop();
                return self.stack_global(module, name);
            }
        };
        self.budget.spend(module.len() + name.len())?;
        let (module, name) = (self.name(module)?, self.name(name)?);
        self.push(Value::Global { module, name })
    }

    fn stack_global(&mut self, module: ValueId, name: ValueId) -> Result<()> {
        let (Value::Str(m), Value::Str(n)) = (self.value(module), self.value(name)) else {
            let (m, n) = (self.value(module).kind(), self.value(name).kind());
            return Err(self.malformed(format!(
                "module and name must be text, they are {m} and {n}"
            )));
        };
        let (m, n) = (m.clone(), n.clone());
        self.budget.spend(m.len() + n.len())?;
        self.push(Value::Global { module: m, name: n })
    }

    fn extension(&mut self) -> Result<()> {
        let code = match self.now.argument {
            Argument::Signed(code) => code,
            _ => i32::try_from(self.unsigned()).unwrap_or(0), // at most 16 bits
        };
        if code <= 0 {
            return Err(self.malformed(format!("extension codes are positive, this is {code}")));
        }
        self.push(Value::Extension(code))
    }

    fn persistent(&mut self) -> Result<()> {
        let id = match self.now.opcode {
            Opcode::BinPersId => self.pop(),
            _ => {
                let line = self.bytes();
                self.budget.spend(line.len())?;
                let text = self.name(line)?;
                self.alloc(Value::Str(text))?
            }
        };
        self.push(Value::Persistent(id))
    }

    fn call(&mut self) -> Result<()> {
        let args = self.pop();
        let callable = self.pop();
        let kind = match self.now.opcode {
            Opcode::Reduce => ObjectKind::Reduce,
            _ => ObjectKind::NewObj,
        };
        self.object(kind, callable, args, None)
    }

    fn call_with_kwargs(&mut self) -> Result<()> {
        let kwargs = self.pop();
        let args = self.pop();
        let callable = self.pop();
        if self.value(kwargs).is_plain() && !matches!(self.value(kwargs), Value::Dict(_)) {
            return Err(self.malformed(format!(
                "its keyword arguments are {}, not a dict",
                self.value(kwargs).kind()
            )));
        }
        self.object(ObjectKind::NewObj, callable, args, Some(kwargs))
    }

    /// INST names the class in its argument, OBJ has it first above the mark.
    fn instance(&mut self) -> Result<()> {
        let mark = self.pop_mark();
        let callable = match self.now.argument {
            Argument::Lines(module, name) => {
                self.budget.spend(module.len() + name.len())?;
                let (module, name) = (self.name(module)?, self.name(name)?);
                self.alloc(Value::Global { module, name })?
            }
            _ => self.stack[mark],
        };
        let first = mark + usize::from(self.now.opcode == Opcode::Obj);
        let args = self.take_from(first)?;
        self.stack.truncate(mark);
        let args = self.alloc(Value::Tuple(args))?;
        self.object(ObjectKind::Instance, callable, args, None)
    }

    fn object(
        &mut self,
        kind: ObjectKind,
        callable: ValueId,
        args: ValueId,
        kwargs: Option<ValueId>,
    ) -> Result<()> {
        if self.value(callable).is_plain() {
            let what = self.value(callable).kind();
            return Err(self.malformed(format!("calls {what}")));
        }
        if self.value(args).is_plain() && !matches!(self.value(args), Value::Tuple(_)) {
            let what = self.value(args).kind();
            return Err(self.malformed(format!("its arguments are {what}, not a tuple")));
        }
        self.budget.spend(size_of::<Object>())?;
        self.push(Value::Object(Box::new(Object {
            kind,
            callable,
            args,
            kwargs,
            state: Vec::new(),
            items: Vec::new(),
            entries: Vec::new(),
        })))
    }

    fn build(&mut self) -> Result<()> {
        let state = self.pop();
        let target = self.top();
        match &mut self.values[target.0 as usize] {
            Value::Object(object) => self.budget.push(&mut object.state, state),
            other => {
                let kind = other.kind();
                Err(self.malformed(format!("sets the state of {kind}, which has none")))
            }
        }
    }
}

/// Python 2 did not tell text from bytes: text if it is UTF-8.
fn python2_string(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => Value::Str(text.into()),
        Err(error) => Value::Bytes(error.into_bytes().into()),
    }
}
