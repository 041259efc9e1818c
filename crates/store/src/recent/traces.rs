// SPDX-License-Identifier: Apache-2.0
//! Recent traces: a list by trace, and the spans of one.

use hashbrown::HashMap;
use otlp_wire::{Payload, SpanId, SpanKind, SpanView, StatusCode, TraceId};

use super::{Attributes, RecentLimits, RecentStats, Ring, attributes, service_of};

/// The newest spans.
#[derive(Debug)]
pub struct RecentTraces(Ring);

/// Which traces are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct TraceQuery<'a> {
    /// Only traces with a span of this service.
    pub service: Option<&'a str>,
    /// Only traces with an error.
    pub errors_only: bool,
    /// Only traces at least this long, nanoseconds.
    pub duration_min: u64,
    /// Most traces given.
    pub limit: usize,
}

/// One trace, as far as its spans are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSummary {
    /// Its id.
    pub trace_id: TraceId,
    /// Service of the root span; of the earliest span while the root is missing.
    pub service: String,
    /// Name of that span.
    pub name: String,
    /// Start of the earliest span, Unix nanoseconds.
    pub start: u64,
    /// From the earliest start to the latest end, nanoseconds.
    pub duration: u64,
    /// Number of spans.
    pub spans: usize,
    /// Number of spans with status error.
    pub errors: usize,
    /// Services with their number of spans, ascending by name.
    pub services: Vec<(String, usize)>,
}

/// One span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanRecord {
    /// Trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that caused it; none for a root.
    pub parent_span_id: Option<SpanId>,
    /// Service that made it.
    pub service: String,
    /// Name of the operation.
    pub name: String,
    /// Role in the request.
    pub kind: SpanKind,
    /// Start, Unix nanoseconds.
    pub start: u64,
    /// End, Unix nanoseconds.
    pub end: u64,
    /// Outcome.
    pub status: StatusCode,
    /// Text that goes with an error status.
    pub status_message: String,
    /// Its attributes.
    pub attributes: Attributes,
    /// Attributes of its resource.
    pub resource: Attributes,
    /// Name of the instrumentation library.
    pub scope: String,
    /// What happened during it.
    pub events: Vec<SpanEvent>,
}

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// When, Unix nanoseconds.
    pub time: u64,
    /// What.
    pub name: String,
    /// Its attributes.
    pub attributes: Attributes,
}

impl RecentTraces {
    /// An empty ring.
    pub fn new(limits: RecentLimits) -> Self {
        RecentTraces(Ring::new(limits))
    }

    /// Keeps the spans of a payload.
    pub fn push(&self, payload: &Payload) {
        self.0.push(payload);
    }

    /// How full the ring is.
    pub fn stats(&self) -> RecentStats {
        self.0.stats()
    }

    /// Traces that match, the one that began last first.
    pub fn list(&self, query: TraceQuery<'_>) -> Vec<TraceSummary> {
        let mut traces: HashMap<TraceId, Gathered, foldhash::fast::RandomState> =
            HashMap::default();
        for payload in self.0.payloads() {
            for resource in payload.traces() {
                let service = service_of(resource);
                for span in resource.scopes().flat_map(|scope| scope.spans()) {
                    if let Some(id) = span.trace_id() {
                        traces.entry(id).or_default().add(&service, span);
                    }
                }
            }
        }
        let all = traces.into_iter().map(|(id, gathered)| gathered.summary(id));
        let mut found: Vec<TraceSummary> = all.filter(|trace| query.takes(trace)).collect();
        found.sort_by(|a, b| b.start.cmp(&a.start).then_with(|| a.trace_id.cmp(&b.trace_id)));
        found.truncate(query.limit);
        found
    }

    /// The spans of a trace, ascending by start; empty when none is kept. A span sent twice is
    /// given once.
    pub fn get(&self, trace_id: TraceId) -> Vec<SpanRecord> {
        let mut spans = Vec::new();
        for payload in self.0.payloads() {
            for resource in payload.traces() {
                for scope in resource.scopes() {
                    let mine = scope.spans().filter(|span| span.trace_id() == Some(trace_id));
                    spans.extend(mine.map(|span| SpanRecord {
                        service: service_of(resource),
                        resource: attributes(resource.attrs()),
                        scope: scope.name().to_owned(),
                        ..SpanRecord::from(span)
                    }));
                }
            }
        }
        spans.sort_by_key(|span| (span.start, span.span_id));
        spans.dedup_by_key(|span| span.span_id);
        spans
    }
}

impl TraceQuery<'_> {
    fn takes(&self, trace: &TraceSummary) -> bool {
        let service = self
            .service
            .is_none_or(|wanted| trace.services.iter().any(|(service, _)| service == wanted));
        service && (!self.errors_only || trace.errors > 0) && trace.duration >= self.duration_min
    }
}

impl From<SpanView<'_>> for SpanRecord {
    fn from(span: SpanView<'_>) -> Self {
        SpanRecord {
            trace_id: span.trace_id().unwrap_or_default(),
            span_id: span.span_id().unwrap_or_default(),
            parent_span_id: span.parent_span_id(),
            service: String::new(),
            name: span.name().to_owned(),
            kind: span.kind(),
            start: span.start(),
            end: span.end(),
            status: span.status(),
            status_message: span.status_message().to_owned(),
            attributes: attributes(span.attrs()),
            resource: Attributes::new(),
            scope: String::new(),
            events: span
                .events()
                .map(|event| SpanEvent {
                    time: event.time(),
                    name: event.name().to_owned(),
                    attributes: attributes(event.attrs()),
                })
                .collect(),
        }
    }
}

/// A trace while its spans are being met.
#[derive(Default)]
struct Gathered {
    /// Whether it is a root, its start, service and name.
    head: Option<(bool, u64, String, String)>,
    start: u64,
    end: u64,
    spans: usize,
    errors: usize,
    services: Vec<(String, usize)>,
}

impl Gathered {
    fn add(&mut self, service: &str, span: SpanView<'_>) {
        let (start, is_root) = (span.start(), span.parent_span_id().is_none());
        self.start = if self.spans == 0 { start } else { self.start.min(start) };
        self.end = self.end.max(span.end());
        self.spans += 1;
        self.errors += usize::from(span.status() == StatusCode::Error);
        let better = match &self.head {
            None => true,
            Some((root, first, ..)) => (is_root && !root) || (is_root == *root && start < *first),
        };
        if better {
            self.head = Some((is_root, start, service.to_owned(), span.name().to_owned()));
        }
        match self.services.iter_mut().find(|(name, _)| name == service) {
            Some((_, count)) => *count += 1,
            None => self.services.push((service.to_owned(), 1)),
        }
    }

    fn summary(mut self, trace_id: TraceId) -> TraceSummary {
        let (_, _, service, name) = self.head.unwrap_or_default();
        self.services.sort();
        TraceSummary {
            trace_id,
            service,
            name,
            start: self.start,
            duration: self.end.saturating_sub(self.start),
            spans: self.spans,
            errors: self.errors,
            services: self.services,
        }
    }
}
