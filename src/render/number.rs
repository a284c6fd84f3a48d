//! Numbers as people read them.

use serde_json::Value;

use crate::tensor::DType;
use crate::tensor::Element;

/// `14400` as `14,400`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `57,600 bytes`, with a rounded figure beside it where there are many: `46,827,520 bytes (46.8 MB)`.
pub fn bytes(number: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB")];
    let plural = if number == 1 { "byte" } else { "bytes" };
    let exact = format!("{} {plural}", grouped(number));
    // rounding is what this figure is for
    #[allow(clippy::cast_precision_loss)]
    let float = number as f64;
    match UNITS.iter().find(|(size, _)| float >= *size) {
        Some((size, unit)) => format!("{exact} ({:.1} {unit})", float / size),
        None => exact,
    }
}

/// `1 tensor`, `2 tensors`.
pub fn count(number: u64, thing: &str) -> String {
    format!(
        "{} {thing}{}",
        grouped(number),
        if number == 1 { "" } else { "s" }
    )
}

/// The shortest text that reads back as the same value of type `dtype`.
pub fn element(value: &Element, dtype: DType) -> String {
    value.display(dtype).to_string()
}

/// A float as Python's `repr` writes it: `0.1`, `1e-05`, `1.0`, `inf`.
pub fn python(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() || magnitude == 0.0 || (1e-4..1e16).contains(&magnitude) {
        return format!("{value:?}").replace("NaN", "nan");
    }
    // Rust writes 1e-5 where Python writes 1e-05
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, number) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |n| ('-', n));
    format!("{digits}e{sign}{number:0>2}")
}

/// `value` in about `width` characters, for grids: at most six decimals; never rounds a value to zero.
pub fn cell(value: &Element, dtype: DType, width: usize) -> String {
    let exact = element(value, dtype);
    let Element::Float(number) = value else {
        return exact;
    };
    let decimals = exact
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    if exact.len() <= width && decimals <= 6 {
        return exact;
    }
    if number.abs() >= 1e-4 {
        for decimals in (0..=6).rev() {
            let text = format!("{number:.decimals$}");
            let is_zero = !text.contains(|c: char| ('1'..='9').contains(&c));
            if text.len() <= width && !is_zero {
                return text;
            }
        }
    }
    let texts = [format!("{number:.2e}"), format!("{number:.1e}")];
    let fitting = texts.into_iter().find(|text| text.len() <= width);
    fitting.unwrap_or_else(|| format!("{number:.0e}"))
}

/// A value as JSON; what JSON has no number for is a string: `"NaN"`, `"inf"`, `"-inf"`.
pub fn json(value: &Element, dtype: DType) -> Value {
    let float = |number: f64| {
        if !number.is_finite() {
            return Value::String(number.to_string());
        }
        // the shortest digits, not those of the widened value; for complex numbers there is no such text to parse
        let digits = Element::Float(number).display(dtype).to_string();
        Value::from(digits.parse().unwrap_or(number))
    };
    match value {
        Element::Float(value) => float(*value),
        Element::Int(value) => i64::try_from(*value)
            .map(Value::from)
            .or_else(|_| u64::try_from(*value).map(Value::from))
            .unwrap_or_else(|_| Value::String(value.to_string())),
        Element::Bool(value) => Value::Bool(*value),
        Element::Complex(a, b) | Element::Pair(a, b) => Value::Array(vec![float(*a), float(*b)]),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, cell, element, grouped, json};
    use crate::tensor::DType;
    use crate::tensor::Element;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(14_400), "14,400");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(46_827_520), "46,827,520 bytes (46.8 MB)");
        assert_eq!(bytes(1), "1 byte");
    }

    #[test]
    fn floats_print_shortest_for_their_type() {
        let tenth = Element::Float(f64::from(0.1f32));
        assert_eq!(element(&tenth, DType::Float32), "0.1");
        assert_eq!(element(&tenth, DType::Float64), "0.10000000149011612");
        assert_eq!(json(&tenth, DType::Float32).to_string(), "0.1");
        assert_eq!(json(&Element::Float(f64::NAN), DType::Float32), "NaN");
        assert_eq!(
            json(&Element::Int(i128::from(u64::MAX)), DType::UInt64),
            u64::MAX
        );
    }

    #[test]
    fn floats_print_as_in_python() {
        let cases = [
            (1e-5, "1e-05"),
            (0.1, "0.1"),
            (1.0, "1.0"),
            (1e16, "1e+16"),
            (-2.5e-10, "-2.5e-10"),
        ];
        for (value, text) in cases {
            assert_eq!(super::python(value), text);
        }
        assert_eq!(super::python(f64::NAN), "nan");
    }

    #[test]
    fn cells_fit_and_never_become_zero() {
        for value in [
            0.123_456_789,
            -0.000_123_456,
            12_345.678_9,
            -1.234_567e-30,
            9.9e30,
            f64::NAN,
        ] {
            let text = cell(&Element::Float(value), DType::Float64, 9);
            assert!(text.len() <= 9, "{text}");
            assert_ne!(text.parse::<f64>().unwrap(), 0.0);
        }
    }
}
