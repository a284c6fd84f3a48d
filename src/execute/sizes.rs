//! The sizes of a layer as a backend sees it, and which input a tap reads.
//!
//! Orders and kernels know images only: rows and columns. A volume is an image whose rows are those of all its slices,
//! one slice after the other, and so are the rows of its kernel and of its output; only where a tap reads is computed
//! slice by slice. A transposed convolution is one whose taps read backwards.

/// One layer as a backend sees it: every size, symmetric zero padding. All in elements.
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
    /// Stride; of rows within a slice.
    pub stride: [usize; 2],
    /// Zero padding on each side; of rows within a slice.
    pub padding: [usize; 2],
    /// Dilation; of rows within a slice.
    pub dilation: [usize; 2],
    /// Groups.
    pub groups: usize,
    /// Output rows, columns.
    pub output: [usize; 2],
    /// Which input a tap reads.
    pub addressing: Addressing,
}

/// Which input a tap reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Addressing {
    /// output * stride + tap * dilation - padding
    #[default]
    Images,
    /// The same on three axes; rows are those of all slices.
    Volumes {
        /// The axis across slices.
        depth: Depth,
        /// Output slices.
        output: usize,
    },
    /// (output + padding - tap * dilation) / stride, where that comes out even.
    Transposed,
}

/// The axis across the slices of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Depth {
    /// Input slices.
    pub input: usize,
    /// Kernel slices.
    pub kernel: usize,
    /// Stride.
    pub stride: usize,
    /// Padding on each side.
    pub padding: usize,
    /// Dilation.
    pub dilation: usize,
}

impl Depth {
    /// That of an image.
    pub const ONE: Depth = Depth {
        input: 1,
        kernel: 1,
        stride: 1,
        padding: 0,
        dilation: 1,
    };
}

/// Stride, dilation, padding of one axis, and the size of its input.
type Axis = [usize; 4];

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
    /// Rows, columns that the dilated kernel spans: dilation*(k-1)+1; of a volume within a slice.
    pub fn extent(&self) -> [usize; 2] {
        let [rows, columns] = self.kernel;
        let kernel = [rows / self.depth().kernel.max(1), columns];
        [0, 1].map(|a| self.dilation[a] * (kernel[a] - 1) + 1)
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

    /// The axis across slices; that of an image where there are none.
    pub fn depth(&self) -> Depth {
        match self.addressing {
            Addressing::Volumes { depth, .. } => depth,
            Addressing::Images | Addressing::Transposed => Depth::ONE,
        }
    }

    /// Slices, rows, columns of the output.
    pub fn output_slices(&self) -> [usize; 3] {
        let slices = match self.addressing {
            Addressing::Volumes { output, .. } => output.max(1),
            Addressing::Images | Addressing::Transposed => 1,
        };
        [slices, self.output[0] / slices, self.output[1]]
    }

    /// Whether some taps may read nothing: padding, or what a transposed convolution passes over.
    pub fn may_miss(&self) -> bool {
        self.padding != [0, 0]
            || self.depth().padding != 0
            || self.addressing == Addressing::Transposed
    }

    /// Whether it is a product of matrices as it lies: every output pixel reads its own input pixel and no other.
    pub fn is_pointwise(&self) -> bool {
        let depth = self.depth();
        self.kernel == [1, 1]
            && self.stride == [1, 1]
            && depth.stride == 1
            && self.padding == [0, 0]
            && depth.padding == 0
    }

    /// Input coordinate that tap `k` of output coordinate `o` reads on `axis`; `None` in the padding.
    pub fn input_at(&self, axis: usize, o: usize, k: usize) -> Option<usize> {
        let plain = |[stride, dilation, padding, size]: Axis, o: usize, k: usize| {
            let at = (o * stride + k * dilation).checked_sub(padding)?;
            (at < size).then_some(at)
        };
        let (stride, dilation) = (self.stride[axis], self.dilation[axis]);
        let this = [stride, dilation, self.padding[axis], self.input[axis]];
        match self.addressing {
            Addressing::Volumes { depth, output } if axis == 0 => {
                let rows = self.input[0] / depth.input.max(1);
                let (slice_rows, kernel_rows) =
                    (self.output[0] / output, self.kernel[0] / depth.kernel);
                let across = [depth.stride, depth.dilation, depth.padding, depth.input];
                let within = [stride, dilation, self.padding[0], rows];
                let slice = plain(across, o / slice_rows, k / kernel_rows)?;
                Some(slice * rows + plain(within, o % slice_rows, k % kernel_rows)?)
            }
            Addressing::Images | Addressing::Volumes { .. } => plain(this, o, k),
            Addressing::Transposed => {
                let at = (o + self.padding[axis]).checked_sub(k * dilation)?;
                (at.is_multiple_of(stride) && at / stride < self.input[axis]).then_some(at / stride)
            }
        }
    }

    /// Whether tap `k` of output column `o` falls onto a column of the input or of its padding: those of a transposed
    /// convolution fall between them as well.
    pub fn meets_columns(&self, o: usize, k: usize) -> bool {
        match self.addressing {
            Addressing::Images | Addressing::Volumes { .. } => true,
            Addressing::Transposed => {
                let (at, by) = (o + self.padding[1], k * self.dilation[1]);
                at.abs_diff(by).is_multiple_of(self.stride[1])
            }
        }
    }

    /// Whether all taps of output coordinate `o` read something on `axis`.
    pub fn reaches_all(&self, axis: usize, o: usize) -> bool {
        let reads = |k: usize| self.input_at(axis, o, k).is_some();
        match self.addressing {
            // what lies between two taps that read something reads something
            Addressing::Images | Addressing::Volumes { .. } => {
                reads(0) && reads(self.kernel[axis] - 1)
            }
            Addressing::Transposed => (0..self.kernel[axis]).all(reads),
        }
    }
}
