// SPDX-License-Identifier: Apache-2.0
//! The decision about one item, the same for spans and log records.

use otlp_wire::TraceId;

use super::chance::{
    ALWAYS, HIGHEST, NEVER, PROBABILITY_MIN, bucket_threshold, hashed, probability_of,
    randomness_of, threshold_of,
};
use super::{Config, Mode};

/// What a decision went by; the label `policy` of the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    TraceIdHash,
    TraceIdW3c,
    SamplingRandomness,
    SamplingPriority,
    MissingRandomness,
    /// The attribute named by `from_attribute`.
    Attribute,
}

impl Policy {
    pub const COUNT: usize = Policy::Attribute as usize + 1;
}

/// How the threshold is found.
#[derive(Clone, Copy, Debug)]
enum Method {
    /// Nothing is kept.
    Never,
    /// By a hash of the trace id or an attribute, against one threshold.
    Hash { seed: u32, threshold: u64 },
    /// One threshold for all; a higher one that comes in stays.
    Equalize { threshold: u64 },
    /// What came in is thinned by this factor.
    Thin { factor: f64 },
}

/// The settings, ready to decide.
#[derive(Clone, Debug)]
pub(super) struct Sampler {
    method: Method,
    fail_closed: bool,
    precision: u32,
}

/// What an item says about its own sampling.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrived {
    /// What it says makes no sense.
    pub broken: bool,
    pub randomness: Option<u64>,
    pub threshold: Option<u64>,
}

/// Where randomness comes from if the item does not bring its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    TraceId(TraceId),
    Attribute(&'a [u8]),
    Nothing,
}

/// What is decided about an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ruling {
    pub policy: Policy,
    randomness: u64,
    pub threshold: u64,
    /// The item may be told what was decided; else it keeps what it says.
    pub may_write: bool,
    /// Randomness it did not have, to be written.
    pub new_randomness: Option<u64>,
    /// The threshold it came with, if that is to be believed.
    arrived: Option<u64>,
}

impl Ruling {
    /// Is the item kept?
    pub fn keeps(&self) -> bool {
        self.threshold <= self.randomness
    }

    /// The threshold to write; `None` when the one that came in is stricter and stays.
    pub fn new_threshold(&self) -> Option<u64> {
        let is_stricter = self.arrived.is_some_and(|arrived| arrived > self.threshold);
        (!is_stricter).then_some(self.threshold)
    }

    /// An attribute of the item decides.
    pub fn by_priority(&mut self, threshold: u64) {
        self.threshold = threshold;
        self.policy = Policy::SamplingPriority;
    }
}

impl Sampler {
    pub fn new(config: &Config) -> Self {
        let percent = config.sampling_percentage.min(100.0);
        let probability = (f64::from(percent) / 100.0).max(PROBABILITY_MIN);
        let method = match config.mode {
            _ if percent == 0.0 => Method::Never,
            Mode::Equalizing => Method::Equalize {
                threshold: threshold_of(probability, config.sampling_precision).unwrap_or(NEVER),
            },
            Mode::Proportional => Method::Thin { factor: probability },
            Mode::HashSeed | Mode::Unset => match bucket_threshold(percent) {
                None => Method::Never,
                Some(threshold) => Method::Hash { seed: config.hash_seed, threshold },
            },
        };
        Sampler { method, fail_closed: config.fail_closed, precision: config.sampling_precision }
    }

    /// True when attributes may be the source of randomness.
    pub fn hashes(&self) -> bool {
        matches!(self.method, Method::Hash { .. })
    }

    /// Thresholds are rounded to so many digits.
    pub fn precision(&self) -> u32 {
        self.precision
    }

    /// The ruling on an item that is dropped whatever it says about its own sampling, by the hash
    /// alone; a mistake in what it says would drop it as well.
    pub fn drops_anyway(&self, source: Source<'_>) -> Option<Ruling> {
        if !(self.fail_closed && self.hashes()) {
            return None;
        }
        let ruling = self.decide(Arrived::default(), source);
        (!ruling.keeps()).then_some(ruling)
    }

    /// Decides about an item; what its priority says comes after.
    pub fn decide(&self, arrived: Arrived, source: Source<'_>) -> Ruling {
        let (policy, randomness, is_wrong) = match self.method {
            Method::Never => (Policy::SamplingPriority, HIGHEST, arrived.broken),
            Method::Hash { seed, .. } => by_hash(arrived, source, seed),
            Method::Equalize { .. } | Method::Thin { .. } => by_trace(arrived, source),
        };
        let is_lie = arrived.threshold.is_some_and(|threshold| threshold > randomness);
        let is_foreign = self.hashes() && arrived.is_sampled();
        let may_write = !(arrived.broken || is_foreign);
        let may_hash = self.hashes() && may_write;
        Ruling {
            policy,
            randomness,
            threshold: if is_wrong || is_lie { self.failure() } else { self.threshold(arrived) },
            may_write,
            new_randomness: may_hash.then_some(randomness),
            arrived: if is_lie { None } else { arrived.threshold },
        }
    }

    fn failure(&self) -> u64 {
        if self.fail_closed { NEVER } else { ALWAYS }
    }

    fn threshold(&self, arrived: Arrived) -> u64 {
        match self.method {
            Method::Never => NEVER,
            Method::Hash { threshold, .. } => threshold,
            Method::Equalize { threshold } => threshold.max(arrived.threshold.unwrap_or(ALWAYS)),
            Method::Thin { factor } => {
                let probability = probability_of(arrived.threshold.unwrap_or(ALWAYS));
                threshold_of(probability * factor, self.precision).unwrap_or(NEVER)
            }
        }
    }
}

impl Arrived {
    /// It was sampled before by thresholds, which hashing does not go with.
    fn is_sampled(&self) -> bool {
        self.randomness.is_some() || self.threshold.is_some()
    }
}

/// Policy, randomness, and whether something is wrong.
type Found = (Policy, u64, bool);

fn by_hash(arrived: Arrived, source: Source<'_>, seed: u32) -> Found {
    let is_wrong = arrived.broken || arrived.is_sampled();
    match source {
        Source::TraceId(id) => (Policy::TraceIdHash, hashed(&id, seed), is_wrong),
        Source::Attribute(bytes) => (Policy::Attribute, hashed(bytes, seed), is_wrong),
        Source::Nothing => (Policy::MissingRandomness, HIGHEST, true),
    }
}

fn by_trace(arrived: Arrived, source: Source<'_>) -> Found {
    match (arrived.randomness, source) {
        _ if arrived.broken => (Policy::MissingRandomness, HIGHEST, true),
        (Some(randomness), _) => (Policy::SamplingRandomness, randomness, false),
        (None, Source::TraceId(id)) => (Policy::TraceIdW3c, randomness_of(&id), false),
        (None, _) => (Policy::MissingRandomness, HIGHEST, true),
    }
}
