//! Disassembly: the program as text, one opcode a line, as `python -m pickletools` prints it.
//!
//! It runs nothing and keeps no values, so it lists programs that the machine refuses, up to the first byte that is
//! no opcode; arguments stand as the file has them. Like pickletools it follows the marks, to indent and to say which mark an opcode takes.

use super::opcode::{Argument, Instruction, Leaves, Opcode, Takes};
use crate::bytes::Budget;
use crate::bytes::Cursor;
use crate::bytes::Limits;
use crate::error::Result;

/// Marks that a line is indented by at most: a million open marks must not make lines of four million blanks.
const MAX_INDENT: usize = 32;
/// Bytes of text or data that a line shows at most.
const SHOWN: usize = 200;

/// The instructions of a pickle, up to and including its STOP. Ends after one error.
#[derive(Clone, Debug)]
pub struct Instructions<'a> {
    cursor: Cursor<'a>,
    ended: bool,
}

impl<'a> Instructions<'a> {
    /// From the start of `bytes`; offsets count from there.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            cursor: Cursor::new(bytes, 0),
            ended: false,
        }
    }

    /// Bytes read so far.
    pub fn consumed(&self) -> usize {
        self.cursor.position()
    }
}

impl<'a> Iterator for Instructions<'a> {
    type Item = Result<Instruction<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = Instruction::decode(&mut self.cursor);
        self.ended = next.as_ref().map_or(true, |i| i.opcode == Opcode::Stop);
        Some(next)
    }
}

/// The lines of a listing, without line ends; the last says the highest protocol that an opcode needs.
#[derive(Debug)]
pub struct Listing<'a> {
    instructions: Instructions<'a>,
    marks: Marks,
    highest: u8,
    ended: bool,
}

impl<'a> Listing<'a> {
    /// Of the pickle at the start of `bytes`. Yields `Malformed` where a byte is no opcode or an argument is not all
    /// there, `Limit` where more marks are open than [`Limits::pickle_memory`] holds, and ends there.
    pub fn new(bytes: &'a [u8], limits: &Limits) -> Self {
        Self {
            instructions: Instructions::new(bytes),
            marks: Marks {
                open: Vec::new(),
                above: 0,
                stored: 0,
                budget: Budget::new(
                    limits.pickle_memory,
                    "the marks of the pickle (pickle_memory)",
                ),
            },
            highest: 0,
            ended: false,
        }
    }
}

impl Iterator for Listing<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let line = match self.instructions.next() {
            Some(Ok(instruction)) => {
                self.highest = self.highest.max(instruction.opcode.protocol());
                line(&instruction, &mut self.marks)
            }
            Some(Err(error)) => Err(error),
            None => {
                self.ended = true;
                Ok(format!("highest protocol among opcodes = {}", self.highest))
            }
        };
        self.ended |= line.is_err();
        Some(line)
    }
}

/// Offsets of the open marks, how many values lie above the last, and how often the memo was written.
#[derive(Debug)]
struct Marks {
    open: Vec<(u64, usize)>,
    above: usize,
    stored: u64,
    budget: Budget,
}

impl Marks {
    /// Follows the opcode; returns the offset of the mark that it takes.
    fn follow(&mut self, instruction: &Instruction<'_>) -> Result<Option<u64>> {
        let taken = match instruction.opcode.takes() {
            Takes::Values(n) => {
                self.above = self.above.saturating_sub(n);
                None
            }
            Takes::ValueOrMark if self.above > 0 => {
                self.above -= 1;
                None
            }
            Takes::ValueOrMark => self.close(0),
            Takes::Mark { below, .. } => self.close(below),
        };
        match instruction.opcode.leaves() {
            Leaves::Values(n) => self.above += n,
            Leaves::Mark => {
                self.budget
                    .push(&mut self.open, (instruction.offset, self.above))?;
                self.above = 0;
            }
        }
        Ok(taken)
    }

    fn close(&mut self, below: usize) -> Option<u64> {
        let (at, above) = self.open.pop()?;
        self.above = above.saturating_sub(below);
        Some(at)
    }
}

fn line(i: &Instruction<'_>, marks: &mut Marks) -> Result<String> {
    let depth = marks.open.len(); // before: what takes a mark stands with what lay above it
    let mark = marks.follow(i)?;
    let byte = i.opcode as u8;
    let shown = if byte < 0x80 {
        char::from(byte).to_string()
    } else {
        format!("\\x{byte:02x}")
    };
    let stored = marks.stored;
    marks.stored += u64::from(matches!(
        i.opcode,
        Opcode::Memoize | Opcode::Put | Opcode::BinPut | Opcode::LongBinPut
    ));
    let note = match mark {
        _ if i.opcode == Opcode::Memoize => format!("(as {stored})"),
        Some(at) => format!("(MARK at {at})"),
        None => String::new(),
    };
    let indent = " ".repeat(4 * depth.min(MAX_INDENT));
    let mut line = format!("{:5}: {shown:<4} {indent}{:<10}", i.offset, i.opcode.name());
    for part in [argument(i), note] {
        if !part.is_empty() {
            line.push(' ');
            line.push_str(&part);
        }
    }
    line.truncate(line.trim_end().len());
    Ok(line)
}

/// The argument as pickletools shows it.
fn argument(i: &Instruction<'_>) -> String {
    match (i.opcode, i.argument) {
        (_, Argument::None) => String::new(),
        (_, Argument::Unsigned(n)) => n.to_string(),
        (_, Argument::Signed(n)) => n.to_string(),
        (_, Argument::Float(f)) => format!("{f:?}"),
        (_, Argument::Lines(module, name)) => {
            format!("'{} {}'", printable(module), printable(name))
        }
        (Opcode::Long1 | Opcode::Long4, Argument::Bytes(bytes)) => long(bytes),
        (
            Opcode::Int | Opcode::Long | Opcode::Float | Opcode::Get | Opcode::Put,
            Argument::Bytes(line),
        ) => printable(line),
        (Opcode::String, Argument::Bytes(line)) => printable(line), // has its quotes
        (
            Opcode::BinBytes | Opcode::ShortBinBytes | Opcode::BinBytes8 | Opcode::ByteArray8,
            Argument::Bytes(bytes),
        ) => format!("b'{}'{}", cut(bytes).escape_ascii(), rest(bytes)),
        (_, Argument::Bytes(text)) => format!("'{}'{}", printable(cut(text)), rest(text)),
    }
}

fn long(bytes: &[u8]) -> String {
    match super::literal::integer(bytes) {
        super::Value::Int(n) => n.to_string(),
        _ => format!("{} bytes, little-endian: {}", bytes.len(), hex(cut(bytes))),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn cut(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().min(SHOWN)]
}

fn rest(bytes: &[u8]) -> String {
    match bytes.len().checked_sub(SHOWN) {
        Some(n) if n > 0 => format!("... ({} bytes)", bytes.len()),
        _ => String::new(),
    }
}

/// Text without anything that could move a terminal's cursor or end the line.
fn printable(text: &[u8]) -> String {
    let escape = |c: char| match c {
        '\\' | '\'' => format!("\\{c}"),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    match std::str::from_utf8(cut(text)) {
        Ok(text) => text.chars().map(escape).collect(),
        Err(_) => cut(text).escape_ascii().to_string(),
    }
}
