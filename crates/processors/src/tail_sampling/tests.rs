// SPDX-License-Identifier: Apache-2.0

mod flow;
mod memory;
mod policies;
mod replay;
mod settings;
mod simulation;

use basics::Clock;
use otlp_wire::{Payload, StatusCode, write};
use pipeline::config::from_yaml;
use pipeline::testing::{Rest, context, outlet};

use super::*;

/// When tests begin: no special second.
const START: UnixNano = 1_700_000_000_300_000_000;

/// A sampler, the rest of its pipeline, and the clock of both.
struct Rig {
    sampler: TailSampler,
    out: Outlet,
    rest: Rest,
    clock: Clock,
    context: Context,
}

/// What a test says of a span.
#[derive(Clone, Copy)]
struct Span {
    trace: u64,
    span: u64,
    root: bool,
    start: u64,
    end: u64,
    status: StatusCode,
    service: &'static str,
    state: &'static str,
    flags: u32,
}

/// Span number `span` of trace number `trace`.
fn span(trace: u64, span: u64) -> Span {
    let status = StatusCode::Unset;
    Span { trace, span, root: false, start: 1, end: 2, status, service: "a", state: "", flags: 0 }
}

fn id_of(trace: u64) -> TraceId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&trace.to_le_bytes());
    id[15] = 1;
    id
}

/// One request of these spans; neighbours of one service share a resource.
fn request(spans: &[Span]) -> Payload {
    let mut w = write::Traces::new();
    let mut service = "";
    for it in spans {
        if it.service != service {
            service = it.service;
            w.resource(|r| r.str("service.name", service));
            w.scope("test", "1");
        }
        let span = write::Span {
            trace_id: id_of(it.trace),
            span_id: (it.span + 1).to_be_bytes(),
            parent_span_id: (!it.root).then_some([9; 8]),
            trace_state: it.state,
            name: "x",
            start: it.start,
            end: it.end,
            status: it.status,
            flags: it.flags,
            ..<_>::default()
        };
        w.span(&span, |a| a.int("n", it.span as i64));
    }
    w.finish()
}

/// Trace and number of each span of a payload.
fn spans_of(payload: &Payload) -> Vec<(u64, u64)> {
    let scopes = payload.traces().flat_map(|resource| resource.scopes());
    let spans = scopes.flat_map(|scope| scope.spans());
    spans
        .map(|span| {
            let id = span.trace_id().expect("an id");
            let number = u64::from_be_bytes(span.span_id().expect("an id")) - 1;
            (u64::from_le_bytes(id[..8].try_into().expect("8 bytes")), number)
        })
        .collect()
}

impl Rig {
    fn new(yaml: &str) -> Rig {
        Rig::with(yaml, &Clock::manual(START))
    }

    fn with(yaml: &str, clock: &Clock) -> Rig {
        let config = from_yaml::<Config>(yaml).unwrap_or_else(|errors| panic!("{yaml}: {errors}"));
        let context = context("tail_sampling", Signal::Traces, clock);
        let sampler = TailSampler::new(Arc::new(config), &context).expect("a sampler");
        let (out, rest) = outlet();
        Rig { sampler, out, rest, clock: clock.clone(), context }
    }

    /// A request comes now.
    async fn comes(&mut self, spans: &[Span]) {
        self.comes_with(spans, Meta { received: self.clock.now(), ..Meta::default() }).await;
    }

    async fn comes_with(&mut self, spans: &[Span], meta: Meta) {
        let batch = Batch::new(request(spans), Arc::new(meta));
        self.sampler.take(batch, &self.out).await.expect("taken");
    }

    /// Time passes; the sampler is called whenever it wants to be, as by the runtime.
    async fn pass(&mut self, seconds: f64) {
        let end = self.clock.now() + (seconds * 1e9) as u64;
        while let Some(wait) = self.sampler.deadline() {
            if self.clock.now() + wait.as_nanos() as u64 > end {
                break;
            }
            self.clock.advance(wait);
            self.sampler.tick(&self.out).await.expect("ticks");
        }
        self.clock.advance(Duration::from_nanos(end - self.clock.now()));
    }

    async fn ends(&mut self) {
        self.sampler.finish(&self.out).await.expect("ends");
        assert_eq!(self.rest.kept(), 0, "everything has left");
    }

    /// What went on so far, sorted.
    fn went_on(&self) -> Vec<(u64, u64)> {
        let mut all: Vec<_> =
            self.rest.forwarded().iter().flat_map(|batch| spans_of(&batch.payload)).collect();
        all.sort();
        all
    }

    /// Spans that met `fate`.
    fn met(&self, fate: Fate) -> u64 {
        self.rest.left().iter().filter(|(_, met)| *met == fate).map(|(items, _)| items).sum()
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let name = format!("otelcol_processor_tail_sampling_{name}");
        self.context.host.telemetry().value(&name, labels)
    }
}

const ALL: &str = "policies: [{name: all, type: always_sample}]";
const NONE: &str = "policies: []";
const ERRORS: &str =
    "policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]";

/// A span that failed.
fn failed(trace: u64, number: u64) -> Span {
    Span { status: StatusCode::Error, ..span(trace, number) }
}
