// SPDX-License-Identifier: Apache-2.0
use basics::labels::{MatchOp, Matcher};
use otlp_wire::write::{Span, Traces};

use super::*;
use crate::head::{Head, HeadOptions};

const S: u64 = 1_000_000_000;
/// On a step.
const T: u64 = 1_790_000_010 * S;

fn span(trace: u8, id: u8, kind: SpanKind, ms: u64) -> Span<'static> {
    let start = T - S;
    Span {
        trace_id: [trace; 16],
        span_id: [id; 8],
        name: "op",
        kind,
        start,
        end: start + ms * 1_000_000,
        ..Span::default()
    }
}

fn spans(service: &str, spans: &[Span<'_>], peer: &str) -> Payload {
    let mut w = Traces::new();
    w.resource(|r| r.str("service.name", service));
    for span in spans {
        w.span(span, |a| {
            if !peer.is_empty() {
                a.str("db.system", "redis");
                a.str("peer.service", peer);
            }
        });
    }
    w.finish()
}

/// Values of a metric by one label, at each time.
fn values(head: &Head, metric: &str, label: &str) -> Vec<(String, Vec<(i64, f64)>)> {
    let matcher = Matcher::new(MatchOp::Equal, "__name__", metric).expect("a matcher");
    let found = head.select(&[matcher], 0, i64::MAX / 4, 0).expect("selected");
    let mut all: Vec<_> = found
        .into_iter()
        .map(|series| {
            let points = series.times.iter().copied().zip(series.values.iter().copied());
            (series.labels.get(label).to_owned(), points.collect())
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn feed(red: &Red, head: &Head, payload: &Payload, at: u64) {
    for (points, time) in red.saw(payload, at) {
        head.ingest(&points, time);
    }
}

fn run(head: &Head) {
    let red = Red::default();
    let failed = Span {
        status: StatusCode::Error,
        parent_span_id: Some([1; 8]),
        ..span(1, 2, SpanKind::Server, 30)
    };
    feed(&red, head, &spans("cart", &[failed], ""), T + S);
    feed(&red, head, &spans("web", &[span(1, 1, SpanKind::Client, 40)], ""), T + 2 * S);
    feed(&red, head, &spans("cart", &[span(1, 3, SpanKind::Client, 3)], "redis-1"), T + 2 * S);
    feed(&red, head, &spans("web", &[span(2, 1, SpanKind::Client, 5000)], ""), T + 16 * S);
    for (points, time) in red.tick(T + 46 * S) {
        head.ingest(&points, time);
    }
}

#[test]
fn operations_and_calls_are_counted_at_the_end_of_each_step() {
    let head = Head::new(HeadOptions::default());
    run(&head);
    let ms = |step: u64| ((T + step * STEP) / 1_000_000) as i64;
    let calls = values(&head, "traces_span_metrics_calls_total", "service_name");
    let web = calls.iter().find(|(service, _)| service == "web").expect("web");
    assert_eq!(web.1, [(ms(1), 1.0), (ms(2), 2.0), (ms(3), 2.0)]);
    let edges = values(&head, "traces_service_graph_request_total", "server");
    let all: Vec<_> = edges.iter().map(|(s, p)| (s.as_str(), p.as_slice())).collect();
    let last = |value: f64| [(ms(1), value), (ms(2), value), (ms(3), value)];
    assert_eq!(all, [("cart", &last(1.0)[..]), ("redis-1", &last(1.0)[..])]);
    let failed = values(&head, "traces_service_graph_request_failed_total", "client");
    assert_eq!((failed.len(), failed[0].0.as_str()), (1, "web"));
    let buckets = values(&head, "traces_span_metrics_duration_milliseconds_bucket", "le");
    let at = |le: &str| buckets.iter().filter(|(l, _)| l == le).map(|(_, p)| p[2].1).sum::<f64>();
    assert_eq!((at("4"), at("50"), at("5000"), at("+Inf")), (1.0, 3.0, 4.0, 4.0));
    let server = values(&head, "traces_service_graph_request_server_seconds_sum", "server");
    assert!((server[0].1[0].1 - 0.03).abs() < 1e-9);
}

#[test]
fn a_replay_adds_nothing() {
    let head = Head::new(HeadOptions::default());
    run(&head);
    let before = values(&head, "traces_span_metrics_calls_total", "span_kind");
    run(&head);
    assert_eq!(values(&head, "traces_span_metrics_calls_total", "span_kind"), before);
}

#[test]
fn names_that_vary_are_counted_together_past_the_bound() {
    let (red, head) = (Red::default(), Head::new(HeadOptions::default()));
    for n in 0..SERIES_MAX + 50 {
        let name = format!("op {n}");
        feed(
            &red,
            &head,
            &spans("s", &[Span { name: &name, ..span(1, 1, SpanKind::Internal, 1) }], ""),
            T,
        );
    }
    for (points, time) in red.tick(T + STEP) {
        head.ingest(&points, time);
    }
    let calls = values(&head, "traces_span_metrics_calls_total", "span_name");
    assert_eq!(calls.len(), SERIES_MAX + 1);
    let other = calls.iter().find(|(name, _)| name == OVERFLOW).expect("the rest");
    assert_eq!(other.1[0].1, 50.0);
}
