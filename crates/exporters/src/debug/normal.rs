// SPDX-License-Identifier: Apache-2.0
//! The `basic` and `normal` texts of the debug exporter: one line a batch, one line an item.

use std::fmt::Write;

use otlp_wire::{Attrs, Data, ExponentialHistogramPoint, Number, Payload, PointView, Signal};

use super::detailed::hex;

/// What a batch holds: `Metrics {"resource metrics": 1, "metrics": 3, "data points": 3}`.
pub(super) fn summary(payload: &Payload) -> String {
    let resources = payload.resources().count();
    let items = payload.items();
    match payload.signal() {
        Signal::Traces => {
            format!("Traces\t{{\"resource spans\": {resources}, \"spans\": {items}}}")
        }
        Signal::Logs => {
            format!("Logs\t{{\"resource logs\": {resources}, \"log records\": {items}}}")
        }
        Signal::Metrics => {
            let scopes = payload.metrics().flat_map(|resource| resource.scopes());
            let metrics: usize = scopes.map(|scope| scope.metrics().count()).sum();
            format!(
                "Metrics\t{{\"resource metrics\": {resources}, \"metrics\": {metrics}, \"data points\": {items}}}"
            )
        }
    }
}

/// The batch, one line an item.
pub(super) fn write(payload: &Payload) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = lines(&mut out, payload);
    out
}

fn lines(out: &mut String, payload: &Payload) -> std::fmt::Result {
    let title = match payload.signal() {
        Signal::Traces => "Traces",
        Signal::Metrics => "Metrics",
        Signal::Logs => "Log",
    };
    for (at, resource) in payload.resources().enumerate() {
        write!(out, "Resource{title} #{at}")?;
        bracketed(out, resource.schema_url())?;
        pairs(out, &resource.attrs(), " ", " ")?;
        for (at, scope) in resource.scopes().enumerate() {
            write!(out, "\nScope{title} #{at}")?;
            if !scope.name().is_empty() {
                write!(out, " {}", scope.name())?;
            }
            if !scope.version().is_empty() {
                write!(out, "@{}", scope.version())?;
            }
            bracketed(out, scope.schema_url())?;
            pairs(out, &scope.attrs(), " ", " ")?;
            out.push('\n');
            for span in scope.spans() {
                write!(out, "{} {} {}", span.name(), hex(span.trace_id()), hex(span.span_id()))?;
                pairs(out, &span.attrs(), " ", " ")?;
                out.push('\n');
            }
            for log in scope.logs() {
                // Upstream's line ends in a space when there are no attributes.
                write!(out, "{} ", log.body().text())?;
                pairs(out, &log.attrs(), "", " ")?;
                out.push('\n');
            }
            for metric in scope.metrics() {
                points(out, metric.name(), metric.data())?;
            }
        }
    }
    Ok(())
}

fn points(out: &mut String, name: &str, data: Data<'_>) -> std::fmt::Result {
    match data {
        Data::Empty => {}
        Data::Gauge { points } | Data::Sum { points, .. } => {
            for point in points {
                series(out, name, &point)?;
                match point.value() {
                    Some(Number::Int(value)) => writeln!(out, " {value}")?,
                    Some(Number::Double(value)) => writeln!(out, " {}", Float(value))?,
                    None => out.push_str(" \n"),
                }
            }
        }
        Data::Histogram { points, .. } => {
            for point in points {
                series(out, name, &point)?;
                spread(out, point.count(), point.sum(), point.min(), point.max())?;
                let mut bounds = point.explicit_bounds();
                for count in point.bucket_counts() {
                    match bounds.next() {
                        Some(bound) => write!(out, " le{}={count}", Float(bound))?,
                        None => write!(out, " {count}")?,
                    }
                }
                out.push('\n');
            }
        }
        Data::ExponentialHistogram { points, .. } => {
            for point in points {
                series(out, name, &point)?;
                spread(out, point.count(), point.sum(), point.min(), point.max())?;
                exponential(out, &point)?;
                out.push('\n');
            }
        }
        Data::Summary { points } => {
            for point in points {
                series(out, name, &point)?;
                write!(out, " count={} sum={:.6}", point.count(), point.sum())?;
                for (quantile, value) in point.quantiles() {
                    write!(out, " q{}={}", Float(quantile), Float(value))?;
                }
                out.push('\n');
            }
        }
    }
    Ok(())
}

fn series<'a>(out: &mut String, name: &str, point: &impl PointView<'a>) -> std::fmt::Result {
    write!(out, "{name}{{")?;
    pairs(out, &point.attrs(), "", ",")?;
    out.push('}');
    Ok(())
}

fn spread(
    out: &mut String,
    count: u64,
    sum: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
) -> std::fmt::Result {
    write!(out, " count={count}")?;
    for (label, value) in [("sum", sum), ("min", min), ("max", max)] {
        if let Some(value) = value {
            write!(out, " {label}={}", Float(value))?;
        }
    }
    Ok(())
}

/// The buckets from the smallest value up, each by its upper bound.
fn exponential(out: &mut String, point: &ExponentialHistogramPoint<'_>) -> std::fmt::Result {
    let factor = std::f64::consts::LN_2 * (-f64::from(point.scale())).exp2();
    let bound = |offset: i32, at: usize| ((f64::from(offset) + at as f64) * factor).exp();
    let negative = point.negative();
    let counts: Vec<u64> = negative.counts().collect();
    for (at, count) in counts.iter().enumerate().rev() {
        write!(out, " le{}={count}", Float(-bound(negative.offset(), at)))?;
    }
    if point.zero_count() != 0 {
        write!(out, " zero={}", point.zero_count())?;
    }
    let positive = point.positive();
    for (at, count) in positive.counts().enumerate() {
        write!(out, " le{}={count}", Float(bound(positive.offset(), at + 1)))?;
    }
    Ok(())
}

/// `k=v` pairs: `first` before the first, `between` before each other.
fn pairs(out: &mut String, attrs: &Attrs<'_>, first: &str, between: &str) -> std::fmt::Result {
    for (at, (key, value)) in attrs.iter().enumerate() {
        out.push_str(if at == 0 { first } else { between });
        write!(out, "{key}={}", value.text())?;
    }
    Ok(())
}

/// A double as Go's `%v` prints it: shortest, with an exponent outside 1e-4..1e21.
pub(super) struct Float(pub(super) f64);

impl std::fmt::Display for Float {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.0.abs();
        if self.0.is_nan() {
            return f.write_str("NaN");
        }
        if size.is_infinite() {
            return f.write_str(if self.0 > 0.0 { "+Inf" } else { "-Inf" });
        }
        if size == 0.0 || (1e-4..1e21).contains(&size) {
            return write!(f, "{}", self.0);
        }
        let text = format!("{:e}", self.0);
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        write!(f, "{digits}e{sign}{exponent:0>2}")
    }
}

fn bracketed(out: &mut String, schema_url: &str) -> std::fmt::Result {
    if schema_url.is_empty() { Ok(()) } else { write!(out, " [{schema_url}]") }
}
