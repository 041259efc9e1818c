// SPDX-License-Identifier: Apache-2.0
//! Receivers: where telemetry comes in.
//!
//! A folder per component, named by its YAML type; each offers `factory()` for the one table of
//! components. Only receivers (and extensions) listen on sockets.

pub mod hostmetrics;
pub mod jaeger;
mod net;
pub mod otlp;
pub mod otlpjsonfile;
pub mod prometheus;
