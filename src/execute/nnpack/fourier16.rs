//! The Fourier transform of tiles of 16 x 16.
//!
//! Values: eight rows of sixteen complex numbers in two halves. Within a row they stay in the sequence in which the
//! last stage leaves them (bit-reversed): only row 0 is taken apart by frequency, and products do not care.

use std::ops::Range;

use super::arithmetic::Arithmetic;
use super::arithmetic::Lanes;
use super::arithmetic::ZERO;
use super::arithmetic::negative;
use super::arithmetic::permute;
use super::arithmetic::shuffle;
use super::fourier::COS_1_8;
use super::fourier::COS_3_8;
use super::fourier::Complex;
use super::fourier::Direction;
use super::fourier::QUARTERS;
use super::fourier::SQRT_HALF;
use super::fourier::twiddled;

/// One row: columns 0 to 7 and 8 to 15, `[real, imaginary]` each.
pub(super) type Row = [Complex; 2];

/// cos(i*pi/8), sin(i*pi/8)
const EIGHTHS: [Lanes; 2] = [
    [
        1.0, COS_1_8, SQRT_HALF, COS_3_8, 0.0, -COS_3_8, -SQRT_HALF, -COS_1_8,
    ],
    [
        0.0, COS_3_8, SQRT_HALF, COS_1_8, 1.0, COS_1_8, SQRT_HALF, COS_3_8,
    ],
];

/// [`QUARTERS`] twice.
const QUARTERS_TWICE: [Lanes; 2] = {
    let [[c0, c1, c2, c3], [s0, s1, s2, s3]] = QUARTERS;
    [
        [c0, c1, c2, c3, c0, c1, c2, c3],
        [s0, s1, s2, s3, s0, s1, s2, s3],
    ]
};

/// 16 x 16 real numbers, those outside of `rows` zero, to their transform.
#[inline(always)]
pub(super) fn forward<A: Arithmetic>(
    a: &mut A,
    tile: &[[Lanes; 2]; 16],
    rows: Range<usize>,
) -> [Row; 8] {
    let halves = [0, 1].map(|half| {
        let column: [Lanes; 16] = std::array::from_fn(|row| tile[row][half]);
        let column = column.map(|x| a.meet(x));
        down(a, column, rows.clone())
    });
    let mut values: [Row; 8] = std::array::from_fn(|row| [halves[0][row], halves[1][row]]);
    for row in &mut values {
        *row = within_row(a, *row);
    }
    values[0] = separated(a, values[0]);
    values
}

/// A transform back to 16 x 16 real numbers, the bias added to each.
#[inline(always)]
pub(super) fn inverse<A: Arithmetic>(
    a: &mut A,
    mut values: [Row; 8],
    bias: f32,
) -> [[Lanes; 2]; 16] {
    // frequency 0 is the sum of all 256
    let bias = a.meet([bias, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    values[0][0][0] = a.fma1(bias, 256.0, values[0][0][0]);
    values[0] = joined(a, values[0]);
    for row in &mut values {
        *row = within_row_back(a, *row);
    }
    let halves = [0, 1].map(|half| up(a, values.map(|row| row[half])));
    std::array::from_fn(|row| [halves[0][row], halves[1][row]])
}

/// Down eight columns: a real transform of length 16 as a complex one of length 8 of (even, odd) rows. Rows that the
/// tile does not have are not even added: `rows` are those that it has.
#[inline(always)]
fn down<A: Arithmetic>(a: &mut A, x: [Lanes; 16], rows: Range<usize>) -> [Complex; 8] {
    // FFT8's butterfly: row i with row i + 8
    let mut low = [ZERO; 8];
    let mut high = [ZERO; 8];
    for i in 0..8 {
        let first = if rows.contains(&i) { x[i] } else { ZERO };
        [low[i], high[i]] = match rows.contains(&(i + 8)) {
            true => a.butterfly(first, x[i + 8]),
            false => [first, first],
        };
    }
    let [r0, i0, r1, i1, r2, i2, r3, i3] = low;
    let [r4, i4, r5, i5, r6, i6, r7, i7] = high;

    // times 1, (1 - i), -i, -(1 + i): the signs go into the next butterflies, sqrt(2)/2 into those after them
    let [r5, i5] = a.butterfly(i5, r5);
    let (r6, i6) = (i6, r6);
    let [i7, r7] = a.butterfly(r7, i7);

    // twice FFT4's butterfly
    let [r0, r2] = a.butterfly(r0, r2);
    let [i0, i2] = a.butterfly(i0, i2);
    let [r1, r3] = a.butterfly(r1, r3);
    let [i1, i3] = a.butterfly(i1, i3);
    let [r4, r6] = a.butterfly(r4, r6);
    let [i6, i4] = a.butterfly(i4, i6);
    let [r7, r5] = a.butterfly(r5, r7);
    let [i7, i5] = a.butterfly(i5, i7);

    // 3 and 7 times -i, and four times FFT2's butterfly
    let ((r3, i3), (r7, i7)) = ((i3, r3), (i7, r7));
    let [r0, r1] = a.butterfly(r0, r1);
    let (i0, i1) = (a.add(i0, i1), a.sub(i1, i0));
    let [r2, r3] = a.butterfly(r2, r3);
    let [i3, i2] = a.butterfly(i2, i3);
    let [r4, r5] = a.scaled_butterfly(r4, r5, SQRT_HALF);
    let [i4, i5] = a.scaled_butterfly(i4, i5, SQRT_HALF);
    let [r6, r7] = a.scaled_butterfly(r6, r7, SQRT_HALF);
    let [i7, i6] = a.scaled_butterfly(i6, i7, SQRT_HALF);

    // from the complex transform of length 8 (here bit-reversed) to the real one of length 16
    let zeroth = a.butterfly(r0, i0);
    let [first, seventh] = unfolded(a, [r4, i4], [r7, i7], Part::First);
    let [second, sixth] = unfolded(a, [r2, i2], [r3, i3], Part::Second);
    let [third, fifth] = unfolded(a, [r6, i6], [r5, i5], Part::Third);
    [
        zeroth,
        first,
        second,
        third,
        [r1, i1],
        fifth,
        sixth,
        seventh,
    ]
}

/// Which pair of frequencies, n and 8 - n.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    First,
    Second,
    Third,
}

/// Frequencies n and 8 - n of the even and odd rows' transform, `w` and `v`, to those of all rows.
#[inline(always)]
fn unfolded<A: Arithmetic>(a: &mut A, w: Complex, v: Complex, part: Part) -> [Complex; 2] {
    let (g_real, g_imaginary) = (a.add(w[0], v[0]), a.sub(w[1], v[1]));
    let (h_real, h_imaginary) = (a.add(w[1], v[1]), a.sub(v[0], w[0]));
    let minus_g = negative(g_imaginary);
    let [low, high] = match part {
        Part::First => {
            let [r1, r7] = a.scaled_butterfly(g_real, h_real, COS_1_8);
            let [r1, r7] = [
                a.fma1(h_imaginary, COS_3_8, r1),
                a.fnma1(h_imaginary, COS_3_8, r7),
            ];
            let i1 = a.fma1(h_imaginary, COS_1_8, g_imaginary);
            let i7 = a.fma1(h_imaginary, COS_1_8, minus_g);
            let [i1, i7] = [i1, i7].map(|x| a.fnma1(h_real, COS_3_8, x));
            [[r1, i1], [r7, i7]]
        }
        Part::Second => {
            let plus = a.add(h_real, h_imaginary);
            let minus = a.sub(h_imaginary, h_real);
            let [r2, r6] = a.scaled_butterfly(g_real, plus, SQRT_HALF);
            let i2 = a.fma1(minus, SQRT_HALF, g_imaginary);
            let i6 = a.fma1(minus, SQRT_HALF, minus_g);
            [[r2, i2], [r6, i6]]
        }
        Part::Third => {
            let [r3, r5] = a.scaled_butterfly(g_real, h_imaginary, COS_1_8);
            let [r3, r5] = [a.fma1(h_real, COS_3_8, r3), a.fnma1(h_real, COS_3_8, r5)];
            let i3 = a.fnma1(h_real, COS_1_8, g_imaginary);
            let i5 = a.fnma1(h_real, COS_1_8, minus_g);
            let [i3, i5] = [i3, i5].map(|x| a.fma1(h_imaginary, COS_3_8, x));
            [[r3, i3], [r5, i5]]
        }
    };
    [low, high].map(|number| number.map(|x| a.scale(x, 0.5)))
}

/// The way back of [`down`], and a sixteenth of it; all rows.
#[inline(always)]
fn up<A: Arithmetic>(a: &mut A, w: [Complex; 8]) -> [Lanes; 16] {
    let zeroth = a.scale(w[0][0], 0.0625);
    let [r0, i0] = a.scaled_butterfly(zeroth, w[0][1], 0.0625);
    let (r1, i1) = (a.scale(w[4][0], 0.125), a.scale(w[4][1], -0.125));
    let [[r4, i4], [r7, i7]] = folded(a, w[1], w[7], Part::First);
    let [[r2, i2], [r3, i3]] = folded(a, w[2], w[6], Part::Second);
    let [[r6, i6], [r5, i5]] = folded(a, w[3], w[5], Part::Third);

    // four times FFT2's butterfly
    let [r0, r1] = a.butterfly(r0, r1);
    let [i0, i1] = a.butterfly(i0, i1);
    let [r2, r3] = a.butterfly(r2, r3);
    let [i2, i3] = a.butterfly(i2, i3);
    let [r4, r5] = a.butterfly(r4, r5);
    let [i4, i5] = a.butterfly(i4, i5);
    let [r6, r7] = a.butterfly(r6, r7);
    let [i6, i7] = a.butterfly(i6, i7);

    // 3 and 7 times i, and twice FFT4's butterfly
    let ((r3, i3), (r7, i7)) = ((i3, r3), (i7, r7));
    let [r0, r2] = a.butterfly(r0, r2);
    let [i0, i2] = a.butterfly(i0, i2);
    let [r3, r1] = a.butterfly(r1, r3);
    let [i1, i3] = a.butterfly(i1, i3);
    let [r4, r6] = a.butterfly(r4, r6);
    let [i4, i6] = a.butterfly(i4, i6);
    let [r7, r5] = a.butterfly(r5, r7);
    let [i5, i7] = a.butterfly(i5, i7);

    // times 1, (1 + i), i, (i - 1), and FFT8's butterfly
    let [i5, r5] = a.butterfly(r5, i5);
    let (r6, i6) = (i6, r6);
    let [r7, i7] = a.butterfly(r7, i7);
    let [x0, x8] = a.butterfly(r0, r4);
    let [x1, x9] = a.butterfly(i0, i4);
    let [x2, x10] = a.scaled_butterfly(r1, r5, SQRT_HALF);
    let [x3, x11] = a.scaled_butterfly(i1, i5, SQRT_HALF);
    let [x12, x4] = a.butterfly(r2, r6);
    let [x5, x13] = a.butterfly(i2, i6);
    let [x14, x6] = a.scaled_butterfly(r3, r7, SQRT_HALF);
    let [x7, x15] = a.scaled_butterfly(i3, i7, SQRT_HALF);
    [
        x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15,
    ]
}

/// The way back of [`unfolded`], and a sixteenth of it.
#[inline(always)]
fn folded<A: Arithmetic>(a: &mut A, w: Complex, v: Complex, part: Part) -> [Complex; 2] {
    let [real, imaginary] = w.map(|x| a.scale(x, 0.0625));
    let [g_real, h_real] = a.scaled_butterfly(real, v[0], 0.0625);
    let [h_imaginary, g_imaginary] = a.scaled_butterfly(imaginary, v[1], 0.0625);
    let minus_g = negative(g_imaginary);
    match part {
        Part::First => {
            let [r7, r1] = a.scaled_butterfly(g_real, h_real, COS_3_8);
            let [r1, r7] = [
                a.fnma1(h_imaginary, COS_1_8, r1),
                a.fma1(h_imaginary, COS_1_8, r7),
            ];
            let i1 = a.fma1(h_real, COS_1_8, g_imaginary);
            let i7 = a.fma1(h_real, COS_1_8, minus_g);
            let [i1, i7] = [i1, i7].map(|x| a.fnma1(h_imaginary, COS_3_8, x));
            [[r1, i1], [r7, i7]]
        }
        Part::Second => {
            let [plus, minus] = a.butterfly(h_real, h_imaginary);
            let [r6, r2] = a.scaled_butterfly(g_real, plus, SQRT_HALF);
            let i2 = a.fma1(minus, SQRT_HALF, g_imaginary);
            let i6 = a.fma1(minus, SQRT_HALF, minus_g);
            [[r2, i2], [r6, i6]]
        }
        Part::Third => {
            let [r5, r3] = a.scaled_butterfly(g_real, h_real, COS_1_8);
            let [r3, r5] = [
                a.fnma1(h_imaginary, COS_3_8, r3),
                a.fma1(h_imaginary, COS_3_8, r5),
            ];
            let i3 = a.fma1(h_real, COS_3_8, g_imaginary);
            let i5 = a.fma1(h_real, COS_3_8, minus_g);
            let [i3, i5] = [i3, i5].map(|x| a.fnma1(h_imaginary, COS_1_8, x));
            [[r3, i3], [r5, i5]]
        }
    }
}

/// Halves of 128 bits change places: first halves together, second halves together.
#[inline(always)]
fn exchange_halves([x, y]: [Lanes; 2]) -> [Lanes; 2] {
    [
        shuffle(x, y, [0, 1, 2, 3, 8, 9, 10, 11]),
        shuffle(x, y, [4, 5, 6, 7, 12, 13, 14, 15]),
    ]
}

/// The same with pairs, within each half.
#[inline(always)]
fn exchange_pairs([x, y]: [Lanes; 2]) -> [Lanes; 2] {
    [
        shuffle(x, y, [0, 1, 8, 9, 4, 5, 12, 13]),
        shuffle(x, y, [2, 3, 10, 11, 6, 7, 14, 15]),
    ]
}

/// The complex transform of length 16 within one row.
#[inline(always)]
fn within_row<A: Arithmetic>(a: &mut A, [[r0, i0], [r1, i1]]: Row) -> Row {
    let [r0, r1] = a.butterfly(r0, r1);
    let [i0, i1] = a.butterfly(i0, i1);
    let [r1, i1] = twiddled(a, [r1, i1], EIGHTHS, Direction::Forward);

    let ([r0, r1], [i0, i1]) = (exchange_halves([r0, r1]), exchange_halves([i0, i1]));
    let [r0, r1] = a.butterfly(r0, r1);
    let [i0, i1] = a.butterfly(i0, i1);
    let [r1, i1] = twiddled(a, [r1, i1], QUARTERS_TWICE, Direction::Forward);

    let ([r0, r1], [i0, i1]) = (exchange_pairs([r0, r1]), exchange_pairs([i0, i1]));
    let [r0, r1] = a.butterfly(r0, r1);
    let [i0, i1] = a.butterfly(i0, i1);

    // the odd ones of the second half times -i: real and imaginary parts change places
    const EVEN: [usize; 8] = [0, 2, 8, 10, 4, 6, 12, 14];
    const ODD: [usize; 8] = [1, 3, 9, 11, 5, 7, 13, 15];
    const SIGNS: Lanes = [1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0];
    let (even, odd) = (shuffle(r0, r1, EVEN), shuffle(r0, i1, ODD));
    let [new_r0, new_r1] = a.butterfly(even, odd);
    let (even, odd) = (shuffle(i0, i1, EVEN), shuffle(i0, r1, ODD));
    let new_i0 = a.fma(odd, SIGNS, even);
    let new_i1 = a.fma(negative(odd), SIGNS, even);
    [[new_r0, new_i0], [new_r1, new_i1]]
}

/// The way back of [`within_row`], and a sixteenth of it.
#[inline(always)]
fn within_row_back<A: Arithmetic>(a: &mut A, [[r0, i0], [r1, i1]]: Row) -> Row {
    let [r0, r1] = a.butterfly(r0, r1);
    let [i0, i1] = a.butterfly(i0, i1);

    const LOW: [usize; 8] = [0, 8, 1, 9, 4, 12, 5, 13];
    const HIGH: [usize; 8] = [2, 10, 3, 11, 6, 14, 7, 15];
    const SIGNS: Lanes = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
    let (low, high) = (shuffle(r0, r1, LOW), shuffle(r0, i1, HIGH));
    let (low_i, high_i) = (shuffle(i0, i1, LOW), shuffle(i0, r1, HIGH));
    let (r0, r1) = (a.fma(high, SIGNS, low), a.fma(negative(high), SIGNS, low));
    let [i0, i1] = a.butterfly(low_i, high_i);

    let ([r0, r1], [i0, i1]) = (exchange_pairs([r0, r1]), exchange_pairs([i0, i1]));
    let [r1, i1] = twiddled(a, [r1, i1], QUARTERS_TWICE, Direction::Inverse);
    let [r0, r1] = a.butterfly(r0, r1);
    let [i0, i1] = a.butterfly(i0, i1);

    let ([r0, r1], [i0, i1]) = (exchange_halves([r0, r1]), exchange_halves([i0, i1]));
    let sixteenths = EIGHTHS.map(|part| part.map(|x| x * 0.0625));
    let [r1, i1] = twiddled(a, [r1, i1], sixteenths, Direction::Inverse);
    let [r0, r1] = [a.fma1(r0, 0.0625, r1), a.fma1(r0, 0.0625, negative(r1))];
    let [i0, i1] = [a.fma1(i0, 0.0625, i1), a.fma1(i0, 0.0625, negative(i1))];
    [[r0, i0], [r1, i1]]
}

/// +1 and -1 by turns.
const BY_TURNS: Lanes = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];

/// Row 0 (bit-reversed) holds the transforms of two real rows, x + iy: separated into (x0, y0), (x8, y8) and pairs of
/// complex numbers.
#[inline(always)]
fn separated<A: Arithmetic>(a: &mut A, [[wr0, wi0], [wr1, wi1]]: Row) -> Row {
    const SIGNS: Lanes = [0.0, 0.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
    const OPPOSITE: Lanes = [0.0, 0.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0];
    const SCALE: Lanes = [1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
    // frequencies 0, 1, 2, 3 and 4, 5, 6, 7; 8, 15, 14, 13 and 12, 11, 10, 9
    let (up, up_high) = ([0, 0, 4, 4, 1, 1, 5, 5], [2, 2, 6, 6, 3, 3, 7, 7]);
    let (down, down_high) = ([0, 0, 7, 7, 3, 3, 6, 6], [2, 2, 5, 5, 1, 1, 4, 4]);
    let (wr_up, wi_up) = (permute(wr0, up), permute(wi0, up));
    let (wr_down, wi_down) = (permute(wr1, down), permute(wi1, down));
    let sums_r = a.fma(wr_up, SIGNS, wr_down);
    let sums_i = a.fma(wi_down, OPPOSITE, wi_up);
    let high_r = a.fma(permute(wr0, up_high), BY_TURNS, permute(wr1, down_high));
    let high_i = a.fma(
        permute(wi1, down_high),
        negative(BY_TURNS),
        permute(wi0, up_high),
    );
    const ODD_SECOND: [usize; 8] = [0, 9, 2, 11, 4, 13, 6, 15];
    const EVEN_SECOND: [usize; 8] = [8, 1, 10, 3, 12, 5, 14, 7];
    let mut real = shuffle(sums_r, sums_i, ODD_SECOND);
    real[0] = wr_up[0];
    let mut imaginary = shuffle(sums_r, sums_i, EVEN_SECOND);
    (imaginary[0], imaginary[1]) = (sums_r[0], wi_down[1]);
    let real_high = shuffle(high_r, high_i, ODD_SECOND);
    let imaginary_high = shuffle(high_r, high_i, EVEN_SECOND);
    [
        [a.mul(real, SCALE), a.mul(imaginary, SCALE)],
        [a.scale(real_high, 0.5), a.scale(imaginary_high, 0.5)],
    ]
}

/// The way back of [`separated`].
#[inline(always)]
fn joined<A: Arithmetic>(a: &mut A, [[fr0, fi0], [fr1, fi1]]: Row) -> Row {
    const MINUS_PLUS: Lanes = [0.0, -1.0, -1.0, -1.0, 0.0, 1.0, 1.0, 1.0];
    const PLUS_MINUS: Lanes = [0.0, 1.0, 1.0, 1.0, 0.0, -1.0, -1.0, -1.0];
    let (even, odd) = ([0, 2, 4, 6, 1, 6, 4, 2], [1, 3, 5, 7, 0, 7, 5, 3]);
    let (fi_even, fi_odd) = (permute(fi0, even), permute(fi0, odd));
    let mut outer_r = a.fma(fi_odd, MINUS_PLUS, permute(fr0, even));
    let mut outer_i = a.fma(fi_even, PLUS_MINUS, permute(fr0, odd));

    const PLUS: Lanes = [0.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0, -1.0];
    const MINUS: Lanes = [0.0, -1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0];
    let (even, odd) = ([0, 6, 4, 2, 0, 2, 4, 6], [1, 7, 5, 3, 1, 3, 5, 7]);
    let (fr_even, fr_odd) = (permute(fr1, even), permute(fr1, odd));
    let (fi1_even, fi1_odd) = (permute(fi1, even), permute(fi1, odd));
    outer_r[4] = a.add(fr_even, fi1_odd)[4];
    outer_i[4] = a.sub(fr_odd, fi1_even)[4];
    let mut inner_r = a.fma(fi1_odd, PLUS, fr_even);
    let mut inner_i = a.fma(fi1_even, MINUS, fr_odd);
    inner_r[0] = fi_even[0];
    inner_i[0] = fi_odd[0];

    // 0, 1, 2, 3 of the outer, 4, 5, 6, 7 of the inner, and the other way round; then bit-reversed
    let [first, second] = [[outer_r, inner_r], [outer_i, inner_i]].map(|[outer, inner]| {
        [
            shuffle(outer, inner, [0, 2, 12, 14, 1, 3, 13, 15]),
            shuffle(inner, outer, [0, 2, 12, 14, 1, 3, 13, 15]),
        ]
    });
    [[first[0], second[0]], [first[1], second[1]]]
}
