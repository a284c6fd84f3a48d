//! What a value is, in a whole file and in a damaged one.

use super::{Rebuilder, Rebuilt};
use crate::checkpoint::salvage::Loss;
use crate::error::{ErrorKind, Result};
use crate::pickle::ValueId;

/// What a value was found to be.
pub(in crate::checkpoint) enum Found {
    /// A tensor.
    Tensor(Box<Rebuilt>),
    /// A tensor that a damaged file does not hold any more.
    Lost,
    /// No tensor.
    Other,
}

impl Rebuilder<'_, '_> {
    /// The tensor that the value at `path` is. In a damaged file, which is one with `losses`, a tensor that cannot be
    /// had is one of those, and no error.
    pub(in crate::checkpoint) fn found(
        &mut self,
        id: ValueId,
        path: &str,
        losses: Option<&mut Vec<Loss>>,
    ) -> Result<Found> {
        let error = match self.tensor(id) {
            Ok(Some(rebuilt)) => return Ok(Found::Tensor(Box::new(rebuilt))),
            Ok(None) => return Ok(Found::Other),
            Err(error) => error,
        };
        let Some(losses) = losses.filter(|_| error.kind() != ErrorKind::Limit) else {
            return Err(error);
        };
        let cost = size_of::<Loss>() + path.len() + error.message().len();
        self.budget.spend(cost)?;
        losses.push(Loss {
            name: path.to_owned(),
            dtype: None,
            shape: None,
            why: error.message().to_owned(),
        });
        Ok(Found::Lost)
    }
}
