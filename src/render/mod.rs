//! The only formatter: report values in, text or JSON out. No computation, and no terminal: colour and width are
//! arguments.

pub mod escape;
pub mod json;
pub mod orders;
mod paint;
pub mod verify;

pub use paint::{Paint, Painted};
