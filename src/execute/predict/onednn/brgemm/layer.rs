//! A channels_last convolution as the brgemm kernels see it.

use crate::execute::predict::onednn::brgemm::tile::Simd;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::Depth;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::Sizes;

/// Sizes after neighbouring kernel columns have been taken for channels, where that can be done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    pub(super) batch: i64,
    pub(super) groups: i64,
    /// Input, output channels of a group.
    pub(super) in_channels: i64,
    pub(super) out_channels: i64,
    pub(super) input: [i64; 2],
    pub(super) output: [i64; 2],
    pub(super) kernel: [i64; 2],
    pub(super) stride: [i64; 2],
    pub(super) dilation: [i64; 2],
    /// Padding at the top, left.
    pub(super) near: [i64; 2],
    /// At the bottom, right; negative where input is left over.
    pub(super) far: [i64; 2],
    /// Kernel columns that have become one.
    pub(super) joined_columns: i64,
    /// The axis across slices; of images one slice.
    pub(super) depth: Depth,
    /// Whether there is such an axis.
    pub(super) volume: bool,
}

impl Layer {
    pub(super) fn new(s: &Sizes, simd: Simd) -> Self {
        let mut layer = Self {
            batch: s.batch,
            groups: s.groups,
            in_channels: s.group_in,
            out_channels: s.group_out,
            input: s.input,
            output: s.output,
            kernel: s.kernel,
            stride: s.stride,
            dilation: s.dilation,
            near: s.padding,
            far: s.far_padding(),
            joined_columns: 1,
            depth: s.depth.unwrap_or(Depth::ONE),
            volume: s.depth.is_some(),
        };
        layer.join_columns(simd);
        layer
    }

    /// Without padding, a stride and a kernel width with a common divisor make a convolution over as many more
    /// channels: neighbouring columns lie side by side in memory (`trans_dim_koef` in `init_jcp`).
    fn join_columns(&mut self, simd: Simd) {
        let whole_vectors = |channels: i64| channels <= simd.lanes || channels % simd.lanes == 0;
        let (kernel, stride) = (self.kernel[COLUMNS], self.stride[COLUMNS]);
        let applies = self.groups == 1
            && self.dilation[COLUMNS] == 1
            && kernel > 1
            && stride > 1
            && self.near[COLUMNS] <= 0
            && self.far[COLUMNS] <= 0
            && whole_vectors(self.in_channels);
        if !applies {
            return;
        }
        let most = kernel.min(stride).min(self.input[COLUMNS]);
        let divides = |n: &i64| {
            [self.input[COLUMNS], kernel, stride]
                .iter()
                .all(|size| size % n == 0)
                && whole_vectors(self.in_channels * n)
        };
        let joined = (1..=most).rev().find(divides).unwrap_or(1);
        self.joined_columns = joined;
        self.in_channels *= joined;
        self.input[COLUMNS] /= joined;
        self.kernel[COLUMNS] /= joined;
        self.stride[COLUMNS] /= joined;
        self.far[COLUMNS] = (self.output[COLUMNS] - 1) * self.stride[COLUMNS] + self.extent()
            - self.input[COLUMNS]
            - self.near[COLUMNS];
    }

    /// Columns that the kernel spans.
    pub(super) fn extent(&self) -> i64 {
        self.dilation[COLUMNS] * (self.kernel[COLUMNS] - 1) + 1
    }

    /// Output pixels of an image.
    pub(super) fn pixels(&self) -> i64 {
        self.depth.output * self.slice_pixels()
    }

    /// Output pixels of one slice.
    pub(super) fn slice_pixels(&self) -> i64 {
        self.output[ROWS] * self.output[COLUMNS]
    }

    /// Input pixels.
    pub(super) fn input_pixels(&self) -> i64 {
        self.depth.input * self.input[ROWS] * self.input[COLUMNS]
    }

    /// Kernel taps.
    pub(super) fn kernel_taps(&self) -> i64 {
        self.depth.kernel * self.kernel[ROWS] * self.kernel[COLUMNS]
    }

    /// Input columns that `outputs` outputs of a row read with `kernel` kernel columns (`inp_w`).
    pub(super) fn columns_read(&self, outputs: i64, kernel: i64) -> i64 {
        let extent = self.dilation[COLUMNS] * (kernel - 1) + 1;
        self.input[COLUMNS].min((outputs - 1) * self.stride[COLUMNS] + extent)
    }

    /// Whether no output column reaches so far into the padding that a kernel column lies in it altogether.
    pub(super) fn kernel_stays_near(&self) -> bool {
        [self.near[COLUMNS], self.far[COLUMNS]].iter().all(|pad| {
            let outputs = (pad.max(&0) + self.stride[COLUMNS] - 1) / self.stride[COLUMNS];
            outputs < self.kernel[COLUMNS]
        })
    }
}
