// SPDX-License-Identifier: Apache-2.0
//! What each action does, and what is wrong with a configuration; reference section 5.3.

use super::*;

fn check(actions: &str, before: Json, after: Json) {
    let payload = log_with(&before);
    let edited = edited::<Config>(&format!("actions: [{actions}]"), build, &payload);
    assert_eq!(attributes_of(&edited), after, "{actions}");
}

#[test]
fn values_are_set_when_the_action_says_so_and_keep_their_type() {
    let before = || json!({"a": "x"});
    let cases = [
        ("{key: a, value: 5, action: insert}", json!({"a": "x"})),
        ("{key: b, value: 5, action: insert}", json!({"a": "x", "b": 5})),
        ("{key: a, value: 5, action: update}", json!({"a": 5})),
        ("{key: b, value: 5, action: update}", json!({"a": "x"})),
        ("{key: a, value: 5.5, action: upsert}", json!({"a": 5.5})),
        ("{key: b, value: true, action: UPSERT}", json!({"a": "x", "b": true})),
        ("{key: b, value: '5', action: Insert}", json!({"a": "x", "b": "5"})),
        ("{key: b, value: [1, a], action: insert}", json!({"a": "x", "b": [1, "a"]})),
        ("{key: b, value: {c: {d: 1}}, action: insert}", json!({"a": "x", "b": {"c": {"d": 1}}})),
    ];
    for (actions, after) in cases {
        check(actions, before(), after);
    }
}

#[test]
fn values_come_from_other_attributes_or_a_default() {
    let before = || json!({"a": 7, "b": "x"});
    let cases = [
        ("{key: c, from_attribute: a, action: insert}", json!({"a": 7, "b": "x", "c": 7})),
        ("{key: b, from_attribute: a, action: insert}", json!({"a": 7, "b": "x"})),
        ("{key: b, from_attribute: a, action: update}", json!({"a": 7, "b": 7})),
        ("{key: b, from_attribute: none, action: upsert}", json!({"a": 7, "b": "x"})),
        (
            "{key: c, from_attribute: none, default_value: d, action: upsert}",
            json!({"a": 7, "b": "x", "c": "d"}),
        ),
        ("{key: c, from_attribute: a, default_value: d, action: upsert}", {
            json!({"a": 7, "b": "x", "c": 7})
        }),
        ("{key: c, default_value: 1, action: upsert}", json!({"a": 7, "b": "x", "c": 1})),
    ];
    for (actions, after) in cases {
        check(actions, before(), after);
    }
}

#[test]
fn keys_are_deleted_by_name_and_by_pattern() {
    let before = || json!({"http.a": 1, "http.b": 2, "x": 3});
    check("{key: x, action: delete}", before(), json!({"http.a": 1, "http.b": 2}));
    check("{pattern: ^http, action: delete}", before(), json!({"x": 3}));
    check("{key: x, pattern: b$, action: delete}", before(), json!({"http.a": 1}));
    check("{key: none, action: delete}", before(), before());
}

#[test]
fn hashes_are_sha_256_of_the_bytes_of_the_value() {
    // printf 'user@example.com' | sha256sum, printf '\\001' | sha256sum, and so on; numbers are
    // eight bytes, little endian.
    let cases = [
        (
            json!("user@example.com"),
            "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
        ),
        (json!(true), "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a"),
        (json!(false), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (json!(1), "7c9fa136d4413fa6173637e883b6998d32e1d675f88cddff9dcbcf331820f4b8"),
        (json!(1.0), "6c3c396ed6b5c36dcae172271f462051b1266b851e92df3deea8ac65478fd712"),
        (json!(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (json!([1]), ""),
    ];
    for (value, hash) in cases {
        check("{key: a, action: hash}", json!({"a": value}), json!({"a": hash}));
    }
    let twice = json!({"user.a": true, "b": true});
    let hash = "4bf5122f344554c53bde2ebb8cd2b7e3d1600ad631c385a5d7cce23c7785459a";
    check("{pattern: ^user, action: hash}", twice, json!({"user.a": hash, "b": true}));
}

#[test]
fn named_groups_become_attributes() {
    let pattern = r#"{key: url, pattern: '^(?P<proto>\w+)://(?P<host>[^/]+)(?P<port>:\d+)?', action: extract}"#;
    check(
        pattern,
        json!({"url": "http://shop/cart", "host": 1}),
        json!({"url": "http://shop/cart", "host": "shop", "proto": "http", "port": ""}),
    );
    check(pattern, json!({"url": "none"}), json!({"url": "none"}));
    check(pattern, json!({"url": 5}), json!({"url": 5}));
}

#[test]
fn values_are_converted_when_they_can_be() {
    let cases = [
        ("int", json!("42"), json!(42)),
        ("int", json!("-7"), json!(-7)),
        ("int", json!("4.2"), json!("4.2")),
        ("int", json!("99999999999999999999"), json!("99999999999999999999")),
        ("int", json!(4.9), json!(4)),
        ("int", json!(true), json!(1)),
        ("int", json!(3), json!(3)),
        ("int", json!([1]), json!([1])),
        ("double", json!("1.5"), json!(1.5)),
        ("double", json!("1e999"), json!("1e999")),
        ("double", json!("x"), json!("x")),
        ("double", json!(2), json!(2.0)),
        ("double", json!(false), json!(0.0)),
        ("string", json!(5), json!("5")),
        ("string", json!(1.5), json!("1.5")),
        ("string", json!(true), json!("true")),
        ("string", json!(["a", 1]), json!(r#"["a",1]"#)),
        ("string", json!("s"), json!("s")),
    ];
    for (to, before, after) in cases {
        let action = format!("{{key: a, converted_type: {to}, action: convert}}");
        check(&action, json!({ "a": before }), json!({ "a": after }));
    }
    check("{key: a, converted_type: int, action: convert}", json!({}), json!({}));
}

#[test]
fn actions_see_what_the_ones_before_them_did() {
    check(
        "{key: a, value: '12', action: insert}, {key: a, converted_type: int, action: convert}, \
         {key: b, from_attribute: a, action: insert}, {key: a, action: delete}",
        json!({}),
        json!({"b": 12}),
    );
}

#[test]
fn every_mistake_is_told_at_its_place() {
    let cases = [
        ("actions: []", "missing required field \"actions\""),
        ("actions: [{key: a, action: remove}]", "unsupported action \"remove\""),
        ("actions: [{key: a}]", "missing required field \"action\""),
        ("actions: [{action: insert, value: 1}]", "missing required field \"key\""),
        ("actions: [{key: a, action: insert}]", "one of value, from_attribute, from_context or"),
        (
            "actions: [{key: a, action: insert, value: 1, from_attribute: b}]",
            "only one of value, from_attribute and from_context",
        ),
        (
            "actions: [{key: a, action: insert, from_attribute: b, from_context: metadata.x}]",
            "only one of value, from_attribute and from_context",
        ),
        (
            "actions: [{key: a, action: upsert, value: 1, pattern: x}]",
            "action \"upsert\" does not use \"pattern\"",
        ),
        ("actions: [{action: delete}]", "at least one of key and pattern"),
        ("actions: [{key: a, action: hash, value: 1}]", "action \"hash\" does not use \"value\""),
        ("actions: [{key: a, action: extract}]", "missing required field \"pattern\""),
        ("actions: [{key: a, action: extract, pattern: x}]", "no named matcher groups"),
        ("actions: [{key: a, action: extract, pattern: (x)}]", "unnamed matcher group"),
        ("actions: [{key: a, action: extract, pattern: '('}]", "invalid pattern \"(\""),
        ("actions: [{key: a, action: convert}]", "missing required field \"converted_type\""),
        (
            "actions: [{key: a, action: convert, converted_type: bool}]",
            "\"bool\" is none of string, int, double",
        ),
        ("actions: [{key: a, action: delete, kez: 1}]", "unknown key \"kez\""),
        (
            "include: {services: [a]}\nactions: [{key: a, action: delete}]",
            "unrecognized match_type: \"\"",
        ),
        (
            "include: {match_type: strict}\nactions: [{key: a, action: delete}]",
            "no condition is given",
        ),
        (
            "exclude: {match_type: regexp, span_names: ['(']}\nactions: [{key: a, action: delete}]",
            "invalid pattern \"(\"",
        ),
        (
            "exclude: {match_type: strict, span_kinds: [CLIENT]}\n\
             actions: [{key: a, action: delete}]",
            "\"CLIENT\" is no span kind",
        ),
    ];
    for (yaml, wanted) in cases {
        let errors = from_yaml::<Config>(yaml).expect_err(yaml);
        assert!(errors.contains(wanted), "{yaml}: {errors}");
    }
}
