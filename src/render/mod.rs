//! The only formatter: report values in, text or JSON out. No computation, and no terminal: colour and width are
//! arguments.

pub mod ascii;
pub mod check;
mod diagnosis;
pub mod escape;
pub mod explain_output;
pub mod export;
pub mod json;
pub mod layer;
pub mod ls;
pub mod module;
pub mod number;
pub mod orders;
mod paint;
pub mod plot;
pub mod recover;
pub mod report;
pub mod sarif;
pub mod scan;
pub mod shapes;
pub mod tree;
pub mod verify;
mod wrap;

pub use paint::{Paint, Painted};
