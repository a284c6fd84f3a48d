//! The `readelf` of PyTorch checkpoints: reads them without running them, explains their weights, and replays layers
//! (convolutions, Linear) bit for bit without PyTorch.
//!
//! Data flows from left to right, and so do the modules' dependencies:
//!
//! ```text
//!  file ──► bytes ──► container ──► pickle ─────┐
//!                         │                     ├─► checkpoint ──► tensor views ─┬─► explain ─┐
//!                         └──────► safetensors ─┘                                ├─► execute ─┤
//!                                                                                ├─► export ──┼─► render ──► cli
//!                                                                                └─► verify ──┘
//! ```
//!
//! | question | module |
//! |---|---|
//! | how are bytes read, limited, written? | [`bytes`] |
//! | which named byte ranges does this file hold? | [`container`] |
//! | what does this pickle build? | [`pickle`] |
//! | what does this safetensors header say? | [`safetensors`] |
//! | what is a tensor, apart from any file? | [`tensor`] |
//! | how large is the output of a window that slides over an axis? | [`geometry`] |
//! | how is `.npy` and `.npz` read and written? | [`npy`] |
//! | which tensors, modules and values are in this checkpoint? | [`checkpoint`] |
//! | what does this layer's weight mean, and where is each number? | [`explain`] |
//! | what does this layer compute, in which order of additions? | [`execute`] |
//! | does it agree with what PyTorch computed? | [`verify`] |
//! | what does TorchScript's code say? | [`script`] |
//! | which sizes does an input take on its way through the model? | [`shapes`] |
//! | what would unpickling it run? | [`scan`] |
//! | is the file whole, and whose is each of its bytes? | [`check`] |
//! | what can be saved of a damaged one? | [`recover`] |
//! | how do pictures become tensors, and numbers colours? | [`picture`] |
//! | how do weights leave the file? | [`export`] |
//! | what does the page about a file hold, cut to a budget? | [`report`] |
//! | how does a report become text or JSON? | [`render`] |
//!
//! # Who may use whom
//!
//! What is not listed is forbidden; `error` is free to all. `tests/layering.rs` reads this table and every `use crate::`
//! line, which is why these are written one per line and never grouped.
//!
//! | module | may use |
//! |---|---|
//! | bytes | |
//! | container | bytes |
//! | pickle | bytes |
//! | tensor | |
//! | safetensors | bytes, tensor |
//! | npy | bytes, container, tensor |
//! | scan | bytes, container, pickle, safetensors, tensor |
//! | script | |
//! | geometry | |
//! | shapes | bytes, checkpoint, geometry, script, tensor |
//! | checkpoint | bytes, container, pickle, safetensors, tensor |
//! | explain | bytes, checkpoint, container, execute, geometry, tensor |
//! | execute | geometry, tensor |
//! | picture | bytes |
//! | recover | bytes, checkpoint, safetensors, tensor |
//! | check | bytes, checkpoint, container, explain, safetensors |
//! | export | bytes, checkpoint, npy, safetensors, tensor |
//! | verify | bytes, checkpoint, execute, tensor |
//! | report | bytes, check, checkpoint, explain, tensor |
//! | render | check, checkpoint, execute, explain, export, picture, recover, report, scan, shapes, tensor, verify |
//! | cli | bytes, check, checkpoint, container, execute, explain, export, npy, pickle, picture, recover, render, report, safetensors, scan, shapes, tensor, verify |
//!
//! # Example
//!
//! ```no_run
//! use pthinspect::bytes::Limits;
//! use pthinspect::checkpoint::Checkpoint;
//! use pthinspect::explain::{Layer, LayerOptions};
//!
//! # fn main() -> pthinspect::Result<()> {
//! let checkpoint = Checkpoint::open("model.pth".as_ref(), &Limits::default())?;
//! let conv1 = Layer::of(&checkpoint, "conv1", &LayerOptions::default())?;
//! println!("{:?}: filter 0 is flat {:?}", conv1.weight.shape, conv1.slices[0].flat);
//! # Ok(())
//! # }
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]
// module documentation speaks to readers of the source too; such links are plain text in the public pages
#![allow(rustdoc::private_intra_doc_links)]

pub mod bytes;
pub mod check;
pub mod checkpoint;
pub mod container;
pub mod error;
pub mod execute;
pub mod explain;
pub mod export;
pub mod geometry;
pub mod npy;
pub mod pickle;
pub mod picture;
pub mod recover;
pub mod render;
pub mod report;
pub mod safetensors;
pub mod scan;
pub mod script;
pub mod shapes;
pub mod tensor;
pub mod verify;

#[doc(hidden)]
pub mod cli;

pub use error::{Error, ErrorKind, Result};
