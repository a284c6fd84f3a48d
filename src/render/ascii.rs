//! `--ascii`: everything that is printed, in the 128 characters that every terminal, log and printer has.
//!
//! A writer in front of the real one. Lines and blocks become the ASCII characters that people have drawn with for
//! fifty years, one for one, so that columns stay where they are; letters of names become the escapes under which
//! `escape::text` shows what a terminal must not see, in JSON those of JSON. What would be drawn quite differently
//! asks [`super::Paint::is_ascii`].

use std::io::{Result, Write};

/// What a character is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// `\u{f6}`
    Text,
    /// `\u00f6`, in pairs beyond the first 65,536 characters
    Json,
}

/// Passes on ASCII and translates the rest.
#[derive(Debug)]
pub struct Ascii<W> {
    inner: W,
    escapes: Escapes,
    /// Bytes of a character that is not complete yet.
    pending: Vec<u8>,
    /// The byte before.
    last: u8,
}

impl<W: Write> Ascii<W> {
    /// In front of `inner`.
    pub fn new(inner: W, escapes: Escapes) -> Self {
        Self {
            inner,
            escapes,
            pending: Vec::new(),
            last: b'\n',
        }
    }

    fn put(&mut self, text: &str) -> Result<()> {
        let mut rest = text;
        while let Some(at) = rest.find(|c: char| !c.is_ascii()) {
            let (plain, tail) = rest.split_at(at);
            self.plain(plain)?;
            let Some(c) = tail.chars().next() else { break };
            let text = match self.escapes {
                Escapes::Json => json(c),
                Escapes::Text => self.translated(c),
            };
            self.plain(&text)?;
            rest = &tail[c.len_utf8()..];
        }
        self.plain(rest)
    }

    fn plain(&mut self, text: &str) -> Result<()> {
        if let Some(last) = text.bytes().last() {
            self.last = last;
        }
        self.inner.write_all(text.as_bytes())
    }

    fn translated(&self, c: char) -> String {
        match c {
            // what is left out: three dots where they stand for themselves, one sign inside of a word
            '…' if self.last.is_ascii_whitespace() => "...".to_owned(),
            _ => drawn(c).map_or_else(|| format!("\\u{{{:x}}}", u32::from(c)), str::to_owned),
        }
    }
}

impl<W: Write> Write for Ascii<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let joined;
        let all = if self.pending.is_empty() {
            bytes
        } else {
            joined = [std::mem::take(&mut self.pending), bytes.to_vec()].concat();
            &joined
        };
        for chunk in all.utf8_chunks() {
            self.put(chunk.valid())?;
            let is_last = all.as_ptr_range().end == chunk.invalid().as_ptr_range().end;
            if is_last && is_start(chunk.invalid()) {
                self.pending = chunk.invalid().to_vec();
            } else {
                for byte in chunk.invalid() {
                    self.plain(&format!("\\x{byte:02x}"))?;
                }
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        self.inner.flush()
    }
}

/// Whether `bytes` may be the start of a character whose rest is still to come.
fn is_start(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|e| e.error_len().is_none())
}

fn json(c: char) -> String {
    let mut units = [0; 2];
    let units = c.encode_utf16(&mut units).iter();
    units.map(|unit| format!("\\u{unit:04x}")).collect()
}

/// The ASCII for what this program draws with, one character for one wherever columns matter.
fn drawn(c: char) -> Option<&'static str> {
    Some(match c {
        '─' | '━' | '═' | '╌' | '┄' | '–' | '—' | '−' => "-",
        '│' | '┃' | '║' | '┆' | '┊' | '╎' => "|",
        '└' | '╰' => "`",
        '┌' | '┐' | '┘' | '├' | '┤' | '┬' | '┴' | '┼' | '╭' | '╮' | '╯' | '╔' | '╗' | '╚' | '╝'
        | '╠' | '╣' | '╦' | '╩' | '╬' => "+",
        '█' | '■' | '▇' | '▉' => "#",
        '▓' | '▊' | '▆' => "%",
        '▒' | '▌' | '▐' | '▄' | '▅' | '▀' => "=",
        '░' | '▁' | '▂' | '▎' | '▏' | '□' => ".",
        '▃' | '▍' | '▋' => ":",
        '·' | '∙' => ".",
        '…' => "~",
        '→' | '►' | '▶' | '▸' | '›' => ">",
        '←' | '◄' | '◀' | '◂' | '‹' => "<",
        '↑' | '▲' | '▴' => "^",
        '↓' | '▼' | '▾' => "v",
        '×' | '✗' | '✘' => "x",
        '•' | '●' | '◆' => "*",
        '○' | '◇' => "o",
        '✓' | '✔' => "+",
        '≠' => "!",
        '≈' => "~",
        '≤' => "<=",
        '≥' => ">=",
        '±' => "+-",
        '∞' => "inf",
        '√' => "sqrt",
        'µ' | 'μ' => "u",
        'σ' => "s",
        '²' => "^2",
        '³' => "^3",
        '°' => " deg",
        '‘' | '’' => "'",
        '“' | '”' => "\"",
        '\u{a0}' => " ",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::{Ascii, Escapes};

    fn through(text: &[u8], escapes: Escapes, step: usize) -> String {
        let mut out = Vec::new();
        let mut ascii = Ascii::new(&mut out, escapes);
        for piece in text.chunks(step) {
            ascii.write_all(piece).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn drawings_keep_their_columns_however_they_are_written() {
        let text = "├── größe: [3] │ a…z\n… 3 more \u{1f600}";
        for step in 1..9 {
            let found = through(text.as_bytes(), Escapes::Text, step);
            assert_eq!(
                found,
                "+-- gr\\u{f6}\\u{df}e: [3] | a~z\n... 3 more \\u{1f600}"
            );
        }
    }

    #[test]
    fn json_stays_the_same_document() {
        let document = serde_json::json!({"größe…": "重み \u{1f600}"});
        for step in 1..5 {
            let text = through(document.to_string().as_bytes(), Escapes::Json, step);
            assert!(text.is_ascii());
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read, document);
        }
    }

    #[test]
    fn what_is_no_text_does_not_stop_it() {
        assert_eq!(through(b"a\xff\xfeb\xc3", Escapes::Text, 1), "a\\xff\\xfeb");
        assert_eq!(through(b"a\xff\xfeb\xc3", Escapes::Text, 9), "a\\xff\\xfeb");
    }
}
