//! Filters put side by side with the processor's own shuffles: squares of four or eight filters by as many weights are
//! turned in registers, several times as fast as one number at a time.
//!
//! One of the crate's five files with unsafe: loads and stores of whole vectors, from and to slices of their length, in
//! functions that are called where the processor was asked for their instructions.
#![allow(unsafe_code)]

use std::ops::Range;

use super::pack;

/// [`pack::interleave`] for float32.
pub(super) fn interleave(filters: &[&[f32]], places: &[u32], out: &mut [f32]) {
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    {
        if filters.len().is_multiple_of(8) && std::is_x86_feature_detected!("avx") {
            let width = filters.len();
            let last = places.iter().max().map_or(0, |&last| last as usize);
            assert!(places.is_empty() || (last + 1) * width <= out.len());
            for (index, filters) in filters.as_chunks().0.iter().enumerate() {
                // SAFETY: avx was detected above; `width` numbers from the last place on are in `out`.
                unsafe { x86::eights(filters, places, [index * 8, width], out) };
            }
            return;
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

/// [`super::dispatch::Tiled::turn`] for float32.
pub(super) fn turn(tile: &[f32], width: usize, rows: &mut [&mut [f32]], pixels: Range<usize>) {
    #[cfg(all(target_arch = "x86_64", not(fuzzing)))]
    if std::is_x86_feature_detected!("avx") {
        let (eights, rest) = rows.as_chunks_mut::<8>();
        for (index, rows) in eights.iter_mut().enumerate() {
            let tile = &tile[index * 8..];
            // SAFETY: avx was detected above.
            unsafe {
                if pixels.len() < 8 {
                    x86::turn_few(tile, width, rows, pixels.clone());
                } else {
                    x86::turn(tile, width, rows, pixels.clone());
                }
            }
        }
        return turn_each(&tile[eights.len() * 8..], width, rest, pixels);
    }
    turn_each(tile, width, rows, pixels);
}

/// The same one by one.
pub(super) fn turn_each<R: Copy>(
    tile: &[R],
    width: usize,
    rows: &mut [&mut [R]],
    pixels: Range<usize>,
) {
    for (i, row) in rows.iter_mut().enumerate() {
        for (to, pixel) in row[pixels.clone()].iter_mut().zip(tile.chunks(width)) {
            *to = pixel[i];
        }
    }
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
// Index loops with constant bounds are unrolled, and the arrays live in registers.
#[allow(clippy::needless_range_loop)]
mod x86 {
    use std::arch::x86_64::*;
    use std::ops::Range;

    use super::pack;
    use crate::execute::kernel::padded::copy;

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

    /// Eight filters of those that lie side by side in `out`, `width` of them. No more is asked in the loop than must be:
    /// the processor looks ahead over as many squares as it can hold, and so waits for many filters at once.
    ///
    /// # Safety
    ///
    /// There must be AVX, `width` numbers in `out` from every place times `width` on, and the filters must be eight of
    /// `width`, of which `skip` come before them.
    #[target_feature(enable = "avx")]
    pub(super) unsafe fn eights(
        filters: &[&[f32]; 8],
        places: &[u32],
        [skip, width]: [usize; 2],
        out: &mut [f32],
    ) {
        assert!(filters.iter().all(|filter| filter.len() >= places.len()) && skip + 8 <= width);
        let out = &mut out[skip..];
        let from = filters.map(<[f32]>::as_ptr);
        let (squares, rest) = places.as_chunks::<8>();
        for (at, places) in squares.iter().enumerate() {
            let mut rows = [_mm256_setzero_ps(); 8];
            for i in 0..8 {
                // SAFETY: every filter has as many numbers as there are places, at least 8 * (at + 1).
                rows[i] = unsafe { _mm256_loadu_ps(from[i].add(at * 8)) };
            }
            for (place, column) in places.iter().zip(turn8(rows)) {
                // SAFETY: the caller's: after those skipped there is room for eight.
                unsafe { _mm256_storeu_ps(out.as_mut_ptr().add(*place as usize * width), column) };
            }
        }
        for (at, &place) in (squares.len() * 8..).zip(rest) {
            let to = &mut out[place as usize * width..][..8];
            for (to, filter) in to.iter_mut().zip(filters) {
                *to = filter[at];
            }
        }
    }

    /// Eight numbers of each pixel, `width` from one to the next, into the pixels' places of eight rows: squares of eight
    /// pixels, the last of which goes back over the one before.
    #[target_feature(enable = "avx")]
    pub(super) fn turn(
        tile: &[f32],
        width: usize,
        rows: &mut [&mut [f32]; 8],
        pixels: Range<usize>,
    ) {
        let count = pixels.len();
        assert!(count >= 8 && (count - 1) * width + 8 <= tile.len());
        let to = rows.each_mut().map(|row| row[pixels.clone()].as_mut_ptr());
        let mut at = 0;
        while at < count {
            let first = at.min(count - 8);
            let mut square = [_mm256_setzero_ps(); 8];
            for i in 0..8 {
                // SAFETY: the tile has eight numbers of each of the pixels, as was asked above.
                square[i] = unsafe { _mm256_loadu_ps(tile.as_ptr().add((first + i) * width)) };
            }
            let square = turn8(square);
            for i in 0..8 {
                // SAFETY: each row has a place for each of the pixels, of which `first` and seven more are some.
                unsafe { _mm256_storeu_ps(to[i].add(first), square[i]) };
            }
            at = first + 8;
        }
    }

    /// The same for fewer than eight pixels.
    #[target_feature(enable = "avx")]
    pub(super) fn turn_few(
        tile: &[f32],
        width: usize,
        rows: &mut [&mut [f32]; 8],
        pixels: Range<usize>,
    ) {
        let mut square = [_mm256_setzero_ps(); 8];
        let tile = tile.chunks(width).take(pixels.len());
        for (row, pixel) in square.iter_mut().zip(tile) {
            let eight = &pixel[..8];
            // SAFETY: a slice of eight float32 is as large as what is loaded; no alignment is asked for.
            *row = unsafe { _mm256_loadu_ps(eight.as_ptr()) };
        }
        for (row, column) in rows.iter_mut().zip(turn8(square)) {
            let mut aside = [0.0; 8];
            // SAFETY: the array is as large as what is stored; no alignment is asked for.
            unsafe { _mm256_storeu_ps(aside.as_mut_ptr(), column) };
            copy(&mut row[pixels.clone()], &aside[..pixels.len()]);
        }
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
