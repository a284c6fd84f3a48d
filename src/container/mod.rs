//! Which named byte ranges does this file hold? And what kind of file is it at all?

mod foreign;
mod kind;
pub mod tar;
pub mod zip;

pub use kind::{FileKind, Foreign, foreign_error};
pub use zip::{Method, Oddity, Record, Survey, Zip};
