//! The brgemm convolutions, for channels_last input: whether they run, and how they cut the layer.
//!
//! oneDNN 3.13: `init_conf` and `init_1x1_conf` in src/cpu/x64/jit_brgemm_conv_utils.cpp. Nothing but the cut of input
//! channels and of the kernel, and for kernels that leave the image the width of an output block, shows in the sums;
//! but those come out of one search for the best cut of everything.

use crate::execute::order::brgemm::Access as CallAccess;
use crate::execute::order::brgemm::Variant;
use crate::execute::predict::Machine;
use crate::execute::predict::Onednn;
use crate::execute::predict::onednn::sizes::COLUMNS;
use crate::execute::predict::onednn::sizes::ROWS;
use crate::execute::predict::onednn::sizes::Sizes;

mod cost;
mod efficiency;
mod layer;
mod search;
pub(super) mod strided;
pub(super) mod tile;

use layer::Layer;
use search::Access;
use search::Cut;
use search::Lowering;
use search::Search;
use tile::Simd;

/// What the brgemm kernels make of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They decline it.
    Declined,
    /// They take it, in this order; `None`: in one that cannot be told.
    Taken(Option<Variant>),
}

/// A set of kernels.
#[derive(Clone, Copy)]
pub(super) struct Brgemm {
    /// Names of the general and of the 1x1 convolution.
    pub(super) name: &'static str,
    pub(super) pointwise_name: &'static str,
    simd: Simd,
    /// Whether they run on a kernel turned round, for a transposed convolution: it is not lowered then.
    inverts: bool,
}

pub(super) const AVX2: Brgemm = Brgemm {
    name: "brg_conv_fwd:avx2",
    pointwise_name: "brgconv_1x1:avx2",
    simd: tile::AVX2,
    inverts: false,
};

pub(super) const AVX512: Brgemm = Brgemm {
    name: "brg_conv_fwd:avx512_core",
    pointwise_name: "brgconv_1x1:avx512_core",
    simd: tile::AVX512,
    inverts: false,
};

/// The oneDNN whose rules for cuts these are; earlier ones reckon with other costs, caches and tiles.
const RULES_SINCE: Onednn = Onednn(3, 7);

impl Brgemm {
    /// The same for transposed convolutions of stride 1.
    pub(super) const fn inverted(mut self, name: &'static str, pointwise: &'static str) -> Self {
        (self.name, self.pointwise_name) = (name, pointwise);
        self.inverts = true;
        self
    }

    /// The kernels for AVX2 came with oneDNN 3.1, and left some layers to the direct kernels at first.
    fn before_the_rules(machine: &Machine) -> Outcome {
        match machine.onednn < Onednn(3, 1) {
            true => Outcome::Declined,
            false => Outcome::Taken(None),
        }
    }

    /// The 1x1 convolution.
    pub(super) fn pointwise(&self, s: &Sizes, machine: &Machine) -> Outcome {
        if !s.is_pointwise() || !s.is_unpadded() || is_depthwise(s) || self.leaves_group(s) {
            return Outcome::Declined;
        }
        if self.simd == tile::AVX2 && machine.onednn < RULES_SINCE {
            return Self::before_the_rules(machine);
        }
        let layer = Layer::new(s, self.simd);
        let search = self.search(&layer, machine, Access::InPlace);
        Outcome::Taken(search.pointwise_channels().map(|block| Variant {
            channel_block: (block < layer.in_channels).then_some(block as usize),
            ..Variant::WHOLE
        }))
    }

    /// The general convolution.
    pub(super) fn direct(&self, s: &Sizes, machine: &Machine) -> Outcome {
        let pointwise = s.is_pointwise() && s.is_unpadded();
        if pointwise || is_depthwise(s) || self.leaves_group(s) {
            return Outcome::Declined;
        }
        if machine.onednn < RULES_SINCE {
            return match self.simd == tile::AVX2 {
                true => Self::before_the_rules(machine),
                false => Outcome::Taken(None),
            };
        }
        let layer = Layer::new(s, self.simd);
        for access in self.accesses(&layer) {
            let search = self.search(&layer, machine, access);
            let Some(cut) = search.best() else {
                continue;
            };
            let read = (cut.columns - 1) * layer.stride[COLUMNS] + 1;
            if access == Access::VirtualPadding && read > layer.input[COLUMNS] {
                continue; // a block may not reach into the padding on both sides
            }
            return match search.tails_fit(&cut) {
                true => Outcome::Taken(Some(variant(&layer, access, &cut))),
                false => Outcome::Declined,
            };
        }
        Outcome::Declined
    }

    /// With AVX-512, groups of few input channels are left to the direct kernel.
    fn leaves_group(&self, s: &Sizes) -> bool {
        self.simd == tile::AVX512 && s.groups > 1 && s.group_in <= self.simd.lanes
    }

    /// Ways to get at the input, in the sequence in which they are tried.
    fn accesses(&self, layer: &Layer) -> Vec<Access> {
        let [kh, kw] = layer.kernel;
        let columns = layer.output[COLUMNS];
        let undilated = layer.dilation == [1, 1] && layer.joined_columns == 1;
        let single = self.simd == tile::AVX512 && layer.in_channels == 1 && !self.inverts;
        let one_slice = layer.depth.output == 1;
        let narrow = self.simd == tile::AVX512 && one_slice && kw == 1 && columns == 1;
        let image = !layer.volume;
        let lowering = if image && single && undilated && kh > 1 && columns > 4 {
            Some(Lowering::ColumnsRows)
        } else if single && layer.dilation[COLUMNS] == 1 && layer.joined_columns == 1 && kw > 1 {
            Some(Lowering::Columns)
        } else {
            narrow.then_some(Lowering::None)
        };
        let copied = lowering.map(Access::Copied);
        let virtual_padding = !narrow && layer.kernel_stays_near();
        let in_place = [
            virtual_padding.then_some(Access::VirtualPadding),
            Some(Access::InPlace),
        ];
        copied
            .into_iter()
            .chain(in_place.into_iter().flatten())
            .collect()
    }

    fn search<'a>(&self, layer: &'a Layer, machine: &Machine, access: Access) -> Search<'a> {
        // a cache of 2^40 bytes holds everything, as a larger one would
        let [l1_all, l2_all] = machine.caches.map(|bytes| bytes.min(1 << 40) as i64);
        let (l1, l2) = (l1_all * 7 / 8, l2_all * 3 / 4);
        let input = layer.input_pixels() * 4 * layer.in_channels;
        let weights = layer.out_channels * layer.kernel_taps() * 4 * layer.in_channels;
        let threads = machine.threads as i64;
        let avx2 = self.simd == tile::AVX2;
        // these took the largest of AVX2's caches for granted
        let assumed = avx2 && (Onednn(3, 7)..Onednn(3, 13)).contains(&machine.onednn);
        let l2 = if assumed { (2 << 20) * 3 / 4 } else { l2 };
        let many_images = avx2 && layer.batch > threads && input > l2 && weights > l2;
        let many_pixels = avx2 && layer.slice_pixels() >= 150 * 150;
        let copied = matches!(access, Access::Copied(_));
        Search {
            layer,
            simd: self.simd,
            threads,
            access,
            l1,
            l1_all,
            l2,
            channels_inner: copied || (!many_images && input >= weights),
            spans_rows: copied && spans_rows(layer),
            most_vectors: if many_images || many_pixels { 2 } else { 4 },
        }
    }
}

fn is_depthwise(s: &Sizes) -> bool {
    s.groups > 1 && s.group_in == 1 && s.group_out == 1
}

/// Whether blocks of a copied layer may span output rows (`is_os_blocking`).
fn spans_rows(layer: &Layer) -> bool {
    let width = layer.input[COLUMNS] + layer.near[COLUMNS] + layer.far[COLUMNS];
    let near = [ROWS, COLUMNS]
        .iter()
        .all(|&axis| layer.near[axis] < layer.kernel[axis] && layer.far[axis] < layer.kernel[axis]);
    let depth = &layer.depth;
    let across = depth.padding.max(depth.far_padding()) < depth.kernel;
    near && across
        && width < 10800
        && layer.stride[ROWS] == 1
        && (layer.output[COLUMNS] == 1 || layer.extent() <= layer.stride[COLUMNS])
}

/// The order of a cut.
fn variant(layer: &Layer, access: Access, cut: &Cut) -> Variant {
    let cut_channels = cut.in_channels < layer.in_channels;
    let edges = access == Access::InPlace;
    Variant {
        access: match access {
            Access::VirtualPadding => CallAccess::Whole,
            Access::InPlace => CallAccess::Edges {
                width: cut.columns as usize,
                columns: cut.kernel[COLUMNS] < layer.kernel[COLUMNS],
                chained: false,
            },
            Access::Copied(Lowering::None | Lowering::Columns) => CallAccess::Copied,
            Access::Copied(Lowering::ColumnsRows) => CallAccess::CopiedColumns,
        },
        slices: cut.kernel_slices < layer.depth.kernel,
        rows: cut.kernel[ROWS] < layer.kernel[ROWS]
            && access != Access::Copied(Lowering::ColumnsRows),
        channel_block: cut_channels.then_some(cut.in_channels as usize),
        // they only show where something lies between them
        joined_columns: match cut_channels || edges {
            true => layer.joined_columns as usize,
            false => 1,
        },
    }
}
