//! Checkpoint in, plain report values out: what a tensor is, where it lies, what its axes mean.
//!
//! | question | answered by |
//! |---|---|
//! | which tensors, where, who shares what, what is stored but not referenced? | [`Listing`] |
//! | what layer is this, what do its axes mean, where is weight (o, i, y, x)? | [`Layer`] |
//! | how do its elements lie in memory? | [`Memory`], [`Picture`] |
//! | where does each weight go in another program's layout? | [`Placement`] |
//! | what does one output pixel read? | [`Window`], [`Im2col`] |
//! | which bytes are a filter, and what is it like? | [`Dump`], [`Figures`] |
//! | how does it look? | [`Figure`] |
//!
//! No text is made here: that is [`crate::render`]'s work.

pub mod axis_names;
pub mod convolution;
pub mod dump;
pub mod figures;
pub mod hyperparameters;
pub mod im2col;
pub mod kind;
pub mod layer;
pub mod listing;
pub mod memory;
pub mod placement;
pub mod plot;
pub mod sections;
pub mod select;
pub mod window;

pub use axis_names::AxisNames;
pub use convolution::{Convolution, Output, OutputAxis};
pub use dump::{CountedIn, Dump};
pub use figures::{Figures, Sort};
pub use hyperparameters::{Hyperparameters, Known, Origin, Padding};
pub use im2col::Im2col;
pub use kind::{Axis, Evidence, Kind};
pub use layer::{Companion, Layer, LayerOptions, Part, Role};
pub use listing::{Listing, Row, Totals, referenced};
pub use memory::{Cut, Memory, Picture, Relation, Sharing, Spot};
pub use placement::Placement;
pub use plot::{Figure, FigureOptions};
pub use sections::{Sections, Wanted};
pub use select::{ElementAt, Grid, Selection, Slice};
pub use window::{Tap, Window};
