//! The `readelf` of PyTorch checkpoints.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod bytes;
pub mod checkpoint;
pub mod container;
pub mod error;
pub mod execute;
pub mod explain;
pub mod export;
pub mod npy;
pub mod pickle;
pub mod render;
pub mod safetensors;
pub mod tensor;
pub mod verify;

#[doc(hidden)]
pub mod cli;

pub use error::{Error, ErrorKind, Result};
