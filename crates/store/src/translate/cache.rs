// SPDX-License-Identifier: Apache-2.0
//! The resolution cache: raw bytes of resource, scope, metric identity and attributes to series.
//!
//! Four maps, one inside the other, each keyed by bytes and compared exactly. Looking up a point
//! that was seen before hashes its attributes once and allocates nothing.

use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use otlp_wire::{Attrs, MetricView, ResourceView, ScopeView};
use smallvec::SmallVec;

use super::labels::{LabelMap, ResourcePart, point_labels, scope_labels};
use super::names::{NameContext, metric_name, unit_name};
use super::points::{self, Shape};
use super::{Family, MetricKind, Options, Refusal, Report, Sink};

type ByBytes<V> = HashMap<Vec<u8>, V, foldhash::fast::RandomState>;

/// Translates payloads, remembering what series resolved to. One thread at a time.
#[derive(Debug)]
pub struct Translator<S> {
    options: Options,
    resources: ByBytes<ResourceEntry<S>>,
    bytes: usize,
    /// Key of the metric at hand, reused.
    key: Vec<u8>,
}

#[derive(Debug)]
struct ResourceEntry<S> {
    part: Result<ResourcePart, Refusal>,
    info: Option<Result<S, Refusal>>,
    scopes: ByBytes<ScopeEntry<S>>,
}

#[derive(Debug)]
struct ScopeEntry<S> {
    labels: LabelMap,
    metrics: ByBytes<MetricEntry<S>>,
}

#[derive(Debug)]
struct MetricEntry<S> {
    name: Option<String>,
    points: ByBytes<Resolved<S>>,
}

/// The series of one point, in the order in which its type writes them.
#[derive(Debug)]
pub(crate) struct Resolved<S> {
    /// What besides the attributes decides on the series: bucket bounds, quantiles.
    shape: Box<[u8]>,
    pub series: SmallVec<[Result<S, Refusal>; 1]>,
}

/// What an entry costs beside its key: maps, boxes, a few series.
const ENTRY_BYTES: usize = 128;

impl<S> Translator<S> {
    /// An empty cache.
    pub fn new(options: Options) -> Self {
        Translator { options, resources: HashMap::default(), bytes: 0, key: Vec::new() }
    }

    /// Forgets everything; what series resolve to may change then.
    pub fn clear(&mut self) {
        self.resources.clear();
        self.bytes = 0;
    }

    /// Bytes the cache holds, estimated.
    pub fn cache_bytes(&self) -> usize {
        self.bytes
    }

    /// Translates the metrics of one resource; adds to `report`.
    pub fn translate_resource(
        &mut self,
        resource: ResourceView<'_>,
        sink: &mut impl Sink<Series = S>,
        report: &mut Report,
    ) {
        if self.bytes > self.options.cache_bytes_max {
            self.clear();
        }
        let options = &self.options;
        let mut bytes = 0;
        let entry = entry(&mut self.resources, resource.raw(), &mut bytes, || ResourceEntry {
            part: ResourcePart::new(resource, options),
            info: None,
            scopes: HashMap::default(),
        });
        let part = match &entry.part {
            Ok(part) => part,
            Err(reason) => {
                let points = resource.scopes().flat_map(|scope| scope.metrics());
                report.refused.add(*reason, points.map(|m| m.points_count() as u64).sum());
                return;
            }
        };
        let mut run = Run { options, part, sink, report, bytes: 0, newest: None };
        for scope in resource.scopes() {
            run.scope(scope, &mut entry.scopes, &mut self.key);
        }
        run.info(&mut entry.info);
        bytes += run.bytes;
        self.bytes += bytes;
    }
}

/// The value under `key`, made when missing; counts what a new one costs.
fn entry<'m, V>(
    map: &'m mut ByBytes<V>,
    key: &[u8],
    bytes: &mut usize,
    make: impl FnOnce() -> V,
) -> &'m mut V {
    map.entry_ref(key).or_insert_with(|| {
        *bytes += key.len() + size_of::<V>() + ENTRY_BYTES;
        make()
    })
}

/// One pass over a resource.
pub(crate) struct Run<'r, K> {
    options: &'r Options,
    part: &'r ResourcePart,
    pub sink: &'r mut K,
    pub report: &'r mut Report,
    bytes: usize,
    /// Time of the newest point, for `target_info`.
    newest: Option<i64>,
}

impl<K: Sink> Run<'_, K> {
    fn scope(
        &mut self,
        scope: ScopeView<'_>,
        scopes: &mut ByBytes<ScopeEntry<K::Series>>,
        key: &mut Vec<u8>,
    ) {
        let options = self.options;
        let scope_entry = entry(scopes, scope.raw(), &mut self.bytes, || ScopeEntry {
            labels: scope_labels(scope, options),
            metrics: HashMap::default(),
        });
        for metric in scope.metrics() {
            let data = metric.data();
            let Some(kind) = points::kind_of(&data) else {
                self.report.refused.add(Refusal::NoData, metric.points_count() as u64);
                continue;
            };
            key.clear();
            key.push(kind as u8);
            key.extend_from_slice(metric.unit().as_bytes());
            key.push(0xff);
            key.extend_from_slice(metric.name().as_bytes());
            let mut added = 0;
            let metric_entry = entry(&mut scope_entry.metrics, key, &mut added, || MetricEntry {
                name: self.name_of(metric, kind),
                points: HashMap::default(),
            });
            self.bytes += added;
            let Some(name) = &metric_entry.name else {
                let count = metric.points_count() as u64;
                self.report.refused.add(Refusal::MetricName, count);
                continue;
            };
            let mut place =
                Place { name, scope: &scope_entry.labels, points: &mut metric_entry.points };
            points::write(self, &mut place, data);
        }
    }

    fn name_of(&mut self, metric: MetricView<'_>, kind: MetricKind) -> Option<String> {
        let context = NameContext {
            unit: metric.unit(),
            counter: kind == MetricKind::Counter,
            gauge: points::is_gauge(&metric.data()),
            namespace: &self.options.namespace,
            suffixes: self.options.suffixes,
        };
        let name = metric_name(metric.name(), context)?;
        let plain = metric_name(metric.name(), NameContext { suffixes: false, ..context })?;
        let unit = unit_name(metric.unit());
        let help = metric.description();
        self.sink.family(Family { name: &name, plain: &plain, kind, unit: &unit, help });
        Some(name)
    }

    pub(crate) fn accepts_deltas(&self) -> bool {
        self.options.accept_deltas
    }

    pub(crate) fn saw(&mut self, time_ms: i64) {
        self.newest = self.newest.max(Some(time_ms));
    }

    /// Writes `target_info` with the time of the newest point.
    fn info(&mut self, resolved: &mut Option<Result<K::Series, Refusal>>) {
        let (Some(labels), Some(time_ms)) = (&self.part.info, self.newest) else { return };
        let sink = &mut *self.sink;
        let resolved = resolved.get_or_insert_with(|| {
            let kind = MetricKind::Gauge;
            let help = "Target metadata";
            let name = "target_info";
            sink.family(Family { name, plain: name, kind, unit: "", help });
            let name = if self.options.namespace.is_empty() {
                "target_info".to_owned()
            } else {
                format!("{}_target_info", self.options.namespace)
            };
            series(sink, labels, &name, None)
        });
        if let Ok(series) = resolved {
            self.sink.sample(series, super::Stamp { time_ms, start_ms: 0, delta: false }, 1.0);
        }
    }
}

/// Where the points of one metric are kept.
pub(crate) struct Place<'p, S> {
    name: &'p str,
    scope: &'p LabelMap,
    points: &'p mut ByBytes<Resolved<S>>,
}

impl<S> Place<'_, S> {
    /// The series of the point with `attrs`; resolved anew when its shape changed.
    pub(crate) fn resolve<K: Sink<Series = S>>(
        &mut self,
        run: &mut Run<'_, K>,
        attrs: Attrs<'_>,
        shape: &Shape<'_>,
    ) -> &Resolved<S> {
        let key = attrs.raw();
        match self.points.entry_ref(key) {
            EntryRef::Occupied(known) => {
                let known = known.into_mut();
                if !shape.fits(known) {
                    *known = resolve(run, self.name, self.scope, attrs, shape);
                }
                known
            }
            EntryRef::Vacant(place) => {
                place.insert(resolve(run, self.name, self.scope, attrs, shape))
            }
        }
    }
}

fn resolve<K: Sink>(
    run: &mut Run<'_, K>,
    name: &str,
    scope: &LabelMap,
    attrs: Attrs<'_>,
    shape: &Shape<'_>,
) -> Resolved<K::Series> {
    run.report.misses += 1;
    let series = match point_labels(attrs, run.part, scope, run.options) {
        Err(reason) => (0..shape.count()).map(|_| Err(reason)).collect(),
        Ok(labels) => {
            let mut all = SmallVec::new();
            shape.each(|suffix, extra| {
                all.push(series(run.sink, &labels, &format!("{name}{suffix}"), extra));
            });
            all
        }
    };
    let resolved = Resolved { shape: shape.key(), series };
    run.bytes += attrs.raw().len() + resolved.cost() + ENTRY_BYTES;
    resolved
}

impl<S> Resolved<S> {
    pub(crate) fn shape(&self) -> &[u8] {
        &self.shape
    }

    fn cost(&self) -> usize {
        self.shape.len() + self.series.len() * size_of::<Result<S, Refusal>>()
    }
}

/// Resolves one series: `labels`, its name, and `le` or `quantile`.
fn series<K: Sink>(
    sink: &mut K,
    labels: &LabelMap,
    name: &str,
    extra: Option<(&str, &str)>,
) -> Result<K::Series, Refusal> {
    let special = |label: &str| label == "__name__" || extra.is_some_and(|(name, _)| name == label);
    let mut all: Vec<(&str, &str)> = labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(label, _)| !special(label))
        .chain([("__name__", name)])
        .chain(extra)
        .collect();
    all.sort_unstable_by_key(|(label, _)| *label);
    sink.series(&all)
}
