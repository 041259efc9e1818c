// SPDX-License-Identifier: Apache-2.0
//! OTLP views straight to remote write 1.0 requests.
//!
//! In: a metrics payload. Out: one or more snappy-compressed `WriteRequest`s of at most
//! `bytes_max` before compression. A series seen before costs a copy of its encoded labels; the
//! order of samples is the payload's, so each series keeps its own.
//!
//! ```text
//! WriteRequest { timeseries = 1: TimeSeries, metadata = 3: MetricMetadata }
//! TimeSeries   { labels = 1: {name = 1, value = 2}, samples = 2: {value = 1 f64, timestamp = 2 ms},
//!                exemplars = 3: {labels = 1, value = 2 f64, timestamp = 3}, histograms = 4 }
//! ```
//! Source: prometheus/prompb (types.proto, remote.proto), remote write specification 1.0.

use bytes::Bytes;
use otlp_wire::{ExemplarView, Payload};
use prost::Message;
use store::translate::{
    Family, MetricKind, NativeHistogram, Refusal, Report, Sink, Stamp, Translator, label_name,
};

/// Labels of one series, encoded as they stand in a `TimeSeries`.
pub(super) type Series = Box<[u8]>;

/// Translates and encodes; remembers series.
pub(super) struct Encoder {
    translator: Translator<Series>,
    bytes_max: usize,
    send_metadata: bool,
}

impl Encoder {
    pub fn new(options: store::translate::Options, bytes_max: usize, send_metadata: bool) -> Self {
        Encoder { translator: Translator::new(options), bytes_max, send_metadata }
    }

    /// The requests that carry `payload`, in order, and what was left out of them.
    pub fn encode(&mut self, payload: &Payload) -> (Vec<Bytes>, Report) {
        let mut writer = Writer {
            bytes_max: self.bytes_max,
            send_metadata: self.send_metadata,
            ..Writer::default()
        };
        let report = self.translator.translate(payload, &mut writer);
        (writer.finish(), report)
    }
}

/// Writes requests as the translator calls.
#[derive(Default)]
struct Writer {
    bytes_max: usize,
    send_metadata: bool,
    /// Request being written.
    out: Vec<u8>,
    /// Content of the series being written; its length is known when it is complete.
    series: Vec<u8>,
    finished: Vec<Bytes>,
}

impl Writer {
    /// Begins a series; the one before is complete.
    fn open(&mut self, labels: &[u8]) {
        self.close();
        self.series.extend_from_slice(labels);
    }

    fn close(&mut self) {
        if self.series.is_empty() {
            return;
        }
        if !self.out.is_empty() && self.out.len() + self.series.len() > self.bytes_max {
            self.cut();
        }
        put_bytes(&mut self.out, 1, &self.series);
        self.series.clear();
    }

    fn cut(&mut self) {
        // Snappy fails on inputs beyond 4 GiB only, which a payload cannot fill.
        let packed = snap::raw::Encoder::new().compress_vec(&self.out).unwrap_or_default();
        self.finished.push(packed.into());
        self.out.clear();
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.close();
        if !self.out.is_empty() {
            self.cut();
        }
        self.finished
    }
}

impl Sink for Writer {
    type Series = Series;

    fn series(&mut self, labels: &[(&str, &str)]) -> Result<Series, Refusal> {
        let mut out = Vec::new();
        for (name, value) in labels {
            put_label(&mut out, name, value);
        }
        Ok(out.into())
    }

    fn family(&mut self, family: Family<'_>) {
        if !self.send_metadata {
            return;
        }
        // Numbers of MetricMetadata.MetricType.
        let kind = match family.kind {
            MetricKind::Counter => 1,
            MetricKind::Gauge => 2,
            MetricKind::Histogram => 3,
            MetricKind::Summary => 5,
        };
        let mut metadata = vec![0x08, kind];
        put_bytes(&mut metadata, 2, family.name.as_bytes());
        put_bytes(&mut metadata, 4, family.help.as_bytes());
        put_bytes(&mut metadata, 5, family.unit.as_bytes());
        self.close();
        put_bytes(&mut self.out, 3, &metadata);
    }

    fn sample(&mut self, series: &Series, stamp: Stamp, value: f64) {
        self.open(series);
        let start = self.series.len();
        self.series.extend_from_slice(&[0x12, 0]);
        put_double(&mut self.series, 1, value);
        put_int(&mut self.series, 2, stamp.time_ms);
        // A sample is at most 20 bytes, so its length is one byte.
        self.series[start + 1] = (self.series.len() - start - 2) as u8;
    }

    fn histogram(&mut self, series: &Series, stamp: Stamp, histogram: NativeHistogram) {
        self.open(series);
        let encoded = native(&histogram, stamp.time_ms).encode_to_vec();
        put_bytes(&mut self.series, 4, &encoded);
    }

    fn exemplar(&mut self, series: &Series, exemplar: ExemplarView<'_>) {
        let Some(value) = exemplar.value() else { return };
        if !self.series.starts_with(series) {
            // A bucket's exemplars come after all of its point's samples.
            self.open(series);
        }
        let mut out = Vec::new();
        for (name, value) in exemplar_labels(exemplar) {
            put_label(&mut out, &name, &value);
        }
        put_double(&mut out, 2, value.as_f64());
        put_int(&mut out, 3, (exemplar.time() / 1_000_000) as i64);
        put_bytes(&mut self.series, 3, &out);
    }
}

/// Prometheus takes exemplar labels of 128 characters in all; what would pass that is left out.
const EXEMPLAR_CHARS_MAX: usize = 128;

/// Labels of an exemplar, sorted: trace and span id first in line for the room there is.
fn exemplar_labels(exemplar: ExemplarView<'_>) -> Vec<(String, String)> {
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut wanted = Vec::new();
    wanted.extend(exemplar.trace_id().map(|id| ("trace_id".to_owned(), hex(&id))));
    wanted.extend(exemplar.span_id().map(|id| ("span_id".to_owned(), hex(&id))));
    for (key, value) in exemplar.filtered_attrs().iter() {
        wanted.extend(label_name(key).map(|name| (name, value.text().into_owned())));
    }
    let mut room = EXEMPLAR_CHARS_MAX;
    let mut labels: Vec<(String, String)> = Vec::new();
    for (name, value) in wanted {
        let length = name.chars().count() + value.chars().count();
        if length <= room && !labels.iter().any(|(known, _)| *known == name) {
            room -= length;
            labels.push((name, value));
        }
    }
    labels.sort();
    labels
}

/// `prometheus.Histogram`, whole numbers only.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Native {
    #[prost(uint64, tag = "1")]
    pub count: u64,
    #[prost(double, tag = "3")]
    pub sum: f64,
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    #[prost(uint64, tag = "6")]
    pub zero_count: u64,
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
}

/// Consecutive buckets: `offset` from the end of the last ones.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BucketSpan {
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

fn native(histogram: &NativeHistogram, timestamp: i64) -> Native {
    let (positive_spans, positive_deltas) = spans(&histogram.positive);
    let (negative_spans, negative_deltas) = spans(&histogram.negative);
    Native {
        count: histogram.count as u64,
        sum: histogram.sum,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: histogram.zero_count as u64,
        negative_spans,
        negative_deltas,
        positive_spans,
        positive_deltas,
        timestamp,
    }
}

/// Runs of consecutive buckets, and each count as the difference to the one before.
fn spans(buckets: &[(i32, f64)]) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas): (Vec<BucketSpan>, Vec<i64>) = (Vec::new(), Vec::new());
    let (mut next, mut before) = (0i32, 0i64);
    for (index, count) in buckets {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(BucketSpan { offset: index.wrapping_sub(next), length: 1 }),
        }
        next = index.wrapping_add(1);
        deltas.push(*count as i64 - before);
        before = *count as i64;
    }
    (spans, deltas)
}

fn put_label(out: &mut Vec<u8>, name: &str, value: &str) {
    let mut label = Vec::with_capacity(name.len() + value.len() + 8);
    put_bytes(&mut label, 1, name.as_bytes());
    put_bytes(&mut label, 2, value.as_bytes());
    put_bytes(out, 1, &label);
}

fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_double(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_int(out: &mut Vec<u8>, field: u8, value: i64) {
    out.push(field << 3);
    put_varint(out, value as u64);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
