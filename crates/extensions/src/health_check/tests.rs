// SPDX-License-Identifier: Apache-2.0

use axum::body::{Body, to_bytes};
use pipeline::config::from_yaml;
use tower::ServiceExt;

use super::*;

const SECOND: u64 = 1_000_000_000;
/// 2026-01-02T03:04:05Z.
const START: u64 = 1_767_323_045 * SECOND;

async fn ask(yaml: &str, health: &Health, path: &str) -> (u16, String) {
    let config = Arc::new(from_yaml::<Config>(yaml).expect("valid settings"));
    let clock = Clock::manual(START + 62 * SECOND + SECOND / 2);
    let probe = Probe { config, clock, health: health.clone() };
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
