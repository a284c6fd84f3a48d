//! Values that come straight out of the bytes: numbers, text, bytes.

use super::{HEAP_BLOCK, Machine};
use crate::error::Result;
use crate::pickle::literal;
use crate::pickle::opcode::{Argument, Opcode};
use crate::pickle::value::Value;

impl Machine<'_> {
    pub(super) fn scalar(&mut self) -> Result<()> {
        let bytes = self.bytes();
        // no notation here is longer in memory than in the file, but for decimal rounding and Latin-1
        if !bytes.is_empty() {
            self.budget
                .spend(bytes.len().saturating_mul(2).saturating_add(HEAP_BLOCK))?;
        }
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

    pub(super) fn name(&self, bytes: &[u8]) -> Result<Box<str>> {
        std::str::from_utf8(bytes)
            .map(Into::into)
            .map_err(|_| self.malformed(format!("the name {} is not UTF-8", literal::shown(bytes))))
    }
}

/// Python 2 did not tell text from bytes: text if it is UTF-8.
fn python2_string(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => Value::Str(text.into()),
        Err(error) => Value::Bytes(error.into_bytes().into()),
    }
}
