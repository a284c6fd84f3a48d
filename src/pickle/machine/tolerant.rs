//! Going on where a correct program would not be: for [`crate::pickle::trace`].

use super::Machine;
use crate::error::{Error, ErrorKind, Result};
use crate::pickle::opcode::{Argument, Leaves, Opcode, Takes};
use crate::pickle::trace::{Oddity, OddityKind, Trace};
use crate::pickle::value::{Value, ValueId};

/// Oddities that are kept.
const KEPT: usize = 200;
/// An index so far beyond those in use that an unpickler with an array for a memo takes megabytes for it.
const FAR: u64 = 1 << 20;

/// Heights of the stack, below the topmost mark, and of the marks.
#[derive(Clone, Copy)]
pub(super) struct Heights {
    stack: usize,
    fence: usize,
    marks: usize,
}

impl Machine<'_> {
    /// Runs as far as any unpickler might.
    pub(in crate::pickle) fn trace(mut self) -> Trace {
        self.tolerant = true;
        let error = loop {
            match self.advance() {
                Ok(true) => break None,
                Ok(false) => {}
                Err(error) => break Some(error),
            }
        };
        let root = match &error {
            None => self.stack.last(),
            Some(_) => self.stack.first(),
        };
        let root = root.copied();
        let oddities = std::mem::take(&mut self.oddities);
        let oddities_left_out = self.oddities_left_out;
        let steps = self.steps - self.steps_left;
        // the memory for one value is there whatever the limit says
        let root = root.unwrap_or_else(|| {
            self.values.push(Value::None);
            self.offsets.push(self.now.offset);
            ValueId(u32::try_from(self.values.len() - 1).unwrap_or(0))
        });
        Trace {
            graph: self.finish(root),
            oddities,
            oddities_left_out,
            steps,
            error,
        }
    }

    pub(super) fn heights(&self) -> Heights {
        Heights {
            stack: self.stack.len(),
            fence: self.fence(),
            marks: self.marks.len(),
        }
    }

    /// Notes the error and goes on, if that is what this machine does and the error is one of notation.
    pub(super) fn tolerate(&mut self, error: Error) -> Result<()> {
        if !self.tolerant || error.kind() != ErrorKind::Malformed {
            return Err(error);
        }
        let kind = match self.now.opcode {
            Opcode::Build => OddityKind::State,
            Opcode::StackGlobal => OddityKind::ComputedName,
            _ => OddityKind::ParserDependent,
        };
        let message = error.message();
        let message = match message.split_once(": ") {
            Some((opcode, rest)) if opcode == self.now.opcode.name() => rest.to_owned(),
            _ => message.to_owned(),
        };
        self.odd(kind, message);
        Ok(())
    }

    /// After an instruction that failed: the stack as the table says that it leaves it, with None for what is missing.
    pub(super) fn mend(&mut self, before: Heights) -> Result<()> {
        let opcode = self.now.opcode;
        let (left, marks) = match opcode.takes() {
            Takes::Values(n) => (before.stack.saturating_sub(n), before.marks),
            Takes::Mark { below, .. } => (
                before.fence.saturating_sub(below),
                before.marks.saturating_sub(1),
            ),
            Takes::ValueOrMark => return Ok(()), // cannot fail
        };
        let height = match opcode.leaves() {
            Leaves::Values(n) => left + n,
            Leaves::Mark => left,
        };
        self.marks.truncate(marks);
        self.stack.truncate(height);
        while self.stack.len() < height {
            self.push(Value::None)?;
        }
        Ok(())
    }

    fn odd(&mut self, kind: OddityKind, message: String) {
        if self.oddities.len() >= KEPT {
            self.oddities_left_out += 1;
            return;
        }
        self.oddities.push(Oddity {
            kind,
            opcode: self.now.opcode,
            offset: self.now.offset,
            message,
        });
    }

    /// What the machine itself takes no offence at, and no writer emits.
    pub(super) fn watch(&mut self) {
        match self.now.opcode {
            Opcode::Dup => self.odd(
                OddityKind::Opcode,
                "no writer duplicates the top of the stack".to_owned(),
            ),
            Opcode::Put | Opcode::BinPut | Opcode::LongBinPut => self.watch_put(),
            Opcode::Long
            | Opcode::Float
            | Opcode::String
            | Opcode::Unicode
            | Opcode::Get
            | Opcode::Inst
            | Opcode::PersId
                if self.protocol >= 2 =>
            {
                self.odd_text();
            }
            // Python 2 wrote integers beyond 32 bits so, whatever the protocol
            Opcode::Int if self.protocol >= 2 && self.is_small_line() => self.odd_text(),
            _ => {}
        }
        if self.now.opcode == Opcode::Put && self.protocol >= 2 {
            self.odd_text();
        }
    }

    fn odd_text(&mut self) {
        self.odd(
            OddityKind::Opcode,
            format!(
                "an opcode of protocol 0 in a pickle of protocol {}",
                self.protocol
            ),
        );
    }

    fn is_small_line(&self) -> bool {
        let Argument::Bytes(line) = self.now.argument else {
            return false;
        };
        let number = std::str::from_utf8(line)
            .ok()
            .and_then(|text| text.parse::<i64>().ok());
        number.is_none_or(|number| i32::try_from(number).is_ok())
    }

    fn watch_put(&mut self) {
        let Ok(index) = self.memo_index() else {
            return; // put() refuses it
        };
        match self.memo.get(index) {
            Some(known) if known != self.top() => self.odd(
                OddityKind::MemoOverwritten,
                format!("memo index {index} holds another value already"),
            ),
            None if index > self.memo.len().saturating_mul(4).saturating_add(FAR) => self.odd(
                OddityKind::MemoFar,
                format!(
                    "memo index {index} is far beyond the {} in use",
                    self.memo.len()
                ),
            ),
            _ => {}
        }
    }
}
