//! The sizes that oneDNN's eligibility rules look at.

use crate::execute::Addressing;
use crate::execute::Geometry;

/// Index of the vertical axis in every pair.
pub(super) const ROWS: usize = 0;
/// Index of the horizontal axis in every pair.
pub(super) const COLUMNS: usize = 1;

/// A convolution in oneDNN's terms. Signed, because the padding at the far side may be negative: input that no
/// output reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub(super) batch: i64,
    pub(super) groups: i64,
    /// All groups.
    pub(super) in_channels: i64,
    /// All groups.
    pub(super) out_channels: i64,
    /// One group.
    pub(super) group_in: i64,
    /// One group.
    pub(super) group_out: i64,
    pub(super) input: [i64; 2],
    pub(super) output: [i64; 2],
    pub(super) kernel: [i64; 2],
    pub(super) stride: [i64; 2],
    pub(super) dilation: [i64; 2],
    /// Top, left.
    pub(super) padding: [i64; 2],
    /// What the dilated kernel spans.
    pub(super) extent: [i64; 2],
    /// The axis across slices, where volumes are convolved; rows are then those of one slice.
    pub(super) depth: Option<Depth>,
}

/// The axis across slices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depth {
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) kernel: i64,
    pub(super) stride: i64,
    pub(super) dilation: i64,
    pub(super) padding: i64,
}

impl Depth {
    /// That of an image.
    pub(super) const ONE: Depth = Depth {
        input: 1,
        output: 1,
        kernel: 1,
        stride: 1,
        dilation: 1,
        padding: 0,
    };

    /// Padding behind the last slice that is really used.
    pub(super) fn far_padding(&self) -> i64 {
        (self.output - 1) * self.stride + self.extent() - self.input - self.padding
    }

    fn extent(&self) -> i64 {
        (self.kernel - 1) * self.dilation + 1
    }

    /// Whether a kernel may lie before or behind all slices.
    fn kernel_leaves_volume(&self) -> bool {
        self.extent() <= self.padding.max(self.far_padding())
    }

    fn is_one(&self) -> bool {
        [
            self.input,
            self.output,
            self.kernel,
            self.stride,
            self.dilation,
        ] == [1; 5]
            && self.padding == 0
    }
}

impl Sizes {
    /// `None` where a size does not fit into 32 bits, in which oneDNN's kernels count.
    pub(super) fn of(g: &Geometry) -> Option<Self> {
        let size = |value: usize| i32::try_from(value).ok().map(i64::from);
        let pair = |[rows, columns]: [usize; 2]| Some([size(rows)?, size(columns)?]);
        let across = g.depth();
        let [slices, rows, columns] = g.output_slices();
        let slice = |[rows, columns]: [usize; 2], slices: usize| [rows / slices.max(1), columns];
        let depth = match g.addressing {
            Addressing::Images | Addressing::Transposed => None,
            Addressing::Volumes { .. } => Some(Depth {
                input: size(across.input)?,
                output: size(slices)?,
                kernel: size(across.kernel)?,
                stride: size(across.stride)?,
                dilation: size(across.dilation)?,
                padding: size(across.padding)?,
            }),
        };
        Some(Self {
            depth,
            batch: size(g.batch)?,
            groups: size(g.groups)?,
            in_channels: size(g.in_channels)?,
            out_channels: size(g.out_channels)?,
            group_in: size(g.group_in())?,
            group_out: size(g.group_out())?,
            input: pair(slice(g.input, across.input))?,
            output: pair([rows, columns])?,
            kernel: pair(slice(g.kernel, across.kernel))?,
            stride: pair(g.stride)?,
            dilation: pair(g.dilation)?,
            padding: pair(g.padding)?,
            extent: pair(g.extent())?,
        })
    }

    /// Padding that the first `outputs` outputs of `axis` reach into at the far side (`calculate_end_padding`).
    pub(super) fn end_padding(&self, axis: usize, outputs: i64) -> i64 {
        (outputs - 1) * self.stride[axis] + self.extent[axis]
            - self.input[axis]
            - self.padding[axis]
    }

    /// Bottom, right padding really used.
    pub(super) fn far_padding(&self) -> [i64; 2] {
        [ROWS, COLUMNS].map(|axis| self.end_padding(axis, self.output[axis]))
    }

    /// Whether a kernel may lie in the padding altogether, which the direct kernels refuse.
    pub(super) fn kernel_leaves_image(&self) -> bool {
        let far = self.far_padding();
        let leaves = |&axis: &usize| self.extent[axis] <= self.padding[axis].max(far[axis]);
        [ROWS, COLUMNS].iter().any(leaves)
            || self.depth.is_some_and(|depth| depth.kernel_leaves_volume())
    }

    /// Right padding under the last whole block of `unroll` outputs of a row.
    pub(super) fn right_padding_without_tail(&self, unroll: i64) -> i64 {
        let columns = self.output[COLUMNS];
        self.end_padding(COLUMNS, columns - columns % unroll).max(0)
    }

    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.depth.is_none_or(|depth| depth.kernel == 1)
    }

    pub(super) fn is_unpadded(&self) -> bool {
        self.padding == [0, 0] && self.depth.is_none_or(|depth| depth.padding == 0)
    }

    /// Whether neighbouring outputs read neighbouring inputs.
    pub(super) fn is_unstrided(&self) -> bool {
        self.stride == [1, 1] && self.depth.is_none_or(|depth| depth.stride == 1)
    }

    /// Whether the taps stand side by side.
    pub(super) fn is_undilated(&self) -> bool {
        self.dilation == [1, 1] && self.depth.is_none_or(|depth| depth.dilation == 1)
    }

    /// Whether there is one slice, and nothing across slices.
    pub(super) fn is_flat(&self) -> bool {
        self.depth.is_none_or(|depth| depth.is_one())
    }

    /// Kernel rows of all slices.
    pub(super) fn kernel_rows(&self) -> i64 {
        self.kernel[ROWS] * self.depth.map_or(1, |depth| depth.kernel)
    }

    /// Output slices.
    pub(super) fn slices(&self) -> i64 {
        self.depth.map_or(1, |depth| depth.output)
    }

    /// Output pixels per channel.
    pub(super) fn pixels(&self) -> i64 {
        self.slices() * self.output[ROWS] * self.output[COLUMNS]
    }
}

/// `a / b` rounded up, for positive `b`.
pub(super) fn div_up(a: i64, b: i64) -> i64 {
    -(-a).div_euclid(b)
}

/// `a` rounded up to a multiple of `b`.
pub(super) fn round_up(a: i64, b: i64) -> i64 {
    div_up(a, b) * b
}
