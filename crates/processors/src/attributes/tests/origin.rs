// SPDX-License-Identifier: Apache-2.0
//! `from_context`: what is asked for, what it gives, and that one batch does not see another's.

use super::*;

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn pass(actions: &str) -> Box<dyn Pass> {
    let config = from_yaml::<Config>(&format!("actions: [{actions}]")).expect("right");
    let context = context("p", Signal::Logs, &Clock::manual(0));
    let Ok(Processor::Pass(make)) = build(Arc::new(config), context) else { panic!("no pass") };
    make()
}

fn after(pass: Box<dyn Pass>, before: &Json) -> Json {
    let payload = log_with(before);
    let edited = payload.edit(&mut [pass], &mut Scratch::new()).or(&payload);
    attributes_of(&edited.expect("something is left"))
}

#[test]
fn values_come_from_headers_the_authenticator_and_the_connection() {
    let headers = pairs(&[("x-team", "shop"), ("x-many", "a"), ("other", "o"), ("x-many", "b")]);
    let auth = pairs(&[("username", "ada"), ("role", "x"), ("role", "y")]);
    let client = Some("10.1.2.3:4711".parse().expect("an address"));
    let origin = Origin { client, headers: &headers, auth: &auth };
    let cases = [
        ("from_context: metadata.x-team", json!("shop")),
        ("from_context: metadata.X-Team", json!("shop")),
        ("from_context: X-Team", json!("shop")),
        ("from_context: metadata.x-many", json!("a;b")),
        ("from_context: auth.username", json!("ada")),
        ("from_context: auth.role", json!("x;y")),
        ("from_context: client.address", json!("10.1.2.3")),
        ("from_context: metadata.x-team, default_value: 5", json!("shop")),
        ("from_context: metadata.none, default_value: 5", json!(5)),
        ("from_context: auth.Username, default_value: none", json!("none")),
        ("from_context: metadata.username, default_value: none", json!("none")),
        ("from_context: metadata.metadata.x-team, default_value: none", json!("none")),
    ];
    for (source, expected) in cases {
        let mut pass = pass(&format!("{{key: k, action: upsert, {source}}}"));
        pass.begin(&origin);
        assert_eq!(after(pass, &json!({"k": "old"})), json!({ "k": expected }), "{source}");
    }
}

#[test]
fn an_action_without_a_value_is_skipped_and_the_others_are_not() {
    let headers = pairs(&[("x-team", "shop")]);
    let all = "{key: a, from_context: metadata.none, action: upsert}, \
               {key: b, from_context: client.address, action: upsert}, \
               {key: c, from_context: auth.username, action: upsert}, \
               {key: d, from_context: metadata.x-team, action: insert}, \
               {key: e, from_context: metadata.x-team, action: update}, \
               {key: f, from_attribute: d, action: insert}";
    let mut pass = pass(all);
    pass.begin(&Origin { headers: &headers, ..Origin::default() });
    let expected = json!({"a": 1, "d": "shop", "f": "shop"});
    assert_eq!(after(pass, &json!({"a": 1})), expected);
}

#[test]
fn a_batch_does_not_see_the_request_of_the_one_before() {
    let headers = pairs(&[("x-team", "shop")]);
    let mut pass = pass("{key: team, from_context: metadata.x-team, action: upsert}");
    pass.begin(&Origin { headers: &headers, ..Origin::default() });
    pass.begin(&Origin::default());
    assert_eq!(after(pass, &json!({})), json!({}));
}

#[test]
fn an_ipv4_client_of_a_socket_for_both_families_is_told_as_ipv4() {
    for (client, expected) in
        [("[::ffff:10.1.2.3]:1", "10.1.2.3"), ("[2001:db8::1]:1", "2001:db8::1")]
    {
        let mut pass = pass("{key: k, from_context: client.address, action: insert}");
        let client = Some(client.parse().expect("an address"));
        pass.begin(&Origin { client, ..Origin::default() });
        assert_eq!(after(pass, &json!({})), json!({ "k": expected }));
    }
}
