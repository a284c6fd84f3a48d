//! Kernels against the interpreter, bit for bit, for every member of every family.

use proptest::prelude::*;

use super::*;
use crate::execute::FloatType;
use crate::execute::Real;
use crate::execute::conv2d::Arguments;
use crate::execute::conv2d::Padding;
use crate::execute::order::Order;
use crate::execute::order::table::FAMILIES;

/// Numbers in which every rounding shows, with the odd special value.
fn values<R: Real>(len: usize, seed: u64, special: bool) -> Vec<R> {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    (0..len)
        .map(|_| {
            let r = next();
            match r % 64 {
                0 if special => f64::INFINITY,
                1 if special => f64::NAN,
                2..=6 if special => -0.0,
                7..=9 if special => 0.0,
                10 if special => f32::from_bits((r >> 40) as u32 & 0x007f_ffff).into(), // subnormal
                _ => ((r >> 12) as f64 / 2f64.powi(52) - 0.5) * ((r % 7) as f64 + 0.1),
            }
        })
        .map(R::from_f64)
        .collect()
}

fn geometry() -> impl Strategy<Value = Geometry> {
    let pair = |range: std::ops::RangeInclusive<usize>| [range.clone(), range];
    (
        (1..=2usize, 1..=4usize, 1..=20usize, 1..=20usize),
        pair(1..=9),
        pair(1..=4),
        pair(1..=3),
        pair(0..=3),
        pair(1..=2),
        any::<bool>(),
    )
        .prop_filter_map(
            "kernel larger than input",
            |(sizes, input, kernel, stride, padding, dilation, depthwise)| {
                let (batch, groups, mut c, mut o) = sizes;
                if depthwise {
                    (c, o) = (1, 1);
                }
                let input_array =
                    ndarray::Array4::<f32>::zeros([batch, c * groups, input[0], input[1]]);
                let arguments = Arguments {
                    stride,
                    padding: Padding::Sizes(padding),
                    dilation,
                    groups,
                    ..Arguments::default()
                };
                crate::execute::conv2d::prepare(
                    input_array.view(),
                    [o * groups, c, kernel[0], kernel[1]],
                    None,
                    &arguments,
                )
                .ok()
                .map(|p| p.geometry)
            },
        )
}

fn check<R: Tiled>(g: &Geometry, order: &Order, seed: u64, special: bool, bias: bool) {
    let input = values::<R>(
        g.batch * g.in_channels * g.input[0] * g.input[1],
        seed,
        special,
    );
    let weight = values(g.out_channels * g.taps(), seed ^ 77, special);
    let bias = bias.then(|| values(g.out_channels, seed ^ 99, special));
    let operands = Operands {
        input: &input,
        weight: &weight,
        bias: bias.as_deref(),
    };
    let plan = order.plan(g);
    let truth = run(&operands, g, &plan, Kernel::Reference);
    for vectors in [Vectors::Portable, Vectors::Avx2, Vectors::Avx512] {
        if !vectors.available() {
            continue;
        }
        let mut memory = Memory::default();
        let mut forms = Form::possible::<R>(g, &plan, vectors);
        if plan.nnpack.is_some() {
            forms.clear();
        }
        let all = forms
            .iter()
            .map(|&form| {
                let fast = in_form(&operands, g, &plan, vectors, form, &mut memory);
                memory.output.clone_from(&fast); // used again
                (Some(form), fast)
            })
            .collect::<Vec<_>>();
        let usual = (None, run(&operands, g, &plan, Kernel::With(vectors)));
        for (form, fast) in all.into_iter().chain([usual]) {
            for (i, (a, b)) in truth.iter().zip(&fast).enumerate() {
                assert!(
                    a.bits(FloatType::Float32) == b.bits(FloatType::Float32)
                        || (a.is_nan() && b.is_nan()),
                    "{order}, {vectors:?}, {form:?}, {g:?}: element {i} is {b:e}, the interpreter says {a:e}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn kernels_equal_the_interpreter(g in geometry(), seed in any::<u64>(), special in any::<bool>(), bias in any::<bool>()) {
        for family in FAMILIES {
            for member in family.members {
                check::<f32>(&g, &member.parse().unwrap(), seed, special, bias);
                check::<f64>(&g, &member.parse().unwrap(), seed, special, bias);
            }
        }
    }

    #[test]
    fn plans_cover_every_element_once(g in geometry()) {
        for family in FAMILIES {
            for member in family.members {
                let plan = member.parse::<Order>().unwrap().plan(&g);
                if plan.nnpack.is_some() && plan.regions.is_empty() {
                    continue; // tiles are transformed, taps not summed
                }
                let mut times = vec![0; g.output_len()];
                for region in &plan.regions {
                    for image in region.images.clone() {
                        for channel in region.channels.clone() {
                            for pixel in region.pixels.clone() {
                                times[(image * g.out_channels + channel) * g.pixels() + pixel] += 1;
                            }
                        }
                    }
                }
                prop_assert!(times.iter().all(|&n| n == 1), "{}: {:?}", member, g);
            }
        }
    }
}
