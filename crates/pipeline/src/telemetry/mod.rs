// SPDX-License-Identifier: Apache-2.0
//! What the process tells about itself.
//!
//! A component registers its instruments once, with their labels, when it is built, and keeps the
//! handles; registering the same name and labels again gives the same instrument. Only
//! registering and rendering take the lock. Names are full names: the collector's own without
//! `_total` and units, as the Go collector shows them by default (`otelcol_*`), and ours
//! (`foreglow_*`).
//!
//! Bounds: [`SERIES_MAX`] label sets a name; further ones share one series that says so.
//! Source: reference of the Go collector's self-metrics; Prometheus text format 0.0.4.

mod calls;
mod instruments;
mod meters;
mod otlp;
mod process;
mod render;
mod server;
mod spans;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

pub use calls::{CallMeter, Ended, grpc_code_name};
pub use instruments::{Counter, Gauge, Histogram, Reading};
pub use meters::{
    BatchMeter, ExporterMeter, GateMeter, ProcessorMeter, QueueMeter, ReceiverMeter, ScraperMeter,
};
pub use process::register_process;
pub use server::{MetricsServer, serve_metrics};
pub(crate) use spans::Followed;
pub use spans::{OwnSpan, Spans};

/// Label sets one name may have: more than any configuration has components, few enough that a
/// mistake (a label with unbounded values) costs megabytes at most.
pub const SERIES_MAX: usize = 4096;

/// Bounds in seconds for latencies from 0.5 ms to 1 min.
pub const SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    60.0,
];

/// The registry of one process; clone = refcount.
#[derive(Clone, Default)]
pub struct Telemetry(Arc<Registry>);

#[derive(Default)]
struct Registry {
    families: Mutex<BTreeMap<&'static str, Family>>,
    detailed: AtomicBool,
}

/// All series of one name.
struct Family {
    kind: Type,
    help: &'static str,
    series: BTreeMap<LabelSet, Value>,
}

/// Labels sorted by name.
pub type Labels = Vec<(&'static str, String)>;
type LabelSet = Labels;

/// Prometheus' types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Clone)]
enum Value {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
    /// Read when the page is; shown when there is something to read.
    Computed(Arc<dyn Fn() -> Option<f64> + Send + Sync>),
}

impl Telemetry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether what costs time to count is counted: `service.telemetry.metrics.level: detailed`.
    /// Components ask when they are built.
    pub fn set_detailed(&self, detailed: bool) {
        self.0.detailed.store(detailed, Ordering::Relaxed);
    }

    /// See [`Telemetry::set_detailed`].
    pub fn is_detailed(&self) -> bool {
        self.0.detailed.load(Ordering::Relaxed)
    }

    /// The counter `name` with `labels`.
    pub fn counter(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Counter {
        let made = || Value::Counter(Counter::default());
        match self.register(name, help, Type::Counter, labels, made) {
            Some(Value::Counter(counter)) => counter,
            _ => Counter::default(),
        }
    }

    /// The gauge `name` with `labels`.
    pub fn gauge(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
    ) -> Gauge {
        let made = || Value::Gauge(Gauge::default());
        match self.register(name, help, Type::Gauge, labels, made) {
            Some(Value::Gauge(gauge)) => gauge,
            _ => Gauge::default(),
        }
    }

    /// The histogram `name` with `labels`, over ascending `bounds`.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        bounds: &[f64],
    ) -> Histogram {
        let made = || Value::Histogram(Histogram::new(bounds));
        match self.register(name, help, Type::Histogram, labels, made) {
            Some(Value::Histogram(histogram)) => histogram,
            _ => Histogram::new(bounds),
        }
    }

    /// A gauge whose value is asked for when the page is read; a second one replaces the first.
    pub fn gauge_from(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.computed(name, help, Type::Gauge, labels, Arc::new(move || Some(read())));
    }

    /// A counter kept elsewhere, asked for when the page is read; a second one replaces the first.
    pub fn counter_from(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.computed(name, help, Type::Counter, labels, Arc::new(move || Some(read())));
    }

    /// As [`Telemetry::counter_from`], not shown as long as it reads `None`.
    pub(crate) fn counter_if(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        read: impl Fn() -> Option<f64> + Send + Sync + 'static,
    ) {
        self.computed(name, help, Type::Counter, labels, Arc::new(read));
    }

    /// The value of the counter or gauge `name` with exactly `labels`, in any order.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let mut wanted: Vec<_> = labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        wanted.sort();
        let families = self.0.families.lock();
        let found = families.get(name)?.series.iter().find(|(have, _)| **have == wanted)?.1.clone();
        drop(families);
        match found {
            Value::Counter(counter) => Some(counter.get() as f64),
            Value::Gauge(gauge) => Some(gauge.get()),
            Value::Histogram(histogram) => Some(histogram.read().count as f64),
            Value::Computed(read) => read(),
        }
    }

    /// Every series of `name` that has a value now, except of histograms.
    pub fn series(&self, name: &str) -> Vec<(Labels, f64)> {
        let read = |value: &Value| match value {
            Value::Counter(counter) => Some(counter.get() as f64),
            Value::Gauge(gauge) => Some(gauge.get()),
            Value::Histogram(_) => None,
            Value::Computed(read) => read(),
        };
        let all = self.of(name).into_iter();
        all.filter_map(|(labels, value)| Some((labels, read(&value)?))).collect()
    }

    /// Every histogram of `name`.
    pub fn histograms(&self, name: &str) -> Vec<(Labels, Reading)> {
        let read = |value: Value| match value {
            Value::Histogram(histogram) => Some(histogram.read()),
            _ => None,
        };
        let all = self.of(name).into_iter();
        all.filter_map(|(labels, value)| Some((labels, read(value)?))).collect()
    }

    /// Taken out, so that a computed value may register things itself.
    fn of(&self, name: &str) -> Vec<(Labels, Value)> {
        let families = self.0.families.lock();
        let series = families.get(name).map(|family| &family.series).into_iter().flatten();
        series.map(|(labels, value)| (labels.clone(), value.clone())).collect()
    }

    fn computed(
        &self,
        name: &'static str,
        help: &'static str,
        kind: Type,
        labels: &[(&'static str, &str)],
        read: Arc<dyn Fn() -> Option<f64> + Send + Sync>,
    ) {
        let mut families = self.0.families.lock();
        let family = families.entry(name).or_insert_with(|| Family::new(kind, help));
        if let Some(key) = family.key(labels) {
            family.series.insert(key, Value::Computed(read));
        }
    }

    /// The series of `labels`, made if it is new; `None` if `name` is of another type, which is a
    /// mistake of ours: the caller then counts where nobody looks instead of failing.
    fn register(
        &self,
        name: &'static str,
        help: &'static str,
        kind: Type,
        labels: &[(&'static str, &str)],
        made: impl FnOnce() -> Value,
    ) -> Option<Value> {
        let mut families = self.0.families.lock();
        let family = families.entry(name).or_insert_with(|| Family::new(kind, help));
        if family.kind != kind {
            tracing::error!(name, "metric registered with two types");
            return None;
        }
        let key = family.key(labels).unwrap_or_else(overflow);
        Some(family.series.entry(key).or_insert_with(made).clone())
    }
}

impl Family {
    fn new(kind: Type, help: &'static str) -> Self {
        Family { kind, help, series: BTreeMap::new() }
    }

    /// `labels` as a key, `None` when they are new and the family is full.
    fn key(&self, labels: &[(&'static str, &str)]) -> Option<LabelSet> {
        let mut key: LabelSet = labels.iter().map(|(k, v)| (*k, (*v).to_owned())).collect();
        key.sort();
        (self.series.len() < SERIES_MAX || self.series.contains_key(&key)).then_some(key)
    }
}

/// The series of all label sets beyond [`SERIES_MAX`], named as OpenTelemetry names it.
fn overflow() -> LabelSet {
    vec![("otel_metric_overflow", "true".to_owned())]
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Telemetry")
    }
}
