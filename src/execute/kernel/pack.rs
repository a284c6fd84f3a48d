//! Weights in the sequence in which the inner loop takes them: for each block of some output channels of a group, tap
//! after tap, the block's channels side by side.

use std::ops::Range;

use rayon::prelude::*;

use super::aligned::Aligned;
use super::dispatch::Tiled;
use super::program::Program;
use super::program::Segment;
use super::program::Source;
use crate::execute::Geometry;

/// Weights that are worth a thread's while.
const LEAST: usize = 1 << 13;

/// Filters of a run of output channels.
pub(super) struct Filters<'a, R> {
    weight: &'a [R],
    taps: usize,
    channels: Range<usize>,
}

impl<'a, R: Tiled> Filters<'a, R> {
    /// `weight` is the layer's, `[O, C/G, KH, KW]`.
    pub(super) fn new(weight: &'a [R], g: &Geometry, channels: &Range<usize>) -> Self {
        Self {
            weight,
            taps: g.taps(),
            channels: channels.clone(),
        }
    }

    /// The weights of a segment in a block, as they lie side by side in each filter, if there is such a block and they do:
    /// to ask for those that are packed next, since too few lie together for the processor to foresee them.
    pub(super) fn sources(
        &self,
        index: usize,
        width: usize,
        segment: &Segment,
    ) -> impl Iterator<Item = &'a [R]> {
        let (weight, taps) = (self.weight, self.taps);
        let first = self.channels.start + index * width;
        let channels = first..self.channels.end.min(first + width);
        let source = segment.source.as_ref();
        source.into_iter().flat_map(move |source| {
            let within = source.start..source.start + source.places.len();
            let filters = channels
                .clone()
                .map(move |channel| &weight[channel * taps..]);
            filters.map(move |filter| &filter[within.clone()])
        })
    }

    /// How many blocks of `width` channels.
    fn blocks(&self, width: usize) -> usize {
        self.channels.len().div_ceil(width)
    }

    /// The filters of a block; where it has fewer channels, the last one again: what comes of it is not stored.
    fn block(&self, index: usize, width: usize) -> Vec<&'a [R]> {
        let first = self.channels.start + index * width;
        let channels = first..first + width;
        channels
            .map(|channel| {
                let channel = channel.min(self.channels.end - 1);
                &self.weight[channel * self.taps..][..self.taps]
            })
            .collect()
    }
}

/// All of a program's weights, in blocks of `width` channels, by all threads.
pub(super) fn whole<R: Tiled>(
    filters: &Filters<'_, R>,
    program: &Program,
    width: usize,
    out: &mut Aligned<R>,
) {
    let all = &program.weights[..];
    let size = all.len() * width;
    let out = out.of(filters.blocks(width) * size);
    if size > 0 {
        out.par_chunks_exact_mut(size)
            .with_min_len(LEAST.div_ceil(size))
            .enumerate()
            .take(filters.blocks(width))
            .for_each(|(index, out)| {
                block(filters, index, all, program.source.as_ref(), width, out);
            });
    }
}

/// The weights of one segment in one block.
pub(super) fn one<'o, R: Tiled>(
    filters: &Filters<'_, R>,
    index: usize,
    program: &Program,
    segment: &Segment,
    width: usize,
    out: &'o mut Aligned<R>,
) -> &'o [R] {
    let some = &program.weights[segment.taps.clone()];
    let out = &mut out.of(some.len() * width)[..some.len() * width];
    block(filters, index, some, segment.source.as_ref(), width, out);
    out
}

/// The weights of one segment.
pub(super) fn segment<R: Tiled>(
    filters: &Filters<'_, R>,
    program: &Program,
    segment: &Segment,
    width: usize,
    out: &mut Aligned<R>,
) {
    let some = &program.weights[segment.taps.clone()];
    let size = some.len() * width;
    let out = out.of(filters.blocks(width) * size);
    if size > 0 {
        let blocks = out.chunks_exact_mut(size).take(filters.blocks(width));
        for (index, out) in blocks.enumerate() {
            block(filters, index, some, segment.source.as_ref(), width, out);
        }
    }
}

/// The weights of some taps in one block of channels.
fn block<R: Tiled>(
    filters: &Filters<'_, R>,
    index: usize,
    taps: &[u32],
    source: Option<&Source>,
    width: usize,
    out: &mut [R],
) {
    let filters = filters.block(index, width);
    match source {
        Some(source) => {
            let end = source.start + source.places.len();
            let filters: Vec<&[R]> = filters.iter().map(|f| &f[source.start..end]).collect();
            R::interleave(&filters, &source.places, out);
        }
        None => {
            for (to, &tap) in out.chunks_exact_mut(width).zip(taps) {
                for (to, filter) in to.iter_mut().zip(&filters) {
                    *to = filter[tap as usize];
                }
            }
        }
    }
}

/// Puts the i-th elements of all filters side by side, at `places[i]` times their number.
pub(super) fn interleave<R: Copy>(filters: &[&[R]], places: &[u32], out: &mut [R]) {
    let width = filters.len();
    for (i, &place) in places.iter().enumerate() {
        let to = &mut out[place as usize * width..][..width];
        for (to, filter) in to.iter_mut().zip(filters) {
            *to = filter[i];
        }
    }
}
