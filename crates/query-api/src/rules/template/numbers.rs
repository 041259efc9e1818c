// SPDX-License-Identifier: Apache-2.0
//! Numbers as Go's fmt writes them.

use super::Value;

/// `%g` with a precision; none = shortest.
pub(super) fn general(value: f64, precision: Option<usize>) -> String {
    if !value.is_finite() {
        let text = if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return text.to_owned();
    }
    let scientific = match precision {
        Some(digits) => format!("{:.*e}", digits.max(1) - 1, value),
        None => format!("{value:e}"),
    };
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.'),
        false => digits,
    };
    let limit = precision.map_or(6, |digits| digits.max(1) as i32);
    if exponent < -4 || exponent >= limit {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let fraction = digits.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
    format!("{:.*}", (fraction - exponent).max(0) as usize, value)
}

/// As `{{ value }}` prints it.
pub(super) fn print(value: &Value) -> String {
    match value {
        Value::Nil => "<no value>".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Float(number) => general(*number, None),
        Value::Text(text) => text.clone(),
        Value::Map(map) => {
            let pairs: Vec<String> = map.iter().map(|(k, v)| format!("{k}:{}", print(v))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::List(list) => {
            let items: Vec<String> = list.iter().map(print).collect();
            format!("[{}]", items.join(" "))
        }
    }
}

/// `printf`.
pub(super) fn printf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let end = rest.find(|c: char| !"+-# 0123456789.".contains(c)).unwrap_or(rest.len());
        let spec = &rest[..end];
        let Some(verb) = rest[end..].chars().next() else {
            out.push_str("%!(NOVERB)");
            return out;
        };
        rest = &rest[end + verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(argument) = arguments.next() else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            continue;
        };
        out.push_str(&padded(spec, &verbed(spec, verb, argument)));
    }
    out.push_str(rest);
    let extra: Vec<String> = arguments.map(print).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn verbed(spec: &str, verb: char, argument: &Value) -> String {
    let precision = spec.split_once('.').map(|(_, digits)| digits.parse().unwrap_or(0));
    let text = match (verb, argument) {
        ('v', Value::Float(number)) => general(*number, precision),
        ('v' | 's', Value::Text(text)) => match precision {
            Some(most) if verb == 's' => text.chars().take(most).collect(),
            _ => text.clone(),
        },
        ('v', other) => print(other),
        ('q', Value::Text(text)) => format!("{text:?}"),
        ('d', Value::Int(number)) => number.to_string(),
        ('x', Value::Int(number)) => format!("{number:x}"),
        ('t', Value::Bool(truth)) => truth.to_string(),
        ('f' | 'F', Value::Float(number)) if number.is_finite() => {
            format!("{:.*}", precision.unwrap_or(6), number)
        }
        ('g', Value::Float(number)) => general(*number, precision),
        ('e', Value::Float(number)) if number.is_finite() => {
            let text = format!("{:.*e}", precision.unwrap_or(6), number);
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let exponent: i32 = exponent.parse().unwrap_or(0);
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        ('f' | 'F' | 'e', Value::Float(number)) => general(*number, None),
        (verb, other) => return format!("%!{verb}({})", print(other)),
    };
    match spec.contains('+') && !text.starts_with(['-', '+']) && !matches!(argument, Value::Text(_))
    {
        true => format!("+{text}"),
        false => text,
    }
}

fn padded(spec: &str, text: &str) -> String {
    let flags = spec.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let width = spec[flags.len()..].split('.').next().unwrap_or_default();
    let zeros = width.starts_with('0') && !flags.contains('-');
    // No page is wider.
    let width = width.parse::<usize>().unwrap_or(0).min(1000);
    let missing = width.saturating_sub(text.chars().count());
    match (flags.contains('-'), zeros) {
        (true, _) => format!("{text}{}", " ".repeat(missing)),
        (false, true) => {
            let (sign, digits) = match text.strip_prefix(['-', '+']) {
                Some(digits) => (&text[..1], digits),
                None => ("", text),
            };
            format!("{sign}{}{digits}", "0".repeat(missing))
        }
        (false, false) => format!("{}{text}", " ".repeat(missing)),
    }
}
