// SPDX-License-Identifier: Apache-2.0
//! The Prometheus text format, version 0.0.4.
//!
//! Families ascend by name, series by their labels; `le` comes last. Values are read after the
//! registry's lock is given back, so a computed value may register things itself.

use std::borrow::Cow;
use std::fmt::Write;

use super::{Reading, Telemetry, Type, Value};
use crate::config::{Level, PageStyle};

/// The media type of [`Telemetry::render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Telemetry {
    /// All series as text, as the Go collector shows them by default.
    pub fn render(&self) -> String {
        let style = PageStyle { level: Level::Detailed, ..PageStyle::default() };
        self.render_as(&style)
    }

    /// All series that `style` shows, as text.
    pub fn render_as(&self, style: &PageStyle) -> String {
        let mut constant = String::new();
        let scope = [
            ("otel_scope_name", "foreglow"),
            ("otel_scope_schema_url", ""),
            ("otel_scope_version", env!("CARGO_PKG_VERSION")),
        ];
        let scope = scope.into_iter().filter(|_| style.scope_info);
        for (key, value) in style.labels.iter().map(|(k, v)| (k.as_str(), v.as_str())).chain(scope)
        {
            let separator = if constant.is_empty() { "" } else { "," };
            let _ = write!(constant, "{separator}{key}=\"");
            escape(&mut constant, value);
            constant.push('"');
        }
        let constant = constant.as_str();
        let families: Vec<_> = self
            .0
            .families
            .lock()
            .iter()
            .filter(|(name, _)| shown_from(name) <= style.level)
            .map(|(name, family)| {
                let series = family.series.iter();
                let series = series.map(|(labels, value)| (labels.clone(), value.clone()));
                (*name, family.kind, family.help, series.collect::<Vec<_>>())
            })
            .collect();
        let mut text = String::with_capacity(families.len() * 256);
        for (name, kind, help, series) in families {
            let name = &*styled(name, kind, style);
            head(&mut text, name, kind, help);
            for (labels, value) in series {
                match value {
                    Value::Counter(counter) => {
                        line(
                            &mut text,
                            (name, ""),
                            (constant, &labels),
                            None,
                            counter.get() as f64,
                        );
                    }
                    Value::Gauge(gauge) => {
                        line(&mut text, (name, ""), (constant, &labels), None, gauge.get());
                    }
                    Value::Computed(read) => {
                        if let Some(value) = read() {
                            line(&mut text, (name, ""), (constant, &labels), None, value);
                        }
                    }
                    Value::Histogram(histogram) => {
                        spread(&mut text, name, (constant, &labels), &histogram.read());
                    }
                }
            }
        }
        text
    }
}

/// The level from which on `name` is shown; the Go collector's choice.
fn shown_from(name: &str) -> Level {
    let is_detail = name.ends_with("_send_size_bytes") || name.ends_with("_queue_batch_send_size");
    if is_detail { Level::Detailed } else { Level::Basic }
}

/// `name` with the endings that `style` wants.
fn styled(name: &'static str, kind: Type, style: &PageStyle) -> Cow<'static, str> {
    const SECONDS: [&str; 3] = ["_uptime", "_cpu_seconds", "_internal_duration"];
    let mut styled = Cow::Borrowed(name);
    if style.units {
        let unit = match name {
            _ if SECONDS.iter().any(|end| name.ends_with(end)) => "_seconds",
            _ if name.ends_with("_memory_rss") => "_bytes",
            _ => "",
        };
        if !unit.is_empty() && !name.ends_with(unit) {
            styled.to_mut().push_str(unit);
        }
    }
    if style.type_suffix && kind == Type::Counter && !styled.ends_with("_total") {
        styled.to_mut().push_str("_total");
    }
    styled
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

/// Constant labels as text, and those of the series.
type Tags<'a> = (&'a str, &'a [(&'static str, String)]);

fn spread(text: &mut String, name: &str, labels: Tags<'_>, reading: &Reading) {
    for (bound, count) in &reading.cumulative {
        line(text, (name, "_bucket"), labels, Some(*bound), *count as f64);
    }
    line(text, (name, "_sum"), labels, None, reading.sum);
    line(text, (name, "_count"), labels, None, reading.count as f64);
}

fn line(
    text: &mut String,
    (name, suffix): (&str, &str),
    (constant, labels): Tags<'_>,
    bound: Option<f64>,
    value: f64,
) {
    text.push_str(name);
    text.push_str(suffix);
    let bound = bound.map(|bound| ("le", number(bound)));
    let mut open = '{';
    if !constant.is_empty() {
        let _ = write!(text, "{open}{constant}");
        open = ',';
    }
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
