// SPDX-License-Identifier: Apache-2.0

use otlp_wire::{Number, Payload, Temporality, write};
use testkit::backend::inflate;
use testkit::remote_write::WriteRequest;

use super::config::Config;
use super::encode::Encoder;

mod delivering;
mod second;

const T: u64 = 1_700_000_000_000_000_000;

fn encode(config: &Config, payload: &Payload) -> Vec<WriteRequest> {
    let (lanes, _) = Encoder::of(config).encode(payload);
    let requests = lanes.iter().flatten();
    requests.map(|request| WriteRequest::read(&inflate("snappy", &request.body))).collect()
}

fn config(json: &str) -> Config {
    serde_json::from_str(json).expect("valid")
}

fn payload(metrics: impl FnOnce(&mut write::Metrics)) -> Payload {
    let mut out = write::Metrics::new();
    out.resource(|attrs| {
        attrs.str("service.name", "a");
        attrs.str("k8s.pod.name", "p");
    });
    out.scope("lib", "1");
    metrics(&mut out);
    out.finish()
}

#[test]
fn a_histogram_is_the_series_the_collector_writes() {
    let histogram = write::Histogram {
        count: 3,
        sum: Some(7.5),
        explicit_bounds: &[0.5],
        bucket_counts: &[1, 2],
        ..<_>::default()
    };
    let payload = payload(|out| {
        out.histogram("scotty.log_stream.duration", "s", "", Temporality::Cumulative, |points| {
            points.histogram(T, &histogram, |attrs| {
                attrs.str("a.b", "1");
                attrs.str("a_b", "2");
                attrs.str("empty", "");
            });
            let ids = Some(([0xab; 16], [0xcd; 8]));
            points.exemplar(T, Number::Double(0.4), ids, |attrs| attrs.str("k", "v"));
        });
        out.sum("gone", "", "", Temporality::Delta, true, |points| points.int(T, 1, |_| {}));
    });
    let requests = encode(&config(r#"{"external_labels":{"cluster":"c1"}}"#), &payload);
    assert_eq!(requests.len(), 1);
    let labels = |le: &str| {
        format!(
            "{{a_b=\"1;2\",cluster=\"c1\",job=\"a\",{le}otel_scope_name=\"lib\",otel_scope_version=\"1\"}}"
        )
    };
    let name = "scotty_log_stream_duration_seconds";
    let ms = (T / 1_000_000) as i64;
    let mut found = requests[0].samples();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let mut expected = vec![
        (format!("{name}_bucket{}", labels("le=\"0.5\",")), 1.0, ms),
        (format!("{name}_bucket{}", labels("le=\"+Inf\",")), 3.0, ms),
        (format!("{name}_sum{}", labels("")), 7.5, ms),
        (format!("{name}_count{}", labels("")), 3.0, ms),
        ("target_info{cluster=\"c1\",job=\"a\",k8s_pod_name=\"p\"}".to_owned(), 1.0, ms),
    ];
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(found, expected);
    let with: Vec<_> = requests[0].timeseries.iter().filter(|s| !s.exemplars.is_empty()).collect();
    assert_eq!(with.len(), 1);
    assert!(with[0].key().contains("le=\"0.5\""), "on the bucket it is in: {}", with[0].key());
    let exemplar = &with[0].exemplars[0];
    let names: Vec<_> = exemplar.labels.iter().map(|l| l.name.as_str()).collect();
    assert_eq!((names, exemplar.value), (vec!["k", "span_id", "trace_id"], 0.4));
}

#[test]
fn keys_change_names_labels_and_metadata() {
    let payload = payload(|out| {
        let kind = Temporality::Cumulative;
        out.sum("requests", "1", "how many", kind, true, |points| points.int(T, 1, |_| {}));
        out.gauge("free", "By", "", |points| points.none(T, |_| {}));
    });
    let names = |json: &str| -> Vec<String> {
        let requests = encode(&config(json), &payload);
        requests[0]
            .samples()
            .into_iter()
            .map(|(key, ..)| key.split('{').next().unwrap_or("").to_owned())
            .collect()
    };
    assert_eq!(names("{}"), ["requests_total", "free_bytes", "target_info"]);
    assert_eq!(
        names(r#"{"add_metric_suffixes":false,"target_info":{"enabled":false}}"#),
        ["requests", "free"]
    );
    assert_eq!(names(r#"{"namespace":"shop"}"#)[0], "shop_requests_total");
    let strategy = r#"{"translation_strategy":"UnderscoreEscapingWithoutSuffixes"}"#;
    assert_eq!(names(strategy)[0], "requests");

    let all = config(
        r#"{"send_metadata":true,"disable_scope_info":true,"resource_to_telemetry_conversion":{"enabled":true}}"#,
    );
    let request = &encode(&all, &payload)[0];
    assert_eq!(
        request.samples()[0].0,
        "requests_total{job=\"a\",k8s_pod_name=\"p\",service_name=\"a\"}"
    );
    assert!(request.samples()[1].1.is_nan(), "stale");
    let told: Vec<_> =
        request.metadata.iter().map(|m| (m.family.as_str(), m.kind, m.help.as_str())).collect();
    assert!(told.contains(&("requests_total", 1, "how many")), "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
}

/// `prometheus.Histogram`, whole numbers only.
#[derive(Clone, PartialEq, prost::Message)]
struct Native {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, tag = "6")]
    zero_count: u64,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    timestamp: i64,
    #[prost(double, repeated, tag = "16")]
    custom_values: Vec<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[test]
fn native_histograms_keep_their_buckets() {
    let positive = write::ExponentialBuckets { offset: 2, counts: &[4, 0, 0, 1, 3] };
    let value = write::ExponentialHistogram {
        count: 9,
        sum: Some(5.0),
        scale: 1,
        zero_count: 1,
        positive,
        ..<_>::default()
    };
    let payload = payload(|out| {
        out.exponential_histogram("e", "", "", Temporality::Cumulative, |points| {
            points.exponential_histogram(T, &value, |_| {});
        });
    });
    let request = &encode(&config("{}"), &payload)[0];
    let encoded = &request.timeseries[0].histograms[0];
    let decoded = <Native as prost::Message>::decode(&encoded[..]).expect("valid");
    let spans: Vec<_> = decoded.positive_spans.iter().map(|s| (s.offset, s.length)).collect();
    assert_eq!(spans, [(3, 5)], "a gap of two is not worth a span");
    assert_eq!(decoded.positive_deltas, [4, -4, 0, 1, 2]);
    assert_eq!((decoded.count, decoded.zero_count, decoded.schema), (9, 1, 1));
    assert_eq!((decoded.sum, decoded.timestamp), (5.0, (T / 1_000_000) as i64));
}

#[test]
fn histograms_with_bounds_are_native_ones_if_asked_for() {
    let value = write::Histogram {
        count: 6,
        sum: Some(7.5),
        explicit_bounds: &[0.5, 1.0, 2.5],
        bucket_counts: &[1, 3, 0, 2],
        ..<_>::default()
    };
    let payload = |is_marked: bool| {
        payload(|out| {
            out.metadata(|attrs| attrs.bool(otlp_wire::NHCB, is_marked));
            out.histogram("h", "", "", Temporality::Cumulative, |points| {
                points.histogram(T, &value, |_| {});
            });
        })
    };
    let asked = config(r#"{"convert_explicit_histograms_to_nhcb":true}"#);
    for (config, is_marked) in [(&asked, false), (&config("{}"), true)] {
        let request = &encode(config, &payload(is_marked))[0];
        let with_buckets = request.timeseries.iter().find(|series| !series.histograms.is_empty());
        let encoded = &with_buckets.expect("a native histogram").histograms[0];
        let decoded = <Native as prost::Message>::decode(&encoded[..]).expect("valid");
        assert_eq!((decoded.schema, decoded.custom_values), (-53, vec![0.5, 1.0, 2.5]));
        assert_eq!((decoded.count, decoded.sum), (6, 7.5));
        let spans: Vec<_> = decoded.positive_spans.iter().map(|s| (s.offset, s.length)).collect();
        assert_eq!((spans, decoded.positive_deltas), (vec![(0, 4)], vec![1, 2, -3, 2]));
    }
    let request = &encode(&config("{}"), &payload(false))[0];
    assert!(request.timeseries.iter().all(|series| series.histograms.is_empty()));
}

#[test]
fn large_batches_are_cut_and_the_order_of_a_series_stays() {
    let payload = payload(|out| {
        out.gauge("g", "", "", |points| {
            for at in 0..1000u64 {
                points
                    .double(T + at * 1_000_000, at as f64, |attrs| attrs.int("s", (at % 7) as i64));
            }
        });
    });
    let requests = encode(&config(r#"{"max_batch_size_bytes":5000}"#), &payload);
    assert!(requests.len() > 10, "{}", requests.len());
    testkit::remote_write::check_order(&requests);
    let samples: usize = requests.iter().map(|r| r.samples().len()).sum();
    assert_eq!(samples, 1001);
}

#[test]
fn labels_come_whole_whether_they_stood_near_far_or_in_another_request() {
    let text = |at: u64| format!("{:0>200}", at * at % 701);
    let payload = payload(|out| {
        out.gauge("g", "", "", |points| {
            for at in 0..3000u64 {
                points.double(T, at as f64, |attrs| {
                    attrs.int("n", (at % 13) as i64);
                    attrs.str("s", &text(at));
                });
            }
        });
    });
    let expected: Vec<(String, f64)> = (0..3000u64)
        .map(|at| {
            let scope = "otel_scope_name=\"lib\",otel_scope_version=\"1\"";
            (format!("g{{job=\"a\",n=\"{}\",{scope},s=\"{}\"}}", at % 13, text(at)), at as f64)
        })
        .collect();
    for json in ["{}", r#"{"max_batch_size_bytes":100000}"#] {
        let mut encoder = Encoder::of(&config(json));
        // The second batch finds all of them known.
        for _ in 0..2 {
            let (lanes, _) = encoder.encode(&payload);
            let mut found: Vec<(String, f64)> = Vec::new();
            for request in lanes.iter().flatten() {
                let body = inflate("snappy", &request.body);
                let read = WriteRequest::read(&body);
                assert_eq!(read.timeseries.len() as u64, request.holds.series);
                found.extend(read.samples().into_iter().map(|(key, value, _)| (key, value)));
            }
            found.retain(|(key, _)| key.starts_with("g{"));
            found.sort_by(|a, b| a.1.total_cmp(&b.1));
            assert_eq!(found, expected);
        }
    }
}
