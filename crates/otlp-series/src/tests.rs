// SPDX-License-Identifier: Apache-2.0
//! Golden cases were measured with the Go collector and prometheus/otlptranslator.

use std::collections::BTreeMap;

use otlp_wire::write::{ExponentialBuckets, ExponentialHistogram, Histogram, Metrics, Summary};
use otlp_wire::{NHCB, Number, Temporality};

use crate::*;

/// Writes everything down as text.
#[derive(Default)]
struct Notes {
    lines: Vec<String>,
    families: BTreeMap<String, String>,
    resolved: usize,
}

impl Sink for Notes {
    type Family = ();
    type Series = String;

    fn series(&mut self, _: &(), labels: &[(&str, &str)]) -> Result<String, Refusal> {
        self.resolved += 1;
        assert!(labels.is_sorted(), "{labels:?}");
        let name = labels.iter().find(|(n, _)| *n == "__name__").unwrap().1;
        let rest = labels.iter().filter(|(n, _)| *n != "__name__");
        let rest: Vec<String> = rest.map(|(n, v)| format!("{n}={v:?}")).collect();
        Ok(format!("{name}{{{}}}", rest.join(",")))
    }

    fn family(&mut self, family: Family<'_>) {
        let text = format!("{} {:?} {:?}", family.kind.name(), family.unit, family.help);
        self.families.insert(family.name.to_owned(), text);
    }

    fn sample(&mut self, series: &String, stamp: Stamp, value: f64) {
        let delta = if stamp.delta { " delta" } else { "" };
        let value =
            if value.to_bits() == STALE.to_bits() { "stale".into() } else { format!("{value}") };
        self.lines.push(format!("{series} {value} @{}{delta}", stamp.time_ms));
    }

    fn histogram(&mut self, series: &String, stamp: Stamp, histogram: NativeHistogram) {
        self.lines.push(format!("{series} {histogram:?} @{}", stamp.time_ms));
    }

    fn exemplar(&mut self, exemplar: ExemplarView<'_>) {
        let value = exemplar.value().unwrap().as_f64();
        self.lines.push(format!("# {value} @{}", exemplar.time() / 1_000_000));
    }
}

fn translate(options: Options, write: impl FnOnce(&mut Metrics)) -> (Notes, Report) {
    let mut metrics = Metrics::new();
    write(&mut metrics);
    let mut notes = Notes::default();
    let report = Translator::new(options).translate(&metrics.finish(), &mut notes);
    (notes, report)
}

#[track_caller]
fn check(options: Options, write: impl FnOnce(&mut Metrics), expected: &[&str]) {
    let (notes, report) = translate(options, write);
    assert_eq!(notes.lines, expected);
    assert_eq!(report.refused.total(), 0);
}

const MS: u64 = 1_000_000;

#[test]
fn metric_names_are_those_of_otlptranslator() {
    let (c, g, h, n) = ("counter", "gauge", "histogram", "non-monotonic");
    let cases = [
        (
            "system.filesystem.usage",
            "By",
            n,
            "system_filesystem_usage_bytes",
            "system_filesystem_usage",
        ),
        (
            "system.network.dropped",
            "{packets}",
            c,
            "system_network_dropped_total",
            "system_network_dropped",
        ),
        (
            "system.network.dropped",
            "packets",
            c,
            "system_network_dropped_packets_total",
            "system_network_dropped",
        ),
        (
            "system.memory.utilization",
            "1",
            g,
            "system_memory_utilization_ratio",
            "system_memory_utilization",
        ),
        ("hit.ratio", "1", g, "hit_ratio", "hit_ratio"),
        (
            "http.server.duration",
            "ms",
            h,
            "http_server_duration_milliseconds",
            "http_server_duration",
        ),
        ("total.requests", "1", c, "requests_total", "total_requests"),
        ("scotty.log_streams.total", "", c, "scotty_log_streams_total", "scotty_log_streams_total"),
        ("speed", "m/s", g, "speed_meters_per_second", "speed"),
        ("rate", "1/s", g, "rate_per_second", "rate"),
        ("rate", "{req}/s", g, "rate_per_second", "rate"),
        ("x.bytes", "By", g, "x_bytes", "x_bytes"),
        ("9lives", "", g, "_9lives", "_9lives"),
        ("a__b..c", "", g, "a_b_c", "a__b_c"),
        (
            "(lambda).function.executions(#)",
            "",
            c,
            "lambda_function_executions_total",
            "lambda_function_executions",
        ),
        ("foo", "weird unit/x y", g, "foo_weird_unit_per_x_y", "foo"),
        ("disk_util", "%", g, "disk_util_percent", "disk_util"),
        ("ns:rule:x", "", g, "ns:rule:x", "ns:rule:x"),
        ("h\u{e9}llo.w\u{f6}rld", "s", g, "h_llo_w_rld_seconds", "h_llo_w_rld"),
        ("process.cpu.time", "s", c, "process_cpu_time_seconds_total", "process_cpu_time"),
    ];
    for (name, unit, kind, with, without) in cases {
        let context = NameContext {
            unit,
            counter: kind == c,
            gauge: kind == g,
            suffixes: true,
            ..NameContext::default()
        };
        assert_eq!(metric_name(name, context).as_deref(), Some(with), "{name} {unit}");
        let context = NameContext { suffixes: false, ..context };
        assert_eq!(metric_name(name, context).as_deref(), Some(without), "{name} {unit}");
    }
    let ns = NameContext { namespace: "ns", suffixes: true, ..NameContext::default() };
    assert_eq!(metric_name("9lives", ns).as_deref(), Some("ns_9lives"));
    for nothing in ["", "___", "..", "\u{e9}"] {
        for suffixes in [true, false] {
            let context = NameContext { suffixes, ..NameContext::default() };
            let kept = (nothing == "___" && !suffixes).then(|| nothing.to_owned());
            assert_eq!(metric_name(nothing, context), kept, "{nothing:?}");
        }
    }
}

#[test]
fn label_names_are_those_of_otlptranslator() {
    let cases = [
        ("host.name", Some("host_name"), Some("host.name")),
        ("name (of the host)", Some("name_of_the_host_"), Some("name (of the host)")),
        ("2 cents", Some("key_2_cents"), Some("2 cents")),
        ("_name", Some("key_name"), Some("_name")),
        ("__name", Some("key_name"), Some("__name")),
        ("__x__", Some("__x__"), Some("__x__")),
        ("___x__", Some("___x__"), Some("___x__")),
        ("a..b", Some("a_b"), Some("a..b")),
        ("\u{e9}.x", Some("key_x"), Some("\u{e9}.x")),
        ("___", Some("key_"), None),
        ("____", None, None),
        ("", None, None),
    ];
    for (key, escaped, full) in cases {
        assert_eq!(label_name(key, false).as_deref(), escaped, "{key:?}");
        assert_eq!(label_name(key, true).as_deref(), full, "{key:?} in UTF-8");
    }
}

#[test]
fn bounds_are_written_as_shortest_decimals() {
    for (value, text) in [
        (0.005, "0.005"),
        (10.0, "10"),
        (1e21, "1000000000000000000000"),
        (f64::INFINITY, "+Inf"),
        (2.5e-7, "0.00000025"),
        (-1.5, "-1.5"),
    ] {
        assert_eq!(number_label(value), text);
    }
}

#[test]
fn a_histogram_through_remote_write_is_that_of_the_go_collector() {
    let options = Options {
        external_labels: vec![("cluster".into(), "c1".into())],
        ..Options::for_remote_write()
    };
    let write = |w: &mut Metrics| {
        w.resource(|r| {
            r.str("service.name", "a");
            r.str("k8s.pod_name", "p");
        });
        w.scope("lib", "1");
        w.histogram("scotty.log_stream.duration", "s", "", Temporality::Cumulative, |p| {
            let value = Histogram {
                count: 3,
                sum: Some(7.5),
                bucket_counts: &[1, 2],
                explicit_bounds: &[0.5],
                ..Histogram::default()
            };
            p.histogram(5000 * MS, &value, |a| {
                a.int("a.b", 1);
                a.str("a_b", "2");
                a.str("empty", "");
            });
            p.exemplar(4000 * MS, Number::Double(0.4), None, |_| ());
        });
        w.sum("dropped", "", "", Temporality::Delta, true, |p| p.int(5000 * MS, 1, |_| ()));
    };
    let (notes, report) = translate(options, write);
    let rest = "cluster=\"c1\",job=\"a\"";
    let scope = "otel_scope_name=\"lib\",otel_scope_version=\"1\"";
    let name = "scotty_log_stream_duration_seconds";
    let bucket = |le: &str| format!("{name}_bucket{{a_b=\"1;2\",{rest},le=\"{le}\",{scope}}}");
    assert_eq!(
        notes.lines,
        [
            "# 0.4 @4000".to_owned(),
            format!("{} 1 @5000", bucket("0.5")),
            format!("{} 3 @5000", bucket("+Inf")),
            format!("{name}_count{{a_b=\"1;2\",{rest},{scope}}} 3 @5000"),
            format!("{name}_sum{{a_b=\"1;2\",{rest},{scope}}} 7.5 @5000"),
            "target_info{cluster=\"c1\",job=\"a\",k8s_pod_name=\"p\"} 1 @5000".to_owned(),
        ]
    );
    assert_eq!(report.refused.iter().collect::<Vec<_>>(), [(Refusal::Temporality, 1)]);
}

fn shop(w: &mut Metrics) {
    w.resource(|r| {
        r.str("service.namespace", "shop");
        r.str("service.name", "api-service");
        r.str("service.instance.id", "i1");
        r.str("host.name", "h");
        r.str("deployment.environment.name", "prod");
        r.int("process.pid", 7);
    });
    w.gauge("mem.util", "1", "how full", |p| {
        p.double(1500 * MS, 0.25, |a| a.str("host.name", "mine"));
    });
}

#[test]
fn the_store_promotes_resource_attributes_and_fills_environment() {
    check(
        Options::for_store(),
        shop,
        &[
            "mem_util_ratio{deployment_environment_name=\"prod\",environment=\"prod\",host_name=\"mine\",\
         instance=\"i1\",job=\"shop/api-service\",service_instance_id=\"i1\",\
         service_name=\"api-service\",service_namespace=\"shop\"} 0.25 @1500",
            "target_info{deployment_environment_name=\"prod\",host_name=\"h\",instance=\"i1\",\
         job=\"shop/api-service\",process_pid=\"7\"} 1 @1500",
        ],
    );
    let (notes, _) = translate(Options::for_store(), shop);
    assert_eq!(notes.families["mem_util_ratio"], "gauge \"\" \"how full\"");
    assert_eq!(notes.families["target_info"], "gauge \"\" \"Target metadata\"");
}

#[test]
fn all_resource_attributes_as_labels_win_over_the_points_own() {
    let options = Options {
        resource_labels: ResourceLabels::All { without_service: true },
        target_info: false,
        ..Options::for_remote_write()
    };
    check(
        options,
        shop,
        &["mem_util_ratio{deployment_environment_name=\"prod\",host_name=\"h\",instance=\"i1\",\
         job=\"shop/api-service\",process_pid=\"7\"} 0.25 @1500"],
    );
}

#[test]
fn target_info_needs_an_identity_and_something_to_tell() {
    for attributes in [&["service.name"][..], &["host.name"], &[]] {
        check(
            Options { resource_labels: ResourceLabels::None, ..Options::for_store() },
            |w| {
                w.resource(|r| attributes.iter().for_each(|key| r.str(key, "x")));
                w.gauge("m", "", "", |p| p.int(MS, 1, |_| ()));
            },
            &[if attributes == ["service.name"] { "m{job=\"x\"} 1 @1" } else { "m{} 1 @1" }],
        );
    }
}

#[test]
fn summaries_keep_their_quantiles() {
    let quantiles = [(0.5, 2.0), (0.99, f64::NAN)];
    check(
        Options::for_store(),
        |w| {
            w.summary("s", "", "", |p| {
                p.summary(MS, &Summary { count: 4, sum: 9.0, quantiles: &quantiles }, |_| ());
            })
        },
        &[
            "s{quantile=\"0.5\"} 2 @1",
            "s{quantile=\"0.99\"} NaN @1",
            "s_count{} 4 @1",
            "s_sum{} 9 @1",
        ],
    );
}

#[test]
fn points_without_a_recorded_value_end_their_series() {
    let mut notes = Notes::default();
    let mut translator = Translator::new(Options::for_store());
    let histogram = Histogram {
        count: 1,
        bucket_counts: &[1, 0],
        explicit_bounds: &[1.0],
        ..Histogram::default()
    };
    let mut w = Metrics::new();
    w.gauge("g", "", "", |p| p.none(MS, |_| ()));
    w.histogram("h", "", "", Temporality::Cumulative, |p| p.histogram(MS, &histogram, |_| ()));
    translator.translate(&w.finish(), &mut notes);
    // The writer cannot make a stale histogram point: change the flags of a decoded one.
    w.histogram("h", "", "", Temporality::Cumulative, |p| {
        p.histogram(2 * MS, &Histogram { count: 0, ..Histogram::default() }, |_| ());
    });
    let mut bytes = w.finish().bytes().to_vec();
    set_flags(&mut bytes);
    let stale = Payload::admit(otlp_wire::Signal::Metrics, bytes.into()).unwrap();
    translator.translate(&stale, &mut notes);
    assert_eq!(
        notes.lines,
        [
            "g{} stale @1",
            "h_bucket{le=\"1\"} 1 @1",
            "h_bucket{le=\"+Inf\"} 1 @1",
            "h_count{} 1 @1",
            "h_bucket{le=\"1\"} stale @2",
            "h_bucket{le=\"+Inf\"} stale @2",
            "h_count{} stale @2",
        ]
    );
}

/// Appends `flags = 1` to the only point of a request and corrects the lengths around it.
fn set_flags(bytes: &mut Vec<u8>) {
    // Nested: resource metrics, scope metrics, metric, histogram, point; all shorter than 126.
    let time = bytes.windows(8).position(|w| w == (2 * MS).to_le_bytes()).unwrap();
    let point_end = time + 8;
    let mut at = 0;
    let mut lengths = Vec::new();
    while at < time - 1 {
        let (length, body) = (usize::from(bytes[at + 1]), at + 2);
        if body + length >= point_end && bytes[at] & 7 == 2 {
            lengths.push(at + 1);
            at = body;
        } else {
            at = if bytes[at] & 7 == 2 { body + length } else { body };
        }
    }
    for length in lengths {
        bytes[length] += 2;
    }
    bytes.splice(point_end..point_end, [10 << 3, 1]);
}

#[test]
fn histograms_with_bounds_become_one_native_histogram_when_asked() {
    let write = |custom_buckets, is_marked| {
        let options = Options { custom_buckets, ..Options::for_store() };
        translate(options, |w| took(w, is_marked))
    };
    for (custom_buckets, is_marked) in [
        (CustomBuckets::Always, false),
        (CustomBuckets::Always, true),
        (CustomBuckets::Marked, true),
    ] {
        let (notes, report) = write(custom_buckets, is_marked);
        assert_eq!((notes.lines.len(), report.refused.total()), (1, 0), "{:?}", notes.lines);
        for part in ["took_seconds{", "schema: -53", "(0, 1.0), (2, 2.0)]", "bounds: [0.5, 1.0]"] {
            assert!(notes.lines[0].contains(part), "{part}: {}", notes.lines[0]);
        }
    }
    for (custom_buckets, is_marked) in [
        (CustomBuckets::Marked, false),
        (CustomBuckets::Never, false),
        (CustomBuckets::Never, true),
    ] {
        // Three buckets, the count and the sum.
        assert_eq!(write(custom_buckets, is_marked).0.lines.len(), 5);
    }
    // A mark that comes or goes is no other series of what was resolved before.
    let (notes, report) = translate(Options::for_store(), |w| {
        [true, false, true].into_iter().for_each(|is_marked| took(w, is_marked));
    });
    assert_eq!((notes.lines.len(), report.refused.total()), (7, 0), "{:?}", notes.lines);
}

fn took(w: &mut Metrics, is_marked: bool) {
    w.metadata(|attrs| attrs.bool(NHCB, is_marked));
    {
        w.histogram("took", "s", "", Temporality::Cumulative, |p| {
            let value = Histogram {
                count: 3,
                sum: Some(7.5),
                bucket_counts: &[1, 0, 2],
                explicit_bounds: &[0.5, 1.0],
                ..Histogram::default()
            };
            p.histogram(5000 * MS, &value, |_| ());
        });
    }
}

fn exponential(scale: i32, zero_threshold: f64, positive: (i32, &[u64])) -> NativeHistogram {
    let mut w = Metrics::new();
    let buckets = ExponentialBuckets { offset: positive.0, counts: positive.1 };
    let value = ExponentialHistogram {
        count: positive.1.iter().sum(),
        sum: Some(1.0),
        scale,
        zero_threshold,
        positive: buckets,
        ..ExponentialHistogram::default()
    };
    w.exponential_histogram("e", "", "", Temporality::Cumulative, |p| {
        p.exponential_histogram(MS, &value, |_| ());
    });
    let payload = w.finish();
    let metric =
        payload.metrics().next().unwrap().scopes().next().unwrap().metrics().next().unwrap();
    let otlp_wire::Data::ExponentialHistogram { mut points, .. } = metric.data() else { panic!() };
    NativeHistogram::from_point(points.next().unwrap()).unwrap()
}

#[test]
fn exponential_histograms_become_native_ones() {
    let plain = exponential(2, 0.0, (-1, &[1, 0, 3]));
    assert_eq!((plain.schema, plain.zero_threshold), (2, 1e-128));
    assert_eq!(plain.positive, [(0, 1.0), (2, 3.0)]);
    // Scale 9 to schema 8: OTLP buckets 3, 4, 5 become 1, 2, 2, one more in Prometheus.
    let fine = exponential(9, 0.5, (3, &[1, 2, 4]));
    assert_eq!((fine.schema, fine.zero_threshold), (8, 0.5));
    assert_eq!(fine.positive, [(2, 1.0), (3, 6.0)]);
    let sum = plain.plus(&exponential(1, 0.0, (0, &[5])));
    assert_eq!((sum.schema, sum.count), (1, 9.0));
    assert_eq!(sum.positive, [(0, 1.0), (1, 8.0)]);
}

#[test]
fn what_cannot_be_translated_is_counted_and_costs_nothing_else() {
    let write = |w: &mut Metrics| {
        w.gauge("...", "", "", |p| {
            p.int(MS, 1, |_| ());
            p.int(MS, 1, |_| ());
        });
        w.gauge("g", "", "", |p| p.int(MS, 1, |a| a.str("", "x")));
        w.sum("s", "", "", Temporality::Unspecified, true, |p| p.int(MS, 1, |_| ()));
        w.histogram("h", "", "", Temporality::Cumulative, |p| {
            let bad =
                Histogram { bucket_counts: &[1], explicit_bounds: &[1.0], ..Histogram::default() };
            p.histogram(MS, &bad, |_| ());
        });
        w.exponential_histogram("e", "", "", Temporality::Cumulative, |p| {
            let coarse = ExponentialHistogram { scale: -5, ..ExponentialHistogram::default() };
            p.exponential_histogram(MS, &coarse, |_| ());
        });
        w.gauge("ok", "", "", |p| p.int(MS, 1, |_| ()));
    };
    let (notes, report) = translate(Options::for_store(), write);
    assert_eq!(notes.lines, ["ok{} 1 @1"]);
    assert_eq!(report.points, 1);
    let refused: Vec<_> = report.refused.iter().map(|(r, n)| (r.name(), n)).collect();
    let one_each =
        [("metric_name", 2), ("label_name", 1), ("temporality", 1), ("buckets", 1), ("scale", 1)];
    assert_eq!(refused, one_each);
}

#[test]
fn a_series_is_resolved_once_and_again_when_its_buckets_change() {
    let mut notes = Notes::default();
    let mut translator = Translator::new(Options::for_store());
    let mut send = |bounds: &[f64], notes: &mut Notes| {
        let mut w = Metrics::new();
        let counts = vec![1; bounds.len() + 1];
        w.histogram("h", "", "", Temporality::Cumulative, |p| {
            let value = Histogram {
                bucket_counts: &counts,
                explicit_bounds: bounds,
                ..Histogram::default()
            };
            p.histogram(MS, &value, |_| ());
        });
        translator.translate(&w.finish(), notes).misses
    };
    assert_eq!(send(&[1.0], &mut notes), 1);
    assert_eq!(send(&[1.0], &mut notes), 0);
    assert_eq!(notes.resolved, 3);
    assert_eq!(send(&[2.0], &mut notes), 1);
    assert_eq!(notes.resolved, 6);
    assert_eq!(send(&[2.0], &mut notes), 0);
}

#[test]
fn the_cache_starts_anew_at_its_bound() {
    let options = Options { cache_bytes_max: 2000, ..Options::for_store() };
    let mut translator = Translator::new(options);
    let mut notes = Notes::default();
    for i in 0..100 {
        let mut w = Metrics::new();
        w.gauge("g", "", "", |p| p.int(MS, 1, |a| a.int("i", i)));
        translator.translate(&w.finish(), &mut notes);
        assert!(translator.cache_bytes() < 3000);
    }
    assert_eq!(notes.lines.len(), 100);
}
