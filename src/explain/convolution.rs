//! The arguments of a convolution, where each is known from, and the output shape that follows.

use serde_json::Value;

use super::layer::LayerOptions;
use crate::error::{Error, Result};

/// A value, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// Who says so.
    pub origin: Origin,
}

/// Where a value is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The module's attributes in the file.
    File,
    /// The user.
    Flag,
    /// It follows from the input, its number of channels, or the bias.
    Follows,
    /// Nobody: PyTorch's default.
    Default,
}

/// Padding as PyTorch takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Padding {
    /// `'same'`: as much as keeps the size.
    Same,
    /// `'valid'`: none.
    Valid,
    /// Per axis, on both sides.
    Sizes(Vec<usize>),
}

/// The arguments of a convolution that its weight does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hyperparameters {
    /// Step of the kernel, per axis.
    pub stride: Known<Vec<usize>>,
    /// Rows and columns added around the input.
    pub padding: Known<Padding>,
    /// Distance between taps, per axis.
    pub dilation: Known<Vec<usize>>,
    /// Added on one side of a transposed convolution's output, per axis.
    pub output_padding: Known<Vec<usize>>,
    /// What the padding is filled with: `zeros`, `reflect`, `replicate`, `circular`.
    pub padding_mode: Known<String>,
}

/// A convolution, seen through its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Whether it is a transposed one.
    pub transposed: bool,
    /// Kernel sizes.
    pub kernel: Vec<usize>,
    /// Groups: filters of a group see the channels of that group only.
    pub groups: Known<usize>,
    /// Input channels of the layer.
    pub in_channels: usize,
    /// Output channels of the layer.
    pub out_channels: usize,
    /// The rest.
    pub hyper: Hyperparameters,
}

/// The output shape for a given input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Shape of the input.
    pub input: Vec<usize>,
    /// Shape of the output.
    pub shape: Vec<usize>,
    /// How each spatial size comes about.
    pub axes: Vec<OutputAxis>,
}

/// How one spatial size of the output comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputAxis {
    /// Input size.
    pub input: usize,
    /// Padding before and after.
    pub padding: (usize, usize),
    /// Distance between taps.
    pub dilation: usize,
    /// Kernel size.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Added to a transposed convolution's output.
    pub output_padding: usize,
    /// Output size.
    pub output: usize,
    /// Rows (columns) at the end of the padded input that no tap reads.
    pub unread: usize,
}

impl Convolution {
    /// From the shapes of weight and bias, the module's attributes (where the file has them) and the user's flags.
    ///
    /// `shape` has at least two axes.
    pub fn of(
        transposed: bool,
        shape: &[usize],
        bias: Option<usize>,
        attributes: Option<&serde_json::Map<String, Value>>,
        options: &LayerOptions,
    ) -> Result<Self> {
        let dims = shape.len() - 2;
        let groups = groups(transposed, shape, bias, attributes, options)?;
        let over = |n: usize| n.saturating_mul(groups.value);
        let (in_channels, out_channels) = if transposed {
            (shape[0], over(shape[1]))
        } else {
            (over(shape[1]), shape[0])
        };
        Ok(Self {
            transposed,
            kernel: shape[2..].to_vec(),
            groups,
            in_channels,
            out_channels,
            hyper: Hyperparameters::of(dims, attributes, options)?,
        })
    }

    /// Filters of one group.
    pub fn filters_per_group(&self) -> usize {
        self.out_channels / self.groups.value.max(1)
    }

    /// Input channels of one group.
    pub fn channels_per_group(&self) -> usize {
        self.in_channels / self.groups.value.max(1)
    }

    /// Whether every input channel has filters of its own.
    pub fn is_depthwise(&self) -> bool {
        self.groups.value > 1 && self.channels_per_group() == 1
    }

    /// Whether nobody says how many groups there are, and the filters' single channel leaves it open: an input of one
    /// channel, or a depthwise layer?
    pub fn may_be_depthwise(&self) -> bool {
        let single = !self.transposed && self.in_channels == 1 && self.out_channels > 1;
        single && self.groups.origin == Origin::Default
    }

    /// The output for an input of `[N, C, ...]` or `[C, ...]`.
    pub fn output(&self, input: &[usize]) -> Result<Output> {
        let dims = self.kernel.len();
        let spatial = input
            .len()
            .checked_sub(dims)
            .filter(|lead| matches!(lead, 1 | 2));
        let Some(lead) = spatial else {
            let letters = ["C,L", "C,H,W", "C,D,H,W"]
                .get(dims.wrapping_sub(1))
                .unwrap_or(&"C,...");
            return Err(Error::usage(format!(
                "--input needs N,{letters} (or {letters}), got {} sizes",
                input.len()
            )));
        };
        if input[lead - 1] != self.in_channels {
            return Err(Error::usage(format!(
                "the input has {} channels, the layer takes {}",
                input[lead - 1],
                self.in_channels
            )));
        }
        let axes = (0..dims)
            .map(|axis| self.output_axis(axis, input[lead + axis]))
            .collect::<Result<Vec<_>>>()?;
        let mut shape = input[..lead - 1].to_vec();
        shape.push(self.out_channels);
        shape.extend(axes.iter().map(|axis| axis.output));
        Ok(Output {
            input: input.to_vec(),
            shape,
            axes,
        })
    }

    fn output_axis(&self, axis: usize, input: usize) -> Result<OutputAxis> {
        let hyper = &self.hyper;
        let (kernel, stride) = (self.kernel[axis], hyper.stride.value[axis]);
        let (dilation, output_padding) =
            (hyper.dilation.value[axis], hyper.output_padding.value[axis]);
        let too_large = || Error::usage("sizes of this input or kernel overflow");
        let reach = kernel
            .saturating_sub(1)
            .checked_mul(dilation)
            .ok_or_else(too_large)?;
        let padding = match &hyper.padding.value {
            Padding::Valid => (0, 0),
            Padding::Sizes(sizes) => (sizes[axis], sizes[axis]),
            Padding::Same if stride != 1 => {
                return Err(Error::usage("padding 'same' needs stride 1"));
            }
            Padding::Same => (reach / 2, reach - reach / 2),
        };
        let add = |a: usize, b: usize| a.checked_add(b).ok_or_else(too_large);
        let base = OutputAxis {
            input,
            padding,
            dilation,
            kernel,
            stride,
            output_padding,
            output: 0,
            unread: 0,
        };
        if self.transposed {
            let grown = input
                .saturating_sub(1)
                .checked_mul(stride)
                .ok_or_else(too_large)?;
            let full = add(add(grown, reach)?, add(output_padding, 1)?)?;
            let output = full
                .checked_sub(add(padding.0, padding.1)?)
                .filter(|&output| output > 0)
                .ok_or_else(|| Error::usage("the padding takes away the whole output"))?;
            return Ok(OutputAxis { output, ..base });
        }
        let padded = add(add(input, padding.0)?, padding.1)?;
        let room = padded.checked_sub(add(reach, 1)?).ok_or_else(|| {
            Error::usage(format!(
                "the kernel spans {} but the padded input is only {padded}",
                reach.saturating_add(1)
            ))
        })?;
        Ok(OutputAxis {
            output: room / stride + 1,
            unread: room % stride,
            ..base
        })
    }
}

fn groups(
    transposed: bool,
    shape: &[usize],
    bias: Option<usize>,
    attributes: Option<&serde_json::Map<String, Value>>,
    options: &LayerOptions,
) -> Result<Known<usize>> {
    let channels = if transposed {
        None
    } else {
        options.in_channels.or(input_channels(shape, options))
    };
    let found = if let Some(groups) = options.groups {
        Known {
            value: groups,
            origin: Origin::Flag,
        }
    } else if let Some(groups) = attributes
        .and_then(|a| a.get("groups"))
        .and_then(Value::as_u64)
    {
        Known {
            value: usize::try_from(groups).unwrap_or(usize::MAX),
            origin: Origin::File,
        }
    } else if let Some(channels) = channels {
        let per_group = shape[1].max(1);
        if channels == 0 || channels % per_group != 0 {
            return Err(Error::usage(format!(
                "{channels} input channels cannot be: every filter sees {per_group}"
            )));
        }
        Known {
            value: channels / per_group,
            origin: Origin::Follows,
        }
    } else if let Some(outputs) = bias.filter(|outputs| transposed && *outputs >= shape[1]) {
        // the weight holds out/groups, the bias out
        Known {
            value: outputs / shape[1].max(1),
            origin: Origin::Follows,
        }
    } else {
        Known {
            value: 1,
            origin: Origin::Default,
        }
    };
    let grouped = shape[0];
    if found.value == 0 || (grouped > 0 && !grouped.is_multiple_of(found.value)) {
        let what = if transposed {
            "input channels"
        } else {
            "filters"
        };
        return Err(Error::usage(format!(
            "{grouped} {what} cannot form {} groups",
            found.value
        )));
    }
    Ok(found)
}

/// Channels of `--input`, where it has as many sizes as this weight's layer takes.
fn input_channels(shape: &[usize], options: &LayerOptions) -> Option<usize> {
    let input = options.input.as_deref()?;
    let lead = input.len().checked_sub(shape.len() - 2)?;
    matches!(lead, 1 | 2).then(|| input[lead - 1])
}

impl Hyperparameters {
    fn of(
        dims: usize,
        attributes: Option<&serde_json::Map<String, Value>>,
        options: &LayerOptions,
    ) -> Result<Self> {
        let from_file = |name: &str| attributes.and_then(|a| a.get(name));
        let sizes = |name: &str, flag: &Option<Vec<usize>>, default: usize| {
            if let Some(values) = flag {
                let value = per_axis(values, dims, name)?;
                return Ok::<_, Error>(Known {
                    value,
                    origin: Origin::Flag,
                });
            }
            if let Some(values) = from_file(name).and_then(numbers)
                && let Ok(value) = per_axis(&values, dims, name)
            {
                return Ok(Known {
                    value,
                    origin: Origin::File,
                });
            }
            Ok(Known {
                value: vec![default; dims],
                origin: Origin::Default,
            })
        };
        let stride = sizes("stride", &options.stride, 1)?;
        let dilation = sizes("dilation", &options.dilation, 1)?;
        for (name, known) in [("stride", &stride), ("dilation", &dilation)] {
            if known.value.contains(&0) {
                return Err(Error::usage(format!("{name} must be at least 1")));
            }
        }
        let padding = match &options.padding {
            Some(Padding::Sizes(values)) => Known {
                value: Padding::Sizes(per_axis(values, dims, "padding")?),
                origin: Origin::Flag,
            },
            Some(word) => Known {
                value: word.clone(),
                origin: Origin::Flag,
            },
            None => match from_file("padding").and_then(Value::as_str) {
                Some("same") => Known {
                    value: Padding::Same,
                    origin: Origin::File,
                },
                Some("valid") => Known {
                    value: Padding::Valid,
                    origin: Origin::File,
                },
                _ => {
                    let known = sizes("padding", &None, 0)?;
                    Known {
                        value: Padding::Sizes(known.value),
                        origin: known.origin,
                    }
                }
            },
        };
        let padding_mode = match from_file("padding_mode").and_then(Value::as_str) {
            Some(mode) => Known {
                value: mode.to_owned(),
                origin: Origin::File,
            },
            None => Known {
                value: "zeros".to_owned(),
                origin: Origin::Default,
            },
        };
        let output_padding = sizes("output_padding", &options.output_padding, 0)?;
        Ok(Self {
            stride,
            padding,
            dilation,
            output_padding,
            padding_mode,
        })
    }
}

/// One number for all axes, or one per axis.
fn per_axis(values: &[usize], dims: usize, name: &str) -> Result<Vec<usize>> {
    match values {
        [one] => Ok(vec![*one; dims]),
        values if values.len() == dims => Ok(values.to_vec()),
        values => Err(Error::usage(format!(
            "{name} needs 1 or {dims} numbers, got {}",
            values.len()
        ))),
    }
}

/// A number or a list of numbers.
fn numbers(value: &Value) -> Option<Vec<usize>> {
    let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    match value {
        Value::Array(items) => items.iter().map(number).collect(),
        value => number(value).map(|n| vec![n]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Convolution, Origin, Padding};
    use crate::explain::layer::LayerOptions;

    fn conv(transposed: bool, shape: &[usize], options: &LayerOptions) -> Convolution {
        Convolution::of(transposed, shape, None, None, options).unwrap()
    }

    #[test]
    fn output_sizes_are_pytorchs() {
        // (kernel, stride, padding, dilation, input) -> output, as torch 2.15 gives them
        for (k, s, p, d, input, output) in [
            (5, 1, 2, 1, 32, 32),
            (5, 1, 0, 1, 32, 28),
            (7, 2, 3, 1, 224, 112),
            (3, 2, 1, 1, 224, 112),
            (3, 1, 2, 2, 10, 10),
            (1, 3, 0, 1, 10, 4),
        ] {
            let options = LayerOptions {
                stride: Some(vec![s]),
                padding: Some(Padding::Sizes(vec![p])),
                dilation: Some(vec![d]),
                ..LayerOptions::default()
            };
            let conv = conv(false, &[6, 3, k, k], &options);
            let found = conv.output(&[2, 3, input, input]).unwrap();
            assert_eq!(
                found.shape,
                [2, 6, output, output],
                "{k} {s} {p} {d} {input}"
            );
        }
    }

    #[test]
    fn transposed_output_sizes_are_pytorchs() {
        let options = LayerOptions {
            stride: Some(vec![2]),
            padding: Some(Padding::Sizes(vec![1])),
            output_padding: Some(vec![1]),
            ..LayerOptions::default()
        };
        let found = conv(true, &[16, 8, 3, 3], &options)
            .output(&[16, 7, 7])
            .unwrap();
        assert_eq!(found.shape, [8, 14, 14]);
    }

    #[test]
    fn groups_follow_from_the_input_channels() {
        let options = LayerOptions {
            in_channels: Some(32),
            ..LayerOptions::default()
        };
        let conv = conv(false, &[32, 1, 3, 3], &options);
        assert_eq!(
            (conv.groups.value, conv.groups.origin),
            (32, Origin::Follows)
        );
        assert!(conv.is_depthwise());
        let wrong = LayerOptions {
            groups: Some(5),
            ..LayerOptions::default()
        };
        assert!(Convolution::of(false, &[32, 1, 3, 3], None, None, &wrong).is_err());
    }

    #[test]
    fn impossible_inputs_are_refused() {
        let conv = conv(false, &[4, 3, 5, 5], &LayerOptions::default());
        assert!(
            conv.output(&[1, 3, 4, 8]).is_err(),
            "smaller than the kernel"
        );
        assert!(conv.output(&[1, 4, 8, 8]).is_err(), "wrong channels");
        assert!(conv.output(&[3]).is_err(), "too few sizes");
    }

    #[test]
    fn same_padding_keeps_the_size() {
        let options = LayerOptions {
            padding: Some(Padding::Same),
            ..LayerOptions::default()
        };
        let found = conv(false, &[1, 1, 4, 3], &options)
            .output(&[1, 9, 9])
            .unwrap();
        assert_eq!(found.shape, [1, 9, 9]);
        assert_eq!(found.axes[0].padding, (1, 2));
    }
}
