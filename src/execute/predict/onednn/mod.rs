//! oneDNN's choice of implementation, and so of order.
//!
//! For contiguous NCHW input PyTorch asks with formats left open and for training, for which the brgemm kernels
//! decline; the list that is left is jit_dw, jit_1x1, jit, x64:gemm:jit, ref, each for the best instruction set
//! first (oneDNN 3.13, src/cpu/cpu_convolution_list.cpp).

use crate::execute::Geometry;
use crate::execute::order::Order;
use crate::execute::predict::Machine;

/// Instruction sets as far as they change orders, poorest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Isa {
    /// SSE4.1: no fused multiply-add.
    Sse41,
    /// AVX: no fused multiply-add.
    Avx,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512 F, BW, DQ, VL.
    Avx512,
}

impl Isa {
    /// What a value of `ONEDNN_MAX_CPU_ISA` allows; `None` for values that limit nothing known here.
    pub fn limit(value: &str) -> Option<Isa> {
        match value.to_ascii_uppercase().as_str() {
            "SSE41" => Some(Isa::Sse41),
            "AVX" => Some(Isa::Avx),
            "AVX2" | "AVX2_VNNI" | "AVX2_VNNI_2" => Some(Isa::Avx2),
            _ => None,
        }
    }
}

/// Implementation and order for contiguous input.
pub fn contiguous(g: &Geometry, machine: &Machine) -> Option<(&'static str, Order)> {
    let _ = (g, machine);
    None
}

/// Implementation and order for channels_last input.
pub fn channels_last(g: &Geometry, machine: &Machine) -> Option<(&'static str, Order)> {
    let _ = (g, machine);
    None
}
