// SPDX-License-Identifier: Apache-2.0
//! Protobuf pieces that remote write 1.0 and 2.0 share.
//!
//! Native histograms; everything else is written field by field. Source:
//! prometheus/prompb (types.proto, io/prometheus/write/v2/types.proto): the two messages for
//! histograms differ in the numbers of five fields only.

use otlp_series::NativeHistogram;
pub(super) use otlp_series::exemplar_labels;
pub(super) use otlp_wire::put_varint;

/// Empty buckets between two full ones that are written out instead of beginning a new span.
const GAP_MAX: i32 = 2;

/// Where the two versions put the fields of a histogram.
pub(super) struct HistogramFields {
    sum: u32,
    schema: u32,
    zero_threshold: u32,
    zero_count: u32,
    start: Option<u32>,
}

/// `prometheus.Histogram`.
pub(super) const V1: HistogramFields =
    HistogramFields { sum: 3, schema: 4, zero_threshold: 5, zero_count: 6, start: None };

/// `io.prometheus.write.v2.Histogram`.
pub(super) const V2: HistogramFields =
    HistogramFields { sum: 3, schema: 4, zero_threshold: 5, zero_count: 6, start: Some(17) };

/// Writes a histogram message with whole counts.
pub(super) fn put_histogram(
    out: &mut Vec<u8>,
    fields: &HistogramFields,
    histogram: &NativeHistogram,
    time_ms: i64,
    start_ms: i64,
) {
    // A stale histogram says so in both sum and count.
    let count = match histogram.is_stale() {
        true => histogram.sum.to_bits(),
        false => histogram.count as u64,
    };
    put_uint(out, 1, count);
    put_double(out, fields.sum, histogram.sum);
    put_uint(out, fields.schema, zigzag(histogram.schema.into()));
    put_double(out, fields.zero_threshold, histogram.zero_threshold);
    put_uint(out, fields.zero_count, histogram.zero_count as u64);
    for (field, buckets) in [(8, &histogram.negative), (11, &histogram.positive)] {
        let (spans, deltas) = spans(buckets);
        for (offset, length) in spans {
            let mut span = Vec::with_capacity(12);
            put_uint(&mut span, 1, zigzag(offset.into()));
            put_uint(&mut span, 2, length.into());
            put_bytes(out, field, &span);
        }
        if !deltas.is_empty() {
            let mut packed = Vec::with_capacity(deltas.len() * 2);
            deltas.iter().for_each(|delta| put_varint(&mut packed, zigzag(*delta)));
            put_bytes(out, field + 1, &packed);
        }
    }
    put_uint(out, 15, time_ms as u64);
    if !histogram.bounds.is_empty() {
        let bounds: Vec<u8> = histogram.bounds.iter().flat_map(|b| b.to_le_bytes()).collect();
        put_bytes(out, 16, &bounds);
    }
    if let (Some(field), true) = (fields.start, start_ms != 0) {
        put_uint(out, field, start_ms as u64);
    }
}

/// Runs of buckets as (offset from the end of the run before, length), and each count as the
/// difference to the one before.
pub(super) fn spans(buckets: &[(i32, f64)]) -> (Vec<(i32, u32)>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<(i32, u32)>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0i32, 0i64);
    for (index, count) in buckets {
        let gap = index.wrapping_sub(next);
        match spans.last_mut() {
            Some((_, length)) if (0..=GAP_MAX).contains(&gap) => {
                for _ in 0..gap {
                    deltas.push(-before);
                    before = 0;
                }
                *length += gap as u32 + 1;
            }
            _ => spans.push((gap, 1)),
        }
        next = index.wrapping_add(1);
        deltas.push(*count as i64 - before);
        before = *count as i64;
    }
    (spans, deltas)
}

/// Signed numbers as protobuf's `sint` writes them.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

pub(super) fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut label = Vec::with_capacity(name.len() + value.len() + 8);
    put_bytes(&mut label, 1, name.as_bytes());
    put_bytes(&mut label, 2, value.as_bytes());
    put_bytes(out, 1, &label);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(super) fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3);
    put_varint(out, value);
}

/// The top-level fields of a message of ours: number and whole bytes, tag included.
pub(super) fn top_level(mut message: &[u8]) -> Vec<(u32, &[u8])> {
    let mut found = Vec::new();
    while let Some((number, length)) = field_at(message) {
        let (field, rest) = message.split_at(length);
        found.push((number, field));
        message = rest;
    }
    found
}

/// Number and length of the length-delimited field at the front.
fn field_at(message: &[u8]) -> Option<(u32, usize)> {
    let (tag, after_tag) = varint(message, 0)?;
    let (length, begin) = varint(message, after_tag)?;
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    (tag & 7 == 2 && end <= message.len()).then_some(((tag >> 3) as u32, end))
}

/// A varint as bytes, and how many they are.
#[inline]
pub(super) fn varint_bytes(mut value: u64) -> ([u8; 10], usize) {
    let (mut bytes, mut at) = ([0; 10], 0);
    while value >= 0x80 {
        bytes[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    bytes[at] = value as u8;
    (bytes, at + 1)
}

/// A varint at `at`, and where it ends.
pub(super) fn varint(bytes: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}
