//! The sizes that an input takes on its way through a model: operator by operator, with the formula of each.
//!
//! | question | file |
//! |---|---|
//! | which model, which inputs, what came of it? | [`walk`] |
//! | what does TorchScript's code do? And that of known modules? | `interpreter`, `expressions`, `calls`, [`known`] |
//! | what does an exported graph do? | `exported` |
//! | which shape does an operator give? | [`ops`] |
//! | what happened, step by step? | [`trace`] |
//! | which other inputs would fit? | [`fits`] |
//! | and if nobody says which input? | `usual` |
//!
//! Nothing of a tensor's elements is read, save single numbers that a program keeps as constants.

mod call;
mod calls;
mod exported;
mod expressions;
pub mod fits;
mod interpreter;
mod known;
mod numbers;
mod ops;
mod program;
mod scalar;
pub mod trace;
mod usual;
mod value;
pub mod walk;

pub use call::{AxisFormula, Wrong};
pub use fits::{Fits, Sizes};
pub use program::Insert;
pub use trace::{Broken, Step};
pub use usual::usual_walks;
pub use value::Origin;
pub use walk::{Walk, WalkInput, WalkOptions};
