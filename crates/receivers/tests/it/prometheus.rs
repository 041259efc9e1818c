// SPDX-License-Identifier: Apache-2.0
//! Scraping over a real socket.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use net::listen::{self, Rules, Serving};
use net::tls::{Pem, ServerSettings, ServerTls, Settings};
use otlp_wire::{Data, PointView};
use pipeline::config::from_yaml;
use pipeline::{Batch, Consumer, Inlets, Receiver};
use receivers::prometheus::{Config, Prometheus};
use testkit::pki::Authority;
use testkit::{Backend, Fault};

use crate::support::{Capture, context};

/// The value of the first gauge called `name`.
fn value(batch: &Batch, name: &str) -> Option<f64> {
    let scopes = batch.payload.metrics().flat_map(|resource| resource.scopes());
    let metric = scopes.flat_map(|scope| scope.metrics()).find(|metric| metric.name() == name)?;
    let Data::Gauge { mut points } = metric.data() else { return None };
    points.next()?.value().map(|value| value.as_f64())
}

#[tokio::test]
async fn each_scrape_is_a_batch_and_a_failed_one_says_so() {
    let backend = Backend::start().await;
    backend.fail([
        Fault::Body(b"# TYPE load gauge\nload{at=\"1\"} 0.5\n"),
        Fault::Http { status: 500, retry_after: None },
        Fault::Body(b"not a page"),
        Fault::Body(b"load 2\n"),
    ]);
    let json = format!(
        r#"{{"config":{{"scrape_configs":[{{"job_name":"shop","scrape_interval":"50ms",
            "static_configs":[{{"targets":["{}"],"labels":{{"env":"prod"}}}}]}}]}}}}"#,
        backend.address()
    );
    let config: Config = serde_json::from_str(&json).expect("valid");
    let capture = Arc::new(Capture::default());
    let inlet: Arc<dyn Consumer> = capture.clone();
    let inlets = Inlets { metrics: Some(inlet), ..Inlets::default() };
    let context = context();
    let receiver = Prometheus::new(Arc::new(config), context.clone(), inlets);
    receiver.start().await.expect("starts");
    backend.wait_for(4).await;
    receiver.stop().await.expect("stops");
    let batches = capture.batches.lock().clone();
    let ups: Vec<_> = batches.iter().take(3).map(|batch| value(batch, "up")).collect();
    assert_eq!(ups, [Some(1.0), Some(0.0), Some(0.0)]);
    assert_eq!(value(&batches[0], "load"), Some(0.5));
    let resource = batches[0].payload.metrics().next().expect("one");
    assert_eq!(resource.attr("service.name").and_then(|v| v.as_str()), Some("shop"));
    let request = &backend.received()[0];
    assert_eq!(request.path, "/metrics");
    assert!(request.headers["accept"].to_str().expect("text").contains("version=0.0.4"));
    let asked = request.headers["accept"].to_str().expect("text");
    assert!(asked.starts_with("application/openmetrics-text;version=1.0.0"), "{asked}");
    // When the receiver stops, so does all the target told.
    let up = batches.last().and_then(|batch| point(batch, "up"));
    assert_eq!(up, Some((None, true)));
    drop(batches);
    capture.batches.lock().clear();
    assert_eq!(context.host.budget().used(), 0);
}

/// Value and staleness of the first gauge called `name`.
fn point(batch: &Batch, name: &str) -> Option<(Option<f64>, bool)> {
    let scopes = batch.payload.metrics().flat_map(|resource| resource.scopes());
    let metric = scopes.flat_map(|scope| scope.metrics()).find(|metric| metric.name() == name)?;
    let Data::Gauge { mut points } = metric.data() else { return None };
    let point = points.next()?;
    Some((point.value().map(|value| value.as_f64()), point.no_recorded_value()))
}

#[tokio::test]
async fn targets_of_a_file_come_and_go_and_are_logged_in_to() {
    let backend = Backend::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (file, secret) = (folder.path().join("targets.json"), folder.path().join("secret"));
    std::fs::write(&secret, "geheim\n").expect("written");
    let groups = format!(r#"[{{"targets":["{}"],"labels":{{"env":"x"}}}}]"#, backend.address());
    std::fs::write(&file, groups).expect("written");
    let yaml = format!(
        "config: {{scrape_configs: [{{job_name: shop, scrape_interval: 20ms, metrics_path: /m,
            params: {{q: [a]}}, basic_auth: {{username: u, password_file: '{}'}},
            http_headers: {{X-Team: {{values: [blue]}}}},
            file_sd_configs: [{{files: ['{}'], refresh_interval: 20ms}}]}}]}}",
        secret.display(),
        file.display()
    );
    let config = from_yaml(&yaml).expect("valid");
    let capture = Arc::new(Capture::default());
    let inlet: Arc<dyn Consumer> = capture.clone();
    let inlets = Inlets { metrics: Some(inlet), ..Inlets::default() };
    let receiver = Prometheus::new(Arc::new(config), context(), inlets);
    receiver.start().await.expect("starts");
    backend.wait_for(2).await;
    let request = &backend.received()[0];
    assert!(request.path.starts_with("/m"), "{}", request.path);
    assert_eq!(request.headers["authorization"], "Basic dTpnZWhlaW0=");
    assert_eq!(request.headers["x-team"], "blue");
    std::fs::write(&file, "[]").expect("written");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let ended = || {
        let batches = capture.batches.lock();
        batches.last().and_then(|batch| point(batch, "up")) == Some((None, true))
    };
    while !ended() {
        assert!(std::time::Instant::now() < deadline, "the target goes on");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    receiver.stop().await.expect("stops");
    assert!(ended(), "it ended once");
}

/// A target that speaks TLS and wants to know who asks.
async fn secure_target(authority: &Authority) -> Serving {
    let own = authority.issue(&["127.0.0.1"]);
    let text = |pem: &str| Some(Pem::Text(pem.to_owned()));
    let shared = Settings { cert: text(&own.cert), key: text(&own.key), ..Settings::default() };
    let client_ca = text(authority.pem());
    let settings = ServerSettings { shared, client_ca, ..ServerSettings::default() };
    let tls = ServerTls::new(settings, &["http/1.1"]).expect("settings");
    let rules = Rules { tls: Some(tls), ..Rules::new("target") };
    let listener = listen::bind("127.0.0.1:0").await.expect("binds");
    let serving = listen::serve(listener, rules, |stream, _, activity| {
        let service = service_fn(move |_| {
            let busy = activity.begin();
            async move {
                let _busy = busy;
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"load 2\n"))))
            }
        });
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service)
    });
    serving.expect("serves")
}

#[tokio::test]
async fn pages_come_over_tls_from_whom_the_certificate_names_only() {
    let authority = Authority::new();
    let target = secure_target(&authority).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (cert, key) = authority.issue(&["us"]).write(folder.path(), "own");
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("written");
    let own = format!("cert_file: '{}', key_file: '{}'", cert.display(), key.display());
    let trusted = format!("ca_file: '{}'", ca.display());
    for (tls, expected) in [
        (format!("{trusted}, {own}"), 1.0),
        (format!("insecure_skip_verify: true, {own}"), 1.0),
        (format!("{trusted}, server_name: elsewhere, {own}"), 0.0),
        (trusted.clone(), 0.0),
        (own.clone(), 0.0),
    ] {
        let yaml = format!(
            "config: {{scrape_configs: [{{job_name: shop, scheme: https, tls_config: {{{tls}}},
                static_configs: [{{targets: ['{}']}}]}}]}}",
            target.address()
        );
        let config = from_yaml(&yaml).expect("valid");
        let capture = Arc::new(Capture::default());
        let inlet: Arc<dyn Consumer> = capture.clone();
        let inlets = Inlets { metrics: Some(inlet), ..Inlets::default() };
        let receiver = Prometheus::new(Arc::new(config), context(), inlets);
        receiver.start().await.expect("starts");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while capture.batches.lock().is_empty() {
            assert!(std::time::Instant::now() < deadline, "no scrape");
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        receiver.stop().await.expect("stops");
        assert_eq!(value(&capture.batches.lock()[0], "up"), Some(expected), "{tls}");
    }
    target.stop().await;
}
