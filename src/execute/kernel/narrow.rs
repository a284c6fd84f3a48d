//! Groups of few output channels, above all depthwise layers: each input value meets too few weights to be gathered, so
//! tiles read their rows where they lie.
//!
//! A group's input is padded into a buffer that stays in the cache. A row of output pixels is cut into strips of some
//! lanes, the last of which goes back over the one before; of a row shorter than a strip, the lanes too many are stored
//! into the next row, which is computed later. Strips of several rows (one channel) or of several channels (one row) go
//! side by side, since one after the other they would wait for their own sums.

// Index loops with constant bounds are unrolled, and the arrays live in registers.
#![allow(clippy::needless_range_loop)]

use std::borrow::Cow;
use std::ops::Range;

use super::dense::MOST_LANES;
use super::dense::Scratch;
use super::layer::Layer;
use super::layer::Task;
use super::padded::SLACK;
use super::program::Program;
use super::tile;
use super::vector::Apart;
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
                layer.padded.fill(simd, g, from, to);
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
            let single = program.single.is_some();
            match (<&mut [&mut [R]; CHANNELS]>::try_from(&mut *rows), single) {
                (Ok(rows), true) => strips.of_channels::<I, H, true, FUSED>(simd, rows),
                (Ok(rows), false) => strips.of_channels::<I, H, false, FUSED>(simd, rows),
                (Err(_), true) => strips.of_one::<I, H, true, FUSED>(simd, rows[0]),
                (Err(_), false) => strips.of_one::<I, H, false, FUSED>(simd, rows[0]),
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
    fn of_one<I: Simd<R>, H: Simd<R>, const SINGLE: bool, const FUSED: bool>(
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
                    (true, true) => simd.apart(RowsTile::<R, I, _, SINGLE, FUSED>(
                        self, simd, oh, strip, output,
                    )),
                    (true, false) => half.apart(RowsTile::<R, H, _, SINGLE, FUSED>(
                        self, half, oh, strip, output,
                    )),
                    (false, true) => simd.apart(SingleRow::<R, I, _, SINGLE, FUSED>(
                        self, simd, oh, strip, output,
                    )),
                    (false, false) => half.apart(SingleRow::<R, H, _, SINGLE, FUSED>(
                        self, half, oh, strip, output,
                    )),
                }
                at = strip.0 + strip.1;
            }
            oh += if alike { ROWS } else { 1 };
        }
    }

    /// The program over a tile. `SINGLE`: it has a single chain.
    #[inline(always)]
    fn total<I: Simd<R>, const P: usize, const SINGLE: bool>(
        &self,
        simd: I,
        walk: &impl tile::Chain<I::Vector, 1, P>,
    ) -> tile::Tile<I::Vector, 1, P> {
        let zero = [[simd.splat(R::ZERO)]; P];
        if !SINGLE {
            return tile::total(simd, &self.program.ops, zero, walk);
        }
        match self.program.single {
            Some(ops) => tile::single(simd, ops, &[(); P].map(|()| Default::default()), walk),
            None => zero,
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
        tile::Rows {
            simd,
            offsets: &self.program.offsets,
            inputs: Pieces::new(
                self.input,
                std::array::from_fn(|p| padded.pixel(g, oh + p, ow)),
            ),
            weights: &self.weights[..self.program.weights.len()],
            bias: self.bias(0),
        }
    }

    #[inline(always)]
    fn rows_tile<I: Simd<R>, const SINGLE: bool, const FUSED: bool>(
        &self,
        simd: I,
        oh: usize,
        (ow, width, _): Strip,
        output: &mut [R],
    ) {
        let rows = self.tile_of::<I, ROWS, FUSED>(simd, oh, ow);
        let acc = self.total::<I, ROWS, SINGLE>(simd, &rows);
        let at = self.at(oh, ow);
        let row = self.layer.g.output[1];
        store(simd, &acc, &mut output[at..], row, width);
    }

    #[inline(always)]
    fn single_row<I: Simd<R>, const SINGLE: bool, const FUSED: bool>(
        &self,
        simd: I,
        oh: usize,
        (ow, width, _): Strip,
        output: &mut [R],
    ) {
        let rows = self.tile_of::<I, 1, FUSED>(simd, oh, ow);
        let acc = self.total::<I, 1, SINGLE>(simd, &rows);
        store(simd, &acc, &mut output[self.at(oh, ow)..], 0, width);
    }

    /// Several channels side by side, row after row.
    #[inline(always)]
    fn of_channels<I: Simd<R>, H: Simd<R>, const SINGLE: bool, const FUSED: bool>(
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
                    simd.apart(ChannelsTile::<R, I, _, SINGLE, FUSED>(
                        self, simd, oh, strip, output,
                    ));
                } else {
                    half.apart(ChannelsTile::<R, H, _, SINGLE, FUSED>(
                        self, half, oh, strip, output,
                    ));
                }
                at = strip.0 + strip.1;
            }
        }
    }

    #[inline(always)]
    fn channels_tile<I: Simd<R>, const SINGLE: bool, const FUSED: bool>(
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
        let acc = self.total::<I, CHANNELS, SINGLE>(simd, &shared);
        let at = self.at(oh, ow);
        if at + I::LANES <= output[0].len() {
            for c in 0..CHANNELS {
                tile::store(simd, &acc[c], &mut output[c][at..]);
            }
            return;
        }
        for (one, output) in aside(simd, &acc).iter().zip(output) {
            output[at..at + width].copy_from_slice(&one[..width]);
        }
    }
}

/// Tiles that are done in functions of their own: the strips, the instructions, output row, strip, the channels' rows.
macro_rules! tiles {
    ($($name:ident $method:ident $output:ty;)+) => {
        $(
            struct $name<'t, 'a, R, I, O: ?Sized, const SINGLE: bool, const FUSED: bool>(
                &'t Strips<'a, R>,
                I,
                usize,
                Strip,
                &'t mut O,
            );

            impl<R: Real, I: Simd<R>, const SINGLE: bool, const FUSED: bool> Apart
                for $name<'_, '_, R, I, $output, SINGLE, FUSED>
            {
                #[inline(always)]
                fn run(self) {
                    self.0.$method::<I, SINGLE, FUSED>(self.1, self.2, self.3, self.4);
                }
            }
        )+
    };
}

tiles! {
    RowsTile rows_tile [R];
    SingleRow single_row [R];
    ChannelsTile channels_tile [&mut [R]; CHANNELS];
}

/// Stores strips of `width` pixels, of which the p-th begins `step` times p into `to`; of a short one whatever its other
/// lanes hold where a later row will lie. All vectors are stored before any other function is called, which would take
/// their registers.
#[inline(always)]
fn store<R: Real, I: Simd<R>, const P: usize>(
    simd: I,
    acc: &[[I::Vector; 1]; P],
    to: &mut [R],
    step: usize,
    width: usize,
) {
    if (P - 1) * step + I::LANES <= to.len() {
        for p in 0..P {
            tile::store(simd, &acc[p], &mut to[p * step..]);
        }
        return;
    }
    for (p, one) in aside(simd, acc).iter().enumerate() {
        to[p * step..][..width].copy_from_slice(&one[..width]);
    }
}

/// A tile put beside the output, where it would reach beyond its end.
#[inline(always)]
fn aside<R: Real, I: Simd<R>, const P: usize>(
    simd: I,
    acc: &[[I::Vector; 1]; P],
) -> [[R; MOST_LANES]; P] {
    let mut all = [[R::ZERO; MOST_LANES]; P];
    for p in 0..P {
        tile::store(simd, &acc[p], &mut all[p]);
    }
    all
}
