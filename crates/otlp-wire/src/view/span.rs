// SPDX-License-Identifier: Apache-2.0
//! Views of spans, their events and links.

use super::{FromRaw, Views, span_id, trace_id};
use crate::value::{AnyValue, Attrs};
use crate::wire::{find_len, find_str, find_u64};
use crate::{SpanId, TraceId};

/// Role of a span in a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// Not told, or a number this version does not know.
    #[default]
    Unspecified,
    /// Inside one process.
    Internal,
    /// Serves a request.
    Server,
    /// Makes a request.
    Client,
    /// Sends a message.
    Producer,
    /// Receives a message.
    Consumer,
}

impl SpanKind {
    /// From the number on the wire.
    pub fn from_number(number: i32) -> SpanKind {
        match number {
            1 => SpanKind::Internal,
            2 => SpanKind::Server,
            3 => SpanKind::Client,
            4 => SpanKind::Producer,
            5 => SpanKind::Consumer,
            _ => SpanKind::Unspecified,
        }
    }

    /// `Unspecified`, `Internal`, `Server`, ... as the collector prints them.
    pub fn name(self) -> &'static str {
        match self {
            SpanKind::Unspecified => "Unspecified",
            SpanKind::Internal => "Internal",
            SpanKind::Server => "Server",
            SpanKind::Client => "Client",
            SpanKind::Producer => "Producer",
            SpanKind::Consumer => "Consumer",
        }
    }
}

/// Outcome of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StatusCode {
    /// Not told.
    #[default]
    Unset,
    /// Declared a success.
    Ok,
    /// Failed.
    Error,
}

impl StatusCode {
    /// From the number on the wire.
    pub fn from_number(number: i32) -> StatusCode {
        match number {
            1 => StatusCode::Ok,
            2 => StatusCode::Error,
            _ => StatusCode::Unset,
        }
    }

    /// `Unset`, `Ok` or `Error`.
    pub fn name(self) -> &'static str {
        match self {
            StatusCode::Unset => "Unset",
            StatusCode::Ok => "Ok",
            StatusCode::Error => "Error",
        }
    }
}

/// One span.
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a> {
    raw: &'a [u8],
}

impl<'a> FromRaw<'a> for SpanView<'a> {
    #[inline]
    fn from_raw(raw: &'a [u8]) -> Self {
        SpanView { raw }
    }
}

impl<'a> SpanView<'a> {
    /// The encoded `Span` message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Trace it belongs to; `None` when left empty.
    #[inline]
    pub fn trace_id(&self) -> Option<TraceId> {
        trace_id(self.raw, 1)
    }

    /// Its own id; `None` when left empty.
    #[inline]
    pub fn span_id(&self) -> Option<SpanId> {
        span_id(self.raw, 2)
    }

    /// W3C trace state.
    pub fn trace_state(&self) -> &'a str {
        find_str(self.raw, 3)
    }

    /// The span that caused it; `None` for a root.
    pub fn parent_span_id(&self) -> Option<SpanId> {
        span_id(self.raw, 4)
    }

    /// Name of the operation.
    pub fn name(&self) -> &'a str {
        find_str(self.raw, 5)
    }

    /// Role in the request.
    pub fn kind(&self) -> SpanKind {
        SpanKind::from_number(self.kind_number())
    }

    /// The kind as it is on the wire.
    pub fn kind_number(&self) -> i32 {
        find_u64(self.raw, 6) as i32
    }

    /// Start, Unix nanoseconds.
    pub fn start(&self) -> u64 {
        find_u64(self.raw, 7)
    }

    /// End, Unix nanoseconds.
    pub fn end(&self) -> u64 {
        find_u64(self.raw, 8)
    }

    /// End less start in nanoseconds; zero when the clock went back.
    pub fn duration_nanos(&self) -> u64 {
        self.end().saturating_sub(self.start())
    }

    /// Its attributes.
    #[inline]
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs::new(self.raw, 9)
    }

    /// The first attribute under `key`.
    pub fn attr(&self, key: &str) -> Option<AnyValue<'a>> {
        self.attrs().get(key)
    }

    /// Attributes the sender left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        find_u64(self.raw, 10) as u32
    }

    /// Events in wire order.
    pub fn events(&self) -> Views<'a, EventView<'a>> {
        Views::new(self.raw, 11)
    }

    /// Events the sender left out.
    pub fn dropped_events_count(&self) -> u32 {
        find_u64(self.raw, 12) as u32
    }

    /// Links in wire order.
    pub fn links(&self) -> Views<'a, LinkView<'a>> {
        Views::new(self.raw, 13)
    }

    /// Links the sender left out.
    pub fn dropped_links_count(&self) -> u32 {
        find_u64(self.raw, 14) as u32
    }

    /// Outcome.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_number(find_u64(self.status_raw(), 3) as i32)
    }

    /// Text that goes with an error status.
    pub fn status_message(&self) -> &'a str {
        find_str(self.status_raw(), 2)
    }

    fn status_raw(&self) -> &'a [u8] {
        find_len(self.raw, 15).unwrap_or_default()
    }

    /// W3C trace flags in the low 8 bits.
    pub fn flags(&self) -> u32 {
        find_u64(self.raw, 16) as u32
    }
}

/// Something that happened during a span.
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    raw: &'a [u8],
}

impl<'a> FromRaw<'a> for EventView<'a> {
    fn from_raw(raw: &'a [u8]) -> Self {
        EventView { raw }
    }
}

impl<'a> EventView<'a> {
    /// The encoded `Event` message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// When, Unix nanoseconds.
    pub fn time(&self) -> u64 {
        find_u64(self.raw, 1)
    }

    /// What.
    pub fn name(&self) -> &'a str {
        find_str(self.raw, 2)
    }

    /// Its attributes.
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs::new(self.raw, 3)
    }

    /// Attributes the sender left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        find_u64(self.raw, 4) as u32
    }
}

/// A reference to another span.
#[derive(Clone, Copy, Debug)]
pub struct LinkView<'a> {
    raw: &'a [u8],
}

impl<'a> FromRaw<'a> for LinkView<'a> {
    fn from_raw(raw: &'a [u8]) -> Self {
        LinkView { raw }
    }
}

impl<'a> LinkView<'a> {
    /// The encoded `Link` message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Trace of the other span.
    pub fn trace_id(&self) -> Option<TraceId> {
        trace_id(self.raw, 1)
    }

    /// Id of the other span.
    pub fn span_id(&self) -> Option<SpanId> {
        span_id(self.raw, 2)
    }

    /// W3C trace state.
    pub fn trace_state(&self) -> &'a str {
        find_str(self.raw, 3)
    }

    /// Its attributes.
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs::new(self.raw, 4)
    }

    /// Attributes the sender left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        find_u64(self.raw, 5) as u32
    }

    /// W3C trace flags in the low 8 bits.
    pub fn flags(&self) -> u32 {
        find_u64(self.raw, 6) as u32
    }
}
