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

mod calls;
mod containers;
mod scalars;
mod tolerant;
mod unfinished;

pub use unfinished::Prefix;

use super::keys::Keys;
use super::literal;
use super::memo::Memo;
use super::opcode::{Argument, Instruction, Opcode, Takes, at_opcode};
use super::trace::Oddity;
use super::value::{Graph, Value, ValueId};
use crate::bytes::{Budget, Cursor, Limits};
use crate::error::{Error, Result};

/// The highest protocol there is.
const HIGHEST_PROTOCOL: u8 = 5;
/// What an allocator takes beside and around a small block: a million texts of one byte are not one megabyte.
const HEAP_BLOCK: usize = 32;

pub(super) struct Machine<'a> {
    cursor: Cursor<'a>,
    /// The instruction that is being run.
    now: Instruction<'a>,
    values: Vec<Value>,
    offsets: Vec<u64>,
    stack: Vec<ValueId>,
    /// Offset at which the current FRAME ends.
    frame_end: u64,
    /// Heights of the stack at which a MARK lies.
    marks: Vec<usize>,
    memo: Memo,
    keys: Keys,
    budget: Budget,
    steps_left: u64,
    steps: u64,
    protocol: u8,
    /// Whether to note what is odd and go on, where Python might.
    tolerant: bool,
    oddities: Vec<Oddity>,
    oddities_left_out: usize,
    /// Whether the program may break off.
    unfinished: bool,
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
            frame_end: 0,
            marks: Vec::new(),
            memo: Memo::default(),
            keys: Keys::default(),
            budget: Budget::new(
                limits.pickle_memory,
                "the values of the pickle (pickle_memory)",
            ),
            steps_left: limits.pickle_steps,
            steps: limits.pickle_steps,
            protocol: 0,
            tolerant: false,
            oddities: Vec::new(),
            oddities_left_out: 0,
            unfinished: false,
        }
    }

    /// Runs up to STOP.
    pub(super) fn run(mut self) -> Result<Graph> {
        while !self.advance()? {}
        let root = self.pop();
        Ok(self.finish(root))
    }

    fn finish(self, root: ValueId) -> Graph {
        Graph {
            values: self.values,
            offsets: self.offsets,
            root,
            protocol: self.protocol,
            consumed: self.cursor.position(),
        }
    }

    /// Reads and runs one instruction. At STOP it returns true; what STOP takes is still on the stack.
    fn advance(&mut self) -> Result<bool> {
        self.now = Instruction::decode(&mut self.cursor)?;
        if let Err(error) = self.check_frame() {
            self.tolerate(error)?;
        }
        self.steps_left = self.steps_left.checked_sub(1).ok_or_else(|| {
            Error::limit(format!(
                "the pickle has more than {} opcodes (pickle_steps)",
                self.steps
            ))
            .at_offset(self.now.offset)
        })?;
        self.check_stack()?;
        if self.now.opcode == Opcode::Stop {
            return Ok(true);
        }
        if self.tolerant {
            self.watch();
        }
        let before = self.heights();
        if let Err(error) = self.step() {
            let error = error.at_offset(self.now.offset);
            self.tolerate(error)?;
            self.mend(before)?;
        }
        Ok(false)
    }

    /// Runs the instruction; the stack holds what it takes.
    fn step(&mut self) -> Result<()> {
        match self.now.opcode {
            Opcode::Proto => self.proto(),
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
        self.budget.spend(n * size_of::<ValueId>() + HEAP_BLOCK)?;
        // not split_off: at 0 that hands over the stack's whole capacity
        let taken = self.stack[mark..].to_vec();
        self.stack.truncate(mark);
        Ok(taken)
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
        if self.unsigned() > left && !self.unfinished {
            return Err(self.malformed(format!(
                "declares {} bytes, only {left} are left",
                self.unsigned()
            )));
        }
        if self.now.offset < self.frame_end {
            return Err(self.malformed("begins inside another frame".to_owned()));
        }
        self.frame_end = self.cursor.offset().saturating_add(self.unsigned());
        Ok(())
    }

    /// No instruction lies across the end of a frame: CPython's two unpicklers read such a pickle differently.
    fn check_frame(&self) -> Result<()> {
        if self.now.offset < self.frame_end && self.cursor.offset() > self.frame_end {
            return Err(self.malformed(format!(
                "reaches past the end of its frame at byte {}",
                self.frame_end
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
}
