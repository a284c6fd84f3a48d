//! `pthinspect recover`

use std::path::PathBuf;

use super::exit::{Exit, Outcome};
use super::io::Io;
use crate::recover;
use crate::render;

/// Arguments of `recover`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect recover broken.pth --output saved.safetensors\n  \
    $ pthinspect recover half-a-download.pth -o saved.safetensors --json\n  \
    $ pthinspect recover half-of-the-shards/ -o saved.safetensors\n  \
    $ pthinspect recover without-its-pickle.pt -o saved.safetensors --raw\n\n\
    Saves every tensor whose bytes are wholly there and whose checksum is right, whatever the format: of a zip without \
    its directory, of a file that ends too early, of a folder of which files are missing. Exit code 0: all of them were saved. 1: some are lost, or \
    the file is damaged; what could be saved is in OUT. 2: not even the names of the tensors are left.")]
pub struct Args {
    /// Damaged checkpoint
    file: Option<PathBuf>,
    /// Safetensors file to write
    #[arg(long, short, value_name = "OUT")]
    output: PathBuf,
    /// Save records of a zip too that nobody has a name for, as bytes under the records' names
    #[arg(long)]
    raw: bool,
}

/// Saves what is left.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let path = super::file::resolve(io, args.file.as_deref())?;
    let options = recover::Options { raw: args.raw };
    let recovery = recover::recover(&path, &args.output, options, &io.limits)?;
    if io.json {
        io.print_json(&render::recover::json(&recovery))?;
    } else {
        render::recover::text(io.out, &recovery, io.paint)?;
    }
    Ok(if recovery.lost.is_empty() && recovery.damage.is_empty() {
        Exit::Ok
    } else {
        Exit::No
    })
}
