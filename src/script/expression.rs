//! Expressions of one line, by precedence.

use std::rc::Rc;

use super::ast::Expr;
use super::lexer::{Line, Token};
use crate::error::{Error, Result};

/// Expressions inside expressions.
const DEPTH: usize = 120;

/// Operators of two sides, weakest first, each with the function that does the same.
const LEVELS: [&[(&str, &str)]; 5] = [
    &[
        ("==", "eq"),
        ("!=", "ne"),
        ("<=", "le"),
        (">=", "ge"),
        ("<", "lt"),
        (">", "gt"),
        ("is", "__is__"),
        ("in", "__contains__"),
    ],
    &[("|", "__or__")],
    &[("+", "add"), ("-", "sub")],
    &[
        ("*", "mul"),
        ("//", "floordiv"),
        ("/", "div"),
        ("%", "remainder"),
        ("@", "matmul"),
    ],
    &[("**", "pow")],
];

/// What is left of a line.
pub(super) struct Words<'l> {
    line: &'l Line,
    at: usize,
    depth: usize,
}

impl<'l> Words<'l> {
    /// From the word number `at` on.
    pub(super) fn new(line: &'l Line, at: usize) -> Self {
        Self {
            line,
            at,
            depth: DEPTH,
        }
    }

    fn peek(&self) -> Option<&'l Token> {
        self.line.tokens.get(self.at)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.peek().is_none()
    }

    pub(super) fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(found)) if *found == sign)
    }

    /// Goes past the sign, if it is next.
    pub(super) fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at += usize::from(found);
        found
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if **name == *word);
        self.at += usize::from(found);
        found
    }

    /// Goes past a name, if one is next.
    pub(super) fn name(&mut self) -> Option<Rc<str>> {
        match self.peek() {
            Some(Token::Name(name)) => {
                self.at += 1;
                Some(name.clone())
            }
            _ => None,
        }
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<()> {
        match self.take(sign) {
            true => Ok(()),
            false => Err(self.wrong(&format!("expected {sign:?}"))),
        }
    }

    fn wrong(&self, what: &str) -> Error {
        let found = match self.peek() {
            Some(token) => format!("{token:?}"),
            None => "the end of the line".to_owned(),
        };
        Error::malformed(format!("line {}: {what}, found {found}", self.line.number))
    }

    /// One expression, or several with commas: a tuple.
    pub(super) fn expressions(&mut self) -> Result<Expr> {
        let first = self.expression()?;
        if !self.is(",") {
            return Ok(first);
        }
        let mut items = vec![first];
        while self.take(",") {
            if self.is_at_end() || self.is("=") || self.is(")") {
                break;
            }
            items.push(self.expression()?);
        }
        Ok(Expr::Tuple(items))
    }

    /// `a if condition else b`
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| self.wrong("expressions lie too deep in each other"))?;
        let value = self.either()?;
        let value = if self.take_word("if") {
            let condition = self.either()?;
            if !self.take_word("else") {
                return Err(self.wrong("expected `else`"));
            }
            Expr::Choice(Box::new((condition, value, self.expression()?)))
        } else {
            value
        };
        self.depth += 1;
        Ok(value)
    }

    fn either(&mut self) -> Result<Expr> {
        let mut left = self.both()?;
        while self.take_word("or") {
            left = Expr::Operator("or", vec![left, self.both()?]);
        }
        Ok(left)
    }

    fn both(&mut self) -> Result<Expr> {
        let mut left = self.negation()?;
        while self.take_word("and") {
            left = Expr::Operator("and", vec![left, self.negation()?]);
        }
        Ok(left)
    }

    fn negation(&mut self) -> Result<Expr> {
        let mut count = 0;
        while self.take_word("not") {
            count += 1;
        }
        let mut value = self.level(0)?;
        for _ in 0..count {
            value = Expr::Operator("__not__", vec![value]);
        }
        Ok(value)
    }

    fn operator(&mut self, level: usize) -> Option<&'static str> {
        let found = LEVELS[level].iter().find(|(sign, _)| match self.peek() {
            Some(Token::Sign(token)) => token == sign,
            Some(Token::Name(token)) => &**token == *sign,
            _ => false,
        })?;
        self.at += 1;
        if found.0 == "is" && self.take_word("not") {
            return Some("__isnot__");
        }
        Some(found.1)
    }

    fn level(&mut self, level: usize) -> Result<Expr> {
        if level == LEVELS.len() {
            return self.operand();
        }
        let mut left = self.level(level + 1)?;
        while let Some(function) = self.operator(level) {
            left = Expr::Operator(function, vec![left, self.level(level + 1)?]);
        }
        Ok(left)
    }

    /// A value with all that is called on it: `-a.b(c)[d]`.
    pub(super) fn operand(&mut self) -> Result<Expr> {
        self.depth = self
            .depth
            .checked_sub(1)
            .ok_or_else(|| self.wrong("expressions lie too deep in each other"))?;
        let value = if self.take("-") {
            match self.operand()? {
                Expr::Int(n) => Expr::Int(n.wrapping_neg()),
                Expr::Float(x) => Expr::Float(-x),
                other => Expr::Operator("neg", vec![other]),
            }
        } else {
            let mut value = self.atom()?;
            loop {
                value = if self.take(".") {
                    let name = self.name().ok_or_else(|| self.wrong("expected a name"))?;
                    Expr::Attribute(Box::new(value), name)
                } else if self.take("(") {
                    Expr::Call(Box::new(value), self.arguments()?)
                } else if self.take("[") {
                    let items = self.list("]")?;
                    let index = match items.len() {
                        1 => items.into_iter().next().unwrap_or(Expr::None),
                        _ => Expr::Tuple(items),
                    };
                    Expr::Item(Box::new(value), Box::new(index))
                } else {
                    break value;
                };
            }
        };
        self.depth += 1;
        Ok(value)
    }

    fn arguments(&mut self) -> Result<Vec<(Option<Rc<str>>, Expr)>> {
        let mut found = Vec::new();
        while !self.take(")") {
            let named = match (self.peek(), self.line.tokens.get(self.at + 1)) {
                (Some(Token::Name(name)), Some(Token::Sign("="))) => Some(name.clone()),
                _ => None,
            };
            if named.is_some() {
                self.at += 2;
            }
            found.push((named, self.expression()?));
            if !self.take(",") && !self.is(")") {
                return Err(self.wrong("expected a comma or `)`"));
            }
        }
        Ok(found)
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expr>> {
        let mut items = Vec::new();
        while !self.take(end) {
            items.push(self.expression()?);
            if !self.take(",") && !self.is(end) {
                return Err(self.wrong("expected a comma or the end of the list"));
            }
        }
        Ok(items)
    }

    fn atom(&mut self) -> Result<Expr> {
        let Some(token) = self.peek() else {
            return Err(self.wrong("expected a value"));
        };
        self.at += 1;
        Ok(match token {
            Token::Int(n) => Expr::Int(*n),
            Token::Float(x) => Expr::Float(*x),
            Token::Str(text) => Expr::Str(text.clone()),
            Token::Name(name) => match &**name {
                "None" => Expr::None,
                "True" => Expr::Bool(true),
                "False" => Expr::Bool(false),
                "inf" => Expr::Float(f64::INFINITY),
                "nan" => Expr::Float(f64::NAN),
                _ => Expr::Name(name.clone()),
            },
            Token::Sign("(") => {
                let mut items = Vec::new();
                let mut comma = false;
                while !self.take(")") {
                    items.push(self.expression()?);
                    comma = self.take(",");
                    if !comma && !self.is(")") {
                        return Err(self.wrong("expected a comma or `)`"));
                    }
                }
                match items.len() {
                    1 if !comma => items.into_iter().next().unwrap_or(Expr::None),
                    _ => Expr::Tuple(items),
                }
            }
            Token::Sign("[") => Expr::List(self.list("]")?),
            Token::Sign("{") => {
                let mut entries = Vec::new();
                while !self.take("}") {
                    let key = self.expression()?;
                    self.expect(":")?;
                    entries.push((key, self.expression()?));
                    if !self.take(",") && !self.is("}") {
                        return Err(self.wrong("expected a comma or `}`"));
                    }
                }
                Expr::Dict(entries)
            }
            // `Callable[..., int]`
            Token::Sign(".") if self.take(".") && self.take(".") => Expr::None,
            Token::Sign(_) => {
                self.at -= 1;
                return Err(self.wrong("expected a value"));
            }
        })
    }
}
