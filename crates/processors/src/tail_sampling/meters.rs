// SPDX-License-Identifier: Apache-2.0
//! `otelcol_processor_tail_sampling_*`, under the collector's names, and ours beside them.

use std::sync::OnceLock;

use pipeline::telemetry::{Counter, Gauge, Histogram, Telemetry};

use super::rule::Verdict;

/// The Go collector's bounds for the time a round of decisions takes, in milliseconds.
const MILLIS: &[f64] = &[
    1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 750.0, 1000.0,
    2000.0, 3000.0, 4000.0, 5000.0, 10_000.0, 20_000.0, 30_000.0, 50_000.0,
];
/// OpenTelemetry's default bounds, here in seconds.
const AGES: &[f64] = &[
    0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0,
    10_000.0,
];

/// Traces and spans by what a policy said of them.
type Verdicts = [OnceLock<(Counter, Counter)>; 3];

/// The instruments of one processor.
pub(super) struct Meters {
    telemetry: Telemetry,
    /// By policy: its name and its verdicts.
    policies: Vec<(String, Verdicts)>,
    all: [OnceLock<Counter>; 3],
    from_cache: [OnceLock<Counter>; 2],
    pub new_traces: Counter,
    pub too_early: Counter,
    pub too_large: Counter,
    /// Decided before their time because the memory for spans was spent.
    pub hurried: Counter,
    pub on_memory: Gauge,
    pub held: Gauge,
    pub timer: Histogram,
    pub late_age: Histogram,
    pub removal_age: Histogram,
}

impl Meters {
    /// For the processor `id` with policies of these names, which `id`'s own name goes before.
    pub fn new(telemetry: &Telemetry, id: &str, names: impl Iterator<Item = String>) -> Self {
        let prefix = id.split_once('/').map_or(String::new(), |(_, name)| format!("{name}."));
        let counter = |name, help| telemetry.counter(name, help, &[]);
        let ages = |name, help| telemetry.histogram(name, help, &[], AGES);
        // Policies of ours never fail; dashboards ask for it all the same.
        counter(
            "otelcol_processor_tail_sampling_sampling_policy_evaluation_error",
            "Count of sampling policy evaluation errors",
        );
        Meters {
            telemetry: telemetry.clone(),
            policies: names.map(|name| (format!("{prefix}{name}"), Default::default())).collect(),
            all: Default::default(),
            from_cache: Default::default(),
            new_traces: counter(
                "otelcol_processor_tail_sampling_new_trace_id_received",
                "Counts the arrival of new traces",
            ),
            too_early: counter(
                "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early",
                "Count of traces that needed to be dropped before the configured wait time",
            ),
            too_large: counter(
                "otelcol_processor_tail_sampling_traces_dropped_too_large",
                "Count of traces that were dropped because they were too large",
            ),
            hurried: telemetry.counter(
                "foreglow_tail_sampling_decided_early_traces",
                "Traces decided before their time because the memory for spans was spent.",
                &[("processor", id)],
            ),
            on_memory: telemetry.gauge(
                "otelcol_processor_tail_sampling_sampling_traces_on_memory",
                "Tracks the number of traces current on memory",
                &[],
            ),
            held: telemetry.gauge(
                "foreglow_tail_sampling_held_bytes",
                "Bytes of spans that wait for a decision.",
                &[("processor", id)],
            ),
            timer: telemetry.histogram(
                "otelcol_processor_tail_sampling_sampling_decision_timer_latency",
                "Latency (in milliseconds) of each run of the sampling decision timer",
                &[],
                MILLIS,
            ),
            late_age: ages(
                "otelcol_processor_tail_sampling_sampling_late_span_age",
                "Time (in seconds) from the sampling decision was taken and the arrival of a late span",
            ),
            removal_age: ages(
                "otelcol_processor_tail_sampling_sampling_trace_removal_age",
                "Time (in seconds) from arrival of a new trace until its removal from memory",
            ),
        }
    }

    /// Policy number `at` said `verdict` about a trace of `spans` spans.
    pub fn policy(&self, at: usize, verdict: Verdict, spans: u64) {
        let Some((policy, verdicts)) = self.policies.get(at) else { return };
        let (traces, all_spans) = verdicts[verdict as usize].get_or_init(|| {
            let [sampled, decision] = labels(verdict);
            let labels = [("policy", policy.as_str()), sampled, decision];
            let traces = "Count of traces that were sampled or not per sampling policy";
            let spans = "Count of spans that were sampled or not per sampling policy";
            (
                self.telemetry.counter(
                    "otelcol_processor_tail_sampling_count_traces_sampled",
                    traces,
                    &labels,
                ),
                self.telemetry.counter(
                    "otelcol_processor_tail_sampling_count_spans_sampled",
                    spans,
                    &labels,
                ),
            )
        });
        traces.inc();
        all_spans.add(spans);
    }

    /// All policies together said `verdict` about a trace.
    pub fn decision(&self, verdict: Verdict) {
        let made = || {
            self.telemetry.counter(
                "otelcol_processor_tail_sampling_global_count_traces_sampled",
                "Global count of traces that were sampled or not by at least one policy",
                &labels(verdict),
            )
        };
        self.all[verdict as usize].get_or_init(made).inc();
    }

    /// A span of a trace whose decision was remembered by a cache.
    pub fn cached(&self, keep: bool) {
        let made = || {
            let sampled = if keep { "true" } else { "false" };
            self.telemetry.counter(
                "otelcol_processor_tail_sampling_early_releases_from_cache_decision",
                "Number of spans that were able to be immediately released due to a decision cache hit.",
                &[("sampled", sampled)],
            )
        };
        self.from_cache[usize::from(keep)].get_or_init(made).inc();
    }
}

fn labels(verdict: Verdict) -> [(&'static str, &'static str); 2] {
    let (sampled, decision) = match verdict {
        Verdict::Sampled => ("true", "sampled"),
        Verdict::NotSampled => ("false", "not_sampled"),
        Verdict::Dropped => ("false", "dropped"),
    };
    [("sampled", sampled), ("decision", decision)]
}
