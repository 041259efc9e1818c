// SPDX-License-Identifier: Apache-2.0
//! The Prometheus text format, version 0.0.4.
//!
//! Families ascend by name, series by their labels; `le` comes last. Values are read after the
//! registry's lock is given back, so a computed value may register things itself.

use std::fmt::Write;

use super::{Reading, Telemetry, Type, Value};

/// The media type of [`Telemetry::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Telemetry {
    /// All series as text.
    pub fn render(&self) -> String {
        let families: Vec<_> = self
            .0
            .lock()
            .iter()
            .map(|(name, family)| {
                let series = family.series.iter();
                let series = series.map(|(labels, value)| (labels.clone(), value.clone()));
                (*name, family.kind, family.help, series.collect::<Vec<_>>())
            })
            .collect();
        let mut text = String::with_capacity(families.len() * 256);
        for (name, kind, help, series) in families {
            head(&mut text, name, kind, help);
            for (labels, value) in series {
                match value {
                    Value::Counter(counter) => {
                        line(&mut text, name, "", &labels, None, counter.get() as f64);
                    }
                    Value::Gauge(gauge) => line(&mut text, name, "", &labels, None, gauge.get()),
                    Value::Computed(read) => {
                        if let Some(value) = read() {
                            line(&mut text, name, "", &labels, None, value);
                        }
                    }
                    Value::Histogram(histogram) => {
                        spread(&mut text, name, &labels, &histogram.read());
                    }
                }
            }
        }
        text
    }
}

fn head(text: &mut String, name: &str, kind: Type, help: &str) {
    let kind = match kind {
        Type::Counter => "counter",
        Type::Gauge => "gauge",
        Type::Histogram => "histogram",
    };
    // Writing into a String cannot fail, here and below.
    let _ = writeln!(text, "# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n"));
    let _ = writeln!(text, "# TYPE {name} {kind}");
}

fn spread(text: &mut String, name: &str, labels: &[(&str, String)], reading: &Reading) {
    for (bound, count) in &reading.cumulative {
        line(text, name, "_bucket", labels, Some(*bound), *count as f64);
    }
    line(text, name, "_sum", labels, None, reading.sum);
    line(text, name, "_count", labels, None, reading.count as f64);
}

fn line(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&str, String)],
    bound: Option<f64>,
    value: f64,
) {
    text.push_str(name);
    text.push_str(suffix);
    let bound = bound.map(|bound| ("le", number(bound)));
    let mut open = '{';
    for (key, value) in
        labels.iter().map(|(k, v)| (*k, v)).chain(bound.iter().map(|(k, v)| (*k, v)))
    {
        let _ = write!(text, "{open}{key}=\"");
        escape(text, value);
        text.push('"');
        open = ',';
    }
    if open == ',' {
        text.push('}');
    }
    let _ = writeln!(text, " {}", number(value));
}

fn escape(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else if value != 0.0 && !(1e-6..1e21).contains(&value.abs()) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}
