// SPDX-License-Identifier: Apache-2.0
//! Requests of version 1.0 made here: what rules record goes in by the same door as what is sent.

use basics::labels::Labels;
use otlp_series::NativeHistogram;
use otlp_wire::put_varint;

use super::read::put_label;

/// Writes a request, series by series.
#[derive(Debug, Default)]
pub struct Encoder {
    body: Vec<u8>,
    series: Vec<u8>,
    message: Vec<u8>,
}

impl Encoder {
    /// Adds one value of a series; [`otlp_series::STALE`] ends it.
    pub fn sample(&mut self, labels: &Labels, time_ms: i64, value: f64) {
        self.message.clear();
        put_double(&mut self.message, 1, value);
        put_uint(&mut self.message, 2, time_ms as u64);
        self.put(labels, 2);
    }

    /// Adds one native histogram of a series.
    pub fn histogram(&mut self, labels: &Labels, time_ms: i64, histogram: &NativeHistogram) {
        self.message.clear();
        let out = &mut self.message;
        put_double(out, 2, histogram.count);
        put_double(out, 3, histogram.sum);
        put_uint(out, 4, zigzag(histogram.schema.into()));
        put_double(out, 5, histogram.zero_threshold);
        put_double(out, 7, histogram.zero_count);
        for (field, buckets) in [(8, &histogram.negative), (11, &histogram.positive)] {
            let mut next = 0i32;
            for (index, _) in buckets {
                let mut span = Vec::with_capacity(12);
                put_uint(&mut span, 1, zigzag(index.wrapping_sub(next).into()));
                put_uint(&mut span, 2, 1);
                put_bytes(out, field, &span);
                next = index.wrapping_add(1);
            }
            let counts: Vec<u8> =
                buckets.iter().flat_map(|(_, count)| count.to_le_bytes()).collect();
            put_bytes(out, field + 2, &counts);
        }
        put_uint(out, 15, time_ms as u64);
        if !histogram.bounds.is_empty() {
            let bounds: Vec<u8> =
                histogram.bounds.iter().flat_map(|bound| bound.to_le_bytes()).collect();
            put_bytes(out, 16, &bounds);
        }
        self.put(labels, 4);
    }

    fn put(&mut self, labels: &Labels, field: u32) {
        self.series.clear();
        for (name, value) in labels.iter() {
            put_label(&mut self.series, name.as_bytes(), value.as_bytes());
        }
        put_bytes(&mut self.series, field, &self.message);
        put_bytes(&mut self.body, 1, &self.series);
    }

    /// True when nothing was added.
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The request, compressed.
    ///
    /// # Errors
    /// [`basics::Kind::Rejected`] when it is larger than any request may be.
    pub fn finish(self) -> basics::Result<Vec<u8>> {
        let packed = snap::raw::Encoder::new().compress_vec(&self.body);
        packed.map_err(|e| basics::Error::rejected(format!("remote write: {e}")))
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn put_uint(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3);
    put_varint(out, value);
}

fn put_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_varint(out, u64::from(field) << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
