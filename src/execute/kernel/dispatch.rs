//! From ordinary code into code compiled for the processor's vectors.
//!
//! One of the crate's two files with unsafe: a call into a function with `#[target_feature]` is sound only on a
//! processor that has the feature, which is asked right before.
#![allow(unsafe_code)]

use super::task;
use super::task::Layer;
use super::task::Task;
use crate::execute::Real;

/// Numbers that the kernels are compiled for.
pub trait Tiled: Real {
    /// Runs a task with the widest vectors there are.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn run(layer: &Layer<'_, Self>, task: Task<'_, Self>);
}

/// `channels` by `pixels` is the tile of a block of output channels: all the registers but those for the operands.
macro_rules! lanes {
    ($real:ty, avx512: $wide:literal by $wide_pixels:literal, avx2: $narrow:literal by $narrow_pixels:literal) => {
        impl Tiled for $real {
            #[allow(private_interfaces)]
            fn run(layer: &Layer<'_, Self>, task: Task<'_, Self>) {
                #[cfg(target_arch = "x86_64")]
                {
                    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
                    fn avx512(layer: &Layer<'_, $real>, task: Task<'_, $real>) {
                        task::run::<$real, $wide, $wide_pixels>(layer, task);
                    }

                    #[target_feature(enable = "avx2,fma")]
                    fn avx2(layer: &Layer<'_, $real>, task: Task<'_, $real>) {
                        task::run::<$real, $narrow, $narrow_pixels>(layer, task);
                    }

                    if std::is_x86_feature_detected!("avx512f")
                        && std::is_x86_feature_detected!("avx512vl")
                        && std::is_x86_feature_detected!("fma")
                    {
                        // SAFETY: avx512f, avx512vl and fma (and so avx2) were detected on the lines above.
                        return unsafe { avx512(layer, task) };
                    }
                    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma")
                    {
                        // SAFETY: avx2 and fma were detected on the line above.
                        return unsafe { avx2(layer, task) };
                    }
                }
                task::run::<$real, 8, 4>(layer, task);
            }
        }
    };
}

lanes!(f32, avx512: 32 by 8, avx2: 16 by 6);
lanes!(f64, avx512: 16 by 8, avx2: 8 by 6);
