//! The walk of `shapes`: a table for people, and JSON.

mod json;
mod text;

pub use json::json;
pub use text::{ShapesStyle, text};
