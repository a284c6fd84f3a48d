//! `pthinspect tree`

use std::path::PathBuf;

use super::exit::{Exit, Outcome};
use super::io::Io;
use crate::render;
use crate::render::tree::TreeOptions;

/// Arguments of `tree`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect tree checkpoint.pth\n  \
    $ pthinspect tree checkpoint.pth --depth 2\n  \
    $ pthinspect tree checkpoint.pth --json")]
pub struct Args {
    /// Checkpoint
    file: Option<PathBuf>,
    /// Show this many levels
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// Elide nothing: every item of long lists, every attribute of modules
    #[arg(long)]
    all: bool,
}

/// Draws the tree.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let checkpoint = super::file::open_whole(io, args.file.as_deref())?;
    if io.json {
        render::tree::json(io.out, &checkpoint)?;
    } else {
        let options = TreeOptions {
            depth: args.depth,
            all: args.all,
        };
        render::tree::text(io.out, &checkpoint, options, io.paint)?;
    }
    Ok(Exit::Ok)
}
