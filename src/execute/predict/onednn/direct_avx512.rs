//! `jit:avx512_core`: the direct kernel for AVX-512.
//!
//! Whether it accepts a layer depends on how it would cut the work, and that depends on the caches and on the number
//! of threads: the code it would generate for padded rows must stay small. So `init_conf`
//! (src/cpu/x64/jit_avx512_common_conv_kernel.cpp) is followed up to that check.

use crate::execute::order::Order;
use crate::execute::predict::Machine;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::Sizes;
use crate::execute::predict::onednn::sizes::div_up;
use crate::execute::predict::onednn::sizes::round_up;

/// Name as `ONEDNN_VERBOSE` prints it.
pub(super) const NAME: &str = "jit:avx512_core";

/// Channels of one vector.
const SIMD: i64 = 16;
/// Outputs of a row for which there are accumulators, where the operands come from memory.
const MOST_UNROLL: i64 = 28;
/// Accumulators, where one register holds the input: they are shared by the output channel blocks.
const ACCUMULATORS: i64 = 31;
/// Output channel blocks computed together, at most.
const MOST_OUT_BLOCKS: i64 = 5;
/// Bytes of code for one multiply-add, and for all of them.
const CODE_PER_STEP: i64 = 15;
const MOST_CODE: i64 = 256 << 10;

/// The order; it depends on the channels alone.
pub(super) fn order(s: &Sizes) -> Order {
    Order::OnednnDirectBlocks {
        channel_block: channel_block(s) as usize,
    }
}

/// Whether the kernel takes the layer.
pub(super) fn accepts(s: &Sizes, machine: &Machine) -> bool {
    if s.kernel_leaves_image() {
        return false;
    }
    let block = channel_block(s);
    let grouped_evenly = s.group_in % block == 0 && s.group_out % block == 0;
    if s.groups > 1 && !grouped_evenly {
        return false;
    }
    Blocking::new(s, machine).fits()
}

/// The order for channels_last input; `None` for more channels than the kernel takes at a time, which it is not
/// offered.
pub(super) fn channels_last_order(s: &Sizes) -> Option<Order> {
    let channel_block = channels_last_block(s);
    (s.group_in <= SIMD).then_some(Order::OnednnDirectChannelsLast {
        channel_block: channel_block as usize,
    })
}

/// Whether the kernel takes the layer as channels_last, where channels need not come in whole blocks.
pub(super) fn accepts_channels_last(s: &Sizes, machine: &Machine) -> bool {
    !s.kernel_leaves_image() && Blocking::channels_last(s, machine).fits()
}

/// Channels of one block for channels_last input: small groups may come in 8s or 4s.
fn channels_last_block(s: &Sizes) -> i64 {
    let small = s.groups > 1 && s.group_in < SIMD && s.group_out < SIMD;
    let even = |&block: &i64| s.group_in % block == 0 && s.group_out % block == 0;
    [8, 4]
        .into_iter()
        .filter(|_| small)
        .find(even)
        .unwrap_or(SIMD)
}

/// Channels of one block of the layout: groups whose channels do not come in 16s may come in 8s or 4s.
fn channel_block(s: &Sizes) -> i64 {
    let even = |&block: &i64| s.group_in % block == 0 && s.group_out % block == 0;
    if s.groups == 1 {
        return SIMD;
    }
    [SIMD, 8, 4].into_iter().find(even).unwrap_or(SIMD)
}

/// The cut of the work as far as it decides over the size of the code.
struct Blocking<'a> {
    s: &'a Sizes,
    threads: i64,
    /// Level-1 and level-2 cache, bytes.
    caches: [i64; 2],
    /// So few input channels that the input stays in its plain layout (`is_1stconv`).
    flat: bool,
    /// Input channels of one block.
    in_block: i64,
    /// Output channels of one block.
    out_block: i64,
    /// Input channels of a group, filled up.
    in_channels: i64,
    /// Output channels of a group, filled up.
    out_channels: i64,
}

impl<'a> Blocking<'a> {
    fn new(s: &'a Sizes, machine: &Machine) -> Self {
        let block = channel_block(s);
        let flat = s.groups == 1 && s.in_channels < SIMD;
        let in_block = if flat { s.group_in } else { block };
        Self {
            s,
            threads: machine.threads as i64,
            // a cache larger than 2^40 bytes is as good as one of that size
            caches: machine.caches.map(|bytes| bytes.min(1 << 40) as i64),
            flat,
            in_block,
            out_block: block,
            in_channels: round_up(s.group_in, in_block),
            out_channels: round_up(s.group_out, block),
        }
    }

    /// The same where channels are not filled up.
    fn channels_last(s: &'a Sizes, machine: &Machine) -> Self {
        let block = channels_last_block(s);
        let blocking = Self::new(s, machine);
        Self {
            in_block: if blocking.flat { s.group_in } else { block },
            out_block: block,
            in_channels: s.group_in,
            out_channels: s.group_out,
            ..blocking
        }
    }

    fn out_blocks(&self) -> i64 {
        div_up(self.out_channels, self.out_block)
    }

    /// The check itself: padding within the unrolled outputs, code within its limit.
    fn fits(&self) -> bool {
        let s = self.s;
        let left = s.padding[COLUMNS];
        let right = self.right_padding_unrolled();
        let (out_blocks, unroll) = if self.broadcasts_from_memory(right) {
            self.embedded()
        } else {
            self.explicit()
        };
        if left > unroll || s.right_padding_without_tail(unroll) > unroll {
            return false;
        }
        // code for rows in the middle, at the left edge and at the right edge
        let copies = 1 + i64::from(left > 0) + i64::from(right > 0);
        let steps = s.kernel[COLUMNS] * self.in_block * out_blocks * unroll;
        copies * steps * CODE_PER_STEP <= MOST_CODE
    }

    /// Right padding under the last whole block of the widest unrolling.
    fn right_padding_unrolled(&self) -> i64 {
        let columns = self.s.output[COLUMNS];
        let unroll = columns.min(MOST_UNROLL);
        self.s.end_padding(COLUMNS, columns - columns % unroll)
    }

    /// The widest unrolling, or less where a padded row's code would leave the instruction cache.
    fn first_unroll(&self, right: i64) -> i64 {
        let columns = self.s.output[COLUMNS];
        let widest = columns.min(MOST_UNROLL);
        let padded = self.s.padding[COLUMNS] > 0 && right > 0;
        let whole = columns / widest - i64::from(padded);
        if widest == columns || !padded || whole <= 1 {
            return widest;
        }
        let step = 6 + self.in_block * self.s.kernel[COLUMNS];
        let small = |&unroll: &i64| unroll * 3 * step * 9 < 24 << 10;
        (15..=widest).rev().find(small).unwrap_or(widest)
    }

    /// Bytes that the innermost loops touch (`ker_total_size`).
    fn working_set(&self) -> i64 {
        let s = self.s;
        let rows = s.kernel_rows();
        let input = div_up(s.input[COLUMNS], s.stride[COLUMNS]) * self.in_block * rows;
        let output = s.output[COLUMNS] * self.out_block * 2;
        let weights = rows * s.kernel[COLUMNS] * self.in_block * self.out_block * 2;
        4 * (input + output + weights)
    }

    /// One tall column, as in 1-d convolutions: the input goes through a register.
    fn is_tall_column(&self) -> bool {
        let s = self.s;
        s.groups == 1
            && s.batch == 1
            && s.is_flat()
            && s.stride == [1, 1]
            && s.output[COLUMNS] == 1
            && s.output[ROWS] >= 60
            && s.input[COLUMNS] == s.kernel[COLUMNS]
            && s.kernel[ROWS] >= 3
            && s.padding[COLUMNS] == 0
            && s.far_padding()[COLUMNS] == 0
            && s.dilation[COLUMNS] == 1
            && self.out_blocks() > 1
    }

    /// Whether inputs are broadcast from memory at every use (`embd_bcast`) instead of into a register first.
    fn broadcasts_from_memory(&self, right: i64) -> bool {
        let s = self.s;
        let [rows, columns] = s.output;
        if self.is_tall_column() {
            return false;
        }
        let small = s.kernel[COLUMNS] == 3
            && columns <= 28
            && self.working_set() < self.caches[0]
            && !(columns == 13 && self.in_channels >= 192)
            && !(columns == 28 && self.in_channels >= 512);
        let usual = if s.stride == [1, 1] {
            small
        } else {
            small && s.batch <= 16 && (self.out_channels <= 192 || rows <= 10)
        };
        let single_image = s.batch == 1
            && (self.first_unroll(right) >= columns
                || self.flat
                || (columns <= 147 && self.out_channels <= 96));
        s.kernel[COLUMNS] > 3 || usual || single_image
    }

    /// Output channel blocks and outputs of a row at a time, broadcasting from memory.
    fn embedded(&self) -> (i64, i64) {
        let s = self.s;
        let columns = s.output[COLUMNS];
        let unroll = columns.min(MOST_UNROLL);
        let two = self.working_set() < self.caches[0]
            && columns <= 8
            && s.kernel[ROWS] <= 3
            && s.kernel[COLUMNS] <= 3
            && self.out_blocks() % 2 == 0
            && (!self.flat || s.batch == 1)
            && (s.batch != 1 || unroll < columns);
        if two {
            (2, columns.min(10))
        } else {
            (1, unroll)
        }
    }

    /// The same with the input in a register: as many output channel blocks as keep the threads busy.
    fn explicit(&self) -> (i64, i64) {
        let columns = self.s.output[COLUMNS];
        let unroll = |out_blocks| columns.min(ACCUMULATORS / (out_blocks + 1));
        let most = self.out_blocks().min(MOST_OUT_BLOCKS);
        let divisors = (1..=most).rev().filter(|n| self.out_blocks() % n == 0);
        let mut best = 1;
        if self.is_tall_column() {
            best = divisors.max().unwrap_or(1);
        } else if !self.flat || self.s.batch > 1 {
            let mut best_efficiency = 0.0f32;
            for out_blocks in divisors {
                let width = self.row_block(out_blocks, unroll(out_blocks));
                let efficiency = self.efficiency(out_blocks, width);
                if efficiency > 1.05 * best_efficiency {
                    (best, best_efficiency) = (out_blocks, efficiency);
                }
            }
        }
        (best, unroll(best))
    }

    /// How evenly the work falls on the threads (`get_thr_eff`), in float32 as oneDNN reckons.
    fn efficiency(&self, out_blocks: i64, width: i64) -> f32 {
        let s = self.s;
        let columns = s.output[COLUMNS];
        let chunks = div_up(self.out_blocks(), out_blocks) * div_up(columns, width);
        let work = s.batch * s.output[ROWS] * chunks;
        let filled = columns as f32 / round_up(columns, width) as f32;
        filled * work as f32 / round_up(work, self.threads) as f32
    }

    /// Outputs of a row that one thread computes at a time (`get_ow_block`).
    fn row_block(&self, out_blocks: i64, unroll: i64) -> i64 {
        let s = self.s;
        let columns = s.output[COLUMNS];
        if self.flat || s.depth.is_some() {
            return columns;
        }
        let mut width = unroll * self.unrolls_in_cache(out_blocks, unroll).max(2);
        let mut efficiency = self.efficiency(out_blocks, width);
        for count in div_up(columns, width)..=div_up(columns, 2 * unroll) {
            let candidate = round_up(div_up(columns, count), unroll).min(columns);
            if candidate < out_blocks * self.out_block && efficiency > 0.9 {
                break;
            }
            if div_up(columns, candidate) != count {
                continue;
            }
            let candidate_efficiency = self.efficiency(out_blocks, candidate);
            if candidate >= 2 * unroll && candidate_efficiency > efficiency {
                (width, efficiency) = (candidate, candidate_efficiency);
            }
            if efficiency > 0.98 {
                break;
            }
        }
        columns.min(width.max(2 * unroll))
    }

    /// Unrolled blocks of a row whose operands fit into seven eighths of the level-2 cache.
    fn unrolls_in_cache(&self, out_blocks: i64, unroll: i64) -> i64 {
        let [rows, columns] = self.s.kernel;
        let cache = self.caches[1] * 7 / 8 / 4;
        let input = self.in_block * unroll * rows;
        let output = self.out_block * out_blocks * unroll;
        let weights = self.out_block * out_blocks * self.in_block * columns * rows;
        (cache - 2 * weights) / (2 * output + 2 * input)
    }
}
