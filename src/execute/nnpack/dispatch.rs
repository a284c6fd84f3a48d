//! From ordinary code into code compiled for the processor's vectors.
//!
//! One of the crate's three files with unsafe: a call into a function with `#[target_feature]` is sound only on a
//! processor that has the feature, which is asked right before.
#![allow(unsafe_code)]

/// Something to be run; to be compiled for vectors, `run` and what it calls must be inlined.
pub(super) trait Work {
    /// Runs it.
    fn run(self);
}

/// Runs `work` with the widest vectors there are.
pub(super) fn run(work: impl Work) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("fma")
        {
            // SAFETY: the features were detected on the lines above.
            return unsafe { avx512(work) };
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: avx2 and fma were detected on the line above.
            return unsafe { avx2(work) };
        }
    }
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn avx512(work: impl Work) {
    work.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(work: impl Work) {
    work.run();
}
