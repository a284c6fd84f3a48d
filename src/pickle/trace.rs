//! What a program would do, whether or not it is one that a correct writer makes.
//!
//! [`super::read`] refuses what is not right. A scanner must not: Python runs a broken program up to the place where it
//! breaks, and reads some notations that this crate refuses. So a trace holds the graph as far as it came, what was
//! odd on the way, and why it ended.

use super::opcode::Opcode;
use super::value::Graph;
use crate::error::Error;

/// What a program builds, as far as it runs.
#[derive(Debug)]
pub struct Trace {
    /// Everything that was made, popped values too. Its root is the top of the stack at STOP, else the lowest value on
    /// the stack where the program ended.
    pub graph: Graph,
    /// What no correct writer produces, in order.
    pub oddities: Vec<Oddity>,
    /// Oddities beyond those.
    pub oddities_left_out: usize,
    /// Opcodes that were run.
    pub steps: u64,
    /// Why it ended before STOP.
    pub error: Option<Error>,
}

/// One thing that no correct writer produces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oddity {
    /// Of what kind.
    pub kind: OddityKind,
    /// The opcode.
    pub opcode: Opcode,
    /// Where it lies.
    pub offset: u64,
    /// What is odd, in a line.
    pub message: String,
}

/// Kinds of oddities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OddityKind {
    /// Some unpicklers refuse it and some do not, or they read different things.
    ParserDependent,
    /// A memo index is given another value.
    MemoOverwritten,
    /// A memo index far beyond those in use: unpicklers take memory for it.
    MemoFar,
    /// An opcode that no writer of this protocol emits.
    Opcode,
    /// State for something that has none.
    State,
    /// A name that the program computes.
    ComputedName,
}

impl Trace {
    /// Whether it ran up to STOP.
    pub fn ended(&self) -> bool {
        self.error.is_none()
    }
}
