//! One case against orders: the predicted one first, then a search.

use std::time::Instant;

use crate::execute::Call;
use crate::execute::Order;
use crate::execute::kernel;
use crate::execute::kernel::Tiled;
use crate::execute::order::Fold;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::predict;
use crate::execute::real;
use crate::verify::compare;
use crate::verify::compare::Comparison;
use crate::verify::golden::Case;
use crate::verify::origins;
use crate::verify::origins::Variation;
use crate::verify::replay::ChosenBy;
use crate::verify::replay::Options;
use crate::verify::search::Candidates;
use crate::verify::search::Problem;
use crate::verify::search::Search;

/// An order executed in full.
pub(super) struct Outcome<R> {
    pub(super) order: Order,
    pub(super) chosen_by: ChosenBy,
    pub(super) comparison: Comparison,
    pub(super) seconds: Vec<f64>,
    /// The whole output.
    pub(super) actual: Vec<R>,
    /// The change of the origin that makes this the predicted order.
    pub(super) variation: Option<String>,
}

impl<R> Outcome<R> {
    pub(super) fn is_identical(&self) -> bool {
        self.comparison.identical == self.comparison.elements
    }

    fn share(&self) -> f64 {
        self.comparison.identical as f64 / self.comparison.elements.max(1) as f64
    }
}

/// Everything needed to try orders on one case.
pub(super) struct Trial<'a, R> {
    pub(super) problem: Problem<'a, R>,
    pub(super) options: &'a Options,
    pub(super) tried: usize,
}

/// Orders of one stage that are executed in full before it is given up.
const FULL: usize = 6;
/// Orders that came close and are executed in full to see which is closest.
const CLOSEST: usize = 3;
/// Share of the sample from which on an order is close: one that has nothing to do with the output agrees in a third of
/// the elements, since their last bits are all that orders make.
const CLOSE: f64 = 0.5;
/// Of so many that are not close, the closest that is fast is executed.
const CHANCE: usize = 64;

impl<R: Tiled> Trial<'_, R> {
    pub(super) fn choose(&mut self, call: &Call, case: &Case) -> Outcome<R> {
        if let Some(order) = self.options.order {
            return self.execute(order, ChosenBy::Flag);
        }
        let settled = self.options.machines.as_ref();
        let settled = settled.filter(|_| !call.dtype.is_narrow());
        let among = settled.map(|machines| predict::among(call, machines));
        let predictions = among
            .filter(|predictions| !predictions.is_empty())
            .unwrap_or_else(|| predict::predict(call, &case.origin));
        // an origin that says nothing predicts nothing, whatever the file's other cases tell
        let by = match case.origin.is_unknown() {
            true => ChosenBy::Search,
            false => ChosenBy::Origin,
        };
        let predicted = match predictions.as_slice() {
            [only] => Some(self.execute(only.order, by)),
            [first, ..] if !self.options.search => {
                Some(self.execute(first.order, ChosenBy::Origin))
            }
            _ => None,
        };
        match predicted {
            Some(outcome) if outcome.is_identical() || !self.options.search => outcome,
            predicted => {
                let open: Vec<Order> = predictions.iter().map(|p| p.order).collect();
                let variations = origins::variations(call, &case.origin);
                let mut outcome = self.search(&open, &variations, predicted);
                let variation = variations.into_iter().find(|v| v.order == outcome.order);
                if outcome.is_identical() && !open.contains(&outcome.order) {
                    outcome.variation = variation.map(|v| v.words);
                }
                outcome
            }
        }
    }

    /// The first order that reproduces everything, else the closest: the predicted one, unless another one agrees in
    /// more elements.
    fn search(
        &mut self,
        open: &[Order],
        variations: &[Variation],
        predicted: Option<Outcome<R>>,
    ) -> Outcome<R> {
        let known: Vec<Order> = predicted.iter().map(|outcome| outcome.order).collect();
        let varied = variations.iter().map(|variation| variation.order);
        let first = open.iter().copied().chain(varied).collect();
        let mut search = Search::new(self.problem, first, &known);
        let mut best = predicted;
        if let Some(best) = &best {
            search.learn(differing(&self.problem, &best.actual));
        }
        let mut close: Vec<(f64, Order)> = Vec::new();
        while let Some(stage) = search.next_stage() {
            let Candidates {
                fitting,
                close: more,
                tried,
            } = stage;
            self.tried += tried;
            for order in fitting.into_iter().take(FULL) {
                let outcome = self.execute(order, ChosenBy::Search);
                if outcome.is_identical() {
                    return outcome;
                }
                search.learn(differing(&self.problem, &outcome.actual));
                best = closer(best, outcome);
            }
            close.extend(more);
            // a sum of other numbers is not found among the orders, and what mostly agrees has been found
            let hopeless = !search.is_plausible();
            let found = best.as_ref().is_some_and(|best| best.share() > 0.5);
            if hopeless || (found && search.is_past_the_registered()) {
                break;
            }
        }
        close.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let by_chance = close.first().is_none_or(|(share, _)| *share < CLOSE);
        if by_chance && !self.is_quick() {
            // what agrees by chance does so in any order: of a large layer one is executed, which the kernels are fast at
            close.truncate(CHANCE);
            let fast = |(_, order): &(f64, Order)| self.is_fast(*order);
            let one = close.iter().position(fast).unwrap_or(0);
            close.drain(..one.min(close.len()));
            close.truncate(usize::from(best.is_none()));
        }
        for (_, order) in close.into_iter().take(CLOSEST) {
            if best.as_ref().is_none_or(|best| best.order != order) {
                let outcome = self.execute(order, ChosenBy::Search);
                best = closer(best, outcome);
            }
        }
        best.unwrap_or_else(|| self.execute(sequential(), ChosenBy::Search))
    }

    /// Whether the interpreter executes it in no time to speak of.
    fn is_quick(&self) -> bool {
        const PRODUCTS: usize = 1 << 25;
        let g = self.problem.geometry;
        g.output_len().saturating_mul(g.taps()) <= PRODUCTS
    }

    /// Whether the kernels execute it: it adds product after product.
    fn is_fast(&self, order: Order) -> bool {
        let plan = order.plan(self.problem.geometry);
        let is_chain = |recipe: &Recipe| recipe.steps.iter().all(is_chain);
        plan.nnpack.is_none() && plan.recipes.iter().all(is_chain)
    }

    fn execute(&mut self, order: Order, chosen_by: ChosenBy) -> Outcome<R> {
        let Problem {
            operands,
            geometry,
            dtype,
            expected,
        } = self.problem;
        // a search has counted it when it was tried on the sample
        self.tried += usize::from(chosen_by != ChosenBy::Search);
        let mut seconds = Vec::new();
        let mut actual = Vec::new();
        let mut memory = kernel::Memory::default();
        for _ in 0..self.options.repeat.max(1) {
            let start = Instant::now();
            let plan = order.plan(geometry);
            memory.output = actual;
            let kernel = self.options.kernel;
            actual = kernel::run_with(&operands, geometry, &plan, kernel, &mut memory);
            real::round_all(dtype, &mut actual);
            seconds.push(start.elapsed().as_secs_f64());
        }
        Outcome {
            order,
            chosen_by,
            comparison: compare::compare(dtype, expected, &actual),
            seconds,
            actual,
            variation: None,
        }
    }
}

fn is_chain(step: &Step) -> bool {
    match step {
        Step::Fold { fold, .. } => matches!(fold, Fold::Chain { .. }),
        Step::Sub(steps) => steps.iter().all(is_chain),
        _ => true,
    }
}

/// The one that agrees in more elements; of equals the first.
fn closer<R>(best: Option<Outcome<R>>, other: Outcome<R>) -> Option<Outcome<R>> {
    match best {
        Some(best) if best.comparison.identical >= other.comparison.identical => Some(best),
        _ => Some(other),
    }
}

/// A few elements that differ, far from each other.
fn differing<R: Tiled>(problem: &Problem<'_, R>, actual: &[R]) -> Vec<usize> {
    let pairs = problem.expected.iter().zip(actual).enumerate();
    let different: Vec<usize> = pairs
        .filter(|(_, (a, b))| !compare::same(**a, **b))
        .map(|(flat, _)| flat)
        .collect();
    let step = different.len().div_ceil(4).max(1);
    different.into_iter().step_by(step).collect()
}

/// Where no order is known at all.
fn sequential() -> Order {
    Order::Sequential {
        channels_last: false,
        fused: true,
        bias_last: false,
    }
}
