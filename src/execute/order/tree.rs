//! The summation tree of an order, read back from results alone.
//!
//! The idea is FPRev's (Xie et al., "FPRev: Revealing the Order of Floating-Point Summation"). Let one term be +M, one
//! -M and all others 1, with M so large that M + 1 rounds to M. Whatever is added to M before -M meets it is lost, and
//! whatever is added after that survives: the result is the number of terms outside the smallest subtree that holds
//! both. Doing that for pairs of terms gives the size of the common subtree of each, and so the tree. It works on
//! anything that sums, on this program's kernels and interpreter as on PyTorch itself (scripts/reveal_order.py), so
//! the two can be compared. What it cannot see is whether a product was rounded before it was added.
//!
//! A tree is written in parentheses. Terms are named by the weight's flat index within its filter, the bias is `b`. A
//! chain, which adds term after term to one total, is written flat: `(b 0 1 2)` is `(((b 0) 1) 2)`, and evenly spaced
//! neighbours are abbreviated: `0..7`, and `0..14/2` for every second.

use std::fmt;

use crate::execute::Geometry;
use crate::execute::order::Order;
use crate::execute::order::interpret::Operands;
use crate::execute::order::interpret::Unrolled;

/// A sum: a single term, or two sums added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// A term by number; the bias, where there is one, comes before term 0.
    Leaf(Term),
    /// Two sums added; the one with the first term is the first.
    Node(Box<Tree>, Box<Tree>),
}

/// What is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// The bias.
    Bias,
    /// The product with this flat index within the filter.
    Product(usize),
}

/// What a term is set to in a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// +M
    Plus,
    /// -M
    Minus,
    /// 1
    One,
}

impl Probe {
    /// The term's value; M swallows any count of terms that fits into memory, and M - M is exact.
    pub fn value(self) -> f32 {
        match self {
            Probe::Plus => 2f32.powi(60),
            Probe::Minus => -2f32.powi(60),
            Probe::One => 1.0,
        }
    }
}

/// Reads the tree of `terms` with `sum`, which is given what each term is set to and returns the sum.
///
/// `None` where the results fit no tree, so that what sums is no sum of these terms.
pub fn reveal(terms: &[Term], mut sum: impl FnMut(&[Probe]) -> f32) -> Option<Tree> {
    let all: Vec<usize> = (0..terms.len()).collect();
    let mut probes = vec![Probe::One; terms.len()];
    let mut common = |i: usize, j: usize| {
        probes[i] = Probe::Plus;
        probes[j] = Probe::Minus;
        let outside = sum(&probes);
        probes[i] = Probe::One;
        probes[j] = Probe::One;
        let size = terms.len() as f32 - outside;
        (size >= 2.0 && size.fract() == 0.0).then_some(size as usize)
    };
    build(terms, &all, &mut common)
}

/// The subtree of the terms `of`, in ascending order.
///
/// From the first term on, the subtrees that hold it are nested. Going by the size of the common subtree with the
/// first, the other terms fall into the siblings that the path from the first term up to the root meets.
fn build(
    terms: &[Term],
    of: &[usize],
    common: &mut impl FnMut(usize, usize) -> Option<usize>,
) -> Option<Tree> {
    let (&first, others) = of.split_first()?;
    let mut siblings: Vec<(usize, Vec<usize>)> = Vec::new();
    for &other in others {
        let size = common(first, other)?;
        match siblings.iter_mut().find(|(known, _)| *known == size) {
            Some((_, members)) => members.push(other),
            None => siblings.push((size, vec![other])),
        }
    }
    siblings.sort();
    let mut tree = Tree::Leaf(terms[first]);
    let mut size = 1;
    for (expected, members) in siblings {
        size += members.len();
        if size != expected {
            return None;
        }
        let sibling = build(terms, &members, common)?;
        tree = Tree::Node(Box::new(tree), Box::new(sibling));
    }
    Some(tree)
}

/// The tree by which `order` sums the output element (image, channel, pixel) of `g`; taps that lie in its padding are
/// no terms.
///
/// The interpreter is probed as if it were somebody else's program: the inputs are 1, the weights of one filter and its
/// bias are what the probe says.
pub fn of_order(order: &Order, g: &Geometry, [image, channel, pixel]: [usize; 3]) -> Option<Tree> {
    let plan = order.plan(g);
    let recipe = &plan.recipes[plan.region_at(image, channel, pixel)?.recipe];
    let unrolled = Unrolled::new(g, recipe);
    let k = g.taps();
    let input = vec![1.0; g.batch * g.in_channels * g.input[0] * g.input[1]];
    let mut weight = vec![1.0; g.out_channels * k];
    let mut bias = vec![1.0; g.out_channels];
    let is_term = |tap: &usize| {
        let (row, column) = (tap / g.kernel[1] % g.kernel[0], tap % g.kernel[1]);
        let row = g.input_at(0, pixel / g.output[1], row);
        row.is_some() && g.input_at(1, pixel % g.output[1], column).is_some()
    };
    let products = (0..k).filter(is_term).map(Term::Product);
    let terms: Vec<Term> = std::iter::once(Term::Bias).chain(products).collect();
    let mut scratch = Vec::new();
    reveal(&terms, |probes| {
        for (term, probe) in terms.iter().zip(probes) {
            match term {
                Term::Bias => bias[channel] = probe.value(),
                Term::Product(tap) => weight[channel * k + tap] = probe.value(),
            }
        }
        let operands = Operands {
            input: &input,
            weight: &weight,
            bias: Some(&bias),
        };
        unrolled.element(&operands, [image, channel, pixel], &mut scratch)
    })
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tree::Node(..) = self else {
            return write_terms(f, &[self]);
        };
        // the chain that leads to the first term, from the inside out
        let mut chain = Vec::new();
        let mut tree = self;
        while let Tree::Node(first, second) = tree {
            chain.push(&**second);
            tree = first;
        }
        chain.push(tree);
        chain.reverse();
        f.write_str("(")?;
        write_terms(f, &chain)?;
        f.write_str(")")
    }
}

/// Members of a chain, evenly spaced products abbreviated.
fn write_terms(f: &mut fmt::Formatter<'_>, members: &[&Tree]) -> fmt::Result {
    let product = |i: usize| match members.get(i) {
        Some(Tree::Leaf(Term::Product(k))) => Some(*k),
        _ => None,
    };
    let mut i = 0;
    while i < members.len() {
        if i > 0 {
            f.write_str(" ")?;
        }
        let mut end = i + 1; // of the run that starts at i
        if let (Some(a), Some(b)) = (product(i), product(i + 1))
            && b > a
        {
            while product(end) == Some(a + (b - a) * (end - i)) {
                end += 1;
            }
            if end - i >= 3 {
                write!(f, "{a}..{}", a + (b - a) * (end - i - 1))?;
                if b - a > 1 {
                    write!(f, "/{}", b - a)?;
                }
                i = end;
                continue;
            }
        }
        match members[i] {
            Tree::Leaf(Term::Bias) => f.write_str("b")?,
            Tree::Leaf(Term::Product(k)) => write!(f, "{k}")?,
            node => write!(f, "{node}")?,
        }
        i += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(n: usize, sum: impl Fn(&[f32]) -> f32) -> String {
        let terms: Vec<Term> = (0..n).map(Term::Product).collect();
        let read = |probes: &[Probe]| sum(&probes.iter().map(|p| p.value()).collect::<Vec<_>>());
        reveal(&terms, read).map_or("no tree".into(), |tree| tree.to_string())
    }

    #[test]
    fn sums_are_told_apart() {
        assert_eq!(tree(1, |t| t[0]), "0");
        assert_eq!(tree(5, |t| t.iter().sum()), "(0..4)");
        assert_eq!(tree(5, |t| t.iter().rev().sum()), "(0 (1 (2 (3 4))))");
        let lanes = |t: &[f32]| {
            let mut l = [0.0; 4];
            for (i, x) in t.iter().enumerate() {
                l[i % 4] += x;
            }
            (l[0] + l[1]) + (l[2] + l[3])
        };
        assert_eq!(tree(12, lanes), "(0..8/4 (1..9/4) (2..10/4 (3..11/4)))");
        let every_second = |t: &[f32]| [0, 2, 4, 1, 3].iter().map(|&i| t[i]).sum();
        assert_eq!(tree(5, every_second), "(0..4/2 1 3)");
    }

    #[test]
    fn what_is_no_sum_has_no_tree() {
        assert_eq!(tree(4, |t| t[0] * 0.5), "no tree");
    }
}
