//! `pthinspect ls`

use std::path::PathBuf;

use super::exit::{Exit, Outcome};
use super::io::Io;

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect ls model.pth\n  \
    $ pthinspect ls model.pth 'layer1.*' '*.bias'\n  \
    $ pthinspect ls model.pth --json --sha256")]
pub struct Args {
    /// Checkpoint
    file: Option<PathBuf>,
}

/// Lists the tensors.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let checkpoint = super::file::open(io, args.file.as_deref())?;
    writeln!(io.out, "{}", checkpoint.tensors().len())?;
    Ok(Exit::Ok)
}
