// SPDX-License-Identifier: Apache-2.0
//! Spans to Jaeger over both of its protocols: requests as a receiver expects them, and failures.

use std::net::SocketAddr;
use std::sync::Arc;

use otlp_wire::{Payload, Signal};
use pipeline::testing::contract;
use pipeline::{Batch, Exporter};
use prost::Message;
use serde_json::{Value, json};
use testkit::jaeger::{self, PostSpansRequest};
use testkit::{Backend, Fault};

use crate::support::{config, context, quick_retry};

const KINDS: [&str; 2] = ["jaeger", "jaeger_thrift"];

fn exporter(kind: &str, to: SocketAddr, more: Value) -> Arc<dyn Exporter> {
    let context = context(Signal::Traces, &std::env::temp_dir());
    let mut keys = json!({"retry_on_failure": quick_retry()});
    let mut client = json!({"endpoint": to.to_string(), "tls": {"insecure": true}});
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        match key.as_str() {
            "compression" => client[key] = value,
            _ => keys[key] = value,
        }
    }
    match kind {
        "jaeger" => {
            Arc::new(exporters::jaeger::build(&config(client, keys), &context).expect("valid"))
        }
        _ => {
            client["endpoint"] = json!(format!("http://{to}/api/traces"));
            let built = exporters::jaeger_thrift::build(&config(client, keys), &context);
            Arc::new(built.expect("valid"))
        }
    }
}

fn read(kind: &str, body: &[u8]) -> jaeger::Batch {
    match kind {
        "jaeger" => PostSpansRequest::decode(body).expect("a request").batch.expect("a batch"),
        _ => jaeger::thrift_batch(body),
    }
}

#[tokio::test]
async fn each_resource_is_a_request_where_jaeger_listens() {
    let two = Payload::concat(&[testkit::otlp::traces(3), testkit::otlp::traces(2)]);
    for kind in KINDS {
        for compression in ["none", "gzip"] {
            let backend = Backend::start().await;
            let keys = json!({"sending_queue": {"enabled": false}, "compression": compression});
            let exporter = exporter(kind, backend.address(), keys);
            exporter.export(Batch::new(two.clone(), Arc::default())).await.expect("delivered");
            let received = backend.received();
            let spans: Vec<usize> =
                received.iter().map(|got| read(kind, &got.body).spans.len()).collect();
            assert_eq!(spans, [3, 2], "{kind} {compression}");
            let (path, content) = match kind {
                "jaeger" => ("/jaeger.api_v2.CollectorService/PostSpans", "application/grpc"),
                _ => ("/api/traces", "application/x-thrift"),
            };
            assert_eq!(received[0].path, path);
            assert_eq!(received[0].headers["content-type"], content);
            let batch = read(kind, &received[0].body);
            assert_eq!(batch.process.expect("a process").service_name, "shop");
        }
    }
}

#[tokio::test]
async fn it_does_what_every_exporter_does() {
    for kind in KINDS {
        let backend = Backend::start().await;
        let good = exporter(kind, backend.address(), json!({}));
        contract::exporter_delivers(good, Signal::Traces).await;
        assert_eq!(backend.accepted().len(), 5, "{kind}");
        let fault = match kind {
            "jaeger" => Fault::Grpc { code: 3, retry_after: None },
            _ => Fault::Http { status: 400, retry_after: None },
        };
        let backend = Backend::start().await;
        backend.fail([fault]);
        let refused = exporter(kind, backend.address(), json!({}));
        contract::exporter_gives_up(refused, Signal::Traces).await;
        assert_eq!(backend.received().len(), 1, "{kind}: not tried again");
    }
}

#[tokio::test]
async fn failures_that_pass_cost_nothing() {
    for kind in KINDS {
        let backend = Backend::start().await;
        backend.fail(match kind {
            "jaeger" => vec![Fault::Reset, Fault::Grpc { code: 14, retry_after: None }],
            // Jaeger's answer while its queue is full.
            _ => vec![Fault::Reset, Fault::Http { status: 500, retry_after: None }],
        });
        let keys = json!({"sending_queue": {"enabled": false}});
        let exporter = exporter(kind, backend.address(), keys);
        let batch = Batch::new(testkit::otlp::traces(4), Arc::default());
        exporter.export(batch).await.expect("delivered in the end");
        let accepted = backend.accepted();
        assert_eq!((accepted.len(), read(kind, &accepted[0].body).spans.len()), (1, 4), "{kind}");
    }
}

#[tokio::test]
async fn what_was_sent_before_a_failure_is_not_sent_again() {
    let three = [2, 3, 4].map(testkit::otlp::traces);
    for kind in KINDS {
        let backend = Backend::start().await;
        let again = match kind {
            "jaeger" => Fault::Grpc { code: 14, retry_after: None },
            _ => Fault::Http { status: 503, retry_after: None },
        };
        // The first resource gets there, the second only later.
        backend.fail([Fault::Slow(std::time::Duration::ZERO), again]);
        let keys = json!({"sending_queue": {"enabled": false}});
        let exporter = exporter(kind, backend.address(), keys);
        let batch = Batch::new(Payload::concat(&three), Arc::default());
        exporter.export(batch).await.expect("delivered in the end");
        let spans: Vec<usize> =
            backend.accepted().iter().map(|got| read(kind, &got.body).spans.len()).collect();
        assert_eq!(spans, [2, 3, 4], "{kind}");
    }
}
