//! The fast way against the reference, bit for bit; both against the textbook; the arithmetic at its limits.

use super::arithmetic::Arithmetic;
use super::arithmetic::Flushing;
use super::arithmetic::Lanes;
use super::arithmetic::Watched;
use super::*;
use crate::execute::Arguments;
use crate::execute::Padding;
use crate::execute::conv2d;
use crate::execute::order::nnpack::Algorithm;
use crate::execute::order::nnpack::Variant;

/// A layer: channels per group in and out, groups, input, kernel, stride, padding.
type Layer = ([usize; 3], [usize; 2], [usize; 2], [usize; 2], [usize; 2]);

const LAYERS: [(Layer, Algorithm); 12] = [
    (
        ([3, 5, 1], [12, 8], [3, 3], [1, 1], [1, 1]),
        Algorithm::Winograd,
    ),
    (
        ([9, 2, 2], [6, 6], [3, 3], [1, 1], [0, 2]),
        Algorithm::Winograd,
    ),
    (
        ([1, 1, 4], [2, 1], [3, 3], [1, 1], [1, 1]),
        Algorithm::Winograd,
    ),
    (
        ([5, 3, 1], [6, 5], [2, 5], [1, 1], [1, 4]),
        Algorithm::Fourier8,
    ),
    (
        ([7, 3, 2], [5, 6], [1, 1], [1, 1], [0, 0]),
        Algorithm::Fourier8,
    ),
    (
        ([2, 3, 1], [1, 8], [8, 8], [1, 1], [4, 0]),
        Algorithm::Fourier8,
    ),
    (
        ([3, 3, 1], [12, 14], [5, 5], [1, 1], [2, 2]),
        Algorithm::Fourier16,
    ),
    (
        ([2, 1, 2], [9, 4], [9, 3], [1, 1], [4, 1]),
        Algorithm::Fourier16,
    ),
    (
        ([5, 1, 1], [1, 17], [16, 16], [1, 1], [15, 15]),
        Algorithm::Fourier16,
    ),
    (([3, 5, 1], [9, 7], [3, 3], [2, 2], [1, 1]), Algorithm::Gemm),
    (
        ([11, 3, 2], [5, 9], [3, 2], [1, 3], [2, 1]),
        Algorithm::Gemm,
    ),
    (([5, 6, 1], [6, 6], [1, 1], [3, 2], [0, 0]), Algorithm::Gemm),
];

fn geometry(([i, o, groups], input, kernel, stride, padding): Layer) -> Geometry {
    let arguments = Arguments {
        stride,
        padding: Padding::Sizes(padding),
        groups,
        ..Arguments::default()
    };
    let input = [2, i * groups, input[0], input[1]];
    let weight = [o * groups, i, kernel[0], kernel[1]];
    conv2d::resolve(input, weight, None, &arguments).unwrap()
}

/// Numbers between -0.5 and 0.5 times `scale`; with `special`, one in 60 something else.
fn numbers(len: usize, seed: u64, scale: f32, special: bool) -> Vec<f32> {
    const SPECIAL: [f32; 8] = [
        f32::INFINITY,
        f32::NAN,
        -0.0,
        0.0,
        1e-40,
        f32::MIN_POSITIVE,
        -3e38,
        2e-20,
    ];
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 20
    };
    (0..len)
        .map(|_| match next() {
            r if special && r % 60 == 0 => SPECIAL[(r / 60 % 8) as usize],
            r => (((r >> 8) as u32 as f32) / u32::MAX as f32 - 0.5) * scale,
        })
        .collect()
}

fn operands(g: &Geometry, seed: u64, scale: f32, special: bool) -> Float32 {
    let images = g.batch * g.in_channels * g.input[0] * g.input[1];
    Float32 {
        input: numbers(images, seed, scale, special),
        weight: numbers(g.out_channels * g.taps(), seed + 1, 1.0, special),
        bias: seed
            .is_multiple_of(2)
            .then(|| numbers(g.out_channels, seed + 2, scale, special)),
    }
}

fn assert_same(a: &[f32], b: &[f32], what: &str) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(same, "{what}: element {i} is {a:e} and {b:e}");
    }
}

#[test]
fn fast_is_the_reference() {
    for (layer, algorithm) in LAYERS {
        let g = geometry(layer);
        assert_eq!(Algorithm::of(&g), algorithm, "{layer:?}");
        // of 1 KiB of cache only a few channels fill a block
        for l1_kib in [1, 32] {
            let blocked = Variant { l1_kib }.blocked(&g);
            for (seed, scale, special) in [
                (1, 1.0, false),
                (2, 1.0, true),
                (3, 1e-37, false),
                (4, 1e-38, true),
                (6, 0.0, false),
            ] {
                let operands = operands(&g, seed, scale, special);
                let what = format!("{layer:?}, {l1_kib} KiB, seed {seed}");
                let expected = operands.run_reference(&g, blocked);
                for vectors in [Vectors::Portable, Vectors::Avx2, Vectors::Avx512] {
                    let output = operands.run(&g, blocked, vectors);
                    assert_same(&expected, &output, &format!("{what}, {vectors:?}"));
                }
                for flat in (0..expected.len()).step_by(7) {
                    let (plane, pixel) = (flat / g.pixels(), flat % g.pixels());
                    let at = [plane / g.out_channels, plane % g.out_channels, pixel];
                    let element = operands.element(&g, blocked, at);
                    assert_same(&[element], &expected[flat..=flat], &what);
                }
            }
        }
    }
}

#[test]
fn blocks_of_channels_are_sums_of_their_own() {
    for (layer, _) in LAYERS {
        let g = geometry(layer);
        let operands = operands(&g, 8, 1.0, false);
        let [small, large] = [1, 32].map(|l1_kib| Variant { l1_kib }.blocked(&g));
        let [few, many] =
            [small, large].map(|blocked| operands.run(&g, blocked, Vectors::widest()));
        if small.block < g.group_in() {
            assert_ne!(few, many, "{layer:?} in blocks of {}", small.block);
        }
    }
}

#[test]
fn it_is_a_convolution() {
    for (layer, _) in LAYERS {
        let g = geometry(layer);
        let operands = operands(&g, 10, 1.0, false);
        let output = operands.run(&g, Variant::USUAL.blocked(&g), Vectors::widest());
        for (flat, &actual) in output.iter().enumerate() {
            let expected = textbook(&operands, &g, flat);
            let error = (f64::from(actual) - expected).abs();
            assert!(error < 1e-4, "{layer:?}: {actual} for {expected} at {flat}");
        }
    }
}

/// The output element in float64.
fn textbook(operands: &Float32, g: &Geometry, flat: usize) -> f64 {
    let (plane, pixel) = (flat / g.pixels(), flat % g.pixels());
    let (image, o) = (plane / g.out_channels, plane % g.out_channels);
    let (y, x) = (pixel / g.output[1], pixel % g.output[1]);
    let mut sum = operands.bias.as_ref().map_or(0.0, |b| b[o].into());
    for c in 0..g.group_in() {
        let channel = image * g.in_channels + o / g.group_out() * g.group_in() + c;
        for kh in 0..g.kernel[0] {
            for kw in 0..g.kernel[1] {
                let weight = ((o * g.group_in() + c) * g.kernel[0] + kh) * g.kernel[1] + kw;
                if let Some((h, w)) = g.input_at(0, y, kh).zip(g.input_at(1, x, kw)) {
                    let input = (channel * g.input[0] + h) * g.input[1] + w;
                    sum += f64::from(operands.input[input]) * f64::from(operands.weight[weight]);
                }
            }
        }
    }
    sum
}

#[test]
fn subnormal_numbers_are_zeros_of_their_sign() {
    const LEAST: f32 = f32::MIN_POSITIVE;
    let below = LEAST.next_down();
    assert_eq!(Flushing::sum(below, LEAST), LEAST);
    assert_eq!(Flushing::sum(-below, -0.0).to_bits(), (-0f32).to_bits());
    // 1.5 * 2^-126 - 2^-126: the difference would be subnormal
    assert_eq!(Flushing::sum(1.5 * LEAST, -LEAST).to_bits(), 0);
    assert_eq!(Flushing::sum(-1.5 * LEAST, LEAST).to_bits(), 1 << 31);
    assert_eq!(Flushing::product(-1e-30, 1e-30).to_bits(), 1 << 31);
    assert_eq!(
        Flushing::product(below, f32::INFINITY).to_bits() & 0x7fc0_0000,
        0x7fc0_0000
    );
    assert_eq!(Flushing::fused(1e-30, 1e-30, -0.0).to_bits(), 0);
    assert!(Flushing::fused(below, 2.0, f32::NAN).is_nan());
}

#[test]
fn a_result_is_small_before_it_is_rounded_to_few_bits() {
    const LEAST: f32 = f32::MIN_POSITIVE;
    let [down, up] = [1f32.next_down(), 1f32.next_up()];
    // 1 - 2^-24: rounds to the smallest normal number where subnormal numbers exist, but is below it in 24 bits
    let least = LEAST * 2f32.powi(20);
    let small = 2f32.powi(-20) * down;
    assert_eq!(least * small, LEAST);
    assert_eq!(Flushing::product(least, small), 0.0);
    // 1 - 2^-25 is the middle between 1 - 2^-24 and 1 and rounds to 1: an exact sum of a product and the least number
    let quarter = 2f32.powi(-75) * 2f32.powi(-1);
    assert_eq!(Flushing::fused(-quarter, 2f32.powi(-75), LEAST), LEAST);
    // a little less does not
    let (a, b) = (2f32.powi(-76) * up, 2f32.powi(-75));
    assert_eq!((-a).mul_add(b, LEAST), LEAST);
    assert_eq!(Flushing::fused(-a, b, LEAST), 0.0);
    // in either sign
    assert_eq!(Flushing::fused(a, -b, LEAST).to_bits(), 0);
    assert_eq!(Flushing::fused(a, b, -LEAST).to_bits(), 1 << 31);
}

#[test]
fn doubt_is_raised_by_small_results_only() {
    let doubt = |f: &dyn Fn(&mut Watched) -> Lanes| {
        let mut watched = Watched::default();
        f(&mut watched);
        watched.in_doubt()
    };
    let one = |x: f32| [0.0, 1.0, x, -0.0, f32::NAN, f32::INFINITY, -1.0, 3e38];
    for (x, expected) in [
        (0.0, false),
        (f32::MIN_POSITIVE.next_up(), false),
        (f32::MIN_POSITIVE, true),
        (-f32::MIN_POSITIVE, true),
        (1e-45, true),
        (-1e-39, true),
    ] {
        assert_eq!(doubt(&|a| a.meet(one(x))), expected, "{x:e}");
    }
    assert!(!doubt(&|a| a.sub([2e-38; 8], [2e-38; 8])));
    assert!(doubt(&|a| a.sub([2.1e-38; 8], [2e-38; 8])));
    assert!(doubt(&|a| a.mul([1e-20; 8], [1e-20; 8])));
    assert!(doubt(&|a| a.fma([1e-20; 8], [-1e-20; 8], [0.0; 8])));
}
