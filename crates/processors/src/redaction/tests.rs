// SPDX-License-Identifier: Apache-2.0

use otlp_wire::{Payload, Scratch, SpanView, write};
use pipeline::config::{from_yaml, from_yaml_told};
use serde_json::{Value as Json, json};

use super::*;
use crate::attributes::tests::{edited, log_with, put_json, to_json};

fn log_attributes(payload: &Payload) -> Json {
    let logs = payload.logs().flat_map(|r| r.scopes()).flat_map(|s| s.logs());
    to_json(logs.map(|log| log.attrs()).next().expect("a log record"))
}

fn check(yaml: &str, before: Json, after: Json) {
    let edited = edited::<Config>(yaml, build, &log_with(&before));
    assert_eq!(log_attributes(&edited), after, "{yaml}");
}

#[test]
fn keys_that_are_not_allowed_go_and_blocked_values_are_masked() {
    let before = || json!({"id": 5, "name": "placeholder 4111111111111111", "secret": "x"});
    let card = "blocked_values: ['4[0-9]{12}(?:[0-9]{3})?']";
    let cases = [
        ("{}".to_owned(), json!({})),
        ("{allowed_keys: [id]}".to_owned(), json!({"id": 5})),
        (
            format!("{{allowed_keys: [id, name], {card}}}"),
            json!({"id": 5, "name": "placeholder ****"}),
        ),
        (
            format!("{{allow_all_keys: true, {card}}}"),
            json!({"id": 5, "name": "placeholder ****", "secret": "x"}),
        ),
        (format!("{{allow_all_keys: true, {card}, allowed_values: [placeholder]}}"), before()),
        (format!("{{allow_all_keys: true, {card}, ignored_keys: [name]}}"), before()),
        (
            "{ignored_key_patterns: ['^na']}".to_owned(),
            json!({"name": "placeholder 4111111111111111"}),
        ),
        (
            "{allow_all_keys: true, blocked_key_patterns: ['sec.*', '^id$']}".to_owned(),
            json!({"id": "****", "name": "placeholder 4111111111111111", "secret": "****"}),
        ),
    ];
    for (yaml, after) in cases {
        check(&yaml, before(), after);
    }
}

#[test]
fn numbers_are_looked_at_only_when_the_configuration_says_so() {
    let before = || json!({"card": 4111111111111111_i64, "list": ["a", 1]});
    let yaml = "{allow_all_keys: true, blocked_values: ['4[0-9]{15}']}";
    check(yaml, before(), before());
    let yaml = "{allow_all_keys: true, redact_all_types: true, blocked_values: ['4[0-9]{15}', a]}";
    check(yaml, before(), json!({"card": "****", "list": "[\"****\",1]"}));
}

#[test]
fn what_was_done_is_told_as_far_as_the_configuration_wants_it() {
    let keys = "allowed_keys: [a, b, c], ignored_keys: [i], blocked_values: [bad], \
                allowed_values: [good]";
    let before = || json!({"z": 1, "y": 1, "a": "bad", "b": "good", "c": "c", "i": "bad"});
    let left = |more: Json| {
        let mut all = json!({"a": "****", "b": "good", "c": "c", "i": "bad"});
        let more = more.as_object().expect("an object").clone();
        all.as_object_mut().expect("an object").extend(more);
        all
    };
    check(&format!("{{{keys}, summary: silent}}"), before(), left(json!({})));
    let counts = json!({
        "redaction.redacted.count": 2, "redaction.masked.count": 1,
        "redaction.allowed.count": 1, "redaction.ignored.count": 1,
    });
    check(&format!("{{{keys}, summary: info}}"), before(), left(counts.clone()));
    let mut all = counts;
    let names = json!({
        "redaction.redacted.keys": "y,z", "redaction.masked.keys": "a",
        "redaction.allowed.keys": "b",
    });
    all.as_object_mut().expect("an object").extend(names.as_object().expect("one").clone());
    check(&format!("{{{keys}, summary: debug}}"), before(), left(all));
    // A second processor adds to what the first one told.
    let before = json!({"a": 1, "redaction.redacted.keys": "m", "redaction.redacted.count": 1});
    let after = json!({"redaction.redacted.keys": "a,m", "redaction.redacted.count": 2});
    check("{summary: debug}", before, after);
}

#[test]
fn hashes_stand_where_the_configuration_wants_them() {
    // By md5sum, sha1sum, and Python's hashlib and hmac over "abc".
    let key = "k".repeat(64);
    let cases = [
        ("md5".to_owned(), "900150983cd24fb0d6963f7d28e17f72"),
        ("SHA1".to_owned(), "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("sha3".to_owned(), "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        (format!("hmac-sha256, hmac_key: {key}"), HMAC_256),
        (format!("hmac-sha512, hmac_key: {key}"), HMAC_512),
    ];
    for (function, hash) in cases {
        let yaml =
            format!("{{allow_all_keys: true, blocked_values: [abc], hash_function: {function}}}");
        check(&yaml, json!({"k": "-abc-"}), json!({"k": format!("-{hash}-")}));
    }
}

const HMAC_256: &str = "ae0c0e4a2340cf50185eb46aaa8723f4769153661612e212fb0d1fa3170c6202";
const HMAC_512: &str = "22be598dd2e4425a27eaf71925dc97ec2feb2274e363300211c16d741451004d\
     6888b3234fefe88410b1d50e645f6661ec931978fa3399d9c7fdf0aa905b9ac3";

#[test]
fn resources_scopes_events_and_points_are_redacted_too() {
    let yaml = "{allowed_keys: [k], blocked_values: [bad]}";
    let attrs = json!({"k": "bad", "other": 1});
    let mut w = write::Traces::new();
    w.resource(|a| put_json(a, &attrs));
    w.scope("scope", "");
    w.span(&write::Span::default(), |a| put_json(a, &attrs));
    w.event(1, "event", |a| put_json(a, &attrs));
    let traces = edited::<Config>(yaml, build, &w.finish());
    let masked = json!({"k": "****"});
    let resource = traces.traces().next().expect("a resource");
    assert_eq!(to_json(resource.attrs()), masked);
    let span: SpanView<'_> = resource.scopes().flat_map(|s| s.spans()).next().expect("a span");
    assert_eq!(to_json(span.attrs()), masked);
    assert_eq!(to_json(span.events().next().expect("an event").attrs()), masked);
    let metrics = pipeline::testing::payload(Signal::Metrics, "m", 2);
    let metrics = edited::<Config>("{}", build, &metrics);
    assert!(metrics.resources().all(|resource| resource.attrs().is_empty()));
    assert_eq!(metrics.items(), 2);
}

#[test]
fn bodies_are_redacted_part_by_part() {
    let check = |yaml: &str, body: Json, after: Json| {
        let encoded = |json: &Json| {
            prost::Message::encode_to_vec(&crate::attributes::value::Value::from(json).into_any())
        };
        let bytes = encoded(&body);
        let mut w = write::Logs::new();
        let body = otlp_wire::AnyValue::parse(&bytes);
        w.log(&write::Log { body, ..<_>::default() }, |_| ());
        let edited = edited::<Config>(yaml, build, &w.finish());
        let log = edited.logs().flat_map(|r| r.scopes()).flat_map(|s| s.logs()).next();
        let log = log.expect("a log record");
        let wanted = encoded(&after);
        assert_eq!(log.body(), otlp_wire::AnyValue::parse(&wanted), "{yaml}");
        to_json(log.attrs())
    };
    let all = "allow_all_keys: true, blocked_values: [bad]";
    check(&format!("{{{all}}}"), json!("a bad day"), json!("a **** day"));
    check(&format!("{{{all}, allowed_values: [day]}}"), json!("a bad day"), json!("a bad day"));
    check(&format!("{{{all}}}"), json!(["bad", {"k": "bad"}]), json!(["****", {"k": "****"}]));
    let told = check(
        "{allowed_keys: [a, b, t], ignored_keys: [i], blocked_values: [bad], \
         blocked_key_patterns: [t], summary: debug}",
        json!({"a": {"b": "bad", "x": 1}, "i": "bad", "t": "token", "y": 2}),
        json!({"a": {"b": "****"}, "i": "bad", "t": "****"}),
    );
    let wanted = json!({
        "redaction.body.redacted.keys": "a.x,y", "redaction.body.redacted.count": 2,
        "redaction.body.masked.keys": "a.b,t", "redaction.body.masked.count": 2,
        "redaction.body.ignored.count": 1,
    });
    assert_eq!(told, wanted);
}

#[test]
fn what_has_nothing_to_hide_keeps_its_bytes() {
    let payload = log_with(&json!({"a": "x"}));
    let after = edited::<Config>("{allow_all_keys: true, blocked_values: [z]}", build, &payload);
    assert_eq!(after.bytes().as_ptr(), payload.bytes().as_ptr());
}

#[test]
fn a_second_run_finds_nothing_more() {
    let config = "{allowed_keys: [k], blocked_values: [bad], summary: debug}";
    let once = edited::<Config>(config, build, &log_with(&json!({"k": "bad", "z": 1})));
    let config = from_yaml::<Config>(config).expect("a right configuration");
    let context = pipeline::testing::context("r", Signal::Logs, &basics::Clock::manual(0));
    let Ok(Processor::Pass(make)) = build(Arc::new(config), context) else { panic!("no pass") };
    let twice = once.edit(&mut [make()], &mut Scratch::new()).or(&once).expect("something");
    assert_eq!(twice, once);
}

#[test]
fn mistakes_are_told() {
    let cases = [
        ("{blocked_values: ['(']}", "blocked_values[0]: invalid pattern"),
        ("{hash_function: crc}", "unknown HashFunction crc"),
        (
            "{hash_function: hmac-sha256}",
            "hmac_key must not be empty when hash_function is \"hmac-sha256\"",
        ),
        (
            "{hash_function: hmac-sha512, hmac_key: short}",
            "hmac_key must be at least 64 bytes long for \"hmac-sha512\", got 5 bytes",
        ),
        ("{url_sanitizer: {enabled: true}}", "url_sanitizer: is not supported yet"),
        ("{db_sanitizer: {sql: {enabled: true}}}", "db_sanitizer: is not supported yet"),
    ];
    for (yaml, wanted) in cases {
        let errors = from_yaml::<Config>(yaml).expect_err(yaml);
        assert!(errors.contains(wanted), "{yaml}: {errors}");
    }
    let (_, told) = from_yaml_told::<Config>("{summary: all}").expect("loads");
    assert!(told.join("\n").contains("taken as silent"), "{told:?}");
    assert!(from_yaml::<Config>("{db_sanitizer: {sql: {enabled: false}}}").is_ok());
}
