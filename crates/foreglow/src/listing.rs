// SPDX-License-Identifier: Apache-2.0
//! `foreglow components`: what this build has, as YAML.

use anyhow::Result;
use pipeline::{Components, Factory};

/// Prints the table.
pub fn print(components: &Components) -> Result<()> {
    print!("{}", listing(components));
    Ok(())
}

fn listing(components: &Components) -> String {
    let mut text = format!(
        "buildinfo:\n  command: foreglow\n  description: {:?}\n  version: {}\n",
        env!("CARGO_PKG_DESCRIPTION"),
        env!("CARGO_PKG_VERSION"),
    );
    section("receivers", &components.receivers, &mut text);
    section("processors", &components.processors, &mut text);
    section("exporters", &components.exporters, &mut text);
    section("extensions", &components.extensions, &mut text);
    text
}

fn section<B>(name: &str, factories: &[Factory<B>], text: &mut String) {
    text.push_str(&format!("{name}:\n"));
    for factory in factories {
        text.push_str(&format!("  - name: {}\n", factory.kind));
        let aliases: Vec<&str> = factory.aliases.iter().map(|alias| alias.kind).collect();
        if !aliases.is_empty() {
            text.push_str(&format!("    aliases: [{}]\n", aliases.join(", ")));
        }
        let signals: Vec<&str> = factory.signals.iter().map(|signal| signal.name()).collect();
        if !signals.is_empty() {
            text.push_str(&format!("    signals: [{}]\n", signals.join(", ")));
        }
        text.push_str(&format!("    summary: {:?}\n", factory.summary));
    }
}
