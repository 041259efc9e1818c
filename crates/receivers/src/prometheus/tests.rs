// SPDX-License-Identifier: Apache-2.0

use otlp_wire::{Data, Payload, PointView};
use proptest::prelude::*;

use super::families::{self, Value};
use super::target::{Facts, Identity, Target};
use super::text::{Kind, Line, lines};

const SECOND: u64 = 1_000_000_000;

#[test]
fn lines_read_as_written() {
    let text = "# HELP a_total What \\\\ it \\n means.\n# TYPE a_total counter\n\n# a comment\n\
        a_total{x=\"1\", y=\"q\\\"u\\\\o\\nte\",} 1.5e3 1700000000000\n  b:c 7\r\nd{} +Inf\ne NaN # {t=\"x\"} 1\n";
    let lines: Vec<Line<'_>> = lines(text).collect::<Result<_, _>>().expect("valid");
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[0], Line::Help("a_total", "What \\ it \n means.".into()));
    assert_eq!(lines[1], Line::Type("a_total", Kind::Counter));
    let Line::Sample(sample) = &lines[2] else { panic!("a sample") };
    assert_eq!((sample.name, sample.value, sample.timestamp), ("a_total", 1500.0, Some(1.7e12)));
    assert_eq!(sample.labels, [("x", "1".into()), ("y", "q\"u\\o\nte".into())]);
    let Line::Sample(sample) = &lines[5] else { panic!("a sample") };
    assert!(sample.value.is_nan());
}

#[test]
fn wrong_lines_are_told_with_their_number() {
    for (line, what) in [
        ("a", "a value was expected"),
        ("a x", "the value is not a number"),
        ("a 1 x", "the timestamp is not a number"),
        ("a 1 2 3", "something follows the timestamp"),
        ("1a 1", "a metric name was expected"),
        ("a{b} 1", "an equals sign was expected"),
        ("a{b=1} 1", "a quoted label value was expected"),
        ("a{b=\"1} 1", "a label value is not closed"),
        ("a{b=\"1\" c=\"2\"} 1", "a comma or a closing brace was expected"),
        ("a{=\"1\"} 1", "a label name was expected"),
        ("<html>", "a metric name was expected"),
    ] {
        let text = format!("ok 1\n{line}\n");
        let wrong = families::read(&text, false).expect_err(line);
        assert_eq!((wrong.line, wrong.what), (2, what), "{line}");
    }
}

proptest! {
    #[test]
    fn any_text_reads_without_a_panic(text in "[a-z#{}=\",\\\\ \\n0-9.+HELPTY_]{0,200}") {
        let _ = families::read(&text, false);
    }
}

#[test]
fn each_type_becomes_its_point() {
    let text = "# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} 3\n\
        # TYPE temp gauge\ntemp -1.5\nfree 2\n\
        # TYPE lat histogram\nlat_bucket{le=\"0.5\"} 1\nlat_bucket{le=\"+Inf\"} 3\nlat_bucket{le=\"1\"} 2\nlat_sum 4.5\nlat_count 3\n\
        # TYPE q summary\nq{quantile=\"0.5\"} 7\nq_sum 9\nq_count 2\n\
        # TYPE o counter\no_total 5\no_created 1\n\
        target_info{version=\"1\"} 1\n";
    let page = families::read(text, false).expect("valid");
    assert_eq!((page.samples, page.target.len()), (14, 1));
    let found: Vec<_> = page.metrics.iter().map(|m| (m.name.as_str(), m.kind)).collect();
    assert_eq!(
        found,
        [
            ("http_requests_total", Kind::Counter),
            ("temp", Kind::Gauge),
            ("free", Kind::Unknown),
            ("lat", Kind::Histogram),
            ("q", Kind::Summary),
            ("o_total", Kind::Counter),
        ]
    );
    let histogram = Value::Histogram {
        bounds: vec![0.5, 1.0],
        counts: vec![1, 1, 1],
        sum: Some(4.5),
        count: 3,
    };
    assert_eq!(page.metrics[3].points[0].value, histogram);
    let summary = Value::Summary { quantiles: vec![(0.5, 7.0)], sum: 9.0, count: 2 };
    assert_eq!(page.metrics[4].points[0].value, summary);
}

fn target() -> Target {
    Target::new(Identity {
        job: "shop".into(),
        instance: "shop.test:9090".into(),
        scheme: "http".into(),
        labels: vec![("env".into(), "prod".into())],
        honor_labels: false,
        honor_timestamps: true,
    })
}

fn observe(target: &mut Target, text: Option<&str>, seconds: u64) -> Vec<String> {
    let page = text.map(|text| families::read(text, false).expect("valid"));
    let payload = target.observe(page, Facts { time: seconds * SECOND, seconds: 0.25 });
    shown(&payload)
}

/// `name{labels} value @time/start` of every number point, `stale` where it has no value.
fn shown(payload: &Payload) -> Vec<String> {
    let mut out = Vec::new();
    for metric in payload.metrics().flat_map(|r| r.scopes()).flat_map(|s| s.metrics()) {
        match metric.data() {
            Data::Gauge { points } | Data::Sum { points, .. } => {
                for point in points {
                    let value = point.value().map(|v| v.as_f64().to_string());
                    out.push(show(metric.name(), &point, value.unwrap_or_default()));
                }
            }
            Data::Histogram { points, .. } => {
                for point in points {
                    out.push(show(metric.name(), &point, format!("count {}", point.count())));
                }
            }
            other => panic!("{other:?}"),
        }
    }
    out
}

fn show<'a>(name: &str, point: &impl PointView<'a>, value: String) -> String {
    let labels: Vec<String> =
        point.attrs().iter().map(|(k, v)| format!("{k}={}", v.text())).collect();
    let value = if point.no_recorded_value() { "stale".to_owned() } else { value };
    let (time, start) = (point.time() / SECOND, point.start() / SECOND);
    format!("{name}{{{}}} {value} @{time}/{start}", labels.join(","))
}

#[test]
fn a_target_tells_its_points_and_about_itself() {
    let mut target = target();
    let page = "# TYPE a_total counter\na_total{env=\"dev\",x=\"1\"} 5\nb{job=\"other\"} 1 90000\n";
    assert_eq!(
        observe(&mut target, Some(page), 100),
        [
            "a_total{env=prod,exported_env=dev,x=1} 5 @100/100",
            "b{env=prod,exported_job=other} 1 @90/0",
            "up{env=prod} 1 @100/0",
            "scrape_duration_seconds{env=prod} 0.25 @100/0",
            "scrape_samples_scraped{env=prod} 2 @100/0",
            "scrape_samples_post_metric_relabeling{env=prod} 2 @100/0",
            "scrape_series_added{env=prod} 2 @100/0",
        ]
    );
    let page = families::read("a 1\ntarget_info{build=\"7\"} 1", false).expect("valid");
    let payload = target.observe(Some(page), Facts { time: SECOND, seconds: 0.0 });
    let resource = payload.metrics().next().expect("one");
    let attrs: Vec<_> = resource.attrs().iter().map(|(k, v)| format!("{k}={}", v.text())).collect();
    assert_eq!(
        attrs,
        [
            "service.name=shop",
            "service.instance.id=shop.test:9090",
            "server.address=shop.test",
            "server.port=9090",
            "url.scheme=http",
            "build=7",
        ]
    );
}

#[test]
fn counters_that_fall_begin_anew() {
    let mut target = target();
    let page = |value: u32| format!("# TYPE a_total counter\na_total {value}\n");
    for (seconds, value, start) in [(10, 5, 10), (20, 7, 10), (30, 1, 30), (40, 2, 30)] {
        let shown = observe(&mut target, Some(&page(value)), seconds);
        assert_eq!(shown[0], format!("a_total{{env=prod}} {value} @{seconds}/{start}"));
    }
}

#[test]
fn what_vanishes_is_marked_stale_once() {
    let mut target = target();
    let both = "a 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_count 1\n";
    observe(&mut target, Some(both), 10);
    let shown = observe(&mut target, Some("a 1\n"), 20);
    assert_eq!(shown[..2], ["a{env=prod} 1 @20/0", "h{env=prod} stale @20/0"]);
    assert_eq!(observe(&mut target, Some("a 1\n"), 30).len(), 6);
    let failed = observe(&mut target, None, 40);
    assert_eq!(failed[..2], ["a{env=prod} stale @40/0", "up{env=prod} 0 @40/0"]);
    assert_eq!(observe(&mut target, None, 50).len(), 5);
}
