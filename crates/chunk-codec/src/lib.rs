// SPDX-License-Identifier: Apache-2.0
//! Chunks: runs of sample times, values or native histograms of one series as few bytes.
//!
//! Lossless bit for bit, NaN payloads (staleness markers), negative zeros and infinities included.
//! A chunk says what it is in its first byte; `docs/decisions/0006-chunk-format.md` draws the format.
//!
//! ```text
//! values -> decimals m / 10^e, else whole numbers, else bits in order   (numbers.rs)
//!        -> minus the first, divided by what divides all of them
//!        -> differences of the order that packs best                     (ints.rs)
//!        -> blocks of 64: base, width, patches                           (block.rs)
//! ```
//!
//! Decoding appends to its output; on error the output is as it was. Arbitrary bytes never panic,
//! and never make more than [`SAMPLES_MAX`] samples out of less than as many bytes.
//! No I/O, no dependencies.

mod bits;
mod block;
mod histograms;
mod ints;
mod numbers;
mod stats;
#[cfg(test)]
mod tests;
mod times;
mod values;
mod varint;

use std::fmt;

pub use histograms::{Histogram, HistogramRef, decode_histograms, encode_histograms};
pub use stats::{Stats, stats};
pub use times::{decode_times, encode_times};
pub use values::{decode_values, encode_values};

/// Most samples of a chunk that is packed: a day at one a second and then some, 1 MiB decoded. A
/// longer run is kept as it is, 8 bytes a sample.
pub const SAMPLES_MAX: usize = 1 << 17;

/// Of the first byte: the format's version.
const VERSION: u8 = 1 << 4;
const VERSION_MASK: u8 = 0xf0;

/// The bytes are no chunk that this version reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt(pub(crate) &'static str);

impl fmt::Display for Corrupt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "corrupt chunk: {}", self.0)
    }
}

impl std::error::Error for Corrupt {}

/// The mode in a chunk's first byte.
fn mode(bytes: &mut &[u8]) -> Result<u8, Corrupt> {
    let (first, rest) = bytes.split_first().ok_or(Corrupt("no bytes"))?;
    if first & VERSION_MASK != VERSION {
        return Err(Corrupt("of an unknown version"));
    }
    *bytes = rest;
    Ok(first & !VERSION_MASK)
}

/// Lets `decode` append to `out`, and takes that back when it fails.
fn appending<T>(
    out: &mut Vec<T>,
    decode: impl FnOnce(&mut Vec<T>) -> Result<(), Corrupt>,
) -> Result<(), Corrupt> {
    let before = out.len();
    let decoded = decode(out);
    if decoded.is_err() {
        out.truncate(before);
    }
    decoded
}
