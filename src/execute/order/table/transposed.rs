//! The families of transposed convolutions.

use crate::execute::order::table::Family;

pub(super) const MKL: Family = Family {
    form: "mkl-transpose2d/[f64-]kbB|halvesB|compatible[-cnr]-tT",
    rule: "for each tap (kh, kw) a product over the input channels as in mkl-slow2d, from +0; what each tap gives is added to +0; bias last",
    used: "PyTorch's SlowTranspose2d: transposed convolutions where oneDNN is not used",
    evidence: "verified on live torch 2.15 (AMD)",
    members: &[
        "mkl-transpose2d/kb192-t1",
        "mkl-transpose2d/kb192-t2",
        "mkl-transpose2d/kb192-t4",
        "mkl-transpose2d/halves384-t1",
        "mkl-transpose2d/f64-kb256-t1",
        "mkl-transpose2d/f64-kb256-t2",
    ],
};

pub(super) const MKL_NHWC: Family = Family {
    form: "mkl-transpose2d-nhwc/[f64-]kbB|halvesB|compatible[-cnr]-tT",
    rule: "as mkl-transpose2d, the weight's taps and output channels being the rows of the product; taps are added in the opposite sequence",
    used: "PyTorch's SlowTranspose2d, channels_last input",
    evidence: "verified on live torch 2.15 (AMD)",
    members: &[
        "mkl-transpose2d-nhwc/kb192-t1",
        "mkl-transpose2d-nhwc/kb192-t2",
        "mkl-transpose2d-nhwc/kb192-t4",
        "mkl-transpose2d-nhwc/f64-kb256-t1",
        "mkl-transpose2d-nhwc/f64-kb256-t2",
    ],
};

pub(super) const BACKWARD: Family = Family {
    form: "onednn-backward/icB-blockB[-muladd]",
    rule: "a chain from +0 per so many input channels, in blocks of the layout (kh, kw, channel); what no tap reads is skipped; bias last",
    used: "oneDNN conv:any+jit, jit_1x1, jit_dw: transposed convolutions with stride 1, or without a channel multiplier",
    evidence: "verified on live torch 2.15 (AMD, AVX-512 and AVX2 kernels)",
    members: &[
        "onednn-backward/ic16-block16",
        "onednn-backward/ic32-block8",
        "onednn-backward/ic16-block8",
        "onednn-backward/ic8-block8",
        "onednn-backward/ic4-block4",
        "onednn-backward/ic64-block64",
        "onednn-backward/ic128-block128",
        "onednn-backward/ic256-block256",
        "onednn-backward/ic512-block512",
        "onednn-backward/ic1024-block1024",
        "onednn-backward/ic8-block8-muladd",
    ],
};

pub(super) const STRIDED: Family = Family {
    form: "onednn-brgemm-strided/edgesW|copied[-rows]",
    rule: "calls that each are a chain from +0 over kh, kw, channel, added to the total; bias last. edgesW: blocks of W output columns, kernel columns that do not reach all of a block in calls of their own; copied: all of them in one; rows: a call for each kernel row",
    used: "oneDNN brg_deconv+brgconv_strided: most transposed convolutions with a stride",
    evidence: "verified on live torch 2.15 (AMD, AVX-512 and AVX2 kernels)",
    members: &[
        "onednn-brgemm-strided/copied",
        "onednn-brgemm-strided/edges1024",
        "onednn-brgemm-strided/copied-rows",
        "onednn-brgemm-strided/edges1024-rows",
        "onednn-brgemm-strided/edges2",
        "onednn-brgemm-strided/edges4",
        "onednn-brgemm-strided/edges6",
        "onednn-brgemm-strided/edges8",
        "onednn-brgemm-strided/edges12",
        "onednn-brgemm-strided/edges14",
        "onednn-brgemm-strided/edges16",
        "onednn-brgemm-strided/edges28",
        "onednn-brgemm-strided/edges32",
        "onednn-brgemm-strided/edges56",
        "onednn-brgemm-strided/edges64",
    ],
};

pub(super) const INVERTED: Family = Family {
    form: "onednn-brgemm-inverted/whole|copied|edgesW[-columns][-rows][-icB]",
    rule: "as onednn-brgemm of the convolution that has the kernel turned round: chains go from the last kernel row and column to the first",
    used: "oneDNN brg_deconv+brg_conv_fwd, brgconv_1x1: transposed convolutions with stride 1, channels_last input",
    evidence: "verified on live torch 2.15 (AMD, AVX-512 and AVX2 kernels)",
    members: &[
        "onednn-brgemm-inverted/whole",
        "onednn-brgemm-inverted/whole-rows",
        "onednn-brgemm-inverted/copied",
        "onednn-brgemm-inverted/edges1024",
        "onednn-brgemm-inverted/edges1024-rows",
        "onednn-brgemm-inverted/whole-ic64",
        "onednn-brgemm-inverted/whole-ic320",
    ],
};

pub(super) const GEMM: Family = Family {
    form: "onednn-gemm-backward/sse41|avx|avx2|avx512-tT[-nhwc]",
    rule: "for each tap (kh, kw) a product over the input channels as in onednn-gemm; what each tap gives is added to +0; bias last; nhwc: taps in the opposite sequence",
    used: "oneDNN conv:any+x64:gemm:jit: transposed convolutions that its other kernels do not take, as those with dilation or odd groups",
    evidence: "verified on live torch 2.15 (AMD, AVX-512 and AVX2 kernels)",
    members: &[
        "onednn-gemm-backward/avx512-t1",
        "onednn-gemm-backward/avx512-t2",
        "onednn-gemm-backward/avx2-t1",
        "onednn-gemm-backward/avx2-t2",
        "onednn-gemm-backward/avx512-t4",
        "onednn-gemm-backward/avx2-t4",
        "onednn-gemm-backward/avx-t1",
        "onednn-gemm-backward/sse41-t1",
        "onednn-gemm-backward/avx512-t1-nhwc",
        "onednn-gemm-backward/avx512-t2-nhwc",
        "onednn-gemm-backward/avx2-t1-nhwc",
        "onednn-gemm-backward/avx2-t2-nhwc",
    ],
};
