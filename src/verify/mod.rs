//! Replaying saved PyTorch outputs: every bit must agree.
//!
//! [`golden`] reads the golden file, [`replay`] executes one case in the predicted order or has [`search`] look for
//! the one that fits, [`settle`] asks the file's other cases what its origin leaves open, [`compare`] judges, and [`diagnose`] says why a case differs. A difference is a result, never an
//! error; an error means that the case could not be executed at all.

pub mod compare;
pub mod diagnose;
pub mod golden;
pub mod origins;
pub mod replay;
pub mod search;
pub mod settle;
pub mod textbook;
mod trial;
mod words;

pub use compare::Comparison;
pub use diagnose::{Diagnosis, Finding};
pub use golden::{Case, Golden};
pub use replay::{CaseReport, ChosenBy, Options, Status};
pub use settle::{Processors, Settled};
