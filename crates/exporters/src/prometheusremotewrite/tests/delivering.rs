// SPDX-License-Identifier: Apache-2.0
//! Requests on their way: order across retries, lanes, series that a peer refuses.

use std::collections::HashMap;

use basics::Clock;
use otlp_wire::{Signal, Temporality};
use pipeline::Exporter;
use pipeline::testing::{batch, context, eventually, watched};
use testkit::backend::{Backend, Fault};
use testkit::remote_write::check_order;

use super::*;

fn exporter(backend: &Backend, rest: &str) -> (pipeline::Context, crate::delivery::Delivery) {
    let context = context("remote", Signal::Metrics, &Clock::system());
    let json = format!(
        r#"{{"http":{{"endpoint":"{}/api/v1/write"}},
            "retry_on_failure":{{"initial_interval":"1ms","max_interval":"5ms"}}{rest}}}"#,
        backend.url()
    );
    let exporter = super::super::build(&config(&json), &context).expect("builds");
    (context, exporter)
}

/// `series` gauges, each with `points` points of one second each from `from` on.
fn gauges(series: i64, points: u64, from: u64) -> Payload {
    payload(|out| {
        out.gauge("g", "", "", |p| {
            for at in 0..points {
                for number in 0..series {
                    let time = T + (from + at) * 1_000_000_000;
                    p.double(time, at as f64, |attrs| attrs.int("s", number));
                }
            }
        });
    })
}

fn carrying(payload: Payload) -> pipeline::Batch {
    let mut batch = batch(1);
    batch.payload = payload;
    batch
}

fn told(context: &pipeline::Context, name: &str) -> f64 {
    let name = format!("otelcol_exporter_prometheusremotewrite_{name}");
    context.host.telemetry().series(&name).iter().map(|(_, value)| value).sum()
}

async fn accepted(backend: &Backend) -> Vec<WriteRequest> {
    backend.accepted().iter().map(|received| WriteRequest::read(&received.body)).collect()
}

#[tokio::test]
async fn a_series_stays_in_order_across_lanes_and_retries_and_nothing_comes_twice() {
    let backend = Backend::start().await;
    let (_, exporter) = exporter(&backend, r#","max_batch_size_bytes":20000"#);
    exporter.start().await.expect("starts");
    let later = Fault::Http { status: 503, retry_after: None };
    let fine = Fault::Body(b"");
    let script = [&fine, &later, &fine, &fine, &Fault::Reset, &fine, &later, &later, &fine, &fine];
    backend.fail(script.into_iter().cloned());
    let mut answers = Vec::new();
    for round in 0..4 {
        let (batch, answer) = watched(carrying(gauges(40, 50, round * 50)));
        exporter.export(batch).await.expect("room");
        answers.push(answer);
    }
    eventually("all are answered", || answers.iter().all(|a| a.get().is_some())).await;
    exporter.stop().await.expect("stops");
    assert!(answers.iter().all(|answer| answer.get().is_some_and(|a| a.is_ok())));
    let requests = accepted(&backend).await;
    check_order(&requests);
    let mut seen: HashMap<(String, i64), u32> = HashMap::new();
    for (series, _, time) in requests.iter().flat_map(|request| request.samples()) {
        *seen.entry((series, time)).or_default() += 1;
    }
    let gauges = seen.iter().filter(|((series, _), _)| series.starts_with("g{")).count();
    assert_eq!(gauges, 4 * 50 * 40);
    assert!(seen.values().all(|times| *times == 1), "sent again although it had been taken");
}

#[tokio::test]
async fn one_bad_series_costs_itself_only() {
    let backend = Backend::start().await;
    let rest = r#","remote_write_queue":{"enabled":false},"target_info":{"enabled":false}"#;
    let (context, exporter) = exporter(&backend, rest);
    let (bad, fine) = (Fault::Http { status: 400, retry_after: None }, Fault::Body(b""));
    // Of eight: all, first four, last four, of them two, two, and of those the first one.
    let script = [&bad, &fine, &bad, &fine, &bad, &bad, &fine];
    backend.fail(script.into_iter().cloned());
    exporter.export(carrying(gauges(8, 1, 0))).await.expect("the others are delivered");
    let arrived: Vec<usize> = backend
        .received()
        .iter()
        .map(|received| WriteRequest::read(&received.body).timeseries.len())
        .collect();
    assert_eq!(arrived, [8, 4, 4, 2, 2, 1, 1]);
    let delivered: usize = accepted(&backend).await.iter().map(|r| r.samples().len()).sum();
    assert_eq!((delivered, told(&context, "rejected_samples")), (7, 1.0));
}

#[tokio::test]
async fn a_peer_that_refuses_everything_is_not_asked_for_ever() {
    let backend = Backend::start().await;
    let rest = r#","remote_write_queue":{"enabled":false},"target_info":{"enabled":false}"#;
    let (context, exporter) = exporter(&backend, rest);
    backend.fail((0..5000).map(|_| Fault::Http { status: 400, retry_after: None }));
    exporter.export(carrying(gauges(500, 1, 0))).await.expect("settled");
    assert_eq!(told(&context, "rejected_samples"), 500.0);
    let asked = backend.received().len();
    assert!((65..=130).contains(&asked), "{asked}");
}

#[tokio::test]
async fn other_refusals_end_the_batch() {
    for status in [401, 404] {
        let backend = Backend::start().await;
        let (_, exporter) = exporter(&backend, r#","remote_write_queue":{"enabled":false}"#);
        backend.fail([Fault::Http { status, retry_after: None }]);
        let error = exporter.export(carrying(gauges(8, 1, 0))).await.expect_err("final");
        assert!(error.message().contains(&status.to_string()), "{error}");
        assert_eq!(backend.received().len(), 1);
    }
}

#[tokio::test]
async fn too_many_requests_and_server_errors_are_tried_again() {
    for status in [429, 500, 503] {
        let backend = Backend::start().await;
        let (_, exporter) = exporter(&backend, r#","remote_write_queue":{"enabled":false}"#);
        backend.fail([Fault::Http { status, retry_after: None }]);
        exporter.export(carrying(gauges(8, 1, 0))).await.expect("delivered");
        assert_eq!(backend.received().len(), 2, "{status}");
    }
}

#[tokio::test]
async fn headers_name_the_version() {
    for (message, kind, version) in [
        ("prometheus.WriteRequest", "application/x-protobuf", "0.1.0"),
        (
            "io.prometheus.write.v2.Request",
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            "2.0.0",
        ),
    ] {
        let backend = Backend::start().await;
        let rest =
            format!(r#","protobuf_message":"{message}","remote_write_queue":{{"enabled":false}}"#);
        let (_, exporter) = exporter(&backend, &rest);
        exporter.export(carrying(gauges(1, 1, 0))).await.expect("delivered");
        let received = backend.received().remove(0);
        let header = |name: &str| received.headers[name].to_str().unwrap_or_default().to_owned();
        assert_eq!(header("content-type"), kind);
        assert_eq!(header("content-encoding"), "snappy");
        assert_eq!(header("x-prometheus-remote-write-version"), version);
        assert_eq!(received.path, "/api/v1/write");
    }
}

#[test]
fn a_batch_that_is_not_in_order_is_put_in_order() {
    let payload = payload(|out| {
        out.sum("c", "", "", Temporality::Cumulative, true, |p| {
            for at in [5, 3, 9, 1] {
                p.int(T + at * 1_000_000_000, at as i64, |_| {});
            }
        });
    });
    let requests = encode(&config("{}"), &payload);
    check_order(&requests);
    assert_eq!(requests[0].samples().len(), 5);
}

#[tokio::test]
async fn with_a_wal_what_was_taken_is_sent_by_the_next_process() {
    let folder = tempfile::tempdir().expect("temp dir");
    let wal = format!(r#","wal":{{"directory":{:?},"buffer_size":100}}"#, folder.path());
    let backend = Backend::start().await;
    let address = backend.address();
    backend.stop().await;
    let json = format!(
        r#"{{"http":{{"endpoint":"http://{address}/api/v1/write"}},
            "retry_on_failure":{{"initial_interval":"1ms","max_interval":"5ms"}}{wal}}}"#
    );
    let life = || {
        let context = context("remote", Signal::Metrics, &Clock::system());
        super::super::build(&config(&json), &context).expect("builds")
    };
    let first = life();
    first.start().await.expect("starts");
    for from in 0..3 {
        let (batch, answer) = watched(carrying(gauges(2, 1, from)));
        first.export(batch).await.expect("taken");
        assert!(matches!(answer.get(), Some(Ok(_))), "answered when it is on the disk");
    }
    first.stop().await.expect("stops");
    drop(first);
    let backend = Backend::start_on(address).await;
    let second = life();
    second.start().await.expect("starts");
    let received = backend.wait_for(3).await;
    let requests: Vec<_> = received.iter().map(|one| WriteRequest::read(&one.body)).collect();
    check_order(&requests);
    second.stop().await.expect("stops");
}
