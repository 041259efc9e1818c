// SPDX-License-Identifier: Apache-2.0
//! What a policy asks of a trace. Meanings, down to the odd ones, are the Go collector's: an
//! attribute of another type reads as 0, false or empty; `latency` looks at the spans in the order
//! they came and is content when it holds for any number of the first of them.

use hashbrown::HashSet;
use otlp_wire::{AnyValue, Attrs, SpanView, TraceId};
use regex::Regex;

use super::limit::Bucket;
use super::lru::Lru;
use super::traces::Part;
use crate::probabilistic_sampler::trace_state_value;

/// What a policy says about a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    NotSampled,
    Sampled,
    /// Not sampled, whatever others say.
    Dropped,
}

/// A trace to be decided about.
pub(super) struct Facts<'a> {
    pub id: &'a TraceId,
    pub parts: &'a [Part],
    /// Spans of all parts.
    pub spans: u64,
    /// Now, in nanoseconds since 1970.
    pub now: u64,
}

/// What a policy asks.
#[derive(Clone, Debug)]
pub(super) enum Rule {
    Always,
    Latency {
        over: i64,
        upto: i64,
    },
    Attribute {
        key: String,
        matcher: Matcher,
        invert: bool,
    },
    /// By a hash over a salt (this is its state) and the trace id.
    Share {
        salted: u64,
        threshold: u64,
    },
    Status {
        wanted: [bool; 3],
    },
    Spans(Bucket),
    Bytes(Bucket),
    SpanCount {
        min: i64,
        max: i64,
    },
    TraceState {
        key: String,
        values: HashSet<String>,
    },
    TraceFlags,
    And(Vec<Rule>),
    Not(Box<Rule>),
    Drop(Vec<Rule>),
    Composite {
        subs: Vec<(Rule, Budget)>,
        second: u64,
    },
}

/// Which values of an attribute are meant.
#[derive(Clone, Debug)]
pub(super) enum Matcher {
    Number(Numbers),
    Bool(bool),
    Text(Texts),
}

/// Integers of a range.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    pub min: i64,
    pub max: i64,
}

/// Texts.
#[derive(Clone, Debug)]
pub(super) enum Texts {
    Exactly(HashSet<String>),
    Like { expressions: Vec<Regex>, known: Lru<std::sync::Arc<str>, bool> },
}

/// Spans that a policy of a composite may sample each second.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    allowed: i64,
    spent: i64,
}

impl Budget {
    pub fn new(allowed: i64) -> Self {
        Budget { allowed, spent: 0 }
    }

    fn takes(&mut self, spans: u64) -> bool {
        let spent = self.spent.saturating_add(spans as i64);
        let fits = spent <= self.allowed;
        if fits {
            self.spent = spent;
        }
        fits
    }
}

impl Rule {
    /// `percent` of all traces by a hash with `salt`.
    pub fn share(salt: &str, percent: f64) -> Rule {
        let salted = fnv1a(0xcbf2_9ce4_8422_2325, salt.as_bytes());
        Rule::Share { salted, threshold: part_of_u64(percent / 100.0) }
    }

    /// True when its verdict may be [`Verdict::Dropped`].
    pub fn drops(&self) -> bool {
        matches!(self, Rule::Drop(_))
    }

    /// True when more spans, or other traces, may turn a yes into a no.
    pub fn may_change_its_mind(&self) -> bool {
        match self {
            Rule::Spans(_) | Rule::Bytes(_) => true,
            Rule::Latency { upto, .. } => *upto > 0,
            Rule::SpanCount { max, .. } => *max > 0,
            Rule::Not(sub) => sub.may_change_its_mind(),
            Rule::And(subs) | Rule::Drop(subs) => subs.iter().any(Rule::may_change_its_mind),
            Rule::Composite { subs, .. } => subs.iter().any(|(sub, _)| sub.may_change_its_mind()),
            _ => false,
        }
    }

    /// What it says about `trace`. Limits count what they let through.
    pub fn judge(&mut self, trace: &Facts<'_>) -> Verdict {
        let yes = if self.drops() { Verdict::Dropped } else { Verdict::Sampled };
        if self.samples(trace) { yes } else { Verdict::NotSampled }
    }

    fn samples(&mut self, trace: &Facts<'_>) -> bool {
        match self {
            Rule::Always => true,
            Rule::Latency { over, upto } => {
                let upto = if *upto == 0 { i64::MAX } else { *upto };
                took(trace, |millis| *over < millis && millis <= upto)
            }
            Rule::Attribute { key, matcher, invert } => matcher.finds(key, trace) != *invert,
            Rule::Share { salted, threshold } => fnv1a(*salted, trace.id) <= *threshold,
            Rule::Status { wanted } => trace.any_span(|span| wanted[span.status() as usize]),
            Rule::Spans(bucket) => bucket.takes(trace.spans, trace.now),
            Rule::Bytes(bucket) => bucket.takes(trace.bytes(), trace.now),
            Rule::SpanCount { min, max } => {
                let spans = trace.spans as i64;
                spans >= *min && (*max == 0 || spans <= *max)
            }
            Rule::TraceState { key, values } => trace.any_span(|span| {
                trace_state_value(span.trace_state(), key).is_some_and(|it| values.contains(it))
            }),
            Rule::TraceFlags => trace.any_span(|span| span.flags() & 1 != 0),
            Rule::And(subs) | Rule::Drop(subs) => subs.iter_mut().all(|sub| sub.samples(trace)),
            Rule::Not(sub) => !sub.samples(trace),
            Rule::Composite { subs, second } => {
                let now = trace.now / 1_000_000_000;
                if *second != now {
                    *second = now;
                    subs.iter_mut().for_each(|(_, budget)| budget.spent = 0);
                }
                let first = subs
                    .iter_mut()
                    .find_map(|(sub, budget)| if sub.samples(trace) { Some(budget) } else { None });
                first.is_some_and(|budget| budget.takes(trace.spans))
            }
        }
    }
}

impl Matcher {
    /// True when an attribute `key` of a resource or span is meant.
    fn finds(&mut self, key: &str, trace: &Facts<'_>) -> bool {
        trace.runs().any(|(head, mut spans)| {
            self.is_in(head.resource().attrs(), key, true)
                || spans.any(|span| self.is_in(span.attrs(), key, false))
        })
    }

    fn is_in(&mut self, attrs: Attrs<'_>, key: &str, of_resource: bool) -> bool {
        let Some(value) = attrs.get(key) else { return false };
        match self {
            Matcher::Number(numbers) => {
                (numbers.min..=numbers.max).contains(&value.as_int().unwrap_or(0))
            }
            Matcher::Bool(wanted) => value.as_bool().unwrap_or(false) == *wanted,
            Matcher::Text(texts) => texts.matches(&value, of_resource),
        }
    }
}

impl Texts {
    fn matches(&mut self, value: &AnyValue<'_>, or_empty: bool) -> bool {
        let text = value.as_str().unwrap_or("");
        if text.is_empty() && !or_empty {
            return false;
        }
        match self {
            Texts::Exactly(values) => values.contains(text),
            Texts::Like { expressions, known } => known.get(text).unwrap_or_else(|| {
                let matches = expressions.iter().any(|expression| expression.is_match(text));
                known.put(text.into(), matches);
                matches
            }),
        }
    }
}

impl<'a> Facts<'a> {
    fn runs(
        &self,
    ) -> impl Iterator<Item = (&'a otlp_wire::Head, otlp_wire::Views<'a, SpanView<'a>>)> {
        self.parts.iter().flat_map(|part| part.spans.runs())
    }

    fn any_span(&self, mut is_meant: impl FnMut(SpanView<'_>) -> bool) -> bool {
        self.runs().any(|(_, mut spans)| spans.any(&mut is_meant))
    }

    fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.spans.encoded_len() as u64).sum()
    }
}

/// True when the first spans of a trace, so many of them as it takes, take `so_long` milliseconds.
fn took(trace: &Facts<'_>, so_long: impl Fn(i64) -> bool) -> bool {
    let (mut start, mut end) = (0, 0);
    trace.any_span(|span| {
        let (starts, ends) = (span.start(), span.end());
        if start == 0 || starts < start {
            start = starts;
        }
        end = end.max(ends);
        so_long((end as i64).saturating_sub(start as i64) / 1_000_000)
    })
}

fn fnv1a(state: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(state, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// `ratio` of 2^64 - 1, rounded as the collector does: the product to 64 significant bits, half to
/// even, then down to an integer.
fn part_of_u64(ratio: f64) -> u64 {
    if ratio <= 0.0 {
        return 0;
    }
    if ratio >= 1.0 {
        return u64::MAX;
    }
    // ratio = mantissa / 2^scale; smaller than 2^-1022 is as good as nothing.
    let bits = ratio.to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | 1 << 52;
    let scale = 1075 - (bits >> 52) as u32;
    let product = u128::from(u64::MAX) * u128::from(mantissa);
    let extra = (128 - product.leading_zeros()).saturating_sub(64);
    let (high, low, half) = (product >> extra, product & ((1 << extra) - 1), 1 << extra >> 1);
    let up = low > half || (low == half && extra > 0 && high & 1 == 1);
    let rounded = high + u128::from(up);
    u64::try_from(rounded.checked_shr(scale - extra).unwrap_or(0)).unwrap_or(u64::MAX)
}

/// For tests: hash and threshold.
#[cfg(test)]
pub(super) fn hash_and_threshold(salt: &str, percent: f64, id: &TraceId) -> (u64, u64) {
    match Rule::share(salt, percent) {
        Rule::Share { salted, threshold } => (fnv1a(salted, id), threshold),
        _ => (0, 0),
    }
}
