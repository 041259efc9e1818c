// SPDX-License-Identifier: Apache-2.0
//! Documents of metrics: points that share everything but their name are one document.
//!
//! In mode `otel`: same resource, scope, time, start, unit and attributes; in `ecs`: same
//! attributes of resource and point, and time. Identity is a 128-bit hash of the encoded
//! attributes, whatever their order. Histograms become counts and mid-points, summaries their sum
//! and count. What has no document is counted with its reason: cumulative histograms, values that
//! are no number, a name that the document has already.
//! Source: the collector's elasticsearchexporter, exporter.go and internal/datapoints.

use hashbrown::HashMap;
use otlp_wire::{
    Attrs, Buckets, Data, ExponentialHistogramPoint, HistogramPoint, MetricView, Number,
    NumberPoint, PointView, ResourceView, ScopeView, SummaryPoint, Temporality,
};
use xxhash_rust::xxh3::xxh3_128;
use xxhash_rust::xxh64::Xxh64;

use super::encode::{Report, Way};
use super::json::{self, Object};
use super::route::{Hints, is_control};
use super::{Mode, ecs, otel};

/// A point of any type.
#[derive(Clone, Copy)]
pub(super) enum Point<'a> {
    Number(NumberPoint<'a>),
    Histogram(HistogramPoint<'a>),
    Exponential(ExponentialHistogramPoint<'a>),
    Summary(SummaryPoint<'a>),
}

impl<'a> Point<'a> {
    pub fn attrs(&self) -> Attrs<'a> {
        match self {
            Point::Number(point) => point.attrs(),
            Point::Histogram(point) => point.attrs(),
            Point::Exponential(point) => point.attrs(),
            Point::Summary(point) => point.attrs(),
        }
    }

    fn times(&self) -> (u64, u64) {
        match self {
            Point::Number(point) => (point.start(), point.time()),
            Point::Histogram(point) => (point.start(), point.time()),
            Point::Exponential(point) => (point.start(), point.time()),
            Point::Summary(point) => (point.start(), point.time()),
        }
    }

    fn count(&self) -> u64 {
        match self {
            Point::Number(_) => 1,
            Point::Histogram(point) => point.count(),
            Point::Exponential(point) => point.count(),
            Point::Summary(point) => point.count(),
        }
    }
}

/// Every point of `metric`; false for types that have no place in Elasticsearch.
pub(super) fn each<'a>(metric: &MetricView<'a>, mut take: impl FnMut(Point<'a>)) -> bool {
    match metric.data() {
        Data::Empty => {}
        Data::Gauge { points } | Data::Sum { points, .. } => {
            points.for_each(|point| take(Point::Number(point)));
        }
        Data::Histogram { temporality: Temporality::Cumulative, .. }
        | Data::ExponentialHistogram { temporality: Temporality::Cumulative, .. } => return false,
        Data::Histogram { points, .. } => points.for_each(|point| take(Point::Histogram(point))),
        Data::ExponentialHistogram { points, .. } => {
            points.for_each(|point| take(Point::Exponential(point)));
        }
        Data::Summary { points } => points.for_each(|point| take(Point::Summary(point))),
    }
    true
}

/// Where the points of a group came from.
#[derive(Clone, Copy)]
pub(super) struct Origin<'a> {
    pub mode: Mode,
    pub resource: ResourceView<'a>,
    pub scope: ScopeView<'a>,
    /// Number of its way.
    pub way: usize,
    /// [`identity`] of both.
    pub identity: u128,
}

/// One document to be.
struct Group<'a> {
    origin: Origin<'a>,
    points: Vec<(MetricView<'a>, Point<'a>, Hints)>,
}

/// The documents of a batch, in order of their first points.
#[derive(Default)]
pub(super) struct Groups<'a> {
    groups: Vec<Group<'a>>,
    by_identity: HashMap<(usize, u128), usize>,
}

/// What resource and scope add to the identity of a document.
pub(super) fn identity(mode: Mode, resource: &ResourceView<'_>, scope: &ScopeView<'_>) -> u128 {
    let of_resource = sum(&resource.attrs());
    match mode {
        // Scopes are not dimensions there.
        Mode::Ecs => of_resource,
        _ => {
            let of_scope = sum(&scope.attrs()).wrapping_add(xxh3_128(scope.name().as_bytes()));
            of_resource.wrapping_mul(3).wrapping_add(of_scope.wrapping_mul(5))
        }
    }
}

/// A hash of the attributes that make a document's identity, whatever their order.
fn sum(attrs: &Attrs<'_>) -> u128 {
    let own = attrs.each().filter(|attr| !is_control(attr.key_bytes()));
    own.fold(0, |sum, attr| sum.wrapping_add(xxh3_128(attr.raw())))
}

impl<'a> Groups<'a> {
    /// Puts a point into its document.
    pub fn add(
        &mut self,
        origin: Origin<'a>,
        metric: MetricView<'a>,
        point: Point<'a>,
        hints: Hints,
    ) {
        let (start, time) = point.times();
        let mut rest = [0; 16];
        rest[..8].copy_from_slice(&time.to_le_bytes());
        let mut identity = origin.identity.wrapping_add(sum(&point.attrs()).wrapping_mul(7));
        if origin.mode != Mode::Ecs {
            rest[8..].copy_from_slice(&start.to_le_bytes());
            identity = identity.wrapping_add(xxh3_128(metric.unit().as_bytes()).wrapping_mul(11));
        }
        identity = identity.wrapping_add(xxh3_128(&rest).wrapping_mul(13));
        let next = self.groups.len();
        let at = *self.by_identity.entry((origin.way, identity)).or_insert(next);
        if at == next {
            self.groups.push(Group { origin, points: Vec::new() });
        }
        self.groups[at].points.push((metric, point, hints));
    }

    /// Hands over each document: its way, its dynamic templates (`"metrics.a":"gauge_long",..`),
    /// its JSON and how many points it holds.
    pub fn write(
        &self,
        ways: &[Way],
        report: &mut Report,
        mut document: impl FnMut(&Way, &[u8], &[u8], u32),
    ) {
        let (mut out, mut templates) = (Vec::new(), Vec::new());
        for group in &self.groups {
            out.clear();
            templates.clear();
            let way = &ways[group.origin.way];
            let points = match group.origin.mode {
                Mode::Ecs => group.write_ecs(way, &mut out, &mut templates, report),
                _ => group.write_otel(way, &mut out, &mut templates, report),
            };
            if points > 0 {
                document(way, &templates, &out, points);
            }
        }
    }
}

impl<'a> Group<'a> {
    fn write_otel(
        &self,
        way: &Way,
        out: &mut Vec<u8>,
        templates: &mut Vec<u8>,
        report: &mut Report,
    ) -> u32 {
        let Some((metric, first, _)) = self.points.first() else { return 0 };
        let (start, time) = first.times();
        let mut object = Object::open(out);
        json::unsigned(object.literal("\"@timestamp\":"), time / 1_000_000);
        object.count("\"start_timestamp\":", start / 1_000_000);
        object.text("\"unit\":", metric.unit());
        object.members(&way.stream);
        otel::attributes(&mut object, &first.attrs(), None, true);
        object.members(&otel::tail(&self.origin.resource, &self.origin.scope, true));
        let mut values = Object::open(object.literal("\"metrics\":"));
        let found = self.values("metrics.", Mode::Otel, templates, report);
        for (name, json) in &found {
            values.key(name).extend_from_slice(json);
        }
        values.close();
        object.count("\"_doc_count\":", self.doc_count());
        let mut names: Vec<&str> = found.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        let mut hash = Xxh64::new(0);
        names.iter().for_each(|name| hash.update(name.as_bytes()));
        object.text("\"_metric_names_hash\":", &format!("{:x}", hash.digest()));
        object.close();
        found.len() as u32
    }

    fn write_ecs(
        &self,
        way: &Way,
        out: &mut Vec<u8>,
        templates: &mut Vec<u8>,
        report: &mut Report,
    ) -> u32 {
        let Some((_, first, _)) = self.points.first() else { return 0 };
        let found = self.values("", Mode::Ecs, templates, report);
        let points = found.len() as u32;
        let more = (&way.index, self.doc_count());
        ecs::points(out, &self.origin.resource, &first.attrs(), first.times().1, found, more);
        points
    }

    /// Names and values, and the templates that map them.
    fn values(
        &self,
        prefix: &str,
        mode: Mode,
        templates: &mut Vec<u8>,
        report: &mut Report,
    ) -> Vec<(&'a str, Vec<u8>)> {
        let mut found: Vec<(&'a str, Vec<u8>)> = Vec::with_capacity(self.points.len());
        for (metric, point, hints) in &self.points {
            let name = metric.name();
            if found.iter().any(|(other, _)| *other == name) {
                report.add(1, "a metric of this name is in the document already");
                continue;
            }
            let mut json = Vec::new();
            if let Err(reason) = value(&mut json, point, *hints) {
                report.add(1, reason);
                continue;
            }
            if !templates.is_empty() {
                templates.push(b',');
            }
            templates.push(b'"');
            json::escaped(templates, prefix);
            json::escaped(templates, name);
            templates.extend_from_slice(b"\":\"");
            templates.extend_from_slice(template(metric, point, *hints, mode).as_bytes());
            templates.push(b'"');
            found.push((name, json));
        }
        found
    }

    fn doc_count(&self) -> u64 {
        let mut counted = self.points.iter().filter(|(_, _, hints)| hints.doc_count);
        counted.next_back().map_or(0, |(_, point, _)| point.count())
    }
}

/// The name of the dynamic template by which Elasticsearch maps the value.
fn template(metric: &MetricView<'_>, point: &Point<'_>, hints: Hints, mode: Mode) -> &'static str {
    let ecs = mode == Mode::Ecs;
    let pick = |otel, of_ecs| if ecs { of_ecs } else { otel };
    match point {
        Point::Summary(_) => pick("summary", "summary_metrics"),
        Point::Histogram(_) | Point::Exponential(_) if hints.aggregate => {
            pick("summary", "summary_metrics")
        }
        Point::Histogram(_) | Point::Exponential(_) => pick("histogram", "histogram_metrics"),
        Point::Number(_) if ecs => "double_metrics",
        Point::Number(number) => {
            let counts = matches!(
                metric.data(),
                Data::Sum { monotonic: true, temporality: Temporality::Cumulative, .. }
            );
            match (counts, number.value()) {
                (true, Some(Number::Int(_))) => "counter_long",
                (true, _) => "counter_double",
                (false, Some(Number::Int(_))) => "gauge_long",
                (false, _) => "gauge_double",
            }
        }
    }
}

fn value(out: &mut Vec<u8>, point: &Point<'_>, hints: Hints) -> Result<(), &'static str> {
    match point {
        Point::Number(point) => match point.value() {
            Some(Number::Int(number)) => json::signed(out, number),
            Some(Number::Double(number)) if number.is_finite() => json::double(out, number),
            Some(Number::Double(_)) => return Err("the value is NaN or infinite"),
            None => return Err("the point has no value"),
        },
        Point::Summary(point) => aggregate(out, point.sum(), point.count()),
        Point::Histogram(point) if hints.aggregate => {
            aggregate(out, point.sum().unwrap_or_default(), point.count());
        }
        Point::Exponential(point) if hints.aggregate => {
            aggregate(out, point.sum().unwrap_or_default(), point.count());
        }
        Point::Histogram(point) => histogram(out, point, hints.raw)?,
        Point::Exponential(point) => distribution(out, &exponential(point, hints.raw)),
    }
    Ok(())
}

fn aggregate(out: &mut Vec<u8>, sum: f64, count: u64) {
    let mut object = Object::open(out);
    json::double(object.literal("\"sum\":"), sum);
    json::unsigned(object.literal("\"value_count\":"), count);
    object.close();
}

/// Counts with the values that stand for them.
fn distribution(out: &mut Vec<u8>, buckets: &[(u64, f64)]) {
    let mut object = Object::open(out);
    let counts = buckets.iter().map(|(count, _)| *count);
    json::array(object.literal("\"counts\":"), counts, json::unsigned);
    let values = buckets.iter().map(|(_, value)| *value);
    json::array(object.literal("\"values\":"), values, json::double);
    object.close();
}

fn histogram(out: &mut Vec<u8>, point: &HistogramPoint<'_>, raw: bool) -> Result<(), &'static str> {
    let bounds: Vec<f64> = point.explicit_bounds().collect();
    let counts: Vec<u64> = point.bucket_counts().collect();
    if !counts.is_empty() && counts.len() != bounds.len() + 1 {
        return Err("a histogram needs one more count than bounds");
    }
    let mut buckets: Vec<(u64, f64)> = Vec::with_capacity(counts.len());
    if bounds.is_empty() && point.count() > 0 {
        let mean = point.sum().unwrap_or_default() / point.count() as f64;
        buckets.push((point.count(), mean));
    }
    let counted = if bounds.is_empty() { 0 } else { counts.len() };
    for (at, count) in counts[..counted].iter().enumerate().filter(|(_, count)| **count > 0) {
        let value = match (at, raw) {
            // The open bucket would have the value of the one before it.
            (at, true) if at == bounds.len() => {
                if let Some(last) = buckets.last_mut() {
                    last.0 += count;
                }
                continue;
            }
            (at, true) => bounds[at],
            (0, false) => {
                if bounds[0] > 0.0 {
                    bounds[0] / 2.0
                } else {
                    bounds[0]
                }
            }
            (at, false) if at == bounds.len() => bounds[at - 1],
            (at, false) => bounds[at - 1] + (bounds[at] - bounds[at - 1]) / 2.0,
        };
        buckets.push((*count, value));
    }
    distribution(out, &buckets);
    Ok(())
}

fn exponential(point: &ExponentialHistogramPoint<'_>, raw: bool) -> Vec<(u64, f64)> {
    let scale = point.scale();
    let between = |low: f64, high: f64| if raw { high } else { low + (high - low) / 2.0 };
    let filled = |buckets: &Buckets<'_>| -> Vec<(i32, u64)> {
        let offset = buckets.offset();
        let counts = buckets.counts().enumerate().filter(|(_, count)| *count > 0);
        counts.map(|(at, count)| (offset.saturating_add(at as i32), count)).collect()
    };
    let mut out = Vec::new();
    for (index, count) in filled(&point.negative()).into_iter().rev() {
        out.push((count, between(-bound(index + 1, scale), -bound(index, scale))));
    }
    if point.zero_count() != 0 {
        out.push((point.zero_count(), 0.0));
    }
    for (index, count) in filled(&point.positive()) {
        out.push((count, between(bound(index, scale), bound(index + 1, scale))));
    }
    out
}

/// The lower bound of bucket `index`: `2 ^ (index * 2 ^ -scale)`.
fn bound(index: i32, scale: i32) -> f64 {
    (f64::from(index) * (-f64::from(scale)).exp2()).exp2()
}
