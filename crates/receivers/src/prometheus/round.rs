// SPDX-License-Identifier: Apache-2.0
//! The points of one scrape: samples of one metric and one label set put together.
//!
//! Samples of a family stand together on a page, so the metric and point found last are tried
//! first. Buckets lose their accumulation, histograms and summaries need a count. What ends is put
//! together in the same way and becomes a point without a value.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashMap;

use super::page::{Exemplar, Kind, Native, Value};
use super::place::{Place, Role};

/// The points of one scrape.
#[derive(Debug, Default)]
pub struct Round {
    /// Metrics in the order of their first sample.
    pub metrics: Vec<Metric>,
    by_name: HashMap<(u32, bool, Box<str>), usize>,
    last: usize,
}

/// All points of one name, resource and scope.
#[derive(Debug)]
pub struct Metric {
    /// Where its first sample belongs; name, group and description are the metric's.
    pub place: Arc<Place>,
    /// Its points are native histograms.
    pub native: bool,
    /// Points.
    pub points: Vec<Point>,
    by_attrs: HashMap<ByAttrs, usize>,
}

/// One point.
#[derive(Debug)]
pub struct Point {
    /// Where its first sample belongs; the attributes are the point's.
    pub place: Arc<Place>,
    /// Unix milliseconds.
    pub time_ms: i64,
    /// Since when it counts, Unix nanoseconds; 0 = not told.
    pub start: u64,
    /// Value.
    pub content: Content,
    /// Examples.
    pub exemplars: Vec<Exemplar>,
}

/// Value of a point.
#[derive(Debug)]
pub enum Content {
    /// None came.
    Nothing,
    /// Counters, gauges and what has no type.
    Number(f64),
    /// Of a histogram or summary.
    Parts(Parts),
    /// A native histogram.
    Native(Box<Native>),
    /// It ended.
    Stale,
}

/// A histogram or summary being put together; a part that is `None` ended.
#[derive(Debug, Default)]
pub struct Parts {
    /// Bound or quantile, and its value.
    pub steps: Vec<(f64, Option<f64>)>,
    /// Sum.
    pub sum: Option<f64>,
    /// Number of values.
    pub count: Option<f64>,
    /// The count ended.
    pub stale: bool,
}

/// A histogram as OTLP has it.
#[derive(Debug, Default, PartialEq)]
pub struct Buckets {
    /// Upper bounds, ascending, without the infinite one.
    pub bounds: Vec<f64>,
    /// Values in each bucket, one more than bounds.
    pub counts: Vec<u64>,
    /// Number of values.
    pub count: u64,
}

/// Compares places by the attributes they give a point.
#[derive(Debug)]
struct ByAttrs(Arc<Place>);

impl Hash for ByAttrs {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.attrs.hash(state);
    }
}

impl PartialEq for ByAttrs {
    fn eq(&self, other: &Self) -> bool {
        self.0.attrs == other.0.attrs
    }
}

impl Eq for ByAttrs {}

/// What there is to say about a place in this round.
#[derive(Debug)]
pub enum Said {
    /// A value, with its examples and since when it counts (Unix milliseconds).
    Value(Value, Vec<Exemplar>, Option<i64>),
    /// It ended; true for what was a native histogram.
    Ended(bool),
}

impl Round {
    /// Adds what is said about a place. False when the point has that part already.
    pub fn add(&mut self, place: &Arc<Place>, time_ms: i64, said: Said) -> bool {
        let native = matches!(said, Said::Value(Value::Native(_), ..) | Said::Ended(true));
        if place.role == Role::Nothing && !native {
            return true;
        }
        let metric = self.metric(place, native);
        let point = metric.point(place, time_ms);
        point.add(place, said, native)
    }

    fn metric(&mut self, place: &Arc<Place>, native: bool) -> &mut Metric {
        let fits = |metric: &Metric| {
            metric.place.group == place.group
                && metric.native == native
                && metric.place.name == place.name
        };
        if !self.metrics.get(self.last).is_some_and(fits) {
            let key = (place.group, native, place.name.clone());
            let metrics = &mut self.metrics;
            self.last = *self.by_name.entry(key).or_insert_with(|| {
                let (points, by_attrs) = (Vec::new(), HashMap::new());
                metrics.push(Metric { place: place.clone(), native, points, by_attrs });
                metrics.len() - 1
            });
        }
        &mut self.metrics[self.last]
    }
}

impl Metric {
    fn point(&mut self, place: &Arc<Place>, time_ms: i64) -> &mut Point {
        let points = &mut self.points;
        let at = match points.last() {
            Some(last) if last.place.attrs == place.attrs => points.len() - 1,
            _ => *self.by_attrs.entry(ByAttrs(place.clone())).or_insert_with(|| {
                points.push(Point {
                    place: place.clone(),
                    time_ms,
                    start: 0,
                    content: Content::Nothing,
                    exemplars: Vec::new(),
                });
                points.len() - 1
            }),
        };
        &mut self.points[at]
    }
}

impl Point {
    fn add(&mut self, place: &Place, said: Said, native: bool) -> bool {
        let (value, exemplars, created) = match said {
            Said::Value(value, exemplars, created) => (Some(value), exemplars, created),
            Said::Ended(_) => (None, Vec::new(), None),
        };
        if let Some(ms) = created.filter(|ms| *ms > 0) {
            self.start = (ms as u64).saturating_mul(1_000_000);
        }
        self.exemplars.extend(exemplars);
        let value = match value {
            Some(Value::Native(value)) => return self.fill(Content::Native(value)),
            None if native => return self.fill(Content::Stale),
            Some(Value::Float(value)) => Some(value),
            None => None,
        };
        if place.role == Role::Created {
            let seconds = value.unwrap_or(0.0);
            // Whole seconds first, as in the collector: a double does not hold all nanoseconds.
            let nanos = (seconds.fract() * 1e9) as u64;
            if seconds > 0.0 {
                self.start = (seconds as u64).saturating_mul(1_000_000_000).saturating_add(nanos);
            }
            return true;
        }
        if !matches!(place.meta.kind, Kind::Histogram | Kind::Summary) {
            return self.fill(value.map_or(Content::Stale, Content::Number));
        }
        if matches!(self.content, Content::Nothing) {
            self.content = Content::Parts(Parts::default());
        }
        if let Content::Parts(parts) = &mut self.content {
            parts.add(place, value);
        }
        true
    }

    fn fill(&mut self, content: Content) -> bool {
        let free = matches!(self.content, Content::Nothing | Content::Stale);
        // Of series that relabelling made one the last wins, as in the Collector; one that ended
        // under one text goes on under another.
        if free || !matches!(content, Content::Stale) {
            self.content = content;
        }
        free
    }
}

impl Parts {
    fn add(&mut self, place: &Place, value: Option<f64>) {
        match place.role {
            Role::Sum => self.sum = value.or(self.sum),
            Role::Count => {
                self.count = value.or(self.count);
                self.stale |= value.is_none();
            }
            _ => self.steps.push((place.step, value)),
        }
    }

    /// Whether there is a point at all, and whether it ended.
    pub fn state(&self) -> Option<bool> {
        match self.count {
            Some(_) => Some(false),
            None if self.stale => Some(true),
            None => None,
        }
    }

    /// Steps in order, each once; those that ended only if all has.
    fn ordered(&mut self) {
        if self.count.is_some() {
            self.steps.retain(|(_, value)| value.is_some());
        }
        self.steps.retain(|(step, _)| !step.is_nan());
        self.steps.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.steps.dedup_by_key(|step| step.0);
    }

    /// The histogram of these parts.
    pub fn buckets(&mut self) -> Buckets {
        self.ordered();
        self.steps.retain(|(bound, _)| bound.is_finite());
        let count = whole(self.count.unwrap_or(0.0));
        let mut below = 0;
        let mut counts = Vec::with_capacity(self.steps.len() + 1);
        for (_, cumulative) in &self.steps {
            let cumulative = whole(cumulative.unwrap_or(0.0));
            counts.push(cumulative.saturating_sub(below));
            below = cumulative.max(below);
        }
        counts.push(count.saturating_sub(below));
        Buckets { bounds: self.steps.iter().map(|(bound, _)| *bound).collect(), counts, count }
    }

    /// The quantiles of these parts, and the number of values.
    pub fn quantiles(&mut self) -> (Vec<(f64, f64)>, u64) {
        self.ordered();
        let quantiles = self.steps.iter().map(|(q, value)| (*q, value.unwrap_or(0.0))).collect();
        (quantiles, whole(self.count.unwrap_or(0.0)))
    }
}

/// Counts are written as doubles; what is none counts as nothing.
fn whole(count: f64) -> u64 {
    count as u64
}
