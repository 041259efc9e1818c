// SPDX-License-Identifier: Apache-2.0
//! `foreglow doctor` against a stack that runs, one that does not, and strangers on its ports.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::process::{Foreglow, free_ports, get, wait_for};

struct Ports {
    grpc: u16,
    http: u16,
    page: u16,
    health: u16,
    metrics: u16,
}

impl Ports {
    fn free() -> Ports {
        let [grpc, http, page, health, metrics] = free_ports();
        Ports { grpc, http, page, health, metrics }
    }

    fn config(&self) -> String {
        let Ports { grpc, http, page, health, metrics } = self;
        format!(
            "receivers:
  otlp:
    protocols:
      grpc: {{endpoint: 'localhost:{grpc}'}}
      http: {{endpoint: 'localhost:{http}'}}
exporters:
  embedded_store:
extensions:
  health_check: {{endpoint: 'localhost:{health}'}}
  query_server: {{endpoint: '127.0.0.1:{page}'}}
service:
  extensions: [health_check, query_server]
  telemetry:
    metrics: {{address: 'localhost:{metrics}'}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [embedded_store]}}
    metrics: {{receivers: [otlp], exporters: [embedded_store]}}
    logs: {{receivers: [otlp], exporters: [embedded_store]}}
"
        )
    }
}

/// Exit status and report for `config`, with these `OTEL_*` variables and no others.
fn doctor(folder: &Path, config: &str, variables: &[(&str, String)]) -> (Option<i32>, Value) {
    let path = folder.join("doctor.yaml");
    std::fs::write(&path, config).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_foreglow"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OTEL_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(["doctor", "--output=json", "--config"])
        .arg(path)
        .arg("--data")
        .arg(folder.join("data"))
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .output()
        .expect("the binary starts");
    let told = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&told);
    (output.status.code(), report.unwrap_or_else(|_| panic!("no JSON: {told} {output:?}")))
}

/// The finding about `what`.
fn about<'a>(report: &'a Value, what: &str) -> &'a Value {
    let all = report["findings"].as_array().expect("findings");
    all.iter().find(|one| one["what"] == what).unwrap_or_else(|| panic!("{what}: {report:#}"))
}

#[test]
fn a_stack_that_runs_is_well_and_mistakes_of_senders_are_found() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ports = Ports::free();
    let config = ports.config();
    let _stack = Foreglow::launch_bare(folder.path(), &config);
    wait_for("the stack", || get(ports.page, "/-/ready").filter(|answer| answer.status == 200));
    let (code, report) = doctor(folder.path(), &config, &[]);
    assert_eq!(code, Some(0), "{report:#}");
    let all = [
        format!("OTLP/gRPC localhost:{}", ports.grpc),
        format!("OTLP/HTTP localhost:{}", ports.http),
        format!("health localhost:{}", ports.health),
        format!("page 127.0.0.1:{}", ports.page),
        format!("own metrics localhost:{}", ports.metrics),
    ];
    for what in all.iter().map(String::as_str).chain(["Prometheus API", "Jaeger API", "clocks"]) {
        assert_eq!(about(&report, what)["verdict"], "ok", "{what}: {report:#}");
    }
    // What the doctor sent was nothing.
    let traces = about(&report, "traces");
    assert_eq!(traces["verdict"], "warn", "{traces}");
    assert!(traces["advice"].as_str().is_some_and(|advice| {
        advice.contains(&format!("OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:{}", ports.http))
    }));
    let data = about(&report, "data directory")["seen"].as_str().expect("text").to_owned();
    assert!(data.contains("15d (metrics)"), "{data}");

    let name = ("OTEL_SERVICE_NAME", "shop".to_owned());
    let endpoint = |rest: &str| ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://localhost:{rest}"));
    let (code, report) =
        doctor(folder.path(), &config, &[name.clone(), endpoint(&ports.http.to_string())]);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(
        about(&report, &format!("OTLP/HTTP http://localhost:{}", ports.http))["verdict"],
        "ok"
    );
    let (code, report) =
        doctor(folder.path(), &config, &[name, endpoint(&format!("{}/v1/traces", ports.http))]);
    assert_eq!(code, Some(1), "{report:#}");
    assert_eq!(about(&report, "OTEL_EXPORTER_OTLP_ENDPOINT")["verdict"], "fail");
}

#[test]
fn a_stack_that_does_not_run_a_stranger_on_its_port_and_another_configuration_are_told() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let ports = Ports::free();
    let stranger = std::net::TcpListener::bind(("127.0.0.1", ports.grpc)).expect("a free port");
    let (code, report) = doctor(folder.path(), &ports.config(), &[]);
    assert_eq!(code, Some(1));
    let held = about(&report, &format!("OTLP/gRPC localhost:{}", ports.grpc));
    let text = |key: &str| held[key].as_str().expect("text").to_owned();
    assert_eq!(held["verdict"], "fail");
    assert!(text("seen").contains(&format!("(pid {})", std::process::id())), "{held}");
    assert!(text("seen").contains("does not answer in gRPC"), "{held}");
    assert!(text("advice").contains("receivers.otlp.protocols.grpc.endpoint"), "{held}");
    let free = about(&report, &format!("OTLP/HTTP localhost:{}", ports.http));
    assert_eq!(free["seen"], "nobody listens on this port");
    drop(stranger);

    let (code, report) = doctor(folder.path(), "receivers: {olpt: }", &[]);
    assert_eq!(code, Some(1));
    let wrong = about(&report, "configuration");
    assert!(wrong["seen"].as_str().is_some_and(|seen| seen.contains("olpt")), "{wrong}");
    // The default addresses are looked at then.
    about(&report, "OTLP/gRPC localhost:4317");
}
