// SPDX-License-Identifier: Apache-2.0
//! Sample times of a timestamp group, milliseconds ascending (any integers come back, though).
//!
//! ```text
//! EMPTY                      no time
//! REGULAR  count, first, step   every step the same
//! PACKED   count, integers
//! RAW      count, 8 bytes each
//! ```

use crate::bits::BLOCK;
use crate::ints::{self, Decoder, Order};
use crate::{Corrupt, SAMPLES_MAX, VERSION, appending, mode, varint};

const EMPTY: u8 = 0;
const REGULAR: u8 = 1;
const PACKED: u8 = 2;
const RAW: u8 = 3;

const ORDERS: [Order; 3] = [Order::Delta, Order::Grid, Order::DeltaOfDelta];

/// Appends `times` as a chunk to `out`. Beyond [`SAMPLES_MAX`] times they are not packed.
pub fn encode_times(times: &[i64], out: &mut Vec<u8>) {
    let Some(first) = times.first() else {
        out.push(VERSION | EMPTY);
        return;
    };
    let step = times.get(1).map_or(0, |second| second.wrapping_sub(*first));
    let is_regular = times.windows(2).all(|pair| pair[1].wrapping_sub(pair[0]) == step);
    let mode = match times.len() {
        count if count > SAMPLES_MAX => RAW,
        _ if is_regular => REGULAR,
        _ => PACKED,
    };
    out.push(VERSION | mode);
    varint::put(times.len() as u64, out);
    match mode {
        REGULAR => {
            varint::put_signed(*first, out);
            varint::put_signed(step, out);
        }
        PACKED => ints::encode(&mut times.to_vec(), &ORDERS, true, out),
        _ => out.extend(times.iter().flat_map(|time| time.to_le_bytes())),
    }
}

/// Appends the times of a chunk to `out`.
///
/// # Errors
/// The bytes are no chunk of times; `out` is as it was.
pub fn decode_times(bytes: &[u8], out: &mut Vec<i64>) -> Result<(), Corrupt> {
    appending(out, |out| decode(bytes, out))
}

fn decode(mut bytes: &[u8], out: &mut Vec<i64>) -> Result<(), Corrupt> {
    let mode = mode(&mut bytes)?;
    let count = if mode == EMPTY { 0 } else { varint::take(&mut bytes)? as usize };
    if mode == RAW {
        let (times, rest) = bytes.as_chunks::<8>();
        if times.len() != count || !rest.is_empty() {
            return Err(Corrupt("not as many bytes as times"));
        }
        out.extend(times.iter().map(|time| i64::from_le_bytes(*time)));
        return Ok(());
    }
    if (count == 0) != (mode == EMPTY) || count > SAMPLES_MAX {
        return Err(Corrupt("a count that no chunk has"));
    }
    match mode {
        EMPTY => {}
        REGULAR => {
            let first = varint::take_signed(&mut bytes)?;
            let step = varint::take_signed(&mut bytes)?;
            let steps = 0..count as i64;
            out.extend(steps.map(|at| first.wrapping_add(at.wrapping_mul(step))));
        }
        PACKED => return decode_packed(bytes, count, out),
        _ => return Err(Corrupt("an unknown mode")),
    }
    if bytes.is_empty() { Ok(()) } else { Err(Corrupt("more than was announced")) }
}

fn decode_packed(bytes: &[u8], count: usize, out: &mut Vec<i64>) -> Result<(), Corrupt> {
    let (mut decoder, first) = Decoder::new(bytes, count)?;
    out.reserve(count);
    out.push(first);
    let mut block = [0; BLOCK];
    loop {
        match decoder.next(&mut block)? {
            0 => return Ok(()),
            count => out.extend_from_slice(&block[..count]),
        }
    }
}
