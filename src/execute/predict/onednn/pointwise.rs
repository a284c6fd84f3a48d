//! `jit_1x1`: matrix products over blocked layouts.

use std::ops::RangeInclusive;

use crate::execute::order::Order;
use crate::execute::predict::Machine;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::Sizes;
use crate::execute::predict::onednn::sizes::round_up;

/// A variant of the 1x1 kernel.
pub(super) struct Pointwise {
    pub(super) name: &'static str,
    /// Channels of one vector, and of one block of the layout.
    simd: i64,
    /// Whether the layout may be filled up; else the channels must be multiples of `simd`.
    fills_up: bool,
    /// Whether a strided input is first gathered (`rtus`, reduce to unit stride).
    gathers: bool,
    fused: bool,
}

/// src/cpu/x64/jit_avx512_common_1x1_conv_kernel.cpp
pub(super) const AVX512: Pointwise = Pointwise {
    name: "jit_1x1:avx512_core",
    simd: 16,
    fills_up: true,
    gathers: true,
    fused: true,
};

/// src/cpu/x64/jit_avx2_1x1_conv_kernel_f32.cpp
pub(super) const AVX2: Pointwise = Pointwise {
    name: "jit_1x1:avx2",
    simd: 8,
    fills_up: true,
    gathers: true,
    fused: true,
};

/// The same file: the AVX2 kernel without fused operations.
pub(super) const AVX: Pointwise = Pointwise {
    name: "jit_1x1:avx",
    fused: false,
    ..AVX2
};

/// src/cpu/x64/jit_sse41_1x1_conv_kernel_f32.cpp
pub(super) const SSE41: Pointwise = Pointwise {
    name: "jit_1x1:sse41",
    simd: 8,
    fills_up: false,
    gathers: false,
    fused: false,
};

/// Input channels per reduce block without AVX-512.
const REDUCE_BLOCK: usize = 128;

impl Pointwise {
    /// `init_conf` of the kernels, and `rtus_prepare` in src/cpu/x64/jit_uni_1x1_conv_utils.hpp.
    pub(super) fn accepts(&self, s: &Sizes) -> bool {
        let multiples = s.in_channels % self.simd == 0 && s.out_channels % self.simd == 0;
        let gathered = || {
            let whole = |axis: usize| s.output[axis] * s.stride[axis] == s.input[axis];
            self.gathers && s.depth.is_none() && whole(ROWS) && whole(COLUMNS)
        };
        s.groups == 1
            && s.is_pointwise()
            && s.is_unpadded()
            && (self.fills_up || multiples)
            && (s.is_unstrided() || gathered())
    }

    /// The order without AVX-512 for channels_last input: one chain, nothing filled up.
    pub(super) fn channels_last_order(&self, s: &Sizes) -> Order {
        Order::Onednn1x1 {
            reduce: s.in_channels as usize,
            simd: 1,
            fused: self.fused,
        }
    }

    /// Input channels per reduce block.
    pub(super) fn reduce(&self, s: &Sizes, machine: &Machine) -> usize {
        match self.simd {
            16 => reduce_block(s, machine.threads as i64, &FLOAT) as usize,
            _ => REDUCE_BLOCK,
        }
    }

    pub(super) fn order(&self, s: &Sizes, machine: &Machine) -> Order {
        Order::Onednn1x1 {
            reduce: self.reduce(s, machine),
            simd: self.simd as usize,
            fused: self.fused,
        }
    }
}

/// How the AVX-512 kernel gets at its operands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Broadcast {
    /// From memory, at every use (`expl_bcast` off).
    Embedded,
    /// Into a register first.
    Explicit,
}

/// Numbers in the rule for the reduce block.
struct Limits {
    /// Input channels at a time for layers of 11 to 27 rows (those of all slices) and at most 256 output channels; up to
    /// 10 rows; else.
    channels: [i64; 3],
    /// Elements in one way of a level-2 cache of 1 MiB and 16 ways, the one that the rule is made for.
    way: i64,
    /// The product of pairs is emulated, which takes registers.
    emulated: bool,
}

const FLOAT: Limits = Limits {
    channels: [80, 256, 512],
    way: 16384,
    emulated: false,
};

/// Input channels per reduce block for bfloat16 (`init_conf` in
/// src/cpu/x64/jit_avx512_core_bf16_1x1_conv_kernel.cpp).
pub(super) fn bf16_reduce_block(s: &Sizes, threads: i64, emulated: bool) -> i64 {
    let limits = Limits {
        channels: [160, 512, 1024],
        way: 32768,
        emulated,
    };
    reduce_block(s, threads, &limits)
}

/// Input channels per reduce block with AVX-512 (`reduce_block` of `init_conf`).
fn reduce_block(s: &Sizes, threads: i64, limits: &Limits) -> i64 {
    let in_channels = round_up(s.in_channels, 16);
    let out_channels = round_up(s.out_channels, 16);
    let rows = s.slices() * s.output[ROWS];
    let broadcast = match 8 * s.batch / threads {
        0 => Broadcast::Embedded,
        _ => Broadcast::Explicit,
    };
    let block = match broadcast {
        Broadcast::Explicit => in_channels.min(match rows {
            11..28 if out_channels <= 256 => limits.channels[0],
            ..=10 => limits.channels[1],
            _ => limits.channels[2],
        }),
        Broadcast::Embedded => 16 * embedded_blocks(in_channels, rows),
    };
    if s.pixels() * block <= WAYS * limits.way {
        return block;
    }
    let unroll = pixel_unroll(s.pixels(), rows, out_channels, broadcast, limits.emulated);
    aliasing_block(s.pixels(), block, unroll, limits.way / 16)
}

/// Blocks of 16 input channels that are reduced at a time: the largest divisor of all of them within a limit.
fn embedded_blocks(in_channels: i64, rows: i64) -> i64 {
    let blocks = in_channels / 16;
    let limit = match rows {
        _ if in_channels < 1024 => blocks,
        ..=10 => 16,
        _ => 8,
    };
    let fits = |&candidate: &i64| blocks % candidate == 0;
    (1..=limit.min(blocks)).rev().find(fits).unwrap_or(1)
}

/// Output pixels that the kernel computes at a time (`ur`).
fn pixel_unroll(
    pixels: i64,
    rows: i64,
    out_channels: i64,
    broadcast: Broadcast,
    emulated: bool,
) -> i64 {
    let (most, least) = match broadcast {
        Broadcast::Embedded => (30, 9),
        Broadcast::Explicit if (129..256).contains(&out_channels) && (11..28).contains(&rows) => {
            (6, if emulated { 4 } else { 5 })
        }
        Broadcast::Explicit => (9, 6),
    };
    let most = if emulated {
        (most / 3).max(least)
    } else {
        most
    };
    unroll_between(least..=most, rows, pixels)
}

/// The largest unrolling that divides the rows, or the pixels where there are few rows; where none does, the one
/// that leaves the longest rest of the pixels.
pub(super) fn unroll_between(range: RangeInclusive<i64>, rows: i64, pixels: i64) -> i64 {
    let most = *range.end();
    let divided = if rows >= 14 { rows } else { pixels };
    if let Some(whole) = range.clone().rev().find(|&unroll| divided % unroll == 0) {
        return whole;
    }
    let (mut unroll, mut tail) = (most.min(pixels), pixels % most);
    for candidate in range.clone().rev() {
        let rest = pixels % candidate;
        if rest > tail || rest == 0 {
            (unroll, tail) = (candidate, rest);
            if rest == 0 {
                break;
            }
        }
    }
    unroll
}

/// Ways of one set that the input may take.
const WAYS: i64 = 7;

/// Cuts `block` where the pixels read together would take more ways of one cache set than they may; from one way to
/// the next are `way_pixels` pixels of 16 channels each.
fn aliasing_block(pixels: i64, block: i64, unroll: i64, way_pixels: i64) -> i64 {
    let mut cut = block;
    for start in 0..unroll {
        let clash = (start..pixels * (block / 16))
            .step_by(way_pixels as usize)
            .filter(|offset| offset % pixels < unroll)
            .nth(WAYS as usize - 1);
        if let Some(offset) = clash {
            cut = cut.min(16 * ((offset + way_pixels) / pixels).max(1));
        }
    }
    cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_take_a_divisor_of_the_channel_blocks() {
        assert_eq!(embedded_blocks(2048, 7), 16);
        assert_eq!(embedded_blocks(1056, 14), 6);
        assert_eq!(embedded_blocks(320, 7), 20);
    }
}
