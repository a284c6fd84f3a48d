//! Which vectors the code for a processor is compiled for. Never changes a bit; it can be chosen so that this can be
//! checked on one processor.

/// Which vectors the code was compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// Those that every processor of the target has.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// AVX-512.
    Avx512,
}

impl Vectors {
    /// Whether this processor can run such code.
    #[must_use]
    pub fn available(self) -> bool {
        match self {
            Vectors::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx2 => {
                std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
            }
            #[cfg(target_arch = "x86_64")]
            Vectors::Avx512 => {
                Vectors::Avx2.available()
                    && std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512vl")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Vectors::Avx2 | Vectors::Avx512 => false,
        }
    }

    /// The widest there are.
    #[must_use]
    pub fn widest() -> Self {
        [Vectors::Avx512, Vectors::Avx2]
            .into_iter()
            .find(|vectors| vectors.available())
            .unwrap_or(Vectors::Portable)
    }
}
