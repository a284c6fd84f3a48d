//! The program: raw arguments -> resolved arguments -> one library call -> rendered report -> exit code.
//!
//! The only place that opens paths, looks at the terminal and picks exit codes. A new command is one file here with
//! `Args` and `run`, and one variant in [`args::Command`]; the tests walk the list of commands.

pub mod args;
mod array;
mod check;
pub mod exit;
mod export;
mod file;
mod io;
mod layer;
mod ls;
mod names;
mod orders;
mod picture;
mod plot;
mod recover;
mod report;
mod run;
mod scan;
mod shapes;
mod tree;
mod values;
mod verify;

use std::io::{BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;

use self::args::Cli;
use self::exit::{Exit, Failure};
use self::io::Io;
use crate::error::Error;
use crate::render::ascii::Ascii;
use crate::render::ascii::Escapes;
use crate::render::escape;

/// Runs the program on the process's own arguments, streams and environment.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    // not locked: a thread that fails could not say so, and would wait for ever
    let mut err = std::io::stderr();
    if !cli.global.ascii {
        return run(&cli, &mut out, &mut err).into();
    }
    let escapes = match cli.global.json {
        true => Escapes::Json,
        false => Escapes::Text,
    };
    let mut out = Ascii::new(out, escapes);
    let mut err = Ascii::new(err, Escapes::Text);
    run(&cli, &mut out, &mut err).into()
}

/// Runs the command and reports how it went.
fn run(cli: &Cli, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let mut io = Io::new(out, err, &cli.global);
    let outcome = cli.command.run(&mut io).and_then(|exit| {
        io.out.flush()?;
        Ok(exit)
    });
    match outcome {
        Ok(exit) => exit,
        Err(Failure::Output(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(Failure::Output(e)) => {
            io.error(&Error::new(
                crate::error::ErrorKind::Io,
                format!("standard output cannot be written: {e}"),
            ));
            Exit::Failed
        }
        Err(Failure::Error(e)) => {
            // what was found before the failure is still wanted; a closed pipe here changes nothing
            let _ = io.out.flush();
            io.error(&e);
            Exit::Failed
        }
    }
}

/// clap's own messages: help and version on stdout (0), everything else on stderr (2), in the program's own form: one
/// line `error: ...`, and a hint.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // a closed pipe while printing help is no failure
        let _ = error.print();
        return Exit::Ok.into();
    }
    let text = error.to_string();
    let mut message = Vec::new();
    let mut hint = "see `pthinspect --help`".to_owned();
    for line in text.lines().map(str::trim) {
        if let Some(tip) = line.strip_prefix("tip: ") {
            hint = tip.to_owned();
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            hint = format!("usage: {usage}");
        } else if !line.is_empty() && !line.starts_with("For more information") {
            message.push(line.strip_prefix("error: ").unwrap_or(line));
        }
    }
    let message = message.join(" ");
    let (message, hint) = (escape::text(&message), escape::text(&hint));
    let text = format!("error: {message}\nhint: {hint}\n");
    let stderr = std::io::stderr();
    // there is nowhere left to report that stderr is closed
    let _ = match std::env::args_os().any(|argument| argument == "--ascii") {
        true => Ascii::new(stderr, Escapes::Text).write_all(text.as_bytes()),
        false => (&stderr).write_all(text.as_bytes()),
    };
    Exit::Failed.into()
}

/// Whether standard output is a terminal.
fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
