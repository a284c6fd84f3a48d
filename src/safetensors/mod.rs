//! safetensors: a JSON header with a place for each tensor, and their bytes.
//!
//! Source of the format: <https://huggingface.co/docs/safetensors>, section "Format", and the crate `safetensors`, whose
//! verdict on every header is the same, duplicate names apart (a test holds this). The reader is our own because the
//! crate forgets the order of the names and where they stand, and silently takes the last of two equal ones.

pub mod header;
pub mod stream;
mod writer;

pub use header::{Header, HeaderEntry};
pub use writer::write;
