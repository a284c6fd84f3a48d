//! One layer: what it is, what its axes mean, where every weight lies.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::convolution::{Convolution, Output};
use super::hyperparameters::Padding;
use super::kind::{Axis, Clues, Evidence, Kind};
use super::memory::{Memory, Picture, Relation, Sharing, bytes_of, first_stored};
use super::sections::{Sections, Wanted};
use super::select::{ElementAt, Selection, Slice};
use crate::checkpoint::Checkpoint;
use crate::checkpoint::StorageId;
use crate::checkpoint::TensorEntry;
use crate::error::{Error, ErrorKind, Result};
use crate::tensor::ByteOrder;
use crate::tensor::DType;
use crate::tensor::Element;

/// What the user says about the layer, and which part of it to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerOptions {
    /// Groups.
    pub groups: Option<usize>,
    /// Input channels of the layer; the number of groups follows.
    pub in_channels: Option<usize>,
    /// Take a convolution's weight for that of a transposed one.
    pub transposed: bool,
    /// Stride, one for all axes or one per axis.
    pub stride: Option<Vec<usize>>,
    /// Padding.
    pub padding: Option<Padding>,
    /// Dilation.
    pub dilation: Option<Vec<usize>>,
    /// What the padding holds: zeros, reflect, replicate, circular.
    pub padding_mode: Option<String>,
    /// Output padding of a transposed convolution.
    pub output_padding: Option<Vec<usize>>,
    /// Shape of an input.
    pub input: Option<Vec<usize>>,
    /// Show this filter (row, vector, output map).
    pub filter: Option<usize>,
    /// Show this channel (of the filter, where one is given).
    pub channel: Option<usize>,
    /// Show the element at this index.
    pub at: Option<Vec<usize>>,
    /// Show the element at this flat position.
    pub flat: Option<usize>,
    /// What to show beyond the page.
    pub sections: Wanted,
}

/// What `layer` shows.
#[derive(Debug)]
pub struct Layer {
    /// The file.
    pub file: PathBuf,
    /// `torch-zip`, `safetensors`, ...
    pub format: &'static str,
    /// Byte order of the stored elements.
    pub byte_order: ByteOrder,
    /// Path of the layer.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Why.
    pub evidence: Evidence,
    /// The module's own attributes, where the file has them.
    pub attributes: Option<Map<String, Value>>,
    /// The weight (or the tensor that was asked for).
    pub weight: Part,
    /// What each axis of the weight counts.
    pub axes: Vec<Axis>,
    /// Bias, running statistics and whatever else lies beside the weight.
    pub others: Vec<Part>,
    /// The convolution, where it is one.
    pub convolution: Option<Convolution>,
    /// Whether a convolution comes before it in the file, so that its input is hardly a picture.
    pub is_deeper: bool,
    /// First, second and last slice along the first axis.
    pub slices: Vec<Slice>,
    /// First, second and last slice along the first two axes, where the weight has a third.
    pub channels: Vec<Slice>,
    /// Indices of the elements that lie first in memory, where that is not C order.
    pub first_stored: Vec<Vec<usize>>,
    /// How the weight lies in memory.
    pub picture: Picture,
    /// The output for the given input.
    pub output: Option<Output>,
    /// The chosen part.
    pub selection: Option<Selection>,
    /// The values of the other tensors that belong to the chosen part.
    pub companions: Vec<Companion>,
    /// The chosen element.
    pub element: Option<ElementAt>,
    /// What was asked for beyond the page.
    pub sections: Sections,
}

/// What a tensor of a layer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The weight itself.
    Weight,
    /// Added to every output.
    Bias,
    /// Mean that a batch normalization subtracts.
    RunningMean,
    /// Variance that a batch normalization divides by.
    RunningVar,
    /// Training batches seen.
    BatchCounter,
    /// Anything else.
    Other,
}

/// A number beside the weight that belongs to the chosen part: its bias, its running mean, ...
#[derive(Clone, Debug)]
pub struct Companion {
    /// Full name of its tensor.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// The number.
    pub value: Element,
}

/// One tensor of the layer.
#[derive(Debug)]
pub struct Part {
    /// Full name.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// Element type.
    pub dtype: DType,
    /// Sizes per axis.
    pub shape: Vec<usize>,
    /// Elements from one index to the next, per axis.
    pub stride: Vec<usize>,
    /// Elements from the storage's start to the first one.
    pub storage_offset: usize,
    /// Elements.
    pub numel: usize,
    /// Bytes of the elements.
    pub nbytes: u64,
    /// How they lie in memory.
    pub memory: Memory,
    /// Lazily conjugated or negated.
    pub lazy: bool,
    /// The storage: key, bytes, device it was saved from.
    pub storage: Option<(String, u64, String)>,
    /// Other tensors in the storage, and how they relate.
    pub neighbours: Vec<(String, Relation)>,
    /// Where the elements lie.
    pub whole: Slice,
    /// What else belongs to a sparse, quantized or meta tensor.
    pub extra: Map<String, Value>,
}

impl Layer {
    /// Explains the layer (or single tensor) called `name`.
    pub fn of(checkpoint: &Checkpoint, name: &str, options: &LayerOptions) -> Result<Self> {
        let (path, weight) = find(checkpoint, name)?;
        let siblings = siblings(checkpoint, &path, weight);
        let sibling = |role| siblings.iter().find(|t| role_of(&path, t) == role);
        let module = checkpoint.module(&path);
        let shape = weight.layout.shape();
        let bias = sibling(Role::Bias).map(|t| t.layout.shape());
        let (kind, evidence) = Kind::identify(&Clues {
            name: &path,
            class: module.map(|module| module.class.as_str()),
            shape,
            bias,
            running_mean: sibling(Role::RunningMean).is_some(),
            transposed: options.transposed,
        });
        let attributes = module.map(|module| module.attributes.clone());
        let convolution = convolution(kind, shape, bias, attributes.as_ref(), options)?;
        let sharing = Sharing::of(checkpoint);
        let part = |tensor| Part::of(checkpoint, &sharing, tensor, role_of(&path, tensor));
        let output = match &options.input {
            Some(input) => Some(output(kind, convolution.as_ref(), shape, input)?),
            None => None,
        };
        let fixed = fixed(shape, kind, options)?;
        let selection = match fixed.iter().any(Option::is_some) {
            true => Some(Selection::of(checkpoint, weight, fixed.clone())?),
            false => None,
        };
        let mut layer = Self {
            file: checkpoint
                .file_of(weight)
                .unwrap_or(checkpoint.path())
                .to_owned(),
            format: checkpoint.format().name(),
            byte_order: checkpoint.byte_order(),
            weight: part(weight)?,
            others: siblings
                .iter()
                .map(|&tensor| part(tensor))
                .collect::<Result<_>>()?,
            axes: kind.axes(shape.len()),
            slices: samples(checkpoint, weight, 1)?,
            channels: if shape.len() > 2 {
                samples(checkpoint, weight, 2)?
            } else {
                Vec::new()
            },
            is_deeper: is_deeper(checkpoint, weight),
            first_stored: first_stored(&weight.layout, 3),
            picture: Picture::of(&weight.layout),
            companions: companions(checkpoint, &siblings, shape, kind, options)?,
            element: element(checkpoint, weight, options)?,
            name: path,
            kind,
            evidence,
            attributes,
            convolution,
            output,
            selection,
            sections: Sections::default(),
        };
        layer.sections = Sections::of(checkpoint, weight, &layer, &options.sections, fixed)?;
        Ok(layer)
    }
}

fn convolution(
    kind: Kind,
    shape: &[usize],
    bias: Option<&[usize]>,
    attributes: Option<&Map<String, Value>>,
    options: &LayerOptions,
) -> Result<Option<Convolution>> {
    let bias = bias.filter(|bias| bias.len() == 1).map(|bias| bias[0]);
    match kind {
        Kind::Conv(_) => Convolution::of(false, shape, bias, attributes, options).map(Some),
        Kind::ConvTranspose(_) => Convolution::of(true, shape, bias, attributes, options).map(Some),
        _ => Ok(None),
    }
}

/// The layer's path and its weight; a tensor that is nobody's weight is explained alone.
fn find<'a>(checkpoint: &'a Checkpoint, name: &str) -> Result<(String, &'a TensorEntry)> {
    match checkpoint.find_layer(name) {
        Ok(path) => {
            let weight = checkpoint.find_tensor(&joined(&path, "weight"))?;
            Ok((path, weight))
        }
        Err(error) if error.kind() == ErrorKind::Usage => {
            let tensor = checkpoint.find_tensor(name).map_err(|_| error)?;
            Ok((tensor.name.clone(), tensor))
        }
        Err(error) => Err(error),
    }
}

fn is_deeper(checkpoint: &Checkpoint, weight: &TensorEntry) -> bool {
    let rank = weight.layout.shape().len();
    let mut before = checkpoint
        .tensors()
        .iter()
        .take_while(|tensor| !std::ptr::eq(*tensor, weight));
    rank > 2 && before.any(|tensor| tensor.layout.shape().len() == rank)
}

pub(super) fn joined(path: &str, last: &str) -> String {
    if path.is_empty() {
        last.to_owned()
    } else {
        format!("{path}.{last}")
    }
}

/// The tensors directly under `path`, the weight left out; none beside a tensor that is explained alone.
fn siblings<'a>(
    checkpoint: &'a Checkpoint,
    path: &str,
    weight: &TensorEntry,
) -> Vec<&'a TensorEntry> {
    let prefix = joined(path, "");
    checkpoint
        .tensors()
        .iter()
        .filter(|tensor| weight.name != path && tensor.name != weight.name)
        .filter(|tensor| {
            tensor
                .name
                .strip_prefix(&prefix)
                .is_some_and(|rest| !rest.contains('.'))
        })
        .collect()
}

fn role_of(path: &str, tensor: &TensorEntry) -> Role {
    match tensor
        .name
        .strip_prefix(path)
        .map(|rest| rest.trim_start_matches('.'))
    {
        Some("" | "weight") => Role::Weight,
        Some("bias") => Role::Bias,
        Some("running_mean") => Role::RunningMean,
        Some("running_var") => Role::RunningVar,
        Some("num_batches_tracked") => Role::BatchCounter,
        _ => Role::Other,
    }
}

impl Part {
    fn of(
        checkpoint: &Checkpoint,
        sharing: &Sharing,
        tensor: &TensorEntry,
        role: Role,
    ) -> Result<Self> {
        let layout = &tensor.layout;
        let storage = tensor
            .storage
            .and_then(|StorageId(id)| checkpoint.storages().get(id));
        let tensors = checkpoint.tensors();
        let neighbours = tensor.storage.map_or(&[][..], |id| sharing.residents(id));
        Ok(Self {
            name: tensor.name.clone(),
            role,
            dtype: tensor.dtype,
            shape: layout.shape().to_vec(),
            stride: layout.stride().to_vec(),
            storage_offset: layout.storage_offset(),
            numel: layout.numel(),
            nbytes: bytes_of(layout.numel() as u64, tensor.dtype.bits()),
            memory: Memory::of(layout),
            lazy: tensor.conj || tensor.neg,
            storage: storage.map(|s| (s.key.clone(), s.nbytes as u64, s.location.clone())),
            neighbours: neighbours
                .iter()
                .map(|&number| &tensors[number])
                .filter(|other| !std::ptr::eq(*other, tensor))
                .map(|other| (other.name.clone(), Relation::between(layout, &other.layout)))
                .collect(),
            whole: Slice::of(checkpoint, tensor, &[])?,
            extra: tensor.extra.clone(),
        })
    }
}

/// The first, the second and the last slice along the first `axes` axes.
fn samples(checkpoint: &Checkpoint, tensor: &TensorEntry, axes: usize) -> Result<Vec<Slice>> {
    let shape = tensor.layout.shape();
    let Some(counts) = shape.get(..axes) else {
        return Ok(Vec::new());
    };
    let total = counts
        .iter()
        .try_fold(1, |total: usize, &n| total.checked_mul(n))
        .unwrap_or(0);
    let mut numbers = vec![0, 1, total.saturating_sub(1)];
    numbers.retain(|&number| number < total);
    numbers.dedup();
    numbers
        .into_iter()
        .map(|number| {
            let prefix = match counts {
                [_, inner] => vec![number / inner, number % inner],
                _ => vec![number],
            };
            Slice::of(checkpoint, tensor, &prefix)
        })
        .collect()
}

/// The axes that `--filter` and `--channel` choose along: output first, whatever the kind of layer.
fn chosen_axes(kind: Kind) -> (usize, usize) {
    match kind {
        Kind::ConvTranspose(_) => (1, 0),
        Kind::BatchNorm | Kind::Norm => (0, 0),
        _ => (0, 1),
    }
}

/// The chosen index along each axis, by `--filter` and `--channel`.
fn fixed(shape: &[usize], kind: Kind, options: &LayerOptions) -> Result<Vec<Option<usize>>> {
    let mut fixed = vec![None; shape.len()];
    let (filter, channel) = chosen_axes(kind);
    for (wanted, word, axis) in [
        (options.filter, "filter", filter),
        (options.channel, "channel", channel),
    ] {
        let Some(index) = wanted else { continue };
        let size = *shape.get(axis).ok_or_else(|| {
            Error::usage(format!(
                "--{word} makes no sense for a tensor with {} axes",
                shape.len()
            ))
        })?;
        if index >= size {
            return Err(Error::usage(format!(
                "--{word} {index}: there are {size}, counted from 0"
            )));
        }
        fixed[axis] = Some(index);
    }
    Ok(fixed)
}

/// The numbers beside the weight that belong to the chosen filter or channel: its bias, its running mean, ...
fn companions(
    checkpoint: &Checkpoint,
    siblings: &[&TensorEntry],
    shape: &[usize],
    kind: Kind,
    options: &LayerOptions,
) -> Result<Vec<Companion>> {
    let (axis, _) = chosen_axes(kind);
    let chosen = match kind {
        Kind::BatchNorm | Kind::Norm => options.filter.or(options.channel),
        _ => options.filter,
    };
    let (Some(chosen), Some(&size)) = (chosen, shape.get(axis)) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for tensor in siblings
        .iter()
        .filter(|tensor| tensor.layout.shape() == [size])
    {
        if let Some(value) = checkpoint.view(tensor)?.element(&[chosen]) {
            found.push(Companion {
                name: tensor.name.clone(),
                dtype: tensor.dtype,
                value,
            });
        }
    }
    Ok(found)
}

fn element(
    checkpoint: &Checkpoint,
    weight: &TensorEntry,
    options: &LayerOptions,
) -> Result<Option<ElementAt>> {
    match (&options.at, options.flat) {
        (Some(index), _) => ElementAt::at(checkpoint, weight, index).map(Some),
        (None, Some(flat)) => ElementAt::at_flat(checkpoint, weight, flat).map(Some),
        (None, None) => Ok(None),
    }
}

/// The output shape of any layer whose rule is known.
fn output(
    kind: Kind,
    convolution: Option<&Convolution>,
    shape: &[usize],
    input: &[usize],
) -> Result<Output> {
    if let Some(convolution) = convolution {
        return convolution.output(input);
    }
    let mut output = input.to_vec();
    match (kind, output.last_mut(), shape) {
        (Kind::Linear, Some(last), &[outputs, inputs]) if *last == inputs => *last = outputs,
        (Kind::Linear, _, &[_, inputs]) => {
            return Err(Error::usage(format!(
                "the input's last size must be {inputs}, got {input:?}"
            )));
        }
        (Kind::Embedding, _, &[_, size]) => output.push(size),
        (Kind::BatchNorm, Some(_), &[channels]) => {
            let found = input.get(1).or(input.first());
            if found != Some(&channels) {
                return Err(Error::usage(format!(
                    "the input must have {channels} channels (axis 1), got {input:?}"
                )));
            }
        }
        _ => {
            return Err(Error::usage(
                "no output shape is known for this kind of layer",
            ));
        }
    }
    Ok(Output {
        input: input.to_vec(),
        shape: output,
        axes: Vec::new(),
    })
}
