//! Two outputs, compared bit by bit.

/// How far apart two outputs are.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Elements compared.
    pub elements: usize,
    /// Elements equal in every bit; two NaNs are equal whatever their payload.
    pub identical: usize,
    /// Largest distance in units in the last place: how many float32 lie between the two, -0 and +0 being
    /// neighbours. [`NAN_ULP`] where one of them is a NaN.
    pub max_ulp: u32,
    /// Largest absolute difference; infinite where one is infinite or a NaN.
    pub max_abs: f64,
    /// The first element that differs, in C order.
    pub first: Option<Difference>,
}

/// One element that differs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Position in C order.
    pub flat: usize,
    /// What was saved.
    pub expected: f32,
    /// What was computed.
    pub actual: f32,
}

/// The distance between a number and a NaN.
pub const NAN_ULP: u32 = u32::MAX;

/// Whether every bit agrees; two NaNs agree.
pub fn same(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// How many steps from one float32 to the next lead from `a` to `b`; -0 and +0 are one step apart.
pub fn ulp_distance(a: f32, b: f32) -> u32 {
    if a.is_nan() || b.is_nan() {
        return if a.is_nan() && b.is_nan() { 0 } else { NAN_ULP };
    }
    let rank = |x: f32| match x.to_bits() {
        bits if bits >> 31 == 1 => !bits,
        bits => bits | 1 << 31,
    };
    rank(a).abs_diff(rank(b))
}

/// Compares two outputs of one length.
pub fn compare(expected: &[f32], actual: &[f32]) -> Comparison {
    let mut result = Comparison {
        elements: expected.len(),
        identical: 0,
        max_ulp: 0,
        max_abs: 0.0,
        first: None,
    };
    for (flat, (&expected, &actual)) in expected.iter().zip(actual).enumerate() {
        if same(expected, actual) {
            result.identical += 1;
            continue;
        }
        result.first.get_or_insert(Difference {
            flat,
            expected,
            actual,
        });
        result.max_ulp = result.max_ulp.max(ulp_distance(expected, actual));
        let distance = (f64::from(expected) - f64::from(actual)).abs();
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

    #[test]
    fn the_sign_of_zero_counts_and_the_payload_of_nan_does_not() {
        assert!(!same(0.0, -0.0));
        assert!(same(f32::NAN, f32::from_bits(0xffc0_0001)));
        assert_eq!(ulp_distance(0.0, -0.0), 1);
        assert_eq!(ulp_distance(1.0, f32::NAN), NAN_ULP);
    }

    #[test]
    fn ulps_count_the_floats_between() {
        assert_eq!(ulp_distance(1.0, 1.0f32.next_up()), 1);
        assert_eq!(ulp_distance(1.0f32.next_down(), 1.0f32.next_up()), 2);
        assert_eq!(
            ulp_distance(-0.0f32.next_up(), 0.0f32.next_up()),
            3,
            "over -0 and +0"
        );
        assert_eq!(ulp_distance(f32::MAX, f32::INFINITY), 1);
    }

    #[test]
    fn the_first_difference_is_named() {
        let result = compare(&[1.0, 2.0, 3.0, f32::NAN], &[1.0, 2.5, 3.25, f32::NAN]);
        assert_eq!((result.elements, result.identical), (4, 2));
        assert_eq!(result.max_abs, 0.5);
        let first = result.first.unwrap();
        assert_eq!((first.flat, first.expected, first.actual), (1, 2.0, 2.5));
    }
}
