// SPDX-License-Identifier: Apache-2.0
//! `include` and `exclude`.

use otlp_wire::{Data, PointView, SpanKind};

use super::*;

const MARK: &str = "actions: [{key: hit, value: true, action: insert}]";

/// Three spans of two services and two libraries.
fn spans() -> Payload {
    let mut w = write::Traces::new();
    let span = |name, kind| write::Span {
        trace_id: [1; 16],
        span_id: [2; 8],
        name,
        kind,
        ..<_>::default()
    };
    w.resource(|r| {
        r.str("service.name", "cart");
        r.int("zone", 1);
    });
    w.scope("lib", "1.2");
    w.span(&span("GET /a", SpanKind::Server), |a| a.int("code", 200));
    w.span(&span("SELECT", SpanKind::Client), |a| a.str("db", "pg"));
    w.resource(|r| r.str("service.name", "shop"));
    w.scope("other", "");
    w.span(&span("GET /b", SpanKind::Server), |a| a.int("code", 500));
    w.finish()
}

fn logs() -> Payload {
    let mut w = write::Logs::new();
    let mut log = |severity_number, severity_text, body: AnyValue<'_>| {
        let log = write::Log { severity_number, severity_text, body, ..<_>::default() };
        w.log(&log, |_| ());
    };
    log(9, "INFO", "started".into());
    log(17, "ERROR", "failed badly".into());
    log(0, "", AnyValue::Int(5));
    w.finish()
}

fn metrics() -> Payload {
    let mut w = write::Metrics::new();
    w.resource(|r| r.str("host", "a"));
    w.gauge("cpu", "1", "", |p| p.int(1, 1, |_| ()));
    w.resource(|r| r.str("host", "b"));
    w.gauge("cpu", "1", "", |p| p.int(1, 1, |_| ()));
    w.gauge("memory", "By", "", |p| p.int(1, 1, |_| ()));
    w.finish()
}

/// For each element in order: was it chosen?
fn hits(payload: &Payload) -> Vec<bool> {
    let mut hits = Vec::new();
    let hit = |attrs: Attrs<'_>| attrs.get("hit").is_some();
    for scope in payload.resources().flat_map(|resource| resource.scopes()) {
        hits.extend(scope.spans().map(|it| hit(it.attrs())));
        hits.extend(scope.logs().map(|it| hit(it.attrs())));
        for metric in scope.metrics() {
            if let Data::Gauge { points } = metric.data() {
                hits.extend(points.map(|it| hit(it.attrs())));
            }
        }
    }
    hits
}

fn check(payload: &Payload, conditions: &str, wanted: &[u8]) {
    let edited = edited::<Config>(&format!("{conditions}\n{MARK}"), build, payload);
    let wanted: Vec<bool> = wanted.iter().map(|it| *it == 1).collect();
    assert_eq!(hits(&edited), wanted, "{conditions}");
}

#[test]
fn spans_are_chosen_by_what_they_are_and_where() {
    let cases: [(&str, &[u8]); 16] = [
        ("include: {match_type: strict, services: [cart]}", &[1, 1, 0]),
        ("exclude: {match_type: strict, services: [cart]}", &[0, 0, 1]),
        ("include: {match_type: strict, span_names: [SELECT, none]}", &[0, 1, 0]),
        ("include: {match_type: strict, span_names: [GET]}", &[0, 0, 0]),
        ("include: {match_type: regexp, span_names: [GET]}", &[1, 0, 1]),
        ("include: {match_type: regexp, span_names: ['b$', ELE]}", &[0, 1, 1]),
        ("include: {match_type: strict, span_kinds: [SPAN_KIND_CLIENT]}", &[0, 1, 0]),
        ("include: {match_type: regexp, span_kinds: [SERVER]}", &[1, 0, 1]),
        ("include: {match_type: strict, attributes: [{key: code}]}", &[1, 0, 1]),
        ("include: {match_type: strict, attributes: [{key: code, value: 500}]}", &[0, 0, 1]),
        ("include: {match_type: strict, attributes: [{key: code, value: '500'}]}", &[0, 0, 0]),
        ("include: {match_type: regexp, attributes: [{key: code, value: '^5'}]}", &[0, 0, 1]),
        ("include: {match_type: strict, attributes: [{key: code}, {key: db}]}", &[0, 0, 0]),
        ("include: {match_type: strict, resources: [{key: zone, value: 1}]}", &[1, 1, 0]),
        ("include: {match_type: strict, libraries: [{name: lib, version: '1.2'}]}", &[1, 1, 0]),
        ("include: {match_type: strict, libraries: [{name: other, version: ''}]}", &[0, 0, 1]),
    ];
    for (conditions, wanted) in cases {
        check(&spans(), conditions, wanted);
    }
}

#[test]
fn exclusion_comes_after_inclusion_and_fields_must_all_match() {
    check(
        &spans(),
        "include: {match_type: regexp, span_names: [GET]}\n\
         exclude: {match_type: strict, services: [shop]}",
        &[1, 0, 0],
    );
    check(
        &spans(),
        "include: {match_type: strict, services: [cart], span_kinds: [SPAN_KIND_SERVER]}",
        &[1, 0, 0],
    );
}

#[test]
fn log_records_are_chosen_by_body_and_severity() {
    let cases: [(&str, &[u8]); 6] = [
        ("include: {match_type: strict, log_bodies: [started]}", &[1, 0, 0]),
        ("include: {match_type: regexp, log_bodies: [bad, '5']}", &[0, 1, 0]),
        ("include: {match_type: strict, log_severity_texts: [ERROR]}", &[0, 1, 0]),
        ("include: {match_type: strict, log_severity_number: {min: 10}}", &[0, 1, 0]),
        (
            "include: {match_type: strict, log_severity_number: {min: 9, match_undefined: true}}",
            &[1, 1, 1],
        ),
        ("exclude: {match_type: strict, log_severity_number: {min: 17}}", &[1, 0, 1]),
    ];
    for (conditions, wanted) in cases {
        check(&logs(), conditions, wanted);
    }
}

#[test]
fn points_are_chosen_by_metric_and_resource() {
    check(&metrics(), "include: {match_type: strict, metric_names: [cpu]}", &[1, 1, 0]);
    check(&metrics(), "include: {match_type: regexp, metric_names: [mem]}", &[0, 0, 1]);
    let both = "include: {match_type: strict, metric_names: [cpu], \
                resources: [{key: host, value: b}]}";
    check(&metrics(), both, &[0, 1, 0]);
}

#[test]
fn conditions_that_a_signal_does_not_know_are_refused_when_the_pipeline_is_built() {
    let cases = [
        (Signal::Logs, "services: [a]", "services"),
        (Signal::Metrics, "span_names: [a]", "span_names"),
        (Signal::Traces, "log_bodies: [a]", "log_bodies"),
        (Signal::Metrics, "attributes: [{key: a}]", "attributes"),
    ];
    for (signal, condition, field) in cases {
        let yaml = format!("include: {{match_type: strict, {condition}}}\n{MARK}");
        let config = Arc::new(from_yaml::<Config>(&yaml).unwrap());
        let error = build(config, context("p", signal, &Clock::manual(0))).err().unwrap();
        assert_eq!(error.message(), format!("include: {field} has no meaning for {signal}"));
    }
}
