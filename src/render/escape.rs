//! Text out of files, made safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write;

/// `text` with everything escaped that a terminal would act on or that would hide or reorder what follows: control
/// characters, bidirectional overrides, line separators, zero-width characters.
pub fn text(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_unsafe(c) && c <= '\u{ff}' => {
                // writing to a String cannot fail
                let _ = write!(out, "\\x{:02x}", u32::from(c));
            }
            c if is_unsafe(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Whether a terminal might act on `c`, or a reader might not see it.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// `text` cut to `width` characters, what is missing in the middle shown by one `…`; both ends stay readable.
pub fn shorten(text: &str, width: usize) -> Cow<'_, str> {
    let count = text.chars().count();
    if count <= width {
        return Cow::Borrowed(text);
    }
    let kept = width.saturating_sub(1);
    let head = kept / 2;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(count - (kept - head)).collect();
    Cow::Owned(format!("{start}…{end}"))
}

#[cfg(test)]
mod tests {
    use super::{shorten, text};

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(
            text("a\x1b[31mb\n\u{202e}\u{9b}"),
            "a\\x1b[31mb\\n\\u{202e}\\x9b"
        );
        assert_eq!(text("größe.重み"), "größe.重み");
    }

    #[test]
    fn shortening_keeps_both_ends() {
        assert_eq!(shorten("layer1.0.conv1.weight", 11), "layer…eight");
        assert_eq!(shorten("abc", 3), "abc");
        assert_eq!(shorten("abc", 1), "…");
        assert_eq!(shorten("abc", 0), "…");
    }
}
