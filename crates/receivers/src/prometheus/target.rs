// SPDX-License-Identifier: Apache-2.0
//! One target over time: what each of its scrapes becomes as OTLP.
//!
//! Out of a page (or a failed scrape) comes one payload: the page's points, a stale marker for each
//! series that was there before and is not now, and the series about the scrape itself (`up`,
//! `scrape_*`). Counting series get a start time: when they were first seen or last began anew.
//! Bounds: one entry a series of the last page, which the size limit of a page bounds.

use std::collections::HashMap;

use otlp_wire::write::{AttrWriter, Histogram, Metrics, Points, Summary};
use otlp_wire::{Payload, Temporality};

use super::families::{Labels, Metric, Page, Point, Value};
use super::text::Kind;

/// Who is scraped.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// `job`, the resource's `service.name`.
    pub job: String,
    /// `instance`, the resource's `service.instance.id`: `host:port`.
    pub instance: String,
    /// `http`.
    pub scheme: String,
    /// Labels of the target, put on every point.
    pub labels: Labels,
    /// Scraped labels win over the target's instead of being renamed `exported_*`.
    pub honor_labels: bool,
    /// Take the page's timestamps.
    pub honor_timestamps: bool,
}

/// A target with what its last page held.
#[derive(Debug, Default)]
pub struct Target {
    identity: Identity,
    known: HashMap<SeriesKey, Known>,
    about: Labels,
}

/// Name and labels of a point.
type SeriesKey = (String, Labels);

#[derive(Debug)]
struct Known {
    kind: Kind,
    start: u64,
    /// Of what counts up: a smaller one means that it began anew.
    last: f64,
    seen: bool,
}

/// What is told about a scrape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// When it began, Unix nanoseconds.
    pub time: u64,
    /// How long it took in seconds.
    pub seconds: f64,
}

impl Target {
    /// A target never scraped.
    pub fn new(identity: Identity) -> Self {
        Target { identity, ..Target::default() }
    }

    /// What a scrape gave; `None` when it failed.
    pub fn observe(&mut self, page: Option<Page>, facts: Facts) -> Payload {
        let Facts { time, seconds } = facts;
        let up = page.is_some();
        let mut page = page.unwrap_or_default();
        if up {
            self.about = std::mem::take(&mut page.target);
        }
        let mut out = Metrics::new();
        out.resource(|attrs| self.resource(attrs));
        out.scope("foreglow/receivers/prometheus", env!("CARGO_PKG_VERSION"));
        self.known.values_mut().for_each(|known| known.seen = false);
        let before = self.known.len();
        let mut added = 0;
        for metric in &mut page.metrics {
            for point in &mut metric.points {
                self.place_labels(&mut point.labels);
            }
            added += self.write(metric, time, &mut out);
        }
        debug_assert_eq!(self.known.len(), before + added);
        self.write_stale(time, &mut out);
        let about = [
            ("up", f64::from(u8::from(up))),
            ("scrape_duration_seconds", seconds),
            ("scrape_samples_scraped", page.samples as f64),
            ("scrape_samples_post_metric_relabeling", page.samples as f64),
            ("scrape_series_added", added as f64),
        ];
        for (name, value) in about {
            out.gauge(name, "", "", |points| {
                points.double(time, value, |attrs| write_labels(&self.identity.labels, attrs));
            });
        }
        out.finish()
    }

    fn resource(&self, attrs: &mut AttrWriter<'_>) {
        let Identity { job, instance, scheme, .. } = &self.identity;
        attrs.str("service.name", job);
        attrs.str("service.instance.id", instance);
        let (host, port) = instance.rsplit_once(':').unwrap_or((instance, ""));
        // The address of a target on this machine says nothing elsewhere.
        if !["localhost", "127.0.0.1", "0.0.0.0", "[::1]", "::1"].contains(&host) {
            attrs.str("server.address", host);
        }
        attrs.str("server.port", port);
        attrs.str("url.scheme", scheme);
        write_labels(&self.about, attrs);
    }

    /// The point's own labels and the target's in one, sorted.
    fn place_labels(&self, labels: &mut Labels) {
        let reserved = |key: &str| {
            key == "job" || key == "instance" || self.identity.labels.iter().any(|(k, _)| k == key)
        };
        if !self.identity.honor_labels {
            for (key, _) in labels.iter_mut().filter(|(key, _)| reserved(key)) {
                *key = format!("exported_{key}");
            }
        }
        for (key, value) in &self.identity.labels {
            if !labels.iter().any(|(known, _)| known == key) {
                labels.push((key.clone(), value.clone()));
            }
        }
        labels.sort();
    }

    /// Writes a metric; returns how many of its series are new.
    fn write(&mut self, metric: &Metric, scraped: u64, out: &mut Metrics) -> usize {
        let mut added = 0;
        let honor = self.identity.honor_timestamps;
        let known = &mut self.known;
        with_points(out, metric, |points| {
            for point in &metric.points {
                let time = match point.time_ms {
                    Some(ms) if honor => u64::try_from(ms).unwrap_or(0).saturating_mul(1_000_000),
                    _ => scraped,
                };
                let last = counts_up(metric.kind, &point.value);
                let key = (metric.name.clone(), point.labels.clone());
                let known = known.entry(key).or_insert_with(|| {
                    added += 1;
                    Known { kind: metric.kind, start: time, last, seen: true }
                });
                if last < known.last {
                    known.start = time;
                }
                (known.last, known.seen, known.kind) = (last, true, metric.kind);
                let counting = !matches!(metric.kind, Kind::Gauge | Kind::Unknown);
                points.start(if counting { known.start } else { 0 });
                write_point(points, point, time);
            }
        });
        added
    }

    /// Marks what is gone, and forgets it.
    fn write_stale(&mut self, time: u64, out: &mut Metrics) {
        let mut gone: Vec<(SeriesKey, Kind)> = Vec::new();
        self.known.retain(|key, known| {
            if !known.seen {
                gone.push((key.clone(), known.kind));
            }
            known.seen
        });
        gone.sort_by(|a, b| a.0.cmp(&b.0));
        for ((name, labels), kind) in gone {
            let empty =
                Metric { name, kind, help: String::new(), unit: String::new(), points: Vec::new() };
            with_points(out, &empty, |points| {
                points.stale(time, |attrs| write_labels(&labels, attrs))
            });
        }
    }
}

/// What of a value never falls while its process lives.
fn counts_up(kind: Kind, value: &Value) -> f64 {
    match value {
        Value::Number(value) if kind == Kind::Counter => *value,
        Value::Number(_) => 0.0,
        Value::Histogram { count, .. } | Value::Summary { count, .. } => *count as f64,
    }
}

fn with_points(out: &mut Metrics, metric: &Metric, points: impl FnOnce(&mut Points<'_>)) {
    let Metric { name, kind, help, unit, .. } = metric;
    let unit = ucum(unit);
    match kind {
        Kind::Gauge | Kind::Unknown => out.gauge(name, unit, help, points),
        Kind::Counter => out.sum(name, unit, help, Temporality::Cumulative, true, points),
        Kind::Info | Kind::StateSet => {
            out.sum(name, unit, help, Temporality::Cumulative, false, points);
        }
        Kind::Histogram => out.histogram(name, unit, help, Temporality::Cumulative, points),
        Kind::Summary => out.summary(name, unit, help, points),
    }
}

fn write_point(points: &mut Points<'_>, point: &Point, time: u64) {
    let attrs = |attrs: &mut AttrWriter<'_>| write_labels(&point.labels, attrs);
    match &point.value {
        Value::Number(value) if value.to_bits() == STALE => points.stale(time, attrs),
        Value::Number(value) => points.double(time, *value, attrs),
        Value::Histogram { bounds, counts, sum, count } => {
            let value = Histogram {
                count: *count,
                sum: *sum,
                explicit_bounds: bounds,
                bucket_counts: counts,
                ..Histogram::default()
            };
            points.histogram(time, &value, attrs);
        }
        Value::Summary { quantiles, sum, count } => {
            let value = Summary { count: *count, sum: *sum, quantiles };
            points.summary(time, &value, attrs);
        }
    }
}

/// Bits of Prometheus' staleness marker.
const STALE: u64 = 0x7ff0_0000_0000_0002;

fn write_labels(labels: &Labels, attrs: &mut AttrWriter<'_>) {
    labels.iter().for_each(|(key, value)| attrs.str(key, value));
}

/// The UCUM code of a unit as OpenMetrics writes it.
fn ucum(unit: &str) -> &str {
    match unit {
        "seconds" => "s",
        "milliseconds" => "ms",
        "bytes" => "By",
        "ratio" => "1",
        "percent" => "%",
        "meters" => "m",
        "volts" => "V",
        "amperes" => "A",
        "joules" => "J",
        "watts" => "W",
        "grams" => "g",
        "celsius" => "Cel",
        "hertz" => "Hz",
        other => other,
    }
}
