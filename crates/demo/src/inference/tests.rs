// SPDX-License-Identifier: Apache-2.0

use serde_json::json;

use super::*;
use crate::Protocol;
use crate::testing::{Running, pairs};

async fn service(latency: u64, batch_max: usize) -> Running {
    Running::start(Protocol::Grpc, |target, ready, stopped| {
        let settings = Settings {
            environment: "local".into(),
            listen: "127.0.0.1:0".into(),
            latency: Duration::from_millis(latency),
            batch_max,
            target,
        };
        let ready = |address| ready.send(address).expect("waited for");
        run(settings, ready, async {
            let _ = stopped.await;
        })
    })
    .await
}

#[tokio::test]
async fn predictions_are_answered_as_the_document_has_it_and_seen_at_the_far_end() {
    let service = service(20, 32).await;
    let health = service.ask("GET", "/health", None).await;
    assert_eq!(health.text, r#"{"status":"ok","env":"local","tracing_enabled":true}"#);
    let answer = service.ask("POST", "/predict", Some(r#"{"features": [0.5, 1.5, 2.0]}"#)).await;
    let said = answer.json();
    let latency = said["latency_ms"].as_u64().expect("a whole number");
    assert!((20..2000).contains(&latency));
    let trace = said["trace_id"].as_str().expect("an id");
    let expected = format!(
        r#"{{"prediction":4.0,"model_name":"simple-linear-demo","latency_ms":{latency},"trace_id":"{trace}"}}"#
    );
    assert_eq!(answer.text, expected);
    for (body, place, told) in [
        ("{", json!(["body"]), "EOF"),
        ("[1]", json!(["body"]), "object"),
        ("{}", json!(["body", "features"]), "required"),
        (r#"{"features": 1}"#, json!(["body", "features"]), "list"),
        (r#"{"features": []}"#, json!(["body", "features"]), "at least one"),
        (r#"{"features": [1, "x"]}"#, json!(["body", "features", 1]), "number"),
        (r#"{"features": [1e999]}"#, json!(["body"]), "out of range"),
    ] {
        let answer = service.ask("POST", "/predict", Some(body)).await;
        let detail = answer.json()["detail"][0].clone();
        assert_eq!((answer.status.as_u16(), &detail["loc"]), (422, &place), "{body}");
        assert!(detail["msg"].as_str().expect("text").contains(told), "{detail}");
    }
    let answer = service.ask("POST", "/predict", Some(&"1".repeat(2 << 20))).await;
    let told = answer.json()["detail"][0]["msg"].as_str().expect("text").to_owned();
    assert_eq!((answer.status.as_u16(), told.as_str()), (413, "more than 1048576 bytes"));
    let all = service.stop().await;
    assert_eq!(all.sum("http_requests_total", &["path=/predict", "status=200"]), 1.0);
    assert_eq!(all.sum("http_requests_total", &["status=413"]), 1.0);
    assert_eq!(all.sum("http_requests_total", &["status=422"]), 7.0);
    assert_eq!(all.sum("predictions_total", &["model_name=simple-linear-demo"]), 1.0);
    assert_eq!(all.sum("errors_total", &["error_type=validation"]), 8.0);
    assert_eq!(all.sum("prediction_latency_ms", &[]), 1.0);
    assert_eq!(all.sum("request_duration_ms", &[]), 10.0);
    assert_eq!(all.sum("active_requests", &[]), 0.0);
    let requests = all.spans("HTTP POST /predict");
    let ok =
        requests.iter().find(|s| pairs(&s.attributes).contains("http.response.status_code=200"));
    let ok = ok.expect("the one that went well");
    assert_eq!(hex(&ok.trace_id), trace);
    for name in ["validate_input", "model_inference", "format_response"] {
        let steps = all.spans(name);
        assert_eq!(steps.iter().filter(|s| s.parent_span_id == ok.span_id).count(), 1, "{name}");
    }
    let inference = pairs(&all.spans("model_inference")[0].attributes);
    assert!(
        inference.contains("batch.size=1") && inference.contains("model.name=simple-linear-demo")
    );
}

#[tokio::test]
async fn the_collectors_own_client_and_rest_get_the_models_answers() {
    use models::kserve::{Client, ClientConfig, DoubleEncoding};
    let service = service(0, 32).await;
    let infer = |model: &str, body: &str| {
        let path = format!("/v2/models/{model}/infer");
        let body = body.to_owned();
        let service = &service;
        async move { service.ask("POST", &path, Some(&body)).await }
    };
    let scaled = r#"{"id": "7", "inputs": [{"name": "x", "shape": [2], "datatype": "FP64", "data": [1.5, 2]}], "parameters": {"scale_factor": 2.0}}"#;
    assert_eq!(
        infer("simple-scaler", scaled).await.text,
        r#"{"model_name":"simple-scaler","model_version":"1","id":"7","outputs":[{"name":"scaled_result","shape":[2],"datatype":"FP64","data":[3.0,4.0]}]}"#
    );
    let sum = r#"{"inputs": [{"name": "a", "shape": [1], "datatype": "FP64", "data": [30]}, {"name": "b", "shape": [1], "datatype": "INT64", "data": [12]}]}"#;
    assert_eq!(infer("simple-sum", sum).await.json()["outputs"][0]["data"], json!([42.0]));
    let rows = r#"{"inputs": [{"name": "features", "shape": [2, 3], "datatype": "FP64", "data": [[0.5, 1.5, 2], [1, 1, 1]]}]}"#;
    assert_eq!(
        infer("simple-linear-demo", rows).await.json()["outputs"][0]["data"],
        json!([4.0, 3.0])
    );
    for (model, body, status, told) in [
        ("nothing", sum, 404, "no such model"),
        ("simple-sum", "{", 400, "not an inference request"),
        ("simple-sum", r#"{"inputs": []}"#, 400, "no inputs"),
        (
            "simple-sum",
            r#"{"inputs": [{"name": "a", "shape": [3], "datatype": "FP64", "data": [1]}]}"#,
            400,
            "do not fill",
        ),
        (
            "simple-sum",
            r#"{"inputs": [{"name": "a", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}"#,
            400,
            "must be numbers",
        ),
        ("simple-sum/versions/9", sum, 404, "version 1 only"),
    ] {
        let answer = infer(model, body).await;
        assert_eq!(answer.status.as_u16(), status, "{model} {body}: {}", answer.text);
        assert!(answer.json()["error"].as_str().expect("text").contains(told), "{}", answer.text);
    }
    assert_eq!(service.ask("GET", "/v2/health/ready", None).await.status, 200);
    let described = service.ask("GET", "/v2/models/simple-sum/versions/1", None).await.json();
    assert_eq!(
        (&described["inputs"][1]["name"], &described["versions"]),
        (&json!("b"), &json!(["1"]))
    );

    let config = ClientConfig {
        endpoint: service.address.to_string(),
        headers: Default::default(),
        max_receive_message_size: None,
        keepalive: None,
        doubles: DoubleEncoding::default(),
    };
    let client = Client::new(&config).expect("a client");
    let patience = Duration::from_secs(10);
    assert!(client.server_ready(patience).await.expect("reached"));
    assert!(client.model_ready("simple-scale", "", patience).await.expect("known"));
    assert!(client.model_ready("nothing", "", patience).await.is_err());
    let metadata = client.model_metadata("simple-sum", "", patience).await.expect("described");
    assert!(format!("{metadata:?}").contains("sum_result"));
    service.stop().await;
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn requests_that_wait_are_computed_together_and_too_many_are_refused() {
    let meter = opentelemetry::global::meter("test");
    let batcher = Arc::new(Batcher::start(Duration::from_millis(100), 4, &meter));
    let ask = |n: usize| {
        let batcher = batcher.clone();
        tokio::spawn(async move { batcher.ask(vec![n as f64, 0.5]).await })
    };
    let all: Vec<_> = (0..batching::QUEUE * 2).map(ask).collect();
    let mut sizes = Vec::new();
    let mut refused = 0;
    for (n, answer) in all.into_iter().enumerate() {
        match answer.await.expect("no panic") {
            Some(computed) => {
                assert_eq!(computed.prediction, n as f64 + 0.5, "each its own answer");
                sizes.push(computed.batch);
            }
            None => refused += 1,
        }
    }
    assert!(sizes.iter().all(|size| (1..=4).contains(size)) && sizes.contains(&4));
    assert!(refused > 0 && sizes.len() >= batching::QUEUE, "{refused} refused");
}
