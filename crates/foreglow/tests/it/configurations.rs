// SPDX-License-Identifier: Apache-2.0
//! The built-in configuration, the examples, and collector configurations from the field.

use std::path::Path;

use crate::process::{is_quiet, root, run};

/// Exit code and what was told.
fn validate(path: &Path) -> (Option<i32>, String) {
    let (code, _, told) = run(&["validate", "--config", &path.display().to_string()]);
    (code, told)
}

#[test]
fn the_built_in_configuration_is_valid_and_prints_as_it_is() {
    let (code, _, told) = run(&["validate"]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    let (_, printed, _) = run(&["print-config"]);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("printed.yaml");
    std::fs::write(&path, &printed).expect("written");
    let (code, told) = validate(&path);
    assert!(code == Some(0) && is_quiet(&told), "{told}");
    assert!(printed.contains("embedded_store") && printed.contains("# Applications send here"));
}

#[test]
fn set_changes_the_built_in_configuration() {
    let interval = |key: &str| format!("receivers.hostmetrics.{key}=42s");
    let (_, printed, _) = run(&["print-config", "--set", &interval("collection_interval")]);
    assert!(printed.contains("collection_interval: 42s"), "{printed}");
    let (code, _, told) = run(&["validate", "--set", &interval("colection_interval")]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("did you mean \"collection_interval\"?") && told.contains("--> --set:1:23"),
        "{told}"
    );
}

#[test]
fn the_built_in_stack_scrapes_itself_where_its_metrics_are() {
    let printed = |sets: &[&str]| {
        let arguments: Vec<&str> = ["print-config"].iter().chain(sets).copied().collect();
        run(&arguments).1
    };
    let moved = printed(&["--set=service.telemetry.metrics.address=0.0.0.0:9999"]);
    assert!(moved.contains("localhost:9999") && !moved.contains("localhost:8888"), "{moved}");
    let own = "--set=receivers.prometheus.config.scrape_configs=[{job_name: own}]";
    let kept = printed(&["--set=service.telemetry.metrics.address=:9999", own]);
    assert!(kept.contains("job_name: own") && !kept.contains("localhost:9999"), "{kept}");
    let off = printed(&["--set=service.telemetry.metrics.level=none"]);
    let lists = off.split("pipelines:").nth(1).expect("pipelines");
    assert!(!lists.contains("prometheus"), "nothing to scrape: {off}");
}

#[test]
fn the_report_lists_what_works_of_any_file_and_exits_by_it() {
    let report = |path: &Path, more: &[&str]| {
        let path = path.display().to_string();
        let arguments = [&["validate", "--report", "--config", &path][..], more].concat();
        let (code, shown, told) = run(&arguments);
        assert_eq!(told, "", "{path}");
        (code, shown)
    };
    let folder = tempfile::tempdir().expect("a temporary directory");
    let everything = root().join("crates/foreglow/tests/it/everything.yaml");
    let (code, shown) = report(&everything, &[]);
    assert_eq!(code, Some(1), "it has components that are not there yet");
    assert!(shown.contains("this build has no receiver \"kafka\""), "{shown}");
    assert!(shown.contains("components: "), "{shown}");
    let (_, json) = report(&everything, &["--format", "json"]);
    let parsed: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let rows = parsed["components"].as_array().expect("rows");
    assert!(rows.len() > 40, "{} rows", rows.len());
    // Whatever of it exists takes every key that the collector takes.
    let mut broken = Vec::new();
    for row in rows.iter().filter(|row| row["status"] != "missing") {
        let keys = row["keys"].as_array().expect("keys").iter();
        let wrong =
            |row: &serde_json::Value| row["status"] == "missing" || row["status"] == "wrong";
        broken.extend(keys.filter(|key| wrong(key)).map(|key| format!("{} {key}", row["id"])));
        broken.extend(wrong(row).then(|| format!("{} {}", row["id"], row["note"])));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let good = folder.path().join("good.yaml");
    let text = "receivers: {otlp: {protocols: {grpc: }}}\nexporters: {debug: }\nservice: {pipelines: {logs: {receivers: [otlp], exporters: [debug]}}}\n";
    std::fs::write(&good, text).expect("written");
    let (code, shown) = report(&good, &[]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("this configuration runs"), "{shown}");
}

#[test]
fn every_example_is_valid_and_has_a_line_in_the_readme() {
    let folder = root().join("examples");
    let readme = std::fs::read_to_string(folder.join("README.md")).expect("a readme");
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).expect("examples").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let (code, told) = validate(&path);
        assert_eq!(code, Some(0), "{}:\n{told}", path.display());
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(readme.contains(&format!("`{name}`")), "examples/README.md does not name {name}");
        seen += 1;
    }
    assert!(seen >= 4, "only {seen} examples");
}

/// Collector configurations that must load, or be refused for exactly these components.
const FIELD: [(&str, &[&str]); 4] = [
    ("s0-inference.yaml", &[]),
    ("s1-dataplane-prod.yaml", &[]),
    ("s2-collector.yaml", &[]),
    ("s3-lab.yaml", &[]),
];

#[test]
fn configurations_from_the_field_load_or_name_what_is_missing() {
    let folder = std::env::var_os("FOREGLOW_FIELD_CONFIGS")
        .map_or_else(|| root().join("../shared/configs"), std::path::PathBuf::from);
    if !folder.is_dir() {
        println!("{} is not there; the examples stand for it", folder.display());
        return;
    }
    for (name, missing) in FIELD {
        let (code, told) = validate(&folder.join(name));
        let named: Vec<&str> =
            told.lines().filter_map(|line| line.split("this build has no ").nth(1)).collect();
        assert_eq!(named, missing, "{name}:\n{told}");
        // An exporter without TLS says so about `tls: {}`; that is no component that is missing.
        let errors = missing.len() + told.matches("TLS is not supported yet").count();
        assert_eq!(told.matches("error: ").count(), errors, "{name}:\n{told}");
        assert_eq!(code == Some(0), errors == 0, "{name}:\n{told}");
    }
}

#[test]
fn components_we_do_not_have_are_refused_by_name() {
    let text = "
receivers: {otlp: {protocols: {grpc: , http: }}}
processors: {batch: , k8sattributes: {passthrough: true}}
exporters: {googlecloud: , awsxray: , kafka: {brokers: ['kafka:9092']}, debug: }
service:
  pipelines:
    traces: {receivers: [otlp], processors: [k8sattributes, batch], exporters: [googlecloud, awsxray, kafka, debug]}
";
    let (code, _, told) = run(&["validate", "--config", &format!("yaml:{text}")]);
    assert_eq!(code, Some(1), "{told}");
    for name in ["k8sattributes", "googlecloud", "awsxray", "kafka"] {
        assert!(told.contains(&format!("unknown type: \"{name}\"")), "{told}");
    }
    assert_eq!(told.matches("unknown type").count(), 4, "{told}");
    assert!(told.contains("pipelines affected: traces"), "{told}");
}
