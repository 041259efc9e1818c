// SPDX-License-Identifier: Apache-2.0
//! The API over a small store, asked as clients ask.

mod grafana;
mod remote_write;

use axum::body::Body;
use axum::http::Request;
use basics::files::RealFiles;
use http_body_util::BodyExt;
use otlp_wire::{Temporality, write};
use serde_json::{Value, json};
use store::StoreOptions;
use tower::ServiceExt;

use super::*;

/// 2026-09-21T12:26:40Z.
pub(crate) const NOW: u64 = 1_790_000_000_000_000_000;
const NOW_S: u64 = NOW / 1_000_000_000;

/// Three points, 15 s apart, of a gauge in two environments and a counter; a trace and a log.
fn api(folder: &std::path::Path) -> Router {
    let clock = Clock::manual(NOW);
    let options = StoreOptions::default();
    let files = Arc::new(RealFiles);
    let store = Arc::new(Store::open(folder, options, files, clock.clone()).expect("store"));
    let mut w = write::Metrics::new();
    for environment in ["prod", "qa"] {
        w.resource(|r| {
            r.str("service.name", "shop");
            r.str("deployment.environment.name", environment);
        });
        w.scope("test", "1");
        w.gauge("queue.depth", "", "waiting orders", |p| {
            for n in 0..3 {
                p.double(NOW - (2 - n) * 15_000_000_000, n as f64 + 0.5, |_| ());
            }
        });
        w.sum("orders", "", "", Temporality::Cumulative, true, |p| {
            for n in 0..3 {
                p.start(NOW - 60_000_000_000);
                p.int(NOW - (2 - n) * 15_000_000_000, n as i64 * 30, |_| ());
            }
        });
    }
    store.ingest(&w.finish(), NOW);
    let mut w = write::Traces::new();
    w.resource(|r| r.str("service.name", "shop"));
    w.span(
        &write::Span {
            trace_id: [1; 16],
            span_id: [2; 8],
            name: "GET /",
            start: NOW,
            end: NOW + 2_000_000,
            ..Default::default()
        },
        |_| (),
    );
    store.ingest(&w.finish(), NOW);
    let mut w = write::Logs::new();
    w.resource(|r| r.str("service.name", "shop"));
    let log = write::Log {
        time: NOW,
        severity_number: 17,
        body: "no stock".into(),
        ..Default::default()
    };
    w.log(&log, |a| a.int("order.id", 7));
    store.ingest(&w.finish(), NOW);
    routes(over(store, folder, clock))
}

/// An API over a store of these payloads, as a router and as it is.
pub(crate) fn api_with(folder: &std::path::Path, payloads: &[otlp_wire::Payload]) -> (Router, Api) {
    let clock = Clock::manual(NOW);
    let (options, files) = (StoreOptions::default(), Arc::new(RealFiles));
    let store = Arc::new(Store::open(folder, options, files, clock.clone()).expect("store"));
    for payload in payloads {
        store.ingest(payload, NOW);
    }
    let api = over(store, folder, clock);
    (routes(api.clone()), api)
}

fn over(store: Arc<Store>, folder: &std::path::Path, clock: Clock) -> Api {
    let host = Host::new(folder.to_owned());
    host.health().set_ready(NOW);
    Api {
        host,
        clock,
        started: NOW,
        version: "test",
        limits: Limits::default(),
        admin: false,
        store: Arc::new(move || Some(store.clone())),
    }
}

async fn ask(router: &Router, request: Request<Body>) -> (u16, Value) {
    let answer = router.clone().oneshot(request).await.expect("infallible");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("body").to_bytes();
    let text = String::from_utf8(body.to_vec()).expect("UTF-8");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

pub(crate) async fn get(router: &Router, path: &str) -> (u16, Value) {
    ask(router, Request::get(path).body(Body::empty()).expect("request")).await
}

async fn post(router: &Router, path: &str, form: &str) -> (u16, Value) {
    let request = Request::post(path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()));
    ask(router, request.expect("request")).await
}

#[tokio::test]
async fn an_instant_query_answers_as_prometheus_does() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api(folder.path());
    let (status, body) = get(&api, "/api/v1/query?query=sum(queue_depth)").await;
    assert_eq!(status, 200);
    let value = json!([NOW_S, "5"]);
    let result = json!({"resultType": "vector", "result": [{"metric": {}, "value": value}]});
    assert_eq!(body, json!({"status": "success", "data": result}));
    // Grafana's health check, as a POSTed form.
    let (_, body) = post(&api, "/api/v1/query", "query=1%2B1&time=4").await;
    assert_eq!(body["data"], json!({"resultType": "scalar", "result": [4, "2"]}));
    let (_, body) = get(&api, "/api/v1/query?query=queue_depth&limit=1").await;
    assert_eq!(body["data"]["result"].as_array().map(Vec::len), Some(1));
    assert_eq!(body["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn a_range_query_gives_a_value_per_step() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api(folder.path());
    let form = format!(
        "query=queue_depth%7Benvironment%3D%22qa%22%7D&start={}&end={NOW_S}&step=15",
        NOW_S - 30
    );
    let (status, body) = post(&api, "/api/v1/query_range", &form).await;
    assert_eq!(status, 200, "{body}");
    let series = &body["data"]["result"][0];
    assert_eq!(series["metric"]["service_name"], "shop");
    let expected = json!([[NOW_S - 30, "0.5"], [NOW_S - 15, "1.5"], [NOW_S, "2.5"]]);
    assert_eq!(series["values"], expected);
}

#[tokio::test]
async fn mistakes_get_prometheus_words_and_status() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api(folder.path());
    for (path, status, class, says) in [
        (
            "/api/v1/query?query=sum(",
            400,
            "bad_data",
            "invalid parameter \"query\": 1:5: parse error",
        ),
        (
            "/api/v1/query?query=up&time=yesterday",
            400,
            "bad_data",
            "invalid parameter \"time\": invalid time value for 'time': cannot parse \"yesterday\" to a valid timestamp",
        ),
        (
            "/api/v1/query_range?query=up&start=2&end=1&step=1",
            400,
            "bad_data",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "/api/v1/query_range?query=up&start=1&end=2&step=0",
            400,
            "bad_data",
            "zero or negative query resolution step",
        ),
        (
            "/api/v1/query_range?query=up&start=0&end=900000&step=1",
            400,
            "bad_data",
            "exceeded maximum resolution of 11,000 points per timeseries",
        ),
        ("/api/v1/series", 400, "bad_data", "no match[] parameter provided"),
        ("/api/v1/series?match[]=rate(up[5m])", 400, "bad_data", "invalid parameter \"match[]\""),
        ("/api/v1/labels?limit=x", 400, "bad_data", "invalid parameter \"limit\""),
    ] {
        let (got, body) = get(&api, path).await;
        assert_eq!(got, status, "{path}: {body}");
        assert_eq!(body["status"], "error");
        assert_eq!(body["errorType"], class);
        let text = body["error"].as_str().unwrap_or("");
        assert!(text.contains(says), "{path}: {text}");
    }
}

#[tokio::test]
async fn labels_series_and_metadata_are_listed() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api(folder.path());
    let (_, body) = get(&api, "/api/v1/label/environment/values").await;
    assert_eq!(body["data"], json!(["prod", "qa"]));
    let (_, body) =
        get(&api, "/api/v1/label/__name__/values?match[]=%7Benvironment%3D%22qa%22,%7D").await;
    let names = body["data"].as_array().expect("names");
    assert!(
        names.contains(&json!("queue_depth")) && names.contains(&json!("orders_total")),
        "{body}"
    );
    let (_, body) = get(&api, "/api/v1/labels?match[]=queue_depth").await;
    assert!(body["data"].as_array().is_some_and(|l| l.contains(&json!("service_name"))));
    let (_, body) = get(&api, "/api/v1/series?match[]=queue_depth").await;
    assert_eq!(body["data"].as_array().map(Vec::len), Some(2));
    let (_, body) = get(&api, "/api/v1/series?match[]=queue_depth&end=1").await;
    assert_eq!(body["data"], json!([]), "nothing was there so early");
    let (_, body) = get(&api, "/api/v1/metadata?metric=queue_depth").await;
    let entry = json!([{"type": "gauge", "help": "waiting orders", "unit": ""}]);
    assert_eq!(body["data"], json!({"queue_depth": entry}));
}

#[tokio::test]
async fn the_dashboards_own_answers_hold_traces_logs_and_services() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api(folder.path());
    let (_, body) = get(&api, "/api/fg/v1/recent/traces").await;
    let trace = &body["traces"][0];
    assert_eq!(trace["trace_id"], "01010101010101010101010101010101");
    assert_eq!(trace["duration_ms"], 2.0);
    assert_eq!(trace["spans"][0]["name"], "GET /");
    let (_, body) = get(&api, "/api/fg/v1/recent/logs?limit=5").await;
    assert_eq!(body["logs"][0]["severity"], "ERROR");
    assert_eq!(body["logs"][0]["body"], "no stock");
    let (_, body) = get(&api, "/api/fg/v1/overview").await;
    let service = &body["services"][0];
    assert_eq!(
        (&service["name"], &service["spans"], &service["points"], &service["logs"]),
        (&json!("shop"), &json!(1), &json!(12), &json!(1))
    );
}

#[tokio::test]
async fn remote_write_is_acknowledged_and_can_be_queried_at_once() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api(folder.path());
    // WriteRequest { TimeSeries { {__name__, m}, { 2.5, NOW } } }
    let mut sample = vec![0x09];
    sample.extend(2.5f64.to_le_bytes());
    sample.push(0x10);
    let mut rest = NOW_S * 1000;
    while rest >= 0x80 {
        sample.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    sample.push(rest as u8);
    let mut series = b"\x0a\x0d\x0a\x08__name__\x12\x01m\x12".to_vec();
    series.push(sample.len() as u8);
    series.extend(sample);
    let mut body = vec![0x0a, series.len() as u8];
    body.extend(series);
    let send = |kind: &str, encoding: &str, body: &[u8]| {
        let body = snap::raw::Encoder::new().compress_vec(body).expect("small");
        Request::post("/api/v1/write")
            .header("content-type", kind)
            .header("content-encoding", encoding)
            .body(Body::from(body))
            .expect("request")
    };
    for (kind, encoding, expected) in [
        ("application/x-protobuf", "snappy", 204),
        ("application/x-protobuf;proto=prometheus.WriteRequest", "snappy", 204),
        ("application/x-protobuf;proto=some.Other", "snappy", 415),
        ("application/json", "snappy", 415),
        ("application/x-protobuf", "gzip", 415),
    ] {
        let (status, text) = ask(&api, send(kind, encoding, &body)).await;
        assert_eq!(status, expected, "{kind} {encoding}: {text}");
    }
    let (status, text) = ask(&api, send("application/x-protobuf", "snappy", &body[1..])).await;
    assert_eq!((status, text.as_str().map(|t| t.contains("malformed"))), (400, Some(true)));
    let (_, body) = get(&api, "/api/v1/query?query=m").await;
    assert_eq!(body["data"]["result"][0]["value"][1], "2.5");
    assert_eq!(body["data"]["result"][0]["metric"], json!({"__name__": "m"}));
}

#[tokio::test]
async fn exemplars_are_told_from_memory_and_from_blocks() {
    let folder = tempfile::tempdir().expect("temp dir");
    let mut w = write::Metrics::new();
    w.resource(|r| r.str("service.name", "shop"));
    w.sum("orders", "", "", Temporality::Cumulative, true, |p| {
        p.start(NOW - 60_000_000_000);
        p.int(NOW, 5, |_| ());
        let ids = Some(([7; 16], [9; 8]));
        p.exemplar(NOW - 1_500_000_000, otlp_wire::Number::Double(0.5), ids, |_| ());
    });
    let (router, api) = api_with(folder.path(), &[w.finish()]);
    let path = "/api/v1/query_exemplars?query=rate(orders_total%5B5m%5D)%20/%20orders_total";
    let (status, asked) = get(&router, path).await;
    assert_eq!(status, 200, "{asked}");
    let labels = json!({"span_id": "09".repeat(8), "trace_id": "07".repeat(16)});
    let time = NOW_S as f64 - 1.5;
    let exemplar = json!({"labels": labels, "value": "0.5", "timestamp": time});
    assert_eq!(asked["data"][0]["exemplars"], json!([exemplar]));
    assert_eq!(asked["data"][0]["seriesLabels"]["__name__"], "orders_total");
    api.store().expect("store").flush().expect("flush");
    assert_eq!(get(&router, path).await.1, asked, "memory and block have it");
    drop((router, api));
    let (router, _) = api_with(folder.path(), &[]);
    assert_eq!(get(&router, path).await.1, asked, "the block alone has it");
    let early = format!("{path}&end={}", NOW_S - 2);
    assert_eq!(get(&router, &early).await.1["data"], json!([]));
    assert_eq!(get(&router, "/api/v1/query_exemplars?query=1").await.0, 204);
}

#[tokio::test]
async fn what_an_administrator_deletes_is_gone_at_once_and_after_a_restart() {
    let folder = tempfile::tempdir().expect("temp dir");
    let mut w = write::Metrics::new();
    w.resource(|r| r.str("service.name", "shop"));
    for name in ["kept", "gone"] {
        w.gauge(name, "", "", |p| {
            (0..4).for_each(|n| p.double(NOW - n * 15_000_000_000, n as f64, |_| ()));
        });
    }
    let (_, mut api) = api_with(folder.path(), &[w.finish()]);
    api.admin = true;
    let router = routes(api.clone());
    let values = async |router: &Router, name: &str| {
        let (_, body) = get(router, &format!("/api/v1/query?query={name}%5B1h%5D")).await;
        body["data"]["result"][0]["values"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(values(&router, "gone").await, 4);
    let delete = "/api/v1/admin/tsdb/delete_series";
    for (form, status) in [
        ("", 400),
        ("match[]=sum(gone)", 400),
        (&*format!("match[]=gone&start={}&end={}", NOW_S - 20, NOW_S), 204),
    ] {
        assert_eq!(post(&router, delete, form).await.0, status, "{form}");
    }
    assert_eq!((values(&router, "gone").await, values(&router, "kept").await), (2, 4));
    let (status, made) = post(&router, "/api/v1/admin/tsdb/snapshot", "").await;
    let name = made["data"]["name"].as_str().expect("a name").to_owned();
    assert_eq!((status, made["status"].as_str()), (200, Some("success")));
    assert_eq!(post(&router, delete, "match[]=%7B__name__=~%22go.%2B%22%7D").await.0, 204);
    let (_, left) = get(&router, "/api/v1/series?match[]=gone").await;
    assert_eq!((left["data"].clone(), values(&router, "gone").await), (json!([]), 0));
    // What comes later is not concerned.
    let mut w = write::Metrics::new();
    w.resource(|r| r.str("service.name", "shop"));
    w.gauge("gone", "", "", |p| p.double(NOW - 5_000_000_000, 7.0, |_| ()));
    api.store().expect("store").ingest(&w.finish(), NOW);
    assert_eq!(values(&router, "gone").await, 1);
    for _ in 0..2 {
        assert_eq!(post(&router, "/api/v1/admin/tsdb/clean_tombstones", "").await.0, 204);
        assert_eq!((values(&router, "gone").await, values(&router, "kept").await), (1, 4));
    }
    let catalog = api.store().expect("store").storage().catalog(otlp_wire::Signal::Metrics).clone();
    assert_eq!(catalog.manifest().deleted, []);
    api.store().expect("store").flush().expect("flush");
    drop((router, api));
    let (router, _) = api_with(folder.path(), &[]);
    assert_eq!((values(&router, "gone").await, values(&router, "kept").await), (1, 4));
    let (router, _) = api_with(&folder.path().join("snapshots").join(name), &[]);
    assert_eq!((values(&router, "gone").await, values(&router, "kept").await), (2, 4));
    assert_eq!(post(&router, delete, "match[]=gone").await.0, 500, "off unless enabled");
}

#[tokio::test]
async fn what_prometheus_does_not_have_either_is_told_in_its_words() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api(folder.path());
    let (status, body) = post(&api, "/api/v1/admin/tsdb/delete_series", "match[]=up").await;
    assert_eq!((status, &body["errorType"]), (500, &json!("unavailable")));
    // Grafana asks this to find out whether rules can be edited.
    let (status, body) = get(&api, "/api/v1/rules/test/test").await;
    assert_eq!((status, body.as_str()), (404, Some("404 page not found\n")));
    for path in [
        "rules",
        "alerts",
        "targets",
        "scrape_pools",
        "alertmanagers",
        "features",
        "status/tsdb",
        "status/flags",
        "status/config",
        "status/walreplay",
        "notifications",
        "targets/metadata",
    ] {
        let (status, body) = get(&api, &format!("/api/v1/{path}")).await;
        assert_eq!((status, &body["status"]), (200, &json!("success")), "{path}: {body}");
    }
    let (status, body) = get(&api, "/federate?match[]=queue_depth").await;
    assert_eq!(status, 200);
    assert!(
        body.as_str()
            .is_some_and(|page| page.starts_with("# TYPE queue_depth untyped\nqueue_depth{")),
        "{body}"
    );
}

#[tokio::test]
async fn otlp_metrics_are_taken_as_prometheus_takes_them() {
    let folder = tempfile::tempdir().expect("temp dir");
    let api = api(folder.path());
    let mut w = write::Metrics::new();
    w.resource(|r| r.str("service.name", "till"));
    w.gauge("drawers", "", "", |p| p.double(NOW, 3.0, |_| ()));
    let body = Body::from(w.finish().bytes().to_vec());
    let request = Request::post("/api/v1/otlp/v1/metrics")
        .header("content-type", "application/x-protobuf")
        .body(body);
    assert_eq!(ask(&api, request.expect("request")).await.0, 200);
    let (_, body) = get(&api, "/api/v1/query?query=drawers").await;
    assert_eq!(body["data"]["result"][0]["metric"]["job"], "till");
}

#[tokio::test]
async fn logs_are_searched_page_by_page_and_followed() {
    let folder = tempfile::tempdir().expect("temp dir");
    let logs = |from: u64, to: u64| {
        let mut w = write::Logs::new();
        w.resource(|r| r.str("service.name", "shop"));
        for n in from..to {
            let body = format!("Order {n}");
            let log = write::Log {
                time: NOW + n,
                body: body.as_str().into(),
                severity_number: 9,
                ..Default::default()
            };
            w.log(&log, |a| a.int("n", n as i64));
        }
        w.finish()
    };
    let (router, api) = api_with(folder.path(), &[logs(0, 5)]);
    let (_, body) =
        get(&router, "/api/fg/v1/logs?service=shop&text=order&ignore_case=true&limit=3").await;
    let bodies = |body: &Value| -> Vec<String> {
        let logs = body["logs"].as_array().expect("logs").iter();
        logs.map(|log| log["body"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(bodies(&body), ["Order 4", "Order 3", "Order 2"]);
    let next = body["cursor"].as_str().expect("more");
    let (_, body) = get(&router, &format!("/api/fg/v1/logs?limit=3&cursor={next}")).await;
    assert_eq!(
        (bodies(&body), &body["cursor"]),
        (vec!["Order 1".to_owned(), "Order 0".to_owned()], &Value::Null)
    );
    let (_, body) =
        get(&router, "/api/fg/v1/logs?attribute=n:2&severity=INFO&direction=forward").await;
    assert_eq!(bodies(&body), ["Order 2"]);
    for wrong in ["cursor=1", "severity=loud", "trace_id=x", "direction=up", "label=a"] {
        assert_eq!(get(&router, &format!("/api/fg/v1/logs?{wrong}")).await.0, 400, "{wrong}");
    }

    let request = Request::get("/api/fg/v1/logs/tail?attribute=n:7").body(Body::empty());
    let answer = router.clone().oneshot(request.expect("request")).await.expect("infallible");
    (api.store)().expect("a store").ingest(&logs(6, 8), NOW);
    let mut body = answer.into_body();
    let frame = tokio::time::timeout(std::time::Duration::from_secs(10), body.frame()).await;
    let frame = frame.expect("in time").expect("a frame").expect("no error");
    let text = String::from_utf8(frame.into_data().expect("data").to_vec()).expect("UTF-8");
    assert!(text.starts_with("data: {") && text.contains("\"body\":\"Order 7\""), "{text}");
}
