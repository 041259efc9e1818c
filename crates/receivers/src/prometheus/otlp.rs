// SPDX-License-Identifier: Apache-2.0
//! The points of one scrape as one OTLP payload.

use otlp_wire::write::{AttrWriter, ExponentialBuckets, ExponentialHistogram};
use otlp_wire::write::{Histogram, Metrics, Points, Summary};
use otlp_wire::{NHCB, Number, SpanId, Temporality, TraceId};

use super::page::{Exemplar, Kind, Native};
use super::round::{Content, Metric, Parts, Point};
use super::target::Rules;

/// Writes a metric with its points.
pub fn write_metric(out: &mut Metrics, metric: &mut Metric, rules: &Rules) {
    let place = metric.place.clone();
    let (kind, meta) = (place.meta.kind, &place.meta);
    let name = match rules.trim_suffixes {
        true => trimmed(&place.name, kind == Kind::Counter, &meta.unit),
        false => &*place.name,
    };
    let (unit, help) = (ucum(&meta.unit), meta.help.as_str());
    let cumulative = Temporality::Cumulative;
    let native = metric.native;
    out.metadata(|attrs| {
        attrs.str("prometheus.type", kind.name());
        if rules.custom_buckets && kind == Kind::Histogram && !native {
            attrs.bool(NHCB, true);
        }
    });
    let points = |points: &mut Points<'_>| {
        metric.points.iter_mut().for_each(|point| write_point(points, point, kind));
    };
    match kind {
        _ if native => out.exponential_histogram(name, &unit, help, cumulative, points),
        Kind::Gauge | Kind::Unknown | Kind::GaugeHistogram => out.gauge(name, &unit, help, points),
        Kind::Counter => out.sum(name, &unit, help, cumulative, true, points),
        Kind::Info | Kind::StateSet => out.sum(name, &unit, help, cumulative, false, points),
        Kind::Histogram => out.histogram(name, &unit, help, cumulative, points),
        Kind::Summary => out.summary(name, &unit, help, points),
    }
}

fn write_point(points: &mut Points<'_>, point: &mut Point, kind: Kind) {
    let time = nanos(point.time_ms);
    let place = point.place.clone();
    let attrs = |attrs: &mut AttrWriter<'_>| attrs.copy(place.attrs.attrs());
    let counts = !matches!(kind, Kind::Gauge | Kind::Unknown | Kind::GaugeHistogram);
    points.start(if counts { point.start } else { 0 });
    match &mut point.content {
        Content::Nothing => return,
        Content::Stale => points.stale(time, attrs),
        Content::Number(value) => points.double(time, *value, attrs),
        Content::Native(native) => write_native(points, time, native, attrs),
        Content::Parts(parts) => {
            let Some(stale) = parts.state() else { return };
            match kind {
                Kind::Summary => write_summary(points, time, parts, attrs),
                _ => write_histogram(points, time, parts, attrs),
            }
            if stale {
                points.no_recorded_value();
            }
        }
    }
    for exemplar in &point.exemplars {
        write_exemplar(points, exemplar, exemplar.time_ms.map_or(time, nanos));
    }
}

fn write_histogram(
    points: &mut Points<'_>,
    time: u64,
    parts: &mut Parts,
    attrs: impl FnOnce(&mut AttrWriter<'_>),
) {
    let buckets = parts.buckets();
    let value = Histogram {
        count: buckets.count,
        sum: parts.sum,
        explicit_bounds: &buckets.bounds,
        bucket_counts: &buckets.counts,
        ..Histogram::default()
    };
    points.histogram(time, &value, attrs);
}

fn write_summary(
    points: &mut Points<'_>,
    time: u64,
    parts: &mut Parts,
    attrs: impl FnOnce(&mut AttrWriter<'_>),
) {
    let (quantiles, count) = parts.quantiles();
    let value = Summary { count, sum: parts.sum.unwrap_or(0.0), quantiles: &quantiles };
    points.summary(time, &value, attrs);
}

fn write_native(
    points: &mut Points<'_>,
    time: u64,
    native: &Native,
    attrs: impl FnOnce(&mut AttrWriter<'_>),
) {
    let value = ExponentialHistogram {
        count: native.count,
        sum: Some(native.sum),
        scale: native.scale,
        zero_count: native.zero_count,
        zero_threshold: native.zero_threshold,
        positive: ExponentialBuckets { offset: native.positive.0, counts: &native.positive.1 },
        negative: ExponentialBuckets { offset: native.negative.0, counts: &native.negative.1 },
        ..ExponentialHistogram::default()
    };
    points.exponential_histogram(time, &value, attrs);
}

fn write_exemplar(points: &mut Points<'_>, exemplar: &Exemplar, time: u64) {
    let (mut trace, mut span): (TraceId, SpanId) = Default::default();
    let mut rest = Vec::new();
    for (key, value) in &exemplar.labels {
        let taken = match key.to_ascii_lowercase().as_str() {
            "trace_id" => value.is_empty() || from_hex(value, &mut trace),
            "span_id" => value.is_empty() || from_hex(value, &mut span),
            _ => false,
        };
        if !taken {
            rest.push((key, value));
        }
    }
    let ids = (trace != TraceId::default() || span != SpanId::default()).then_some((trace, span));
    points.exemplar(time, Number::Double(exemplar.value), ids, |attrs| {
        rest.iter().for_each(|(key, value)| attrs.str(key, value));
    });
}

/// Reads an id of exactly that width; false when the text is none, or stands for "unset".
fn from_hex(text: &str, id: &mut [u8]) -> bool {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    if text.len() != id.len() * 2 {
        return false;
    }
    let mut read = vec![0; id.len()];
    for (byte, pair) in read.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { return false };
        *byte = high << 4 | low;
    }
    let set = read.iter().any(|byte| *byte != 0);
    if set {
        id.copy_from_slice(&read);
    }
    set
}

/// Unix milliseconds as OTLP counts.
pub fn nanos(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000)
}

/// The name without `_total` (counters) and without the unit.
fn trimmed<'n>(name: &'n str, counter: bool, unit: &str) -> &'n str {
    let mut short = name;
    if counter {
        short = short.strip_suffix("_total").unwrap_or(short);
    }
    let without = short.strip_suffix(unit).and_then(|stem| stem.strip_suffix('_'));
    short = without.filter(|_| !unit.is_empty()).unwrap_or(short);
    if short.is_empty() { name } else { short }
}

/// The UCUM code of a unit as OpenMetrics writes it; `meters_per_second` is `m/s`.
pub fn ucum(unit: &str) -> String {
    let (of, per) = unit.split_once("_per_").unwrap_or((unit, ""));
    let of = UCUM.iter().find(|(word, _)| *word == of).map_or(of, |(_, code)| code);
    let known = PER.iter().find(|(word, _)| *word == per).map_or(per, |(_, code)| code);
    if per.is_empty() { of.to_owned() } else { format!("{of}/{known}") }
}

const UCUM: [(&str, &str); 26] = [
    ("days", "d"),
    ("hours", "h"),
    ("minutes", "min"),
    ("seconds", "s"),
    ("milliseconds", "ms"),
    ("microseconds", "us"),
    ("nanoseconds", "ns"),
    ("bytes", "By"),
    ("kibibytes", "KiBy"),
    ("mebibytes", "MiBy"),
    ("gibibytes", "GiBy"),
    ("tibibytes", "TiBy"),
    ("kilobytes", "KBy"),
    ("megabytes", "MBy"),
    ("gigabytes", "GBy"),
    ("terabytes", "TBy"),
    ("meters", "m"),
    ("volts", "V"),
    ("amperes", "A"),
    ("joules", "J"),
    ("watts", "W"),
    ("grams", "g"),
    ("celsius", "Cel"),
    ("hertz", "Hz"),
    ("ratio", "1"),
    ("percent", "%"),
];

const PER: [(&str, &str); 7] = [
    ("second", "s"),
    ("minute", "m"),
    ("hour", "h"),
    ("day", "d"),
    ("week", "w"),
    ("month", "mo"),
    ("year", "y"),
];
