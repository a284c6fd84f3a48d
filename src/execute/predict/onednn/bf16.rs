//! oneDNN's choice for bfloat16 with AVX-512 (the list "bf16:bf16:*" in src/cpu/cpu_convolution_list.cpp of 3.13).
//!
//! The same kernels as for float32 in the same sequence, with conditions of their own; names end in `avx512_core_bf16`
//! where the processor has the instruction for pairs, and in `avx512_core` where it is emulated.

use crate::execute::Geometry;
use crate::execute::order::Order;
use crate::execute::order::bf16::Kernel;
use crate::execute::order::bf16::Variant;
use crate::execute::order::brgemm;
use crate::execute::order::brgemm::Access;
use crate::execute::predict::Machine;
use crate::execute::predict::MemoryFormat;
use crate::execute::predict::narrow::Unit;
use crate::execute::predict::onednn::Choice;
use crate::execute::predict::onednn::brgemm as float_brgemm;
use crate::execute::predict::onednn::brgemm::Outcome;
use crate::execute::predict::onednn::depthwise;
use crate::execute::predict::onednn::inner_product;
use crate::execute::predict::onednn::pointwise;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::Sizes;
use crate::execute::predict::onednn::sizes::div_up;

/// Channels of one vector of sums.
const SIMD: i64 = 16;

fn choice(names: [&'static str; 2], kernel: Kernel, emulated: bool) -> Choice {
    let order = Order::OnednnBf16(Variant { kernel, emulated });
    (names[usize::from(emulated)], order)
}

/// Contiguous input; nothing for the gemm convolution and for the inner product, whose orders are not known.
pub(in crate::execute::predict) fn contiguous(g: &Geometry, machine: &Machine) -> Vec<Choice> {
    let Some(s) = &Sizes::of(g) else {
        return Vec::new();
    };
    let emulated = machine.narrow.unit < Unit::Bf16;
    if !emulated && inner_product::accepts(s) {
        return Vec::new();
    }
    if depthwise_accepts(s, emulated) {
        return vec![depthwise_choice(emulated)];
    }
    if pointwise::AVX512.accepts(s) {
        let reduce = pointwise::bf16_reduce_block(s, machine.threads as i64, emulated) as usize;
        return vec![pointwise_choice(reduce, emulated)];
    }
    let block = direct_block(s, s.groups > 1);
    let whole = s.groups == 1 || (s.group_in % block == 0 && s.group_out % block == 0);
    match whole && direct_fits(s, block, emulated) {
        true => vec![direct_choice(block, emulated)],
        false => Vec::new(),
    }
}

/// channels_last input.
pub(in crate::execute::predict) fn channels_last(g: &Geometry, machine: &Machine) -> Vec<Choice> {
    let Some(s) = &Sizes::of(g) else {
        return Vec::new();
    };
    let emulated = machine.narrow.unit < Unit::Bf16;
    let depthwise = s.groups > 1 && s.group_in == 1 && s.group_out == 1;
    if !emulated {
        if depthwise && s.dilation == [1, 1] {
            let whole = Kernel::Brgemm(brgemm::Variant::WHOLE);
            return vec![choice(["brdgmm_dw:avx512_core_bf16"; 2], whole, false)];
        }
        if inner_product::accepts(s) {
            return Vec::new();
        }
        if !depthwise && !leaves_group(s) {
            return brgemm_choices(s, machine);
        }
    }
    if depthwise_accepts(s, emulated) {
        return vec![depthwise_choice(emulated)];
    }
    if pointwise::AVX512.accepts(s) {
        return vec![pointwise_choice(1 << 30, emulated)];
    }
    let small = s.groups > 1 && s.group_in < SIMD && s.group_out < SIMD;
    let block = direct_block(s, small);
    match direct_fits(s, block, emulated) {
        true => vec![direct_choice(block, emulated)],
        false => Vec::new(),
    }
}

fn depthwise_choice(emulated: bool) -> Choice {
    let names = ["jit_dw:avx512_core_bf16", "jit_dw:avx512_core"];
    choice(names, Kernel::Depthwise, emulated)
}

fn pointwise_choice(reduce: usize, emulated: bool) -> Choice {
    let names = ["jit_bf16_1x1:avx512_core_bf16", "jit_bf16_1x1:avx512_core"];
    choice(names, Kernel::Pointwise { reduce }, emulated)
}

fn direct_choice(block: i64, emulated: bool) -> Choice {
    let names = ["jit_bf16:avx512_core_bf16", "jit_bf16:avx512_core"];
    let channel_block = block as usize;
    choice(names, Kernel::Direct { channel_block }, emulated)
}

/// `init_conf` in src/cpu/x64/jit_uni_dw_conv_kernel_utils.cpp: fewer outputs at a time without the instruction.
fn depthwise_accepts(s: &Sizes, emulated: bool) -> bool {
    depthwise::AVX512
        .with_unroll(if emulated { 4 } else { 6 })
        .accepts(s, MemoryFormat::Contiguous) // its channels are filled up in either layout
}

/// Channels of one block: those of groups may come in 8s or 4s.
fn direct_block(s: &Sizes, may_be_smaller: bool) -> i64 {
    let even = |&block: &i64| s.group_in % block == 0 && s.group_out % block == 0;
    let blocks = if may_be_smaller {
        &[SIMD, 8, 4][..]
    } else {
        &[SIMD]
    };
    blocks.iter().copied().find(even).unwrap_or(SIMD)
}

/// `init_conf` in src/cpu/x64/jit_avx512_core_bf16_conv_kernel.cpp: the padding must lie within the outputs of a row
/// that are computed at a time.
fn direct_fits(s: &Sizes, block: i64, emulated: bool) -> bool {
    if s.kernel_leaves_image() {
        return false;
    }
    let registers = if emulated { 26 } else { 31 };
    let out_blocks = div_up(s.group_out, block);
    let (left, columns) = (s.padding[COLUMNS], s.output[COLUMNS]);
    let suits = |&blocking: &i64| {
        let unroll = registers / (blocking + 1);
        out_blocks % blocking == 0 && left <= unroll && (columns == 1 || columns % unroll != 1)
    };
    let blocking = (2..=out_blocks.min(4)).rev().find(suits).unwrap_or(1);
    let unroll = (registers / (blocking + 1)).min(columns);
    left <= unroll && s.right_padding_without_tail(unroll) <= unroll
}

/// Groups that are left to the direct kernel (`is_groups_ok`).
fn leaves_group(s: &Sizes) -> bool {
    s.groups > 1 && s.group_in <= SIMD && s.group_in % 4 == 0 && s.group_out % 4 == 0
}

/// The brgemm kernels. Their search for the best cut has not been followed for two-byte elements; where float32, of
/// which a cache holds half as much, is not cut at all, neither is bfloat16, and else the cuts are listed.
fn brgemm_choices(s: &Sizes, machine: &Machine) -> Vec<Choice> {
    let pointwise = s.is_pointwise() && s.is_unpadded();
    let kernels = float_brgemm::AVX512;
    let (names, outcome) = match pointwise {
        true => (
            ["brgconv_1x1:avx512_core_bf16"; 2],
            kernels.pointwise(s, machine),
        ),
        false => (
            ["brg_conv_fwd:avx512_core_bf16"; 2],
            kernels.direct(s, machine),
        ),
    };
    let of = |variant| choice(names, Kernel::Brgemm(variant), false);
    let whole = brgemm::Variant::WHOLE;
    if outcome == Outcome::Taken(Some(whole)) {
        return vec![of(whole)];
    }
    let columns = s.output[COLUMNS] as usize;
    let edges = (1..=columns.min(64)).map(|width| Access::Edges {
        width,
        columns: false,
        chained: false,
    });
    let accesses = edges.chain([Access::Copied, Access::CopiedColumns]);
    let mut variants = match outcome {
        Outcome::Taken(Some(of_float)) => vec![of_float, whole],
        Outcome::Taken(None) | Outcome::Declined => vec![whole],
    };
    variants.extend(accesses.map(|access| brgemm::Variant { access, ..whole }));
    for channels in [16, 32, 48, 64, 96, 128, 192, 256, 512] {
        if channels < s.group_in {
            variants.push(brgemm::Variant {
                channel_block: Some(channels as usize),
                ..whole
            });
        }
    }
    variants.push(brgemm::Variant {
        rows: true,
        ..whole
    });
    variants.into_iter().map(of).collect()
}
