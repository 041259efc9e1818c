// SPDX-License-Identifier: Apache-2.0
//! Settings of the rules.

use pipeline::config::from_yaml;

use super::*;

#[test]
fn mistakes_in_files_are_told_before_anything_starts() {
    let folder = tempfile::tempdir().expect("temp dir");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("written");
    };
    write("good.yml", "groups: [{name: a, rules: [{record: b, expr: sum(up)}]}]");
    let pattern = folder.path().join("*.yml").display().to_string();
    let yaml =
        format!("{{files: ['{pattern}'], alertmanagers: [{{endpoint: 'http://localhost:9093'}}]}}");
    let config = from_yaml::<Config>(&yaml).expect("valid");
    assert_eq!(groups(&config).expect("loads").len(), 1);
    let before = fingerprint(&config);
    write("bad.yml", "groups:\n- name: a\n  rules:\n  - alert: b\n    expr: sum(\n");
    assert_ne!(fingerprint(&config), before);
    let error = from_yaml::<Config>(&yaml).expect_err("bad.yml");
    assert!(error.contains("bad.yml:5:11") && error.contains("parse error"), "{error}");
    assert!(from_yaml::<Config>("{}").expect_err("no files").contains("at least one file"));
}
