//! One output element with every step of its sum written down.
//!
//! The interpreter ([`super::interpret`]) says what an element is; this says how it came about. Both read the same
//! [`Recipe`], and the tests hold the result of every trace against the interpreter's and the kernels' bits, so that
//! what is shown is what is computed. A trace is data: rows in the sequence in which the additions happen, each with
//! the accumulator that it goes into and the value that this accumulator has afterwards.

mod pair;

use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::Order;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Tap;
use crate::execute::order::interpret::Operands;
use crate::execute::order::interpret::piece_lengths;

pub use pair::Pair;

/// A whole sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace<R = f32> {
    /// Image, output channel, pixel = oh*OW + ow.
    pub at: [usize; 3],
    /// What happens, one after the other.
    pub rows: Vec<Row<R>>,
    /// The output element, rounded to its type.
    pub result: R,
}

/// One addition, or something else that happens on the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<R = f32> {
    /// What is added.
    pub what: What<R>,
    /// To which accumulator.
    pub into: Accumulator,
    /// What that holds afterwards.
    pub sum: R,
}

/// Where sums are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accumulator {
    /// What becomes the output.
    Total,
    /// A total of its own, added to the outer one later: a thread's share.
    Share,
    /// A partial sum, counted from 0.
    Part(usize),
    /// A lane of a partial sum.
    Lane(usize),
    /// Four products that are added before they join the sum.
    Four,
}

/// What is added.
#[derive(Clone, Debug, PartialEq)]
pub enum What<R = f32> {
    /// The filter's bias.
    Bias(R),
    /// A product.
    Product {
        /// Its factors.
        factors: Factors<R>,
        /// Not rounded before it is added.
        fused: bool,
    },
    /// Nothing: a tap in the padding.
    Skipped(Factors<R>),
    /// The lanes are added to each other.
    Joined {
        /// The lanes before that, lane 0 first.
        lanes: Vec<R>,
        /// How.
        join: Join,
    },
    /// A partial sum, a share or four products that are complete.
    Part(R, Accumulator),
    /// A partial sum, all of whose taps lie in the padding, does not take place.
    NotCalled,
    /// A subnormal sum counts as a zero.
    Flushed,
}

/// Where the factors of a product come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Factors<R = f32> {
    /// Position in the walk, padding counted.
    pub place: usize,
    /// Channel within the group, kernel row, kernel column.
    pub tap: Tap,
    /// Flat index in the whole weight; `None` for channels that only fill a block up.
    pub weight_at: Option<usize>,
    /// Image, channel, row, column in the input as the backend gets it; `None` in the padding.
    pub input_at: Option<[usize; 4]>,
    /// Input, +0 in the padding.
    pub x: R,
    /// Weight.
    pub w: R,
}

impl<R: Real> Trace<R> {
    /// How `order` sums the output element `at` (image, output channel, pixel); `None` where `g` has no such element,
    /// and where the output is no sum over taps (NNPACK's tiles).
    pub fn of(
        order: &Order,
        g: &Geometry,
        operands: &Operands<'_, R>,
        dtype: FloatType,
        at: [usize; 3],
    ) -> Option<Self> {
        let plan = order.plan(g);
        let recipe = &plan.recipes[plan.region_at(at[0], at[1], at[2])?.recipe];
        let mut tracer = Tracer {
            g,
            operands,
            at,
            padding: recipe.padding,
            taps: recipe.walk.taps(g),
            next: 0,
            met: 0,
            parts: 0,
            rows: Vec::new(),
        };
        let result = tracer.recipe(recipe).rounded(dtype);
        Some(Self {
            at,
            rows: tracer.rows,
            result,
        })
    }

    /// Gives the inputs other coordinates (image, channel, row, column); `None` for padding.
    pub fn relocate(&mut self, source: impl Fn([usize; 4]) -> Option<[usize; 4]>) {
        for row in &mut self.rows {
            if let What::Product { factors, .. } | What::Skipped(factors) = &mut row.what {
                factors.input_at = factors.input_at.and_then(&source);
            }
        }
    }

    /// The products, in the sequence in which they are met, left out ones included.
    pub fn factors(&self) -> impl Iterator<Item = &Factors<R>> {
        self.rows.iter().filter_map(|row| row.what.factors())
    }
}

impl<R> What<R> {
    /// The factors of a product or of a tap that is left out.
    pub fn factors(&self) -> Option<&Factors<R>> {
        match self {
            What::Product { factors, .. } | What::Skipped(factors) => Some(factors),
            _ => None,
        }
    }
}

/// Walks the steps as the interpreter does, and writes rows.
struct Tracer<'a, R> {
    g: &'a Geometry,
    operands: &'a Operands<'a, R>,
    at: [usize; 3],
    padding: PaddingTaps,
    taps: Vec<Tap>,
    /// The next tap, in walk order.
    next: usize,
    /// Products met so far.
    met: usize,
    /// Partial sums begun so far.
    parts: usize,
    rows: Vec<Row<R>>,
}

impl<R: Real> Tracer<'_, R> {
    fn recipe(&mut self, recipe: &Recipe) -> R {
        let total = self.total(&recipe.steps, Accumulator::Total);
        total.unwrap_or(R::ZERO)
    }

    fn row(&mut self, what: What<R>, into: Accumulator, sum: R) -> R {
        self.rows.push(Row { what, into, sum });
        sum
    }

    fn total(&mut self, steps: &[Step], into: Accumulator) -> Option<R> {
        let mut total = None;
        for step in steps {
            match step {
                Step::Seek(tap) => self.next = *tap,
                Step::Begin { negative } => {
                    let zero = if *negative { -0.0 } else { 0.0 };
                    total = total.or(Some(R::from_f64(zero)));
                }
                Step::Flush => {
                    total = total.map(|sum| match same_bits(sum, sum.flushed()) {
                        true => sum,
                        false => self.row(What::Flushed, into, sum.flushed()),
                    });
                }
                Step::Bias => total = self.bias(total, into),
                Step::Sub(steps) => {
                    let met = self.met;
                    let share = self.total(steps, Accumulator::Share);
                    let taps = steps.iter().map(Step::taps).sum();
                    total = self.add(total, share, Accumulator::Share, into, taps, met);
                }
                Step::Fold { len, fresh, fold } => {
                    let met = self.met;
                    if *fresh {
                        let part = Accumulator::Part(self.parts);
                        self.parts += 1;
                        let sum = self.fold(*fold, R::ZERO, *len, part);
                        total = self.add(total, Some(sum), part, into, *len, met);
                    } else {
                        total = Some(self.fold(*fold, total.unwrap_or(R::ZERO), *len, into));
                    }
                }
            }
        }
        total
    }

    fn bias(&mut self, total: Option<R>, into: Accumulator) -> Option<R> {
        let total = match self.padding.drops_folds() {
            // folds that have not taken place leave +0
            true => total.or(Some(R::ZERO)),
            false => total,
        };
        let Some(bias) = self.operands.bias.map(|bias| bias[self.at[1]]) else {
            return total;
        };
        let sum = total.map_or(bias, |total| total + bias);
        Some(self.row(What::Bias(bias), into, sum))
    }

    /// A partial sum of `taps`, begun when `met` products had been met, joins the total.
    fn add(
        &mut self,
        total: Option<R>,
        part: Option<R>,
        from: Accumulator,
        into: Accumulator,
        taps: usize,
        met: usize,
    ) -> Option<R> {
        let nothing = taps > 0 && self.met == met;
        let Some(part) = part else { return total };
        if nothing && self.padding.drops_folds() {
            self.row(What::NotCalled, into, total.unwrap_or(R::ZERO));
            return total;
        }
        let sum = total.map_or(part, |total| total + part);
        Some(self.row(What::Part(part, from), into, sum))
    }

    /// The factors of the next `len` taps; rows for those that are left out.
    fn factors(&mut self, len: usize, into: Accumulator, sum: R) -> Vec<Factors<R>> {
        let mut met = Vec::new();
        for place in self.next..self.next + len {
            let factors = self.factor(place);
            if factors.input_at.is_none() && self.is_left_out(&factors.tap) {
                self.row(What::Skipped(factors), into, sum);
            } else {
                met.push(factors);
            }
        }
        self.next += len;
        self.met += met.len();
        met
    }

    fn input_at(&self, tap: &Tap) -> Option<(usize, usize)> {
        let (oh, ow) = (self.at[2] / self.g.output[1], self.at[2] % self.g.output[1]);
        let row = self.g.input_at(0, oh, tap.row);
        row.zip(self.g.input_at(1, ow, tap.column))
    }

    fn is_left_out(&self, tap: &Tap) -> bool {
        let pixel = [self.at[2] / self.g.output[1], self.at[2] % self.g.output[1]];
        let place = [tap.row, tap.column];
        self.input_at(tap).is_none() && !self.padding.takes_part(self.g, pixel, place)
    }

    fn factor(&self, place: usize) -> Factors<R> {
        let g = self.g;
        let [image, channel, _] = self.at;
        let tap = self.taps[place];
        let mut factors = Factors {
            place,
            tap,
            weight_at: None,
            input_at: None,
            x: R::ZERO,
            w: R::ZERO,
        };
        if tap.channel >= g.group_in() {
            return factors;
        }
        let flat = ((channel * g.group_in() + tap.channel) * g.kernel[0] + tap.row) * g.kernel[1]
            + tap.column;
        factors.weight_at = Some(flat);
        factors.w = self.operands.weight[flat];
        if let Some((y, x)) = self.input_at(&tap) {
            let plane = channel / g.group_out() * g.group_in() + tap.channel;
            factors.input_at = Some([image, plane, y, x]);
            let row = (image * g.in_channels + plane) * g.input[0] + y;
            factors.x = self.operands.input[row * g.input[1] + x];
        }
        factors
    }

    /// One product onto `acc`.
    fn product(&mut self, fused: bool, acc: R, factors: Factors<R>, into: Accumulator) -> R {
        let sum = match fused {
            true => factors.x.mul_add(factors.w, acc),
            false => acc + factors.x * factors.w,
        };
        self.row(What::Product { factors, fused }, into, sum)
    }

    fn chain(&mut self, fused: bool, init: R, factors: &[Factors<R>], into: Accumulator) -> R {
        factors
            .iter()
            .fold(init, |acc, f| self.product(fused, acc, *f, into))
    }

    fn fold(&mut self, fold: Fold, init: R, len: usize, into: Accumulator) -> R {
        let factors = self.factors(len, into, init);
        match fold {
            Fold::Chain { fused } => self.chain(fused, init, &factors, into),
            Fold::Lanes {
                head,
                lanes,
                group,
                join,
                fused,
            } => {
                let head = head.min(factors.len());
                let body = (factors.len() - head) / group * group;
                if body == 0 {
                    return self.chain(fused, init, &factors, into);
                }
                let first = self.chain(fused, init, &factors[..head], into);
                let (body, rest) = factors[head..].split_at(body);
                let sum = self.lanes(first, lanes, join, fused, body, into);
                self.chain(fused, sum, rest, into)
            }
            Fold::Eights => {
                let (eights, rest) = factors.as_chunks::<8>();
                let mut sum = init;
                for eight in eights {
                    sum = self.chain(false, sum, &eight[..4], into);
                    // the fifth product is where the four start from
                    let fifth = eight[4].x * eight[4].w;
                    let what = What::Product {
                        factors: eight[4],
                        fused: false,
                    };
                    self.row(what, Accumulator::Four, fifth);
                    let four = self.chain(false, fifth, &eight[5..], Accumulator::Four);
                    sum = self.row(What::Part(four, Accumulator::Four), into, sum + four);
                }
                self.chain(false, sum, rest, into)
            }
            Fold::FlushedChain => factors.iter().fold(init, |acc, factors| {
                let sum = (factors.x.flushed()).mul_add(factors.w.flushed(), acc.flushed());
                let what = What::Product {
                    factors: *factors,
                    fused: true,
                };
                self.row(what, into, sum.flushed())
            }),
            Fold::Interleaved { lanes, fused } => {
                let whole = factors.len() / lanes * lanes;
                let mut acc = vec![R::ZERO; lanes];
                acc[0] = init;
                // what does not fill all lanes goes onto the first
                for (t, &factors) in factors.iter().enumerate() {
                    let lane = if t < whole { t % lanes } else { 0 };
                    acc[lane] = self.product(fused, acc[lane], factors, Accumulator::Lane(lane));
                }
                let join = Join::Sequence;
                let sum = joined(join, acc.clone());
                self.row(What::Joined { lanes: acc, join }, into, sum)
            }
            Fold::Pieces { lanes, fused } => self.pieces(lanes, fused, init, &factors, into),
        }
    }

    /// Lanes by position, lane 0 starting from `first`, joined into `into`.
    fn lanes(
        &mut self,
        first: R,
        lanes: usize,
        join: Join,
        fused: bool,
        factors: &[Factors<R>],
        into: Accumulator,
    ) -> R {
        let mut acc = vec![R::ZERO; lanes];
        acc[0] = first;
        for (t, &factors) in factors.iter().enumerate() {
            let lane = t % lanes;
            acc[lane] = self.product(fused, acc[lane], factors, Accumulator::Lane(lane));
        }
        let sum = joined(join, acc.clone());
        self.row(What::Joined { lanes: acc, join }, into, sum)
    }

    fn pieces(
        &mut self,
        lanes: usize,
        fused: bool,
        init: R,
        mut factors: &[Factors<R>],
        into: Accumulator,
    ) -> R {
        let mut sum = init;
        for len in piece_lengths(lanes, factors.len()) {
            let (piece, rest) = factors.split_at(len);
            factors = rest;
            let part = Accumulator::Part(self.parts);
            self.parts += 1;
            let value = self.lanes(R::ZERO, lanes, Join::Horizontal, fused, piece, part);
            sum = self.row(What::Part(value, part), into, sum + value);
        }
        sum
    }
}

/// As the interpreter joins them.
fn joined<R: Real>(join: Join, lanes: Vec<R>) -> R {
    crate::execute::order::interpret::joined(join, lanes)
}

/// Whether two numbers have the same bits; two NaNs count as one.
fn same_bits<R: Real>(a: R, b: R) -> bool {
    (a == b && a.is_negative_zero() == b.is_negative_zero()) || (a.is_nan() && b.is_nan())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::execute::kernel;
    use crate::execute::kernel::Kernel;
    use crate::execute::order::table::FAMILIES;
    use crate::execute::order::tests::geometry;
    use crate::execute::order::tests::values;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]

        #[test]
        fn a_trace_ends_in_the_interpreters_and_the_kernels_bits(
            g in geometry(), seed in any::<u64>(), place in any::<u64>(), with_bias in any::<bool>()
        ) {
            let input = values(seed, g.batch * g.in_channels * g.input[0] * g.input[1]);
            let weight = values(seed ^ 7, g.out_channels * g.taps());
            let bias = values(seed ^ 9, g.out_channels);
            let operands = Operands { input: &input, weight: &weight, bias: with_bias.then_some(&bias[..]) };
            for member in FAMILIES.iter().flat_map(|family| family.members) {
                let order: Order = member.parse().unwrap();
                let plan = order.plan(&g);
                if plan.nnpack.is_some() {
                    continue; // tiles have no sum to be traced; strided layers flush, which their traces do not
                }
                let fast = kernel::run(&operands, &g, &plan, Kernel::Fast);
                for spot in 0..3u64 {
                    let flat = (place.wrapping_mul(2 * spot + 1) % g.output_len() as u64) as usize;
                    let (row, pixel) = (flat / g.pixels(), flat % g.pixels());
                    let at = [row / g.out_channels, row % g.out_channels, pixel];
                    let trace = Trace::of(&order, &g, &operands, FloatType::Float32, at).unwrap();
                    let recipe = &plan.recipes[plan.region_at(at[0], at[1], at[2]).unwrap().recipe];
                    let unrolled = crate::execute::order::interpret::Unrolled::new(&g, recipe);
                    let element = unrolled.element(&operands, at, &mut Vec::new());
                    prop_assert_eq!(trace.result.to_bits(), element.to_bits(), "{} of {:?} at {:?}", order, g, at);
                    prop_assert_eq!(trace.result.to_bits(), fast[flat].to_bits(), "{} of {:?} at {:?}", order, g, at);
                }
            }
        }
    }
}
