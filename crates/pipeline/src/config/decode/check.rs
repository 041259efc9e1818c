// SPDX-License-Identifier: Apache-2.0
//! What a `Config` checks beyond its types, reported at the right place of the file.

use super::super::diagnostics::{Diagnostics, Topic};
use super::super::node::{Node, Span};
use super::Wrong;

/// What a component's settings do beyond being decoded. Implement it for each `Config`, which
/// also derives `serde::Deserialize` with `#[serde(default)]` on the struct.
///
/// Do not use `#[serde(flatten)]`, which loses places: a field renamed to `..name` takes its keys
/// from the same mapping, as in `#[serde(rename = "..client")] client: HttpClient`. Do not use
/// `deny_unknown_fields`: unknown keys are always told.
pub trait ComponentConfig: serde::de::DeserializeOwned + Default + Send + Sync + 'static {
    /// Checks what the types cannot say; every mistake goes to `at`, none stops the others.
    fn validate(&self, at: &mut Checker<'_>) {
        let _ = at;
    }
}

/// Where `validate` reports to; knows the place in the file.
pub struct Checker<'a> {
    /// The value being checked; `None` if the file does not have it (its default is checked).
    node: Option<&'a Node>,
    /// Where a mistake is shown that has no better place.
    span: Span,
    path: String,
    /// Values already told to be wrong: their replacements are nobody's mistake.
    wrong: &'a Wrong,
    diagnostics: &'a mut Diagnostics,
}

impl<'a> Checker<'a> {
    pub(super) fn new(node: &'a Node, wrong: &'a Wrong, diagnostics: &'a mut Diagnostics) -> Self {
        Checker { node: Some(node), span: node.span, path: String::new(), wrong, diagnostics }
    }

    /// The settings under `key`.
    pub fn key(&mut self, key: &str) -> Checker<'_> {
        let node = self.node.and_then(|node| node.get(key));
        let separator = if self.path.is_empty() { "" } else { "::" };
        let path = format!("{}{separator}{key}", self.path);
        self.below(node, path)
    }

    /// The `index`-th item of a list.
    pub fn item(&mut self, index: usize) -> Checker<'_> {
        let node = self.node.and_then(|node| node.items().get(index));
        let path = format!("{}[{index}]", self.path);
        self.below(node, path)
    }

    fn below(&mut self, node: Option<&'a Node>, path: String) -> Checker<'_> {
        Checker {
            node,
            span: node.map_or(self.span, |node| node.span),
            path,
            wrong: self.wrong,
            diagnostics: self.diagnostics,
        }
    }

    /// A mistake in the value of `key` (empty: in this value itself).
    pub fn error(&mut self, key: &str, message: impl std::fmt::Display) {
        if let Some((span, message)) = self.place(key, &message) {
            self.diagnostics.error(span, message);
        }
    }

    /// Something that works but is probably not meant.
    pub fn warn(&mut self, key: &str, message: impl std::fmt::Display) {
        if let Some((span, message)) = self.place(key, &message) {
            self.diagnostics.warning(span, message);
        }
    }

    /// `key` (empty: this value itself), if it is written, has no effect, because `why`. For a key that never has one a field
    /// of type [`NoEffect`](crate::config::NoEffect) says it by itself.
    pub fn no_effect(&mut self, key: &str, why: impl std::fmt::Display) {
        if (key.is_empty() || self.has(key))
            && let Some((span, message)) = self.place(key, &format!("has no effect here: {why}"))
        {
            self.diagnostics.warning(span, message).about(Topic::NoEffect);
        }
    }

    /// `old`, if it is written, still works, and `new` is how it is spelt today.
    pub fn renamed(&mut self, old: &str, new: &str) {
        let text = format!("\"{old}\" is deprecated; use \"{new}\" instead");
        if self.has(old)
            && let Some((span, message)) = self.place(old, &text)
        {
            self.diagnostics.warning(span, message).about(Topic::Renamed);
        }
    }

    /// True if `key` is written, even with nothing under it.
    pub fn has(&self, key: &str) -> bool {
        self.node.is_some_and(|node| node.get(key).is_some())
    }

    /// Reports `error` at `key` if `result` is one, else gives its value.
    pub fn check<T, E: std::fmt::Display>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.error(key, error)).ok()
    }

    /// The value of `key` names the extension `id` as an authenticator; whether there is one is
    /// looked up when all extensions are known.
    pub fn authenticator(&mut self, key: &str, id: &str) {
        let value = self.node.and_then(|node| node.get(key));
        let span = value.map_or(self.span, |value| value.span);
        self.diagnostics.name_authenticator(span, &self.path, id);
    }

    fn place(&self, key: &str, message: &dyn std::fmt::Display) -> Option<(Span, String)> {
        // Wrong already: its replacement, or what its expansion left, is nobody's second mistake.
        let is_wrong = |node: Option<&Node>| {
            node.is_some_and(|node| {
                let failed_to_expand = node.is_null() && self.diagnostics.has_error_at(node.span);
                self.wrong.values.contains(&node.id()) || failed_to_expand
            })
        };
        let value = self.node.and_then(|node| if key.is_empty() { None } else { node.get(key) });
        let may_be_misspelt = value.is_none()
            && !key.is_empty()
            && self.node.is_some_and(|node| self.wrong.with_unknown_keys.contains(&node.id()));
        if is_wrong(value) || is_wrong(self.node) || may_be_misspelt {
            return None;
        }
        let separator = if self.path.is_empty() || key.is_empty() { "" } else { "::" };
        let path = format!("{}{separator}{key}", self.path);
        let span = value.map_or(self.span, |value| value.span);
        Some((span, self.diagnostics.prefixed(&path, &message.to_string())))
    }
}
