//! The 1x1 kernel for SVE: `init_conf` in src/cpu/aarch64/jit_sve_1x1_conv_kernel.cpp.

use crate::execute::predict::Machine;
use crate::execute::predict::MemoryFormat;
use crate::execute::predict::onednn::pointwise::unroll_between;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::Sizes;
use crate::execute::predict::onednn::sizes::round_up;

/// Whether the kernel takes the layer; a strided input is gathered first.
pub(super) fn accepts(s: &Sizes) -> bool {
    let gathered = || {
        let whole = |axis: usize| s.output[axis] * s.stride[axis] == s.input[axis];
        whole(ROWS) && whole(COLUMNS)
    };
    s.groups == 1 && s.is_pointwise() && s.is_unpadded() && (s.stride == [1, 1] || gathered())
}

/// Elements in one way of the level-2 cache that the rule is made for, and ways that the input may take.
const WAY: i64 = 4096;
const WAYS: i64 = 7;

/// Input channels per reduce block.
pub(super) fn reduce_block(s: &Sizes, lanes: i64, layout: MemoryFormat, machine: &Machine) -> i64 {
    let in_channels = round_up(s.in_channels, lanes);
    if layout == MemoryFormat::ChannelsLast {
        return in_channels;
    }
    let blocks = in_channels / lanes;
    let most = match s.output[ROWS] {
        _ if in_channels < 1024 => blocks,
        ..=10 => 16,
        _ => 8,
    };
    let block = lanes
        * (1..=most.min(blocks))
            .rev()
            .find(|n| blocks % n == 0)
            .unwrap_or(1);
    let pixels = s.pixels();
    if pixels * block <= WAY * WAYS {
        return block;
    }
    let unroll = unroll(s, lanes, in_channels, machine.threads as i64);
    let step = WAY / lanes;
    let mut cut = block;
    for start in 0..unroll {
        let clash = (start..pixels * (block / lanes))
            .step_by(step as usize)
            .filter(|offset| offset % pixels < unroll)
            .nth(WAYS as usize - 1);
        if let Some(offset) = clash {
            cut = cut.min(lanes * ((offset + step) / pixels).max(1));
        }
    }
    cut
}

/// Output pixels that the kernel computes at a time (`ur`).
fn unroll(s: &Sizes, lanes: i64, in_channels: i64, threads: i64) -> i64 {
    let rows = s.output[ROWS];
    let out_channels = round_up(s.out_channels, lanes);
    let big = if in_channels >= 512 { 256 } else { 512 };
    let middle =
        out_channels > 128 && out_channels < big && (11..65).contains(&rows) && in_channels < 256;
    let (most, least) = match (8 * s.batch / threads >= 1, middle) {
        (true, true) => (6, 5),
        (true, false) => (9, 6),
        (false, _) => (30, 9),
    };
    unroll_between(least..=most, rows, s.pixels())
}
