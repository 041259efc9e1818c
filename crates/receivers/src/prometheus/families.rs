// SPDX-License-Identifier: Apache-2.0
//! From lines of a page to metrics: samples of one family and one label set become one point.
//!
//! Rules of the collector's Prometheus receiver: counters and gauges keep the name of their
//! sample, histograms and summaries that of their family; a sample without a type is a gauge;
//! buckets lose their accumulation; a histogram needs a count.

use std::collections::HashMap;

use super::text::{Kind, Line, Sample, Wrong, lines};

/// Labels, as written.
pub type Labels = Vec<(String, String)>;

/// A page, understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Metrics in the order of their first sample.
    pub metrics: Vec<Metric>,
    /// Samples on the page.
    pub samples: usize,
    /// Labels of the series `target_info`, which tell about the target itself.
    pub target: Labels,
}

/// All points of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// Name.
    pub name: String,
    /// Type.
    pub kind: Kind,
    /// What it means.
    pub help: String,
    /// Unit, if told.
    pub unit: String,
    /// Points.
    pub points: Vec<Point>,
}

/// One point.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Labels without `le` and `quantile`.
    pub labels: Labels,
    /// Unix milliseconds, if the page tells.
    pub time_ms: Option<i64>,
    /// Value.
    pub value: Value,
}

/// Value of a point.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Counters, gauges and what has no type.
    Number(f64),
    /// Distribution.
    Histogram {
        /// Upper bounds, ascending, without the infinite one.
        bounds: Vec<f64>,
        /// Values in each bucket, one more than bounds.
        counts: Vec<u64>,
        /// Sum, if told.
        sum: Option<f64>,
        /// Number of values.
        count: u64,
    },
    /// Quantiles.
    Summary {
        /// Quantile and value.
        quantiles: Vec<(f64, f64)>,
        /// Sum.
        sum: f64,
        /// Number of values.
        count: u64,
    },
}

/// What is said about a family before its samples.
#[derive(Clone, Default)]
struct Family {
    kind: Kind,
    help: String,
    unit: String,
}

/// A histogram or summary being put together.
#[derive(Default)]
struct Parts {
    labels: Labels,
    time_ms: Option<i64>,
    /// `le` or quantile, and its value.
    steps: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// Which part of its family a sample is.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Whole,
    Step,
    Sum,
    Count,
    /// Says when it began; not a value.
    Created,
}

#[derive(Default)]
struct Builder {
    families: HashMap<String, Family>,
    metrics: Vec<Metric>,
    by_name: HashMap<String, usize>,
    /// Parts of the metric with the same index, by labels.
    parts: HashMap<usize, (Vec<Parts>, HashMap<Labels, usize>)>,
    target: Labels,
}

/// Reads a page. Timestamps are milliseconds, or seconds if it is OpenMetrics.
///
/// # Errors
/// The first line that is wrong.
pub fn read(text: &str, openmetrics: bool) -> Result<Page, Wrong> {
    let mut builder = Builder::default();
    let mut samples = 0;
    let unit_ms = if openmetrics { 1000.0 } else { 1.0 };
    for line in lines(text) {
        match line? {
            Line::Help(name, help) => builder.family(name).help = help.into_owned(),
            Line::Type(name, kind) => builder.family(name).kind = kind,
            Line::Unit(name, unit) => builder.family(name).unit = unit.to_owned(),
            Line::Sample(sample) => {
                samples += 1;
                builder.sample(&sample, unit_ms);
            }
        }
    }
    Ok(builder.finish(samples))
}

impl Builder {
    fn family(&mut self, name: &str) -> &mut Family {
        self.families.entry(name.to_owned()).or_default()
    }

    /// The family a sample is of, and its part in it.
    fn place<'s>(&self, name: &'s str) -> (&'s str, Role, Family) {
        let known = |family: &str| self.families.get(family).cloned();
        if let Some(family) = known(name).filter(|f| f.kind != Kind::Histogram) {
            let role = if family.kind == Kind::Summary { Role::Step } else { Role::Whole };
            return (name, role, family);
        }
        for (suffix, role) in
            [("_bucket", Role::Step), ("_sum", Role::Sum), ("_count", Role::Count)]
        {
            let stem = name.strip_suffix(suffix).unwrap_or("");
            let Some(family) = known(stem) else { continue };
            let fits = match family.kind {
                Kind::Histogram => true,
                Kind::Summary => role != Role::Step,
                _ => false,
            };
            if fits {
                return (stem, role, family);
            }
        }
        for (suffix, role) in
            [("_total", Role::Whole), ("_info", Role::Whole), ("_created", Role::Created)]
        {
            if let Some(family) = name.strip_suffix(suffix).and_then(known) {
                return (name, role, family);
            }
        }
        (name, Role::Whole, Family::default())
    }

    fn sample(&mut self, sample: &Sample<'_>, unit_ms: f64) {
        let (name, role, family) = self.place(sample.name);
        let owned = |skip: &str| -> Labels {
            let kept =
                sample.labels.iter().filter(|(key, value)| *key != skip && !value.is_empty());
            kept.map(|(key, value)| ((*key).to_owned(), value.clone().into_owned())).collect()
        };
        if sample.name == "target_info" {
            self.target = owned("");
            return;
        }
        if role == Role::Created {
            return;
        }
        let time_ms = sample.timestamp.map(|time| (time * unit_ms) as i64);
        let kind = family.kind;
        let at = self.metric(name, family);
        if !matches!(kind, Kind::Histogram | Kind::Summary) {
            let point = Point { labels: owned(""), time_ms, value: Value::Number(sample.value) };
            self.metrics[at].points.push(point);
            return;
        }
        let step = if kind == Kind::Histogram { "le" } else { "quantile" };
        let mut labels = owned(step);
        labels.sort();
        let (parts, by_labels) = self.parts.entry(at).or_default();
        let index = *by_labels.entry(labels).or_insert_with_key(|labels| {
            parts.push(Parts { labels: labels.clone(), time_ms, ..Parts::default() });
            parts.len() - 1
        });
        let parts = &mut parts[index];
        match role {
            Role::Sum => parts.sum = Some(sample.value),
            Role::Count => parts.count = Some(sample.value),
            _ => {
                let bound = sample.labels.iter().find(|(key, _)| *key == step);
                if let Some(Ok(bound)) = bound.map(|(_, value)| value.parse()) {
                    parts.steps.push((bound, sample.value));
                }
            }
        }
    }

    fn metric(&mut self, name: &str, family: Family) -> usize {
        if let Some(at) = self.by_name.get(name) {
            return *at;
        }
        let Family { kind, help, unit } = family;
        self.metrics.push(Metric { name: name.to_owned(), kind, help, unit, points: Vec::new() });
        self.by_name.insert(name.to_owned(), self.metrics.len() - 1);
        self.metrics.len() - 1
    }

    fn finish(mut self, samples: usize) -> Page {
        for (at, (parts, _)) in self.parts {
            let metric = &mut self.metrics[at];
            let make = if metric.kind == Kind::Histogram { histogram } else { summary };
            metric.points.extend(parts.into_iter().filter_map(make));
        }
        self.metrics.retain(|metric| !metric.points.is_empty());
        Page { metrics: self.metrics, samples, target: self.target }
    }
}

fn histogram(mut parts: Parts) -> Option<Point> {
    parts.steps.retain(|(bound, _)| !bound.is_nan());
    parts.steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    parts.steps.dedup_by_key(|step| step.0);
    let infinite = parts.steps.iter().find(|(bound, _)| *bound == f64::INFINITY).map(|step| step.1);
    let count = whole(parts.count.or(infinite)?);
    parts.steps.retain(|(bound, _)| bound.is_finite());
    let mut below = 0;
    let mut counts = Vec::with_capacity(parts.steps.len() + 1);
    for (_, cumulative) in &parts.steps {
        let cumulative = whole(*cumulative);
        counts.push(cumulative.saturating_sub(below));
        below = cumulative.max(below);
    }
    counts.push(count.saturating_sub(below));
    let bounds = parts.steps.iter().map(|(bound, _)| *bound).collect();
    let value = Value::Histogram { bounds, counts, sum: parts.sum, count };
    Some(Point { labels: parts.labels, time_ms: parts.time_ms, value })
}

fn summary(mut parts: Parts) -> Option<Point> {
    parts.steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let count = whole(parts.count.unwrap_or(0.0));
    let value = Value::Summary { quantiles: parts.steps, sum: parts.sum.unwrap_or(0.0), count };
    Some(Point { labels: parts.labels, time_ms: parts.time_ms, value })
}

/// Counts are written as doubles; what is none counts as nothing.
fn whole(count: f64) -> u64 {
    count as u64
}
