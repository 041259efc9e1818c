// SPDX-License-Identifier: Apache-2.0
//! The text formats, line by line.
//!
//! OpenMetrics differs in that times are seconds, samples may have exemplars, and the page says
//! where it ends: without its `# EOF` the rest is missing. White space is taken as it comes in
//! both.

use std::borrow::Cow;

use basics::{Error, Result};

use super::names::{in_braces, quoted_text, series_end, unescape};
use super::{Entry, Exemplar, Kind, Sample, Value};

/// Reads all lines of a page.
pub fn read(
    text: &str,
    openmetrics: bool,
    each: &mut dyn FnMut(Entry<'_>) -> Result<()>,
) -> Result<()> {
    let mut ended = false;
    for (at, line) in text.split('\n').enumerate() {
        let wrong = |what: &str| {
            Error::invalid(format!("the page is not in its format: line {}: {what}", at + 1))
        };
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() {
            continue;
        }
        if ended {
            return Err(wrong("something follows # EOF"));
        }
        match line.strip_prefix('#') {
            Some(comment) if openmetrics && comment.trim_start() == "EOF" => ended = true,
            Some(comment) => {
                if let Some(entry) = metadata(comment) {
                    each(entry)?;
                }
            }
            None => each(Entry::Sample(sample(line, openmetrics).map_err(wrong)?))?,
        }
    }
    if openmetrics && !ended && !text.is_empty() {
        return Err(Error::invalid("the page is cut off: it does not end with # EOF"));
    }
    Ok(())
}

/// Comments that are no metadata are nothing.
fn metadata(comment: &str) -> Option<Entry<'_>> {
    let (keyword, rest) = word(comment)?;
    if !matches!(keyword, "HELP" | "TYPE" | "UNIT") {
        return None;
    }
    let rest = rest.trim_start_matches([' ', '\t']);
    let (name, rest) = match rest.strip_prefix('"') {
        Some(rest) => quoted_text(rest).ok()?,
        None => word(rest).map(|(name, rest)| (Cow::Borrowed(name), rest))?,
    };
    match keyword {
        "HELP" => Some(Entry::Help(name, unescape(rest.trim_start_matches([' ', '\t'])))),
        "UNIT" => Some(Entry::Unit(name, word(rest).map_or("", |(unit, _)| unit))),
        _ => Some(Entry::Type(name, Kind::from_name(word(rest)?.0))),
    }
}

/// The next word and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t']);
    let end = text.find([' ', '\t']).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn sample(line: &str, openmetrics: bool) -> Result<Sample<'_>, &'static str> {
    let (series, rest) = line.split_at(series_end(line)?);
    let (numbers, exemplar) = match rest.split_once(" # ") {
        Some((numbers, exemplar)) => (numbers, Some(exemplar)),
        None => (rest, None),
    };
    let (value, time_ms) = value_and_time(numbers, openmetrics)?;
    let exemplars = match exemplar {
        Some(text) => vec![exemplar_of(text)?],
        None => Vec::new(),
    };
    Ok(Sample { series, value: Value::Float(value), time_ms, created_ms: None, exemplars })
}

fn value_and_time(text: &str, seconds: bool) -> Result<(f64, Option<i64>), &'static str> {
    let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
    let value = words.next().ok_or("a value was expected")?;
    let value = value.parse().map_err(|_| "the value is not a number")?;
    let time = match words.next() {
        Some(word) if seconds => {
            let seconds: f64 = word.parse().map_err(|_| "the timestamp is not a number")?;
            if !seconds.is_finite() {
                return Err("the timestamp is not a number");
            }
            Some((seconds * 1000.0) as i64)
        }
        Some(word) => Some(word.parse().map_err(|_| "the timestamp is not a number")?),
        None => None,
    };
    match words.next() {
        Some(_) => Err("something follows the timestamp"),
        None => Ok((value, time)),
    }
}

fn exemplar_of(text: &str) -> Result<Exemplar, &'static str> {
    let inside = text.trim_start_matches([' ', '\t']).strip_prefix('{');
    let mut labels = Vec::new();
    let rest = in_braces(inside.ok_or("an exemplar has no labels")?, &mut labels)?;
    let (value, time_ms) = value_and_time(rest, true)?;
    let owned = |(key, value): (Cow<'_, str>, Cow<'_, str>)| (key.into_owned(), value.into_owned());
    Ok(Exemplar { labels: labels.into_iter().map(owned).collect(), value, time_ms })
}
