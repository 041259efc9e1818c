// SPDX-License-Identifier: Apache-2.0
//! Packing 64 numbers to a given number of bits each, and back: little-endian, without gaps.
//!
//! Number `i` of width `w` is the bits `i * w ..` of the bytes. One function a width, in which all
//! shifts are constants; a block of fewer numbers ends with the last byte in use.

use crate::Corrupt;

/// Numbers of a block.
pub(crate) const BLOCK: usize = 64;

/// Bytes of `count` numbers of `width` bits.
pub(crate) fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

macro_rules! each_number {
    ($body:ident) => {
        each_number!(@ $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26
            27 28 29 30 31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55
            56 57 58 59 60 61 62 63)
    };
    (@ $body:ident $($i:literal)*) => { $( $body!($i); )* };
}

macro_rules! by_width {
    ($width:expr, $function:ident, $($argument:expr),*) => {
        by_width!(@ $width, $function, ($($argument),*),
            1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
            33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61
            62 63 64)
    };
    (@ $width:expr, $function:ident, $arguments:tt, $($w:literal)*) => {
        match $width {
            $( $w => by_width!(! $function, $w, $arguments), )*
            _ => {}
        }
    };
    (! $function:ident, $w:literal, ($($argument:expr),*)) => {
        $function::<$w>($($argument),*)
    };
}

const fn mask(width: usize) -> u64 {
    if width >= 64 { u64::MAX } else { (1 << width) - 1 }
}

#[inline(never)]
fn pack_width<const W: usize>(numbers: &[u64; BLOCK], words: &mut [u64; BLOCK]) {
    let mut packed = [0u64; W];
    macro_rules! one {
        ($i:literal) => {
            let (word, shift) = ($i * W / 64, $i * W % 64);
            let number = numbers[$i] & mask(W);
            packed[word] |= number << shift;
            if shift + W > 64 {
                packed[word + 1] |= number >> (64 - shift);
            }
        };
    }
    each_number!(one);
    words[..W].copy_from_slice(&packed);
}

#[inline(never)]
fn unpack_width<const W: usize>(bytes: &[u8; 8 * BLOCK], numbers: &mut [u64; BLOCK]) {
    let mut packed = [0u64; W];
    for (word, bytes) in packed.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    macro_rules! one {
        ($i:literal) => {
            let (word, shift) = ($i * W / 64, $i * W % 64);
            let low = packed[word] >> shift;
            let high = if shift + W > 64 { packed[word + 1] << (64 - shift) } else { 0 };
            numbers[$i] = (low | high) & mask(W);
        };
    }
    each_number!(one);
}

/// Appends the low `width` bits of the first `count` of `numbers`.
pub(crate) fn pack(numbers: &[u64; BLOCK], count: usize, width: u32, out: &mut Vec<u8>) {
    let mut words = [0u64; BLOCK];
    by_width!(width, pack_width, numbers, &mut words);
    let bytes = packed_len(count, width);
    let whole = bytes / 8;
    for word in &words[..whole] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    if !bytes.is_multiple_of(8) {
        out.extend_from_slice(&words[whole].to_le_bytes()[..bytes % 8]);
    }
}

/// Reads `count` numbers of `width` bits from the front of `bytes`; those behind are undefined.
pub(crate) fn unpack(
    bytes: &mut &[u8],
    count: usize,
    width: u32,
    numbers: &mut [u64; BLOCK],
) -> Result<(), Corrupt> {
    let taken = crate::varint::take_bytes(bytes, packed_len(count, width))?;
    if width == 0 {
        numbers.fill(0);
        return Ok(());
    }
    // Behind the last block stands too little for whole words.
    let mut padded = [0; 8 * BLOCK];
    padded[..taken.len()].copy_from_slice(taken);
    by_width!(width, unpack_width, &padded, numbers);
    Ok(())
}
