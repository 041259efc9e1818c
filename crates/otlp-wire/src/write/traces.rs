// SPDX-License-Identifier: Apache-2.0
//! The writer of traces.

use super::{AttrWriter, Groups, group_methods, put_nonzero, put_nonzero64, put_str};
use crate::view::{SpanKind, SpanView, StatusCode};
use crate::wire::{Frame, put_fixed32, put_len};
use crate::{Signal, SpanId, TraceId};

/// The singular fields of a span.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span<'a> {
    /// Trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span that caused it; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// W3C trace state.
    pub trace_state: &'a str,
    /// Name of the operation.
    pub name: &'a str,
    /// Role in the request.
    pub kind: SpanKind,
    /// Start, Unix nanoseconds.
    pub start: u64,
    /// End, Unix nanoseconds.
    pub end: u64,
    /// Outcome.
    pub status: StatusCode,
    /// Text that goes with an error status.
    pub status_message: &'a str,
    /// W3C trace flags.
    pub flags: u32,
}

/// Writes a traces payload; see [`crate::write`].
///
/// ```
/// use otlp_wire::{SpanKind, write};
///
/// let mut w = write::Traces::new();
/// w.resource(|r| r.str("service.name", "cart"));
/// w.scope("shop", "1.0");
/// let span = write::Span {
///     trace_id: [1; 16], span_id: [2; 8], name: "GET /cart", kind: SpanKind::Server,
///     start: 10, end: 20, ..Default::default()
/// };
/// w.span(&span, |a| a.int("http.response.status_code", 200));
/// w.event(15, "cache miss", |_| ());
/// assert_eq!(w.finish().items(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Traces {
    groups: Groups,
}

impl Traces {
    group_methods!(Signal::Traces);

    /// Writes a span; events and links may follow.
    pub fn span(&mut self, span: &Span<'_>, attrs: impl FnOnce(&mut AttrWriter<'_>)) {
        self.groups.ready();
        let out = &mut self.groups.out;
        let frame = Frame::open(out, 2, 2);
        put_len(out, 1, &span.trace_id);
        put_len(out, 2, &span.span_id);
        put_str(out, 3, span.trace_state);
        if let Some(parent) = &span.parent_span_id {
            put_len(out, 4, parent);
        }
        put_str(out, 5, span.name);
        put_nonzero(out, 6, span.kind as u64);
        put_nonzero64(out, 7, span.start);
        put_nonzero64(out, 8, span.end);
        attrs(&mut AttrWriter { out, number: 9 });
        if span.status != StatusCode::Unset || !span.status_message.is_empty() {
            let status = Frame::open(out, 15, 1);
            put_str(out, 2, span.status_message);
            put_nonzero(out, 3, span.status as u64);
            status.close(out);
        }
        if span.flags != 0 {
            put_fixed32(out, 16, span.flags);
        }
        self.groups.element = Some(frame);
        self.groups.items += 1;
    }

    /// Adds an event to the span written last.
    pub fn event(&mut self, time: u64, name: &str, attrs: impl FnOnce(&mut AttrWriter<'_>)) {
        if self.groups.element.is_none() {
            return;
        }
        let out = &mut self.groups.out;
        let frame = Frame::open(out, 11, 1);
        put_nonzero64(out, 1, time);
        put_str(out, 2, name);
        attrs(&mut AttrWriter { out, number: 3 });
        frame.close(out);
    }

    /// Adds a link to the span written last.
    pub fn link(
        &mut self,
        trace_id: TraceId,
        span_id: SpanId,
        attrs: impl FnOnce(&mut AttrWriter<'_>),
    ) {
        if self.groups.element.is_none() {
            return;
        }
        let out = &mut self.groups.out;
        let frame = Frame::open(out, 13, 1);
        put_len(out, 1, &trace_id);
        put_len(out, 2, &span_id);
        attrs(&mut AttrWriter { out, number: 4 });
        frame.close(out);
    }

    /// Copies a span of another payload.
    pub fn span_from(&mut self, span: SpanView<'_>) {
        self.groups.raw_element(span.raw(), 1);
    }
}
