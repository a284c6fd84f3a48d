//! Conv2d by its formula, in float64: what an output should be about, whatever the order.
//!
//! A sum of K products in any order is off by a few roundings; the bound used here, (8*sqrt(K) + 16) roundings of the
//! sum of the magnitudes, is several times what random roundings reach and far below what a wrong number causes. So it
//! tells two kinds of difference apart: those that another order can explain, and those that it cannot. The readings
//! ([`Reading`]) are all that a mistaken call may have done to the same tensors.

use crate::execute::Arguments;
use crate::execute::FloatType;
use crate::execute::PaddingMode;
use crate::execute::Real;
use crate::execute::conv2d;

/// The tensors of a call, as numbers.
#[derive(Clone, Debug)]
pub struct Textbook {
    /// `[N, C, H, W]`
    pub input: Vec<f64>,
    /// Its shape.
    pub input_shape: [usize; 4],
    /// `[O, C/G, KH, KW]`
    pub weight: Vec<f64>,
    /// Its shape.
    pub weight_shape: [usize; 4],
    /// `[O]`
    pub bias: Option<Vec<f64>>,
    dtype: FloatType,
}

/// How the tensors are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Stride.
    pub stride: [usize; 2],
    /// Padding before the first row and column.
    pub before: [usize; 2],
    /// What it holds.
    pub mode: PaddingMode,
    /// Dilation.
    pub dilation: [usize; 2],
    /// Groups.
    pub groups: usize,
    /// What the tensors' axes are taken for.
    pub twist: Twist,
    /// Of volumes and transposed convolutions: these arguments, and nothing of the above.
    pub laid_out: Option<Arguments>,
}

/// Axes taken for others.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Twist {
    /// None.
    #[default]
    None,
    /// Kernels turned by 180 degrees: a true convolution.
    FlippedKernel,
    /// Kernel rows taken for columns.
    TransposedKernel,
    /// Filters taken for input channels.
    SwappedChannels,
    /// Input channel i is read where channel `.0[i]` should be.
    Channels(Vec<usize>),
    /// Input rows taken for columns.
    TransposedInput,
    /// Input upside down.
    UpsideDown,
    /// Input mirrored.
    Mirrored,
}

/// An element and the sum of its terms' magnitudes.
#[derive(Clone, Copy, Debug)]
pub struct Sum {
    /// The element.
    pub value: f64,
    /// Sum of magnitudes.
    pub magnitude: f64,
}

impl Textbook {
    /// Widens the tensors.
    pub fn new<R: Real>(
        dtype: FloatType,
        (input, input_shape): (&[R], [usize; 4]),
        (weight, weight_shape): (&[R], [usize; 4]),
        bias: Option<&[R]>,
    ) -> Self {
        let widened = |values: &[R]| values.iter().map(|v| v.to_f64()).collect();
        Self {
            input: widened(input),
            input_shape,
            weight: widened(weight),
            weight_shape,
            bias: bias.map(widened),
            dtype,
        }
    }

    /// The output element (image, filter, row, column).
    pub fn sum(&self, reading: &Reading, [n, o, oh, ow]: [usize; 4]) -> Sum {
        if let Some(arguments) = &reading.laid_out {
            return self.sum_laid_out(arguments, [n, o, oh, ow]);
        }
        let [filters, group_in, kh, kw] = self.weight_shape;
        let [_, channels, h, w] = self.input_shape;
        let group_out = (filters / reading.groups.max(1)).max(1);
        let bias = self.bias.as_ref().map_or(0.0, |bias| bias[o]);
        let mut sum = Sum {
            value: bias,
            magnitude: bias.abs(),
        };
        let at = |axis: usize, o: usize, k: usize, size: usize| {
            let padded = o * reading.stride[axis] + k * reading.dilation[axis];
            let source = reading.mode.source(padded, reading.before[axis], size);
            source.filter(|&i| i < size)
        };
        let (rows, columns) = match reading.twist {
            Twist::TransposedInput => (w, h),
            _ => (h, w),
        };
        for i in 0..group_in {
            let plane = (o / group_out * group_in + i) % channels.max(1);
            let plane = match &reading.twist {
                Twist::Channels(map) => map[plane],
                _ => plane,
            };
            for y in 0..kh {
                let Some(row) = at(0, oh, y, rows) else {
                    continue;
                };
                for x in 0..kw {
                    let Some(column) = at(1, ow, x, columns) else {
                        continue;
                    };
                    let (row, column) = match reading.twist {
                        Twist::TransposedInput => (column, row),
                        Twist::UpsideDown => (h - 1 - row, column),
                        Twist::Mirrored => (row, w - 1 - column),
                        _ => (row, column),
                    };
                    let (f, i, y, x) = match reading.twist {
                        Twist::FlippedKernel => (o, i, kh - 1 - y, kw - 1 - x),
                        Twist::TransposedKernel => (o, i, x, y),
                        Twist::SwappedChannels => (i, o, y, x),
                        _ => (o, i, y, x),
                    };
                    let product = self.input[((n * channels + plane) * h + row) * w + column]
                        * self.weight[((f * group_in + i) * kh + y) * kw + x];
                    sum.value += product;
                    sum.magnitude += product.abs();
                }
            }
        }
        sum
    }

    /// The same by the sizes that a backend sees. NaN where these arguments make no output.
    fn sum_laid_out(&self, arguments: &Arguments, [n, o, oh, ow]: [usize; 4]) -> Sum {
        let (input, weight) = (self.input_shape, self.weight_shape);
        let Ok(g) = conv2d::resolve(input, weight, None, arguments) else {
            return Sum {
                value: f64::NAN,
                magnitude: f64::NAN,
            };
        };
        let [_, group_in, kh, kw] = weight;
        let bias = self.bias.as_ref().map_or(0.0, |bias| bias[o]);
        let mut sum = Sum {
            value: bias,
            magnitude: bias.abs(),
        };
        let first = o / g.group_out() * group_in;
        for (y, x) in (0..kh).flat_map(|y| (0..kw).map(move |x| (y, x))) {
            let at = g.input_at(0, oh, y).zip(g.input_at(1, ow, x));
            let image = [input[2], input[3]];
            let source = |(row, column)| conv2d::source(image, [kh, kw], arguments, [row, column]);
            let Some([row, column]) = at.and_then(source) else {
                continue;
            };
            for i in 0..group_in {
                let plane = n * input[1] + first + i;
                let product = self.input[(plane * input[2] + row) * input[3] + column]
                    * self.weight[((o * group_in + i) * kh + y) * kw + x];
                sum.value += product;
                sum.magnitude += product.abs();
            }
        }
        sum
    }

    /// How far an element may be from `sum` by rounding alone.
    pub fn tolerance(&self, sum: Sum) -> f64 {
        let [_, i, kh, kw] = self.weight_shape;
        tolerance(self.dtype, i * kh * kw, sum)
    }

    /// Whether `expected` is `sum` but for rounding.
    pub fn fits(&self, sum: Sum, expected: f64) -> bool {
        if !sum.value.is_finite() || !expected.is_finite() {
            return sum.value.is_nan() == expected.is_nan()
                && (sum.value.is_nan() || sum.value == expected || sum.magnitude > 1e38);
        }
        (expected - sum.value).abs() <= self.tolerance(sum)
    }
}

/// How far a sum of `taps` products may be off by rounding alone.
pub fn tolerance(dtype: FloatType, taps: usize, sum: Sum) -> f64 {
    let rounding = match dtype {
        FloatType::Float64 => 2f64.powi(-53),
        FloatType::Float32 | FloatType::BFloat16 | FloatType::Float16 => 2f64.powi(-24),
    };
    let stored = match dtype {
        FloatType::Float64 | FloatType::Float32 => 0.0,
        FloatType::BFloat16 => sum.value.abs() * 2f64.powi(-8),
        FloatType::Float16 => sum.value.abs() * 2f64.powi(-11) + 2f64.powi(-25),
    };
    (8.0 * (taps as f64).sqrt() + 16.0) * rounding * sum.magnitude + stored + 1e-44
}
