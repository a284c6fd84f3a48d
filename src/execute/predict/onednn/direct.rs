//! `jit` without AVX-512: the direct kernels for AVX2, AVX and SSE4.1.

use crate::execute::order::Order;
use crate::execute::predict::MemoryFormat;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::Sizes;

/// A variant of the direct kernel.
pub(super) struct Direct {
    pub(super) name: &'static str,
    /// So few input channels that the input stays in its plain layout.
    is_flat: fn(i64) -> bool,
    /// Whether channels can be filled up (where there are no groups).
    fills_up: bool,
    /// Outputs of a row that are computed at a time (`ur_w`) where little is padded.
    unroll: i64,
    fused: bool,
}

/// src/cpu/x64/jit_avx2_conv_kernel_f32.cpp
pub(super) const AVX2: Direct = Direct {
    name: "jit:avx2",
    is_flat: |channels| channels < 8,
    fills_up: true,
    unroll: UNROLL,
    fused: true,
};

/// The same file: the AVX2 kernel without fused operations.
pub(super) const AVX: Direct = Direct {
    name: "jit:avx",
    unroll: 2,
    fused: false,
    ..AVX2
};

/// src/cpu/x64/jit_sse41_conv_kernel_f32.cpp
pub(super) const SSE41: Direct = Direct {
    name: "jit:sse41",
    is_flat: |channels| channels == 1 || channels == 3,
    fills_up: false,
    unroll: UNROLL,
    fused: false,
};

/// `unroll`, and the most there are registers for.
const UNROLL: i64 = 3;
const MOST_UNROLL: i64 = 7;
/// Channels of one block of the layout.
const BLOCK: i64 = 8;

impl Direct {
    /// `init_conf` of the kernels.
    pub(super) fn accepts(&self, s: &Sizes, layout: MemoryFormat) -> bool {
        let channels = match layout {
            MemoryFormat::Contiguous => self.accepts_channels(s),
            MemoryFormat::ChannelsLast => self.accepts_channels_last(s),
        };
        channels && !s.kernel_leaves_image() && self.accepts_row(s)
    }

    /// The layout of the weights is chosen by all channels, the kernel by those of a group.
    fn lays_out_alike(&self, s: &Sizes) -> bool {
        (self.is_flat)(s.group_in) == (self.is_flat)(s.in_channels)
    }

    /// The kernel for SSE4.1 knows no tails.
    fn accepts_channels_last(&self, s: &Sizes) -> bool {
        let whole =
            s.group_out % BLOCK == 0 && ((self.is_flat)(s.group_in) || s.group_in % BLOCK == 0);
        self.lays_out_alike(s) && (self.fills_up || whole)
    }

    fn accepts_channels(&self, s: &Sizes) -> bool {
        let flat = (self.is_flat)(s.group_in);
        if !self.lays_out_alike(s) {
            return false;
        }
        let whole_blocks = s.group_out % BLOCK == 0 && (flat || s.group_in % BLOCK == 0);
        whole_blocks || (self.fills_up && s.groups == 1)
    }

    /// Whether the padding left and right lies within the first and last outputs computed at a time.
    fn accepts_row(&self, s: &Sizes) -> bool {
        let columns = s.output[COLUMNS];
        let left = s.padding[COLUMNS];
        let usual = if left < 3 { self.unroll } else { UNROLL };
        let unroll = usual.min(columns);
        let wide = s.kernel[COLUMNS] > 7;
        if left > unroll || (wide && s.padding != [0, 0] && s.stride != [1, 1]) {
            return false;
        }
        let right = s.right_padding_without_tail(unroll);
        if right <= unroll * s.stride[COLUMNS] || columns / unroll <= 1 {
            return true;
        }
        // the tail is computed together with the last whole block
        let tail = right / s.stride[COLUMNS] + columns % unroll;
        let unroll = tail.min(columns.min(MOST_UNROLL));
        unroll >= left.max(s.right_padding_without_tail(unroll))
    }

    pub(super) fn order(&self, layout: MemoryFormat) -> Order {
        Order::OnednnDirect {
            channel_block: BLOCK as usize,
            fused: self.fused,
            filled: layout == MemoryFormat::Contiguous,
        }
    }
}
