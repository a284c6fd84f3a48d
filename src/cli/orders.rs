//! `pthinspect orders`

use super::exit::Exit;
use super::exit::Outcome;
use super::io::Io;
use super::values::ConvolutionFlags;
use super::values::Sizes;
use crate::error::Error;
use crate::error::Result;
use crate::execute::Arguments;
use crate::execute::Geometry;
use crate::execute::Order;
use crate::execute::conv2d;
use crate::execute::order::tree;
use crate::explain;
use crate::render::orders as render;
use crate::render::orders::Shown;

/// Arguments of `orders`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect orders\n  \
    $ pthinspect orders --json\n  \
    $ pthinspect orders --tree onednn-direct/ic8 --weight 8,18,1,2\n  \
    $ pthinspect orders --tree mkl-slow2d/kb192-t2 --weight 6,3,3,3 --input 1,3,6,6 --at 0,5,1,1\n\n\
    A tree is written in parentheses: terms are flat indices within the filter, `b` is the bias, a chain that adds term \
    after term is flat: (b 0 1 2) is (((b 0) 1) 2), and 0..7 or 0..14/2 abbreviate evenly spaced terms.")]
pub struct Args {
    /// Show the summation tree of this order, for the layer that the flags say
    #[arg(long, value_name = "ORDER", requires = "weight")]
    tree: Option<Order>,
    /// Shape of the weight: filters, channels per group, kernel rows, kernel columns
    #[arg(long, value_name = "O,I,KH,KW", requires = "tree")]
    weight: Option<Sizes>,
    /// Shape of the input [default: one image with 4 x 4 outputs]
    #[arg(long, value_name = "N,C,H,W", requires = "tree")]
    input: Option<Sizes>,
    /// Groups
    #[arg(long, value_name = "G", requires = "tree", default_value_t = 1)]
    groups: usize,
    #[command(flatten)]
    convolution: ConvolutionFlags,
    /// Of this output element alone [default: one element for each different sum]
    #[arg(long, value_name = "N,O,Y,X", requires = "tree")]
    at: Option<Sizes>,
}

/// Lists the accumulation orders, or shows one.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    if let (Some(order), Some(Sizes(weight))) = (args.tree, &args.weight) {
        let geometry = geometry(args, weight)?;
        let shown = trees(args, order, &geometry)?;
        if io.json {
            io.print_json(&render::trees_json(order, &shown))?;
        } else {
            render::trees(io.out, io.paint, order, &shown)?;
        }
        return Ok(Exit::Ok);
    }
    if io.json {
        io.print_json(&render::json())?;
    } else {
        let width = io.width.unwrap_or(80);
        render::text(io.out, io.paint, width)?;
        render::trust(io.out, io.paint, width)?;
    }
    Ok(Exit::Ok)
}

/// Products that a tree may have: it is read back by probing, which takes their square.
const MOST_TAPS: usize = 4096;
/// Output elements of a layer whose trees are shown.
const MOST_ELEMENTS: usize = 1 << 22;

fn geometry(args: &Args, weight: &[usize]) -> Result<Geometry> {
    let pair = |values: Option<Vec<usize>>, otherwise: usize| match values.as_deref() {
        None => Ok([otherwise; 2]),
        Some([a]) => Ok([*a; 2]),
        Some([a, b]) => Ok([*a, *b]),
        Some(_) => Err(Error::usage(
            "a Conv2d takes one number or two per argument",
        )),
    };
    let four = |name: &str, values: &[usize]| {
        <[usize; 4]>::try_from(values)
            .map_err(|_| Error::usage(format!("--{name} takes four sizes, not {values:?}")))
    };
    let weight = four("weight", weight)?;
    let options = args.convolution.options();
    let padding = match options.padding {
        None => conv2d::Padding::Sizes([0, 0]),
        Some(explain::Padding::Same) => conv2d::Padding::Same,
        Some(explain::Padding::Valid) => conv2d::Padding::Valid,
        Some(explain::Padding::Sizes(sizes)) => conv2d::Padding::Sizes(pair(Some(sizes), 0)?),
    };
    let arguments = Arguments {
        stride: pair(options.stride, 1)?,
        padding,
        dilation: pair(options.dilation, 1)?,
        groups: args.groups,
        ..Arguments::default()
    };
    let input = match &args.input {
        Some(Sizes(input)) => four("input", input)?,
        None => {
            let size = |axis: usize| {
                let extent =
                    arguments.dilation[axis].saturating_mul(weight[2 + axis].saturating_sub(1));
                extent
                    .saturating_add(arguments.stride[axis].saturating_mul(3))
                    .saturating_add(1)
            };
            [1, weight[1].saturating_mul(args.groups), size(0), size(1)]
        }
    };
    let geometry = conv2d::resolve(input, weight, None, &arguments)?;
    if geometry.taps() > MOST_TAPS || geometry.output_len() > MOST_ELEMENTS {
        return Err(Error::limit(format!(
            "a tree of {} products for {} outputs is more than can be read ({MOST_TAPS} and {MOST_ELEMENTS})",
            geometry.taps(),
            geometry.output_len()
        )));
    }
    Ok(geometry)
}

fn trees(args: &Args, order: Order, g: &Geometry) -> Result<Vec<Shown>> {
    let plan = order.plan(g);
    let show = |at: [usize; 3], elements: usize| Shown {
        at: [at[0], at[1], at[2] / g.output[1], at[2] % g.output[1]],
        elements,
        tree: tree::of_order(&order, g, at),
    };
    if let Some(Sizes(at)) = &args.at {
        let shape = g.output_shape();
        let inside = at.len() == 4 && at.iter().zip(&shape).all(|(at, size)| at < size);
        let &[n, o, y, x] = at.as_slice() else {
            return Err(Error::usage(format!(
                "--at takes image, filter, row, column, not {at:?}"
            )));
        };
        if !inside {
            return Err(Error::usage(format!(
                "--at {at:?} is not in the output, whose shape is {shape:?}"
            )));
        }
        return Ok(vec![show([n, o, y * g.output[1] + x], 1)]);
    }
    let whole = |pixel: usize| {
        let inside =
            |axis: usize, o: usize| (0..g.kernel[axis]).all(|k| g.input_at(axis, o, k).is_some());
        inside(0, pixel / g.output[1]) && inside(1, pixel % g.output[1])
    };
    let recipe = |recipe: usize| {
        let regions = plan.regions.iter().filter(|r| r.recipe == recipe);
        let elements = regions
            .clone()
            .map(crate::execute::order::Region::len)
            .sum();
        // an element without padding shows all of its terms
        let mut places = regions.flat_map(|r| {
            r.pixels
                .clone()
                .map(|pixel| [r.images.start, r.channels.start, pixel])
        });
        let first = places.clone().next()?;
        let at = places.find(|at| whole(at[2])).unwrap_or(first);
        Some(show(at, elements))
    };
    Ok((0..plan.recipes.len()).filter_map(recipe).collect())
}
