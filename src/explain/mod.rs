//! Checkpoint in, plain report values out: what a tensor is, where it lies, what its axes mean.
//!
//! | question | answered by |
//! |---|---|
//! | which tensors, where, who shares what, what is stored but not referenced? | [`Listing`] |
//! | what layer is this, what do its axes mean, where is weight (o, i, y, x)? | [`Layer`] |
//! | how do its elements lie in memory? | [`Memory`] |
//! | how does it look? | [`Figure`] |
//!
//! No text is made here: that is [`crate::render`]'s work.

pub mod axis_names;
pub mod convolution;
pub mod figure;
pub mod hyperparameters;
pub mod kind;
pub mod layer;
pub mod listing;
pub mod memory;
pub mod select;

pub use axis_names::AxisNames;
pub use convolution::{Convolution, Output, OutputAxis};
pub use figure::{Figure, FigureOptions};
pub use hyperparameters::{Hyperparameters, Known, Origin, Padding};
pub use kind::{Axis, Evidence, Kind};
pub use layer::{Companion, Layer, LayerOptions, Part, Role};
pub use listing::{Listing, Row, Totals, referenced};
pub use memory::{Memory, Relation, Sharing, Spot};
pub use select::{ElementAt, Grid, Selection, Slice};
