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
use super::padded::copy;
use super::program::Program;
use super::sweep;
use super::sweep::ROWS;
use super::sweep::Sweep;
use super::tile;
use super::vector::Apart;
use super::vector::Pieces;
use super::vector::Simd;
use crate::execute::Real;
use crate::execute::kernel::Tiled;

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
    let lanes = [I::LANES, H::LANES];
    let one_by_one = tiles(layer, &rect.pixels, lanes, ROWS);
    let side_by_side = match g.group_out() {
        CHANNELS.. => tiles(layer, &rect.pixels, lanes, 1),
        _ => Vec::new(),
    };
    // rows of pixels that follow each other lie so far from each other in the input
    let pitch = match g.output[0] {
        0 | 1 => 0,
        _ => layer.padded.pixel(g, 1, 0),
    };
    let regular = (1..g.output[0]).all(|oh| layer.padded.pixel(g, oh, 0) == oh * pitch);
    let swept = sweep::Size::of(program, pitch).filter(|_| regular);
    let mut channel = rect.channels.start;
    let mut group = channel / g.group_out();
    while channel < rect.channels.end {
        let from = (rect.image * g.in_channels + group * g.group_in()) * plane;
        let from = &layer.operands.input[from..from + g.group_in() * plane];
        if plane > 0 {
            let planes = scratch.planes.chunks_exact_mut(layer.padded.plane);
            for (to, from) in planes.zip(from.chunks_exact(plane)) {
                layer.padded.fill(simd, g, from, to);
            }
        }
        group += 1;
        let end = rect.channels.end.min(group * g.group_out());
        while channel < end {
            let count = if end - channel >= CHANNELS {
                CHANNELS
            } else {
                1
            };
            let first = channel - rect.channels.start;
            let strips = Strips {
                program,
                input: &scratch.planes,
                weights: &weights[first * program.weights.len()..],
                bias: layer.operands.bias.map(|bias| &bias[channel..]),
                row: g.output[1],
                swept,
                pitch,
            };
            let rows = &mut rows[first..first + count];
            let single = program.single.is_some();
            match (<&mut [&mut [R]; CHANNELS]>::try_from(&mut *rows), single) {
                (Ok(rows), true) => {
                    strips.of_channels::<I, H, true, FUSED>(simd, &side_by_side, rows);
                }
                (Ok(rows), false) => {
                    strips.of_channels::<I, H, false, FUSED>(simd, &side_by_side, rows);
                }
                (Err(_), true) => strips.of_one::<I, H, true, FUSED>(simd, &one_by_one, rows[0]),
                (Err(_), false) => strips.of_one::<I, H, false, FUSED>(simd, &one_by_one, rows[0]),
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

/// Strips that are computed together, the same in every channel.
struct Tile {
    /// Where the first pixel of each lies in the group's padded input.
    places: [usize; ROWS],
    /// How many.
    count: usize,
    /// Where the first lies in the rectangle's rows.
    at: usize,
    /// Pixels of each.
    width: usize,
    /// In the wider vectors.
    wide: bool,
}

/// The tiles of a rectangle's pixels: of `together` rows where there are as many whole ones, else of one.
fn tiles<R: Tiled>(
    layer: &Layer<'_, R>,
    pixels: &Range<usize>,
    [wide, small]: [usize; 2],
    together: usize,
) -> Vec<Tile> {
    let width = layer.g.output[1];
    let columns_of = |oh: usize| {
        let start = pixels.start.max(oh * width) - oh * width;
        start..pixels.end.min((oh + 1) * width) - oh * width
    };
    let rows = pixels.start / width..pixels.end.div_ceil(width);
    let mut tiles = Vec::new();
    let mut oh = rows.start;
    while oh < rows.end {
        let columns = columns_of(oh);
        let last = oh + together - 1;
        let alike = last < rows.end && [&columns, &columns_of(last)].map(|c| c.len()) == [width; 2];
        let count = if alike { together } else { 1 };
        let mut at = columns.start;
        while at < columns.end {
            let is_wide = columns.end - at > small;
            let width = columns.len().min(if is_wide { wide } else { small });
            let ow = at.min(columns.end - width);
            let last = oh + count - 1;
            tiles.push(Tile {
                places: std::array::from_fn(|p| layer.padded.pixel(layer.g, last.min(oh + p), ow)),
                count,
                at: oh * layer.g.output[1] + ow - pixels.start,
                width,
                wide: is_wide,
            });
            at = ow + width;
        }
        oh += count;
    }
    tiles
}

/// What the strips of some channels of one group share.
struct Strips<'a, R> {
    program: &'a Program,
    /// The group's, padded.
    input: &'a [R],
    /// From the first channel's filter on.
    weights: &'a [R],
    /// From the first channel's on.
    bias: Option<&'a [R]>,
    /// Pixels of an output row.
    row: usize,
    /// Whether several rows can go down the input together, and which kernel they meet.
    swept: Option<sweep::Size>,
    /// From one output row's place in the input to the next one's.
    pitch: usize,
}

impl<R: Real> Strips<'_, R> {
    fn bias(&self, channel: usize) -> R {
        self.bias.map_or(R::ZERO, |bias| bias[channel])
    }

    /// One channel: several rows side by side.
    #[inline(always)]
    fn of_one<I: Simd<R>, H: Simd<R>, const SINGLE: bool, const FUSED: bool>(
        &self,
        (simd, half): (I, H),
        tiles: &[Tile],
        output: &mut [R],
    ) {
        for tile in tiles {
            match (tile.count == ROWS, tile.wide) {
                (true, true) => {
                    simd.apart(RowsTile::<R, I, _, SINGLE, FUSED>(self, simd, tile, output));
                }
                (true, false) => {
                    half.apart(RowsTile::<R, H, _, SINGLE, FUSED>(self, half, tile, output));
                }
                (false, true) => {
                    simd.apart(SingleRow::<R, I, _, SINGLE, FUSED>(
                        self, simd, tile, output,
                    ));
                }
                (false, false) => {
                    half.apart(SingleRow::<R, H, _, SINGLE, FUSED>(
                        self, half, tile, output,
                    ));
                }
            }
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

    /// P rows from the tile's first on.
    #[inline(always)]
    fn rows_of<I: Simd<R>, const P: usize, const SINGLE: bool, const FUSED: bool>(
        &self,
        simd: I,
        tile: &Tile,
        output: &mut [R],
    ) where
        for<'t> tile::Rows<'t, R, I, P, FUSED>: tile::Chain<I::Vector, 1, P>,
    {
        let mut places = [0; P];
        places.copy_from_slice(&tile.places[..P]);
        let rows = tile::Rows {
            simd,
            offsets: &self.program.offsets,
            inputs: Pieces::new(self.input, places),
            weights: &self.weights[..self.program.weights.len()],
            bias: self.bias(0),
        };
        let acc = self.total::<I, P, SINGLE>(simd, &rows);
        store(simd, &acc, &mut output[tile.at..], self.row, tile.width);
    }

    #[inline(always)]
    fn rows_tile<I: Simd<R>, const SINGLE: bool, const FUSED: bool>(
        &self,
        simd: I,
        tile: &Tile,
        output: &mut [R],
    ) {
        macro_rules! sweep {
            ($size:literal) => {{
                let sweep = Sweep::<R, I, $size, FUSED> {
                    simd,
                    offsets: &self.program.offsets,
                    input: &self.input[tile.places[0]..],
                    pitch: self.pitch,
                    weights: &self.weights[..self.program.weights.len()],
                    bias: self.bias(0),
                };
                let acc = self.total::<I, ROWS, SINGLE>(simd, &sweep);
                store(simd, &acc, &mut output[tile.at..], self.row, tile.width);
            }};
        }
        match self.swept.filter(|_| SINGLE) {
            Some(sweep::Size::Three) => sweep!(3),
            // more weights than registers: they are read for each vector, which pays for long ones
            Some(sweep::Size::Five) if tile.wide => sweep!(5),
            Some(sweep::Size::Seven) if tile.wide => sweep!(7),
            _ => self.rows_of::<I, ROWS, SINGLE, FUSED>(simd, tile, output),
        }
    }

    #[inline(always)]
    fn single_row<I: Simd<R>, const SINGLE: bool, const FUSED: bool>(
        &self,
        simd: I,
        tile: &Tile,
        output: &mut [R],
    ) {
        self.rows_of::<I, 1, SINGLE, FUSED>(simd, tile, output);
    }

    /// Several channels side by side, row after row.
    #[inline(always)]
    fn of_channels<I: Simd<R>, H: Simd<R>, const SINGLE: bool, const FUSED: bool>(
        &self,
        (simd, half): (I, H),
        tiles: &[Tile],
        output: &mut [&mut [R]; CHANNELS],
    ) {
        for tile in tiles {
            if tile.wide {
                simd.apart(ChannelsTile::<R, I, _, SINGLE, FUSED>(
                    self, simd, tile, output,
                ));
            } else {
                half.apart(ChannelsTile::<R, H, _, SINGLE, FUSED>(
                    self, half, tile, output,
                ));
            }
        }
    }

    #[inline(always)]
    fn channels_tile<I: Simd<R>, const SINGLE: bool, const FUSED: bool>(
        &self,
        simd: I,
        tile: &Tile,
        output: &mut [&mut [R]; CHANNELS],
    ) {
        let taps = self.program.weights.len();
        let shared = tile::Shared::<R, I, CHANNELS, FUSED> {
            simd,
            offsets: &self.program.offsets,
            input: &self.input[tile.places[0]..],
            weights: Pieces::new(self.weights, std::array::from_fn(|c| c * taps)),
            bias: std::array::from_fn(|c| self.bias(c)),
        };
        let acc = self.total::<I, CHANNELS, SINGLE>(simd, &shared);
        for c in 0..CHANNELS {
            store(simd, &[acc[c]], &mut output[c][tile.at..], 0, tile.width);
        }
    }
}

/// Tiles that are done in functions of their own: the strips, the instructions, the tile, the channels' rows.
macro_rules! tiles {
    ($($name:ident $method:ident $output:ty;)+) => {
        $(
            struct $name<'t, 'a, R, I, O: ?Sized, const SINGLE: bool, const FUSED: bool>(
                &'t Strips<'a, R>,
                I,
                &'t Tile,
                &'t mut O,
            );

            impl<R: Real, I: Simd<R>, const SINGLE: bool, const FUSED: bool> Apart
                for $name<'_, '_, R, I, $output, SINGLE, FUSED>
            {
                #[inline(always)]
                fn run(self) {
                    self.0.$method::<I, SINGLE, FUSED>(self.1, self.2, self.3);
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
/// lanes hold where a later row will lie. What would reach beyond the end is put aside first, and no function is called
/// before all vectors are stored, which would take their registers.
#[inline(always)]
fn store<R: Real, I: Simd<R>, const P: usize>(
    simd: I,
    acc: &[[I::Vector; 1]; P],
    to: &mut [R],
    step: usize,
    width: usize,
) {
    let fits = |p: usize, to: &[R]| p * step + I::LANES <= to.len();
    let all = fits(P - 1, to);
    let mut aside = [[R::ZERO; MOST_LANES / 2]; P];
    for p in 0..P {
        if all || fits(p, to) {
            tile::store(simd, &acc[p], &mut to[p * step..]);
        } else {
            tile::store(simd, &acc[p], &mut aside[p]);
        }
    }
    if !all {
        for p in 0..P {
            if !fits(p, to) {
                copy(&mut to[p * step..][..width], &aside[p][..width]);
            }
        }
    }
}
