// SPDX-License-Identifier: Apache-2.0
//! promqltest's notation of series: `name{label="value"} 1 2+3x4 _ stale {{schema:0 count:1}}`.

use basics::labels::Labels;

use crate::ast::ExprKind;
use crate::histogram::{FloatHistogram, ResetHint};
use crate::parse::{parse, parse_duration, parse_number};

/// One point of a series line.
#[derive(Clone, Debug)]
pub enum Item {
    /// `_`
    Blank,
    /// `stale`
    Stale,
    /// A number; for start times, an offset in seconds.
    Float(f64),
    /// A native histogram.
    Histogram {
        /// The histogram.
        histogram: FloatHistogram,
        /// True when the notation named a reset hint.
        hint_given: bool,
    },
}

/// A series with its points.
#[derive(Clone, Debug)]
pub struct SeriesLine {
    /// Labels, the metric name among them.
    pub labels: Labels,
    /// One item per step.
    pub items: Vec<Item>,
    /// True for `name{...}@st`: the items are start times relative to each sample.
    pub start_times: bool,
}

/// Milliseconds of `5m`, `1h30m`, `-5m` or a number of seconds.
pub fn parse_time(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let seconds = parse_duration(text).or_else(|| parse_number(text))?;
    let ms = (seconds * 1000.0).round() as i64;
    Some(if negative { -ms } else { ms })
}

/// Parses one series line.
///
/// # Errors
/// A message with the line.
pub fn parse_line(line: &str) -> Result<SeriesLine, String> {
    let bad = |what: &str| format!("{what} in series {line:?}");
    let split = end_of_labels(line);
    let (series, rest) = line.split_at(split);
    let labels = parse_labels(series.trim()).ok_or_else(|| bad("bad labels"))?;
    let (start_times, rest) = match rest.strip_prefix("@st") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let items = parse_items(rest, start_times).ok_or_else(|| bad("bad points"))?;
    Ok(SeriesLine { labels, items, start_times })
}

/// Where the labels end and the points begin.
fn end_of_labels(line: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    let mut braced = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted => braced = true,
            '}' if !quoted => return at + 1,
            '@' if !quoted && !braced => return at,
            c if c.is_whitespace() && !braced => {
                // A space may stand between name and braces.
                let rest = line[at..].trim_start();
                let braces_follow = rest.starts_with('{') && !rest.starts_with("{{");
                if at > 0 && !braces_follow {
                    return at;
                }
            }
            _ => {}
        }
    }
    line.len()
}

fn parse_labels(text: &str) -> Option<Labels> {
    let inner = text.split_once('{').map_or("", |(_, inner)| inner.trim_end_matches('}').trim());
    if text.starts_with('{') && inner.is_empty() {
        return Some(Labels::default());
    }
    // A series without a name is no selector; give it one and take it away again.
    let selectable = match text.starts_with('{') {
        true => format!("{{__placeholder__=\"1\",{}", &text[1..]),
        false => text.to_owned(),
    };
    let ExprKind::Vector(selector) = parse(&selectable).ok()?.kind else { return None };
    let pairs = selector.matchers.iter().map(|m| (m.name.clone(), m.value.clone()));
    Some(Labels::new(pairs).without(|l| l == "__placeholder__"))
}

fn parse_items(text: &str, times: bool) -> Option<Vec<Item>> {
    let mut reader = Reader { rest: text, times };
    let mut out = vec![];
    loop {
        reader.rest = reader.rest.trim_start();
        if reader.rest.is_empty() {
            return Some(out);
        }
        reader.item(&mut out)?;
        if !reader.rest.is_empty() && !reader.rest.starts_with(char::is_whitespace) {
            return None;
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
    times: bool,
}

/// Most points one item may stand for.
const REPEAT_MAX: usize = 1_000_000;

impl Reader<'_> {
    fn take(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn repeat(&mut self) -> Option<Option<usize>> {
        if !self.take("x") {
            return Some(None);
        }
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: usize = self.rest[..digits].parse().ok()?;
        self.rest = &self.rest[digits..];
        (count <= REPEAT_MAX).then_some(Some(count))
    }

    fn item(&mut self, out: &mut Vec<Item>) -> Option<()> {
        if self.take("_") {
            let count = self.repeat()?.unwrap_or(1);
            out.extend(std::iter::repeat_n(Item::Blank, count));
            return Some(());
        }
        if self.take("stale") {
            let count = self.repeat()?.unwrap_or(1);
            out.extend(std::iter::repeat_n(Item::Stale, count));
            return Some(());
        }
        if self.rest.starts_with("{{") {
            return self.histograms(out);
        }
        let mut value = self.number()?;
        let step = match self.rest.starts_with(['+', '-']) {
            true => self.number()?,
            false => 0.0,
        };
        let count = self.repeat()?.map_or(1, |n| n + 1);
        for _ in 0..count {
            out.push(Item::Float(value));
            value += step;
        }
        Some(())
    }

    fn number(&mut self) -> Option<f64> {
        let bytes = self.rest.as_bytes();
        let mut end = usize::from(matches!(bytes.first()?, b'+' | b'-'));
        let word = bytes[end..].iter().take_while(|c| c.is_ascii_alphabetic()).count();
        if word > 0 {
            end += word;
        } else {
            while let Some(c) = bytes.get(end) {
                let sign = matches!(c, b'+' | b'-') && matches!(bytes[end - 1], b'e' | b'E');
                let unit = self.times && matches!(c, b'm' | b's' | b'h');
                if !(c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'E') || sign || unit) {
                    break;
                }
                end += 1;
            }
        }
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        if self.times {
            let unsigned = text.trim_start_matches('+');
            return parse_time(unsigned).map(|ms| ms as f64 / 1000.0);
        }
        parse_number(text)
    }

    fn histogram(&mut self) -> Option<(FloatHistogram, bool)> {
        let end = self.rest.find("}}")? + 2;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        parse_histogram(text)
    }

    fn histograms(&mut self, out: &mut Vec<Item>) -> Option<()> {
        let (mut histogram, hint_given) = self.histogram()?;
        let sign = match self.rest.as_bytes().first() {
            Some(b'+') => 1.0,
            Some(b'-') => -1.0,
            _ => 0.0,
        };
        let step = match sign == 0.0 {
            true => None,
            false => {
                self.rest = &self.rest[1..];
                Some(self.histogram()?.0)
            }
        };
        let count = self.repeat()?.map_or(1, |n| n + 1);
        for _ in 0..count {
            out.push(Item::Histogram { histogram: histogram.clone(), hint_given });
            if let Some(step) = &step {
                let next = if sign > 0.0 { histogram.add(step) } else { histogram.sub(step) };
                let hint = histogram.hint;
                histogram = next.ok()?.0;
                histogram.hint = hint;
            }
        }
        Some(())
    }
}

/// Parses `{{schema:0 count:3 sum:5 buckets:[1 2]}}`; tells whether a reset hint was given.
pub fn parse_histogram(text: &str) -> Option<(FloatHistogram, bool)> {
    let mut rest = text.strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let mut out = FloatHistogram::default();
    let (mut positive, mut negative) = (vec![], vec![]);
    let (mut offset, mut n_offset) = (0, 0);
    let mut hint_given = false;
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':')?;
        let after = after.trim_start();
        let end = match after.starts_with('[') {
            true => after.find(']')? + 1,
            false => after.find(char::is_whitespace).unwrap_or(after.len()),
        };
        let (value, after) = after.split_at(end);
        rest = after.trim_start();
        match key.trim() {
            "schema" => out.schema = value.parse().ok()?,
            "sum" => out.sum = parse_number(value)?,
            "count" => out.count = parse_number(value)?,
            "z_bucket" => out.zero_count = parse_number(value)?,
            "z_bucket_w" => out.zero_threshold = parse_number(value)?,
            "custom_values" => out.bounds = numbers(value)?.into(),
            "buckets" => positive = numbers(value)?,
            "n_buckets" => negative = numbers(value)?,
            "offset" => offset = value.parse().ok()?,
            "n_offset" => n_offset = value.parse().ok()?,
            "counter_reset_hint" => {
                hint_given = true;
                out.hint = match value {
                    "unknown" => ResetHint::Unknown,
                    "reset" => ResetHint::Reset,
                    "not_reset" => ResetHint::NotReset,
                    "gauge" => ResetHint::Gauge,
                    _ => return None,
                };
            }
            _ => return None,
        }
    }
    let indexed = |counts: Vec<f64>, offset: i32| {
        counts.into_iter().enumerate().map(|(i, c)| (offset + i as i32, c)).collect()
    };
    out.positive = indexed(positive, offset);
    out.negative = indexed(negative, n_offset);
    Some((out, hint_given))
}

fn numbers(text: &str) -> Option<Vec<f64>> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    inner.split_whitespace().map(parse_number).collect()
}
