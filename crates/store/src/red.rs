// SPDX-License-Identifier: Apache-2.0
//! Metrics of spans, counted as they come in: rate, errors and duration of each operation, and who
//! calls whom.
//!
//! In: traces payloads with the time they were received. Out: metrics payloads for the head, one
//! for each [`STEP`] of received time, under the names of the Collector's `spanmetrics` and
//! `servicegraph` connectors (`traces_span_metrics_calls_total`,
//! `traces_span_metrics_duration_milliseconds`, `traces_service_graph_request_total`, ...).
//! Sums are since the start of the process. A point's time is the end of its step, so a replay gives
//! the same points at the same times, and a counter that begins anew counts nothing twice.
//! Bounds: [`SERIES_MAX`] operations and as many edges, later ones under [`OVERFLOW`];
//! [`OPEN_MAX`] calls that wait [`WAIT`] for their other side.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use basics::UnixNano;
use hashbrown::HashMap;
use otlp_wire::write::{Histogram, Metrics, Points};
use otlp_wire::{
    Payload, ResourceView, SpanId, SpanKind, SpanView, StatusCode, Temporality, TraceId,
};
use parking_lot::Mutex;

/// Between two points of a series: the usual scrape interval, which rate windows are made for.
pub const STEP: u64 = 15_000_000_000;

/// Most steps made up for a time without spans: a series is shown for five minutes after its last
/// point, so older ones would tell nothing.
const STEPS_MAX: u64 = 20;

/// Most operations, and most edges. 2,000 of the former are 40,000 series: a fleet of 100 services.
pub const SERIES_MAX: usize = 2000;

/// The value of labels past [`SERIES_MAX`], as in the connectors.
pub const OVERFLOW: &str = "other";

/// Most calls waiting for their other side: some MB.
const OPEN_MAX: usize = 20_000;

/// How long a call waits, by received time. The connector waits 2 s; batches of SDKs come every 5 s.
const WAIT: u64 = 10_000_000_000;

/// Upper bounds in milliseconds, the connector's.
const MILLISECONDS: [f64; 16] = [
    2.0, 4.0, 6.0, 8.0, 10.0, 50.0, 100.0, 200.0, 400.0, 800.0, 1000.0, 1400.0, 2000.0, 5000.0,
    10_000.0, 15_000.0,
];

/// Upper bounds in seconds, the connector's.
const SECONDS: [f64; 16] =
    [0.002, 0.004, 0.006, 0.008, 0.01, 0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.4, 2.0, 5.0, 10.0, 15.0];

/// Attributes that name the other side of a call that it does not tell of itself.
const PEERS: [&str; 4] = ["peer.service", "db.name", "db.namespace", "db.system"];

/// The metrics of one store's spans.
#[derive(Debug, Default)]
pub(crate) struct Red(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// End of the step that spans are counted in; 0 before the first span.
    step_end: UnixNano,
    /// Start of all sums.
    begun: UnixNano,
    operations: HashMap<Operation, Durations, foldhash::fast::RandomState>,
    edges: HashMap<Edge, Call, foldhash::fast::RandomState>,
    open: HashMap<(TraceId, SpanId), Open, foldhash::fast::RandomState>,
    /// When calls began to wait, oldest first.
    waiting: VecDeque<(UnixNano, (TraceId, SpanId))>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Operation {
    service: Box<str>,
    name: Box<str>,
    kind: u8,
    status: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Edge {
    client: Box<str>,
    server: Box<str>,
    kind: &'static str,
}

#[derive(Debug, Default)]
struct Durations {
    count: u64,
    sum: f64,
    buckets: [u64; 17],
}

impl Durations {
    fn add(&mut self, value: f64, bounds: &[f64; 16]) {
        self.count += 1;
        self.sum += value;
        self.buckets[bounds.partition_point(|bound| *bound < value)] += 1;
    }

    fn write(&self, points: &mut Points<'_>, time: u64, bounds: &[f64], attrs: &dyn Attrs) {
        let value = Histogram {
            count: self.count,
            sum: Some(self.sum),
            explicit_bounds: bounds,
            bucket_counts: &self.buckets,
            ..Histogram::default()
        };
        points.histogram(time, &value, |a| attrs.write(a));
    }
}

#[derive(Debug, Default)]
struct Call {
    count: u64,
    failed: u64,
    client: Durations,
    server: Durations,
}

/// One side of a call.
#[derive(Debug, Default)]
struct Open {
    client: Option<Side>,
    server: Option<Side>,
    /// The other side's name, as the client tells it.
    peer: Option<Box<str>>,
    kind: &'static str,
}

#[derive(Debug)]
struct Side {
    service: Box<str>,
    seconds: f64,
    failed: bool,
}

trait Attrs {
    fn write(&self, to: &mut otlp_wire::write::AttrWriter<'_>);
}

impl Attrs for Operation {
    fn write(&self, to: &mut otlp_wire::write::AttrWriter<'_>) {
        const KINDS: [&str; 6] =
            ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"];
        const STATUS: [&str; 3] = ["UNSET", "OK", "ERROR"];
        let of = |names: &'static [&'static str], at: u8| names.get(usize::from(at)).unwrap_or(&"");
        to.str("service.name", &self.service);
        to.str("span.name", &self.name);
        to.str("span.kind", &format!("SPAN_KIND_{}", of(&KINDS, self.kind)));
        to.str("status.code", &format!("STATUS_CODE_{}", of(&STATUS, self.status)));
    }
}

impl Attrs for Edge {
    fn write(&self, to: &mut otlp_wire::write::AttrWriter<'_>) {
        to.str("client", &self.client);
        to.str("server", &self.server);
        to.str("connection_type", self.kind);
    }
}

impl Red {
    /// Counts the spans of a payload. What comes back is for the head: points of the steps that have
    /// ended since, with the time they are received at.
    pub(crate) fn saw(&self, payload: &Payload, received: UnixNano) -> Vec<(Payload, UnixNano)> {
        let mut state = self.0.lock();
        let ended = state.advance(received);
        for resource in payload.traces() {
            let service = service_of(&resource);
            for span in resource.scopes().flat_map(|scope| scope.spans()) {
                state.count(&service, &span);
                state.call(&service, &span, received);
            }
        }
        ended
    }

    /// Points of the steps that have ended at `now`.
    pub(crate) fn tick(&self, now: UnixNano) -> Vec<(Payload, UnixNano)> {
        let mut state = self.0.lock();
        match state.step_end {
            0 => Vec::new(),
            _ => state.advance(now),
        }
    }
}

fn service_of(resource: &ResourceView<'_>) -> String {
    resource.attr("service.name").map(|name| name.text().into_owned()).unwrap_or_default()
}

impl State {
    fn advance(&mut self, now: UnixNano) -> Vec<(Payload, UnixNano)> {
        let end = (now / STEP + 1) * STEP;
        if self.step_end == 0 {
            (self.begun, self.step_end) = (now, end);
        }
        if end <= self.step_end {
            return Vec::new();
        }
        let first = self.step_end.max(end.saturating_sub(STEPS_MAX * STEP));
        self.step_end = end;
        let mut points = Vec::new();
        let mut time = first;
        while time < end {
            self.expire(time);
            points.push((self.points(time), time));
            time += STEP;
        }
        points
    }

    fn count(&mut self, service: &str, span: &SpanView<'_>) {
        let mut operation = Operation {
            service: service.into(),
            name: span.name().into(),
            kind: span.kind() as u8,
            status: span.status() as u8,
        };
        if self.operations.len() >= SERIES_MAX && !self.operations.contains_key(&operation) {
            (operation.service, operation.name) = (OVERFLOW.into(), OVERFLOW.into());
        }
        let ms = span.duration_nanos() as f64 / 1e6;
        self.operations.entry(operation).or_default().add(ms, &MILLISECONDS);
    }

    fn call(&mut self, service: &str, span: &SpanView<'_>, now: UnixNano) {
        let (Some(trace), Some(id)) = (span.trace_id(), span.span_id()) else { return };
        let is_client = match span.kind() {
            SpanKind::Client | SpanKind::Producer => true,
            SpanKind::Server | SpanKind::Consumer => false,
            SpanKind::Unspecified | SpanKind::Internal => return,
        };
        let key = match (is_client, span.parent_span_id()) {
            (true, _) => (trace, id),
            (false, Some(parent)) => (trace, parent),
            // Called from outside: no edge.
            (false, None) => return,
        };
        let side = Side {
            service: service.into(),
            seconds: span.duration_nanos() as f64 / 1e9,
            failed: span.status() == StatusCode::Error,
        };
        if !self.open.contains_key(&key) {
            if self.open.len() >= OPEN_MAX {
                return;
            }
            self.waiting.push_back((now, key));
        }
        let open = self.open.entry(key).or_default();
        if matches!(span.kind(), SpanKind::Producer | SpanKind::Consumer) {
            open.kind = "messaging_system";
        }
        if is_client {
            if span.attr("db.system").is_some() || span.attr("db.system.name").is_some() {
                open.kind = "database";
            }
            let peer = PEERS.iter().find_map(|key| span.attr(key));
            open.peer = peer.map(|name| name.text().into());
            open.client = Some(side);
        } else {
            open.server = Some(side);
        }
        if open.client.is_some()
            && open.server.is_some()
            && let Some(whole) = self.open.remove(&key)
        {
            self.settle(whole);
        }
    }

    /// Calls that have waited long enough count by what their client tells of the other side.
    fn expire(&mut self, now: UnixNano) {
        while let Some((since, key)) = self.waiting.front().copied() {
            if since.saturating_add(WAIT) > now {
                return;
            }
            self.waiting.pop_front();
            if let Some(open) = self.open.remove(&key) {
                self.settle(open);
            }
        }
    }

    fn settle(&mut self, open: Open) {
        let (client, server) = (open.client, open.server);
        let names = match (&client, &server, open.peer) {
            (Some(client), Some(server), _) => (client.service.clone(), server.service.clone()),
            (Some(client), None, Some(peer)) => (client.service.clone(), peer),
            _ => return,
        };
        let mut edge = Edge { client: names.0, server: names.1, kind: open.kind };
        if self.edges.len() >= SERIES_MAX && !self.edges.contains_key(&edge) {
            (edge.client, edge.server) = (OVERFLOW.into(), OVERFLOW.into());
        }
        let call = self.edges.entry(edge).or_default();
        call.count += 1;
        call.failed +=
            u64::from([&client, &server].iter().any(|s| s.as_ref().is_some_and(|s| s.failed)));
        if let Some(side) = &client {
            call.client.add(side.seconds, &SECONDS);
        }
        if let Some(side) = &server {
            call.server.add(side.seconds, &SECONDS);
        }
    }

    fn points(&self, time: UnixNano) -> Payload {
        let mut w = Metrics::new();
        w.scope("foreglow/spans", "1");
        let begun = self.begun;
        let cumulative = Temporality::Cumulative;
        let mut sum = |name: &str, text: &str, each: &mut dyn FnMut(&mut Points<'_>)| {
            w.sum(name, "", text, cumulative, true, |p| {
                p.start(begun);
                each(p);
            });
        };
        sum("traces.span.metrics.calls", "Spans.", &mut |p| {
            for (operation, all) in &self.operations {
                p.int(time, all.count as i64, |a| operation.write(a));
            }
        });
        sum("traces_service_graph_request", "Calls between services.", &mut |p| {
            for (edge, call) in &self.edges {
                p.int(time, call.count as i64, |a| edge.write(a));
            }
        });
        sum("traces_service_graph_request_failed", "Calls that failed.", &mut |p| {
            for (edge, call) in self.edges.iter().filter(|(_, call)| call.failed > 0) {
                p.int(time, call.failed as i64, |a| edge.write(a));
            }
        });
        let text = "How long spans took.";
        w.histogram("traces.span.metrics.duration", "ms", text, cumulative, |p| {
            p.start(begun);
            for (operation, all) in &self.operations {
                all.write(p, time, &MILLISECONDS, operation);
            }
        });
        type Part = fn(&Call) -> &Durations;
        let sides: [(&str, Part); 2] = [
            ("traces_service_graph_request_client", |call| &call.client),
            ("traces_service_graph_request_server", |call| &call.server),
        ];
        for (name, side) in sides {
            let text = "How long calls took, as this side saw it.";
            w.histogram(name, "s", text, cumulative, |p| {
                p.start(begun);
                for (edge, call) in self.edges.iter().filter(|(_, call)| side(call).count > 0) {
                    side(call).write(p, time, &SECONDS, edge);
                }
            });
        }
        w.finish()
    }
}
