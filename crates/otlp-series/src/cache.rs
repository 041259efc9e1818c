// SPDX-License-Identifier: Apache-2.0
//! The resolution cache: raw bytes of resource, scope, metric identity and attributes to series.
//!
//! Four tables, one inside the other, each keyed by bytes and compared exactly. Senders repeat
//! themselves: the metrics of a scope and the points of a metric are kept in the order in which they
//! were met first, and the one behind the last is looked at before any hash is computed, so that a
//! request like the one before costs one comparison a point, in memory read from front to back.

mod ordered;

use hashbrown::HashMap;
use otlp_wire::{Attrs, MetricView, ResourceView, ScopeView};
use smallvec::SmallVec;

use ordered::Ordered;

use crate::labels::{LabelMap, ResourcePart, point_labels, scope_labels};
use crate::names::{NameContext, metric_name, unit_name};
use crate::points::{self, Shape};
use crate::{Family, MetricKind, Options, Refusal, Report, Sink};

type ByBytes<V> = HashMap<Vec<u8>, V, foldhash::fast::RandomState>;

/// Translates payloads, remembering what series resolved to. One thread at a time.
#[derive(Debug)]
pub struct Translator<F, S> {
    options: Options,
    resources: ByBytes<ResourceEntry<F, S>>,
    bytes: usize,
    /// Key of the metric at hand, reused.
    key: Vec<u8>,
}

#[derive(Debug)]
struct ResourceEntry<F, S> {
    part: Result<ResourcePart, Refusal>,
    info: Option<Result<S, Refusal>>,
    scopes: ByBytes<ScopeEntry<F, S>>,
}

#[derive(Debug)]
struct ScopeEntry<F, S> {
    labels: LabelMap,
    metrics: Ordered<MetricEntry<F, S>>,
}

#[derive(Debug)]
struct MetricEntry<F, S> {
    family: Option<(String, F)>,
    points: Ordered<Resolved<S>>,
}

/// The series of one point, in the order in which its type writes them.
#[derive(Debug)]
pub(crate) struct Resolved<S> {
    /// What besides the attributes decides on the series: bucket bounds, quantiles.
    shape: Box<[u8]>,
    pub series: SmallVec<[Result<S, Refusal>; 1]>,
}

/// What an entry costs beside its key: a place in a table and in a list, boxes, a few series.
const ENTRY_BYTES: usize = 96;

impl<F, S> Translator<F, S> {
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
        sink: &mut impl Sink<Family = F, Series = S>,
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
    pub options: &'r Options,
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
        scopes: &mut ByBytes<ScopeEntry<K::Family, K::Series>>,
        key: &mut Vec<u8>,
    ) {
        let options = self.options;
        let scope_entry = entry(scopes, scope.raw(), &mut self.bytes, || ScopeEntry {
            labels: scope_labels(scope, options),
            metrics: Ordered::default(),
        });
        for metric in scope.metrics() {
            let data = metric.data();
            let Some(kind) = points::kind_of(&data) else {
                self.report.refused.add(Refusal::NoData, metric.points_count() as u64);
                continue;
            };
            let custom = points::is_custom(metric, &data, options.custom_buckets);
            key.clear();
            key.push(kind as u8 | u8::from(custom) << 7);
            key.extend_from_slice(metric.unit().as_bytes());
            key.push(0xff);
            key.extend_from_slice(metric.name().as_bytes());
            let metric_entry = scope_entry.metrics.get_or_insert(key, || {
                let family = self.family_of(metric, kind);
                self.bytes +=
                    key.len() + size_of::<MetricEntry<K::Family, K::Series>>() + ENTRY_BYTES;
                MetricEntry { family, points: Ordered::default() }
            });
            let Some((name, family)) = &metric_entry.family else {
                let count = metric.points_count() as u64;
                self.report.refused.add(Refusal::MetricName, count);
                continue;
            };
            let scope = &scope_entry.labels;
            let points = &mut metric_entry.points;
            let mut place = Place { name, family, scope, custom, points };
            points::write(self, &mut place, data);
        }
    }

    fn family_of(
        &mut self,
        metric: MetricView<'_>,
        kind: MetricKind,
    ) -> Option<(String, K::Family)> {
        let context = NameContext {
            unit: metric.unit(),
            counter: kind == MetricKind::Counter,
            gauge: points::is_gauge(&metric.data()),
            namespace: &self.options.namespace,
            suffixes: self.options.suffixes,
            utf8: self.options.utf8,
        };
        let name = metric_name(metric.name(), context)?;
        let plain = metric_name(metric.name(), NameContext { suffixes: false, ..context })?;
        let unit = unit_name(metric.unit());
        let help = metric.description();
        let family = Family { name: &name, plain: &plain, kind, unit: &unit, help };
        let family = self.sink.family(family);
        Some((name, family))
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
        if time_ms == 0 {
            return;
        }
        let sink = &mut *self.sink;
        let resolved = resolved.get_or_insert_with(|| {
            let name = match self.options.namespace.as_str() {
                "" => "target_info".to_owned(),
                namespace => format!("{namespace}_target_info"),
            };
            let (kind, help) = (MetricKind::Gauge, "Target metadata");
            let family = Family { name: &name, plain: &name, kind, unit: "", help };
            let family = sink.family(family);
            series(sink, &family, labels, &name, None)
        });
        if let Ok(series) = resolved {
            self.sink.sample(series, crate::Stamp { time_ms, ..crate::Stamp::default() }, 1.0);
        }
    }
}

/// Where the points of one metric are kept.
pub(crate) struct Place<'p, F, S> {
    name: &'p str,
    family: &'p F,
    scope: &'p LabelMap,
    /// Its histograms become native ones.
    pub custom: bool,
    points: &'p mut Ordered<Resolved<S>>,
}

impl<F, S> Place<'_, F, S> {
    /// The series of the point whose attributes are encoded as `key`; resolved anew when its shape
    /// changed.
    #[inline]
    pub(crate) fn resolve<'a, K: Sink<Family = F, Series = S>>(
        &mut self,
        run: &mut Run<'_, K>,
        key: &[u8],
        attrs: impl Fn() -> Attrs<'a>,
        shape: &Shape<'_>,
    ) -> &Resolved<S> {
        let (name, family, scope) = (self.name, self.family, self.scope);
        let new = |run: &mut Run<'_, K>| resolve(run, name, family, scope, attrs(), shape);
        let known = self.points.get_or_insert(key, || new(run));
        if !shape.fits(known) {
            *known = new(run);
        }
        known
    }
}

fn resolve<K: Sink>(
    run: &mut Run<'_, K>,
    name: &str,
    family: &K::Family,
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
                all.push(series(run.sink, family, &labels, &format!("{name}{suffix}"), extra));
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
    family: &K::Family,
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
    sink.series(family, &all)
}
