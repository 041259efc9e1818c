// SPDX-License-Identifier: Apache-2.0
//! Keys as Markdown.

use std::fmt::Write;

use super::defaults::Value;
use super::factories::Component;
use super::keys::{Key, Kind};

const NOTE: &str = "<!-- Written by `cargo xtask reference` from the sources; do not edit. -->\n";

/// The page of one component.
pub fn component(component: &Component, keys: &[Key], readme: &str) -> String {
    let mut page = format!("{NOTE}\n# `{}` ({})\n\n", component.kind, one_of(component.stage));
    let mut summary = component.summary.clone();
    if let Some(first) = summary.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let _ = writeln!(page, "{summary}.");
    if !component.signals.is_empty() {
        let _ = writeln!(page, "Signals: {}.", component.signals.join(", "));
    }
    for (name, warning) in &component.aliases {
        let warning = warning.as_ref().map_or(String::new(), |text| format!(" (warns: {text})"));
        let _ = writeln!(page, "Also loads as `{name}`{warning}.");
    }
    let stage = component.stage;
    let more = format!("../../../crates/{stage}/src/{}/README.md", component.kind);
    let _ = writeln!(page, "How it behaves: [README]({more}).\n");
    if let Some(sample) = sample(readme) {
        let _ = writeln!(page, "```yaml\n{sample}\n```\n");
    }
    if keys.is_empty() {
        page.push_str("It has no keys.\n");
        return page;
    }
    page.push_str("| key | type | default | meaning |\n|---|---|---|---|\n");
    rows(&mut page, "", keys);
    page
}

/// The list of all pages.
pub fn contents(components: &[Component]) -> String {
    let mut page = format!(
        "{NOTE}\n# Components\n\nEvery key, its type, default and meaning. For completion and checks in an editor, \
         begin a configuration with\n`# yaml-language-server: $schema=<path>/collector.schema.json`.\n"
    );
    let mut stage = "";
    for component in components {
        if component.stage != stage {
            stage = component.stage;
            let _ = writeln!(page, "\n## {}\n", title(stage));
        }
        let (kind, summary) = (&component.kind, &component.summary);
        let _ = writeln!(page, "- [`{kind}`]({stage}/{kind}.md): {summary}");
    }
    page
}

/// The first configuration the README shows; a test loads it.
fn sample(readme: &str) -> Option<&str> {
    let (_, rest) = readme.split_once("\n```yaml\n")?;
    rest.split("\n```").next()
}

fn one_of(stage: &str) -> &str {
    stage.strip_suffix('s').unwrap_or(stage)
}

fn title(stage: &str) -> String {
    let mut title = stage.to_owned();
    title[..1].make_ascii_uppercase();
    title
}

fn rows(page: &mut String, path: &str, keys: &[Key]) {
    for key in keys {
        let name = format!("{path}{}", key.name);
        let mut doc = key.doc.replace('|', "\\|");
        if let Kind::Choice(choices) = &key.kind {
            let said = choices.iter().filter(|(_, doc)| !doc.is_empty());
            let said: Vec<_> = said.map(|(name, doc)| format!("`{name}`: {doc}")).collect();
            doc = format!("{doc} {}", said.join(" ").replace('|', "\\|"));
        }
        doc = doc.replace("`None` = ", "not written = ");
        if doc.trim().is_empty() {
            doc = match key.kind {
                Kind::NoEffect => "accepted, without effect".into(),
                _ => "see the README".into(),
            };
        }
        if !key.aliases.is_empty() {
            let aliases: Vec<_> = key.aliases.iter().map(|alias| format!("`{alias}`")).collect();
            doc = format!("{} Also {}.", doc.trim(), aliases.join(", "));
        }
        let default = match &key.kind {
            Kind::Keys(_) | Kind::List(_) | Kind::Map(_) if key.default == Value::None => None,
            Kind::Keys(_) => None,
            _ => shown(&key.default),
        };
        let default = default.map_or(String::new(), |text| format!("`{text}`"));
        let _ = writeln!(page, "| `{name}` | {} | {default} | {} |", kind(&key.kind), doc.trim());
        match &key.kind {
            Kind::Keys(inner) => rows(page, &format!("{name}."), inner),
            Kind::List(inner) => {
                if let Kind::Keys(inner) = inner.as_ref() {
                    rows(page, &format!("{name}[]."), inner);
                }
            }
            Kind::Map(inner) => {
                if let Kind::Keys(inner) = inner.as_ref() {
                    rows(page, &format!("{name}.*."), inner);
                }
            }
            _ => {}
        }
    }
}

fn kind(kind: &Kind) -> String {
    match kind {
        Kind::Bool => "bool".into(),
        Kind::Number { whole: true } => "integer".into(),
        Kind::Number { whole: false } => "number".into(),
        Kind::Text => "text".into(),
        Kind::Duration => "duration".into(),
        Kind::Choice(choices) => {
            let names: Vec<_> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            names.join(", ")
        }
        Kind::List(inner) => match inner.as_ref() {
            Kind::Keys(_) => "list of mappings".into(),
            inner => format!("list of {}", self::kind(inner)),
        },
        Kind::Map(_) | Kind::Keys(_) => "mapping".into(),
        Kind::Any | Kind::NoEffect => "any".into(),
    }
}

/// A default as it would be written; `None` = not said.
pub fn shown(value: &Value) -> Option<String> {
    match value {
        Value::None | Value::Unknown | Value::Fields(_) => None,
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::Text(value) if value.is_empty() => None,
        Value::Text(value) => Some(value.clone()),
        Value::List(values) if values.is_empty() => None,
        Value::List(values) => {
            Some(format!("[{}]", values.iter().filter_map(shown).collect::<Vec<_>>().join(", ")))
        }
    }
}
