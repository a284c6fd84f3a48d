//! The pickle language: a program of opcodes that builds a graph of values.
//!
//! This module knows the language and nothing else: no torch, no class, no function. A `GLOBAL` is a pair of names,
//! a `REDUCE` is a record that somebody wanted a call; nothing is ever imported or called. What the graph means is
//! decided in [`crate::checkpoint`].

pub mod value;

pub use value::{Graph, Object, ObjectKind, Value, ValueId};

use crate::bytes::Limits;
use crate::error::Result;

/// Runs the pickle at the start of `bytes` up to its STOP and returns the graph that it builds.
///
/// `bytes` may be longer than the pickle; [`Graph::consumed`] tells where it ended.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Graph> {
    let _ = (bytes, limits);
    todo!()
}
