//! `pthinspect shapes`

use std::path::PathBuf;
use std::str::FromStr;

use super::exit::{Exit, Outcome};
use super::io::Io;
use super::values::Sizes;
use crate::error::{Error, Result};
use crate::render;
use crate::render::shapes::ShapesStyle;
use crate::shapes::{Insert, Walk, WalkOptions};

/// Arguments of `shapes`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect shapes model.pt --input 1,3,224,224\n  \
    $ pthinspect shapes model.pt --input 1,3,224,224 --depth 1\n  \
    $ pthinspect shapes model.pth --input 1,1,28,28 --after conv1 max_pool2d=2 --after conv2 max_pool2d=2\n  \
    $ pthinspect shapes model.pt2 --input 1,3,64,64 --json\n\n\
    Exit code 1: the input does not go through to the end, or part of the way is not known.")]
pub struct Args {
    /// A pickled module, a TorchScript program or an exported one
    file: Option<PathBuf>,
    /// Shape of the input; once for each input, in the model's order
    #[arg(long, value_name = "N,C,H,W", required = true)]
    input: Vec<Sizes>,
    /// Walk through this part of the model only
    #[arg(long, value_name = "NAME")]
    module: Option<String>,
    /// Put modules that lie deeper than N levels together to one line each
    #[arg(long, value_name = "N")]
    depth: Option<usize>,
    /// Put an operator behind a module, where the file does not tell what forward does: max_pool2d=2
    #[arg(long, num_args = 2, value_names = ["NAME", "OP=ARGS"])]
    after: Vec<String>,
    /// Do not look for inputs that would fit
    #[arg(long)]
    no_fits: bool,
    /// Show every step, those on constants alone too
    #[arg(long)]
    all: bool,
    /// Nothing but ASCII
    #[arg(long)]
    ascii: bool,
}

/// Walks.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    let checkpoint = super::file::open(io, args.file.as_deref())?;
    let options = WalkOptions {
        inputs: args
            .input
            .iter()
            .map(|Sizes(shape)| (None, shape.clone()))
            .collect(),
        module: args.module.clone(),
        inserts: inserts(&args.after)?,
        fits: !args.no_fits,
    };
    let walk = Walk::of(&checkpoint, &options, &io.limits)
        .map_err(|error| error.in_file(checkpoint.path()))?;
    if io.json {
        io.print_json(&render::shapes::json(&walk))?;
    } else {
        let style = ShapesStyle {
            depth: args.depth,
            all: args.all,
            ascii: args.ascii,
        };
        render::shapes::text(io.out, &walk, style, io.paint)?;
    }
    Ok(if walk.arrives() { Exit::Ok } else { Exit::No })
}

/// `conv1 max_pool2d=2,2`
fn inserts(words: &[String]) -> Result<Vec<Insert>> {
    let pairs = words.chunks(2);
    pairs
        .map(|pair| {
            let (name, op) = (&pair[0], pair.get(1).map_or("", String::as_str));
            let (op, numbers) = op.split_once('=').unwrap_or((op, ""));
            let number = |text: &str| i64::from_str(text.trim());
            let numbers = match numbers {
                "" => Ok(Vec::new()),
                numbers => numbers.split(',').map(number).collect(),
            };
            let numbers = numbers.map_err(|_| {
                Error::usage(format!(
                    "--after {name} {op}: its arguments must be whole numbers"
                ))
                .with_hint("for example --after conv1 max_pool2d=2")
            })?;
            Ok(Insert {
                after: name.clone(),
                op: op.to_owned(),
                numbers,
            })
        })
        .collect()
}
