// SPDX-License-Identifier: Apache-2.0
//! OTLP export requests as validated bytes: borrowed views, one-pass edits, writers, JSON.
//!
//! A [`Payload`] is one `Export{Trace,Metrics,Logs}ServiceRequest`, validated once at the door
//! ([`Payload::admit`]) and never decoded to objects after: views ([`view`]) read it, writers
//! ([`mod@write`]) make it, concatenation and splitting copy it. What nobody touches keeps its bytes,
//! unknown fields included.
//!
//! Guarantees: bytes from outside never panic; views never fail and never allocate; what this
//! crate writes is canonical protobuf that it would admit again. No async, no I/O, no `unsafe`.
//! Bounds: [`DEPTH_MAX`], [`ODD_MESSAGES_MAX`], 2 GiB a request.

mod check;
mod edit;
mod json;
mod payload;
mod places;
mod regroup;
mod schema;
mod split;
mod text;
mod value;
pub mod view;
mod wire;
pub mod write;

pub use check::{DEPTH_MAX, Malformed};
pub use edit::{
    Asked, AttrsMut, Context, Edited, Element, IntoAny, Origin, Pass, Put, Record, Scratch,
    Verdict, Visits,
};
pub use payload::{ODD_MESSAGES_MAX, Payload, Signal};
pub use places::Places;
pub use regroup::{Head, Regrouped, SpanSet};
pub use value::{AnyValue, Attr, Attrs, Resource, Scope, Values};
pub use view::*;
pub use wire::{put_varint, varint_len};

/// In the metadata of a histogram with bounds (beside `prometheus.type`): true when it stands for a
/// Prometheus native histogram with custom buckets, which OTLP has no other form for.
pub const NHCB: &str = "prometheus.nhcb";

/// A 16 byte trace id.
pub type TraceId = [u8; 16];
/// An 8 byte span id.
pub type SpanId = [u8; 8];
