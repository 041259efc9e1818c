// SPDX-License-Identifier: Apache-2.0
//! The cases are those of Prometheus' documentation and of the corners of its `model/relabel`.

use crate::config::{Checker, ComponentConfig, from_yaml};
use serde::Deserialize;

use super::{LabelSet, Relabel, RelabelConfig, validate};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rules {
    rules: Vec<RelabelConfig>,
}

impl ComponentConfig for Rules {
    fn validate(&self, at: &mut Checker<'_>) {
        validate(&self.rules, "rules", at);
    }
}

fn run(labels: &str, rules: &str) -> String {
    let rules: Rules = from_yaml(&format!("rules: [{rules}]")).expect(rules);
    let relabel = Relabel::new(&rules.rules).expect("compiles");
    let mut set: LabelSet =
        labels.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
    if !relabel.apply(&mut set) {
        return "dropped".to_owned();
    }
    set.sort();
    set.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn each_action_does_what_prometheus_does() {
    for (labels, rules, expected) in [
        (
            "a=foo b=bar",
            "{source_labels: [a], target_label: d, regex: 'f(.*)', replacement: 'ch$$1-ch$$1'}",
            "a=foo b=bar d=choo-choo",
        ),
        (
            "a=foo b=bar",
            "{source_labels: [a, b], target_label: a, regex: 'f(.*);(.*)r', replacement: 'b$${1}$${2}m'}",
            "a=boobam b=bar",
        ),
        ("a=foo", "{source_labels: [a], target_label: b, regex: 'fo', replacement: x}", "a=foo"),
        ("a=foo", "{source_labels: [a], target_label: a, regex: 'foo', replacement: ''}", ""),
        (
            "a=some-name-value",
            "{source_labels: [a], target_label: '$${1}', regex: 'some-([^-]+)-([^,]+)', replacement: '$${2}'}",
            "a=some-name-value name=value",
        ),
        ("a=1", "{target_label: environment, replacement: prod}", "a=1 environment=prod"),
        ("a=foo", "{source_labels: [a], regex: 'f.*', action: keep}", "a=foo"),
        ("a=foo", "{source_labels: [a], regex: 'o', action: keep}", "dropped"),
        ("a=foo", "{source_labels: [a], regex: '.*o.*', action: drop}", "dropped"),
        ("a=foo", "{source_labels: [missing], regex: '', action: drop}", "dropped"),
        ("a=foo", "{source_labels: [a], regex: 'o$', action: drop}", "a=foo"),
        ("a=x b=x", "{source_labels: [a], target_label: b, action: keepequal}", "a=x b=x"),
        ("a=x b=y", "{source_labels: [a], target_label: b, action: keepequal}", "dropped"),
        ("a=x b=x", "{source_labels: [a], target_label: b, action: dropequal}", "dropped"),
        (
            "a=foo b=bar c=baz",
            "{source_labels: [c], target_label: d, action: hashmod, modulus: 1000}",
            "a=foo b=bar c=baz d=976",
        ),
        ("__meta_x=1 b=2", "{regex: '__meta_(.*)', action: labelmap}", "__meta_x=1 b=2 x=1"),
        (
            "a1=1 b=2",
            "{regex: 'a(.*)', replacement: 'my_$${1}', action: labelmap}",
            "a1=1 b=2 my_1=1",
        ),
        ("a=1 b=2", "{regex: 'a', action: labeldrop}", "b=2"),
        ("a=1 b=2", "{regex: 'a', action: labelkeep}", "a=1"),
        (
            "a=BaR",
            "{source_labels: [a], target_label: up, action: uppercase}, {source_labels: [a], target_label: low, action: LowerCase}",
            "a=BaR low=bar up=BAR",
        ),
        (
            "a=1",
            "{source_labels: [a], regex: '1', action: drop}, {target_label: b, replacement: x}",
            "dropped",
        ),
    ] {
        assert_eq!(run(labels, rules), expected, "{labels} {rules}");
    }
}

#[test]
fn the_hash_is_that_of_prometheus() {
    // The sharding of existing fleets must not move.
    assert_eq!(super::hash("baz") % 1000, 976);
}

#[test]
fn wrong_rules_are_told() {
    for (rule, told) in [
        ("{regex: '(', target_label: a}", "invalid regular expression"),
        ("{action: nothing}", "unknown relabel action \"nothing\"; there are replace, keep, drop"),
        (
            "{source_labels: [a]}",
            "relabel configuration for replace action requires 'target_label'",
        ),
        ("{action: hashmod, target_label: a}", "hashmod requires non-zero modulus"),
        ("{action: lowercase, target_label: a, replacement: x}", "'replacement' can not be set"),
        (
            "{action: labeldrop, regex: a, target_label: b}",
            "labeldrop action requires only 'regex'",
        ),
        ("{action: keepequal, target_label: b, regex: x}", "keepequal action requires only"),
    ] {
        let said = from_yaml::<Rules>(&format!("rules: [{rule}]")).expect_err(rule);
        assert!(said.contains(told), "{rule}: {said}");
    }
}
