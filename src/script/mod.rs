//! The language of TorchScript's `code/*.py`, read without running it: text in, syntax tree out.
//!
//! It is a small part of Python, written by torch's own printer (`torch/csrc/jit/serialization/python_print.cpp`):
//! classes with annotated attributes and methods, functions, `if`, `while`, `for`, calls. The few operators that the
//! printer does not use are read too, since descriptions of known modules are written in the same language.
//!
//! | question | file |
//! |---|---|
//! | which words and signs does a line hold? | [`lexer`] |
//! | which statements are there? | [`ast`] |
//! | how do lines become statements? | [`mod@parse`] |

pub mod ast;
mod expression;
pub mod lexer;
pub mod parse;

pub use ast::{Class, Expr, Function, Parameter, Source, Stmt, Target};
pub use parse::parse;
