//! One element, decoded.

use std::fmt;

/// One decoded element.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// A float of at most 32 bits, widened exactly; the bits as stored are kept apart.
    Float(f64),
    /// An integer.
    Int(i128),
    /// A truth value.
    Bool(bool),
    /// Real and imaginary part.
    Complex(f64, f64),
}

impl fmt::Display for Element {
    /// Shortest text that reads back as the same number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}
