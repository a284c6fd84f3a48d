//! `layer`: one layer, understood at a glance.

mod address;
mod arguments;
mod assumed;
mod dump;
mod figures;
mod flags;
mod groups;
mod json;
mod output;
mod picture;
mod placement;
mod tensors;
mod text;
mod unfold;
mod values;
mod window;
mod words;

pub use json::json;
pub use text::text;
