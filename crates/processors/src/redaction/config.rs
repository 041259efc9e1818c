// SPDX-License-Identifier: Apache-2.0
//! Settings of `redaction`, and what they are once checked.

use std::sync::{Arc, OnceLock};

use pipeline::config::{Checker, ComponentConfig};
use regex::{Regex, RegexSet, RegexSetBuilder};
use serde::Deserialize;

use super::mask::Mask;
use super::rules::{Keys, Rules, Summary};
use crate::attributes::action::{PATTERN_BYTES_MAX, pattern};

/// Settings of `redaction`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Every key is allowed: only values are looked at.
    pub allow_all_keys: bool,
    /// Keys that stay; all others go. Empty = none stays.
    pub allowed_keys: Vec<String>,
    /// Patterns of keys whose whole value is masked.
    pub blocked_key_patterns: Vec<String>,
    /// Keys that are neither removed nor masked.
    pub ignored_keys: Vec<String>,
    /// Patterns of such keys.
    pub ignored_key_patterns: Vec<String>,
    /// Also looks at numbers, booleans, lists and maps, as text.
    pub redact_all_types: bool,
    /// Patterns of what is masked in values.
    pub blocked_values: Vec<String>,
    /// Patterns of values that are left alone.
    pub allowed_values: Vec<String>,
    /// A hash instead of asterisks: `md5`, `sha1`, `sha3`, `hmac-sha256` or `hmac-sha512`.
    pub hash_function: String,
    /// The secret of the two last ones, at least 32 and 64 bytes.
    pub hmac_key: String,
    /// What is told about it in attributes: `debug` (names and counts), `info` (counts), `silent`.
    pub summary: String,
    /// Not supported yet.
    pub url_sanitizer: Option<serde_json::Value>,
    /// Not supported yet.
    pub db_sanitizer: Option<serde_json::Value>,
    #[serde(skip)]
    prepared: OnceLock<Arc<Rules>>,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        for (key, value) in
            [("url_sanitizer", &self.url_sanitizer), ("db_sanitizer", &self.db_sanitizer)]
        {
            if value.as_ref().is_some_and(is_enabled) {
                at.error(key, "is not supported yet");
            }
        }
        if !["", "silent", "info", "debug"].contains(&self.summary.as_str()) {
            let text =
                format!("\"{}\" is none of debug, info, silent: taken as silent", self.summary);
            at.warn("summary", text);
        }
        let mask = at.check("hash_function", Mask::new(&self.hash_function));
        if let Some(Err(error)) = mask.map(|mask| mask.with_key(&self.hmac_key)) {
            at.error("hmac_key", error);
        }
        if let Some(rules) = self.rules(at) {
            // Set once: a body is validated once.
            let _ = self.prepared.set(Arc::new(rules));
        }
    }
}

impl Config {
    /// What [`ComponentConfig::validate`] has made of it.
    pub(super) fn prepared(&self) -> Option<&Arc<Rules>> {
        self.prepared.get()
    }

    fn rules(&self, at: &mut Checker<'_>) -> Option<Rules> {
        let mut list = |key: &str, texts: &[String]| patterns(key, texts, at);
        let blocked_keys = list("blocked_key_patterns", &self.blocked_key_patterns);
        let ignored = list("ignored_key_patterns", &self.ignored_key_patterns);
        let blocked = list("blocked_values", &self.blocked_values);
        let allowed = list("allowed_values", &self.allowed_values);
        Some(Rules {
            allowed_keys: (!self.allow_all_keys).then(|| Keys::new(&self.allowed_keys)),
            ignored_keys: Keys::new(&self.ignored_keys),
            ignored_patterns: ignored?.0,
            blocked_keys: blocked_keys?.0,
            allowed_values: allowed?.0,
            blocked_any: blocked.as_ref()?.0.clone(),
            blocked_values: blocked?.1,
            all_types: self.redact_all_types,
            mask: Mask::new(&self.hash_function).ok()?.with_key(&self.hmac_key).ok()?,
            summary: match self.summary.as_str() {
                "debug" => Summary::Debug,
                "info" => Summary::Info,
                _ => Summary::Silent,
            },
        })
    }
}

/// True unless everything in it is switched off.
fn is_enabled(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Object(map) => {
            map.iter().any(|(key, value)| match (key.as_str(), value) {
                ("enabled", value) => value == &serde_json::Value::Bool(true),
                (_, value @ serde_json::Value::Object(_)) => is_enabled(value),
                _ => false,
            })
        }
        _ => false,
    }
}

/// The patterns as a set, which asks them all in one go, and one by one.
fn patterns(key: &str, texts: &[String], at: &mut Checker<'_>) -> Option<(RegexSet, Vec<Regex>)> {
    let mut at = at.key(key);
    let single: Vec<Option<Regex>> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| at.item(index).check("", pattern(text)))
        .collect();
    let single: Vec<Regex> = single.into_iter().collect::<Option<_>>()?;
    let set = RegexSetBuilder::new(texts).size_limit(PATTERN_BYTES_MAX).build();
    Some((at.check("", set)?, single))
}
