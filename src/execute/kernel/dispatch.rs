//! From ordinary code into code compiled for the processor's vectors.
//!
//! One of the crate's five files with unsafe: a call into a function with `#[target_feature]` is sound only on a
//! processor that has the feature, which is asked right before. Which code runs never changes a bit; [`Vectors`] can
//! be chosen so that this can be checked on one processor. A fuzzer gets none of it: no file that it makes is ever
//! multiplied, and these copies are most of what there is to compile.
#![allow(unsafe_code)]

use std::ops::Range;

use super::across;
use super::dense;
use super::dense::Scratch;
use super::form::Form;
use super::layer::Layer;
use super::layer::Task;
use super::narrow;
use super::pack;
use super::padded::Padded;
use super::program::Program;
use super::repair;
use super::transpose;
#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
use super::vector::Avx2;
#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
use super::vector::Avx512;
use super::vector::Plain;
use super::vector::Simd;
use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::vectors::Vectors;

/// Numbers that the kernels are compiled for.
pub trait Tiled: Real {
    /// Output channels of a block with the vectors asked for.
    #[doc(hidden)]
    fn block(vectors: Vectors) -> usize;

    /// Output channels of a block, and pixels of a strip, where lanes are channels; `None`: no such code.
    #[doc(hidden)]
    fn across(vectors: Vectors) -> Option<[usize; 2]>;

    /// Does work with the vectors asked for, or with portable code where the processor lacks them.
    #[doc(hidden)]
    #[allow(private_bounds)]
    fn work(work: impl Work<Self>, vectors: Vectors);

    /// Puts the i-th elements of all filters side by side, at `places[i]` times their number.
    #[doc(hidden)]
    fn interleave(filters: &[&[Self]], places: &[u32], out: &mut [Self]);

    /// Puts the i-th elements of all pixels of a tile, which has `width` elements for each, side by side into the i-th row.
    #[doc(hidden)]
    fn turn(tile: &[Self], width: usize, rows: &mut [&mut [Self]], pixels: Range<usize>);

    /// Asks for numbers that are read soon.
    #[doc(hidden)]
    #[inline(always)]
    fn prefetch(numbers: &[Self]) {
        transpose::prefetch(numbers);
    }
}

/// Work that is compiled for the processor's vectors.
trait Work<R> {
    /// In tiles of W vectors, of M and of one of the narrower kind, by C output channels.
    fn run<I: Simd<R>, H: Simd<R>, const W: usize, const M: usize, const C: usize>(
        self,
        simd: (I, H),
    ) where
        R: Real;
}

/// A task of one kind: a function of its own for each, since the compiler is at a loss with larger ones.
struct Kind<'t, 'a, 'o, R, const NARROW: bool, const FUSED: bool> {
    layer: &'t Layer<'a, R>,
    program: &'t Program,
    task: &'t mut Task<'o, R>,
    scratch: &'t mut Scratch<R>,
}

impl<R: Tiled, const NARROW: bool, const FUSED: bool> Work<R>
    for Kind<'_, '_, '_, R, NARROW, FUSED>
{
    #[inline(always)]
    fn run<I: Simd<R>, H: Simd<R>, const W: usize, const M: usize, const C: usize>(
        self,
        simd: (I, H),
    ) {
        let Self {
            layer,
            program,
            task,
            scratch,
        } = self;
        if NARROW {
            narrow::run::<R, I, H, FUSED>(simd, layer, program, task, scratch);
        } else {
            dense::run::<R, I, H, W, M, C, FUSED>(simd, layer, program, task, scratch);
        }
        if program.may_doubt() {
            repair::doubtful(layer, program, task);
        }
    }
}

/// A task whose lanes are channels.
struct Across<'t, 'a, 'o, R> {
    layer: &'t Layer<'a, R>,
    program: &'t Program,
    task: &'t mut Task<'o, R>,
    scratch: &'t mut Scratch<R>,
}

impl<R: Tiled> Work<R> for Across<'_, '_, '_, R> {
    #[inline(always)]
    fn run<I: Simd<R>, H: Simd<R>, const W: usize, const M: usize, const C: usize>(
        self,
        (simd, _): (I, H),
    ) {
        across::run::<R, I>(simd, self.layer, self.program, self.task, self.scratch);
        if self.program.may_doubt() {
            repair::doubtful(self.layer, self.program, self.task);
        }
    }
}

/// One channel to be padded.
struct Padding<'t, R> {
    padded: &'t Padded,
    g: &'t Geometry,
    from: &'t [R],
    to: &'t mut [R],
}

impl<R: Real> Work<R> for Padding<'_, R> {
    #[inline(always)]
    fn run<I: Simd<R>, H: Simd<R>, const W: usize, const M: usize, const C: usize>(
        self,
        simd: (I, H),
    ) {
        self.padded.fill(simd, self.g, self.from, self.to);
    }
}

/// A task of any kind.
pub(super) fn run<R: Tiled>(
    layer: &Layer<'_, R>,
    mut task: Task<'_, R>,
    scratch: &mut Scratch<R>,
    vectors: Vectors,
) {
    let Some(program) = &layer.programs[task.rect.recipe] else {
        return repair::interpret(layer, &mut task);
    };
    macro_rules! kind {
        ($narrow:literal, $fused:literal) => {
            R::work(
                Kind::<R, $narrow, $fused> {
                    layer,
                    program,
                    task: &mut task,
                    scratch,
                },
                vectors,
            )
        };
    }
    match (layer.form, program.fused) {
        (Form::Narrow, true) => kind!(true, true),
        (Form::Narrow, false) => kind!(true, false),
        (Form::Dense { .. }, true) => kind!(false, true),
        (Form::Dense { .. }, false) => kind!(false, false),
        (Form::Across { .. }, _) => {
            let task = &mut task;
            R::work(
                Across {
                    layer,
                    program,
                    task,
                    scratch,
                },
                vectors,
            );
        }
    }
}

/// Pads one channel.
pub(super) fn pad<R: Tiled>(
    padded: &Padded,
    g: &Geometry,
    from: &[R],
    to: &mut [R],
    vectors: Vectors,
) {
    R::work(
        Padding {
            padded,
            g,
            from,
            to,
        },
        vectors,
    );
}

/// Output channels of a block, and pixels of a strip, where lanes are channels.
#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
fn shape<R: Real, I: Simd<R>>(_: I) -> [usize; 2] {
    [across::VECTORS * I::LANES, across::most(I::REGISTERS)]
}

/// Compiles the kernels for a type of numbers. Tiles leave a few registers for the operands: with AVX-512 they are 8
/// channels by 2 vectors, with AVX2 6 by 2, with the 32 short ones of NEON 4 by 4.
macro_rules! kernels {
    ($real:ty, $interleave:path, $turn:path, $plain:literal) => {
        impl Tiled for $real {
            fn block(vectors: Vectors) -> usize {
                match vectors {
                    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
                    Vectors::Avx512 if vectors.available() => 8,
                    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
                    Vectors::Avx2 if vectors.available() => 6,
                    _ => 4,
                }
            }

            fn across(vectors: Vectors) -> Option<[usize; 2]> {
                match vectors {
                    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
                    Vectors::Avx512 => Avx512::detected().map(shape::<$real, _>),
                    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
                    Vectors::Avx2 => Avx2::detected().map(shape::<$real, _>),
                    _ => None,
                }
            }

            #[allow(private_bounds)]
            fn work(work: impl Work<Self>, vectors: Vectors) {
                #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
                {
                    #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
                    fn avx512(simd: Avx512, work: impl Work<$real>) {
                        work.run::<Avx512, Avx2, 2, 1, 8>((simd, Simd::<$real>::short(simd)));
                    }

                    #[target_feature(enable = "avx2,fma")]
                    fn avx2(simd: Avx2, work: impl Work<$real>) {
                        work.run::<Avx2, Avx2, 2, 1, 6>((simd, simd));
                    }

                    if vectors == Vectors::Avx512
                        && let Some(simd) = Avx512::detected()
                    {
                        // SAFETY: the features were detected on the line above.
                        return unsafe { avx512(simd, work) };
                    }
                    if vectors == Vectors::Avx2
                        && let Some(simd) = Avx2::detected()
                    {
                        // SAFETY: the features were detected on the line above.
                        return unsafe { avx2(simd, work) };
                    }
                }
                #[cfg(any(not(target_arch = "x86_64"), fuzzing))]
                let _ = vectors;
                let simd = (Plain::<$plain>, Plain::<$plain>);
                work.run::<Plain<$plain>, Plain<$plain>, 4, 2, 4>(simd);
            }

            fn turn(tile: &[Self], width: usize, rows: &mut [&mut [Self]], pixels: Range<usize>) {
                $turn(tile, width, rows, pixels);
            }

            fn interleave(filters: &[&[Self]], places: &[u32], out: &mut [Self]) {
                $interleave(filters, places, out);
            }
        }
    };
}

kernels!(f32, transpose::interleave, transpose::turn, 4);
kernels!(f64, pack::interleave, transpose::turn_each, 2);
