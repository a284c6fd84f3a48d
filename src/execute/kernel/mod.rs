//! Plans executed fast, with the same bits.
//!
//! The order of additions is fixed for each output element, so all the freedom is across elements. A recipe is compiled
//! into taps and what happens to the total ([`program`]), and the output is cut into rectangles, one for each task
//! ([`layer`], [`cutting`]). A task goes through its outputs in one of three ways ([`form`]): with channels as lanes, from
//! inputs that are read where they lie, where sums are long ([`across`]); with pixels as lanes, from gathered inputs
//! ([`dense`], [`tile`]); group by group from padded rows, where groups have few channels ([`narrow`], [`sweep`],
//! [`padded`]). Weights are packed in the sequence in which they are met ([`pack`]). Tasks run on rayon's threads
//! ([`awake`]); [`dispatch`] picks the vectors that the processor has.
//!
//! Recipes that are not chains (the edges of matrix multiplication libraries) go to the interpreter, in parallel
//! ([`repair`]).

use form::Form;
use rayon::prelude::*;

use crate::execute::Geometry;
use crate::execute::nnpack;
use crate::execute::order::Plan;
use crate::execute::order::interpret;

mod across;
mod aligned;
mod awake;
mod cutting;
mod dense;
mod dispatch;
mod form;
mod layer;
mod narrow;
mod pack;
mod padded;
mod program;
mod repair;
mod sweep;
mod tile;
mod transpose;
mod vector;

pub use crate::execute::order::interpret::Operands;
pub use crate::execute::vectors::Vectors;
pub use dispatch::Tiled;
pub use layer::Memory;

/// Who executes a plan; the bits are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernel {
    /// The interpreter.
    Reference,
    /// The kernels, with the widest vectors that the processor has.
    #[default]
    Fast,
    /// The kernels, with these vectors or none.
    With(Vectors),
}

/// Executes `plan` on rayon's current thread pool: the output `[N, O, OH, OW]`.
///
/// The operands must have the sizes that the geometry says, as [`super::conv2d::prepare`] makes sure. The sums are
/// not yet rounded to a narrower output type: see [`super::real::round_all`].
pub fn run<R: Tiled>(
    operands: &Operands<'_, R>,
    geometry: &Geometry,
    plan: &Plan,
    kernel: Kernel,
) -> Vec<R> {
    run_with(operands, geometry, plan, kernel, &mut Memory::default())
}

/// [`run`], in the memory that other executions have left behind: to ask the system for it, and to get it page by page,
/// can cost as much as a small layer's arithmetic.
pub fn run_with<R: Tiled>(
    operands: &Operands<'_, R>,
    geometry: &Geometry,
    plan: &Plan,
    kernel: Kernel,
    memory: &mut Memory<R>,
) -> Vec<R> {
    if let Some(blocked) = plan.nnpack {
        return run_nnpack(operands, geometry, blocked, kernel);
    }
    // who is late for a small layer is not waited for
    let small = geometry.output_len().saturating_mul(geometry.taps()) <= cutting::LATE;
    match kernel {
        Kernel::Reference => interpret::run(operands, geometry, plan),
        Kernel::Fast if small => fast(operands, geometry, plan, Vectors::widest(), memory),
        Kernel::Fast => awake::awake(|| fast(operands, geometry, plan, Vectors::widest(), memory)),
        Kernel::With(vectors) => awake::awake(|| fast(operands, geometry, plan, vectors, memory)),
    }
}

/// NNPACK's algorithms know float32 only; other numbers are rounded to it, which PyTorch never asks for.
fn run_nnpack<R: Tiled>(
    operands: &Operands<'_, R>,
    g: &Geometry,
    blocked: nnpack::Blocked,
    kernel: Kernel,
) -> Vec<R> {
    let operands = nnpack::Float32::of(operands);
    let output = match kernel {
        Kernel::Reference => operands.run_reference(g, blocked),
        Kernel::Fast => operands.run(g, blocked, Vectors::widest()),
        Kernel::With(vectors) => operands.run(g, blocked, vectors),
    };
    output.into_iter().map(|x| R::from_f64(x.into())).collect()
}

fn fast<R: Tiled>(
    operands: &Operands<'_, R>,
    g: &Geometry,
    plan: &Plan,
    vectors: Vectors,
    memory: &mut Memory<R>,
) -> Vec<R> {
    let form = Form::best::<R>(g, plan, vectors);
    in_form(operands, g, plan, vectors, form, memory)
}

fn in_form<R: Tiled>(
    operands: &Operands<'_, R>,
    g: &Geometry,
    plan: &Plan,
    vectors: Vectors,
    form: Form,
    memory: &mut Memory<R>,
) -> Vec<R> {
    let mut output = std::mem::take(&mut memory.output);
    output.resize(g.output_len(), R::ZERO); // every element is overwritten
    if output.is_empty() {
        return output;
    }
    let mut layer = layer::Layer::new(operands, g, plan, form, memory);
    let at_once = layer.images_at_once();
    let images = output.chunks_mut(at_once.saturating_mul(g.output_len() / g.batch));
    for (index, slice) in images.enumerate() {
        let first = index * at_once;
        layer.load(first..g.batch.min(first + at_once), vectors);
        let rects = layer.cut();
        let layer = &layer;
        layer::deal(g, rects, first, slice)
            .into_par_iter()
            .with_max_len(1) // a thread that is late leaves its tasks to the others
            .for_each_init(
                || layer.borrow_scratch(),
                |lent, task| dispatch::run(layer, task, &mut lent.scratch, vectors),
            );
    }
    layer.leave(memory);
    output
}

#[cfg(test)]
mod tests;
