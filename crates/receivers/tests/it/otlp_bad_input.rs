// SPDX-License-Identifier: Apache-2.0
//! Input that is wrong: each kind has a clear answer, and the receiver lives on.

use std::sync::Arc;

use basics::Kind;
use pipeline::{Inlets, Receiver};
use receivers::otlp::{Otlp, REQUEST_BYTES_MAX};

use crate::support::{Answer, Running, config, context, gzip, send, start};

/// A logs request of exactly `length` bytes: one record whose body fills it up.
fn body_of(length: usize) -> Vec<u8> {
    let sized = |text: usize| {
        let mut out = otlp_wire::write::Logs::new();
        let body = "x".repeat(text);
        let log = otlp_wire::write::Log { body: body.as_str().into(), ..Default::default() };
        out.log(&log, |_| {});
        out.finish().bytes().to_vec()
    };
    let mut text = length;
    loop {
        let body = sized(text);
        if body.len() == length {
            return body;
        }
        text -= body.len() - length;
    }
}

async fn post(running: &Running, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
    send("POST", running.http, "/v1/logs", headers, body).await
}

async fn still_works(running: &Running) {
    let body = testkit::otlp::logs(1).bytes().to_vec();
    let answer = post(running, &[("content-type", "application/x-protobuf")], body).await;
    assert_eq!(answer.status, 200);
    assert_eq!(running.context.host.budget().used(), 0);
}

#[tokio::test]
async fn wrong_bodies_are_refused_for_good_and_say_why() {
    let running = start(config("", "")).await;
    let good = testkit::otlp::logs(50).bytes().to_vec();
    let zipped = gzip(&good);
    let cases: [(&str, &str, &str, Vec<u8>, &str); 8] = [
        (
            "malformed protobuf",
            "application/x-protobuf",
            "",
            good[..good.len() - 3].to_vec(),
            "malformed otlp",
        ),
        (
            "truncated gzip",
            "application/x-protobuf",
            "gzip",
            zipped[..zipped.len() / 2].to_vec(),
            "not valid gzip",
        ),
        ("gzip of garbage", "application/x-protobuf", "gzip", gzip(b"garbage"), "malformed otlp"),
        ("plain sent as gzip", "application/x-protobuf", "gzip", good.clone(), "not valid gzip"),
        (
            "truncated zstd",
            "application/x-protobuf",
            "zstd",
            zstd::stream::encode_all(&good[..], 1).expect("in memory")[..40].to_vec(),
            "not valid zstd",
        ),
        (
            "json with a wrong type",
            "application/json",
            "",
            br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":{}}]}]}]}"#.to_vec(),
            "",
        ),
        (
            "json with a wrong id",
            "application/json",
            "",
            br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"traceId":"5B8A"}]}]}]}"#.to_vec(),
            "",
        ),
        ("json that is a list", "application/json", "", b"[]".to_vec(), ""),
    ];
    for (what, kind, encoding, body, says) in cases {
        let headers = [("content-type", kind), ("content-encoding", encoding)];
        let answer = post(&running, &headers, body).await;
        assert_eq!(answer.status, 400, "{what}");
        let text = String::from_utf8_lossy(&answer.body);
        assert!(text.contains(says), "{what}: {text}");
    }
    assert!(running.capture.batches.lock().is_empty());
    still_works(&running).await;
}

#[tokio::test]
async fn a_bomb_of_100_to_1_stops_at_the_limit() {
    let running = start(config("", r#","max_request_body_size":131072"#)).await;
    let bomb = vec![0u8; 16 << 20];
    for (encoding, body) in [
        ("gzip", gzip(&bomb)),
        ("zstd", zstd::stream::encode_all(&bomb[..], 1).expect("in memory")),
    ] {
        assert!(body.len() < 131_072, "the compressed body is within the limit");
        let headers = [("content-type", "application/x-protobuf"), ("content-encoding", encoding)];
        let answer = post(&running, &headers, body).await;
        assert_eq!(answer.status, 400);
        assert!(String::from_utf8_lossy(&answer.body).contains("larger than the limit of 131072"));
    }
    still_works(&running).await;
}

#[tokio::test]
async fn the_default_limit_takes_64_mib_and_not_a_byte_more() {
    let running = start(config("", "")).await;
    let headers = [("content-type", "application/x-protobuf")];
    let answer = post(&running, &headers, body_of(REQUEST_BYTES_MAX)).await;
    assert_eq!(answer.status, 200);
    let answer = post(&running, &headers, body_of(REQUEST_BYTES_MAX + 1)).await;
    assert_eq!(answer.status, 400);
    let text = String::from_utf8_lossy(&answer.body);
    assert!(text.contains("larger than the limit of 67108864 bytes"), "{text}");
    running.capture.batches.lock().clear();
    still_works(&running).await;
}

#[tokio::test]
async fn a_port_in_use_is_said_with_its_address() {
    let running = start(config("", "")).await;
    let mut taken = config("", "");
    let address = running.http.to_string();
    if let Some(http) = &mut taken.protocols.http {
        http.server.endpoint = Some(address.clone());
    }
    let second = Otlp::new(Arc::new(taken), context(), Inlets::default());
    let error = second.start().await.expect_err("the port is taken");
    assert_eq!(error.kind(), Kind::Invalid);
    let text = error.to_string();
    assert!(text.contains(&address) && text.contains("port in use"), "{text}");
}

#[tokio::test]
async fn signals_without_a_pipeline_are_not_served() {
    let receiver = Otlp::new(Arc::new(config("", "")), context(), Inlets::default());
    receiver.start().await.expect("free ports");
    let headers = [("content-type", "application/json")];
    let answer = send("POST", receiver.addresses()[1], "/v1/logs", &headers, "{}").await;
    assert_eq!(answer.status, 404);
    receiver.stop().await.expect("stops");
}
