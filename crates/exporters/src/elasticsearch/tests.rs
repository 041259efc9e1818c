// SPDX-License-Identifier: Apache-2.0

use basics::Clock;
use otlp_wire::{AnyValue, Payload, Signal, SpanKind, StatusCode, Temporality, write};
use serde_json::{Value, json};

use super::encode::{Encoder, Report};
use super::route::Router;
use super::{Config, Mode};

/// 2025-04-17T08:40:44.555461596Z
const NOW: u64 = 1_744_879_244_555_461_596;

/// The lines of the bulk body for `payload`, and what was left out.
fn encoded(mode: Mode, payload: &Payload, index: &str) -> (Vec<Value>, Report) {
    let encoder = Encoder {
        signal: payload.signal(),
        mode,
        allowed: Mode::ALL.to_vec(),
        router: Router { fixed: index.to_owned(), logstash: None },
        event_router: Router { fixed: String::new(), logstash: None },
        document_id: true,
        ingest_pipeline: true,
        plain: false.into(),
        clock: Clock::manual(NOW),
    };
    let mut report = Report::default();
    let bulk = encoder.encode(payload, None, &mut report);
    let text = String::from_utf8(bulk.body).expect("UTF-8");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    (lines, report)
}

fn lines(mode: Mode, payload: &Payload) -> Vec<Value> {
    encoded(mode, payload, "").0
}

/// The one document of `payload`.
fn document(mode: Mode, payload: &Payload) -> Value {
    let [_, document] = lines(mode, payload).try_into().expect("one document");
    document
}

fn a_span() -> write::Span<'static> {
    write::Span {
        trace_id: [0xab; 16],
        span_id: [1; 8],
        parent_span_id: Some([2; 8]),
        name: "GET /",
        kind: SpanKind::Server,
        start: NOW,
        end: NOW + 1_500_000,
        status: StatusCode::Error,
        status_message: "no \"luck\"\n",
        trace_state: "a=b",
        ..<_>::default()
    }
}

fn traces(more: impl FnOnce(&mut write::Traces)) -> Payload {
    let mut out = write::Traces::new();
    out.resource(|attrs| {
        attrs.str("service.name", "shop");
        attrs.str("host.name", "h");
    });
    out.scope("lib", "1");
    out.span(&a_span(), |attrs| {
        attrs.str("http.route", "/cart");
        attrs.int("n", -3);
        attrs.double("d", 2.0);
        attrs.bool("t", true);
        attrs.strs("l", &["a", "b"]);
        attrs.value("b", AnyValue::Bytes(&[0xca, 0xfe]));
    });
    more(&mut out);
    out.finish()
}

#[test]
fn a_span_of_mode_otel() {
    let found = lines(Mode::Otel, &traces(|out| out.link([9; 16], [8; 8], |a| a.str("k", "v"))));
    assert_eq!(
        found,
        [
            json!({"create": {"_index": "traces-generic.otel-default", "require_data_stream": true}}),
            json!({
                "@timestamp": "1744879244555.461596",
                "data_stream": {"type": "traces", "dataset": "generic.otel", "namespace": "default"},
                "trace_id": "abababababababababababababababab",
                "span_id": "0101010101010101",
                "trace_state": "a=b",
                "parent_span_id": "0202020202020202",
                "name": "GET /",
                "kind": "Server",
                "duration": 1_500_000,
                "attributes": {"http.route": "/cart", "n": -3, "d": 2.0, "t": true, "l": ["a", "b"], "b": "cafe"},
                "links": [{
                    "trace_id": "09090909090909090909090909090909", "span_id": "0808080808080808",
                    "attributes": {"k": "v"},
                }],
                "status": {"message": "no \"luck\"\n", "code": "Error"},
                "resource": {"attributes": {"service.name": "shop", "host.name": "h"}},
                "scope": {"name": "lib", "version": "1"},
            }),
        ]
    );
}

#[test]
fn an_event_of_mode_otel_is_a_log_of_its_own() {
    let payload = traces(|out| {
        out.event(NOW + 1, "oops", |attrs| {
            attrs.str("event.name", "other");
            attrs.str("why", "full");
        });
    });
    let found = lines(Mode::Otel, &payload);
    assert_eq!(found.len(), 4);
    assert_eq!(
        found[2],
        json!({"create": {"_index": "logs-generic.otel-default", "require_data_stream": true}})
    );
    assert_eq!(found[3]["attributes"], json!({"why": "full", "event.name": "oops"}));
    assert_eq!(found[3]["event_name"], "oops");
    assert_eq!(found[3]["@timestamp"], "1744879244555.461597");
    assert_eq!(found[3]["data_stream"]["type"], "logs");
    assert_eq!(found[3]["span_id"], "0101010101010101");
}

fn a_log(body: AnyValue<'_>, more: impl FnOnce(&mut write::AttrWriter<'_>)) -> Payload {
    let mut out = write::Logs::new();
    out.resource(|attrs| attrs.str("service.name", "shop"));
    out.scope("lib", "");
    let log = write::Log {
        time: NOW,
        observed_time: NOW + 1,
        severity_number: 9,
        severity_text: "INFO",
        body,
        trace_id: Some([0xab; 16]),
        ..<_>::default()
    };
    out.log(&log, more);
    out.finish()
}

/// A log record in a scope with an attribute `scope`, its body as OTLP/JSON.
fn from_json(scope: (&str, &str), body: Value) -> Payload {
    let attribute = json!({"key": scope.0, "value": {"stringValue": scope.1}});
    let scopes = json!([{"scope": {"attributes": [attribute]}, "logRecords": [{"body": body}]}]);
    let text = json!({"resourceLogs": [{"scopeLogs": scopes}]}).to_string();
    Payload::from_json(Signal::Logs, text.as_bytes()).expect("valid")
}

#[test]
fn a_log_of_mode_otel() {
    let found = document(Mode::Otel, &a_log("line".into(), |a| a.str("event.name", "e")));
    assert_eq!(
        found,
        json!({
            "@timestamp": "1744879244555.461596",
            "observed_timestamp": "1744879244555.461597",
            "data_stream": {"type": "logs", "dataset": "generic.otel", "namespace": "default"},
            "severity_text": "INFO",
            "severity_number": 9,
            "trace_id": "abababababababababababababababab",
            "attributes": {"event.name": "e"},
            "event_name": "e",
            "resource": {"attributes": {"service.name": "shop"}},
            "scope": {"name": "lib"},
            "body": {"text": "line"},
        })
    );
    let no_time = {
        let mut out = write::Logs::new();
        out.log(&write::Log { observed_time: 5_000_001, ..<_>::default() }, |_| {});
        out.finish()
    };
    assert_eq!(document(Mode::Otel, &no_time)["@timestamp"], "5.1", "observed stands in");
}

#[test]
fn bodies_are_text_or_structured() {
    let map = json!({"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}});
    let list = |item: &Value| json!({"arrayValue": {"values": [item]}});
    for (body, expected) in [
        (json!({"intValue": "7"}), json!({"text": 7})),
        (map.clone(), json!({"structured": {"k": "v"}})),
        (list(&map), json!({"structured": [{"k": "v"}]})),
        (list(&json!({"intValue": "7"})), json!({"structured": {"value": [7]}})),
        (json!({}), Value::Null),
    ] {
        assert_eq!(document(Mode::Otel, &from_json(("a", "b"), body))["body"], expected);
    }
    assert_eq!(document(Mode::BodyMap, &from_json(("a", "b"), map)), json!({"k": "v"}));
    let (none, report) = encoded(Mode::BodyMap, &a_log("text".into(), |_| {}), "");
    assert!(none.is_empty());
    assert_eq!(report.rejected, 1);
}

#[test]
fn attributes_that_steer_are_not_in_the_document() {
    let payload = a_log("x".into(), |attrs| {
        attrs.str("data_stream.dataset", "My-App*");
        attrs.str("data_stream.namespace", "Prod");
        attrs.str("elasticsearch.document_id", "id1");
        attrs.str("elasticsearch.ingest_pipeline", "p1");
        attrs.str("kept", "1");
    });
    let found = lines(Mode::Otel, &payload);
    assert_eq!(
        found[0]["create"],
        json!({"_index": "logs-my_app_.otel-prod", "_id": "id1", "pipeline": "p1", "require_data_stream": true})
    );
    assert_eq!(found[1]["attributes"], json!({"kept": "1"}));
    let own = a_log("x".into(), |attrs| attrs.str("elasticsearch.index", "mine"));
    let found = lines(Mode::Otel, &own);
    assert_eq!(found[0], json!({"create": {"_index": "mine"}}));
    assert!(found[1].get("data_stream").is_none());
    let fixed = encoded(Mode::Otel, &own, "static").0;
    assert_eq!(fixed[0], json!({"create": {"_index": "static"}}), "a static index wins");
    let hidden = a_log("x".into(), |attrs| {
        attrs.strs("elasticsearch.mapping.hints", &["_noindex"]);
    });
    assert!(lines(Mode::Otel, &hidden).is_empty());
}

#[test]
fn keys_are_there_once_and_places_are_merged() {
    let payload = a_log("x".into(), |attrs| {
        attrs.str("a", "first");
        attrs.str("a", "second");
        attrs.double("geo.location.lon", 2.5);
        attrs.double("geo.location.lat", 1.0);
        attrs.double("client.geo.location.lat", 3.0);
        attrs.str("x.geo.location.lat", "text");
    });
    assert_eq!(
        document(Mode::Otel, &payload)["attributes"],
        json!({
            "a": "first", "geo.location": [2.5, 1.0], "client.geo.location.lat": 3.0,
            "x.geo.location.lat": "text",
        })
    );
}

#[test]
fn data_streams_follow_attributes_and_scopes() {
    let index = |resource: &[(&str, &str)], scope: &str, mode| {
        let mut out = write::Logs::new();
        out.resource(|attrs| resource.iter().for_each(|(key, value)| attrs.str(key, value)));
        out.scope(scope, "");
        out.log(&write::Log::default(), |_| {});
        lines(mode, &out.finish())[0]["create"]["_index"].clone()
    };
    let receiver = "github.com/open-telemetry/x/receiver/hostmetricsreceiver/internal/scraper";
    for (resource, scope, mode, expected) in [
        (&[][..], "lib", Mode::Otel, "logs-generic.otel-default"),
        (&[], "lib", Mode::Ecs, "logs-generic-default"),
        (&[("data_stream.dataset", "a")], "lib", Mode::None, "logs-a-default"),
        (&[("data_stream.namespace", "n-1")], "lib", Mode::Otel, "logs-generic.otel-n-1"),
        (&[], receiver, Mode::Otel, "logs-hostmetricsreceiver.otel-default"),
        (&[], "x/receiver/receiver", Mode::Otel, "logs-generic.otel-default"),
        (&[], "x/connector/countconnector", Mode::Ecs, "logs-countconnector-default"),
        (
            &[],
            "go.opentelemetry.io/collector/service",
            Mode::Ecs,
            "logs-collectortelemetry-default",
        ),
        (&[("elasticsearch.index", "i")], receiver, Mode::Otel, "i"),
    ] {
        assert_eq!(index(resource, scope, mode), expected, "{resource:?} {scope}");
    }
    let long = "d".repeat(200);
    let name = index(&[("data_stream.dataset", &long)], "", Mode::Otel);
    assert_eq!(name.as_str().expect("text").len(), "logs-".len() + 100 + "-default".len());
}

#[test]
fn a_date_follows_in_logstash_format() {
    let config: Config = serde_json::from_value(json!({
        "endpoints": ["http://h:9200"], "logstash_format": {"enabled": true}, "logs_index": "app",
    }))
    .expect("valid");
    let router =
        Router { fixed: config.logs_index.clone(), logstash: Some(config.logstash_format) };
    let encoder = Encoder {
        signal: Signal::Logs,
        mode: Mode::None,
        allowed: Vec::new(),
        event_router: Router { fixed: String::new(), logstash: None },
        router,
        document_id: false,
        ingest_pipeline: false,
        plain: false.into(),
        clock: Clock::manual(NOW),
    };
    let bulk = encoder.encode(&a_log("x".into(), |_| {}), None, &mut Report::default());
    let text = String::from_utf8(bulk.body).expect("UTF-8");
    assert!(text.starts_with("{\"create\":{\"_index\":\"app-2025.04.17\"}}\n"), "{text}");
}

#[test]
fn the_modes_none_and_raw_are_flat() {
    let payload = traces(|out| out.event(NOW + 1, "oops", |attrs| attrs.str("why", "full")));
    let span = json!({
        "@timestamp": "2025-04-17T08:40:44.555461596Z",
        "EndTimestamp": "2025-04-17T08:40:44.556961596Z",
        "TraceId": "abababababababababababababababab",
        "SpanId": "0101010101010101",
        "ParentSpanId": "0202020202020202",
        "Name": "GET /",
        "Kind": "SPAN_KIND_SERVER",
        "TraceStatus": 2,
        "TraceStatusDescription": "no \"luck\"\n",
        "Link": "[]",
        "Duration": 1500,
        "Resource.service.name": "shop",
        "Resource.host.name": "h",
        "Scope.name": "lib",
        "Scope.version": "1",
    });
    let with = |more: Value| {
        let mut span = span.clone();
        for (key, value) in more.as_object().expect("an object") {
            span[key] = value.clone();
        }
        span
    };
    let found = lines(Mode::None, &payload);
    assert_eq!(found[0], json!({"create": {"_index": "traces-generic-default"}}));
    assert_eq!(
        found[1],
        with(json!({
            "Attributes.http.route": "/cart", "Attributes.n": -3, "Attributes.d": 2.0,
            "Attributes.t": true, "Attributes.l": ["a", "b"],
            "Attributes.data_stream.type": "traces", "Attributes.data_stream.dataset": "generic",
            "Attributes.data_stream.namespace": "default",
            "Events.oops.time": "2025-04-17T08:40:44.555461597Z", "Events.oops.why": "full",
        }))
    );
    assert_eq!(
        document(Mode::Raw, &payload),
        with(json!({
            "http.route": "/cart", "n": -3, "d": 2.0, "t": true, "l": ["a", "b"],
            "data_stream.type": "traces", "data_stream.dataset": "generic",
            "data_stream.namespace": "default",
            "oops.time": "2025-04-17T08:40:44.555461597Z", "oops.why": "full",
        }))
    );
    assert_eq!(
        document(Mode::None, &a_log("line".into(), |attrs| attrs.int("n", 1))),
        json!({
            "@timestamp": "2025-04-17T08:40:44.555461596Z",
            "TraceId": "abababababababababababababababab", "TraceFlags": 0,
            "SeverityText": "INFO", "SeverityNumber": 9, "Body": "line",
            "Resource.service.name": "shop", "Scope.name": "lib", "Scope.version": "",
            "Attributes.n": 1, "Attributes.data_stream.type": "logs",
            "Attributes.data_stream.dataset": "generic",
            "Attributes.data_stream.namespace": "default",
        })
    );
}

#[test]
fn mode_ecs_nests_and_renames() {
    let found = document(Mode::Ecs, &traces(|out| out.link([9; 16], [8; 8], |_| {})));
    assert_eq!(
        found,
        json!({
            "@timestamp": "2025-04-17T08:40:44.555461596Z",
            "data_stream": {"type": "traces", "dataset": "generic", "namespace": "default"},
            "service": {"name": "shop"},
            "host": {"name": "h", "hostname": "h"},
            "trace": {"id": "abababababababababababababababab"},
            "parent": {"id": "0202020202020202"},
            "span": {
                "id": "0101010101010101", "name": "GET /", "kind": "SERVER",
                "links": [{"trace": {"id": "09090909090909090909090909090909"}, "span": {"id": "0808080808080808"}}],
            },
            "event": {"outcome": "failure"},
            "http": {"route": "/cart"},
            "n": -3, "d": 2.0, "t": true, "l": ["a", "b"],
        })
    );
    let log = a_log("line".into(), |attrs| {
        attrs.str("exception.message", "m");
        attrs.str("event.name", "e");
        attrs.str("a", "1");
        attrs.str("a.b", "2");
    });
    assert_eq!(
        document(Mode::Ecs, &log),
        json!({
            "@timestamp": "2025-04-17T08:40:44.555461596Z",
            "data_stream": {"type": "logs", "dataset": "generic", "namespace": "default"},
            "service": {"name": "shop"},
            "trace": {"id": "abababababababababababababababab"},
            "log": {"level": "INFO"},
            "event": {"severity": 9, "action": "e"},
            "error": {"message": "m"},
            "message": "line",
            "a": {"value": "1", "b": "2"},
        })
    );
}

#[test]
fn events_of_mode_ecs_go_where_apm_looks() {
    let payload = traces(|out| {
        out.event(NOW, "exception", |attrs| attrs.str("exception.type", "E"));
        out.event(NOW, "note", |_| {});
    });
    let found = lines(Mode::Ecs, &payload);
    assert_eq!(found[2]["create"]["_index"], "logs-apm.error-default");
    assert_eq!(found[3]["error"], json!({"exception": {"type": "E"}}));
    assert_eq!(found[3]["parent"]["id"], "0101010101010101");
    assert_eq!(found[4]["create"]["_index"], "logs-apm.app.shop-default");
    assert_eq!(found[5]["message"], "note");
    assert_eq!(found[5]["event"]["kind"], "event");
}

#[test]
fn a_scope_names_its_mode() {
    let payload = |mode| from_json(("elastic.mapping.mode", mode), json!({"stringValue": "x"}));
    assert!(document(Mode::Otel, &payload("none")).get("TraceFlags").is_some());
    let (none, report) = encoded(Mode::Otel, &payload("other"), "");
    assert!(none.is_empty());
    assert_eq!(report.message(), "1 x mapping mode \"other\" is not allowed");
}

fn points(more: impl FnOnce(&mut write::Metrics)) -> Payload {
    let mut out = write::Metrics::new();
    out.resource(|attrs| attrs.str("service.name", "shop"));
    out.scope("lib", "1");
    more(&mut out);
    out.finish()
}

#[test]
fn points_that_share_everything_but_the_name_are_one_document() {
    let payload = points(|out| {
        for (name, value) in [("b", 1), ("a", 2)] {
            out.gauge(name, "By", "", |p| {
                p.int(NOW, value, |attrs| {
                    attrs.str("x", "1");
                    attrs.str("y", "2");
                });
            });
        }
        out.sum("c", "By", "", Temporality::Cumulative, true, |p| {
            p.double(NOW, 3.0, |attrs| {
                attrs.str("y", "2");
                attrs.str("x", "1");
            });
            p.double(NOW, 4.0, |_| {});
        });
    });
    let (found, report) = encoded(Mode::Otel, &payload, "");
    assert_eq!(report.rejected, 0);
    assert_eq!(found.len(), 4);
    assert_eq!(
        found[0],
        json!({"create": {
            "_index": "metrics-generic.otel-default",
            "dynamic_templates": {"metrics.b": "gauge_long", "metrics.a": "gauge_long", "metrics.c": "counter_double"},
            "require_data_stream": true,
        }})
    );
    assert_eq!(
        found[1],
        json!({
            "@timestamp": 1_744_879_244_555_u64,
            "unit": "By",
            "data_stream": {"type": "metrics", "dataset": "generic.otel", "namespace": "default"},
            "attributes": {"x": "1", "y": "2"},
            "resource": {"attributes": {"service.name": "shop"}},
            "scope": {"name": "lib", "version": "1"},
            "metrics": {"b": 1, "a": 2, "c": 3.0},
            // XXH64 of "abc"
            "_metric_names_hash": "44bc2cf5ad770999",
        })
    );
    assert_eq!(found[3]["metrics"], json!({"c": 4.0}));
}

#[test]
fn distributions_become_counts_and_mid_points() {
    let histogram = write::Histogram {
        count: 6,
        sum: Some(10.0),
        explicit_bounds: &[1.0, 2.0, 4.0],
        bucket_counts: &[1, 2, 0, 3],
        ..<_>::default()
    };
    let no_bounds = write::Histogram { count: 4, sum: Some(10.0), ..<_>::default() };
    let exponential = write::ExponentialHistogram {
        count: 4,
        scale: 0,
        zero_count: 1,
        positive: write::ExponentialBuckets { offset: 0, counts: &[1, 0, 1] },
        negative: write::ExponentialBuckets { offset: 1, counts: &[1] },
        ..<_>::default()
    };
    let summary = write::Summary { count: 2, sum: 5.0, quantiles: &[] };
    let payload = points(|out| {
        out.histogram("h", "", "", Temporality::Delta, |p| p.histogram(NOW, &histogram, |_| {}));
        out.histogram("n", "", "", Temporality::Delta, |p| p.histogram(NOW, &no_bounds, |_| {}));
        out.histogram("g", "", "", Temporality::Delta, |p| {
            p.histogram(NOW, &histogram, |attrs| {
                attrs.strs(
                    "elasticsearch.mapping.hints",
                    &["aggregate_metric_double", "_doc_count"],
                );
            });
        });
        out.exponential_histogram("e", "", "", Temporality::Delta, |p| {
            p.exponential_histogram(NOW, &exponential, |_| {});
        });
        out.summary("s", "", "", |p| p.summary(NOW, &summary, |_| {}));
        out.histogram("c", "", "", Temporality::Cumulative, |p| {
            p.histogram(NOW, &histogram, |_| {});
        });
        out.gauge("nan", "", "", |p| p.double(NOW, f64::NAN, |_| {}));
    });
    let (found, report) = encoded(Mode::Otel, &payload, "");
    assert_eq!(
        report.message(),
        "1 x histograms of cumulative temporality are not taken; 1 x the value is NaN or infinite"
    );
    assert_eq!(found.len(), 2, "hints are no dimension: {found:?}");
    assert_eq!(
        found[1]["metrics"],
        json!({
            "h": {"counts": [1, 2, 3], "values": [0.5, 1.5, 4.0]},
            "n": {"counts": [4], "values": [2.5]},
            "g": {"sum": 10.0, "value_count": 6},
            "e": {"counts": [1, 1, 1, 1], "values": [-3.0, 0.0, 1.5, 6.0]},
            "s": {"sum": 5.0, "value_count": 2},
        })
    );
    assert_eq!(found[1]["_doc_count"], 6);
    let templates = &found[0]["create"]["dynamic_templates"];
    assert_eq!(templates["metrics.h"], "histogram");
    assert_eq!(templates["metrics.g"], "summary");
}

#[test]
fn metrics_of_mode_ecs_lie_at_the_top() {
    let payload = points(|out| {
        out.gauge("system.cpu", "1", "", |p| p.double(NOW, 0.5, |attrs| attrs.str("cpu", "0")));
    });
    let found = lines(Mode::Ecs, &payload);
    assert_eq!(found[0]["create"]["dynamic_templates"], json!({"system.cpu": "double_metrics"}));
    assert_eq!(
        found[1],
        json!({
            "@timestamp": "2025-04-17T08:40:44.555461596Z",
            "data_stream": {"type": "metrics", "dataset": "generic", "namespace": "default"},
            "service": {"name": "shop"}, "system": {"cpu": 0.5}, "cpu": "0",
        })
    );
    let (none, report) = encoded(Mode::Raw, &payload, "");
    assert!(none.is_empty());
    assert_eq!(report.message(), "1 x mapping mode raw takes no metrics");
}

#[test]
fn requests_are_cut_between_documents() {
    let payload = testkit::otlp::logs(10);
    let encoder = |bytes_max| {
        let mut bulk = super::bulk::Bulk::default();
        for at in 0..10 {
            bulk.document(1, |out| out.extend_from_slice(&[b'x'; 99][..90 + at]));
        }
        let all: Vec<u32> = (0..10).collect();
        bulk.requests(&all, bytes_max).iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(payload.items(), 10);
    assert_eq!(encoder(1), [1; 10], "one at least");
    assert_eq!(encoder(400), [4, 4, 2]);
    assert_eq!(encoder(1 << 20), [10]);
}
