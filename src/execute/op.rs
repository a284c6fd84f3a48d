//! The layers that are executed, each laid out as a convolution of images.
//!
//! PyTorch itself takes a Conv1d for a Conv2d of one row (`view1d_as_2d` in aten/src/ATen/native/Convolution.cpp). The
//! others are laid out here only: a Linear is a 1 x 1 convolution of as many one-pixel images as its input has vectors;
//! a volume is an image that has the rows of all slices, one slice after the other; and a transposed convolution has its
//! weight's first two axes swapped, within each group. None of this moves an element but the last.

use crate::error::Error;
use crate::error::Result;
use crate::execute::Arguments;
use crate::execute::Depth;
use crate::execute::Form;
use crate::execute::Geometry;
use crate::execute::PaddingMode;
use crate::execute::conv2d;

/// A layer of PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Op {
    /// `torch.nn.Conv2d`
    #[default]
    Conv2d,
    /// `torch.nn.Conv1d`
    Conv1d,
    /// `torch.nn.Conv3d`
    Conv3d,
    /// `torch.nn.ConvTranspose2d`
    ConvTranspose2d,
    /// `torch.nn.Linear`
    Linear,
}

/// `padding`, one number per axis.
pub type Padding = crate::geometry::Padding<Vec<usize>>;

/// The arguments of a layer that are not in the weight's shape, as PyTorch takes them: one number per axis, or one for
/// all of them. A Linear has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerArguments {
    /// Stride.
    pub stride: Vec<usize>,
    /// Padding.
    pub padding: Padding,
    /// Dilation.
    pub dilation: Vec<usize>,
    /// What the output of a transposed convolution has more at its far sides.
    pub output_padding: Vec<usize>,
    /// Groups.
    pub groups: usize,
    /// What the padding holds.
    pub padding_mode: PaddingMode,
}

impl Default for LayerArguments {
    /// PyTorch's defaults.
    fn default() -> Self {
        Self {
            stride: vec![1],
            padding: Padding::Sizes(vec![0]),
            dilation: vec![1],
            output_padding: vec![0],
            groups: 1,
            padding_mode: PaddingMode::Zeros,
        }
    }
}

/// Names: the golden file's, the module's class, the axes of input and weight.
const NAMES: [(Op, &str, &str, &str, &str); 5] = [
    (
        Op::Conv2d,
        "conv2d",
        "Conv2d",
        "N, C, H, W",
        "O, C/groups, KH, KW",
    ),
    (Op::Conv1d, "conv1d", "Conv1d", "N, C, L", "O, C/groups, K"),
    (
        Op::Conv3d,
        "conv3d",
        "Conv3d",
        "N, C, D, H, W",
        "O, C/groups, KD, KH, KW",
    ),
    (
        Op::ConvTranspose2d,
        "conv_transpose2d",
        "ConvTranspose2d",
        "N, C, H, W",
        "C, O/groups, KH, KW",
    ),
    (Op::Linear, "linear", "Linear", "..., C", "O, C"),
];

impl Op {
    /// All of them.
    pub const ALL: [Op; 5] = [
        Op::Conv2d,
        Op::Conv1d,
        Op::Conv3d,
        Op::ConvTranspose2d,
        Op::Linear,
    ];

    fn names(self) -> (Op, &'static str, &'static str, &'static str, &'static str) {
        let known = NAMES.iter().find(|names| names.0 == self);
        *known.unwrap_or(&NAMES[0])
    }

    /// The golden file's word for it, that of `torch.nn.functional`.
    pub fn name(self) -> &'static str {
        self.names().1
    }

    /// The class in `torch.nn`.
    pub fn class(self) -> &'static str {
        self.names().2
    }

    /// The op called `name`.
    pub fn parse(name: &str) -> Option<Op> {
        Op::ALL.into_iter().find(|op| op.name() == name)
    }

    /// The op of a module's class, which may be a subclass by its name.
    pub fn of_class(class: &str) -> Option<Op> {
        // a transposed convolution's name ends as no other one's
        let ends = |op: &Op| class.ends_with(op.class());
        Op::ALL.into_iter().find(ends)
    }

    /// The op that a weight of so many axes is taken for, where nothing else is known.
    pub fn of_weight(axes: usize) -> Option<Op> {
        match axes {
            2 => Some(Op::Linear),
            3 => Some(Op::Conv1d),
            4 => Some(Op::Conv2d),
            5 => Some(Op::Conv3d),
            _ => None,
        }
    }

    /// Axes that its kernel has.
    pub fn axes(self) -> usize {
        match self {
            Op::Linear => 0,
            Op::Conv1d => 1,
            Op::Conv2d | Op::ConvTranspose2d => 2,
            Op::Conv3d => 3,
        }
    }

    /// What an input's axes are: `[N, C, H, W] or [C, H, W]`.
    pub fn input_axes(self) -> String {
        let axes = self.names().3;
        match axes.strip_prefix("N, ") {
            Some(single) => format!("[{axes}] or [{single}]"),
            None => format!("[{axes}]"),
        }
    }

    /// What its weight's axes are: `[O, C/groups, KH, KW]`.
    pub fn weight_axes(self) -> String {
        format!("[{}]", self.names().4)
    }

    /// Whether an input of this shape has an axis for the batch. A Linear's has any number of them.
    pub fn is_batched(self, shape: &[usize]) -> bool {
        shape.len() == self.axes() + 2
    }

    /// The input's shape `[N, C, H, W]`, laid out; `None` where its number of axes is another.
    ///
    /// # Errors
    ///
    /// More elements than can be counted.
    pub fn input(self, shape: &[usize]) -> Result<Option<[usize; 4]>> {
        if self == Op::Linear {
            let Some((&features, leading)) = shape.split_last() else {
                return Ok(None);
            };
            return Ok(Some([product(leading)?, features, 1, 1]));
        }
        let [batch, rest] = match shape.len().checked_sub(self.axes()) {
            Some(2) => [&shape[..1], &shape[1..]],
            Some(1) => [&[1][..], shape],
            _ => return Ok(None),
        };
        let (rows, columns) = rows_and_columns(&rest[1..])?;
        Ok(Some([batch[0], rest[0], rows, columns]))
    }

    /// The weight's shape `[O, C/G, H, W]`, laid out; `None` where its number of axes is another.
    ///
    /// # Errors
    ///
    /// Groups that do not divide the channels; more elements than can be counted.
    pub fn weight(self, shape: &[usize], groups: usize) -> Result<Option<[usize; 4]>> {
        if shape.len() != self.axes() + 2 {
            return Ok(None);
        }
        let (rows, columns) = rows_and_columns(&shape[2..])?;
        let (first, second) = (shape[0], shape[1]);
        Ok(Some(match self {
            Op::ConvTranspose2d => {
                if groups == 0 || !first.is_multiple_of(groups) {
                    return Err(Error::usage(format!(
                        "{first} input channels cannot be split into {groups} groups"
                    )));
                }
                [product(&[second, groups])?, first / groups, rows, columns]
            }
            _ => [first, second, rows, columns],
        }))
    }

    /// The weight's elements as [`Op::weight`] says; `laid_out` is what that gave.
    pub fn weight_elements<R: Copy>(
        self,
        elements: Vec<R>,
        laid_out: [usize; 4],
        groups: usize,
    ) -> Vec<R> {
        if self != Op::ConvTranspose2d {
            return elements;
        }
        let [filters, channels, rows, columns] = laid_out;
        let kernel = rows * columns;
        let group_out = filters / groups.max(1);
        let mut out = Vec::with_capacity(elements.len());
        for filter in 0..filters {
            let (group, filter) = (filter / group_out, filter % group_out);
            for channel in group * channels..(group + 1) * channels {
                let start = (channel * group_out + filter) * kernel;
                out.extend_from_slice(&elements[start..start + kernel]);
            }
        }
        out
    }

    /// Whether a Linear's input has as many features as its weight takes; the other layers' channels are looked at where
    /// they are laid out.
    ///
    /// # Errors
    ///
    /// Both numbers.
    pub fn check_features(self, input: &[usize], weight: &[usize]) -> Result<()> {
        match (self, input.last(), weight.last()) {
            (Op::Linear, Some(found), Some(wanted)) if found != wanted => {
                Err(Error::usage(format!(
                    "the input {input:?} has {found} features, the weight {weight:?} takes {wanted}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// The arguments, laid out. `input` and `weight` are the shapes as they are.
    ///
    /// # Errors
    ///
    /// As many numbers as no layer takes.
    pub fn arguments(
        self,
        given: &LayerArguments,
        input: &[usize],
        weight: &[usize],
    ) -> Result<Arguments> {
        self.check_features(input, weight)?;
        let axes = self.axes();
        let all = |what: &str, sizes: &[usize]| -> Result<Vec<usize>> {
            match sizes {
                [size] => Ok(vec![*size; axes]),
                sizes if sizes.len() == axes => Ok(sizes.to_vec()),
                _ => Err(Error::usage(format!(
                    "{what} has {} numbers, a {} takes one or {axes}",
                    sizes.len(),
                    self.class()
                ))),
            }
        };
        if self == Op::Linear {
            return Ok(Arguments::default());
        }
        let stride = all("stride", &given.stride)?;
        let dilation = all("dilation", &given.dilation)?;
        let (padding, slice_padding) = match &given.padding {
            Padding::Same => (conv2d::Padding::Same, 0),
            Padding::Valid => (conv2d::Padding::Valid, 0),
            Padding::Sizes(sizes) => {
                let sizes = all("padding", sizes)?;
                let slice = sizes.len().checked_sub(3).map_or(0, |at| sizes[at]);
                (conv2d::Padding::Sizes(last_two(&sizes, 0)), slice)
            }
        };
        let slices = |shape: &[usize]| shape.len().checked_sub(3).map_or(1, |at| shape[at]);
        let form = match self {
            Op::Conv3d => Form::Volumes(Depth {
                input: slices(input),
                kernel: slices(weight),
                stride: stride[0],
                padding: slice_padding,
                dilation: dilation[0],
            }),
            Op::ConvTranspose2d => Form::Transposed {
                output_padding: last_two(&all("output_padding", &given.output_padding)?, 0),
            },
            Op::Conv1d | Op::Conv2d | Op::Linear => Form::Images,
        };
        Ok(Arguments {
            stride: last_two(&stride, 1),
            padding,
            dilation: last_two(&dilation, 1),
            groups: given.groups,
            padding_mode: given.padding_mode,
            form,
        })
    }

    /// The output's shape as PyTorch gives it for an input of that shape.
    pub fn output(self, input: &[usize], g: &Geometry) -> Vec<usize> {
        let [slices, rows, columns] = g.output_slices();
        let mut shape = match self {
            Op::Linear => {
                let mut shape = input.to_vec();
                if let Some(features) = shape.last_mut() {
                    *features = g.out_channels;
                }
                return shape;
            }
            Op::Conv1d => vec![g.batch, g.out_channels, columns],
            Op::Conv2d | Op::ConvTranspose2d => vec![g.batch, g.out_channels, rows, columns],
            Op::Conv3d => vec![g.batch, g.out_channels, slices, rows, columns],
        };
        if !self.is_batched(input) {
            shape.remove(0);
        }
        shape
    }

    /// `[N, O, OH, OW]` of an output as PyTorch gives it, laid out; zeros where it has other axes.
    pub fn laid_out(self, output: &[usize]) -> [usize; 4] {
        self.input(output).ok().flatten().unwrap_or([0; 4])
    }
}

/// The last two of one to three sizes; `absent` for rows that there are none of.
fn last_two(sizes: &[usize], absent: usize) -> [usize; 2] {
    match *sizes {
        [.., rows, columns] => [rows, columns],
        [columns] => [absent, columns],
        [] => [absent; 2],
    }
}

/// Rows, all slices', and columns.
fn rows_and_columns(spatial: &[usize]) -> Result<(usize, usize)> {
    match spatial {
        [rows @ .., columns] => Ok((product(rows)?, *columns)),
        [] => Ok((1, 1)),
    }
}

fn product(sizes: &[usize]) -> Result<usize> {
    let product = sizes
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    product.ok_or_else(|| Error::usage(format!("a shape with {sizes:?} overflows")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_a_shape_among_images() {
        let input = |op: Op, shape: &[usize]| op.input(shape).unwrap();
        assert_eq!(input(Op::Conv1d, &[2, 3, 9]), Some([2, 3, 1, 9]));
        assert_eq!(input(Op::Conv1d, &[3, 9]), Some([1, 3, 1, 9]));
        assert_eq!(input(Op::Conv3d, &[2, 3, 4, 5, 6]), Some([2, 3, 20, 6]));
        assert_eq!(input(Op::Linear, &[2, 5, 7]), Some([10, 7, 1, 1]));
        assert_eq!(input(Op::Linear, &[7]), Some([1, 7, 1, 1]));
        assert_eq!(input(Op::Conv2d, &[7]), None);
        let weight = |op: Op, shape: &[usize], groups| op.weight(shape, groups).unwrap();
        assert_eq!(weight(Op::Linear, &[4, 7], 1), Some([4, 7, 1, 1]));
        assert_eq!(
            weight(Op::ConvTranspose2d, &[6, 2, 3, 5], 3),
            Some([6, 2, 3, 5])
        );
        assert_eq!(weight(Op::Conv3d, &[6, 2, 3, 5], 1), None);
    }

    #[test]
    fn a_transposed_weight_is_turned_within_its_groups() {
        // 4 input channels, 2 groups, 3 filters each, kernel of one
        let elements: Vec<usize> = (0..12).collect();
        let shape = Op::ConvTranspose2d
            .weight(&[4, 3, 1, 1], 2)
            .unwrap()
            .unwrap();
        assert_eq!(shape, [6, 2, 1, 1]);
        assert_eq!(
            Op::ConvTranspose2d.weight_elements(elements, shape, 2),
            [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11]
        );
    }

    #[test]
    fn classes_and_names_lead_back() {
        for op in Op::ALL {
            assert_eq!(Op::parse(op.name()), Some(op));
            assert_eq!(Op::of_class(&format!("mine.{}", op.class())), Some(op));
        }
        assert_eq!(Op::of_class("torch.nn.ConvTranspose1d"), None);
    }
}
