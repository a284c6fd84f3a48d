//! The one table of element types.

/// Order of the bytes of one component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ByteOrder {
    /// Least significant byte first.
    #[default]
    Little,
    /// Most significant byte first.
    Big,
}

/// An element type; [`DType::name`] is PyTorch's own name without `torch.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// `torch.float32`
    Float32,
}

impl DType {
    /// PyTorch's name: `float32`, `bfloat16`, `float8_e4m3fn`, `qint8`, ...
    pub fn name(self) -> &'static str {
        todo!()
    }
    /// Bits of one element (sub-byte types exist).
    pub fn bits(self) -> usize {
        todo!()
    }
}
