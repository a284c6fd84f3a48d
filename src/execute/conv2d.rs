//! What `torch.nn.Conv2d`'s arguments mean: sizes, padding modes, and the textbook formula.
//!
//! PyTorch does not hand every argument to the backend. `padding_mode` other than zeros is `F.pad` followed by a
//! convolution without padding, and `padding='same'` with an odd total pads one more zero row or column at the
//! bottom or right first (torch/nn/modules/conv.py, aten/src/ATen/native/Convolution.cpp). [`prepare`] does the same,
//! so that the [`Geometry`] that the orders see has symmetric zero padding only, as the backends do.

use std::borrow::Cow;

use ndarray::ArrayView4;

use crate::error::Error;
use crate::error::Result;
use crate::execute::Real;
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
        }
    }
}

/// One convolution as a backend sees it: every size, symmetric zero padding. All in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    /// Images in the batch.
    pub batch: usize,
    /// Input channels, all groups.
    pub in_channels: usize,
    /// Input rows, columns.
    pub input: [usize; 2],
    /// Output channels, all groups.
    pub out_channels: usize,
    /// Kernel rows, columns.
    pub kernel: [usize; 2],
    /// Stride.
    pub stride: [usize; 2],
    /// Zero padding on each side.
    pub padding: [usize; 2],
    /// Dilation.
    pub dilation: [usize; 2],
    /// Groups.
    pub groups: usize,
    /// Output rows, columns.
    pub output: [usize; 2],
}

impl Geometry {
    /// Input channels that one filter sees: C/G.
    pub fn group_in(&self) -> usize {
        self.in_channels / self.groups
    }
    /// Filters per group: O/G.
    pub fn group_out(&self) -> usize {
        self.out_channels / self.groups
    }
    /// Products per output element, padding taps included: K = (C/G)*KH*KW.
    pub fn taps(&self) -> usize {
        self.group_in() * self.kernel[0] * self.kernel[1]
    }
    /// Output pixels per channel: M = OH*OW.
    pub fn pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }
    /// Output elements.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_channels * self.pixels()
    }
    /// Rows, columns that the dilated kernel spans: dilation*(k-1)+1.
    pub fn extent(&self) -> [usize; 2] {
        [0, 1].map(|a| self.dilation[a] * (self.kernel[a] - 1) + 1)
    }
    /// `[N, O, OH, OW]`
    pub fn output_shape(&self) -> [usize; 4] {
        [
            self.batch,
            self.out_channels,
            self.output[0],
            self.output[1],
        ]
    }
    /// Input coordinate that tap `k` of output coordinate `o` reads on `axis`; `None` in the padding.
    pub fn input_at(&self, axis: usize, o: usize, k: usize) -> Option<usize> {
        let at =
            (o * self.stride[axis] + k * self.dilation[axis]).checked_sub(self.padding[axis])?;
        (at < self.input[axis]).then_some(at)
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
    check_arguments(input, weight, bias, arguments)?;
    let [_, _, h, w] = input;
    let (before, after, padding) = split_padding([weight[2], weight[3]], arguments)?;
    let padded = |axis: usize, size: usize| {
        let sum = before[axis].checked_add(after[axis])?;
        sum.checked_add(size)
    };
    let (Some(rows), Some(columns)) = (padded(0, h), padded(1, w)) else {
        return Err(Error::usage("the padding overflows"));
    };
    geometry(input, [rows, columns], weight, padding, arguments)
}

/// Applies what PyTorch applies before the backend; see [`resolve`] for the shapes.
pub fn prepare<'a, R: Real>(
    input: ArrayView4<'a, R>,
    weight: [usize; 4],
    bias: Option<usize>,
    arguments: &Arguments,
) -> Result<Prepared<'a, R>> {
    let (n, c, h, w) = input.dim();
    let geometry = resolve([n, c, h, w], weight, bias, arguments)?;
    let (before, after, _) = split_padding([weight[2], weight[3]], arguments)?;
    let input = if before == [0, 0] && after == [0, 0] {
        match input.to_slice() {
            Some(slice) => Cow::Borrowed(slice),
            None => Cow::Owned(input.iter().copied().collect()),
        }
    } else {
        Cow::Owned(pad(input, before, after, arguments.padding_mode))
    };
    Ok(Prepared { input, geometry })
}

fn check_arguments(
    [_, c, h, w]: [usize; 4],
    [o, i, kh, kw]: [usize; 4],
    bias: Option<usize>,
    arguments: &Arguments,
) -> Result<()> {
    let groups = arguments.groups;
    for (name, pair) in [
        ("stride", arguments.stride),
        ("dilation", arguments.dilation),
    ] {
        if pair.contains(&0) {
            return Err(Error::usage(format!(
                "{name} is ({}, {}); it must be at least 1 on both axes",
                pair[0], pair[1]
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
    if arguments.padding == Padding::Same && arguments.stride != [1, 1] {
        return Err(Error::usage("padding='same' needs stride 1, as in PyTorch"));
    }
    let pads = total_padding([kh, kw], arguments)?;
    for axis in 0..2 {
        let size = [h, w][axis];
        let most = match arguments.padding_mode {
            PaddingMode::Zeros => continue,
            PaddingMode::Reflect => size.saturating_sub(1),
            PaddingMode::Replicate if size == 0 => 0,
            PaddingMode::Replicate => usize::MAX,
            PaddingMode::Circular => size,
        };
        let widest = pads[axis][0].max(pads[axis][1]);
        if widest > most {
            return Err(Error::usage(format!(
                "padding_mode={} can pad an axis of {size} by {most} at most, not by {widest}",
                arguments.padding_mode.name()
            )));
        }
    }
    Ok(())
}

/// `[before, after]` per axis, all modes alike.
fn total_padding(kernel: [usize; 2], arguments: &Arguments) -> Result<[[usize; 2]; 2]> {
    let mut pads = [[0; 2]; 2];
    for axis in 0..2 {
        let (stride, dilation) = (arguments.stride[axis], arguments.dilation[axis]);
        let (before, after) = arguments
            .padding
            .on(axis, kernel[axis], dilation, stride)
            .map_err(|misfit| Error::usage(misfit.to_string()))?;
        pads[axis] = [before, after];
    }
    Ok(pads)
}

type Pair = [usize; 2];

/// What is padded beforehand (before, after), and what is left for the backend.
fn split_padding(kernel: Pair, arguments: &Arguments) -> Result<(Pair, Pair, Pair)> {
    let pads = total_padding(kernel, arguments)?;
    Ok(match arguments.padding_mode {
        PaddingMode::Zeros => {
            // 'same' with an odd total: one zero row or column more at the far side, by constant_pad_nd
            let extra = pads.map(|[before, after]| after - before);
            ([0, 0], extra, pads.map(|[before, _]| before))
        }
        PaddingMode::Reflect | PaddingMode::Replicate | PaddingMode::Circular => (
            pads.map(|[before, _]| before),
            pads.map(|[_, after]| after),
            [0, 0],
        ),
    })
}

/// The pixel (row, column) of the input that pixel `at` of the padded input was copied from; `None` for a zero.
///
/// `input` is `[H, W]`, `kernel` is `[KH, KW]`; both as [`prepare`] got them.
pub fn source(input: Pair, kernel: Pair, arguments: &Arguments, at: Pair) -> Option<Pair> {
    let (before, _, _) = split_padding(kernel, arguments).ok()?;
    let mode = arguments.padding_mode;
    let on = |axis: usize| mode.source(at[axis], before[axis], input[axis]);
    Some([on(0)?, on(1)?])
}

/// Sizes with overflow checked; `H_out = floor((H + 2*pad - dilation*(k-1) - 1)/stride + 1)`.
fn geometry(
    [n, c, _, _]: [usize; 4],
    input: Pair,
    weight: [usize; 4],
    padding: Pair,
    arguments: &Arguments,
) -> Result<Geometry> {
    let mut output = [0; 2];
    for axis in 0..2 {
        let (size, k) = (input[axis], weight[2 + axis]);
        let (s, p, d) = (
            arguments.stride[axis],
            padding[axis],
            arguments.dilation[axis],
        );
        let window = Window {
            input: size,
            padding: (p, p),
            dilation: d,
            kernel: k,
            stride: s,
            kind: WindowKind::Floor,
        };
        output[axis] = window.output().map_err(|misfit| match misfit {
            Misfit::TooSmall(extent, padded) => {
                let name = ["height", "width"][axis];
                Error::usage(format!(
                    "the input's {name} {size} with padding {p} is {padded}, smaller than the kernel's extent {extent} (= dilation {d} * (kernel {k} - 1) + 1)"
                ))
            }
            _ => Error::usage("padding or dilation overflows"),
        })?;
    }
    for (what, sizes) in [
        ("output", [n, weight[0], output[0], output[1]]),
        ("padded input", [n, c, input[0], input[1]]),
    ] {
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
        input,
        out_channels: weight[0],
        kernel: [weight[2], weight[3]],
        stride: arguments.stride,
        padding,
        dilation: arguments.dilation,
        groups: arguments.groups,
        output,
    })
}

/// `F.pad`: `[N, C, H, W]` to `[N, C, before+H+after, ...]`.
fn pad<R: Real>(input: ArrayView4<'_, R>, before: Pair, after: Pair, mode: PaddingMode) -> Vec<R> {
    let (n, c, h, w) = input.dim();
    let (rows, columns) = (h + before[0] + after[0], w + before[1] + after[1]);
    let mut out = Vec::with_capacity(n * c * rows * columns);
    for image in 0..n {
        for channel in 0..c {
            for y in 0..rows {
                for x in 0..columns {
                    let at = mode
                        .source(y, before[0], h)
                        .zip(mode.source(x, before[1], w));
                    out.push(at.map_or(R::ZERO, |(y, x)| input[[image, channel, y, x]]));
                }
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
        let padded = |mode| pad(row.view(), [0, 3], [0, 3], mode);
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
