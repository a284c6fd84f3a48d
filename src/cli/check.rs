//! `pthinspect check`

use std::path::PathBuf;

use super::exit::{Exit, Outcome};
use super::io::Io;
use crate::check;
use crate::render;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect check model.pth\n  \
    $ pthinspect check model.pth --map\n  \
    $ pthinspect check model.safetensors.index.json --json\n\n\
    Reads the whole file. Exit code 0: whole. 1: damaged, cut off, contradictory, or storages are missing; the report \
    says which tensors that costs. What is merely odd (surplus storages, storages that are not aligned) is a note.")]
pub struct Args {
    /// Checkpoint, the index of a sharded one, or its folder
    file: Option<PathBuf>,
    /// Every byte of the file and its owner
    #[arg(long)]
    map: bool,
}

/// Checks the file.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let path = super::file::resolve(io, args.file.as_deref())?;
    let report = check::check(&path, &io.limits, args.map)?;
    if io.json {
        io.print_json(&render::check::json(&report))?;
    } else {
        render::check::text(io.out, &report, io.paint)?;
    }
    Ok(if report.is_whole() {
        Exit::Ok
    } else {
        Exit::No
    })
}
