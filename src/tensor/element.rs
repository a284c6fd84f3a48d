//! One element, decoded.

use std::fmt;

use half::{bf16, f16};

use crate::tensor::dtype::{DType, Encoding, Mini, Special};

/// One decoded element.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// A float of at most 64 bits, widened exactly (a NaN loses its payload; [`super::TensorView::bits`] has it).
    Float(f64),
    /// An integer.
    Int(i128),
    /// A truth value.
    Bool(bool),
    /// Real and imaginary part.
    Complex(f64, f64),
    /// `float4_e2m1fn_x2`: the two numbers of one byte, the one in its low half first.
    Pair(f64, f64),
}

impl Element {
    /// The element whose bits are `bits`: little-endian as in memory, so that of a complex number the imaginary part
    /// is in the high half.
    pub(super) fn decode(dtype: DType, bits: u128) -> Self {
        let pair = |half: u32, part: fn(u64) -> f64| {
            let low = (bits & ((1u128 << half) - 1)) as u64;
            (part(low), part((bits >> half) as u64))
        };
        match dtype.encoding() {
            Encoding::Float64 => Element::Float(f64::from_bits(bits as u64)),
            Encoding::Float32 => Element::Float(float32(bits as u64)),
            Encoding::Float16 => Element::Float(float16(bits as u64)),
            Encoding::BFloat16 => Element::Float(bfloat16(bits as u64)),
            Encoding::Mini(format) => Element::Float(mini(format, bits as u32)),
            Encoding::PairOfFloat4 => {
                let (low, high) = pair(4, float4);
                Element::Pair(low, high)
            }
            Encoding::Unsigned => Element::Int(bits as i128), // at most 64 bits
            Encoding::Signed => {
                let unused = 128 - dtype.bits();
                Element::Int(((bits << unused) as i128) >> unused)
            }
            Encoding::Bool => Element::Bool(bits != 0),
            Encoding::ComplexHalf => complex(pair(16, float16)),
            Encoding::ComplexBFloat16 => complex(pair(16, bfloat16)),
            Encoding::ComplexFloat => complex(pair(32, float32)),
            Encoding::ComplexDouble => complex(pair(64, f64::from_bits)),
        }
    }

    /// The element as text: the shortest that reads back as the same number of type `dtype` (`0.1` for the float32
    /// nearest to it, where widened to float64 it would be `0.10000000149011612`).
    pub fn display(&self, dtype: DType) -> impl fmt::Display + '_ {
        Shown {
            element: self,
            dtype,
        }
    }
}

fn complex((re, im): (f64, f64)) -> Element {
    Element::Complex(re, im)
}

fn float32(bits: u64) -> f64 {
    f64::from(f32::from_bits(bits as u32))
}

fn float16(bits: u64) -> f64 {
    f16::from_bits(bits as u16).to_f64()
}

fn bfloat16(bits: u64) -> f64 {
    bf16::from_bits(bits as u16).to_f64()
}

fn float4(bits: u64) -> f64 {
    let format = Mini {
        exponent: 2,
        mantissa: 1,
        bias: 1,
        special: Special::None,
    };
    mini(format, bits as u32)
}

/// A float of at most eight bits. Sources: OCP 8-bit floating point specification 1.0 (e4m3fn, e5m2), OCP
/// microscaling formats 1.0 (e2m1, e2m3, e3m2, e8m0), Noune et al. 2022 (fnuz); torch's conversions agree.
fn mini(format: Mini, bits: u32) -> f64 {
    let Mini {
        exponent: exponent_bits,
        mantissa: mantissa_bits,
        bias,
        special,
    } = format;
    if special == Special::PowerOfTwo {
        return if bits == 255 {
            f64::NAN
        } else {
            2f64.powi(bits as i32 - bias)
        };
    }
    let magnitude_bits = exponent_bits + mantissa_bits;
    let negative = bits >> magnitude_bits & 1 == 1;
    let magnitude = bits & ((1 << magnitude_bits) - 1);
    let mantissa = magnitude & ((1 << mantissa_bits) - 1);
    let exponent = magnitude >> mantissa_bits;
    let sign = if negative { -1.0 } else { 1.0 };
    match special {
        Special::Ieee if exponent + 1 == 1 << exponent_bits => {
            return if mantissa == 0 {
                sign * f64::INFINITY
            } else {
                f64::NAN
            };
        }
        Special::AllOnesNan if magnitude + 1 == 1 << magnitude_bits => return f64::NAN,
        Special::NegativeZeroNan if negative && magnitude == 0 => return f64::NAN,
        _ => {}
    }
    // subnormals have the exponent of 1 and no leading one; every value is exact in a float64
    let leading = if exponent == 0 { 0 } else { 1 << mantissa_bits };
    let scale = exponent.max(1) as i32 - bias - mantissa_bits as i32;
    sign * f64::from(leading + mantissa) * 2f64.powi(scale)
}

impl fmt::Display for Element {
    /// Shortest text that reads back as the same float64; see [`Element::display`] for narrower types.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(DType::Float64).fmt(f)
    }
}

struct Shown<'a> {
    element: &'a Element,
    dtype: DType,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: f64| shortest(value, self.dtype);
        let text = match self.element {
            Element::Float(value) => number(*value),
            Element::Int(value) => value.to_string(),
            Element::Bool(value) => value.to_string(),
            Element::Complex(re, im) => {
                let plus = if im.is_sign_negative() && !im.is_nan() {
                    ""
                } else {
                    "+"
                };
                format!("{}{plus}{}j", number(*re), number(*im))
            }
            Element::Pair(low, high) => format!("({}, {})", number(*low), number(*high)),
        };
        f.pad(&text)
    }
}

/// The shortest decimal text that `dtype` reads back as `value`, which is one of its numbers.
fn shortest(value: f64, dtype: DType) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    match dtype.encoding() {
        Encoding::Float32 | Encoding::ComplexFloat => return plain_or_exponent(value as f32),
        Encoding::Float64 | Encoding::ComplexDouble => return plain_or_exponent(value),
        _ => {}
    }
    // Of the narrow types: the fewest digits that stand for a number nearer to `value` than to its neighbours.
    let half_step = half_step(value, dtype);
    for digits in 0..17 {
        let text = format!("{value:.digits$e}");
        if let Ok(read) = text.parse::<f64>()
            && (read == value || (read - value).abs() < half_step)
        {
            return plain_or_exponent(read);
        }
    }
    plain_or_exponent(value)
}

/// Half the distance from `value` to the nearer of its neighbours among the numbers of `dtype`.
fn half_step(value: f64, dtype: DType) -> f64 {
    let (significant_bits, least_exponent) = match dtype.encoding() {
        Encoding::Float16 | Encoding::ComplexHalf => (11, -14),
        Encoding::BFloat16 | Encoding::ComplexBFloat16 => (8, -126),
        Encoding::Mini(format) => (format.mantissa as i32 + 1, 1 - format.bias),
        Encoding::PairOfFloat4 => (2, 0),
        _ => (53, -1022),
    };
    let bits = value.to_bits();
    let exponent = (bits >> 52 & 0x7ff) as i32 - 1023;
    // below a power of two the numbers lie twice as close
    let closer = i32::from(bits << 12 == 0 && exponent > least_exponent);
    2f64.powi(exponent.max(least_exponent) - significant_bits - closer)
}

/// `1.5`, `2.0`, `1e-08`: as Python's `repr`, which keeps to plain digits from 1e-4 to 1e16.
fn plain_or_exponent<T: Into<f64> + fmt::Debug + fmt::LowerExp + Copy>(value: T) -> String {
    let wide: f64 = value.into();
    let magnitude = wide.abs();
    if wide == 0.0 || !wide.is_finite() || (1e-4..1e16).contains(&magnitude) {
        return format!("{value:?}");
    }
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{mantissa}e-{exponent:0>2}"),
            None => format!("{mantissa}e+{exponent:0>2}"),
        },
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::Element;
    use crate::tensor::DType;

    fn float(dtype: DType, bits: u128) -> f64 {
        match Element::decode(dtype, bits) {
            Element::Float(value) => value,
            other => panic!("{other:?}"),
        }
    }

    fn text(dtype: DType, bits: u128) -> String {
        Element::decode(dtype, bits).display(dtype).to_string()
    }

    /// Values from torch 2.15: `torch.arange(256, dtype=torch.uint8).view(dtype).to(torch.float32)`.
    #[test]
    fn eight_bit_floats_are_torchs() {
        let e4m3fn = |bits| float(DType::Float8E4m3fn, bits);
        assert_eq!(e4m3fn(1), 0.001953125);
        assert_eq!(e4m3fn(120), 256.0);
        assert_eq!(e4m3fn(126), 448.0);
        assert!(e4m3fn(127).is_nan() && e4m3fn(255).is_nan());
        assert!(e4m3fn(128) == 0.0 && e4m3fn(128).is_sign_negative());
        assert_eq!(e4m3fn(135), -0.013671875);
        let e5m2 = |bits| float(DType::Float8E5m2, bits);
        assert_eq!(e5m2(1), 1.52587890625e-05);
        assert_eq!(e5m2(123), 57344.0);
        assert_eq!((e5m2(124), e5m2(252)), (f64::INFINITY, f64::NEG_INFINITY));
        assert!(e5m2(125).is_nan() && e5m2(255).is_nan());
        let e4m3fnuz = |bits| float(DType::Float8E4m3fnuz, bits);
        assert_eq!(e4m3fnuz(1), 0.0009765625);
        assert_eq!((e4m3fnuz(127), e4m3fnuz(255)), (240.0, -240.0));
        assert!(e4m3fnuz(128).is_nan());
        let e5m2fnuz = |bits| float(DType::Float8E5m2fnuz, bits);
        assert_eq!(e5m2fnuz(1), 7.62939453125e-06);
        assert_eq!(e5m2fnuz(127), 57344.0);
        assert!(e5m2fnuz(128).is_nan());
        let e8m0 = |bits| float(DType::Float8E8m0fnu, bits);
        assert_eq!(
            (e8m0(0), e8m0(127), e8m0(135)),
            (5.877471754111438e-39, 1.0, 256.0)
        );
        assert!(e8m0(255).is_nan());
    }

    #[test]
    fn smaller_floats() {
        let e2m1: Vec<f64> = (0..16).map(|b| float(DType::Float4E2m1fn, b)).collect();
        assert_eq!(e2m1[..8], [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]);
        assert_eq!(e2m1[15], -6.0);
        assert_eq!(float(DType::Float6E2m3fn, 0b011111), 7.5);
        assert_eq!(float(DType::Float6E3m2fn, 0b011111), 28.0);
        assert_eq!(
            Element::decode(DType::Float4E2m1fnX2, 0x2f),
            Element::Pair(-6.0, 1.0)
        );
    }

    #[test]
    fn integers_and_complex() {
        assert_eq!(Element::decode(DType::Int8, 0xff), Element::Int(-1));
        assert_eq!(
            Element::decode(DType::UInt64, u64::MAX.into()),
            Element::Int(u64::MAX.into())
        );
        assert_eq!(Element::decode(DType::QUInt4x2, 0xf), Element::Int(15));
        let one_minus_two = u128::from((-2f32).to_bits()) << 32 | u128::from(1f32.to_bits());
        assert_eq!(text(DType::Complex64, one_minus_two), "1.0-2.0j");
    }

    #[test]
    fn text_is_the_shortest_for_its_type() {
        assert_eq!(text(DType::Float32, 0.1f32.to_bits().into()), "0.1");
        assert_eq!(
            text(DType::Float64, f64::from(0.1f32).to_bits().into()),
            "0.10000000149011612"
        );
        assert_eq!(
            text(DType::Float16, half::f16::from_f32(0.1).to_bits().into()),
            "0.1"
        );
        assert_eq!(
            text(DType::BFloat16, half::bf16::from_f32(2.71).to_bits().into()),
            "2.7"
        );
        assert_eq!(text(DType::Float32, 1e-8f32.to_bits().into()), "1e-08");
        assert_eq!(text(DType::Float32, 2f32.to_bits().into()), "2.0");
        assert_eq!(text(DType::Float32, (-0f32).to_bits().into()), "-0.0");
        assert_eq!(text(DType::Float32, f32::INFINITY.to_bits().into()), "inf");
        assert_eq!(text(DType::Float32, 0x7fc0_0001), "nan");
        assert_eq!(
            text(DType::Float32, f32::MAX.to_bits().into()),
            "3.4028235e+38"
        );
    }

    #[test]
    fn every_narrow_number_reads_back() {
        for bits in 0..=u16::MAX {
            let value = half::bf16::from_bits(bits);
            let shown = text(DType::BFloat16, bits.into());
            let read = half::bf16::from_f32(shown.parse().unwrap());
            assert!(read == value || value.is_nan(), "{bits:#x} {shown}");
            let value = half::f16::from_bits(bits);
            let shown = text(DType::Float16, bits.into());
            let read = half::f16::from_f32(shown.parse().unwrap());
            assert!(read == value || value.is_nan(), "{bits:#x} {shown}");
        }
    }
}
