// SPDX-License-Identifier: Apache-2.0
//! What a plain YAML scalar means, by the rules of Go's yaml.v3.
//!
//! They are YAML 1.1 with the surprises taken out: `yes`, `on` and `1:30` are text, `0755` is
//! octal, `089` a float, `0o17` and `0b11` numbers, `1_000` a thousand, `.inf` and `.nan` floats.
//! Timestamps stay text, since no setting takes one.

use super::node::Value;

/// Types plain (unquoted) text.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    let may_be_number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    if may_be_number && let Some(number) = number(text) {
        return number;
    }
    Value::String(text.to_owned())
}

fn number(text: &str) -> Option<Value> {
    if text.starts_with('.') {
        // Go hands such text to ParseFloat as it is.
        return float(text).map(Value::Float);
    }
    let plain = text.replace('_', "");
    let whole = integer(&plain)
        .filter(|value| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(value));
    match whole {
        Some(value) => Some(Value::Int(value)),
        None => float(&plain).map(Value::Float),
    }
}

/// An integer with an optional sign, in the base its prefix names.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (base, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // `from_str_radix` would take a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(digits, base).ok()?;
    Some(if negative { -value } else { value })
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, which leaves out `1e`, `inf`, `infinity`.
fn float(text: &str) -> Option<f64> {
    let allowed = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    if allowed { text.parse().ok() } else { None }
}
