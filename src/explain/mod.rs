//! Checkpoint in, plain report values out: what a tensor is, where it lies, what its axes mean.
//!
//! | question | answered by |
//! |---|---|
//! | which tensors, where, who shares what, what is stored but not referenced? | [`Listing`] |
//! | what layer is this, what do its axes mean, where is weight (o, i, y, x)? | [`Layer`] |
//! | how do its elements lie in memory? | [`Memory`] |
//!
//! No text is made here: that is [`crate::render`]'s work.

pub mod convolution;
pub mod kind;
pub mod layer;
pub mod listing;
pub mod memory;
pub mod select;

pub use convolution::{Convolution, Hyperparameters, Known, Origin, Output, OutputAxis, Padding};
pub use kind::{Axis, Evidence, Kind};
pub use layer::{AxisNames, Companion, Layer, LayerOptions, Part, Role};
pub use listing::{Listing, Row, Totals};
pub use memory::{Memory, Relation, Sharing, Spot};
pub use select::{ElementAt, Grid, Selection, Slice};
