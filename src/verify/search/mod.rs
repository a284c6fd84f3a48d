//! Which order made this output?
//!
//! An order is refuted by a single element, so candidates are tried on a few elements first, spread over images,
//! channels, and the middle, edges and corners of the picture; few survive the first. Candidates come in stages, the
//! likeliest first:
//!
//! 1. what the origin leaves open, and what origins close to it would give;
//! 2. the registered orders ([`table::FAMILIES`]);
//! 3. the same families with other parameters: threads, caches, blocks;
//! 4. the neighbours of all of them, spelled out as `custom/...`: every sequence of the loops, channel blocks, partial
//!    sums, lanes, fused or not, bias here or there, padding multiplied or not.
//!
//! Many of them give an element the same recipe, which is followed once for all of them.
//!
//! The last stage is a product of choices and large, so it is not tried order by order: the products of one element
//! are gathered once per walk, and partial sums are shared by all orders that have them.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::execute::FloatType;
use crate::execute::Geometry;
use crate::execute::Order;
use crate::execute::Real;
use crate::execute::nnpack;
use crate::execute::order::Recipe;
use crate::execute::order::interpret::Operands;
use crate::execute::order::interpret::Product;
use crate::execute::order::interpret::Unrolled;
use crate::execute::order::table;
use crate::verify::compare::same;
use crate::verify::textbook::Sum;
use crate::verify::textbook::tolerance;

mod neighbours;
mod relatives;

use neighbours::Element;

/// A convolution and what PyTorch is said to have made of it.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a, R> {
    /// The operands as the backend gets them.
    pub operands: Operands<'a, R>,
    /// The sizes.
    pub geometry: &'a Geometry,
    /// Element type of input and output.
    pub dtype: FloatType,
    /// The saved output, `[N, O, OH, OW]`.
    pub expected: &'a [R],
}

impl<R: Real> Problem<'_, R> {
    /// Image, channel, pixel of the `flat`-th element.
    pub fn place(&self, flat: usize) -> [usize; 3] {
        let g = self.geometry;
        let (row, pixel) = (flat / g.pixels(), flat % g.pixels());
        [row / g.out_channels, row % g.out_channels, pixel]
    }

    /// The element in float64.
    pub fn sum(&self, [image, channel, pixel]: [usize; 3]) -> Sum {
        let g = self.geometry;
        let bias = self
            .operands
            .bias
            .map_or(0.0, |bias| bias[channel].to_f64());
        let mut sum = Sum {
            value: bias,
            magnitude: bias.abs(),
        };
        let (oh, ow) = (pixel / g.output[1], pixel % g.output[1]);
        let first = channel / g.group_out() * g.group_in();
        for c in 0..g.group_in() {
            for kh in 0..g.kernel[0] {
                let Some(y) = g.input_at(0, oh, kh) else {
                    continue;
                };
                for kw in 0..g.kernel[1] {
                    let Some(x) = g.input_at(1, ow, kw) else {
                        continue;
                    };
                    let row = (image * g.in_channels + first + c) * g.input[0] + y;
                    let weight =
                        ((channel * g.group_in() + c) * g.kernel[0] + kh) * g.kernel[1] + kw;
                    let product = self.operands.input[row * g.input[1] + x].to_f64()
                        * self.operands.weight[weight].to_f64();
                    sum.value += product;
                    sum.magnitude += product.abs();
                }
            }
        }
        sum
    }
}

/// Elements on which every candidate is tried before it is called close.
const FIRST: usize = 12;
/// Candidates that are looked at more closely where none fits.
const CLOSE: usize = 16;
/// Sampled elements.
const MOST: usize = 192;

/// What a search found, before anything was executed in full.
#[derive(Debug, Default)]
pub struct Candidates {
    /// Orders that reproduce every sampled element, the likeliest first.
    pub fitting: Vec<Order>,
    /// Orders with the share of the sample that they reproduce, the closest first.
    pub close: Vec<(f64, Order)>,
    /// How many were tried.
    pub tried: usize,
}

/// The recipes of a plan, and which of them elements have.
struct Recipes {
    recipes: Vec<Recipe>,
    of_elements: Vec<Option<usize>>,
}

impl Recipes {
    /// Number of each element, with its recipe.
    fn of_elements(&self) -> impl Iterator<Item = (usize, &Recipe)> {
        let numbered = self.of_elements.iter().enumerate();
        numbered.filter_map(|(number, recipe)| Some((number, self.recipes.get((*recipe)?)?)))
    }
}

/// A search that goes on from stage to stage.
#[derive(Debug)]
pub struct Search<'a, R> {
    problem: Problem<'a, R>,
    sample: Vec<usize>,
    stage: usize,
    seen: std::collections::HashSet<Order>,
    first: Vec<Order>,
}

impl<'a, R: Real> Search<'a, R> {
    /// Begins with the orders in `first`; those in `known` have been executed already.
    pub fn new(problem: Problem<'a, R>, first: Vec<Order>, known: &[Order]) -> Self {
        Self {
            sample: sample(problem.geometry),
            problem,
            stage: 0,
            seen: known.iter().copied().collect(),
            first,
        }
    }

    /// Elements at which what fitted the sample differed after all: no later candidate gets past them.
    pub fn learn(&mut self, flats: impl IntoIterator<Item = usize>) {
        for flat in flats {
            if !self.sample.contains(&flat) {
                self.sample.insert(0, flat);
            }
        }
    }

    /// Whether the saved output is that of this convolution but for rounding, in most of the sample.
    pub fn is_plausible(&self) -> bool {
        let plausible = self.sample.iter().filter(|&&flat| {
            let sum = self.problem.sum(self.problem.place(flat));
            let taps = self.problem.geometry.taps();
            let expected = self.problem.expected[flat].to_f64();
            let off = (expected - sum.value).abs();
            // not finite: nothing can be said, so nothing is ruled out
            off.is_nan() || off <= tolerance(self.problem.dtype, taps, sum)
        });
        2 * plausible.count() >= self.sample.len()
    }

    /// Whether all registered families have been tried.
    pub fn is_past_the_registered(&self) -> bool {
        self.stage > 2
    }

    /// The next stage's candidates; `None` after the last.
    pub fn next_stage(&mut self) -> Option<Candidates> {
        let g = self.problem.geometry;
        let stage = self.stage;
        self.stage += 1;
        let orders = match stage {
            0 => std::mem::take(&mut self.first),
            1 => table::search_space(g, self.problem.dtype),
            2 => relatives::all(g, self.problem.dtype),
            3 => return Some(self.neighbours()),
            _ => return None,
        };
        let orders: Vec<Order> = orders
            .into_iter()
            .filter(|o| o.serves(self.problem.dtype) && self.seen.insert(*o))
            .collect();
        Some(self.try_all(&orders))
    }

    fn try_all(&self, orders: &[Order]) -> Candidates {
        let first = &self.sample[..FIRST.min(self.sample.len())];
        let agreeing = self.agreeing_of_each(orders, first);
        let mut scored: Vec<(usize, Order)> =
            agreeing.into_iter().zip(orders.iter().copied()).collect();
        // stable: the likeliest first among equals
        scored.sort_by_key(|(agreeing, _)| std::cmp::Reverse(*agreeing));
        let all = scored.iter().take_while(|(n, _)| *n == first.len()).count();
        scored.truncate(CLOSE.max(all));
        let close: Vec<Order> = scored.into_iter().map(|(_, order)| order).collect();
        let agreeing = self.agreeing_of_each(&close, &self.sample);
        let scored = agreeing.into_iter().zip(close).collect();
        Candidates {
            tried: orders.len(),
            ..self.judged(scored)
        }
    }

    fn judged(&self, scored: Vec<(usize, Order)>) -> Candidates {
        let whole = self.sample.len();
        let (fitting, mut close): (Vec<_>, Vec<_>) = scored
            .into_iter()
            .partition(|(agreeing, _)| *agreeing == whole);
        close.sort_by_key(|(agreeing, _)| std::cmp::Reverse(*agreeing));
        let share = |agreeing: usize| agreeing as f64 / whole.max(1) as f64;
        Candidates {
            fitting: fitting.into_iter().map(|(_, order)| order).collect(),
            close: close
                .into_iter()
                .map(|(n, order)| (share(n), order))
                .collect(),
            tried: 0,
        }
    }

    /// How many of the elements each order reproduces. Orders that differ elsewhere often have the same recipe for an
    /// element (another number of threads, a larger cache): it is followed once.
    fn agreeing_of_each(&self, orders: &[Order], elements: &[usize]) -> Vec<usize> {
        let recipes = orders
            .par_iter()
            .map(|&order| self.recipes(order, elements));
        let recipes: Vec<Option<Recipes>> = recipes.collect();
        let mut wanted: HashMap<&Recipe, Vec<bool>> = HashMap::new();
        for order in recipes.iter().flatten() {
            for (number, recipe) in order.of_elements() {
                let elements = wanted
                    .entry(recipe)
                    .or_insert_with(|| vec![false; elements.len()]);
                elements[number] = true;
            }
        }
        let followed = wanted.into_par_iter().map(|(recipe, wanted)| {
            let unrolled = Unrolled::new(self.problem.geometry, recipe);
            let mut scratch = Vec::new();
            let agrees = |(&flat, wanted): (&usize, bool)| {
                wanted && self.agrees(&unrolled, flat, &mut scratch)
            };
            let agreeing: Vec<bool> = elements.iter().zip(wanted).map(agrees).collect();
            (recipe, agreeing)
        });
        let followed: HashMap<&Recipe, Vec<bool>> = followed.collect();
        let count = |(order, recipes): (&Order, &Option<Recipes>)| match recipes {
            None => self.agreeing(*order, elements),
            Some(recipes) => recipes
                .of_elements()
                .filter(|(number, recipe)| followed.get(recipe).is_some_and(|a| a[*number]))
                .count(),
        };
        orders.par_iter().zip(&recipes).map(count).collect()
    }

    /// The recipes that `order` has for the elements; `None` where it is not executed from recipes.
    fn recipes(&self, order: Order, elements: &[usize]) -> Option<Recipes> {
        let plan = order.plan(self.problem.geometry);
        if plan.nnpack.is_some() {
            return None;
        }
        let of = |&flat: &usize| {
            let [image, channel, pixel] = self.problem.place(flat);
            Some(plan.region_at(image, channel, pixel)?.recipe)
        };
        let of_elements = elements.iter().map(of).collect();
        Some(Recipes {
            recipes: plan.recipes,
            of_elements,
        })
    }

    fn agrees(&self, recipe: &Unrolled<'_>, flat: usize, scratch: &mut Vec<Product<R>>) -> bool {
        let actual = recipe.element(&self.problem.operands, self.problem.place(flat), scratch);
        same(
            self.problem.expected[flat],
            actual.rounded(self.problem.dtype),
        )
    }

    /// Whether `order` reproduces the most telling elements.
    pub fn fits(&self, order: Order) -> bool {
        const GLANCE: usize = 48;
        let first = &self.sample[..GLANCE.min(self.sample.len())];
        self.agreeing(order, first) == first.len()
    }

    /// How many of the elements `order` reproduces.
    fn agreeing(&self, order: Order, elements: &[usize]) -> usize {
        let g = self.problem.geometry;
        let plan = order.plan(g);
        if let Some(blocked) = plan.nnpack {
            let operands = nnpack::Float32::of(&self.problem.operands);
            let agrees = |&&flat: &&usize| {
                let actual = operands.element(g, blocked, self.problem.place(flat));
                let actual = R::from_f64(actual.into()).rounded(self.problem.dtype);
                same(self.problem.expected[flat], actual)
            };
            return elements.iter().filter(agrees).count();
        }
        let mut unrolled: Vec<Option<Unrolled<'_>>> = Vec::new();
        unrolled.resize_with(plan.recipes.len(), || None);
        let mut scratch = Vec::new();
        let agrees = |&&flat: &&usize| {
            let at = self.problem.place(flat);
            plan.region_at(at[0], at[1], at[2]).is_some_and(|region| {
                let recipe = unrolled[region.recipe]
                    .get_or_insert_with(|| Unrolled::new(g, &plan.recipes[region.recipe]));
                self.agrees(recipe, flat, &mut scratch)
            })
        };
        elements.iter().filter(agrees).count()
    }

    /// The last stage.
    fn neighbours(&mut self) -> Candidates {
        let g = self.problem.geometry;
        let elements: Vec<Element<'_, R>> = self
            .sample
            .iter()
            .take(FIRST)
            .map(|&flat| Element {
                problem: self.problem,
                at: self.problem.place(flat),
                expected: self.problem.expected[flat],
            })
            .collect();
        let walks = neighbours::walks(g);
        let tried: Vec<(usize, Vec<(usize, Order)>)> = walks
            .par_iter()
            .map(|(variant, taps)| neighbours::of(g, *variant, taps, &elements))
            .collect();
        let mut scored: Vec<(usize, Order)> = Vec::new();
        let mut count = 0;
        for (tried, these) in tried {
            count += tried;
            scored.extend(these);
        }
        scored.sort_by_key(|(agreeing, order)| (std::cmp::Reverse(*agreeing), words(order)));
        let all = elements.len();
        let fitting = scored.iter().take_while(|(n, _)| *n == all).count();
        scored.truncate(CLOSE.max(fitting.min(4 * CLOSE)));
        let close = scored.into_iter().map(|(_, order)| order);
        let close: Vec<Order> = close.filter(|order| !self.seen.contains(order)).collect();
        let agreeing = self.agreeing_of_each(&close, &self.sample);
        let scored = agreeing.into_iter().zip(close).collect();
        Candidates {
            tried: count,
            ..self.judged(scored)
        }
    }
}

/// How much there is to say about an order: of two that fit, the simpler one is named.
fn words(order: &Order) -> usize {
    order.to_string().split('-').count()
}

/// Elements to try orders on, the most telling first: all of a small output.
fn sample(g: &Geometry) -> Vec<usize> {
    let elements = g.output_len();
    let [rows, columns] = g.output;
    let (last, pixels) = (g.out_channels.saturating_sub(1), g.pixels());
    let middle = rows / 2 * columns + columns / 2;
    let telling = [
        (0, last / 2, middle),
        (g.batch / 2, 0, middle),
        (g.batch.saturating_sub(1), last, middle.saturating_sub(1)),
        (0, 0, 0),
        (0, last, pixels.saturating_sub(1)),
        (
            g.batch.saturating_sub(1),
            last / 3,
            columns.saturating_sub(1),
        ),
        (0, last, pixels.saturating_sub(columns)),
        (0, last / 2, rows / 2 * columns),
        (
            0,
            0,
            (rows / 2 + 1).saturating_mul(columns).saturating_sub(1),
        ),
        (g.batch.saturating_sub(1), last, pixels.saturating_sub(1)),
        (0, last, 0),
        (0, last * 2 / 3, pixels / 3),
    ];
    let flat = |(n, o, p): (usize, usize, usize)| (n * g.out_channels + o) * pixels + p;
    let mut seen = std::collections::HashSet::new();
    let mut sample: Vec<usize> = telling.into_iter().map(flat).collect();
    if elements <= MOST {
        sample.extend(0..elements);
    } else {
        sample.extend((0..16).chain(elements - 16..elements));
        // a fixed multiplicative sequence: the same elements in every run, no two close together
        sample.extend((1..=(MOST - 44) as u64).map(|i| {
            let hash = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            ((u128::from(hash) * elements as u128) >> 64) as usize
        }));
    }
    sample.retain(|flat| *flat < elements && seen.insert(*flat));
    sample
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::execute::Arguments;
    use crate::execute::Padding;
    use crate::execute::conv2d;
    use crate::execute::kernel;
    use crate::execute::kernel::Kernel;
    use crate::execute::order::tests::values;

    /// Searches for the order `name` by its output alone; what is found, and whether that is the whole output.
    fn found(name: &str, weight: [usize; 4], seed: u64) -> Option<(Order, usize)> {
        let arguments = Arguments {
            padding: Padding::Sizes([1, 1]),
            ..Arguments::default()
        };
        let g = conv2d::resolve([1, weight[1], 7, 6], weight, None, &arguments).unwrap();
        let input = values(seed, g.in_channels * 42);
        let weights = values(seed ^ 5, g.out_channels * g.taps());
        let bias = values(seed ^ 9, g.out_channels);
        let operands = Operands {
            input: &input,
            weight: &weights,
            bias: Some(&bias[..]),
        };
        let order: Order = name.parse().unwrap();
        let expected = kernel::run(&operands, &g, &order.plan(&g), Kernel::Fast);
        let problem = Problem {
            operands,
            geometry: &g,
            dtype: FloatType::Float32,
            expected: &expected,
        };
        let mut search = Search::new(problem, Vec::new(), &[]);
        assert!(search.is_plausible());
        let mut stage = 0;
        while let Some(candidates) = search.next_stage() {
            for order in candidates.fitting {
                let actual = kernel::run(&operands, &g, &order.plan(&g), Kernel::Fast);
                if actual.iter().zip(&expected).all(|(a, b)| same(*a, *b)) {
                    return Some((order, stage));
                }
            }
            stage += 1;
        }
        None
    }

    #[test]
    fn registered_orders_and_their_relatives_are_found_under_their_own_names() {
        for (name, stage) in [
            ("onednn-direct/ic8", 0),
            ("sequential/chw-muladd-bias-last", 0),
            ("onednn-direct/ic64-muladd", 1),
            ("mkl-slow2d/kb320-t1", 1),
        ] {
            let (order, at) = found(name, [6, 96, 3, 3], 11).unwrap();
            assert_eq!(
                (order.to_string().as_str(), at),
                (name, stage + 1),
                "{name}"
            );
        }
    }

    #[test]
    fn recipes_that_orders_share_are_followed_once_and_count_for_each() {
        let weight = [6, 40, 3, 3];
        let arguments = Arguments {
            padding: Padding::Sizes([1, 1]),
            ..Arguments::default()
        };
        let g = conv2d::resolve([1, 40, 7, 6], weight, None, &arguments).unwrap();
        let (input, weights) = (values(3, 40 * 42), values(4, g.out_channels * g.taps()));
        let operands = Operands {
            input: &input,
            weight: &weights,
            bias: None,
        };
        let order: Order = "mkl-slow2d/kb192-t1".parse().unwrap();
        let expected = kernel::run(&operands, &g, &order.plan(&g), Kernel::Fast);
        let problem = Problem {
            operands,
            geometry: &g,
            dtype: FloatType::Float32,
            expected: &expected,
        };
        let search = Search::new(problem, Vec::new(), &[]);
        let elements = &search.sample[..24];
        let mut orders = table::search_space(&g, FloatType::Float32);
        orders.extend(
            relatives::all(&g, FloatType::Float32)
                .into_iter()
                .step_by(7),
        );
        let together = search.agreeing_of_each(&orders, elements);
        assert!(together.contains(&24) && together.iter().any(|&n| n < 12));
        for (order, n) in orders.into_iter().zip(together) {
            assert_eq!(search.agreeing(order, elements), n, "{order}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10))]

        #[test]
        fn neighbours_of_no_registered_order_are_found(
            loops in prop::sample::select(vec!["chw", "hwc", "hcw", "whc", "cwh", "wch"]),
            block in prop::sample::select(vec!["", "-ic4", "-ic8", "-ic16", "-ic32"]),
            parts in prop::sample::select(vec!["", "-each_block", "-kb128", "-halves192", "-even256"]),
            lanes in prop::sample::select(vec!["", "-lanes4_halving", "-lanes8_horizontal", "-lanes8_neighbours"]),
            step in prop::sample::select(vec!["fma", "muladd"]),
            bias in prop::sample::select(vec!["start", "first", "second", "last"]),
            zero in prop::sample::select(vec!["", "-zero"]),
            seed in any::<u64>(),
        ) {
            let name = format!("custom/{loops}{block}{parts}{lanes}-{step}-bias_{bias}{zero}");
            prop_assert!(found(&name, [5, 40, 3, 3], seed).is_some(), "{}", name);
        }
    }
}
