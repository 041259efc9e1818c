// SPDX-License-Identifier: Apache-2.0
//! The `basic` and `normal` texts of the debug exporter: one line a batch, one line an item.

use std::fmt::Write;

use otlp_wire::{Attrs, Data, Number, Payload, PointView, Signal};

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
        pairs(out, &resource.attrs(), " ")?;
        for (at, scope) in resource.scopes().enumerate() {
            write!(out, "\nScope{title} #{at}")?;
            if !scope.name().is_empty() {
                write!(out, " {}", scope.name())?;
            }
            if !scope.version().is_empty() {
                write!(out, "@{}", scope.version())?;
            }
            bracketed(out, scope.schema_url())?;
            pairs(out, &scope.attrs(), " ")?;
            out.push('\n');
            for span in scope.spans() {
                write!(out, "{} {} {}", span.name(), hex(span.trace_id()), hex(span.span_id()))?;
                pairs(out, &span.attrs(), " ")?;
                out.push('\n');
            }
            for log in scope.logs() {
                write!(out, "{}", log.body().text())?;
                pairs(out, &log.attrs(), " ")?;
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
                    Some(Number::Double(value)) => writeln!(out, " {value}")?,
                    None => out.push('\n'),
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
                        Some(bound) => write!(out, " le{bound}={count}")?,
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
                out.push('\n');
            }
        }
        Data::Summary { points } => {
            for point in points {
                series(out, name, &point)?;
                spread(out, point.count(), Some(point.sum()), None, None)?;
                for (quantile, value) in point.quantiles() {
                    write!(out, " q{quantile}={value}")?;
                }
                out.push('\n');
            }
        }
    }
    Ok(())
}

fn series<'a>(out: &mut String, name: &str, point: &impl PointView<'a>) -> std::fmt::Result {
    write!(out, "{name}{{")?;
    pairs(out, &point.attrs(), ",")?;
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
            write!(out, " {label}={value}")?;
        }
    }
    Ok(())
}

/// `k=v` pairs: before each a space, or between each the given separator.
fn pairs(out: &mut String, attrs: &Attrs<'_>, separator: &str) -> std::fmt::Result {
    for (at, (key, value)) in attrs.iter().enumerate() {
        if at > 0 || separator == " " {
            out.push_str(separator);
        }
        write!(out, "{key}={}", value.text())?;
    }
    Ok(())
}

fn bracketed(out: &mut String, schema_url: &str) -> std::fmt::Result {
    if schema_url.is_empty() { Ok(()) } else { write!(out, " [{schema_url}]") }
}
