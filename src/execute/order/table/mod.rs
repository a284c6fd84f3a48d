//! Every family of orders: the table that registers an order is the table that `pthinspect orders` prints and that
//! the conformance tests walk.

use crate::execute::Addressing;
use crate::execute::Arguments;
use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::conv2d;
use crate::execute::order::Order;

mod transposed;

/// Orders of one form.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// How its names are written.
    pub form: &'static str,
    /// What it computes, in one sentence.
    pub rule: &'static str,
    /// When PyTorch uses it.
    pub used: &'static str,
    /// What the claim rests on.
    pub evidence: &'static str,
    /// Members, the usual ones first: what the tests run and what a search tries.
    pub members: &'static [&'static str],
}

/// All of them, the most usual first.
pub const FAMILIES: &[Family] = &[
    Family {
        form: "onednn-direct/icB[-muladd][-nhwc]",
        rule: "one accumulator from the bias: blocks of B input channels, in each kh, kw, channel; padding skipped; the last block filled up with +0, with nhwc not",
        used: "oneDNN jit:avx2 (ic8), with muladd jit:avx and jit:sse41: most convolutions larger than 1x1 without AVX-512; nhwc: on channels_last input, without AVX2 or in oneDNN before 3.3",
        evidence: "verified on live torch 2.15 (AVX2, AVX and SSE4.1 kernels) and 2.0.1",
        members: &[
            "onednn-direct/ic8",
            "onednn-direct/ic8-muladd",
            "onednn-direct/ic8-nhwc",
            "onednn-direct/ic8-muladd-nhwc",
            "onednn-direct/ic4",
            "onednn-direct/ic16",
            "onednn-direct/ic32",
        ],
    },
    Family {
        form: "onednn-direct-blocks/icB",
        rule: "a chain from +0 per block of B input channels (kh, kw, channel), each added to the total; bias after the first; padding skipped",
        used: "oneDNN jit:avx512_core (ic16; ic8 and ic4 for groups of such sizes): most convolutions larger than 1x1 with AVX-512; jit:sve_256 (ic8) and jit:sve_512 (ic16)",
        evidence: "verified on live torch 2.15 (AMD, AVX-512), on emulated Intel (AVX-512) and aarch64 (SVE)",

        members: &[
            "onednn-direct-blocks/ic16",
            "onednn-direct-blocks/ic8",
            "onednn-direct-blocks/ic4",
        ],
    },
    Family {
        form: "onednn-1x1/rbR-simdS[-muladd]",
        rule: "blocks of R input channels: the first goes on from the bias, later ones start from +0 and are added",
        used: "oneDNN jit_1x1: simd8 with rb128 without AVX-512 (channels_last: simd1, all channels at once); simd16 with AVX-512, R by shape and threads",
        evidence: "verified on live torch 2.15 (AVX2 kernels; AMD, AVX-512)",
        members: &[
            "onednn-1x1/rb128-simd8",
            "onednn-1x1/rb128-simd8-muladd",
            "onednn-1x1/rb1024-simd1",
            "onednn-1x1/rb1024-simd1-muladd",
            "onednn-1x1/rb256-simd16",
            "onednn-1x1/rb512-simd16",
            "onednn-1x1/rb80-simd16",
            "onednn-1x1/rb64-simd16",
            "onednn-1x1/rb128-simd16",
            "onednn-1x1/rb96-simd16",
            "onednn-1x1/rb160-simd16",
            "onednn-1x1/rb192-simd16",
            "onednn-1x1/rb320-simd16",
            "onednn-1x1/rb384-simd16",
        ],
    },
    Family {
        form: "onednn-depthwise/fma|muladd",
        rule: "one accumulator from the bias: kh, kw; padding skipped",
        used: "oneDNN jit_dw: depthwise convolutions without a channel multiplier",
        evidence: "verified on live torch 2.15 (AVX2 kernels; AMD, AVX-512)",
        members: &["onednn-depthwise/fma", "onednn-depthwise/muladd"],
    },
    Family {
        form: "onednn-brgemm/whole|edgesW[-columns][-chained]|copied|copied_columns[-slices][-rows][-icB]",
        rule: "calls that each are a chain from +0 over kh, kw, channel, added to the total; bias last. whole: all kernel columns in one call; edgesW: in blocks of W output columns, kernel columns that do not reach all of a block in calls of their own; rows, columns: a call for each; chained: calls go on from the total; icB: B input channels per call; copied: padding as +0 (copied_columns: kw, kh)",
        used: "oneDNN brg_conv_fwd, brgconv_1x1, brdgmm_dw: channels_last input; the cut depends on shape, threads and caches; with SVE brgconv, of any input (whole; chained where rows of outputs begin in the padding)",
        evidence: "verified on live torch 2.15 (AMD, AVX2 and AVX-512 kernels); whole, chained: on emulated aarch64 (SVE of 256 and 512 bits)",

        members: &[
            "onednn-brgemm/whole",
            "onednn-brgemm/whole-rows",
            "onednn-brgemm/whole-slices",
            "onednn-brgemm/whole-slices-rows",
            "onednn-brgemm/whole-ic320",
            "onednn-brgemm/whole-ic1280",
            "onednn-brgemm/edges4",
            "onednn-brgemm/edges14-rows",
            "onednn-brgemm/edges1024",
            "onednn-brgemm/edges1024-columns",
            "onednn-brgemm/edges1024-columns-rows-ic16",
            "onednn-brgemm/edges1024-chained",
            "onednn-brgemm/copied",
            "onednn-brgemm/copied-rows",
            "onednn-brgemm/copied_columns",
        ],
    },
    Family {
        form: "onednn-direct-nhwc/icB",
        rule: "one accumulator from +0: blocks of B input channels, in each kh, kw, channel; bias last; padding skipped",
        used: "oneDNN jit:avx512_core with channels_last input: groups of at most 16 input channels",
        evidence: "verified on live torch 2.15 (AMD, AVX-512)",
        members: &[
            "onednn-direct-nhwc/ic16",
            "onednn-direct-nhwc/ic8",
            "onednn-direct-nhwc/ic4",
        ],
    },
    Family {
        form: "onednn-matmul/kbB-tT",
        rule: "chains from +0 over blocks of B products (kh, kw, channel), each added to the total; T threads' blocks have totals of their own; bias last",
        used: "oneDNN ip:any+_matmul:avx512_core: kernels of more than 27 taps as large as the image, several images, AVX-512 (kb512 up to 1024 products, else kb1024)",
        evidence: "verified on live torch 2.15 (AMD, AVX-512)",
        members: &[
            "onednn-matmul/kb1024-t1",
            "onednn-matmul/kb512-t1",
            "onednn-matmul/kb1024-t2",
            "onednn-matmul/kb1024-t4",
            "onednn-matmul/kb1024-t8",
            "onednn-matmul/kb1024-t16",
        ],
    },
    Family {
        form: "onednn-matrix-vector/lanes8",
        rule: "eight accumulators from +0 over kh, kw, channel, joined at the end (after the last multiple of 16384 products, and again); bias last",
        used: "as onednn-matmul, for one output channel",
        evidence: "verified on live torch 2.15 (AMD, AVX-512)",
        members: &["onednn-matrix-vector/lanes8"],
    },
    Family {
        form: "onednn-gemm/sse41|avx|avx2|avx512|ref-tT-l2_S[-nhwc]",

        rule: "im2col c, kh, kw (nhwc: kh, kw, c) with padding as +0, cut into blocks of channels and pixels that depend on T threads and a level-2 cache of S; each block an sgemm: chains over blocks of K (fused from AVX2 on), added to the total; edges of tiles and single channels or pixels in lanes; bias last",
        used: "oneDNN x64:gemm:jit: what its other kernels do not take, as wide padding, odd channels in groups, large strided kernels; nhwc: the same of channels_last input; ref: gemm:ref on aarch64 (full tiles of 16 pixels and 6 channels in blocks of K, other elements one chain)",
        evidence: "verified on live torch 2.15 (AMD; kernels of all four instruction sets); ref: on emulated aarch64",

        members: &[
            "onednn-gemm/avx2-t1-l2_1024k",
            "onednn-gemm/avx512-t1-l2_1024k",
            "onednn-gemm/avx2-t2-l2_1024k",
            "onednn-gemm/avx512-t2-l2_1024k",
            "onednn-gemm/avx2-t4-l2_1024k",
            "onednn-gemm/avx512-t4-l2_1024k",
            "onednn-gemm/avx2-t1-l2_512k",
            "onednn-gemm/avx2-t2-l2_512k",
            "onednn-gemm/avx512-t8-l2_2048k",
            "onednn-gemm/avx-t1-l2_1024k",
            "onednn-gemm/sse41-t1-l2_1024k",
            "onednn-gemm/avx512-t1-l2_1024k-nhwc",
            "onednn-gemm/avx2-t1-l2_1024k-nhwc",
            "onednn-gemm/avx-t1-l2_1024k-nhwc",
            "onednn-gemm/sse41-t1-l2_1024k-nhwc",
            "onednn-gemm/ref-t1-l2_512k",
            "onednn-gemm/ref-t2-l2_512k",
            "onednn-gemm/ref-t1-l2_1024k-nhwc",
        ],
    },
    Family {
        form: "acl-gemm/hybrid|kbK",
        rule: "kh, kw, c with padding as +0: hybrid: one accumulator from the bias; kbK: a chain from +0 per block of K products, each added to the total, the bias with the first",
        used: "Arm Compute Library's gemm, indirect_gemm and general depthwise kernels through oneDNN on aarch64; the kernel with the lowest estimate of cycles",
        evidence: "verified on emulated aarch64 (NEON and SVE of 256 bits; torch 2.10 and 2.15)",
        members: &[
            "acl-gemm/hybrid",
            "acl-gemm/kb288",
            "acl-gemm/kb200",
            "acl-gemm/kb341",
            "acl-gemm/kb170",
        ],
    },
    Family {
        form: "blas-slow2d/nvpl|openblas_n1|openblas_v1|openblas_a64fx[-nhwc]",
        rule: "im2col c, kh, kw (nhwc: kh, kw, c) with padding as +0, total from the bias; a chain from +0 per block of K, each added: of 640 products (nvpl); halves below two blocks of 640 (n1, v1) or 352 (a64fx), with SVE small products whole; one output channel or pixel: columns or lanes in a sequence of the library's own",
        used: "PyTorch's Slow2d and SlowDilated2d on aarch64: OpenBLAS up to torch 2.10, NVPL from 2.11",
        evidence: "verified on emulated aarch64 (Neoverse N1, V1, A64FX; torch 2.10 and 2.15)",
        members: &[
            "blas-slow2d/nvpl",
            "blas-slow2d/openblas_n1",
            "blas-slow2d/openblas_v1",
            "blas-slow2d/openblas_a64fx",
            "blas-slow2d/nvpl-nhwc",
        ],
    },
    Family {
        form: "onednn-bf16-direct/icB[-emulated]",
        rule: "bfloat16: a chain from +0 over blocks of B input channels (kh, kw, pairs of channels, the second of each first); padding skipped; subnormal numbers are zeros; bias last",
        used: "oneDNN jit_bf16: most bfloat16 convolutions larger than 1x1 with AVX512-BF16; emulated (nothing flushed) with plain AVX-512",
        evidence: "verified on live torch 2.15 (AMD, AVX512-BF16, and emulated there)",
        members: &[
            "onednn-bf16-direct/ic16",
            "onednn-bf16-direct/ic16-emulated",
            "onednn-bf16-direct/ic8",
            "onednn-bf16-direct/ic4",
        ],
    },
    Family {
        form: "onednn-bf16-1x1/rbR[-emulated]",
        rule: "bfloat16: blocks of R input channels, pairs swapped as above, each a chain from +0, added; bias last",
        used: "oneDNN jit_bf16_1x1; R by shape and threads",
        evidence: "verified on live torch 2.15 (AMD, AVX512-BF16, and emulated there)",
        members: &[
            "onednn-bf16-1x1/rb1024",
            "onednn-bf16-1x1/rb512",
            "onednn-bf16-1x1/rb160",
            "onednn-bf16-1x1/rb256",
            "onednn-bf16-1x1/rb128",
            "onednn-bf16-1x1/rb1024-emulated",
        ],
    },
    Family {
        form: "onednn-bf16-depthwise/pairs[-emulated]",
        rule: "bfloat16: one accumulator from the bias: kh, kw, before each product one of +0 times +0; padding skipped",
        used: "oneDNN jit_dw: bfloat16 depthwise convolutions",
        evidence: "verified on live torch 2.15 (AMD, AVX512-BF16, and emulated there)",
        members: &[
            "onednn-bf16-depthwise/pairs",
            "onednn-bf16-depthwise/pairs-emulated",
        ],
    },
    Family {
        form: "onednn-bf16-brgemm/as onednn-brgemm",
        rule: "bfloat16: the calls of onednn-brgemm over pairs of channels, the second of each first; subnormal numbers are zeros",
        used: "oneDNN brg_conv_fwd, brgconv_1x1, brdgmm_dw: bfloat16 channels_last input with AVX512-BF16",
        evidence: "verified on live torch 2.15 (AMD, AVX512-BF16)",
        members: &[
            "onednn-bf16-brgemm/whole",
            "onednn-bf16-brgemm/copied",
            "onednn-bf16-brgemm/copied_columns",
            "onednn-bf16-brgemm/edges4",
            "onednn-bf16-brgemm/edges8",
            "onednn-bf16-brgemm/edges16",
            "onednn-bf16-brgemm/whole-rows",
            "onednn-bf16-brgemm/whole-ic64",
            "onednn-bf16-brgemm/whole-ic128",
        ],
    },
    Family {
        form: "native-gemm/lanesL[-muladd]",
        rule: "bfloat16, float16: L float32 accumulators take the products (c, kh, kw) in turn, what is left over goes onto the first; ((0+1)+2)+3; bias last; rounded once",
        used: "PyTorch's own matrix product (lanes4; muladd where ATen's kernels are those without AVX2): float16 without AVX512-FP16, bfloat16 without AVX-512, contiguous input",
        evidence: "verified on live torch 2.15 (AMD)",
        members: &["native-gemm/lanes4", "native-gemm/lanes4-muladd"],
    },
    Family {
        form: "native-dot/avx2|default",
        rule: "bfloat16, float16: kh, kw, c; rounds of 64 products onto as many lanes, joined by halves (default: by halves to eight, those in sequence), then rounds of 16 onto 8 lanes, the rest one by one; bias last",
        used: "PyTorch's own dot product: the same where the input is channels_last; default where ATen's kernels are those without AVX2",
        evidence: "verified on live torch 2.15 (AMD)",
        members: &["native-dot/avx2", "native-dot/default"],
    },
    Family {
        form: "onednn-ref/muladd",
        rule: "one accumulator from +0, two roundings a step: c, kh, kw, or kh, kw, c where C/G exceeds the kernel's width; bias last; padding skipped",
        used: "oneDNN ref:any: where the im2col buffer of its gemm convolution would be too large",
        evidence: "verified on live torch 2.15 (AVX2 kernels)",
        members: &["onednn-ref/muladd"],
    },
    Family {
        form: "mkl-slow2d|mkl-slow3d-groups/[f64-]kbB|halvesB|tiles|sseB|compatible[-cnr]-tT",
        rule: "im2col c, kh, kw with padding as +0, total from the bias; 12 pixels and 4 channels or more: fused chains over blocks of K (f64: one chain); smaller ones, and edges: SSE loops, two roundings a step, by 16-byte alignment; T threads cut it into shares, each with edges of its own. On Intel: halvesB: chains for all sizes; tiles: those of onednn-gemm/avx2; sseB: not fused, rows by four, what is left of them in four lanes",
        used: "PyTorch's Slow2d: mkldnn disabled, float64, or 1x1 with one thread, or small single images (mkl-slow3d-groups: Slow3d with groups); cnr: MKL_CBWR is set, compatible: to COMPATIBLE",
        evidence: "kb192, f64-kb256 (AMD) and compatible: verified on live torch 2.15, T = 1 to 24; halves384 (Intel AVX-512), tiles (Intel AVX2), sse256 (Intel SSE4.1): on emulated processors, float32, T = 1",
        members: &[
            "mkl-slow2d/kb192-t1",
            "mkl-slow2d/kb192-t2",
            "mkl-slow2d/kb192-t4",
            "mkl-slow2d/kb192-t8",
            "mkl-slow2d/halves384-t1",
            "mkl-slow2d/tiles-t1",
            "mkl-slow2d/sse256-t1",
            "mkl-slow2d/f64-kb256-t1",
            "mkl-slow2d/f64-kb256-t2",
            "mkl-slow2d/f64-kb256-t4",
            "mkl-slow3d-groups/kb192-t1",
            "mkl-slow2d/kb192-cnr-t1",
            "mkl-slow2d/kb192-cnr-t2",
            "mkl-slow2d/compatible-cnr-t1",
            "mkl-slow2d/compatible-cnr-t2",
            "mkl-slow2d/f64-compatible-cnr-t1",
        ],
    },
    Family {
        form: "mkl-slow-dilated2d/[f64-]kbB|halvesB|tiles|sseB|compatible[-cnr]-tT",

        rule: "as mkl-slow2d, every image through the same column buffer",
        used: "PyTorch's SlowDilated2d: dilation where oneDNN is not used",
        evidence: "as mkl-slow2d",
        members: &[
            "mkl-slow-dilated2d/kb192-t1",
            "mkl-slow-dilated2d/kb192-t2",
            "mkl-slow-dilated2d/kb192-t4",
            "mkl-slow-dilated2d/halves384-t1",
            "mkl-slow-dilated2d/tiles-t1",
            "mkl-slow-dilated2d/sse256-t1",
            "mkl-slow-dilated2d/f64-kb256-t1",
            "mkl-slow-dilated2d/f64-kb256-t2",
            "mkl-slow-dilated2d/compatible-cnr-t1",
        ],
    },
    Family {
        form: "mkl-slow2d-nhwc|mkl-slow-dilated2d-nhwc/[f64-]kbB|halvesB|compatible[-cnr]-tT",
        rule: "kh, kw, c with padding as +0, total from the bias; 12 channels and 4 pixels or more: fused chains over blocks of K; smaller ones, and edges: SSE dot products, two roundings a step, by 16-byte alignment",
        used: "PyTorch's Slow2d and SlowDilated2d with channels_last input",
        evidence: "as mkl-slow2d",
        members: &[
            "mkl-slow2d-nhwc/kb192-t1",
            "mkl-slow2d-nhwc/kb192-t2",
            "mkl-slow2d-nhwc/kb192-t4",
            "mkl-slow2d-nhwc/f64-kb256-t1",
            "mkl-slow2d-nhwc/f64-kb256-t2",
            "mkl-slow2d-nhwc/compatible-cnr-t1",
            "mkl-slow-dilated2d-nhwc/kb192-t1",
            "mkl-slow-dilated2d-nhwc/kb192-t2",
        ],
    },
    Family {
        form: "mkl-linear|mkl-matmul/[f64-]kbB|halvesB|compatible[-cnr]-tT",
        rule: "one product of the weight and all vectors of the input, total from the bias (mkl-matmul: bias last); 12 features and 4 vectors or more: fused chains over blocks of K; smaller ones, and edges: SSE dot products, two roundings a step, by 16-byte alignment",
        used: "PyTorch's Linear: mkl-linear; mkl-matmul where the input has more than two axes and is not contiguous",
        evidence: "as mkl-slow2d",
        members: &[
            "mkl-linear/kb192-t1",
            "mkl-linear/kb192-t2",
            "mkl-linear/kb192-t4",
            "mkl-linear/halves384-t1",
            "mkl-linear/f64-kb256-t1",
            "mkl-linear/f64-kb256-t2",
            "mkl-linear/compatible-cnr-t1",
            "mkl-matmul/kb192-t1",
            "mkl-matmul/kb192-t2",
        ],
    },
    transposed::MKL,
    transposed::MKL_NHWC,
    transposed::BACKWARD,
    transposed::STRIDED,
    transposed::INVERTED,
    transposed::GEMM,
    Family {
        form: "nnpack/l1_Sk",
        rule: "stride 1: no sum over taps. Tiles of 8 x 8 (Winograd F(6x6, 3x3) for 3x3 kernels, else Fourier) or 16 x 16 (Fourier) are transformed, multiplied, summed over the input channels in blocks that fill a level-1 cache of S per thread, and transformed back; the bias enters before that. Other strides: c, kh, kw with padding as +0, a chain from +0 per block (32k: 292 products), each added to the total; bias last. Subnormal numbers are zero",
        used: "PyTorch's NNPACK: mkldnn disabled, 16 images or more, kernels up to 16 wider than the padding, no dilation, AVX2",
        evidence: "verified on live torch 2.15 (AMD); the tree is that of stride 2, transforms have none",
        members: &[
            "nnpack/l1_32k",
            "nnpack/l1_16k",
            "nnpack/l1_48k",
            "nnpack/l1_24k",
        ],
    },
    Family {
        form: "sequential/chw|hwc-fma|muladd-bias-first|last",
        rule: "one accumulator over c, kh, kw (padding as +0) or kh, kw, c (padding skipped)",
        used: "hand-written loops; PyTorch of 2017-18 (chw-muladd-bias-last)",
        evidence: "the definition",
        members: &[
            "sequential/chw-fma-bias-first",
            "sequential/chw-muladd-bias-last",
            "sequential/chw-fma-bias-last",
            "sequential/chw-muladd-bias-first",
            "sequential/hwc-fma-bias-first",
            "sequential/hwc-muladd-bias-last",
            "sequential/hwc-fma-bias-last",
            "sequential/hwc-muladd-bias-first",
        ],
    },
    Family {
        form: "custom/LOOPS[-icB][-kbK|halvesK|evenK|each_block|each_h..][-lanesL_JOIN]-fma|muladd-bias_start|first|second|last[-zero]",
        rule: "spelled out: LOOPS over c, h, w (say hwc) within blocks of B input channels; partial sums of K products (kbK: rest last; halvesK: last two alike; evenK: as MKL on AMD), of each block, or of each step of the outer loops (each_h, each_hw); L lanes joined by halving, horizontal or neighbours; bias_start: the first partial sum goes on from the bias, first: it stands before, second: after it; zero: padding multiplied as +0, else skipped",
        used: "no known backend: names for what a search finds and for experiments",
        evidence: "the definition",
        members: &[
            "custom/chw-each_c-fma-bias_last",
            "custom/hwc-each_hw-fma-bias_last",
            "custom/hwc-each_h-fma-bias_first",
            "custom/whc-fma-bias_last",
            "custom/hwc-ic8-each_block-fma-bias_last",
            "custom/hwc-ic16-muladd-bias_last",
            "custom/chw-kb256-muladd-bias_second-zero",
            "custom/chw-halves128-fma-bias_first-zero",
            "custom/chw-lanes8_neighbours-fma-bias_last-zero",
            "custom/hwc-lanes4_halving-muladd-bias_start",
        ],
    },
];

impl Family {
    /// The usual member, and a layer small enough to print and large enough to show its blocks.
    pub fn example(&self) -> Option<(Order, Geometry)> {
        let order: Order = self.members.first()?.parse().ok()?;
        let [channels, filters, groups] = match order {
            Order::OnednnDepthwise { .. } => [1, 1, 4],
            Order::Onednn1x1 { .. } => [300, 8, 1],
            Order::Mkl(_) | Order::OnednnGemm(_) | Order::Nnpack(_) => [200, 16, 1],
            Order::Blas(_) => [700, 16, 1],
            Order::OnednnMatmul { .. } => [600, 16, 1],
            _ => [18, 8, 1],
        };
        let kernel = match order {
            Order::OnednnDepthwise { .. } => [3, 3],
            Order::Onednn1x1 { .. } => [1, 1],
            _ => [1, 2],
        };
        let stride = match order {
            Order::Nnpack(_) => [2, 2],
            _ => [1, 1],
        };
        let arguments = Arguments {
            stride,
            groups,
            ..Arguments::default()
        };
        let input = [2, channels * groups, 6, 6];
        let weight = [filters * groups, channels, kernel[0], kernel[1]];
        let geometry = conv2d::resolve(input, weight, None, &arguments).ok()?;
        Some((order, geometry))
    }
}

/// Every member of every family that means something for `g` in `dtype`, without those that come to the same plan.
pub fn search_space(g: &Geometry, dtype: FloatType) -> Vec<Order> {
    let mut seen = Vec::new();
    let mut orders = Vec::new();
    for member in FAMILIES.iter().flat_map(|family| family.members) {
        let Ok(order) = member.parse::<Order>() else {
            continue; // impossible: the conformance tests parse them all
        };
        let is_transposed = matches!(order, Order::Transposed(_));
        if !order.serves(dtype) || is_transposed && g.addressing != Addressing::Transposed {
            continue;
        }
        let plan = order.plan(g);
        if !seen.contains(&plan) {
            seen.push(plan);
            orders.push(order);
        }
    }
    orders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_is_named_as_it_parses() {
        for family in FAMILIES {
            assert!(!family.members.is_empty());
            for member in family.members {
                let order: Order = member.parse().unwrap();
                assert_eq!(order.to_string(), *member);
            }
        }
    }

    /// Their plans of a large image took longer than all others' together.
    #[test]
    fn orders_of_transposed_layers_are_not_tried_on_others() {
        let (_, g) = FAMILIES[0].example().unwrap();
        assert_eq!(g.addressing, Addressing::Images);
        let orders = search_space(&g, FloatType::Float32);
        assert!(!orders.is_empty());
        assert!(!orders.iter().any(|o| matches!(o, Order::Transposed(_))));
    }

    #[test]
    fn every_family_shows_a_tree() {
        for family in FAMILIES {
            let (order, g) = family.example().unwrap();
            let tree = crate::execute::order::tree::of_order(&order, &g, [0, 0, 0]);
            assert!(
                tree.is_some(),
                "{order} is no sum of its products and the bias"
            );
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_forms() {
        for name in [
            "",
            "onednn-direct",
            "onednn-direct/ic0",
            "onednn-direct/ic08",
            "mkl-slow2d/kb192",
            "x/y",
        ] {
            let error = name.parse::<Order>().unwrap_err();
            assert!(error.hint().unwrap().contains("onednn-direct/icB"));
        }
    }
}
