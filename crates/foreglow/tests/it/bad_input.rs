// SPDX-License-Identifier: Apache-2.0
//! Wrong input of every kind gets a clear answer, and costs nothing else: after all of it the same
//! process takes good data.

use std::process::Command;

use crate::process::{Foreglow, get, post, wait_for};

const PROTO: (&str, &str) = ("Content-Type", "application/x-protobuf");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const GZIP: (&str, &str) = ("Content-Encoding", "gzip");

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::best());
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor.gzip_compress(bytes, &mut out).expect("bound is enough");
    out.truncate(length);
    out
}

struct Case {
    what: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Vec<u8>,
    status: u16,
    says: &'static str,
}

#[test]
fn bad_requests_get_a_clear_answer_and_good_ones_still_pass() {
    let folder = tempfile::tempdir().expect("temp dir");
    let server = Foreglow::start(folder.path());
    let truncated = {
        let mut body = gzip(&[7; 5000]);
        body.truncate(body.len() / 2);
        body
    };
    let cases = [
        Case {
            what: "malformed protobuf",
            path: "/v1/metrics",
            headers: vec![PROTO],
            body: vec![0x0a, 0xff, 0xff, 0x01],
            status: 400,
            says: "",
        },
        Case {
            what: "truncated gzip",
            path: "/v1/metrics",
            headers: vec![PROTO, GZIP],
            body: truncated,
            status: 400,
            says: "gzip",
        },
        Case {
            what: "a bomb that inflates beyond the limit",
            path: "/v1/traces",
            headers: vec![PROTO, GZIP],
            body: gzip(&vec![0; 80 << 20]),
            status: 400,
            says: "limit",
        },
        Case {
            what: "wrong content type",
            path: "/v1/logs",
            headers: vec![("Content-Type", "text/csv")],
            body: b"a,b".to_vec(),
            status: 415,
            says: "application/json, application/x-protobuf",
        },
        Case {
            what: "JSON of the wrong types",
            path: "/v1/traces",
            headers: vec![JSON],
            body: br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":{"no":1}}]}]}]}"#.to_vec(),
            status: 400,
            says: "expected a string",
        },
        Case {
            what: "JSON that is cut off",
            path: "/v1/traces",
            headers: vec![JSON],
            body: br#"{"resourceSpans":["#.to_vec(),
            status: 400,
            says: "",
        },
        Case {
            what: "a trace id of the wrong length",
            path: "/v1/traces",
            headers: vec![JSON],
            body: br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5B8A"}]}]}]}"#
                .to_vec(),
            status: 400,
            says: "id of the wrong length",
        },
        Case {
            what: "a path that is no signal",
            path: "/v1/nothing",
            headers: vec![PROTO],
            body: vec![],
            status: 404,
            says: "",
        },
    ];
    for case in &cases {
        let answer = post(server.http, case.path, &case.headers, &case.body).expect(case.what);
        assert_eq!(answer.status, case.status, "{}: {}", case.what, answer.body);
        assert!(answer.body.contains(case.says), "{}: {}", case.what, answer.body);
    }
    let answer = get(server.http, "/v1/traces").expect("an answer");
    assert_eq!(answer.status, 405);
    // One byte over the limit, told by Content-Length: refused before it is read.
    let head = format!(
        "POST /v1/metrics HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        (64 << 20) + 1
    );
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.http)).expect("connect");
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("write");
    let mut first = [0; 64];
    let length = std::io::Read::read(&mut stream, &mut first).expect("an answer");
    let first = String::from_utf8_lossy(&first[..length]);
    assert!(first.starts_with("HTTP/1.1 400") || first.starts_with("HTTP/1.1 413"), "{first}");

    let good = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"fine","gauge":{"dataPoints":[{"asDouble":1}]}}]}]}]}"#;
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let good = String::from_utf8_lossy(good)
        .replace("\"asDouble\"", &format!("\"timeUnixNano\":\"{}\",\"asDouble\"", now.as_nanos()));
    let answer = post(server.http, "/v1/metrics", &[JSON], good.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.body);
    wait_for("the good point", || (!server.query("fine").as_array()?.is_empty()).then_some(()));
}

fn validate(yaml: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, yaml).expect("write");
    let done = Command::new(env!("CARGO_BIN_EXE_foreglow"))
        .args(["validate", "--config"])
        .arg(&path)
        .output()
        .expect("the binary starts");
    (done.status.success(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn validate_tells_every_mistake_at_once_with_its_place() {
    let (ok, text) = validate(
        "receivers:
  otlp:
    protocols:
      grpcc: {endpoint: localhost:4317}
      http:
processors:
  batch: {timeout: 10 seconds}
exporters:
  debugg:
service:
  pipelines:
    traces: {receivers: [otlp], processors: [batch, resource], exporters: [debugg]}
",
    );
    assert!(!ok);
    for expected in
        ["config.yaml:4:7", "grpc", "config.yaml:7:20", "config.yaml:9:3", "debug", "resource"]
    {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}

#[test]
fn a_port_in_use_and_an_unwritable_folder_are_named() {
    let folder = tempfile::tempdir().expect("temp dir");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    let set = format!("--set=receivers.otlp.protocols.grpc.endpoint={address}");
    let (code, output) = Foreglow::launch(folder.path(), &[&set]).wait_for_end();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&address) && output.contains("in use"), "{output}");

    // A file where the folder should be: nobody, not even root, can write below it.
    let folder = tempfile::tempdir().expect("temp dir");
    std::fs::write(folder.path().join("data"), "").expect("write");
    let (code, output) = Foreglow::launch(folder.path(), &[]).wait_for_end();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("data"), "{output}");
}

#[test]
fn terminate_stops_in_order_and_the_next_start_finds_everything() {
    let folder = tempfile::tempdir().expect("temp dir");
    let server = Foreglow::start(folder.path());
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"kept","gauge":{{"dataPoints":[{{"timeUnixNano":"{}","asDouble":4}}]}}}}]}}]}}]}}"#,
        now.as_nanos()
    );
    let answer = post(server.http, "/v1/metrics", &[JSON], body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(server.terminate(), "SIGTERM ends with status 0");
    let server = Foreglow::start(folder.path());
    assert_eq!(server.query("kept")[0]["value"][1], "4");
}
