// SPDX-License-Identifier: Apache-2.0
//! Commands, flags, exit status.

use crate::process::run;

#[test]
fn help_and_version_are_answers() {
    let (code, version, _) = run(&["--version"]);
    assert_eq!(code, Some(0));
    assert_eq!(version, format!("foreglow {}\n", env!("CARGO_PKG_VERSION")));
    let (_, help, _) = run(&["--help"]);
    for word in [
        "validate",
        "components",
        "print-config",
        "demo",
        "--config",
        "--set",
        "--data",
        "--listen",
    ] {
        assert!(help.contains(word), "--help does not name {word}");
    }
}

#[test]
fn mistakes_end_with_status_1_as_in_the_collector() {
    for (arguments, message) in [
        (&["validte"][..], "validate"),
        (&["--no-such-flag"], "--no-such-flag"),
        (
            &["validate", "--config", "/no/such/file.yaml"],
            "cannot read the configuration /no/such/file.yaml",
        ),
        (&["validate", "--set", "nothing"], "missing equal sign"),
        (&["validate", "--config", "yaml:receivers: ["], "invalid YAML"),
    ] {
        let (code, _, told) = run(arguments);
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(told.contains(message), "{arguments:?}: {told}");
    }
}

#[test]
fn the_components_are_listed_with_their_other_names() {
    let (_, listed, _) = run(&["components"]);
    for name in [
        "otlp",
        "hostmetrics",
        "prometheus",
        "batch",
        "resource",
        "attributes",
        "metricsinference",
        "otlphttp",
        "debug",
        "prometheusremotewrite",
        "embedded_store",
        "health_check",
        "query_server",
    ] {
        let is_listed = listed.lines().any(|line| {
            let aliases = line.trim().strip_prefix("aliases: [").and_then(|l| l.strip_suffix(']'));
            line.trim() == format!("- name: {name}")
                || aliases.is_some_and(|all| all.split(", ").any(|alias| alias == name))
        });
        assert!(is_listed, "{name} is not listed:\n{listed}");
    }
}
