//! The element types that convolutions compute with.
//!
//! float32 and float64 are added up in their own arithmetic. bfloat16 and float16 are not: every backend widens their
//! elements to float32, which is exact, adds in float32, and rounds the finished sum once, to nearest with ties to
//! even. So the interpreter and the kernels know two kinds of numbers ([`Real`]: `f32` and `f64`), and a [`FloatType`]
//! says what they stand for in memory.

use std::fmt;
use std::ops::Add;
use std::ops::AddAssign;
use std::ops::Mul;

use half::bf16;
use half::f16;

use crate::error::Error;
use crate::error::Result;
use crate::tensor::DType;

/// Element type of a convolution's input, weight, bias and output, which are all alike (PyTorch refuses mixtures).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum FloatType {
    /// `torch.float32`
    #[default]
    Float32,
    /// `torch.float64`
    Float64,
    /// `torch.bfloat16`
    BFloat16,
    /// `torch.float16`
    Float16,
}

impl FloatType {
    /// The type of a convolution on tensors of `dtype`.
    ///
    /// # Errors
    ///
    /// `Unsupported` for a dtype that PyTorch does not convolve on a CPU, or not as real numbers.
    pub fn of(dtype: DType) -> Result<Self> {
        match dtype {
            DType::Float32 => Ok(FloatType::Float32),
            DType::Float64 => Ok(FloatType::Float64),
            DType::BFloat16 => Ok(FloatType::BFloat16),
            DType::Float16 => Ok(FloatType::Float16),
            other => Err(Error::unsupported(format!(
                "has elements of {other}; convolutions are executed in float32, float64, bfloat16 and float16"
            ))),
        }
    }

    /// The tensor's dtype.
    pub fn dtype(self) -> DType {
        match self {
            FloatType::Float32 => DType::Float32,
            FloatType::Float64 => DType::Float64,
            FloatType::BFloat16 => DType::BFloat16,
            FloatType::Float16 => DType::Float16,
        }
    }

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            FloatType::Float64 => 8,
            FloatType::Float32 => 4,
            FloatType::BFloat16 | FloatType::Float16 => 2,
        }
    }

    /// Whether the sum is kept in a wider type than the output's and rounded at the end.
    pub fn is_narrow(self) -> bool {
        self.bytes() == 2
    }
}

impl fmt::Display for FloatType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.dtype().name())
    }
}

/// The numbers that sums are made of: IEEE 754 binary32 or binary64, each operation rounded once.
pub trait Real:
    Copy
    + Default
    + PartialEq
    + Send
    + Sync
    + fmt::Debug
    + fmt::LowerExp
    + Add<Output = Self>
    + AddAssign
    + Mul<Output = Self>
    + 'static
{
    /// +0
    const ZERO: Self;

    /// The least normal number.
    const LEAST_NORMAL: f64;

    /// From 1 to the next number.
    const EPSILON: f64;

    /// `self * factor + term`, rounded once.
    #[must_use]
    fn mul_add(self, factor: Self, term: Self) -> Self;

    /// A zero of the same sign instead of a subnormal number.
    #[must_use]
    fn flushed(self) -> Self;

    /// Whether it is a NaN.
    fn is_nan(self) -> bool;

    /// Whether it is -0.
    fn is_negative_zero(self) -> bool;

    /// The least magnitude of those that are not zero; infinity if there are none.
    fn least_magnitude(values: &[Self]) -> f64;

    /// Whether it is neither infinite nor a NaN.
    fn is_finite(self) -> bool;

    /// The value, exactly or (from a float64 to a float32) rounded.
    fn from_f64(value: f64) -> Self;

    /// The value, exactly.
    fn to_f64(self) -> f64;

    /// Elements of `dtype`, little-endian, widened exactly. `dtype` must be one whose sums are made of `Self`.
    fn decode(dtype: FloatType, bytes: &[u8]) -> Vec<Self>;

    /// Rounded to `dtype`, to nearest with ties to even.
    #[must_use]
    fn rounded(self, dtype: FloatType) -> Self;

    /// The bits of the number rounded to `dtype`, in the low end.
    fn bits(self, dtype: FloatType) -> u64;

    /// The number of `dtype` with these bits.
    fn of_bits(bits: u64, dtype: FloatType) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const LEAST_NORMAL: f64 = f32::MIN_POSITIVE as f64;
    const EPSILON: f64 = f32::EPSILON as f64;

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        f32::mul_add(self, factor, term)
    }

    #[inline]
    fn flushed(self) -> Self {
        if self.is_subnormal() {
            f32::copysign(0.0, self)
        } else {
            self
        }
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }

    #[inline(always)]
    fn is_negative_zero(self) -> bool {
        self.to_bits() == 1 << 31
    }

    #[inline(always)]
    fn least_magnitude(values: &[Self]) -> f64 {
        // bits of magnitudes are in order; less one, so that zeros come last
        let below = |x: &f32| (x.to_bits() & u32::MAX >> 1).wrapping_sub(1);
        let least = values.iter().map(below).fold(u32::MAX, u32::min);
        f32::from_bits(least.min(f32::INFINITY.to_bits() - 1) + 1).into()
    }

    #[inline(always)]
    fn is_finite(self) -> bool {
        f32::is_finite(self)
    }

    fn from_f64(value: f64) -> Self {
        value as f32
    }

    fn to_f64(self) -> f64 {
        self.into()
    }

    fn decode(dtype: FloatType, bytes: &[u8]) -> Vec<Self> {
        let halves = || bytes.as_chunks::<2>().0.iter().copied();
        match dtype {
            FloatType::BFloat16 => halves().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
            FloatType::Float16 => halves().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
            FloatType::Float32 | FloatType::Float64 => {
                let words = bytes.as_chunks::<4>().0.iter();
                words.map(|&word| f32::from_le_bytes(word)).collect()
            }
        }
    }

    fn rounded(self, dtype: FloatType) -> Self {
        match dtype {
            FloatType::BFloat16 => bf16::from_f32(self).to_f32(),
            FloatType::Float16 => f16::from_f32(self).to_f32(),
            FloatType::Float32 | FloatType::Float64 => self,
        }
    }

    fn bits(self, dtype: FloatType) -> u64 {
        match dtype {
            FloatType::BFloat16 => bf16::from_f32(self).to_bits().into(),
            FloatType::Float16 => f16::from_f32(self).to_bits().into(),
            FloatType::Float32 | FloatType::Float64 => self.to_bits().into(),
        }
    }

    fn of_bits(bits: u64, dtype: FloatType) -> Self {
        match dtype {
            FloatType::BFloat16 => bf16::from_bits(bits as u16).to_f32(),
            FloatType::Float16 => f16::from_bits(bits as u16).to_f32(),
            FloatType::Float32 | FloatType::Float64 => f32::from_bits(bits as u32),
        }
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const LEAST_NORMAL: f64 = f64::MIN_POSITIVE;
    const EPSILON: f64 = f64::EPSILON;

    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        f64::mul_add(self, factor, term)
    }

    #[inline]
    fn flushed(self) -> Self {
        if self.is_subnormal() {
            f64::copysign(0.0, self)
        } else {
            self
        }
    }

    #[inline(always)]
    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }

    #[inline(always)]
    fn is_negative_zero(self) -> bool {
        self.to_bits() == 1 << 63
    }

    #[inline(always)]
    fn least_magnitude(values: &[Self]) -> f64 {
        // bits of magnitudes are in order; less one, so that zeros come last
        let below = |x: &f64| (x.to_bits() & u64::MAX >> 1).wrapping_sub(1);
        let least = values.iter().map(below).fold(u64::MAX, u64::min);
        f64::from_bits(least.min(f64::INFINITY.to_bits() - 1) + 1).into()
    }

    #[inline(always)]
    fn is_finite(self) -> bool {
        f64::is_finite(self)
    }

    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn decode(_: FloatType, bytes: &[u8]) -> Vec<Self> {
        let words = bytes.as_chunks::<8>().0.iter();
        words.map(|&word| f64::from_le_bytes(word)).collect()
    }

    fn rounded(self, _: FloatType) -> Self {
        self
    }

    fn bits(self, _: FloatType) -> u64 {
        self.to_bits()
    }

    fn of_bits(bits: u64, _: FloatType) -> Self {
        f64::from_bits(bits)
    }
}

/// Sums as `dtype` stores them, rounded, little-endian.
pub fn encode<R: Real>(dtype: FloatType, values: &[R]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(values.len() * dtype.bytes());
    for value in values {
        bytes.extend_from_slice(&value.bits(dtype).to_le_bytes()[..dtype.bytes()]);
    }
    bytes
}

/// Every element rounded to `dtype`; the identity where sums are kept in it.
pub fn round_all<R: Real>(dtype: FloatType, values: &mut [R]) {
    if dtype.is_narrow() {
        for value in values {
            *value = value.rounded(dtype);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and bits of torch 2.15: `torch.tensor(x).to(dtype).view(torch.int16)`.
    #[test]
    fn sums_are_rounded_to_nearest_with_ties_to_even() {
        let bf16 = |x: f32| x.rounded(FloatType::BFloat16).bits(FloatType::BFloat16);
        assert_eq!(bf16(1.0 + 2f32.powi(-8)), 0x3f80, "a tie, down to even");
        assert_eq!(bf16(1.0 + 3.0 * 2f32.powi(-8)), 0x3f82, "a tie, up to even");
        assert_eq!(bf16(f32::MAX), 0x7f80, "infinity");
        assert_eq!(bf16(1e-40), 0x0001, "subnormal");
        assert_eq!(bf16(-0.0), 0x8000);
        let f16 = |x: f32| x.rounded(FloatType::Float16).bits(FloatType::Float16);
        assert_eq!(f16(65519.0), 0x7bff);
        assert_eq!(f16(65520.0), 0x7c00, "a tie, up to infinity");
        assert_eq!(f16(2f32.powi(-25)), 0x0000, "a tie, down to zero");
        assert_eq!(f16(-6e-8), 0x8001);
    }

    #[test]
    fn every_narrow_number_survives() {
        for dtype in [FloatType::BFloat16, FloatType::Float16] {
            for bits in 0..=u16::MAX {
                let [value] = f32::decode(dtype, &bits.to_le_bytes())[..] else {
                    panic!("one element")
                };
                let again = encode(dtype, &[value]);
                assert!(
                    value.is_nan() || again == bits.to_le_bytes(),
                    "{dtype} {bits:#06x}"
                );
                assert_eq!(value.is_nan(), f32::of_bits(bits.into(), dtype).is_nan());
            }
        }
    }
}
