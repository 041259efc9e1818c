// SPDX-License-Identifier: Apache-2.0
//! Every policy type against traces.

use otlp_wire::AnyValue;

use super::*;
use crate::tail_sampling::rule::hash_and_threshold;

#[test]
fn shares_are_hashed_as_by_the_collector() {
    let cases = [
        (1, "e19535eed1bbaa8a"),
        (0x5b8aa5a2d2c872e8321cf37308d69df2, "a5bea68bf4217aba"),
        (0x0af7651916cd43dd8448eb211c80319c, "33bf83d45f51634c"),
        (u128::MAX, "17bec3739634fe2d"),
    ];
    for (id, expected) in cases {
        let (hash, _) = hash_and_threshold("default-hash-seed", 1.0, &id.to_be_bytes());
        assert_eq!(format!("{hash:016x}"), expected);
    }
    // From Go's big.Float, which the collector uses.
    let thresholds = [
        (0.0, 0),
        (-1.0, 0),
        (50.0, (1 << 63) - 1),
        (25.0, (1 << 62) - 1),
        (75.0, 13_835_058_055_282_163_711),
        (100.0, u64::MAX),
        (250.0, u64::MAX),
    ];
    for (percent, expected) in thresholds {
        assert_eq!(hash_and_threshold("", percent, &[0; 16]).1, expected, "{percent}");
    }
    let (_, tenth) = hash_and_threshold("", 10.0, &[0; 16]);
    assert!((tenth as f64 / u64::MAX as f64 - 0.1).abs() < 1e-12);
}

/// One span with attributes below a resource with attributes.
fn trace(
    resource: fn(&mut write::AttrWriter<'_>),
    attrs: fn(&mut write::AttrWriter<'_>),
) -> Payload {
    let mut w = write::Traces::new();
    w.resource(resource);
    w.span(&write::Span { trace_id: id_of(1), ..<_>::default() }, attrs);
    w.finish()
}

/// True when a trace of this payload is kept.
async fn keeps(policy: &str, payload: Payload) -> bool {
    let mut rig = Rig::new(&format!("policies: [{{name: p, {policy}}}]"));
    rig.sampler.take(Batch::new(payload, Arc::default()), &rig.out).await.expect("taken");
    rig.ends().await;
    !rig.rest.forwarded().is_empty()
}

#[tokio::test]
async fn attributes_of_resources_and_spans_are_looked_at() {
    type Put = fn(&mut write::AttrWriter<'_>);
    let nothing: Put = |_| ();
    let string =
        |rest: &str| format!("type: string_attribute, string_attribute: {{key: k, {rest}}}");
    let number =
        |rest: &str| format!("type: numeric_attribute, numeric_attribute: {{key: k, {rest}}}");
    let boolean =
        |rest: &str| format!("type: boolean_attribute, boolean_attribute: {{key: k, {rest}}}");
    let regex = "enabled_regex_matching: true";
    let cases: Vec<(String, Put, Put, bool)> = vec![
        (string("values: [a, b]"), nothing, |a| a.str("k", "b"), true),
        (string("values: [a, b]"), |a| a.str("k", "b"), nothing, true),
        (string("values: [a, b]"), nothing, |a| a.str("k", "c"), false),
        (string("values: [a, '7']"), nothing, |a| a.int("k", 7), false),
        (string("values: ['']"), |a| a.str("k", ""), nothing, false),
        (string("values: [a], invert_match: true"), nothing, |a| a.str("k", "a"), false),
        (string("values: [a], invert_match: true"), |a| a.str("k", "a"), nothing, false),
        (string("values: [a], invert_match: true"), nothing, nothing, true),
        (string(&format!("values: ['^/he'], {regex}")), nothing, |a| a.str("k", "/health"), true),
        (string(&format!("values: [alt], {regex}")), nothing, |a| a.str("k", "/health"), true),
        (string(&format!("values: ['^h'], {regex}")), nothing, |a| a.str("k", "/health"), false),
        (string(&format!("values: ['.*'], {regex}")), nothing, |a| a.str("k", ""), false),
        (string(&format!("values: ['.*'], {regex}")), |a| a.int("k", 1), nothing, true),
        (number("min_value: 400, max_value: 499"), nothing, |a| a.int("k", 400), true),
        (number("min_value: 400, max_value: 499"), nothing, |a| a.int("k", 499), true),
        (number("min_value: 400, max_value: 499"), |a| a.int("k", 500), nothing, false),
        (number("min_value: 400"), nothing, |a| a.int("k", i64::MAX), true),
        (number("max_value: 499"), nothing, |a| a.int("k", -1), true),
        (number("max_value: 499"), nothing, |a| a.str("k", "1000"), true),
        (number("max_value: 499"), nothing, nothing, false),
        (number("min_value: 1, invert_match: true"), nothing, |a| a.int("k", 1), false),
        (number("min_value: 1, invert_match: true"), nothing, |a| a.int("k", 0), true),
        (boolean("value: true"), nothing, |a| a.bool("k", true), true),
        (boolean("value: true"), |a| a.bool("k", true), nothing, true),
        (boolean("value: true"), nothing, |a| a.str("k", "true"), false),
        (boolean("value: false"), nothing, |a| a.value("k", AnyValue::Int(1)), true),
        (boolean("value: true, invert_match: true"), nothing, |a| a.bool("k", true), false),
        (boolean("value: true, invert_match: true"), nothing, nothing, true),
    ];
    for (policy, resource, attrs, expected) in cases {
        assert_eq!(keeps(&policy, trace(resource, attrs)).await, expected, "{policy}");
    }
}

#[tokio::test]
async fn times_counts_states_and_flags_are_looked_at() {
    const MS: u64 = 1_000_000;
    let at = |start: u64, end: u64| Span { start: start * MS, end: end * MS, ..span(1, 0) };
    let state = |state| Span { state, ..span(1, 0) };
    let latency = |rest: &str| format!("type: latency, latency: {{{rest}}}");
    let count = |rest: &str| format!("type: span_count, span_count: {{{rest}}}");
    let codes =
        |codes: &str| format!("type: status_code, status_code: {{status_codes: [{codes}]}}");
    let states = "type: trace_state, trace_state: {key: k, values: [a, b]}".to_owned();
    let one = vec![span(1, 0)];
    let three = vec![span(1, 0), span(1, 1), span(1, 2)];
    let flagged = vec![span(1, 0), Span { flags: 0x101, ..span(1, 1) }];
    let cases: Vec<(String, Vec<Span>, bool)> = vec![
        ("type: always_sample".into(), one.clone(), true),
        (latency("threshold_ms: 5000"), vec![at(1000, 6000)], false),
        (latency("threshold_ms: 5000"), vec![at(1000, 6001)], true),
        (latency("threshold_ms: 5000"), vec![at(3000, 6001), at(1000, 1001)], true),
        (latency("threshold_ms: 5000, upper_threshold_ms: 9000"), vec![at(1, 9001)], true),
        (latency("threshold_ms: 5000, upper_threshold_ms: 9000"), vec![at(1, 9002)], false),
        // The first span alone is in the range, which is enough for the collector.
        (
            latency("threshold_ms: 5000, upper_threshold_ms: 9000"),
            vec![at(1, 6002), at(1, 99_000)],
            true,
        ),
        (count("min_spans: 3"), three.clone(), true),
        (count("min_spans: 4"), three.clone(), false),
        (count("min_spans: 1, max_spans: 3"), three.clone(), true),
        (count("min_spans: 1, max_spans: 2"), three, false),
        (codes("ERROR"), vec![span(1, 0), failed(1, 1)], true),
        (codes("ERROR, OK"), one.clone(), false),
        (codes("OK, UNSET"), one.clone(), true),
        (states.clone(), vec![state("x=y,k=b")], true),
        (states.clone(), vec![state("k=c")], false),
        (states.clone(), vec![state("k=b,B=c")], false),
        (states, one.clone(), false),
        ("type: trace_flags".into(), flagged, true),
        ("type: trace_flags".into(), vec![Span { flags: 0x100, ..span(1, 0) }], false),
        (
            "type: probabilistic, probabilistic: {sampling_percentage: 100}".into(),
            one.clone(),
            true,
        ),
        ("type: probabilistic, probabilistic: {sampling_percentage: 0}".into(), one, false),
    ];
    for (policy, spans, expected) in cases {
        assert_eq!(keeps(&policy, request(&spans)).await, expected, "{policy}");
    }
}

#[tokio::test]
async fn policies_are_combined() {
    let error = "{name: e, type: status_code, status_code: {status_codes: [ERROR]}}";
    let two = "{name: t, type: span_count, span_count: {min_spans: 2}}";
    let not_two = format!("{{name: n, type: not, not: {{not_sub_policy: {two}}}}}");
    let and = format!("type: and, and: {{and_sub_policy: [{error}, {two}]}}");
    let and_not = format!("type: and, and: {{and_sub_policy: [{error}, {not_two}]}}");
    let not = format!("type: not, not: {{not_sub_policy: {error}}}");
    let (one, both) = (vec![failed(1, 0)], vec![failed(1, 0), span(1, 1)]);
    let cases = [
        (&and, &one, false),
        (&and, &both, true),
        (&and_not, &one, true),
        (&and_not, &both, false),
        (&not, &one, false),
        (&not, &vec![span(1, 0)], true),
    ];
    for (policy, spans, expected) in cases {
        assert_eq!(keeps(policy, request(spans)).await, expected, "{policy}");
    }
    // A drop wins over whoever samples, wherever it stands.
    let drop = format!("{{name: d, type: drop, drop: {{drop_sub_policy: [{error}, {two}]}}}}");
    let mut rig = Rig::new(&format!("policies: [{{name: all, type: always_sample}}, {drop}]"));
    rig.comes(&[failed(1, 0), failed(1, 1), failed(2, 0), span(3, 0), span(3, 1)]).await;
    rig.ends().await;
    assert_eq!(rig.went_on(), [(2, 0), (3, 0), (3, 1)]);
}

#[tokio::test]
async fn an_inverted_policy_cannot_veto_what_another_one_wants() {
    let inverted = "{name: i, type: string_attribute, string_attribute: {key: k, values: [a], invert_match: true}}";
    let all = "{name: all, type: always_sample}";
    let not = "{name: n, type: not, not: {not_sub_policy: {name: s, type: string_attribute, string_attribute: {key: k, values: [a]}}}}";
    for (policies, kept) in [
        (format!("{inverted}, {all}"), true),
        (format!("{all}, {inverted}"), true),
        (format!("{not}, {all}"), true),
        (inverted.to_owned(), false),
        (not.to_owned(), false),
    ] {
        let mut rig = Rig::new(&format!("policies: [{policies}]"));
        let payload = trace(|_| (), |attrs| attrs.str("k", "a"));
        rig.sampler.take(Batch::new(payload, Arc::default()), &rig.out).await.expect("taken");
        rig.ends().await;
        assert_eq!(!rig.rest.forwarded().is_empty(), kept, "{policies}");
    }
}

#[tokio::test]
async fn limits_let_so_much_through_each_second() {
    let spans = |trace, n| (0..n).map(move |at| span(trace, at)).collect::<Vec<_>>();
    let limit = "{name: l, type: rate_limiting, rate_limiting: {spans_per_second: 10}}";
    let mut rig = Rig::new(&format!("{{decision_wait: 1s, policies: [{limit}]}}"));
    // The bucket is full at first and holds twice the rate; what does not fit is not sampled.
    for (trace, n) in [(1, 15), (2, 10), (3, 5), (4, 1), (5, 21)] {
        rig.comes(&spans(trace, n)).await;
    }
    rig.pass(2.0).await;
    assert_eq!(rig.went_on().len(), 20);
    rig.comes(&spans(6, 11)).await;
    rig.comes(&spans(7, 9)).await;
    rig.pass(2.0).await;
    assert_eq!(rig.went_on().len(), 20 + 11 + 9);

    let bytes = request(&spans(1, 3)).len();
    let limit = format!("type: bytes_limiting, bytes_limiting: {{bytes_per_second: {bytes}}}");
    assert!(keeps(&limit, request(&spans(1, 3))).await);
    assert!(!keeps(&limit, request(&spans(1, 9))).await);
}

#[tokio::test]
async fn a_composite_shares_a_budget() {
    let composite = "type: composite, composite: {max_total_spans_per_second: 10, \
        policy_order: [e, all], composite_sub_policy: [\
          {name: e, type: status_code, status_code: {status_codes: [ERROR]}}, \
          {name: all, type: always_sample}], \
        rate_allocation: [{policy: e, percent: 70}]}";
    let yaml = format!("{{decision_wait: 1s, policies: [{{name: c, {composite}}}]}}");
    let mut rig = Rig::new(&yaml);
    for round in 0..2 {
        // 7 for errors; what is over is not given to the next policy. 5 (an even share) for all.
        let failures: Vec<Span> = (0..9).map(|n| failed(100 * round + n, 0)).collect();
        let others: Vec<Span> = (10..17).map(|n| span(100 * round + n, 0)).collect();
        rig.comes(&failures).await;
        rig.comes(&others).await;
        rig.pass(2.0).await;
        assert_eq!(rig.went_on().len() as u64, 12 * (round + 1));
    }
}
