//! Vectors of numbers, each lane on its own: what the tiles' arithmetic is written in.
//!
//! A [`Simd`] value is a token that the processor has the instructions: it is only made where they were detected, so the
//! operations need not ask again. Every operation rounds each lane as [`Real`]'s does, so that no choice of vectors changes
//! a bit.
//!
//! One of the crate's five files with unsafe: the processor's own instructions, behind tokens; loads and stores of whole
//! vectors, from and to slices of their length.
#![allow(unsafe_code)]
// Index loops with constant bounds are unrolled, and the arrays live in registers.
#![allow(clippy::needless_range_loop)]

use crate::execute::Real;

/// Work that [`Simd::apart`] does.
pub(super) trait Apart {
    /// Does it.
    fn run(self);
}

/// Instructions on vectors of some numbers.
pub(super) trait Simd<R: Real>: Copy + Send + Sync {
    /// A vector.
    type Vector: Copy;

    /// Instructions on vectors half as long, if there are any.
    type Short: Simd<R>;

    /// Numbers in a vector.
    const LANES: usize;

    /// Vectors that the processor has registers for.
    const REGISTERS: usize;

    /// For vectors half as long.
    fn short(self) -> Self::Short;

    /// Does work in a function of its own: in a large one the compiler keeps few vectors in registers.
    fn apart(self, work: impl Apart);

    /// The same number in every lane.
    fn splat(self, value: R) -> Self::Vector;

    /// The first numbers of a slice that has as many.
    fn load(self, from: &[R]) -> Self::Vector;

    /// The numbers from a place on.
    ///
    /// # Safety
    ///
    /// There must be as many as a vector has.
    unsafe fn load_from(self, from: *const R) -> Self::Vector;

    /// Into the first numbers of a slice that has as many.
    fn store(self, vector: Self::Vector, to: &mut [R]);

    /// Of the numbers of a and then b the first, third, ... and the second, fourth, ...
    fn pairs(self, a: Self::Vector, b: Self::Vector) -> (Self::Vector, Self::Vector);

    /// a + b
    fn add(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a * b
    fn mul(self, a: Self::Vector, b: Self::Vector) -> Self::Vector;

    /// a * b + c, rounded once.
    fn mul_add(self, a: Self::Vector, b: Self::Vector, c: Self::Vector) -> Self::Vector;
}

/// P pieces of one slice, all of one length, of which the same elements are read.
#[derive(Clone, Copy)]
pub(super) struct Pieces<'a, R, const P: usize> {
    pieces: [&'a [R]; P],
    len: usize,
}

impl<'a, R: Real, const P: usize> Pieces<'a, R, P> {
    /// The pieces that begin at these places, as long as can be.
    #[inline(always)]
    pub(super) fn new(of: &'a [R], places: [usize; P]) -> Self {
        let mut last = 0;
        for place in places {
            last = last.max(place);
        }
        let len = of.len() - last;
        let mut pieces = [of; P];
        for p in 0..P {
            pieces[p] = &of[places[p]..places[p] + len];
        }
        Self { pieces, len }
    }

    /// The elements of each piece from `at` on, N of them.
    #[inline(always)]
    pub(super) fn arrays<const N: usize>(&self, at: usize) -> [&'a [R; N]; P] {
        // one check serves all pieces
        assert!(at < self.len && N <= self.len - at);
        // SAFETY: every piece has `len` elements, and the array ends before them.
        let array = |p: usize| unsafe { &*self.pieces[p].as_ptr().add(at).cast() };
        let mut arrays = [array(0); P];
        for p in 1..P {
            arrays[p] = array(p);
        }
        arrays
    }
}

/// Reading as many pieces as there are indices, one by one: what is not surely inlined is not compiled for the caller's
/// vectors.
macro_rules! pieces {
    ($count:literal: $($at:literal)+) => {
        impl<R: Real> Pieces<'_, R, $count> {
            /// A vector of each piece from element `at` on.
            #[inline(always)]
            pub(super) fn load<I: Simd<R>>(&self, simd: I, at: usize) -> [I::Vector; $count] {
                // one check serves all pieces
                assert!(at < self.len && I::LANES <= self.len - at);
                // SAFETY: every piece has `len` elements, and what is loaded ends before them.
                [$(unsafe { simd.load_from(self.pieces[$at].as_ptr().add(at)) }),+]
            }

            /// Element `at` of each piece, in every lane.
            #[allow(dead_code)] // some numbers of pieces are only loaded
            #[inline(always)]
            pub(super) fn splat<I: Simd<R>>(&self, simd: I, at: usize) -> [I::Vector; $count] {
                assert!(at < self.len);
                // SAFETY: every piece has `len` elements.
                [$(simd.splat(unsafe { *self.pieces[$at].get_unchecked(at) })),+]
            }
        }
    };
}

pieces!(1: 0);
pieces!(4: 0 1 2 3);
pieces!(7: 0 1 2 3 4 5 6);

/// Ordinary code, N numbers at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain<const N: usize>;

impl<R: Real, const N: usize> Simd<R> for Plain<N> {
    type Vector = [R; N];
    type Short = Self;
    const LANES: usize = N;
    const REGISTERS: usize = 16;

    #[inline(always)]
    fn short(self) -> Self {
        self
    }

    #[inline(always)]
    fn apart(self, work: impl Apart) {
        work.run();
    }

    #[inline(always)]
    fn splat(self, value: R) -> [R; N] {
        [value; N]
    }

    #[inline(always)]
    fn load(self, from: &[R]) -> [R; N] {
        std::array::from_fn(|i| from[..N][i])
    }

    #[inline(always)]
    unsafe fn load_from(self, from: *const R) -> [R; N] {
        // SAFETY: the caller's; no alignment is asked for.
        unsafe { from.cast::<[R; N]>().read_unaligned() }
    }

    #[inline(always)]
    fn store(self, vector: [R; N], to: &mut [R]) {
        to[..N].copy_from_slice(&vector);
    }

    #[inline(always)]
    fn pairs(self, a: [R; N], b: [R; N]) -> ([R; N], [R; N]) {
        let at = |i: usize| if i < N { a[i] } else { b[i - N] };
        (
            std::array::from_fn(|i| at(2 * i)),
            std::array::from_fn(|i| at(2 * i + 1)),
        )
    }

    #[inline(always)]
    fn add(self, a: [R; N], b: [R; N]) -> [R; N] {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn mul(self, a: [R; N], b: [R; N]) -> [R; N] {
        std::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: [R; N], b: [R; N], c: [R; N]) -> [R; N] {
        std::array::from_fn(|i| a[i].mul_add(b[i], c[i]))
    }
}

#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
pub(super) use x86::Avx2;
#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
pub(super) use x86::Avx512;

#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
mod x86 {
    use std::arch::x86_64::*;

    use super::Apart;
    use super::Simd;
    use crate::execute::vectors::Vectors;

    /// AVX2 and FMA.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx2(());

    /// AVX2 and FMA, on half a vector.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Half(());

    /// AVX-512.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx512(());

    impl Avx2 {
        /// Where the processor has it.
        pub(in super::super) fn detected() -> Option<Self> {
            Vectors::Avx2.available().then_some(Self(()))
        }
    }

    impl Avx512 {
        /// Where the processor has it.
        pub(in super::super) fn detected() -> Option<Self> {
            Vectors::Avx512.available().then_some(Self(()))
        }
    }

    macro_rules! simd {
        (
            $token:ident $features:literal $registers:literal, short $short:ident, $real:ty, $vector:ty, $lanes:literal,
            $splat:ident $load:ident $store:ident $add:ident $mul:ident $mul_add:ident,
            |$a:ident, $b:ident| $pairs:expr
        ) => {
            // SAFETY of every block below: the token is made only where the instructions were detected; slices are cut
            // to the number of lanes before a pointer is taken, and no alignment is asked for.
            impl Simd<$real> for $token {
                type Vector = $vector;
                type Short = $short;
                const LANES: usize = $lanes;
                const REGISTERS: usize = $registers;

                #[inline(always)]
                fn short(self) -> $short {
                    $short(()) // every processor that has the longer ones has them
                }

                #[inline(always)]
                fn apart(self, work: impl Apart) {
                    #[target_feature(enable = $features)]
                    #[inline(never)]
                    fn apart(work: impl Apart) {
                        work.run();
                    }
                    // SAFETY: see above.
                    unsafe { apart(work) }
                }

                #[inline(always)]
                fn splat(self, value: $real) -> $vector {
                    // SAFETY: see above.
                    unsafe { $splat(value) }
                }

                #[inline(always)]
                fn load(self, from: &[$real]) -> $vector {
                    let from = &from[..$lanes];
                    // SAFETY: see above.
                    unsafe { $load(from.as_ptr()) }
                }

                #[inline(always)]
                unsafe fn load_from(self, from: *const $real) -> $vector {
                    // SAFETY: see above, and the caller's.
                    unsafe { $load(from) }
                }

                #[inline(always)]
                fn store(self, vector: $vector, to: &mut [$real]) {
                    let to = &mut to[..$lanes];
                    // SAFETY: see above.
                    unsafe { $store(to.as_mut_ptr(), vector) }
                }

                #[inline(always)]
                fn pairs(self, $a: $vector, $b: $vector) -> ($vector, $vector) {
                    // SAFETY: see above.
                    unsafe { $pairs }
                }

                #[inline(always)]
                fn add(self, a: $vector, b: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $add(a, b) }
                }

                #[inline(always)]
                fn mul(self, a: $vector, b: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $mul(a, b) }
                }

                #[inline(always)]
                fn mul_add(self, a: $vector, b: $vector, c: $vector) -> $vector {
                    // SAFETY: see above.
                    unsafe { $mul_add(a, b, c) }
                }
            }
        };
    }

    simd!(
        Half "avx2,fma" 16, short Half, f32, __m128, 4,
        _mm_set1_ps _mm_loadu_ps _mm_storeu_ps _mm_add_ps _mm_mul_ps _mm_fmadd_ps,
        |a, b| (_mm_shuffle_ps::<0x88>(a, b), _mm_shuffle_ps::<0xdd>(a, b))
    );
    simd!(
        Half "avx2,fma" 16, short Half, f64, __m128d, 2,
        _mm_set1_pd _mm_loadu_pd _mm_storeu_pd _mm_add_pd _mm_mul_pd _mm_fmadd_pd,
        |a, b| (_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b))
    );
    simd!(
        Avx2 "avx2,fma" 16, short Half, f32, __m256, 8,
        _mm256_set1_ps _mm256_loadu_ps _mm256_storeu_ps _mm256_add_ps _mm256_mul_ps _mm256_fmadd_ps,
        |a, b| {
            // within 128 bits first: quarters 0 and 2 come from a, 1 and 3 from b
            let even = _mm256_castps_pd(_mm256_shuffle_ps::<0x88>(a, b));
            let odd = _mm256_castps_pd(_mm256_shuffle_ps::<0xdd>(a, b));
            (
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(even)),
                _mm256_castpd_ps(_mm256_permute4x64_pd::<0xd8>(odd)),
            )
        }
    );
    simd!(
        Avx2 "avx2,fma" 16, short Half, f64, __m256d, 4,
        _mm256_set1_pd _mm256_loadu_pd _mm256_storeu_pd _mm256_add_pd _mm256_mul_pd _mm256_fmadd_pd,
        |a, b| {
            (
                _mm256_permute4x64_pd::<0xd8>(_mm256_unpacklo_pd(a, b)),
                _mm256_permute4x64_pd::<0xd8>(_mm256_unpackhi_pd(a, b)),
            )
        }
    );
    simd!(
        Avx512 "avx512f,avx512vl,avx2,fma" 32, short Avx2, f32, __m512, 16,
        _mm512_set1_ps _mm512_loadu_ps _mm512_storeu_ps _mm512_add_ps _mm512_mul_ps _mm512_fmadd_ps,
        |a, b| {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            (
                _mm512_permutex2var_ps(a, even, b),
                _mm512_permutex2var_ps(a, odd, b),
            )
        }
    );
    simd!(
        Avx512 "avx512f,avx512vl,avx2,fma" 32, short Avx2, f64, __m512d, 8,
        _mm512_set1_pd _mm512_loadu_pd _mm512_storeu_pd _mm512_add_pd _mm512_mul_pd _mm512_fmadd_pd,
        |a, b| {
            let even = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
            let odd = _mm512_add_epi64(even, _mm512_set1_epi64(1));
            (
                _mm512_permutex2var_pd(a, even, b),
                _mm512_permutex2var_pd(a, odd, b),
            )
        }
    );
}
