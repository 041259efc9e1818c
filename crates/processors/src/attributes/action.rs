// SPDX-License-Identifier: Apache-2.0
//! What can be done to one list of attributes: the actions of `attributes` and `resource`.
//!
//! Checked and prepared once ([`ActionConfig::prepare`]); applied in order, each seeing what the
//! ones before it did. Values keep their types. Source: the Go collector's `internal/coreinternal/
//! attraction`, reference section 5.3.

use std::sync::Arc;

use otlp_wire::{AnyValue, Asked, AttrsMut, IntoAny, Origin, Put};
use pipeline::config::Checker;
use prost::Message;
use regex::Regex;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::origin;
use super::value::Value;

/// Largest compiled size of one pattern: a configuration must not take memory at will.
pub(crate) const PATTERN_BYTES_MAX: usize = 4 << 20;

/// One action as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ActionConfig {
    /// The attribute to act on.
    pub key: String,
    /// `insert`, `update`, `upsert`, `delete`, `hash`, `extract` or `convert`, in any case.
    pub action: String,
    /// The value to set, of any type.
    pub value: Option<serde_json::Value>,
    /// Set to the value of this attribute.
    pub from_attribute: String,
    /// Set to what is known about the request: `metadata.x`, `auth.x`, `client.address`.
    pub from_context: String,
    /// Set to this when there is nothing at the source.
    pub default_value: Option<serde_json::Value>,
    /// `delete`, `hash`: the keys it matches; `extract`: how to take the value apart.
    pub pattern: String,
    /// `convert`: `string`, `int` or `double`.
    pub converted_type: String,
}

/// One action, ready to be applied.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Put { how: Put, key: String, from: Source },
    Delete(Keys),
    Hash(Keys),
    Extract { key: String, pattern: Regex, groups: Vec<String> },
    Convert { key: String, to: Target },
}

/// The actions of one processor, and what those with `from_context` found for the batch at hand.
#[derive(Clone, Debug)]
pub(crate) struct Actions {
    list: Arc<[Action]>,
    /// True when one of them asks what is known of the request.
    asks: bool,
    /// By action, once a batch has begun; empty when no action asks.
    found: Vec<Option<String>>,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Another attribute; empty for none.
    attribute: String,
    /// What is known of the request.
    asked: Option<Asked>,
    /// The fixed value, or the default.
    value: Option<Vec<u8>>,
}

/// Which keys an action is for.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// One key; empty for none.
    key: String,
    pattern: Option<Regex>,
}

/// What a value is converted to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    Text,
    Int,
    Double,
}

/// Prepares a list of actions; every mistake goes to `at`, which stands at the list.
pub(crate) fn prepare_all(actions: &[ActionConfig], mut at: Checker<'_>) -> Actions {
    let list: Arc<[Action]> = actions
        .iter()
        .enumerate()
        .filter_map(|(index, action)| action.prepare(&mut at.item(index)))
        .collect();
    let asks = list.iter().any(|action| action.asked().is_some());
    Actions { list, asks, found: Vec::new() }
}

impl Actions {
    /// Looks up what the actions ask of a batch's request: once a batch, not once an element.
    pub fn begin(&mut self, origin: &Origin<'_>) {
        if self.asks {
            self.found.clear();
            let found = |action: &Action| origin::answer(action.asked()?, origin);
            self.found.extend(self.list.iter().map(found));
        }
    }

    /// What they ask of a batch's request.
    pub fn asks(&self) -> Vec<Asked> {
        self.list.iter().filter_map(Action::asked).cloned().collect()
    }

    /// Applies them in order.
    pub fn apply(&self, attrs: &mut AttrsMut<'_>) {
        for (index, action) in self.list.iter().enumerate() {
            match action {
                Action::Put { how, key, from } => {
                    let found = self.found.get(index).and_then(Option::as_deref);
                    from.put(*how, key, found, attrs);
                }
                Action::Delete(keys) => keys.delete(attrs),
                Action::Hash(keys) => keys.hash(attrs),
                Action::Extract { key, pattern, groups } => extract(key, pattern, groups, attrs),
                Action::Convert { key, to } => convert(key, *to, attrs),
            }
        }
    }
}

impl Action {
    fn asked(&self) -> Option<&Asked> {
        match self {
            Action::Put { from, .. } => from.asked.as_ref(),
            _ => None,
        }
    }
}

impl ActionConfig {
    /// The action, if it is right; mistakes go to `at`.
    fn prepare(&self, at: &mut Checker<'_>) -> Option<Action> {
        let action = self.action.to_ascii_lowercase();
        match action.as_str() {
            "insert" => self.put(Put::Insert, at),
            "update" => self.put(Put::Update, at),
            "upsert" => self.put(Put::Upsert, at),
            "delete" => Some(Action::Delete(self.keys(at)?)),
            "hash" => Some(Action::Hash(self.keys(at)?)),
            "extract" => self.extract(at),
            "convert" => self.convert(at),
            "" => {
                at.error("action", "missing required field \"action\"");
                None
            }
            other => {
                let known = "insert, update, upsert, delete, hash, extract, convert";
                at.error("action", format!("unsupported action \"{other}\", known are {known}"));
                None
            }
        }
    }

    fn put(&self, how: Put, at: &mut Checker<'_>) -> Option<Action> {
        self.refuse(at, &["pattern", "converted_type"]);
        let sources =
            [self.value.is_some(), !self.from_attribute.is_empty(), !self.from_context.is_empty()];
        match sources.iter().filter(|used| **used).count() {
            0 if self.default_value.is_none() => {
                at.error(
                    "",
                    "one of value, from_attribute, from_context or default_value is needed",
                );
                return None;
            }
            0 | 1 => {}
            _ => {
                at.error("", "only one of value, from_attribute and from_context may be set");
                return None;
            }
        }
        let asked = (!self.from_context.is_empty()).then(|| origin::parse(&self.from_context));
        let value = self.value.as_ref().or(self.default_value.as_ref());
        let value = value.map(|value| Value::from(value).into_any().encode_to_vec());
        let from = Source { attribute: self.from_attribute.clone(), asked, value };
        Some(Action::Put { how, key: self.key(at)?, from })
    }

    fn keys(&self, at: &mut Checker<'_>) -> Option<Keys> {
        self.refuse(
            at,
            &["value", "from_attribute", "from_context", "default_value", "converted_type"],
        );
        if self.key.is_empty() && self.pattern.is_empty() {
            at.error("", "at least one of key and pattern must be set");
            return None;
        }
        let pattern = match self.pattern.as_str() {
            "" => None,
            text => Some(at.check("pattern", pattern(text))?),
        };
        Some(Keys { key: self.key.clone(), pattern })
    }

    fn extract(&self, at: &mut Checker<'_>) -> Option<Action> {
        self.refuse(
            at,
            &["value", "from_attribute", "from_context", "default_value", "converted_type"],
        );
        let key = self.key(at);
        if self.pattern.is_empty() {
            at.error("pattern", "missing required field \"pattern\"");
            return None;
        }
        let pattern = at.check("pattern", pattern(&self.pattern))?;
        let groups: Vec<Option<&str>> = pattern.capture_names().skip(1).collect();
        if groups.is_empty() {
            at.error("pattern", "contains no named matcher groups, such as (?P<name>...)");
            return None;
        }
        let named: Option<Vec<String>> = groups.iter().map(|it| it.map(str::to_owned)).collect();
        let Some(groups) = named else {
            at.error("pattern", "contains at least one unnamed matcher group, write (?:...)");
            return None;
        };
        Some(Action::Extract { key: key?, pattern, groups })
    }

    fn convert(&self, at: &mut Checker<'_>) -> Option<Action> {
        self.refuse(at, &["value", "from_attribute", "from_context", "default_value", "pattern"]);
        let to = match self.converted_type.as_str() {
            "string" => Target::Text,
            "int" => Target::Int,
            "double" => Target::Double,
            "" => {
                at.error("converted_type", "missing required field \"converted_type\"");
                return None;
            }
            other => {
                let text = format!("\"{other}\" is none of string, int, double");
                at.error("converted_type", text);
                return None;
            }
        };
        Some(Action::Convert { key: self.key(at)?, to })
    }

    fn key(&self, at: &mut Checker<'_>) -> Option<String> {
        if self.key.is_empty() {
            at.error("key", "missing required field \"key\"");
            return None;
        }
        Some(self.key.clone())
    }

    /// Tells fields that the action does not use.
    fn refuse(&self, at: &mut Checker<'_>, fields: &[&str]) {
        for field in fields {
            let used = match *field {
                "value" => self.value.is_some(),
                "default_value" => self.default_value.is_some(),
                "from_attribute" => !self.from_attribute.is_empty(),
                "from_context" => !self.from_context.is_empty(),
                "pattern" => !self.pattern.is_empty(),
                _ => !self.converted_type.is_empty(),
            };
            if used {
                let action = self.action.to_ascii_lowercase();
                at.error(field, format!("action \"{action}\" does not use \"{field}\""));
            }
        }
    }
}

/// A regular expression, searched for anywhere in the text.
pub(crate) fn pattern(text: &str) -> Result<Regex, String> {
    regex::RegexBuilder::new(text)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| format!("invalid pattern \"{text}\": {error}"))
}

impl Source {
    /// `found` is what the batch's request has for it.
    fn put(&self, how: Put, key: &str, found: Option<&str>, attrs: &mut AttrsMut<'_>) {
        if let Some(text) = found {
            attrs.put(how, key, text);
        } else if !self.attribute.is_empty() && attrs.contains(&self.attribute) {
            attrs.copy(how, &self.attribute, key);
        } else if let Some(value) = &self.value {
            attrs.put(how, key, AnyValue::parse(value));
        }
    }
}

impl Keys {
    fn delete(&self, attrs: &mut AttrsMut<'_>) {
        if !self.key.is_empty() {
            attrs.remove(&self.key);
        }
        if let Some(pattern) = &self.pattern {
            attrs.retain(|key, _| !pattern.is_match(key));
        }
    }

    fn hash(&self, attrs: &mut AttrsMut<'_>) {
        if !self.key.is_empty() {
            attrs.map(&self.key, hashed);
        }
        if let Some(pattern) = &self.pattern {
            attrs.map_all(|key, value| pattern.is_match(key).then(|| hashed(value)));
        }
    }
}

/// Lower-case hex of a digest, or nothing; on the stack, since it is made for every element.
struct Hex([u8; 64], usize);

impl IntoAny for Hex {
    fn as_any(&self) -> AnyValue<'_> {
        // Hex digits are UTF-8.
        AnyValue::Str(std::str::from_utf8(&self.0[..self.1]).unwrap_or_default())
    }
}

/// SHA-256 of the value's bytes; nothing for list and map values.
fn hashed(value: AnyValue<'_>) -> Hex {
    let digest = match value {
        AnyValue::Str(text) => Sha256::digest(text),
        AnyValue::Bool(value) => Sha256::digest([u8::from(value)]),
        AnyValue::Int(value) => Sha256::digest(value.to_le_bytes()),
        AnyValue::Double(value) => Sha256::digest(value.to_bits().to_le_bytes()),
        _ => return Hex([0; 64], 0),
    };
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    Hex(text, 64)
}

fn extract(key: &str, pattern: &Regex, groups: &[String], attrs: &mut AttrsMut<'_>) {
    let found: Option<Vec<String>> = match attrs.get(key) {
        Some(AnyValue::Str(text)) => pattern.captures(text).map(|captures| {
            // A group that took no part in the match counts as empty, as in Go.
            let group = |at| captures.get(at).map_or("", |it| it.as_str()).to_owned();
            (1..captures.len()).map(group).collect()
        }),
        _ => None,
    };
    for (name, text) in groups.iter().zip(found.into_iter().flatten()) {
        attrs.upsert(name, text.as_str());
    }
}

fn convert(key: &str, to: Target, attrs: &mut AttrsMut<'_>) {
    match to {
        Target::Text => {
            let text = match attrs.get(key) {
                None | Some(AnyValue::Str(_)) => return,
                Some(value) => value.text().into_owned(),
            };
            attrs.update(key, text.as_str());
        }
        Target::Int => {
            let Some(value) = attrs.get(key).and_then(to_int) else { return };
            attrs.update(key, value);
        }
        Target::Double => {
            let Some(value) = attrs.get(key).and_then(to_double) else { return };
            attrs.update(key, value);
        }
    }
}

fn to_int(value: AnyValue<'_>) -> Option<i64> {
    match value {
        AnyValue::Double(value) => Some(value as i64),
        AnyValue::Bool(value) => Some(i64::from(value)),
        AnyValue::Str(text) => text.parse().ok(),
        _ => None,
    }
}

fn to_double(value: AnyValue<'_>) -> Option<f64> {
    match value {
        AnyValue::Int(value) => Some(value as f64),
        AnyValue::Bool(value) => Some(f64::from(u8::from(value))),
        AnyValue::Str(text) => {
            let value: f64 = text.parse().ok()?;
            // Too large for a double: Go leaves such a text alone.
            let overflown = value.is_infinite() && text.contains(|c: char| c.is_ascii_digit());
            (!overflown).then_some(value)
        }
        _ => None,
    }
}
