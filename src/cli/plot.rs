//! `pthinspect plot`

use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;
use serde_json::json;

use super::exit::Exit;
use super::exit::Outcome;
use super::io::Io;
use super::picture::InputFile;
use super::picture::PictureFlags;
use super::run::Execution;
use super::run::Runnable;
use super::run::output_of;
use super::values::Numbers;
use crate::bytes::output::write_whole;
use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::error::Result;
use crate::explain::Figure;
use crate::explain::FigureOptions;
use crate::explain::LayerOptions;
use crate::explain::plot::Histogram;
use crate::explain::plot::Indices;
use crate::explain::plot::Shade;
use crate::export::array::Array;
use crate::render::plot as render;
use crate::render::plot::About;
use crate::render::plot::Colors;
use crate::render::plot::Drawing;
use crate::render::plot::Look;
use crate::tensor::ByteOrder;
use crate::tensor::Layout;
use crate::tensor::TensorView;

/// Arguments of `plot`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect plot conv1 model.pth\n  \
    $ pthinspect plot conv1 model.pth --sort norm --output conv1.png\n  \
    $ pthinspect plot layer1.0.conv2 model.pth --filter 0..8 --channel 3\n  \
    $ pthinspect plot layer4.1.conv2 model.pth --norms --output norms.png\n  \
    $ pthinspect plot fc model.pth --histogram\n  \
    $ pthinspect plot conv1 model.pth --input cat.jpg --resize 224,224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --output maps.png\n\n\
    Blue is below zero, orange above, white in the middle, and the scale reaches as far to both sides as the largest \
    magnitude. Three input channels are drawn as red, green and blue, a weight of 0 being mid-grey. Feature maps run \
    from dark (the least value) to light. What is not finite is magenta and marked: x for NaN, + and - for infinities.")]
pub struct Args {
    /// Layer (conv1, layer1.0.conv2) or tensor (conv1.weight); a unique suffix is enough
    name: String,
    /// Checkpoint
    file: Option<PathBuf>,
    /// Write a PNG; without it, the picture goes to the terminal
    #[arg(long, value_name = "OUT.png")]
    output: Option<PathBuf>,
    /// Filters (rows, maps) to draw: 7, or 0,3,8..16 (16 not included)
    #[arg(long, value_name = "O")]
    filter: Option<IndexList>,
    /// Input channels to draw
    #[arg(long, value_name = "I", conflicts_with = "input")]
    channel: Option<IndexList>,
    /// Order of the filters: as stored, or the largest L2 norm first
    #[arg(long, value_name = "BY", default_value = "none")]
    sort: Sort,
    /// Draw at most N filters (rows, maps)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    first: Option<u32>,
    /// Draw the L2 norm of each kernel: a row for each filter, a column for each channel
    #[arg(long, conflicts_with_all = ["input", "histogram"])]
    norms: bool,
    /// Draw three input channels side by side instead of as red, green and blue
    #[arg(long, conflicts_with = "input")]
    apart: bool,
    /// Count values instead of drawing them
    #[arg(long)]
    histogram: bool,
    /// Bins of the histogram
    #[arg(long, value_name = "N", requires = "histogram", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=720))]
    bins: u16,
    /// Colours [default: diverging for weights, sequential for norms and feature maps]
    #[arg(long, value_name = "MAP")]
    colors: Option<ColorsArg>,
    /// Ends of the scale: R for -R to R (0 to R where it is not diverging), or LOW,HIGH
    #[arg(long, value_name = "R", allow_hyphen_values = true)]
    range: Option<Numbers>,
    /// A scale of its own for each filter (row, map)
    #[arg(long, conflicts_with = "range")]
    per_filter: bool,
    /// Draw the layer's output for this input: .npy, .npz:KEY, .safetensors:KEY, .pt[:KEY], .png, .jpg
    #[arg(long, value_name = "X")]
    input: Option<InputFile>,
    /// Which image of a batch
    #[arg(long, value_name = "N", requires = "input", default_value_t = 0)]
    image: usize,
    /// Input channels of the layer; the groups follow
    #[arg(long, value_name = "C", conflicts_with_all = ["groups", "input"])]
    in_channels: Option<usize>,
    #[command(flatten, next_help_heading = "Execution, with --input (as in `run`)")]
    execution: Execution,
    #[command(flatten)]
    picture: PictureFlags,
}

/// Order of the filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// As stored
    None,
    /// The largest L2 norm first
    Norm,
}

/// Colour maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ColorsArg {
    /// Blue, white, orange; zero in the middle
    Diverging,
    /// Dark to light
    Sequential,
    /// Black to white
    Grey,
}

/// `7`, `0,3,8..16`, `8..`
#[derive(Clone, Debug, PartialEq, Eq)]
struct IndexList(Indices);

impl FromStr for IndexList {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = |text: &str| {
            let number = text
                .trim()
                .parse::<usize>()
                .ok()
                .filter(|&n| n < usize::MAX);
            number.ok_or_else(|| format!("`{}` is not an index from 0 up", text.trim()))
        };
        let range = |part: &str| match part.split_once("..") {
            None => number(part).map(|index| index..index + 1),
            Some((start, "")) => number(start).map(|start| start..usize::MAX),
            Some((start, end)) => {
                let start = if start.is_empty() { 0 } else { number(start)? };
                let end = number(end)?;
                match start < end {
                    true => Ok(start..end),
                    false => Err(format!("`{part}` holds no index: the end is not included")),
                }
            }
        };
        let ranges = text
            .split(',')
            .map(range)
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self(Indices(ranges)))
    }
}

/// Draws.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    super::layer::check_order(&args.name, args.file.as_deref())?;
    if let Some(output) = &args.output {
        check_ending(output)?;
    }
    let checkpoint = super::file::open(io, args.file.as_deref())?;
    let (figure, about) = match &args.input {
        Some(input) => maps(args, input, &checkpoint, io)?,
        None => {
            let figure = Figure::of_weight(&checkpoint, &args.name, &options(args)?)
                .map_err(|e| e.in_file(checkpoint.path()))?;
            let file = checkpoint.path().display().to_string();
            (
                figure,
                About {
                    file,
                    ..About::default()
                },
            )
        }
    };
    let histogram = args
        .histogram
        .then(|| Histogram::of(&figure, args.bins.into()));
    let most = args.first.map(|most| most as usize);
    let mut document = render::json(&figure, &about, None);
    if let Some(histogram) = &histogram {
        document["histogram"] = render::histogram_json(histogram);
    }
    if let Some(output) = &args.output {
        let drawing = match &histogram {
            Some(histogram) => render::histogram_raster(&figure, &about, histogram),
            None => render::raster(&figure, &about, most),
        };
        let png = drawing.raster.png().map_err(|e| e.in_file(output))?;
        write_whole(output, |out| out.write_all(&png))?;
        if io.json {
            document["drawn"] = drawn(output, &drawing);
        } else {
            io.say(&format!(
                "{}: {} x {} pixels, {}",
                output.display(),
                drawing.raster.width(),
                drawing.raster.height(),
                render::summary(&figure, &about)
            ));
        }
    }
    if io.json {
        io.print_json(&document)?;
    } else if args.output.is_none() {
        let look = look(io, most);
        match &histogram {
            Some(found) => render::histogram_text(io.out, io.paint, &figure, &about, found, &look)?,
            None => {
                render::text(io.out, io.paint, &figure, &about, &look)?;
            }
        }
    }
    Ok(Exit::Ok)
}

fn drawn(output: &Path, drawing: &Drawing) -> serde_json::Value {
    json!({
        "output": output.display().to_string(),
        "width": drawing.raster.width(),
        "height": drawing.raster.height(),
        "filters": drawing.drawn.filters,
        "channels": drawing.drawn.channels,
        "values_per_cell": drawing.drawn.factor,
    })
}

fn check_ending(output: &Path) -> Result<()> {
    let ending = output.extension().map(|ending| ending.to_ascii_lowercase());
    match ending.as_deref().and_then(|ending| ending.to_str()) {
        Some("png") => Ok(()),
        _ => Err(
            Error::usage("a picture is written as PNG: --output must end in .png").in_file(output),
        ),
    }
}

/// The colours of the terminal: 24 bits where COLORTERM says so.
fn look(io: &Io<'_>, most: Option<usize>) -> Look {
    let is_true =
        std::env::var("COLORTERM").is_ok_and(|term| term == "truecolor" || term == "24bit");
    Look {
        colors: match (io.paint.is_on(), is_true) {
            (false, _) => Colors::None,
            (true, false) => Colors::Indexed,
            (true, true) => Colors::True,
        },
        ascii: io.paint.is_ascii(),
        width: io.width.unwrap_or(80),
        most,
    }
}

fn options(args: &Args) -> Result<FigureOptions> {
    let shade = match args.colors {
        Some(ColorsArg::Diverging) => Some(Shade::Diverging),
        Some(ColorsArg::Sequential) => Some(Shade::Sequential),
        Some(ColorsArg::Grey) => Some(Shade::Grey),
        // a histogram shows what lies below zero and what above
        None if args.histogram => Some(Shade::Diverging),
        None => None,
    };
    let is_diverging = match shade {
        Some(shade) => shade == Shade::Diverging,
        None => args.input.is_none() && !args.norms,
    };
    let range = match args.range.as_ref().map(|Numbers(ends)| &ends[..]) {
        None => None,
        Some([end]) if is_diverging => Some((-end.abs(), end.abs())),
        Some([end]) => Some((end.min(0.0), end.max(0.0))),
        Some([low, high]) => Some((*low, *high)),
        Some(_) => return Err(Error::usage("--range takes one number or two: LOW,HIGH")),
    };
    let indices =
        |list: &Option<IndexList>| list.as_ref().map(|IndexList(indices)| indices.clone());
    Ok(FigureOptions {
        layer: LayerOptions {
            in_channels: args.in_channels,
            ..args.execution.layer_options()
        },
        filters: indices(&args.filter),
        channels: indices(&args.channel),
        sort: args.sort == Sort::Norm,
        norms: args.norms,
        apart: args.apart,
        shade,
        range,
        per_filter: args.per_filter,
    })
}

/// The layer's output as feature maps.
fn maps(
    args: &Args,
    input: &InputFile,
    checkpoint: &Checkpoint,
    io: &mut Io<'_>,
) -> Result<(Figure, About)> {
    let layer = Runnable::of(checkpoint, &args.name, &args.execution)
        .map_err(|e| e.in_file(checkpoint.path()))?;
    layer.check_maps()?;
    let array = input.read(&layer.input(), &args.picture, io)?;
    let (output, order) = output_of(&layer, &array, input.path(), &args.execution)?;
    let Array {
        dtype,
        shape,
        elements,
    } = &output;
    let images = if shape.len() == 4 { shape[0] } else { 1 };
    let layout = Layout::contiguous(shape.clone())?;
    let view = TensorView::new(&elements[..], *dtype, layout, ByteOrder::Little)?;
    let figure = Figure::of_maps(&layer.name, &view, args.image, &options(args)?)?;
    let name = input.path().file_name().unwrap_or(input.path().as_os_str());
    let about = About {
        file: checkpoint.path().display().to_string(),
        input: Some(name.to_string_lossy().into_owned()),
        image: (images > 1).then_some(args.image),
        order: Some(order.to_string()),
    };
    Ok((figure, about))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::single_range_in_vec_init)] // one range is meant

    use super::IndexList;

    #[test]
    fn index_lists() {
        let parse = |text: &str| text.parse::<IndexList>().map(|list| list.0.0);
        assert_eq!(parse("7").unwrap(), [7..8]);
        assert_eq!(parse("0,3,8..16").unwrap(), [0..1, 3..4, 8..16]);
        assert_eq!(parse("..4,8..").unwrap(), [0..4, 8..usize::MAX]);
        for wrong in ["", "-1", "3..3", "a", "1,,2", "18446744073709551615"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
