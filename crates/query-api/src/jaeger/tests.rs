// SPDX-License-Identifier: Apache-2.0
//! Jaeger's API over two traces, asked as Jaeger's page and Grafana ask.

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use http_body_util::BodyExt;
use otlp_wire::{SpanKind, StatusCode, write};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::tests::{NOW, api_with, get};

const MS: u64 = 1_000_000;

/// A trace of two services, the second of which fails, and a trace of one span.
fn shop() -> otlp_wire::Payload {
    let mut w = write::Traces::new();
    let root = write::Span {
        trace_id: [1; 16],
        span_id: [1; 8],
        name: "GET /cart",
        kind: SpanKind::Client,
        start: NOW - 1000 * MS,
        end: NOW - 900 * MS,
        ..Default::default()
    };
    w.resource(|r| {
        r.str("service.name", "web");
        r.str("host.name", "h1");
    });
    w.scope("otel-js", "1.2");
    w.span(&root, |a| {
        a.int("http.status_code", 500);
        a.double("ratio", 0.5);
        a.bool("cached", false);
    });
    w.event(NOW - 950 * MS, "retry", |a| a.int("attempt", 2));
    w.span(
        &write::Span {
            trace_id: [0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2],
            name: "tick",
            start: NOW - 1500 * MS,
            ..root
        },
        |_| (),
    );
    w.resource(|r| r.str("service.name", "cart"));
    let failed = write::Span {
        span_id: [2; 8],
        parent_span_id: Some([1; 8]),
        name: "cart.get",
        kind: SpanKind::Server,
        start: NOW - 990 * MS,
        end: NOW - 910 * MS,
        status: StatusCode::Error,
        status_message: "no cart",
        ..root
    };
    w.span(&failed, |a| a.str("db.system", "redis"));
    w.link([9; 16], [8; 8], |_| ());
    w.finish()
}

#[tokio::test]
async fn v1_answers_in_jaegers_json() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api_with(folder.path(), &[shop()]).0;
    let (_, body) = get(&api, "/api/services").await;
    let expected =
        json!({"data": ["cart", "web"], "total": 2, "limit": 0, "offset": 0, "errors": null});
    assert_eq!(body, expected);
    let (_, body) = get(&api, "/api/services/web/operations").await;
    assert_eq!(body["data"], json!(["GET /cart", "tick"]));
    let (_, body) = get(&api, "/api/operations?service=cart&spanKind=server").await;
    assert_eq!(body["data"], json!([{"name": "cart.get", "spanKind": "server"}]));

    let id = "01".repeat(16);
    let (status, body) = get(&api, &format!("/api/traces/{id}")).await;
    assert_eq!(status, 200);
    let trace = &body["data"][0];
    assert_eq!(trace["traceID"], id.as_str());
    let root = &trace["spans"][0];
    assert_eq!((&root["operationName"], &root["processID"]), (&json!("GET /cart"), &json!("p1")));
    assert_eq!(root["startTime"], json!((NOW - 1000 * MS) / 1000));
    assert_eq!((&root["duration"], &root["references"]), (&json!(100_000), &json!([])));
    let tag =
        |key: &str, kind: &str, value: Value| json!({"key": key, "type": kind, "value": value});
    let tags = json!([
        tag("http.status_code", "int64", json!(500)),
        tag("ratio", "float64", json!(0.5)),
        tag("cached", "bool", json!(false)),
        tag("otel.scope.name", "string", json!("otel-js")),
        tag("otel.scope.version", "string", json!("1.2")),
        tag("span.kind", "string", json!("client")),
    ]);
    assert_eq!(root["tags"], tags);
    let fields = json!([tag("event", "string", json!("retry")), tag("attempt", "int64", json!(2))]);
    assert_eq!(root["logs"], json!([{"timestamp": (NOW - 950 * MS) / 1000, "fields": fields}]));
    let child = &trace["spans"][1];
    let references = json!([
        {"refType": "CHILD_OF", "traceID": id, "spanID": "0101010101010101"},
        {"refType": "FOLLOWS_FROM", "traceID": "09".repeat(16), "spanID": "0808080808080808"},
    ]);
    assert_eq!(child["references"], references);
    let tags = json!([
        tag("db.system", "string", json!("redis")),
        tag("span.kind", "string", json!("server")),
        tag("otel.status_code", "string", json!("ERROR")),
        tag("error", "bool", json!(true)),
        tag("otel.status_description", "string", json!("no cart")),
    ]);
    assert_eq!(child["tags"], tags);
    let host = tag("host.name", "string", json!("h1"));
    assert_eq!(trace["processes"]["p1"], json!({"serviceName": "web", "tags": [host]}));
    assert_eq!(trace["processes"]["p2"], json!({"serviceName": "cart", "tags": []}));
}

#[tokio::test]
async fn v1_searches_and_refuses_as_jaeger_does() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api_with(folder.path(), &[shop()]).0;
    let (one, two) = ("01".repeat(16), "0202020202020202".to_owned());
    let micros = |ns: u64| ns / 1000;
    for (query, expected) in [
        ("service=web".to_owned(), vec![&one, &two]),
        ("service=cart".to_owned(), vec![&one]),
        ("service=web&operation=tick".to_owned(), vec![&two]),
        ("service=web&tags=%7B%22http.status_code%22%3A%22500%22%7D".to_owned(), vec![&one]),
        ("service=cart&tag=error:true&tag=db.system:redis".to_owned(), vec![&one]),
        ("service=cart&minDuration=80ms&maxDuration=80ms".to_owned(), vec![&one]),
        ("service=cart&minDuration=81ms".to_owned(), vec![]),
        ("service=web&limit=1".to_owned(), vec![&one]),
        ("service=web&lookback=500ms".to_owned(), vec![]),
        (format!("service=web&end={}", micros(NOW - 2000 * MS)), vec![]),
        (format!("traceID={two}&traceID={one}"), vec![&two, &one]),
    ] {
        let (status, body) = get(&api, &format!("/api/traces?{query}")).await;
        assert_eq!(status, 200, "{query}: {body}");
        let found = body["data"].as_array().expect("a list").iter();
        let ids: Vec<&str> = found.filter_map(|t| t["traceID"].as_str()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    for (path, status, message) in [
        ("/api/traces", 400, "parameter 'service' is required"),
        ("/api/traces?service=a&limit=0", 400, "invalid parameter: limit must be greater than 0"),
        (
            "/api/traces?service=a&minDuration=x",
            400,
            "unable to parse param 'minDuration': time: invalid duration \"x\"",
        ),
        (
            "/api/traces?service=a&tag=b",
            400,
            "malformed 'tag' parameter, expecting key:value, received: b",
        ),
        ("/api/traces/0a", 404, "trace not found"),
    ] {
        let (code, body) = get(&api, path).await;
        assert_eq!(code, status, "{path}");
        assert_eq!(body["errors"], json!([{"code": status, "msg": message}]), "{path}");
        assert_eq!(body["data"], Value::Null);
    }
}

#[tokio::test]
async fn v3_answers_in_otlp_json_under_both_spellings() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api_with(folder.path(), &[shop()]).0;
    let (_, body) = get(&api, "/api/v3/services").await;
    assert_eq!(body, json!({"services": ["cart", "web"]}));
    let (_, body) = get(&api, "/api/v3/operations?service=cart").await;
    assert_eq!(body, json!({"operations": [{"name": "cart.get", "spanKind": "server"}]}));
    let (_, body) = get(&api, &format!("/api/v3/traces/{}", "01".repeat(16))).await;
    let resources = body["result"]["resourceSpans"].as_array().expect("resources");
    assert_eq!(resources[0]["scopeSpans"][0]["spans"][0]["spanId"], "0101010101010101");
    // Grafana does not escape the offset's plus sign.
    let times = ("2026-09-21T00:00:00+00:00", "2026-09-22T00:00:00Z");
    for query in [
        format!(
            "query.serviceName=cart&query.startTimeMin={}&query.startTimeMax={}&query.durationMin=1ms&query.searchDepth=5",
            times.0, times.1
        ),
        format!(
            "query.service_name=cart&query.start_time_min={}&query.start_time_max={}&query.attributes=%7B%22error%22:%22true%22%7D",
            times.0, times.1
        ),
    ] {
        let (status, body) = get(&api, &format!("/api/v3/traces?{query}")).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["result"]["resourceSpans"].as_array().map(Vec::len), Some(2));
        let (_, body) = get(&api, &format!("/api/v3/trace-summaries?{query}")).await;
        let summary = &body["result"]["summaries"][0];
        assert_eq!(summary["rootServiceName"], "web");
        assert_eq!((&summary["spanCount"], &summary["errorSpanCount"]), (&json!(2), &json!(1)));
    }
    let (status, body) = get(&api, "/api/v3/traces?query.service_name=x").await;
    let message = "query.startTimeMin and query.startTimeMax are required";
    assert_eq!((status, body), (400, json!({"error": {"httpCode": 400, "message": message}})));
    let (status, body) = get(&api, "/api/v3/traces/ff").await;
    let expected = json!({"error": {"httpCode": 404, "message": "No traces found"}});
    assert_eq!((status, body), (404, expected));
}

#[tokio::test]
async fn grpc_answers_with_messages_and_trailers() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (_, api) = api_with(folder.path(), &[shop()]);
    let grpc = super::grpc::routes(api);
    let call = async |method: &str, message: &[u8]| {
        let mut body = vec![0, 0, 0, 0, message.len() as u8];
        body.extend_from_slice(message);
        let request = Request::post(format!("/jaeger.api_v3.QueryService/{method}"));
        let request = request.body(Body::from(body)).expect("request");
        let answer = grpc.clone().oneshot(request).await.expect("infallible");
        let head = answer.headers().get("grpc-status").cloned();
        let body = answer.into_body().collect().await.expect("body");
        let trailer = body.trailers().and_then(|t| t.get("grpc-status")).cloned();
        let status = head.or(trailer).expect("a status");
        (status.to_str().expect("text").to_owned(), body.to_bytes())
    };
    let (status, body) = call("GetServices", &[]).await;
    assert_eq!((status.as_str(), &body[5..]), ("0", &b"\x0a\x04cart\x0a\x03web"[..]));
    let mut request = vec![0x0a, 32];
    request.extend_from_slice("01".repeat(16).as_bytes());
    let (status, body) = call("GetTrace", &request).await;
    assert_eq!(status, "0");
    let message = Bytes::copy_from_slice(&body[5..]);
    let trace = otlp_wire::Payload::admit(otlp_wire::Signal::Traces, message).expect("OTLP");
    assert_eq!(trace.items(), 2);
    assert_eq!(call("GetTrace", &[0x0a, 1, b'f']).await.0, "5");
    assert_eq!(call("FindTraces", &[]).await.0, "3");
    assert_eq!(call("Unknown", &[]).await.0, "12");
}

#[tokio::test]
async fn dependencies_are_what_the_service_graph_counted() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (router, api) = api_with(folder.path(), &[shop()]);
    let (_, body) = get(&router, "/api/dependencies?endTs=1&lookback=1").await;
    assert_eq!((&body["data"], &body["total"]), (&json!([]), &json!(0)));
    let store = (api.store)().expect("a store");
    store.tick(NOW + 30_000 * MS);
    let end = (NOW + 60_000 * MS) / MS;
    let (_, body) = get(&router, &format!("/api/dependencies?endTs={end}&lookback=3600000")).await;
    assert_eq!(body["data"], json!([{"parent": "web", "child": "cart", "callCount": 1}]));
    let times = "startTime=2026-09-21T14:00:00Z&endTime=2026-09-21T15:00:00Z";
    let (_, body) = get(&router, &format!("/api/v3/dependencies?{times}")).await;
    assert_eq!(body["dependencies"][0]["callCount"], "1");
    let (_, body) = get(&router, "/api/v1/query?query=traces_span_metrics_calls_total").await;
    assert_eq!(body["status"], "success");
}
