//! How a run ends.

use std::process::ExitCode;

use crate::error::Error;

/// The program's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done; everything asked for holds.
    Ok = 0,
    /// Done; the answer is no (a difference, a change, damage, danger).
    No = 1,
    /// Could not be done; `error: ...` was printed.
    Failed = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// Why a command stopped: the library said so, or its output could not be written.
#[derive(Debug)]
pub enum Failure {
    /// Printed as `error: ...`, exit code 2.
    Error(Error),
    /// Writing to standard output failed; a closed pipe is a quiet success.
    Output(std::io::Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

/// What every command returns.
pub type Outcome = Result<Exit, Failure>;
