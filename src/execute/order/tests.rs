//! Every plan of every family, for geometries drawn at random: each output element once, each tap once.

use proptest::prelude::*;

use super::*;
use crate::execute::order::table::FAMILIES;

/// A geometry with an output, of at most some 100,000 elements.
pub(super) fn geometry() -> impl Strategy<Value = Geometry> {
    let pair = |most: usize| (1..=most, 1..=most).prop_map(|(a, b)| [a, b]);
    let channels = (1..=6usize, 1..=40usize, 1..=60usize);
    let one_group = (Just(1usize), 1..=300usize, 1..=160usize);
    let sizes = (1..=3usize, prop_oneof![channels, one_group]);
    let window = (pair(7), pair(3), pair(2), (0..=4usize, 0..=6usize));
    (sizes, pair(40), window).prop_filter_map("no output", |(sizes, input, window)| {
        let (batch, (groups, group_in, group_out)) = sizes;
        let (kernel, stride, dilation, padding) = window;
        let padding = [padding.0, padding.1];
        let mut output = [0; 2];
        for axis in 0..2 {
            let extent = dilation[axis] * (kernel[axis] - 1) + 1;
            let room = (input[axis] + 2 * padding[axis]).checked_sub(extent)?;
            output[axis] = room / stride[axis] + 1;
        }
        let g = Geometry {
            batch,
            in_channels: groups * group_in,
            input,
            out_channels: groups * group_out,
            kernel,
            stride,
            padding,
            dilation,
            groups,
            output,
            addressing: crate::execute::Addressing::Images,
        };
        (g.output_len() <= 100_000).then_some(g)
    })
}

/// Values whose sums round at almost every step, with zeros of both signs among them.
pub(crate) fn values(seed: u64, n: usize) -> Vec<f32> {
    let mut state = seed | 1;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            match state >> 60 {
                0 => -0.0,
                1 => 0.0,
                _ => {
                    ((state >> 33) as f32 / 2f32.powi(30) - 1.0)
                        * 2f32.powi((state >> 58) as i32 % 5)
                }
            }
        })
        .collect()
}

/// Taps in the sequence in which the steps fold them.
fn folded(steps: &[Step], at: &mut usize, taps: &mut Vec<usize>) {
    for step in steps {
        match step {
            Step::Bias | Step::Begin { .. } | Step::Flush => {}
            Step::Sub(steps) => folded(steps, at, taps),
            Step::Seek(tap) => *at = *tap,
            Step::Fold { len, .. } => {
                taps.extend(*at..*at + len);
                *at += len;
            }
        }
    }
}

fn check(g: &Geometry, order: &Order) {
    let plan = order.plan(g);
    if plan.nnpack.is_some() && plan.regions.is_empty() {
        return; // tiles are transformed, taps not summed
    }
    let mut times = vec![0u8; g.output_len()];
    for region in &plan.regions {
        assert!(region.recipe < plan.recipes.len() && !region.is_empty());
        for image in region.images.clone() {
            for channel in region.channels.clone() {
                let start = (image * g.out_channels + channel) * g.pixels();
                let pixels = start + region.pixels.start..start + region.pixels.end;
                times[pixels].iter_mut().for_each(|n| *n += 1);
            }
        }
    }
    assert!(times.iter().all(|&n| n == 1), "{order} of {g:?}");
    for (index, recipe) in plan.recipes.iter().enumerate() {
        let mut times = vec![0; recipe.walk.channels(g) * g.kernel[0] * g.kernel[1]];
        let mut taps = Vec::new();
        folded(&recipe.steps, &mut 0, &mut taps);
        for tap in taps {
            times[tap] += 1;
        }
        let walk = recipe.walk.taps(g);
        for (tap, times) in walk.iter().zip(times) {
            let left_out = recipe.padding == PaddingTaps::Dropped
                && times == 0
                && is_padding_of_all(g, &plan, index, tap);
            assert!(
                times == 1 || left_out,
                "{order} of {g:?}: {recipe:?}, {tap:?}"
            );
        }
    }
}

/// Whether every output that follows the recipe has this tap in its padding.
fn is_padding_of_all(g: &Geometry, plan: &Plan, recipe: usize, tap: &Tap) -> bool {
    let regions = plan.regions.iter().filter(|r| r.recipe == recipe);
    regions.flat_map(|r| r.pixels.clone()).all(|pixel| {
        let row = g.input_at(0, pixel / g.output[1], tap.row);
        let column = g.input_at(1, pixel % g.output[1], tap.column);
        row.is_none() || column.is_none()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_member_covers_outputs_and_taps_once(g in geometry()) {
        for member in FAMILIES.iter().flat_map(|family| family.members) {
            check(&g, &member.parse().unwrap());
        }
    }

    #[test]
    fn gemm_blocks_cover_outputs_and_taps_once(
        g in geometry(),
        kernels in prop::sample::select(gemm::Kernels::ALL.to_vec()),
        nhwc in any::<bool>(),
        threads in 1..=48usize,
        l2 in 10..=22u32,
    ) {
        let variant = gemm::Variant { kernels, threads, l2_bytes: 1 << l2, nhwc };
        check(&g, &Order::OnednnGemm(variant));
    }

    #[test]
    fn merging_changes_no_element(cells in prop::collection::vec(0..3usize, 24)) {
        // a 2 x 3 x 4 output, each element a region of its own
        let recipe = |n| Recipe {
            walk: Walk::IM2COL,
            padding: PaddingTaps::Zero,
            steps: vec![Step::chain(n, true)],
        };
        let mut plan = Plan::default();
        let places = (0..24).map(|i| [i / 12, i / 4 % 3, i % 4]);
        for (&kind, [n, c, i]) in cells.iter().zip(places.clone()) {
            plan.add(n..n + 1, c..c + 1, i..i + 1, recipe(kind));
        }
        plan.merge();
        for (&kind, [n, c, i]) in cells.iter().zip(places) {
            let region = plan.region_at(n, c, i).unwrap();
            prop_assert_eq!(&plan.recipes[region.recipe], &recipe(kind));
        }
        prop_assert_eq!(plan.regions.iter().map(Region::len).sum::<usize>(), 24);
    }
}
