// SPDX-License-Identifier: Apache-2.0
//! `otelcol_processor_probabilistic_sampler_count_{traces,logs}_sampled`: items by what decided
//! about them and how. Each counter is registered when it first counts something.

use std::sync::{Arc, OnceLock};

use otlp_wire::Signal;
use pipeline::telemetry::{Counter, Telemetry};

use super::sampler::{Policy, Ruling};

/// The counters of one processor; clone = refcount.
#[derive(Clone)]
pub(super) struct Counts(Arc<Inner>);

struct Inner {
    telemetry: Telemetry,
    signal: Signal,
    attribute: String,
    /// By policy, then dropped and kept.
    counters: [[OnceLock<Counter>; 2]; Policy::COUNT],
}

impl Counts {
    /// For `signal`; `attribute` is the policy's name where an attribute decides.
    pub fn new(telemetry: &Telemetry, signal: Signal, attribute: &str) -> Self {
        let (telemetry, attribute) = (telemetry.clone(), attribute.to_owned());
        Counts(Arc::new(Inner { telemetry, signal, attribute, counters: Default::default() }))
    }

    /// One item was decided about.
    pub fn add(&self, ruling: &Ruling) {
        let kept = ruling.keeps();
        let counter = &self.0.counters[ruling.policy as usize][usize::from(kept)];
        counter.get_or_init(|| self.0.register(ruling.policy, kept)).inc();
    }
}

impl Inner {
    fn register(&self, policy: Policy, kept: bool) -> Counter {
        let policy = match policy {
            Policy::TraceIdHash => "trace_id_hash",
            Policy::TraceIdW3c => "trace_id_w3c",
            Policy::SamplingRandomness => "sampling_randomness",
            Policy::SamplingPriority => "sampling_priority",
            Policy::MissingRandomness => "missing_randomness",
            Policy::Attribute => &self.attribute,
        };
        let (name, help) = match self.signal {
            Signal::Logs => (
                "otelcol_processor_probabilistic_sampler_count_logs_sampled",
                "Count of logs that were sampled or not",
            ),
            _ => (
                "otelcol_processor_probabilistic_sampler_count_traces_sampled",
                "Count of traces that were sampled or not",
            ),
        };
        let labels = [("policy", policy), ("sampled", if kept { "true" } else { "false" })];
        self.telemetry.counter(name, help, &labels)
    }
}
