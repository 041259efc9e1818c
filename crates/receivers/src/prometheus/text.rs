// SPDX-License-Identifier: Apache-2.0
//! Prometheus' text format, line by line.
//!
//! In: the text of a page. Out: its metadata and samples, borrowed, in order. The first line that
//! is wrong ends it with the line's number and what is wrong: half a page is no page. Never
//! panics. Also reads what OpenMetrics adds to lines we need (exemplars are skipped).
//! Source: Prometheus "Exposition formats" (text 0.0.4), OpenMetrics 1.0.

use std::borrow::Cow;

/// One line that says something.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// `# HELP name text`
    Help(&'a str, Cow<'a, str>),
    /// `# TYPE name kind`
    Type(&'a str, Kind),
    /// `# UNIT name unit`
    Unit(&'a str, &'a str),
    /// `name{labels} value timestamp`
    Sample(Sample<'a>),
}

/// Types of metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// `_bucket`, `_sum`, `_count`.
    Histogram,
    /// Quantiles, `_sum`, `_count`.
    Summary,
    /// Labels that tell about something; always 1.
    Info,
    /// One of several states.
    StateSet,
    /// Nothing is said.
    #[default]
    Unknown,
}

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Metric name with suffixes.
    pub name: &'a str,
    /// Labels as written.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// Value.
    pub value: f64,
    /// As written: milliseconds, in OpenMetrics seconds.
    pub timestamp: Option<f64>,
}

/// What is wrong with a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// From 1.
    pub line: usize,
    /// What.
    pub what: &'static str,
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The lines of `text` that say something.
pub fn lines(text: &str) -> impl Iterator<Item = Result<Line<'_>, Wrong>> {
    text.split('\n').enumerate().filter_map(|(at, line)| {
        read(line.trim_end_matches('\r')).map_err(|what| Wrong { line: at + 1, what }).transpose()
    })
}

fn read(line: &str) -> Result<Option<Line<'_>>, &'static str> {
    let line = line.trim_start_matches([' ', '\t']);
    if line.trim_end().is_empty() {
        return Ok(None);
    }
    match line.strip_prefix('#') {
        Some(comment) => Ok(metadata(comment)),
        None => sample(line).map(|sample| Some(Line::Sample(sample))),
    }
}

/// Comments that are no metadata are nothing.
fn metadata(comment: &str) -> Option<Line<'_>> {
    let (keyword, rest) = word(comment)?;
    let (name, rest) = word(rest)?;
    match keyword {
        "HELP" => Some(Line::Help(name, unescape(rest.trim_start_matches([' ', '\t'])))),
        "UNIT" => Some(Line::Unit(name, word(rest).map_or("", |(unit, _)| unit))),
        "TYPE" => {
            let kind = match word(rest)?.0 {
                "counter" => Kind::Counter,
                "gauge" => Kind::Gauge,
                "histogram" => Kind::Histogram,
                "summary" => Kind::Summary,
                "info" => Kind::Info,
                "stateset" => Kind::StateSet,
                _ => Kind::Unknown,
            };
            Some(Line::Type(name, kind))
        }
        _ => None,
    }
}

/// The next word and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn sample(line: &str) -> Result<Sample<'_>, &'static str> {
    let (name, rest) = name(line, true);
    if name.is_empty() {
        return Err("a metric name was expected");
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    // An exemplar of OpenMetrics follows after " # ".
    let rest = rest.split(" # ").next().unwrap_or("");
    let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
    let value = words.next().ok_or("a value was expected")?;
    let value = value.parse().map_err(|_| "the value is not a number")?;
    let timestamp = match words.next() {
        Some(word) => Some(word.parse().map_err(|_| "the timestamp is not a number")?),
        None => None,
    };
    if words.next().is_some() {
        return Err("something follows the timestamp");
    }
    Ok(Sample { name, labels, value, timestamp })
}

/// A name at the start of `text`; colons are for metrics only.
fn name(text: &str, colons: bool) -> (&str, &str) {
    let valid = |at: usize, byte: u8| {
        byte.is_ascii_alphabetic()
            || byte == b'_'
            || (byte == b':' && colons)
            || (byte.is_ascii_digit() && at > 0)
    };
    let end = text.bytes().enumerate().position(|(at, byte)| !valid(at, byte));
    text.split_at(end.unwrap_or(text.len()))
}

type Labels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// Labels up to and without the closing brace, and what follows it.
fn labels(mut rest: &str) -> Result<(Labels<'_>, &str), &'static str> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if let Some(rest) = rest.strip_prefix('}') {
            return Ok((labels, rest));
        }
        let (key, after) = name(rest, false);
        if key.is_empty() {
            return Err("a label name was expected");
        }
        let after = after.trim_start_matches([' ', '\t']);
        let after = after.strip_prefix('=').ok_or("an equals sign was expected")?;
        let after = after.trim_start_matches([' ', '\t']);
        let after = after.strip_prefix('"').ok_or("a quoted label value was expected")?;
        let end = closing_quote(after).ok_or("a label value is not closed")?;
        labels.push((key, unescape(&after[..end])));
        rest = after[end + 1..].trim_start_matches([' ', '\t']);
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("a comma or a closing brace was expected"),
        }
    }
}

/// Where a quoted text ends; a backslash takes the meaning from the byte after it.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some(c @ ('\\' | '"')) => out.push(c),
                Some(c) => out.extend(['\\', c]),
                None => out.push('\\'),
            },
            (c, false) => out.push(c),
        }
    }
    Cow::Owned(out)
}
