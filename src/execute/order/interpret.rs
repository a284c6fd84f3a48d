//! The interpreter: any plan, one output element at a time, exactly as its words say. Slow, and the truth.

use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::Plan;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Tap;

/// The operands of a convolution, all C-contiguous: input `[N, C, H, W]`, weight `[O, C/G, KH, KW]`, bias `[O]`.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a, R = f32> {
    /// Input, N*C*H*W elements.
    pub input: &'a [R],
    /// Weight, O*(C/G)*KH*KW elements.
    pub weight: &'a [R],
    /// Bias, O elements.
    pub bias: Option<&'a [R]>,
}

/// A recipe with its taps unrolled for one geometry.
#[derive(Debug)]
pub struct Unrolled<'a> {
    geometry: &'a Geometry,
    recipe: &'a Recipe,
    taps: Vec<Place>,
}

/// Where a tap's operands lie.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Of the input value: from the group's first channel to this one.
    plane: usize,
    /// Of the weight, from the filter's first one.
    weight: usize,
    /// Row and column of the kernel: an index into the window of an output pixel.
    window: usize,
    /// Whether there is such a channel.
    is_real: bool,
}

impl Place {
    fn of(g: &Geometry, tap: Tap) -> Self {
        let window = tap.row * g.kernel[1] + tap.column;
        Self {
            plane: tap.channel * g.input[0] * g.input[1],
            weight: tap.channel * g.kernel[0] * g.kernel[1] + window,
            window,
            is_real: tap.channel < g.group_in(),
        }
    }
}

/// What a row and column of the kernel read for one output pixel.
#[derive(Clone, Copy, Debug)]
enum Reads {
    /// The input, here in each channel.
    At(usize),
    /// +0.
    Zero,
    /// Nothing: the tap is left out.
    Nothing,
}

/// One product on the way to an output element: input value (+0 in the padding) and weight.
pub type Product<R = f32> = (R, R);

impl<'a> Unrolled<'a> {
    /// Unrolls `recipe`.
    pub fn new(geometry: &'a Geometry, recipe: &'a Recipe) -> Self {
        Self {
            geometry,
            recipe,
            taps: recipe
                .walk
                .taps(geometry)
                .into_iter()
                .map(|tap| Place::of(geometry, tap))
                .collect(),
        }
    }

    /// For each row and column of the kernel, what an output pixel reads.
    fn window(&self, pixel: usize) -> Vec<Reads> {
        let g = self.geometry;
        let padding = self.recipe.padding;
        let (oh, ow) = (pixel / g.output[1], pixel % g.output[1]);
        let columns = (0..g.kernel[1]).map(|kw| g.input_at(1, ow, kw));
        let columns: Vec<Option<usize>> = columns.collect();
        (0..g.kernel[0])
            .flat_map(|kh| {
                let row = g.input_at(0, oh, kh).map(|y| y * g.input[1]);
                let places = columns.iter().enumerate();
                places.map(move |(kw, x)| match row.zip(*x) {
                    Some((row, x)) => Reads::At(row + x),
                    None if padding.takes_part(g, [oh, ow], [kh, kw]) => Reads::Zero,
                    None => Reads::Nothing,
                })
            })
            .collect()
    }

    /// The output element (image, channel, pixel = oh*OW + ow). `products` is scratch, kept to save allocations.
    pub fn element<R: Real>(
        &self,
        operands: &Operands<'_, R>,
        at: [usize; 3],
        products: &mut Vec<Product<R>>,
    ) -> R {
        let mut element = Element {
            unrolled: self,
            operands,
            at,
            window: self.window(at[2]),
            taps: &self.taps,
            products,
            met: 0,
        };
        element.total(&self.recipe.steps).unwrap_or(R::ZERO)
    }

    fn products<R: Real>(
        &self,
        operands: &Operands<'_, R>,
        [image, channel, _]: [usize; 3],
        window: &[Reads],
        taps: &[Place],
        out: &mut Vec<Product<R>>,
    ) {
        let g = self.geometry;
        let first_channel = image * g.in_channels + channel / g.group_out() * g.group_in();
        let input = &operands.input[first_channel * g.input[0] * g.input[1]..];
        let weights = &operands.weight[channel * g.taps()..];
        out.clear();
        for tap in taps {
            match window[tap.window] {
                Reads::Nothing => {}
                _ if !tap.is_real => out.push((R::ZERO, R::ZERO)),
                Reads::At(at) => out.push((input[tap.plane + at], weights[tap.weight])),
                Reads::Zero => out.push((R::ZERO, weights[tap.weight])),
            }
        }
    }
}

/// One output element on its way.
struct Element<'a, R> {
    unrolled: &'a Unrolled<'a>,
    operands: &'a Operands<'a, R>,
    /// Image, channel, pixel.
    at: [usize; 3],
    /// What it reads, for each row and column of the kernel.
    window: Vec<Reads>,
    /// Those not yet met.
    taps: &'a [Place],
    products: &'a mut Vec<Product<R>>,
    /// How many products have been met.
    met: usize,
}

impl<R: Real> Element<'_, R> {
    /// `term`, made of `taps` since `met` products had been met, joins the total.
    fn plus(&self, total: Option<R>, term: Option<R>, taps: usize, met: usize) -> Option<R> {
        let nothing = taps > 0 && self.met == met;
        if nothing && self.unrolled.recipe.padding.drops_folds() {
            total
        } else {
            plus(total, term)
        }
    }

    fn bias(&self, total: Option<R>) -> Option<R> {
        let bias = self.operands.bias.map(|bias| bias[self.at[1]]);
        match self.unrolled.recipe.padding.drops_folds() {
            // it is last: folds that have not taken place leave +0
            true => plus(total.or(Some(R::ZERO)), bias),
            false => plus(total, bias),
        }
    }

    fn total(&mut self, steps: &[Step]) -> Option<R> {
        let mut total = None;
        for step in steps {
            match step {
                Step::Bias => total = self.bias(total),
                Step::Begin { negative } => {
                    let zero = if *negative { -0.0 } else { 0.0 };
                    total = total.or(Some(R::from_f64(zero)));
                }
                Step::Sub(steps) => {
                    let met = self.met;
                    let sub = self.total(steps);
                    let taps = steps.iter().map(Step::taps).sum();
                    total = self.plus(total, sub, taps, met);
                }
                Step::Flush => total = total.map(R::flushed),
                Step::Seek(tap) => self.taps = &self.unrolled.taps[*tap..],
                Step::Fold {
                    len,
                    fresh,
                    fold: by,
                } => {
                    let (these, rest) = self.taps.split_at(*len);
                    self.taps = rest;
                    self.unrolled.products(
                        self.operands,
                        self.at,
                        &self.window,
                        these,
                        self.products,
                    );
                    let met = self.met;
                    self.met += self.products.len();
                    total = if *fresh {
                        let part = fold(*by, R::ZERO, self.products);
                        self.plus(total, Some(part), *len, met)
                    } else {
                        Some(fold(*by, total.unwrap_or(R::ZERO), self.products))
                    };
                }
            }
        }
        total
    }
}

fn plus<R: Real>(total: Option<R>, term: Option<R>) -> Option<R> {
    match (total, term) {
        (Some(total), Some(term)) => Some(total + term),
        (total, term) => total.or(term),
    }
}

fn step<R: Real>(fused: bool, acc: R, (x, w): Product<R>) -> R {
    if fused {
        x.mul_add(w, acc)
    } else {
        acc + x * w
    }
}

fn chain<R: Real>(fused: bool, init: R, products: &[Product<R>]) -> R {
    products.iter().fold(init, |acc, &p| step(fused, acc, p))
}

/// Folds the products onto `init`.
pub fn fold<R: Real>(fold: Fold, init: R, products: &[Product<R>]) -> R {
    match fold {
        Fold::Chain { fused } => chain(fused, init, products),
        Fold::Lanes {
            head,
            lanes,
            group,
            join,
            fused,
        } => {
            let head = head.min(products.len());
            let body = (products.len() - head) / group * group;
            if body == 0 {
                return chain(fused, init, products);
            }
            let mut acc = vec![R::ZERO; lanes];
            acc[0] = chain(fused, init, &products[..head]);
            for (t, &p) in products[head..head + body].iter().enumerate() {
                acc[t % lanes] = step(fused, acc[t % lanes], p);
            }
            chain(fused, joined(join, acc), &products[head + body..])
        }
        Fold::Eights => {
            let (eights, rest) = products.as_chunks::<8>();
            let sum = eights.iter().fold(init, |acc, p| {
                let q = p.map(|(x, w)| x * w);
                let first = (((acc + q[0]) + q[1]) + q[2]) + q[3];
                first + (((q[4] + q[5]) + q[6]) + q[7])
            });
            chain(false, sum, rest)
        }
        Fold::FlushedChain => products.iter().fold(init, |acc, &(x, w)| {
            let sum = x.flushed().mul_add(w.flushed(), acc.flushed());
            sum.flushed()
        }),
        Fold::Interleaved { lanes, fused } => interleaved(lanes, fused, init, products),
        Fold::Pieces { lanes, fused } => pieces(lanes, fused, init, products),
    }
}

/// The lanes of a [`Fold::Lanes`] as one number.
pub(super) fn joined<R: Real>(join: Join, mut lanes: Vec<R>) -> R {
    match join {
        Join::Halving => {
            while lanes.len() > 1 {
                let upper = lanes.split_off(lanes.len() / 2);
                for (low, high) in lanes.iter_mut().zip(upper) {
                    *low += high;
                }
            }
            lanes[0]
        }
        Join::Sequence => lanes
            .into_iter()
            .reduce(|sum, lane| sum + lane)
            .unwrap_or(R::ZERO),
        Join::HalvingThenSequence => {
            while lanes.len() > 8 {
                let upper = lanes.split_off(lanes.len() / 2);
                for (low, high) in lanes.iter_mut().zip(upper) {
                    *low += high;
                }
            }
            joined(Join::Sequence, lanes)
        }
        Join::Pairs => {
            while lanes.len() > 1 {
                let pairs = lanes.chunks(2);
                lanes = pairs
                    .map(|pair| match *pair {
                        [a, b] => a + b,
                        _ => pair[0],
                    })
                    .collect();
            }
            lanes[0]
        }
        Join::Horizontal => {
            let l = |i: usize| lanes.get(i).copied().unwrap_or(R::ZERO);
            ((l(0) + l(1)) + (l(4) + l(5))) + ((l(2) + l(3)) + (l(6) + l(7)))
        }
        Join::HalfThenNeighbours => {
            let l = |i: usize| lanes.get(i).copied().unwrap_or(R::ZERO);
            ((l(0) + l(4)) + (l(1) + l(5))) + ((l(2) + l(6)) + (l(3) + l(7)))
        }
        Join::Registers => {
            let l = |i: usize| lanes.get(i).copied().unwrap_or(R::ZERO);
            ((l(0) + l(2)) + (l(4) + l(6))) + ((l(1) + l(3)) + (l(5) + l(7)))
        }
    }
}

fn interleaved<R: Real>(lanes: usize, fused: bool, init: R, products: &[Product<R>]) -> R {
    let whole = products.len() / lanes * lanes;
    let mut acc = vec![R::ZERO; lanes];
    acc[0] = init;
    for (t, &p) in products[..whole].iter().enumerate() {
        acc[t % lanes] = step(fused, acc[t % lanes], p);
    }
    acc[0] = chain(fused, acc[0], &products[whole..]);
    joined(Join::Sequence, acc)
}

/// Into which pieces a [`Fold::Pieces`] of `len` products falls: a first one of whole pairs of vectors, then what is left by
/// halves, each only where it fits.
pub(super) fn piece_lengths(lanes: usize, len: usize) -> impl Iterator<Item = usize> {
    let most = 2 * lanes;
    let sizes = std::iter::successors(Some(most), |size| (*size > 1).then_some(size / 2));
    let mut left = len;
    sizes.filter_map(move |size| {
        let piece = match size {
            _ if size == most => left / size * size,
            _ if left >= size => size,
            _ => 0,
        };
        left -= piece;
        (piece > 0).then_some(piece)
    })
}

fn pieces<R: Real>(lanes: usize, fused: bool, init: R, mut products: &[Product<R>]) -> R {
    let mut sum = init;
    for len in piece_lengths(lanes, products.len()) {
        let (piece, rest) = products.split_at(len);
        products = rest;
        let mut acc = vec![R::ZERO; lanes];
        for (t, &p) in piece.iter().enumerate() {
            acc[t % lanes] = step(fused, acc[t % lanes], p);
        }
        sum += joined(Join::Horizontal, acc);
    }
    sum
}

/// The whole output `[N, O, OH, OW]`, one element after the other on one thread.
pub fn run<R: Real>(operands: &Operands<'_, R>, geometry: &Geometry, plan: &Plan) -> Vec<R> {
    let mut output = vec![R::ZERO; geometry.output_len()];
    let mut scratch = Vec::new();
    for region in &plan.regions {
        let unrolled = Unrolled::new(geometry, &plan.recipes[region.recipe]);
        for image in region.images.clone() {
            for channel in region.channels.clone() {
                let start = (image * geometry.out_channels + channel) * geometry.pixels();
                for pixel in region.pixels.clone() {
                    output[start + pixel] =
                        unrolled.element(operands, [image, channel, pixel], &mut scratch);
                }
            }
        }
    }
    output
}
