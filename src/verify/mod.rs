//! Replaying saved PyTorch outputs: every bit must agree.
//!
//! [`golden`] reads the golden file, [`replay`] executes one case in the predicted order or searches for the one
//! that fits, [`compare`] judges. A difference is a result, never an error; an error means that the case could not
//! be executed at all.

pub mod compare;
pub mod golden;
pub mod replay;
pub mod search;

pub use compare::Comparison;
pub use golden::{Case, Golden};
pub use replay::{CaseReport, ChosenBy, Options, Status};
