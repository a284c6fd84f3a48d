//! One case, executed and judged.
//!
//! The orders that the origin leaves open come first. Where there is more than one, or where the predicted one does
//! not reproduce the output, candidates are tried on a sample of elements, one at a time by the interpreter, so that
//! a wrong one costs next to nothing; those that survive are executed in full.

use std::time::Instant;

use ndarray::ArrayView4;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::error::Error;
use crate::error::Result;
use crate::execute::Call;
use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::Kernel;
use crate::execute::Order;
use crate::execute::Real;
use crate::execute::conv2d;
use crate::execute::kernel;
use crate::execute::kernel::Operands;
use crate::execute::kernel::Tiled;
use crate::execute::order::Plan;
use crate::execute::order::interpret::Unrolled;
use crate::execute::order::table;
use crate::execute::predict;
use crate::execute::real;
use crate::verify::compare;
use crate::verify::compare::Comparison;
use crate::verify::compare::NAN_ULP;
use crate::verify::golden::Case;
use crate::verify::golden::Conv2dCall;
use crate::verify::golden::Golden;

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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kernel: Kernel::Fast,
            order: None,
            search: true,
            max_ulp: 0,
            repeat: 1,
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
    /// Output shape: `[N, O, OH, OW]`, or `[O, OH, OW]` where the input had no batch axis.
    pub shape: Vec<usize>,
    /// The comparison; absent on errors.
    pub comparison: Option<Comparison>,
    /// Seconds of each execution, weight packing included, reading and comparing excluded.
    pub seconds: Vec<f64>,
    /// Why it could not be executed.
    pub error: Option<Error>,
    /// Orders tried.
    pub tried: usize,
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
    })
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
        FloatType::Float64 => judge_as(case, call, dtype, tensors.read::<f64>()?, options),
        FloatType::Float32 | FloatType::BFloat16 | FloatType::Float16 => {
            judge_as(case, call, dtype, tensors.read::<f32>()?, options)
        }
    }
}

fn judge_as<R: Tiled>(
    case: &Case,
    call: &Conv2dCall,
    dtype: FloatType,
    tensors: Arrays<R>,
    options: &Options,
) -> Result<CaseReport> {
    let input = ArrayView4::from_shape(tensors.input_shape, &tensors.input)
        .map_err(|e| Error::malformed(format!("the input's shape does not fit its data: {e}")))?;
    let bias = tensors.bias.as_ref().map(Vec::len);
    // the shape first: only then is anything as large as the arguments say
    let geometry = conv2d::resolve(
        tensors.input_shape,
        tensors.weight_shape,
        bias,
        &call.arguments,
    )?;
    let batched = geometry.output_shape();
    let shape = match tensors.has_batch {
        true => batched.to_vec(),
        false => batched[1..].to_vec(),
    };
    if shape != tensors.output_shape {
        return Err(Error::usage(format!(
            "the saved output has shape {:?}, but input, weight and arguments make {shape:?}",
            tensors.output_shape
        ))
        .with_hint("check stride, padding and dilation"));
    }
    let prepared = conv2d::prepare(input, tensors.weight_shape, bias, &call.arguments)?;
    let mut trial = Trial {
        operands: Operands {
            input: &prepared.input,
            weight: &tensors.weight,
            bias: tensors.bias.as_deref(),
        },
        geometry: &prepared.geometry,
        dtype,
        expected: &tensors.output,
        options,
        tried: 0,
    };
    let call = Call {
        geometry: prepared.geometry,
        memory_format: call.memory_format,
        dtype,
    };
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
    Ok(CaseReport {
        name: case.name.clone(),
        status,
        order: Some(outcome.order),
        chosen_by,
        shape,
        comparison: Some(outcome.comparison),
        seconds: outcome.seconds,
        error: None,
        tried: trial.tried,
    })
}

/// An order executed in full.
struct Outcome {
    order: Order,
    chosen_by: ChosenBy,
    comparison: Comparison,
    seconds: Vec<f64>,
}

impl Outcome {
    fn is_identical(&self) -> bool {
        self.comparison.identical == self.comparison.elements
    }
}

/// Everything needed to try orders on one case.
struct Trial<'a, R> {
    operands: Operands<'a, R>,
    geometry: &'a Geometry,
    dtype: FloatType,
    expected: &'a [R],
    options: &'a Options,
    tried: usize,
}

impl<R: Tiled> Trial<'_, R> {
    fn choose(&mut self, call: &Call, case: &Case) -> Outcome {
        if let Some(order) = self.options.order {
            return self.execute(order, ChosenBy::Flag);
        }
        let predictions = predict::predict(call, &case.origin);
        let predicted = match predictions.as_slice() {
            [only] => Some(self.execute(only.order, ChosenBy::Origin)),
            [first, ..] if !self.options.search => {
                Some(self.execute(first.order, ChosenBy::Origin))
            }
            _ => None,
        };
        match predicted {
            Some(outcome) if outcome.is_identical() || !self.options.search => outcome,
            predicted => {
                let mut orders: Vec<Order> = predictions.iter().map(|p| p.order).collect();
                for order in table::search_space(self.geometry, self.dtype) {
                    if !orders.contains(&order) {
                        orders.push(order);
                    }
                }
                if predicted.is_some() {
                    orders.remove(0);
                }
                self.search(&orders, predicted)
            }
        }
    }

    /// The first order that reproduces everything, else the closest: the predicted one, unless another one agrees in
    /// more elements.
    fn search(&mut self, orders: &[Order], predicted: Option<Outcome>) -> Outcome {
        let sample = sample(self.expected.len());
        let mut closest: Option<(usize, Order)> = None;
        for &order in orders {
            let agreeing = self.agreeing(&order.plan(self.geometry), &sample);
            self.tried += 1;
            if agreeing == sample.len() {
                let outcome = self.execute(order, ChosenBy::Search);
                if outcome.is_identical() {
                    return outcome;
                }
            }
            if closest.is_none_or(|(most, _)| agreeing > most) {
                closest = Some((agreeing, order));
            }
        }
        let fallback = closest.map_or_else(sequential, |(_, order)| order);
        let other = self.execute(fallback, ChosenBy::Search);
        match predicted {
            Some(predicted) if predicted.comparison.identical >= other.comparison.identical => {
                predicted
            }
            _ => other,
        }
    }

    /// How many of the sampled elements `plan` reproduces.
    fn agreeing(&self, plan: &Plan, sample: &[usize]) -> usize {
        let g = self.geometry;
        let mut unrolled: Vec<Option<Unrolled<'_>>> = Vec::new();
        unrolled.resize_with(plan.recipes.len(), || None);
        let mut scratch = Vec::new();
        let mut agreeing = 0;
        for &flat in sample {
            let (row, pixel) = (flat / g.pixels(), flat % g.pixels());
            let (image, channel) = (row / g.out_channels, row % g.out_channels);
            let Some(region) = plan.region_at(image, channel, pixel) else {
                continue;
            };
            let recipe = unrolled[region.recipe]
                .get_or_insert_with(|| Unrolled::new(g, &plan.recipes[region.recipe]));
            let actual = recipe.element(&self.operands, [image, channel, pixel], &mut scratch);
            let actual = actual.rounded(self.dtype);
            agreeing += usize::from(compare::same(self.expected[flat], actual));
        }
        agreeing
    }

    fn execute(&mut self, order: Order, chosen_by: ChosenBy) -> Outcome {
        // a search has counted it when it was tried on the sample
        self.tried += usize::from(chosen_by != ChosenBy::Search);
        let mut seconds = Vec::new();
        let mut actual = Vec::new();
        for _ in 0..self.options.repeat.max(1) {
            let start = Instant::now();
            let plan = order.plan(self.geometry);
            actual = kernel::run(&self.operands, self.geometry, &plan, self.options.kernel);
            real::round_all(self.dtype, &mut actual);
            seconds.push(start.elapsed().as_secs_f64());
        }
        Outcome {
            order,
            chosen_by,
            comparison: compare::compare(self.dtype, self.expected, &actual),
            seconds,
        }
    }
}

/// Where no order is known at all.
fn sequential() -> Order {
    Order::Sequential {
        channels_last: false,
        fused: true,
        bias_last: false,
    }
}

/// Elements to try an order on: all of a small output, else the ends and a spread of the rest.
fn sample(elements: usize) -> Vec<usize> {
    const MOST: usize = 192;
    if elements <= MOST {
        return (0..elements).collect();
    }
    let ends = (0..16).chain(elements - 16..elements);
    // a fixed multiplicative sequence: the same elements in every run, no two close together
    let spread = (1..MOST as u64 - 31).map(|i| {
        let hash = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((u128::from(hash) * elements as u128) >> 64) as usize
    });
    ends.chain(spread).collect()
}

/// A case's tensors, each in the file that holds it.
struct Tensors<'a> {
    input: Located<'a>,
    weight: Located<'a>,
    bias: Option<Located<'a>>,
    output: Located<'a>,
}

/// The same as numbers in C order.
struct Arrays<R> {
    input: Vec<R>,
    /// `[N, C, H, W]`; N is 1 where the input has no batch axis, as PyTorch allows.
    input_shape: [usize; 4],
    has_batch: bool,
    weight: Vec<R>,
    weight_shape: [usize; 4],
    bias: Option<Vec<R>>,
    output: Vec<R>,
    output_shape: Vec<usize>,
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

    fn read<R: Real>(&self) -> Result<Arrays<R>> {
        let (_, input) = self.input;
        let (_, output) = self.output;
        Ok(Arrays {
            input: numbers(self.input)?,
            input_shape: batched(input)?,
            has_batch: input.layout.shape().len() == 4,
            weight: numbers(self.weight)?,
            weight_shape: filters(self.weight.1)?,
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
fn batched(tensor: &TensorEntry) -> Result<[usize; 4]> {
    match *tensor.layout.shape() {
        [n, c, h, w] => Ok([n, c, h, w]),
        [c, h, w] => Ok([1, c, h, w]),
        ref shape => Err(Error::usage(format!(
            "the input {:?} has shape {shape:?}, expected [N, C, H, W] or [C, H, W]",
            tensor.name
        ))),
    }
}

fn filters(tensor: &TensorEntry) -> Result<[usize; 4]> {
    let shape = tensor.layout.shape();
    shape.try_into().map_err(|_| {
        Error::usage(format!(
            "the weight {:?} has shape {shape:?}, expected [O, C/groups, KH, KW]",
            tensor.name
        ))
    })
}
