//! Where an output was made, and the machines that this leaves: what is not told is enumerated, the usual first.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::Isa;
use super::Narrow;
use super::Onednn;
use super::onednn;
use crate::error::Error;
use crate::execute::order::mkl;

/// The same on aarch64.
const ARM_L2_SIZES: [usize; 3] = [1 << 20, 512 << 10, 2 << 20];

/// The same of AMD's that have AVX2.
const AMD_L2_SIZES: [usize; 2] = [1 << 20, 512 << 10];

/// The same where there is AVX-512.
const WIDE_L2_SIZES: [usize; 4] = [1 << 20, 512 << 10, 2 << 20, 1280 << 10];

/// Level-2 caches that are tried where the origin does not tell.
const L2_SIZES: [usize; 6] = [
    1 << 20,
    512 << 10,
    2 << 20,
    1280 << 10,
    256 << 10,
    4 << 20, // as emulators say
];

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
    /// The best instruction set of the processor that oneDNN knows, in its words: `avx2`, `avx512_core`, whatever
    /// PyTorch was told to use of it.
    pub cpu_isa: Option<String>,
    /// `AuthenticAMD`, `GenuineIntel`.
    pub cpu_vendor: Option<String>,
    /// oneDNN's version: `3.7.1`; else it follows from torch's.
    pub onednn: Option<String>,
    /// The instruction set in force as oneDNN itself reports it: `Intel AVX2`.
    pub onednn_isa: Option<String>,
    /// `torch.get_num_threads()`.
    pub threads: Option<usize>,
    /// Whether mkldnn was enabled.
    pub mkldnn: Option<bool>,
    /// What the processor has, in the words of Linux's /proc/cpuinfo, as far as it matters to bfloat16 and float16:
    /// `avx512_bf16`, `avx512_fp16`, `amx_bf16`, ...
    pub cpu_flags: Option<Vec<String>>,
    /// Level-1 data cache of one core, bytes.
    pub l1_bytes: Option<usize>,
    /// Level-2 cache of one core, bytes.
    pub l2_bytes: Option<usize>,
    /// Hardware threads that share a level-1 data cache: 2 with hyper-threading.
    pub l1_threads: Option<usize>,
    /// Whether NNPACK was enabled (`torch.backends.nnpack.flags`); it is unless said otherwise.
    pub nnpack: Option<bool>,
    /// Environment variables that steer the libraries: `ONEDNN_MAX_CPU_ISA`, ...
    pub env: BTreeMap<String, String>,
}

/// A processor and a setting, with nothing left open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// What oneDNN may use.
    pub isa: Isa,
    /// Which oneDNN.
    pub onednn: Onednn,
    /// Whether oneDNN may round float32 operands to fewer bits, which no rule here covers.
    pub rounds_operands: bool,
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
    /// What oneDNN may use for bfloat16 and float16; matters for those alone.
    pub narrow: Narrow,
    /// Level-1 data cache per hardware thread, bytes, where NNPACK runs.
    pub nnpack_l1: Option<usize>,
    /// An aarch64 processor's vectors; `isa` then says nothing.
    pub sve: Option<onednn::arm::Sve>,
}

impl Machine {
    /// The kind of processor, and the torch where that changed its libraries, in words.
    pub fn family(&self) -> String {
        use onednn::arm::Sve;
        if let Some(sve) = self.sve {
            let vectors = match sve {
                Sve::None => "NEON, as Neoverse N1",
                Sve::Bits256 => "SVE of 256 bits, as Neoverse V1",
                Sve::Bits512 => "SVE of 512 bits, as A64FX",
            };
            let torch = match self.onednn {
                version if version >= Onednn(3, 10) => "torch from 2.11",
                _ => "torch up to 2.10",
            };
            return format!("aarch64 with {vectors}, {torch}");
        }
        let vectors = match self.isa {
            Isa::Sse41 => "SSE4.1",
            Isa::Avx => "AVX",
            Isa::Avx2 => "AVX2",
            Isa::Avx512 => "AVX-512",
        };
        match self.mkl_blocks {
            mkl::KBlocks::Even(_) => format!("AMD with {vectors}"),
            mkl::KBlocks::Compatible => format!("x86-64 with {vectors}"),
            mkl::KBlocks::Halves(_) | mkl::KBlocks::Tiles | mkl::KBlocks::Sse(_) => {
                format!("Intel with {vectors}")
            }
        }
    }
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
            cpu_isa: text(&self.cpu_isa, &other.cpu_isa),
            cpu_vendor: text(&self.cpu_vendor, &other.cpu_vendor),
            onednn: text(&self.onednn, &other.onednn),
            onednn_isa: text(&self.onednn_isa, &other.onednn_isa),
            cpu_flags: other.cpu_flags.clone().or_else(|| self.cpu_flags.clone()),
            threads: other.threads.or(self.threads),
            mkldnn: other.mkldnn.or(self.mkldnn),
            l1_bytes: other.l1_bytes.or(self.l1_bytes),
            l2_bytes: other.l2_bytes.or(self.l2_bytes),
            l1_threads: other.l1_threads.or(self.l1_threads),
            nnpack: other.nnpack.or(self.nnpack),
            env,
        }
    }

    /// Every machine that fits what is known, the usual first.
    pub fn machines(&self) -> Vec<Machine> {
        let is = |known: &Option<String>, word: &str| known.as_deref().is_none_or(|k| k == word);
        if !is(&self.device, "cpu") {
            return Vec::new();
        }
        let mut machines = Vec::new();
        if is(&self.machine, "x86_64") || is(&self.machine, "AMD64") {
            machines = self.x86_machines();
        }
        if is(&self.machine, "aarch64") {
            machines.extend(self.arm_machines());
        }
        machines
    }

    /// Those of aarch64 that were measured.
    fn arm_machines(&self) -> Vec<Machine> {
        use onednn::arm::Sve;
        if !self.env.is_empty() {
            return Vec::new(); // no variable was measured there
        }
        let vectors = match (self.cpu_isa.as_deref(), self.cpu_capability.as_deref()) {
            (Some("asimd"), _) => vec![Sve::None],
            (Some("sve_256"), _) | (None, Some("SVE256")) => vec![Sve::Bits256],
            (Some("sve_512"), _) => vec![Sve::Bits512],
            // ATen has kernels for 256 bits alone
            (None, Some("DEFAULT")) => vec![Sve::None, Sve::Bits512],
            (None, None) => vec![Sve::None, Sve::Bits256, Sve::Bits512],
            _ => return Vec::new(),
        };
        let told = self.onednn.is_some() || self.torch.is_some();
        let versions = match told {
            true => vec![self.onednn_version()],
            false => vec![Onednn(3, 13), Onednn(3, 7)],
        };
        let threads = self.threads.map_or(vec![1, 2, 4, 8], |known| vec![known]);
        let mut machines = Vec::new();
        for &onednn in &versions {
            for &sve in &vectors {
                for &threads in &threads {
                    // oneDNN 3.7 did not ask these processors
                    let l2 = match self.l2_bytes {
                        Some(l2) if onednn >= Onednn(3, 13) => vec![l2],
                        _ if onednn < Onednn(3, 13) => vec![512 << 10],
                        _ => ARM_L2_SIZES.to_vec(),
                    };
                    machines.extend(l2.into_iter().map(|l2| Machine {
                        isa: Isa::Sse41,
                        onednn,
                        rounds_operands: false,
                        threads: threads.max(1),
                        mkldnn: self.mkldnn.unwrap_or(true),
                        mkl_blocks: mkl::KBlocks::Compatible,
                        mkl_cnr: false,
                        caches: [64 << 10, l2],
                        narrow: Narrow::default(),
                        nnpack_l1: None,
                        sve: Some(sve),
                    }));
                }
            }
        }
        machines
    }

    fn x86_machines(&self) -> Vec<Machine> {
        let all = |known: Option<usize>, else_try: &[usize]| match known {
            Some(known) => vec![known],
            None => else_try.to_vec(),
        };
        let caches = self.caches();
        let mut machines = Vec::new();
        for mkldnn in self.mkldnn.map_or(vec![true, false], |known| vec![known]) {
            for [hardware, isa] in self.isas() {
                for &mkl_blocks in &self.mkl_blocks(isa) {
                    for &threads in &all(self.threads, &[1, 2, 4, 8, 16]) {
                        for &caches in &caches {
                            let machine = |nnpack_l1| Machine {
                                isa,
                                onednn: self.onednn_version(),
                                rounds_operands: self.may_round_operands(),
                                threads: threads.max(1),
                                mkldnn,
                                mkl_blocks,
                                mkl_cnr: self.env.contains_key("MKL_CBWR"),
                                caches,
                                nnpack_l1,
                                narrow: Narrow::default(),
                                sve: None,
                            };
                            let sharing = match mkldnn || !self.has_nnpack(hardware) {
                                true => vec![None],
                                false => all(self.l1_threads, &[1, 2])
                                    .into_iter()
                                    .map(|threads| Some(caches[0] / threads))
                                    .collect(),
                            };
                            machines.extend(sharing.into_iter().map(machine));
                        }
                    }
                }
            }
        }
        machines
    }

    /// The version of oneDNN; the newest where neither it nor torch's is told.
    fn onednn_version(&self) -> Onednn {
        let told = self.onednn.as_deref().and_then(Onednn::parse);
        let of_torch = || self.torch.as_deref().and_then(Onednn::of_torch);
        told.or_else(of_torch).unwrap_or(Onednn::NEWEST)
    }

    /// The first of these environment variables that is set; oneDNN looks at its own name before DNNL's.
    fn onednn_variable(&self, name: &str) -> Option<&str> {
        ["ONEDNN", "DNNL"]
            .iter()
            .find_map(|prefix| self.env.get(&format!("{prefix}_{name}")))
            .map(String::as_str)
    }

    /// Whether oneDNN may round float32 operands to fewer bits: it does so in tiles of AMX, which AMD has not.
    fn may_round_operands(&self) -> bool {
        let strict = |mode: &str| mode.eq_ignore_ascii_case("STRICT");
        let asked = self.onednn_variable("DEFAULT_FPMATH_MODE");
        asked.is_some_and(|mode| !strict(mode))
            && self.cpu_vendor.as_deref() != Some("AuthenticAMD")
    }

    /// Level-1 and level-2 caches that oneDNN may have reckoned with.
    fn caches(&self) -> Vec<[usize; 2]> {
        let amd = self.cpu_vendor.as_deref() == Some("AuthenticAMD");
        if amd && self.onednn_version() < Onednn(3, 2) {
            // it did not know how to ask AMD's processors and took what is usual (`get_per_core_cache_size`)
            return vec![[32 << 10, 512 << 10]];
        }
        let l1 = self
            .l1_bytes
            .map_or(vec![32 << 10, 48 << 10], |l1| vec![l1]);
        let wide = self.isas().iter().all(|[_, isa]| *isa == Isa::Avx512);
        let usual = match (amd, wide) {
            (true, _) => AMD_L2_SIZES.to_vec(),
            (false, true) => WIDE_L2_SIZES.to_vec(),
            (false, false) => L2_SIZES.to_vec(),
        };
        let l2 = self.l2_bytes.map_or(usual, |l2| vec![l2]);
        let all = l2.iter().flat_map(|&l2| l1.iter().map(move |&l1| [l1, l2]));
        all.collect()
    }

    /// Whether NNPACK runs on such a processor: it has kernels for AVX2 only, and is built everywhere but on Windows
    /// (whose machine is `AMD64`).
    fn has_nnpack(&self, hardware: Isa) -> bool {
        let is_windows = self.machine.as_deref() == Some("AMD64");
        hardware >= Isa::Avx2 && !is_windows && self.nnpack != Some(false)
    }

    /// Instruction sets that the processor may have, each with what oneDNN may have used of it.
    fn isas(&self) -> Vec<[Isa; 2]> {
        let limit = self.onednn_variable("MAX_CPU_ISA").and_then(Isa::limit);
        let reported = self.onednn_isa.as_deref().and_then(Isa::reported);
        let processor = self.cpu_isa.as_deref().and_then(Isa::of_processor);
        let hardware = match reported.or(processor) {
            Some(isa) => vec![isa],
            None => self.isas_by_capability(),
        };
        let mut isas: Vec<[Isa; 2]> = hardware
            .into_iter()
            .map(|isa| [isa, limit.map_or(isa, |limit| isa.min(limit))])
            .collect();
        // below AVX2 nothing but oneDNN tells processors apart
        isas.dedup_by_key(|&mut [hardware, isa]| (hardware >= Isa::Avx2, isa));
        isas
    }

    /// What PyTorch says of the processor for its own kernels' sake.
    fn isas_by_capability(&self) -> Vec<Isa> {
        let forced = self.env.contains_key("ATEN_CPU_CAPABILITY");
        let amd = self
            .cpu_vendor
            .as_deref()
            .is_none_or(|v| v == "AuthenticAMD");
        match self.cpu_capability.as_deref() {
            // a forced capability tells nothing of what oneDNN finds
            Some(capability) if !forced => match capability {
                c if c.starts_with("AVX512") => vec![Isa::Avx512],
                // PyTorch did not see AMD's AVX-512 then, oneDNN did
                "AVX2" if amd && self.onednn_version() < Onednn(3, 1) => {
                    vec![Isa::Avx2, Isa::Avx512]
                }
                "AVX2" => vec![Isa::Avx2],
                _ => vec![Isa::Sse41, Isa::Avx],
            },
            _ => vec![Isa::Avx2, Isa::Avx512, Isa::Avx, Isa::Sse41],
        }
    }

    /// MKL looks at the vendor: on AMD it takes its AVX2 kernels whatever the processor has.
    fn mkl_blocks(&self, isa: Isa) -> Vec<mkl::KBlocks> {
        let amd = mkl::KBlocks::Even(192);
        let intel = match isa {
            Isa::Avx512 => mkl::KBlocks::Halves(384),
            Isa::Avx2 | Isa::Avx => mkl::KBlocks::Tiles,
            Isa::Sse41 => mkl::KBlocks::Sse(256),
        };
        let mode = self.env.get("MKL_CBWR");
        // followed by ",STRICT" or nothing; other words, and this one in small letters, change no kernel
        if mode.is_some_and(|mode| mode.split(',').next() == Some("COMPATIBLE")) {
            return vec![mkl::KBlocks::Compatible];
        }
        match self.cpu_vendor.as_deref() {
            Some("AuthenticAMD") => vec![amd],
            Some("GenuineIntel") => vec![intel],
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
            let switch = || value.parse::<bool>().map_err(|_| wrong("true or false"));
            let text = || Some(value.to_owned());
            match key {
                "torch" => origin.torch = text(),
                "device" => origin.device = text(),
                "machine" => origin.machine = text(),
                "cpu_capability" => origin.cpu_capability = text(),
                "cpu_isa" => origin.cpu_isa = text(),
                "cpu_vendor" => origin.cpu_vendor = text(),
                "onednn" => origin.onednn = text(),
                "onednn_isa" => origin.onednn_isa = text(),
                "cpu_flags" => {
                    let flags = value.split('+').filter(|flag| !flag.is_empty());
                    origin.cpu_flags = Some(flags.map(str::to_owned).collect());
                }
                "threads" => origin.threads = Some(size()?),
                "l1_bytes" => origin.l1_bytes = Some(size()?),
                "l2_bytes" => origin.l2_bytes = Some(size()?),
                "l1_threads" => origin.l1_threads = Some(size()?),
                "mkldnn" => origin.mkldnn = Some(switch()?),
                "nnpack" => origin.nnpack = Some(switch()?),
                variable
                    if variable
                        .chars()
                        .all(|c| c.is_ascii_uppercase() || "_0123456789".contains(c)) =>
                {
                    origin.env.insert(variable.to_owned(), value.to_owned());
                }
                _ => {
                    return Err(Error::usage(format!("the origin has no key {key:?}")).with_hint(
                        "the keys are torch, device, machine, cpu_capability, cpu_isa, cpu_vendor, cpu_flags (A+B), threads, mkldnn, \
                         nnpack, onednn, onednn_isa, l1_bytes, l1_threads, l2_bytes, and environment variables in capitals",
                    ));
                }
            }
        }
        Ok(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::Isa;
    use super::Origin;

    fn isas(origin: &str) -> Vec<Isa> {
        let isas = origin.parse::<Origin>().unwrap().isas();
        isas.into_iter().map(|[_, used]| used).collect()
    }

    #[test]
    fn the_instruction_set_is_onednns_not_that_of_pytorchs_own_kernels() {
        assert_eq!(isas("cpu_capability=AVX512"), [Isa::Avx512]);
        let forced = "cpu_capability=DEFAULT,ATEN_CPU_CAPABILITY=default";
        assert_eq!(isas(forced).len(), 4);
        assert_eq!(
            isas(&format!("{forced},cpu_isa=avx512_core")),
            [Isa::Avx512]
        );
        let limited = "cpu_isa=avx512_core,ONEDNN_MAX_CPU_ISA=avx2_vnni,DNNL_MAX_CPU_ISA=SSE41";
        assert_eq!(isas(limited), [Isa::Avx2], "oneDNN's own name comes first");
        assert_eq!(
            isas("cpu_isa=avx2,DNNL_MAX_CPU_ISA=AVX512_CORE_BF16"),
            [Isa::Avx2]
        );
        let reported = "cpu_capability=AVX2,onednn_isa=Intel AVX-512 with Intel DL Boost";
        assert_eq!(isas(reported), [Isa::Avx512]);
        let old = "torch=2.0.1,cpu_capability=AVX2,cpu_vendor=AuthenticAMD";
        assert_eq!(isas(old), [Isa::Avx2, Isa::Avx512]);
    }

    #[test]
    fn rounded_operands_are_not_predicted_where_there_may_be_tiles() {
        let rounds = |origin: &str| origin.parse::<Origin>().unwrap().may_round_operands();
        assert!(rounds("ONEDNN_DEFAULT_FPMATH_MODE=BF16"));
        assert!(rounds(
            "cpu_vendor=GenuineIntel,DNNL_DEFAULT_FPMATH_MODE=any"
        ));
        assert!(!rounds(
            "cpu_vendor=AuthenticAMD,ONEDNN_DEFAULT_FPMATH_MODE=BF16"
        ));
        assert!(!rounds("ONEDNN_DEFAULT_FPMATH_MODE=STRICT"));
    }

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
