// SPDX-License-Identifier: Apache-2.0
//! Remote write 2.0 as a receiver decodes it.

use otlp_wire::write::{ExponentialBuckets, ExponentialHistogram, Histogram};
use otlp_wire::{Number, Temporality};
use prost::Message;

use super::*;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<Series>,
}

#[derive(Clone, PartialEq, Message)]
struct Series {
    #[prost(uint32, repeated, tag = "1")]
    labels: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Native>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<Exemplar>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(int64, tag = "3")]
    start: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(uint32, repeated, tag = "1")]
    labels: Vec<u32>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help: u32,
    #[prost(uint32, tag = "4")]
    unit: u32,
}

impl Request {
    fn text(&self, refs: &[u32]) -> String {
        let texts: Vec<&str> = refs.iter().map(|at| self.symbols[*at as usize].as_str()).collect();
        texts.chunks(2).map(|pair| format!("{}={}", pair[0], pair[1])).collect::<Vec<_>>().join(" ")
    }
}

fn second(json: &str, payload: &Payload) -> Vec<Request> {
    let mut form = super::super::encode::Form::of(&config(json));
    form.v2 = true;
    let mut encoder = Encoder::new(form);
    // The second batch finds its series known and must number its texts anew all the same.
    encoder.encode(payload);
    let (lanes, _) = encoder.encode(payload);
    let bodies = lanes.iter().flatten().map(|request| inflate("snappy", &request.body));
    bodies.map(|body| Request::decode(&body[..]).expect("a request")).collect()
}

fn shop(out: &mut write::Metrics) {
    let value = Histogram {
        count: 3,
        sum: Some(7.5),
        explicit_bounds: &[0.5],
        bucket_counts: &[1, 2],
        ..Histogram::default()
    };
    out.histogram("latency", "s", "how long", Temporality::Cumulative, |points| {
        points.start(T - 5_000_000_000);
        points.histogram(T, &value, |_| {});
        let ids = Some(([0xab; 16], [0xcd; 8]));
        points.exemplar(T, Number::Double(0.4), ids, |_| {});
    });
    let value = ExponentialHistogram {
        count: 2,
        positive: ExponentialBuckets { offset: 0, counts: &[2] },
        ..ExponentialHistogram::default()
    };
    out.exponential_histogram("native", "", "", Temporality::Cumulative, |points| {
        points.start(T - 5_000_000_000);
        points.exponential_histogram(T, &value, |_| {});
    });
}

#[test]
fn texts_stand_once_in_the_table_and_series_say_what_they_are() {
    let request = &second("{}", &payload(shop))[0];
    assert_eq!(request.symbols[0], "");
    let mut unique = request.symbols.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), request.symbols.len(), "{:?}", request.symbols);
    let ms = (T / 1_000_000) as i64;
    let bucket = &request.timeseries[0];
    assert_eq!(
        request.text(&bucket.labels),
        "__name__=latency_seconds_bucket job=a le=0.5 otel_scope_name=lib otel_scope_version=1"
    );
    let sample = &bucket.samples[0];
    assert_eq!((sample.value, sample.timestamp, sample.start), (1.0, ms, ms - 5000));
    let exemplar = &bucket.exemplars[0];
    let expected = format!("span_id={} trace_id={}", "cd".repeat(8), "ab".repeat(16));
    assert_eq!(request.text(&exemplar.labels), expected);
    assert_eq!((exemplar.value, exemplar.timestamp), (0.4, ms));
    let told = bucket.metadata.as_ref().expect("told");
    let text = |at: u32| request.symbols[at as usize].as_str();
    assert_eq!((told.kind, text(told.help), text(told.unit)), (3, "how long", "seconds"));
    let native = request.timeseries.iter().find(|s| !s.histograms.is_empty()).expect("one");
    assert!(native.samples.is_empty());
    let histogram = &native.histograms[0];
    assert_eq!((histogram.count, histogram.timestamp), (2, ms));
    assert!(request.timeseries.iter().all(|s| s.samples.len() + s.histograms.len() == 1));
}

#[test]
fn each_request_has_its_own_table() {
    let payload = payload(|out| {
        out.gauge("g", "", "", |points| {
            for at in 0..500 {
                points.double(T, 1.0, |attrs| attrs.str("s", &format!("series-{at}")));
            }
        });
    });
    let requests = second(r#"{"max_batch_size_bytes":4000}"#, &payload);
    assert!(requests.len() > 3, "{}", requests.len());
    let mut series: Vec<String> = Vec::new();
    for request in &requests {
        series.extend(request.timeseries.iter().map(|s| request.text(&s.labels)));
    }
    series.sort();
    series.dedup();
    assert_eq!(series.len(), 501);
    assert!(series.iter().filter(|s| s.contains("s=series-")).count() == 500);
}

#[test]
fn names_may_be_utf_8() {
    let json = r#"{"translation_strategy":"NoTranslation"}"#;
    let payload = payload(|out| {
        out.gauge("http.load", "", "", |points| points.int(T, 1, |attrs| attrs.str("a.b", "c")));
    });
    let request = &second(json, &payload)[0];
    let labels = request.text(&request.timeseries[0].labels);
    assert!(labels.starts_with("__name__=http.load a.b=c job=a"), "{labels}");
}

#[test]
fn halves_keep_the_table() {
    let mut form = super::super::encode::Form::of(&config("{}"));
    form.v2 = true;
    let (lanes, _) = Encoder::new(form).encode(&payload(shop));
    let (first, second) = super::super::body::halves(&lanes[0][0], 5).expect("divisible");
    let whole = lanes[0][0].holds;
    assert_eq!(first.holds.series + second.holds.series, whole.series);
    assert_eq!(first.holds.values() + second.holds.values(), whole.values());
    assert_eq!(first.holds.exemplars + second.holds.exemplars, whole.exemplars);
    for half in [first, second] {
        let request = Request::decode(&inflate("snappy", &half.body)[..]).expect("a request");
        assert_eq!(request.timeseries.len() as u64, half.holds.series);
        request.timeseries.iter().for_each(|series| {
            assert!(request.text(&series.labels).contains("job=a"));
        });
    }
}
