// SPDX-License-Identifier: Apache-2.0
//! The one validation at the door: a table-driven walk over an export request.
//!
//! In: any bytes. Out: the item count and whether the encoding is odd (legal protobuf that views
//! do not expect: a singular field or a oneof given twice, an unpacked array, attributes in
//! several runs), or where and why the bytes are refused. Proves: structure, wire types, UTF-8,
//! id lengths, depth. Bounds: recursion stops at [`DEPTH_MAX`] messages; no allocation.
//!
//! Speed comes from one special case, the attribute every SDK writes (key and scalar value
//! shorter than 128 bytes): all its framing bytes are ASCII, so one scan over the whole
//! `KeyValue` proves key and value.

use crate::schema::{Field, Kind, Message};
use crate::wire::{
    FIXED32, FIXED64, LEN, VARINT, read_fixed32, read_fixed64, read_len, read_varint,
};

/// Deepest nesting of messages, where every attribute counts as starting at 8. What is left allows
/// 11 lists or maps in each other, far more than any SDK writes, and keeps the recursion of every
/// reader small.
pub const DEPTH_MAX: u32 = 32;

/// Why bytes are not an OTLP export request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed otlp: {what} at byte {at}")]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// Offset of the message or field that is wrong, from the start of the input.
    pub at: usize,
}

impl From<Malformed> for basics::Error {
    fn from(e: Malformed) -> Self {
        basics::Error::new(basics::Kind::Invalid, e.to_string())
    }
}

/// What a walk over valid bytes found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Spans, data points or log records.
    pub items: u32,
    /// Messages of any type, what a decoder would allocate for.
    pub messages: u32,
    /// Legal, but views need it normalised first.
    pub odd: bool,
}

/// Walks `bytes` as a message of type `table`.
pub(crate) fn check(table: &'static Message, bytes: &[u8]) -> Result<Found, Malformed> {
    if bytes.len() > i32::MAX as usize {
        return Err(Malformed { what: "message of more than 2 GiB", at: 0 });
    }
    let mut walk = Walk { found: Found::default(), origin: bytes.as_ptr() as usize };
    walk.message(table, bytes, 1)?;
    Ok(walk.found)
}

struct Walk {
    found: Found,
    /// Address of the first byte, to tell offsets in errors.
    origin: usize,
}

impl Walk {
    fn message(
        &mut self,
        table: &'static Message,
        buf: &[u8],
        depth: u32,
    ) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(self.bad("message nested too deeply", buf, 0));
        }
        self.found.messages += 1;
        self.found.items += u32::from(table.item);
        let mut pos = 0;
        let mut seen = 0u32;
        let mut last = 0;
        while pos < buf.len() {
            let start = pos;
            let Some(key) = read_varint(buf, &mut pos) else {
                return Err(self.bad("broken field tag", buf, start));
            };
            if key < 8 || key > u64::from(u32::MAX) {
                return Err(self.bad("field number out of range", buf, start));
            }
            let number = (key >> 3) as u32;
            let field = table.field(number);
            if field.wire != (key & 7) as u8 {
                self.other_wire(field, (key & 7) as u8, buf, start, &mut pos)?;
                last = number;
                continue;
            }
            // Known numbers are at most 16, so the shift is in range.
            let bit = 1u32 << number;
            let repeats = seen & field.conflict != 0;
            self.found.odd |= repeats && !(field.kind == Kind::KeyValue && last == number);
            seen |= bit;
            last = number;
            let whole = match field.wire {
                LEN => match read_len(buf, &mut pos) {
                    Some(body) => {
                        self.body(table, field, body, depth)?;
                        true
                    }
                    None => false,
                },
                VARINT => read_varint(buf, &mut pos).is_some(),
                FIXED64 => read_fixed64(buf, &mut pos).is_some(),
                _ => read_fixed32(buf, &mut pos).is_some(),
            };
            if !whole {
                return Err(self.bad("field cut short", buf, start));
            }
        }
        Ok(())
    }

    #[inline]
    fn body(
        &mut self,
        owner: &Message,
        field: &Field,
        body: &[u8],
        depth: u32,
    ) -> Result<(), Malformed> {
        match field.kind {
            Kind::KeyValue if depth + 2 <= DEPTH_MAX && is_plain_key_value(body) => {
                self.found.messages += 1;
                Ok(())
            }
            Kind::KeyValue | Kind::Message => match field.message {
                Some(table) if owner.root == 0 && table.root > 0 => {
                    self.message(table, body, table.root)
                }
                Some(table) => self.message(table, body, depth + 1),
                None => Ok(()),
            },
            Kind::Str if is_utf8(body) => Ok(()),
            Kind::Str => Err(self.bad("text that is not utf-8", body, 0)),
            Kind::Id(len) if body.is_empty() || body.len() == usize::from(len) => Ok(()),
            Kind::Id(16) => Err(self.bad("trace id of neither 0 nor 16 bytes", body, 0)),
            Kind::Id(_) => Err(self.bad("span id of neither 0 nor 8 bytes", body, 0)),
            Kind::Fixed64s | Kind::Doubles if !body.len().is_multiple_of(8) => {
                Err(self.bad("packed array cut short", body, 0))
            }
            Kind::Uint64s => {
                let mut pos = 0;
                while pos < body.len() {
                    if read_varint(body, &mut pos).is_none() {
                        return Err(self.bad("packed array cut short", body, pos));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A field whose wire type is not the table's: unknown, unpacked, or wrong.
    #[cold]
    fn other_wire(
        &mut self,
        field: &Field,
        wire: u8,
        buf: &[u8],
        start: usize,
        pos: &mut usize,
    ) -> Result<(), Malformed> {
        let unpacked = matches!(
            (field.kind, wire),
            (Kind::Fixed64s | Kind::Doubles, FIXED64) | (Kind::Uint64s, VARINT)
        );
        if field.kind != Kind::Unknown && !unpacked {
            return Err(self.bad("field of the wrong wire type", buf, start));
        }
        self.found.odd |= unpacked;
        let whole = match wire {
            VARINT => read_varint(buf, pos).is_some(),
            FIXED64 => read_fixed64(buf, pos).is_some(),
            LEN => read_len(buf, pos).is_some(),
            FIXED32 => read_fixed32(buf, pos).is_some(),
            // Groups left protobuf before OTLP was born.
            _ => return Err(self.bad("group or unknown wire type", buf, start)),
        };
        if whole { Ok(()) } else { Err(self.bad("field cut short", buf, start)) }
    }

    #[cold]
    fn bad(&self, what: &'static str, buf: &[u8], at: usize) -> Malformed {
        Malformed { what, at: (buf.as_ptr() as usize).wrapping_sub(self.origin) + at }
    }
}

/// True when `kv` is `{key, value: scalar}` in the usual layout and all its text is ASCII.
/// False only means: take the long way.
#[inline]
fn is_plain_key_value(kv: &[u8]) -> bool {
    let [0x0a, key_len, rest @ ..] = kv else { return false };
    let key_len = usize::from(*key_len);
    if key_len >= 0x80 || rest.len() < key_len + 2 {
        return false;
    }
    let (key, value) = rest.split_at(key_len);
    let [0x12, value_len, any @ ..] = value else { return false };
    if *value_len >= 0x80 || usize::from(*value_len) != any.len() {
        return false;
    }
    match any {
        [0x0a, len, text @ ..] => usize::from(*len) == text.len() && is_ascii(kv),
        [0x10, value] => *value < 0x80 && is_ascii(key),
        [0x18, varint @ ..] => is_varint(varint) && is_ascii(key),
        [0x21, _, _, _, _, _, _, _, _] => is_ascii(key),
        _ => false,
    }
}

#[inline]
fn is_varint(bytes: &[u8]) -> bool {
    let mut pos = 0;
    read_varint(bytes, &mut pos).is_some() && pos == bytes.len()
}

#[inline]
fn is_utf8(bytes: &[u8]) -> bool {
    is_ascii(bytes) || simdutf8::basic::from_utf8(bytes).is_ok()
}

/// ASCII by overlapping 16 byte words: quicker than `is_ascii` on the short texts of telemetry.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;
    if let (Some(head), Some(tail)) = (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        let mut bits = u128::from_le_bytes(*tail) | u128::from_le_bytes(*head);
        for word in bytes[16..].as_chunks::<16>().0 {
            bits |= u128::from_le_bytes(*word);
        }
        return bits & HIGH == 0;
    }
    if let (Some(head), Some(tail)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return (u64::from_le_bytes(*head) | u64::from_le_bytes(*tail)) & HIGH as u64 == 0;
    }
    if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return (u32::from_le_bytes(*head) | u32::from_le_bytes(*tail)) & HIGH as u32 == 0;
    }
    bytes.iter().fold(0, |bits, b| bits | b) < 0x80
}

#[cfg(test)]
mod tests;
