//! bfloat16 and float16.
//!
//! PyTorch hands them to oneDNN whatever their size, where oneDNN says that the processor has instructions for them
//! (`use_mkldnn` in aten/src/ATen/native/Convolution.cpp; `mkldnn_bf16_device_check`: AVX-512 BW, VL and DQ, with or
//! without the instructions for bfloat16, or AVX-NE-CONVERT; `mkldnn_fp16_device_check`: AVX512-FP16, or
//! AVX-NE-CONVERT), after what `ONEDNN_MAX_CPU_ISA` takes away. Everywhere else they go to Slow2d and SlowDilated2d,
//! never to NNPACK, and those to PyTorch's own matrix product. Measured with every such setting on a processor with
//! AVX512-BF16; `ATEN_CPU_CAPABILITY` changes PyTorch's own product for channels_last input and nothing else.

use crate::execute::Call;
use crate::execute::FloatType;
use crate::execute::MemoryFormat;
use crate::execute::Op;
use crate::execute::Origin;
use crate::execute::Prediction;
use crate::execute::order::Order;
use crate::execute::order::Plan;
use crate::execute::predict::Backend;
use crate::execute::predict::Isa;
use crate::execute::predict::Machine;
use crate::execute::predict::onednn;

/// What there is for bfloat16 and float16 on a processor, and what PyTorch's own kernels use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Narrow {
    /// What oneDNN may use.
    pub unit: Unit,
    /// PyTorch's own kernels are those without AVX2.
    pub default_kernels: bool,
}

/// Instructions beyond AVX-512's first set, poorest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// None.
    #[default]
    None,
    /// AVX512-BF16: products of pairs of bfloat16.
    Bf16,
    /// AVX512-FP16 too.
    Fp16,
    /// Tiles: AMX-BF16 (and AMX-FP16); nothing is known of those kernels' orders.
    Tiles,
    /// AVX-NE-CONVERT without AVX-512; nothing is known of those kernels' orders.
    Converting,
}

/// Every order that the origin leaves open, the usual first; none where no rule covers the origin.
pub(super) fn predict(call: &Call, origin: &Origin) -> Vec<Prediction> {
    if !matches!(call.op, Op::Conv2d | Op::Conv1d) {
        return Vec::new(); // not measured
    }
    let mut found: Vec<(Prediction, Plan)> = Vec::new();
    for machine in origin.machines() {
        for narrow in choices(origin, machine.isa) {
            for prediction in predictions(call, &Machine { narrow, ..machine }) {
                if found
                    .iter()
                    .any(|(known, _)| known.order == prediction.order)
                {
                    continue;
                }
                let plan = prediction.order.plan(&call.geometry);
                if found.iter().all(|(_, known)| *known != plan) {
                    found.push((prediction, plan));
                }
            }
        }
    }
    found
        .into_iter()
        .map(|(prediction, _)| prediction)
        .collect()
}

/// What the origin leaves open, the usual first.
fn choices(origin: &Origin, isa: Isa) -> Vec<Narrow> {
    let default_kernels = match origin.cpu_capability.as_deref() {
        None => vec![false, true],
        Some(capability) => vec![capability == "DEFAULT"],
    };
    let all = |unit| {
        let kernels = default_kernels.iter();
        kernels.map(move |&default_kernels| Narrow {
            unit,
            default_kernels,
        })
    };
    units(origin, isa).into_iter().flat_map(all).collect()
}

fn units(origin: &Origin, isa: Isa) -> Vec<Unit> {
    let known = origin.cpu_flags.as_ref();
    let has = |flag: &str| known.is_some_and(|flags| flags.iter().any(|f| f == flag));
    if isa != Isa::Avx512 {
        return vec![match has("avx_ne_convert") && isa == Isa::Avx2 {
            true => Unit::Converting,
            false => Unit::None,
        }];
    }
    let limit = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"]
        .iter()
        .find_map(|name| origin.env.get(*name))
        .map_or(Unit::Tiles, |value| {
            match value.to_ascii_uppercase().as_str() {
                "AVX512_CORE" | "AVX512_CORE_VNNI" => Unit::None,
                "AVX512_CORE_BF16" => Unit::Bf16,
                "AVX512_CORE_FP16" => Unit::Fp16,
                _ => Unit::Tiles,
            }
        });
    let there = match known {
        None => vec![Unit::Bf16, Unit::None],
        Some(_) if has("amx_bf16") => vec![Unit::Tiles],
        Some(_) if has("avx512_fp16") => vec![Unit::Fp16],
        Some(_) if has("avx512_bf16") => vec![Unit::Bf16],
        Some(_) => vec![Unit::None],
    };
    let mut units: Vec<Unit> = there.into_iter().map(|unit| unit.min(limit)).collect();
    units.dedup();
    units
}

/// What PyTorch does with `call` on `machine`: one prediction, or all that are possible where the rule is not known in
/// full; none where nothing is known.
pub(super) fn predictions(call: &Call, machine: &Machine) -> Vec<Prediction> {
    let g = &call.geometry;
    let unit = machine.narrow.unit;
    let onednn = match call.dtype {
        FloatType::BFloat16 => machine.isa == Isa::Avx512 || unit == Unit::Converting,
        _ => unit >= Unit::Fp16,
    };
    if !onednn || !machine.mkldnn {
        return vec![native(call, machine)];
    }
    if call.dtype != FloatType::BFloat16 || unit >= Unit::Tiles {
        return Vec::new();
    }
    let choices = match call.memory_format {
        MemoryFormat::Contiguous => onednn::bf16::contiguous(g, machine),
        MemoryFormat::ChannelsLast => onednn::bf16::channels_last(g, machine),
    };
    let prediction = |(implementation, order)| Prediction {
        backend: Backend::Mkldnn,
        implementation,
        order,
    };
    choices.into_iter().map(prediction).collect()
}

/// PyTorch's own matrix product.
fn native(call: &Call, machine: &Machine) -> Prediction {
    let backend = match call.geometry.dilation {
        [1, 1] => Backend::Slow2d,
        _ => Backend::SlowDilated2d,
    };
    let sequential = machine.narrow.default_kernels;
    let (implementation, order) = match call.memory_format {
        MemoryFormat::Contiguous => {
            let (lanes, fused) = (4, !sequential);
            ("native gemm", Order::NativeGemm { lanes, fused })
        }
        MemoryFormat::ChannelsLast => ("native dot", Order::NativeDot { sequential }),
    };
    Prediction {
        backend,
        implementation,
        order,
    }
}
