//! From ordinary code into code compiled for the processor's vectors.
//!
//! One of the crate's five files with unsafe: a call into a function with `#[target_feature]` is sound only on a
//! processor that has the feature, which is asked right before.
#![allow(unsafe_code)]

use crate::execute::vectors::Vectors;

/// Something to be run; to be compiled for vectors, `run` and what it calls must be inlined.
pub(super) trait Work {
    /// Runs it.
    fn run(self);
}

/// Runs `work` with the vectors asked for, or with portable code where the processor lacks them. Eight numbers are held
/// together throughout, so that AVX-512 would add nothing but time to compile.
pub(super) fn run(work: impl Work, vectors: Vectors) {
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    if vectors != Vectors::Portable && vectors.available() {
        // SAFETY: both kinds of vectors come with avx2 and fma, detected on the line above.
        return unsafe { avx2(work) };
    }
    #[cfg(any(not(target_arch = "x86_64"), fuzzing))]
    let _ = vectors;
    work.run();
}

#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
#[target_feature(enable = "avx2,fma")]
fn avx2(work: impl Work) {
    work.run();
}
