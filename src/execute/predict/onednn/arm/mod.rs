//! oneDNN's choice on aarch64 (src/cpu/cpu_convolution_list.cpp): its own kernels for SVE, Arm Compute Library's, and
//! the gemm convolution with a matrix product written in C++.
//!
//! The lists of oneDNN 3.7 (torch 2.7 to 2.10) and 3.13 (torch 2.15) differ: from the former, layers without groups go
//! to Arm Compute Library wherever vectors have not 512 bits; from the latter, SVE's direct kernels come first.

use crate::execute::Geometry;
use crate::execute::order::Order;
use crate::execute::order::brgemm;
use crate::execute::order::gemm;
use crate::execute::predict::Machine;
use crate::execute::predict::MemoryFormat;
use crate::execute::predict::Onednn;
use crate::execute::predict::onednn::Choice;
use crate::execute::predict::onednn::depthwise::Depthwise;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::Sizes;

mod acl;
mod direct;
mod pointwise;

/// Vectors of an aarch64 processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sve {
    /// NEON alone.
    None,
    /// 256 bits: Neoverse V1.
    Bits256,
    /// 512 bits: A64FX.
    Bits512,
}

impl Sve {
    fn bits(self) -> i64 {
        match self {
            Sve::None => 0,
            Sve::Bits256 => 256,
            Sve::Bits512 => 512,
        }
    }

    /// The sets of kernels there are: those of so many float32 numbers, the widest first.
    fn kernels(self) -> &'static [Kernels] {
        match self {
            Sve::None => &[],
            Sve::Bits256 => &[SVE256, SVE128],
            Sve::Bits512 => &[SVE512, SVE256, SVE128],
        }
    }
}

/// Kernels for vectors of one length, by their names in oneDNN's own report.
#[derive(Clone, Copy)]
struct Kernels {
    lanes: i64,
    direct: &'static str,
    pointwise: &'static str,
    depthwise: Depthwise,
    brgemm: &'static str,
    brgemm_pointwise: &'static str,
    brgemm_depthwise: &'static str,
}

const SVE512: Kernels = Kernels {
    lanes: 16,
    direct: "jit:sve_512",
    pointwise: "jit_1x1:sve_512",
    depthwise: Depthwise::sve("jit_dw:sve_512", 6),
    brgemm: "brgconv:sve_512",
    brgemm_pointwise: "brgconv_1x1:sve_512",
    brgemm_depthwise: "brdgmm_dw:sve_512",
};

const SVE256: Kernels = Kernels {
    lanes: 8,
    direct: "jit:sve_256",
    pointwise: "jit_1x1:sve_256",
    depthwise: Depthwise::sve("jit_dw:sve_256", 4),
    brgemm: "brgconv:sve_256",
    brgemm_pointwise: "brgconv_1x1:sve_256",
    brgemm_depthwise: "brdgmm_dw:sve_256",
};

const SVE128: Kernels = Kernels {
    lanes: 4,
    direct: "jit:sve_128",
    pointwise: "jit_1x1:sve_128",
    depthwise: Depthwise::sve("jit_dw:sve_128", 8),
    brgemm: "brgconv:sve_128",
    brgemm_pointwise: "brgconv_1x1:sve_128",
    brgemm_depthwise: "brdgmm_dw:sve_128",
};

/// A layer on its way through the list.
struct Asked<'a> {
    g: &'a Geometry,
    s: Sizes,
    machine: &'a Machine,
    sve: Sve,
    layout: MemoryFormat,
}

/// A step of the list: taken (`Some`), in an order that cannot be told where that is `None`.
type Taken = Option<Option<Choice>>;

/// Implementation and order; `None` where no rule covers it.
pub fn choose(g: &Geometry, machine: &Machine, sve: Sve, layout: MemoryFormat) -> Option<Choice> {
    let asked = Asked {
        g,
        s: Sizes::of(g)?,
        machine,
        sve,
        layout,
    };
    let taken = match machine.onednn {
        Onednn(3, 7) => asked.list_of_3_7(),
        Onednn(3, 13) if sve != Sve::Bits512 => asked.list_of_3_13(),
        _ => return None, // not measured
    };
    taken.unwrap_or_else(|| asked.gemm())
}

impl Asked<'_> {
    fn list_of_3_7(&self) -> Taken {
        let of = |lanes: i64| self.sve.kernels().iter().find(|k| k.lanes == lanes);
        let widest = of(16).and_then(|k| {
            let brgemm = self.brgemm_depthwise(k).or_else(|| self.brgemm_any(k));
            brgemm
                .or_else(|| self.depthwise(k))
                .or_else(|| self.pointwise(k))
                .or_else(|| self.direct(k))
        });
        widest
            .or_else(|| of(8).and_then(|k| self.depthwise(k)))
            .or_else(|| self.acl())
            .or_else(|| {
                let k = of(8)?;
                self.brgemm_depthwise(k)
                    .or_else(|| self.brgemm_any(k))
                    .or_else(|| self.pointwise(k))
                    .or_else(|| self.direct(k))
            })
    }

    fn list_of_3_13(&self) -> Taken {
        let of = |lanes: i64| self.sve.kernels().iter().find(|k| k.lanes == lanes);
        let first = of(8).and_then(|k| {
            self.depthwise(k)
                .or_else(|| self.brgemm_pointwise(k))
                .or_else(|| self.pointwise(k))
                .or_else(|| self.direct(k))
                .or_else(|| self.brgemm_depthwise(k))
        });
        first
            .or_else(|| self.acl())
            .or_else(|| of(8).and_then(|k| self.brgemm(k)))
            .or_else(|| of(4).and_then(|k| self.brgemm(k)))
            .or_else(|| of(4).and_then(|k| self.pointwise(k)))
            .or_else(|| of(4).and_then(|k| self.direct(k)))
    }

    fn is_depthwise(&self) -> bool {
        self.s.groups > 1 && self.s.group_in == 1 && self.s.group_out == 1
    }

    fn depthwise(&self, kernels: &Kernels) -> Taken {
        let depthwise = &kernels.depthwise;
        depthwise
            .accepts(&self.s, self.layout)
            .then(|| Some((depthwise.name, depthwise.order())))
    }

    fn direct(&self, kernels: &Kernels) -> Taken {
        // it wants blocks of channels, which an input that lies as it lies has not
        let plain = self.layout == MemoryFormat::Contiguous;
        (plain && direct::accepts(&self.s, kernels.lanes, self.machine, self.sve)).then(|| {
            let order = Order::OnednnDirectBlocks {
                channel_block: kernels.lanes as usize,
            };
            Some((kernels.direct, order))
        })
    }

    fn pointwise(&self, kernels: &Kernels) -> Taken {
        pointwise::accepts(&self.s).then(|| {
            let reduce = pointwise::reduce_block(&self.s, kernels.lanes, self.layout, self.machine);
            let order = Order::Onednn1x1 {
                reduce: reduce as usize,
                simd: kernels.lanes as usize,
                fused: true,
            };
            Some((kernels.pointwise, order))
        })
    }

    /// Without dilation; of plain layouts only since oneDNN 3.13.
    fn brgemm_depthwise(&self, kernels: &Kernels) -> Taken {
        let layout_ok =
            self.layout == MemoryFormat::ChannelsLast || self.machine.onednn >= Onednn(3, 13);
        let taken = self.is_depthwise() && self.s.dilation == [1, 1] && layout_ok;
        let order = Order::OnednnBrgemm(brgemm::Variant::WHOLE);
        taken.then_some(Some((kernels.brgemm_depthwise, order)))
    }

    /// Both brgemm convolutions of oneDNN 3.7.
    fn brgemm_any(&self, kernels: &Kernels) -> Taken {
        self.brgemm_pointwise(kernels)
            .or_else(|| self.brgemm(kernels))
    }

    fn leaves_group(&self, kernels: &Kernels) -> bool {
        self.s.groups > 1 && self.s.group_in <= kernels.lanes
    }

    fn brgemm_pointwise(&self, kernels: &Kernels) -> Taken {
        let s = &self.s;
        // it counts as slower than the direct kernels with stride 1 since
        let left = self.machine.onednn >= Onednn(3, 13) && s.stride.iter().any(|&by| by < 2);
        let taken = s.is_pointwise() && self.has_no_padding() && !self.is_depthwise();
        let order = Order::OnednnBrgemm(brgemm::Variant::WHOLE);
        (taken && !left && !self.leaves_group(kernels))
            .then_some(Some((kernels.brgemm_pointwise, order)))
    }

    fn has_no_padding(&self) -> bool {
        let s = &self.s;
        s.is_unpadded() && s.far_padding().iter().all(|&pad| pad <= 0)
    }

    fn brgemm(&self, kernels: &Kernels) -> Taken {
        let s = &self.s;
        let pointwise = s.is_pointwise() && self.has_no_padding();
        if pointwise || self.is_depthwise() || self.leaves_group(kernels) {
            return None;
        }
        let variant = match self.keeps_virtual_padding() {
            true => brgemm::Variant::WHOLE,
            // blocks of output columns are as wide as the output wherever that was measured
            false => brgemm::Variant {
                access: brgemm::Access::Edges {
                    width: s.output[COLUMNS] as usize,
                    columns: false,
                    chained: true,
                },
                ..brgemm::Variant::WHOLE
            },
        };
        Some(Some((kernels.brgemm, Order::OnednnBrgemm(variant))))
    }

    /// Whether the kernel leaves out padding itself (`exec_vpad`): no kernel column lies in the padding altogether, a
    /// row of outputs starts within the row of inputs, and it is as long as the padding is wide.
    fn keeps_virtual_padding(&self) -> bool {
        let s = &self.s;
        let sides = [s.padding[COLUMNS], s.far_padding()[COLUMNS].max(0)];
        let near = sides.iter().all(|&pad| {
            let outputs = (pad + s.stride[COLUMNS] - 1) / s.stride[COLUMNS];
            outputs < s.kernel[COLUMNS]
        });
        let columns = s.output[COLUMNS];
        let read = (columns - 1) * s.stride[COLUMNS] + 1;
        near && read <= s.input[COLUMNS] && sides.iter().all(|&pad| pad <= columns)
    }

    /// Arm Compute Library: no groups but depthwise.
    fn acl(&self) -> Taken {
        let s = &self.s;
        if self.is_depthwise() {
            return self.acl_depthwise();
        }
        // the direct and brgemm kernels count as faster for few channels since
        let few = self.machine.onednn >= Onednn(3, 13)
            && self.sve != Sve::None
            && s.in_channels * s.out_channels <= 2048;
        if s.groups > 1 || few {
            return None;
        }
        let indirect = !s.is_pointwise() && s.dilation == [1, 1];
        let name = if indirect {
            "indirect_gemm:acl"
        } else {
            "gemm:acl"
        };
        let threads = self.machine.threads as i64;
        let cut = acl::gemm(s, self.sve.bits(), threads, indirect);
        Some(cut.map(|cut| (name, Order::AclGemm(cut))))
    }

    /// The padding must be narrower than the kernel. What is known: its general kernels.
    fn acl_depthwise(&self) -> Taken {
        let s = &self.s;
        let wide = [ROWS, COLUMNS]
            .iter()
            .any(|&axis| s.padding[axis] >= s.extent[axis]);
        if wide {
            return None;
        }
        let special = s.kernel == [3, 3] && (s.stride == [1, 1] || s.stride == [2, 2]);
        let order = Order::AclGemm(crate::execute::order::acl::Gemm::Hybrid);
        Some((!special).then_some(("depthwise_convolution:acl", order)))
    }

    fn gemm(&self) -> Option<Choice> {
        let variant = gemm::Variant {
            kernels: gemm::Kernels::Reference,
            threads: self.machine.threads,
            l2_bytes: self.machine.caches[1],
            nhwc: self.layout == MemoryFormat::ChannelsLast,
        };
        if self.machine.threads > gemm::MOST_THREADS {
            None
        } else if gemm::accepts(self.g, &variant) {
            Some(("gemm:ref", Order::OnednnGemm(variant)))
        } else {
            None // the reference convolution was not met
        }
    }
}
