//! One output element at a time, as the words of this module say: the truth that [`super::fast`] is tested against.

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

/// The output `[N, O, OH, OW]`.
pub(super) fn run(operands: &Operands<'_>, g: &Geometry, blocked: Blocked) -> Vec<f32> {
    let mut output = Vec::with_capacity(g.output_len());
    for image in 0..g.batch {
        for channel in 0..g.out_channels {
            output.extend(plane(operands, g, blocked, [image, channel]));
        }
    }
    output
}

/// All pixels of one channel of one image.
fn plane(
    operands: &Operands<'_>,
    g: &Geometry,
    blocked: Blocked,
    [image, channel]: [usize; 2],
) -> Vec<f32> {
    let mut pixels = vec![0.0; g.pixels()];
    let Some(side) = blocked.algorithm.side() else {
        for (pixel, out) in pixels.iter_mut().enumerate() {
            let at = [image, channel, pixel];
            *out = gemm(&mut Flushing, operands, g, blocked.block, at);
        }
        return pixels;
    };
    let [rows, columns] = [0, 1].map(|axis| Steps::of(g, axis, side));
    for ty in 0..rows.count {
        for tx in 0..columns.count {
            let at = ([image, channel], [ty, tx]);
            let tile = tile(&mut Flushing, operands, g, blocked, at);
            for (row, y) in rows.outputs(ty, g.output[0]).enumerate() {
                for (column, x) in columns.outputs(tx, g.output[1]).enumerate() {
                    pixels[y * g.output[1] + x] = tile[row].as_flattened()[column];
                }
            }
        }
    }
    pixels
}

/// The output element (image, channel, pixel = oh*OW + ow).
pub(super) fn element(
    operands: &Operands<'_>,
    g: &Geometry,
    blocked: Blocked,
    at: [usize; 3],
) -> f32 {
    let mut watched = Watched::default();
    let mut result = 0.0;
    let work = Element {
        a: &mut watched,
        operands,
        g,
        blocked,
        at,
        result: &mut result,
    };
    dispatch::run(work, Vectors::widest());
    match watched.in_doubt() {
        true => element_by(&mut Flushing, operands, g, blocked, at),
        false => result,
    }
}

/// One element in ordinary arithmetic.
struct Element<'a> {
    a: &'a mut Watched,
    operands: &'a Operands<'a>,
    g: &'a Geometry,
    blocked: Blocked,
    at: [usize; 3],
    result: &'a mut f32,
}

impl Work for Element<'_> {
    #[inline(always)]
    fn run(self) {
        *self.result = element_by(self.a, self.operands, self.g, self.blocked, self.at);
    }
}

#[inline(always)]
fn element_by<A: Arithmetic>(
    a: &mut A,
    operands: &Operands<'_>,
    g: &Geometry,
    blocked: Blocked,
    at @ [image, channel, pixel]: [usize; 3],
) -> f32 {
    let Some(side) = blocked.algorithm.side() else {
        return gemm(a, operands, g, blocked.block, at);
    };
    let place = [pixel / g.output[1], pixel % g.output[1]];
    let steps = [0, 1].map(|axis| Steps::of(g, axis, side).step);
    let tiles = [0, 1].map(|axis| place[axis] / steps[axis]);
    let tile = tile(a, operands, g, blocked, ([image, channel], tiles));
    tile[place[0] % steps[0]].as_flattened()[place[1] % steps[1]]
}

/// One tile of outputs, in its first rows and columns: of (image, channel), tile (row, column).
#[inline(always)]
fn tile<A: Arithmetic>(
    a: &mut A,
    operands: &Operands<'_>,
    g: &Geometry,
    blocked: Blocked,
    at: ([usize; 2], [usize; 2]),
) -> [[Lanes; 2]; 16] {
    match blocked.algorithm {
        Algorithm::Winograd => tile_by::<A, Winograd>(a, operands, g, blocked.block, at),
        Algorithm::Fourier8 => tile_by::<A, Fourier8>(a, operands, g, blocked.block, at),
        Algorithm::Fourier16 | Algorithm::Gemm => {
            tile_by::<A, Fourier16>(a, operands, g, blocked.block, at)
        }
    }
}

#[inline(always)]
fn tile_by<A: Arithmetic, T: Transform>(
    a: &mut A,
    operands: &Operands<'_>,
    g: &Geometry,
    block: usize,
    ([image, channel], at): ([usize; 2], [usize; 2]),
) -> [[Lanes; 2]; 16] {
    let (pixels, taps) = (g.input[0] * g.input[1], g.kernel[0] * g.kernel[1]);
    let first = image * g.in_channels + channel / g.group_out() * g.group_in();
    let mut total: Option<Registers> = None;
    for start in (0..g.group_in()).step_by(block) {
        let mut sum = [ZERO; 32];
        for c in start..g.group_in().min(start + block) {
            let plane = &operands.input[(first + c) * pixels..][..pixels];
            let x = T::input(a, &Tile::of_image(plane, g, T::SIDE, at));
            let weights = &operands.weight[(channel * g.group_in() + c) * taps..][..taps];
            let w = T::kernel(a, &Tile::of_kernel(weights, g));
            for i in (0..T::REGISTERS).step_by(if T::COMPLEX { 2 } else { 1 }) {
                if T::COMPLEX {
                    let pair = |from: &Registers| [from[i], from[i + 1]];
                    let product = products::complex(a, pair(&sum), pair(&x), pair(&w), i == 0);
                    [sum[i], sum[i + 1]] = product;
                } else {
                    sum[i] = products::real(a, sum[i], x[i], w[i]);
                }
            }
        }
        if let Some(total) = &total {
            for (sum, total) in sum.iter_mut().zip(total) {
                *sum = a.add(*sum, *total);
            }
        }
        total = Some(sum);
    }
    let bias = operands.bias.map_or(0.0, |bias| bias[channel]);
    T::output(a, &total.unwrap_or([ZERO; 32]), bias)
}

/// An element of a strided layer: c, kh, kw, padding as +0. The bias is added outside of the thread pool, where
/// subnormal numbers count.
#[inline(always)]
fn gemm<A: Arithmetic>(
    a: &mut A,
    operands: &Operands<'_>,
    g: &Geometry,
    block: usize,
    [image, channel, pixel]: [usize; 3],
) -> f32 {
    let (y, x) = (pixel / g.output[1], pixel % g.output[1]);
    let first = image * g.in_channels + channel / g.group_out() * g.group_in();
    let weights = &operands.weight[channel * g.taps()..][..g.taps()];
    let mut total: Option<Lanes> = None;
    let window = g.kernel[0] * g.kernel[1];
    for start in (0..g.taps()).step_by(block) {
        let mut sum = ZERO;
        for (k, &weight) in weights.iter().enumerate().skip(start).take(block) {
            let (kh, kw) = (k % window / g.kernel[1], k % g.kernel[1]);
            let input = g.input_at(0, y, kh).zip(g.input_at(1, x, kw));
            let input = input.map_or(0.0, |(y, x)| {
                operands.input[((first + k / window) * g.input[0] + y) * g.input[1] + x]
            });
            let (input, weight) = (a.meet([input; 8]), a.meet([weight; 8]));
            sum = a.fma(input, weight, sum);
        }
        total = Some(match total {
            None => sum,
            Some(total) => a.add(sum, total),
        });
    }
    let bias = operands.bias.map_or(0.0, |bias| bias[channel]);
    total.map_or(0.0, |total| total[0]) + bias
}
