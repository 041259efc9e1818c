// SPDX-License-Identifier: Apache-2.0
//! The `detailed` text of the debug exporter: everything in a batch, line by line, in the
//! collector's words and widths (tests of others grep for them).

use std::fmt::Write;

use otlp_wire::{
    AnyValue, Attrs, Buckets, Data, EventView, ExemplarView, LinkView, LogView, MetricView, Number,
    Payload, PointView, Signal, SpanKind, SpanView, StatusCode, Temporality,
};

/// The whole batch as text.
pub(super) fn write(payload: &Payload) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = resources(&mut out, payload);
    out
}

type Fmt = std::fmt::Result;

fn resources(out: &mut String, payload: &Payload) -> Fmt {
    let (resource_title, scope_title) = match payload.signal() {
        Signal::Traces => ("ResourceSpans", "ScopeSpans"),
        Signal::Metrics => ("ResourceMetrics", "ScopeMetrics"),
        Signal::Logs => ("ResourceLog", "ScopeLogs"),
    };
    for (at, resource) in payload.resources().enumerate() {
        writeln!(out, "{resource_title} #{at}")?;
        writeln!(out, "Resource SchemaURL: {}", resource.schema_url())?;
        attributes(out, "Resource attributes:", &resource.attrs())?;
        for (at, scope) in resource.scopes().enumerate() {
            writeln!(out, "{scope_title} #{at}")?;
            writeln!(out, "{scope_title} SchemaURL: {}", scope.schema_url())?;
            writeln!(out, "InstrumentationScope {} {}", scope.name(), scope.version())?;
            attributes(out, "InstrumentationScope attributes:", &scope.attrs())?;
            match payload.signal() {
                Signal::Traces => {
                    for (at, view) in scope.spans().enumerate() {
                        span(out, at, &view)?;
                    }
                }
                Signal::Metrics => {
                    for (at, view) in scope.metrics().enumerate() {
                        metric(out, at, &view)?;
                    }
                }
                Signal::Logs => {
                    for (at, view) in scope.logs().enumerate() {
                        log(out, at, &view)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn span(out: &mut String, at: usize, span: &SpanView<'_>) -> Fmt {
    writeln!(out, "Span #{at}")?;
    labelled(out, "Trace ID", &hex(span.trace_id()))?;
    labelled(out, "Parent ID", &hex(span.parent_span_id()))?;
    labelled(out, "ID", &hex(span.span_id()))?;
    labelled(out, "Name", span.name())?;
    labelled(out, "Kind", kind(span.kind()))?;
    if !span.trace_state().is_empty() {
        labelled(out, "TraceState", span.trace_state())?;
    }
    labelled(out, "Start time", &time(span.start()))?;
    labelled(out, "End time", &time(span.end()))?;
    labelled(out, "Status code", status(span.status()))?;
    labelled(out, "Status message", span.status_message())?;
    for (label, count) in [
        ("DroppedAttributesCount", span.dropped_attributes_count()),
        ("DroppedEventsCount", span.dropped_events_count()),
        ("DroppedLinksCount", span.dropped_links_count()),
    ] {
        labelled(out, label, &count.to_string())?;
    }
    attributes(out, "Attributes:", &span.attrs())?;
    events(out, span.events())?;
    links(out, span.links())
}

fn events<'a>(out: &mut String, events: impl Iterator<Item = EventView<'a>>) -> Fmt {
    for (at, event) in events.enumerate() {
        if at == 0 {
            writeln!(out, "Events:")?;
        }
        writeln!(out, "SpanEvent #{at}")?;
        writeln!(out, "     -> Name: {}", event.name())?;
        writeln!(out, "     -> Timestamp: {}", time(event.time()))?;
        writeln!(out, "     -> DroppedAttributesCount: {}", event.dropped_attributes_count())?;
        indented(out, "Attributes:", &event.attrs())?;
    }
    Ok(())
}

fn links<'a>(out: &mut String, links: impl Iterator<Item = LinkView<'a>>) -> Fmt {
    for (at, link) in links.enumerate() {
        if at == 0 {
            writeln!(out, "Links:")?;
        }
        writeln!(out, "SpanLink #{at}")?;
        writeln!(out, "     -> Trace ID: {}", hex(link.trace_id()))?;
        writeln!(out, "     -> ID: {}", hex(link.span_id()))?;
        writeln!(out, "     -> TraceState: {}", link.trace_state())?;
        writeln!(out, "     -> DroppedAttributesCount: {}", link.dropped_attributes_count())?;
        indented(out, "Attributes:", &link.attrs())?;
    }
    Ok(())
}

fn log(out: &mut String, at: usize, log: &LogView<'_>) -> Fmt {
    writeln!(out, "LogRecord #{at}")?;
    writeln!(out, "ObservedTimestamp: {}", time(log.observed_time()))?;
    writeln!(out, "Timestamp: {}", time(log.time()))?;
    writeln!(out, "SeverityText: {}", log.severity_text())?;
    writeln!(out, "SeverityNumber: {}", severity(log.severity_number()))?;
    if !log.event_name().is_empty() {
        writeln!(out, "EventName: {}", log.event_name())?;
    }
    writeln!(out, "Body: {}", typed(&log.body()))?;
    attributes(out, "Attributes:", &log.attrs())?;
    writeln!(out, "Trace ID: {}", hex(log.trace_id()))?;
    writeln!(out, "Span ID: {}", hex(log.span_id()))?;
    writeln!(out, "Flags: {}", log.flags())
}

fn metric(out: &mut String, at: usize, metric: &MetricView<'_>) -> Fmt {
    writeln!(out, "Metric #{at}")?;
    writeln!(out, "Descriptor:")?;
    writeln!(out, "     -> Name: {}", metric.name())?;
    writeln!(out, "     -> Description: {}", metric.description())?;
    writeln!(out, "     -> Unit: {}", metric.unit())?;
    let data = metric.data();
    writeln!(out, "     -> DataType: {}", data_type(&data))?;
    indented(out, "Metadata", &metric.metadata())?;
    if let Data::Sum { monotonic, .. } = &data {
        writeln!(out, "     -> IsMonotonic: {monotonic}")?;
    }
    if let Some(temporality) = temporality(&data) {
        writeln!(out, "     -> AggregationTemporality: {temporality}")?;
    }
    points(out, data)
}

fn points(out: &mut String, data: Data<'_>) -> Fmt {
    match data {
        Data::Empty => Ok(()),
        Data::Gauge { points } | Data::Sum { points, .. } => {
            for (at, point) in points.enumerate() {
                head(out, "NumberDataPoints", at, &point)?;
                if let Some(value) = point.value() {
                    writeln!(out, "Value: {}", number(value))?;
                }
                exemplars(out, point.exemplars())?;
            }
            Ok(())
        }
        Data::Histogram { points, .. } => {
            for (at, point) in points.enumerate() {
                head(out, "HistogramDataPoints", at, &point)?;
                writeln!(out, "Count: {}", point.count())?;
                optional(out, "Sum", point.sum())?;
                optional(out, "Min", point.min())?;
                optional(out, "Max", point.max())?;
                for (at, bound) in point.explicit_bounds().enumerate() {
                    writeln!(out, "ExplicitBounds #{at}: {bound:.6}")?;
                }
                for (at, count) in point.bucket_counts().enumerate() {
                    writeln!(out, "Buckets #{at}, Count: {count}")?;
                }
                exemplars(out, point.exemplars())?;
            }
            Ok(())
        }
        Data::ExponentialHistogram { points, .. } => {
            for (at, point) in points.enumerate() {
                head(out, "ExponentialHistogramDataPoints", at, &point)?;
                writeln!(out, "Count: {}", point.count())?;
                optional(out, "Sum", point.sum())?;
                optional(out, "Min", point.min())?;
                optional(out, "Max", point.max())?;
                buckets(out, point.scale(), &point.negative(), true)?;
                if point.zero_count() > 0 {
                    writeln!(out, "Bucket [0, 0], Count: {}", point.zero_count())?;
                }
                buckets(out, point.scale(), &point.positive(), false)?;
                exemplars(out, point.exemplars())?;
            }
            Ok(())
        }
        Data::Summary { points } => {
            for (at, point) in points.enumerate() {
                head(out, "SummaryDataPoints", at, &point)?;
                writeln!(out, "Count: {}", point.count())?;
                writeln!(out, "Sum: {:.6}", point.sum())?;
                for (at, (quantile, value)) in point.quantiles().enumerate() {
                    writeln!(out, "QuantileValue #{at}: Quantile {quantile:.6}, Value {value:.6}")?;
                }
            }
            Ok(())
        }
    }
}

fn head<'a>(out: &mut String, title: &str, at: usize, point: &impl PointView<'a>) -> Fmt {
    writeln!(out, "{title} #{at}")?;
    attributes(out, "Data point attributes:", &point.attrs())?;
    writeln!(out, "StartTimestamp: {}", time(point.start()))?;
    writeln!(out, "Timestamp: {}", time(point.time()))
}

fn optional(out: &mut String, label: &str, value: Option<f64>) -> Fmt {
    value.map_or(Ok(()), |value| writeln!(out, "{label}: {value:.6}"))
}

fn buckets(out: &mut String, scale: i32, buckets: &Buckets<'_>, negative: bool) -> Fmt {
    let bound = |index: f64| (index * std::f64::consts::LN_2 * (-f64::from(scale)).exp2()).exp();
    let mut counts: Vec<(usize, u64)> = buckets.counts().enumerate().collect();
    if negative {
        // From the smallest value up.
        counts.reverse();
    }
    for (at, count) in counts {
        let index = f64::from(buckets.offset()) + at as f64;
        let (low, high) = (bound(index), bound(index + 1.0));
        if negative {
            writeln!(out, "Bucket [{:.6}, {:.6}), Count: {count}", -high, -low)?;
        } else {
            writeln!(out, "Bucket ({low:.6}, {high:.6}], Count: {count}")?;
        }
    }
    Ok(())
}

fn exemplars<'a>(out: &mut String, exemplars: impl Iterator<Item = ExemplarView<'a>>) -> Fmt {
    for (at, exemplar) in exemplars.enumerate() {
        if at == 0 {
            writeln!(out, "Exemplars:")?;
        }
        writeln!(out, "Exemplar #{at}")?;
        writeln!(out, "     -> Trace ID: {}", hex(exemplar.trace_id()))?;
        writeln!(out, "     -> Span ID: {}", hex(exemplar.span_id()))?;
        writeln!(out, "     -> Timestamp: {}", time(exemplar.time()))?;
        if let Some(value) = exemplar.value() {
            writeln!(out, "     -> Value: {}", number(value))?;
        }
        indented(out, "FilteredAttributes", &exemplar.filtered_attrs())?;
    }
    Ok(())
}

fn labelled(out: &mut String, label: &str, value: &str) -> Fmt {
    writeln!(out, "    {label:<15}: {value}")
}

fn attributes(out: &mut String, title: &str, attrs: &Attrs<'_>) -> Fmt {
    listed(out, "", title, attrs)
}

/// A list below a line that is itself one of a list.
fn indented(out: &mut String, title: &str, attrs: &Attrs<'_>) -> Fmt {
    listed(out, "     ", &format!("     -> {title}:"), attrs)
}

fn listed(out: &mut String, indent: &str, title: &str, attrs: &Attrs<'_>) -> Fmt {
    if attrs.is_empty() {
        return Ok(());
    }
    writeln!(out, "{title}")?;
    for (key, value) in attrs.iter() {
        writeln!(out, "{indent}     -> {key}: {}", typed(&value))?;
    }
    Ok(())
}

/// A value with its type: `Str(x)`.
fn typed(value: &AnyValue<'_>) -> String {
    let kind = match value {
        AnyValue::Empty => return "Empty()".to_owned(),
        AnyValue::Str(_) => "Str",
        AnyValue::Bool(_) => "Bool",
        AnyValue::Int(_) => "Int",
        AnyValue::Double(_) => "Double",
        AnyValue::Bytes(_) => "Bytes",
        AnyValue::Array(_) => "Slice",
        AnyValue::KvList(_) => "Map",
    };
    format!("{kind}({})", value.text())
}

fn number(value: Number) -> String {
    match value {
        Number::Int(value) => value.to_string(),
        Number::Double(value) => format!("{value:.6}"),
    }
}

/// `id` in hexadecimal; empty when absent.
pub(super) fn hex<const N: usize>(id: Option<[u8; N]>) -> String {
    let mut out = String::with_capacity(2 * N);
    for byte in id.iter().flatten() {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// As Go prints a UTC time: `2025-04-17 08:40:44.555461596 +0000 UTC`.
pub(super) fn time(nanos: u64) -> String {
    let time = jiff::Timestamp::from_nanosecond(nanos.into()).unwrap_or_default();
    time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string()
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "Unspecified",
        SpanKind::Internal => "Internal",
        SpanKind::Server => "Server",
        SpanKind::Client => "Client",
        SpanKind::Producer => "Producer",
        SpanKind::Consumer => "Consumer",
    }
}

fn status(code: StatusCode) -> &'static str {
    match code {
        StatusCode::Unset => "Unset",
        StatusCode::Ok => "Ok",
        StatusCode::Error => "Error",
    }
}

fn severity(number: i32) -> String {
    const NAMES: [&str; 6] = ["Trace", "Debug", "Info", "Warn", "Error", "Fatal"];
    let name = match number {
        1..=24 => {
            let (group, within) = ((number - 1) / 4, (number - 1) % 4);
            let suffix = if within == 0 { String::new() } else { (within + 1).to_string() };
            format!("{}{suffix}", NAMES[group as usize])
        }
        _ => "Unspecified".to_owned(),
    };
    format!("{name}({number})")
}

fn data_type(data: &Data<'_>) -> &'static str {
    match data {
        Data::Empty => "Empty",
        Data::Gauge { .. } => "Gauge",
        Data::Sum { .. } => "Sum",
        Data::Histogram { .. } => "Histogram",
        Data::ExponentialHistogram { .. } => "ExponentialHistogram",
        Data::Summary { .. } => "Summary",
    }
}

fn temporality(data: &Data<'_>) -> Option<&'static str> {
    let temporality = match data {
        Data::Sum { temporality, .. }
        | Data::Histogram { temporality, .. }
        | Data::ExponentialHistogram { temporality, .. } => temporality,
        _ => return None,
    };
    Some(match temporality {
        Temporality::Unspecified => "Unspecified",
        Temporality::Delta => "Delta",
        Temporality::Cumulative => "Cumulative",
    })
}
