// SPDX-License-Identifier: Apache-2.0
//! A page over TLS and behind an authenticator, as a client meets it.

use axum::http::Request;
use basics::{Clock, Error};
use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use net::connect::Connector;
use net::tls::{ClientSettings, ClientTls, Pem, Settings};
use pipeline::component::{Context, Extension};
use pipeline::config::ComponentConfig;
use pipeline::{Budget, Host};
use std::sync::Arc;
use testkit::pki::Authority;

fn built<C: ComponentConfig>(
    factory: &pipeline::component::ExtensionFactory,
    id: &str,
    yaml: &str,
    host: &Host,
) -> Arc<dyn Extension> {
    let config: C = pipeline::config::from_yaml(yaml).unwrap_or_else(|e| panic!("{e}"));
    let context = Context {
        id: id.into(),
        signal: otlp_wire::Signal::Traces,
        pipeline: "".into(),
        clock: Clock::system(),
        host: host.clone(),
    };
    let extension =
        (factory.build)(Arc::new(config), context).unwrap_or_else(|e: Error| panic!("{e}"));
    if let Some(authenticator) = extension.authenticator() {
        host.authenticators().set(id, authenticator);
    }
    extension
}

/// A port that is free now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

async fn status(tls: &ClientTls, url: &str, token: Option<&str>) -> Result<u16, String> {
    let client: Client<_, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build(Connector::new(Some(tls.clone())));
    let mut request = Request::get(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::default()).expect("a request");
    let answer = client.request(request).await.map_err(|e| format!("{e:?}"))?;
    Ok(answer.status().as_u16())
}

#[tokio::test]
async fn pages_speak_tls_and_ask_who_looks() {
    let ours = Authority::new();
    let folder = tempfile::tempdir().expect("a folder");
    let host = Host::with(folder.path().to_owned(), Clock::system(), Budget::new(1 << 20));
    host.health().set_ready(1);
    let (cert, key) = ours.issue(&["localhost"]).write(folder.path(), "page");
    let tokens = built::<crate::bearertokenauth::Config>(
        &crate::bearertokenauth::factory(),
        "bearertokenauth",
        "token: s3cret",
        &host,
    );
    tokens.start(&host).await.expect("starts");
    let shared = Settings { ca: Some(Pem::Text(ours.pem().to_owned())), ..Settings::default() };
    let settings = ClientSettings { shared, ..ClientSettings::default() };
    let tls = ClientTls::new(settings, &["h2", "http/1.1"]).expect("settings");
    let keys = format!(
        "tls: {{cert_file: {}, key_file: {}}}, auth: {{authenticator: bearertokenauth}}",
        cert.display(),
        key.display()
    );
    let (health, page) = (free_port(), free_port());
    let health_check = built::<crate::health_check::Config>(
        &crate::health_check::factory(),
        "health_check",
        &format!("{{endpoint: 'localhost:{health}', {keys}}}"),
        &host,
    );
    let query_server = built::<crate::query_server::Config>(
        &crate::query_server::factory(),
        "query_server",
        &format!("{{endpoint: '127.0.0.1:{page}', {keys}}}"),
        &host,
    );
    for (extension, port, path) in [(health_check, health, "/"), (query_server, page, "/-/healthy")]
    {
        extension.start(&host).await.expect("starts");
        let url = format!("https://localhost:{port}{path}");
        assert_eq!(status(&tls, &url, Some("s3cret")).await, Ok(200), "{url}");
        assert_eq!(status(&tls, &url, Some("wrong")).await, Ok(401), "{url}");
        assert_eq!(status(&tls, &url, None).await, Ok(401), "{url}");
        let plain = url.replace("https", "http");
        assert_eq!(status(&tls, &plain, Some("s3cret")).await, Ok(400), "{plain}");
        extension.stop().await.expect("stops");
    }
}
