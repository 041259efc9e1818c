// SPDX-License-Identifier: Apache-2.0
//! Own metrics as one OTLP request, for `service.telemetry.metrics.readers: [periodic]`.
//!
//! Counters become monotonic cumulative sums, histograms explicit ones; names are those of the
//! page without suffixes. What a computed value does not have is left out.

use otlp_wire::view::Temporality;
use otlp_wire::{Payload, write};

use super::{LabelSet, Telemetry, Type, Value};

impl Telemetry {
    /// Everything as it is at `now`, counted since `start` (both Unix nanoseconds), told by a
    /// process with the attributes `resource`.
    pub fn to_otlp(&self, resource: &[(String, String)], start: u64, now: u64) -> Payload {
        let families: Vec<_> = self
            .0
            .families
            .lock()
            .iter()
            .map(|(name, family)| {
                let series = family.series.iter().map(|(l, v)| (l.clone(), v.clone()));
                (*name, family.kind, family.help, series.collect::<Vec<_>>())
            })
            .collect();
        let mut out = write::Metrics::new();
        out.resource(|attrs| resource.iter().for_each(|(key, value)| attrs.str(key, value)));
        out.scope("foreglow", env!("CARGO_PKG_VERSION"));
        for (name, kind, help, series) in families {
            let points = |points: &mut write::Points<'_>| {
                points.start(start);
                series.iter().for_each(|(labels, value)| point(points, now, labels, value));
            };
            match kind {
                Type::Counter => {
                    out.sum(name, "", help, Temporality::Cumulative, true, points);
                }
                Type::Gauge => out.gauge(name, "", help, points),
                Type::Histogram => out.histogram(name, "", help, Temporality::Cumulative, points),
            }
        }
        out.finish()
    }
}

fn point(points: &mut write::Points<'_>, now: u64, labels: &LabelSet, value: &Value) {
    let attrs = |attrs: &mut write::AttrWriter<'_>| {
        labels.iter().for_each(|(key, value)| attrs.str(key, value));
    };
    match value {
        Value::Counter(counter) => {
            points.int(now, i64::try_from(counter.get()).unwrap_or(i64::MAX), attrs);
        }
        Value::Gauge(gauge) => points.double(now, gauge.get(), attrs),
        Value::Computed(read) => {
            if let Some(value) = read() {
                points.double(now, value, attrs);
            }
        }
        Value::Histogram(histogram) => {
            let reading = histogram.read();
            let bounds: Vec<f64> = reading.cumulative.iter().map(|(bound, _)| *bound).collect();
            let mut below = 0;
            let counts: Vec<u64> = reading
                .cumulative
                .iter()
                .map(|(_, count)| count - std::mem::replace(&mut below, *count))
                .collect();
            let spread = write::Histogram {
                count: reading.count,
                sum: Some(reading.sum),
                explicit_bounds: bounds.split_last().map_or(&[], |(_, finite)| finite),
                bucket_counts: &counts,
                ..write::Histogram::default()
            };
            points.histogram(now, &spread, attrs);
        }
    }
}
