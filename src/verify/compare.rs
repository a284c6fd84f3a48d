//! Two outputs, compared bit by bit.

use crate::execute::FloatType;
use crate::execute::Real;

/// How far apart two outputs are.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Type of the elements.
    pub dtype: FloatType,
    /// Elements compared.
    pub elements: usize,
    /// Elements equal in every bit; two NaNs are equal whatever their payload.
    pub identical: usize,
    /// Largest distance in units in the last place: how many numbers of the type lie between the two, -0 and +0 being
    /// neighbours. [`NAN_ULP`] where one of them is a NaN.
    pub max_ulp: u64,
    /// Largest absolute difference; infinite where one is infinite or a NaN.
    pub max_abs: f64,
    /// The first element that differs, in C order.
    pub first: Option<Difference>,
}

impl Comparison {
    /// Of nothing.
    pub fn empty(dtype: FloatType) -> Self {
        Self {
            dtype,
            elements: 0,
            identical: 0,
            max_ulp: 0,
            max_abs: 0.0,
            first: None,
        }
    }
}

/// One element that differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Position in C order.
    pub flat: usize,
    /// Bits of what was saved.
    pub expected: u64,
    /// Bits of what was computed.
    pub actual: u64,
}

/// The distance between a number and a NaN.
pub const NAN_ULP: u64 = u64::MAX;

/// Whether every bit agrees; two NaNs agree. Both must be numbers of one type.
pub fn same<R: Real>(a: R, b: R) -> bool {
    (a == b && (a != R::ZERO || a.is_negative_zero() == b.is_negative_zero()))
        || (a.is_nan() && b.is_nan())
}

/// How many steps from one number of `dtype` to the next lead from the one with the bits `a` to that with `b`; -0 and
/// +0 are one step apart.
pub fn ulp_distance(dtype: FloatType, a: u64, b: u64) -> u64 {
    let is_nan = |bits| match dtype {
        FloatType::Float64 => f64::from_bits(bits).is_nan(),
        narrower => f32::of_bits(bits, narrower).is_nan(),
    };
    if is_nan(a) || is_nan(b) {
        return if is_nan(a) && is_nan(b) { 0 } else { NAN_ULP };
    }
    let sign = 1u64 << (dtype.bytes() * 8 - 1);
    let rank = |bits: u64| match bits & sign {
        0 => bits | sign,
        _ => !bits & (sign - 1),
    };
    rank(a).abs_diff(rank(b))
}

/// Compares two outputs of one length, both rounded to `dtype`.
pub fn compare<R: Real>(dtype: FloatType, expected: &[R], actual: &[R]) -> Comparison {
    let mut result = Comparison {
        elements: expected.len(),
        ..Comparison::empty(dtype)
    };
    for (flat, (&expected, &actual)) in expected.iter().zip(actual).enumerate() {
        if same(expected, actual) {
            result.identical += 1;
            continue;
        }
        let difference = Difference {
            flat,
            expected: expected.bits(dtype),
            actual: actual.bits(dtype),
        };
        result.first.get_or_insert(difference);
        let distance = ulp_distance(dtype, difference.expected, difference.actual);
        result.max_ulp = result.max_ulp.max(distance);
        let distance = (expected.to_f64() - actual.to_f64()).abs();
        let distance = if distance.is_nan() {
            f64::INFINITY
        } else {
            distance
        };
        result.max_abs = result.max_abs.max(distance);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(a: f32, b: f32) -> u64 {
        let bits = |x: f32| u64::from(x.to_bits());
        ulp_distance(FloatType::Float32, bits(a), bits(b))
    }

    #[test]
    fn the_sign_of_zero_counts_and_the_payload_of_nan_does_not() {
        assert!(!same(0.0f32, -0.0));
        assert!(same(-0.0f64, -0.0) && same(0.0f64, 0.0));
        assert!(same(f32::NAN, f32::from_bits(0xffc0_0001)));
        assert_eq!(ulps(0.0, -0.0), 1);
        assert_eq!(ulps(1.0, f32::NAN), NAN_ULP);
    }

    #[test]
    fn ulps_count_the_floats_between() {
        assert_eq!(ulps(1.0, 1.0f32.next_up()), 1);
        assert_eq!(ulps(1.0f32.next_down(), 1.0f32.next_up()), 2);
        assert_eq!(
            ulps(-0.0f32.next_up(), 0.0f32.next_up()),
            3,
            "over -0 and +0"
        );
        assert_eq!(ulps(f32::MAX, f32::INFINITY), 1);
    }

    #[test]
    fn ulps_are_those_of_the_type() {
        let apart = |dtype, a, b| ulp_distance(dtype, a, b);
        assert_eq!(apart(FloatType::BFloat16, 0x3f80, 0x3f81), 1);
        assert_eq!(apart(FloatType::BFloat16, 0x8001, 0x0001), 3);
        assert_eq!(apart(FloatType::BFloat16, 0x3f80, 0x7fc0), NAN_ULP);
        assert_eq!(apart(FloatType::Float16, 0x7bff, 0x7c00), 1);
        assert_eq!(apart(FloatType::Float16, 0x7c01, 0xfe00), 0, "two NaNs");
        let (one, two) = (1f64.to_bits(), 1f64.next_up().to_bits());
        assert_eq!(apart(FloatType::Float64, one, two), 1);
        let least = (-5e-324f64).to_bits();
        assert_eq!(apart(FloatType::Float64, least, 0), 2);
    }

    #[test]
    fn the_first_difference_is_named() {
        let expected = [1.0, 2.0, 3.0, f32::NAN];
        let result = compare(FloatType::Float32, &expected, &[1.0, 2.5, 3.25, f32::NAN]);
        assert_eq!((result.elements, result.identical), (4, 2));
        assert_eq!(result.max_abs, 0.5);
        let first = result.first.unwrap();
        assert_eq!(
            (first.flat, first.expected, first.actual),
            (1, 0x4000_0000, 0x4020_0000)
        );
        let narrow = compare(FloatType::BFloat16, &[2.0f32], &[2.5]);
        assert_eq!(narrow.first.unwrap().actual, 0x4020);
        assert_eq!(narrow.max_ulp, 32);
    }
}
