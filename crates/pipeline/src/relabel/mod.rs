// SPDX-License-Identifier: Apache-2.0
//! Prometheus' relabelling: rules that rewrite, keep or drop a label set.
//!
//! In: rules as they stand in YAML ([`RelabelConfig`]), compiled once ([`Relabel::new`]); label
//! sets ([`LabelSet`]). Out: the set rewritten, and whether it is kept. Rules run in order; the
//! first one that drops ends it. Regular expressions are RE2's, anchored at both ends; `$1` and
//! `${name}` stand for groups. An empty value means that the label is absent.
//! Used wherever Prometheus' configuration has such rules: targets and samples of a scrape, remote
//! write. Nothing here fails on a label set; wrong rules are told when the configuration is read.
//! Source: Prometheus' documentation of `relabel_config`; `model/relabel` for the corners.

mod config;
mod set;
#[cfg(test)]
mod tests;

use basics::Result;
use basics::labels::anchored_regex;
use md5::{Digest, Md5};
use regex::Regex;

pub use config::{Action, RelabelConfig, validate};
pub use set::LabelSet;

/// Rules ready to run; nothing to do when empty.
#[derive(Clone, Debug, Default)]
pub struct Relabel(Vec<Rule>);

#[derive(Clone, Debug)]
struct Rule {
    config: RelabelConfig,
    regex: Regex,
    /// The label that a replacement goes to, if it names no groups.
    plain_target: bool,
}

impl Relabel {
    /// Compiles `rules`.
    ///
    /// # Errors
    /// `Invalid` for the first rule whose expression does not compile.
    pub fn new(rules: &[RelabelConfig]) -> Result<Self> {
        rules.iter().map(Rule::new).collect::<Result<_>>().map(Relabel)
    }

    /// True when there are no rules.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Rewrites `labels`; false when a rule says that they are to be dropped.
    pub fn apply(&self, labels: &mut LabelSet) -> bool {
        self.0.iter().all(|rule| rule.apply(labels))
    }
}

impl Rule {
    fn new(config: &RelabelConfig) -> Result<Self> {
        let regex = anchored_regex(&config.regex)?;
        let plain_target = !config.target_label.contains('$');
        Ok(Rule { config: config.clone(), regex, plain_target })
    }

    fn apply(&self, labels: &mut LabelSet) -> bool {
        let RelabelConfig { target_label, replacement, .. } = &self.config;
        match self.config.action {
            Action::Keep => return self.regex.is_match(&self.source(labels)),
            Action::Drop => return !self.regex.is_match(&self.source(labels)),
            Action::KeepEqual => return labels.get(target_label) == self.source(labels),
            Action::DropEqual => return labels.get(target_label) != self.source(labels),
            Action::Replace => self.replace(labels),
            Action::Lowercase => labels.set(target_label, &self.source(labels).to_lowercase()),
            Action::Uppercase => labels.set(target_label, &self.source(labels).to_uppercase()),
            Action::HashMod => {
                let rest = hash(&self.source(labels)) % self.config.modulus.max(1);
                labels.set(target_label, &rest.to_string());
            }
            Action::LabelMap => {
                let matching = labels.iter().filter(|(name, _)| self.regex.is_match(name));
                let renamed: Vec<(String, String)> = matching
                    .map(|(name, value)| {
                        (self.regex.replace(name, replacement).into_owned(), value.to_owned())
                    })
                    .collect();
                renamed.iter().for_each(|(name, value)| labels.set(name, value));
            }
            Action::LabelDrop => labels.retain(|name| !self.regex.is_match(name)),
            Action::LabelKeep => labels.retain(|name| self.regex.is_match(name)),
        }
        true
    }

    /// The values of the source labels, joined.
    fn source(&self, labels: &LabelSet) -> String {
        let mut joined = String::new();
        for (at, name) in self.config.source_labels.iter().enumerate() {
            if at > 0 {
                joined.push_str(&self.config.separator);
            }
            joined.push_str(labels.get(name));
        }
        joined
    }

    fn replace(&self, labels: &mut LabelSet) {
        let source = self.source(labels);
        let Some(groups) = self.regex.captures(&source) else { return };
        let expand = |template: &str| {
            let mut text = String::new();
            groups.expand(template, &mut text);
            text
        };
        let target = match self.plain_target {
            true => self.config.target_label.clone(),
            false => expand(&self.config.target_label),
        };
        if !target.is_empty() {
            labels.set(&target, &expand(&self.config.replacement));
        }
    }
}

/// The last half of the text's MD5, as Prometheus takes it.
fn hash(text: &str) -> u64 {
    let digest = Md5::digest(text.as_bytes());
    digest[8..16].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
