//! Numbers as people read them.

use serde_json::Value;

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
pub fn element(value: &Element, dtype: &str) -> String {
    match value {
        Element::Float(value) => float(*value, dtype),
        Element::Int(value) => value.to_string(),
        Element::Bool(value) => value.to_string(),
        Element::Complex(re, im) => {
            let im = float(*im, dtype);
            let sign = if im.starts_with('-') { "" } else { "+" };
            format!("{}{sign}{im}i", float(*re, dtype))
        }
    }
}

fn float(value: f64, dtype: &str) -> String {
    let wide = matches!(dtype, "float64" | "complex128");
    // exact: every narrower type's values are float32 values
    #[allow(clippy::cast_possible_truncation)]
    let narrow = value as f32;
    let magnitude = value.abs();
    let plain = magnitude == 0.0 || (1e-5..1e16).contains(&magnitude) || !value.is_finite();
    match (wide, plain) {
        (true, true) => value.to_string(),
        (true, false) => format!("{value:e}"),
        (false, true) => narrow.to_string(),
        (false, false) => format!("{narrow:e}"),
    }
}

/// `value` rounded to at most `width` characters, for grids; never rounds a value to zero.
pub fn cell(value: &Element, dtype: &str, width: usize) -> String {
    let exact = element(value, dtype);
    let Element::Float(number) = value else {
        return exact;
    };
    if exact.len() <= width {
        return exact;
    }
    if number.abs() >= 1e-3 {
        for decimals in (0..=6).rev() {
            let text = format!("{number:.decimals$}");
            if text.len() <= width {
                return text;
            }
        }
    }
    format!("{number:.1e}")
}

/// A value as JSON; what JSON has no number for is a string: `"NaN"`, `"inf"`, `"-inf"`.
pub fn json(value: &Element, dtype: &str) -> Value {
    let float = |number: f64| {
        if number.is_finite() {
            // the shortest digits, not those of the widened value
            float(number, dtype)
                .parse::<f64>()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .map_or(Value::Null, Value::Number)
        } else {
            Value::String(number.to_string())
        }
    };
    match value {
        Element::Float(value) => float(*value),
        Element::Int(value) => i64::try_from(*value)
            .map(Value::from)
            .or_else(|_| u64::try_from(*value).map(Value::from))
            .unwrap_or_else(|_| Value::String(value.to_string())),
        Element::Bool(value) => Value::Bool(*value),
        Element::Complex(re, im) => Value::Array(vec![float(*re), float(*im)]),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, cell, element, grouped, json};
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
        assert_eq!(element(&tenth, "float32"), "0.1");
        assert_eq!(element(&tenth, "float64"), "0.10000000149011612");
        assert_eq!(element(&Element::Float(-0.0), "float32"), "-0");
        assert_eq!(element(&Element::Float(1e-40), "float64"), "1e-40");
        assert_eq!(json(&tenth, "float32").to_string(), "0.1");
        assert_eq!(json(&Element::Float(f64::NAN), "float32"), "NaN");
        assert_eq!(element(&Element::Complex(1.0, -2.5), "complex64"), "1-2.5i");
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
            let text = cell(&Element::Float(value), "float64", 9);
            assert!(text.len() <= 9, "{text}");
            assert_ne!(text.parse::<f64>().unwrap(), 0.0);
        }
    }
}
