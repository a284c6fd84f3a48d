//! Paragraphs for a terminal.

use std::io::{Result, Write};

/// Writes `text` in lines of at most `width` characters, each after `indent` blanks.
pub(super) fn paragraph(
    out: &mut dyn Write,
    text: &str,
    indent: usize,
    width: usize,
) -> Result<()> {
    for line in lines(text, width.saturating_sub(indent)) {
        writeln!(out, "{:indent$}{line}", "")?;
    }
    Ok(())
}

/// `text` cut at blanks into lines of at most `width` characters.
pub(super) fn lines(text: &str, width: usize) -> Vec<String> {
    let width = width.max(20);
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, |line| line.chars().count());
        match lines.last_mut() {
            Some(last) if line == 0 => last.push_str(word),
            Some(last) if line + 1 + word.chars().count() <= width => {
                last.push(' ');
                last.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The same however narrow the lines are, and with the blanks that `text` begins with.
pub(super) fn narrow(text: &str, width: usize) -> Vec<String> {
    items(text.split(' '), " ", width)
}

/// Items in lines of at most `width` characters, `gap` between them; no item is broken.
pub(super) fn items<'t>(
    items: impl IntoIterator<Item = &'t str>,
    gap: &str,
    width: usize,
) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for item in items {
        match lines.last_mut() {
            Some(last) if last.chars().count() + gap.len() + item.chars().count() <= width => {
                last.push_str(gap);
                last.push_str(item);
            }
            _ => lines.push(item.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    #[test]
    fn items_stay_whole() {
        let items = ["--at 0,0", "--hex", "--figures"];
        assert_eq!(
            super::items(items, "  ", 15),
            ["--at 0,0  --hex", "--figures"]
        );
    }

    #[test]
    fn lines_stay_within_the_width() {
        let mut out = Vec::new();
        super::paragraph(&mut out, "aaaa bbbb cccc dddd eeee ffff", 2, 22).unwrap();
        assert_eq!(out, b"  aaaa bbbb cccc dddd\n  eeee ffff\n");
    }
}
