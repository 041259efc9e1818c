// SPDX-License-Identifier: Apache-2.0
//! What every network exporter must do, over each kind and each way a back end can fail.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use otlp_wire::Signal;
use pipeline::testing::{batch, contract, eventually, watched};
use serde_json::json;
use testkit::{Backend, Fault};

use crate::support::{KINDS, exporter};

/// An address nobody listens on.
fn nowhere() -> SocketAddr {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    socket.local_addr().expect("bound")
}

#[tokio::test]
async fn what_a_healthy_peer_takes_is_answered_with_success() {
    for kind in KINDS {
        let backend = Backend::start().await;
        contract::exporter_delivers(exporter(kind, backend.address(), json!({})), Signal::Metrics)
            .await;
        assert_eq!(backend.accepted().len(), 5, "{kind}");
    }
}

#[tokio::test]
async fn a_peer_that_is_not_there_is_given_up() {
    for kind in KINDS {
        let given_up = exporter(kind, nowhere(), json!({"retry_on_failure": {"enabled": false}}));
        contract::exporter_gives_up(given_up, Signal::Metrics).await;
        contract::exporter_gives_up(exporter(kind, nowhere(), json!({})), Signal::Metrics).await;
    }
}

#[tokio::test]
async fn failures_that_pass_cost_nothing() {
    for kind in KINDS {
        let grpc = kind == "otlp";
        let mut faults = vec![Fault::Reset];
        match grpc {
            true => faults.extend([
                Fault::Grpc { code: 14, retry_after: None },
                Fault::Grpc { code: 8, retry_after: Some(1) },
            ]),
            false => faults.extend([
                Fault::Http { status: 503, retry_after: None },
                Fault::Http { status: 429, retry_after: Some("1") },
                Fault::Http { status: 502, retry_after: None },
            ]),
        }
        let attempts = faults.len() + 1;
        let backend = Backend::start().await;
        backend.fail(faults);
        let exporter = exporter(kind, backend.address(), json!({}));
        exporter.start().await.expect("starts");
        let begun = Instant::now();
        let (batch, answer) = watched(batch(3));
        exporter.export(batch).await.expect("queued");
        backend.wait_for(1).await;
        eventually("the batch is answered", || answer.get().is_some()).await;
        assert!(matches!(answer.get(), Some(Ok(()))), "{kind}: {:?}", answer.get());
        assert!(begun.elapsed() >= Duration::from_secs(1), "{kind}: the named wait is honoured");
        assert_eq!(backend.received().len(), attempts, "{kind}");
        exporter.stop().await.expect("stops");
    }
}

#[tokio::test]
async fn refusals_for_good_are_not_tried_again() {
    // Remote write looks for the series that is to blame and sends the others.
    for kind in KINDS.into_iter().filter(|kind| *kind != "prometheusremotewrite") {
        let fault = match kind {
            // Without RetryInfo it must not be retried.
            "otlp" => Fault::Grpc { code: 8, retry_after: None },
            _ => Fault::Http { status: 400, retry_after: None },
        };
        let backend = Backend::start().await;
        backend.fail([fault]);
        contract::exporter_gives_up(exporter(kind, backend.address(), json!({})), Signal::Metrics)
            .await;
        assert_eq!(backend.received().len(), 1, "{kind}");
    }
}

#[tokio::test]
async fn partial_success_is_success() {
    for kind in KINDS.into_iter().filter(|kind| *kind != "prometheusremotewrite") {
        let backend = Backend::start().await;
        backend.fail([Fault::Partial { rejected: 2, message: "too old" }]);
        let exporter =
            exporter(kind, backend.address(), json!({"sending_queue": {"enabled": false}}));
        let (batch, answer) = watched(batch(3));
        exporter.export(batch).await.expect("delivered");
        let told = answer.delivered().expect("answered").expect("delivered");
        assert_eq!(told.rejected, 2, "{kind}: whoever waits hears it");
        assert!(told.message.contains("too old"), "{kind}: {told:?}");
        assert_eq!(backend.received().len(), 1, "{kind}: not sent again");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_answer_in_time_is_asked_again() {
    for kind in KINDS {
        let backend = Backend::start().await;
        backend.fail([Fault::Slow(Duration::from_secs(600))]);
        // Where the timeout stands among the client's keys.
        let target = match kind {
            "otlp" => exporter(kind, backend.address(), json!({"timeout": "100ms"})),
            _ => slow_http(kind, backend.address()),
        };
        target.start().await.expect("starts");
        let (batch, answer) = watched(batch(3));
        target.export(batch).await.expect("queued");
        eventually("the batch is answered", || answer.get().is_some()).await;
        assert!(matches!(answer.get(), Some(Ok(()))), "{kind}: {:?}", answer.get());
        target.stop().await.expect("stops");
    }
}

fn slow_http(kind: &str, to: SocketAddr) -> std::sync::Arc<dyn pipeline::Exporter> {
    let path = if kind == "prometheusremotewrite" { "/api/v1/write" } else { "" };
    let client = json!({"endpoint": format!("http://{to}{path}"), "timeout": "100ms"});
    let mut more = json!({"..client": client});
    if kind.ends_with("json") {
        more["encoding"] = json!("json");
    }
    exporter(kind, to, more)
}

#[tokio::test]
async fn a_peer_that_restarted_is_no_failure() {
    for kind in KINDS {
        let backend = Backend::start().await;
        let address = backend.address();
        let exporter = exporter(kind, address, json!({}));
        exporter.start().await.expect("starts");
        exporter.export(batch(1)).await.expect("queued");
        backend.wait_for(1).await;
        backend.stop().await;
        let backend = Backend::start_on(address).await;
        let (batch, answer) = watched(batch(2));
        exporter.export(batch).await.expect("queued");
        backend.wait_for(1).await;
        exporter.stop().await.expect("stops");
        assert!(matches!(answer.get(), Some(Ok(()))), "{kind}: {:?}", answer.get());
    }
}
