//! Orders spelled out: `custom/...`, for sums that no known backend makes.
//!
//! A registered order says whose it is; this grammar says what it does, so that an order found by a search, or
//! imagined by a user, can be named, pinned with `--order` and reproduced. Its words, in this sequence:
//!
//! | word | meaning |
//! |---|---|
//! | `chw` (any sequence of c, h, w) | the loops over channels, kernel rows, kernel columns, outermost first |
//! | `icB` | these loops run once for each block of B input channels |
//! | `kbK`, `halvesK`, `evenK` | partial sums of K products: the rest last; the last two blocks alike; as MKL on AMD |
//! | `each_block`, `each_h`, `each_hw` | a partial sum for each channel block, each step of the first loop or loops |
//! | `lanesL_halving`, `_horizontal`, `_neighbours` | a partial sum in L lanes, and how they are joined |
//! | `fma`, `muladd` | one rounding per step, or two |
//! | `bias_start`, `bias_first`, `bias_second`, `bias_last` | the first partial sum goes on from the bias; the bias comes before it, after it, at the end |
//! | `zero` | padding is multiplied as +0; without the word it is skipped |
//!
//! What is left out means: no channel blocks, one partial sum, one lane.

use std::fmt;

use crate::execute::Geometry;
use crate::execute::order::Axis;
use crate::execute::order::Fold;
use crate::execute::order::Join;
use crate::execute::order::PaddingTaps;
use crate::execute::order::Recipe;
use crate::execute::order::Step;
use crate::execute::order::Walk;
use crate::execute::order::blocks;
use crate::execute::order::mkl::KBlocks;
use crate::execute::order::name::number;

/// Which products make a partial sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Parts {
    /// All of them: one sum.
    One,
    /// So many products, the rest last.
    Blocks(usize),
    /// A library's way of cutting all products.
    Library(KBlocks),
    /// Each block of input channels.
    EachBlock,
    /// Each step of so many outer loops: 1 or 2.
    EachLoop(usize),
}

/// Where the bias enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bias {
    /// The first partial sum goes on from it.
    Start,
    /// It is there first; every partial sum is added to it.
    First,
    /// After the first partial sum.
    Second,
    /// At the end.
    Last,
}

impl Bias {
    /// All of them.
    pub const ALL: [Bias; 4] = [Bias::Start, Bias::First, Bias::Second, Bias::Last];

    fn name(self) -> &'static str {
        match self {
            Bias::Start => "bias_start",
            Bias::First => "bias_first",
            Bias::Second => "bias_second",
            Bias::Last => "bias_last",
        }
    }
}

/// What a name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Outermost first.
    pub loops: [Axis; 3],
    /// Input channels per block around the loops; all of them where absent.
    pub channel_block: Option<usize>,
    /// Partial sums.
    pub parts: Parts,
    /// Lanes of a partial sum, and how they are joined.
    pub lanes: Option<(usize, Join)>,
    /// One rounding per step instead of two.
    pub fused: bool,
    /// Where the bias enters.
    pub bias: Bias,
    /// Padding is multiplied instead of skipped.
    pub zero_padding: bool,
}

/// More lanes than any vector unit has.
const MOST_LANES: usize = 64;

const JOINS: [(Join, &str); 3] = [
    (Join::Halving, "halving"),
    (Join::Horizontal, "horizontal"),
    (Join::HalfThenNeighbours, "neighbours"),
];

/// All sequences of the three loops.
pub const LOOPS: [[Axis; 3]; 6] = {
    use Axis::Channel as C;
    use Axis::Column as W;
    use Axis::Row as H;
    [
        [C, H, W],
        [H, W, C],
        [H, C, W],
        [W, H, C],
        [C, W, H],
        [W, C, H],
    ]
};

fn letter(axis: Axis) -> char {
    match axis {
        Axis::Channel | Axis::SwappedPairs => 'c',
        Axis::Row => 'h',
        Axis::Column => 'w',
    }
}

fn letters(loops: &[Axis]) -> String {
    loops.iter().map(|&axis| letter(axis)).collect()
}

impl Variant {
    /// The sequence of the taps.
    pub fn walk(&self) -> Walk {
        Walk {
            channel_block: self.channel_block.unwrap_or(usize::MAX),
            fill_to: 1,
            joined_columns: 1,
            loops: self.loops,
        }
    }

    /// Taps of each partial sum, in walk order.
    pub fn lengths(&self, g: &Geometry) -> Vec<usize> {
        let total = g.taps();
        let channels = g.group_in();
        let block = self
            .channel_block
            .map_or(channels, |b| b.clamp(1, channels));
        match self.parts {
            Parts::One => vec![total],
            Parts::Blocks(k) => blocks(total, k).collect(),
            Parts::Library(cut) => {
                let ranges = cut.ranges(false, total).into_iter();
                ranges.map(|range| range.len()).collect()
            }
            Parts::EachBlock => blocks(total, block * g.kernel[0] * g.kernel[1]).collect(),
            Parts::EachLoop(outer) => blocks(channels, block)
                .flat_map(|channels| {
                    let size = |axis: &Axis| match axis {
                        Axis::Channel | Axis::SwappedPairs => channels,
                        Axis::Row => g.kernel[0],
                        Axis::Column => g.kernel[1],
                    };
                    let (outside, inside) = self.loops.split_at(outer.min(2));
                    let times = outside.iter().map(size).product();
                    std::iter::repeat_n(inside.iter().map(size).product(), times)
                })
                .collect(),
        }
    }

    /// How a partial sum is made.
    pub fn fold(&self) -> Fold {
        match self.lanes {
            None => Fold::Chain { fused: self.fused },
            Some((lanes, join)) => Fold::Lanes {
                head: 0,
                lanes,
                group: lanes,
                join,
                fused: self.fused,
            },
        }
    }

    /// How every element of `g` is summed.
    pub fn recipe(&self, g: &Geometry) -> Recipe {
        let fold = self.fold();
        let mut steps: Vec<Step> = self
            .lengths(g)
            .into_iter()
            .enumerate()
            .map(|(i, len)| Step::Fold {
                len,
                fresh: i > 0 || self.bias != Bias::Start,
                fold,
            })
            .collect();
        let at = match self.bias {
            Bias::Start | Bias::First => 0,
            Bias::Second => 1,
            Bias::Last => steps.len(),
        };
        steps.insert(at, Step::Bias);
        Recipe {
            walk: self.walk(),
            padding: match self.zero_padding {
                true => PaddingTaps::Zero,
                false => PaddingTaps::Skipped,
            },
            steps,
        }
    }

    /// Reads what `Display` writes: the words after the slash.
    pub(super) fn parse(words: &[&str]) -> Option<Self> {
        let (loops, mut rest) = words.split_first()?;
        let loops = LOOPS.into_iter().find(|l| letters(l) == *loops)?;
        let mut next = |read: &dyn Fn(&str) -> bool| {
            let (word, others) = rest.split_first()?;
            read(word).then(|| {
                rest = others;
                *word
            })
        };
        let channel_block = next(&|word| number(word, "ic").is_some());
        let parts = next(&|word| parts(word, &loops).is_some());
        let lanes = next(&|word| lanes(word).is_some());
        let step = next(&|word| matches!(word, "fma" | "muladd"))?;
        let bias = next(&|word| Bias::ALL.iter().any(|bias| bias.name() == word))?;
        let zero_padding = next(&|word| word == "zero").is_some();
        let variant = Variant {
            loops,
            channel_block: channel_block.and_then(|word| number(word, "ic")),
            parts: parts.map_or(Some(Parts::One), |word| self::parts(word, &loops))?,
            lanes: lanes.and_then(self::lanes),
            fused: step == "fma",
            bias: Bias::ALL.into_iter().find(|b| b.name() == bias)?,
            zero_padding,
        };
        rest.is_empty().then_some(variant)
    }
}

fn parts(word: &str, loops: &[Axis; 3]) -> Option<Parts> {
    if let Some(k) = number(word, "kb") {
        return Some(Parts::Blocks(k));
    }
    if let Some(most) = number(word, "halves") {
        return Some(Parts::Library(KBlocks::Halves(most)));
    }
    if let Some(most) = number(word, "even") {
        return Some(Parts::Library(KBlocks::Even(most)));
    }
    match word.strip_prefix("each_")? {
        "block" => Some(Parts::EachBlock),
        outer => (1..=2)
            .find(|&n| letters(&loops[..n]) == outer)
            .map(Parts::EachLoop),
    }
}

fn lanes(word: &str) -> Option<(usize, Join)> {
    let (lanes, join) = word.split_once('_')?;
    let lanes = number(lanes, "lanes")?;
    let (join, _) = JOINS.into_iter().find(|(_, name)| *name == join)?;
    let possible = match join {
        Join::Halving => lanes.is_power_of_two() && (2..=MOST_LANES).contains(&lanes),
        Join::Horizontal | Join::HalfThenNeighbours => matches!(lanes, 4 | 8),
        Join::Sequence | Join::HalvingThenSequence | Join::Registers | Join::Pairs => false, // have no name here
    };
    possible.then_some((lanes, join))
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&letters(&self.loops))?;
        if let Some(block) = self.channel_block {
            write!(f, "-ic{block}")?;
        }
        match self.parts {
            Parts::One => {}
            Parts::Blocks(k) => write!(f, "-kb{k}")?,
            Parts::Library(KBlocks::Halves(most)) => write!(f, "-halves{most}")?,
            Parts::Library(KBlocks::Even(most)) => write!(f, "-even{most}")?,
            // no name reads as these
            Parts::Library(other) => write!(f, "-{other}")?,
            Parts::EachBlock => write!(f, "-each_block")?,
            Parts::EachLoop(outer) => write!(f, "-each_{}", letters(&self.loops[..outer]))?,
        }
        if let Some((lanes, join)) = self.lanes {
            let name = JOINS.iter().find(|(j, _)| *j == join);
            write!(f, "-lanes{lanes}_{}", name.map_or("halving", |(_, n)| n))?;
        }
        let step = if self.fused { "fma" } else { "muladd" };
        write!(f, "-{step}-{}", self.bias.name())?;
        if self.zero_padding {
            f.write_str("-zero")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Option<Variant> {
        Variant::parse(&name.split('-').collect::<Vec<_>>())
    }

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [
            "chw-muladd-bias_last-zero",
            "hwc-ic8-fma-bias_start",
            "hwc-ic16-each_block-fma-bias_second",
            "hwc-each_hw-lanes8_neighbours-muladd-bias_first",
            "whc-each_w-fma-bias_last",
            "chw-halves384-fma-bias_last-zero",
            "chw-even192-lanes16_halving-fma-bias_first",
            "cwh-kb640-lanes4_horizontal-fma-bias_start",
        ] {
            assert_eq!(parse(name).map(|v| v.to_string()).as_deref(), Some(name));
        }
    }

    #[test]
    fn what_means_nothing_is_refused() {
        for name in [
            "",
            "chh-fma-bias_last",
            "chw-fma",
            "chw-bias_last-fma",
            "chw-kb0-fma-bias_last",
            "chw-each_h-fma-bias_last",
            "chw-lanes3_halving-fma-bias_last",
            "chw-lanes16_horizontal-fma-bias_last",
            "chw-fma-bias_last-zero-zero",
            "chw-kb8-ic8-fma-bias_last",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
