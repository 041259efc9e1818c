// SPDX-License-Identifier: Apache-2.0
//! Own telemetry goes out by OTLP: metrics, log lines and spans, to another process.

use crate::process::{Foreglow, post, wait_for};

const LOG: &str =
    r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"x"}}]}]}]}"#;

#[test]
fn metrics_lines_and_spans_reach_another_process() {
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("temp dir"));
    let start = |folder: &std::path::Path, telemetry: &str| {
        let path = folder.join("collector.yaml");
        let text = format!(
            "receivers: {{otlp: {{protocols: {{http: , grpc: }}}}}}
exporters: {{debug: {{verbosity: detailed}}}}
service:
  telemetry: {telemetry}
  pipelines:
    traces: {{receivers: [otlp], exporters: [debug]}}
    metrics: {{receivers: [otlp], exporters: [debug]}}
    logs: {{receivers: [otlp], exporters: [debug]}}
"
        );
        std::fs::write(&path, text).expect("written");
        let mut server = Foreglow::launch(folder, &[&format!("--config={}", path.display())]);
        server.wait_until_ready();
        server
    };
    let sink = start(folders[0].path(), "{}");
    let otlp = format!(
        "exporter: {{otlp: {{protocol: http/protobuf, endpoint: 'http://127.0.0.1:{}'}}}}",
        sink.http
    );
    let telemetry = format!(
        "{{resource: {{site: lab}}, metrics: {{readers: [{{periodic: {{interval: 200, {otlp}}}}}]}}, logs: {{processors: [{{batch: {{schedule_delay: 100, {otlp}}}}}]}}, traces: {{processors: [{{batch: {{schedule_delay: 100, {otlp}}}}}]}}}}"
    );
    let source = start(folders[1].path(), &telemetry);
    let json = [("Content-Type", "application/json")];
    let sent = post(source.http, "/v1/logs", &json, LOG.as_bytes());
    assert_eq!(sent.map(|answer| answer.status), Some(200));
    for wanted in
        ["otelcol_process_uptime", "Everything is ready", "pipeline/logs", "exporter/debug", "lab"]
    {
        wait_for(wanted, || sink.output().contains(wanted).then_some(()));
    }
    assert!(source.terminate() && sink.terminate());
}
