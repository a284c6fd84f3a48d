//! Strided layers fast: im2col, neighbouring pixels in the lanes, with the same bits as the reference.

use rayon::prelude::*;

use super::arithmetic::Arithmetic;
use super::arithmetic::Flushing;
use super::arithmetic::Lanes;
use super::arithmetic::Watched;
use super::arithmetic::ZERO;
use super::dispatch;
use super::dispatch::Work;
use super::fast::Layer;
use crate::execute::Geometry;
use crate::execute::order::interpret::Operands;

/// Registers of pixels, filters that are held at a time.
const PIXELS: usize = 2;
const FILTERS: usize = 4;

type Sums = [[Lanes; PIXELS]; FILTERS];

/// The output `[N, O, OH, OW]`.
pub(super) fn run(layer: &Layer<'_>) -> Vec<f32> {
    let g = layer.g;
    let mut output = vec![0.0; g.output_len()];
    if output.is_empty() {
        return output;
    }
    let mut watched = Watched::default();
    for weight in layer.operands.weight {
        watched.meet([*weight; 8]);
    }
    let weights_in_doubt = watched.in_doubt();
    output
        .par_chunks_mut(g.out_channels * g.pixels())
        .enumerate()
        .for_each(|(image, output)| {
            let work = Image {
                layer,
                image,
                output,
                weights_in_doubt,
            };
            dispatch::run(work, layer.vectors);
        });
    output
}

/// One image of a strided layer.
struct Image<'a> {
    layer: &'a Layer<'a>,
    image: usize,
    /// `[O, OH, OW]`
    output: &'a mut [f32],
    /// Whether some weight is subnormal, or nearly.
    weights_in_doubt: bool,
}

impl Work for Image<'_> {
    #[inline(always)]
    fn run(self) {
        let Layer {
            operands, g, block, ..
        } = *self.layer;
        let mut patches = vec![[ZERO; PIXELS]; g.taps()];
        for group in 0..g.groups {
            for first in (0..g.pixels()).step_by(8 * PIXELS) {
                let count = (g.pixels() - first).min(8 * PIXELS);
                let in_doubt = gather(operands, g, [self.image, group], first, &mut patches);
                let filters = group * g.group_out()..(group + 1) * g.group_out();
                for filter in filters.clone().step_by(FILTERS) {
                    // the last ones again where fewer are left
                    let weights = std::array::from_fn(|f| {
                        let filter = (filter + f).min(filters.end - 1);
                        &operands.weight[filter * g.taps()..][..g.taps()]
                    });
                    let sums = match in_doubt || self.weights_in_doubt {
                        true => flushed(&patches, weights, block),
                        false => certain(&patches, weights, block),
                    };
                    for (f, sums) in (filter..filters.end).zip(&sums) {
                        // outside of the thread pool: an ordinary addition
                        let bias = operands.bias.map_or(0.0, |bias| bias[f]);
                        let out = &mut self.output[f * g.pixels() + first..][..count];
                        for (out, sum) in out.iter_mut().zip(sums.as_flattened()) {
                            *out = sum + bias;
                        }
                    }
                }
            }
        }
    }
}

/// The inputs of the pixels from `first` on, tap by tap, zero in the padding; whether flushing may matter to them.
#[inline(always)]
fn gather(
    operands: &Operands<'_>,
    g: &Geometry,
    [image, group]: [usize; 2],
    first: usize,
    patches: &mut [[Lanes; PIXELS]],
) -> bool {
    let mut watched = Watched::default();
    let plane = g.input[0] * g.input[1];
    let channels = (image * g.in_channels + group * g.group_in()) * plane;
    let window = g.kernel[0] * g.kernel[1];
    for (k, patch) in patches.iter_mut().enumerate() {
        let (kh, kw) = (k % window / g.kernel[1], k % g.kernel[1]);
        let channel = &operands.input[channels + k / window * plane..][..plane];
        for (i, x) in patch.as_flattened_mut().iter_mut().enumerate() {
            let pixel = first + i;
            let (oh, ow) = (pixel / g.output[1], pixel % g.output[1]);
            let at = g.input_at(0, oh, kh).zip(g.input_at(1, ow, kw));
            *x = at.map_or(0.0, |(y, x)| channel[y * g.input[1] + x]);
        }
        for lanes in patch {
            watched.meet(*lanes);
        }
    }
    watched.in_doubt()
}

#[inline(always)]
fn certain(patches: &[[Lanes; PIXELS]], weights: [&[f32]; FILTERS], block: usize) -> Sums {
    let mut watched = Watched::default();
    let sums = sums_by(&mut watched, patches, weights, block);
    match watched.in_doubt() {
        true => flushed(patches, weights, block),
        false => sums,
    }
}

#[cold]
#[inline(never)]
fn flushed(patches: &[[Lanes; PIXELS]], weights: [&[f32]; FILTERS], block: usize) -> Sums {
    sums_by(&mut Flushing, patches, weights, block)
}

#[inline(always)]
fn sums_by<A: Arithmetic>(
    a: &mut A,
    patches: &[[Lanes; PIXELS]],
    weights: [&[f32]; FILTERS],
    block: usize,
) -> Sums {
    let mut total: Option<Sums> = None;
    for start in (0..patches.len()).step_by(block) {
        let mut sums = [[ZERO; PIXELS]; FILTERS];
        for k in start..patches.len().min(start + block) {
            for f in 0..FILTERS {
                for p in 0..PIXELS {
                    sums[f][p] = a.fma1(patches[k][p], weights[f][k], sums[f][p]);
                }
            }
        }
        if let Some(total) = &total {
            for (sums, total) in sums.as_flattened_mut().iter_mut().zip(total.as_flattened()) {
                *sums = a.add(*sums, *total);
            }
        }
        total = Some(sums);
    }
    total.unwrap_or([[ZERO; PIXELS]; FILTERS])
}
