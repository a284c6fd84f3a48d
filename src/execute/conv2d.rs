//! What the arguments of `torch.nn.Conv2d` and its siblings mean: sizes, padding modes, and the textbook formula.
//!
//! PyTorch does not hand every argument to the backend. `padding_mode` other than zeros is `F.pad` followed by a
//! convolution without padding, and `padding='same'` with an odd total pads one more zero row or column at the
//! bottom or right first (torch/nn/modules/conv.py, aten/src/ATen/native/Convolution.cpp). [`prepare`] does the same,
//! so that the [`Geometry`] that the orders see has symmetric zero padding only, as the backends do.
//!
//! Every layer is laid out as a convolution of images, see [`crate::execute::op`]; what else it is says its [`Form`].
//! Inside, there are always three axes: slices, rows, columns. An image is one slice.

use std::borrow::Cow;

use ndarray::ArrayView4;

use crate::error::Error;
use crate::error::Result;
use crate::execute::Real;
use crate::execute::sizes::Addressing;
use crate::execute::sizes::Depth;
use crate::execute::sizes::Geometry;
use crate::geometry::{Misfit, Window, WindowKind};

/// `padding` as given to Conv2d: sizes are rows at top and bottom, columns at left and right.
pub type Padding = crate::geometry::Padding<[usize; 2]>;

/// `padding_mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PaddingMode {
    /// `'zeros'`
    #[default]
    Zeros,
    /// `'reflect'`: mirrored, the edge not repeated.
    Reflect,
    /// `'replicate'`: the edge repeated.
    Replicate,
    /// `'circular'`: the other side.
    Circular,
}

impl PaddingMode {
    /// PyTorch's word for it.
    pub fn name(self) -> &'static str {
        match self {
            PaddingMode::Zeros => "zeros",
            PaddingMode::Reflect => "reflect",
            PaddingMode::Replicate => "replicate",
            PaddingMode::Circular => "circular",
        }
    }

    /// The mode called `name`.
    pub fn parse(name: &str) -> Result<Self> {
        [
            PaddingMode::Zeros,
            PaddingMode::Reflect,
            PaddingMode::Replicate,
            PaddingMode::Circular,
        ]
        .into_iter()
        .find(|mode| mode.name() == name)
        .ok_or_else(|| {
            Error::usage(format!(
                "padding_mode is {name:?}, expected zeros, reflect, replicate or circular"
            ))
        })
    }

    /// Index in `0..size` that the padded index `at - before` stands for; `None` for a zero. More padding than the
    /// mode allows leads out of the range.
    pub(crate) fn source(self, at: usize, before: usize, size: usize) -> Option<usize> {
        let (at, before, size) = (at as isize, before as isize, size as isize);
        let i = at - before;
        let inside = match self {
            PaddingMode::Zeros => return (0..size).contains(&i).then_some(i as usize),
            PaddingMode::Reflect if i < 0 => -i,
            PaddingMode::Reflect if i >= size => 2 * (size - 1) - i,
            PaddingMode::Reflect => i,
            PaddingMode::Replicate => i.clamp(0, size - 1),
            PaddingMode::Circular => i.rem_euclid(size),
        };
        Some(inside as usize)
    }
}

/// The arguments of `torch.nn.Conv2d` that are not in the weight's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// Rows, columns between neighbouring outputs.
    pub stride: [usize; 2],
    /// Padding.
    pub padding: Padding,
    /// Rows, columns between neighbouring taps; 1 means no gap.
    pub dilation: [usize; 2],
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// What the padding holds.
    pub padding_mode: PaddingMode,
    /// Images, volumes, or a transposed convolution.
    pub form: Form,
}

/// What is convolved, and in which direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Images.
    #[default]
    Images,
    /// Volumes. The rows of input, weight and output are those of all slices, one slice after the other; stride,
    /// padding and dilation are those of rows within a slice.
    Volumes(Depth),
    /// A transposed convolution of images; the weight is `[O, C/G, KH, KW]` all the same.
    Transposed {
        /// Rows, columns that the output has more at its far sides.
        output_padding: [usize; 2],
    },
}

impl Default for Arguments {
    /// PyTorch's defaults.
    fn default() -> Self {
        Self {
            stride: [1, 1],
            padding: Padding::Sizes([0, 0]),
            dilation: [1, 1],
            groups: 1,
            padding_mode: PaddingMode::Zeros,
            form: Form::Images,
        }
    }
}

/// A convolution ready to run: the input as the backend gets it (NCHW, contiguous), and the geometry.
#[derive(Clone, Debug)]
pub struct Prepared<'a, R: Copy = f32> {
    /// `[N, C, H, W]` after `F.pad`, where there was one.
    pub input: Cow<'a, [R]>,
    /// The sizes.
    pub geometry: Geometry,
}

/// Elements that an output, or an input after `F.pad`, may have: 16 GiB of float32.
const MOST_ELEMENTS: usize = 1 << 32;

/// Checks the shapes against each other: the geometry that the backend would see.
///
/// `input` is `[N, C, H, W]`, `weight` is `[O, C/G, KH, KW]`, `bias` the bias's number of elements.
pub fn resolve(
    input: [usize; 4],
    weight: [usize; 4],
    bias: Option<usize>,
    arguments: &Arguments,
) -> Result<Geometry> {
    let axes = Axes::of(input, weight, arguments)?;
    check_arguments(input, weight, bias, arguments, &axes)?;
    let (before, after, padding) = axes.split_padding(arguments)?;
    let mut padded = axes.input;
    for axis in 0..3 {
        let sum = before[axis].checked_add(after[axis]);
        let sum = sum.and_then(|sum| sum.checked_add(padded[axis]));
        padded[axis] = sum.ok_or_else(|| Error::usage("the padding overflows"))?;
    }
    geometry(input, weight, arguments, &axes, padded, padding)
}

/// Applies what PyTorch applies before the backend; see [`resolve`] for the shapes.
pub fn prepare<'a, R: Real>(
    input: ArrayView4<'a, R>,
    weight: [usize; 4],
    bias: Option<usize>,
    arguments: &Arguments,
) -> Result<Prepared<'a, R>> {
    let (n, c, h, w) = input.dim();
    let shape = [n, c, h, w];
    let geometry = resolve(shape, weight, bias, arguments)?;
    let axes = Axes::of(shape, weight, arguments)?;
    let (before, after, _) = axes.split_padding(arguments)?;
    let input = if before == [0; 3] && after == [0; 3] {
        match input.to_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(input.iter().copied().collect()),
        }
    } else {
        Cow::Owned(pad(input, &axes, before, after, arguments.padding_mode))
    };
    Ok(Prepared { input, geometry })
}

fn check_arguments(
    [_, c, _, _]: [usize; 4],
    [o, i, kh, kw]: [usize; 4],
    bias: Option<usize>,
    arguments: &Arguments,
    axes: &Axes,
) -> Result<()> {
    let groups = arguments.groups;
    for (name, sizes) in [("stride", axes.stride), ("dilation", axes.dilation)] {
        if sizes.contains(&0) {
            let [depth, rows, columns] = sizes;
            let (shown, all) = match arguments.form {
                Form::Volumes(_) => (format!("({depth}, {rows}, {columns})"), "all"),
                _ => (format!("({rows}, {columns})"), "both"),
            };
            return Err(Error::usage(format!(
                "{name} is {shown}; it must be at least 1 on {all} axes"
            )));
        }
    }
    if groups == 0 {
        return Err(Error::usage("groups is 0; it must be at least 1"));
    }
    if kh == 0 || kw == 0 || o == 0 || i == 0 {
        return Err(Error::usage(format!(
            "the weight has shape [{o}, {i}, {kh}, {kw}]; no axis may be empty"
        )));
    }
    if o % groups != 0 {
        return Err(Error::usage(format!(
            "{o} output channels cannot be split into {groups} groups"
        )));
    }
    if i.checked_mul(groups) != Some(c) {
        let wanted = i.saturating_mul(groups);
        let mut error = Error::usage(format!(
            "the input has {c} channels, but the weight [{o}, {i}, {kh}, {kw}] with groups={groups} expects {wanted}"
        ));
        if c % i == 0 && o % (c / i).max(1) == 0 && c > 0 {
            error = error.with_hint(format!("groups={} would fit", c / i));
        }
        return Err(error);
    }
    if let Some(length) = bias
        && length != o
    {
        return Err(Error::usage(format!(
            "the bias has {length} elements, but the weight has {o} filters"
        )));
    }
    if arguments.padding == Padding::Same && axes.stride != [1; 3] {
        return Err(Error::usage("padding='same' needs stride 1, as in PyTorch"));
    }
    if let Form::Transposed { output_padding } = arguments.form {
        check_transposed(arguments, output_padding)?;
    }
    check_padding_mode(arguments, axes)
}

fn check_transposed(arguments: &Arguments, output_padding: Pair) -> Result<()> {
    if !matches!(arguments.padding, Padding::Sizes(_))
        || arguments.padding_mode != PaddingMode::Zeros
    {
        return Err(Error::usage(
            "a transposed convolution takes numbers as padding, of zeros only, as in PyTorch",
        ));
    }
    for (axis, &padding) in output_padding.iter().enumerate() {
        let most = arguments.stride[axis].max(arguments.dilation[axis]);
        if padding >= most {
            return Err(Error::usage(format!(
                "output_padding is {padding}, it must be smaller than stride or dilation, as in PyTorch"
            )));
        }
    }
    Ok(())
}

fn check_padding_mode(arguments: &Arguments, axes: &Axes) -> Result<()> {
    let pads = axes.total_padding(arguments)?;
    for (axis, pad) in pads.iter().enumerate() {
        let size = axes.input[axis];
        let most = match arguments.padding_mode {
            PaddingMode::Zeros => continue,
            PaddingMode::Reflect => size.saturating_sub(1),
            PaddingMode::Replicate if size == 0 => 0,
            PaddingMode::Replicate => usize::MAX,
            PaddingMode::Circular => size,
        };
        let widest = pad[0].max(pad[1]);
        if widest > most {
            return Err(Error::usage(format!(
                "padding_mode={} can pad an axis of {size} by {most} at most, not by {widest}",
                arguments.padding_mode.name()
            )));
        }
    }
    Ok(())
}

type Pair = [usize; 2];
type Triple = [usize; 3];

/// Slices, rows, columns.
struct Axes {
    input: Triple,
    kernel: Triple,
    stride: Triple,
    dilation: Triple,
    /// Padding of the slices, where it is given in numbers.
    depth_padding: usize,
}

impl Axes {
    fn of(input: [usize; 4], weight: [usize; 4], arguments: &Arguments) -> Result<Self> {
        let ([_, _, h, w], [_, _, kh, kw]) = (input, weight);
        let Arguments {
            stride, dilation, ..
        } = *arguments;
        let depth = match arguments.form {
            Form::Volumes(depth) => depth,
            Form::Images | Form::Transposed { .. } => Depth::ONE,
        };
        let rows = |all: usize, slices: usize| {
            let rows = all.checked_div(slices).unwrap_or(0);
            match rows.checked_mul(slices) {
                Some(product) if product == all => Ok(rows),
                _ => Err(Error::usage(format!(
                    "{all} rows are not those of {slices} slices"
                ))),
            }
        };
        Ok(Self {
            input: [depth.input, rows(h, depth.input)?, w],
            kernel: [depth.kernel, rows(kh, depth.kernel)?, kw],
            stride: [depth.stride, stride[0], stride[1]],
            dilation: [depth.dilation, dilation[0], dilation[1]],
            depth_padding: depth.padding,
        })
    }

    /// `[before, after]` per axis, all modes alike.
    fn total_padding(&self, arguments: &Arguments) -> Result<[[usize; 2]; 3]> {
        let padding = match arguments.padding {
            Padding::Sizes([rows, columns]) => {
                crate::geometry::Padding::Sizes([self.depth_padding, rows, columns])
            }
            Padding::Same => crate::geometry::Padding::Same,
            Padding::Valid => crate::geometry::Padding::Valid,
        };
        let mut pads = [[0; 2]; 3];
        for (axis, pad) in pads.iter_mut().enumerate() {
            let (stride, dilation) = (self.stride[axis], self.dilation[axis]);
            let (before, after) = padding
                .on(axis, self.kernel[axis], dilation, stride)
                .map_err(|misfit| Error::usage(misfit.to_string()))?;
            *pad = [before, after];
        }
        Ok(pads)
    }

    /// What is padded beforehand (before, after), and what is left for the backend.
    fn split_padding(&self, arguments: &Arguments) -> Result<(Triple, Triple, Triple)> {
        let pads = self.total_padding(arguments)?;
        Ok(match arguments.padding_mode {
            PaddingMode::Zeros => {
                // 'same' with an odd total: one zero row or column more at the far side, by constant_pad_nd
                let extra = pads.map(|[before, after]| after - before);
                ([0; 3], extra, pads.map(|[before, _]| before))
            }
            PaddingMode::Reflect | PaddingMode::Replicate | PaddingMode::Circular => (
                pads.map(|[before, _]| before),
                pads.map(|[_, after]| after),
                [0; 3],
            ),
        })
    }
}

/// The pixel (row, column) of the input that pixel `at` of the padded input was copied from; `None` for a zero.
///
/// `input` is `[H, W]`, `kernel` is `[KH, KW]`; both as [`prepare`] got them.
pub fn source(input: Pair, kernel: Pair, arguments: &Arguments, at: Pair) -> Option<Pair> {
    let [(h, w), (kh, kw)] = [input, kernel].map(|[rows, columns]| (rows, columns));
    let axes = Axes::of([1, 1, h, w], [1, 1, kh, kw], arguments).ok()?;
    let (before, after, _) = axes.split_padding(arguments).ok()?;
    let mode = arguments.padding_mode;
    let rows = axes.input[1] + before[1] + after[1];
    let at = [at[0] / rows.max(1), at[0] % rows.max(1), at[1]];
    let on = |axis: usize| mode.source(at[axis], before[axis], axes.input[axis]);
    Some([on(0)? * axes.input[1] + on(1)?, on(2)?])
}

/// Sizes with overflow checked; `H_out = floor((H + 2*pad - dilation*(k-1) - 1)/stride + 1)`.
fn geometry(
    [n, c, _, _]: [usize; 4],
    weight: [usize; 4],
    arguments: &Arguments,
    axes: &Axes,
    input: Triple,
    padding: Triple,
) -> Result<Geometry> {
    let mut output = [0; 3];
    for axis in 0..3 {
        let kind = match arguments.form {
            Form::Transposed { output_padding } if axis > 0 => {
                WindowKind::Transposed(output_padding[axis - 1])
            }
            _ => WindowKind::Floor,
        };
        let (size, k, p, d) = (
            input[axis],
            axes.kernel[axis],
            padding[axis],
            axes.dilation[axis],
        );
        let window = Window {
            input: size,
            padding: (p, p),
            dilation: d,
            kernel: k,
            stride: axes.stride[axis],
            kind,
        };
        output[axis] = window.output().map_err(|misfit| match misfit {
            Misfit::TooSmall(extent, padded) => {
                let name = ["depth", "height", "width"][axis];
                Error::usage(format!(
                    "the input's {name} {size} with padding {p} is {padded}, smaller than the kernel's extent {extent} (= dilation {d} * (kernel {k} - 1) + 1)"
                ))
            }
            Misfit::Nothing => Error::usage(misfit.to_string()),
            _ => Error::usage("padding or dilation overflows"),
        })?;
    }
    for (what, channels, [depth, rows, columns]) in
        [("output", weight[0], output), ("padded input", c, input)]
    {
        let sizes = match arguments.form {
            Form::Volumes(_) => vec![n, channels, depth, rows, columns],
            _ => vec![n, channels, rows, columns],
        };
        let elements = sizes
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size));
        if elements.is_none_or(|elements| elements > MOST_ELEMENTS) {
            return Err(Error::limit(format!(
                "the {what} would have shape {sizes:?}, more than {MOST_ELEMENTS} elements"
            )));
        }
    }
    Ok(Geometry {
        batch: n,
        in_channels: c,
        input: [input[0] * input[1], input[2]],
        out_channels: weight[0],
        kernel: [weight[2], weight[3]],
        stride: arguments.stride,
        padding: [padding[1], padding[2]],
        dilation: arguments.dilation,
        groups: arguments.groups,
        output: [output[0] * output[1], output[2]],
        addressing: match arguments.form {
            Form::Images => Addressing::Images,
            Form::Transposed { .. } => Addressing::Transposed,
            Form::Volumes(depth) => Addressing::Volumes {
                depth: Depth {
                    input: input[0],
                    padding: padding[0],
                    ..depth
                },
                output: output[0],
            },
        },
    })
}

/// `F.pad`: `[N, C, H, W]` to `[N, C, before+H+after, ...]`, slice by slice.
fn pad<R: Real>(
    input: ArrayView4<'_, R>,
    axes: &Axes,
    before: Triple,
    after: Triple,
    mode: PaddingMode,
) -> Vec<R> {
    let (n, c, _, _) = input.dim();
    let [depth, h, w] = axes.input;
    let [slices, rows, columns] = [0, 1, 2].map(|a| axes.input[a] + before[a] + after[a]);
    let mut out = Vec::with_capacity(n * c * slices * rows * columns);
    for (image, channel) in (0..n).flat_map(|image| (0..c).map(move |channel| (image, channel))) {
        for (z, y) in (0..slices).flat_map(|z| (0..rows).map(move |y| (z, y))) {
            let z = mode.source(z, before[0], depth);
            let row = z.zip(mode.source(y, before[1], h));
            for x in 0..columns {
                let at = row.zip(mode.source(x, before[2], w));
                out.push(at.map_or(R::ZERO, |((z, y), x)| input[[image, channel, z * h + y, x]]));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    fn prepared(shape: [usize; 4], weight: [usize; 4], arguments: Arguments) -> Result<Geometry> {
        let input = Array4::<f32>::zeros(shape);
        prepare(input.view(), weight, None, &arguments).map(|p| p.geometry)
    }

    #[test]
    fn the_output_size_follows_the_formula() {
        let cifar = Arguments {
            padding: Padding::Sizes([2, 2]),
            ..Arguments::default()
        };
        let g = prepared([1, 3, 32, 32], [192, 3, 5, 5], cifar).unwrap();
        assert_eq!(g.output_shape(), [1, 192, 32, 32]);
        let g = prepared([1, 3, 32, 32], [192, 3, 5, 5], Arguments::default()).unwrap();
        assert_eq!(g.output_shape(), [1, 192, 28, 28]);
    }

    #[test]
    fn same_with_an_even_kernel_pads_one_more_at_the_far_side() {
        let same = Arguments {
            padding: Padding::Same,
            ..Arguments::default()
        };
        let g = prepared([1, 1, 5, 6], [1, 1, 4, 3], same).unwrap();
        assert_eq!(
            (g.input, g.padding, g.output),
            ([6, 6], [1, 1], [5, 6]),
            "one extra zero row, then padding 1"
        );
    }

    #[test]
    fn padding_modes_read_what_torch_reads() {
        let row = Array4::from_shape_vec((1, 1, 1, 4), vec![1f32, 2., 3., 4.]).unwrap();
        let axes = Axes::of([1, 1, 1, 4], [1; 4], &Arguments::default()).unwrap();
        let padded = |mode| pad(row.view(), &axes, [0, 0, 3], [0, 0, 3], mode);
        assert_eq!(
            padded(PaddingMode::Reflect),
            [4., 3., 2., 1., 2., 3., 4., 3., 2., 1.]
        );
        assert_eq!(
            padded(PaddingMode::Replicate),
            [1., 1., 1., 1., 2., 3., 4., 4., 4., 4.]
        );
        assert_eq!(
            padded(PaddingMode::Circular),
            [2., 3., 4., 1., 2., 3., 4., 1., 2., 3.]
        );
    }

    #[test]
    fn refusals_name_the_numbers() {
        let zero = Arguments {
            stride: [1, 0],
            ..Arguments::default()
        };
        let message = |r: Result<Geometry>| r.unwrap_err().to_string();
        assert_eq!(
            message(prepared([1, 3, 8, 8], [4, 3, 3, 3], zero)),
            "stride is (1, 0); it must be at least 1 on both axes"
        );
        let error = prepared([1, 6, 8, 8], [4, 3, 3, 3], Arguments::default()).unwrap_err();
        assert_eq!(error.hint(), Some("groups=2 would fit"));
        assert_eq!(
            message(prepared([1, 3, 2, 8], [4, 3, 3, 3], Arguments::default())),
            "the input's height 2 with padding 0 is 2, smaller than the kernel's extent 3 (= dilation 1 * (kernel 3 - 1) + 1)"
        );
    }
}
