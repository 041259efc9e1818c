// SPDX-License-Identifier: Apache-2.0
use super::*;
use std::time::Duration;

/// The configuration of the published processor's own document.
const DOCUMENT: &str = r#"
grpc:
  endpoint: "mlserver:8081"
  use_ssl: false
rules:
  - model_name: "simple-scale"
    inputs: ["otelcol_process_runtime_total_sys_memory_bytes"]
    outputs:
      - name: "otelcol_process_runtime_total_sys_memory_bytes.predicted"
        data_type: "float"
    parameters:
      scale_factor: 2.0
  - model_name: "simple-sum"
    inputs: ["http_request_duration_ms", "grpc_request_duration_ms"]
    outputs:
      - name: "total_request_duration_ms"
        data_type: "float"
"#;

#[test]
fn the_document_loads_and_is_remote() {
    let config = config(DOCUMENT);
    assert_eq!(config.grpc.as_ref().unwrap().endpoint, "mlserver:8081");
    assert_eq!(config.timeout(), Duration::from_secs(10));
    let params = config.rules[0].params();
    assert_eq!(params.number("scale_factor", 0.0).unwrap(), 2.0);
    assert!(subject(DOCUMENT).stage.server.is_some());
}

#[test]
fn the_readmes_sample_loads() {
    let readme = include_str!("../README.md");
    let sample = readme.split("```yaml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let body = sample
        .lines()
        .filter_map(|line| line.strip_prefix("    ").or(line.is_empty().then_some("")));
    let config = config(&body.collect::<Vec<_>>().join("\n"));
    assert_eq!(config.rules.len(), 3);
    assert!(config.grpc.is_none());
}

#[test]
fn every_key_of_the_published_processor_is_taken() {
    let config = config(
        r#"
grpc:
  endpoint: 127.0.0.1:9000
  compression: false
  max_receive_message_size: 8388608
  headers: {authorization: "Bearer x"}
  keepalive: {time: 30s, timeout: 5s, permit_without_stream: true}
timeout: 7
naming: {max_stem_parts: 3, skip_common_domains: false, enable_category_grouping: false, abbreviation_threshold: 2}
data_handling: {mode: window, window_size: 3, align_timestamps: true, timestamp_tolerance: 250}
rules:
  - model_name: m
    model_version: v1
    inputs: ['cpu{state="idle"}', mem]
    output_pattern: "{model}.{output}"
    outputs:
      - {name: a, data_type: double, description: d, unit: "1", output_index: 1}
    parameters: {a: true, b: 3, c: 1.5, d: text}
"#,
    );
    let client = config.grpc.as_ref().unwrap().client();
    assert_eq!(client.max_receive_message_size, Some(8 << 20));
    assert_eq!(client.keepalive.unwrap().timeout, Duration::from_secs(5));
    assert_eq!(config.timeout(), Duration::from_secs(7));
    assert_eq!(config.data_handling.points_max(), 3);
    assert_eq!(config.data_handling.tolerance(), Duration::from_millis(250));
    assert_eq!(config.rules[0].params().0.len(), 4);
}

#[test]
fn timeouts_are_seconds_or_durations() {
    for (text, expected) in [("5", 5.0), ("1.5", 1.5), ("300ms", 0.3), ("1m", 60.0)] {
        let rules = "rules: [{model_name: sum, inputs: [a]}]";
        let config = config(&format!("timeout: {text}\n{rules}"));
        assert_eq!(config.timeout().as_secs_f64(), expected, "{text}");
    }
}

#[test]
fn mistakes_are_told_where_they_are() {
    let rule = "rules: [{model_name: sum, inputs: [a]}]";
    for (yaml, expected) in [
        ("rules: []", "no rules"),
        ("rules: [{inputs: [a]}]", "missing required field \"model_name\" for rule at index 0"),
        ("rules: [{model_name: sum}]", "missing required field \"inputs\" for rule at index 0"),
        ("rules: [{model_name: summ, inputs: [a]}]", "no embedded model \"summ\""),
        ("rules: [{model_name: scale, inputs: [a], parameters: {scale_factor: x}}]", "a number"),
        ("rules: [{model_name: sum, inputs: ['a{b']}]", "the closing brace is missing"),
        ("rules: [{model_name: sum, inputs: ['{b=\"c\"}']}]", "the metric name is missing"),
        ("rules: [{model_name: sum, inputs: ['a{b=~\"(\"}']}]", "invalid regular expression"),
        ("rules: [{model_name: sum, inputs: [a], output_pattern: '{x}'}]", "unknown placeholder"),
        ("rules: [{model_name: sum, inputs: [a], outputs: [{unit: s}]}]", "needs a name"),
        (
            "rules: [{model_name: sum, inputs: [a], outputs: [{name: x, data_type: string}]}]",
            "text results",
        ),
        (&format!("grpc:\n{rule}"), "gRPC endpoint must be specified"),
        (&format!("grpc: {{endpoint: nowhere}}\n{rule}"), "expected host:port"),
        (&format!("grpc: {{endpoint: 'a:1', use_ssl: true}}\n{rule}"), "TLS"),
        (&format!("timeout: 0\n{rule}"), "longer than nothing"),
        (&format!("timeout: soon\n{rule}"), "timeout"),
        (&format!("data_handling: {{mode: some}}\n{rule}"), "mode"),
        (&format!("data_handling: {{mode: window, window_size: 0}}\n{rule}"), "at least 1"),
        (&format!("data_handling: {{timestamp_tolerance: -1}}\n{rule}"), "timestamp_tolerance"),
        (&format!("state: {{max_series: 0}}\n{rule}"), "at least 1"),
        (&format!("ruls: 1\n{rule}"), "ruls"),
    ] {
        let error = pipeline::config::from_yaml::<Config>(yaml).err().unwrap_or_default();
        assert!(error.contains(expected), "{yaml}\n-> {error}");
    }
}

#[test]
fn selectors_read_all_operators() {
    let matches = |selector: &str, attrs: &str, host: &str| {
        let selector = selector::Selector::parse(selector).map_err(|e| e.to_string())?;
        let payload = payload(&[(host, "m", attrs, 0, 1.0)]);
        let resource = payload.metrics().next().unwrap();
        let metric = resource.scopes().next().unwrap().metrics().next().unwrap();
        let point = numbers(metric.data()).unwrap().next().unwrap();
        Ok::<_, String>(selector.matches(point.attrs(), resource.attrs()))
    };
    for (text, attrs, expected) in [
        ("m", "", true),
        ("m{}", "", true),
        ("m{a=\"1\"}", "a=1", true),
        ("m{a=1}", "a=1", true),
        ("m{ a = '1' , b != \"2\" }", "a=1,b=3", true),
        ("m{a=\"1\"}", "a=2", false),
        ("m{a=\"\"}", "", true),
        ("m{a!=\"1\"}", "", true),
        ("m{a=~\"x|y\"}", "a=y", true),
        ("m{a=~\"x|y\"}", "a=xy", false),
        ("m{a!~\"x.*\"}", "a=xy", false),
        ("m{a=\"x,y\"}", "a=x", false),
        ("m{resource.host.name=\"h1\"}", "", true),
        ("m{resource.host.name=\"h2\"}", "", false),
    ] {
        assert_eq!(matches(text, attrs, "h1"), Ok(expected), "{text} on {{{attrs}}}");
    }
    for text in ["", "m{a}", "m{a=\"1\" b=\"2\"}", "m{a=\"1}", "m{=\"1\"}", "m{a=\"1\"", "m{a~1}"] {
        assert!(matches(text, "", "h1").is_err(), "{text}");
    }
}
