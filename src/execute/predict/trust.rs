//! On which processors the predictions were held against PyTorch's own outputs, and how many came out.
//!
//! An output is *predicted* if its origin - with what the file's other cases settle - leaves one order and that order
//! gives every bit; *identical* counts those as well that a search had to find. Outputs of the first kind were there
//! while the rules were made, *fresh* ones were captured afterwards. "Emulated" is PyTorch's own program on an emulator
//! that rounds as the processor does; none of those was compared with the processor itself.

/// Outputs that were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// All of them.
    pub outputs: usize,
    /// Identical in every bit, however the order was chosen.
    pub identical: usize,
    /// Identical and predicted.
    pub predicted: usize,
}

/// One processor and torch.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Processor.
    pub processor: &'static str,
    /// torch's version.
    pub torch: &'static str,
    /// What PyTorch computed with there.
    pub backends: &'static str,
    /// Threads, and layouts of the input.
    pub runs: &'static str,
    /// Real hardware or an emulator.
    pub evidence: &'static str,
    /// Outputs that were there while the rules were made.
    pub known: Count,
    /// Outputs captured after that.
    pub fresh: Count,
    /// What is known of those that are not predicted.
    pub open: &'static str,
}

const fn count(outputs: usize, identical: usize, predicted: usize) -> Count {
    Count {
        outputs,
        identical,
        predicted,
    }
}

const NONE: Count = count(0, 0, 0);

/// All of them, float32 convolutions in two dimensions.
pub const ROWS: &[Row] = &[
    Row {
        processor: "AMD EPYC (AVX2)",
        torch: "2.15",
        backends: "oneDNN jit, jit_1x1, jit_dw, x64:gemm:jit; MKL",
        runs: "T = 1, 2",
        evidence: "real",
        known: count(70, 70, 70),
        fresh: NONE,
        open: "",
    },
    Row {
        processor: "AMD Zen 4 (AVX-512)",
        torch: "2.15",
        backends: "oneDNN jit, jit_dw, x64:gemm:jit; MKL",
        runs: "T = 1, 2",
        evidence: "emulated; live torch on real hardware in the tests",
        known: count(70, 70, 70),
        fresh: NONE,
        open: "",
    },
    Row {
        processor: "Intel Skylake-X (AVX-512)",
        torch: "2.15",
        backends: "oneDNN jit, jit_dw, brgemm, x64:gemm:jit; MKL",
        runs: "T = 1, 2; T = 1 channels_last",
        evidence: "emulated",
        known: count(105, 105, 105),
        fresh: count(110, 110, 108),
        open: "1 x64:gemm:jit: the level-2 cache is not told; 1 MKL: a product of one term",
    },
    Row {
        processor: "Intel Haswell (AVX2)",
        torch: "2.15",
        backends: "oneDNN jit, jit_dw, x64:gemm:jit; MKL",
        runs: "T = 1",
        evidence: "emulated",
        known: count(35, 35, 34),
        fresh: count(66, 66, 65),
        open: "2 x64:gemm:jit: the level-2 cache is not told",
    },
    Row {
        processor: "Intel Nehalem (SSE4.1)",
        torch: "2.15",
        backends: "oneDNN jit, jit_dw, x64:gemm:jit; MKL",
        runs: "T = 1",
        evidence: "emulated",
        known: count(35, 34, 33),
        fresh: count(66, 65, 64),
        open: "2 x64:gemm:jit: the level-2 cache is not told; 2 MKL: the corner of a product whose pixels are no multiple of 4 nor its channels",
    },
    Row {
        processor: "Arm Neoverse N1 (NEON)",
        torch: "2.15",
        backends: "Arm Compute Library, oneDNN gemm:ref; NVPL",
        runs: "T = 1, 2; T = 1 channels_last",
        evidence: "emulated",
        known: count(105, 105, 104),
        fresh: count(66, 65, 63),
        open: "2 gemm:ref: the level-2 cache is not told; 1 Arm Compute Library: two estimates of cycles within 0.4 %; 1 depthwise 3x3: tiles of their own",
    },
    Row {
        processor: "Arm Neoverse N1 (NEON)",
        torch: "2.10",
        backends: "Arm Compute Library, oneDNN gemm:ref; OpenBLAS",
        runs: "T = 1, 2",
        evidence: "emulated",
        known: count(70, 70, 70),
        fresh: count(66, 65, 63),
        open: "2 Arm Compute Library: hybrid or interleaved kernel; 1 depthwise 3x3: tiles of their own",
    },
    Row {
        processor: "Arm Neoverse V1 (SVE 256)",
        torch: "2.15",
        backends: "oneDNN jit:sve_256, jit_dw, brgconv, gemm:ref, Arm Compute Library; NVPL",
        runs: "T = 1, 2; T = 1 channels_last",
        evidence: "emulated",
        known: count(105, 105, 105),
        fresh: count(66, 66, 66),
        open: "",
    },
    Row {
        processor: "Arm Neoverse V1 (SVE 256)",
        torch: "2.10",
        backends: "Arm Compute Library, oneDNN jit, jit_dw, brgconv, gemm:ref; OpenBLAS",
        runs: "T = 1, 2",
        evidence: "emulated",
        known: count(70, 70, 70),
        fresh: count(66, 66, 64),
        open: "2 Arm Compute Library: hybrid or interleaved kernel",
    },
    Row {
        processor: "Fujitsu A64FX (SVE 512)",
        torch: "2.10",
        backends: "oneDNN brgconv, jit, jit_dw, gemm:ref; OpenBLAS",
        runs: "T = 1",
        evidence: "emulated",
        known: count(35, 35, 35),
        fresh: count(66, 66, 66),
        open: "",
    },
];

#[cfg(test)]
mod tests {
    use super::ROWS;

    #[test]
    fn nothing_is_counted_twice_and_what_is_missing_is_named() {
        for row in ROWS {
            for count in [row.known, row.fresh] {
                assert!(count.predicted <= count.identical, "{}", row.processor);
                assert!(count.identical <= count.outputs, "{}", row.processor);
            }
            let all = |part: fn(&super::Count) -> usize| part(&row.known) + part(&row.fresh);
            let missing = all(|c| c.outputs) > all(|c| c.predicted);
            assert_eq!(missing, !row.open.is_empty(), "{}", row.processor);
        }
    }
}
