//! Accumulation orders as data.
//!
//! One output element of a convolution is a sum of K = (C/G)*KH*KW products and a bias. Which bits come out depends
//! on everything that real arithmetic forgets: which products are met first, whether a product is rounded before it
//! is added, where partial sums are kept and how they are joined. The vocabulary here is small:
//!
//! * a [`Walk`] is the sequence in which the taps (c, kh, kw) are met;
//! * a [`Recipe`] cuts that sequence into [`Step`]s, says how each is folded into one number ([`Fold`]), whether it
//!   goes on from the running total or starts afresh, what padding taps do, and where the bias enters;
//! * a [`Plan`] says which recipe each output element follows: most orders have one recipe for all of them, but
//!   matrix multiplication libraries treat the edges of their tiles differently;
//! * an [`Order`] is a named rule that makes a plan for every geometry. [`table`] registers them all.
//!
//! [`interpret`] executes any plan, one element at a time, straight from these words: it is the truth that the
//! kernels in [`crate::execute::kernel`] are tested against.

use std::ops::Range;

use crate::execute::Geometry;

pub mod acl;
pub mod bf16;
pub mod blas;
pub mod brgemm;
pub mod custom;
pub mod gemm;
pub mod interpret;
pub mod inverted;
pub mod mkl;
pub mod name;
pub mod native;
pub mod nnpack;
pub mod onednn;
pub mod strided;
pub mod table;
pub mod trace;
pub mod transposed;
pub mod tree;

#[cfg(test)]
pub(crate) mod tests;

pub use name::Order;

/// One of the three loops over the taps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Axis {
    /// Input channels of one block.
    Channel,
    /// The same, of every two the second one first: an instruction that multiplies pairs of bfloat16 adds them so.
    SwappedPairs,
    /// Kernel rows.
    Row,
    /// Kernel columns.
    Column,
}

/// The sequence in which taps are met: for each block of `channel_block` input channels, three nested loops.
///
/// Block 1 with rows before columns is c, kh, kw (im2col); a block as large as C/G is one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Walk {
    /// Input channels per outermost block; the last may be shorter.
    pub channel_block: usize,
    /// Channels are filled up to a multiple of this with products +0*+0, as blocked layouts are. They change nothing
    /// but the sign of a zero.
    pub fill_to: usize,
    /// Neighbouring kernel columns that are taken for further input channels, column by column: a divisor of the
    /// kernel's width.
    pub joined_columns: usize,
    /// Outermost first.
    pub loops: [Axis; 3],
}

impl Walk {
    /// c, kh, kw: im2col's.
    pub const IM2COL: Walk = Walk {
        channel_block: 1,
        fill_to: 1,
        joined_columns: 1,
        loops: [Axis::Channel, Axis::Row, Axis::Column],
    };

    /// kh, kw, c: channels innermost, all of them.
    pub const CHANNELS_LAST: Walk = Walk {
        channel_block: usize::MAX,
        fill_to: 1,
        joined_columns: 1,
        loops: [Axis::Row, Axis::Column, Axis::Channel],
    };

    /// kh, kw, c within blocks of `channel_block` input channels, as in a blocked layout.
    pub const fn blocked(channel_block: usize) -> Walk {
        Walk {
            channel_block,
            fill_to: channel_block,
            joined_columns: 1,
            loops: [Axis::Row, Axis::Column, Axis::Channel],
        }
    }

    /// Input channels walked per group, those filled up counted.
    pub fn channels(&self, g: &Geometry) -> usize {
        g.group_in().next_multiple_of(self.fill_to)
    }

    /// The taps in order; there are [`Walk::channels`]*KH*KW of them.
    pub fn taps(&self, g: &Geometry) -> Vec<Tap> {
        let real_channels = self.channels(g);
        let channels = real_channels * self.joined_columns;
        let block = self.channel_block.clamp(1, channels);
        let mut taps = Vec::with_capacity(real_channels * g.kernel[0] * g.kernel[1]);
        for first in (0..channels).step_by(block) {
            let sizes = |axis| match axis {
                Axis::Channel | Axis::SwappedPairs => block.min(channels - first),
                Axis::Row => g.kernel[0],
                Axis::Column => g.kernel[1] / self.joined_columns,
            };
            let [a, b, c] = self.loops;
            for i in 0..sizes(a) {
                for j in 0..sizes(b) {
                    for k in 0..sizes(c) {
                        let mut tap = Tap {
                            channel: first,
                            row: 0,
                            column: 0,
                        };
                        for (axis, at) in [(a, i), (b, j), (c, k)] {
                            match axis {
                                Axis::Channel => tap.channel += at,
                                Axis::SwappedPairs => {
                                    let other = at ^ 1;
                                    let alone = other >= sizes(axis);
                                    tap.channel += if alone { at } else { other };
                                }
                                Axis::Row => tap.row = at,
                                Axis::Column => tap.column = at,
                            }
                        }
                        if self.joined_columns > 1 {
                            let column = tap.column * self.joined_columns;
                            tap.column = column + tap.channel / real_channels;
                            tap.channel %= real_channels;
                        }
                        taps.push(tap);
                    }
                }
            }
        }
        taps
    }
}

/// One product: input channel within the group, kernel row, kernel column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tap {
    /// Input channel, counted from the group's first; C/G or more: filled up, +0 times +0.
    pub channel: usize,
    /// Kernel row.
    pub row: usize,
    /// Kernel column.
    pub column: usize,
}

/// What a tap that falls into the zero padding does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PaddingTaps {
    /// Nothing: it is left out. A fold of which nothing is left is +0.
    Skipped,
    /// Nothing, and a fold or sub-total of which nothing is left does not take place at all: the kernel is not called.
    /// Where none takes place, the total is +0. This shows in the sign of zero.
    Dropped,
    /// It takes part with x = +0, which shows with infinite weights and with the sign of zero.
    Zero,
    /// Beside a row of the input it takes part with x = +0, elsewhere it is [`PaddingTaps::Dropped`]: what is read is a
    /// copy of the rows with their padding made real.
    ZeroColumns,
}

impl PaddingTaps {
    /// Whether a fold of which nothing is left does not take place at all.
    pub fn drops_folds(self) -> bool {
        matches!(self, PaddingTaps::Dropped | PaddingTaps::ZeroColumns)
    }

    /// Whether the tap (kh, kw) of output (oh, ow), which reads nothing, takes part with x = +0.
    pub fn takes_part(self, g: &Geometry, [oh, ow]: [usize; 2], [kh, kw]: [usize; 2]) -> bool {
        match self {
            PaddingTaps::Skipped | PaddingTaps::Dropped => false,
            PaddingTaps::Zero => true,
            PaddingTaps::ZeroColumns => g.input_at(0, oh, kh).is_some() && g.meets_columns(ow, kw),
        }
    }
}

/// How the lanes of a [`Fold::Lanes`] become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Join {
    /// The upper half onto the lower half, again and again: (0+4), ..., then (0+2), (1+3), then 0+1.
    Halving,
    /// One after the other, the first lane first.
    Sequence,
    /// The upper half onto the lower half down to eight lanes, those in sequence.
    HalvingThenSequence,
    /// Neighbours first, as AVX's horizontal add: ((0+1)+(4+5)) + ((2+3)+(6+7)); of four (0+1) + (2+3).
    Horizontal,
    /// The upper half onto the lower half, then neighbours: ((0+4)+(1+5)) + ((2+6)+(3+7)).
    HalfThenNeighbours,
    /// Neighbours, again and again, as SVE's horizontal add: ((0+1)+(2+3)) + ((4+5)+(6+7)).
    Pairs,
    /// Registers of two lanes, neighbours first, then the two: ((0+2)+(4+6)) + ((1+3)+(5+7)).
    Registers,
}

/// How the products of one segment become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fold {
    /// One accumulator: acc = acc + x*w, tap after tap.
    Chain {
        /// One rounding per step (`mul_add`) instead of two.
        fused: bool,
    },
    /// The first `head` products in sequence; then whole groups of `group` products, the t-th of them all onto lane
    /// t mod `lanes`, lane 0 going on from the head's sum; the lanes joined; the rest in sequence onto that.
    /// Where not one whole group fits, everything is in sequence.
    Lanes {
        /// Products before the lanes start.
        head: usize,
        /// Accumulators.
        lanes: usize,
        /// Products taken at a time: a multiple of `lanes`, or 1 where the lanes take what is left over as well.
        group: usize,
        /// How the lanes are joined.
        join: Join,
        /// One rounding per step instead of two.
        fused: bool,
    },
    /// For each eight products p: s+p0, +p1, +p2, +p3, then + (((p4+p5)+p6)+p7); the rest in sequence. Two roundings.
    Eights,
    /// One accumulator and one rounding per step, in arithmetic without subnormal numbers: operands and sums that are
    /// subnormal count as zeros of their sign.
    FlushedChain,
    /// As many accumulators as `lanes`: whole groups of products dealt out one after the other, what is left over onto
    /// the first, then ((0+1)+2)+...
    Interleaved {
        /// Accumulators.
        lanes: usize,
        /// One rounding per step instead of two.
        fused: bool,
    },
    /// Pieces: as many times twice the lanes as there are, then half of that again and again down to one product.
    /// In each, lanes by position in the piece, joined as [`Join::Horizontal`] and added to the sum.
    Pieces {
        /// Accumulators: 8 or 4.
        lanes: usize,
        /// One rounding per step instead of two.
        fused: bool,
    },
}

/// One step of a sum. "The total" is unset at the start; adding to an unset total sets it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The bias is added to the total; nothing happens where there is none.
    Bias,
    /// The next `len` taps in walk order (padding taps counted) are folded together.
    Fold {
        /// Taps.
        len: usize,
        /// Whether they start from +0 and are added to the total; else they go on from the total (+0 if unset).
        fresh: bool,
        /// How their products become one number.
        fold: Fold,
    },
    /// A total that is unset becomes a zero: +0; or -0, to which every term adds as itself.
    Begin {
        /// -0 instead of +0.
        negative: bool,
    },
    /// These steps have a total of their own, which is then added to the outer one.
    Sub(Vec<Step>),
    /// The next fold takes the taps from this one on, counted in walk order: partial sums of several threads may be
    /// added in another sequence than that of their taps.
    Seek(usize),
    /// A total that is subnormal becomes a zero of its sign.
    Flush,
}

impl Step {
    /// One accumulator that goes on from the total.
    pub fn chain(len: usize, fused: bool) -> Step {
        Step::Fold {
            len,
            fresh: false,
            fold: Fold::Chain { fused },
        }
    }

    /// One accumulator from +0, added to the total.
    pub fn fresh_chain(len: usize, fused: bool) -> Step {
        Step::Fold {
            len,
            fresh: true,
            fold: Fold::Chain { fused },
        }
    }

    /// Taps that are folded.
    pub fn taps(&self) -> usize {
        match self {
            Step::Bias | Step::Begin { .. } | Step::Seek(_) | Step::Flush => 0,
            Step::Fold { len, .. } => *len,
            Step::Sub(steps) => steps.iter().map(Step::taps).sum(),
        }
    }
}

/// How one output element is summed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recipe {
    /// Sequence of the taps.
    pub walk: Walk,
    /// What padding taps do.
    pub padding: PaddingTaps,
    /// The steps; the taps of their folds add up to the walk's.
    pub steps: Vec<Step>,
}

impl Recipe {
    /// Whether every fold is a chain of one kind of step, which is what the kernels can run (flushed chains where
    /// nothing can be subnormal): `Some(fused)` if so.
    pub fn chained(&self) -> Option<bool> {
        fn visit(steps: &[Step], kind: &mut Option<bool>) -> bool {
            steps.iter().all(|step| match step {
                Step::Bias | Step::Begin { .. } | Step::Seek(_) | Step::Flush => true,
                Step::Sub(steps) => visit(steps, kind),
                Step::Fold {
                    fold: Fold::Chain { fused },
                    ..
                } => *kind.get_or_insert(*fused) == *fused,
                Step::Fold {
                    fold: Fold::FlushedChain,
                    ..
                } => *kind.get_or_insert(true),
                Step::Fold { .. } => false,
            })
        }
        let mut kind = None;
        visit(&self.steps, &mut kind).then(|| kind.unwrap_or(true))
    }

    /// Whether subnormal numbers count as zeros anywhere.
    pub fn flushes(&self) -> bool {
        fn visit(steps: &[Step]) -> bool {
            steps.iter().any(|step| match step {
                Step::Flush => true,
                Step::Sub(steps) => visit(steps),
                Step::Fold { fold, .. } => *fold == Fold::FlushedChain,
                Step::Bias | Step::Begin { .. } | Step::Seek(_) => false,
            })
        }
        visit(&self.steps)
    }
}

/// A rectangle of output elements that follow one recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Images.
    pub images: Range<usize>,
    /// Output channels, counted over all groups.
    pub channels: Range<usize>,
    /// Output pixels, oh*OW + ow.
    pub pixels: Range<usize>,
    /// Index into [`Plan::recipes`].
    pub recipe: usize,
}

impl Region {
    /// Number of output elements.
    pub fn len(&self) -> usize {
        self.images.len() * self.channels.len() * self.pixels.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Start and end of images, channels, pixels.
    fn bounds(&self) -> [[usize; 2]; 3] {
        [&self.images, &self.channels, &self.pixels].map(|range| [range.start, range.end])
    }

    /// Grows by `next` where that follows on `axis` and is otherwise alike; whether it did.
    fn absorb(&mut self, next: &Region, axis: usize) -> bool {
        let (mine, theirs) = (self.bounds(), next.bounds());
        let alike = (0..3).all(|other| other == axis || mine[other] == theirs[other]);
        if !alike || self.recipe != next.recipe || mine[axis][1] != theirs[axis][0] {
            return false;
        }
        let range = [&mut self.images, &mut self.channels, &mut self.pixels];
        for (i, range) in range.into_iter().enumerate() {
            if i == axis {
                range.end = theirs[axis][1];
            }
        }
        true
    }
}

/// An order applied to one geometry: disjoint regions that cover the output, and their recipes.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Plan {
    /// The different recipes.
    pub recipes: Vec<Recipe>,
    /// Who follows which.
    pub regions: Vec<Region>,
    /// NNPACK's algorithms: the output is not executed from recipes, but by [`crate::execute::nnpack`]. Regions, where
    /// there are any, tell the sums that it takes.
    pub nnpack: Option<nnpack::Blocked>,
}

impl Plan {
    /// Every element by the same recipe.
    pub fn uniform(g: &Geometry, recipe: Recipe) -> Self {
        let mut plan = Self::default();
        plan.add(0..g.batch, 0..g.out_channels, 0..g.pixels(), recipe);
        plan
    }

    /// Adds a region; an empty one is left out, and a recipe that is there already is shared.
    pub fn add(
        &mut self,
        images: Range<usize>,
        channels: Range<usize>,
        pixels: Range<usize>,
        recipe: Recipe,
    ) {
        let region = Region {
            images,
            channels,
            pixels,
            recipe: 0,
        };
        if region.is_empty() {
            return;
        }
        let known = self.recipes.iter().position(|r| *r == recipe);
        let recipe = known.unwrap_or_else(|| {
            self.recipes.push(recipe);
            self.recipes.len() - 1
        });
        self.regions.push(Region { recipe, ..region });
    }

    /// Joins regions of one recipe that lie side by side: along the pixels, the channels, the images. Recipes and
    /// regions are put into the sequence in which the output has them.
    pub fn merge(&mut self) {
        for axis in [2, 1, 0] {
            self.regions.sort_by_key(|region| {
                let mut others = region.bounds();
                others[axis] = [0, 0];
                (others, region.recipe, region.bounds()[axis])
            });
            self.regions.dedup_by(|next, last| last.absorb(next, axis));
        }
        self.regions.sort_by_key(Region::bounds);
        let mut places = Vec::new();
        for region in &mut self.regions {
            let known = places.iter().position(|&recipe| recipe == region.recipe);
            region.recipe = known.unwrap_or_else(|| {
                places.push(region.recipe);
                places.len() - 1
            });
        }
        self.recipes = places
            .into_iter()
            .map(|recipe| self.recipes[recipe].clone())
            .collect();
    }

    /// The region of the output element (image, channel, pixel).
    pub fn region_at(&self, image: usize, channel: usize, pixel: usize) -> Option<&Region> {
        self.regions.iter().find(|r| {
            r.images.contains(&image) && r.channels.contains(&channel) && r.pixels.contains(&pixel)
        })
    }
}

/// `total` cut into pieces of `block`, the last shorter; nothing for 0.
pub(crate) fn blocks(total: usize, block: usize) -> impl Iterator<Item = usize> {
    (0..total)
        .step_by(block.max(1))
        .map(move |start| block.min(total - start))
}
