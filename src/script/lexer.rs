//! Lines of words and signs. A bracket that is open goes on to the next line.

use std::rc::Rc;

use crate::error::{Error, Result};

/// A word or sign.
#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// A name or keyword.
    Name(Rc<str>),
    /// A whole number.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// Text, its escapes resolved.
    Str(Rc<str>),
    /// One of `( ) [ ] { } , : . = + - * / // % ** == != < > <= >= ->`.
    Sign(&'static str),
}

/// A logical line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Blanks before it.
    pub indent: usize,
    /// Its number in the file, from 1.
    pub number: u32,
    /// What is on it; never empty.
    pub tokens: Vec<Token>,
}

/// Longest first, so that `//` is not two `/`.
const SIGNS: [&str; 26] = [
    "**", "//", "==", "!=", "<=", ">=", "->", "(", ")", "[", "]", "{", "}", ",", ":", ".", "=",
    "+", "-", "*", "/", "%", "<", ">", "@", "|",
];

/// Cuts `text` into lines.
///
/// # Errors
///
/// `Malformed` for a character that the language does not have, and for a text or a bracket without an end.
pub fn lines(text: &str) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open = 0usize; // brackets
    for (number, raw) in text.lines().enumerate() {
        let number = u32::try_from(number + 1).unwrap_or(u32::MAX);
        let continues = open > 0;
        let tokens = tokens(raw, &mut open)
            .map_err(|what| Error::malformed(format!("line {number}: {what}")))?;
        match lines.last_mut() {
            Some(line) if continues => line.tokens.extend(tokens),
            _ if tokens.is_empty() => {}
            _ => lines.push(Line {
                indent: raw.len() - raw.trim_start_matches(' ').len(),
                number,
                tokens,
            }),
        }
    }
    match lines.last() {
        Some(line) if open > 0 => Err(Error::malformed(format!(
            "line {}: a bracket is never closed",
            line.number
        ))),
        _ => Ok(lines),
    }
}

/// The words and signs of one line; `open` counts the brackets that are.
fn tokens(line: &str, open: &mut usize) -> Result<Vec<Token>, String> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        if first == '#' {
            break;
        }
        let (token, after) = if first == '"' || first == '\'' {
            text(rest, first)?
        } else if first.is_ascii_digit()
            || (first == '.' && rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            number(rest)?
        } else if first.is_alphabetic() || first == '_' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            (Token::Name(rest[..end].into()), &rest[end..])
        } else {
            let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
            let sign = *sign.ok_or_else(|| format!("{first:?} is no sign of the language"))?;
            match sign {
                "(" | "[" | "{" => *open += 1,
                ")" | "]" | "}" => {
                    *open = open
                        .checked_sub(1)
                        .ok_or("a bracket closes that was not open")?;
                }
                _ => {}
            }
            (Token::Sign(sign), &rest[sign.len()..])
        };
        found.push(token);
        rest = after.trim_start();
    }
    Ok(found)
}

fn number(rest: &str) -> Result<(Token, &str), String> {
    let mut end = 0;
    let mut float = false;
    let bytes = rest.as_bytes();
    while let Some(&byte) = bytes.get(end) {
        match byte {
            b'0'..=b'9' => {}
            b'.' => float = true,
            b'e' | b'E' => {
                float = true;
                if matches!(bytes.get(end + 1), Some(b'+' | b'-')) {
                    end += 1;
                }
            }
            _ => break,
        }
        end += 1;
    }
    let (digits, after) = rest.split_at(end);
    let after = after.strip_prefix('j').unwrap_or(after); // the imaginary part of a complex number
    let token = match digits.parse() {
        Ok(n) if !float => Token::Int(n),
        _ => Token::Float(
            digits
                .parse()
                .map_err(|_| format!("{digits:?} is no number"))?,
        ),
    };
    Ok((token, after))
}

/// Text in quotes, as torch's printer escapes it.
fn text(rest: &str, quote: char) -> Result<(Token, &str), String> {
    let mut out = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok((Token::Str(out.into()), &rest[at + 1..]));
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next().map(|(_, c)| c) {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            // a byte in octal; what it says is not looked at
            Some('0'..='9') => out.push('?'),
            Some(c) => out.push(c),
            None => break,
        }
    }
    Err("a text has no end".to_owned())
}
