// SPDX-License-Identifier: Apache-2.0

use axum::body::{Body, to_bytes};
use pipeline::config::from_yaml;
use pipeline::telemetry::QueueMeter;
use tower::ServiceExt;

use super::*;

const SECOND: u64 = 1_000_000_000;
/// 2026-01-02T03:04:05Z.
const START: u64 = 1_767_323_045 * SECOND;

async fn ask(yaml: &str, health: &Health, path: &str) -> (u16, String) {
    let config = Arc::new(from_yaml::<Config>(yaml).expect("valid settings"));
    let clock = Clock::manual(START + 62 * SECOND + SECOND / 2);
    let telemetry = Telemetry::new();
    let queue = |exporter: &str, size: u64| {
        QueueMeter::new(&telemetry, exporter, pipeline::Signal::Traces, 10, &Vec::new()).size(size);
    };
    queue("jaeger", 9);
    queue("otlp", if path.starts_with("/full") { 10 } else { 0 });
    let probe = Probe { config, clock, health: health.clone(), telemetry };
    let router: axum::Router = axum::Router::new().fallback(answer).with_state(Arc::new(probe));
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let response = router.oneshot(request).await.expect("an answer");
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 16).await.expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn the_answer_follows_the_pipelines() {
    let health = Health::default();
    let (status, body) = ask("", &health, "/").await;
    assert_eq!(status, 503);
    assert!(body.contains("\"status\":\"Server not available\""), "{body}");
    health.set_ready(START);
    let expected = "{\"status\":\"Server available\",\"upSince\":\"2026-01-02T03:04:05Z\",\"uptime\":\"1m2.5s\"}";
    assert_eq!(ask("", &health, "/").await, (200, expected.to_owned()));
    assert_eq!(ask("", &health, "/foo").await.0, 200, "with / every path answers");
    health.set_not_ready();
    assert_eq!(ask("", &health, "/").await.0, 503);
}

#[tokio::test]
async fn path_and_texts_are_the_users() {
    let health = Health::default();
    let yaml = "{path: /live, response_body: {healthy: fine, unhealthy: ill}}";
    assert_eq!(ask(yaml, &health, "/live").await, (503, "ill".to_owned()));
    health.set_ready(START);
    assert_eq!(ask(yaml, &health, "/live").await, (200, "fine".to_owned()));
    assert_eq!(ask(yaml, &health, "/other").await.0, 404);
}

#[tokio::test]
async fn below_the_path_ready_is_unready_while_a_queue_is_full() {
    let health = Health::default();
    assert_eq!(ask("", &health, "/ready").await.0, 503);
    health.set_ready(START);
    assert_eq!(ask("", &health, "/ready").await.0, 200);
    let (status, body) = ask("path: /full", &health, "/full/ready").await;
    assert_eq!(
        (status, &*body),
        (503, "{\"status\":\"Queue full\",\"queues\":[\"otlp (traces)\"]}")
    );
    assert_eq!(ask("path: /full", &health, "/full").await.0, 200, "the process itself is well");
}

#[test]
fn the_second_version_maps_to_the_first() {
    let new = from_yaml::<v2::Config>(
        "{use_v2: true, http: {endpoint: 'localhost:1', status: {path: /st}}}",
    );
    let new = new.expect("valid").into_first();
    assert_eq!((new.path.as_str(), new.server.endpoint.as_deref()), ("/st", Some("localhost:1")));
    let old = from_yaml::<v2::Config>("{endpoint: 'localhost:2', path: /x}").expect("valid");
    assert_eq!(old.into_first().path, "/x");
}

#[test]
fn wrong_settings_are_told() {
    for (yaml, message) in [
        ("path: live", "path: path must start with /"),
        ("endpoint: nowhere", "endpoint: \"nowhere\" has no port"),
        ("tls: {cert_file: x}", "tls::cert_file: cannot read x"),
    ] {
        let told = from_yaml::<Config>(yaml).expect_err(message);
        assert!(told.contains(message), "{told}");
    }
}
