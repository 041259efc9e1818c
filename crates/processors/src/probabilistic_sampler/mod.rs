// SPDX-License-Identifier: Apache-2.0
//! `probabilistic_sampler`: keeps a share of spans or log records, whole traces at a time.
//!
//! In and out: traces and logs. The decision is a function of the trace id (or of what the item
//! says about its own sampling) and the settings, so that all collectors decide alike. What is
//! kept tells the probability it was kept with: spans in `tracestate` (`ot=rv:..;th:..`), log
//! records in the attributes `sampling.randomness` and `sampling.threshold`.
//!
//! What is dropped or stays as it is costs no allocation. What makes no sense (no trace id, a
//! malformed trace state, thresholds under `hash_seed`) is dropped, or kept untouched when
//! `fail_closed` is off. Source: the Go collector's processor, reference section 5.6.

mod chance;
mod counts;
mod sampler;
mod tracestate;

#[cfg(test)]
mod tests;

use std::any::Any;
use std::sync::Arc;

use basics::{Error, Result};
use otlp_wire::{AnyValue, Pass, Record, Signal, TraceId, Verdict, Visits};
use pipeline::component::ProcessorFactory;
use pipeline::config::{self, Checker, ComponentConfig};
use pipeline::{Context, Processor};
use serde::Deserialize;

use chance::{
    ALWAYS, DIGITS, NEVER, PROBABILITY_MIN, parse_randomness, parse_threshold, threshold_of,
    write_randomness, write_threshold,
};
use counts::Counts;
use sampler::{Arrived, Policy, Ruling, Sampler, Source};
use tracestate::TraceState;
pub(crate) use tracestate::value_of as trace_state_value;

/// The attributes of a log record that say how it was sampled.
const RANDOMNESS: &str = "sampling.randomness";
const THRESHOLD: &str = "sampling.threshold";
/// The attribute of a span that decides for it.
const PRIORITY: &str = "sampling.priority";

/// How the decision is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Mode {
    /// By a hash of the trace id and a seed.
    #[serde(rename = "hash_seed")]
    HashSeed,
    /// By consistent probability: everything ends with the same probability, or less.
    #[serde(rename = "equalizing")]
    Equalizing,
    /// By consistent probability: what was sampled before is thinned further.
    #[serde(rename = "proportional")]
    Proportional,
    /// As [`Mode::HashSeed`].
    #[default]
    #[serde(rename = "", alias = "unset")]
    Unset,
}

/// Where the hash of a log record is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum AttributeSource {
    /// The trace id, or `from_attribute` where there is none.
    #[default]
    #[serde(rename = "traceID")]
    TraceId,
    /// `from_attribute`.
    #[serde(rename = "record", alias = "")]
    Record,
}

/// Settings of `probabilistic_sampler`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// So many of a hundred are kept; 100 and more = all.
    pub sampling_percentage: f32,
    /// Collectors that are to decide alike have the same; for `hash_seed`.
    pub hash_seed: u32,
    /// How the decision is made.
    pub mode: Mode,
    /// What makes no sense is dropped.
    pub fail_closed: bool,
    /// Hex digits of a threshold.
    pub sampling_precision: u32,
    /// Logs: where the hash is taken from.
    pub attribute_source: AttributeSource,
    /// Logs: hash this attribute.
    pub from_attribute: String,
    /// Logs: this attribute holds another percentage.
    pub sampling_priority: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            sampling_percentage: 0.0,
            hash_seed: 0,
            mode: Mode::Unset,
            fail_closed: true,
            sampling_precision: 4,
            attribute_source: AttributeSource::TraceId,
            from_attribute: String::new(),
            sampling_priority: String::new(),
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        let percent = self.sampling_percentage;
        let what = if !percent.is_finite() {
            "invalid"
        } else if percent < 0.0 {
            "negative"
        } else if percent > 0.0 && f64::from(percent) / 100.0 < PROBABILITY_MIN {
            "too small"
        } else {
            ""
        };
        if !what.is_empty() {
            at.error("sampling_percentage", format!("sampling rate is {what}: {percent}%"));
        }
        match self.sampling_precision {
            0 => at.error("sampling_precision", "invalid sampling precision: 0"),
            1..=DIGITS => {}
            digits => at.error(
                "sampling_precision",
                format!("sampling precision is too great, should be <= {DIGITS}: {digits}"),
            ),
        }
    }
}

/// The type `probabilistic_sampler`.
pub fn factory() -> ProcessorFactory {
    ProcessorFactory {
        kind: "probabilistic_sampler",
        aliases: &[],
        signals: &[Signal::Traces, Signal::Logs],
        summary: "keeps a share of spans or log records, whole traces at a time",
        decode: config::decode::<Config>,
        build,
    }
}

fn build(config: Arc<dyn Any + Send + Sync>, context: Context) -> Result<Processor> {
    let config = config.downcast::<Config>().map_err(|_| Error::invalid("foreign settings"))?;
    let pass = Sample {
        sampler: Sampler::new(&config),
        counts: Counts::new(context.host.telemetry(), context.signal, &config.from_attribute),
        config,
        text: String::new(),
    };
    Ok(Processor::Pass(Box::new(move || Box::new(pass.clone()))))
}

#[derive(Clone)]
struct Sample {
    config: Arc<Config>,
    sampler: Sampler,
    counts: Counts,
    /// What is written to the item at hand; kept for its room.
    text: String,
}

impl Pass for Sample {
    fn visits(&self) -> Visits {
        Visits::ITEMS
    }

    fn is_sampler(&self) -> bool {
        true
    }

    fn span(&mut self, span: &mut Record<'_>, _: &otlp_wire::Context<'_>) -> Verdict {
        let source = trace_id(span).map_or(Source::Nothing, Source::TraceId);
        let forced = span.attr(PRIORITY).and_then(forced);
        // Most spans, where little is kept: their trace state need not even be looked for.
        if forced.is_none()
            && let Some(ruling) = self.sampler.drops_anyway(source)
        {
            self.counts.add(&ruling);
            return Verdict::Drop;
        }
        let parsed = TraceState::parse(span.trace_state());
        let state = parsed.as_ref().copied().unwrap_or_default();
        let arrived = Arrived {
            broken: parsed.is_err(),
            randomness: state.randomness.map(|(_, value)| value),
            threshold: state.threshold.map(|(_, value)| value),
        };
        let mut ruling = self.sampler.decide(arrived, source);
        if let Some(keep) = forced {
            ruling.by_priority(if keep { ALWAYS } else { NEVER });
        }
        self.counts.add(&ruling);
        if !ruling.keeps() {
            return Verdict::Drop;
        }
        if ruling.may_write {
            state.write(ruling.new_randomness, ruling.new_threshold(), &mut self.text);
            if span.trace_state() != self.text {
                span.set_trace_state(&self.text);
            }
        }
        Verdict::Keep
    }

    fn log(&mut self, log: &mut Record<'_>, _: &otlp_wire::Context<'_>) -> Verdict {
        let source = source(&self.config, self.sampler.hashes(), log, &mut self.text);
        let mut ruling = self.sampler.decide(arrived(log), source);
        if let Some(threshold) = self.priority(log) {
            ruling.by_priority(threshold);
        }
        self.counts.add(&ruling);
        if !ruling.keeps() {
            return Verdict::Drop;
        }
        if ruling.may_write {
            self.tell(log, &ruling);
        }
        Verdict::Keep
    }
}

impl Sample {
    /// The threshold that a log record asks for.
    fn priority(&self, log: &Record<'_>) -> Option<u64> {
        if self.config.sampling_priority.is_empty() {
            return None;
        }
        let percent = log.attr(&self.config.sampling_priority)?.as_f64()?;
        threshold_of(percent / 100.0, self.sampler.precision())
    }

    /// Writes to a log record what was decided about it.
    fn tell(&mut self, log: &mut Record<'_>, ruling: &Ruling) {
        if let (Some(randomness), false) =
            (ruling.new_randomness, ruling.policy == Policy::MissingRandomness)
        {
            self.text.clear();
            write_randomness(&mut self.text, randomness);
            log.attrs().upsert(RANDOMNESS, &self.text);
        }
        if let Some(threshold) = ruling.new_threshold() {
            self.text.clear();
            write_threshold(&mut self.text, threshold);
            if text_of(log, THRESHOLD) != self.text {
                log.attrs().upsert(THRESHOLD, &self.text);
            }
        }
    }
}

/// The trace of an item; none of zeros.
fn trace_id(record: &Record<'_>) -> Option<TraceId> {
    record.trace_id().filter(|id| *id != [0; 16])
}

/// What a log record is hashed by; `room` is for an attribute that is no text. Consistent sampling
/// knows trace ids only.
fn source<'a>(
    config: &Config,
    hashes: bool,
    log: &'a Record<'_>,
    room: &'a mut String,
) -> Source<'a> {
    if (!hashes || config.attribute_source == AttributeSource::TraceId)
        && let Some(id) = trace_id(log)
    {
        return Source::TraceId(id);
    }
    if !hashes || config.from_attribute.is_empty() {
        return Source::Nothing;
    }
    let bytes = match log.attr(&config.from_attribute) {
        None => &[],
        Some(AnyValue::Str(text)) => text.as_bytes(),
        Some(AnyValue::Bytes(bytes)) => bytes,
        Some(other) => {
            room.clear();
            other.write_text(room);
            room.as_bytes()
        }
    };
    if bytes.is_empty() { Source::Nothing } else { Source::Attribute(bytes) }
}

/// What a span's priority decides: keep, drop, or (`None`) nothing.
fn forced(priority: AnyValue<'_>) -> Option<bool> {
    let value = match priority {
        AnyValue::Str(text) => text.parse().ok()?,
        other => other.as_f64()?,
    };
    (value >= 0.0).then_some(value > 0.0)
}

/// What the attributes of a log record say about its sampling.
fn arrived(log: &Record<'_>) -> Arrived {
    let read = |key, parse: fn(&str) -> Option<u64>| match text_of(log, key) {
        "" => Ok(None),
        text => parse(text).map(Some).ok_or(()),
    };
    match (read(RANDOMNESS, parse_randomness), read(THRESHOLD, parse_threshold)) {
        (Ok(randomness), Ok(threshold)) => Arrived { broken: false, randomness, threshold },
        _ => Arrived { broken: true, ..Arrived::default() },
    }
}

fn text_of<'a>(log: &'a Record<'_>, key: &str) -> &'a str {
    log.attr(key).and_then(|value| value.as_str()).unwrap_or_default()
}
