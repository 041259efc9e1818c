// SPDX-License-Identifier: Apache-2.0
//! JSON straight into a buffer.
//!
//! Doubles always carry a point or an exponent, so that Elasticsearch maps them as doubles; NaN
//! and infinities are `null`. Bytes are hexadecimal.

use std::io::Write;

use otlp_wire::{AnyValue, Attrs};

/// An object being written: puts the commas.
pub(super) struct Object<'o> {
    pub out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Object<'o> {
    /// Opens an object.
    pub fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Object { out, empty: true }
    }

    /// Ends it.
    pub fn close(self) {
        self.out.push(b'}');
    }

    /// A key; its value is to be written into the buffer returned.
    #[inline]
    pub fn key(&mut self, key: &str) -> &mut Vec<u8> {
        self.comma();
        string(self.out, key);
        self.out.push(b':');
        self.out
    }

    /// A key that needs no escapes, quoted and with its colon: `"name":`.
    #[inline]
    pub fn literal(&mut self, key: &str) -> &mut Vec<u8> {
        self.comma();
        self.out.extend_from_slice(key.as_bytes());
        self.out
    }

    /// Members written elsewhere.
    pub fn members(&mut self, members: &[u8]) {
        if !members.is_empty() {
            self.comma();
            self.out.extend_from_slice(members);
        }
    }

    /// Text, left out when empty.
    #[inline]
    pub fn text(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            string(self.literal(key), value);
        }
    }

    /// A number, left out when zero.
    #[inline]
    pub fn count(&mut self, key: &str, value: u64) {
        if value != 0 {
            unsigned(self.literal(key), value);
        }
    }

    /// An id, left out when there is none or it is all zeros.
    #[inline]
    pub fn id<const N: usize>(&mut self, key: &str, id: Option<[u8; N]>) {
        if let Some(id) = id.filter(|id| *id != [0; N]) {
            hex(self.literal(key), &id);
        }
    }

    #[inline]
    fn comma(&mut self) {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
    }
}

/// True for bytes that stand for themselves inside a JSON string.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut at = 0;
    while at < 0x20 {
        plain[at] = false;
        at += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

/// Quoted text.
#[inline]
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    escaped(out, text);
    out.push(b'"');
}

/// Text as it stands between quotes.
#[inline]
pub(super) fn escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| !PLAIN[usize::from(*byte)]) {
        out.extend_from_slice(&rest[..at]);
        match rest[at] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                // Writing into a vector cannot fail.
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// An unsigned number.
#[inline]
pub(super) fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    // The largest has 20 digits.
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A signed number.
#[inline]
pub(super) fn signed(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    unsigned(out, value.unsigned_abs());
}

/// A double, always with a point or an exponent; `null` when it is no number.
pub(super) fn double(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        // Writing into a vector cannot fail.
        let _ = write!(out, "{value:?}");
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Quoted hexadecimal digits.
pub(super) fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
    out.push(b'"');
}

/// A list of anything, its elements written by `write`.
pub(super) fn array<T>(
    out: &mut Vec<u8>,
    values: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, value);
    }
    out.push(b']');
}

/// A value; maps as objects, or as their JSON text.
pub(super) fn value(out: &mut Vec<u8>, value_: &AnyValue<'_>, maps_as_text: bool) {
    match value_ {
        AnyValue::Empty => out.extend_from_slice(b"null"),
        AnyValue::Str(text) => string(out, text),
        AnyValue::Bool(true) => out.extend_from_slice(b"true"),
        AnyValue::Bool(false) => out.extend_from_slice(b"false"),
        AnyValue::Int(number) => signed(out, *number),
        AnyValue::Double(number) => double(out, *number),
        AnyValue::Bytes(bytes) => hex(out, bytes),
        AnyValue::KvList(_) if maps_as_text => string(out, &value_.text()),
        AnyValue::KvList(list) => map(out, list),
        AnyValue::Array(values) => {
            array(out, values.iter(), |out, item| value(out, &item, maps_as_text));
        }
    }
}

/// A map as an object; of equal keys the first counts, since Elasticsearch refuses a second.
pub(super) fn map(out: &mut Vec<u8>, attrs: &Attrs<'_>) {
    let mut object = Object::open(out);
    let mut keys = Keys::default();
    for (at, attr) in attrs.each().enumerate() {
        if keys.is_new(attrs, at, attr.key_bytes()) {
            value(object.key(attr.key()), &attr.value(), false);
        }
    }
    object.close();
}

/// Finds keys that came before, without a table: most keys differ in what the 64 bits hold.
#[derive(Default)]
pub(super) struct Keys(u64);

impl Keys {
    /// Is `key`, the `at`-th of `attrs`, the first of its name?
    #[inline]
    pub fn is_new(&mut self, attrs: &Attrs<'_>, at: usize, key: &[u8]) -> bool {
        let last = usize::from(key.last().copied().unwrap_or_default());
        let middle = usize::from(key.get(key.len() / 2).copied().unwrap_or_default());
        let bit = 1 << ((key.len() * 7 + last * 13 + middle) % 64);
        let is_known = self.0 & bit != 0;
        self.0 |= bit;
        !is_known || !attrs.each().take(at).any(|earlier| earlier.key_bytes() == key)
    }
}
