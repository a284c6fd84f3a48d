//! Plans executed fast, with the same bits.
//!
//! The order of additions is fixed for each output element, so all the freedom is across elements. The padding is
//! made real once ([`program`]); then tiles of output elements walk the taps side by side ([`tile`]), either with
//! 16 or more output channels in the lanes (dense layers: one input value meets many weights) or with neighbouring
//! pixels in the lanes (depthwise layers and narrow groups: one weight meets many inputs). Tasks own disjoint slices
//! of the output and run on rayon's threads ([`task`]); [`dispatch`] picks the vector width the processor has.
//!
//! Recipes that are not chains (the edges of matrix multiplication libraries) go to the interpreter, in parallel.

use rayon::prelude::*;

use crate::execute::Geometry;
use crate::execute::nnpack;
use crate::execute::order::Plan;
use crate::execute::order::interpret;

mod dispatch;
mod program;
mod task;
mod tile;

pub use crate::execute::order::interpret::Operands;
pub use crate::execute::vectors::Vectors;
pub use dispatch::Tiled;

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
    if let Some(blocked) = plan.nnpack {
        return run_nnpack(operands, geometry, blocked, kernel);
    }
    match kernel {
        Kernel::Reference => interpret::run(operands, geometry, plan),
        Kernel::Fast => fast(operands, geometry, plan, Vectors::widest()),
        Kernel::With(vectors) => fast(operands, geometry, plan, vectors),
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
) -> Vec<R> {
    let mut output = vec![R::ZERO; g.output_len()];
    if output.is_empty() {
        return output;
    }
    let mut layer = task::Layer::new(operands, g, plan);
    let at_once = layer.images_at_once();
    let images = output.chunks_mut(at_once.saturating_mul(g.output_len() / g.batch));
    for (index, slice) in images.enumerate() {
        let first = index * at_once;
        layer.load(first..g.batch.min(first + at_once));
        task::split(&layer, slice)
            .into_par_iter()
            .for_each(|task| R::run(&layer, task, vectors));
    }
    output
}

#[cfg(test)]
mod tests;
