// SPDX-License-Identifier: Apache-2.0
//! Shared by the tests: processors from YAML, payloads, and what came out.

mod config;
mod embedded;
mod joined;
mod naming;
mod remote;
mod series;
mod stage;

use super::*;
use basics::clock::UnixNano;
use otlp_wire::PointView;
use otlp_wire::write::Metrics as Writer;
use std::collections::BTreeMap;

pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const T0: UnixNano = 1_790_000_000 * SECOND;

/// A processor with its registry.
pub(super) struct Subject {
    pub stage: Inference,
    pub telemetry: Telemetry,
    pub clock: Clock,
}

pub(super) fn config(yaml: &str) -> Config {
    pipeline::config::from_yaml(yaml).unwrap_or_else(|e| panic!("{e}"))
}

pub(super) fn subject(yaml: &str) -> Subject {
    let (telemetry, clock) = (Telemetry::new(), Clock::manual(T0));
    let stage = Inference::new(&config(yaml), &telemetry, clock.clone()).unwrap();
    Subject { stage, telemetry, clock }
}

/// A result point.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    /// `resource text | metric{attributes}`, model attributes left out.
    pub series: String,
    pub time: UnixNano,
    pub value: Number,
}

pub(super) use otlp_wire::Number;

impl Subject {
    pub fn take(&mut self, payload: &Payload) -> Vec<Point> {
        self.take_as(payload, false)
    }

    pub fn take_as(&mut self, payload: &Payload, replay: bool) -> Vec<Point> {
        let meta = Arc::new(Meta { replay, ..Meta::default() });
        self.stage.observe(payload, &meta).map_or_else(Vec::new, |out| points(&out))
    }

    pub fn skipped(&self, rule: &str, reason: &str) -> f64 {
        let labels = [("rule", rule), ("reason", reason)];
        self.telemetry.value("foreglow_inference_skipped_total", &labels).unwrap_or(-1.0)
    }

    pub fn requests(&self, rule: &str, model: &str, outcome: &str) -> f64 {
        let labels = [("rule", rule), ("model", model), ("outcome", outcome)];
        self.telemetry.value("foreglow_inference_requests_total", &labels).unwrap_or(-1.0)
    }
}

fn attrs_text(attrs: otlp_wire::Attrs<'_>) -> String {
    let ours = |key: &str| key.starts_with("otel.inference.model.");
    let all: BTreeMap<String, String> = attrs
        .iter()
        .filter(|(key, _)| !ours(key))
        .map(|(key, value)| (key.to_owned(), value.text().into_owned()))
        .collect();
    let list: Vec<String> = all.iter().map(|(key, value)| format!("{key}={value}")).collect();
    list.join(",")
}

/// All number points of a payload, in order.
pub(super) fn points(payload: &Payload) -> Vec<Point> {
    // What we write must be what anyone would admit.
    Payload::admit(Signal::Metrics, payload.bytes().clone()).unwrap();
    let mut list = Vec::new();
    for resource in payload.metrics() {
        for metric in resource.scopes().flat_map(|scope| scope.metrics()) {
            for point in numbers(metric.data()).unwrap() {
                list.push(Point {
                    series: format!(
                        "{} | {}{{{}}}",
                        attrs_text(resource.attrs()),
                        metric.name(),
                        attrs_text(point.attrs())
                    ),
                    time: point.time(),
                    value: point.value().unwrap(),
                });
            }
        }
    }
    list
}

/// Only series and value, sorted: for tests to which order does not matter.
pub(super) fn values(points: &[Point]) -> Vec<(String, f64)> {
    let mut list: Vec<_> = points.iter().map(|p| (p.series.clone(), p.value.as_f64())).collect();
    list.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    list
}

pub(super) fn pairs(expected: &[(&str, f64)]) -> Vec<(String, f64)> {
    expected.iter().map(|(series, value)| ((*series).to_owned(), *value)).collect()
}

/// A payload of gauges: (host, metric, attributes `k=v,k=v`, seconds after T0, value).
pub(super) fn payload(list: &[(&str, &str, &str, u64, f64)]) -> Payload {
    let mut writer = Writer::new();
    let mut last = None;
    for (host, metric, attrs, seconds, value) in list {
        if last != Some(*host) {
            writer.resource(|r| r.str("host.name", host));
            writer.scope("test", "1");
            last = Some(host);
        }
        writer.gauge(metric, "", "", |points| {
            points.double(T0 + seconds * SECOND, *value, |to| {
                for pair in attrs.split(',').filter(|pair| !pair.is_empty()) {
                    let (key, value) = pair.split_once('=').unwrap();
                    to.str(key, value);
                }
            });
        });
    }
    writer.finish()
}
