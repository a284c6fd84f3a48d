//! `layer`: one layer, understood at a glance.

mod address;
mod assumed;
mod json;
mod tensors;
mod text;
mod values;
mod words;

pub use json::json;
pub use text::text;
