//! The same convolutions fast, with the same bits.
//!
//! Filters are transformed once, in panels of a few; then images are convolved side by side, each a batch of tiles at a
//! time: inputs are transformed and laid out by register, and a block of tiles meets a panel of filters with all sums
//! in registers. Everything is calculated by [`Watched`]; a transform, or a block of sums, that is in doubt is repeated
//! by [`Flushing`].

use std::marker::PhantomData;
use std::ops::Range;

use rayon::prelude::*;

use super::arithmetic::Arithmetic;
use super::arithmetic::Flushing;
use super::arithmetic::Lanes;
use super::arithmetic::Watched;
use super::arithmetic::ZERO;
use super::dispatch;
use super::dispatch::Work;
use super::products;
use super::tile::Fourier8;
use super::tile::Fourier16;
use super::tile::Registers;
use super::tile::Steps;
use super::tile::Tile;
use super::tile::Transform;
use super::tile::Winograd;
use crate::execute::Geometry;
use crate::execute::order::interpret::Operands;
use crate::execute::order::nnpack::Algorithm;
use crate::execute::order::nnpack::Blocked;
use crate::execute::vectors::Vectors;

/// Bytes of transformed filters kept at a time.
const FILTER_BYTES: usize = 128 << 20;
/// Bytes of transformed inputs kept at a time by each thread.
const INPUT_BYTES: usize = 2 << 20;

/// Real sums held in registers: tiles, filters.
const REAL: [usize; 2] = [3, 4];
/// Complex ones.
const COMPLEX: [usize; 2] = [2, 2];

/// The output `[N, O, OH, OW]`, on rayon's current thread pool.
pub(super) fn run(
    operands: &Operands<'_>,
    g: &Geometry,
    blocked: Blocked,
    vectors: Vectors,
) -> Vec<f32> {
    let layer = Layer {
        operands,
        g,
        block: blocked.block,
        vectors,
    };
    match blocked.algorithm {
        Algorithm::Winograd => tiles::<Winograd>(&layer),
        Algorithm::Fourier8 => tiles::<Fourier8>(&layer),
        Algorithm::Fourier16 => tiles::<Fourier16>(&layer),
        Algorithm::Gemm => super::gemm::run(&layer),
    }
}

/// A layer on its way.
pub(super) struct Layer<'a> {
    pub(super) operands: &'a Operands<'a>,
    pub(super) g: &'a Geometry,
    /// Input channels (of the matrix product: products) per sum.
    pub(super) block: usize,
    pub(super) vectors: Vectors,
}

/// Tiles and filters per block of sums.
const fn held<T: Transform>() -> [usize; 2] {
    if T::COMPLEX { COMPLEX } else { REAL }
}

/// Registers of one value: a pair where it is complex.
const fn width<T: Transform>() -> usize {
    if T::COMPLEX { 2 } else { 1 }
}

/// A few filters of one group, transformed: for each value, for each channel, the filters' registers.
struct Panel {
    /// The first filter.
    first: usize,
    /// Filters; the others of a full panel are zero.
    count: usize,
    registers: Vec<Lanes>,
}

fn tiles<T: Transform>(layer: &Layer<'_>) -> Vec<f32> {
    let g = layer.g;
    let mut output = vec![0.0; g.output_len()];
    if output.is_empty() {
        return output;
    }
    let filters = held::<T>()[1];
    let places: Vec<[usize; 2]> = (0..g.groups)
        .flat_map(|group| {
            let end = (group + 1) * g.group_out();
            (group * g.group_out()..end)
                .step_by(filters)
                .map(move |first| [first, filters.min(end - first)])
        })
        .collect();
    let panel_bytes = T::REGISTERS * g.group_in() * filters * size_of::<Lanes>();
    for places in places.chunks((FILTER_BYTES / panel_bytes).max(1)) {
        let panels: Vec<Panel> = places
            .par_iter()
            .map(|&[first, count]| {
                let mut panel = Panel {
                    first,
                    count,
                    registers: vec![ZERO; T::REGISTERS * g.group_in() * filters],
                };
                let work = Filters::<T> {
                    layer,
                    panel: &mut panel,
                    transform: PhantomData,
                };
                dispatch::run(work, layer.vectors);
                panel
            })
            .collect();
        output
            .par_chunks_mut(g.out_channels * g.pixels())
            .enumerate()
            .for_each(|(image, output)| {
                let work = Image::<T> {
                    layer,
                    panels: &panels,
                    image,
                    output,
                    transform: PhantomData,
                };
                dispatch::run(work, layer.vectors);
            });
    }
    output
}

/// The filters of one panel, to be transformed.
struct Filters<'a, T> {
    layer: &'a Layer<'a>,
    panel: &'a mut Panel,
    transform: PhantomData<T>,
}

impl<T: Transform> Work for Filters<'_, T> {
    #[inline(always)]
    fn run(self) {
        let g = self.layer.g;
        let filters = held::<T>()[1];
        let taps = g.kernel[0] * g.kernel[1];
        for filter in 0..self.panel.count {
            for c in 0..g.group_in() {
                let at = ((self.panel.first + filter) * g.group_in() + c) * taps;
                let tile = Tile::of_kernel(&self.layer.operands.weight[at..at + taps], g);
                let mut watched = Watched::default();
                let mut values = T::kernel(&mut watched, &tile);
                if watched.in_doubt() {
                    values = flushed_kernel::<T>(&tile);
                }
                let place = |value| (value * g.group_in() + c) * filters + filter;
                scatter::<T>(&values, &mut self.panel.registers, place);
            }
        }
    }
}

#[cold]
#[inline(never)]
fn flushed_kernel<T: Transform>(tile: &Tile) -> Registers {
    T::kernel(&mut Flushing, tile)
}

#[cold]
#[inline(never)]
fn flushed_input<T: Transform>(tile: &Tile) -> Registers {
    T::input(&mut Flushing, tile)
}

#[cold]
#[inline(never)]
fn flushed_output<T: Transform>(values: &Registers, bias: f32) -> [[Lanes; 2]; 16] {
    T::output(&mut Flushing, values, bias)
}

/// Each value's registers to the place that `place` gives it.
#[inline(always)]
fn scatter<T: Transform>(
    values: &Registers,
    registers: &mut [Lanes],
    place: impl Fn(usize) -> usize,
) {
    let width = width::<T>();
    for (value, from) in values[..T::REGISTERS].chunks_exact(width).enumerate() {
        let at = place(value) * width;
        registers[at..at + width].copy_from_slice(from);
    }
}

/// One image, and what it is convolved with.
struct Image<'a, T> {
    layer: &'a Layer<'a>,
    panels: &'a [Panel],
    image: usize,
    /// `[O, OH, OW]`
    output: &'a mut [f32],
    transform: PhantomData<T>,
}

impl<T: Transform> Work for Image<'_, T> {
    #[inline(always)]
    fn run(mut self) {
        let g = self.layer.g;
        let [block, _] = held::<T>();
        let steps = [0, 1].map(|axis| Steps::of(g, axis, T::SIDE));
        let count = steps[0].count * steps[1].count;
        let bytes = g.group_in() * T::REGISTERS * size_of::<Lanes>();
        let batch = (INPUT_BYTES / bytes)
            .clamp(block, count.max(block))
            .next_multiple_of(block);
        let mut inputs = vec![ZERO; batch * g.group_in() * T::REGISTERS];
        let mut sums = vec![[ZERO; 32]; batch * held::<T>()[1]];
        for panels in self
            .panels
            .chunk_by(|a, b| a.first / g.group_out() == b.first / g.group_out())
        {
            let Some(group) = panels.first().map(|panel| panel.first / g.group_out()) else {
                continue;
            };
            for first in (0..count).step_by(batch) {
                let tiles = first..count.min(first + batch);
                self.transform_inputs(group, tiles.clone(), steps[1].count, &mut inputs);
                for panel in panels {
                    multiply::<T>(self.layer, panel, tiles.len(), &inputs, &mut sums);
                    self.transform_outputs(panel, tiles.clone(), steps, &sums);
                }
            }
        }
    }
}

impl<T: Transform> Image<'_, T> {
    /// To `inputs`: for each value, block of tiles, channel, the tiles' registers.
    #[inline(always)]
    fn transform_inputs(
        &self,
        group: usize,
        tiles: Range<usize>,
        columns: usize,
        inputs: &mut [Lanes],
    ) {
        let g = self.layer.g;
        let [block, _] = held::<T>();
        let blocks = tiles.len().div_ceil(block);
        let plane = g.input[0] * g.input[1];
        let first = (self.image * g.in_channels + group * g.group_in()) * plane;
        for (t, tile) in tiles.enumerate() {
            for c in 0..g.group_in() {
                let channel = &self.layer.operands.input[first + c * plane..][..plane];
                let at = [tile / columns, tile % columns];
                let tile = Tile::of_image(channel, g, T::SIDE, at);
                let mut watched = Watched::default();
                let mut values = T::input(&mut watched, &tile);
                if watched.in_doubt() {
                    values = flushed_input::<T>(&tile);
                }
                let place = |value: usize| {
                    ((value * blocks + t / block) * g.group_in() + c) * block + t % block
                };
                scatter::<T>(&values, inputs, place);
            }
        }
    }

    /// From `sums`: for each filter of a full panel, for each tile, its registers.
    #[inline(always)]
    fn transform_outputs(
        &mut self,
        panel: &Panel,
        tiles: Range<usize>,
        steps: [Steps; 2],
        sums: &[Registers],
    ) {
        let g = self.layer.g;
        for filter in 0..panel.count {
            let channel = panel.first + filter;
            let bias = self.layer.operands.bias.map_or(0.0, |bias| bias[channel]);
            let plane = &mut self.output[channel * g.pixels()..][..g.pixels()];
            for (t, tile) in tiles.clone().enumerate() {
                let sum = &sums[t * held::<T>()[1] + filter];
                let mut watched = Watched::default();
                let mut outputs = T::output(&mut watched, sum, bias);
                if watched.in_doubt() {
                    outputs = flushed_output::<T>(sum, bias);
                }
                let rows = steps[0].outputs(tile / steps[1].count, g.output[0]);
                let columns = steps[1].outputs(tile % steps[1].count, g.output[1]);
                for (row, y) in rows.enumerate() {
                    let out = &mut plane[y * g.output[1]..][columns.clone()];
                    let from = outputs[row].as_flattened();
                    out.copy_from_slice(&from[..columns.len()]);
                }
            }
        }
    }
}

/// Products of `tiles` transformed inputs with a panel, summed over the channels.
#[inline(always)]
fn multiply<T: Transform>(
    layer: &Layer<'_>,
    panel: &Panel,
    tiles: usize,
    inputs: &[Lanes],
    sums: &mut [Registers],
) {
    let [block, filters] = held::<T>();
    let channels = layer.g.group_in();
    let blocks = tiles.div_ceil(block);
    let width = width::<T>();
    for value in 0..T::REGISTERS / width {
        let w =
            &panel.registers[value * channels * filters * width..][..channels * filters * width];
        for b in 0..blocks {
            let size = channels * block * width;
            let x = &inputs[(value * blocks + b) * size..][..size];
            let sums = &mut sums[b * block * filters..][..block * filters];
            if T::COMPLEX {
                let products = complex_block(x, w, layer.block, value == 0);
                for (sum, product) in sums.iter_mut().zip(products.as_flattened()) {
                    [sum[2 * value], sum[2 * value + 1]] = *product;
                }
            } else {
                let products = real_block(x, w, layer.block);
                for (sum, product) in sums.iter_mut().zip(products.as_flattened()) {
                    sum[value] = *product;
                }
            }
        }
    }
}

type RealBlock = [[Lanes; REAL[1]]; REAL[0]];
type ComplexBlock = [[[Lanes; 2]; COMPLEX[1]]; COMPLEX[0]];

/// `x`: for each channel a block of tiles; `w`: for each channel a panel of filters. Sums per `block` channels.
#[inline(always)]
fn real_block(x: &[Lanes], w: &[Lanes], block: usize) -> RealBlock {
    let mut watched = Watched::default();
    let sums = real_block_by(&mut watched, x, w, block);
    match watched.in_doubt() {
        true => flushed_real_block(x, w, block),
        false => sums,
    }
}

#[cold]
#[inline(never)]
fn flushed_real_block(x: &[Lanes], w: &[Lanes], block: usize) -> RealBlock {
    real_block_by(&mut Flushing, x, w, block)
}

#[inline(always)]
fn real_block_by<A: Arithmetic>(a: &mut A, x: &[Lanes], w: &[Lanes], block: usize) -> RealBlock {
    let mut total: Option<RealBlock> = None;
    for (x, w) in x.chunks(block * REAL[0]).zip(w.chunks(block * REAL[1])) {
        let mut sums = [[ZERO; REAL[1]]; REAL[0]];
        let (x, _) = x.as_chunks::<{ REAL[0] }>();
        let (w, _) = w.as_chunks::<{ REAL[1] }>();
        for (x, w) in x.iter().zip(w) {
            for t in 0..REAL[0] {
                for f in 0..REAL[1] {
                    sums[t][f] = products::real(a, sums[t][f], x[t], w[f]);
                }
            }
        }
        if let Some(total) = &total {
            for t in 0..REAL[0] {
                for f in 0..REAL[1] {
                    sums[t][f] = a.add(sums[t][f], total[t][f]);
                }
            }
        }
        total = Some(sums);
    }
    total.unwrap_or([[ZERO; REAL[1]]; REAL[0]])
}

/// The same for complex numbers; `first`: the first pair of registers.
#[inline(always)]
fn complex_block(x: &[Lanes], w: &[Lanes], block: usize, first: bool) -> ComplexBlock {
    let mut watched = Watched::default();
    let sums = match first {
        true => complex_block_by(&mut watched, x, w, block, true),
        false => complex_block_by(&mut watched, x, w, block, false),
    };
    match watched.in_doubt() {
        true => flushed_complex_block(x, w, block, first),
        false => sums,
    }
}

#[cold]
#[inline(never)]
fn flushed_complex_block(x: &[Lanes], w: &[Lanes], block: usize, first: bool) -> ComplexBlock {
    complex_block_by(&mut Flushing, x, w, block, first)
}

#[inline(always)]
fn complex_block_by<A: Arithmetic>(
    a: &mut A,
    x: &[Lanes],
    w: &[Lanes],
    block: usize,
    first: bool,
) -> ComplexBlock {
    let mut total: Option<ComplexBlock> = None;
    let (x, _) = x.as_chunks::<2>();
    let (w, _) = w.as_chunks::<2>();
    for (x, w) in x
        .chunks(block * COMPLEX[0])
        .zip(w.chunks(block * COMPLEX[1]))
    {
        let mut sums = [[[ZERO; 2]; COMPLEX[1]]; COMPLEX[0]];
        let (x, _) = x.as_chunks::<{ COMPLEX[0] }>();
        let (w, _) = w.as_chunks::<{ COMPLEX[1] }>();
        for (x, w) in x.iter().zip(w) {
            for t in 0..COMPLEX[0] {
                for f in 0..COMPLEX[1] {
                    sums[t][f] = products::complex(a, sums[t][f], x[t], w[f], first);
                }
            }
        }
        if let Some(total) = &total {
            for (sums, total) in sums.as_flattened_mut().iter_mut().zip(total.as_flattened()) {
                *sums = [a.add(sums[0], total[0]), a.add(sums[1], total[1])];
            }
        }
        total = Some(sums);
    }
    total.unwrap_or([[[ZERO; 2]; COMPLEX[1]]; COMPLEX[0]])
}
