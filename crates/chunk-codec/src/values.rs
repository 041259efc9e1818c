// SPDX-License-Identifier: Apache-2.0
//! Values of one series.
//!
//! ```text
//! EMPTY                    no value
//! CONSTANT  count, kind byte, zigzag varint (Bits: 8 bytes): one value, all bits alike
//! PACKED    count, kind byte, [exceptions: number, then distance and 8 bytes each], integers
//! RAW       count, 8 bytes each
//! ```
//! Kind byte: [`Kind::code`] in the low five bits, bit 5 = has exceptions.

use crate::bits::BLOCK;
use crate::ints::{self, Decoder, Order};
use crate::numbers::{self, Kind};
use crate::{Corrupt, SAMPLES_MAX, VERSION, appending, mode, varint};

const EMPTY: u8 = 0;
const CONSTANT: u8 = 1;
const PACKED: u8 = 2;
const RAW: u8 = 3;

const KIND_MASK: u8 = 0x1f;
const EXCEPTIONS: u8 = 0x20;

const ORDERS: [Order; 3] = [Order::Delta, Order::DeltaOfDelta, Order::Plain];

/// Appends `values` as a chunk to `out`. Beyond [`SAMPLES_MAX`] values they are not packed.
pub fn encode_values(values: &[f64], out: &mut Vec<u8>) {
    let Some(first) = values.first() else {
        out.push(VERSION | EMPTY);
        return;
    };
    if values.len() > SAMPLES_MAX {
        return encode_raw(values, out);
    }
    if values.iter().fold(0, |other, value| other | (value.to_bits() ^ first.to_bits())) == 0 {
        return encode_constant(*first, values.len(), out);
    }
    let before = out.len();
    encode_packed(values, out);
    if out.len() - before > 2 + values.len() * 8 {
        out.truncate(before);
        encode_raw(values, out);
    }
}

fn encode_raw(values: &[f64], out: &mut Vec<u8>) {
    out.push(VERSION | RAW);
    varint::put(values.len() as u64, out);
    out.extend(values.iter().flat_map(|value| value.to_bits().to_le_bytes()));
}

fn encode_constant(value: f64, count: usize, out: &mut Vec<u8>) {
    out.push(VERSION | CONSTANT);
    varint::put(count as u64, out);
    let (kind, int) = numbers::one(value);
    out.push(kind.code());
    match kind {
        Kind::Bits => out.extend_from_slice(&int.to_le_bytes()),
        Kind::Decimal(_) | Kind::Whole => varint::put_signed(int, out),
    }
}

fn encode_packed(values: &[f64], out: &mut Vec<u8>) {
    let mut ints = Vec::with_capacity(values.len());
    let mut exceptions = Vec::new();
    let kind = numbers::to_ints(values, &mut ints, &mut exceptions);
    out.push(VERSION | PACKED);
    varint::put(values.len() as u64, out);
    out.push(kind.code() | if exceptions.is_empty() { 0 } else { EXCEPTIONS });
    if !exceptions.is_empty() {
        varint::put(exceptions.len() as u64, out);
        let mut last = 0;
        for place in exceptions {
            varint::put((place - last) as u64, out);
            out.extend_from_slice(&values[place].to_bits().to_le_bytes());
            last = place;
        }
    }
    // Bits of doubles that are no decimals have no factor; to look for one is to find 1.
    ints::encode(&mut ints, &ORDERS, kind != Kind::Bits, out);
}

/// Appends the values of a chunk to `out`.
///
/// # Errors
/// The bytes are no chunk of values; `out` is as it was.
pub fn decode_values(bytes: &[u8], out: &mut Vec<f64>) -> Result<(), Corrupt> {
    appending(out, |out| decode(bytes, out))
}

fn decode(mut bytes: &[u8], out: &mut Vec<f64>) -> Result<(), Corrupt> {
    let mode = mode(&mut bytes)?;
    if mode == EMPTY {
        return ended(bytes);
    }
    let count = varint::take(&mut bytes)? as usize;
    if mode == RAW {
        return decode_raw(bytes, count, out);
    }
    if count == 0 || count > SAMPLES_MAX {
        return Err(Corrupt("a count that no chunk has"));
    }
    let head = varint::take_byte(&mut bytes)?;
    let kind = Kind::of(head & KIND_MASK).ok_or(Corrupt("an unknown kind of number"))?;
    match mode {
        CONSTANT => decode_constant(bytes, count, kind, out),
        PACKED => decode_packed(bytes, count, kind, head & EXCEPTIONS != 0, out),
        _ => Err(Corrupt("an unknown mode")),
    }
}

fn ended(bytes: &[u8]) -> Result<(), Corrupt> {
    if bytes.is_empty() { Ok(()) } else { Err(Corrupt("more than was announced")) }
}

fn decode_raw(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), Corrupt> {
    let (values, rest) = bytes.as_chunks::<8>();
    if values.len() != count || !rest.is_empty() {
        return Err(Corrupt("not as many bytes as values"));
    }
    out.extend(values.iter().map(|bits| f64::from_bits(u64::from_le_bytes(*bits))));
    Ok(())
}

fn decode_constant(
    mut bytes: &[u8],
    count: usize,
    kind: Kind,
    out: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    let int = match kind {
        Kind::Bits => varint::take_u64(&mut bytes)? as i64,
        Kind::Decimal(_) | Kind::Whole => varint::take_signed(&mut bytes)?,
    };
    ended(bytes)?;
    let mut doubles = [0.0; BLOCK];
    numbers::to_doubles(kind, &[int; BLOCK], &mut doubles);
    out.resize(out.len() + count, doubles[0]);
    Ok(())
}

fn decode_packed(
    mut bytes: &[u8],
    count: usize,
    kind: Kind,
    has_exceptions: bool,
    out: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    let exceptions = if has_exceptions { take_exceptions(&mut bytes)? } else { &[] };
    let from = out.len();
    let (mut decoder, first) = Decoder::new(bytes, count)?;
    let (mut ints, mut doubles) = ([first; BLOCK], [0.0; BLOCK]);
    numbers::to_doubles(kind, &ints, &mut doubles);
    out.reserve(count);
    out.push(doubles[0]);
    loop {
        let count = decoder.next(&mut ints)?;
        if count == 0 {
            break;
        }
        numbers::to_doubles(kind, &ints, &mut doubles);
        out.extend_from_slice(&doubles[..count]);
    }
    put_exceptions(exceptions, &mut out[from..])
}

/// The bytes of the exceptions: their number and where they end is found by reading them.
fn take_exceptions<'b>(bytes: &mut &'b [u8]) -> Result<&'b [u8], Corrupt> {
    let count = varint::take(bytes)?;
    let begin = *bytes;
    for _ in 0..count {
        varint::take(bytes)?;
        varint::take_u64(bytes)?;
    }
    Ok(&begin[..begin.len() - bytes.len()])
}

fn put_exceptions(mut exceptions: &[u8], values: &mut [f64]) -> Result<(), Corrupt> {
    let mut place = 0usize;
    while !exceptions.is_empty() {
        place = place.saturating_add(varint::take(&mut exceptions)? as usize);
        let bits = varint::take_u64(&mut exceptions)?;
        let value = values.get_mut(place).ok_or(Corrupt("an exception beyond the end"))?;
        *value = f64::from_bits(bits);
    }
    Ok(())
}
