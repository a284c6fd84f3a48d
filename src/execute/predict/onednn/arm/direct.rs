//! Whether the direct kernel for SVE takes a layer: `init_conf` in src/cpu/aarch64/jit_sve_conv_kernel.cpp.

use crate::execute::predict::Machine;
use crate::execute::predict::Onednn;
use crate::execute::predict::onednn::arm::Sve;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::Sizes;
use crate::execute::predict::onednn::sizes::div_up;
use crate::execute::predict::onednn::sizes::round_up;

/// Outputs of a row for which there are registers.
const MOST_UNROLL: i64 = 28;
/// Accumulators, shared by the output channel blocks and the input.
const ACCUMULATORS: i64 = 31;
/// Output channel blocks computed together, at most.
const MOST_OUT_BLOCKS: i64 = 2;
/// Bytes of code for one multiply-add, and for all of them.
const CODE_PER_STEP: i64 = 15;
const MOST_CODE: i64 = 256 << 10;

/// Whether it does, with vectors of `lanes` float32 numbers.
pub(super) fn accepts(s: &Sizes, lanes: i64, machine: &Machine, sve: Sve) -> bool {
    if s.kernel_leaves_image() {
        return false;
    }
    let flat = is_flat(s, sve);
    let in_block = if flat { s.group_in } else { lanes };
    let fills_up = s.groups == 1;
    let whole = s.group_in % in_block == 0 && s.group_out % lanes == 0;
    if !fills_up && !whole {
        return false;
    }
    let columns = s.output[COLUMNS];
    let left = s.padding[COLUMNS];
    let all_blocks = div_up(s.group_out, lanes);
    let unroll_of = |out_blocks: i64| columns.min(ACCUMULATORS / (out_blocks + 1));
    let mut out_blocks = out_blocks(s, all_blocks, machine.threads as i64);
    let mut unroll = unroll_of(out_blocks);
    if left > unroll {
        out_blocks = 1;
        unroll = unroll_of(1);
    }
    if left >= 16 {
        unroll = left.min(29);
    }
    if left > unroll || s.right_padding_without_tail(unroll) > unroll {
        return false;
    }
    if machine.onednn >= Onednn(3, 13) && 2 * left > columns {
        return false;
    }
    let widest = columns.min(MOST_UNROLL);
    let right = s.end_padding(COLUMNS, columns - columns % widest);
    let copies = 1 + i64::from(left > 0) + i64::from(right > 0);
    let steps = s.kernel[COLUMNS] * in_block * out_blocks * unroll;
    copies * steps * CODE_PER_STEP <= MOST_CODE
}

/// So few input channels that the input stays in its plain layout (`is_1stconv`).
fn is_flat(s: &Sizes, sve: Sve) -> bool {
    match sve {
        Sve::Bits512 => s.group_in < 16 && s.groups == 1,
        Sve::Bits256 | Sve::None => s.group_in == 1 || s.group_in == 3,
    }
}

/// Output channel blocks computed together: what keeps the threads busy.
fn out_blocks(s: &Sizes, all: i64, threads: i64) -> i64 {
    let divisors = || {
        (1..=all.min(MOST_OUT_BLOCKS))
            .rev()
            .filter(|n| all % n == 0)
    };
    let tall_column = s.groups == 1
        && s.batch == 1
        && s.stride == [1, 1]
        && s.output[COLUMNS] == 1
        && s.input[COLUMNS] == s.kernel[COLUMNS]
        && all > 1
        && s.padding[COLUMNS] == 0
        && s.far_padding()[COLUMNS] == 0
        && s.dilation[COLUMNS] == 1
        && s.output[ROWS] >= 60
        && s.kernel[ROWS] >= 3;
    if tall_column {
        return divisors().max().unwrap_or(1);
    }
    let (mut best, mut best_efficiency) = (1, 0.0f32);
    for blocks in divisors() {
        let work = s.batch * s.output[ROWS] * div_up(all, blocks);
        let efficiency = work as f32 / round_up(work, threads) as f32;
        if efficiency > 1.05 * best_efficiency {
            (best, best_efficiency) = (blocks, efficiency);
        }
    }
    best
}
