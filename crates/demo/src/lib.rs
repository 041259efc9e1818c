// SPDX-License-Identifier: Apache-2.0
//! Programs to watch: services with the official OpenTelemetry SDK in them, and telemetry that needs
//! no service.
//!
//! ```text
//! shop       an API of six endpoints, its faults switched on from outside
//! inference  POST /predict with batching, and the KServe v2 protocol
//! worker     log streams, shells, websockets and tasks of a simulated day
//! generator  the telemetry of a whole shop, simulated
//! ```
//! A service works without a collector: what it cannot send it drops, within the bounds of the SDK.

mod breaker;
mod few;
pub mod generator;
pub mod inference;
mod pressure;
mod serving;
pub mod shop;
mod telemetry;
#[cfg(test)]
mod testing;
pub mod worker;

pub use telemetry::{Protocol, Target};
