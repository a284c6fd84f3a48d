//! The operators: which function says what shape comes out. One table, one function per family.
//!
//! Names are ATen's, without the underscore of those that work in place. The names of the arguments are those of
//! `aten/src/ATen/native/native_functions.yaml` (torch 2.15), in that order; TorchScript passes most by position,
//! exported programs pass all by name.

mod convolution;
mod create;
mod parts;
mod pointwise;
mod pooling;
mod products;
mod recurrent;
mod reduce;
mod reshape;
mod table;
#[cfg(test)]
mod tests;

use super::call::{Call, Outcome, Said};
use super::value::Value;
use crate::tensor::DType;

pub(super) use parts::sliced;

/// What comes out of a call, and what is to be said about it.
pub(super) struct Done {
    pub(super) value: Value,
    pub(super) said: Said,
    pub(super) in_place: bool,
}

/// The operator's own name: `torch.ops.aten.relu_.default`, `torch.relu_` and `aten::relu_` are all `relu_`.
pub(super) fn bare(target: &str) -> &str {
    let target = target
        .strip_prefix("torch.ops.")
        .or_else(|| target.strip_prefix("ops."))
        .or_else(|| target.strip_prefix("torch."))
        .unwrap_or(target);
    match target.strip_prefix("aten.") {
        Some(rest) => rest.split('.').next().unwrap_or(rest),
        None => target,
    }
}

/// Calls the operator; `None` where nobody knows it.
pub(super) fn call(
    name: &str,
    positional: &[Value],
    named: &[(String, Value)],
) -> Option<Outcome<Done>> {
    let (row, plain) = table::find(name)?;
    let in_place = plain.len() < name.len();
    let mut call = Call::new(plain, row.names, positional, named);
    let outcome = (row.function)(&mut call);
    let said = call.said;
    Some(outcome.map(|value| Done {
        value,
        said,
        in_place,
    }))
}

/// `ScalarType` as a number: `c10/core/ScalarType.h`.
pub(super) fn scalar_type(code: i64) -> Option<DType> {
    let code = usize::try_from(code).ok()?;
    let name = *SCALAR_TYPES.get(code)?;
    DType::from_name(name)
}

/// The number of a type.
pub(super) fn scalar_code(dtype: DType) -> i64 {
    let at = SCALAR_TYPES.iter().position(|name| *name == dtype.name());
    at.map_or(6, |at| at as i64)
}

const SCALAR_TYPES: [&str; 16] = [
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "float32",
    "float64",
    "complex32",
    "complex64",
    "complex128",
    "bool",
    "qint8",
    "quint8",
    "qint32",
    "bfloat16",
];
