// SPDX-License-Identifier: Apache-2.0
//! Spans, points and log records as telemetrygen makes them, written straight into OTLP.
//!
//! What request `n` holds follows from `n` and the seed, but for its times: those of a paced load lie
//! as far apart as its items are, and the last one is now.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use basics::Random;
use otlp_wire::write::{self, AttrWriter, EncodedAttrs, Points};
use otlp_wire::{AnyValue, Number, Payload, SpanId, SpanKind, StatusCode, Temporality, TraceId};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::REQUEST_BYTES_MAX;
use super::attributes::{Attribute, Value, encode};

/// How far back items that are out of order lie at most.
const OUT_OF_ORDER_MAX: u64 = 10_000_000_000;

/// Most items in a request: of small ones they are what receivers commonly take.
const BATCH_MAX: u64 = 100_000;

/// The scope of everything that is made.
const SCOPE: &str = "telemetrygen";

/// Bounds that SDKs have by default, by the specification of metrics.
const BOUNDS: [f64; 15] = [
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10000.0,
];

/// Spreads neighbouring numbers over all seeds.
const SPREAD: u64 = 0x9e6c_63d0_876a_46d1;

/// What is made.
#[derive(Clone, Debug)]
pub enum Content {
    /// Spans.
    Traces(Spans),
    /// Data points.
    Metrics(Metrics),
    /// Log records.
    Logs(Records),
}

/// Traces of one root and its children.
#[derive(Clone, Debug)]
pub struct Spans {
    /// Children of each root, at least one.
    pub children: u64,
    /// Time that each child takes.
    pub duration: Duration,
    /// Of each span.
    pub status: StatusCode,
    /// Links of each span, to roots of earlier traces.
    pub links: u64,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A gauge.
    Gauge,
    /// A monotonic sum.
    Sum,
    /// A histogram with the default bounds.
    Histogram,
    /// An exponential histogram.
    ExponentialHistogram,
}

/// Metrics of one point each.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// Name of all of them.
    pub name: String,
    /// Type of all of them.
    pub kind: Kind,
    /// Delta or cumulative.
    pub temporality: Temporality,
    /// No series twice within this time: an attribute `timebox` counts points.
    pub unique: Option<Duration>,
    /// Trace and span of an exemplar on each point.
    pub exemplar: Option<(TraceId, SpanId)>,
}

/// Log records.
#[derive(Clone, Debug)]
pub struct Records {
    /// Text of each.
    pub body: String,
    /// 1 to 24.
    pub severity_number: i32,
    /// As the source writes it.
    pub severity_text: String,
    /// Trace of each.
    pub trace_id: Option<TraceId>,
    /// Span of each.
    pub span_id: Option<SpanId>,
}

/// What is wrong with telemetry, on purpose; shares are 0 to 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disorder {
    /// Share of items (traces; requests of a replay) whose times lie up to 10 s back.
    pub out_of_order: f64,
    /// Share of items (traces; requests of a replay) that are late.
    pub late: f64,
    /// By how much.
    pub late_by: Duration,
    /// Share of requests that are sent twice.
    pub duplicates: f64,
}

impl Disorder {
    /// Nanoseconds that an item lies back.
    pub(super) fn back(&self, random: &mut Random) -> u64 {
        if self.late > 0.0 && random.unit() < self.late {
            return u64::try_from(self.late_by.as_nanos()).unwrap_or(u64::MAX);
        }
        match self.out_of_order > 0.0 && random.unit() < self.out_of_order {
            true => random.below(OUT_OF_ORDER_MAX),
            false => 0,
        }
    }
}

/// Settings of what is made.
#[derive(Clone, Debug)]
pub struct Make {
    /// What each item is.
    pub content: Content,
    /// All of them; none = until the time is over.
    pub items: Option<u64>,
    /// How many in a request, at least one.
    pub batch: u64,
    /// Each item has an attribute `load.key` of one of so many values; 0 = no such attribute.
    pub cardinality: u64,
    resource: EncodedAttrs,
    attributes: EncodedAttrs,
}

/// When what is made has happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    /// Of the last item, Unix nanoseconds.
    pub now: u64,
    /// Nanoseconds between items.
    pub spacing: u64,
    /// When the load began.
    pub begun: u64,
    /// Number of the first point in its time box.
    pub first_box: u64,
}

/// Counts the points of a time box.
#[derive(Debug, Default)]
pub(super) struct Boxes(Mutex<Option<(Instant, u64)>>);

impl Make {
    /// `content` with these attributes of the resource and of each item, and so many megabytes of
    /// text in each. At `rate` items a second (0 = unlimited) a request holds at most what a second
    /// brings, and whole traces where they fit.
    ///
    /// # Errors
    /// When requests hold nothing or too much, or attributes cannot be encoded.
    pub fn new(
        content: Content,
        resource: &[Attribute],
        mut attributes: Vec<Attribute>,
        megabytes: u64,
        (batch, rate): (u64, f64),
    ) -> Result<Make> {
        let bounds = 1..=BATCH_MAX;
        ensure!(
            bounds.contains(&batch),
            "requests of {batch} items: not between 1 and {BATCH_MAX}"
        );
        ensure!(
            batch.saturating_mul(megabytes) <= REQUEST_BYTES_MAX >> 20,
            "requests of {batch} items of {megabytes} MB: more than 64 MiB, use a smaller --batch-size"
        );
        for at in 0..megabytes {
            let value = Value::Text("\0".repeat(1 << 20));
            attributes.push(Attribute { key: format!("load-{at}"), value });
        }
        let a_second = if rate > 0.0 { rate.ceil() as u64 } else { u64::MAX };
        let whole = match &content {
            Content::Traces(spans) => spans.children.max(1) + 1,
            Content::Metrics(_) | Content::Logs(_) => 1,
        };
        let fitting = batch.min(a_second) / whole * whole;
        let batch = if whole > batch { batch } else { fitting.max(whole) };
        Ok(Make {
            content,
            items: None,
            batch,
            cardinality: 0,
            resource: encode(resource)?,
            attributes: encode(&attributes)?,
        })
    }

    /// Items before request `index`.
    pub(super) fn before(&self, index: u64) -> Option<u64> {
        let before = index.checked_mul(self.batch)?;
        self.items.is_none_or(|all| before < all).then_some(before)
    }

    /// Takes numbers in the time box for what request `index` holds.
    pub(super) fn boxes(&self, index: u64, boxes: &Boxes) -> u64 {
        let Content::Metrics(Metrics { unique: Some(window), .. }) = &self.content else {
            return 0;
        };
        let (_, count) = self.range(index);
        let mut boxes = boxes.0.lock();
        let (begun, used) =
            boxes.filter(|(begun, _)| begun.elapsed() < *window).unwrap_or((Instant::now(), 0));
        *boxes = Some((begun, used + count));
        used
    }

    /// First item of a request, and how many it has.
    fn range(&self, index: u64) -> (u64, u64) {
        let first = index.saturating_mul(self.batch);
        (first, self.items.map_or(self.batch, |all| self.batch.min(all.saturating_sub(first))))
    }

    pub(super) fn payload(
        &self,
        seed: u64,
        index: u64,
        when: When,
        disorder: &Disorder,
        random: &mut Random,
    ) -> Payload {
        let (first, count) = self.range(index);
        // The time of each, the last one now.
        let time = |at: u64| when.now.saturating_sub((count - 1 - at).saturating_mul(when.spacing));
        match &self.content {
            Content::Traces(spans) => {
                self.traces(spans, seed, first..first + count, time, disorder)
            }
            Content::Metrics(metrics) => {
                let mut out = write::Metrics::new();
                out.resource(|attrs| attrs.copy(self.resource.attrs()));
                out.scope(SCOPE, "");
                for at in 0..count {
                    let time = time(at).saturating_sub(disorder.back(random));
                    let number = metrics.unique.map(|_| when.first_box + at + 1);
                    self.point(&mut out, metrics, (first + at, number), (time, when.begun), random);
                }
                out.finish()
            }
            Content::Logs(records) => {
                let mut out = write::Logs::new();
                out.resource(|attrs| attrs.copy(self.resource.attrs()));
                out.scope(SCOPE, "");
                for at in 0..count {
                    let log = write::Log {
                        time: time(at).saturating_sub(disorder.back(random)),
                        observed_time: time(at),
                        severity_number: records.severity_number,
                        severity_text: &records.severity_text,
                        body: AnyValue::Str(&records.body),
                        trace_id: records.trace_id,
                        span_id: records.span_id,
                        ..write::Log::default()
                    };
                    out.log(&log, |attrs| {
                        attrs.str("app", "server");
                        self.attributes(attrs, first + at);
                    });
                }
                out.finish()
            }
        }
    }

    /// What each item has.
    fn attributes(&self, out: &mut AttrWriter<'_>, item: u64) {
        out.copy(self.attributes.attrs());
        if let Some(key) = item.checked_rem(self.cardinality) {
            out.int("load.key", key as i64);
        }
    }

    fn traces(
        &self,
        spans: &Spans,
        seed: u64,
        items: std::ops::Range<u64>,
        time: impl Fn(u64) -> u64,
        disorder: &Disorder,
    ) -> Payload {
        let children = spans.children.max(1);
        let takes = spans.duration.as_nanos() as u64;
        let mut out = write::Traces::new();
        out.resource(|attrs| attrs.copy(self.resource.attrs()));
        out.scope(SCOPE, "");
        let (mut trace, mut ids, mut begun) = (None, ([0; 16], [0; 8]), 0);
        let mut name = String::new();
        for item in items.clone() {
            let (number, at) = (item / (children + 1), item % (children + 1));
            if trace != Some(number) {
                let mut random = Random::seeded(seed ^ number.wrapping_mul(SPREAD));
                (trace, ids) = (Some(number), ids_of(&mut random));
                begun = time(item - items.start).saturating_sub(disorder.back(&mut random));
            }
            let (trace_id, root) = ids;
            let after = |spans: u64| begun.saturating_add(spans.saturating_mul(takes));
            let mut span = write::Span {
                trace_id,
                span_id: root,
                name: "lets-go",
                kind: SpanKind::Client,
                start: begun,
                end: after(children),
                status: spans.status,
                // Sampled.
                flags: 1,
                ..write::Span::default()
            };
            let mut peer = "telemetrygen-server";
            if let Some(child) = at.checked_sub(1) {
                name.clear();
                // Writing into a text does not fail.
                let _ = write!(name, "okey-dokey-{child}");
                let own = u64::from_be_bytes(root) ^ at.wrapping_mul(SPREAD);
                span.span_id = Random::seeded(own).next_u64().max(1).to_be_bytes();
                span.parent_span_id = Some(root);
                (span.name, span.kind, peer) = (&name, SpanKind::Server, "telemetrygen-client");
                (span.start, span.end) = (after(child), after(at));
            }
            out.span(&span, |attrs| {
                attrs.str("network.peer.address", "1.2.3.4");
                attrs.str("service.peer.name", peer);
                self.attributes(attrs, item);
            });
            for link in 0..spans.links.min(number) {
                let earlier = (number - 1 - link).wrapping_mul(SPREAD);
                let (trace_id, span_id) = ids_of(&mut Random::seeded(seed ^ earlier));
                out.link(trace_id, span_id, |attrs| {
                    attrs.str("link.type", "random");
                    attrs.int("link.index", link as i64);
                });
            }
        }
        out.finish()
    }

    fn point(
        &self,
        out: &mut write::Metrics,
        metrics: &Metrics,
        (item, number): (u64, Option<u64>),
        (time, begun): (u64, u64),
        random: &mut Random,
    ) {
        let start = match metrics.temporality {
            Temporality::Delta => time.saturating_sub(1_000_000_000),
            _ => begun.min(time),
        };
        let attributes = |attrs: &mut AttrWriter<'_>| {
            self.attributes(attrs, item);
            if let Some(number) = number {
                attrs.int("timebox", number as i64);
            }
        };
        let exemplar = |points: &mut Points<'_>| {
            if metrics.exemplar.is_some() {
                points.exemplar(time, Number::Int(1), metrics.exemplar, |_| ());
            }
        };
        let Metrics { name, temporality, .. } = metrics;
        match metrics.kind {
            Kind::Gauge => out.gauge(name, "", "", |points| {
                points.int(time, item as i64, attributes);
                exemplar(points);
            }),
            Kind::Sum => out.sum(name, "", "", *temporality, true, |points| {
                points.start(start);
                points.int(time, item as i64, attributes);
                exemplar(points);
            }),
            Kind::Histogram => out.histogram(name, "", "", *temporality, |points| {
                points.start(start);
                let (mut counts, mut sum) = ([0; BOUNDS.len() + 1], 0);
                for _ in 0..10 {
                    let value = random.below(1000);
                    counts[BOUNDS.partition_point(|bound| *bound < value as f64)] += 1;
                    sum += value;
                }
                let histogram = write::Histogram {
                    count: 10,
                    sum: Some(sum as f64),
                    explicit_bounds: &BOUNDS,
                    bucket_counts: &counts,
                    ..write::Histogram::default()
                };
                points.histogram(time, &histogram, attributes);
                exemplar(points);
            }),
            Kind::ExponentialHistogram => {
                out.exponential_histogram(name, "", "", *temporality, |points| {
                    points.start(start);
                    // At scale 0 bucket i holds what is above 2^i and at most 2^(i+1).
                    let (mut counts, mut sum, mut zeros) = ([0; 11], 0, 0);
                    let count = 10 + random.below(20);
                    for _ in 0..count {
                        let value = random.below(1000);
                        sum += value;
                        match value {
                            0 => zeros += 1,
                            value => {
                                counts[value.next_power_of_two().trailing_zeros() as usize] += 1
                            }
                        }
                    }
                    let histogram = write::ExponentialHistogram {
                        count,
                        sum: Some(sum as f64),
                        zero_count: zeros,
                        positive: write::ExponentialBuckets { offset: -1, counts: &counts },
                        ..write::ExponentialHistogram::default()
                    };
                    points.exponential_histogram(time, &histogram, attributes);
                    exemplar(points);
                });
            }
        }
    }
}

/// Ids of a trace and its root.
fn ids_of(random: &mut Random) -> (TraceId, SpanId) {
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&random.next_u64().max(1).to_be_bytes());
    trace_id[8..].copy_from_slice(&random.next_u64().to_be_bytes());
    (trace_id, random.next_u64().max(1).to_be_bytes())
}
