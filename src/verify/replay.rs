//! One case, executed and judged.
//!
//! The tensors are gathered and checked here; [`super::trial`] finds the order, and where none fits,
//! [`super::diagnose`] says why.

use ndarray::ArrayView4;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::Error;
use crate::error::Result;
use crate::execute::Arguments;
use crate::execute::Call;
use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::Kernel;
use crate::execute::Op;
use crate::execute::Order;
use crate::execute::Real;
use crate::execute::conv2d;
use crate::execute::conv2d::Prepared;
use crate::execute::kernel::Operands;
use crate::execute::kernel::Tiled;
use crate::execute::predict;
use crate::execute::predict::Machine;
use crate::verify::compare::Comparison;
use crate::verify::compare::NAN_ULP;
use crate::verify::diagnose;
use crate::verify::diagnose::Diagnosis;
use crate::verify::diagnose::Raw;
use crate::verify::diagnose::Scene;
use crate::verify::golden::Case;
use crate::verify::golden::Golden;
use crate::verify::golden::LayerCall;
use crate::verify::search::Problem;
use crate::verify::search::Search;
use crate::verify::trial::Trial;
use crate::verify::words;

/// How to replay.
#[derive(Clone, Debug)]
pub struct Options {
    /// Interpreter or kernels.
    pub kernel: Kernel,
    /// This order, whatever the origin says.
    pub order: Option<Order>,
    /// Whether to try other orders where prediction leaves several or fails.
    pub search: bool,
    /// Differences of at most so many ULPs are `close`.
    pub max_ulp: u64,
    /// How often to execute, for timing; at least 1.
    pub repeat: usize,
    /// The machines that the file's other cases leave of those that the origin does.
    pub machines: Option<Vec<Machine>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernel: Kernel::Fast,
            order: None,
            search: true,
            max_ulp: 0,
            repeat: 1,
            machines: None,
        }
    }
}

/// The verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Every bit.
    Identical,
    /// Not every bit, but within the ULPs allowed.
    Close,
    /// Further apart.
    Different,
    /// Could not be executed.
    Error,
}

impl Status {
    /// The contract's word.
    pub fn name(self) -> &'static str {
        match self {
            Status::Identical => "identical",
            Status::Close => "close",
            Status::Different => "different",
            Status::Error => "error",
        }
    }
}

/// How the order was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// The origin leaves this one only.
    Origin,
    /// Found by trying.
    Search,
    /// The user's `--order`.
    Flag,
    /// Nothing reproduced the output; this one came closest.
    None,
}

impl ChosenBy {
    /// The contract's word.
    pub fn name(self) -> &'static str {
        match self {
            ChosenBy::Origin => "origin",
            ChosenBy::Search => "search",
            ChosenBy::Flag => "flag",
            ChosenBy::None => "none",
        }
    }
}

/// What became of one case.
#[derive(Debug)]
pub struct CaseReport {
    /// The case.
    pub name: String,
    /// The verdict.
    pub status: Status,
    /// The order that the comparison is about.
    pub order: Option<Order>,
    /// How it was chosen.
    pub chosen_by: ChosenBy,
    /// Output shape, as PyTorch gives it: `[N, O, OH, OW]` of a Conv2d, without N where the input had no batch axis.
    pub shape: Vec<usize>,
    /// The comparison; absent on errors.
    pub comparison: Option<Box<Comparison>>,
    /// Seconds of each execution, weight packing included, reading and comparing excluded.
    pub seconds: Vec<f64>,
    /// Why it could not be executed.
    pub error: Option<Error>,
    /// Orders tried.
    pub tried: usize,
    /// Why it differs, or why the origin's order was not the one.
    pub diagnosis: Option<Box<Diagnosis>>,
}

/// Replays one case; weights that the golden does not hold come from `checkpoint`.
pub fn replay(
    golden: &Golden,
    case: &Case,
    checkpoint: Option<&Checkpoint>,
    options: &Options,
) -> CaseReport {
    judge(golden, case, checkpoint, options).unwrap_or_else(|error| CaseReport {
        name: case.name.clone(),
        status: Status::Error,
        order: None,
        chosen_by: ChosenBy::None,
        shape: Vec::new(),
        comparison: None,
        seconds: Vec::new(),
        error: Some(error.in_file(golden.file.path()).in_record(&case.name)),
        tried: 0,
        diagnosis: None,
    })
}

/// Which of `machines` a few elements of the case speak for; `None` where the case cannot be replayed, and where all of
/// them compute it alike.
pub fn survey(
    golden: &Golden,
    case: &Case,
    checkpoint: Option<&Checkpoint>,
    machines: &[Machine],
) -> Option<Vec<bool>> {
    let call = case.call.as_ref().ok()?;
    let tensors = Tensors::find(golden, case, checkpoint).ok()?;
    let dtype = tensors.dtype().ok()?;
    match dtype {
        FloatType::Float64 => survey_as(call, dtype, &tensors.read::<f64>(call).ok()?, machines),
        FloatType::Float32 => survey_as(call, dtype, &tensors.read::<f32>(call).ok()?, machines),
        FloatType::BFloat16 | FloatType::Float16 => None,
    }
}

fn survey_as<R: Tiled>(
    call: &LayerCall,
    dtype: FloatType,
    tensors: &Arrays<R>,
    machines: &[Machine],
) -> Option<Vec<bool>> {
    let input = ArrayView4::from_shape(tensors.input_shape, &tensors.input).ok()?;
    let bias = tensors.bias.as_ref().map(Vec::len);
    let arguments = &tensors.arguments;
    let geometry =
        conv2d::resolve(tensors.input_shape, tensors.weight_shape, bias, arguments).ok()?;
    if call.op.output(&tensors.given_shape, &geometry) != tensors.output_shape {
        return None;
    }
    if geometry.output_len() != tensors.output.len() {
        return None;
    }
    let call = predicted_call(call, &geometry, dtype, tensors.given_shape.len());
    let order = |machine| Some(predict::predict_on(&call, machine)?.order);
    let orders: Vec<Option<Order>> = machines.iter().map(order).collect();
    if orders.windows(2).all(|pair| pair[0] == pair[1]) {
        return None;
    }
    let prepared = conv2d::prepare(input, tensors.weight_shape, bias, arguments).ok()?;
    let search = Search::new(tensors.problem(&prepared, dtype), Vec::new(), &[]);
    let mut known: Vec<(Order, bool)> = Vec::new();
    let mut fits = |order: Order| match known.iter().find(|(tried, _)| *tried == order) {
        Some(&(_, fit)) => fit,
        None => {
            let fit = search.fits(order);
            known.push((order, fit));
            fit
        }
    };
    let fits: Vec<bool> = orders
        .into_iter()
        .map(|o| o.is_some_and(&mut fits))
        .collect();
    (fits.contains(&true) && fits.contains(&false)).then_some(fits)
}

/// What the predictions ask about a call, whose input was given with so many axes.
fn predicted_call(call: &LayerCall, geometry: &Geometry, dtype: FloatType, axes: usize) -> Call {
    Call {
        op: call.op,
        geometry: *geometry,
        memory_format: call.memory_format,
        dtype,
        matmul: call.strided && axes > 2,
    }
}

fn judge(
    golden: &Golden,
    case: &Case,
    checkpoint: Option<&Checkpoint>,
    options: &Options,
) -> Result<CaseReport> {
    let call = case.call.as_ref().map_err(Error::unsupported)?;
    let tensors = Tensors::find(golden, case, checkpoint)?;
    let dtype = tensors.dtype()?;
    match dtype {
        FloatType::Float64 => judge_as(case, call, dtype, tensors.read::<f64>(call)?, options),
        FloatType::Float32 | FloatType::BFloat16 | FloatType::Float16 => {
            judge_as(case, call, dtype, tensors.read::<f32>(call)?, options)
        }
    }
}

fn judge_as<R: Tiled>(
    case: &Case,
    call: &LayerCall,
    dtype: FloatType,
    tensors: Arrays<R>,
    options: &Options,
) -> Result<CaseReport> {
    let input = ArrayView4::from_shape(tensors.input_shape, &tensors.input)
        .map_err(|e| Error::malformed(format!("the input's shape does not fit its data: {e}")))?;
    let bias = tensors.bias.as_ref().map(Vec::len);
    let arguments = &tensors.arguments;
    // the shape first: only then is anything as large as the arguments say
    let geometry = conv2d::resolve(tensors.input_shape, tensors.weight_shape, bias, arguments)?;
    let shape = call.op.output(&tensors.given_shape, &geometry);
    let raw = Raw {
        input: &tensors.input,
        input_shape: tensors.input_shape,
        weight: &tensors.weight,
        weight_shape: tensors.weight_shape,
        bias: tensors.bias.as_deref(),
        expected: &tensors.output,
        output_shape: match shape == tensors.output_shape {
            true => geometry.output_shape(),
            false => call.op.laid_out(&tensors.output_shape),
        },
        arguments: *arguments,
    };
    if shape != tensors.output_shape {
        let finding = diagnose::shape(dtype, &raw);
        let hint = finding.map_or("check stride, padding and dilation".into(), |f| f.text);
        return Err(Error::usage(format!(
            "the saved output has shape {:?}, but input, weight and arguments make {shape:?}",
            tensors.output_shape
        ))
        .with_hint(hint));
    }
    let prepared = conv2d::prepare(input, tensors.weight_shape, bias, arguments)?;
    let problem = tensors.problem(&prepared, dtype);
    let mut trial = Trial {
        problem,
        options,
        tried: 0,
    };
    let call = predicted_call(call, &prepared.geometry, dtype, tensors.given_shape.len());
    let outcome = trial.choose(&call, case);
    let status = match &outcome.comparison {
        c if c.identical == c.elements => Status::Identical,
        c if c.max_ulp <= options.max_ulp && c.max_ulp != NAN_ULP => Status::Close,
        _ => Status::Different,
    };
    // everything was tried and nothing reproduced it: the closest is reported
    let nothing_fits = status != Status::Identical && options.search && options.order.is_none();
    let chosen_by = match nothing_fits {
        true => ChosenBy::None,
        false => outcome.chosen_by,
    };
    let tried = trial.tried;
    let diagnosis = match status {
        Status::Identical => words::found(&call, case, &outcome, &problem),
        Status::Close | Status::Different | Status::Error => {
            let scene = Scene {
                raw,
                problem,
                call: &call,
                origin: &case.origin,
                order: outcome.order,
                actual: &outcome.actual,
                tried,
            };
            Some(diagnose::diagnose(&scene))
        }
    };
    Ok(CaseReport {
        name: case.name.clone(),
        status,
        order: Some(outcome.order),
        chosen_by,
        shape,
        comparison: Some(Box::new(outcome.comparison)),
        seconds: outcome.seconds,
        error: None,
        tried,
        diagnosis: diagnosis.map(Box::new),
    })
}

/// A case's tensors, each in the file that holds it.
struct Tensors<'a> {
    input: Located<'a>,
    weight: Located<'a>,
    bias: Option<Located<'a>>,
    output: Located<'a>,
}

/// The same as numbers in C order, laid out as images.
struct Arrays<R> {
    input: Vec<R>,
    /// `[N, C, H, W]`; N is 1 where the input has no batch axis, as PyTorch allows.
    input_shape: [usize; 4],
    /// Its shape as it is saved.
    given_shape: Vec<usize>,
    arguments: Arguments,
    weight: Vec<R>,
    weight_shape: [usize; 4],
    bias: Option<Vec<R>>,
    output: Vec<R>,
    /// As it is saved.
    output_shape: Vec<usize>,
}

impl<R: Real> Arrays<R> {
    /// The sums to be found, of the input made ready.
    fn problem<'a>(&'a self, prepared: &'a Prepared<'_, R>, dtype: FloatType) -> Problem<'a, R> {
        Problem {
            operands: Operands {
                input: &prepared.input,
                weight: &self.weight,
                bias: self.bias.as_deref(),
            },
            geometry: &prepared.geometry,
            dtype,
            expected: &self.output,
        }
    }
}

impl<'a> Tensors<'a> {
    fn find(golden: &'a Golden, case: &Case, checkpoint: Option<&'a Checkpoint>) -> Result<Self> {
        let file = &golden.file;
        let own = |part: &str| {
            golden.tensor(case, part).ok_or_else(|| {
                Error::malformed(format!(
                    "the file has no tensor {:?}",
                    format!("{}.{part}", case.name)
                ))
            })
        };
        let (input, output) = (own("input")?, own("output")?);
        let (weight, bias) = match (golden.tensor(case, "weight"), checkpoint) {
            (Some(weight), _) => (
                (file, weight),
                golden.tensor(case, "bias").map(|bias| (file, bias)),
            ),
            (None, Some(checkpoint)) => from_checkpoint(case, checkpoint)?,
            (None, None) => {
                return Err(own("weight")
                    .err()
                    .unwrap_or_else(|| Error::malformed("no weight")))
                .map_err(|e: Error| {
                    e.with_hint("weights can come from a checkpoint: --checkpoint FILE")
                });
            }
        };
        Ok(Self {
            input: (file, input),
            weight,
            bias,
            output: (file, output),
        })
    }

    /// The one element type of all of them.
    fn dtype(&self) -> Result<FloatType> {
        let of = |tensor: &TensorEntry| {
            FloatType::of(tensor.dtype).map_err(|e| e.in_record(tensor.name.clone()))
        };
        let dtype = of(self.input.1)?;
        let others = [Some(self.weight), self.bias, Some(self.output)];
        for (_, other) in others.into_iter().flatten() {
            if of(other)? != dtype {
                return Err(Error::usage(format!(
                    "{:?} is {dtype}, but {:?} is {}; PyTorch convolves tensors of one dtype",
                    self.input.1.name, other.name, other.dtype
                )));
            }
        }
        Ok(dtype)
    }

    fn read<R: Real>(&self, call: &LayerCall) -> Result<Arrays<R>> {
        let (_, input) = self.input;
        let (_, output) = self.output;
        let groups = call.arguments.groups;
        let input_shape = images(call.op, input)?;
        let weight_shape = filters(call.op, self.weight.1, groups)?;
        let weight = numbers(self.weight)?;
        let given_shape = input.layout.shape().to_vec();
        let weight_axes = self.weight.1.layout.shape();
        Ok(Arrays {
            arguments: call
                .op
                .arguments(&call.arguments, &given_shape, weight_axes)?,
            input: numbers(self.input)?,
            input_shape,
            given_shape,
            weight: call.op.weight_elements(weight, weight_shape, groups),
            weight_shape,
            bias: self.bias.map(vector).transpose()?,
            output: numbers(self.output)?,
            output_shape: output.layout.shape().to_vec(),
        })
    }
}

type Located<'a> = (&'a Checkpoint, &'a TensorEntry);

/// `NAME.weight` and, if there is one, `NAME.bias`; a layer called several times is saved as `NAME`, `NAME#2`, ...
fn from_checkpoint<'a>(
    case: &Case,
    checkpoint: &'a Checkpoint,
) -> Result<(Located<'a>, Option<Located<'a>>)> {
    let layer = match case.name.rsplit_once('#') {
        Some((layer, call)) if call.parse::<u32>().is_ok() => layer,
        _ => &case.name,
    };
    let weight = checkpoint.find_tensor(&format!("{layer}.weight"))?;
    let bias = weight
        .name
        .strip_suffix("weight")
        .map(|prefix| format!("{prefix}bias"));
    let bias = checkpoint
        .tensors()
        .iter()
        .find(|t| Some(&t.name) == bias.as_ref());
    Ok(((checkpoint, weight), bias.map(|bias| (checkpoint, bias))))
}

fn numbers<R: Real>((file, tensor): Located<'_>) -> Result<Vec<R>> {
    let dtype = FloatType::of(tensor.dtype)?;
    Ok(R::decode(dtype, &file.view(tensor)?.to_bytes()?))
}

fn vector<R: Real>((file, tensor): Located<'_>) -> Result<Vec<R>> {
    match tensor.layout.shape() {
        [_] => numbers((file, tensor)),
        shape => Err(Error::usage(format!(
            "the bias {:?} has shape {shape:?}, expected one axis",
            tensor.name
        ))),
    }
}

/// `[N, C, H, W]` of an input with or without its batch axis.
fn images(op: Op, tensor: &TensorEntry) -> Result<[usize; 4]> {
    let shape = tensor.layout.shape();
    op.input(shape)?.ok_or_else(|| {
        Error::usage(format!(
            "the input {:?} has shape {shape:?}, expected {}",
            tensor.name,
            op.input_axes()
        ))
    })
}

fn filters(op: Op, tensor: &TensorEntry, groups: usize) -> Result<[usize; 4]> {
    let shape = tensor.layout.shape();
    op.weight(shape, groups)?.ok_or_else(|| {
        Error::usage(format!(
            "the weight {:?} has shape {shape:?}, expected {}",
            tensor.name,
            op.weight_axes()
        ))
    })
}
