//! PyTorch's own choice: `_select_conv_backend` in aten/src/ATen/native/Convolution.cpp, for float32 CPU tensors.
//!
//! Identical in torch 2.1 to 2.15: measured on 18,782 random configurations for each of seven versions.

use crate::execute::Addressing;
use crate::execute::Geometry;
use crate::execute::order::nnpack;

/// PyTorch's backends for a float32 convolution on an x86 CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// oneDNN.
    Mkldnn,
    /// im2col and a BLAS.
    Slow2d,
    /// im2col with dilation and a BLAS.
    SlowDilated2d,
    /// NNPACK; only with mkldnn disabled, 16 images or more, on processors with AVX2.
    NnpackSpatial,
    /// Slow2d for volumes.
    Slow3d,
    /// SlowDilated2d for volumes.
    SlowDilated3d,
    /// A BLAS, and what it gives for each tap added up: transposed convolutions.
    SlowTranspose2d,
    /// A BLAS, without anything unfolded: a Linear.
    Addmm,
}

impl Backend {
    /// PyTorch's name.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Mkldnn => "Mkldnn",
            Backend::Slow2d => "Slow2d",
            Backend::SlowDilated2d => "SlowDilated2d",
            Backend::NnpackSpatial => "NnpackSpatial",
            Backend::Slow3d => "Slow3d",
            Backend::SlowDilated3d => "SlowDilated3d",
            Backend::SlowTranspose2d => "SlowTranspose2d",
            Backend::Addmm => "Addmm",
        }
    }
}

/// The backend for `g` with `threads` = `torch.get_num_threads()`; `nnpack` is whether NNPACK runs there at all.
pub fn select(g: &Geometry, threads: usize, mkldnn: bool, nnpack: bool) -> Backend {
    let strided = g.stride != [1, 1] || g.depth().stride != 1;
    // PyTorch looks at the last two axes of the kernel, and at the first four of the input
    let kernel = [g.kernel[0] / g.depth().kernel.max(1), g.kernel[1]];
    let last = match g.addressing {
        Addressing::Images | Addressing::Transposed => g.input[1],
        Addressing::Volumes { .. } => 1,
    };
    let elements = g.batch * g.in_channels * g.input[0] * last;
    let worth_it = strided || is_dilated(g) || g.batch >= 16 || kernel != [1, 1] || threads > 1;
    let large_enough =
        g.groups > 1 || (kernel[0] > 3 && kernel[1] > 3) || g.batch > 1 || elements > 20480;
    if mkldnn && worth_it && large_enough {
        Backend::Mkldnn
    } else {
        native(g, nnpack)
    }
}

/// The backend without oneDNN.
fn native(g: &Geometry, nnpack: bool) -> Backend {
    let dilated = is_dilated(g);
    match g.addressing {
        Addressing::Transposed => Backend::SlowTranspose2d,
        Addressing::Volumes { .. } if dilated => Backend::SlowDilated3d,
        Addressing::Volumes { .. } => Backend::Slow3d,
        Addressing::Images if dilated => Backend::SlowDilated2d,
        Addressing::Images if nnpack && use_nnpack(g) => Backend::NnpackSpatial,
        Addressing::Images => Backend::Slow2d,
    }
}

/// Whether a transposed convolution's output padding is as large as its stride, which oneDNN is not asked for.
pub fn has_large_output_padding(g: &Geometry) -> bool {
    (0..2).any(|axis| {
        let plain = g.input[axis].saturating_sub(1) * g.stride[axis] + g.extent()[axis];
        (g.output[axis] + 2 * g.padding[axis]).saturating_sub(plain) >= g.stride[axis]
    })
}

fn is_dilated(g: &Geometry) -> bool {
    g.dilation != [1, 1] || g.depth().dilation != 1
}

/// The backend for float64, which neither oneDNN nor NNPACK takes.
pub fn select_double(g: &Geometry) -> Backend {
    native(g, false)
}

/// `ConvParams::use_nnpack`: reached with mkldnn disabled only, because a batch of 16 is oneDNN's otherwise.
fn use_nnpack(g: &Geometry) -> bool {
    g.batch >= 16 && nnpack::accepts(g)
}
