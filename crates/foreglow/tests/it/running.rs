// SPDX-License-Identifier: Apache-2.0
//! Start and stop of the whole stack, and what keeps it from starting.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::process::{Foreglow, get, post, wait_for};

/// One point of each of two metrics that the built-in rules add up, at this time.
fn durations() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let metric = |name: &str, value: u32| {
        format!(
            r#"{{"name":"{name}","gauge":{{"dataPoints":[{{"timeUnixNano":"{now}","asDouble":{value}}}]}}}}"#
        )
    };
    let metrics =
        [metric("http_request_duration_ms", 30), metric("grpc_request_duration_ms", 12)].join(",");
    format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metrics}]}}]}}]}}"#)
}

#[test]
fn the_built_in_stack_receives_predicts_stores_and_shows() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Foreglow::start(folder.path());
    assert_eq!(get(server.health, "/").map(|answer| answer.status), Some(200));
    let environment = std::fs::read(format!("/proc/{}/environ", server.pid())).expect("there");
    let asked = b"MIMALLOC_PURGE_DELAY=";
    assert!(environment.windows(asked.len()).any(|part| part == asked), "freed memory is kept");
    let own = get(server.metrics, "/metrics").expect("own metrics").body;
    assert!(own.contains("otelcol_process_uptime"), "{own}");
    assert_eq!(get(server.page, "/").map(|answer| answer.status), Some(200));
    wait_for("own metrics in the store", || {
        (!server.query("otelcol_process_uptime_total").as_array()?.is_empty()).then_some(())
    });
    wait_for("this machine's metrics", || {
        (!server.query("system_cpu_load_average_1m").as_array()?.is_empty()).then_some(())
    });
    let json = [("Content-Type", "application/json")];
    let sent = post(server.http, "/v1/metrics", &json, durations().as_bytes());
    assert_eq!(sent.map(|answer| answer.status), Some(200));
    for (name, value) in [("http_request_duration_ms", "30"), ("total_request_duration_ms", "42")] {
        wait_for(name, || (server.query(name)[0]["value"][1] == value).then_some(()));
    }
    let output = server.output();
    for line in ["is ready", &format!("http://127.0.0.1:{}/", server.page), "Everything is ready."]
    {
        assert!(output.contains(line), "no line {line:?}:\n{output}");
    }
    assert!(server.terminate(), "SIGTERM ends with status 0");
}

#[test]
fn points_the_store_refuses_are_told_and_the_others_are_kept() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = Foreglow::start(folder.path());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let points = [(now, 1), (1, 2), (now + 86_400_000_000_000, 3)]
        .map(|(time, value)| format!(r#"{{"timeUnixNano":"{time}","asInt":"{value}"}}"#));
    let body = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"mixed","gauge":{{"dataPoints":[{}]}}}}]}}]}}]}}"#,
        points.join(",")
    );
    let json = [("Content-Type", "application/json")];
    let answer = post(server.http, "/v1/metrics", &json, body.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 200, "{answer:?}");
    let told: serde_json::Value = serde_json::from_str(&answer.body).expect("JSON");
    let partial = &told["partialSuccess"];
    assert_eq!(partial["rejectedDataPoints"], "2", "{told}");
    let message = partial["errorMessage"].as_str().expect("a message");
    assert!(message.contains("too old") && message.contains("future"), "{message}");
    wait_for("the point that was taken", || {
        (server.query("mixed")[0]["value"][1] == "1").then_some(())
    });
    let own = get(server.metrics, "/metrics").expect("own metrics").body;
    let dropped = own.lines().find(|line| {
        line.starts_with("foreglow_ledger_items_total") && line.contains("reason=\"rejected\"")
    });
    assert!(dropped.is_some_and(|line| line.ends_with(" 2")), "{dropped:?}");
    assert!(server.terminate());
}

#[test]
fn a_port_in_use_is_named_with_its_owner() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("bound").port();
    let set = format!("--set=receivers.otlp.protocols.http.endpoint=127.0.0.1:{port}");
    let (code, output) = Foreglow::launch(folder.path(), &[&set]).wait_for_end();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("receiver otlp"), "{output}");
    assert!(output.contains(&format!("port {port} is in use by ")), "{output}");
    assert!(output.contains(&format!("(pid {})", std::process::id())), "{output}");
}

#[test]
fn two_processes_cannot_share_a_data_directory() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let first = Foreglow::start(folder.path());
    let (code, output) = Foreglow::launch(folder.path(), &[]).wait_for_end();
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains(&folder.path().join("data").display().to_string()), "{output}");
    assert!(first.terminate());
}

#[test]
fn with_a_file_only_its_components_run_beside_the_page() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("collector.yaml");
    let text = "receivers: {otlp: {protocols: {http: , grpc: }}}\nexporters: {debug: }\nservice:\n  pipelines: {traces: {receivers: [otlp], exporters: [debug]}}\n";
    std::fs::write(&path, text).expect("written");
    let config = format!("--config={}", path.display());
    let mut server = Foreglow::launch(folder.path(), &[&config]);
    server.wait_until_ready();
    assert_eq!(get(server.page, "/").map(|answer| answer.status), Some(200));
    assert!(get(server.health, "/").is_none(), "an extension that is not listed does not run");
    assert!(!folder.path().join("data").exists(), "nothing is stored unless the file asks for it");
    assert!(server.terminate());
}
