// SPDX-License-Identifier: Apache-2.0
//! Thresholds and randomness: 56 bits each, an item is kept when threshold <= randomness.
//!
//! In text a threshold (`th`) is 14 hex digits without trailing zeros, `0` keeps everything; a
//! randomness (`rv`) is exactly 14 digits. Source: OpenTelemetry's consistent probability
//! sampling, and reference section 5.6 for what the Go collector makes of it.

use std::fmt::Write;

use otlp_wire::TraceId;

/// 2^56: the threshold under which nothing is kept; randomness is less.
pub(super) const NEVER: u64 = 1 << 56;
/// The threshold that keeps everything.
pub(super) const ALWAYS: u64 = 0;
/// Randomness that any threshold but [`NEVER`] keeps.
pub(super) const HIGHEST: u64 = NEVER - 1;
/// The smallest probability that a threshold can say.
pub(super) const PROBABILITY_MIN: f64 = 1.0 / NEVER as f64;

/// Hex digits of 56 bits.
pub(super) const DIGITS: u32 = 14;

/// Buckets of the hash, and the bits below its bucket in a randomness.
const BUCKETS: u32 = 1 << 14;
const BUCKET_SHIFT: u32 = 42;
/// Buckets a percent; the collector multiplies in single precision.
const BUCKETS_A_PERCENT: f32 = BUCKETS as f32 / 100.0;

/// The threshold for a probability, to `precision` digits behind the leading `0`s or `f`s; `None`
/// when the probability is out of range.
pub(super) fn threshold_of(probability: f64, precision: u32) -> Option<u64> {
    if !(PROBABILITY_MIN..=1.0).contains(&probability) {
        return None;
    }
    if probability == 1.0 {
        return Some(ALWAYS);
    }
    let leading = (-exponent(probability) / 4).max(-exponent(1.0 - probability) / 4);
    let digits = DIGITS.min(precision + u32::try_from(leading).unwrap_or(0));
    let threshold = NEVER - (probability * NEVER as f64).round() as u64;
    let dropped_bits = 4 * (DIGITS - digits);
    if dropped_bits == 0 {
        return Some(threshold);
    }
    Some(((threshold + (1 << (dropped_bits - 1))) >> dropped_bits) << dropped_bits)
}

/// The probability that a threshold says.
pub(super) fn probability_of(threshold: u64) -> f64 {
    NEVER.saturating_sub(threshold) as f64 / NEVER as f64
}

/// `e` of `m * 2^e` with `m` in [0.5, 1), for a normal number.
fn exponent(value: f64) -> i32 {
    ((value.to_bits() >> 52) & 0x7ff) as i32 - 1022
}

/// Reads a `th`.
pub(super) fn parse_threshold(text: &str) -> Option<u64> {
    let unused = DIGITS.checked_sub(text.len() as u32)?;
    Some(hex(text)? << (4 * unused))
}

/// Reads an `rv`.
pub(super) fn parse_randomness(text: &str) -> Option<u64> {
    (text.len() == DIGITS as usize).then(|| hex(text))?
}

fn hex(text: &str) -> Option<u64> {
    let is_hex = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex { u64::from_str_radix(text, 16).ok() } else { None }
}

/// Appends a threshold as `th`.
pub(super) fn write_threshold(out: &mut String, threshold: u64) {
    if threshold == ALWAYS {
        out.push('0');
        return;
    }
    write_randomness(out, threshold);
    out.truncate(out.trim_end_matches('0').len());
}

/// Appends a randomness as `rv`.
pub(super) fn write_randomness(out: &mut String, randomness: u64) {
    // Writing into a `String` cannot fail.
    let _ = write!(out, "{randomness:014x}");
}

/// The randomness that W3C's second level gives a trace id: its last seven bytes.
pub(super) fn randomness_of(id: &TraceId) -> u64 {
    let mut low = [0; 8];
    low[1..].copy_from_slice(&id[9..]);
    u64::from_be_bytes(low)
}

/// The randomness of `bytes` by their hash: bits 42 to 55 alone decide, as they did before there
/// were thresholds.
pub(super) fn hashed(bytes: &[u8], seed: u32) -> u64 {
    let hash = fnv1a(fnv1a(0x811c_9dc5, &seed.to_le_bytes()), bytes);
    let bucket = hash % BUCKETS;
    let unused = u64::from(hash >> 18);
    let mixed = unused ^ (unused << 10);
    u64::from(BUCKETS - 1 - bucket) << BUCKET_SHIFT | mixed << 14 | u64::from(bucket)
}

fn fnv1a(state: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(state, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// The threshold under which the hash keeps `percent` of the buckets; `None` when that is none.
pub(super) fn bucket_threshold(percent: f32) -> Option<u64> {
    let kept = (percent.min(100.0) * BUCKETS_A_PERCENT) as u32;
    (kept > 0).then(|| u64::from(BUCKETS - kept) << BUCKET_SHIFT)
}
