// SPDX-License-Identifier: Apache-2.0
//! Numbers in 1 to 10 bytes, seven bits each, low ones first (LEB128), signed ones zigzag.

use crate::Corrupt;

pub(crate) fn put(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_signed(value: i64, out: &mut Vec<u8>) {
    put(zigzag(value), out);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes that [`put_signed`] takes.
pub(crate) fn len_signed(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

pub(crate) fn take(bytes: &mut &[u8]) -> Result<u64, Corrupt> {
    let mut value = 0u64;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        let low = u64::from(byte & 0x7f);
        if at == 9 && low > 1 {
            return Err(Corrupt("a number beyond 64 bits"));
        }
        value |= low << (7 * at);
        if byte & 0x80 == 0 {
            *bytes = &bytes[at + 1..];
            return Ok(value);
        }
    }
    Err(Corrupt("a number without an end"))
}

pub(crate) fn take_signed(bytes: &mut &[u8]) -> Result<i64, Corrupt> {
    let value = take(bytes)?;
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// The next `count` bytes.
pub(crate) fn take_bytes<'b>(bytes: &mut &'b [u8], count: usize) -> Result<&'b [u8], Corrupt> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(Corrupt("cut short"))?;
    *bytes = rest;
    Ok(taken)
}

pub(crate) fn take_byte(bytes: &mut &[u8]) -> Result<u8, Corrupt> {
    Ok(take_bytes(bytes, 1)?[0])
}

/// 64 bits, low byte first.
pub(crate) fn take_u64(bytes: &mut &[u8]) -> Result<u64, Corrupt> {
    let taken = take_bytes(bytes, 8)?;
    Ok(u64::from_le_bytes(taken.try_into().map_err(|_| Corrupt("cut short"))?))
}
