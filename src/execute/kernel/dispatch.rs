//! From ordinary code into code compiled for the processor's vectors.
//!
//! One of the crate's three files with unsafe: a call into a function with `#[target_feature]` is sound only on a
//! processor that has the feature, which is asked right before. Which code runs never changes a bit; [`Vectors`] can
//! be chosen so that this can be checked on one processor. A fuzzer gets none of it: no file that it makes is ever
//! multiplied, and these copies are most of what there is to compile.
#![allow(unsafe_code)]

use super::task;
use super::task::Layer;
use super::task::Task;
use crate::execute::Real;
use crate::execute::vectors::Vectors;

/// Numbers that the kernels are compiled for.
pub trait Tiled: Real {
    /// Runs a task with the vectors asked for, or with portable code where the processor lacks them.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn run(layer: &Layer<'_, Self>, task: Task<'_, Self>, vectors: Vectors);
}

/// `channels` by `pixels` is the tile of a block of output channels: all the registers but those for the operands.
macro_rules! lanes {
    ($real:ty, avx512: $wide:literal by $wide_pixels:literal, avx2: $narrow:literal by $narrow_pixels:literal) => {
        impl Tiled for $real {
            #[allow(private_interfaces)]
            fn run(layer: &Layer<'_, Self>, task: Task<'_, Self>, vectors: Vectors) {
                #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
                {
                    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
                    fn avx512(layer: &Layer<'_, $real>, task: Task<'_, $real>) {
                        task::run::<$real, $wide, $wide_pixels>(layer, task);
                    }

                    #[target_feature(enable = "avx2,fma")]
                    fn avx2(layer: &Layer<'_, $real>, task: Task<'_, $real>) {
                        task::run::<$real, $narrow, $narrow_pixels>(layer, task);
                    }

                    match vectors {
                        Vectors::Avx512 if vectors.available() => {
                            // SAFETY: avx512f, avx512vl, avx2 and fma were detected on the line above.
                            return unsafe { avx512(layer, task) };
                        }
                        Vectors::Avx2 if vectors.available() => {
                            // SAFETY: avx2 and fma were detected on the line above.
                            return unsafe { avx2(layer, task) };
                        }
                        _ => {}
                    }
                }
                #[cfg(any(not(target_arch = "x86_64"), fuzzing))]
                let _ = vectors;
                task::run::<$real, 8, 4>(layer, task);
            }
        }
    };
}

lanes!(f32, avx512: 32 by 8, avx2: 16 by 6);
lanes!(f64, avx512: 16 by 8, avx2: 8 by 6);
