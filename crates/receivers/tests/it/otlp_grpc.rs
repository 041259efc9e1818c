// SPDX-License-Identifier: Apache-2.0
//! OTLP/gRPC against the generated client of another library.

use basics::{Error, Kind};
use otlp_wire::{Payload, Signal};
use pipeline::{Delivered, Encoding, Receiver};
use prost::Message;
use testkit::proto::collector::logs::v1::ExportLogsServiceRequest;
use testkit::proto::collector::logs::v1::logs_service_client::LogsServiceClient;
use testkit::proto::collector::metrics::v1::ExportMetricsServiceRequest;
use testkit::proto::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use testkit::proto::collector::trace::v1::ExportTraceServiceRequest;
use testkit::proto::collector::trace::v1::trace_service_client::TraceServiceClient;
use testkit::tonic::codec::CompressionEncoding;
use testkit::tonic::transport::Channel;
use testkit::tonic::{Code, Status};

use crate::support::{Running, config, start};

async fn channel(running: &Running) -> Channel {
    let url = format!("http://{}", running.grpc);
    Channel::from_shared(url).expect("a url").connect().await.expect("connected")
}

/// Exports `payload` and gives what the peer answered.
async fn export(
    running: &Running,
    payload: &Payload,
    compression: Option<CompressionEncoding>,
) -> Result<(), Status> {
    let channel = channel(running).await;
    macro_rules! call {
        ($client:ident, $request:ty) => {{
            let mut client = $client::new(channel).max_encoding_message_size(usize::MAX);
            if let Some(encoding) = compression {
                client = client.send_compressed(encoding);
            }
            client
                .export(<$request>::decode(payload.bytes().clone()).expect("valid"))
                .await
                .map(|_| ())
        }};
    }
    match payload.signal() {
        Signal::Traces => call!(TraceServiceClient, ExportTraceServiceRequest),
        Signal::Metrics => call!(MetricsServiceClient, ExportMetricsServiceRequest),
        Signal::Logs => call!(LogsServiceClient, ExportLogsServiceRequest),
    }
}

#[tokio::test]
async fn what_was_rejected_for_good_is_a_partial_success() {
    let running = start(config("", "")).await;
    *running.capture.verdict.lock() = Delivered { rejected: 2, message: "too old".to_owned() };
    let payload = testkit::otlp::payload(Signal::Metrics, 5);
    let request = ExportMetricsServiceRequest::decode(payload.bytes().clone()).expect("valid");
    let mut client = MetricsServiceClient::new(channel(&running).await);
    let answer = client.export(request).await.expect("taken").into_inner();
    let partial = answer.partial_success.expect("partial success");
    assert_eq!((partial.rejected_data_points, &*partial.error_message), (2, "too old"));
    running.receiver.stop().await.expect("stops");
}

#[tokio::test]
async fn every_signal_arrives_unchanged_in_every_compression() {
    let running = start(config("", "")).await;
    for signal in Signal::ALL {
        let payload = testkit::otlp::payload(signal, 300);
        for compression in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)]
        {
            export(&running, &payload, compression).await.expect("taken");
            let batch = running.capture.batches.lock().pop().expect("one batch");
            assert_eq!(batch.payload.signal(), signal);
            assert_eq!(batch.items(), 300);
            assert_eq!(batch.payload.bytes(), payload.bytes());
            let encoding = batch.encoded.map(|encoded| encoded.encoding);
            let expected = match compression {
                None => None,
                Some(CompressionEncoding::Zstd) => Some(Encoding::Zstd),
                Some(_) => Some(Encoding::Gzip),
            };
            assert_eq!(encoding, expected, "the body as received is kept");
        }
    }
    let telemetry = running.context.host.telemetry();
    let labels = [("receiver", "otlp"), ("transport", "grpc")];
    assert_eq!(telemetry.value("otelcol_receiver_accepted_spans", &labels), Some(900.0));
    assert_eq!(running.context.host.budget().used(), 0, "nothing is held when all is settled");
    running.receiver.stop().await.expect("stops");
}

#[tokio::test]
async fn errors_of_the_pipeline_become_the_status_a_client_acts_on() {
    let running = start(config("", "")).await;
    let after = Some(std::time::Duration::from_secs(7));
    for (error, code) in [
        (Error::overloaded("full"), Code::Unavailable),
        (Error::new(Kind::Retry { after }, "later"), Code::Unavailable),
        (Error::rejected("no"), Code::Internal),
        (Error::invalid("100 % wrong: \u{e9}"), Code::InvalidArgument),
    ] {
        *running.capture.refuse.lock() = Some(error.clone());
        let status = export(&running, &testkit::otlp::traces(1), None).await.expect_err("refused");
        assert_eq!((status.code(), status.message()), (code, error.message()));
        let told = status.details().windows(9).any(|bytes| bytes == b"RetryInfo");
        assert_eq!(told, matches!(error.kind(), Kind::Retry { after: Some(_) } | Kind::Overloaded));
    }
}

#[tokio::test]
async fn an_empty_request_succeeds_without_the_pipeline() {
    let running = start(config("", "")).await;
    *running.capture.refuse.lock() = Some(Error::rejected("nobody should ask"));
    export(&running, &Payload::empty(Signal::Logs), None).await.expect("taken");
}

#[tokio::test]
async fn a_message_over_the_limit_is_resource_exhausted_compressed_or_not() {
    let running = start(config(r#","max_recv_msg_size_mib":1"#, "")).await;
    let payload = testkit::otlp::traces(20_000);
    assert!(payload.len() > 1 << 20);
    for compression in [None, Some(CompressionEncoding::Gzip), Some(CompressionEncoding::Zstd)] {
        let status = export(&running, &payload, compression).await.expect_err("refused");
        assert_eq!(status.code(), Code::ResourceExhausted, "{compression:?}: {status:?}");
    }
    assert!(running.capture.batches.lock().is_empty());
}

#[tokio::test]
async fn a_large_message_arrives_and_calls_run_side_by_side() {
    let running = start(config("", "")).await;
    let payload = testkit::otlp::traces(20_000);
    let calls = (0..8).map(|_| export(&running, &payload, Some(CompressionEncoding::Zstd)));
    for outcome in futures::future::join_all(calls).await {
        outcome.expect("taken");
    }
    assert_eq!(running.capture.batches.lock().len(), 8);
}
