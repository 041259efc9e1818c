// SPDX-License-Identifier: Apache-2.0
//! Recent log records.

use otlp_wire::{LogView, Payload, SpanId, TraceId};

use super::{Attributes, RecentLimits, RecentStats, Ring, attributes, service_of};

/// The newest log records.
#[derive(Debug)]
pub struct RecentLogs(Ring);

/// Which records are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogQuery<'a> {
    /// Only records of this service.
    pub service: Option<&'a str>,
    /// Only records at least this severe (1 to 24).
    pub severity_min: i32,
    /// Only records whose body holds this text.
    pub contains: &'a str,
    /// Only records of this trace.
    pub trace_id: Option<TraceId>,
    /// Most records given.
    pub limit: usize,
}

/// One log record.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRecord {
    /// When it happened, Unix nanoseconds; when it was seen if that is unknown.
    pub time: u64,
    /// 1 to 24 (TRACE to FATAL4), 0 for unknown.
    pub severity_number: i32,
    /// The severity as the source wrote it.
    pub severity_text: String,
    /// Service that made it.
    pub service: String,
    /// The message as text.
    pub body: String,
    /// Trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// Span it belongs to.
    pub span_id: Option<SpanId>,
    /// Its attributes.
    pub attributes: Attributes,
    /// Attributes of its resource.
    pub resource: Attributes,
    /// Name of the instrumentation library.
    pub scope: String,
}

impl RecentLogs {
    /// An empty ring.
    pub fn new(limits: RecentLimits) -> Self {
        RecentLogs(Ring::new(limits))
    }

    /// Keeps the records of a payload.
    pub fn push(&self, payload: &Payload) {
        self.0.push(payload);
    }

    /// How full the ring is.
    pub fn stats(&self) -> RecentStats {
        self.0.stats()
    }

    /// Records that match, newest first.
    pub fn list(&self, query: LogQuery<'_>) -> Vec<LogRecord> {
        let payloads = self.0.payloads();
        let mut found = Vec::new();
        for payload in &payloads {
            for resource in payload.logs() {
                let service = service_of(resource);
                if query.service.is_some_and(|wanted| wanted != service) {
                    continue;
                }
                for scope in resource.scopes() {
                    let mine = scope.logs().filter(|log| query.takes(log));
                    found.extend(mine.map(|log| (time_of(&log), resource, scope, log)));
                }
            }
        }
        // Stable: of equal times the later payload stays first.
        found.sort_by_key(|(time, ..)| std::cmp::Reverse(*time));
        found.truncate(query.limit);
        let records = found.into_iter().map(|(time, resource, scope, log)| LogRecord {
            time,
            severity_number: log.severity_number(),
            severity_text: log.severity_text().to_owned(),
            service: service_of(resource),
            body: log.body().text().into_owned(),
            trace_id: log.trace_id(),
            span_id: log.span_id(),
            attributes: attributes(log.attrs()),
            resource: attributes(resource.attrs()),
            scope: scope.name().to_owned(),
        });
        records.collect()
    }
}

fn time_of(log: &LogView<'_>) -> u64 {
    match log.time() {
        0 => log.observed_time(),
        time => time,
    }
}

impl LogQuery<'_> {
    fn takes(&self, log: &LogView<'_>) -> bool {
        log.severity_number() >= self.severity_min
            && (self.trace_id.is_none() || log.trace_id() == self.trace_id)
            && (self.contains.is_empty() || log.body().text().contains(self.contains))
    }
}
