// SPDX-License-Identifier: Apache-2.0
//! The rules of this repository that a machine can check.
//!
//! Each test prints every violation with its file and what to do. The words they look for are put
//! together from parts, so that this file does not find itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Longest source file. Beyond it a file holds more than one idea.
const FILE_LINES_MAX: usize = 900;

/// Longest README: what a newcomer reads in two minutes.
const README_LINES_MAX: usize = 120;

fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().expect("xtask is below the root").to_owned()
}

/// Every file of the repository, known to git or about to be, with its text; binary files left out.
fn files(extensions: &[&str]) -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
        .current_dir(root())
        .output()
        .expect("git lists the files of the repository");
    let names = String::from_utf8_lossy(&listed.stdout).into_owned();
    let wanted = |name: &&str| {
        let last = name.rsplit('/').next().unwrap_or_default();
        let extension = name.rsplit('.').next().unwrap_or_default();
        extensions.contains(&extension) || extensions.contains(&last)
    };
    let read =
        |name: &str| Some((name.to_owned(), std::fs::read_to_string(root().join(name)).ok()?));
    let found: Vec<_> = names.split('\0').filter(wanted).filter_map(read).collect();
    assert!(!found.is_empty(), "no files with {extensions:?}");
    found
}

#[track_caller]
fn none(violations: Vec<String>, rule: &str) {
    assert!(violations.is_empty(), "{rule}\n  {}", violations.join("\n  "));
}

const SOURCES: &[&str] = &["rs", "ts", "tsx", "py", "mjs"];

#[test]
fn dependencies_point_to_a_lower_layer() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    let name =
        |package: &serde_json::Value| package["name"].as_str().unwrap_or_default().to_owned();
    let layers: BTreeMap<String, u64> = packages
        .iter()
        .map(|package| {
            let layer = package["metadata"]["foreglow"]["layer"].as_u64();
            let told = format!("{}: needs [package.metadata.foreglow] layer = N", name(package));
            (name(package), layer.expect(&told))
        })
        .collect();
    let mut violations = Vec::new();
    for package in packages {
        let own = layers[&name(package)];
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let is_dev = dependency["kind"].as_str() == Some("dev");
            let target = dependency["name"].as_str().unwrap_or_default();
            if let Some(layer) = layers.get(target).filter(|layer| !is_dev && **layer >= own) {
                violations
                    .push(format!("{} (layer {own}) -> {target} (layer {layer})", name(package)));
            }
        }
    }
    none(violations, "a crate depends only on crates of a lower layer");
}

#[test]
fn every_source_names_its_licence() {
    let is_marked = |text: &str| {
        text.lines().take(2).any(|line| line.contains("SPDX-License-Identifier: Apache-2.0"))
    };
    let unmarked = files(SOURCES).into_iter().filter(|(_, text)| !is_marked(text));
    none(
        unmarked.map(|(name, _)| name).collect(),
        "the first line of a source is `// SPDX-License-Identifier: Apache-2.0`",
    );
}

#[test]
fn sources_are_ascii() {
    let mut violations = Vec::new();
    for (name, text) in files(&["rs", "toml", "py", "Makefile", "md"]) {
        let found = text.lines().enumerate().find(|(_, line)| !line.is_ascii());
        violations
            .extend(found.map(|(line, text)| format!("{name}:{}: {}", line + 1, text.trim())));
    }
    none(violations, "sources are ASCII; write other characters as escapes");
}

#[test]
fn nothing_is_left_for_later() {
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("#[ign", "ore"),
        concat!("db", "g!("),
        concat!(".sk", "ip("),
        concat!(".on", "ly("),
    ];
    let mut violations = Vec::new();
    for (name, text) in files(SOURCES) {
        let is_script = !name.ends_with(".rs");
        for (line, text) in text.lines().enumerate() {
            let is_test_word = |word: &str| word.starts_with('.');
            let of_a_test = ["test", "it", "describe"];
            let found = words.iter().any(|word| {
                if is_test_word(word) {
                    is_script
                        && of_a_test
                            .iter()
                            .any(|test| text.trim_start().starts_with(&format!("{test}{word}")))
                } else {
                    text.contains(word)
                }
            });
            if found {
                violations.push(format!("{name}:{}: {}", line + 1, text.trim()));
            }
        }
    }
    none(violations, "finish it, or leave it out and say so");
}

#[test]
fn no_path_of_one_machine_is_in_the_tree() {
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let mut violations = Vec::new();
    for (name, text) in files(&["rs", "ts", "tsx", "py", "mjs", "toml", "md", "yaml", "Makefile"]) {
        for (line, text) in text.lines().enumerate() {
            let found = folders.iter().any(|folder| {
                text.match_indices(folder).any(|(at, _)| {
                    !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c))
                })
            });
            if found {
                violations.push(format!("{name}:{}: {}", line + 1, text.trim()));
            }
        }
    }
    none(violations, "no path of one machine in the tree");
}

#[test]
fn names_say_what_a_thing_is() {
    let empty = ["common", "utils", "util", "helpers", "helper", "core", "misc", "manager"];
    let mut violations = Vec::new();
    for (name, _) in files(&["rs"]) {
        let path = Path::new(&name);
        let stems =
            path.iter().map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned());
        if stems.into_iter().any(|stem| empty.contains(&stem.as_str())) {
            violations.push(name);
        }
    }
    none(violations, "a folder or file is named after what it holds");
}

#[test]
fn files_are_short() {
    let long = files(SOURCES).into_iter().filter(|(_, text)| text.lines().count() > FILE_LINES_MAX);
    none(
        long.map(|(name, text)| format!("{name}: {} lines", text.lines().count())).collect(),
        "a file longer than 900 lines holds more than one idea",
    );
}

#[test]
fn modules_say_what_they_are_for() {
    let is_headless = |text: &str| {
        let mut lines =
            text.lines().skip_while(|line| line.starts_with("// ") || line.trim().is_empty());
        !lines.next().is_some_and(|line| line.starts_with("//!"))
    };
    let sources = files(&["rs"]).into_iter().filter(|(name, text)| {
        let is_test = name.contains("tests") || name.contains("/benches/") || name.contains("/it/");
        !is_test && is_headless(text)
    });
    none(sources.map(|(name, _)| name).collect(), "a module begins with `//!`: what it is for");
}

#[test]
fn the_readme_is_short_and_shows_the_two_commands() {
    let text = std::fs::read_to_string(root().join("README.md")).expect("README.md");
    assert!(text.lines().count() <= README_LINES_MAX, "README.md has more than 120 lines");
    for command in ["make demo-start", "make test"] {
        assert!(text.contains(command), "README.md does not show `{command}`");
    }
}

#[test]
fn the_architecture_page_names_every_crate() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let folders = std::fs::read_dir(root().join("crates")).expect("crates").flatten();
    let names = folders.map(|folder| folder.file_name().to_string_lossy().into_owned());
    let missing = names.filter(|name| !text.contains(&format!("`{name}`")));
    none(missing.collect(), "ARCHITECTURE.md has a line for every crate");
}

#[test]
fn makefile_targets_that_are_documented_exist() {
    let makefile = std::fs::read_to_string(root().join("Makefile")).expect("Makefile");
    let mut missing = Vec::new();
    for (name, text) in files(&["md"]) {
        for (at, _) in text.match_indices("`make ") {
            let target: String = text[at + 6..]
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                .collect();
            if !makefile.lines().any(|line| line.starts_with(&format!("{target}:"))) {
                missing.push(format!("{name}: make {target}"));
            }
        }
    }
    none(missing, "a command that is documented works");
}

#[test]
fn every_dependency_says_what_it_saves() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let page = std::fs::read_to_string(root().join("docs/dependencies.md")).expect("the page");
    let table = manifest.split("[workspace.dependencies]").nth(1).expect("the table");
    let table = table.split("\n[").next().unwrap_or_default();
    let names = table.lines().filter(|line| !line.starts_with('#') && !line.contains("path = "));
    let names = names.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let missing = names.filter(|name| !page.contains(&format!("`{name}`")));
    none(missing.map(str::to_owned).collect(), "docs/dependencies.md says what a dependency saves");
}

#[test]
fn a_dependency_that_is_declared_is_used() {
    let sources = files(&["rs"]);
    let mut unused = Vec::new();
    for (name, manifest) in files(&["Cargo.toml"]) {
        let folder = name.trim_end_matches("Cargo.toml");
        let lines = manifest.lines().filter(|line| !line.starts_with('#'));
        let declared = lines.filter_map(|line| line.split_once(".workspace = true"));
        for (dependency, _) in declared.filter(|(name, _)| !PACKAGE_FIELDS.contains(name)) {
            let path = dependency.replace('-', "_");
            let is_used = sources.iter().any(|(source, text)| {
                source.starts_with(folder) && !folder.is_empty() && mentions(text, &path)
            });
            if !is_used {
                unused.push(format!("{name}: {dependency}"));
            }
        }
    }
    none(unused, "a dependency that is declared is used");
}

/// What a manifest inherits besides dependencies.
const PACKAGE_FIELDS: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

/// True if `text` has `name` as a whole word.
fn mentions(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(is_word) && !text[at + name.len()..].starts_with(is_word)
    })
}
