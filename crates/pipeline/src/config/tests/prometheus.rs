// SPDX-License-Identifier: Apache-2.0
//! Prometheus configurations as ours.

use super::*;

fn translated(text: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("temp dir");
    let path = folder.path().join("prometheus.yml");
    std::fs::write(&path, text).expect("written");
    let input =
        Input { configs: vec![format!("prometheus:{}", path.display())], ..Input::default() };
    let here = |text: String| text.replace(&folder.path().display().to_string(), "/etc");
    match print(&input, Environment::process()) {
        Ok(yaml) => Ok(here(yaml)),
        Err(diagnostics) => Err(here(diagnostics.error_lines().join("\n"))),
    }
}

#[test]
fn every_part_of_a_prometheus_configuration_finds_its_place() {
    let yaml = translated(
        "global:
  scrape_interval: 10s
  evaluation_interval: 1d
  external_labels: {cluster: 'eu-$ZONE', price: '5$'}
rule_files: [rules/*.yml, /abs/r.yml]
scrape_configs:
- job_name: a
  static_configs: [{targets: ['h:1']}]
  relabel_configs: [{source_labels: [x], target_label: y, replacement: '$1'}]
  tls_config: {ca_file: ca.pem}
alerting:
  alertmanagers:
  - {scheme: https, path_prefix: /am/, timeout: 5s, static_configs: [{targets: ['am:9093', 'am2:9093']}]}
remote_write:
- url: http://far/api/v1/write
  name: far
  remote_timeout: 1m
  basic_auth: {username: u, password: p}
storage: {tsdb: {out_of_order_time_window: 30m, retention: {time: 15d}}}
",
    );
    let expected = "receivers:
  prometheus:
    config:
      global:
        scrape_interval: 10s
      scrape_configs:
        - job_name: a
          static_configs:
            - targets:
                - h:1
          relabel_configs:
            - source_labels:
                - x
              target_label: y
              replacement: $$1
          tls_config:
            ca_file: /etc/ca.pem
exporters:
  embedded_store:
    plain_labels: true
    limits:
      out_of_order: 30m0s
    blocks:
      metrics:
        time: 360h0m0s
  prometheusremotewrite/far:
    add_metric_suffixes: false
    disable_scope_info: true
    forward_written: true
    target_info:
      enabled: false
    endpoint: http://far/api/v1/write
    timeout: 1m0s
    auth:
      authenticator: basicauth/remote_write_1
    external_labels:
      cluster: eu-${env:ZONE}
      price: 5$$
extensions:
  basicauth/remote_write_1:
    client_auth:
      username: u
      password: p
  rules:
    evaluation_interval: 24h0m0s
    files:
      - /etc/rules/*.yml
      - /abs/r.yml
    alertmanagers:
      - timeout: 5s
        endpoint: https://am:9093/am
      - timeout: 5s
        endpoint: https://am2:9093/am
    external_labels:
      cluster: eu-${env:ZONE}
      price: 5$$
service:
  extensions:
    - basicauth/remote_write_1
    - rules
  pipelines:
    metrics:
      receivers:
        - prometheus
      exporters:
        - embedded_store
        - prometheusremotewrite/far
";
    assert_eq!(yaml.as_deref(), Ok(expected));
}

#[test]
fn what_has_no_counterpart_is_refused_at_its_place() {
    for (text, says) in [
        (
            "remote_read: [{url: x}]",
            "/etc/prometheus.yml:1:1: remote_read of a Prometheus configuration is not supported",
        ),
        ("remote_write:\n- url: x\n  sigv4: {}", "/etc/prometheus.yml:3:3: remote_write.sigv4"),
        (
            "remote_write: [{url: x, write_relabel_configs: []}]",
            ":1:25: remote_write.write_relabel_configs",
        ),
        (
            "alerting: {alertmanagers: [{dns_sd_configs: []}]}",
            ":1:29: alertmanagers.dns_sd_configs",
        ),
        ("tracing: {endpoint: x}", ":1:1: tracing"),
    ] {
        let error = translated(text).expect_err(text);
        assert!(error.contains(says), "{text}: {error}");
    }
}
