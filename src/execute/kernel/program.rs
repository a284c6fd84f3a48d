//! A recipe compiled for the kernels: where each tap lies in the padded input, and what happens to the total.
//!
//! The kernels take padding taps as +0 and leave out the taps that only fill up a blocked layout. That differs from
//! the recipe in nothing but this: a total of -0 can become +0 where a skipped tap is multiplied (or stay -0 where a
//! filled-up tap would have cleared it), and an infinite or NaN weight on a skipped tap makes a NaN. Both show in
//! the finished element, which is then a zero or a NaN, because every other total swallows a zero. So such elements
//! are computed again by the interpreter ([`Program::doubtful`]), and the result is exact.

use std::ops::Range;

use super::padded::Padded;
use crate::execute::Geometry;
use crate::execute::Real;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Tap;
use crate::execute::order::Walk;

/// What happens to the total, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// total = +0
    Zero,
    /// total = -0
    NegativeZero,
    /// total = bias
    SetBias,
    /// total += bias
    AddBias,
    /// The total goes on through these taps; or, if fresh, a chain of them from +0 is added to it.
    Chain { from: usize, to: usize, fresh: bool },
    /// The total is put aside.
    Save,
    /// The total is added to the one put aside last.
    AddToSaved,
}

/// Taps that are taken at a time, so that a tile's inputs stay in the nearest cache; few in tests, for many segments.
pub(super) const SEGMENT: usize = if cfg!(test) { 12 } else { 192 };

/// The same where no inputs are gathered: so that a block's weights stay in the second cache.
pub(super) const LONG_SEGMENT: usize = if cfg!(test) { 20 } else { 2304 };

/// Ops that a tile goes through without leaving the registers, and the taps that they meet.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) ops: Range<usize>,
    pub(super) taps: Range<usize>,
    /// Its ops again, if there is a single chain.
    pub(super) single: Option<Single>,
    /// Where its weights lie side by side in each filter, if they do.
    pub(super) source: Option<Source>,
}

/// What a total is before a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    Zero,
    NegativeZero,
    Bias,
    /// What the segments before have made of it.
    SoFar,
}

/// Ops with one chain: the total begins, a chain goes on from it or is added to it, and the bias may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Single {
    pub(super) begin: Begin,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) fresh: bool,
    pub(super) adds_bias: bool,
}

impl Single {
    fn of(ops: &[Op]) -> Option<Self> {
        let (begin, ops) = match ops {
            [Op::Zero, ops @ ..] => (Begin::Zero, ops),
            [Op::NegativeZero, ops @ ..] => (Begin::NegativeZero, ops),
            [Op::SetBias, ops @ ..] => (Begin::Bias, ops),
            ops => (Begin::SoFar, ops),
        };
        let (from, to, fresh, ops) = match ops {
            [Op::Chain { from, to, fresh }, ops @ ..] => (*from, *to, *fresh, ops),
            _ => return None,
        };
        let adds_bias = match ops {
            [] => false,
            [Op::AddBias] => true,
            _ => return None,
        };
        Some(Self {
            begin,
            from,
            to,
            fresh,
            adds_bias,
        })
    }
}

/// Weights of a range of taps that lie side by side in each filter, though not in the walk's sequence.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Index of the first within its filter.
    pub(super) start: usize,
    /// Of each, as they lie, its place in the range of taps.
    pub(super) places: Vec<u32>,
}

impl Source {
    fn of(weights: &[u32]) -> Option<Self> {
        let start = *weights.iter().min()? as usize;
        let mut places = vec![u32::MAX; weights.len()];
        for (place, &weight) in weights.iter().enumerate() {
            let to = places.get_mut(weight as usize - start)?;
            if *to != u32::MAX {
                return None;
            }
            *to = place as u32;
        }
        Some(Self { start, places })
    }
}

/// A recipe for the kernels.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// Offset of each tap from its pixel's place in the group's padded input.
    pub(super) offsets: Vec<u32>,
    /// Index of each tap's weight within its filter.
    pub(super) weights: Vec<u32>,
    pub(super) ops: Vec<Op>,
    /// The ops cut into pieces; between two of them the total can be put into the output and taken out again.
    pub(super) segments: Vec<Segment>,
    /// All ops again, if there is a single chain.
    pub(super) single: Option<Single>,
    /// All weights.
    pub(super) source: Option<Source>,
    pub(super) fused: bool,
    /// Padding taps should have been left out.
    skips: bool,
    /// Taps that fill up a blocked layout have been left out.
    fills: bool,
}

impl Program {
    /// `None` for recipes that are not chains, and where offsets outgrow 32 bits.
    pub(super) fn compile(
        g: &Geometry,
        padded: &Padded,
        recipe: &Recipe,
        bias: bool,
        segment: usize,
    ) -> Option<Self> {
        let fused = recipe.chained()?;
        let mut compiler = Compiler {
            block: recipe.walk.channel_block.min(g.group_in()) * g.kernel[0] * g.kernel[1],
            taps_met: 0,
            real: Vec::new(),
            ops: Vec::new(),
            bias,
            segment,
        };
        let mut program = Program {
            offsets: Vec::new(),
            weights: Vec::new(),
            ops: Vec::new(),
            segments: Vec::new(),
            single: None,
            source: None,
            fused,
            skips: recipe.padding != PaddingTaps::Zero && g.may_miss(),
            fills: recipe.walk.channels(g) != g.group_in(),
        };
        program.place_taps(g, padded, &recipe.walk, &mut compiler.real)?;
        if !compiler.steps(&recipe.steps) {
            compiler.ops.push(Op::Zero);
        }
        program.ops = compiler.ops;
        program.segments = segments(&program.ops, segment)
            .into_iter()
            .map(|(ops, taps)| Segment {
                single: Single::of(&program.ops[ops.clone()]),
                source: Source::of(&program.weights[taps.clone()]),
                ops,
                taps,
            })
            .collect();
        program.single = Single::of(&program.ops).filter(|ops| ops.begin != Begin::SoFar);
        program.source = Source::of(&program.weights);
        Some(program)
    }

    /// `real[t]`: how many of the first t taps are real.
    fn place_taps(
        &mut self,
        g: &Geometry,
        padded: &Padded,
        walk: &Walk,
        real: &mut Vec<usize>,
    ) -> Option<()> {
        // of the first channel's taps: to ask anew for each channel takes longer than a small layer
        let rows = 0..g.kernel[0];
        let within: Vec<usize> = rows
            .flat_map(|row| (0..g.kernel[1]).map(move |column| [row, column]))
            .map(|[row, column]| {
                padded.tap(
                    g,
                    &Tap {
                        channel: 0,
                        row,
                        column,
                    },
                )
            })
            .collect();
        for tap in walk.taps(g) {
            real.push(self.offsets.len());
            if tap.channel >= g.group_in() {
                continue;
            }
            let kernel = tap.row * g.kernel[1] + tap.column;
            let offset = tap.channel * padded.plane + within[kernel];
            let weight = tap.channel * within.len() + kernel;
            self.offsets.push(u32::try_from(offset).ok()?);
            self.weights.push(u32::try_from(weight).ok()?);
        }
        real.push(self.offsets.len());
        Some(())
    }

    /// Whether an element that came out as `value` must be computed again; `border`: some of its taps are padding.
    pub(super) fn doubtful<R: Real>(&self, value: R, border: bool) -> bool {
        (self.skips && border && (value == R::ZERO || value.is_nan()))
            || (self.fills && value.is_negative_zero())
    }

    /// Whether one of the values could be doubtful: a zero or no number. Wherever it is not, nothing else need be asked
    /// of them; a sum over all lanes, so that many are asked at a time.
    #[inline(always)]
    pub(super) fn may_doubt_any<R: Real>(values: &[R]) -> bool {
        values.iter().fold(false, |any, &value| {
            any | (value == R::ZERO) | (value.is_nan())
        })
    }

    /// Whether any element can be doubtful.
    pub(super) fn may_doubt(&self) -> bool {
        self.skips || self.fills
    }
}

struct Compiler {
    /// Taps of a block of input channels, whose weights lie side by side.
    block: usize,
    taps_met: usize,
    real: Vec<usize>,
    ops: Vec<Op>,
    bias: bool,
    /// Taps of a piece at most.
    segment: usize,
}

impl Compiler {
    /// A chain that goes on from the total can be cut anywhere.
    fn chain(&mut self, from: usize, to: usize, fresh: bool) {
        let piece = match (to - from).div_ceil(self.segment) {
            0 | 1 => to - from,
            _ if fresh => to - from,
            pieces => match self.segment / self.block {
                0 => (to - from).div_ceil(pieces),
                blocks => blocks * self.block,
            },
        };
        if let Some(Op::Chain {
            from: first,
            to: end,
            fresh: false,
        }) = self.ops.last_mut()
            && !fresh
            && *end == from
            && to - *first <= self.segment
        {
            *end = to;
            return;
        }
        let mut start = from;
        loop {
            let end = to.min(start + piece);
            self.ops.push(Op::Chain {
                from: start,
                to: end,
                fresh,
            });
            start = end;
            if start == to {
                return;
            }
        }
    }

    /// Whether the total is set afterwards.
    fn steps(&mut self, steps: &[Step]) -> bool {
        let mut set = false;
        for step in steps {
            match step {
                // programs run on operands that make no subnormal numbers
                Step::Flush => {}
                Step::Bias if !self.bias => {}
                Step::Bias => {
                    self.ops.push(if set { Op::AddBias } else { Op::SetBias });
                    set = true;
                }
                Step::Begin { .. } if set => {}
                Step::Begin { negative } => {
                    let zero = if *negative {
                        Op::NegativeZero
                    } else {
                        Op::Zero
                    };
                    self.ops.push(zero);
                    set = true;
                }
                Step::Fold { len, fresh, .. } => {
                    let from = self.real[self.taps_met];
                    self.taps_met += len;
                    let to = self.real[self.taps_met];
                    if !set {
                        self.ops.push(Op::Zero);
                    }
                    self.chain(from, to, *fresh && set);
                    set = true;
                }
                Step::Sub(steps) if set => {
                    let outside = self.ops.len();
                    self.ops.push(Op::Save);
                    if self.steps(steps) {
                        self.ops.push(Op::AddToSaved);
                    } else {
                        self.ops.truncate(outside); // an empty sum adds nothing
                    }
                }
                Step::Sub(steps) => set = self.steps(steps),
                Step::Seek(tap) => self.taps_met = *tap,
            }
        }
        set
    }
}

/// Cuts ops into pieces of at most `most` taps where that can be, with the taps of each.
fn segments(ops: &[Op], most: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let mut segments = Vec::new();
    let mut start = 0;
    let mut taps: Option<Range<usize>> = None;
    let mut at = 0;
    while at < ops.len() {
        let end = at + unit(&ops[at..]);
        if let Some(more) = taps_of(&ops[at..end]) {
            taps = Some(match taps {
                Some(so_far) if more.start == so_far.end && more.end - so_far.start <= most => {
                    so_far.start..more.end
                }
                Some(so_far) if !so_far.is_empty() => {
                    segments.push((start..at, so_far));
                    start = at;
                    more
                }
                _ => more,
            });
        }
        at = end;
    }
    segments.push((start..ops.len(), taps.unwrap_or(0..0)));
    segments
}

/// How many ops belong together: one, or all from a total that is put aside to where it is taken back.
fn unit(ops: &[Op]) -> usize {
    let mut depth = 0;
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Save => depth += 1,
            Op::AddToSaved => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    ops.len()
}

/// From the first tap that ops meet to the last. A chain may have none: of taps that only fill up.
fn taps_of(ops: &[Op]) -> Option<Range<usize>> {
    let mut met = None;
    for op in ops {
        if let Op::Chain { from, to, .. } = *op
            && from < to
        {
            let so_far = met.unwrap_or(from..to);
            met = Some(so_far.start.min(from)..so_far.end.max(to));
        }
    }
    met
}
