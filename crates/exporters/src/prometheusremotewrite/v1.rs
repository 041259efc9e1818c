// SPDX-License-Identifier: Apache-2.0
//! Remote write 1.0: labels spelled out in every series.
//!
//! ```text
//! WriteRequest { timeseries = 1: TimeSeries, metadata = 3: MetricMetadata }
//! TimeSeries   { labels = 1: {name = 1, value = 2}, samples = 2: {value = 1 f64, timestamp = 2 ms},
//!                exemplars = 3: {labels = 1, value = 2 f64, timestamp = 3}, histograms = 4 }
//! ```
//! A series seen before costs what of its labels was not in the request lately ([`super::labels`]).
//! Source: prometheus/prompb (types.proto, remote.proto), remote write specification 1.0.

use otlp_series::{Family, NativeHistogram, Refusal, Sink, Stamp};
use otlp_wire::ExemplarView;

use super::body::{Bodies, Open, Place};
use super::labels::{Labels, List};
use super::metadata::Metadata;
use super::wire::{
    self, exemplar_labels, put_bytes, put_double, put_label, put_uint, varint_bytes,
};

/// Field number of a series in a request.
pub(super) const FIELD: u8 = 1;

/// A series by its labels, and where it was last written.
#[derive(Debug)]
pub(super) struct Series {
    labels: List,
    place: Place,
}

/// Writes requests as the translator calls.
pub(super) struct Writer<'e> {
    pub bodies: &'e mut Bodies,
    pub metadata: &'e mut Metadata,
    pub labels: &'e mut Labels,
    tail: Tail,
    /// Exemplars of the next value, encoded.
    exemplars: Vec<u8>,
    exemplars_count: u64,
}

impl<'e> Writer<'e> {
    pub fn new(bodies: &'e mut Bodies, metadata: &'e mut Metadata, labels: &'e mut Labels) -> Self {
        let tail = Tail::at(0);
        Writer { bodies, metadata, labels, tail, exemplars: Vec::new(), exemplars_count: 0 }
    }

    /// Begins a series of `rest` bytes behind its labels.
    #[inline]
    fn begin(&mut self, series: &Series, stamp: Stamp, rest: usize) -> &mut Open {
        let length = series.labels.length as usize + rest;
        let at = self.bodies.lane(&series.place, stamp, length + HEAD_MAX);
        let lane = &mut self.bodies.lanes[at];
        let (head, width) = head(length);
        lane.block.literal(&head[..width]);
        self.labels.write(at, &series.labels, &mut lane.block);
        lane.holds.series += 1;
        lane
    }
}

/// Most bytes of a series' tag and length.
const HEAD_MAX: usize = 11;

/// Tag and length of a series, and how many bytes they are.
#[inline]
fn head(length: usize) -> ([u8; HEAD_MAX], usize) {
    let (length, width) = varint_bytes(length as u64);
    let mut bytes = [FIELD << 3 | 2; HEAD_MAX];
    bytes[1..].copy_from_slice(&length);
    (bytes, 1 + width)
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
        Ok(Series { labels: self.labels.list(labels), place: Place::of(labels) })
    }

    #[inline]
    fn sample(&mut self, series: &Series, stamp: Stamp, value: f64) {
        if stamp.time_ms != self.tail.time_ms {
            self.tail = Tail::at(stamp.time_ms);
        }
        self.tail.bytes[3..11].copy_from_slice(&value.to_le_bytes());
        let tail = self.tail.length;
        let exemplars = std::mem::take(&mut self.exemplars);
        let exemplars_count = std::mem::take(&mut self.exemplars_count);
        let bytes = self.tail.bytes;
        let lane = self.begin(series, stamp, tail + exemplars.len());
        lane.block.literal(&bytes[..tail]);
        lane.block.literal(&exemplars);
        lane.holds.samples += 1;
        lane.holds.exemplars += exemplars_count;
    }

    fn histogram(&mut self, series: &Series, stamp: Stamp, histogram: NativeHistogram) {
        let mut message = Vec::with_capacity(128);
        wire::put_histogram(&mut message, &wire::V1, &histogram, stamp.time_ms, stamp.start_ms);
        let mut rest = std::mem::take(&mut self.exemplars);
        put_bytes(&mut rest, 4, &message);
        let exemplars_count = std::mem::take(&mut self.exemplars_count);
        let lane = self.begin(series, stamp, rest.len());
        lane.block.literal(&rest);
        lane.holds.histograms += 1;
        lane.holds.exemplars += exemplars_count;
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
