//! The neighbours of all orders, spelled out.
//!
//! They are a product of choices, and large; so the products of an element are gathered once for each walk, and the
//! orders that differ in nothing but the place of the bias share their partial sums.

use super::Problem;
use super::relatives::K_BLOCKS;
use crate::execute::Geometry;
use crate::execute::Order;
use crate::execute::Real;
use crate::execute::order::Axis;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::Tap;
use crate::execute::order::custom;
use crate::execute::order::custom::Bias;
use crate::execute::order::custom::Parts;
use crate::execute::order::interpret::Product;
use crate::execute::order::interpret::fold;
use crate::execute::order::mkl;
use crate::verify::compare::same;

/// Elements on which the last stage looks for what comes close.
const GLANCE: usize = 3;

/// A sampled element.
pub(super) struct Element<'a, R> {
    pub(super) problem: Problem<'a, R>,
    /// Image, channel, pixel.
    pub(super) at: [usize; 3],
    pub(super) expected: R,
}

/// The products of one element in the sequence of one walk.
struct Gathered<R> {
    products: Vec<Product<R>>,
    /// Products among the first so many taps.
    before: Vec<usize>,
}

impl<R: Real> Element<'_, R> {
    fn gather(&self, taps: &[Tap], zero_padding: bool) -> Gathered<R> {
        let g = self.problem.geometry;
        let [image, channel, pixel] = self.at;
        let (oh, ow) = (pixel / g.output[1], pixel % g.output[1]);
        let first = channel / g.group_out() * g.group_in();
        let mut products = Vec::with_capacity(taps.len());
        let mut before = Vec::with_capacity(taps.len() + 1);
        before.push(0);
        for tap in taps {
            let weight = ((channel * g.group_in() + tap.channel) * g.kernel[0] + tap.row)
                * g.kernel[1]
                + tap.column;
            let w = self.problem.operands.weight[weight];
            let at = g
                .input_at(0, oh, tap.row)
                .zip(g.input_at(1, ow, tap.column));
            if let Some((y, x)) = at {
                let row = (image * g.in_channels + first + tap.channel) * g.input[0] + y;
                products.push((self.problem.operands.input[row * g.input[1] + x], w));
            } else if zero_padding {
                products.push((R::ZERO, w));
            }
            before.push(products.len());
        }
        Gathered { products, before }
    }

    fn bias(&self) -> Option<R> {
        self.problem.operands.bias.map(|bias| bias[self.at[1]])
    }
}

/// The different sequences of the taps, each with a variant that has it.
pub(super) fn walks(g: &Geometry) -> Vec<(custom::Variant, Vec<Tap>)> {
    let mut walks: Vec<(custom::Variant, Vec<Tap>)> = Vec::new();
    let blocks = [None, Some(8), Some(16), Some(4), Some(32), Some(64)];
    for channel_block in blocks {
        if channel_block.is_some_and(|block| block >= g.group_in()) {
            continue;
        }
        for loops in custom::LOOPS {
            let variant = custom::Variant {
                loops,
                channel_block,
                parts: Parts::One,
                lanes: None,
                fused: true,
                bias: Bias::Start,
                zero_padding: false,
            };
            let taps = variant.walk().taps(g);
            // the same taps in blocks have other parts, but those have names of their own
            if !walks.iter().any(|(_, known)| *known == taps) {
                walks.push((variant, taps));
            }
        }
    }
    walks
}

/// Ways to cut a walk into partial sums, each once.
fn cuts(g: &Geometry, variant: custom::Variant) -> Vec<custom::Variant> {
    let k = g.taps();
    let mut parts = vec![Parts::One, Parts::EachBlock];
    parts.extend([1, 2].map(Parts::EachLoop));
    // where channels are outermost, blocks of channels are a cut as well
    if variant.loops[0] == Axis::Channel && variant.channel_block.is_none() {
        let window = g.kernel[0] * g.kernel[1];
        parts.extend([4, 8, 16, 32, 64].map(|channels| Parts::Blocks(channels * window)));
    }
    for most in K_BLOCKS.into_iter().chain([k.div_ceil(2).max(1)]) {
        if most < k {
            parts.extend([
                Parts::Blocks(most),
                Parts::Library(mkl::KBlocks::Halves(most)),
                Parts::Library(mkl::KBlocks::Even(most)),
            ]);
        }
    }
    let mut seen = std::collections::HashSet::new();
    let cut = |parts| custom::Variant { parts, ..variant };
    parts
        .into_iter()
        .map(cut)
        .filter(|variant| seen.insert(variant.lengths(g)))
        .collect()
}

const LANES: [Option<(usize, Join)>; 9] = [
    None,
    Some((2, Join::Halving)),
    Some((4, Join::Halving)),
    Some((4, Join::Horizontal)),
    Some((8, Join::Halving)),
    Some((8, Join::Horizontal)),
    Some((8, Join::HalfThenNeighbours)),
    Some((16, Join::Halving)),
    Some((32, Join::Halving)),
];

/// Every neighbour with this walk: how many, and those that come close with the elements that they reproduce.
pub(super) fn of<R: Real>(
    g: &Geometry,
    walk: custom::Variant,
    taps: &[Tap],
    elements: &[Element<'_, R>],
) -> (usize, Vec<(usize, Order)>) {
    let gather =
        |zero| -> Vec<Gathered<R>> { elements.iter().map(|e| e.gather(taps, zero)).collect() };
    let has_padding = g.padding != [0, 0];
    let mut gathered = vec![(false, gather(false))];
    if has_padding {
        gathered.push((true, gather(true)));
    }
    let has_bias = elements.first().is_some_and(|e| e.bias().is_some());
    let mut tried = 0;
    let mut close = Vec::new();
    for cut in cuts(g, walk) {
        let lengths = cut.lengths(g);
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let biases: &[Bias] = match (has_bias, lengths.len()) {
            (false, _) => &[Bias::Start],
            (true, 1) => &[Bias::Start, Bias::First, Bias::Last],
            (true, _) => &Bias::ALL,
        };
        for lanes in LANES {
            if lanes.is_some_and(|(lanes, _)| lanes > longest) {
                continue;
            }
            for fused in [true, false] {
                for (zero_padding, gathered) in &gathered {
                    let variant = custom::Variant {
                        lanes,
                        fused,
                        zero_padding: *zero_padding,
                        ..cut
                    };
                    tried += biases.len();
                    let agreeing = agreeing(&variant, &lengths, biases, elements, gathered);
                    for (&bias, agreeing) in biases.iter().zip(agreeing) {
                        if agreeing > 0 {
                            let order = Order::Custom(custom::Variant { bias, ..variant });
                            close.push((agreeing, order));
                        }
                    }
                }
            }
        }
    }
    (tried, close)
}

/// For each place of the bias, how many elements come out: of the first few, of all where those do.
fn agreeing<R: Real>(
    variant: &custom::Variant,
    lengths: &[usize],
    biases: &[Bias],
    elements: &[Element<'_, R>],
    gathered: &[Gathered<R>],
) -> Vec<usize> {
    let fold_by = variant.fold();
    let mut agreeing = vec![0; biases.len()];
    for (i, (element, gathered)) in elements.iter().zip(gathered).enumerate() {
        if i >= GLANCE && agreeing.iter().all(|&n| n < i) {
            break;
        }
        let sums = sums(fold_by, lengths, biases, element.bias(), gathered);
        for (n, sum) in agreeing.iter_mut().zip(sums) {
            *n += usize::from(same(element.expected, sum.rounded(element.problem.dtype)));
        }
    }
    agreeing
}

/// The element, for each place of the bias.
fn sums<R: Real>(
    fold_by: Fold,
    lengths: &[usize],
    biases: &[Bias],
    bias: Option<R>,
    gathered: &Gathered<R>,
) -> Vec<R> {
    let mut at = 0;
    let parts: Vec<&[Product<R>]> = lengths
        .iter()
        .map(|len| {
            let these = &gathered.products[gathered.before[at]..gathered.before[at + len]];
            at += len;
            these
        })
        .collect();
    let Some((first, rest)) = parts.split_first() else {
        return vec![bias.unwrap_or(R::ZERO); biases.len()];
    };
    let alone = fold(fold_by, R::ZERO, first);
    let rest: Vec<R> = rest
        .iter()
        .map(|part| fold(fold_by, R::ZERO, part))
        .collect();
    let add = |start: R| rest.iter().fold(start, |total, &part| total + part);
    let Some(b) = bias else {
        return vec![add(alone); biases.len()];
    };
    let sum = |place: &Bias| match place {
        Bias::Start => add(fold(fold_by, b, first)),
        Bias::First => add(b + alone),
        Bias::Second => add(alone + b),
        Bias::Last => add(alone) + b,
    };
    biases.iter().map(sum).collect()
}
