//! `jit_dw`: one input and one output channel per group.

use crate::execute::order::Order;
use crate::execute::predict::MemoryFormat;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::Sizes;

/// A variant of the depthwise kernel (oneDNN 3.13, src/cpu/x64/jit_uni_dw_convolution.hpp).
#[derive(Clone, Copy)]
pub(super) struct Depthwise {
    pub(super) name: &'static str,
    /// Outputs of a row that are computed at a time (`ur_w`): the padding must lie within them.
    unroll: i64,
    /// In a blocked layout the groups must be a multiple of this; 1 where it is filled up.
    channel_multiple: i64,
    fused: bool,
}

pub(super) const AVX512: Depthwise = Depthwise {
    name: "jit_dw:avx512_core",
    unroll: 6,
    channel_multiple: 1,
    fused: true,
};

pub(super) const AVX2: Depthwise = Depthwise {
    name: "jit_dw:avx2",
    unroll: 4,
    channel_multiple: 1,
    fused: true,
};

pub(super) const SSE41: Depthwise = Depthwise {
    name: "jit_dw:sse41",
    unroll: 3,
    channel_multiple: 8,
    fused: false,
};

impl Depthwise {
    /// The kernel for SVE (src/cpu/aarch64/jit_uni_dw_conv_kernel_utils.hpp).
    pub(super) const fn sve(name: &'static str, unroll: i64) -> Self {
        Self {
            name,
            unroll,
            channel_multiple: 1,
            fused: true,
        }
    }

    /// The same with another number of outputs at a time.
    pub(super) fn with_unroll(self, unroll: i64) -> Self {
        Self { unroll, ..self }
    }

    /// `init_conf` in src/cpu/x64/jit_uni_dw_conv_kernel_utils.cpp.
    pub(super) fn accepts(&self, s: &Sizes, layout: MemoryFormat) -> bool {
        let depthwise = s.groups > 1 && s.group_in == 1 && s.group_out == 1;
        let unroll = self.unroll.min(s.output[COLUMNS]);
        let in_blocks = layout == MemoryFormat::Contiguous;
        depthwise
            && s.depth.is_none()
            && !s.kernel_leaves_image()
            && !(in_blocks && s.groups % self.channel_multiple != 0)
            && s.padding[COLUMNS] <= unroll
            && s.right_padding_without_tail(unroll) <= unroll
    }

    pub(super) fn order(&self) -> Order {
        Order::OnednnDepthwise { fused: self.fused }
    }
}
