// SPDX-License-Identifier: Apache-2.0
//! The writer of logs.

use super::{
    AttrWriter, Groups, any_len, group_methods, put_any, put_nonzero, put_nonzero64, put_str,
};
use crate::value::AnyValue;
use crate::view::LogView;
use crate::wire::{Frame, LEN, put_fixed32, put_len, put_tag, put_varint};
use crate::{Signal, SpanId, TraceId};

/// The singular fields of a log record.
#[derive(Clone, Copy, Debug)]
pub struct Log<'a> {
    /// When it happened, Unix nanoseconds.
    pub time: u64,
    /// When it was seen, Unix nanoseconds.
    pub observed_time: u64,
    /// 1 to 24 (TRACE to FATAL4), 0 for unknown.
    pub severity_number: i32,
    /// The severity as the source writes it.
    pub severity_text: &'a str,
    /// The message.
    pub body: AnyValue<'a>,
    /// Trace it belongs to.
    pub trace_id: Option<TraceId>,
    /// Span it belongs to.
    pub span_id: Option<SpanId>,
    /// W3C trace flags.
    pub flags: u32,
    /// Name of the event type, for events.
    pub event_name: &'a str,
}

impl Default for Log<'_> {
    fn default() -> Self {
        Log {
            time: 0,
            observed_time: 0,
            severity_number: 0,
            severity_text: "",
            body: AnyValue::Empty,
            trace_id: None,
            span_id: None,
            flags: 0,
            event_name: "",
        }
    }
}

/// Writes a logs payload; see [`crate::write`].
///
/// ```
/// use otlp_wire::write;
///
/// let mut w = write::Logs::new();
/// w.resource(|r| r.str("service.name", "cart"));
/// w.scope("shop", "1.0");
/// let log = write::Log { time: 5, severity_number: 9, body: "ready".into(), ..Default::default() };
/// w.log(&log, |a| a.int("port", 80));
/// assert_eq!(w.finish().items(), 1);
/// ```
#[derive(Debug, Default)]
pub struct Logs {
    groups: Groups,
}

impl Logs {
    group_methods!(Signal::Logs);

    /// Writes a log record.
    pub fn log(&mut self, log: &Log<'_>, attrs: impl FnOnce(&mut AttrWriter<'_>)) {
        self.groups.ready();
        let out = &mut self.groups.out;
        let frame = Frame::open(out, 2, 2);
        put_nonzero64(out, 1, log.time);
        put_nonzero(out, 2, log.severity_number as u64);
        put_str(out, 3, log.severity_text);
        if !log.body.is_empty() {
            put_tag(out, 5, LEN);
            put_varint(out, any_len(&log.body) as u64);
            put_any(out, &log.body);
        }
        attrs(&mut AttrWriter { out, number: 6 });
        if log.flags != 0 {
            put_fixed32(out, 8, log.flags);
        }
        if let Some(id) = &log.trace_id {
            put_len(out, 9, id);
        }
        if let Some(id) = &log.span_id {
            put_len(out, 10, id);
        }
        put_nonzero64(out, 11, log.observed_time);
        put_str(out, 12, log.event_name);
        frame.close(out);
        self.groups.items += 1;
    }

    /// Copies a record of another payload.
    pub fn log_from(&mut self, log: LogView<'_>) {
        self.groups.raw_element(log.raw(), 1);
    }
}
