//! A convolution seen through its weight, and the output shape that follows.

use serde_json::Value;

use super::hyperparameters::{Hyperparameters, Known, Origin};
use super::layer::LayerOptions;
use super::window::check_padding;
use crate::error::{Error, Result};
use crate::geometry::{Misfit, Window, WindowKind};

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
        check_padding(self, &axes)?;
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
        let refuse = |misfit: Misfit| Error::usage(misfit.to_string());
        let padding = hyper.padding.value.on(axis, kernel, dilation, stride);
        let window = Window {
            input,
            padding: padding.map_err(refuse)?,
            dilation,
            kernel,
            stride,
            kind: match self.transposed {
                true => WindowKind::Transposed(output_padding),
                false => WindowKind::Floor,
            },
        };
        Ok(OutputAxis {
            input,
            padding: window.padding,
            dilation,
            kernel,
            stride,
            output_padding,
            output: window.output().map_err(refuse)?,
            unread: window.unread(),
        })
    }
}

/// How many groups, by the first of: the flag, the file, the input channels, the bias, PyTorch's default.
fn groups(
    transposed: bool,
    shape: &[usize],
    bias: Option<usize>,
    attributes: Option<&serde_json::Map<String, Value>>,
    options: &LayerOptions,
) -> Result<Known<usize>> {
    let in_file = attributes
        .and_then(|a| a.get("groups"))
        .and_then(Value::as_u64);
    let per_group = shape[1].max(1);
    let found = if let Some(groups) = options.groups {
        Known::new(groups, Origin::Flag)
    } else if let Some(groups) = in_file {
        Known::new(usize::try_from(groups).unwrap_or(usize::MAX), Origin::File)
    } else if let Some(channels) = input_channels(shape, options).filter(|_| !transposed) {
        if channels == 0 || channels % per_group != 0 {
            let text =
                format!("{channels} input channels cannot be: every filter sees {per_group}");
            return Err(Error::usage(text));
        }
        Known::new(channels / per_group, Origin::Follows)
    } else if let Some(outputs) = bias.filter(|outputs| transposed && *outputs >= per_group) {
        // the weight holds out/groups, the bias out
        Known::new(outputs / per_group, Origin::Follows)
    } else {
        Known::new(1, Origin::Default)
    };
    let grouped = shape[0];
    if found.value == 0 || (grouped > 0 && !grouped.is_multiple_of(found.value)) {
        let what = if transposed {
            "input channels"
        } else {
            "filters"
        };
        let text = format!("{grouped} {what} cannot form {} groups", found.value);
        return Err(Error::usage(text));
    }
    Ok(found)
}

/// `--in-channels`, or the channels of `--input` where it has as many sizes as this weight's layer takes.
fn input_channels(shape: &[usize], options: &LayerOptions) -> Option<usize> {
    options.in_channels.or_else(|| {
        let input = options.input.as_deref()?;
        let lead = input.len().checked_sub(shape.len() - 2)?;
        matches!(lead, 1 | 2).then(|| input[lead - 1])
    })
}

#[cfg(test)]
mod tests {
    use super::{Convolution, Origin};
    use crate::explain::layer::LayerOptions;
    use crate::geometry::Padding;

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
