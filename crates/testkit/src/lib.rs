// SPDX-License-Identifier: Apache-2.0
//! What tests share: payloads with known content and fake back ends that speak the real protocols
//! and misbehave on demand. For tests only: it panics where a test should fail.

pub mod backend;
pub mod elasticsearch;
pub mod jaeger;
pub mod kserve;
pub mod otlp;
pub mod pki;
pub mod remote_write;

pub use backend::{Backend, Fault, Received};
/// The generated OTLP types and services, as an independent peer.
pub use opentelemetry_proto::tonic as proto;
pub use tonic;
