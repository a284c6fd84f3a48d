//! Which order would PyTorch have used?
//!
//! PyTorch picks a backend by rules on the call and the number of threads ([`backend`]); the backend picks a kernel
//! by the processor's instruction set, vendor and caches ([`onednn`]). An [`Origin`] tells what is known of all
//! that; what it does not tell is enumerated, the usual first. One distinct order left means: predicted.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::error::Error;
use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::order::Order;
use crate::execute::order::mkl;

pub mod backend;
pub mod onednn;

pub use backend::Backend;
pub use onednn::Isa;

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

/// A convolution call as the rules see it: not transposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call {
    /// The sizes.
    pub geometry: Geometry,
    /// How the input lay in memory.
    pub memory_format: MemoryFormat,
    /// Type of the elements of input, weight, bias and output.
    pub dtype: FloatType,
}

/// Where an output was made, as far as it is known. The keys are those of the golden file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// torch's version: `2.15.0`.
    pub torch: Option<String>,
    /// `cpu`, `cuda`, ...
    pub device: Option<String>,
    /// `x86_64`, `aarch64`.
    pub machine: Option<String>,
    /// `torch.backends.cpu.get_cpu_capability()`: `AVX2`, `AVX512`, `DEFAULT`.
    pub cpu_capability: Option<String>,
    /// `AuthenticAMD`, `GenuineIntel`.
    pub cpu_vendor: Option<String>,
    /// `torch.get_num_threads()`.
    pub threads: Option<usize>,
    /// Whether mkldnn was enabled.
    pub mkldnn: Option<bool>,
    /// Level-1 data cache of one core, bytes.
    pub l1_bytes: Option<usize>,
    /// Level-2 cache of one core, bytes.
    pub l2_bytes: Option<usize>,
    /// Environment variables that steer the libraries: `ONEDNN_MAX_CPU_ISA`, ...
    pub env: BTreeMap<String, String>,
}

/// A processor and a setting, with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What oneDNN may use.
    pub isa: Isa,
    /// Threads.
    pub threads: usize,
    /// Whether mkldnn is enabled.
    pub mkldnn: bool,
    /// How MKL cuts K.
    pub mkl_blocks: mkl::KBlocks,
    /// Whether `MKL_CBWR` is set.
    pub mkl_cnr: bool,
    /// Level-1 data and level-2 cache of one core, bytes.
    pub caches: [usize; 2],
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
    let mut predictions: Vec<Prediction> = Vec::new();
    for machine in origin.machines() {
        let Some(prediction) = predict_on(call, &machine) else {
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
    let g = &call.geometry;
    let double = match call.dtype {
        FloatType::Float32 => false,
        FloatType::Float64 => true,
        _ => return None,
    };
    let backend = match double {
        false => backend::select(g, machine.threads, machine.mkldnn),
        true => backend::select_double(g),
    };
    let blocks = match machine.mkl_blocks {
        mkl::KBlocks::Even(_) if double => mkl::KBlocks::Even(256),
        mkl::KBlocks::Halves(_) if double => return None, // not measured
        blocks => blocks,
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
    let per_image = if g.batch == 1 { machine.threads } else { 1 };
    let (implementation, order) = match (backend, call.memory_format) {
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
        (Backend::NnpackSpatial, _) => return None,
    };
    Some(Prediction {
        backend,
        implementation,
        order,
    })
}

impl Origin {
    /// Nothing known at all.
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// `self` with what `other` knows laid over it.
    #[must_use]
    pub fn overlaid(&self, other: &Origin) -> Origin {
        let text = |a: &Option<String>, b: &Option<String>| b.clone().or_else(|| a.clone());
        let mut env = self.env.clone();
        env.extend(other.env.clone());
        Origin {
            torch: text(&self.torch, &other.torch),
            device: text(&self.device, &other.device),
            machine: text(&self.machine, &other.machine),
            cpu_capability: text(&self.cpu_capability, &other.cpu_capability),
            cpu_vendor: text(&self.cpu_vendor, &other.cpu_vendor),
            threads: other.threads.or(self.threads),
            mkldnn: other.mkldnn.or(self.mkldnn),
            l1_bytes: other.l1_bytes.or(self.l1_bytes),
            l2_bytes: other.l2_bytes.or(self.l2_bytes),
            env,
        }
    }

    /// Every machine that fits what is known, the usual first.
    pub fn machines(&self) -> Vec<Machine> {
        let is = |known: &Option<String>, word: &str| known.as_deref().is_none_or(|k| k == word);
        if !is(&self.device, "cpu") || !(is(&self.machine, "x86_64") || is(&self.machine, "AMD64"))
        {
            return Vec::new();
        }
        let all = |known: Option<usize>, else_try: &[usize]| match known {
            Some(known) => vec![known],
            None => else_try.to_vec(),
        };
        let mut machines = Vec::new();
        for mkldnn in self.mkldnn.map_or(vec![true, false], |known| vec![known]) {
            for isa in self.isas() {
                for &mkl_blocks in &self.mkl_blocks(isa) {
                    for &threads in &all(self.threads, &[1, 2, 4, 8, 16]) {
                        for &l2 in &all(self.l2_bytes, &L2_SIZES) {
                            for &l1 in &all(self.l1_bytes, &[32 << 10, 48 << 10]) {
                                machines.push(Machine {
                                    isa,
                                    threads: threads.max(1),
                                    mkldnn,
                                    mkl_blocks,
                                    mkl_cnr: self.env.contains_key("MKL_CBWR"),
                                    caches: [l1, l2],
                                });
                            }
                        }
                    }
                }
            }
        }
        machines
    }

    /// Instruction sets that oneDNN may have used.
    fn isas(&self) -> Vec<Isa> {
        let limit = ["ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"]
            .iter()
            .find_map(|name| self.env.get(*name))
            .and_then(|value| Isa::limit(value));
        let forced = self.env.contains_key("ATEN_CPU_CAPABILITY");
        let hardware = match self.cpu_capability.as_deref() {
            // a forced capability is PyTorch's own kernels' and tells nothing of oneDNN's
            Some(capability) if !forced => match capability {
                c if c.starts_with("AVX512") => vec![Isa::Avx512],
                "AVX2" => vec![Isa::Avx2],
                _ => vec![Isa::Sse41, Isa::Avx],
            },
            _ => vec![Isa::Avx2, Isa::Avx512, Isa::Avx, Isa::Sse41],
        };
        let mut isas: Vec<Isa> = hardware
            .into_iter()
            .map(|isa| limit.map_or(isa, |limit| isa.min(limit)))
            .collect();
        isas.dedup();
        isas
    }

    /// MKL looks at the vendor: on AMD it takes its AVX2 kernels whatever the processor has.
    fn mkl_blocks(&self, isa: Isa) -> Vec<mkl::KBlocks> {
        let (amd, intel) = (mkl::KBlocks::Even(192), mkl::KBlocks::Halves(384));
        let mode = self.env.get("MKL_CBWR");
        // followed by ",STRICT" or nothing; other words, and this one in small letters, change no kernel
        if mode.is_some_and(|mode| mode.split(',').next() == Some("COMPATIBLE")) {
            return vec![mkl::KBlocks::Compatible];
        }
        match self.cpu_vendor.as_deref() {
            Some("AuthenticAMD") => vec![amd],
            Some("GenuineIntel") if isa == Isa::Avx512 => vec![intel],
            _ => vec![amd, intel],
        }
    }
}

impl FromStr for Origin {
    type Err = Error;

    /// Reads `threads=2,cpu_capability=AVX2,mkldnn=true`; keys in capitals are environment variables.
    fn from_str(text: &str) -> Result<Self, Error> {
        let mut origin = Origin::default();
        for item in text.split(',').filter(|item| !item.trim().is_empty()) {
            let (key, value) = item
                .split_once('=')
                .map(|(key, value)| (key.trim(), value.trim()))
                .ok_or_else(|| Error::usage(format!("{item:?} in the origin is not KEY=VALUE")))?;
            let wrong = |expected: &str| {
                Error::usage(format!(
                    "{key} is {value:?} in the origin, expected {expected}"
                ))
            };
            let size = || {
                let size = value.parse::<usize>().ok().filter(|&n| n > 0);
                size.ok_or_else(|| wrong("a number above zero"))
            };
            let text = || Some(value.to_owned());
            match key {
                "torch" => origin.torch = text(),
                "device" => origin.device = text(),
                "machine" => origin.machine = text(),
                "cpu_capability" => origin.cpu_capability = text(),
                "cpu_vendor" => origin.cpu_vendor = text(),
                "threads" => origin.threads = Some(size()?),
                "l1_bytes" => origin.l1_bytes = Some(size()?),
                "l2_bytes" => origin.l2_bytes = Some(size()?),
                "mkldnn" => {
                    let on = value.parse().map_err(|_| wrong("true or false"))?;
                    origin.mkldnn = Some(on);
                }
                variable
                    if variable
                        .chars()
                        .all(|c| c.is_ascii_uppercase() || "_0123456789".contains(c)) =>
                {
                    origin.env.insert(variable.to_owned(), value.to_owned());
                }
                _ => {
                    return Err(Error::usage(format!("the origin has no key {key:?}")).with_hint(
                        "the keys are torch, device, machine, cpu_capability, cpu_vendor, threads, mkldnn, \
                         l1_bytes, l2_bytes, and environment variables in capitals",
                    ));
                }
            }
        }
        Ok(origin)
    }
}

/// Level-2 caches that are tried where the origin does not tell.
const L2_SIZES: [usize; 5] = [1 << 20, 512 << 10, 2 << 20, 1280 << 10, 256 << 10];

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn an_origin_on_the_command_line() {
        let origin: Origin = "threads=2,cpu_capability=AVX2,mkldnn=true,ONEDNN_MAX_CPU_ISA=AVX2"
            .parse()
            .unwrap();
        assert_eq!((origin.threads, origin.mkldnn), (Some(2), Some(true)));
        assert_eq!(origin.env["ONEDNN_MAX_CPU_ISA"], "AVX2");
        for wrong in ["threads", "threads=0", "mkldnn=yes", "colour=red"] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
