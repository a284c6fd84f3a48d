//! `pthinspect ls`

use std::mem::ManuallyDrop;

use std::path::PathBuf;

use super::exit::{Exit, Outcome};
use super::io::Io;
use super::names::Names;
use crate::explain::Listing;
use crate::render;

/// Arguments of `ls`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect ls model.pth\n  \
    $ pthinspect ls model.pth 'layer1.*' '*.bias'\n  \
    $ pthinspect ls model.pth --json --sha256\n  \
    $ pthinspect ls model.pth | sort -k4,4n | tail      (the largest tensors)\n\n\
    On a terminal, long names are shortened; into a pipe, every tensor is one line of whole words.")]
pub struct Args {
    /// Checkpoint
    file: Option<PathBuf>,
    /// Only these tensors: names, layers, or globs such as 'layer1.*'
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Add the SHA-256 of each tensor's elements (C order, little-endian)
    #[arg(long)]
    sha256: bool,
}

/// Lists the tensors.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let names = Names::new(&args.names)?;
    // the process ends with it: to free its parts one by one takes a tenth of the time of a listing
    let checkpoint = ManuallyDrop::new(super::file::open_whole(io, args.file.as_deref())?);
    let chosen = names.choose(&checkpoint)?;
    let mut listing = ManuallyDrop::new(Listing::of(&checkpoint, &chosen));
    if args.sha256 {
        listing.add_digests(&checkpoint, &chosen, &io.limits)?;
    }
    if io.json {
        io.print_json(&render::ls::json(&listing))?;
        return Ok(Exit::Ok);
    }
    render::ls::text(io.out, &listing, io.paint, io.width)?;
    let footer = render::ls::footer(&listing);
    if io.width.is_some() {
        render::ls::legend(io.out, &listing, io.paint)?;
        writeln!(io.out, "{}", io.paint.dim(footer))?;
    } else {
        // into a pipe go the tensors and nothing else
        io.out.flush()?;
        io.say(&footer);
    }
    Ok(Exit::Ok)
}
