//! Which order would PyTorch have used?
//!
//! PyTorch picks a backend by rules on the call and the number of threads ([`backend`]); the backend picks a kernel
//! by the processor's instruction set, vendor and caches ([`onednn`]). An [`Origin`] tells what is known of all
//! that; what it does not tell is enumerated, the usual first. One distinct order left means: predicted.

use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::Op;
use crate::execute::order;
use crate::execute::order::Order;
use crate::execute::order::blas;
use crate::execute::order::mkl;
use crate::execute::order::nnpack;

pub mod backend;
mod narrow;
pub mod onednn;
pub mod origin;
pub mod trust;
pub mod version;

pub use backend::Backend;
pub use narrow::Narrow;
pub use onednn::Isa;
pub use origin::Machine;
pub use origin::Origin;
pub use version::Onednn;

/// How the input lay in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MemoryFormat {
    /// NCHW.
    #[default]
    Contiguous,
    /// NHWC in memory.
    ChannelsLast,
}

impl MemoryFormat {
    /// PyTorch's word for it.
    pub fn name(self) -> &'static str {
        match self {
            MemoryFormat::Contiguous => "contiguous",
            MemoryFormat::ChannelsLast => "channels_last",
        }
    }
}

/// A call as the rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// Which layer.
    pub op: Op,
    /// The sizes.
    pub geometry: Geometry,
    /// How the input lay in memory.
    pub memory_format: MemoryFormat,
    /// Type of the elements of input, weight, bias and output.
    pub dtype: FloatType,
    /// Whether a Linear's input had more axes than two and was not contiguous, which PyTorch multiplies first (`matmul`)
    /// and adds the bias to afterwards.
    pub matmul: bool,
}

/// One way in which PyTorch may have computed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// PyTorch's backend.
    pub backend: Backend,
    /// oneDNN's implementation, or the library.
    pub implementation: &'static str,
    /// The order.
    pub order: Order,
}

/// Every order that the origin leaves open, the usual first; none where no rule covers the origin.
///
/// Machines whose orders come to the same plan count once.
pub fn predict(call: &Call, origin: &Origin) -> Vec<Prediction> {
    if call.dtype.is_narrow() {
        return narrow::predict(call, origin);
    }
    among(call, &origin.machines())
}

/// The same for machines that are known otherwise.
pub fn among(call: &Call, machines: &[Machine]) -> Vec<Prediction> {
    let mut predictions: Vec<Prediction> = Vec::new();
    for machine in machines {
        let Some(prediction) = predict_on(call, machine) else {
            continue;
        };
        if predictions.iter().any(|p| p.order == prediction.order) {
            continue;
        }
        let plan = prediction.order.plan(&call.geometry);
        let same = |p: &Prediction| p.order.plan(&call.geometry) == plan;
        if !predictions.iter().any(same) {
            predictions.push(prediction);
        }
    }
    predictions
}

/// What PyTorch does with `call` on `machine`; `None` where no rule is known.
pub fn predict_on(call: &Call, machine: &Machine) -> Option<Prediction> {
    if call.dtype.is_narrow() {
        let mut all = narrow::predictions(call, machine);
        return (all.len() == 1).then(|| all.remove(0));
    }
    let g = &call.geometry;
    let double = match call.dtype {
        FloatType::Float32 => false,
        FloatType::Float64 => true,
        _ => return None,
    };
    let backend = match double {
        false => {
            let nnpack_runs = machine.nnpack_l1.is_some();
            backend::select(g, machine.threads, machine.mkldnn, nnpack_runs)
        }
        true => backend::select_double(g),
    };
    if let Some(sve) = machine.sve {
        return match (call.op, double) {
            (Op::Conv2d, false) => predict_on_arm(call, machine, sve, backend),
            _ => None, // not measured
        };
    }
    let blocks = match machine.mkl_blocks {
        mkl::KBlocks::Even(_) if double => mkl::KBlocks::Even(256),
        mkl::KBlocks::Halves(_) | mkl::KBlocks::Tiles | mkl::KBlocks::Sse(_) if double => {
            return None; // not measured
        }
        blocks => blocks,
    };
    let not_measured = |threads: usize| {
        let nhwc = call.memory_format == MemoryFormat::ChannelsLast;
        let (pixels, channels) = (g.pixels(), g.group_out());
        match blocks {
            mkl::KBlocks::Tiles => threads > 1 || nhwc,
            // the corner of a product whose rows and columns leave a rest
            mkl::KBlocks::Sse(_) => {
                let corner = pixels > 4 && channels > 8 && pixels % 4 != 0 && channels % 4 != 0;
                threads > 1 || nhwc || corner
            }
            // a matrix times a vector
            mkl::KBlocks::Halves(_) => {
                // even shares of several threads change nothing
                let uneven = threads > 1 && !pixels.is_multiple_of(16 * threads);
                let column = channels == 1 && (nhwc || uneven || pixels % 32 >= 16 && threads == 1);
                pixels == 1 || column
            }
            mkl::KBlocks::Even(_) | mkl::KBlocks::Compatible => false,
        }
    };
    let mkl = |caller, threads| {
        let variant = mkl::Variant {
            caller,
            blocks,
            double,
            cnr: machine.mkl_cnr,
            threads,
        };
        let library = if double { "mkl dgemm" } else { "mkl sgemm" };
        (library, Order::Mkl(variant))
    };
    match call.op {
        Op::Conv2d | Op::Conv1d | Op::Conv3d => {}
        Op::Linear => {
            let caller = match call.matmul {
                true => mkl::Caller::Matmul,
                false => mkl::Caller::Linear,
            };
            let (implementation, order) = mkl(caller, machine.threads);
            return Some(Prediction {
                backend: Backend::Addmm,
                implementation,
                order,
            });
        }
        Op::ConvTranspose2d => return transposed(call, machine, blocks, double),
    }
    let per_image = if g.batch == 1 { machine.threads } else { 1 };
    // ConvolutionMM3d.cpp hands out images in lots of 20
    let per_volume = if g.batch <= 20 { machine.threads } else { 1 };
    // a Conv1d's input is made contiguous before it is taken for an image
    let memory_format = match call.op {
        Op::Conv1d => MemoryFormat::Contiguous,
        _ => call.memory_format,
    };
    let threads = match backend {
        Backend::SlowDilated2d => machine.threads,
        _ => per_image,
    };
    let im2col = !matches!(backend, Backend::Mkldnn | Backend::NnpackSpatial);
    if im2col && not_measured(threads) {
        return None;
    }
    let (implementation, order) = match (backend, memory_format) {
        (Backend::Mkldnn, _) if machine.rounds_operands => return None,
        (Backend::Mkldnn, MemoryFormat::Contiguous) => onednn::contiguous(g, machine)?,
        (Backend::Mkldnn, MemoryFormat::ChannelsLast) => onednn::channels_last(g, machine)?,
        // several images run in parallel, one thread each
        (Backend::Slow2d, MemoryFormat::Contiguous) => mkl(mkl::Caller::Slow2d, per_image),
        (Backend::Slow2d, MemoryFormat::ChannelsLast) => mkl(mkl::Caller::Slow2dNhwc, per_image),
        (Backend::SlowDilated2d, MemoryFormat::Contiguous) => {
            mkl(mkl::Caller::SlowDilated2d, machine.threads)
        }
        (Backend::SlowDilated2d, MemoryFormat::ChannelsLast) => {
            mkl(mkl::Caller::SlowDilated2dNhwc, machine.threads)
        }
        (Backend::Slow3d, _) if g.groups > 1 => slow3d_groups(g, mkl, per_volume),
        (Backend::Slow3d, _) => mkl(mkl::Caller::Slow2d, per_volume),
        (Backend::SlowDilated3d, _) => mkl(mkl::Caller::SlowDilated2d, machine.threads),
        (Backend::SlowTranspose2d | Backend::Addmm, _) => return None, // never a convolution's
        // channels_last input is copied to NCHW first
        (Backend::NnpackSpatial, _) => {
            let l1_kib = machine.nnpack_l1? >> 10;
            let variant = nnpack::Variant { l1_kib };
            (nnpack::Algorithm::of(g).name(), Order::Nnpack(variant))
        }
    };
    Some(Prediction {
        backend,
        implementation,
        order,
    })
}

/// Slow3d multiplies all groups at once (`baddbmm`, a batch of products for MKL); a single pixel is summed one product
/// after the other.
fn slow3d_groups(
    g: &Geometry,
    mkl: impl Fn(mkl::Caller, usize) -> onednn::Choice,
    threads: usize,
) -> onednn::Choice {
    if g.pixels() == 1 {
        let order = Order::Sequential {
            channels_last: false,
            fused: false,
            bias_last: false,
        };
        return ("mkl sgemm", order);
    }
    mkl(mkl::Caller::Slow3dGroups, threads)
}

/// The same for a transposed convolution.
fn transposed(
    call: &Call,
    machine: &Machine,
    blocks: mkl::KBlocks,
    double: bool,
) -> Option<Prediction> {
    let g = &call.geometry;
    let selected = backend::select(g, machine.threads, machine.mkldnn, false);
    if !double && selected == Backend::Mkldnn && !backend::has_large_output_padding(g) {
        let (implementation, order) = match call.memory_format {
            _ if machine.rounds_operands => return None,
            MemoryFormat::Contiguous => onednn::transposed::contiguous(g, machine)?,
            MemoryFormat::ChannelsLast => onednn::transposed::channels_last(g, machine)?,
        };
        return Some(Prediction {
            backend: Backend::Mkldnn,
            implementation,
            order,
        });
    }
    // several images run in parallel, one thread each
    let library = mkl::Library {
        blocks,
        double,
        cnr: machine.mkl_cnr,
        threads: if g.batch == 1 { machine.threads } else { 1 },
    };
    Some(Prediction {
        backend: Backend::SlowTranspose2d,
        implementation: if double { "mkl dgemm" } else { "mkl sgemm" },
        order: Order::Transposed(match call.memory_format {
            MemoryFormat::Contiguous => order::transposed::Variant::Mkl(library),
            MemoryFormat::ChannelsLast => order::transposed::Variant::MklNhwc(library),
        }),
    })
}

/// The same on aarch64.
fn predict_on_arm(
    call: &Call,
    machine: &Machine,
    sve: onednn::arm::Sve,
    backend: Backend,
) -> Option<Prediction> {
    let g = &call.geometry;
    let (implementation, order) = match backend {
        Backend::Mkldnn => onednn::arm::choose(g, machine, sve, call.memory_format)?,
        Backend::Slow2d | Backend::SlowDilated2d => {
            let nvpl = machine.onednn >= Onednn(3, 10);
            let library = match sve {
                _ if nvpl => blas::Library::Nvpl,
                onednn::arm::Sve::None => blas::Library::OpenblasN1,
                onednn::arm::Sve::Bits256 => blas::Library::OpenblasV1,
                onednn::arm::Sve::Bits512 => blas::Library::OpenblasA64fx,
            };
            let name = if nvpl { "nvpl sgemm" } else { "openblas sgemm" };
            let nhwc = call.memory_format == MemoryFormat::ChannelsLast;
            let variant = blas::Variant { library, nhwc };
            if !variant.knows(g) {
                return None;
            }
            (name, Order::Blas(variant))
        }
        _ => return None, // not met
    };
    Some(Prediction {
        backend,
        implementation,
        order,
    })
}
