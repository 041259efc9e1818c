// SPDX-License-Identifier: Apache-2.0
//! The pipeline: what flows ([`Batch`]), what it flows through ([`component`]), how a
//! configuration becomes a running graph, and what is counted on the way.
//!
//! Data goes one way: a [`Receiver`](component::Receiver) sends into an inlet, fused passes edit,
//! watches look, stages hold, exporters deliver. Success or failure comes back by the batch's own
//! [`Acks`](ack::Acks). Nothing calls upstream.

pub mod ack;
pub mod auth;
pub mod batch;
pub mod budget;
pub mod component;
pub mod config;
pub mod health;
pub mod host;
pub mod ledger;
pub mod relabel;
pub mod runtime;
pub mod scrapes;
pub mod storage;
pub mod telemetry;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use ack::{Acks, Delivered, Token};
pub use batch::{Batch, Encoded, Encoding, Meta};
pub use budget::{Budget, Permit};
pub use component::{
    Components, Consumer, Context, Exporter, Extension, Factory, Gate, Inlets, Outlet, Processor,
    Receiver, Stage, Watch,
};
pub use health::Health;
pub use host::Host;
pub use ledger::{Fate, Ledger, Reason};
pub use otlp_wire::Signal;
pub use runtime::{Graph, Running};
pub use telemetry::Telemetry;
