// SPDX-License-Identifier: Apache-2.0
//! The protobuf wire format: varints, field iteration, and frames for output.
//!
//! In: bytes that [`crate::check`] has accepted (readers), or any `Vec<u8>` (writers). Readers
//! never fail and never panic: on bytes that were not checked they simply end early.
//! Out: canonical encodings (shortest varints). A [`Frame`] is a length-prefixed message whose
//! length is patched when it closes; its bytes move only when the guessed width was wrong.
//! Source: protobuf.dev/programming-guides/encoding.

/// Wire type of varints.
pub(crate) const VARINT: u8 = 0;
/// Wire type of eight byte values.
pub(crate) const FIXED64: u8 = 1;
/// Wire type of length-prefixed values.
pub(crate) const LEN: u8 = 2;
/// Wire type of four byte values.
pub(crate) const FIXED32: u8 = 5;

/// Reads one varint at `pos` and moves past it; `None` when cut short or longer than 64 bits.
#[inline]
pub(crate) fn read_varint(buf: &[u8], pos: &mut usize) -> Option<u64> {
    let first = *buf.get(*pos)?;
    if first < 0x80 {
        *pos += 1;
        return Some(u64::from(first));
    }
    // Lengths of elements: mostly two bytes.
    if let Some(&second) = buf.get(*pos + 1)
        && second < 0x80
    {
        *pos += 2;
        return Some(u64::from(first & 0x7f) | u64::from(second) << 7);
    }
    read_varint_long(buf, pos)
}

fn read_varint_long(buf: &[u8], pos: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    for (i, &byte) in buf.get(*pos..)?.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            // The tenth byte holds only the 64th bit.
            if i == 9 && byte > 1 {
                return None;
            }
            *pos += i + 1;
            return Some(value);
        }
    }
    None
}

/// Reads the eight bytes at `pos`.
#[inline]
pub(crate) fn read_fixed64(buf: &[u8], pos: &mut usize) -> Option<u64> {
    let bytes = buf.get(*pos..*pos + 8)?;
    *pos += 8;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// Reads the four bytes at `pos`.
#[inline]
pub(crate) fn read_fixed32(buf: &[u8], pos: &mut usize) -> Option<u32> {
    let bytes = buf.get(*pos..*pos + 4)?;
    *pos += 4;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// Reads a length and the bytes it announces.
#[inline]
pub(crate) fn read_len<'a>(buf: &'a [u8], pos: &mut usize) -> Option<&'a [u8]> {
    let len = usize::try_from(read_varint(buf, pos)?).ok()?;
    let end = pos.checked_add(len)?;
    let bytes = buf.get(*pos..end)?;
    *pos = end;
    Some(bytes)
}

/// The value of one field as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Val<'a> {
    /// Integers, booleans, enums.
    Varint(u64),
    /// fixed64, sfixed64, double.
    Fixed64(u64),
    /// Strings, bytes, messages, packed arrays.
    Len(&'a [u8]),
    /// fixed32.
    Fixed32(u32),
}

/// One field: its number, where it lies in the message (tag included) and its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub number: u32,
    pub start: usize,
    pub end: usize,
    pub value: Val<'a>,
}

/// Iterates over the fields of one message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    buf: &'a [u8],
    pos: usize,
}

/// The fields of `buf` in wire order.
#[inline]
pub(crate) fn fields(buf: &[u8]) -> Fields<'_> {
    Fields { buf, pos: 0 }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    // Out of line it costs more than it does: the field goes through memory.
    #[inline(always)]
    fn next(&mut self) -> Option<Field<'a>> {
        if self.pos >= self.buf.len() {
            return None;
        }
        let start = self.pos;
        let key = read_varint(self.buf, &mut self.pos)?;
        let value = match (key & 7) as u8 {
            VARINT => Val::Varint(read_varint(self.buf, &mut self.pos)?),
            FIXED64 => Val::Fixed64(read_fixed64(self.buf, &mut self.pos)?),
            LEN => Val::Len(read_len(self.buf, &mut self.pos)?),
            FIXED32 => Val::Fixed32(read_fixed32(self.buf, &mut self.pos)?),
            _ => return None,
        };
        Some(Field { number: (key >> 3) as u32, start, end: self.pos, value })
    }
}

/// The first field `number` of `buf`. Checked messages have singular fields at most once.
#[inline]
pub(crate) fn find(buf: &[u8], number: u32) -> Option<Val<'_>> {
    fields(buf).find(|f| f.number == number).map(|f| f.value)
}

/// A length-prefixed field; `None` when absent.
#[inline]
pub(crate) fn find_len(buf: &[u8], number: u32) -> Option<&[u8]> {
    match find(buf, number) {
        Some(Val::Len(bytes)) => Some(bytes),
        _ => None,
    }
}

/// A string field; empty when absent.
#[inline]
pub(crate) fn find_str(buf: &[u8], number: u32) -> &str {
    text(find_len(buf, number).unwrap_or_default())
}

/// A fixed64 or varint field; zero when absent.
#[inline]
pub(crate) fn find_u64(buf: &[u8], number: u32) -> u64 {
    match find(buf, number) {
        Some(Val::Fixed64(v) | Val::Varint(v)) => v,
        Some(Val::Fixed32(v)) => u64::from(v),
        _ => 0,
    }
}

/// A double field; `None` when absent.
#[inline]
pub(crate) fn find_f64(buf: &[u8], number: u32) -> Option<f64> {
    match find(buf, number) {
        Some(Val::Fixed64(v)) => Some(f64::from_bits(v)),
        _ => None,
    }
}

/// Where the contiguous run of field `number` lies in `buf`, tags included; empty and at the end
/// of `buf` when there is none.
#[inline]
pub(crate) fn run(buf: &[u8], number: u32) -> std::ops::Range<usize> {
    let mut it = fields(buf);
    let Some(first) = it.find(|f| f.number == number) else { return buf.len()..buf.len() };
    let mut end = first.end;
    for field in it {
        if field.number != number {
            break;
        }
        end = field.end;
    }
    first.start..end
}

/// Checked text as `&str`. Validation proved it UTF-8; without `unsafe` it is proved once more.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

/// Decodes a sint32 (zigzag).
#[inline]
pub(crate) fn zigzag32(value: u64) -> i32 {
    let value = value as u32;
    ((value >> 1) as i32) ^ -((value & 1) as i32)
}

/// Encodes a sint32 (zigzag).
#[inline]
pub(crate) fn to_zigzag32(value: i32) -> u64 {
    u64::from(((value << 1) ^ (value >> 31)) as u32)
}

/// Bytes that `value` takes as a varint, 1 to 10.
#[inline]
pub fn varint_len(value: u64) -> usize {
    ((64 - (value | 1).leading_zeros()) as usize).div_ceil(7)
}

/// Appends a varint.
#[inline]
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field's tag.
#[inline]
pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, wire: u8) {
    put_varint(out, u64::from(number) << 3 | u64::from(wire));
}

/// Appends a length-prefixed field.
#[inline]
pub(crate) fn put_len(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, LEN);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a varint field.
#[inline]
pub(crate) fn put_u64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, VARINT);
    put_varint(out, value);
}

/// Appends a fixed64 field.
#[inline]
pub(crate) fn put_fixed64(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends a fixed32 field.
#[inline]
pub(crate) fn put_fixed32(out: &mut Vec<u8>, number: u32, value: u32) {
    put_tag(out, number, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

/// A length-prefixed message being written: opened with a guess of how wide its length will be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// Where its tag starts.
    pub start: usize,
    /// Where its content starts.
    pub body: usize,
    width: usize,
}

impl Frame {
    /// Writes the tag and `width` bytes of room for the length.
    #[inline]
    pub(crate) fn open(out: &mut Vec<u8>, number: u32, width: usize) -> Frame {
        let start = out.len();
        put_tag(out, number, LEN);
        out.resize(out.len() + width, 0);
        Frame { start, body: out.len(), width }
    }

    /// Writes the length; everything after `body` is the content.
    #[inline]
    pub(crate) fn close(self, out: &mut Vec<u8>) {
        let len = out.len() - self.body;
        let width = varint_len(len as u64);
        if width != self.width {
            self.shift(out, width, len);
        }
        let mut value = len;
        for byte in &mut out[self.body - self.width..][..width] {
            *byte = value as u8 | 0x80;
            value >>= 7;
        }
        out[self.body - self.width + width - 1] &= 0x7f;
    }

    #[cold]
    fn shift(self, out: &mut Vec<u8>, width: usize, len: usize) {
        let target = self.body - self.width + width;
        if width > self.width {
            out.resize(target + len, 0);
        }
        out.copy_within(self.body..self.body + len, target);
        out.truncate(target + len);
    }

    /// Removes the frame and all it holds.
    pub(crate) fn cancel(self, out: &mut Vec<u8>) {
        out.truncate(self.start);
    }
}

#[cfg(test)]
mod tests;
