// SPDX-License-Identifier: Apache-2.0
//! Exporters over TLS: whom they trust, what they show, and who they say they are.

use std::convert::Infallible;
use std::sync::Arc;

use basics::Result;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, Version};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use net::listen::{self, Rules, Serving};
use net::tls::{Pem, ServerSettings, ServerTls, Settings};
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::auth::{Authenticator, ClientAuth};
use pipeline::config::from_yaml;
use pipeline::{Batch, Context, Exporter, Meta};
use testkit::pki::{Authority, Identity};

use crate::support::context;

type Seen = Arc<Mutex<Vec<(Version, HeaderMap)>>>;

/// A server over TLS that says yes to everything, and what it was sent.
async fn peer(own: &Identity, client_ca: Option<&Authority>) -> (Serving, Seen) {
    let text = |pem: &str| Some(Pem::Text(pem.to_owned()));
    let shared = Settings { cert: text(&own.cert), key: text(&own.key), ..Settings::default() };
    let client_ca = client_ca.and_then(|ca| text(ca.pem()));
    let settings = ServerSettings { shared, client_ca, client_ca_reload: false };
    let tls = ServerTls::new(settings, &["h2", "http/1.1"]).expect("settings");
    let rules = Rules { tls: Some(tls), ..Rules::new("peer") };
    let seen = Seen::default();
    let listener = listen::bind("127.0.0.1:0").await.expect("binds");
    let kept = seen.clone();
    let serving = listen::serve(listener, rules, move |stream, _, _| {
        let seen = kept.clone();
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            seen.lock().push((request.version(), request.headers().clone()));
            let mut response = Response::new(Full::<Bytes>::default());
            // Of meaning for gRPC only.
            response.headers_mut().insert("grpc-status", HeaderValue::from_static("0"));
            async move { Ok::<_, Infallible>(response) }
        });
        let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        builder.serve_connection(TokioIo::new(stream), service).into_owned()
    });
    (serving.expect("serves"), seen)
}

const KINDS: [&str; 3] = ["otlp", "otlphttp", "prometheusremotewrite"];

/// An exporter that tells at once what became of a batch.
fn exporter(kind: &str, port: u16, more: &str, context: &Context) -> Arc<dyn Exporter> {
    let keys = format!("retry_on_failure: {{enabled: false}}\n{more}\n");
    let queue = "sending_queue: {enabled: false}\n";
    match kind {
        "otlp" => {
            let yaml = format!("endpoint: localhost:{port}\n{queue}{keys}");
            Arc::new(exporters::otlp::build(&parsed(&yaml), context).expect("valid"))
        }
        "otlphttp" => {
            let yaml = format!("endpoint: https://localhost:{port}\n{queue}{keys}");
            Arc::new(exporters::otlphttp::build(&parsed(&yaml), context).expect("valid"))
        }
        _ => {
            let queue = "remote_write_queue: {enabled: false}\n";
            let yaml = format!("endpoint: https://localhost:{port}/api\n{queue}{keys}");
            let config = parsed(&yaml);
            Arc::new(exporters::prometheusremotewrite::build(&config, context).expect("valid"))
        }
    }
}

fn parsed<C: pipeline::config::ComponentConfig>(yaml: &str) -> C {
    from_yaml(yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"))
}

async fn send(exporter: &Arc<dyn Exporter>) -> Result<()> {
    let payload = testkit::otlp::payload(Signal::Metrics, 3);
    exporter.start().await.expect("starts");
    exporter.export(Batch::new(payload, Arc::new(Meta::default()))).await
}

#[tokio::test]
async fn what_arrives_depends_on_whom_we_trust_and_what_we_show() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().expect("a folder");
    let ca = folder.path().join("ca.crt");
    std::fs::write(&ca, ours.pem()).expect("writes");
    let other = folder.path().join("other.crt");
    std::fs::write(&other, theirs.pem()).expect("writes");
    let (cert, key) = ours.issue(&["client"]).write(folder.path(), "client");
    let (ca, other) = (ca.display(), other.display());
    let (cert, key) = (cert.display(), key.display());
    let context = context(Signal::Metrics, folder.path());
    let server = ours.issue(&["localhost"]);
    for kind in KINDS {
        let (open, seen) = peer(&server, None).await;
        let (strict, seen_by_strict) = peer(&server, Some(&ours)).await;
        for (to, keys, expected) in [
            (&open, format!("tls: {{ca_file: {ca}}}"), Ok(())),
            (&open, "tls: {insecure_skip_verify: true}".to_owned(), Ok(())),
            (&open, format!("tls: {{ca_file: {other}}}"), Err("invalid peer certificate")),
            (
                &open,
                format!("tls: {{ca_file: {ca}, server_name_override: other.example}}"),
                Err("not valid for"),
            ),
            (
                &strict,
                format!("tls: {{ca_file: {ca}, cert_file: {cert}, key_file: {key}}}"),
                Ok(()),
            ),
            (&strict, format!("tls: {{ca_file: {ca}}}"), Err("")),
        ] {
            let exporter = exporter(kind, to.address().port(), &keys, &context);
            let sent = send(&exporter).await;
            match expected {
                Ok(()) => assert!(sent.is_ok(), "{kind} {keys}: {sent:?}"),
                Err(why) => {
                    let error = sent.expect_err("refused").to_string();
                    assert!(error.contains(why), "{kind} {keys}: {error}");
                }
            }
        }
        assert_eq!((seen.lock().len(), seen_by_strict.lock().len()), (2, 1), "{kind}");
        assert!(seen.lock().iter().all(|(version, _)| *version == Version::HTTP_2), "by ALPN");
    }
}

struct Me;

impl ClientAuth for Me {
    fn add_to(&self, headers: &mut HeaderMap) -> Result<()> {
        headers.insert("authorization", HeaderValue::from_static("Bearer me"));
        Ok(())
    }
}

#[tokio::test]
async fn the_authenticator_that_auth_names_is_asked_for_every_request() {
    let ours = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let context = context(Signal::Metrics, folder.path());
    let me = Authenticator { server: None, client: Some(Arc::new(Me)) };
    context.host.authenticators().set("bearertokenauth/me", me);
    context.host.authenticators().set("empty", Authenticator::default());
    let keys = "tls: {insecure_skip_verify: true}\nauth: {authenticator: bearertokenauth/me}";
    for kind in KINDS {
        let (serving, seen) = peer(&ours.issue(&["localhost"]), None).await;
        let exporter = exporter(kind, serving.address().port(), keys, &context);
        for _ in 0..2 {
            send(&exporter).await.expect("taken");
        }
        let seen = seen.lock();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|(_, headers)| headers["authorization"] == "Bearer me"), "{kind}");
    }
    for (id, message) in
        [("empty", "is not a client authenticator"), ("none", "authenticator not found")]
    {
        let yaml =
            format!("{{endpoint: 'a:1', tls: {{insecure: true}}, auth: {{authenticator: {id}}}}}");
        let error = exporters::otlp::build(&parsed(&yaml), &context).err().expect("refused");
        assert!(error.to_string().contains(message), "{error}");
    }
}
