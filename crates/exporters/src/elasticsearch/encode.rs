// SPDX-License-Identifier: Apache-2.0
//! From a batch to documents: mode, way and shape of each record.
//!
//! Mode, index and action line are made once a scope; a record pays for them only when it has
//! attributes that steer (`data_stream.*`, `elasticsearch.*`).

use std::sync::atomic::{AtomicBool, Ordering};

use basics::Clock;
use otlp_wire::{Attrs, LogView, Payload, ResourceView, ScopeView, Signal, SpanView};

use super::bulk::Bulk;
use super::json;
use super::metrics::{self, Groups, Origin};
use super::route::{Control, Index, Place, Router};
use super::{Mode, ecs, legacy, otel};

/// The rules of one exporter.
pub(super) struct Encoder {
    pub signal: Signal,
    /// The mode where the data names none.
    pub mode: Mode,
    pub allowed: Vec<Mode>,
    pub router: Router,
    /// Of events of spans.
    pub event_router: Router,
    /// `elasticsearch.document_id` counts.
    pub document_id: bool,
    /// `elasticsearch.ingest_pipeline` counts.
    pub ingest_pipeline: bool,
    /// Action lines say nothing that only Elasticsearch knows.
    pub plain: AtomicBool,
    pub clock: Clock,
}

/// Reasons kept apart; the rest is counted together.
const REASONS_MAX: usize = 8;

/// What was left out or refused, by reason.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub rejected: u64,
    reasons: Vec<(String, u64)>,
}

impl Report {
    /// `items` were left out because of `reason`.
    pub fn add(&mut self, items: u64, reason: impl Into<String>) {
        self.rejected += items;
        let mut reason: String = reason.into();
        let is_known = self.reasons.iter().any(|(known, _)| *known == reason);
        if !is_known && self.reasons.len() + 1 >= REASONS_MAX {
            reason = "other reasons".to_owned();
        }
        match self.reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += items,
            None => self.reasons.push((reason, items)),
        }
    }

    /// Reasons with counts, on one line.
    pub fn message(&self) -> String {
        let reasons = self.reasons.iter().map(|(reason, count)| format!("{count} x {reason}"));
        reasons.collect::<Vec<_>>().join("; ")
    }
}

/// Where documents go, with what each of them carries for it.
pub(super) struct Way {
    pub index: Index,
    /// The whole action line, for documents without id, pipeline and templates.
    pub action: Vec<u8>,
    /// The member `data_stream`, or nothing.
    pub stream: Vec<u8>,
    /// Elasticsearch is to refuse the document unless the index is a data stream.
    requires_stream: bool,
    plain: bool,
}

/// What an action line may say beside the index.
#[derive(Default)]
struct More<'m> {
    id: Option<&'m str>,
    pipeline: Option<&'m str>,
    templates: &'m [u8],
}

impl Way {
    fn new(index: Index, mode: Mode, plain: bool) -> Way {
        let mut stream = Vec::new();
        if let Some(parts) = &index.stream {
            stream.extend_from_slice(b"\"data_stream\":");
            let mut object = json::Object::open(&mut stream);
            object.text("\"type\":", &parts.kind);
            object.text("\"dataset\":", &parts.dataset);
            object.text("\"namespace\":", &parts.namespace);
            object.close();
        }
        let is_template = matches!(mode, Mode::Otel | Mode::Ecs);
        let requires_stream = index.stream.is_some() && is_template && !plain;
        let mut way = Way { index, action: Vec::new(), stream, requires_stream, plain };
        let mut action = Vec::new();
        way.write(&mut action, &More::default());
        way.action = action;
        way
    }

    fn write(&self, out: &mut Vec<u8>, more: &More<'_>) {
        out.extend_from_slice(b"{\"create\":");
        let mut object = json::Object::open(out);
        object.text("\"_index\":", &self.index.name);
        object.text("\"_id\":", more.id.unwrap_or_default());
        object.text("\"pipeline\":", more.pipeline.unwrap_or_default());
        if !more.templates.is_empty() && !self.plain {
            let out = object.literal("\"dynamic_templates\":{");
            out.extend_from_slice(more.templates);
            out.push(b'}');
        }
        if self.requires_stream {
            object.literal("\"require_data_stream\":true");
        }
        object.close();
        out.extend_from_slice(b"}\n");
    }
}

/// A scope being encoded.
struct Scoped<'a> {
    mode: Mode,
    resource: ResourceView<'a>,
    scope: ScopeView<'a>,
    of_resource: Control<'a>,
    of_scope: Control<'a>,
    /// `resource` and `scope` of documents in mode `otel`.
    tail: Vec<u8>,
}

impl Encoder {
    /// The documents of `payload`; `asked` is the mode that the sender named.
    pub fn encode(&self, payload: &Payload, asked: Option<&str>, report: &mut Report) -> Bulk {
        // Documents repeat resource, scope and field names.
        let size = payload.len() * 2 + 1024;
        let mut bulk = Bulk { body: Vec::with_capacity(size), items: Vec::new() };
        let mut groups = Groups::default();
        let mut ways = Vec::new();
        for resource in payload.resources() {
            let of_resource = Control::read(&resource.attrs());
            for scope in resource.scopes() {
                let of_scope = Control::read(&scope.attrs());
                let mode = match self.mode(&of_scope, asked) {
                    Ok(mode) => mode,
                    Err(reason) => {
                        report.add(items(&scope), reason);
                        continue;
                    }
                };
                let tail = match (mode, self.signal) {
                    (Mode::Otel, Signal::Traces | Signal::Logs) => {
                        otel::tail(&resource, &scope, false)
                    }
                    _ => Vec::new(),
                };
                let at = Scoped { mode, resource, scope, of_resource, of_scope, tail };
                match self.signal {
                    Signal::Traces => self.spans(&at, &mut bulk, report),
                    Signal::Logs => self.logs(&at, &mut bulk, report),
                    Signal::Metrics => self.metrics(&at, &mut groups, &mut ways, report),
                }
            }
        }
        groups.write(&ways, report, |way, templates, document, points| {
            bulk.document(points, |out| {
                way.write(out, &More { templates, ..More::default() });
                out.extend_from_slice(document);
            });
        });
        bulk
    }

    fn mode(&self, of_scope: &Control<'_>, asked: Option<&str>) -> Result<Mode, String> {
        let named = of_scope.mode.map(|mode| mode.text());
        let Some(name) = named.as_deref().or(asked) else { return Ok(self.mode) };
        match Mode::from_name(name).filter(|mode| self.allowed.contains(mode)) {
            Some(mode) => Ok(mode),
            None => Err(format!("mapping mode \"{name}\" is not allowed")),
        }
    }

    fn is_plain(&self) -> bool {
        self.plain.load(Ordering::Relaxed)
    }

    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(self.clock.now().into()).unwrap_or_default()
    }

    /// The way of a record with `own` attributes that steer.
    fn way<'a>(
        &self,
        router: &Router,
        at: &Scoped<'a>,
        signal: Signal,
        own: &Control<'a>,
    ) -> Result<Way, &'static str> {
        let place = Place {
            mode: at.mode,
            signal,
            scope_name: at.scope.name(),
            scope_attrs: at.scope.attrs(),
            controls: [own, &at.of_scope, &at.of_resource],
        };
        Ok(Way::new(router.route(&place, self.now())?, at.mode, self.is_plain()))
    }

    fn spans(&self, at: &Scoped<'_>, bulk: &mut Bulk, report: &mut Report) {
        if at.mode == Mode::BodyMap {
            return report.add(items(&at.scope), "mapping mode bodymap takes no spans");
        }
        // Routing fails in mode bodymap only.
        let usual = self.way(&self.router, at, Signal::Traces, &Control::default());
        let usual_event = self.way(&self.event_router, at, Signal::Logs, &Control::default());
        let (Ok(usual), Ok(usual_event)) = (usual, usual_event) else { return };
        for span in at.scope.spans() {
            let control = Control::read(&span.attrs());
            if !control.hints.no_index {
                let own = self.own_way(&self.router, at, Signal::Traces, &control);
                let way = own.as_ref().unwrap_or(&usual);
                self.document(bulk, 1, way, &control, |out| write_span(out, at, &span, way));
            }
            self.events(at, &span, &usual_event, bulk);
        }
    }

    fn events(&self, at: &Scoped<'_>, span: &SpanView<'_>, usual: &Way, bulk: &mut Bulk) {
        if !matches!(at.mode, Mode::Otel | Mode::Ecs) {
            return;
        }
        for event in span.events() {
            let control = Control::read(&event.attrs());
            if control.hints.no_index {
                continue;
            }
            let of_ecs = (at.mode == Mode::Ecs).then(|| {
                let controls = [&control, &at.of_scope, &at.of_resource];
                Way::new(ecs::event_index(&at.resource, &event, controls), at.mode, self.is_plain())
            });
            let own =
                of_ecs.or_else(|| self.own_way(&self.event_router, at, Signal::Logs, &control));
            let way = own.as_ref().unwrap_or(usual);
            self.document(bulk, 0, way, &control, |out| match at.mode {
                Mode::Ecs => ecs::event(out, (&at.resource, &at.scope), span, &event, &way.index),
                _ => otel::event(out, span, &event, &way.stream, &at.tail),
            });
        }
    }

    fn logs(&self, at: &Scoped<'_>, bulk: &mut Bulk, report: &mut Report) {
        let usual = self.way(&self.router, at, Signal::Logs, &Control::default());
        for log in at.scope.logs() {
            let control = Control::read(&log.attrs());
            if control.hints.no_index {
                continue;
            }
            let own = control.routes().then(|| self.way(&self.router, at, Signal::Logs, &control));
            let way = match (&own, &usual) {
                (Some(Ok(way)), _) | (None, Ok(way)) => way,
                (Some(Err(reason)), _) | (None, Err(reason)) => {
                    report.add(1, *reason);
                    continue;
                }
            };
            if at.mode == Mode::BodyMap && !matches!(log.body(), otlp_wire::AnyValue::KvList(_)) {
                report.add(1, "invalid log record body type for 'bodymap' mapping mode");
                continue;
            }
            self.document(bulk, 1, way, &control, |out| write_log(out, at, &log, way));
        }
    }

    /// A way of its own, if the record has a say in it.
    fn own_way<'a>(
        &self,
        router: &Router,
        at: &Scoped<'a>,
        signal: Signal,
        control: &Control<'a>,
    ) -> Option<Way> {
        control.routes().then(|| self.way(router, at, signal, control).ok()).flatten()
    }

    fn document(
        &self,
        bulk: &mut Bulk,
        stands_for: u32,
        way: &Way,
        control: &Control<'_>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let id = control.document_id.filter(|_| self.document_id);
        let pipeline = control.ingest_pipeline.filter(|_| self.ingest_pipeline);
        bulk.document(stands_for, |out| {
            match (id, pipeline) {
                (None, None) => out.extend_from_slice(&way.action),
                _ => {
                    let (id, pipeline) = (id.map(|v| v.text()), pipeline.map(|v| v.text()));
                    let (id, pipeline) = (id.as_deref(), pipeline.as_deref());
                    way.write(out, &More { id, pipeline, templates: &[] });
                }
            }
            write(out);
        });
    }

    fn metrics<'a>(
        &self,
        at: &Scoped<'a>,
        groups: &mut Groups<'a>,
        ways: &mut Vec<Way>,
        report: &mut Report,
    ) {
        if !matches!(at.mode, Mode::Otel | Mode::Ecs) {
            let reason = format!("mapping mode {} takes no metrics", at.mode.name());
            return report.add(items(&at.scope), reason);
        }
        // Routing fails in mode bodymap only.
        let Ok(usual) = self.way(&self.router, at, Signal::Metrics, &Control::default()) else {
            return;
        };
        let usual = number_of(ways, usual);
        let identity = metrics::identity(at.mode, &at.resource, &at.scope);
        for metric in at.scope.metrics() {
            let is_taken = metrics::each(&metric, |point| {
                let control = Control::read(&attrs_of(&point));
                if control.hints.no_index {
                    return;
                }
                let own = self.own_way(&self.router, at, Signal::Metrics, &control);
                let way = own.map_or(usual, |way| number_of(ways, way));
                let (mode, resource, scope) = (at.mode, at.resource, at.scope);
                let origin = Origin { mode, resource, scope, way, identity };
                groups.add(origin, metric, point, control.hints);
            });
            if !is_taken {
                let points = metric.points_count() as u64;
                report.add(points, "histograms of cumulative temporality are not taken");
            }
        }
    }
}

fn attrs_of<'a>(point: &metrics::Point<'a>) -> Attrs<'a> {
    point.attrs()
}

/// The number of `way` among `ways`, added if it is new; they are few.
fn number_of(ways: &mut Vec<Way>, way: Way) -> usize {
    let known =
        ways.iter().position(|other| other.action == way.action && other.index == way.index);
    known.unwrap_or_else(|| {
        ways.push(way);
        ways.len() - 1
    })
}

fn write_span(out: &mut Vec<u8>, at: &Scoped<'_>, span: &SpanView<'_>, way: &Way) {
    let from = (&at.resource, &at.scope);
    match at.mode {
        Mode::Otel => otel::span(out, span, &way.stream, &at.tail),
        Mode::Ecs => ecs::span(out, from, span, &way.index),
        mode => legacy::span(out, from, span, &way.index, mode == Mode::Raw),
    }
}

fn write_log(out: &mut Vec<u8>, at: &Scoped<'_>, log: &LogView<'_>, way: &Way) {
    let from = (&at.resource, &at.scope);
    match at.mode {
        Mode::Otel => otel::log(out, log, &way.stream, &at.tail),
        Mode::Ecs => ecs::log(out, from, log, &way.index),
        Mode::BodyMap => json::value(out, &log.body(), false),
        mode => legacy::log(out, from, log, &way.index, mode == Mode::Raw),
    }
}

/// Spans, points or records in a scope.
fn items(scope: &ScopeView<'_>) -> u64 {
    let points: usize = scope.metrics().map(|metric| metric.points_count()).sum();
    (scope.spans().count() + scope.logs().count() + points) as u64
}
