// SPDX-License-Identifier: Apache-2.0
//! Processors: what telemetry passes between receivers and exporters, one folder per type.

pub mod metricsinference;
