// SPDX-License-Identifier: Apache-2.0
//! What the processor tells about itself, per rule.

use pipeline::telemetry::{Counter, Gauge, Histogram, SECONDS, Telemetry};

/// Requests to models, by how they ended. Labels: rule, model, outcome.
const REQUESTS: &str = "foreglow_inference_requests_total";
/// Time from handing rows to a model until its answer. Label: model.
const DURATION: &str = "foreglow_inference_duration_seconds";
/// Result points written. Labels: rule, model.
const POINTS: &str = "foreglow_inference_points_total";
/// Points or rows that gave no result. Labels: rule, reason.
const SKIPPED: &str = "foreglow_inference_skipped_total";
/// Series a rule remembers. Label: rule.
const SERIES: &str = "foreglow_inference_series";

/// How a request to a model ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Answered.
    Ok,
    /// Refused, or the answer made no sense.
    Error,
    /// No answer in time.
    Timeout,
    /// The server cannot be reached or the model is not ready.
    Unavailable,
    /// Not asked: too many requests wait already.
    Overflow,
    /// The embedded model panicked; it was made anew without its state.
    Panic,
}

const OUTCOMES: [(Outcome, &str); 6] = [
    (Outcome::Ok, "ok"),
    (Outcome::Error, "error"),
    (Outcome::Timeout, "timeout"),
    (Outcome::Unavailable, "unavailable"),
    (Outcome::Overflow, "overflow"),
    (Outcome::Panic, "panic"),
];

/// Why a point or row gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// The point says that there is no value.
    NoValue,
    /// A histogram or summary: no single number to give to a model.
    UnsupportedType,
    /// Not newer than what the model has seen of the series.
    OutOfOrder,
    /// The model has seen too little of the series yet.
    ColdStart,
    /// No partner close enough in time among the rule's other inputs.
    Unmatched,
    /// Several partners fitted equally well.
    Ambiguous,
    /// No room for another series.
    SeriesLimit,
    /// The model answered that it has no answer (NaN).
    NoAnswer,
    /// The rest of the pipeline refused the results.
    Refused,
}

const SKIPS: [(Skip, &str); 9] = [
    (Skip::NoValue, "no_value"),
    (Skip::UnsupportedType, "unsupported_type"),
    (Skip::OutOfOrder, "out_of_order"),
    (Skip::ColdStart, "cold_start"),
    (Skip::Unmatched, "unmatched"),
    (Skip::Ambiguous, "ambiguous"),
    (Skip::SeriesLimit, "series_limit"),
    (Skip::NoAnswer, "no_answer"),
    (Skip::Refused, "refused"),
];

/// The instruments of one rule; clone = refcounts.
#[derive(Clone)]
pub struct Meters {
    requests: Vec<Counter>,
    skipped: Vec<Counter>,
    /// Seconds a model took.
    pub duration: Histogram,
    /// Result points written.
    pub points: Counter,
    /// Series remembered.
    pub series: Gauge,
}

impl Meters {
    /// Registers the instruments of a rule.
    pub fn new(telemetry: &Telemetry, rule: &str, model: &str) -> Self {
        let request = |(_, outcome): &(Outcome, &str)| {
            let labels = [("rule", rule), ("model", model), ("outcome", *outcome)];
            telemetry.counter(REQUESTS, "Requests to models by how they ended.", &labels)
        };
        let skip = |(_, reason): &(Skip, &str)| {
            let labels = [("rule", rule), ("reason", *reason)];
            telemetry.counter(SKIPPED, "Points or rows that gave no result, by reason.", &labels)
        };
        let help = "Time from handing rows to a model until its answer.";
        let both = [("rule", rule), ("model", model)];
        Meters {
            requests: OUTCOMES.iter().map(request).collect(),
            skipped: SKIPS.iter().map(skip).collect(),
            duration: telemetry.histogram(DURATION, help, &[("model", model)], SECONDS),
            points: telemetry.counter(POINTS, "Result points written.", &both),
            series: telemetry.gauge(SERIES, "Series a rule remembers.", &[("rule", rule)]),
        }
    }

    /// Counts a request.
    pub fn request(&self, outcome: Outcome) {
        self.requests[outcome as usize].inc();
    }

    /// Counts points or rows without a result.
    pub fn skip(&self, reason: Skip, count: u64) {
        if count > 0 {
            self.skipped[reason as usize].add(count);
        }
    }
}
