// SPDX-License-Identifier: Apache-2.0
//! Exporters: where telemetry goes out.
//!
//! A folder per component, named by its YAML type; each offers `factory()` for the one table of
//! components. Those that talk over a network write one attempt ([`delivery::Push`]) and get
//! queue, retry and shutdown from [`delivery`].

pub mod debug;
pub mod delivery;
pub mod elasticsearch;
pub mod embedded_store;
pub mod file;
pub mod jaeger;
pub mod jaeger_thrift;
pub mod net;
pub mod nop;
pub mod otlp;
pub mod otlphttp;
pub mod prometheus;
pub mod prometheusremotewrite;
mod settings;
mod translation;
