//! oneDNN's choice of implementation, and so of order.
//!
//! For contiguous NCHW input PyTorch asks with formats left open and for training, for which the brgemm kernels
//! decline; the list that is left is jit_dw, jit_1x1, jit, x64:gemm:jit, ref, each for the best instruction set
//! first (oneDNN 3.13, src/cpu/cpu_convolution_list.cpp).

use crate::execute::Geometry;
use crate::execute::order;
use crate::execute::order::Order;
use crate::execute::order::gemm;
use crate::execute::predict::Machine;
use crate::execute::predict::MemoryFormat;
use crate::execute::predict::Onednn;

pub mod arm;
pub(super) mod bf16;
mod brgemm;
mod depthwise;
mod direct;
mod direct_avx512;
mod inner_product;
mod pointwise;
mod sizes;
pub(super) mod transposed;

use brgemm::Brgemm;
use brgemm::Outcome;
use sizes::Sizes;

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

    /// What oneDNN says in its own report (`get_isa_info` in src/cpu/x64/cpu_isa_traits.cpp): `Intel AVX2 with ...`.
    pub fn reported(text: &str) -> Option<Isa> {
        let text = text.to_ascii_uppercase().replace('-', "");
        let known = [
            ("AVX512", Isa::Avx512),
            ("AVX10", Isa::Avx512),
            ("AVX2", Isa::Avx2),
            ("AVX", Isa::Avx),
            ("SSE4.1", Isa::Sse41),
        ];
        let named = known.iter().find(|(name, _)| text.contains(name));
        named.map(|&(_, isa)| isa)
    }

    /// A value of the origin's `cpu_isa`, oneDNN's names for what a processor has.
    pub fn of_processor(name: &str) -> Option<Isa> {
        match name.to_ascii_uppercase().as_str() {
            name if name.starts_with("AVX512_CORE") || name.starts_with("AVX10") => {
                Some(Isa::Avx512)
            }
            name => Isa::limit(name),
        }
    }
}

/// What oneDNN runs: the implementation's name as `ONEDNN_VERBOSE` prints it, and its order.
pub type Choice = (&'static str, Order);

/// Implementation and order for contiguous input.
pub fn contiguous(g: &Geometry, machine: &Machine) -> Option<Choice> {
    let s = &Sizes::of(g)?;
    volume(s, machine)
        .or_else(|| jit_avx512(s, machine))
        .or_else(|| jit(s, machine, MemoryFormat::Contiguous))
        .or_else(|| gemm(g, machine, MemoryFormat::Contiguous))
}

/// A depthwise convolution of volumes, which `jit_dw` does not know: the kernel that is otherwise for channels_last.
fn volume(s: &Sizes, machine: &Machine) -> Option<Choice> {
    s.depth?;
    match machine.isa {
        Isa::Avx512 => brdgmm(s, "brdgmm_dw:avx512_core"),
        Isa::Avx2 => brdgmm(s, "brdgmm_dw:avx2").filter(|_| machine.onednn >= Onednn(3, 1)),
        Isa::Avx | Isa::Sse41 => None,
    }
}

/// The first of the kernels for AVX-512 that accepts the layer.
fn jit_avx512(s: &Sizes, machine: &Machine) -> Option<Choice> {
    if machine.isa < Isa::Avx512 {
        None
    } else if inner_product::accepts(s) {
        Some(inner_product::choose(s, machine))
    } else if depthwise::AVX512.accepts(s, MemoryFormat::Contiguous) {
        Some((depthwise::AVX512.name, depthwise::AVX512.order()))
    } else if pointwise::AVX512.accepts(s) {
        let order = pointwise::AVX512.order(s, machine);
        Some((pointwise::AVX512.name, order))
    } else if direct_avx512::accepts(s, machine) {
        Some((direct_avx512::NAME, direct_avx512::order(s)))
    } else {
        None
    }
}

/// The first of the other kernels that accepts the layer.
fn jit(s: &Sizes, machine: &Machine, layout: MemoryFormat) -> Option<Choice> {
    let (depthwise, pointwise, direct) = match machine.isa {
        Isa::Avx2 | Isa::Avx512 => (
            &[depthwise::AVX2, depthwise::SSE41][..],
            &[pointwise::AVX2, pointwise::SSE41][..],
            &[direct::AVX2, direct::SSE41][..],
        ),
        Isa::Avx => (
            &[depthwise::SSE41][..],
            &[pointwise::AVX, pointwise::SSE41][..],
            &[direct::AVX, direct::SSE41][..],
        ),
        Isa::Sse41 => (
            &[depthwise::SSE41][..],
            &[pointwise::SSE41][..],
            &[direct::SSE41][..],
        ),
    };
    if let Some(kernel) = depthwise.iter().find(|kernel| kernel.accepts(s, layout)) {
        return Some((kernel.name, kernel.order()));
    }
    if let Some(kernel) = pointwise.iter().find(|kernel| kernel.accepts(s)) {
        let order = match layout {
            MemoryFormat::Contiguous => kernel.order(s, machine),
            MemoryFormat::ChannelsLast => kernel.channels_last_order(s),
        };
        return Some((kernel.name, order));
    }
    let kernel = direct.iter().find(|kernel| kernel.accepts(s, layout))?;
    Some((kernel.name, kernel.order(layout)))
}

/// What is left: the gemm convolution, or the reference where its buffers would be too large.
fn gemm(g: &Geometry, machine: &Machine, layout: MemoryFormat) -> Option<Choice> {
    let kernels = match machine.isa {
        Isa::Avx512 => gemm::Kernels::Avx512,
        Isa::Avx2 => gemm::Kernels::Avx2,
        Isa::Avx => gemm::Kernels::Avx,
        Isa::Sse41 => gemm::Kernels::Sse41,
    };
    let nhwc = layout == MemoryFormat::ChannelsLast;
    let variant = gemm::Variant {
        kernels,
        threads: machine.threads,
        l2_bytes: machine.caches[1],
        nhwc,
    };
    // single pixels are NCHW as well, which another implementation takes and hands on
    let pixels = nhwc && machine.isa == Isa::Avx512 && g.input == [1, 1] && g.output == [1, 1];
    let handed_on = pixels && machine.onednn >= Onednn(3, 6);
    if machine.threads > gemm::MOST_THREADS {
        None
    } else if gemm::accepts(g, &variant) {
        let name = match handed_on {
            true => "jit_uni_ncsp:conv+x64:gemm:jit",
            false => "x64:gemm:jit",
        };
        Some((name, Order::OnednnGemm(variant)))
    } else {
        Some(("ref:any", Order::OnednnReference))
    }
}

/// Implementation and order for channels_last input: what follows after the brgemm kernels have declined takes few
/// layers with AVX-512 and AVX2, and all of them without.
pub fn channels_last(g: &Geometry, machine: &Machine) -> Option<Choice> {
    let s = &Sizes::of(g)?;
    let taken = match machine.isa {
        Isa::Avx512 => channels_last_avx512(s, machine),
        Isa::Avx2 => channels_last_avx2(s, machine),
        Isa::Avx | Isa::Sse41 if s.depth.is_some() => return None, // not measured
        Isa::Avx | Isa::Sse41 => None,
    };
    taken.unwrap_or_else(|| {
        jit(s, machine, MemoryFormat::ChannelsLast)
            .or_else(|| gemm(g, machine, MemoryFormat::ChannelsLast))
    })
}

/// A depthwise kernel for channels_last without dilation, whatever the sizes (`brdgmm_dw`).
fn brdgmm(s: &Sizes, name: &'static str) -> Option<Choice> {
    let depthwise = s.groups > 1 && s.group_in == 1 && s.group_out == 1;
    let order = Order::OnednnBrgemm(order::brgemm::Variant::WHOLE);
    (depthwise && s.is_undilated()).then_some((name, order))
}

/// `None`: they decline; `Some(None)`: taken, in an order that cannot be told.
fn channels_last_avx512(s: &Sizes, machine: &Machine) -> Option<Option<Choice>> {
    if let Some(choice) = brdgmm(s, "brdgmm_dw:avx512_core") {
        return Some(Some(choice));
    }
    if inner_product::accepts(s) {
        return Some(Some(inner_product::choose(s, machine)));
    }
    if let Some(taken) = taken_by_brgemm(&brgemm::AVX512, s, machine) {
        return Some(taken);
    }
    if depthwise::AVX512.accepts(s, MemoryFormat::ChannelsLast) {
        return Some(Some((depthwise::AVX512.name, depthwise::AVX512.order())));
    }
    if direct_avx512::accepts_channels_last(s, machine) {
        let order = direct_avx512::channels_last_order(s);
        return Some(order.map(|order| (direct_avx512::NAME, order)));
    }
    taken_by_brgemm(&brgemm::AVX2, s, machine)
}

/// The same for AVX2.
fn channels_last_avx2(s: &Sizes, machine: &Machine) -> Option<Option<Choice>> {
    // there was none for AVX2 before oneDNN 3.1
    if let Some(choice) = brdgmm(s, "brdgmm_dw:avx2").filter(|_| machine.onednn >= Onednn(3, 1)) {
        return Some(Some(choice));
    }
    if depthwise::AVX2.accepts(s, MemoryFormat::ChannelsLast) {
        return Some(Some((depthwise::AVX2.name, depthwise::AVX2.order())));
    }
    taken_by_brgemm(&brgemm::AVX2, s, machine)
}

/// What the brgemm kernels do, if they run; `Some(None)` where they do in an order that cannot be told.
fn taken_by_brgemm(kernels: &Brgemm, s: &Sizes, machine: &Machine) -> Option<Option<Choice>> {
    let outcomes = [
        (kernels.pointwise_name, kernels.pointwise(s, machine)),
        (kernels.name, kernels.direct(s, machine)),
    ];
    outcomes
        .into_iter()
        .find_map(|(name, outcome)| match outcome {
            Outcome::Declined => None,
            Outcome::Taken(variant) => Some(variant.map(|v| (name, Order::OnednnBrgemm(v)))),
        })
}
