//! `pthinspect layer`

use std::path::{Path, PathBuf};

use super::exit::{Exit, Outcome};
use super::io::Io;
use super::values::{ConvolutionFlags, Sizes};
use crate::error::{Error, Result};
use crate::explain::Layer;
use crate::explain::LayerOptions;
use crate::render;

/// Arguments of `layer`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect layer conv1 model.pth\n  \
    $ pthinspect layer conv1 model.pth --filter 7 --channel 0\n  \
    $ pthinspect layer conv1 model.pth --at 7,2,4,1\n  \
    $ pthinspect layer conv1 model.pth --flat 596 --json\n  \
    $ pthinspect layer conv1 model.pth --input 1,3,32,32 --padding 2")]
pub struct Args {
    /// Layer (conv1, layer1.0.conv2) or tensor (conv1.weight); a unique suffix is enough
    name: String,
    /// Checkpoint
    file: Option<PathBuf>,
    /// Print the values of filter (row, vector, output channel) O
    #[arg(long, value_name = "O")]
    filter: Option<usize>,
    /// Print the values of input channel I only
    #[arg(long, value_name = "I")]
    channel: Option<usize>,
    /// Where is the weight at this index? (o,i,y,x)
    #[arg(long, value_name = "INDEX", conflicts_with = "flat")]
    at: Option<Sizes>,
    /// Which weight is at this flat position?
    #[arg(long, value_name = "N")]
    flat: Option<usize>,
    /// Output shape for an input of this shape
    #[arg(long, value_name = "N,C,H,W")]
    input: Option<Sizes>,
    /// Groups; a state dict does not store them
    #[arg(long, value_name = "G", conflicts_with = "in_channels")]
    groups: Option<usize>,
    /// Input channels of the layer; the groups follow
    #[arg(long, value_name = "C")]
    in_channels: Option<usize>,
    /// The weight is a transposed convolution's
    #[arg(long)]
    transposed: bool,
    #[command(flatten)]
    convolution: ConvolutionFlags,
    /// Output padding of a transposed convolution
    #[arg(long, value_name = "P")]
    output_padding: Option<Sizes>,
}

/// Explains the layer.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    check_order(&args.name, args.file.as_deref())?;
    let checkpoint = super::file::open(io, args.file.as_deref())?;
    let layer = Layer::of(&checkpoint, &args.name, &options(args))
        .map_err(|error| error.in_file(checkpoint.path()))?;
    if io.json {
        io.print_json(&render::layer::json(&layer))?;
    } else {
        render::layer::text(io.out, &layer, io.paint)?;
    }
    Ok(Exit::Ok)
}

fn options(args: &Args) -> LayerOptions {
    let sizes = |sizes: &Option<Sizes>| sizes.as_ref().map(|Sizes(values)| values.clone());
    LayerOptions {
        groups: args.groups,
        in_channels: args.in_channels,
        transposed: args.transposed,
        output_padding: sizes(&args.output_padding),
        input: sizes(&args.input),
        filter: args.filter,
        channel: args.channel,
        at: sizes(&args.at),
        flat: args.flat,
        ..args.convolution.options()
    }
}

/// NAME comes before FILE; whoever writes them the other way round, or forgets NAME, should be told so.
pub(super) fn check_order(name: &str, file: Option<&Path>) -> Result<()> {
    if !Path::new(name).is_file() {
        return Ok(());
    }
    match file {
        None => Err(
            Error::usage(format!("{name} is a file: which layer of it?")).with_hint(format!(
                "`pthinspect ls {name}` lists the names; NAME comes before FILE"
            )),
        ),
        Some(file) if !file.exists() => Err(Error::usage(format!(
            "{name} is a file, {} is not",
            file.display()
        ))
        .with_hint(format!("NAME comes before FILE: {} {name}", file.display()))),
        Some(_) => Ok(()),
    }
}
