// SPDX-License-Identifier: Apache-2.0
//! Processors: what telemetry passes between receivers and exporters, one folder per type.
//!
//! - [`batch`]: collects small batches into large ones
//! - [`resource`], [`attributes`]: edit attributes
//! - [`redaction`]: hides what is not to be seen; [`resource_detection`]: tells where it came from
//! - [`memory_limiter`]: refuses what there is no memory for
//! - [`probabilistic_sampler`], [`tail_sampling`]: keep a share, keep what matters
//! - [`metricsinference`]: predicts from metrics as they pass

pub mod attributes;
pub mod batch;
pub mod memory_limiter;
pub mod metricsinference;
pub mod probabilistic_sampler;
pub mod redaction;
pub mod resource;
pub mod resource_detection;
pub mod tail_sampling;
