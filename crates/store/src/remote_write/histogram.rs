// SPDX-License-Identifier: Apache-2.0
//! The native histogram message, the same in both versions.
//!
//! ```text
//! Histogram  { count_int = 1 | count_float = 2, sum = 3, schema = 4 sint, zero_threshold = 5,
//!              zero_count_int = 6 | zero_count_float = 7, negative_spans = 8, negative_deltas = 9
//!              sint | negative_counts = 10, positive_spans = 11, .. 12 | 13, reset_hint = 14,
//!              timestamp = 15 ms, custom_values = 16, start_timestamp = 17 }
//! BucketSpan { offset = 1 sint, length = 2 }
//! ```
//! Schema -53 has bounds of its own (16): ascending, finite, without zero bucket and negative side.
//! Bound: [`BUCKETS_MAX`]. Source: prometheus/prompb/types.proto.

use otlp_series::{CUSTOM_SCHEMA, NativeHistogram};

use super::Problem;
use super::wire::{Fields, Malformed, Value, doubles, repeated, unzigzag};

/// Most buckets on a side; clients send at most 160 by default.
const BUCKETS_MAX: usize = 10_000;

const SCHEMAS: std::ops::RangeInclusive<i64> = -4..=8;

#[derive(Default)]
struct Side {
    /// (gap to the bucket before, number of buckets)
    spans: Vec<(i32, u32)>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// A histogram as it came.
#[derive(Debug)]
pub(super) struct Read {
    pub time_ms: i64,
    /// When it started counting; 0 = unknown.
    pub start_ms: i64,
    pub histogram: NativeHistogram,
}

/// Reads one histogram.
pub(super) fn read(message: &[u8]) -> Result<Read, Problem> {
    let mut histogram = NativeHistogram::default();
    let (mut positive, mut negative) = (Side::default(), Side::default());
    let (mut time_ms, mut start_ms, mut schema, mut bounds) = (0, 0, 0, Vec::new());
    let mut fields = Fields::of(message);
    while let Some((number, value)) = fields.next()? {
        match number {
            1 => histogram.count = value.uint()? as f64,
            2 => histogram.count = value.double()?,
            3 => histogram.sum = value.double()?,
            4 => schema = value.sint()?,
            5 => histogram.zero_threshold = value.double()?,
            6 => histogram.zero_count = value.uint()? as f64,
            7 => histogram.zero_count = value.double()?,
            8 => negative.span(value)?,
            9 => negative.deltas(value)?,
            10 => doubles(value, &mut negative.counts)?,
            11 => positive.span(value)?,
            12 => positive.deltas(value)?,
            13 => doubles(value, &mut positive.counts)?,
            15 => time_ms = value.uint()? as i64,
            16 => doubles(value, &mut bounds)?,
            17 => start_ms = value.uint()? as i64,
            _ => {}
        }
    }
    if histogram.is_stale() {
        return Ok(Read { time_ms, start_ms: 0, histogram: NativeHistogram::stale() });
    }
    let is_custom = schema == i64::from(CUSTOM_SCHEMA);
    if !is_custom && !SCHEMAS.contains(&schema) {
        return Err(Problem::Schema(schema));
    }
    histogram.schema = schema as i32;
    histogram.positive = positive.buckets()?;
    histogram.negative = negative.buckets()?;
    if is_custom {
        let ascending = bounds.len() <= BUCKETS_MAX
            && bounds.iter().all(|bound| bound.is_finite())
            && bounds.is_sorted_by(|a, b| a < b);
        let fits = |(index, _): &(i32, f64)| (0..=bounds.len() as i64).contains(&i64::from(*index));
        let plain = histogram.negative.is_empty() && histogram.zero_count == 0.0;
        if !ascending || !plain || !histogram.positive.iter().all(fits) {
            return Err(Problem::Bounds);
        }
        histogram.zero_threshold = 0.0;
        histogram.bounds = bounds.into();
    }
    Ok(Read { time_ms, start_ms, histogram })
}

impl Side {
    fn span(&mut self, value: Value<'_>) -> Result<(), Malformed> {
        let (mut offset, mut length) = (0, 0);
        let mut fields = Fields::of(value.bytes()?);
        while let Some((number, value)) = fields.next()? {
            match number {
                1 => offset = i32::try_from(value.sint()?).map_err(|_| Malformed)?,
                2 => length = u32::try_from(value.uint()?).map_err(|_| Malformed)?,
                _ => {}
            }
        }
        self.spans.push((offset, length));
        Ok(())
    }

    fn deltas(&mut self, value: Value<'_>) -> Result<(), Malformed> {
        repeated(value, |delta| {
            self.deltas.push(unzigzag(delta));
            Ok(())
        })
    }

    /// Buckets by index, those without observations left out.
    fn buckets(&self) -> Result<Vec<(i32, f64)>, Problem> {
        let wanted = self.spans.iter().map(|(_, length)| *length as usize).sum::<usize>();
        let given = self.deltas.len().max(self.counts.len());
        if wanted != given || given > BUCKETS_MAX {
            return Err(Problem::Buckets { wanted, given });
        }
        let mut running = 0i64;
        let mut counts = (0..given).map(|at| match self.deltas.get(at) {
            Some(delta) => {
                running = running.wrapping_add(*delta);
                running as f64
            }
            None => self.counts[at],
        });
        let mut out = Vec::with_capacity(given);
        let mut index = 0i32;
        for (offset, length) in &self.spans {
            index = index.checked_add(*offset).ok_or(Malformed)?;
            for _ in 0..*length {
                let count = counts.next().unwrap_or(0.0);
                if count != 0.0 {
                    out.push((index, count));
                }
                index = index.checked_add(1).ok_or(Malformed)?;
            }
        }
        let ascending = out.is_sorted_by(|a, b| a.0 < b.0);
        if ascending { Ok(out) } else { Err(Problem::Malformed) }
    }
}
