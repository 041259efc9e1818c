// SPDX-License-Identifier: Apache-2.0
//! What a user sees: snapshots of whole renderings.

use super::*;

#[track_caller]
fn shows(name: &str, yaml: &str) {
    insta::assert_snapshot!(name, rendered(yaml));
}

#[test]
fn an_unknown_component_is_named_with_those_that_need_it() {
    shows(
        "unknown_component",
        "receivers:
  otlp:
    protocols:
      grpc:
exporters:
  jaeger:
    endpoint: jaeger:14250
  debgu:
service:
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [jaeger, debgu]
    logs:
      receivers: [otlp]
      exporters: [debgu]
",
    );
}

#[test]
fn an_unknown_key_is_shown_with_a_suggestion() {
    shows(
        "unknown_key",
        &SMALL.replace(
            "protocols: {grpc: }",
            "protocols:\n      grpc:\n        endpiont: 0.0.0.0:4317",
        ),
    );
}

#[test]
fn a_bad_duration_is_shown_with_what_would_be_right() {
    shows("bad_duration", &SMALL.replace("  batch:\n", "  batch:\n    timeout: 10 seconds\n"));
}

#[test]
fn a_duration_without_unit_is_warned_about() {
    shows("bare_duration", &SMALL.replace("  batch:\n", "  batch:\n    timeout: 10\n"));
}

#[test]
fn a_wrong_type_is_shown_with_the_type_expected() {
    shows("wrong_type", &SMALL.replace("  batch:\n", "  batch:\n    send_batch_size: many\n"));
}

#[test]
fn a_duplicate_key_is_shown_with_its_first_place() {
    shows(
        "duplicate_key",
        &SMALL.replace("  batch:\n", "  batch:\n    timeout: 1s\n    timeout: 2s\n"),
    );
}

#[test]
fn an_undefined_reference_is_shown_with_a_suggestion() {
    shows("undefined_reference", &SMALL.replace("exporters: [debug]", "exporters: [debugg]"));
}

#[test]
fn an_unclosed_bracket_is_shown_where_it_opens() {
    shows("unclosed_bracket", "receivers:\n  otlp:\n    protocols: [grpc\nexporters:\n  debug:\n");
}

#[test]
fn an_unset_variable_is_warned_about() {
    shows(
        "unset_variable",
        &SMALL.replace(
            "protocols: {grpc: }",
            "protocols:\n      grpc:\n        endpoint: ${env:HOST}:4317",
        ),
    );
}

#[test]
fn every_mistake_is_shown_at_once() {
    shows(
        "all_at_once",
        "receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 4317
        max_recv_msg_size: 4
processors:
  batch:
    timeout: soon
    send_batch_size: -1
exporters:
  debug:
    verbosity: detail
  kafka:
extensions:
  health_check:
    paht: /
service:
  extensions: [health_checks]
  pipelines:
    traces:
      receivers: [otlp]
      processors: [batch, filter]
      exporters: [debug, kafka]
",
    );
}
