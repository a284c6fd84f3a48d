//! Numbers in, numbers out: Conv2d and its siblings executed in a stated order of additions.
//!
//! Floating-point addition is not associative, so "the same convolution" computed by two libraries differs in its
//! last bits. This module makes the order explicit and reproducible:
//!
//! 1. [`conv2d`] turns the arguments of `torch.nn.Conv2d` into a [`Geometry`] (and applies the padding modes that
//!    PyTorch applies before it convolves); [`op`] lays the other layers out like it;
//! 2. [`predict`] derives from an [`Origin`] (torch version, processor, threads, ...) which backend PyTorch would
//!    have used, and so which [`Order`];
//! 3. an [`Order`] becomes a [`Plan`] for one geometry: rectangles of output elements, each with the [`Recipe`] by
//!    which every element in it is summed;
//! 4. [`run()`] executes a plan, by the interpreter (slow, the definition) or by the kernels (fast, the same bits).
//!
//! Nothing here knows files. The result never depends on the number of threads, the processor or the build profile:
//! fused operations are written `mul_add`, everything else is separately rounded IEEE 754 arithmetic, binary32 or (for
//! float64) binary64.

pub mod conv2d;
pub mod kernel;
pub mod nnpack;
pub mod op;
pub mod order;
pub mod predict;
pub mod real;
pub mod sizes;
pub mod vectors;

pub use conv2d::{Arguments, Form, Padding, PaddingMode};
pub use kernel::{Kernel, run};
pub use op::Op;
pub use order::{Order, Plan, Recipe};
pub use predict::{Call, MemoryFormat, Origin, Prediction};
pub use real::{FloatType, Real};
pub use sizes::{Addressing, Depth, Geometry};
