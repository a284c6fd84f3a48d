//! The only formatter: report values in, text or JSON out. No computation, and no terminal: colour and width are
//! arguments.

pub mod escape;
pub mod json;
mod paint;

pub use paint::{Paint, Painted};
