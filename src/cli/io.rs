//! The streams and how to write on them.

use std::io::{IsTerminal, Write};

use super::args::{Color, Global};
use crate::bytes::Limits;
use crate::error::{Error, ErrorKind};
use crate::render::Paint;
use crate::render::escape;
use crate::render::json;

/// Where a command writes, and how.
pub(super) struct Io<'a> {
    /// Data.
    pub(super) out: &'a mut dyn Write,
    /// Everything else.
    pub(super) err: &'a mut dyn Write,
    /// Colours of `out`.
    pub(super) paint: Paint,
    /// Whether `--json` was given.
    pub(super) json: bool,
    /// Width of the terminal; `None` where `out` is a pipe or a file.
    pub(super) width: Option<usize>,
    /// Limits against hostile files, with `--limit` applied.
    pub(super) limits: Limits,
    color: Color,
}

impl<'a> Io<'a> {
    /// Resolves `--color`, NO_COLOR and the terminal.
    pub(super) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, global: &Global) -> Self {
        let terminal = super::stdout_is_terminal();
        let mut limits = Limits::default();
        for (name, value) in &global.limit {
            limits.set(name, *value); // the names were checked
        }
        let width = || terminal_size::terminal_size().map_or(80, |(w, _)| usize::from(w.0));
        Self {
            out,
            err,
            paint: Paint::new(wanted(global.color, terminal)).with_ascii(global.ascii),
            json: global.json,
            width: terminal.then(width),
            limits,
            color: global.color,
        }
    }

    /// Whether messages on standard error are coloured.
    pub(super) fn paint_errors(&self) -> bool {
        wanted(self.color, std::io::stderr().is_terminal())
    }

    /// Prints one JSON document.
    pub(super) fn print_json(&mut self, document: &serde_json::Value) -> std::io::Result<()> {
        json::write(self.out, document)
    }

    /// `error: ...` and, where there is one, `hint: ...`; control characters of hostile names are escaped.
    pub(super) fn error(&mut self, error: &Error) {
        let paint = Paint::new(self.paint_errors());
        // there is nowhere left to report that stderr is closed
        let _ = writeln!(
            self.err,
            "{} {}",
            paint.bad("error:"),
            escape::text(&error.to_string())
        );
        let raise = (error.kind() == ErrorKind::Limit).then(|| raise(error.message()));
        let hint = error.hint().or(raise.as_deref());
        if let Some(hint) = hint.filter(|hint| !hint.is_empty()) {
            let _ = writeln!(self.err, "{} {}", paint.note("hint:"), escape::text(hint));
        }
    }

    /// A line for people on standard error, after `warning:`.
    pub(super) fn warn(&mut self, message: &str) {
        let paint = Paint::new(self.paint_errors());
        // a closed stderr must not stop the work
        let _ = writeln!(
            self.err,
            "{} {}",
            paint.warn("warning:"),
            escape::text(message)
        );
    }

    /// A line for people on standard error.
    pub(super) fn say(&mut self, message: &str) {
        let _ = writeln!(self.err, "{}", escape::text(message));
    }
}

/// Which flag raises the limit that the message names in brackets.
fn raise(message: &str) -> String {
    let table = Limits::default().table();
    let named = table
        .iter()
        .find(|(name, ..)| message.contains(&format!("({name})")));
    let name = named.map_or("NAME", |(name, ..)| name);
    format!("--limit {name}=VALUE raises that limit, for files that you trust")
}

fn wanted(color: Color, terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
        }
    }
}
