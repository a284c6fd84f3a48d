//! Elements that the kernels leave to the interpreter: those of recipes that are not chains, and those that may have
//! come out with the wrong sign of zero or as a wrong NaN ([`Program::doubtful`]).

use super::layer;
use super::layer::Layer;
use super::layer::Task;
use super::program::Op;
use super::program::Program;
use crate::execute::kernel::Tiled;
use crate::execute::order::interpret::Product;
use crate::execute::order::interpret::Unrolled;

/// Elements that are asked together whether one of them is doubtful.
const TOGETHER: usize = 128;

/// The interpreter, for every element.
pub(super) fn interpret<R: Tiled>(layer: &Layer<'_, R>, task: &mut Task<'_, R>) {
    let mut repair = Repair::new(layer, task.rect.recipe);
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
    let mut repair = Repair::new(layer, task.rect.recipe);
    let Task { rect, rows } = task;
    for (channel, row) in rect.channels.clone().zip(rows) {
        for (index, some) in row.chunks_mut(TOGETHER).enumerate() {
            if !Program::may_doubt_any(some) {
                continue;
            }
            // zeros are usual where the input is an activation's output; that they could be others is not
            let doubts = match layer.doubts.get() {
                Some(doubts) => *doubts,
                None => *layer.doubts.get_or_init(|| Doubts::of(layer)),
            };
            if !doubts.zeros && !doubts.nans {
                return;
            }
            let first = rect.pixels.start + index * TOGETHER;
            for (pixel, value) in (first..).zip(some) {
                if program.doubtful(*value, repair.reads_padding(pixel)) {
                    *value = repair.element([rect.image, channel, pixel]);
                }
            }
        }
    }
}

/// Computes single elements.
struct Repair<'a, R> {
    layer: &'a Layer<'a, R>,
    recipe: usize,
    unrolled: Option<Unrolled<'a>>,
    scratch: Vec<Product<R>>,
}

impl<'a, R: Tiled> Repair<'a, R> {
    fn new(layer: &'a Layer<'_, R>, recipe: usize) -> Self {
        Self {
            layer,
            recipe,
            unrolled: None,
            scratch: Vec::new(),
        }
    }

    fn reads_padding(&self, pixel: usize) -> bool {
        let g = self.layer.g;
        let beyond = |axis: usize, o: usize| {
            g.input_at(axis, o, 0).is_none() || g.input_at(axis, o, g.kernel[axis] - 1).is_none()
        };
        beyond(0, pixel / g.output[1]) || beyond(1, pixel % g.output[1])
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
