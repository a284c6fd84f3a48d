//! `layer`: one layer, understood at a glance.

mod address;
mod json;
mod text;
mod values;
mod words;

pub use json::json;
pub use text::text;
