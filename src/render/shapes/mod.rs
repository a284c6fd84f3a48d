//! The walk of `shapes`: a table for people, and JSON.

mod json;
mod rows;
mod text;
mod words;

pub use json::{json, page};
pub use text::{ShapesStyle, text};
