// SPDX-License-Identifier: Apache-2.0

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use pipeline::config::from_yaml;
use pipeline::config::plan::PipelinePlan;
use pipeline::host::Overview;
use tower::ServiceExt;

use super::*;

fn host() -> Host {
    let host = Host::new("unused".into());
    let pipeline = PipelinePlan {
        id: "traces/a<b".into(),
        signal: otlp_signal(),
        receivers: vec!["otlp".into()],
        processors: vec!["batch".into()],
        exporters: vec!["debug".into()],
    };
    let book = host.ledger().reserve("traces/a<b", &["debug".into()]);
    host.ledger().open(&book);
    book.received(7);
    book.at(0, pipeline::Fate::Delivered, 5);
    host.set_overview(Overview { pipelines: vec![pipeline], extensions: vec!["zpages".into()] });
    host
}

fn otlp_signal() -> pipeline::Signal {
    pipeline::Signal::Traces
}

async fn ask(expvar: bool, path: &str) -> (u16, String) {
    let request = Request::get(path).body(Body::empty()).expect("a request");
    let answer = router(host(), Expvar { enabled: expvar }).oneshot(request).await.expect("answer");
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), 1 << 20).await.expect("a body");
    (status, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn every_page_says_what_runs_and_ids_are_escaped() {
    for (path, wanted) in [
        ("/debug/servicez", "<td>pipelines</td><td>1</td>"),
        ("/debug/pipelinez", "<td>traces/a&lt;b</td><td>otlp</td><td>batch</td><td>debug</td>"),
        ("/debug/pipelinez", "<td>7</td><td>0</td><td>5</td><td>0</td>"),
        ("/debug/extensionz", "<td>zpages</td>"),
        ("/debug/featurez", "no feature gates"),
        ("/debug/tracez", "<table>"),
    ] {
        let (status, body) = ask(false, path).await;
        assert_eq!(status, 200, "{path}");
        assert!(body.contains(wanted), "{path}: {body}");
        assert!(!body.contains("a<b"), "{path}: {body}");
    }
    let (_, other) = ask(false, "/debug/pipelinez?pipelinenamez=logs").await;
    assert!(!other.contains("otlp"), "{other}");
}

#[tokio::test]
async fn numbers_as_text_are_there_only_if_enabled() {
    assert_eq!(ask(false, "/debug/expvarz").await.0, 404);
    assert_eq!(ask(true, "/debug/expvarz").await.0, 200);
}

#[test]
fn wrong_settings_are_told() {
    assert!(from_yaml::<Config>("{endpoint: 'localhost:55679', expvar: {enabled: true}}").is_ok());
    assert!(from_yaml::<Config>("endpoint: nowhere").is_err());
}
