// SPDX-License-Identifier: Apache-2.0
//! One block of up to 64 integers: `base + number`, numbers packed to one width, and patches for
//! the few that do not fit.
//!
//! ```text
//! +-------------+------------------+------------------+---------------------+ with patches only
//! | p wwwwwww   | zigzag varint:   | [count] [high]   | [place] * count     |
//! | 1 byte      | base - last base | 1 byte each      | 1 byte each         |
//! +-------------+------------------+------------------+---------------------+
//! | numbers, w bits each | the bits of `count` numbers above w, `high` bits each (with patches) |
//! ```
//! `0x7f` in the first byte and a varint: so many blocks more in which every integer is the last
//! base. All arithmetic wraps, so that a number below the base is one with high bits set.

use crate::Corrupt;
use crate::bits::{self, BLOCK};
use crate::varint;

const PATCHED: u8 = 0x80;
const RUN: u8 = 0x7f;

/// Most patches of a block: with more, wider numbers are smaller as well.
const PATCHES_MAX: usize = 20;

/// How a block is packed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    base: i64,
    width: u32,
    patches: usize,
    high: u32,
    /// Bytes, first byte and base aside.
    bytes: usize,
}

impl Plan {
    /// Bytes of the block behind one with `last_base`.
    pub(crate) fn len(&self, last_base: i64) -> usize {
        1 + varint::len_signed(self.base.wrapping_sub(last_base)) + self.bytes
    }

    /// Whether every integer is the base.
    pub(crate) fn is_flat(&self) -> bool {
        self.width == 0 && self.patches == 0
    }

    pub(crate) fn base(&self) -> i64 {
        self.base
    }
}

fn bit_len(number: u64) -> u32 {
    64 - number.leading_zeros()
}

/// The best plan for a block; `integers` are 1 to 64.
pub(crate) fn plan(integers: &[i64]) -> Plan {
    let (mut low, mut high) = (integers[0], integers[0]);
    for integer in integers {
        low = low.min(*integer);
        high = high.max(*integer);
    }
    let width = bit_len(high.wrapping_sub(low) as u64);
    let whole = |base| Plan {
        base,
        width,
        patches: 0,
        high: 0,
        bytes: bits::packed_len(integers.len(), width),
    };
    if width == 0 {
        return whole(low);
    }
    let plain = patched(integers, whole(low));
    // Outliers below (a reset, a pause) must not be the base: all others would be wide.
    let [_, second, third] = three_lowest(integers);
    let middle = integers[integers.len() / 2].max(integers[integers.len() / 4]);
    let spread = middle.wrapping_sub(third).max(0) as u64;
    let gap = third.wrapping_sub(low) as u64;
    if gap / 4 <= spread {
        return plain;
    }
    let without = |base| patched(integers, Plan { width: 64, bytes: usize::MAX, ..whole(base) });
    let best = |a: Plan, b: Plan| if b.bytes < a.bytes { b } else { a };
    best(plain, best(without(second), without(third)))
}

fn three_lowest(integers: &[i64]) -> [i64; 3] {
    let mut lowest = [i64::MAX; 3];
    for integer in integers {
        if *integer < lowest[2] {
            lowest[2] = *integer;
            lowest.sort_unstable();
        }
    }
    let known = lowest.map(|low| if low == i64::MAX { lowest[0] } else { low });
    [known[0], known[1], known[2]]
}

/// The best width for `whole.base`, at most `whole.width`.
fn patched(integers: &[i64], whole: Plan) -> Plan {
    // Two tables: neighbours have like lengths, and counting in one would wait for itself.
    let mut counts = [[0u8; 65]; 2];
    for pair in integers.chunks(2) {
        for (integer, counts) in pair.iter().zip(&mut counts) {
            counts[bit_len(integer.wrapping_sub(whole.base) as u64) as usize] += 1;
        }
    }
    let mut best = whole;
    let (mut patches, mut widest) = (0, 0);
    for width in (0..whole.width).rev() {
        let longer = width as usize + 1;
        patches += usize::from(counts[0][longer]) + usize::from(counts[1][longer]);
        if patches > PATCHES_MAX {
            break;
        }
        if patches > 0 && widest == 0 {
            widest = longer as u32;
        }
        let high = widest.saturating_sub(width);
        let own = if patches == 0 { 0 } else { 2 + patches + bits::packed_len(patches, high) };
        let bytes = bits::packed_len(integers.len(), width) + own;
        if bytes < best.bytes {
            best = Plan { base: whole.base, width, patches, high, bytes };
        }
    }
    best
}

/// Appends a block; returns its base.
pub(crate) fn encode(integers: &[i64], plan: Plan, last_base: i64, out: &mut Vec<u8>) {
    let mut numbers = [0u64; BLOCK];
    for (number, integer) in numbers.iter_mut().zip(integers) {
        *number = integer.wrapping_sub(plan.base) as u64;
    }
    let is_patched = plan.patches > 0;
    out.push(plan.width as u8 | if is_patched { PATCHED } else { 0 });
    varint::put_signed(plan.base.wrapping_sub(last_base), out);
    if !is_patched {
        bits::pack(&numbers, integers.len(), plan.width, out);
        return;
    }
    out.extend_from_slice(&[plan.patches as u8, plan.high as u8]);
    let mut high = [0u64; BLOCK];
    let mut count = 0;
    for (place, number) in numbers.iter().enumerate().take(integers.len()) {
        // A patched block is narrower than 64 bits.
        if number >> plan.width != 0 {
            out.push(place as u8);
            high[count] = number >> plan.width;
            count += 1;
        }
    }
    bits::pack(&numbers, integers.len(), plan.width, out);
    bits::pack(&high, count, plan.high, out);
}

/// Appends `count` blocks of nothing but the last base.
pub(crate) fn encode_run(count: usize, out: &mut Vec<u8>) {
    out.push(RUN);
    varint::put(count as u64, out);
}

/// Reads blocks one after another.
#[derive(Debug)]
pub(crate) struct Blocks {
    base: i64,
    /// Blocks to come of nothing but the base.
    run: u64,
}

impl Blocks {
    pub(crate) fn new() -> Blocks {
        Blocks { base: 0, run: 0 }
    }

    /// Reads a block of `count` integers from the front of `bytes`: `base + numbers[i]`, those
    /// behind `count` undefined. Returns the base.
    pub(crate) fn next(
        &mut self,
        bytes: &mut &[u8],
        count: usize,
        numbers: &mut [u64; BLOCK],
    ) -> Result<i64, Corrupt> {
        if self.run == 0 {
            let head = varint::take_byte(bytes)?;
            if head != RUN {
                return self.block(head, bytes, count, numbers);
            }
            self.run = varint::take(bytes)?;
            if self.run == 0 {
                return Err(Corrupt("an empty run"));
            }
        }
        self.run -= 1;
        numbers.fill(0);
        Ok(self.base)
    }

    fn block(
        &mut self,
        head: u8,
        bytes: &mut &[u8],
        count: usize,
        numbers: &mut [u64; BLOCK],
    ) -> Result<i64, Corrupt> {
        let width = u32::from(head & !PATCHED);
        if width > 64 {
            return Err(Corrupt("numbers wider than 64 bits"));
        }
        self.base = self.base.wrapping_add(varint::take_signed(bytes)?);
        if head & PATCHED == 0 {
            bits::unpack(bytes, count, width, numbers)?;
            return Ok(self.base);
        }
        let patches = usize::from(varint::take_byte(bytes)?);
        let high = u32::from(varint::take_byte(bytes)?);
        if patches > count || width + high > 64 {
            return Err(Corrupt("patches that do not fit"));
        }
        let places = varint::take_bytes(bytes, patches)?;
        bits::unpack(bytes, count, width, numbers)?;
        let mut highs = [0u64; BLOCK];
        bits::unpack(bytes, patches, high, &mut highs)?;
        for (place, high) in places.iter().zip(highs) {
            let number = numbers.get_mut(usize::from(*place));
            *number.ok_or(Corrupt("a patch beyond its block"))? |= high.wrapping_shl(width);
        }
        Ok(self.base)
    }

    /// Whether every announced run has been read.
    pub(crate) fn is_done(&self) -> bool {
        self.run == 0
    }
}
