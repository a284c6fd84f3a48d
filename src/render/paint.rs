//! Colours by meaning, or none.

use std::fmt;

use anstyle::{AnsiColor, Style};

/// The palette; prints plain text when colour is off.
#[derive(Clone, Copy, Debug)]
pub struct Paint {
    colour: bool,
    ascii: bool,
}

/// A value with its style; padding applies to the value, not to the escape codes.
#[derive(Clone, Copy, Debug)]
pub struct Painted<T> {
    style: Style,
    value: T,
}

impl Paint {
    /// With colours, or without.
    pub fn new(colour: bool) -> Self {
        Self {
            colour,
            ascii: false,
        }
    }

    /// The same, for a reader who has nothing but ASCII.
    #[must_use]
    pub fn with_ascii(self, ascii: bool) -> Self {
        Self { ascii, ..self }
    }

    /// Whether to draw with ASCII alone (`--ascii`). Lines and blocks are translated on the way out, one character for
    /// one ([`super::ascii`]); only what has to be drawn quite differently needs to ask.
    pub fn is_ascii(self) -> bool {
        self.ascii
    }

    /// Whether colours are on.
    pub fn is_on(self) -> bool {
        self.colour
    }

    fn with<T>(self, style: Style, value: T) -> Painted<T> {
        Painted {
            style: if self.colour { style } else { Style::new() },
            value,
        }
    }

    /// A heading.
    pub fn title<T>(self, value: T) -> Painted<T> {
        self.with(Style::new().bold(), value)
    }

    /// A tensor's, layer's or order's name.
    pub fn name<T>(self, value: T) -> Painted<T> {
        self.with(AnsiColor::Cyan.on_default(), value)
    }

    /// What the eye should find first.
    pub fn key<T>(self, value: T) -> Painted<T> {
        self.with(AnsiColor::Yellow.on_default(), value)
    }

    /// What may be overlooked: labels, rulers, units.
    pub fn dim<T>(self, value: T) -> Painted<T> {
        self.with(AnsiColor::BrightBlack.on_default(), value)
    }

    /// A value below zero, in grids.
    pub fn negative<T>(self, value: T) -> Painted<T> {
        self.with(AnsiColor::Magenta.on_default(), value)
    }

    /// All is well.
    pub fn good<T>(self, value: T) -> Painted<T> {
        self.with(AnsiColor::Green.on_default(), value)
    }

    /// Look here: not wrong, but not what one expects.
    pub fn warn<T>(self, value: T) -> Painted<T> {
        self.with(AnsiColor::Yellow.on_default().bold(), value)
    }

    /// Wrong.
    pub fn bad<T>(self, value: T) -> Painted<T> {
        self.with(AnsiColor::Red.on_default().bold(), value)
    }

    /// A word of advice.
    pub fn note<T>(self, value: T) -> Painted<T> {
        self.with(AnsiColor::Blue.on_default().bold(), value)
    }
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.style.render())?;
        self.value.fmt(f)?;
        write!(f, "{}", self.style.render_reset())
    }
}

#[cfg(test)]
mod tests {
    use super::Paint;

    #[test]
    fn padding_counts_the_text_alone() {
        assert_eq!(format!("{:<4}|", Paint::new(false).name("ab")), "ab  |");
        assert_eq!(
            format!("{:<4}|", Paint::new(true).name("ab")),
            "\u{1b}[36mab  \u{1b}[0m|"
        );
    }
}
