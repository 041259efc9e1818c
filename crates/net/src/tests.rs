// SPDX-License-Identifier: Apache-2.0
//! A server and a client of ours over loopback, with right and wrong certificates.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use testkit::pki::{Authority, Identity};

use crate::activity::Life;
use crate::connect::Connector;
use crate::listen::{self, Rules, Serving};
use crate::tls::{ClientSettings, ClientTls, Pem, ServerSettings, ServerTls, Settings, Version};

const ALPN: &[&str] = &["h2", "http/1.1"];

fn text(pem: &str) -> Option<Pem> {
    Some(Pem::Text(pem.to_owned()))
}

fn identity(identity: &Identity) -> Settings {
    Settings { cert: text(&identity.cert), key: text(&identity.key), ..Settings::default() }
}

fn server(identity_: &Identity) -> ServerSettings {
    ServerSettings { shared: identity(identity_), ..ServerSettings::default() }
}

fn trusting(ca: &str) -> ClientSettings {
    let shared = Settings { ca: text(ca), ..Settings::default() };
    ClientSettings { shared, ..ClientSettings::default() }
}

async fn serve(rules: Rules) -> Serving {
    let listener = listen::bind("127.0.0.1:0").await.expect("binds");
    let serving = listen::serve(listener, rules, |stream, _, activity| {
        let service = service_fn(move |_| {
            let busy = activity.begin();
            async move {
                let _busy = busy;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"hello"))))
            }
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service)
    });
    serving.expect("serves")
}

async fn serve_tls(settings: ServerSettings) -> Serving {
    let tls = ServerTls::new(settings, &["http/1.1"]).expect("settings");
    serve(Rules { tls: Some(tls), ..Rules::new("test") }).await
}

/// The answer to a request over a new connection.
async fn ask(client: ClientSettings, url: &str) -> Result<String, String> {
    let tls = ClientTls::new(client, ALPN).map_err(|e| e.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build(Connector::new(Some(tls)));
    let request = Request::get(url).body(Full::<Bytes>::default()).expect("a request");
    let answer = client.request(request).await.map_err(|e| chain(&e))?;
    let body = answer.into_body().collect().await.map_err(|e| chain(&e))?.to_bytes();
    Ok(String::from_utf8_lossy(&body).into_owned())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn url(address: SocketAddr) -> String {
    format!("https://localhost:{}/", address.port())
}

#[tokio::test]
async fn a_certificate_is_taken_or_refused_for_what_it_is() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let good = ours.issue(&["localhost", "127.0.0.1"]);
    let own = Identity::self_signed(&["localhost"]);
    let overridden = |ca: &str, name: &str| ClientSettings {
        server_name: Some(name.to_owned()),
        ..trusting(ca)
    };
    let unverified = || ClientSettings { insecure_skip_verify: true, ..trusting(theirs.pem()) };
    for (what, server_identity, client, expected) in [
        ("our authority", &good, trusting(ours.pem()), Ok("hello")),
        ("another authority", &good, trusting(theirs.pem()), Err("invalid peer certificate")),
        ("unverified", &good, unverified(), Ok("hello")),
        ("expired", &ours.issue_expired(&["localhost"]), trusting(ours.pem()), Err("expired")),
        ("another name", &ours.issue(&["a.example"]), trusting(ours.pem()), Err("not valid for")),
        (
            "another name, expected",
            &ours.issue(&["a.example"]),
            overridden(ours.pem(), "a.example"),
            Ok("hello"),
        ),
        ("self-signed and trusted", &own, trusting(&own.cert), Ok("hello")),
        ("self-signed", &own, trusting(ours.pem()), Err("invalid peer certificate")),
        (
            "self-signed for another name",
            &Identity::self_signed(&["a.example"]),
            overridden(&own.cert, "b.example"),
            Err("invalid peer certificate"),
        ),
    ] {
        let serving = serve_tls(server(server_identity)).await;
        let answer = ask(client, &url(serving.address())).await;
        match expected {
            Ok(body) => assert_eq!(answer.as_deref(), Ok(body), "{what}"),
            Err(why) => {
                let error = answer.expect_err(what);
                assert!(error.contains(why), "{what}: {error}");
            }
        }
    }
    let serving = serve_tls(server(&good)).await;
    let by_address = url(serving.address()).replace("localhost", "127.0.0.1");
    assert_eq!(ask(trusting(ours.pem()), &by_address).await.as_deref(), Ok("hello"));
}

#[tokio::test]
async fn with_a_client_ca_every_client_must_show_a_certificate_of_it() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let settings =
        ServerSettings { client_ca: text(ours.pem()), ..server(&ours.issue(&["localhost"])) };
    let serving = serve_tls(settings).await;
    let as_client = |own: Option<Identity>| {
        let own = own.map(|own| identity(&own)).unwrap_or_default();
        ClientSettings {
            shared: Settings { ca: text(ours.pem()), ..own },
            ..ClientSettings::default()
        }
    };
    for (own, is_taken) in [
        (Some(ours.issue(&["client"])), true),
        (Some(theirs.issue(&["client"])), false),
        (Some(ours.issue_expired(&["client"])), false),
        (None, false),
    ] {
        let answer = ask(as_client(own), &url(serving.address())).await;
        assert_eq!(answer.is_ok(), is_taken, "{answer:?}");
    }
    assert!(ask(as_client(Some(ours.issue(&["client"]))), &url(serving.address())).await.is_ok());
}

#[tokio::test]
async fn versions_without_overlap_do_not_meet_and_settings_that_cannot_work_are_told() {
    let ours = Authority::new();
    let mut old = server(&ours.issue(&["localhost"]));
    old.shared.max_version = Some(Version::V12);
    let serving = serve_tls(old).await;
    let mut new = trusting(ours.pem());
    assert_eq!(ask(new.clone(), &url(serving.address())).await.as_deref(), Ok("hello"));
    new.shared.min_version = Some(Version::V13);
    let error = ask(new, &url(serving.address())).await.expect_err("no version in common");
    assert!(error.contains("ProtocolVersion"), "{error}");

    let (one, two) = (ours.issue(&["localhost"]), ours.issue(&["localhost"]));
    let pair = |cert: &str, key: &str| {
        let shared = Settings { cert: text(cert), key: text(key), ..Settings::default() };
        let settings = ServerSettings { shared, ..ServerSettings::default() };
        ServerTls::new(settings, ALPN).expect_err("cannot work").to_string()
    };
    assert!(pair(&one.cert, &two.key).contains("not a pair"));
    assert!(pair("", &two.key).contains("no certificate"));
    assert!(pair(&one.cert, &one.cert).contains("no private key"));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(pair(&one.cert, encrypted).contains("has a passphrase"));
    assert!(crate::tls::cipher_suite("TLS_AES_128_GCM_SHA256").is_ok());
    assert!(crate::tls::cipher_suite("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256").is_ok());
    assert!(crate::tls::cipher_suite("TLS_RSA_WITH_RC4_128_SHA").is_err());
    assert!(crate::tls::curve("P521").is_err());
}

#[tokio::test]
async fn plain_text_to_a_tls_port_and_tls_to_a_plain_one_fail_and_say_why() {
    let ours = Authority::new();
    let serving = serve_tls(server(&ours.issue(&["localhost"]))).await;
    let plain = url(serving.address()).replace("https", "http");
    let answer = ask(trusting(ours.pem()), &plain).await.expect("an answer");
    assert!(answer.contains("speaks TLS"), "{answer}");
    assert!(ask(trusting(ours.pem()), &url(serving.address())).await.is_ok());

    let serving = serve(Rules::new("test")).await;
    assert!(ask(trusting(ours.pem()), &url(serving.address())).await.is_err());
}

#[tokio::test]
async fn a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let (before, after) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = before.issue(&["localhost"]).write(folder.path(), "server");
    let shared = Settings {
        cert: Some(Pem::File(cert.clone())),
        key: Some(Pem::File(key)),
        ..Settings::default()
    };
    let serving = serve_tls(ServerSettings { shared, ..ServerSettings::default() }).await;
    let url = url(serving.address());
    assert!(ask(trusting(before.pem()), &url).await.is_ok());

    std::fs::write(&cert, "half a certif").expect("writes");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(ask(trusting(before.pem()), &url).await.is_ok(), "the old one stays");

    after.issue(&["localhost"]).write(folder.path(), "server");
    let deadline = Instant::now() + Duration::from_secs(20);
    while ask(trusting(after.pem()), &url).await.is_err() {
        assert!(Instant::now() < deadline, "the new certificate is not seen");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(ask(trusting(before.pem()), &url).await.is_err());
}

/// True if the peer has closed `stream` without an answer.
fn is_closed(mut stream: std::net::TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out");
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => answer.is_empty(),
        Err(e) => e.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_request_is_closed_and_others_are_served_meanwhile() {
    let life = Life { head: Some(Duration::from_millis(300)), ..Life::default() };
    let serving = serve(Rules { life, ..Rules::new("test") }).await;
    let address = serving.address();
    let slow = |bytes: &'static [u8]| {
        let mut stream = std::net::TcpStream::connect(address).expect("connects");
        stream.write_all(bytes).expect("sends");
        tokio::task::spawn_blocking(move || is_closed(stream))
    };
    let all = [slow(b""), slow(b"G"), slow(b"GET / HTTP/1.1\r\nhost: x\r\nx: ")];
    let plain = format!("http://127.0.0.1:{}/", address.port());
    assert!(ask(ClientSettings::default(), &plain).await.is_ok());
    for closed in all {
        assert!(closed.await.expect("looks"), "still open");
    }
    assert!(ask(ClientSettings::default(), &plain).await.is_ok());
}

#[tokio::test]
async fn stopping_does_not_wait_for_a_handshake_or_an_idle_connection() {
    let ours = Authority::new();
    let serving = serve_tls(server(&ours.issue(&["localhost"]))).await;
    let _silent = std::net::TcpStream::connect(serving.address()).expect("connects");
    assert!(ask(trusting(ours.pem()), &url(serving.address())).await.is_ok());
    let begun = Instant::now();
    serving.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn the_file_of_a_socket_is_taken_only_when_nobody_listens_on_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("s.sock");
    let endpoint = format!("unix:{}", path.display());
    let first = listen::bind(&endpoint).await.expect("binds");
    let told = listen::bind(&endpoint).await.expect_err("in use").to_string();
    assert!(told.contains("in use or no socket"), "{told}");
    drop(first);
    assert!(!path.exists(), "it goes with its listener");
    // As a process leaves it that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).expect("binds"));
    assert!(path.exists());
    drop(listen::bind(&endpoint).await.expect("takes it over"));
    std::fs::write(&path, "mine").expect("written");
    listen::bind(&endpoint).await.expect_err("a file of somebody");
    assert_eq!(std::fs::read_to_string(&path).expect("still there"), "mine");
}
