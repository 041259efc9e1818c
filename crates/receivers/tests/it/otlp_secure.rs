// SPDX-License-Identifier: Apache-2.0
//! OTLP over TLS and behind authenticators, and clients that mean no good: whoever may come in is
//! served, whoever may not is refused, and the others do not notice.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use net::connect::Connector;
use net::tls::{ClientSettings, ClientTls, Pem, Settings};
use pipeline::auth::{AuthData, Authenticator, Denied, ServerAuth};
use pipeline::config::from_yaml;
use pipeline::{Consumer, Inlets, Receiver};
use receivers::otlp::{Config, Otlp};
use testkit::pki::{Authority, Identity};

use crate::support::{Capture, Running, context};

/// A receiver on free ports with `keys` in both protocols, for logs.
async fn start(grpc: &str, http: &str) -> Running {
    let endpoint = "endpoint: '127.0.0.1:0'";
    let yaml = format!("protocols: {{grpc: {{{endpoint}{grpc}}}, http: {{{endpoint}{http}}}}}");
    let config: Config = from_yaml(&yaml).unwrap_or_else(|e| panic!("{e}"));
    let capture = Arc::new(Capture::default());
    let inlet: Arc<dyn Consumer> = capture.clone();
    let inlets = Inlets { logs: Some(inlet), ..Inlets::default() };
    let context = context();
    let known = Authenticator { server: Some(Arc::new(OnlyMe)), client: None };
    context.host.authenticators().set("me", known);
    let receiver = Otlp::new(Arc::new(config), context.clone(), inlets);
    receiver.start().await.expect("free ports");
    let addresses = receiver.addresses();
    Running { receiver, capture, context, grpc: addresses[0], http: addresses[1] }
}

/// Lets in who shows `Bearer me`.
struct OnlyMe;

#[async_trait]
impl ServerAuth for OnlyMe {
    async fn authenticate(&self, headers: &HeaderMap) -> Result<AuthData, Denied> {
        match headers.get("authorization").map(HeaderValue::as_bytes) {
            Some(b"Bearer me") => Ok(vec![("subject".to_owned(), "me".to_owned())]),
            _ => Err(Denied {
                message: "not me".to_owned(),
                challenge: HeaderValue::from_static("Bearer"),
            }),
        }
    }
}

fn text(pem: &str) -> Option<Pem> {
    Some(Pem::Text(pem.to_owned()))
}

fn trusting(ca: &Authority, own: Option<&Identity>) -> Option<ClientTls> {
    let shared = Settings {
        ca: text(ca.pem()),
        cert: own.and_then(|own| text(&own.cert)),
        key: own.and_then(|own| text(&own.key)),
        ..Settings::default()
    };
    let settings = ClientSettings { shared, ..ClientSettings::default() };
    Some(ClientTls::new(settings, &["h2", "http/1.1"]).expect("settings"))
}

/// One log record as protobuf.
fn body() -> Bytes {
    testkit::otlp::logs(1).bytes().clone()
}

/// The gRPC status of an export over a new connection.
async fn grpc(
    to: SocketAddr,
    tls: Option<ClientTls>,
    headers: &[(&'static str, &'static str)],
) -> Result<String, String> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).http2_only(true).build(Connector::new(tls));
    let mut framed = vec![0];
    framed.extend_from_slice(&(body().len() as u32).to_be_bytes());
    framed.extend_from_slice(&body());
    let path = "opentelemetry.proto.collector.logs.v1.LogsService/Export";
    let mut request = Request::post(format!("{scheme}://localhost:{}/{path}", to.port()))
        .version(Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(framed.into())).expect("a request");
    let answer = client.request(request).await.map_err(|e| format!("{e:?}"))?;
    let status = answer.headers().get("grpc-status").cloned();
    let collected = answer.into_body().collect().await.map_err(|e| format!("{e:?}"))?;
    let status = status.or_else(|| collected.trailers()?.get("grpc-status").cloned());
    Ok(status.and_then(|s| Some(s.to_str().ok()?.to_owned())).unwrap_or_default())
}

/// The HTTP status and headers of an export over a new connection.
async fn http(
    to: SocketAddr,
    tls: Option<ClientTls>,
    headers: &[(&'static str, &'static str)],
) -> Result<(u16, HeaderMap), String> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(Connector::new(tls));
    let mut request = Request::post(format!("{scheme}://localhost:{}/v1/logs", to.port()))
        .header("content-type", "application/x-protobuf");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body())).expect("a request");
    let answer = client.request(request).await.map_err(|e| format!("{e:?}"))?;
    Ok((answer.status().as_u16(), answer.headers().clone()))
}

fn tls_keys(folder: &Path, ca: &Authority, own: &Identity, more: &str) -> String {
    let (cert, key) = own.write(folder, "server");
    let client_ca = folder.join("clients.crt");
    std::fs::write(&client_ca, ca.pem()).expect("writes");
    let more = more.replace("CLIENTS", &client_ca.display().to_string());
    format!(", tls: {{cert_file: {}, key_file: {}{more}}}", cert.display(), key.display())
}

#[tokio::test]
async fn over_tls_both_protocols_take_whom_they_should() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let server = ours.issue(&["localhost"]);
    let keys = tls_keys(folder.path(), &ours, &server, "");
    let running = start(&keys, &keys).await;
    assert_eq!(grpc(running.grpc, trusting(&ours, None), &[]).await.as_deref(), Ok("0"));
    assert_eq!(http(running.http, trusting(&ours, None), &[]).await.expect("an answer").0, 200);
    assert_eq!(running.capture.batches.lock().len(), 2);
    for refused in [trusting(&theirs, None), None] {
        assert!(grpc(running.grpc, refused.clone(), &[]).await.is_err());
        let answer = http(running.http, refused, &[]).await;
        assert!(answer.is_err() || answer.is_ok_and(|(status, _)| status == 400));
    }

    let mutual = tls_keys(folder.path(), &ours, &server, ", client_ca_file: CLIENTS");
    let running = start(&mutual, &mutual).await;
    let known = ours.issue(&["client"]);
    for (own, is_taken) in [
        (Some(&known), true),
        (Some(&theirs.issue(&["client"])), false),
        (Some(&ours.issue_expired(&["client"])), false),
        (None, false),
    ] {
        let tls = trusting(&ours, own);
        assert_eq!(grpc(running.grpc, tls.clone(), &[]).await.is_ok(), is_taken);
        assert_eq!(http(running.http, tls, &[]).await.is_ok(), is_taken);
    }
    assert_eq!(running.capture.batches.lock().len(), 2);
}

#[tokio::test]
async fn an_authenticator_lets_in_or_refuses_with_what_to_show() {
    let keys = ", auth: {authenticator: me}";
    let running = start(keys, keys).await;
    let me: &[(&str, &str)] = &[("authorization", "Bearer me")];
    let you: &[(&str, &str)] = &[("authorization", "Bearer you")];
    assert_eq!(grpc(running.grpc, None, me).await.as_deref(), Ok("0"));
    for batch in running.capture.batches.lock().iter() {
        assert_eq!(batch.meta.auth, [("subject".to_owned(), "me".to_owned())]);
    }
    assert_eq!(http(running.http, None, me).await.expect("an answer").0, 200);
    for shown in [you, &[]] {
        assert_eq!(grpc(running.grpc, None, shown).await.as_deref(), Ok("16"));
        let (status, headers) = http(running.http, None, shown).await.expect("an answer");
        assert_eq!(
            (status, &headers["www-authenticate"]),
            (401, &HeaderValue::from_static("Bearer"))
        );
        assert_eq!(headers["content-type"], "application/x-protobuf");
    }
    assert_eq!(running.capture.batches.lock().len(), 2);
}

#[tokio::test]
async fn content_encodings_that_are_not_listed_are_refused() {
    let running = start("", ", compression_algorithms: ['', zstd]").await;
    for (name, expected) in [("", 200), ("gzip", 400), ("brotli", 400)] {
        let headers: &[(&str, &str)] = &[("content-encoding", name)];
        let headers = if name.is_empty() { &[] } else { headers };
        let (status, _) = http(running.http, None, headers).await.expect("an answer");
        assert_eq!(status, expected, "{name}");
    }
}

/// True if the server has ended the connection.
fn is_ended(stream: &mut std::net::TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => true,
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_loris_is_ended_and_a_client_that_waits_between_requests_is_not() {
    let running = start("", ", read_header_timeout: 300ms").await;
    let mut patient = std::net::TcpStream::connect(running.http).expect("connects");
    let request = "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    let answer = |stream: &mut std::net::TcpStream| {
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
        stream.write_all(request.as_bytes()).expect("sends");
        let mut buffer = [0; 4096];
        let length = stream.read(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..length]).starts_with("HTTP/1.1 200")
    };
    assert!(tokio::task::block_in_place(|| answer(&mut patient)));
    let mut slow = std::net::TcpStream::connect(running.http).expect("connects");
    slow.write_all(b"POST /v1/logs HTTP/1.1\r\nhost: ").expect("sends");
    assert!(tokio::task::block_in_place(|| is_ended(&mut slow)), "half a head is waited for");
    assert!(tokio::task::block_in_place(|| answer(&mut patient)), "the patient one lives");
}

/// HTTP/2 frames as an attacker writes them.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A client that begins a gRPC call and falls silent: after the head, or within the message.
fn stalls_in_a_call(address: SocketAddr, message: &[u8]) -> std::net::TcpStream {
    let path = b"/opentelemetry.proto.collector.logs.v1.LogsService/Export";
    // :method POST and :scheme http from HPACK's static table; :path, :authority, content-type by
    // their numbers there with a value each.
    let mut head = vec![0x83, 0x86, 0x04, path.len() as u8];
    head.extend_from_slice(path);
    head.extend_from_slice(b"\x01\x01x\x0f\x10\x10application/grpc");
    let mut stream = std::net::TcpStream::connect(address).expect("connects");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sends");
    stream.write_all(&frame(4, 0, 0, &[])).expect("sends");
    stream.write_all(&frame(1, 4, 1, &head)).expect("sends");
    if !message.is_empty() {
        stream.write_all(&frame(0, 0, 1, message)).expect("sends");
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_clients_that_stall_leave_the_others_alone() {
    let running = start("", "").await;
    let (to_grpc, to_http) = (running.grpc, running.http);
    let stalled = tokio::task::spawn_blocking(move || {
        let mut stalled = Vec::new();
        for text in [
            "",
            "POST /v1/logs HTTP/1.1\r\nhost: ",
            "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: 1000\r\n\r\nabc",
        ] {
            for _ in 0..100 {
                let mut stream = std::net::TcpStream::connect(to_http).expect("connects");
                stream.write_all(text.as_bytes()).expect("sends");
                stalled.push(stream);
            }
        }
        for message in [&b""[..], &[0, 0], &[0, 0, 0, 4, 0, 7, 7]] {
            stalled.extend((0..100).map(|_| stalls_in_a_call(to_grpc, message)));
        }
        stalled
    });
    let stalled = stalled.await.expect("connects");
    for _ in 0..20 {
        assert_eq!(grpc(running.grpc, None, &[]).await.as_deref(), Ok("0"));
        let (status, _) = http(running.http, None, &[]).await.expect("an answer");
        assert_eq!(status, 200);
    }
    drop(stalled);
    // Whatever they held is free again once they are gone.
    let freed = async {
        while running.context.host.budget().used() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), freed).await.expect("all memory is free");
}

/// Opens calls and resets them at once until the server has ended the connection; false if it does
/// not.
fn resets_rapidly(address: SocketAddr) -> bool {
    let mut stream = std::net::TcpStream::connect(address).expect("connects");
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sends");
    stream.write_all(&frame(4, 0, 0, &[])).expect("sends");
    // :method POST, :scheme http, :path /, from HPACK's static table.
    let head = [0x83, 0x86, 0x84];
    for stream_id in 0..200_000u32 {
        let id = 2 * stream_id + 1;
        let mut both = frame(1, 4, id, &head);
        both.extend_from_slice(&frame(3, 0, id, &8u32.to_be_bytes()));
        if stream.write_all(&both).is_err() {
            return true;
        }
    }
    is_ended(&mut stream)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rapid_reset_ends_its_own_connection_only() {
    let running = start("", "").await;
    for address in [running.grpc, running.http] {
        let attack = tokio::task::spawn_blocking(move || resets_rapidly(address));
        for _ in 0..20 {
            assert_eq!(grpc(running.grpc, None, &[]).await.as_deref(), Ok("0"));
            let (status, _) = http(running.http, None, &[]).await.expect("an answer");
            assert_eq!(status, 200);
        }
        assert!(attack.await.expect("attacks"), "the attacker is still connected");
        assert_eq!(grpc(running.grpc, None, &[]).await.as_deref(), Ok("0"));
    }
}

#[tokio::test]
async fn an_old_connection_is_ended_after_its_age() {
    let keys = ", keepalive: {server_parameters: {max_connection_age: 200ms, max_connection_age_grace: 100ms}}";
    let running = start(keys, "").await;
    let to = running.grpc;
    let ended = tokio::task::spawn_blocking(move || {
        let mut stream = std::net::TcpStream::connect(to).expect("connects");
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sends");
        stream.write_all(&frame(4, 0, 0, &[])).expect("sends");
        is_ended(&mut stream)
    });
    assert!(ended.await.expect("looks"));
    assert_eq!(grpc(running.grpc, None, &[]).await.as_deref(), Ok("0"));
}
