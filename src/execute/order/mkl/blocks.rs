//! How MKL's kernels cut K. The blocks are what one family of kernels is told from another by.

use std::fmt;
use std::ops::Range;

use crate::execute::order::Step;
use crate::execute::order::name::number;

/// MKL's kernels, known by how they cut K.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KBlocks {
    /// Fused kernels with blocks of at most this many, as on AMD (192; 256 for float64): up to one block whole; below
    /// two blocks floor(K/2), for float64 made even (which may leave a short last block); from two blocks on, whole
    /// blocks, the rest last.
    Even(usize),
    /// As MKL's AVX-512 kernels on Intel (384): whole blocks while two or more are left, then two halves, the first
    /// rounded up.
    Halves(usize),
    /// As MKL's AVX2 kernels on Intel: those of oneDNN's sgemm, whose tiles sum differently at their edges.
    Tiles,
    /// As MKL's SSE kernels on Intel: the blocks of [`KBlocks::Even`], not fused.
    Sse(usize),
    /// `MKL_CBWR=COMPATIBLE`: kernels that are not fused. float32: blocks of 112, where K is
    /// no multiple of that the rest *first*. float64: blocks of 128; below two of them 4*floor(K/8).
    Compatible,
}

/// Block of the compatible sgemm and dgemm.
const COMPATIBLE: [usize; 2] = [112, 128];

impl fmt::Display for KBlocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KBlocks::Even(most) => write!(f, "kb{most}"),
            KBlocks::Halves(most) => write!(f, "halves{most}"),
            KBlocks::Tiles => f.write_str("tiles"),
            KBlocks::Sse(most) => write!(f, "sse{most}"),
            KBlocks::Compatible => f.write_str("compatible"),
        }
    }
}

impl KBlocks {
    /// Reads what `Display` writes.
    pub(super) fn parse(word: &str) -> Option<Self> {
        match word {
            "compatible" => return Some(KBlocks::Compatible),
            "tiles" => return Some(KBlocks::Tiles),
            _ => {}
        }
        let even = number(word, "kb").map(KBlocks::Even);
        let sse = || number(word, "sse").map(KBlocks::Sse);
        let halves = || number(word, "halves").map(KBlocks::Halves);
        even.or_else(sse).or_else(halves)
    }

    /// The lengths of the blocks of K = `total` of float32, in the sequence in which they are added.
    pub fn lengths(self, total: usize) -> Vec<usize> {
        let ranges = self.ranges(false, total);
        ranges.into_iter().map(|range| range.len()).collect()
    }

    /// The blocks of K = `total`, in the sequence in which they are added.
    pub fn ranges(self, double: bool, total: usize) -> Vec<Range<usize>> {
        let block = match self {
            KBlocks::Even(most) | KBlocks::Sse(most) if total <= most => total,
            KBlocks::Even(most) if total < 2 * most && double => (total / 2).next_multiple_of(2),
            KBlocks::Even(most) | KBlocks::Sse(most) if total < 2 * most => total / 2,
            KBlocks::Even(most) | KBlocks::Sse(most) => most,
            KBlocks::Tiles => total,
            KBlocks::Compatible if !double => COMPATIBLE[0],
            KBlocks::Compatible => match total {
                k if k <= COMPATIBLE[1] => k,
                k if k < 2 * COMPATIBLE[1] => k / 8 * 4,
                _ => COMPATIBLE[1],
            },
            KBlocks::Halves(most) => return halves(most, total),
        };
        let mut ranges: Vec<_> = (0..total)
            .step_by(block.max(1))
            .map(|start| start..total.min(start + block))
            .collect();
        if self == KBlocks::Compatible && !double && total > block && !total.is_multiple_of(block) {
            ranges.rotate_right(1);
        }
        ranges
    }
}

fn halves(most: usize, total: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = 0;
    while start < total {
        let len = match total - start {
            rest if rest >= 2 * most => most,
            rest if rest > most => rest.div_ceil(2),
            rest => rest,
        };
        ranges.push(start..start + len);
        start += len;
    }
    ranges
}

/// A step for each of the ranges, which lie in any sequence.
pub(super) fn folded(ranges: &[Range<usize>], fold: impl Fn(usize) -> Step) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut next = 0;
    for range in ranges {
        if range.start != next {
            steps.push(Step::Seek(range.start));
        }
        steps.push(fold(range.len()));
        next = range.end;
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::KBlocks;

    fn lengths(blocks: KBlocks, double: bool, total: usize) -> Vec<usize> {
        let ranges = blocks.ranges(double, total);
        ranges.into_iter().map(|range| range.len()).collect()
    }

    #[test]
    fn k_blocks_as_measured() {
        let amd = KBlocks::Even(192);
        assert_eq!(lengths(amd, false, 192), [192]);
        assert_eq!(lengths(amd, false, 193), [96, 96, 1]);
        assert_eq!(lengths(amd, false, 383), [191, 191, 1]);
        assert_eq!(lengths(amd, false, 400), [192, 192, 16]);
        let double = KBlocks::Even(256);
        assert_eq!(lengths(double, true, 256), [256]);
        assert_eq!(lengths(double, true, 270), [136, 134]);
        assert_eq!(lengths(double, true, 509), [254, 254, 1]);
        assert_eq!(lengths(double, true, 600), [256, 256, 88]);
        let intel = KBlocks::Halves(384);
        assert_eq!(lengths(intel, false, 384), [384]);
        assert_eq!(lengths(intel, false, 577), [289, 288]);
        assert_eq!(lengths(intel, false, 1152), [384, 384, 384]);
        assert_eq!(lengths(intel, false, 1000), [384, 308, 308]);
        assert_eq!(lengths(intel, false, 0), [0; 0]);
    }

    #[test]
    fn compatible_blocks_begin_with_the_rest() {
        let compatible = KBlocks::Compatible;
        assert_eq!(lengths(compatible, false, 112), [112]);
        assert_eq!(compatible.ranges(false, 224), [0..112, 112..224]);
        assert_eq!(compatible.ranges(false, 300), [224..300, 0..112, 112..224]);
        assert_eq!(lengths(compatible, true, 128), [128]);
        assert_eq!(lengths(compatible, true, 219), [108, 108, 3]);
        assert_eq!(lengths(compatible, true, 300), [128, 128, 44]);
    }
}
