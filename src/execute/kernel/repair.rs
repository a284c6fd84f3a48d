//! Elements that the kernels leave to the interpreter: those of recipes that are not chains, and those that may have
//! come out with the wrong sign of zero or as a wrong NaN ([`Program::doubtful`]).

use super::layer;
use super::layer::Layer;
use super::layer::Rect;
use super::layer::Task;
use super::program::Op;
use super::program::Program;
use crate::execute::Addressing;
use crate::execute::kernel::Tiled;
use crate::execute::order::interpret::Product;
use crate::execute::order::interpret::Unrolled;

/// Elements that are asked together whether one of them is doubtful.
const TOGETHER: usize = 128;

/// The same, once one of those is.
const FEW: usize = 16;

/// The interpreter, for every element.
pub(super) fn interpret<R: Tiled>(layer: &Layer<'_, R>, task: &mut Task<'_, R>) {
    let mut repair = Repair::new(layer, &task.rect);
    let Task { rect, rows } = task;
    for (channel, row) in rect.channels.clone().zip(rows) {
        for (pixel, value) in rect.pixels.clone().zip(row.iter_mut()) {
            *value = repair.element([rect.image, channel, pixel]);
        }
    }
}

/// What a layer's operands leave open about the elements that come out as a zero or as no number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doubts {
    /// A total may be -0 on its way: it begins as one, or a negative sum may be too small for a number. Else totals that
    /// begin with +0 stay there, whatever zeros are added.
    zeros: bool,
    /// A zero of the padding may meet a weight that is infinite or a NaN.
    nans: bool,
}

impl Doubts {
    #[inline(always)]
    fn of<R: Tiled>(layer: &Layer<'_, R>) -> Self {
        let operands = layer.operands;
        let mut programs = layer.programs.iter().flatten();
        let begins = programs.any(|program| program.ops.contains(&Op::NegativeZero));
        let biases = operands.bias.unwrap_or_default();
        Self {
            zeros: begins
                || biases.iter().any(|bias| bias.is_negative_zero())
                || layer::may_be_subnormal(operands),
            nans: !operands.weight.iter().all(|weight| weight.is_finite()),
        }
    }
}

/// The interpreter, for the elements that the kernel may have got wrong.
#[inline(always)]
pub(super) fn doubtful<R: Tiled>(layer: &Layer<'_, R>, program: &Program, task: &mut Task<'_, R>) {
    let mut repair = Repair::new(layer, &task.rect);
    let Task { rect, rows } = task;
    for (channel, row) in rect.channels.clone().zip(rows) {
        for (index, some) in row.chunks_mut(TOGETHER).enumerate() {
            if !Program::may_doubt_any(some) {
                continue;
            }
            for (nearer, few) in some.chunks_mut(FEW).enumerate() {
                let first = rect.pixels.start + index * TOGETHER + nearer * FEW;
                if Program::may_doubt_any(few) && !repair.some(program, channel, first, few) {
                    return;
                }
            }
        }
    }
}

/// Computes single elements.
struct Repair<'a, R> {
    layer: &'a Layer<'a, R>,
    image: usize,
    recipe: usize,
    unrolled: Option<Unrolled<'a>>,
    scratch: Vec<Product<R>>,
}

impl<'a, R: Tiled> Repair<'a, R> {
    fn new(layer: &'a Layer<'_, R>, rect: &Rect) -> Self {
        Self {
            layer,
            image: rect.image,
            recipe: rect.recipe,
            unrolled: None,
            scratch: Vec::new(),
        }
    }

    /// Elements of a channel of the rectangle from pixel `first` on; whether there can be more.
    fn some(&mut self, program: &Program, channel: usize, first: usize, values: &mut [R]) -> bool {
        for (pixel, value) in (first..).zip(values) {
            if *value != R::ZERO && !value.is_nan() {
                continue;
            }
            let at = [self.image, channel, pixel];
            if !program.doubtful(*value, self.reads_padding(pixel))
                || *value == R::ZERO && self.reads_zeros(program, at)
            {
                continue;
            }
            // that zeros could be others is not usual
            let layer = self.layer;
            let doubts = match layer.doubts.get() {
                Some(doubts) => *doubts,
                None => *layer.doubts.get_or_init(|| Doubts::of(layer)),
            };
            if !doubts.zeros && !doubts.nans {
                return false;
            }
            *value = self.element(at);
        }
        true
    }

    fn reads_padding(&self, pixel: usize) -> bool {
        let g = self.layer.g;
        !g.reaches_all(0, pixel / g.output[1]) || !g.reaches_all(1, pixel % g.output[1])
    }

    /// Whether an element that came out as +0 is the sum of nothing but zeros, as is usual where the input is an
    /// activation's output. Begun with +0 it stays there, whatever zeros are added and whichever taps are left out.
    fn reads_zeros(&self, program: &Program, [image, channel, pixel]: [usize; 3]) -> bool {
        let Layer { g, operands, .. } = self.layer;
        let bias = operands.bias.map_or(R::ZERO, |bias| bias[channel]);
        if bias.is_negative_zero() || program.ops.contains(&Op::NegativeZero) {
            return false;
        }
        if g.addressing != Addressing::Images {
            return false;
        }
        // what the kernel covers, and what lies between its taps
        let covered = |axis: usize, o: usize| {
            let start = o * g.stride[axis];
            let end = start + (g.kernel[axis] - 1) * g.dilation[axis] + 1;
            let within = |at: usize| at.saturating_sub(g.padding[axis]).min(g.input[axis]);
            within(start)..within(end)
        };
        let rows = covered(0, pixel / g.output[1]);
        let columns = covered(1, pixel % g.output[1]);
        let plane = g.input[0] * g.input[1];
        let first = image * g.in_channels + channel / g.group_out() * g.group_in();
        let group = &operands.input[first * plane..][..g.group_in() * plane];
        let mut planes = group.chunks_exact(plane.max(1));
        planes.all(|plane| {
            let mut rows = rows
                .clone()
                .map(|y| &plane[y * g.input[1]..][columns.clone()]);
            rows.all(|row| row.iter().all(|x| *x == R::ZERO))
        })
    }

    #[cold]
    fn element(&mut self, at: [usize; 3]) -> R {
        let Layer {
            g, plan, operands, ..
        } = self.layer;
        let unrolled = self
            .unrolled
            .get_or_insert_with(|| Unrolled::new(g, &plan.recipes[self.recipe]));
        unrolled.element(operands, at, &mut self.scratch)
    }
}
