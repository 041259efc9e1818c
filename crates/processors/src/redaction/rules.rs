// SPDX-License-Identifier: Apache-2.0
//! What becomes of one attribute, and of one list of them.
//!
//! In this order, the first that holds: an ignored key stays, a key that is not allowed goes, an
//! allowed value stays, a blocked key has its value masked, blocked parts of a value are masked.

use std::borrow::Cow;

use hashbrown::HashSet;
use otlp_wire::{AnyValue, AttrsMut};
use regex::{Regex, RegexSet};

use super::mask::Mask;

/// How much is told about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Summary {
    Silent,
    Info,
    Debug,
}

/// Keys by name.
#[derive(Clone, Debug)]
pub(super) struct Keys(HashSet<String, foldhash::fast::RandomState>);

impl Keys {
    pub fn new(keys: &[String]) -> Self {
        Keys(keys.iter().cloned().collect())
    }

    fn has(&self, key: &str) -> bool {
        !self.0.is_empty() && self.0.contains(key)
    }
}

/// The settings, ready to be applied.
#[derive(Debug)]
pub(super) struct Rules {
    /// `None` = every key is allowed.
    pub allowed_keys: Option<Keys>,
    pub ignored_keys: Keys,
    pub ignored_patterns: RegexSet,
    pub blocked_keys: RegexSet,
    pub allowed_values: RegexSet,
    /// All of `blocked_values`, asked in one go.
    pub blocked_any: RegexSet,
    pub blocked_values: Vec<Regex>,
    pub all_types: bool,
    pub mask: Mask,
    pub summary: Summary,
}

/// Names of the attributes that tell: keys (unless empty) and their number.
type Names = (&'static str, &'static str);

/// What is told about attributes: removed, masked, allowed, ignored.
const OF_ATTRIBUTES: [Names; 4] = [
    ("redaction.redacted.keys", "redaction.redacted.count"),
    ("redaction.masked.keys", "redaction.masked.count"),
    ("redaction.allowed.keys", "redaction.allowed.count"),
    ("", "redaction.ignored.count"),
];

/// What is told about the body of a log record.
const OF_BODY: [Names; 4] = [
    ("redaction.body.redacted.keys", "redaction.body.redacted.count"),
    ("redaction.body.masked.keys", "redaction.body.masked.count"),
    ("redaction.body.allowed.keys", "redaction.body.allowed.count"),
    ("", "redaction.body.ignored.count"),
];

/// What was done to one element; reused, so that telling nothing costs nothing.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub removed: Noted,
    pub masked: Noted,
    pub allowed: Noted,
    pub ignored: Noted,
}

/// A number of keys, and which, where that is told.
#[derive(Debug, Default)]
pub(super) struct Noted {
    count: i64,
    keys: Vec<String>,
}

impl Noted {
    pub fn add(&mut self, key: &str, summary: Summary) {
        self.count += 1;
        if summary == Summary::Debug {
            self.keys.push(key.to_owned());
        }
    }
}

impl Done {
    /// Writes what was done into attributes, adding to what an earlier processor told.
    fn tell(&mut self, names: &[Names; 4], summary: Summary, attrs: &mut AttrsMut<'_>) {
        let Done { removed, masked, allowed, ignored } = self;
        for (noted, (keys, count)) in [removed, masked, allowed, ignored].into_iter().zip(names) {
            if noted.count > 0 && summary == Summary::Debug && !keys.is_empty() {
                let before = attrs.get(keys).and_then(|value| value.as_str());
                let before = before.filter(|text| !text.is_empty());
                noted
                    .keys
                    .extend(before.into_iter().flat_map(|it| it.split(',')).map(str::to_owned));
                noted.keys.sort_unstable();
                attrs.upsert(keys, noted.keys.join(","));
            }
            if noted.count > 0 && summary != Summary::Silent {
                let before = attrs.get(count).and_then(|value| value.as_int()).unwrap_or(0);
                attrs.upsert(count, before.saturating_add(noted.count));
            }
            noted.count = 0;
            noted.keys.clear();
        }
    }

    /// The same for the body of a log record.
    pub fn tell_of_body(&mut self, summary: Summary, attrs: &mut AttrsMut<'_>) {
        self.tell(&OF_BODY, summary, attrs);
    }
}

/// True for what this processor itself writes, which is always allowed.
fn is_own(key: &str) -> bool {
    key.starts_with("redaction.")
        && OF_ATTRIBUTES.iter().chain(&OF_BODY).any(|(keys, count)| key == *keys || key == *count)
}

impl Rules {
    pub fn ignores(&self, key: &str) -> bool {
        self.ignored_keys.has(key) || self.ignored_patterns.is_match(key)
    }

    /// A key that has to go.
    pub fn removes(&self, key: &str) -> bool {
        self.allowed_keys.as_ref().is_some_and(|allowed| !allowed.has(key) && !is_own(key))
    }

    pub fn blocks_key(&self, key: &str) -> bool {
        self.blocked_keys.is_match(key)
    }

    pub fn allows_value(&self, text: &str) -> bool {
        self.allowed_values.is_match(text)
    }

    /// `text` with its blocked parts masked; `None` when there are none.
    pub fn masked(&self, text: &str) -> Option<String> {
        if !self.blocked_any.is_match(text) {
            return None;
        }
        let mut masked = Cow::Borrowed(text);
        for pattern in &self.blocked_values {
            if pattern.is_match(&masked) {
                masked = Cow::Owned(self.mask.within(&masked, pattern));
            }
        }
        (masked != text).then(|| masked.into_owned())
    }

    /// Removes and masks what has to be in one list of attributes.
    pub fn apply(&self, attrs: &mut AttrsMut<'_>, done: &mut Done) {
        attrs.map_all(|key, value| self.value(key, value, done));
        if done.removed.count > 0 {
            attrs.retain(|key, _| !self.removes(key) || self.ignores(key));
        }
        done.tell(&OF_ATTRIBUTES, self.summary, attrs);
    }

    /// The new value of one attribute, if it gets one.
    fn value(&self, key: &str, value: AnyValue<'_>, done: &mut Done) -> Option<String> {
        if self.ignores(key) {
            done.ignored.add(key, self.summary);
            return None;
        }
        if self.removes(key) {
            done.removed.add(key, self.summary);
            return None;
        }
        let text = match value {
            AnyValue::Str(text) => Cow::Borrowed(text),
            value if self.all_types => value.text(),
            _ => Cow::Borrowed(""),
        };
        if self.allows_value(&text) {
            done.allowed.add(key, self.summary);
            return None;
        }
        let masked =
            if self.blocks_key(key) { Some(self.mask.whole(&text)) } else { self.masked(&text) };
        if masked.is_some() {
            done.masked.add(key, self.summary);
        }
        masked
    }
}
