//! From ordinary code into code compiled for the processor's vectors.
//!
//! One of the crate's two files with unsafe: a call into a function with `#[target_feature]` is sound only on a
//! processor that has the feature, which is asked right before.
#![allow(unsafe_code)]

use super::task;
use super::task::Layer;
use super::task::Task;

/// Runs a task with the widest vectors there are.
pub(super) fn run(layer: &Layer<'_>, task: Task<'_>) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("fma") {
            // SAFETY: avx512f and fma were detected on the line above.
            return unsafe { avx512(layer, task) };
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            // SAFETY: avx2 and fma were detected on the line above.
            return unsafe { avx2(layer, task) };
        }
    }
    task::run::<8, 4>(layer, task);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn avx512(layer: &Layer<'_>, task: Task<'_>) {
    task::run::<32, 8>(layer, task);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(layer: &Layer<'_>, task: Task<'_>) {
    task::run::<16, 6>(layer, task);
}
