// SPDX-License-Identifier: Apache-2.0
//! Settings of `tail_sampling`, checked by making the policies they describe.

use std::sync::OnceLock;

use pipeline::config::{self, Checker, ComponentConfig};
use serde::Deserialize;

use super::build;

/// More shards are a mistake, as in the collector.
const SHARDS_MAX: u32 = 256;

/// Settings of `tail_sampling`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// A trace is decided about so long after its first span.
    pub decision_wait: config::Duration,
    /// A trace is decided about so long after its root span if that is earlier; 0 = off.
    pub decision_wait_after_root_received: config::Duration,
    /// Most traces kept in memory, decided or not.
    pub num_traces: u64,
    /// Wait when there are so many, instead of dropping the oldest.
    pub block_on_overflow: bool,
    /// No effect: tables grow as they need.
    pub expected_new_traces_per_sec: u64,
    /// Decisions remembered beyond the traces in memory.
    pub decision_cache: DecisionCache,
    /// The first policy that samples ends the evaluation.
    pub sample_on_first_match: bool,
    /// When policies are evaluated.
    pub sampling_strategy: Strategy,
    /// Undecided traces are dropped at the stop, instead of being decided about as they are.
    pub drop_pending_traces_on_shutdown: bool,
    /// Larger traces are dropped; 0 = no limit.
    pub maximum_trace_size_bytes: u64,
    /// No effect: one task does the work.
    pub num_shards: u32,
    /// Which traces are kept.
    pub policies: Vec<Policy>,
    /// The policies, ready; those of a processor are clones.
    #[serde(skip)]
    pub(super) prepared: OnceLock<Vec<build::Named>>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            decision_wait: config::Duration::from_secs(30),
            decision_wait_after_root_received: config::Duration::from_secs(0),
            num_traces: 50_000,
            block_on_overflow: false,
            expected_new_traces_per_sec: 0,
            decision_cache: DecisionCache::default(),
            sample_on_first_match: false,
            sampling_strategy: Strategy::TraceComplete,
            drop_pending_traces_on_shutdown: false,
            maximum_trace_size_bytes: 0,
            num_shards: 1,
            policies: Vec::new(),
            prepared: OnceLock::new(),
        }
    }
}

/// Decisions remembered by trace id.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DecisionCache {
    /// Ids of traces that were kept; 0 = off.
    pub sampled_cache_size: usize,
    /// Ids of traces that were not kept; 0 = off.
    pub non_sampled_cache_size: usize,
}

/// When policies are evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Strategy {
    /// When a trace is complete, by its time.
    #[default]
    #[serde(rename = "trace-complete")]
    TraceComplete,
    /// With each request; what no policy wants by its time is not kept.
    #[serde(rename = "span-ingest")]
    SpanIngest,
}

/// One policy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Policy {
    /// Name, type, and the settings of that type.
    #[serde(rename = "..basic")]
    pub basic: Basic,
    /// For `and`.
    pub and: And,
    /// For `not`.
    pub not: Not,
    /// For `drop`.
    pub drop: DropAll,
    /// For `composite`.
    pub composite: Composite,
}

/// A policy that looks at the trace itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Basic {
    /// What it is called in metrics.
    pub name: String,
    /// What it looks at.
    #[serde(rename = "type")]
    pub kind: String,
    /// For `latency`.
    pub latency: Latency,
    /// For `numeric_attribute`.
    pub numeric_attribute: NumericAttribute,
    /// For `probabilistic`.
    pub probabilistic: Probabilistic,
    /// For `status_code`.
    pub status_code: StatusCodes,
    /// For `string_attribute`.
    pub string_attribute: StringAttribute,
    /// For `rate_limiting`.
    pub rate_limiting: RateLimiting,
    /// For `bytes_limiting`.
    pub bytes_limiting: BytesLimiting,
    /// For `span_count`.
    pub span_count: SpanCount,
    /// For `trace_state`.
    pub trace_state: TraceStateValues,
    /// For `boolean_attribute`.
    pub boolean_attribute: BooleanAttribute,
}

/// How long the trace took.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// Longer than this, in milliseconds.
    pub threshold_ms: i64,
    /// And not longer than this; 0 = no limit.
    pub upper_threshold_ms: i64,
}

/// An integer attribute of a resource or span lies in a range.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NumericAttribute {
    /// Which.
    pub key: String,
    /// At least; 0 = no bound.
    pub min_value: i64,
    /// At most; 0 = no bound.
    pub max_value: i64,
    /// Sample when none does.
    pub invert_match: bool,
}

/// A share of all traces.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Probabilistic {
    /// Goes into the hash; empty = the collector's default.
    pub hash_salt: String,
    /// So many of a hundred.
    pub sampling_percentage: f64,
}

/// A span has one of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StatusCodes {
    /// `OK`, `ERROR`, `UNSET`.
    pub status_codes: Vec<String>,
}

/// A text attribute of a resource or span has one of some values.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StringAttribute {
    /// Which.
    pub key: String,
    /// The values, or expressions for them.
    pub values: Vec<String>,
    /// The values are regular expressions, not anchored.
    pub enabled_regex_matching: bool,
    /// Texts whose match is remembered; 0 = 128.
    pub cache_max_size: usize,
    /// Sample when none has.
    pub invert_match: bool,
}

/// A boolean attribute of a resource or span.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BooleanAttribute {
    /// Which.
    pub key: String,
    /// The value it has.
    pub value: bool,
    /// Sample when none has it.
    pub invert_match: bool,
}

/// So many spans a second.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RateLimiting {
    /// Refill of the bucket.
    pub spans_per_second: i64,
    /// Size of the bucket, and of the largest trace; 0 = twice the refill.
    pub burst_capacity: i64,
}

/// So many bytes a second.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BytesLimiting {
    /// Refill of the bucket.
    pub bytes_per_second: i64,
    /// Size of the bucket, and of the largest trace; 0 = twice the refill.
    pub burst_capacity: i64,
}

/// The trace has so many spans.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SpanCount {
    /// At least.
    pub min_spans: i32,
    /// At most; 0 = no limit.
    pub max_spans: i32,
}

/// A span's `tracestate` has one of some values under a key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TraceStateValues {
    /// Which.
    pub key: String,
    /// The values.
    pub values: Vec<String>,
}

/// All of these sample.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct And {
    /// The policies.
    pub and_sub_policy: Vec<SubPolicy>,
}

/// All of these sample: the trace is dropped, whatever other policies say.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DropAll {
    /// The policies.
    pub drop_sub_policy: Vec<SubPolicy>,
}

/// This does not sample.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Not {
    /// The policy.
    pub not_sub_policy: Basic,
}

/// A policy in `and` and `drop`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SubPolicy {
    /// Name, type, and the settings of that type.
    #[serde(rename = "..basic")]
    pub basic: Basic,
    /// For `not`.
    pub not: Not,
}

/// The first of some policies that samples, within a budget of spans.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Composite {
    /// All budgets together.
    pub max_total_spans_per_second: i64,
    /// No effect, as in the collector: the order of `composite_sub_policy` counts.
    pub policy_order: Vec<String>,
    /// The policies, in order.
    pub composite_sub_policy: Vec<CompositePolicy>,
    /// Who gets how much of the budget; the others get an even share.
    pub rate_allocation: Vec<RateAllocation>,
}

/// A policy in `composite`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct CompositePolicy {
    /// Name, type, and the settings of that type.
    #[serde(rename = "..basic")]
    pub basic: Basic,
    /// For `and`.
    pub and: And,
}

/// A share of the budget.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RateAllocation {
    /// Name of a sub-policy.
    pub policy: String,
    /// Percent of `max_total_spans_per_second`.
    pub percent: i64,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        if self.num_traces == 0 {
            at.error("num_traces", "must be at least 1: there is no room for any trace");
        }
        if self.num_shards > SHARDS_MAX {
            let text = format!("num_shards ({}) must not exceed {SHARDS_MAX}", self.num_shards);
            at.error("num_shards", text);
        } else if self.num_shards > 1 {
            at.warn("num_shards", "has no effect: one task does the work");
        }
        if let Some(made) = build::policies(&self.policies, &mut at.key("policies")) {
            let mut changing = made.iter().filter(|policy| policy.rule.may_change_its_mind());
            if let (Strategy::SpanIngest, Some(policy)) = (self.sampling_strategy, changing.next())
            {
                let text = format!(
                    "span-ingest requires all policies to be stateless, but policy \"{}\" is stateful",
                    policy.name
                );
                at.error("sampling_strategy", text);
            }
            // Set once: a body is validated once.
            let _ = self.prepared.set(made);
        }
    }
}
