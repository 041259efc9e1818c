// SPDX-License-Identifier: Apache-2.0
//! Protobuf to JSON.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::schema::{Field, Kind, Message};
use crate::text::double_text;
use crate::wire::{self, Val, fields, zigzag32};

/// Appends the message `raw` of type `table`.
pub(super) fn write(table: &Message, raw: &[u8], out: &mut Vec<u8>) {
    out.push(b'{');
    let mut done = 0u32;
    for field in fields(raw) {
        let row = table.field(field.number);
        // Unknown numbers may not fit the mask, so they are sorted out first.
        if row.kind == Kind::Unknown
            || done & 1 << field.number != 0
            || is_default(row, field.value)
        {
            continue;
        }
        if done != 0 {
            out.push(b',');
        }
        done |= 1 << field.number;
        out.push(b'"');
        out.extend_from_slice(row.json.as_bytes());
        out.extend_from_slice(b"\":");
        if row.repeated {
            array(row, &raw[field.start..], field.number, out);
        } else {
            value(row, field.value, out);
        }
    }
    out.push(b'}');
}

/// True for what JSON leaves out: a default, unless the field tells presence.
fn is_default(row: &Field, value: Val<'_>) -> bool {
    match value {
        _ if row.presence => false,
        Val::Varint(v) | Val::Fixed64(v) => v == 0,
        Val::Fixed32(v) => v == 0,
        Val::Len(bytes) => {
            bytes.is_empty() && row.message.is_none() && !(row.repeated && row.kind == Kind::Str)
        }
    }
}

/// All occurrences of a repeated field; `raw` starts at the first.
fn array(row: &Field, raw: &[u8], number: u32, out: &mut Vec<u8>) {
    out.push(b'[');
    let mut first = true;
    let mut comma = |out: &mut Vec<u8>| {
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
    };
    for field in fields(raw).filter(|f| f.number == number) {
        match (row.kind, field.value) {
            (Kind::Uint64s, Val::Len(packed)) => {
                let mut pos = 0;
                while let Some(v) = wire::read_varint(packed, &mut pos) {
                    comma(out);
                    quoted(v, out);
                }
            }
            (Kind::Fixed64s | Kind::Doubles, Val::Len(packed)) => {
                let mut pos = 0;
                while let Some(v) = wire::read_fixed64(packed, &mut pos) {
                    comma(out);
                    if row.kind == Kind::Doubles { double(v, out) } else { quoted(v, out) }
                }
            }
            _ => {
                comma(out);
                value(row, field.value, out);
            }
        }
    }
    out.push(b']');
}

fn value(row: &Field, value: Val<'_>, out: &mut Vec<u8>) {
    match (row.kind, value) {
        (Kind::Double, Val::Fixed64(v)) => double(v, out),
        (Kind::Sfixed64, Val::Fixed64(v)) => quoted(v as i64, out),
        (Kind::Int64, Val::Varint(v)) => quoted(v as i64, out),
        (Kind::Sint32, Val::Varint(v)) => plain(zigzag32(v), out),
        (Kind::Int32 | Kind::Enum, Val::Varint(v)) => plain(v as i32, out),
        (Kind::Bool, Val::Varint(v)) => plain(v != 0, out),
        (_, Val::Varint(v)) => plain(v as u32, out),
        (_, Val::Fixed64(v)) => quoted(v, out),
        (_, Val::Fixed32(v)) => plain(v, out),
        (Kind::Message | Kind::KeyValue, Val::Len(raw)) => {
            if let Some(table) = row.message {
                write(table, raw, out);
            }
        }
        (Kind::Id(_), Val::Len(bytes)) => hex(bytes, out),
        (Kind::Bytes, Val::Len(bytes)) => {
            let _ = write!(out, "\"{}\"", BASE64.encode(bytes));
        }
        (_, Val::Len(text)) => string(text, out),
    }
}

// Writing into a `Vec` cannot fail.

fn plain(v: impl std::fmt::Display, out: &mut Vec<u8>) {
    let _ = write!(out, "{v}");
}

fn quoted(v: impl std::fmt::Display, out: &mut Vec<u8>) {
    let _ = write!(out, "\"{v}\"");
}

fn double(bits: u64, out: &mut Vec<u8>) {
    let v = f64::from_bits(bits);
    if v.is_finite() {
        out.extend_from_slice(double_text(v).as_str().as_bytes());
    } else if v.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else {
        out.extend_from_slice(if v > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
}

fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'"');
}

fn string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let mut start = 0;
    for (at, &byte) in text.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[start..at]);
        start = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    out.extend_from_slice(&text[start..]);
    out.push(b'"');
}
