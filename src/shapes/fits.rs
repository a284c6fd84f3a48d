//! Which inputs would fit: found by trying.
//!
//! A walk takes microseconds to milliseconds, so sizes are tried one after another: all small ones, those around the
//! given one, then every size up to twice as large, until a fixed amount of work is done. What fits is put into words by
//! comparing the sizes that fit with those that were tried. Height and width are tried equal; whether they may differ
//! is tried at the ends of what was found.

use std::collections::BTreeMap;

use super::call::Wrong;
use super::walk::{Model, Walk};
use crate::bytes::Limits;
use crate::error::{Error, ErrorKind, Result};

/// Expressions evaluated in all trials.
const WORK: u64 = 1_500_000;
/// Small sizes that are tried all.
const SMALL: usize = 80;

/// Sizes that fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fits {
    /// Channels of the first input.
    pub channels: Option<usize>,
    /// Names of the axes that the sizes are about: `H` and `W`, `L`, ...
    pub axes: Vec<&'static str>,
    /// Which sizes.
    pub sizes: Sizes,
    /// Whether the axes may differ from each other.
    pub apart: bool,
    /// The largest size that was tried.
    pub tried: usize,
    /// The smallest size that comes as far as the first fully connected layer that no size (or only some) fits.
    pub reaches: Option<usize>,
    /// Path of that layer, or the operator where it is in no module.
    pub pinned_by: Option<String>,
}

/// A set of sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// None that was tried.
    None,
    /// From this one up.
    From(usize),
    /// From the first to the second.
    Range(usize, usize),
    /// Multiples of the first, from the second up.
    Multiples(usize, usize),
    /// These ranges.
    Ranges(Vec<(usize, usize)>),
}

/// What one size leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Fits,
    /// The fully connected layer at that path does not take it.
    Pinned(String),
    No,
}

struct Search<'m> {
    model: &'m Model,
    shapes: Vec<Vec<usize>>,
    /// The inputs that are changed together: those of the first one's size.
    inputs: Vec<usize>,
    /// The axes that are changed together.
    axes: Vec<usize>,
    limits: Limits,
    left: u64,
}

/// The sizes of the first input that fit, channels corrected first.
pub(super) fn search(
    model: &Model,
    shapes: &[Vec<usize>],
    walk: &Walk,
    limits: &Limits,
) -> Result<Option<Fits>> {
    let Some(first) = shapes.first() else {
        return Ok(None);
    };
    let (axes, letters): (Vec<usize>, &[&str]) = match first.len() {
        3 => (vec![2], &["L"]),
        4 => (vec![2, 3], &["H", "W"]),
        5 => (vec![2, 3, 4], &["D", "H", "W"]),
        _ => return Ok(None),
    };
    let mut limits = limits.clone();
    limits.program_steps = limits.program_steps.min(WORK);
    let alike = |shape: &Vec<usize>| {
        shape.len() == first.len() && axes.iter().all(|&axis| shape[axis] == first[axis])
    };
    let inputs = (0..shapes.len())
        .filter(|&input| alike(&shapes[input]))
        .collect();
    let mut search = Search {
        model,
        inputs,
        shapes: shapes.to_vec(),
        axes,
        limits,
        left: WORK,
    };
    let mut channels = None;
    if let Some(broken) = &walk.broken
        && broken.what == Wrong::Channels
        && let Some(expected) = broken.expected
    {
        search.shapes[0][1] = expected;
        channels = Some(expected);
    }
    let mut answers = search.squares(first[search.axes[0]])?;
    if channels.is_some() && answers.values().all(|answer| *answer != Answer::Fits) {
        return Ok(None);
    }
    search.refine(&mut answers)?;
    let sizes = described(&answers);
    let reaches = answers
        .iter()
        .find(|(_, answer)| **answer != Answer::No)
        .map(|(size, _)| *size);
    let pinned_by = answers.values().find_map(|answer| match answer {
        Answer::Pinned(path) => Some(path.clone()),
        _ => None,
    });
    Ok(Some(Fits {
        channels: channels.or(Some(search.shapes[0][1])),
        axes: letters.to_vec(),
        apart: search.apart(&sizes)?,
        tried: answers.keys().last().copied().unwrap_or(0),
        reaches: reaches.filter(|_| pinned_by.is_some()),
        pinned_by,
        sizes,
    }))
}

impl Search<'_> {
    fn answer(&mut self, sizes: &[usize]) -> Result<Answer> {
        for input in &self.inputs {
            for (axis, size) in self.axes.iter().zip(sizes) {
                self.shapes[*input][*axis] = *size;
            }
        }
        let run = match self.model.run(&self.shapes, false, &self.limits) {
            Ok(run) => run,
            Err(error) if error.kind() == ErrorKind::Limit => {
                self.left = 0;
                return Ok(Answer::No);
            }
            Err(error) => return Err(error),
        };
        self.left = self.left.saturating_sub(run.cost.max(1));
        Ok(match (&run.trace.broken, &run.outputs) {
            (None, Some(_)) if run.trace.warnings.is_empty() => Answer::Fits,
            (Some(broken), _) if broken.what == Wrong::Features => {
                Answer::Pinned(broken.path.clone())
            }
            // a batch that became another one
            (None, Some(_)) => Answer::Pinned(String::new()),
            _ => Answer::No,
        })
    }

    fn square(&mut self, size: usize) -> Result<Answer> {
        let sizes = vec![size; self.axes.len()];
        self.answer(&sizes)
    }

    fn squares(&mut self, given: usize) -> Result<BTreeMap<usize, Answer>> {
        let mut answers = BTreeMap::new();
        let near = given.saturating_sub(3)..given.saturating_add(4);
        let far = [1usize, 2]
            .map(|times| given.saturating_mul(times))
            .into_iter();
        let coarse = (1..=32)
            .map(|n| n * 32)
            .filter(|n| *n <= given.saturating_mul(2));
        let all = far
            .chain(near)
            .chain(1..=SMALL)
            .chain(coarse)
            .chain(SMALL..given.saturating_mul(2).min(1024));
        for size in all {
            if size == 0 || answers.contains_key(&size) {
                continue;
            }
            if self.left == 0 {
                break;
            }
            let answer = self.square(size)?;
            answers.insert(size, answer);
        }
        Ok(answers)
    }

    /// Tries what lies between a size that fits and the next tried one that does not, by halves.
    fn refine(&mut self, answers: &mut BTreeMap<usize, Answer>) -> Result<()> {
        loop {
            let pairs: Vec<(usize, Answer)> = answers
                .iter()
                .map(|(size, answer)| (*size, answer.clone()))
                .collect();
            let gap = pairs.windows(2).find(|pair| {
                let fits = |n: usize| pair[n].1 == Answer::Fits;
                fits(0) != fits(1) && pair[1].0 - pair[0].0 > 1
            });
            let Some([(low, _), (high, _)]) = gap.map(|pair| [pair[0].clone(), pair[1].clone()])
            else {
                return Ok(());
            };
            // a budget of its own: a few dozen walks at most
            if answers.len() > 4000 {
                return Err(Error::limit("too many sizes to try"));
            }
            let middle = low + (high - low) / 2;
            let answer = self.square(middle)?;
            answers.insert(middle, answer);
        }
    }

    /// Whether the axes may differ, tried at two corners.
    fn apart(&mut self, sizes: &Sizes) -> Result<bool> {
        let (low, high) = match *sizes {
            Sizes::From(low) => (low, low.saturating_mul(2).saturating_add(1)),
            Sizes::Range(low, high) => (low, high),
            Sizes::Multiples(step, low) => (low, low + step),
            _ => return Ok(false),
        };
        let mut corner = vec![low; self.axes.len()];
        let mut other = vec![high; self.axes.len()];
        if let (Some(last), Some(first)) = (corner.last_mut(), other.last_mut()) {
            (*last, *first) = (high, low);
        }
        Ok(self.axes.len() == 1
            || self.answer(&corner)? == Answer::Fits && self.answer(&other)? == Answer::Fits)
    }
}

fn described(answers: &BTreeMap<usize, Answer>) -> Sizes {
    let fits: Vec<usize> = answers
        .iter()
        .filter(|(_, answer)| **answer == Answer::Fits)
        .map(|(size, _)| *size)
        .collect();
    let (Some(&first), Some(&last)) = (fits.first(), fits.last()) else {
        return Sizes::None;
    };
    let tried_from = |low: usize| answers.range(low..).map(|(size, _)| *size);
    if tried_from(first).eq(fits.iter().copied()) {
        return Sizes::From(first);
    }
    let step = fits.iter().copied().reduce(common).unwrap_or(1);
    if step > 1
        && tried_from(first)
            .filter(|size| size % step == 0)
            .eq(fits.iter().copied())
    {
        return match fits.len() {
            1 => Sizes::Range(first, first),
            _ => Sizes::Multiples(step, first),
        };
    }
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    let mut open = false;
    for (&size, answer) in answers {
        match (answer == &Answer::Fits, open, ranges.last_mut()) {
            (true, true, Some(range)) => range.1 = size,
            (true, ..) => ranges.push((size, size)),
            _ => {}
        }
        open = answer == &Answer::Fits;
    }
    match ranges[..] {
        [(low, high)] => Sizes::Range(low, high),
        _ => {
            debug_assert!(first <= last);
            Sizes::Ranges(ranges)
        }
    }
}

/// The greatest common divisor.
fn common(a: usize, b: usize) -> usize {
    if b == 0 { a } else { common(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::{Answer, Sizes, described};

    fn sizes(fits: impl Fn(usize) -> bool) -> Sizes {
        let answer = |size| if fits(size) { Answer::Fits } else { Answer::No };
        described(&(1..=200).map(|size| (size, answer(size))).collect())
    }

    #[test]
    fn sets_of_sizes_in_words() {
        assert_eq!(sizes(|_| false), Sizes::None);
        assert_eq!(sizes(|n| n >= 29), Sizes::From(29));
        assert_eq!(sizes(|n| (28..=31).contains(&n)), Sizes::Range(28, 31));
        assert_eq!(sizes(|n| n % 16 == 0), Sizes::Multiples(16, 16));
        assert_eq!(sizes(|n| n == 96), Sizes::Range(96, 96));
        assert_eq!(
            sizes(|n| n == 5 || n == 7 || n == 8),
            Sizes::Ranges(vec![(5, 5), (7, 8)])
        );
    }
}
