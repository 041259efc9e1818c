// SPDX-License-Identifier: Apache-2.0
//! Rules as they stand in YAML, with Prometheus' keys, defaults and checks.

use basics::labels::anchored_regex;
use serde::{Deserialize, Deserializer};

use crate::config::Checker;

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Sets `target_label` to `replacement` where `regex` matches.
    #[default]
    Replace,
    /// Drops what does not match.
    Keep,
    /// Drops what matches.
    Drop,
    /// Drops unless the source labels equal `target_label`.
    KeepEqual,
    /// Drops if the source labels equal `target_label`.
    DropEqual,
    /// Sets `target_label` to a hash of the source labels, modulo `modulus`.
    HashMod,
    /// Copies labels whose name matches to the name `replacement`.
    LabelMap,
    /// Removes labels whose name matches.
    LabelDrop,
    /// Removes labels whose name does not match.
    LabelKeep,
    /// Sets `target_label` to the source labels in lower case.
    Lowercase,
    /// Sets `target_label` to the source labels in upper case.
    Uppercase,
}

/// Every action with its spelling.
const ACTIONS: [(&str, Action); 11] = [
    ("replace", Action::Replace),
    ("keep", Action::Keep),
    ("drop", Action::Drop),
    ("keepequal", Action::KeepEqual),
    ("dropequal", Action::DropEqual),
    ("hashmod", Action::HashMod),
    ("labelmap", Action::LabelMap),
    ("labeldrop", Action::LabelDrop),
    ("labelkeep", Action::LabelKeep),
    ("lowercase", Action::Lowercase),
    ("uppercase", Action::Uppercase),
];

impl Action {
    /// As written in YAML.
    pub fn name(self) -> &'static str {
        ACTIONS.iter().find(|(_, action)| *action == self).map_or("", |(name, _)| name)
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = ACTIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(&text));
        known.map(|(_, action)| *action).ok_or_else(|| {
            let names: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
            serde::de::Error::custom(format!(
                "unknown relabel action \"{text}\"; there are {}",
                names.join(", ")
            ))
        })
    }
}

/// One rule.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct RelabelConfig {
    /// Labels whose values, joined, are looked at.
    pub source_labels: Vec<String>,
    /// What joins them.
    pub separator: String,
    /// What they must match as a whole.
    pub regex: String,
    /// For `hashmod`.
    pub modulus: u64,
    /// The label that is written or compared.
    pub target_label: String,
    /// What is written.
    pub replacement: String,
    /// What is done.
    pub action: Action,
}

impl Default for RelabelConfig {
    fn default() -> Self {
        RelabelConfig {
            source_labels: Vec::new(),
            separator: ";".to_owned(),
            regex: "(.*)".to_owned(),
            modulus: 0,
            target_label: String::new(),
            replacement: "$1".to_owned(),
            action: Action::default(),
        }
    }
}

/// Checks the rules under `key`.
pub fn validate(rules: &[RelabelConfig], key: &str, at: &mut Checker<'_>) {
    let mut at = at.key(key);
    for (index, rule) in rules.iter().enumerate() {
        rule.validate(&mut at.item(index));
    }
}

impl RelabelConfig {
    fn validate(&self, at: &mut Checker<'_>) {
        use Action::{
            DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace,
            Uppercase,
        };
        let name = self.action.name();
        let default = RelabelConfig::default();
        at.check("regex", anchored_regex(&self.regex));
        if self.action == HashMod && self.modulus == 0 {
            at.error("modulus", "relabel configuration for hashmod requires non-zero modulus");
        }
        let writes = matches!(
            self.action,
            Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual
        );
        if writes && self.target_label.is_empty() {
            let needs = "requires 'target_label' value";
            at.error("target_label", format!("relabel configuration for {name} action {needs}"));
        }
        let fixed = matches!(self.action, Lowercase | Uppercase | KeepEqual | DropEqual);
        if fixed && self.replacement != default.replacement {
            at.error("replacement", format!("'replacement' can not be set for {name} action"));
        }
        if self.action == LabelMap && self.replacement.is_empty() {
            at.error("replacement", "labelmap needs the name to copy to as 'replacement'");
        }
        let mut only = RelabelConfig { action: self.action, ..default };
        let needs = match self.action {
            KeepEqual | DropEqual => {
                only.source_labels = self.source_labels.clone();
                only.target_label = self.target_label.clone();
                "'source_labels' and `target_label`"
            }
            LabelDrop | LabelKeep => {
                only.regex = self.regex.clone();
                "'regex'"
            }
            _ => return,
        };
        if *self != only {
            at.error("", format!("{name} action requires only {needs}, and no other fields"));
        }
    }
}
