//! Filters put side by side with the processor's own shuffles: squares of four or eight filters by as many weights are
//! turned in registers, several times as fast as one number at a time.
//!
//! One of the crate's five files with unsafe: loads and stores of whole vectors, from and to slices of their length, in
//! functions that are called where the processor was asked for their instructions.
#![allow(unsafe_code)]

use super::pack;

/// [`pack::interleave`] for float32.
pub(super) fn interleave(filters: &[&[f32]], places: &[u32], out: &mut [f32]) {
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    {
        if let Ok(filters) = <&[&[f32]; 8]>::try_from(filters)
            && std::is_x86_feature_detected!("avx")
        {
            // SAFETY: avx was detected on the line above.
            return unsafe { x86::eights(filters, places, out) };
        }
        if let &[a, b, c, d, e, f] = filters
            && std::is_x86_feature_detected!("avx")
        {
            // SAFETY: avx was detected on the line above.
            return unsafe { x86::sixes(&[a, b, c, d, e, f], places, out) };
        }
        if let Ok(filters) = <&[&[f32]; 4]>::try_from(filters) {
            return x86::fours(filters, places, out);
        }
    }
    pack::interleave(filters, places, out);
}

/// Asks for numbers that are read soon, up to the second cache.
#[inline(always)]
pub(super) fn prefetch<R>(numbers: &[R]) {
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    for line in numbers.chunks(64 / size_of::<R>().max(1)) {
        use std::arch::x86_64::*;
        // SAFETY: every x86-64 processor has SSE, and a prefetch never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(line.as_ptr().cast()) };
    }
    #[cfg(any(not(target_arch = "x86_64"), fuzzing))]
    let _ = numbers;
}

#[cfg(all(target_arch = "x86_64", not(fuzzing)))]
mod x86 {
    use std::arch::x86_64::*;

    use super::pack;

    /// Eight weights of each filter; of fewer than eight filters, zeros after them.
    #[target_feature(enable = "avx")]
    fn load8(filters: &[&[f32]], at: usize) -> [__m256; 8] {
        let mut rows = [_mm256_setzero_ps(); 8];
        for (row, filter) in rows.iter_mut().zip(filters) {
            let eight = &filter[at..][..8];
            // SAFETY: a slice of eight float32 is as large as what is loaded; no alignment is asked for.
            *row = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
        }
        rows
    }

    #[target_feature(enable = "avx")]
    pub(super) fn eights(filters: &[&[f32]; 8], places: &[u32], out: &mut [f32]) {
        let (squares, rest) = places.as_chunks::<8>();
        for (at, places) in squares.iter().enumerate() {
            for (place, column) in places.iter().zip(turn8(load8(filters, at * 8))) {
                let to = &mut out[*place as usize * 8..][..8];
                // SAFETY: a slice of eight float32 is as large as what is stored; no alignment is asked for.
                unsafe { _mm256_storeu_ps(to.as_mut_ptr(), column) };
            }
        }
        let done = squares.len() * 8;
        pack::interleave(&filters.map(|f| &f[done..]), rest, out);
    }

    #[target_feature(enable = "avx")]
    pub(super) fn sixes(filters: &[&[f32]; 6], places: &[u32], out: &mut [f32]) {
        let (squares, rest) = places.as_chunks::<8>();
        for (at, places) in squares.iter().enumerate() {
            for (place, column) in places.iter().zip(turn8(load8(filters, at * 8))) {
                let to = &mut out[*place as usize * 6..][..6];
                let (four, two) = (
                    _mm256_castps256_ps128(column),
                    _mm256_extractf128_ps::<1>(column),
                );
                // SAFETY: a slice of six float32 has room for four, and behind them for two, which are as large as one
                // float64; no alignment is asked for.
                unsafe {
                    _mm_storeu_ps(to.as_mut_ptr(), four);
                    _mm_storel_pd(to.as_mut_ptr().add(4).cast(), _mm_castps_pd(two));
                }
            }
        }
        let done = squares.len() * 8;
        pack::interleave(&filters.map(|f| &f[done..]), rest, out);
    }

    /// Row i, lane j becomes row j, lane i.
    #[target_feature(enable = "avx")]
    fn turn8(r: [__m256; 8]) -> [__m256; 8] {
        // pairs of rows, then fours, then halves
        let (a0, a1) = (
            _mm256_unpacklo_ps(r[0], r[1]),
            _mm256_unpackhi_ps(r[0], r[1]),
        );
        let (b0, b1) = (
            _mm256_unpacklo_ps(r[2], r[3]),
            _mm256_unpackhi_ps(r[2], r[3]),
        );
        let (c0, c1) = (
            _mm256_unpacklo_ps(r[4], r[5]),
            _mm256_unpackhi_ps(r[4], r[5]),
        );
        let (d0, d1) = (
            _mm256_unpacklo_ps(r[6], r[7]),
            _mm256_unpackhi_ps(r[6], r[7]),
        );
        let (e0, f0) = (
            _mm256_shuffle_ps::<0x44>(a0, b0),
            _mm256_shuffle_ps::<0x44>(c0, d0),
        );
        let (e1, f1) = (
            _mm256_shuffle_ps::<0xee>(a0, b0),
            _mm256_shuffle_ps::<0xee>(c0, d0),
        );
        let (e2, f2) = (
            _mm256_shuffle_ps::<0x44>(a1, b1),
            _mm256_shuffle_ps::<0x44>(c1, d1),
        );
        let (e3, f3) = (
            _mm256_shuffle_ps::<0xee>(a1, b1),
            _mm256_shuffle_ps::<0xee>(c1, d1),
        );
        [
            _mm256_permute2f128_ps::<0x20>(e0, f0),
            _mm256_permute2f128_ps::<0x20>(e1, f1),
            _mm256_permute2f128_ps::<0x20>(e2, f2),
            _mm256_permute2f128_ps::<0x20>(e3, f3),
            _mm256_permute2f128_ps::<0x31>(e0, f0),
            _mm256_permute2f128_ps::<0x31>(e1, f1),
            _mm256_permute2f128_ps::<0x31>(e2, f2),
            _mm256_permute2f128_ps::<0x31>(e3, f3),
        ]
    }

    pub(super) fn fours(filters: &[&[f32]; 4], places: &[u32], out: &mut [f32]) {
        let (squares, rest) = places.as_chunks::<4>();
        for (at, places) in squares.iter().enumerate() {
            // SAFETY: every x86-64 processor has SSE.
            let mut rows = [unsafe { _mm_setzero_ps() }; 4];
            for (row, filter) in rows.iter_mut().zip(filters) {
                let four = &filter[at * 4..][..4];
                // SAFETY: as above; a slice of four float32 is as large as what is loaded; no alignment is asked for.
                *row = unsafe { _mm_loadu_ps(four.as_ptr()) };
            }
            for (place, column) in places.iter().zip(turn4(rows)) {
                let to = &mut out[*place as usize * 4..][..4];
                // SAFETY: a slice of four float32 is as large as what is stored; no alignment is asked for.
                unsafe { _mm_storeu_ps(to.as_mut_ptr(), column) };
            }
        }
        let done = squares.len() * 4;
        pack::interleave(&filters.map(|f| &f[done..]), rest, out);
    }

    /// Row i, lane j becomes row j, lane i.
    fn turn4([a, b, c, d]: [__m128; 4]) -> [__m128; 4] {
        // SAFETY: every x86-64 processor has SSE.
        unsafe {
            let (ab, cd) = (_mm_unpacklo_ps(a, b), _mm_unpacklo_ps(c, d));
            let (ef, gh) = (_mm_unpackhi_ps(a, b), _mm_unpackhi_ps(c, d));
            [
                _mm_movelh_ps(ab, cd),
                _mm_movehl_ps(cd, ab),
                _mm_movelh_ps(ef, gh),
                _mm_movehl_ps(gh, ef),
            ]
        }
    }
}
