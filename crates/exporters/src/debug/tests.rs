// SPDX-License-Identifier: Apache-2.0

use otlp_wire::{Payload, Signal, SpanKind, StatusCode, Temporality, write};

use super::{Config, Sampler, Verbosity, detailed, normal};

const NOW: u64 = 1_744_879_244_555_461_596;

fn metrics() -> Payload {
    let mut out = write::Metrics::new();
    out.resource(|attrs| attrs.str("service.name", "api"));
    out.scope("lib", "1");
    out.gauge("temp", "Cel", "how warm", |points| {
        points.double(NOW, 20.5, |attrs| attrs.str("room", "a"));
        points.int(NOW, 3, |_| {});
    });
    let histogram = write::Histogram {
        count: 3,
        sum: Some(7.5),
        explicit_bounds: &[0.5],
        bucket_counts: &[1, 2],
        ..<_>::default()
    };
    out.histogram("lat", "ms", "", Temporality::Cumulative, |points| {
        points.histogram(NOW, &histogram, |_| {});
    });
    out.finish()
}

fn traces() -> Payload {
    let mut out = write::Traces::new();
    out.resource(|attrs| attrs.str("service.name", "api"));
    out.scope("lib", "");
    let span = write::Span {
        trace_id: [0xab; 16],
        span_id: [0x01; 8],
        name: "GET /",
        kind: SpanKind::Server,
        start: NOW,
        end: NOW + 1,
        status: StatusCode::Error,
        status_message: "no",
        ..<_>::default()
    };
    out.span(&span, |attrs| attrs.int("code", 500));
    out.event(NOW, "oops", |attrs| attrs.str("why", "full"));
    out.finish()
}

#[test]
fn basic_counts_what_a_batch_holds() {
    assert_eq!(
        normal::summary(&metrics()),
        "Metrics\t{\"resource metrics\": 1, \"metrics\": 2, \"data points\": 3}"
    );
    assert_eq!(normal::summary(&traces()), "Traces\t{\"resource spans\": 1, \"spans\": 1}");
}

#[test]
fn normal_is_one_line_an_item() {
    assert_eq!(
        normal::write(&metrics()),
        "ResourceMetrics #0 service.name=api\nScopeMetrics #0 lib@1\ntemp{room=a} 20.5\ntemp{} 3\n\
         lat{} count=3 sum=7.5 le0.5=1 2\n"
    );
    let ids = "abababababababababababababababab 0101010101010101";
    assert_eq!(
        normal::write(&traces()),
        format!("ResourceTraces #0 service.name=api\nScopeTraces #0 lib\nGET / {ids} code=500\n")
    );
}

#[test]
fn detailed_has_the_lines_others_grep_for() {
    let text = detailed::write(&traces());
    for line in [
        "ResourceSpans #0",
        "     -> service.name: Str(api)",
        "InstrumentationScope lib ",
        "    Trace ID       : abababababababababababababababab",
        "    ID             : 0101010101010101",
        "    Kind           : Server",
        "    Start time     : 2025-04-17 08:40:44.555461596 +0000 UTC",
        "    Status code    : Error",
        "    Status message : no",
        "     -> code: Int(500)",
        "SpanEvent #0",
        "     -> Name: oops",
        "     -> Attributes::",
        "          -> why: Str(full)",
        "    DroppedAttributesCount: 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} in\n{text}");
    }
    let text = detailed::write(&metrics());
    for line in [
        "Metric #0",
        "     -> Name: temp",
        "     -> Unit: Cel",
        "     -> DataType: Gauge",
        "NumberDataPoints #0",
        "     -> room: Str(a)",
        "Value: 20.500000",
        "Value: 3",
        "     -> AggregationTemporality: Cumulative",
        "HistogramDataPoints #0",
        "Count: 3",
        "Sum: 7.500000",
        "ExplicitBounds #0: 0.500000",
        "Buckets #1, Count: 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} in\n{text}");
    }
}

#[test]
fn levels_are_taken_under_both_names() {
    let of = |json: &str, old_name| {
        serde_json::from_str::<Config>(json).expect("valid").verbosity(old_name)
    };
    for (json, expected) in [
        (r#"{"verbosity":"detailed"}"#, Verbosity::Detailed),
        (r#"{"verbosity":"Normal"}"#, Verbosity::Normal),
        (r#"{"loglevel":"debug"}"#, Verbosity::Detailed),
        (r#"{"loglevel":"info"}"#, Verbosity::Normal),
        (r#"{"loglevel":"error"}"#, Verbosity::Basic),
    ] {
        assert_eq!((of(json, false), of(json, true)), (expected, expected), "{json}");
    }
    assert_eq!((of("{}", false), of("{}", true)), (Verbosity::Basic, Verbosity::Normal));
}

#[test]
fn written_as_logging_it_has_the_defaults_of_that_time() {
    let thereafter = |id: &str, json: &str| {
        let context = pipeline::testing::context(id, Signal::Logs, &basics::Clock::system());
        let config = serde_json::from_str::<Config>(json).expect("valid");
        super::Debug::new(config.into(), &context).sampling_thereafter
    };
    assert_eq!(thereafter("debug", "{}"), 1);
    assert_eq!(thereafter("logging", "{}"), 500);
    assert_eq!(thereafter("logging/2", "{}"), 500);
    assert_eq!(thereafter("logging/2", r#"{"sampling_thereafter":7}"#), 7);
}

/// The lines upstream's debug exporter prints for the same point.
#[test]
fn buckets_of_exponential_histograms_are_printed_as_upstream_does() {
    let mut out = write::Metrics::new();
    out.resource(|_| {});
    out.scope("", "");
    let histogram = write::ExponentialHistogram {
        count: 5,
        sum: Some(0.15),
        scale: 1,
        zero_count: 1,
        positive: write::ExponentialBuckets { offset: 1, counts: &[1, 0, 1] },
        negative: write::ExponentialBuckets { offset: -1, counts: &[1, 1] },
        ..<_>::default()
    };
    out.exponential_histogram("e", "1", "", Temporality::Delta, |points| {
        points.exponential_histogram(NOW, &histogram, |_| {});
    });
    let payload = out.finish();
    let text = detailed::write(&payload);
    let buckets: Vec<&str> = text.lines().filter(|line| line.starts_with("Bucket")).collect();
    assert_eq!(
        buckets,
        [
            "Bucket [-1.414214, -1.000000), Count: 1",
            "Bucket [-1.000000, -0.707107), Count: 1",
            "Bucket [0, 0], Count: 1",
            "Bucket (1.414214, 2.000000], Count: 1",
            "Bucket (2.000000, 2.828427], Count: 0",
            "Bucket (2.828427, 4.000000], Count: 1",
        ]
    );
    let text = normal::write(&payload);
    assert!(text.contains("e{} count=5 sum=0.15 le-1=1 le-0.70710678118654"), "{text}");
    assert!(text.contains(" zero=1 le2"), "{text}");
}

#[test]
fn doubles_are_printed_as_go_prints_them() {
    for (value, expected) in [
        (0.0, "0"),
        (20.5, "20.5"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1.5e21, "1.5e+21"),
        (1e20, "100000000000000000000"),
        (-2.5e-100, "-2.5e-100"),
        (f64::INFINITY, "+Inf"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(normal::Float(value).to_string(), expected);
    }
}

#[test]
fn sampling_begins_anew_each_second() {
    let printed = |initial, thereafter| -> Vec<bool> {
        let mut sampler = Sampler::default();
        let seconds = [1, 1, 1, 1, 1, 1, 2];
        seconds.iter().map(|second| sampler.prints(*second, initial, thereafter)).collect()
    };
    assert_eq!(printed(2, 1), [true; 7]);
    assert_eq!(printed(2, 2), [true, true, false, true, false, true, true]);
    assert_eq!(printed(1, 0), [true, false, false, false, false, false, true]);
}
