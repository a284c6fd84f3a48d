//! oneDNN's im2col + its own sgemm (`x64:gemm:jit`).

use std::fmt;

use crate::execute::Geometry;
use crate::execute::order::Plan;

/// What the order depends on besides the geometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Threads.
    pub threads: usize,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "avx2-t{}", self.threads)
    }
}

impl Variant {
    pub(super) fn parse(_words: &[&str]) -> Option<Self> {
        None
    }
}

/// The plan for `g`.
pub fn plan(g: &Geometry, variant: &Variant) -> Plan {
    let _ = (g, variant);
    Plan::default()
}
