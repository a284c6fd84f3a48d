//! Names of orders: `FAMILY/PARAMETERS`, and back.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::order::Fold;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::acl;
use crate::execute::order::bf16;
use crate::execute::order::blas;
use crate::execute::order::brgemm;
use crate::execute::order::custom;
use crate::execute::order::gemm;
use crate::execute::order::mkl;
use crate::execute::order::native;
use crate::execute::order::nnpack;
use crate::execute::order::onednn;
use crate::execute::order::transposed;

/// A named rule that makes a [`Plan`] for every geometry. [`super::table::FAMILIES`] describes each variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// One accumulator over all taps.
    Sequential {
        /// kh, kw, c instead of c, kh, kw.
        channels_last: bool,
        /// One rounding per step instead of two.
        fused: bool,
        /// The bias added at the end instead of started with.
        bias_last: bool,
    },
    /// oneDNN's direct kernels for AVX2, AVX and SSE4.1.
    OnednnDirect {
        /// Input channels per block.
        channel_block: usize,
        /// AVX2 fuses, AVX and SSE4.1 do not.
        fused: bool,
        /// Whether the last block is filled up with channels of +0, as in a blocked layout; channels_last has none.
        filled: bool,
    },
    /// oneDNN's direct kernels for AVX-512 and SVE: a partial sum per channel block.
    OnednnDirectBlocks {
        /// Input channels per block.
        channel_block: usize,
    },
    /// oneDNN's 1x1 kernels.
    Onednn1x1 {
        /// Input channels per reduce block.
        reduce: usize,
        /// Channels are filled up to a multiple of this: 8 (AVX2) or 16 (AVX-512).
        simd: usize,
        /// AVX and SSE4.1 do not fuse.
        fused: bool,
    },
    /// oneDNN's depthwise kernels.
    OnednnDepthwise {
        /// AVX and SSE4.1 do not fuse.
        fused: bool,
    },
    /// oneDNN's brgemm kernels (channels_last).
    OnednnBrgemm(brgemm::Variant),
    /// oneDNN's direct kernels for AVX-512 on channels_last input.
    OnednnDirectChannelsLast {
        /// Input channels per block.
        channel_block: usize,
    },
    /// oneDNN's matrix multiplication, for kernels as large as the image (AVX-512).
    OnednnMatmul {
        /// Products per block.
        block: usize,
        /// Threads that share the blocks.
        shares: usize,
    },
    /// The same for one output channel.
    OnednnMatrixVector,
    /// oneDNN's im2col + its own sgemm.
    OnednnGemm(gemm::Variant),
    /// oneDNN's reference convolution.
    OnednnReference,
    /// oneDNN's kernels for bfloat16.
    OnednnBf16(bf16::Variant),
    /// PyTorch's own dot product for bfloat16 and float16 (channels_last).
    NativeDot {
        /// Joined one after the other, as without AVX2.
        sequential: bool,
    },
    /// PyTorch's own matrix product for bfloat16 and float16.
    NativeGemm {
        /// Accumulators.
        lanes: usize,
        /// One rounding per step instead of two.
        fused: bool,
    },
    /// im2col + MKL's sgemm.
    Mkl(mkl::Variant),
    /// Transposed convolutions'.
    Transposed(transposed::Variant),
    /// im2col, or the input in place, + Arm Compute Library's matrix product.
    AclGemm(acl::Gemm),
    /// im2col + OpenBLAS's or NVPL's sgemm.
    Blas(blas::Variant),
    /// Spelled out.
    Custom(custom::Variant),
    /// NNPACK: Winograd, Fourier or a matrix product, by kernel and output.
    Nnpack(nnpack::Variant),
}

impl Order {
    /// Whether it may be how a convolution of `dtype` is summed: what a search need not try where not.
    pub fn serves(&self, dtype: FloatType) -> bool {
        match self {
            Order::Sequential { .. } | Order::Custom(_) => true,
            Order::OnednnBf16(_) => dtype == FloatType::BFloat16,
            Order::NativeGemm { .. } | Order::NativeDot { .. } => dtype.is_narrow(),
            Order::Mkl(_)
            | Order::Transposed(transposed::Variant::Mkl(_) | transposed::Variant::MklNhwc(_)) => {
                !dtype.is_narrow()
            }
            _ => dtype == FloatType::Float32,
        }
    }

    /// The order applied to `g`.
    pub fn plan(&self, g: &Geometry) -> Plan {
        let recipe = match *self {
            Order::Sequential {
                channels_last,
                fused,
                bias_last,
            } => sequential(g, channels_last, fused, bias_last),
            Order::OnednnDirect {
                channel_block,
                fused,
                filled,
            } => onednn::direct(g, channel_block, fused, filled),
            Order::OnednnDirectBlocks { channel_block } => onednn::direct_blocks(g, channel_block),
            Order::Onednn1x1 {
                reduce,
                simd,
                fused,
            } => onednn::pointwise(g, reduce, simd, fused),
            Order::OnednnDepthwise { fused } => onednn::depthwise(g, fused),
            Order::OnednnBrgemm(variant) => return brgemm::plan(g, &variant),
            Order::OnednnDirectChannelsLast { channel_block } => {
                onednn::direct_channels_last(g, channel_block)
            }
            Order::OnednnMatmul { block, shares } => onednn::matmul(g, block, shares),
            Order::OnednnMatrixVector => onednn::matrix_vector(g),
            Order::OnednnReference => onednn::reference(g),
            Order::OnednnGemm(variant) => return gemm::plan(g, &variant),
            Order::OnednnBf16(variant) => return bf16::plan(g, &variant),
            Order::NativeGemm { lanes, fused } => native::interleaved(g, lanes, fused),
            Order::NativeDot { sequential } => native::dot(g, sequential),
            Order::Mkl(variant) => return mkl::plan(g, &variant),
            Order::Transposed(variant) => return transposed::plan(g, &variant),
            Order::AclGemm(gemm) => gemm.recipe(g),
            Order::Blas(variant) => return variant.plan(g),
            Order::Custom(variant) => variant.recipe(g),
            Order::Nnpack(variant) => return variant.plan(g),
        };
        Plan::uniform(g, recipe)
    }
}

/// One accumulator over all taps; in im2col's sequence padding is multiplied, else skipped.
fn sequential(g: &Geometry, channels_last: bool, fused: bool, bias_last: bool) -> Recipe {
    let (walk, padding) = if channels_last {
        (Walk::CHANNELS_LAST, PaddingTaps::Skipped)
    } else {
        (Walk::IM2COL, PaddingTaps::Zero)
    };
    let chain = Step::Fold {
        len: g.taps(),
        fresh: false,
        fold: Fold::Chain { fused },
    };
    let steps = if bias_last {
        vec![chain, Step::Bias]
    } else {
        vec![Step::Bias, chain]
    };
    Recipe {
        walk,
        padding,
        steps,
    }
}

fn step_name(fused: bool) -> &'static str {
    if fused { "fma" } else { "muladd" }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = |fused: bool| if fused { "" } else { "-muladd" };
        match *self {
            Order::Sequential {
                channels_last,
                fused,
                bias_last,
            } => write!(
                f,
                "sequential/{}-{}-bias-{}",
                if channels_last { "hwc" } else { "chw" },
                step_name(fused),
                if bias_last { "last" } else { "first" }
            ),
            Order::OnednnDirect {
                channel_block,
                fused,
                filled,
            } => {
                let layout = if filled { "" } else { "-nhwc" };
                let fused = suffix(fused);
                write!(f, "onednn-direct/ic{channel_block}{fused}{layout}")
            }
            Order::OnednnDirectBlocks { channel_block } => {
                write!(f, "onednn-direct-blocks/ic{channel_block}")
            }
            Order::Onednn1x1 {
                reduce,
                simd,
                fused,
            } => write!(f, "onednn-1x1/rb{reduce}-simd{simd}{}", suffix(fused)),
            Order::OnednnDepthwise { fused } => write!(f, "onednn-depthwise/{}", step_name(fused)),
            Order::OnednnBrgemm(variant) => write!(f, "onednn-brgemm/{variant}"),
            Order::OnednnDirectChannelsLast { channel_block } => {
                write!(f, "onednn-direct-nhwc/ic{channel_block}")
            }
            Order::OnednnMatmul { block, shares } => write!(f, "onednn-matmul/kb{block}-t{shares}"),
            Order::OnednnMatrixVector => f.write_str("onednn-matrix-vector/lanes8"),
            Order::OnednnReference => f.write_str("onednn-ref/muladd"),
            Order::OnednnGemm(variant) => write!(f, "onednn-gemm/{variant}"),
            Order::OnednnBf16(variant) => write!(f, "{variant}"),
            Order::NativeGemm { lanes, fused } => {
                let step = if fused { "" } else { "-muladd" };
                write!(f, "native-gemm/lanes{lanes}{step}")
            }
            Order::NativeDot { sequential: false } => f.write_str("native-dot/avx2"),
            Order::NativeDot { sequential: true } => f.write_str("native-dot/default"),
            Order::Mkl(variant) => write!(f, "{variant}"),
            Order::Transposed(variant) => write!(f, "{variant}"),
            Order::AclGemm(gemm) => write!(f, "acl-gemm/{gemm}"),
            Order::Blas(variant) => write!(f, "blas-slow2d/{variant}"),
            Order::Custom(variant) => write!(f, "custom/{variant}"),
            Order::Nnpack(variant) => write!(f, "nnpack/{variant}"),
        }
    }
}

impl FromStr for Order {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        parse(name).ok_or_else(|| {
            let forms = super::table::FAMILIES.iter().map(|family| family.form);
            let forms = forms.collect::<Vec<_>>().join(", ");
            Error::usage(format!("there is no accumulation order {name:?}"))
                .with_hint(format!("the orders are {forms}; see `pthinspect orders`"))
        })
    }
}

/// A decimal number after `prefix`.
pub(super) fn number(text: &str, prefix: &str) -> Option<usize> {
    let digits = text.strip_prefix(prefix)?;
    let value: usize = digits.parse().ok()?;
    // the upper bound keeps every size made from it far from overflowing
    ((1..=1 << 30).contains(&value) && value.to_string() == digits).then_some(value)
}

fn fused(step: &str) -> Option<bool> {
    match step {
        "fma" => Some(true),
        "muladd" => Some(false),
        _ => None,
    }
}

fn parse(name: &str) -> Option<Order> {
    let (family, parameters) = name.split_once('/')?;
    let words: Vec<&str> = parameters.split('-').collect();
    match (family, words.as_slice()) {
        (
            "sequential",
            [
                loops @ ("chw" | "hwc"),
                step,
                "bias",
                end @ ("first" | "last"),
            ],
        ) => Some(Order::Sequential {
            channels_last: *loops == "hwc",
            fused: fused(step)?,
            bias_last: *end == "last",
        }),
        ("onednn-direct", [block, rest @ ..]) => {
            let (fused, filled) = match rest {
                [] => (true, true),
                ["nhwc"] => (true, false),
                ["muladd"] => (false, true),
                ["muladd", "nhwc"] => (false, false),
                _ => return None,
            };
            Some(Order::OnednnDirect {
                channel_block: number(block, "ic")?,
                fused,
                filled,
            })
        }
        ("onednn-direct-blocks", [block]) => Some(Order::OnednnDirectBlocks {
            channel_block: number(block, "ic")?,
        }),
        ("onednn-1x1", [reduce, simd, rest @ ..]) if matches!(rest, [] | ["muladd"]) => {
            Some(Order::Onednn1x1 {
                reduce: number(reduce, "rb")?,
                simd: number(simd, "simd")?,
                fused: rest.is_empty(),
            })
        }
        ("onednn-depthwise", [step]) => Some(Order::OnednnDepthwise {
            fused: fused(step)?,
        }),
        ("onednn-brgemm", words) => brgemm::Variant::parse(words).map(Order::OnednnBrgemm),
        ("onednn-direct-nhwc", [block]) => Some(Order::OnednnDirectChannelsLast {
            channel_block: number(block, "ic")?,
        }),
        ("onednn-matmul", [block, shares]) => Some(Order::OnednnMatmul {
            block: number(block, "kb")?,
            shares: number(shares, "t")?,
        }),
        ("onednn-matrix-vector", ["lanes8"]) => Some(Order::OnednnMatrixVector),
        ("onednn-ref", ["muladd"]) => Some(Order::OnednnReference),
        ("nnpack", words) => nnpack::Variant::parse(words).map(Order::Nnpack),
        ("onednn-gemm", words) => gemm::Variant::parse(words).map(Order::OnednnGemm),
        ("native-dot", ["avx2"]) => Some(Order::NativeDot { sequential: false }),
        ("native-dot", ["default"]) => Some(Order::NativeDot { sequential: true }),
        ("native-gemm", [lanes, rest @ ..]) if matches!(rest, [] | ["muladd"]) => {
            Some(Order::NativeGemm {
                lanes: number(lanes, "lanes").filter(|&lanes| lanes <= 64)?,
                fused: rest.is_empty(),
            })
        }
        (family, words) if family.starts_with("onednn-bf16-") => {
            bf16::Variant::parse(family, words).map(Order::OnednnBf16)
        }
        ("blas-slow2d", words) => blas::Variant::parse(words).map(Order::Blas),
        ("acl-gemm", [cut]) => acl::Gemm::parse(cut).map(Order::AclGemm),
        ("custom", words) => custom::Variant::parse(words).map(Order::Custom),
        (family, words) => {
            let mkl = || mkl::Variant::parse(family, words).map(Order::Mkl);
            let variant = transposed::Variant::parse(family, words);
            variant.map(Order::Transposed).or_else(mkl)
        }
    }
}
