//! `pthinspect layer`

use std::path::{Path, PathBuf};

use clap::ValueEnum;

use super::exit::{Exit, Outcome};
use super::io::Io;
use super::values::{ConvolutionFlags, Sizes};
use crate::error::{Error, Result};
use crate::explain::Layer;
use crate::explain::LayerOptions;
use crate::explain::Sort;
use crate::explain::Wanted;
use crate::render;
use crate::tensor::Tag;

/// Arguments of `layer`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect layer conv1 model.pth\n  \
    $ pthinspect layer conv1 model.pth --filter 7 --channel 0\n  \
    $ pthinspect layer conv1 model.pth --at 7,2,4,1\n  \
    $ pthinspect layer conv1 model.pth --flat 596 --json\n  \
    $ pthinspect layer conv1 model.pth --input 1,3,32,32 --padding 2\n  \
    $ pthinspect layer conv1 model.pth --input 1,3,32,32 --padding 2 --output-at 0,5\n  \
    $ pthinspect layer conv1 model.pth --input 1,3,32,32 --im2col\n  \
    $ pthinspect layer conv1 model.pth --arguments\n  \
    $ pthinspect layer conv1 model.pth --memory\n  \
    $ pthinspect layer conv1 model.pth --as OIhw8i8o --at 7,2,4,1\n  \
    $ pthinspect layer conv1 model.pth --hex --filter 7 --channel 0\n  \
    $ pthinspect layer conv1 model.pth --figures --sort norm\n\n\
    With --memory, --arguments, --im2col, --as, --hex, --figures or --output-at, these sections stand in the place of \
    the page. Layouts: the letters O, I, H, W (D for depth, G for groups) from slowest to fastest, then blocks, as in \
    OHWI, HWIO, OIhw8i8o, gOIhw8i8o, Goihw8g; or counted axes, as in acdb, ABcd8b8a; N, C, H, W lay out the input.")]
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
    /// What this output pixel reads, drawn; needs --input
    #[arg(long, value_name = "Y,X", requires = "input")]
    output_at: Option<Sizes>,
    /// What each argument of the convolution does, with pictures
    #[arg(long)]
    arguments: bool,
    /// How the weight lies in memory: which weights are neighbours
    #[arg(long)]
    memory: bool,
    /// The convolution as a product of matrices; needs --input
    #[arg(long, requires = "input")]
    im2col: bool,
    /// Where each weight goes in another layout (OHWI, HWIO, OIhw8i8o, ...)
    #[arg(long = "as", value_name = "LAYOUT")]
    layout: Option<Tag>,
    /// The bytes in the file beside the values, of filter 0 or of --filter and --channel
    #[arg(long)]
    hex: bool,
    /// Norm, mean, spread, zeros of every filter; dead and equal ones
    #[arg(long)]
    figures: bool,
    /// Sort the figures by one of them
    #[arg(long, value_enum, value_name = "FIGURE", requires = "figures")]
    sort: Option<SortArg>,
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
    /// zeros, reflect, replicate or circular
    #[arg(long, value_name = "MODE")]
    padding_mode: Option<String>,
    /// Output padding of a transposed convolution
    #[arg(long, value_name = "P")]
    output_padding: Option<Sizes>,
}

/// What to sort figures by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SortArg {
    Norm,
    Mean,
    Std,
    Min,
    Max,
    Zeros,
}

impl SortArg {
    fn figure(self) -> Sort {
        match self {
            SortArg::Norm => Sort::Norm,
            SortArg::Mean => Sort::Mean,
            SortArg::Std => Sort::Std,
            SortArg::Min => Sort::Min,
            SortArg::Max => Sort::Max,
            SortArg::Zeros => Sort::Zeros,
        }
    }
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
        padding_mode: args.padding_mode.clone(),
        sections: Wanted {
            memory: args.memory,
            im2col: args.im2col,
            layout: args.layout.clone(),
            hex: args.hex,
            figures: args
                .figures
                .then(|| args.sort.map_or(Sort::Index, SortArg::figure)),
            output_at: sizes(&args.output_at),
            arguments: args.arguments,
        },
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
