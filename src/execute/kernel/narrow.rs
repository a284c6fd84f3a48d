//! Groups of few output channels, above all depthwise layers: each input value meets too few weights to be gathered, so
//! tiles read their rows where they lie.
//!
//! A group's input is padded into a buffer that stays in the cache. A row of output pixels is cut into strips of some
//! lanes, the last of which goes back over the one before; of a row shorter than a strip, the lanes too many are stored
//! into the next row, which is computed later. Strips of several rows (one channel) or of several channels (one row) go
//! side by side, since one after the other they would wait for their own sums.

use std::borrow::Cow;
use std::ops::Range;

use super::dense::MOST_LANES;
use super::dense::Scratch;
use super::layer::Layer;
use super::layer::Task;
use super::padded::SLACK;
use super::program::Program;
use super::tile;
use super::vector::Pieces;
use super::vector::Simd;
use crate::execute::Real;
use crate::execute::kernel::Tiled;

/// Rows side by side. Images are often 7, 14, 28, 56 or 112 pixels high.
const ROWS: usize = 7;

/// Channels side by side.
const CHANNELS: usize = 4;

/// Computes one rectangle of whole or cut groups, in strips of a vector or of one half as wide.
#[inline(always)]
pub(super) fn run<R: Tiled, I: Simd<R>, H: Simd<R>, const FUSED: bool>(
    simd: (I, H),
    layer: &Layer<'_, R>,
    program: &Program,
    task: &mut Task<'_, R>,
    scratch: &mut Scratch<R>,
) {
    let g = layer.g;
    let Task { rect, rows } = task;
    let weights = in_walk_order(layer, program, &rect.channels);
    let plane = g.input[0] * g.input[1];
    scratch.planes.clear();
    scratch
        .planes
        .resize(g.group_in() * layer.padded.plane + SLACK, R::ZERO);
    let mut channel = rect.channels.start;
    while channel < rect.channels.end {
        let group = channel / g.group_out();
        let from = (rect.image * g.in_channels + group * g.group_in()) * plane;
        let from = &layer.operands.input[from..from + g.group_in() * plane];
        if plane > 0 {
            let planes = scratch.planes.chunks_exact_mut(layer.padded.plane);
            for (to, from) in planes.zip(from.chunks_exact(plane)) {
                layer.padded.fill(g, from, to);
            }
        }
        let end = rect.channels.end.min((group + 1) * g.group_out());
        while channel < end {
            let count = if end - channel >= CHANNELS {
                CHANNELS
            } else {
                1
            };
            let first = channel - rect.channels.start;
            let strips = Strips {
                layer,
                program,
                input: &scratch.planes,
                weights: &weights[first * program.weights.len()..],
                bias: layer.operands.bias.map(|bias| &bias[channel..]),
                pixels: rect.pixels.clone(),
            };
            let rows = &mut rows[first..first + count];
            match <&mut [&mut [R]; CHANNELS]>::try_from(&mut *rows) {
                Ok(rows) => strips.of_channels::<I, H, FUSED>(simd, rows),
                Err(_) => strips.of_one::<I, H, FUSED>(simd, rows[0]),
            }
            channel += count;
        }
    }
}

/// The filters of some channels, each in the sequence of the walk.
fn in_walk_order<'a, R: Real>(
    layer: &Layer<'a, R>,
    program: &Program,
    channels: &Range<usize>,
) -> Cow<'a, [R]> {
    let taps = layer.g.taps();
    let filters = &layer.operands.weight[channels.start * taps..channels.end * taps];
    let mut places = program.weights.iter().enumerate();
    if program.weights.len() == taps && places.all(|(i, &w)| i == w as usize) {
        return Cow::Borrowed(filters);
    }
    let mut ordered = Vec::with_capacity(filters.len());
    for filter in filters.chunks_exact(taps) {
        ordered.extend(program.weights.iter().map(|&w| filter[w as usize]));
    }
    Cow::Owned(ordered)
}

/// What the strips of some channels of one group share.
struct Strips<'a, R> {
    layer: &'a Layer<'a, R>,
    program: &'a Program,
    /// The group's, padded.
    input: &'a [R],
    /// From the first channel's filter on.
    weights: &'a [R],
    /// From the first channel's on.
    bias: Option<&'a [R]>,
    /// Of the rectangle.
    pixels: Range<usize>,
}

/// A strip: column of the first pixel, pixels, lanes.
type Strip = (usize, usize, usize);

/// The strip of `lanes` that covers columns from `at` on.
fn strip(columns: &Range<usize>, at: usize, [wide, small]: [usize; 2]) -> Strip {
    let lanes = if columns.end - at > small {
        wide
    } else {
        small
    };
    let width = lanes.min(columns.len());
    (at.min(columns.end - width), width, lanes)
}

impl<R: Real> Strips<'_, R> {
    /// Output rows in the rectangle with their columns.
    fn row(&self, oh: usize) -> Range<usize> {
        let width = self.layer.g.output[1];
        let start = self.pixels.start.max(oh * width) - oh * width;
        let end = self.pixels.end.min((oh + 1) * width) - oh * width;
        start..end
    }

    fn rows(&self) -> Range<usize> {
        let width = self.layer.g.output[1];
        self.pixels.start / width..self.pixels.end.div_ceil(width)
    }

    /// Where a pixel lies in the rectangle's rows.
    fn at(&self, oh: usize, ow: usize) -> usize {
        oh * self.layer.g.output[1] + ow - self.pixels.start
    }

    fn bias(&self, channel: usize) -> R {
        self.bias.map_or(R::ZERO, |bias| bias[channel])
    }

    /// One channel: several rows side by side.
    #[inline(always)]
    fn of_one<I: Simd<R>, H: Simd<R>, const FUSED: bool>(
        &self,
        (simd, half): (I, H),
        output: &mut [R],
    ) {
        let lanes = [I::LANES, H::LANES];
        let width = self.layer.g.output[1];
        let rows = self.rows();
        let mut oh = rows.start;
        while oh < rows.end {
            let columns = self.row(oh);
            let last = oh + ROWS - 1;
            let alike =
                last < rows.end && [&columns, &self.row(last)].map(|c| c.len()) == [width; 2];
            let mut at = columns.start;
            while at < columns.end {
                let strip = strip(&columns, at, lanes);
                match (alike, strip.2 == lanes[0]) {
                    (true, true) => self.rows_tile::<I, FUSED>(simd, oh, strip, output),
                    (true, false) => self.rows_tile::<H, FUSED>(half, oh, strip, output),
                    (false, true) => self.single_row::<I, FUSED>(simd, oh, strip, output),
                    (false, false) => self.single_row::<H, FUSED>(half, oh, strip, output),
                }
                at = strip.0 + strip.1;
            }
            oh += if alike { ROWS } else { 1 };
        }
    }

    #[inline(always)]
    fn tile_of<'t, I: Simd<R>, const P: usize, const FUSED: bool>(
        &'t self,
        simd: I,
        oh: usize,
        ow: usize,
    ) -> tile::Rows<'t, R, I, P, FUSED> {
        let (g, padded) = (self.layer.g, &self.layer.padded);
        let first = padded.pixel(g, oh, ow);
        let step = padded.pixel(g, 1, 0);
        tile::Rows {
            simd,
            offsets: &self.program.offsets,
            inputs: Pieces::new(self.input, std::array::from_fn(|p| first + p * step)),
            weights: &self.weights[..self.program.weights.len()],
            bias: self.bias(0),
        }
    }

    #[inline(always)]
    fn rows_tile<I: Simd<R>, const FUSED: bool>(
        &self,
        simd: I,
        oh: usize,
        (ow, width, _): Strip,
        output: &mut [R],
    ) {
        let rows = self.tile_of::<I, ROWS, FUSED>(simd, oh, ow);
        let acc = match self.program.single {
            Some(ops) => tile::single(simd, ops, &[(); ROWS].map(|()| Default::default()), &rows),
            None => {
                let zero = [[simd.splat(R::ZERO)]; ROWS];
                tile::total(simd, &self.program.ops, zero, &rows)
            }
        };
        let at = self.at(oh, ow);
        let row = self.layer.g.output[1];
        for (p, acc) in acc.iter().enumerate() {
            store(simd, &mut output[at + p * row..], acc, width);
        }
    }

    #[inline(always)]
    fn single_row<I: Simd<R>, const FUSED: bool>(
        &self,
        simd: I,
        oh: usize,
        (ow, width, _): Strip,
        output: &mut [R],
    ) {
        let rows = self.tile_of::<I, 1, FUSED>(simd, oh, ow);
        let zero = [[simd.splat(R::ZERO)]];
        let [acc] = tile::total(simd, &self.program.ops, zero, &rows);
        store(simd, &mut output[self.at(oh, ow)..], &acc, width);
    }

    /// Several channels side by side, row after row.
    #[inline(always)]
    fn of_channels<I: Simd<R>, H: Simd<R>, const FUSED: bool>(
        &self,
        (simd, half): (I, H),
        output: &mut [&mut [R]; CHANNELS],
    ) {
        let lanes = [I::LANES, H::LANES];
        for oh in self.rows() {
            let columns = self.row(oh);
            let mut at = columns.start;
            while at < columns.end {
                let strip = strip(&columns, at, lanes);
                if strip.2 == lanes[0] {
                    self.channels_tile::<I, FUSED>(simd, oh, strip, output);
                } else {
                    self.channels_tile::<H, FUSED>(half, oh, strip, output);
                }
                at = strip.0 + strip.1;
            }
        }
    }

    #[inline(always)]
    fn channels_tile<I: Simd<R>, const FUSED: bool>(
        &self,
        simd: I,
        oh: usize,
        (ow, width, _): Strip,
        output: &mut [&mut [R]; CHANNELS],
    ) {
        let taps = self.program.weights.len();
        let shared = tile::Shared::<R, I, CHANNELS, FUSED> {
            simd,
            offsets: &self.program.offsets,
            input: &self.input[self.layer.padded.pixel(self.layer.g, oh, ow)..],
            weights: Pieces::new(self.weights, std::array::from_fn(|c| c * taps)),
            bias: std::array::from_fn(|c| self.bias(c)),
        };
        let acc = match self.program.single {
            Some(ops) => tile::single(
                simd,
                ops,
                &[(); CHANNELS].map(|()| Default::default()),
                &shared,
            ),
            None => {
                let zero = [[simd.splat(R::ZERO)]; CHANNELS];
                tile::total(simd, &self.program.ops, zero, &shared)
            }
        };
        for (acc, output) in acc.iter().zip(output) {
            store(simd, &mut output[self.at(oh, ow)..], acc, width);
        }
    }
}

/// Stores a strip's pixels, and of a short one whatever its other lanes hold where a later row will lie.
#[inline(always)]
fn store<R: Real, I: Simd<R>>(simd: I, to: &mut [R], acc: &[I::Vector; 1], width: usize) {
    let lanes = I::LANES;
    if to.len() >= lanes {
        tile::store(simd, acc, to);
    } else {
        let mut all = [R::ZERO; MOST_LANES];
        tile::store(simd, acc, &mut all[..lanes]);
        to[..width].copy_from_slice(&all[..width]);
    }
}
