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
mod recover;
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
use crate::render::escape;

/// Runs the program on the process's own arguments, streams and environment.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut err = std::io::stderr().lock();
    let mut io = Io::new(&mut out, &mut err, &cli.global);
    let outcome = cli.command.run(&mut io).and_then(|exit| {
        io.out.flush()?;
        Ok(exit)
    });
    let exit = match outcome {
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
    };
    exit.into()
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
    // there is nowhere left to report that stderr is closed
    let _ = writeln!(
        std::io::stderr(),
        "error: {}",
        escape::text(&message.join(" "))
    );
    let _ = writeln!(std::io::stderr(), "hint: {}", escape::text(&hint));
    Exit::Failed.into()
}

/// Whether standard output is a terminal.
fn stdout_is_terminal() -> bool {
    std::io::stdout().is_terminal()
}
