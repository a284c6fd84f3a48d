//! The layer of a checkpoint that `run` and `plot` execute.

use super::Execution;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::TensorEntry;
use crate::cli::picture::WantedInput;
use crate::error::Error;
use crate::error::Result;
use crate::execute::FloatType;
use crate::execute::Op;
use crate::execute::PaddingMode;
use crate::execute::op::LayerArguments;
use crate::explain::Convolution;
use crate::export::array::Array;
use crate::tensor::DType;

/// A layer ready to run.
pub(in crate::cli) struct Runnable {
    pub(in crate::cli) name: String,
    pub(super) op: Op,
    pub(super) arguments: LayerArguments,
    /// The weight's, as PyTorch has it.
    pub(super) shape: Vec<usize>,
    /// Of all its tensors.
    dtype: DType,
    /// Little-endian, in C order.
    pub(super) weight: Vec<u8>,
    pub(super) bias: Option<Vec<u8>>,
}

impl Runnable {
    pub(in crate::cli) fn of(
        checkpoint: &Checkpoint,
        name: &str,
        execution: &Execution,
    ) -> Result<Self> {
        let name = checkpoint.find_layer(name)?;
        let part = |part: &str| {
            let full = match name.as_str() {
                "" => part.to_owned(),
                name => format!("{name}.{part}"),
            };
            checkpoint.tensors().iter().find(|t| t.name == full)
        };
        let weight = part("weight").ok_or_else(|| {
            Error::usage(format!("the layer {name:?} has no weight"))
                .with_hint("`pthinspect ls` lists the tensors")
        })?;
        let module = checkpoint.module(&name);
        let shape = weight.layout.shape();
        let op = match module {
            Some(module) => Op::of_class(&module.class).ok_or_else(|| {
                let known = Op::ALL.map(Op::class).join(", ");
                Error::unsupported(format!(
                    "{name:?} is a {}, `run` executes {known}",
                    module.class
                ))
            })?,
            None if execution.transposed => Op::ConvTranspose2d,
            None => Op::of_weight(shape.len()).ok_or_else(|| refused(&name, None, shape))?,
        };
        if shape.len() != op.axes() + 2 {
            return Err(refused(&name, Some(op), shape));
        }
        let bias = part("bias");
        if let Some(bias) = bias.filter(|bias| bias.dtype != weight.dtype) {
            return Err(Error::unsupported(format!(
                "the weight of {name:?} is {}, its bias {}; PyTorch convolves tensors of one dtype",
                weight.dtype, bias.dtype
            )));
        }
        let attributes = module.map(|module| &module.attributes);
        let arguments = match op {
            Op::Linear => LayerArguments::default(),
            _ => {
                let convolution = Convolution::of(
                    op == Op::ConvTranspose2d,
                    shape,
                    bias.map(|bias| bias.layout.numel()),
                    attributes,
                    &execution.layer_options(),
                )?;
                arguments(&convolution, execution)?
            }
        };
        Ok(Self {
            op,
            arguments,
            shape: shape.to_vec(),
            dtype: weight.dtype,
            weight: elements(checkpoint, weight)?,
            bias: bias.map(|bias| elements(checkpoint, bias)).transpose()?,
            name,
        })
    }

    /// Whether its output is maps.
    pub(in crate::cli) fn check_maps(&self) -> Result<()> {
        match self.op.axes() {
            2 => Ok(()),
            _ => Err(Error::unsupported(format!(
                "{:?} is a {}, whose output has no maps to plot",
                self.name,
                self.op.class()
            ))),
        }
    }

    pub(super) fn refused(&self, shape: &[usize]) -> Error {
        refused(&self.name, Some(self.op), shape)
    }

    /// What its input must be like.
    pub(in crate::cli) fn input(&self) -> WantedInput<'_> {
        WantedInput {
            layer: &self.name,
            channels: match self.op {
                Op::ConvTranspose2d => self.shape[0],
                _ => self.shape[1].saturating_mul(self.arguments.groups),
            },
            dtype: self.dtype,
        }
    }

    /// The type that layer and input have in common.
    pub(super) fn dtype(&self, input: &Array) -> Result<FloatType> {
        if input.dtype != self.dtype {
            return Err(Error::usage(format!(
                "the input is {}, the weight of {:?} {}; PyTorch convolves tensors of one dtype",
                input.dtype, self.name, self.dtype
            )));
        }
        FloatType::of(self.dtype)
    }
}

fn refused(name: &str, op: Option<Op>, shape: &[usize]) -> Error {
    let expected = match op {
        Some(op) => format!("a {}'s is {}", op.class(), op.weight_axes()),
        None => "`run` executes layers whose weight has two to five axes".to_owned(),
    };
    Error::unsupported(format!(
        "the weight of {name:?} has shape {shape:?}; {expected}"
    ))
}

fn arguments(convolution: &Convolution, execution: &Execution) -> Result<LayerArguments> {
    let hyper = &convolution.hyper;
    let mode = execution
        .padding_mode
        .as_deref()
        .unwrap_or(&hyper.padding_mode.value);
    Ok(LayerArguments {
        stride: hyper.stride.value.clone(),
        padding: hyper.padding.value.clone(),
        dilation: hyper.dilation.value.clone(),
        output_padding: hyper.output_padding.value.clone(),
        groups: convolution.groups.value,
        padding_mode: PaddingMode::parse(mode)?,
    })
}

fn elements(checkpoint: &Checkpoint, tensor: &TensorEntry) -> Result<Vec<u8>> {
    let view = checkpoint.view(tensor)?;
    let bytes = view
        .to_bytes()
        .map_err(|e| e.in_record(tensor.name.clone()))?;
    Ok(bytes.into_owned())
}
