// SPDX-License-Identifier: Apache-2.0
//! OTLP/HTTP: statuses, bodies and headers as the collector answers them.

use std::time::Duration;

use basics::{Error, Kind};
use otlp_wire::Signal;
use pipeline::{Delivered, Receiver};

use crate::support::{config, gzip, send, start};

const PROTO: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json; charset=utf-8");

#[tokio::test]
async fn protobuf_arrives_in_every_encoding() {
    let running = start(config("", "")).await;
    for (signal, path) in [
        (Signal::Traces, "/v1/traces"),
        (Signal::Metrics, "/v1/metrics"),
        (Signal::Logs, "/v1/logs"),
    ] {
        let payload = testkit::otlp::payload(signal, 10);
        let plain = payload.bytes();
        let bodies = [
            ("", plain.to_vec()),
            ("gzip", gzip(plain)),
            ("zstd", zstd::stream::encode_all(&plain[..], 1).expect("in memory")),
            ("snappy", snap::raw::Encoder::new().compress_vec(plain).expect("in memory")),
        ];
        for (encoding, body) in bodies {
            let headers = [PROTO, ("content-encoding", encoding)];
            let answer = send("POST", running.http, path, &headers, body).await;
            assert_eq!((answer.status, &answer.body[..]), (200, &[0x0a, 0][..]), "{encoding}");
            assert_eq!(answer.header("content-type"), "application/x-protobuf");
            let batch = running.capture.batches.lock().pop().expect("one batch");
            assert_eq!((batch.payload.bytes(), batch.payload.signal()), (plain, signal));
        }
    }
    running.receiver.stop().await.expect("stops");
}

#[tokio::test]
async fn json_is_the_same_telemetry() {
    let running = start(config("", "")).await;
    let body = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeSpans":[{"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","name":"x","kind":"SPAN_KIND_SERVER","startTimeUnixNano":"1","endTimeUnixNano":2,"unknown":{"a":[1]}}]}]}]}"#;
    let answer = send("POST", running.http, "/v1/traces", &[JSON], body).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(&answer.body[..], br#"{"partialSuccess":{}}"#);
    assert_eq!(answer.header("content-type"), "application/json");
    let batch = running.capture.batches.lock().pop().expect("one batch");
    let resource = batch.payload.traces().next().expect("one");
    let scope = resource.scopes().next().expect("one");
    let span = scope.spans().next().expect("one");
    assert_eq!((span.name(), span.start(), span.end()), ("x", 1, 2));
    assert_eq!(span.trace_id().map(|id| id[0]), Some(0x5b));
}

#[tokio::test]
async fn what_was_rejected_for_good_is_a_partial_success() {
    let running = start(config("", "")).await;
    *running.capture.verdict.lock() = Delivered { rejected: 2, message: "too old".to_owned() };
    let plain = testkit::otlp::payload(Signal::Metrics, 5).bytes().clone();
    let answer = send("POST", running.http, "/v1/metrics", &[PROTO], plain).await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"\x0a\x0b\x08\x02\x12\x07too old"[..]));
    let log = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1"}]}]}]}"#;
    let answer = send("POST", running.http, "/v1/logs", &[JSON], log).await;
    let told = r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}"#;
    // One record was sent, so not two can have been rejected.
    assert_eq!((answer.status, &answer.body[..]), (200, told.as_bytes()));
    running.receiver.stop().await.expect("stops");
}

#[tokio::test]
async fn answers_that_are_not_success_are_the_collectors() {
    struct Case {
        method: &'static str,
        path: &'static str,
        headers: &'static [(&'static str, &'static str)],
        body: &'static str,
        status: u16,
        kind: &'static str,
        starts: &'static str,
    }
    const PROTO_ONLY: &[(&str, &str)] = &[PROTO];
    let cases = [
        Case {
            method: "GET",
            path: "/v1/traces",
            headers: &[],
            body: "",
            status: 405,
            kind: "text/plain",
            starts: "405 method not allowed, supported: [POST]",
        },
        Case {
            method: "POST",
            path: "/v1/traces",
            headers: &[("content-type", "text/plain")],
            body: "",
            status: 415,
            kind: "text/plain",
            starts: "415 unsupported media type, supported: [application/json, application/x-protobuf]",
        },
        Case {
            method: "POST",
            path: "/v1/traces",
            headers: &[],
            body: "",
            status: 415,
            kind: "text/plain",
            starts: "415",
        },
        Case {
            method: "POST",
            path: "/v1/other",
            headers: PROTO_ONLY,
            body: "",
            status: 404,
            kind: "text/plain",
            starts: "404",
        },
        Case {
            method: "POST",
            path: "/v1/logs",
            headers: &[JSON],
            body: "{bad",
            status: 400,
            kind: "application/json",
            starts: r#"{"code":3,"message":""#,
        },
        Case {
            method: "POST",
            path: "/v1/logs",
            headers: &[JSON, ("content-encoding", "br")],
            body: "{}",
            status: 400,
            kind: "application/json",
            starts: r#"{"code":3,"message":"unsupported Content-Encoding: br"}"#,
        },
        Case {
            method: "POST",
            path: "/v1/logs",
            headers: PROTO_ONLY,
            body: "garbage",
            status: 400,
            kind: "application/x-protobuf",
            starts: "\u{8}\u{3}\u{12}",
        },
        Case {
            method: "POST",
            path: "/v1/logs",
            headers: &[JSON],
            body: "{}",
            status: 200,
            kind: "application/json",
            starts: r#"{"partialSuccess":{}}"#,
        },
        Case {
            method: "POST",
            path: "/v1/logs",
            headers: PROTO_ONLY,
            body: "",
            status: 200,
            kind: "application/x-protobuf",
            starts: "\n\0",
        },
    ];
    let running = start(config("", "")).await;
    for case in cases {
        let answer = send(case.method, running.http, case.path, case.headers, case.body).await;
        let what = format!("{} {} {:?}: {answer:?}", case.method, case.path, case.headers);
        assert_eq!(answer.status, case.status, "{what}");
        assert_eq!(answer.header("content-type"), case.kind, "{what}");
        assert!(answer.body.starts_with(case.starts.as_bytes()), "{what}");
    }
    assert!(running.capture.batches.lock().is_empty());
}

#[tokio::test]
async fn a_refusal_says_when_to_come_back() {
    let running = start(config("", "")).await;
    let after = Some(Duration::from_millis(2500));
    for (error, status, retry_after) in [
        (Error::overloaded("full"), 503, "1"),
        (Error::new(Kind::Retry { after }, "later"), 503, "3"),
        (Error::rejected("no"), 500, ""),
        (Error::invalid("wrong"), 400, ""),
    ] {
        *running.capture.refuse.lock() = Some(error);
        let body = testkit::otlp::logs(1).bytes().clone();
        let answer = send("POST", running.http, "/v1/logs", &[PROTO], body).await;
        assert_eq!((answer.status, answer.header("retry-after")), (status, retry_after));
    }
    let telemetry = running.context.host.telemetry();
    let labels = [("receiver", "otlp"), ("transport", "http")];
    assert_eq!(telemetry.value("otelcol_receiver_refused_log_records", &labels), Some(4.0));
}

#[tokio::test]
async fn paths_metadata_cors_and_response_headers_are_configurable() {
    let more = r#","traces_url_path":"otlp/t","include_metadata":true,
        "cors":{"allowed_origins":["http://*.shop.test"],"max_age":60},
        "response_headers":{"x-served-by":"foreglow"}"#;
    let running = start(config("", more)).await;
    let body = testkit::otlp::traces(1).bytes().clone();
    let headers = [PROTO, ("x-tenant", "a"), ("origin", "http://www.shop.test")];
    let answer = send("POST", running.http, "/otlp/t", &headers, body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-served-by"), "foreglow");
    assert_eq!(answer.header("access-control-allow-origin"), "http://www.shop.test");
    let batch = running.capture.batches.lock().pop().expect("one batch");
    assert!(batch.meta.headers.contains(&("x-tenant".to_owned(), "a".to_owned())));
    assert!(batch.meta.client.is_some() && batch.meta.received > 0);

    let preflight = [
        ("origin", "http://www.shop.test"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type"),
    ];
    let answer = send("OPTIONS", running.http, "/otlp/t", &preflight, "").await;
    assert_eq!((answer.status, answer.header("access-control-max-age")), (204, "60"));
    let foreign = [PROTO, ("origin", "http://evil.test")];
    let answer = send("POST", running.http, "/otlp/t", &foreign, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
}
