// SPDX-License-Identifier: Apache-2.0
//! Processors: what telemetry passes between receivers and exporters, one folder per type.
//!
//! - [`batch`]: collects small batches into large ones
//! - [`resource`], [`attributes`]: edit attributes
//! - [`probabilistic_sampler`], [`tail_sampling`]: keep a share, keep what matters
//! - [`metricsinference`]: predicts from metrics as they pass

pub mod attributes;
pub mod batch;
pub mod metricsinference;
pub mod probabilistic_sampler;
pub mod resource;
pub mod tail_sampling;
