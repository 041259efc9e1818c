// SPDX-License-Identifier: Apache-2.0
//! The report: a status for every component and key, whatever else is in the file.

use super::super::report::{Report, Status, report};
use super::*;

fn reported(yaml: &str) -> Report {
    let (input, text) = given(yaml);
    report(&input, &components(), Environment { variables: &|_| Some(text.clone()) })
}

/// `section/id status` and `key status` of all that is not simply supported.
fn remarks(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for row in &report.components {
        if row.status != Status::Supported {
            lines.push(format!("{} {} {:?}", row.section, row.id, row.status));
        }
        let keys = row.keys.iter().filter(|key| key.status != Status::Supported);
        lines.extend(keys.map(|key| format!("{}: {} {:?}", row.id, key.key, key.status)));
    }
    lines
}

const MIXED: &str = "\
receivers:
  otlp:
    protocols: {grpc: {endpoint: 'localhost:4317', endpiont: x}}
  kafka: {brokers: [a]}
processors:
  batch: {send_batch_size: many, timeout: 1s}
exporters:
  logging:
  otlp: {endpoint: 'a:1', tls: {insecure: true}}
  googlecloud/x: {project: secret}
service:
  telemetry: {metrics: {address: 'localhost:1', views: []}}
  pipelines:
    traces: {receivers: [otlp, kafka], processors: [batch], exporters: [logging, googlecloud/x, lost]}
";

#[test]
fn every_component_and_key_has_a_status() {
    let report = reported(MIXED);
    assert_eq!(
        remarks(&report),
        [
            "otlp: protocols::grpc::endpiont Missing",
            "receivers kafka Missing",
            "batch: send_batch_size Wrong",
            "exporters logging Aliased",
            "exporters otlp Aliased",
            "exporters googlecloud/x Missing",
            "telemetry: metrics::address Aliased",
            "telemetry: metrics::views Ignored",
        ]
    );
    assert!(!report.usable);
    assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
    assert!(report.problems[0].contains("\"lost\" which is not configured"));
    let kafka = &report.components[1];
    assert_eq!(kafka.pipelines, ["traces"]);
    assert_eq!(kafka.place, "--config env:CONFIG:4:3");
    assert!(kafka.note.contains("this build has no receiver \"kafka\""), "{}", kafka.note);
}

#[test]
fn text_and_json_say_the_same_and_no_value() {
    let report = reported(MIXED);
    let (text, json) = (report.to_text(), report.to_json().expect("JSON"));
    for shown in [&text, &json] {
        assert!(!shown.contains("secret"), "{shown}");
        assert!(shown.contains("googlecloud/x") && shown.contains("endpiont"), "{shown}");
    }
    assert!(text.contains("components: 2 supported, 2 aliased, 2 missing"), "{text}");
    assert!(text.contains("this configuration does not run"), "{text}");
    let parsed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(parsed["components"][1]["status"], "missing");
    assert_eq!(parsed["usable"], false);
}

#[test]
fn a_file_that_works_is_said_to_work_and_one_that_cannot_be_read_is_a_problem() {
    let good = reported(SMALL);
    assert!(good.usable && good.problems.is_empty() && remarks(&good).is_empty());
    assert!(good.to_text().contains("this configuration runs"));
    let bad = reported("receivers: [");
    assert!(!bad.usable && bad.components.is_empty() && !bad.problems.is_empty());
}
