// SPDX-License-Identifier: Apache-2.0

use std::collections::HashMap;

use serde_json::json;

use super::*;
use crate::Protocol;
use crate::testing::{Running, pairs};

const TRACE: [u8; 16] = [
    0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c,
];

async fn shop(protocol: Protocol, faults: Faults) -> Running {
    Running::start(protocol, |target, ready, stopped| {
        let settings = Settings {
            environment: "qa".into(),
            data_plane_id: "dp-qa-01".into(),
            listen: "127.0.0.1:0".into(),
            faults,
            target,
        };
        let ready = |address| ready.send(address).expect("waited for");
        run(settings, ready, async {
            let _ = stopped.await;
        })
    })
    .await
}

#[test]
fn the_environment_decides_and_wrong_values_are_named() {
    let of = |pairs: &[(&str, &str)]| {
        let map: HashMap<String, String> =
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Settings::of(|name| map.get(name).cloned())
    };
    for (environment, port) in [("prod", 8081), ("dev", 8082), ("qa", 8083), ("test", 8080)] {
        let settings = of(&[("ENV", environment)]).expect("fine");
        assert_eq!(settings.listen, format!("127.0.0.1:{port}"));
        assert_eq!(settings.data_plane_id, format!("dp-{environment}-01"));
    }
    let settings = of(&[
        ("DATA_PLANE_ID", "dp-7"),
        ("OTEL_ENDPOINT", "http://collector:4317"),
        ("ERROR_RATE", "0.1"),
    ]);
    let settings = settings.expect("fine");
    assert_eq!((settings.data_plane_id.as_str(), settings.faults.error_rate), ("dp-7", 0.1));
    let target =
        Target { endpoint: Some("http://collector:4317".into()), protocol: Protocol::Grpc };
    assert_eq!(settings.target, target);
    for (name, value) in
        [("ERROR_RATE", "1.5"), ("ERROR_RATE", "x"), ("LATENCY_MS", "-1"), ("PORT", "99999")]
    {
        let error = format!("{:#}", of(&[(name, value)]).expect_err(value));
        assert!(error.contains(&format!("{name}={value}")), "{error}");
    }
}

#[tokio::test]
async fn what_is_asked_is_what_arrives_at_the_far_end() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let shop = shop(protocol, Faults::default()).await;
        let health = shop.ask("GET", "/health", None).await.json();
        assert_eq!((&health["status"], &health["environment"]), (&json!("ok"), &json!("qa")));
        for _ in 0..5 {
            let products = shop.ask("GET", "/api/products", None).await;
            assert_eq!(products.json()["count"], 6);
        }
        let order = r#"{"items": [{"product_id": 6, "quantity": 2}, {"product_id": 1}]}"#;
        let created = shop.ask("POST", "/api/orders", Some(order)).await;
        assert_eq!((created.status.as_u16(), &created.json()["total"]), (201, &json!(2000.5)));
        assert_eq!(shop.ask("POST", "/api/orders", None).await.status, 201);
        assert_eq!(shop.ask("POST", "/api/payments", Some(r#"{"amount": 9.5}"#)).await.status, 200);
        let found = shop.ask("GET", "/api/search?q=LA", None).await.json();
        assert_eq!(found["results"], json!(["lamp", "laptop"]));
        assert_eq!(shop.ask("GET", "/api/reports", None).await.status, 200);
        for (path, body, told) in [
            ("/api/orders", r#"{"items": [{"product_id": 9}]}"#, "items[0].product_id"),
            ("/api/orders", r#"{"items": 1}"#, "items"),
            ("/api/orders", "{", "EOF"),
            ("/api/payments", r#"{"amount": -1}"#, "amount: -1"),
        ] {
            let answer = shop.ask("POST", path, Some(body)).await;
            assert!(
                answer.status.is_client_error() && answer.text.contains(told),
                "{}",
                answer.text
            );
        }
        assert_eq!(shop.ask("GET", "/wp-login.php", None).await.status, 404);
        assert_eq!(shop.ask("DELETE", "/api/orders", None).await.status, 405);

        let all = shop.stop().await;
        let requests = "http.server.request.duration";
        assert_eq!(all.sum(requests, &[]), 17.0);
        assert_eq!(all.sum(requests, &["http.route=/api/products"]), 5.0);
        assert_eq!(
            all.sum(requests, &["http.route=/api/orders", "http.response.status_code=201"]),
            2.0
        );
        assert_eq!(all.sum("http.server.active_requests", &[]), 0.0);
        assert_eq!(all.sum("shop.orders.created", &[]), 2.0);
        assert_eq!(all.sum("shop.cart.items", &[]), 4.0);
        assert_eq!(all.sum("shop.payments", &["outcome=ok"]), 1.0);
        assert_eq!(all.sum("shop.cache.requests", &[]), 5.0);
        for name in ["http.server.request.body.size", "http.server.response.body.size"] {
            assert_eq!(all.sum(name, &[]), 17.0, "{name}");
        }
        for pair in ["service.name=api-service", "environment=qa", "data_plane_id=dp-qa-01"] {
            assert!(all.resource.contains(pair), "{pair} in {:?}", all.resource);
        }
        let orders = all.spans("POST /api/orders");
        let created: Vec<_> = orders
            .iter()
            .filter(|s| pairs(&s.attributes).contains("http.response.status_code=201"))
            .collect();
        assert_eq!(created.len(), 2);
        assert!(orders.iter().all(|span| span.trace_id == TRACE), "traceparent is honoured");
        let steps = all.spans("INSERT orders");
        assert!(steps.iter().all(|s| created.iter().any(|o| o.span_id == s.parent_span_id)));
        let logged = all.records.iter().filter(|r| r.span_id == created[0].span_id);
        assert_eq!(logged.count(), 1, "one record of the order, with its span");
    }
}

#[tokio::test]
async fn faults_are_switched_on_and_off_while_it_runs() {
    let shop = shop(Protocol::Http, Faults::default()).await;
    let faults = shop.ask("PUT", "/admin/faults", Some(r#"{"error_rate": 1}"#)).await.json();
    assert_eq!(faults["error_rate"], 1.0);
    assert_eq!(shop.ask("GET", "/api/products", None).await.status, 500);
    assert_eq!(shop.ask("GET", "/health", None).await.status, 200);
    for wrong in [r#"{"error_rate": 2}"#, r#"{"latency": 1}"#, r#"{"latency_ms": 90000}"#] {
        assert_eq!(shop.ask("PUT", "/admin/faults", Some(wrong)).await.status.as_u16() / 100, 4);
    }
    let ill = r#"{"error_rate": 0, "dependency_error_rate": 1}"#;
    shop.ask("PUT", "/admin/faults", Some(ill)).await;
    for _ in 0..5 {
        assert_eq!(shop.ask("POST", "/api/payments", None).await.status, 502);
    }
    let open = shop.ask("POST", "/api/payments", None).await;
    assert_eq!(open.status, 503);
    assert!(open.headers["retry-after"].to_str().expect("text").parse::<u64>().expect("s") <= 5);
    let all = shop.stop().await;
    assert_eq!(all.sum("http.server.request.duration", &["error.type=injected_fault"]), 1.0);
    assert_eq!(all.sum("shop.payments", &["outcome=failed"]), 6.0);
    assert_eq!(all.sum("shop.dependency.circuit_breaker.transitions", &["state=open"]), 1.0);
    assert_eq!(all.sum("shop.dependency.circuit_breaker.state", &[]), 2.0);
    let failed = all.spans("POST /api/payments");
    assert!(failed.iter().all(|span| span.status.as_ref().is_some_and(|s| s.code == 2)));
}

#[tokio::test]
async fn it_starts_and_works_without_a_collector() {
    let backend = testkit::Backend::start().await;
    let address = backend.address();
    backend.stop().await;
    let target = Target { endpoint: Some(format!("http://{address}")), protocol: Protocol::Http };
    let settings = Settings {
        environment: "dev".into(),
        data_plane_id: "dp-dev-01".into(),
        listen: "127.0.0.1:0".into(),
        faults: Faults::default(),
        target,
    };
    let (ready, listening) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let ready = |address: std::net::SocketAddr| ready.send(address).expect("waited for");
    let task = tokio::spawn(run(settings, ready, async {
        let _ = stopped.await;
    }));
    let shop = listening.await.expect("it starts");
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
    let client = client.build_http::<http_body_util::Empty<bytes::Bytes>>();
    let url = format!("http://{shop}/api/products").parse().expect("an address");
    assert_eq!(client.get(url).await.expect("served").status(), 200);
    stop.send(()).expect("it runs");
    task.await.expect("no panic").expect("ends well");
}
