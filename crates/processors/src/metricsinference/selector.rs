// SPDX-License-Identifier: Apache-2.0
//! Which points are a rule's input: `name` or `name{label="v", other!~"x|y"}`.
//!
//! Operators are `=`, `!=`, `=~`, `!~`; regular expressions are anchored. Quotes may be left out.
//! Values compare as text; an absent attribute compares as the empty text. A label that begins
//! with `resource.` is looked up in the resource.

use basics::labels::{MatchOp, Matcher};
use basics::{Error, Result};
use otlp_wire::Attrs;

/// Prefix of labels that are looked up in the resource.
const RESOURCE: &str = "resource.";

/// One input of a rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    /// The OTLP metric name.
    pub metric: String,
    matchers: Vec<Matcher>,
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// `Invalid`, with the text and what is wrong in it.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |what: &str| Error::invalid(format!("input {text:?}: {what}"));
        let (metric, body) = match text.split_once('{') {
            None => (text, ""),
            Some((metric, rest)) => {
                let body = rest.trim_end().strip_suffix('}');
                (metric, body.ok_or_else(|| wrong("the closing brace is missing"))?)
            }
        };
        let metric = metric.trim().to_owned();
        if metric.is_empty() {
            return Err(wrong("the metric name is missing"));
        }
        let mut matchers = Vec::new();
        let mut rest = body.trim();
        while !rest.is_empty() {
            let (matcher, after) =
                parse_matcher(rest).map_err(|e| e.within(format!("input {text:?}")))?;
            matchers.push(matcher);
            rest = match after.trim_start().strip_prefix(',') {
                Some(after) => after.trim_start(),
                None if after.trim().is_empty() => "",
                None => return Err(wrong("labels must be separated by commas")),
            };
        }
        Ok(Selector { metric, matchers })
    }

    /// Attributes of the point that can have one value only.
    pub fn fixed(&self) -> impl Iterator<Item = &str> {
        let fixed = |m: &&Matcher| m.op == MatchOp::Equal && !m.name.starts_with(RESOURCE);
        self.matchers.iter().filter(fixed).map(|matcher| matcher.name.as_ref())
    }

    /// True when a point with these attributes, of a resource with those, is meant.
    pub fn matches(&self, attrs: Attrs<'_>, resource: Attrs<'_>) -> bool {
        self.matchers.iter().all(|matcher| {
            let value = match matcher.name.strip_prefix(RESOURCE) {
                Some(name) => resource.get(name),
                None => attrs.get(&matcher.name),
            };
            match value {
                Some(value) => matcher.matches(&value.text()),
                None => matcher.matches(""),
            }
        })
    }
}

/// Reads `name op value` off the front; gives what follows.
fn parse_matcher(text: &str) -> Result<(Matcher, &str)> {
    let at = text
        .find(['=', '!'])
        .ok_or_else(|| Error::invalid(format!("{text:?} has no operator (=, !=, =~, !~)")))?;
    let (name, rest) = text.split_at(at);
    let operators = [
        ("=~", MatchOp::Regex),
        ("!~", MatchOp::NotRegex),
        ("!=", MatchOp::NotEqual),
        ("=", MatchOp::Equal),
    ];
    let found = operators.iter().find_map(|(op, kind)| Some((*kind, rest.strip_prefix(op)?)));
    let (op, rest) =
        found.ok_or_else(|| Error::invalid(format!("{rest:?} does not begin with an operator")))?;
    let name = name.trim();
    if name.is_empty() {
        return Err(Error::invalid("a label name is missing"));
    }
    let rest = rest.trim_start();
    let (value, rest) = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => parse_quoted(&rest[1..], quote)?,
        _ => {
            let end = rest.find(',').unwrap_or(rest.len());
            (rest[..end].trim().to_owned(), &rest[end..])
        }
    };
    Ok((Matcher::new(op, name, &value)?, rest))
}

/// Reads up to the closing `quote`; a backslash keeps the quote and itself from ending the text.
fn parse_quoted(text: &str, quote: char) -> Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, next)) if next == quote || next == '\\' => value.push(next),
                Some((_, next)) => value.extend(['\\', next]),
                None => break,
            },
            _ if c == quote => return Ok((value, &text[at + c.len_utf8()..])),
            _ => value.push(c),
        }
    }
    Err(Error::invalid("a quote is not closed"))
}
