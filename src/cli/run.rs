//! `pthinspect run`

use std::path::Path;
use std::path::PathBuf;

use ndarray::ArrayView4;
use serde_json::json;

use super::array::ArrayFile;
use super::exit::Exit;
use super::exit::Outcome;
use super::io::Io;
use super::picture::InputFile;
use super::picture::PictureFlags;
use super::values::ConvolutionFlags;
use super::values::Sizes;
use super::verify::How;
use crate::error::Error;
use crate::error::Result;
use crate::execute::Arguments;
use crate::execute::Call;
use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::MemoryFormat;
use crate::execute::Op;
use crate::execute::Order;
use crate::execute::Origin;
use crate::execute::PaddingMode;
use crate::execute::conv2d;
use crate::execute::kernel;
use crate::execute::kernel::Operands;
use crate::execute::kernel::Tiled;
use crate::execute::order::trace::Trace;
use crate::execute::predict;
use crate::execute::real;
use crate::explain::LayerOptions;
use crate::export::array::Array;
use crate::render::explain_output;
use crate::render::explain_output::Explained;
use crate::verify::compare::compare;

mod runnable;

pub(super) use runnable::Runnable;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    $ pthinspect run conv1 model.pth --input x.npy --output y.npy --stride 2 --padding 3\n  \
    $ pthinspect run conv1 model.pth --input x.npz:image --output y.safetensors:conv1\n  \
    $ pthinspect run conv1 model.pth --input x.pt --output y.pt --origin threads=2,cpu_capability=AVX512\n  \
    $ pthinspect run conv1 model.pth --input cat.jpg --resize 224,224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --output y.npy\n  \
    $ pthinspect run conv1 model.pth --input x.npy --explain-output 0,7,4,1\n  \
    $ pthinspect run conv1 model.pth --input x.npy --explain-output 0,7,4,1 --against onednn-direct/ic8\n\n\
    Stride, padding and the rest come from the file where it knows them (whole modules), flags go over it, and \
    PyTorch's defaults stand where neither speaks. What --origin leaves open is taken as torch 2.15 on an x86-64 AMD \
    processor with AVX2, two threads, mkldnn on: the same on every machine. The order used goes to stderr.")]
pub struct Args {
    /// Layer: a unique suffix of its name is enough
    name: String,
    /// Checkpoint
    file: Option<PathBuf>,
    /// Input [N, C, H, W] or [C, H, W] (as its layer takes it), of the layer's dtype: .npy, .npz:KEY, .safetensors:KEY, .pt[:KEY]; or a picture:
    /// .png, .jpg
    #[arg(long, value_name = "X")]
    input: InputFile,
    /// Where the output goes; the same kinds of file
    #[arg(long, value_name = "Y", required_unless_present = "explain_output")]
    output: Option<ArrayFile>,
    /// Print the whole sum of one output element, addition by addition
    #[arg(long, value_name = "N,O,Y,X")]
    explain_output: Option<Sizes>,
    /// Another accumulation order to set beside it
    #[arg(long, value_name = "NAME", requires = "explain_output")]
    against: Option<Order>,
    /// Lines of the sum to print at most; --json has all
    #[arg(
        long,
        value_name = "LINES",
        requires = "explain_output",
        default_value_t = 100
    )]
    rows: usize,
    #[command(flatten)]
    execution: Execution,
    #[command(flatten)]
    picture: PictureFlags,
}

/// What decides how a layer is executed, apart from its input.
#[derive(Debug, clap::Args)]
pub(super) struct Execution {
    #[command(flatten)]
    convolution: ConvolutionFlags,
    /// Groups
    #[arg(long, value_name = "G")]
    groups: Option<usize>,
    /// zeros, reflect, replicate or circular
    #[arg(long, value_name = "MODE")]
    padding_mode: Option<String>,
    /// The weight is a transposed convolution's
    #[arg(long)]
    transposed: bool,
    /// Output padding of a transposed convolution
    #[arg(long, value_name = "P")]
    output_padding: Option<Sizes>,
    /// What the input's memory format is to be taken as
    #[arg(long, value_name = "FORMAT", value_parser = ["contiguous", "channels_last"], default_value = "contiguous")]
    memory_format: String,
    /// Where PyTorch is imagined to run: KEY=VALUE,... with the keys of a golden file's origin
    #[arg(long, value_name = "ORIGIN", default_value = "")]
    origin: Origin,
    /// This accumulation order instead of the one that PyTorch would use there
    #[arg(long, value_name = "NAME")]
    order: Option<Order>,
    #[command(flatten)]
    how: How,
}

/// Executes the layer and writes its output.
pub(super) fn run(args: &Args, io: &mut Io<'_>) -> Outcome {
    super::layer::check_order(&args.name, args.file.as_deref())?;
    let checkpoint = super::file::open(io, args.file.as_deref())?;
    let layer = Runnable::of(&checkpoint, &args.name, &args.execution)
        .map_err(|e| e.in_file(checkpoint.path()))?;
    let input = args.input.read(&layer.input(), &args.picture, io)?;
    let dtype = layer
        .dtype(&input)
        .map_err(|e| e.in_file(args.input.path()))?;
    match dtype {
        FloatType::Float64 => execute::<f64>(&layer, dtype, &input, args, io),
        FloatType::Float32 | FloatType::BFloat16 | FloatType::Float16 => {
            execute::<f32>(&layer, dtype, &input, args, io)
        }
    }
}

/// The layer's output for this input, and the order in which it was summed; for `plot`.
pub(super) fn output_of(
    layer: &Runnable,
    input: &Array,
    from: &Path,
    execution: &Execution,
) -> Result<(Array, Order)> {
    fn of<R: Tiled>(
        layer: &Runnable,
        dtype: FloatType,
        input: &Array,
        execution: &Execution,
    ) -> Result<(Array, Order)> {
        let elements = R::decode(dtype, &input.elements);
        let ready = Ready::new(layer, dtype, &elements, &input.shape, execution)?;
        let result = ready.run(ready.order, &execution.how)?;
        Ok((ready.array(&result), ready.order))
    }
    let dtype = layer.dtype(input).map_err(|e| e.in_file(from))?;
    let done = match dtype {
        FloatType::Float64 => of::<f64>(layer, dtype, input, execution),
        FloatType::Float32 | FloatType::BFloat16 | FloatType::Float16 => {
            of::<f32>(layer, dtype, input, execution)
        }
    };
    done.map_err(|e| e.in_file(from))
}

/// A layer and its input, shapes checked, the order chosen.
struct Ready<'a, R: Copy> {
    prepared: conv2d::Prepared<'a, R>,
    weight: Vec<R>,
    bias: Option<Vec<R>>,
    dtype: FloatType,
    order: Order,
    /// The layer's arguments for this input.
    arguments: Arguments,
    /// `[O, C/groups, KH, KW]`, laid out.
    shape: [usize; 4],
    /// Rows and columns of the input.
    image: [usize; 2],
    /// `[N, O, H, W]`, or without N as the input was.
    output: Vec<usize>,
}

impl<'a, R: Tiled> Ready<'a, R> {
    /// `elements` of the input, whose shape is `[N, C, H, W]` or `[C, H, W]`.
    fn new(
        layer: &Runnable,
        dtype: FloatType,
        elements: &'a [R],
        shape: &[usize],
        execution: &Execution,
    ) -> Result<Self> {
        let op = layer.op;
        let batched = op.input(shape)?.ok_or_else(|| {
            Error::usage(format!(
                "the input has shape {shape:?}, expected {}",
                op.input_axes()
            ))
        })?;
        let given = &layer.arguments;
        let arguments = op.arguments(given, shape, &layer.shape)?;
        let filters = op.weight(&layer.shape, given.groups)?;
        let filters = filters.ok_or_else(|| layer.refused(&layer.shape))?;
        let input = ArrayView4::from_shape(batched, elements)
            .map_err(|e| Error::malformed(format!("the input's shape does not fit: {e}")))?;
        let bias = layer.bias.as_ref().map(|bias| R::decode(dtype, bias));
        let biases = bias.as_ref().map(Vec::len);
        let prepared = conv2d::prepare(input, filters, biases, &arguments)?;
        let call = Call {
            op,
            geometry: prepared.geometry,
            memory_format: match execution.memory_format.as_str() {
                "channels_last" => MemoryFormat::ChannelsLast,
                _ => MemoryFormat::Contiguous,
            },
            dtype,
            matmul: false,
        };
        let order = choose(&call, execution)?;
        let weight = R::decode(dtype, &layer.weight);
        Ok(Self {
            weight: op.weight_elements(weight, filters, given.groups),
            bias,
            dtype,
            order,
            arguments,
            shape: filters,
            image: [batched[2], batched[3]],
            output: op.output(shape, &prepared.geometry),
            prepared,
        })
    }

    fn operands(&self) -> Operands<'_, R> {
        Operands {
            input: &self.prepared.input,
            weight: &self.weight,
            bias: self.bias.as_deref(),
        }
    }

    /// The whole output in `order`.
    fn run(&self, order: Order, how: &How) -> Result<Vec<R>> {
        let geometry = &self.prepared.geometry;
        let plan = order.plan(geometry);
        let kernel = how.kernel()?;
        let pool = how.pool()?;
        Ok(pool.install(|| kernel::run(&self.operands(), geometry, &plan, kernel)))
    }

    fn array(&self, result: &[R]) -> Array {
        Array {
            dtype: self.dtype.dtype(),
            shape: self.output.clone(),
            elements: real::encode(self.dtype, result),
        }
    }
}

/// Executes the layer in sums of `R`.
fn execute<R: Tiled>(
    layer: &Runnable,
    dtype: FloatType,
    input: &Array,
    args: &Args,
    io: &mut Io<'_>,
) -> Outcome {
    let shape = &input.shape;
    let elements = R::decode(dtype, &input.elements);
    let ready = Ready::new(layer, dtype, &elements, shape, &args.execution)
        .map_err(|e| e.in_file(args.input.path()))?;
    let order = ready.order;
    if let Some(file) = &args.output {
        let result = ready.run(order, &args.execution.how)?;
        file.write(&ready.array(&result))?;
    }
    let mut document = json!({
        "layer": layer.name,
        "order": order.to_string(),
        "input": shape,
        "output": ready.output,
    });
    if let Some(Sizes(index)) = &args.explain_output {
        let element = Wanted {
            layer,
            dtype,
            geometry: &ready.prepared.geometry,
            operands: &ready.operands(),
            index,
            arguments: &ready.arguments,
            kernel: [ready.shape[2], ready.shape[3]],
            image: ready.image,
            output: &ready.output,
        };
        let against = args.against.map(|other| element.trace(other));
        let whole = match args.against {
            Some(other) => {
                let all = |order| ready.run(order, &args.execution.how);
                Some(compare(dtype, &all(order)?, &all(other)?))
            }
            None => None,
        };
        let explained = Explained {
            layer: &layer.name,
            dtype,
            geometry: &ready.prepared.geometry,
            index,
            shape: &ready.output,
            first: element.trace(order)?,
            against: against.transpose()?,
            whole,
            note: note(layer),
        };
        if io.json {
            document["explain"] = explain_output::json(&explained);
        } else {
            explain_output::text(io.out, io.paint, &explained, args.rows, io.width)?;
        }
    }
    if io.json {
        io.print_json(&document)?;
    } else if args.output.is_some() {
        io.say(&format!(
            "{}: {shape:?} -> {:?} in the order {order}",
            layer.name, ready.output
        ));
    }
    Ok(Exit::Ok)
}

/// The output element that is to be explained.
struct Wanted<'a, R> {
    layer: &'a Runnable,
    dtype: FloatType,
    geometry: &'a Geometry,
    operands: &'a Operands<'a, R>,
    /// Image, filter, row, column; without the image where the input had none. Of other layers as many as their output
    /// has axes.
    index: &'a [usize],
    arguments: &'a Arguments,
    /// Rows and columns of the kernel.
    kernel: [usize; 2],
    /// Rows and columns of the input.
    image: [usize; 2],
    /// The output's shape.
    output: &'a [usize],
}

impl<R: Tiled> Wanted<'_, R> {
    /// Its sum in `order`, with coordinates of the input as the user knows it.
    fn trace(&self, order: Order) -> Result<(Order, Trace<R>)> {
        let at = self.place()?;
        let plan = order.plan(self.geometry);
        if plan.nnpack.is_some() && plan.regions.is_empty() {
            return Err(Error::unsupported(format!(
                "{order} transforms tiles of this layer, so that an output is no sum of products that could be shown"
            ))
            .with_hint("--order names another one"));
        }
        let trace = Trace::of(&order, self.geometry, self.operands, self.dtype, at);
        let mut trace = trace.ok_or_else(|| self.refused())?;
        trace.relocate(|[n, c, y, x]| {
            let [y, x] = conv2d::source(self.image, self.kernel, self.arguments, [y, x])?;
            Some([n, c, y, x])
        });
        Ok((order, trace))
    }

    fn place(&self) -> Result<[usize; 3]> {
        let (g, index) = (self.geometry, self.index);
        let leading = self.output.len().saturating_sub(index.len());
        // an image's number may be left out where there is one only
        let single = leading == 1 && g.batch == 1 && self.layer.op != Op::Linear;
        let shape = match single {
            true => &self.output[1..],
            false => self.output,
        };
        let inside = shape.len() == index.len() && index.iter().zip(shape).all(|(at, n)| at < n);
        if !inside {
            return Err(self.refused());
        }
        let flat = index.iter().zip(shape).fold(0, |at, (i, n)| at * n + i);
        let (row, pixel) = (flat / g.pixels(), flat % g.pixels());
        Ok([row / g.out_channels, row % g.out_channels, pixel])
    }

    fn refused(&self) -> Error {
        let axes = match self.layer.op {
            Op::Conv2d | Op::ConvTranspose2d => "image, filter, row, column",
            Op::Conv1d => "image, filter, place",
            Op::Conv3d => "image, filter, slice, row, column",
            Op::Linear => "the output's, the feature last",
        };
        Error::usage(format!(
            "--explain-output {:?} is not in the output, whose shape is {:?}",
            self.index, self.output
        ))
        .with_hint(format!("the index is {axes}, all from 0 on"))
    }
}

/// What the coordinates mean where the padding holds copies, and where the layer is laid out as another.
fn note(layer: &Runnable) -> Option<String> {
    let laid_out = match layer.op {
        Op::Conv2d => None,
        Op::Conv1d => Some("a Conv1d is a Conv2d of one row".to_owned()),
        Op::Linear => {
            Some("a Linear is a 1 x 1 Conv2d of one-pixel images, its vectors".to_owned())
        }
        Op::ConvTranspose2d => {
            Some("the weight is that of [O, C/groups, KH, KW], its axes swapped".to_owned())
        }
        Op::Conv3d => Some("rows are those of all slices, one slice after the other".to_owned()),
    };
    let padding = match layer.arguments.padding_mode {
        PaddingMode::Zeros => None,
        mode => Some(format!(
            "padding_mode={}: taps outside the image have the coordinates of the pixel they copy",
            mode.name()
        )),
    };
    match (laid_out, padding) {
        (Some(laid_out), Some(padding)) => Some(format!("{laid_out}; {padding}")),
        (laid_out, padding) => laid_out.or(padding),
    }
}

/// The order asked for, or the one that PyTorch would use at the origin, what that leaves open being fixed.
fn choose(call: &Call, execution: &Execution) -> Result<Order> {
    if let Some(order) = execution.order {
        return Ok(order);
    }
    let usual = Origin {
        torch: Some("2.15.0".into()),
        device: Some("cpu".into()),
        machine: Some("x86_64".into()),
        cpu_capability: Some("AVX2".into()),
        cpu_vendor: Some("AuthenticAMD".into()),
        threads: Some(2),
        mkldnn: Some(true),
        l1_bytes: Some(32 << 10),
        l2_bytes: Some(1 << 20),
        l1_threads: Some(1),
        ..Origin::default()
    };
    let predictions = predict::predict(call, &usual.overlaid(&execution.origin));
    predictions.first().map(|p| p.order).ok_or_else(|| {
        Error::unsupported("no rule is known for the order that PyTorch uses for this layer there")
            .with_hint("name one with --order; `pthinspect orders` lists them")
    })
}

impl Execution {
    /// What the flags say about the layer.
    pub(super) fn layer_options(&self) -> LayerOptions {
        let output_padding = self.output_padding.as_ref();
        LayerOptions {
            groups: self.groups,
            transposed: self.transposed,
            output_padding: output_padding.map(|Sizes(sizes)| sizes.clone()),
            ..self.convolution.options()
        }
    }
}
