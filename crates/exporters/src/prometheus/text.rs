// SPDX-License-Identifier: Apache-2.0
//! Lines of the two text formats: Prometheus 0.0.4 and OpenMetrics 1.0.
//!
//! Names beyond the old characters are quoted inside the braces for those who take UTF-8
//! (`{"http.requests",a="b"}`), else every other character is `_`. Bounds are written alike in both
//! formats (`10`, not `10.0`), so that a series keeps its identity whatever a scraper asks for.
//! Source: Prometheus "Exposition formats", OpenMetrics 1.0, client_golang's encoder.

use std::fmt::Write;

use otlp_series::{MetricKind, NativeHistogram, number_label};

use super::table::Rank;

/// How a page is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Form {
    /// OpenMetrics 1.0 instead of Prometheus 0.0.4.
    pub open_metrics: bool,
    /// Names may have any character.
    pub utf8: bool,
}

/// A family's name as it stands on a page.
pub(super) struct Name {
    /// Of samples, without `_bucket` and the like.
    name: String,
    /// Of `HELP` and `TYPE`.
    family: String,
    kind: MetricKind,
    form: Form,
    quoted: bool,
}

impl Name {
    pub fn new(name: &str, kind: MetricKind, form: Form) -> Self {
        let is_plain = is_plain(name, true);
        let quoted = form.utf8 && !is_plain;
        let mut name = if quoted || is_plain { name.to_owned() } else { escaped(name, true) };
        let mut family = name.clone();
        if form.open_metrics && kind == MetricKind::Counter {
            // OpenMetrics has the suffix on samples only, and always.
            match name.strip_suffix("_total") {
                Some(without) => family = without.to_owned(),
                None => name.push_str("_total"),
            }
        }
        Name { name, family, kind, form, quoted }
    }

    /// `HELP` and `TYPE`.
    pub fn head(&self, out: &mut String, help: &str) {
        let family = match self.quoted {
            true => format!("\"{}\"", quote(&self.family)),
            false => self.family.clone(),
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let help = if self.form.open_metrics { help.replace('"', "\\\"") } else { help };
        put(out, format_args!("# HELP {family} {help}\n# TYPE {family} {}\n", self.kind.name()));
    }

    /// One sample.
    pub fn line(
        &self,
        out: &mut String,
        labels: &str,
        rank: Rank,
        number: f64,
        time_ms: Option<i64>,
        exemplar: Option<&str>,
    ) {
        let suffix = match rank {
            Rank::Bucket(_) => "_bucket",
            Rank::Sum => "_sum",
            Rank::Count => "_count",
            Rank::Value | Rank::Quantile(_) => "",
        };
        let labels = self.shown(labels);
        let mut parts = Parts::begin(out, self, suffix);
        parts.add(&labels);
        match rank {
            Rank::Bucket(bound) => parts.add(&format!("le=\"{}\"", number_label(bound))),
            Rank::Quantile(at) => parts.add(&format!("quantile=\"{}\"", number_label(at))),
            Rank::Value | Rank::Sum | Rank::Count => {}
        }
        parts.end();
        value(out, number);
        if let Some(time_ms) = time_ms {
            self.time(out, time_ms);
        }
        let counts = self.kind == MetricKind::Counter || matches!(rank, Rank::Bucket(_));
        if let Some(exemplar) = exemplar.filter(|_| self.form.open_metrics && counts) {
            out.push_str(" # ");
            out.push_str(exemplar);
        }
        out.push('\n');
    }

    /// What the text formats can tell of a native histogram: its count and its sum.
    pub fn native(
        &self,
        out: &mut String,
        labels: &str,
        native: &NativeHistogram,
        time_ms: Option<i64>,
    ) {
        self.line(out, labels, Rank::Bucket(f64::INFINITY), native.count, time_ms, None);
        self.line(out, labels, Rank::Sum, native.sum, time_ms, None);
        self.line(out, labels, Rank::Count, native.count, time_ms, None);
    }

    fn time(&self, out: &mut String, time_ms: i64) {
        match self.form.open_metrics {
            false => put(out, format_args!(" {time_ms}")),
            true => put(out, format_args!(" {}.{:03}", time_ms / 1000, time_ms.rem_euclid(1000))),
        }
    }

    /// Labels as they are kept, or escaped for those who do not take UTF-8.
    fn shown<'l>(&self, labels: &'l str) -> std::borrow::Cow<'l, str> {
        // Kept names are quoted only if they have other characters than the old ones.
        match self.form.utf8 || !(labels.starts_with('"') || labels.contains(",\"")) {
            true => labels.into(),
            false => unquoted(labels).into(),
        }
    }
}

/// The braces of one sample.
struct Parts<'o> {
    out: &'o mut String,
    open: bool,
}

impl<'o> Parts<'o> {
    fn begin(out: &'o mut String, name: &Name, suffix: &str) -> Self {
        if name.quoted {
            put(out, format_args!("{{\"{}{suffix}\"", quote(&name.name)));
            return Parts { out, open: true };
        }
        out.push_str(&name.name);
        out.push_str(suffix);
        Parts { out, open: false }
    }

    fn add(&mut self, labels: &str) {
        if labels.is_empty() {
            return;
        }
        self.out.push(if self.open { ',' } else { '{' });
        self.open = true;
        self.out.push_str(labels);
    }

    fn end(self) {
        self.out.push_str(if self.open { "} " } else { " " });
    }
}

/// `a="b",c="d"`; names with other than the old characters are quoted.
pub(super) fn labels<'l>(labels: impl Iterator<Item = (&'l str, &'l str)>) -> String {
    let mut out = String::new();
    for (name, value) in labels {
        if !out.is_empty() {
            out.push(',');
        }
        match is_plain(name, false) {
            true => put(&mut out, format_args!("{name}=\"{}\"", quote(value))),
            false => put(&mut out, format_args!("\"{}\"=\"{}\"", quote(name), quote(value))),
        }
    }
    out
}

/// Labels written by [`labels`] with quoted names escaped to `_`.
fn unquoted(labels: &str) -> String {
    let mut out = String::with_capacity(labels.len());
    let mut rest = labels;
    while !rest.is_empty() {
        let is_quoted = rest.starts_with('"');
        let end = if is_quoted { quoted_end(rest) } else { rest.find('=').unwrap_or(rest.len()) };
        match is_quoted {
            true => out.push_str(&escaped(&rest[1..end - 1], false)),
            false => out.push_str(&rest[..end]),
        }
        // `=` and the quoted value, then a comma unless it was the last.
        rest = &rest[end..];
        let value = rest.find('"').map_or(rest.len(), |at| at + quoted_end(&rest[at..]));
        let next = (value + 1).min(rest.len());
        out.push_str(&rest[..next]);
        rest = &rest[next..];
    }
    out
}

/// Length of the quoted text at the front.
fn quoted_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn is_plain(name: &str, colons: bool) -> bool {
    let valid = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || colons && c == b':';
    name.bytes().all(valid) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn escaped(name: &str, colons: bool) -> String {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || colons && c == ':';
    let mut out: String = name.chars().map(|c| if valid(c) { c } else { '_' }).collect();
    if out.starts_with(|c: char| c.is_ascii_digit()) {
        out.replace_range(..1, "_");
    }
    out
}

/// `\`, `"` and line feeds escaped.
fn quote(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(['\\', '"', '\n']) {
        return text.into();
    }
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").into()
}

/// A value, as short as it can be read back.
pub(super) fn value(out: &mut String, number: f64) {
    /// Whole numbers below this are written without exponent and exactly.
    const WHOLE_MAX: f64 = 1e15;
    if number.is_nan() {
        out.push_str("NaN");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 { "+Inf" } else { "-Inf" });
    } else if number.fract() == 0.0 && number.abs() < WHOLE_MAX {
        put(out, format_args!("{}", number as i64));
    } else if number.abs() >= 1e21 || number.abs() < 1e-5 {
        put(out, format_args!("{number:e}"));
    } else {
        put(out, format_args!("{number}"));
    }
}

fn put(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = out.write_fmt(arguments);
}
