// SPDX-License-Identifier: Apache-2.0
//! Views of log records.

use super::{FromRaw, span_id, trace_id};
use crate::value::{AnyValue, Attrs};
use crate::wire::{find_len, find_str, find_u64};
use crate::{SpanId, TraceId};

/// One log record.
#[derive(Clone, Copy, Debug)]
pub struct LogView<'a> {
    raw: &'a [u8],
}

impl<'a> FromRaw<'a> for LogView<'a> {
    #[inline]
    fn from_raw(raw: &'a [u8]) -> Self {
        LogView { raw }
    }
}

impl<'a> LogView<'a> {
    /// The encoded `LogRecord` message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// When it happened, Unix nanoseconds; 0 when unknown.
    pub fn time(&self) -> u64 {
        find_u64(self.raw, 1)
    }

    /// When it was seen by the collecting side, Unix nanoseconds.
    pub fn observed_time(&self) -> u64 {
        find_u64(self.raw, 11)
    }

    /// 1 to 24 (TRACE to FATAL4); 0 when unknown.
    pub fn severity_number(&self) -> i32 {
        find_u64(self.raw, 2) as i32
    }

    /// The severity as the source wrote it.
    pub fn severity_text(&self) -> &'a str {
        find_str(self.raw, 3)
    }

    /// The message.
    pub fn body(&self) -> AnyValue<'a> {
        find_len(self.raw, 5).map_or(AnyValue::Empty, AnyValue::parse)
    }

    /// Its attributes.
    #[inline]
    pub fn attrs(&self) -> Attrs<'a> {
        Attrs::new(self.raw, 6)
    }

    /// The first attribute under `key`.
    pub fn attr(&self, key: &str) -> Option<AnyValue<'a>> {
        self.attrs().get(key)
    }

    /// Attributes the sender left out.
    pub fn dropped_attributes_count(&self) -> u32 {
        find_u64(self.raw, 7) as u32
    }

    /// W3C trace flags in the low 8 bits.
    pub fn flags(&self) -> u32 {
        find_u64(self.raw, 8) as u32
    }

    /// Trace it belongs to.
    pub fn trace_id(&self) -> Option<TraceId> {
        trace_id(self.raw, 9)
    }

    /// Span it belongs to.
    pub fn span_id(&self) -> Option<SpanId> {
        span_id(self.raw, 10)
    }

    /// Name of the event type, for records that are events.
    pub fn event_name(&self) -> &'a str {
        find_str(self.raw, 12)
    }
}
