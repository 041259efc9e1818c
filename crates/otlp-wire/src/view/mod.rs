// SPDX-License-Identifier: Apache-2.0
//! Borrowed views over an admitted payload: resources, scopes, and per signal their elements.
//!
//! A view is a slice of the request; an accessor scans that slice up to its field. Nothing is
//! decoded ahead, nothing fails, nothing allocates. Every view has `raw()`, the encoded message
//! it stands for: equal bytes mean equal content, so caches key on them.
//!
//! ```text
//! Payload -> Resources -> ResourceView -> ScopeView -> SpanView | MetricView | LogView
//! ```

mod log;
mod metric;
mod span;

pub use log::LogView;
pub use metric::{
    Buckets, Data, ExemplarView, ExponentialHistogramPoint, HistogramParts, HistogramPoint,
    MetricView, Number, NumberParts, NumberPoint, PackedF64, PackedU64, PackedVarint, PointView,
    SummaryPoint, Temporality,
};
pub use span::{EventView, LinkView, SpanKind, SpanView, StatusCode};

use std::marker::PhantomData;

use crate::value::{AnyValue, Attrs, Resource, Scope};
use crate::wire::{Fields, Val, fields, find_len, find_str};
use crate::{Signal, SpanId, TraceId};

/// Views made from the bytes of one message.
pub trait FromRaw<'a> {
    /// The view of an encoded message.
    fn from_raw(raw: &'a [u8]) -> Self;
}

/// The occurrences of one repeated message field, as views.
#[derive(Clone, Debug)]
pub struct Views<'a, T> {
    fields: Fields<'a>,
    number: u32,
    view: PhantomData<fn() -> T>,
}

impl<'a, T> Views<'a, T> {
    #[inline]
    pub(crate) fn new(raw: &'a [u8], number: u32) -> Self {
        Views { fields: fields(raw), number, view: PhantomData }
    }
}

impl<'a, T: FromRaw<'a>> Iterator for Views<'a, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        loop {
            let field = self.fields.next()?;
            if let (Val::Len(raw), true) = (field.value, field.number == self.number) {
                return Some(T::from_raw(raw));
            }
        }
    }
}

/// The resources of a payload.
#[derive(Clone, Debug)]
pub struct Resources<'a> {
    fields: Fields<'a>,
    signal: Signal,
}

/// The resources of a traces payload.
pub type Traces<'a> = Resources<'a>;
/// The resources of a metrics payload.
pub type Metrics<'a> = Resources<'a>;
/// The resources of a logs payload.
pub type Logs<'a> = Resources<'a>;

impl<'a> Resources<'a> {
    pub(crate) fn new(raw: &'a [u8], signal: Signal) -> Self {
        Resources { fields: fields(raw), signal }
    }
}

impl<'a> Iterator for Resources<'a> {
    type Item = ResourceView<'a>;

    #[inline]
    fn next(&mut self) -> Option<ResourceView<'a>> {
        loop {
            let field = self.fields.next()?;
            if let (1, Val::Len(group)) = (field.number, field.value) {
                return Some(ResourceView { group, signal: self.signal });
            }
        }
    }
}

/// A resource with its scopes (`ResourceSpans`, `ResourceMetrics`, `ResourceLogs`).
#[derive(Clone, Copy, Debug)]
pub struct ResourceView<'a> {
    group: &'a [u8],
    signal: Signal,
}

impl<'a> ResourceView<'a> {
    /// The resource itself; empty when none was sent.
    #[inline]
    pub fn resource(&self) -> Resource<'a> {
        Resource::new(find_len(self.group, 1).unwrap_or_default())
    }

    /// Its attributes.
    #[inline]
    pub fn attrs(&self) -> Attrs<'a> {
        self.resource().attrs()
    }

    /// The first attribute under `key`.
    pub fn attr(&self, key: &str) -> Option<AnyValue<'a>> {
        self.attrs().get(key)
    }

    /// The schema of the resource.
    pub fn schema_url(&self) -> &'a str {
        find_str(self.group, 3)
    }

    /// The scopes.
    #[inline]
    pub fn scopes(&self) -> Scopes<'a> {
        Scopes { fields: fields(self.group), signal: self.signal }
    }

    /// The encoded `Resource` message (identity of the resource, with `schema_url`).
    #[inline]
    pub fn raw(&self) -> &'a [u8] {
        self.resource().raw()
    }

    /// The encoded group: the resource with all its scopes.
    pub fn group_raw(&self) -> &'a [u8] {
        self.group
    }
}

/// The scopes of a resource.
#[derive(Clone, Debug)]
pub struct Scopes<'a> {
    fields: Fields<'a>,
    signal: Signal,
}

impl<'a> Iterator for Scopes<'a> {
    type Item = ScopeView<'a>;

    #[inline]
    fn next(&mut self) -> Option<ScopeView<'a>> {
        loop {
            let field = self.fields.next()?;
            if let (2, Val::Len(group)) = (field.number, field.value) {
                return Some(ScopeView { group, signal: self.signal });
            }
        }
    }
}

/// A scope with its elements (`ScopeSpans`, `ScopeMetrics`, `ScopeLogs`).
#[derive(Clone, Copy, Debug)]
pub struct ScopeView<'a> {
    group: &'a [u8],
    signal: Signal,
}

impl<'a> ScopeView<'a> {
    /// The scope itself; empty when none was sent.
    #[inline]
    pub fn scope(&self) -> Scope<'a> {
        Scope::new(find_len(self.group, 1).unwrap_or_default())
    }

    /// Name of the instrumentation library.
    pub fn name(&self) -> &'a str {
        self.scope().name()
    }

    /// Version of the instrumentation library.
    pub fn version(&self) -> &'a str {
        self.scope().version()
    }

    /// Attributes of the scope.
    pub fn attrs(&self) -> Attrs<'a> {
        self.scope().attrs()
    }

    /// The schema of the elements.
    pub fn schema_url(&self) -> &'a str {
        find_str(self.group, 3)
    }

    /// The spans; none unless the payload is of traces.
    #[inline]
    pub fn spans(&self) -> Views<'a, SpanView<'a>> {
        self.elements(Signal::Traces)
    }

    /// The metrics; none unless the payload is of metrics.
    #[inline]
    pub fn metrics(&self) -> Views<'a, MetricView<'a>> {
        self.elements(Signal::Metrics)
    }

    /// The log records; none unless the payload is of logs.
    #[inline]
    pub fn logs(&self) -> Views<'a, LogView<'a>> {
        self.elements(Signal::Logs)
    }

    #[inline]
    fn elements<T>(&self, signal: Signal) -> Views<'a, T> {
        Views::new(if signal == self.signal { self.group } else { &[] }, 2)
    }

    /// The encoded `InstrumentationScope` message.
    #[inline]
    pub fn raw(&self) -> &'a [u8] {
        self.scope().raw()
    }

    /// The encoded group: the scope with all its elements.
    pub fn group_raw(&self) -> &'a [u8] {
        self.group
    }
}

/// An id field: `None` when it was left empty.
#[inline]
pub(crate) fn trace_id(raw: &[u8], number: u32) -> Option<TraceId> {
    find_len(raw, number)?.try_into().ok()
}

/// An id field: `None` when it was left empty.
#[inline]
pub(crate) fn span_id(raw: &[u8], number: u32) -> Option<SpanId> {
    find_len(raw, number)?.try_into().ok()
}
