// SPDX-License-Identifier: Apache-2.0
//! What is accepted, and what is told to be wrong.

use super::*;

#[test]
fn mistakes_are_told_where_they_are() {
    let policy = |policy: &str| format!("policies: [{{name: p, {policy}}}]");
    let cases = [
        (policy("type: sometimes"), "unknown sampling policy type sometimes"),
        (policy("type: ottl_condition"), "policy type ottl_condition is not supported yet"),
        ("policies: [{type: always_sample}]".into(), "policy name cannot be empty"),
        (
            "policies: [{name: p, type: always_sample}, {name: p, type: trace_flags}]".into(),
            "duplicate policy name \"p\"",
        ),
        (policy("type: status_code"), "expected at least one status code to filter on"),
        (
            policy("type: status_code, status_code: {status_codes: [error]}"),
            "unknown status code \"error\", supported: OK, ERROR, UNSET",
        ),
        (
            policy("type: numeric_attribute, numeric_attribute: {key: k}"),
            "at least one of min_value and max_value must be set",
        ),
        (
            policy(
                "type: string_attribute, \
                 string_attribute: {values: ['('], enabled_regex_matching: true}",
            ),
            "invalid regex `(`",
        ),
        (policy("type: and"), "and_sub_policy: needs at least one policy"),
        (
            policy("type: and, and: {and_sub_policy: [{name: x, type: composite}]}"),
            "and_sub_policy[0]",
        ),
        (policy("type: not"), "unknown sampling policy type"),
        (policy("type: latency, latency: {threshold: 5}"), "unknown key \"threshold\""),
        (
            "{sampling_strategy: span-ingest, policies: [{name: n, type: not, not: {not_sub_policy: \
             {name: x, type: span_count, span_count: {max_spans: 5}}}}]}"
                .into(),
            "requires all policies to be stateless, but policy \"n\" is stateful",
        ),
        ("sampling_strategy: all".into(), "sampling_strategy"),
        ("num_traces: 0".into(), "num_traces"),
        ("num_shards: 257".into(), "num_shards (257) must not exceed 256"),
        ("tail_storage: file".into(), "unknown key \"tail_storage\""),
    ];
    for (yaml, expected) in cases {
        let errors = from_yaml::<Config>(&yaml).expect_err(&yaml);
        assert!(errors.contains(expected), "{yaml}: {errors}");
    }
}

#[test]
fn the_collectors_example_loads() {
    let yaml = "
decision_wait: 5s
num_traces: 10000
decision_cache: {sampled_cache_size: 100000}
policies:
  - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
  - {name: slow, type: latency, latency: {threshold_ms: 500}}
  - {name: svc, type: and, and: {and_sub_policy: [
      {name: s, type: string_attribute, string_attribute: {key: service.name, values: [checkout]}},
      {name: p, type: probabilistic, probabilistic: {sampling_percentage: 50}}]}}
  - {name: cap, type: rate_limiting, rate_limiting: {spans_per_second: 1000}}
  - {name: health, type: drop, drop: {drop_sub_policy: [{name: h, type: string_attribute,
      string_attribute: {key: url.path, values: ['/health.*'], enabled_regex_matching: true}}]}}
";
    let config = from_yaml::<Config>(yaml).unwrap();
    let made = config.prepared.get().unwrap();
    let names: Vec<_> = made.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(names, ["health", "errors", "slow", "svc", "cap"], "drops come first");
}
