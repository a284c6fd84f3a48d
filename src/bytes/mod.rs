//! Positions and bounded reads; knows no format.

pub mod cursor;
pub mod digest;
pub mod limits;
pub mod output;
pub mod source;

pub use cursor::Cursor;
pub use limits::{Budget, Limits};
pub use source::{Access, ByteSource, Releasing};
