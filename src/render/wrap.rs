//! Paragraphs for a terminal.

use std::io::{Result, Write};

/// Writes `text` in lines of at most `width` characters, each after `indent` blanks.
pub(super) fn paragraph(
    out: &mut dyn Write,
    text: &str,
    indent: usize,
    width: usize,
) -> Result<()> {
    let room = width.saturating_sub(indent).max(20);
    let mut line = String::new();
    for word in text.split(' ') {
        let longer = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && longer > room {
            writeln!(out, "{:indent$}{line}", "")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{:indent$}{line}", "")
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_stay_within_the_width() {
        let mut out = Vec::new();
        super::paragraph(&mut out, "aaaa bbbb cccc dddd eeee ffff", 2, 22).unwrap();
        assert_eq!(out, b"  aaaa bbbb cccc dddd\n  eeee ffff\n");
    }
}
