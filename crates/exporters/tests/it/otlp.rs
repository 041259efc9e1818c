// SPDX-License-Identifier: Apache-2.0
//! OTLP out: what arrives is what was sent, also at a peer made by others.

use std::sync::Arc;

use bytes::Bytes;
use otlp_wire::{Payload, Signal};
use parking_lot::Mutex;
use pipeline::{Batch, Encoded, Encoding, Exporter, Meta};
use prost::Message;
use serde_json::json;
use testkit::Backend;
use testkit::proto::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use testkit::proto::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use testkit::tonic::codec::CompressionEncoding;
use testkit::tonic::transport::Server;
use testkit::tonic::transport::server::TcpIncoming;
use testkit::tonic::{Request, Response, Status};

use crate::support::{config, context};

/// A request and the header `x-token` it came with.
type Taken = (ExportTraceServiceRequest, Option<String>);

#[derive(Clone, Default)]
struct Peer(Arc<Mutex<Vec<Taken>>>);

#[async_trait::async_trait]
impl TraceService for Peer {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let token = request.metadata().get("x-token").and_then(|v| v.to_str().ok());
        let token = token.map(str::to_owned);
        self.0.lock().push((request.into_inner(), token));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test]
async fn a_grpc_server_of_others_takes_every_compression() {
    let peer = Peer::default();
    let incoming = TcpIncoming::bind("127.0.0.1:0".parse().expect("an address")).expect("bound");
    let address = incoming.local_addr().expect("bound");
    let service = TraceServiceServer::new(peer.clone())
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(64 << 20);
    let server = Server::builder().add_service(service).serve_with_incoming(incoming);
    let server = tokio::spawn(server);
    let payload = testkit::otlp::traces(5000);
    for compression in ["none", "gzip", "zstd"] {
        let client = json!({
            "endpoint": address.to_string(), "tls": {"insecure": true},
            "compression": compression, "headers": {"x-token": "t"},
        });
        let config = config(client, json!({"sending_queue": {"enabled": false}}));
        let context = context(Signal::Traces, &std::env::temp_dir());
        let exporter = exporters::otlp::build(&config, &context).expect("valid");
        exporter.export(Batch::new(payload.clone(), Arc::default())).await.expect("delivered");
        let (request, token) = peer.0.lock().pop().expect("one request");
        assert_eq!(request.encode_to_vec(), payload.bytes()[..], "{compression}");
        assert_eq!(token.as_deref(), Some("t"));
    }
    server.abort();
}

/// What arrives at an OTLP/HTTP peer for `batch`.
async fn sent(batch: Batch, keys: serde_json::Value, compression: &str) -> testkit::Received {
    let backend = Backend::start().await;
    let client = json!({"endpoint": backend.url(), "compression": compression});
    let mut more = json!({"sending_queue": {"enabled": false}});
    for (key, value) in keys.as_object().cloned().unwrap_or_default() {
        more[key] = value;
    }
    let context = context(batch.signal(), &std::env::temp_dir());
    let exporter = exporters::otlphttp::build(&config(client, more), &context).expect("valid");
    exporter.export(batch).await.expect("delivered");
    backend.received().pop().expect("one request")
}

fn batch(payload: Payload) -> Batch {
    Batch::new(payload, Arc::new(Meta::default()))
}

#[tokio::test]
async fn http_sends_each_signal_to_its_path_in_both_encodings() {
    for signal in Signal::ALL {
        let payload = testkit::otlp::payload(signal, 20);
        for compression in ["none", "gzip", "zstd", "snappy"] {
            let got = sent(batch(payload.clone()), json!({}), compression).await;
            assert_eq!(
                (got.path.as_str(), &got.body),
                (format!("/v1/{signal}").as_str(), payload.bytes())
            );
            assert_eq!(got.headers["content-type"], "application/x-protobuf");
        }
        let got = sent(batch(payload.clone()), json!({"encoding": "json"}), "gzip").await;
        assert_eq!(got.headers["content-type"], "application/json");
        let read = Payload::from_json(signal, &got.body).expect("valid");
        assert_eq!(read.items(), 20);
    }
    let own = json!({"traces_endpoint": "http://127.0.0.1:9/otlp/t"});
    let config = config(json!({"endpoint": "http://127.0.0.1:9"}), own);
    let context = context(Signal::Traces, &std::env::temp_dir());
    assert!(exporters::otlphttp::build(&config, &context).is_ok());
}

#[tokio::test]
async fn a_body_nobody_edited_goes_out_as_it_came() {
    let payload = testkit::otlp::logs(50);
    let level_9 = {
        let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
        let mut out = vec![0; compressor.gzip_compress_bound(payload.len())];
        let length = compressor.gzip_compress(payload.bytes(), &mut out).expect("fits its bound");
        out.truncate(length);
        Bytes::from(out)
    };
    let encoded = Encoded { encoding: Encoding::Gzip, bytes: level_9.clone() };
    let as_it_came = Batch { encoded: Some(encoded), ..batch(payload.clone()) };
    assert_eq!(sent(as_it_came.clone(), json!({}), "gzip").await.sent, level_9);
    let other = sent(as_it_came.clone(), json!({}), "zstd").await;
    assert_eq!(&other.body, payload.bytes());
    let edited = as_it_came.with_payload(testkit::otlp::logs(1));
    assert_eq!(&sent(edited, json!({}), "gzip").await.body, testkit::otlp::logs(1).bytes());
}

#[tokio::test]
async fn a_peer_without_tls_is_told_as_such() {
    let backend = Backend::start().await;
    let keys = json!({"sending_queue": {"enabled": false}, "retry_on_failure": {"enabled": false}});
    let config = config(json!({"endpoint": backend.address().to_string()}), keys);
    let context = context(Signal::Traces, &std::env::temp_dir());
    let exporter = exporters::otlp::build(&config, &context).expect("valid");
    let error = exporter.export(batch(testkit::otlp::traces(1))).await.expect_err("no TLS");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}
