// SPDX-License-Identifier: Apache-2.0
//! OTLP metrics as Prometheus series: one implementation for the store, remote write and the pull page.
//!
//! In: a metrics [`Payload`]. Out: calls on a [`Sink`]: `family` and `series` once for each metric
//! and label set met for the first time, then `sample` (or `histogram`) for each value, in the
//! payload's order, so that the samples of one series keep theirs. What a series resolves to (an id, encoded labels) is the
//! sink's; the [`Translator`] remembers it under the raw bytes of resource, scope, metric identity
//! and attributes, compared exactly: labels are decoded on a miss only.
//!
//! A point that cannot be translated is counted under its [`Refusal`] and costs no other point
//! anything. Bounds: [`Options::cache_bytes_max`]; beyond it the cache starts anew.
//! Source: OpenTelemetry specification, "Prometheus and OpenMetrics compatibility", and the
//! behaviour of the Go collector's translator.

mod cache;
mod exemplars;
mod labels;
mod names;
mod native;
mod points;
#[cfg(test)]
mod tests;

use otlp_wire::{ExemplarView, Payload};

pub use cache::Translator;
pub use exemplars::exemplar_labels;
pub use names::{NameContext, label_name, metric_name, number_label, unit_name};
pub use native::{CUSTOM_SCHEMA, NativeHistogram};

/// Prometheus' staleness marker: a NaN with this payload says that a series has ended.
pub const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

/// Which resource attributes become labels of each series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceLabels {
    /// None: they are in `target_info` only.
    None,
    /// All, as if they were the point's own, over which they win
    /// (`resource_to_telemetry_conversion`).
    All {
        /// Leaves out `service.name`, `service.namespace` and `service.instance.id`.
        without_service: bool,
    },
    /// Those whose key a pattern of `included` covers and none of `excluded`; `*` and `?` as in
    /// file names, no `included` = all. They win like `All` (`resource_constant_labels`).
    Matching {
        /// Patterns of keys.
        included: Vec<String>,
        /// Patterns of keys that stay out.
        excluded: Vec<String>,
    },
    /// Those listed, where the point has no such label; `service.*` covers all that begin so.
    Promoted(Vec<String>),
}

/// What is told of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeLabels {
    /// Nothing.
    None,
    /// `otel_scope_name`, `otel_scope_version` where there is one, and its attributes.
    Present,
    /// The same and `otel_scope_schema_url`, even where they are empty.
    Always,
}

/// How metrics are translated.
#[derive(Clone, Debug)]
pub struct Options {
    /// Append unit and type to names (`_bytes`, `_total`).
    pub suffixes: bool,
    /// Leave characters as they are instead of writing `_` for what old Prometheus does not take.
    pub utf8: bool,
    /// Put before each name.
    pub namespace: String,
    /// Resource attributes as labels.
    pub resource_labels: ResourceLabels,
    /// Give `environment` from `deployment.environment(.name)` where it is absent.
    pub fill_environment: bool,
    /// Scopes as labels.
    pub scope_labels: ScopeLabels,
    /// Attributes with an empty value become labels too.
    pub empty_labels: bool,
    /// Write `target_info`.
    pub target_info: bool,
    /// Labels for all series, where absent.
    pub external_labels: Vec<(String, String)>,
    /// `target_info` gets them too.
    pub external_labels_on_info: bool,
    /// Histograms with bounds become one native histogram with these bounds instead of a series for
    /// each bucket.
    pub custom_buckets: CustomBuckets,
    /// Pass deltas on (the sink adds them up) instead of refusing them.
    pub accept_deltas: bool,
    /// Most bytes the cache may hold; then it starts anew. 64 MiB: about 100,000 points of a dozen
    /// attributes.
    pub cache_bytes_max: usize,
}

/// Which histograms with bounds become one native histogram (schema -53).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CustomBuckets {
    /// None.
    Never,
    /// Those that were one already, or that a scrape was to make one: with [`otlp_wire::NHCB`] in their metadata.
    Marked,
    /// All.
    Always,
}

impl Options {
    /// As the embedded store keeps series; the identity of everything stored depends on it.
    pub fn for_store() -> Self {
        let promoted = [
            "service.*",
            "deployment.environment",
            "deployment.environment.name",
            "environment",
            "data_plane_id",
            "host.name",
            "k8s.namespace.name",
            "k8s.deployment.name",
            "k8s.pod.name",
        ];
        Options {
            resource_labels: ResourceLabels::Promoted(promoted.map(str::to_owned).to_vec()),
            fill_environment: true,
            accept_deltas: true,
            // As many points as series fit: each at 200 to 300 bytes.
            cache_bytes_max: 256 << 20,
            ..Options::for_remote_write()
        }
    }

    /// As the Go collector's remote write exporter does by default.
    pub fn for_remote_write() -> Self {
        Options {
            suffixes: true,
            utf8: false,
            namespace: String::new(),
            resource_labels: ResourceLabels::None,
            fill_environment: false,
            scope_labels: ScopeLabels::Present,
            empty_labels: false,
            target_info: true,
            external_labels: Vec::new(),
            external_labels_on_info: true,
            accept_deltas: false,
            custom_buckets: CustomBuckets::Marked,
            cache_bytes_max: 64 << 20,
        }
    }

    /// As the Go collector's pull page does by default.
    pub fn for_page() -> Self {
        Options {
            scope_labels: ScopeLabels::Always,
            empty_labels: true,
            external_labels_on_info: false,
            accept_deltas: true,
            custom_buckets: CustomBuckets::Never,
            ..Options::for_remote_write()
        }
    }
}

/// Prometheus' metric types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricKind {
    /// Goes up and down.
    Gauge,
    /// Goes up, or starts anew.
    Counter,
    /// `_bucket`, `_sum` and `_count`, or a native histogram.
    Histogram,
    /// Quantiles, `_sum` and `_count`.
    Summary,
}

impl MetricKind {
    /// As in Prometheus' metadata.
    pub fn name(self) -> &'static str {
        match self {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Histogram => "histogram",
            MetricKind::Summary => "summary",
        }
    }
}

/// What is known about a metric family.
#[derive(Clone, Copy, Debug)]
pub struct Family<'a> {
    /// Name without `_bucket`, `_sum`, `_count`.
    pub name: &'a str,
    /// The same without unit and type appended, as older collectors named it.
    pub plain: &'a str,
    /// Type.
    pub kind: MetricKind,
    /// Unit as Prometheus writes it.
    pub unit: &'a str,
    /// Description.
    pub help: &'a str,
}

/// When a value was taken and how it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// When it was taken, Unix milliseconds.
    pub time_ms: i64,
    /// When it started counting, Unix milliseconds; 0 = unknown.
    pub start_ms: i64,
    /// It counts since the sample before instead of since the start.
    pub delta: bool,
    /// It was 0 at its start: counters, histograms, the counts and sums of summaries.
    pub from_zero: bool,
}

/// Where translated series go.
pub trait Sink {
    /// What a family resolves to.
    type Family;
    /// What a label set resolves to.
    type Series;

    /// Tells about a family, once for each metric before its first series (and again after the
    /// cache started anew).
    fn family(&mut self, family: Family<'_>) -> Self::Family;

    /// Resolves a label set, `__name__` included, sorted by name; empty values only if
    /// [`Options::empty_labels`]. Called again for a known one after the cache started anew.
    ///
    /// # Errors
    /// The reason why there will be no such series; remembered like a success.
    fn series(
        &mut self,
        family: &Self::Family,
        labels: &[(&str, &str)],
    ) -> Result<Self::Series, Refusal>;

    /// One value of a series; [`STALE`] when it has ended.
    fn sample(&mut self, series: &Self::Series, stamp: Stamp, value: f64);

    /// One native histogram of a series.
    fn histogram(&mut self, series: &Self::Series, stamp: Stamp, histogram: NativeHistogram);

    /// A point is through: its values have been passed, or some were refused by the translation.
    fn point(&mut self, outcome: Result<(), Refusal>) {
        let _ = outcome;
    }

    /// An exemplar of the value (or the bucket) that is passed next.
    fn exemplar(&mut self, exemplar: ExemplarView<'_>) {
        let _ = exemplar;
    }
}

/// Why a point or a sample was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No valid character is left of the metric's name.
    MetricName,
    /// An attribute has an empty key.
    LabelName,
    /// The metric holds no data of a known type, or the point no value.
    NoData,
    /// The temporality is unspecified, or delta where only cumulative is taken.
    Temporality,
    /// Counts and bounds of a histogram do not fit together.
    Buckets,
    /// An exponential histogram is coarser than Prometheus can hold.
    Scale,
    /// The most series are there already.
    SeriesLimit,
    /// Another metric of the same name has another type.
    TypeConflict,
    /// The series would have too many labels.
    LabelsLimit,
    /// A label's name or value is too long.
    LabelLength,
    /// Older than the out-of-order window.
    TooOld,
    /// Too far in the future.
    TooNew,
    /// Another value is there at the same time.
    Conflict,
}

impl Refusal {
    /// All reasons, in the order of [`Refused`].
    pub const ALL: [Refusal; 13] = [
        Refusal::MetricName,
        Refusal::LabelName,
        Refusal::NoData,
        Refusal::Temporality,
        Refusal::Buckets,
        Refusal::Scale,
        Refusal::SeriesLimit,
        Refusal::TypeConflict,
        Refusal::LabelsLimit,
        Refusal::LabelLength,
        Refusal::TooOld,
        Refusal::TooNew,
        Refusal::Conflict,
    ];

    /// Short name, used as a metric label.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::MetricName => "metric_name",
            Refusal::LabelName => "label_name",
            Refusal::NoData => "no_data",
            Refusal::Temporality => "temporality",
            Refusal::Buckets => "buckets",
            Refusal::Scale => "scale",
            Refusal::SeriesLimit => "series_limit",
            Refusal::TypeConflict => "type_conflict",
            Refusal::LabelsLimit => "labels_limit",
            Refusal::LabelLength => "label_length",
            Refusal::TooOld => "too_old",
            Refusal::TooNew => "too_new",
            Refusal::Conflict => "conflict",
        }
    }
}

impl Refusal {
    /// What it means, for whoever sent the data.
    pub fn meaning(self) -> &'static str {
        match self {
            Refusal::MetricName => "metric without a usable name",
            Refusal::LabelName => "attribute with an empty key",
            Refusal::NoData => "no value",
            Refusal::Temporality => "temporality not taken",
            Refusal::Buckets => "counts and bounds do not fit",
            Refusal::Scale => "histogram too coarse",
            Refusal::SeriesLimit => "too many series",
            Refusal::LabelsLimit => "too many labels",
            Refusal::LabelLength => "label too long",
            Refusal::TooOld => "too old",
            Refusal::TooNew => "too far in the future",
            Refusal::Conflict => "another value at the same time",
            Refusal::TypeConflict => "another type under the same name",
        }
    }
}

/// Counts by [`Refusal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused([u64; Refusal::ALL.len()]);

impl Refused {
    /// Counts `count` more.
    pub fn add(&mut self, reason: Refusal, count: u64) {
        self.0[reason as usize] += count;
    }

    /// Adds all counts of `other`.
    pub fn merge(&mut self, other: &Refused) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// The count of one reason.
    pub fn get(&self, reason: Refusal) -> u64 {
        self.0[reason as usize]
    }

    /// The sum.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Reasons with their counts, zeros left out.
    pub fn iter(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }
}

/// What a translation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Data points translated.
    pub points: u64,
    /// Points whose series were not in the cache.
    pub misses: u64,
    /// Points not translated, or some of whose series the sink refused.
    pub refused: Refused,
}

impl<F, S> Translator<F, S> {
    /// Translates all metrics of a payload; nothing for other signals.
    pub fn translate(
        &mut self,
        payload: &Payload,
        sink: &mut impl Sink<Family = F, Series = S>,
    ) -> Report {
        let mut report = Report::default();
        if payload.signal() == otlp_wire::Signal::Metrics {
            for resource in payload.metrics() {
                self.translate_resource(resource, sink, &mut report);
            }
        }
        report
    }
}
