//! The sizes that oneDNN's eligibility rules look at.

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
}

impl Sizes {
    /// `None` where a size does not fit into 32 bits, in which oneDNN's kernels count.
    pub(super) fn of(g: &Geometry) -> Option<Self> {
        let size = |value: usize| i32::try_from(value).ok().map(i64::from);
        let pair = |[rows, columns]: [usize; 2]| Some([size(rows)?, size(columns)?]);
        Some(Self {
            batch: size(g.batch)?,
            groups: size(g.groups)?,
            in_channels: size(g.in_channels)?,
            out_channels: size(g.out_channels)?,
            group_in: size(g.group_in())?,
            group_out: size(g.group_out())?,
            input: pair(g.input)?,
            output: pair(g.output)?,
            kernel: pair(g.kernel)?,
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
        [ROWS, COLUMNS]
            .iter()
            .any(|&axis| self.extent[axis] <= self.padding[axis].max(far[axis]))
    }

    /// Right padding under the last whole block of `unroll` outputs of a row.
    pub(super) fn right_padding_without_tail(&self, unroll: i64) -> i64 {
        let columns = self.output[COLUMNS];
        self.end_padding(COLUMNS, columns - columns % unroll).max(0)
    }

    pub(super) fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
    }

    pub(super) fn is_unpadded(&self) -> bool {
        self.padding == [0, 0]
    }

    /// Output pixels per channel.
    pub(super) fn pixels(&self) -> i64 {
        self.output[ROWS] * self.output[COLUMNS]
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
