//! Plain numbers: the arithmetic of sizes, as Python does it.

use super::call::{Outcome, Trouble, refuse};
use super::value::Value;

/// Names that mean plain numbers where no tensor is among the arguments.
pub(super) fn is_plain(name: &str) -> bool {
    const NAMES: [&str; 34] = [
        "add",
        "sub",
        "mul",
        "div",
        "truediv",
        "floordiv",
        "floor_divide",
        "remainder",
        "mod",
        "fmod",
        "pow",
        "neg",
        "eq",
        "ne",
        "lt",
        "le",
        "gt",
        "ge",
        "max",
        "min",
        "abs",
        "ceil",
        "floor",
        "round",
        "sqrt",
        "log",
        "prim.max",
        "prim.min",
        "prim.abs",
        "math.ceil",
        "math.floor",
        "sym_max",
        "sym_min",
        "exp",
    ];
    NAMES.contains(&name)
}

/// Numbers.
pub(super) fn arithmetic(name: &str, first: &Value, second: &Value) -> Option<Outcome> {
    let name = name
        .trim_start_matches("prim.")
        .trim_start_matches("math.")
        .trim_start_matches("sym_");
    let zero = || -> Outcome { refuse("division by zero") };
    let whole = |value: &Value| match value {
        Value::Int(n) => Some(*n),
        Value::Bool(b) => Some(i64::from(*b)),
        _ => None,
    };
    if let (Some(a), Some(b)) = (whole(first), whole(second)) {
        let checked = |result: Option<i64>| -> Outcome {
            match result {
                Some(n) => Ok(Value::Int(n)),
                None => Err(Trouble::Unknown("a number is too large".to_owned())),
            }
        };
        return Some(match name {
            "add" => checked(a.checked_add(b)),
            "sub" => checked(a.checked_sub(b)),
            "mul" => checked(a.checked_mul(b)),
            "floordiv" | "floor_divide" | "remainder" | "mod" if b == 0 => zero(),
            "floordiv" | "floor_divide" => {
                let quotient = a.checked_div_euclid(b);
                // Python rounds towards minus infinity
                checked(quotient.map(|q| {
                    if b < 0 && a.rem_euclid(b) != 0 {
                        q - 1
                    } else {
                        q
                    }
                }))
            }
            "remainder" | "mod" => {
                let rest = a.checked_rem(b);
                checked(rest.map(|r| {
                    if r != 0 && (r < 0) != (b < 0) {
                        r + b
                    } else {
                        r
                    }
                }))
            }
            "fmod" if b != 0 => checked(a.checked_rem(b)),
            "div" | "truediv" if b == 0 => zero(),
            "div" | "truediv" => Ok(Value::Float(a as f64 / b as f64)),
            "pow" => match u32::try_from(b) {
                Ok(b) => checked(a.checked_pow(b)),
                Err(_) => Ok(Value::Float((a as f64).powf(b as f64))),
            },
            "max" => Ok(Value::Int(a.max(b))),
            "min" => Ok(Value::Int(a.min(b))),
            "eq" => Ok(Value::Bool(a == b)),
            "ne" => Ok(Value::Bool(a != b)),
            "lt" => Ok(Value::Bool(a < b)),
            "le" => Ok(Value::Bool(a <= b)),
            "gt" => Ok(Value::Bool(a > b)),
            "ge" => Ok(Value::Bool(a >= b)),
            _ => return None,
        });
    }
    let number = |value: &Value| match value {
        Value::Float(x) => Some(*x),
        other => whole(other).map(|n| n as f64),
    };
    let a = number(first);
    if let (Some(x), Value::None) = (a, second) {
        return Some(Ok(match name {
            "neg" => whole(first).map_or(Value::Float(-x), |n| Value::Int(n.wrapping_neg())),
            "abs" => whole(first).map_or(Value::Float(x.abs()), |n| Value::Int(n.wrapping_abs())),
            "ceil" => Value::Int(x.ceil() as i64),
            "floor" => Value::Int(x.floor() as i64),
            "round" => Value::Int(x.round_ties_even() as i64),
            "sqrt" => Value::Float(x.sqrt()),
            "log" => Value::Float(x.ln()),
            "exp" => Value::Float(x.exp()),
            "eq" => Value::Bool(false),
            "ne" => Value::Bool(true),
            _ => return None,
        }));
    }
    let (Some(a), Some(b)) = (a, number(second)) else {
        let equal = first.equals(second);
        return match name {
            "eq" | "ne" => {
                Some(Ok(equal.map_or(Value::Unknown, |equal| {
                    Value::Bool(equal == (name == "eq"))
                })))
            }
            _ => None,
        };
    };
    Some(Ok(match name {
        "add" => Value::Float(a + b),
        "sub" => Value::Float(a - b),
        "mul" => Value::Float(a * b),
        "div" | "truediv" => Value::Float(a / b),
        "floordiv" | "floor_divide" => Value::Float((a / b).floor()),
        "remainder" | "mod" => Value::Float(a - b * (a / b).floor()),
        "pow" => Value::Float(a.powf(b)),
        "max" => Value::Float(a.max(b)),
        "min" => Value::Float(a.min(b)),
        "eq" => Value::Bool(a == b),
        "ne" => Value::Bool(a != b),
        "lt" => Value::Bool(a < b),
        "le" => Value::Bool(a <= b),
        "gt" => Value::Bool(a > b),
        "ge" => Value::Bool(a >= b),
        _ => return None,
    }))
}
