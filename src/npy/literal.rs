//! The Python literals of a `.npy` header: text, `True`, `False`, `None`, integers, tuples, lists and dicts of these.
//! numpy evaluates the header with `ast.literal_eval`; here there is nothing to evaluate with.

use crate::error::{Error, Result};

/// Levels of nesting.
const DEPTH: usize = 8;

/// A literal.
#[derive(Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Bool(bool),
    None,
    Int(u64),
    Sequence(Vec<Literal>),
    Dict(Vec<(String, Literal)>),
}

pub(super) struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    /// Offset of the text in the file, for errors.
    base: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8], base: usize) -> Self {
        Self { text, at: 0, base }
    }

    /// The only literal of the text.
    pub(super) fn whole(mut self) -> Result<Literal> {
        let literal = self.literal(DEPTH)?;
        self.skip_space();
        if self.at < self.text.len() {
            return Err(self.error("nothing more"));
        }
        Ok(literal)
    }

    fn literal(&mut self, depth: usize) -> Result<Literal> {
        if depth == 0 {
            return Err(self.error("fewer levels of brackets"));
        }
        self.skip_space();
        match self.text.get(self.at) {
            Some(b'\'' | b'"') => self.string().map(Literal::Text),
            Some(b'0'..=b'9') => self.integer(),
            Some(b'(') => self.sequence(b')', depth),
            Some(b'[') => self.sequence(b']', depth),
            Some(b'{') => self.dict(depth),
            _ if self.word(b"True") => Ok(Literal::Bool(true)),
            _ if self.word(b"False") => Ok(Literal::Bool(false)),
            _ if self.word(b"None") => Ok(Literal::None),
            _ => {
                Err(self.error("a literal: text, a number, True, False, a tuple, a list or a dict"))
            }
        }
    }

    fn sequence(&mut self, end: u8, depth: usize) -> Result<Literal> {
        self.at += 1;
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.literal(depth - 1)?);
            if !self.take(b',') && !self.next_is(end) {
                return Err(self.error("a comma or the closing bracket"));
            }
        }
        Ok(Literal::Sequence(items))
    }

    fn dict(&mut self, depth: usize) -> Result<Literal> {
        self.at += 1;
        let mut entries = Vec::new();
        while !self.take(b'}') {
            self.skip_space();
            let key = self.string()?;
            if !self.take(b':') {
                return Err(self.error("a colon"));
            }
            entries.push((key, self.literal(depth - 1)?));
            if !self.take(b',') && !self.next_is(b'}') {
                return Err(self.error("a comma or `}`"));
            }
        }
        Ok(Literal::Dict(entries))
    }

    /// Text without escapes, which no writer needs.
    fn string(&mut self) -> Result<String> {
        let Some(&quote @ (b'\'' | b'"')) = self.text.get(self.at) else {
            return Err(self.error("text in quotes"));
        };
        let rest = &self.text[self.at + 1..];
        let end = rest.iter().position(|&b| b == quote || b == b'\\');
        let Some(end) = end.filter(|&end| rest[end] == quote) else {
            return Err(self.error("text in quotes, without escapes"));
        };
        self.at += end + 2;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    /// Python 2 wrote an `L` after a long.
    fn integer(&mut self) -> Result<Literal> {
        let rest = &self.text[self.at..];
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let text = String::from_utf8_lossy(&rest[..digits]);
        let number = text
            .parse()
            .map_err(|_| self.error("a number below 2^64"))?;
        self.at += digits + usize::from(rest.get(digits) == Some(&b'L'));
        Ok(Literal::Int(number))
    }

    fn word(&mut self, word: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
    }

    fn next_is(&mut self, byte: u8) -> bool {
        self.skip_space();
        self.text.get(self.at) == Some(&byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.next_is(byte);
        self.at += usize::from(found);
        found
    }

    fn error(&self, expected: &str) -> Error {
        Error::malformed(format!("the .npy header: expected {expected}"))
            .at_offset((self.base + self.at) as u64)
    }
}
