// SPDX-License-Identifier: Apache-2.0
//! A file of rule groups, in Prometheus' format, decoded and checked.
//!
//! Errors name file, line and column. Bounds: [`FILE_BYTES_MAX`]. Source: Prometheus'
//! `model/rulefmt/rulefmt.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use basics::{Error, Result};
use pipeline::config::{Checker, ComponentConfig};
use promql::Expr;
use serde::Deserialize;

use super::template::Template;

/// Largest file: 10,000 rules.
const FILE_BYTES_MAX: u64 = 8 << 20;

/// A file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RuleFile {
    /// Its groups.
    pub groups: Vec<GroupConfig>,
}

/// A group: rules evaluated one after the other.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct GroupConfig {
    /// Name, once a file.
    pub name: String,
    /// Time between evaluations; empty = the default.
    pub interval: String,
    /// How far before now its queries look.
    pub query_offset: Option<String>,
    /// Most series a recording rule, most alerts an alerting rule may give; 0 = any.
    pub limit: usize,
    /// Labels of all its rules.
    pub labels: BTreeMap<String, String>,
    /// Its rules.
    pub rules: Vec<RuleConfig>,
}

/// A rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RuleConfig {
    /// Name of the series it records.
    pub record: String,
    /// Name of the alert it raises.
    pub alert: String,
    /// What is evaluated.
    pub expr: String,
    /// How long an alert pends before it fires.
    #[serde(rename = "for")]
    pub hold: String,
    /// How long an alert goes on firing when it is over.
    pub keep_firing_for: String,
    /// Labels of the series or alerts.
    pub labels: BTreeMap<String, String>,
    /// What is told with an alert.
    pub annotations: BTreeMap<String, String>,
}

fn duration(text: &str) -> std::result::Result<Duration, String> {
    match text {
        "" => Ok(Duration::ZERO),
        text => basics::duration::parse_prometheus(text).map_err(|e| e.to_string()),
    }
}

impl ComponentConfig for RuleFile {
    fn validate(&self, at: &mut Checker<'_>) {
        let mut names = BTreeSet::new();
        let mut groups = at.key("groups");
        for (number, group) in self.groups.iter().enumerate() {
            let mut at = groups.item(number);
            if group.name.is_empty() {
                at.error("name", "a group needs a name");
            } else if !names.insert(&group.name) {
                at.error("name", format!("group name {:?} is there twice", group.name));
            }
            at.check("interval", duration(&group.interval));
            at.check("query_offset", duration(group.query_offset.as_deref().unwrap_or_default()));
            check_labels(&mut at, &group.labels);
            let mut rules = at.key("rules");
            for (number, rule) in group.rules.iter().enumerate() {
                rule.validate(&mut rules.item(number));
            }
        }
    }
}

fn check_labels(at: &mut Checker<'_>, labels: &BTreeMap<String, String>) {
    for name in labels.keys().filter(|name| name.is_empty() || *name == "__name__") {
        at.key("labels").error(name, format!("invalid label name: {name:?}"));
    }
}

impl RuleConfig {
    fn validate(&self, at: &mut Checker<'_>) {
        match (self.record.is_empty(), self.alert.is_empty()) {
            (false, false) => at.error("alert", "only one of 'record' and 'alert' must be set"),
            (true, true) => at.error("expr", "one of 'record' or 'alert' must be set"),
            _ => {}
        }
        if self.expr.is_empty() {
            at.error("expr", "field 'expr' must be set in rule");
        } else {
            let parsed = promql::parse(&self.expr);
            at.check("expr", parsed.map_err(|e| format!("could not parse expression: {e}")));
        }
        at.check("for", duration(&self.hold));
        at.check("keep_firing_for", duration(&self.keep_firing_for));
        if !self.record.is_empty() {
            for (key, given) in [
                ("annotations", !self.annotations.is_empty()),
                ("for", !self.hold.is_empty()),
                ("keep_firing_for", !self.keep_firing_for.is_empty()),
            ] {
                if given {
                    at.error(key, format!("invalid field '{key}' in recording rule"));
                }
            }
            if self.record.contains(['{', '}']) {
                at.error(
                    "record",
                    "braces present in the recording rule name; should it be in expr?",
                );
            }
        }
        check_labels(at, &self.labels);
        if !self.alert.is_empty() {
            for (key, texts) in [("labels", &self.labels), ("annotations", &self.annotations)] {
                for (name, text) in texts {
                    at.key(key).check(name, Template::parse(text));
                }
            }
        }
    }
}

/// Reads and checks a file.
///
/// # Errors
/// `Invalid` with all that is wrong with it, a line each.
pub fn load(path: &Path) -> Result<Vec<Group>> {
    let name = path.display().to_string();
    let cannot =
        |e: std::io::Error| Error::invalid(format!("cannot read the rules in {name}: {e}"));
    if std::fs::metadata(path).map_err(cannot)?.len() > FILE_BYTES_MAX {
        return Err(Error::invalid(format!("{name}: more than {FILE_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(cannot)?;
    parse(&name, &text)
}

/// As [`load`], of a file's text.
///
/// # Errors
/// As there.
pub fn parse(name: &str, text: &str) -> Result<Vec<Group>> {
    let file = pipeline::config::from_plain::<RuleFile>(name, text).map_err(Error::invalid)?;
    Ok(file.groups.into_iter().map(|group| Group::new(name, group)).collect())
}

/// A group that was checked.
#[derive(Clone, Debug)]
pub struct Group {
    /// The file it stands in.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Time between evaluations, if it has its own.
    pub interval: Option<Duration>,
    /// How far before now its queries look, if it says so.
    pub query_offset: Option<Duration>,
    /// 0 = any.
    pub limit: usize,
    /// Its rules.
    pub rules: Vec<Rule>,
}

/// A rule that was checked.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Name of the series or alert.
    pub name: String,
    /// The query in its canonical form.
    pub query: String,
    /// Labels, those of the group included.
    pub labels: BTreeMap<String, String>,
    /// What an alert has besides; none for a recording rule.
    pub alert: Option<AlertRule>,
}

/// The alerting part of a rule.
#[derive(Clone, Debug)]
pub struct AlertRule {
    /// How long it pends.
    pub hold: Duration,
    /// How long it fires on.
    pub keep_firing: Duration,
    /// Told with it.
    pub annotations: BTreeMap<String, String>,
    /// The templates of the labels.
    pub label_templates: Vec<(String, Template)>,
    /// The templates of the annotations.
    pub annotation_templates: Vec<(String, Template)>,
}

impl Group {
    fn new(file: &str, config: GroupConfig) -> Self {
        let time = |text: &str| duration(text).ok().filter(|time| !time.is_zero());
        let rules = config.rules.into_iter().map(|rule| Rule::new(rule, &config.labels));
        Group {
            file: file.to_owned(),
            name: config.name,
            interval: time(&config.interval),
            query_offset: config.query_offset.as_deref().and_then(|text| duration(text).ok()),
            limit: config.limit,
            rules: rules.collect(),
        }
    }
}

impl Rule {
    fn new(config: RuleConfig, of_group: &BTreeMap<String, String>) -> Self {
        let mut labels = of_group.clone();
        labels.extend(config.labels);
        let templates = |texts: &BTreeMap<String, String>| -> Vec<(String, Template)> {
            let parsed = texts
                .iter()
                .filter_map(|(name, text)| Some((name.clone(), Template::parse(text).ok()?)));
            parsed.collect()
        };
        let time = |text: &str| duration(text).unwrap_or_default();
        let alert = (!config.alert.is_empty()).then(|| AlertRule {
            hold: time(&config.hold),
            keep_firing: time(&config.keep_firing_for),
            label_templates: templates(&labels),
            annotation_templates: templates(&config.annotations),
            annotations: config.annotations,
        });
        let query = promql::parse(&config.expr).map_or(config.expr, |expr: Expr| expr.to_string());
        let name = if alert.is_some() { config.alert } else { config.record };
        Rule { name, query, labels, alert }
    }
}
