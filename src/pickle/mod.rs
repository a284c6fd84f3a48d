//! The pickle language: a program of opcodes that builds a graph of values.
//!
//! This module knows the language and nothing else: no torch, no class, no function. A `GLOBAL` is a pair of names,
//! a `REDUCE` is a record that somebody wanted a call; nothing is ever imported or called. What the graph means is
//! decided in [`crate::checkpoint`].

mod keys;
pub mod listing;
mod literal;
mod machine;
mod memo;
pub mod opcode;
#[cfg(test)]
mod tests;
pub mod trace;
pub mod value;

pub use listing::{Instructions, Listing};
pub use opcode::{Instruction, Opcode};
pub use trace::{Oddity, OddityKind, Trace};
pub use value::{Graph, Object, ObjectKind, Value, ValueId};

use crate::bytes::Limits;
use crate::error::Result;
use machine::Machine;
pub use machine::Prefix;

/// Runs the pickle at the start of `bytes` up to its STOP and returns the graph that it builds.
///
/// Offsets, in the graph and in errors, count from the start of `bytes`.
///
/// # Errors
///
/// `Malformed` where CPython's unpickler would fail too, whatever the named functions did; `Unsupported` for protocols
/// above 5 and for out-of-band buffers; `Limit` when the pickle has more than [`Limits::pickle_steps`] opcodes or its
/// values would take more than [`Limits::pickle_memory`] bytes. The opcode is named and its offset set.
///
/// `bytes` may be longer than the pickle; [`Graph::consumed`] tells where it ended.
pub fn read(bytes: &[u8], limits: &Limits) -> Result<Graph> {
    Machine::new(bytes, limits).run()
}

/// Runs the pickle at the start of `bytes` as far as any unpickler might get, for those who ask what it would do.
///
/// Where Python's unpicklers disagree, or this one is stricter than they are, the trace notes it and goes on; it ends
/// at STOP, or where none of them could go on, or at a limit. Never fails.
pub fn trace(bytes: &[u8], limits: &Limits) -> Trace {
    Machine::new(bytes, limits).trace()
}

/// Runs a pickle that may be cut off or damaged as far as it goes, and returns what it had built by then: of every
/// container the items that were finished.
///
/// # Errors
///
/// As [`read`], `Limit` only.
pub fn read_prefix(bytes: &[u8], limits: &Limits) -> Result<Prefix> {
    Machine::new(bytes, limits).run_prefix()
}
