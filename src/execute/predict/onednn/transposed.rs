//! oneDNN's choice for a transposed convolution.
//!
//! It is the backward pass of a convolution. With a stride, `brg_deconv` takes most; what it declines, and everything
//! without a stride, goes to the first of the kernels for that backward pass that accepts: jit_dw, jit_1x1, jit,
//! x64:gemm:jit (oneDNN 3.13, src/cpu/cpu_deconvolution_list.cpp, x64/jit_brgemm_deconv.cpp, ref_deconvolution.hpp).
//! Here, input and output are those of the transposed convolution; in oneDNN's sources of the backward pass they are the
//! other way round.

use crate::execute::Geometry;
use crate::execute::order::Order;
use crate::execute::order::gemm;
use crate::execute::order::inverted;
use crate::execute::order::transposed::Variant;
use crate::execute::predict::Isa;
use crate::execute::predict::Machine;
use crate::execute::predict::onednn::Choice;
use crate::execute::predict::onednn::brgemm;
use crate::execute::predict::onednn::brgemm::Brgemm;
use crate::execute::predict::onednn::brgemm::strided;
use crate::execute::predict::onednn::brgemm::tile;
use crate::execute::predict::onednn::brgemm::tile::Simd;
use crate::execute::predict::onednn::pointwise;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::Sizes;
use crate::execute::predict::onednn::taken_by_brgemm;

/// Implementation and order.
pub(crate) fn contiguous(g: &Geometry, machine: &Machine) -> Option<Choice> {
    let s = &Sizes::of(g)?;
    let (name, variant) = match machine.isa {
        Isa::Avx512 => avx512(s, machine).or_else(|| avx2(s, machine)),
        Isa::Avx2 => avx2(s, machine),
        Isa::Avx | Isa::Sse41 => return None, // not measured
    }
    .unwrap_or_else(|| by_gemm(machine, false));
    Some((name, Order::Transposed(variant)))
}

/// The same for channels_last input: with stride 1, brgemm runs forwards on a kernel turned round.
pub(crate) fn channels_last(g: &Geometry, machine: &Machine) -> Option<Choice> {
    let s = &Sizes::of(g)?;
    let forward = inverted::forward(g).and_then(|forward| Sizes::of(&forward));
    let brgemm = |simd: Simd, brgemm: &Brgemm, name: &'static str| {
        if let Some(variant) = strided(s, simd, machine) {
            return Some(Some((name, variant)));
        }
        let taken = taken_by_brgemm(brgemm, forward.as_ref()?, machine)?;
        Some(taken.and_then(|(name, order)| match order {
            Order::OnednnBrgemm(variant) => Some((name, Variant::Inverted(variant))),
            _ => None,
        }))
    };
    let avx512 = || brgemm(tile::AVX512, &INVERTED_AVX512, STRIDED_AVX512);
    let avx2 = || brgemm(tile::AVX2, &INVERTED_AVX2, STRIDED_AVX2);
    let (taken, simd) = match machine.isa {
        Isa::Avx512 => (avx512().or_else(avx2), 16),
        Isa::Avx2 => (avx2(), 8),
        Isa::Avx | Isa::Sse41 => return None, // not measured
    };
    let (name, variant) = match taken {
        Some(taken) => taken?,
        None => backward_channels_last(s, machine, simd).unwrap_or_else(|| by_gemm(machine, true)),
    };
    Some((name, Order::Transposed(variant)))
}

const STRIDED_AVX512: &str = "brg_deconv:avx512_core+brgconv_strided:avx512_core";
const STRIDED_AVX2: &str = "brg_deconv:avx2+brgconv_strided:avx2";

const INVERTED_AVX512: Brgemm = brgemm::AVX512.inverted(
    "brg_deconv:avx512_core+brg_conv_fwd:avx512_core",
    "brg_deconv:avx512_core+brgconv_1x1:avx512_core",
);

const INVERTED_AVX2: Brgemm = brgemm::AVX2.inverted(
    "brg_deconv:avx2+brg_conv_fwd:avx2",
    "brg_deconv:avx2+brgconv_1x1:avx2",
);

/// The kernels of the backward pass: what brgemm leaves to them are small groups.
fn backward_channels_last(s: &Sizes, machine: &Machine, simd: i64) -> Option<Taken> {
    let avx512 = simd == 16;
    if is_depthwise(s) {
        let name = match avx512 {
            true => "conv:any+jit_dw:avx512_core",
            false => "conv:any+jit_dw:avx2",
        };
        return Some((name, chains(simd as usize, simd as usize)));
    }
    let block = s.group_in.min(simd) as usize;
    let taken = |name: &'static str| (name, chains(s.group_in.min(simd) as usize, block));
    if avx512 && accepts_avx512(s, machine, simd) {
        return Some(taken("conv:any+jit:avx512_core"));
    }
    accepts_avx2(s).then(|| taken("conv:any+jit:avx2"))
}

type Taken = (&'static str, Variant);

fn avx512(s: &Sizes, machine: &Machine) -> Option<Taken> {
    if let Some(variant) = strided(s, tile::AVX512, machine) {
        return Some((STRIDED_AVX512, variant));
    }
    // before the kernels of the backward pass comes the other brg_deconv
    if let Some(variant) = strided(s, tile::AVX2, machine) {
        return Some((STRIDED_AVX2, variant));
    }
    if is_depthwise(s) {
        return Some(("conv:any+jit_dw:avx512_core", chains(16, 16)));
    }
    if is_pointwise(s) {
        let reduce = pointwise::AVX512.reduce(s, machine);
        return Some(("conv:any+jit_1x1:avx512_core", chains(reduce, reduce)));
    }
    let block = channel_block(s, &[16, 8, 4])?;
    accepts_avx512(s, machine, block).then(|| {
        (
            "conv:any+jit:avx512_core",
            chains(block as usize, block as usize),
        )
    })
}

fn avx2(s: &Sizes, machine: &Machine) -> Option<Taken> {
    if let Some(variant) = strided(s, tile::AVX2, machine) {
        return Some((STRIDED_AVX2, variant));
    }
    if is_depthwise(s) {
        return Some(("conv:any+jit_dw:avx2", chains(8, 8)));
    }
    if is_pointwise(s) {
        return Some(("conv:any+jit_1x1:avx2", chains(64, 64)));
    }
    channel_block(s, &[8])?;
    let blocks = match s.input[COLUMNS] {
        ..15 => 4,
        15..40 => 2,
        _ => 1,
    };
    accepts_avx2(s).then(|| ("conv:any+jit:avx2", chains(8 * blocks, 8)))
}

fn by_gemm(machine: &Machine, nhwc: bool) -> Taken {
    let kernels = match machine.isa {
        Isa::Avx512 => gemm::Kernels::Avx512,
        _ => gemm::Kernels::Avx2,
    };
    let threads = machine.threads;
    let variant = Variant::Gemm {
        kernels,
        threads,
        nhwc,
    };
    ("conv:any+x64:gemm:jit", variant)
}

fn chains(channels: usize, block: usize) -> Variant {
    Variant::Direct {
        channels,
        block,
        fused: true,
    }
}

/// `brgconv_strided` (`init_jcp` in src/cpu/x64/jit_brgemm_conv_bwd_utils.cpp).
fn strided(s: &Sizes, simd: Simd, machine: &Machine) -> Option<Variant> {
    let small_groups = s.groups > 1 && s.group_in <= simd.lanes;
    if s.stride == [1, 1] || !s.is_undilated() || small_groups || is_slow(s) {
        return None;
    }
    let (columns, stride) = (s.output[COLUMNS], s.stride[COLUMNS]);
    let cut = |width: i64, rows: bool| Variant::Strided {
        width: (columns % stride == 0).then_some(width as usize),
        rows,
    };
    if s.kernel == [1, 1] {
        return Some(cut(columns, false)); // however it is cut, it comes to the same
    }
    let best = strided::best(s, simd, machine)?;
    Some(cut(best.columns, best.kernel_rows < s.kernel[ROWS]))
}

/// Shapes that it leaves to others since it would be slow: output and input channels per group, output and input size,
/// kernel (0: any).
fn is_slow(s: &Sizes) -> bool {
    const SLOW: [[i64; 7]; 10] = [
        [128, 256, 101, 85, 49, 41, 0],
        [3, 128, 207, 175, 101, 85, 0],
        [512, 1024, 8, 8, 4, 4, 4],
        [1024, 2048, 4, 4, 2, 2, 4],
        [64, 128, 513, 513, 256, 256, 3],
        [32, 64, 1025, 1025, 512, 512, 3],
        [128, 256, 257, 257, 128, 128, 3],
        [256, 512, 49, 41, 23, 19, 5],
        [64, 128, 14, 14, 7, 7, 4],
        [1, 64, 28, 28, 14, 14, 4],
    ];
    let ([h, w], [oh, ow]) = (s.output, s.input);
    SLOW.iter()
        .any(|&[made, read, rows, columns, from, across, kernel]| {
            let sizes = [s.group_out, s.group_in, h, w, oh, ow]
                == [made, read, rows, columns, from, across];
            sizes && (kernel == 0 || (s.kernel == [kernel; 2] && s.stride == [2, 2]))
        })
}

fn is_depthwise(s: &Sizes) -> bool {
    s.groups > 1 && s.group_in == 1 && s.group_out == 1 && s.is_undilated()
}

fn is_pointwise(s: &Sizes) -> bool {
    s.groups == 1 && s.is_pointwise() && s.is_unpadded() && s.is_unstrided() && s.output == s.input
}

/// Channels of one block of the layout; `None` where groups do not come in whole blocks.
fn channel_block(s: &Sizes, blocks: &[i64]) -> Option<i64> {
    if s.groups == 1 {
        return blocks.first().copied();
    }
    let even = |block: &&i64| s.group_in % **block == 0 && s.group_out % **block == 0;
    blocks.iter().find(even).copied()
}

/// Padding behind the last output, counted as the backward pass does.
fn far_padding(s: &Sizes, axis: usize) -> i64 {
    (s.input[axis] - 1) * s.stride[axis] + s.extent[axis] - s.output[axis] - s.padding[axis]
}

/// What all kernels of the backward pass ask for: no gaps both in kernel and input, and no kernel in the padding.
fn accepts(s: &Sizes) -> bool {
    [ROWS, COLUMNS].iter().all(|&axis| {
        let gaps = s.dilation[axis] != 1 && s.stride[axis] != 1;
        !gaps && s.extent[axis] > s.padding[axis].max(far_padding(s, axis))
    })
}

/// How far the taps of a row reach beyond its ends, in inputs.
struct Overflow {
    left: i64,
    right: i64,
}

impl Overflow {
    fn of(s: &Sizes, tail: i64) -> Self {
        let reach = s.extent[COLUMNS] - 1;
        let stride = s.stride[COLUMNS];
        Self {
            left: ((reach - s.padding[COLUMNS]) / stride).max(0),
            right: ((reach - (far_padding(s, COLUMNS) + tail).max(0)) / stride).max(0),
        }
    }
}

/// `init_conf` of the backward kernel in src/cpu/x64/jit_avx512_common_conv_kernel.cpp.
fn accepts_avx512(s: &Sizes, machine: &Machine, block: i64) -> bool {
    if !accepts(s) {
        return false;
    }
    let (columns, stride) = (s.output[COLUMNS], s.stride[COLUMNS]);
    let [kernel_rows, kernel] = s.kernel;
    let out_blocks = (s.group_out + block - 1) / block;
    let (unroll, together) = {
        let working = 4
            * (columns * block * 2 * kernel_rows
                + s.input[COLUMNS] * block
                + kernel_rows * kernel * block * block * 2);
        let cache = machine.caches[0].min(1 << 40) as i64;
        let narrow = columns <= 5 || (columns > 8 && columns <= 13);
        let from_memory = !(kernel == 1
            || (kernel == 5 && columns < 8)
            || (kernel < 5 && (narrow || working > cache)))
            || s.stride[ROWS] > 1;
        if from_memory {
            let wide = kernel > 3 || (kernel == 3 && working < cache && s.input[COLUMNS] > 8);
            match !wide && s.stride[ROWS] == 1 && out_blocks % 2 == 0 {
                true => (columns.min(31 / 3), 2),
                false => (columns.min(28), 1),
            }
        } else {
            let most = out_blocks.min(4);
            let together = (1..=most).rev().find(|n| out_blocks % n == 0).unwrap_or(1);
            (columns.min(31 / (together + 1)), together)
        }
    };
    let tail = columns % unroll;
    let overflow = Overflow::of(s, tail);
    let uneven = columns > unroll && (unroll % stride != 0 || far_padding(s, COLUMNS) + tail < 0);
    if overflow.left * stride > unroll || overflow.right * stride > unroll || uneven {
        return false;
    }
    let copies = 1 + i64::from(overflow.left > 0) + i64::from(overflow.right > 0);
    copies * kernel * block * together * unroll * 15 <= 256 << 10
}

/// The same in src/cpu/x64/jit_avx2_conv_kernel_f32.cpp.
fn accepts_avx2(s: &Sizes) -> bool {
    let (columns, stride) = (s.output[COLUMNS], s.stride[COLUMNS]);
    let better_by_gemm = s.group_out < 8 && s.kernel[COLUMNS] > 3 && stride > 1;
    if !accepts(s) || better_by_gemm || s.stride[ROWS] != stride || stride + 1 > 15 {
        return false;
    }
    let left = Overflow::of(s, 0).left;
    let out_blocks = (s.group_out + 7) / 8;
    let (mut unroll, mut best) = (1, 0);
    for together in (1..=4).filter(|n| out_blocks % n == 0) {
        let widths = (1..).map(|n| n * stride);
        let widths = widths
            .take_while(|u| u * together + u / stride <= 15 && *u < columns + stride)
            .map(|u| u.min(columns));
        for width in widths {
            if left * stride > width && width != columns {
                continue;
            }
            let steps = (width + stride - 1) / stride * together;
            if steps > best || (steps == best && unroll < width) {
                (unroll, best) = (width, steps);
            }
        }
    }
    let tail = columns % unroll;
    let right = (s.extent[COLUMNS] - 1 - far_padding(s, COLUMNS) - tail).max(0) / stride;
    let uneven = columns > unroll && (unroll % stride != 0 || far_padding(s, COLUMNS) + tail < 0);
    best > 0 && right * stride <= unroll && !uneven
}
