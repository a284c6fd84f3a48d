//! Typed views of bytes: what a tensor *is*, apart from any file.
//!
//! [`DType`] says what an element is, [`Layout`] where each element lies in its storage, [`TensorView`] joins both
//! with the bytes. All size arithmetic of the crate is checked and lives in [`layout`].

pub mod dtype;
pub mod element;
pub mod layout;
mod logical;
pub mod reals;
pub mod tag;
pub mod view;

#[cfg(test)]
mod tests;

pub use dtype::{ByteOrder, DType};
pub use element::Element;
pub use layout::Layout;
pub use tag::{Blocked, Tag};
pub use view::TensorView;
