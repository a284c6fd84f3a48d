//! `pthinspect orders`

use super::exit::Exit;
use super::exit::Outcome;
use super::io::Io;
use crate::render::orders as render;

/// Arguments of `orders`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect orders\n  \
    $ pthinspect orders --json")]
pub struct Args {}

/// Lists the accumulation orders.
pub(super) fn run(_: &Args, io: &mut Io<'_>) -> Outcome {
    if io.json {
        io.print_json(&render::json())?;
    } else {
        render::text(io.out, io.paint, io.width.unwrap_or(80))?;
    }
    Ok(Exit::Ok)
}
