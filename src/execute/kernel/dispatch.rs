//! From ordinary code into code compiled for the processor's vectors.
//!
//! One of the crate's five files with unsafe: a call into a function with `#[target_feature]` is sound only on a
//! processor that has the feature, which is asked right before. Which code runs never changes a bit; [`Vectors`] can
//! be chosen so that this can be checked on one processor. A fuzzer gets none of it: no file that it makes is ever
//! multiplied, and these copies are most of what there is to compile.
#![allow(unsafe_code)]

use super::dense;
use super::dense::Scratch;
use super::layer::Layer;
use super::layer::Task;
use super::narrow;
use super::pack;
use super::repair;
use super::transpose;
#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
use super::vector::Avx2;
#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
use super::vector::Avx512;
use super::vector::Plain;
use super::vector::Simd;
use crate::execute::Real;
use crate::execute::vectors::Vectors;

/// Numbers that the kernels are compiled for.
pub trait Tiled: Real {
    /// Output channels of a block with the vectors asked for.
    #[doc(hidden)]
    fn block(vectors: Vectors) -> usize;

    /// Runs a task with the vectors asked for, or with portable code where the processor lacks them.
    #[doc(hidden)]
    #[allow(private_interfaces)]
    fn run(
        layer: &Layer<'_, Self>,
        task: Task<'_, Self>,
        scratch: &mut Scratch<Self>,
        vectors: Vectors,
    );

    /// Puts the i-th elements of all filters side by side, at `places[i]` times their number.
    #[doc(hidden)]
    fn interleave(filters: &[&[Self]], places: &[u32], out: &mut [Self]);
}

/// A task of any kind, in tiles of W vectors, of M and of one of the narrower kind, by C output channels.
#[inline(always)]
fn run<R: Tiled, I: Simd<R>, H: Simd<R>, const W: usize, const M: usize, const C: usize>(
    simd: (I, H),
    layer: &Layer<'_, R>,
    mut task: Task<'_, R>,
    scratch: &mut Scratch<R>,
) {
    let task = &mut task;
    let Some(program) = &layer.programs[task.rect.recipe] else {
        return repair::interpret(layer, task);
    };
    match (layer.is_narrow(), program.fused) {
        (true, true) => narrow::run::<R, I, H, true>(simd, layer, program, task, scratch),
        (true, false) => narrow::run::<R, I, H, false>(simd, layer, program, task, scratch),
        (false, true) => dense::run::<R, I, H, W, M, C, true>(simd, layer, program, task, scratch),
        (false, false) => {
            dense::run::<R, I, H, W, M, C, false>(simd, layer, program, task, scratch);
        }
    }
    if program.may_doubt() {
        repair::doubtful(layer, program, task);
    }
}

/// Compiles the kernels for a type of numbers. Tiles leave a few registers for the operands: with AVX-512 they are 8
/// channels by 2 vectors, with AVX2 4 by 3, with the 32 short ones of NEON 4 by 4.
macro_rules! kernels {
    ($real:ty, $interleave:path, $plain:literal) => {
        impl Tiled for $real {
            fn block(vectors: Vectors) -> usize {
                match vectors {
                    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
                    Vectors::Avx512 if vectors.available() => 8,
                    _ => 4,
                }
            }

            #[allow(private_interfaces)]
            fn run(
                layer: &Layer<'_, Self>,
                task: Task<'_, Self>,
                scratch: &mut Scratch<Self>,
                vectors: Vectors,
            ) {
                #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
                {
                    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
                    fn avx512(
                        simd: Avx512,
                        layer: &Layer<'_, $real>,
                        task: Task<'_, $real>,
                        scratch: &mut Scratch<$real>,
                    ) {
                        let simd = (simd, simd.halves());
                        run::<$real, Avx512, Avx2, 2, 1, 8>(simd, layer, task, scratch);
                    }

                    #[target_feature(enable = "avx2,fma")]
                    fn avx2(
                        simd: Avx2,
                        layer: &Layer<'_, $real>,
                        task: Task<'_, $real>,
                        scratch: &mut Scratch<$real>,
                    ) {
                        run::<$real, Avx2, Avx2, 3, 2, 4>((simd, simd), layer, task, scratch);
                    }

                    if vectors == Vectors::Avx512
                        && let Some(simd) = Avx512::detected()
                    {
                        // SAFETY: the features were detected on the line above.
                        return unsafe { avx512(simd, layer, task, scratch) };
                    }
                    if vectors == Vectors::Avx2
                        && let Some(simd) = Avx2::detected()
                    {
                        // SAFETY: the features were detected on the line above.
                        return unsafe { avx2(simd, layer, task, scratch) };
                    }
                }
                #[cfg(any(not(target_arch = "x86_64"), fuzzing))]
                let _ = vectors;
                let simd = (Plain::<$plain>, Plain::<$plain>);
                run::<$real, Plain<$plain>, Plain<$plain>, 4, 2, 4>(simd, layer, task, scratch);
            }

            fn interleave(filters: &[&[Self]], places: &[u32], out: &mut [Self]) {
                $interleave(filters, places, out);
            }
        }
    };
}

kernels!(f32, transpose::interleave, 4);
kernels!(f64, pack::interleave, 2);
