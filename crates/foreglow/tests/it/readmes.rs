// SPDX-License-Identifier: Apache-2.0
//! The page of each component: it is there, and the configuration it shows is valid and uses it.

use crate::process::{is_quiet, root, run};

/// Stage and type of every component in the binary, as `foreglow components` lists them.
fn components() -> Vec<(String, String)> {
    let (code, listing, _) = run(&["components"]);
    assert_eq!(code, Some(0));
    let mut stage = String::new();
    let mut found = Vec::new();
    for line in listing.lines() {
        if let Some(name) = line.strip_suffix(':').filter(|line| !line.starts_with(' ')) {
            stage = name.to_owned();
        }
        if let Some(kind) = line.strip_prefix("  - name: ") {
            found.push((stage.clone(), kind.to_owned()));
        }
    }
    assert!(found.len() >= 14, "{listing}");
    found
}

/// The texts between "```yaml" and "```".
fn samples(page: &str) -> Vec<&str> {
    let blocks = page.split("\n```yaml\n").skip(1);
    blocks.map(|rest| rest.split("\n```").next().unwrap_or(rest)).collect()
}

#[test]
fn every_component_has_a_page_whose_configuration_is_valid() {
    let mut wrong = Vec::new();
    for (stage, kind) in components() {
        let name = format!("crates/{stage}/src/{kind}/README.md");
        let Ok(page) = std::fs::read_to_string(root().join(&name)) else {
            wrong.push(format!("{name} is not there"));
            continue;
        };
        let samples = samples(&page);
        let entries = [":", "/"].map(|end| format!("\n{stage}:\n  {kind}{end}"));
        let shows = |sample: &&str| entries.iter().any(|it| format!("\n{sample}").contains(it));
        if !samples.iter().any(shows) {
            wrong.push(format!("{name} shows no configuration with {kind}"));
        }
        for sample in samples {
            let (code, _, told) = run(&["validate", "--config", &format!("yaml:{sample}")]);
            if code != Some(0) || !is_quiet(&told) {
                wrong.push(format!("{name}: {code:?}\n{told}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
