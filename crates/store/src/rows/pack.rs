// SPDX-License-Identifier: Apache-2.0
//! Small things as bytes: protobuf fields, and the numbers and texts of a block's index.
//!
//! Readers take bytes that nobody has checked and say `None` when they end early.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use otlp_wire::put_varint;
use xxhash_rust::xxh3::xxh3_64;

use crate::remote_write::wire::{Fields, Value};

/// Appends a protobuf field of bytes.
pub(crate) fn field(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a protobuf integer.
pub(crate) fn field_int(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value);
}

/// Appends eight bytes as a protobuf field.
pub(crate) fn field_fixed(out: &mut Vec<u8>, number: u32, value: u64) {
    put_varint(out, u64::from(number) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

/// The fields of a message: number, value, and all of its bytes. Ends early where they are broken.
pub(crate) fn fields(raw: &[u8]) -> impl Iterator<Item = (u32, Value<'_>, &[u8])> {
    let mut all = Fields::of(raw);
    std::iter::from_fn(move || {
        let start = all.position();
        let (number, value) = all.next().ok()??;
        Some((number, value, raw.get(start..all.position())?))
    })
}

/// A number for the content of a message, whatever the order of its fields.
pub(crate) fn content(raw: &[u8]) -> u64 {
    let filled = fields(raw).filter(|(_, value, _)| match value {
        Value::Varint(v) | Value::Fixed64(v) => *v != 0,
        Value::Bytes(bytes) => !bytes.is_empty(),
        Value::Fixed32 => true,
    });
    filled.fold(0, |sum: u64, (.., bytes)| sum.wrapping_add(xxh3_64(bytes)))
}

/// Writes an index.
#[derive(Debug, Default)]
pub(crate) struct Packer(Vec<u8>);

impl Packer {
    pub(crate) fn number(&mut self, value: u64) {
        put_varint(&mut self.0, value);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn list<T>(&mut self, list: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.number(list.len() as u64);
        list.iter().for_each(|item| each(self, item));
    }

    /// Ascending numbers by their distances.
    pub(crate) fn ascending(&mut self, list: &[u32]) {
        let mut last = 0;
        self.list(list, |packer, value| {
            packer.number(u64::from(value - last));
            last = *value;
        });
    }

    /// As text for a footer.
    pub(crate) fn text(self) -> String {
        BASE64.encode(self.0)
    }
}

/// Reads what a [`Packer`] wrote.
#[derive(Debug)]
pub(crate) struct Unpacker<'a>(&'a [u8]);

/// The bytes of [`Packer::text`].
pub(crate) fn from_text(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Unpacker(bytes)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let mut at = 0;
        let value = crate::remote_write::wire::varint(self.0, &mut at).ok()?;
        self.0 = self.0.get(at..)?;
        Some(value)
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(crate) fn list<T>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = self.number()?;
        // Every item takes a byte at least: a count beyond that is a lie, and not allocated for.
        if count > self.0.len() as u64 {
            return None;
        }
        (0..count).map(|_| each(self)).collect()
    }

    pub(crate) fn ascending(&mut self) -> Option<Vec<u32>> {
        let mut last = 0u32;
        self.list(|unpacker| {
            last = last.checked_add(u32::try_from(unpacker.number()?).ok()?)?;
            Some(last)
        })
    }
}
