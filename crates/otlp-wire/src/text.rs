// SPDX-License-Identifier: Apache-2.0
//! Values as text, equal to what the Go collector writes (`pcommon.Value.AsString`).
//!
//! Numbers are shortest and never lose bits; arrays and maps are JSON as Go's `encoding/json`
//! writes it: keys sorted, the last of equal keys wins, `<`, `>` and `&` escaped.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::value::AnyValue;

/// Appends the canonical text of `value`.
pub(crate) fn write(value: &AnyValue<'_>, out: &mut String) {
    match value {
        AnyValue::Empty => {}
        AnyValue::Str(s) => out.push_str(s),
        AnyValue::Bool(v) => out.push_str(if *v { "true" } else { "false" }),
        AnyValue::Int(v) => write_int(*v, out),
        AnyValue::Double(v) if v.is_finite() => write_double(*v, out),
        AnyValue::Double(v) => {
            out.push_str("json: unsupported value: ");
            out.push_str(non_finite(*v));
        }
        AnyValue::Bytes(bytes) => BASE64.encode_string(bytes, out),
        AnyValue::Array(_) | AnyValue::KvList(_) => {
            let start = out.len();
            // Go's encoder gives up on a NaN, which leaves the empty text.
            if !write_json(value, out) {
                out.truncate(start);
            }
        }
    }
}

fn non_finite(v: f64) -> &'static str {
    if v.is_nan() {
        "NaN"
    } else if v > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

fn write_int(v: i64, out: &mut String) {
    // Writing into a `String` cannot fail.
    let _ = write!(out, "{v}");
}

fn write_double(v: f64, out: &mut String) {
    out.push_str(double_text(v).as_str());
}

/// The text of a number, on the stack.
pub(crate) struct Digits {
    /// The longest is a 17 digit fraction just above 1e-6, at 25 bytes.
    bytes: [u8; 32],
    len: usize,
}

impl Digits {
    pub(crate) fn as_str(&self) -> &str {
        crate::wire::text(&self.bytes[..self.len])
    }
}

impl Write for Digits {
    fn write_str(&mut self, s: &str) -> std::fmt::Result {
        let room = self.bytes.get_mut(self.len..self.len + s.len()).ok_or(std::fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len += s.len();
        Ok(())
    }
}

/// A finite double in the shortest decimal that reads back equal, with an exponent outside
/// 1e-6..1e21; as Go's `encoding/json` writes it.
pub(crate) fn double_text(v: f64) -> Digits {
    let size = v.abs();
    let mut plain = Digits { bytes: [0; 32], len: 0 };
    // Both forms fit the buffer, so writing cannot fail.
    if size == 0.0 || (1e-6..1e21).contains(&size) {
        let _ = write!(plain, "{v}");
        return plain;
    }
    let _ = write!(plain, "{v:e}");
    let Some((digits, exponent)) = plain.as_str().split_once('e') else { return plain };
    let plus = if exponent.starts_with('-') { "" } else { "+" };
    let mut out = Digits { bytes: [0; 32], len: 0 };
    let _ = write!(out, "{digits}e{plus}{exponent}");
    out
}

/// Appends `value` as JSON; false when it holds a NaN or an infinity.
fn write_json(value: &AnyValue<'_>, out: &mut String) -> bool {
    match value {
        AnyValue::Empty => out.push_str("null"),
        AnyValue::Str(s) => write_quoted(s, out),
        AnyValue::Bool(v) => out.push_str(if *v { "true" } else { "false" }),
        AnyValue::Int(v) => write_int(*v, out),
        AnyValue::Double(v) if !v.is_finite() => return false,
        AnyValue::Double(v) => write_double(*v, out),
        AnyValue::Bytes(bytes) => {
            out.push('"');
            BASE64.encode_string(bytes, out);
            out.push('"');
        }
        AnyValue::Array(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                if !write_json(&value, out) {
                    return false;
                }
            }
            out.push(']');
        }
        AnyValue::KvList(list) => return write_map(list.iter().collect(), out),
    }
    true
}

fn write_map(mut entries: Vec<(&str, AnyValue<'_>)>, out: &mut String) -> bool {
    // A stable sort keeps equal keys in wire order, so the last one is the one to write.
    entries.sort_by_key(|(key, _)| *key);
    out.push('{');
    let mut first = true;
    for (i, (key, value)) in entries.iter().enumerate() {
        if entries.get(i + 1).is_some_and(|(next, _)| next == key) {
            continue;
        }
        if !first {
            out.push(',');
        }
        first = false;
        write_quoted(key, out);
        out.push(':');
        if !write_json(value, out) {
            return false;
        }
    }
    out.push('}');
    true
}

fn write_quoted(s: &str, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
