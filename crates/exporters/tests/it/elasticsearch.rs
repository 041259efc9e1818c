// SPDX-License-Identifier: Apache-2.0
//! The bulk API end to end, against a server as strict as Elasticsearch.

use std::sync::Arc;

use otlp_wire::{Payload, Signal};
use pipeline::testing::{contract, watched};
use pipeline::{Batch, Exporter, Meta};
use serde_json::{Value, json};
use testkit::elasticsearch::{Elasticsearch, Json};

use crate::support::{config, context};

const MODES: [&str; 4] = ["otel", "ecs", "none", "raw"];

fn exporter(server: &Elasticsearch, signal: Signal, more: Value) -> Arc<dyn Exporter> {
    let mut client = json!({"endpoint": server.url()});
    let quick = json!({"initial_interval": "1ms", "max_interval": "5ms"});
    let mut keys = json!({"sending_queue": {"enabled": false}, "retry": quick});
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        match key.as_str() {
            "retry" => value.as_object().into_iter().flatten().for_each(|(name, value)| {
                keys["retry"][name] = value.clone();
            }),
            "endpoint" | "compression" | "timeout" => client[key] = value,
            _ => keys[key] = value,
        }
    }
    let context = context(signal, &std::env::temp_dir());
    let built = exporters::elasticsearch::build(&config(client, keys), &context);
    Arc::new(built.expect("valid"))
}

fn batch(payload: Payload) -> Batch {
    Batch::new(payload, Arc::default())
}

#[tokio::test]
async fn every_signal_is_taken_in_every_mode_it_has() {
    for signal in Signal::ALL {
        for mode in MODES {
            if signal == Signal::Metrics && ["none", "raw"].contains(&mode) {
                continue;
            }
            for compression in ["gzip", "none"] {
                let server = Elasticsearch::start().await;
                let keys = json!({"mapping": {"mode": mode}, "compression": compression});
                let exporter = exporter(&server, signal, keys);
                let payload = testkit::otlp::payload(signal, 50);
                exporter.export(batch(payload)).await.expect("delivered");
                let documents = server.documents();
                assert_eq!(documents.len(), 50, "{signal} {mode} {compression}");
                let index = &documents[0].index;
                let suffix = if mode == "otel" { ".otel" } else { "" };
                assert_eq!(*index, format!("{signal}-generic{suffix}-default"));
            }
        }
    }
}

#[tokio::test]
async fn requests_name_what_is_wanted_of_the_server() {
    let server = Elasticsearch::start().await;
    let keys = json!({
        "endpoint": server.url().replace("http://", "http://u:p@") + "/_bulk?refresh=true",
        "pipeline": "clean", "logs_index": "app",
    });
    exporter(&server, Signal::Logs, keys)
        .export(batch(testkit::otlp::logs(1)))
        .await
        .expect("delivered");
    let (path, headers, _) = server.requests().pop().expect("one");
    assert!(
        path.starts_with("/_bulk?filter_path=") && path.contains("&pipeline=clean&refresh=true"),
        "{path}"
    );
    assert_eq!(headers["content-type"], "application/x-ndjson");
    assert_eq!(headers["authorization"], "Basic dTpw");
    assert_eq!(server.documents()[0].index, "app");
    let keys = json!({"user": "a", "password": "b", "api_key": "k"});
    let with_key = exporter(&server, Signal::Logs, keys);
    with_key.export(batch(testkit::otlp::logs(1))).await.expect("delivered");
    assert_eq!(server.requests()[1].1["authorization"], "ApiKey k");
}

#[tokio::test]
async fn the_sender_may_name_the_mode() {
    let server = Elasticsearch::start().await;
    let headers = vec![("x-elastic-mapping-mode".to_owned(), "ecs".to_owned())];
    let meta = Arc::new(Meta { headers, ..Meta::default() });
    let exporter = exporter(&server, Signal::Logs, json!({}));
    exporter.export(Batch::new(testkit::otlp::logs(1), meta)).await.expect("delivered");
    assert_eq!(server.documents()[0].source.get("message").text(), "line 0");
}

/// Times each log record of `count` is there.
fn times(server: &Elasticsearch, count: usize) -> Vec<usize> {
    let mut times = vec![0; count];
    for document in server.documents() {
        if let Json::Int(at) = document.source.get("attributes").get("at") {
            times[*at as usize] += 1;
        }
    }
    times
}

#[tokio::test]
async fn documents_refused_for_now_are_sent_again_alone() {
    let server = Elasticsearch::start().await;
    server.fail_documents([201, 429, 201, 503, 201, 500]);
    let exporter = exporter(&server, Signal::Logs, json!({}));
    let (batch, answer) = watched(batch(testkit::otlp::logs(10)));
    exporter.export(batch).await.expect("delivered in the end");
    assert!(matches!(answer.get(), Some(Ok(()))));
    assert_eq!(times(&server, 10), [1; 10], "each once");
    let sizes: Vec<usize> = server.requests().iter().map(|(_, _, count)| *count).collect();
    assert_eq!(sizes, [10, 3]);
}

#[tokio::test]
async fn documents_refused_for_good_cost_nothing_else() {
    let server = Elasticsearch::start().await;
    server.fail_documents([400, 201, 409]);
    let exporter = exporter(&server, Signal::Logs, json!({}));
    exporter.export(batch(testkit::otlp::logs(5))).await.expect("the others are delivered");
    assert_eq!(times(&server, 5), [0, 1, 0, 1, 1]);
    assert_eq!(server.requests().len(), 1, "not tried again");
}

#[tokio::test]
async fn a_request_without_an_answer_to_live_with_is_sent_again() {
    let server = Elasticsearch::start().await;
    server.fail([429, 503, 502]);
    let exporter = exporter(&server, Signal::Logs, json!({}));
    exporter.export(batch(testkit::otlp::logs(5))).await.expect("delivered in the end");
    assert_eq!(times(&server, 5), [1; 5]);
}

#[tokio::test]
async fn attempts_end_when_the_configuration_says_so() {
    for (retry, attempts) in [
        (json!({"max_retries": 2}), 3),
        (json!({"max_requests": 2}), 2),
        (json!({"enabled": false}), 1),
    ] {
        let server = Elasticsearch::start().await;
        server.fail([503; 8]);
        let exporter = exporter(&server, Signal::Logs, json!({"retry": retry}));
        let error = exporter.export(batch(testkit::otlp::logs(5))).await.expect_err("given up");
        assert!(error.to_string().contains("503"), "{error}");
        server.fail([200; 8]);
        let left = 8 - attempts;
        // What is left of the ordered failures tells how many were used.
        let mut used = 0;
        while exporter.export(batch(testkit::otlp::logs(1))).await.is_err() {
            used += 1;
        }
        assert_eq!(used, left / attempts, "{retry}");
    }
    let server = Elasticsearch::start().await;
    server.fail([503]);
    let keys = json!({"retry": {"retry_on_status": [429]}});
    let exporter = exporter(&server, Signal::Logs, keys);
    exporter.export(batch(testkit::otlp::logs(5))).await.expect_err("not in the list");
}

#[tokio::test]
async fn refusals_of_the_whole_request_are_final() {
    for status in [400, 401, 403, 404] {
        let server = Elasticsearch::start().await;
        server.fail([status]);
        let exporter = exporter(&server, Signal::Logs, json!({}));
        let error = exporter.export(batch(testkit::otlp::logs(5))).await.expect_err("refused");
        assert!(!error.kind().is_retryable(), "{status}: {error}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_halved() {
    let server = Elasticsearch::start().await;
    server.limit(1500);
    let exporter = exporter(&server, Signal::Logs, json!({}));
    exporter.export(batch(testkit::otlp::logs(40))).await.expect("delivered");
    assert_eq!(times(&server, 40), [1; 40]);
    let server = Elasticsearch::start().await;
    server.limit(10);
    let error = crate::elasticsearch::exporter(&server, Signal::Logs, json!({}))
        .export(batch(testkit::otlp::logs(2)))
        .await
        .expect_err("not one of them fits");
    assert!(error.to_string().contains("larger than the server takes"), "{error}");
}

#[tokio::test]
async fn large_batches_are_cut_into_requests() {
    let server = Elasticsearch::start().await;
    let keys = json!({"flush": {"bytes": 10_000}, "compression": "none"});
    let exporter = exporter(&server, Signal::Logs, keys);
    exporter.export(batch(testkit::otlp::logs(1000))).await.expect("delivered");
    assert_eq!(times(&server, 1000), [1; 1000]);
    assert!(server.requests().len() > 20);
}

/// An address nobody listens on.
fn nowhere() -> std::net::SocketAddr {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("bound")
}

#[tokio::test]
async fn a_node_that_is_down_is_left_for_the_next() {
    let server = Elasticsearch::start().await;
    let nodes = json!([format!("http://{}", nowhere()), server.url()]);
    let keys = json!({"endpoint": "", "endpoints": nodes});
    let exporter = exporter(&server, Signal::Logs, keys);
    for _ in 0..4 {
        exporter.export(batch(testkit::otlp::logs(3))).await.expect("delivered");
    }
    assert_eq!(times(&server, 3), [4; 3]);
}

#[tokio::test]
async fn what_only_elasticsearch_knows_is_left_out_elsewhere() {
    for signal in Signal::ALL {
        let server = Elasticsearch::start().await;
        server.be_opensearch();
        let exporter = exporter(&server, signal, json!({}));
        for _ in 0..2 {
            let payload = testkit::otlp::payload(signal, 5);
            exporter.export(batch(payload)).await.expect("delivered");
        }
        assert_eq!(server.documents().len(), 10, "{signal}");
    }
}

#[tokio::test]
async fn it_does_what_every_exporter_does() {
    let server = Elasticsearch::start().await;
    let keys = json!({"sending_queue": null});
    contract::exporter_delivers(exporter(&server, Signal::Traces, keys.clone()), Signal::Traces)
        .await;
    assert_eq!(server.documents().len(), 15);
    server.fail([400]);
    contract::exporter_gives_up(exporter(&server, Signal::Logs, keys), Signal::Logs).await;
}
