// SPDX-License-Identifier: Apache-2.0
//! Remote write 1.0: labels spelled out in every series.
//!
//! ```text
//! WriteRequest { timeseries = 1: TimeSeries, metadata = 3: MetricMetadata }
//! TimeSeries   { labels = 1: {name = 1, value = 2}, samples = 2: {value = 1 f64, timestamp = 2 ms},
//!                exemplars = 3: {labels = 1, value = 2 f64, timestamp = 3}, histograms = 4 }
//! ```
//! A series seen before costs a copy of its encoded labels. Source: prometheus/prompb
//! (types.proto, remote.proto), remote write specification 1.0.

use otlp_series::{Family, NativeHistogram, Refusal, Sink, Stamp};
use otlp_wire::ExemplarView;

use super::body::{Bodies, Place};
use super::metadata::Metadata;
use super::wire::{self, exemplar_labels, put_bytes, put_double, put_label, put_uint};

/// Field number of a series in a request.
pub(super) const FIELD: u8 = 1;

/// Labels as they stand in a `TimeSeries`, and where it was last written.
#[derive(Debug)]
pub(super) struct Series {
    labels: Box<[u8]>,
    place: Place,
}

/// Writes requests as the translator calls.
pub(super) struct Writer<'e> {
    pub bodies: &'e mut Bodies,
    pub metadata: &'e mut Metadata,
    tail: Tail,
    /// Exemplars of the next value, encoded.
    exemplars: Vec<u8>,
    exemplars_count: u64,
}

impl<'e> Writer<'e> {
    pub fn new(bodies: &'e mut Bodies, metadata: &'e mut Metadata) -> Self {
        let tail = Tail::at(0);
        Writer { bodies, metadata, tail, exemplars: Vec::new(), exemplars_count: 0 }
    }

    fn taken(&mut self, at: usize) {
        self.bodies.lanes[at].holds.exemplars += std::mem::take(&mut self.exemplars_count);
        self.exemplars.clear();
    }
}

/// A sample with its time filled in: all samples of a point have the same.
struct Tail {
    time_ms: i64,
    bytes: [u8; 22],
    length: usize,
}

impl Tail {
    fn at(time_ms: i64) -> Self {
        // samples = 2, its length, value = 1 as 8 bytes, timestamp = 2 as a varint of at most 10.
        let mut tail = Tail { time_ms, bytes: [0; 22], length: 12 };
        tail.bytes[..3].copy_from_slice(&[0x12, 0, 0x09]);
        tail.bytes[11] = 0x10;
        let mut rest = time_ms as u64;
        while rest >= 0x80 {
            tail.bytes[tail.length] = rest as u8 | 0x80;
            tail.length += 1;
            rest >>= 7;
        }
        tail.bytes[tail.length] = rest as u8;
        tail.length += 1;
        tail.bytes[1] = tail.length as u8 - 2;
        tail
    }
}

impl Sink for Writer<'_> {
    type Family = ();
    type Series = Series;

    fn family(&mut self, family: Family<'_>) {
        self.metadata.tell(family);
    }

    fn series(&mut self, _: &(), labels: &[(&str, &str)]) -> Result<Series, Refusal> {
        let mut out = Vec::new();
        for (name, value) in labels {
            put_label(&mut out, name, value);
        }
        Ok(Series { labels: out.into(), place: Place::of(labels) })
    }

    #[inline]
    fn sample(&mut self, series: &Series, stamp: Stamp, value: f64) {
        if stamp.time_ms != self.tail.time_ms {
            self.tail = Tail::at(stamp.time_ms);
        }
        self.tail.bytes[3..11].copy_from_slice(&value.to_le_bytes());
        let at = self.bodies.lane(&series.place, stamp, series.labels.len() + 32);
        let tail = &self.tail.bytes[..self.tail.length];
        self.bodies.put(at, [&series.labels, tail, &self.exemplars]);
        self.bodies.lanes[at].holds.samples += 1;
        if !self.exemplars.is_empty() {
            self.taken(at);
        }
    }

    fn histogram(&mut self, series: &Series, stamp: Stamp, histogram: NativeHistogram) {
        let mut message = Vec::with_capacity(128);
        wire::put_histogram(&mut message, &wire::V1, &histogram, stamp.time_ms, stamp.start_ms);
        let mut field = Vec::with_capacity(message.len() + 4);
        put_bytes(&mut field, 4, &message);
        let at = self.bodies.lane(&series.place, stamp, series.labels.len() + field.len());
        self.bodies.put(at, [&series.labels, &self.exemplars, &field]);
        self.bodies.lanes[at].holds.histograms += 1;
        self.taken(at);
    }

    fn exemplar(&mut self, exemplar: ExemplarView<'_>) {
        let Some(value) = exemplar.value() else { return };
        let mut out = Vec::new();
        for (name, value) in exemplar_labels(exemplar) {
            put_label(&mut out, &name, &value);
        }
        put_double(&mut out, 2, value.as_f64());
        put_uint(&mut out, 3, exemplar.time() / 1_000_000);
        put_bytes(&mut self.exemplars, 3, &out);
        self.exemplars_count += 1;
    }
}
