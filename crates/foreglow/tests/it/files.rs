// SPDX-License-Identifier: Apache-2.0
//! Telemetry into files and out of them: what the file exporter writes, otlpjsonfile reads.

use crate::process::{Foreglow, post, wait_for};

const LOGS: &str = r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},"scopeLogs":[{"scope":{"name":"s"},"logRecords":[{"timeUnixNano":"1767225600000000000","severityNumber":9,"body":{"stringValue":"line \u00e9 \"one\"\n"}}]}]}]}"#;

#[test]
fn what_the_file_exporter_writes_is_read_back() {
    for format in ["json", "proto"] {
        let folder = tempfile::tempdir().expect("temp dir");
        let place = |name: &str| folder.path().join(name).display().to_string();
        let yaml = format!(
            "receivers:\n\
             \x20 otlp: {{protocols: {{http: }}}}\n\
             \x20 otlpjsonfile: {{include: ['{written}'], start_at: beginning, poll_interval: 20ms, format: {format}, include_file_name: false}}\n\
             exporters:\n\
             \x20 file/written: {{path: '{written}', format: {format}}}\n\
             \x20 file/read: {{path: '{read}'}}\n\
             service:\n\
             \x20 pipelines:\n\
             \x20   logs/in: {{receivers: [otlp], exporters: [file/written]}}\n\
             \x20   logs/out: {{receivers: [otlpjsonfile], exporters: [file/read]}}\n",
            written = place("written"),
            read = place("read.jsonl"),
        );
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, yaml).expect("written");
        let mut server =
            Foreglow::launch(folder.path(), &[&format!("--config={}", config.display())]);
        server.wait_until_ready();
        for _ in 0..3 {
            let kind = [("content-type", "application/json")];
            let answer = post(server.http, "/v1/logs", &kind, LOGS.as_bytes()).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        let read = || std::fs::read_to_string(place("read.jsonl")).unwrap_or_default();
        wait_for("three batches", || (read().lines().count() == 3).then_some(()));
        let sent: serde_json::Value = serde_json::from_str(LOGS).expect("JSON");
        for line in read().lines() {
            let got: serde_json::Value = serde_json::from_str(line).expect("JSON");
            assert_eq!(got, sent, "{format}");
        }
    }
}
