// SPDX-License-Identifier: Apache-2.0
//! From settings to policies; says what is wrong with them.

use hashbrown::HashSet;
use pipeline::config::Checker;
use regex::Regex;

use super::config::{And, Basic, Composite, Not, Policy, StringAttribute, SubPolicy};
use super::limit::Bucket;
use super::lru::Lru;
use super::rule::{Budget, Matcher, Numbers, Rule, Texts};

/// The collector's salt of the hash that `probabilistic` decides by.
const HASH_SALT: &str = "default-hash-seed";
/// Texts whose match against the expressions is remembered, unless told otherwise.
const MATCHES_REMEMBERED: usize = 128;
/// Longest key and value of a trace state together.
const TRACE_STATE_MEMBER_MAX: usize = 256;

/// A policy that is ready to be asked.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub name: String,
    pub rule: Rule,
}

/// All policies, those that drop first; `None` after a mistake.
pub(super) fn policies(policies: &[Policy], at: &mut Checker<'_>) -> Option<Vec<Named>> {
    let mut names = HashSet::new();
    let mut made = Vec::new();
    for (index, policy) in policies.iter().enumerate() {
        let (name, at) = (&policy.basic.name, &mut at.item(index));
        if name.is_empty() {
            at.error("name", "policy name cannot be empty");
        } else if !names.insert(name) {
            at.error("name", format!("duplicate policy name \"{name}\""));
        }
        let rule = match policy.basic.kind.as_str() {
            "and" => and(&policy.and, &mut at.key("and")),
            "not" => not(&policy.not, &mut at.key("not")),
            "drop" => {
                let subs = &policy.drop.drop_sub_policy;
                all(subs, &mut at.key("drop").key("drop_sub_policy")).map(Rule::Drop)
            }
            "composite" => composite(&policy.composite, &mut at.key("composite")),
            _ => basic(&policy.basic, at),
        };
        made.push(rule.map(|rule| Named { name: name.clone(), rule }));
    }
    let mut made = made.into_iter().collect::<Option<Vec<_>>>()?;
    made.sort_by_key(|policy| !policy.rule.drops());
    Some(made)
}

fn all(policies: &[SubPolicy], at: &mut Checker<'_>) -> Option<Vec<Rule>> {
    if policies.is_empty() {
        at.error("", "needs at least one policy");
    }
    let made = policies.iter().enumerate().map(|(index, policy)| {
        let at = &mut at.item(index);
        match policy.basic.kind.as_str() {
            "not" => not(&policy.not, &mut at.key("not")),
            _ => basic(&policy.basic, at),
        }
    });
    // All of them are looked at, so that all mistakes are told.
    made.collect::<Vec<_>>().into_iter().collect()
}

fn and(and: &And, at: &mut Checker<'_>) -> Option<Rule> {
    all(&and.and_sub_policy, &mut at.key("and_sub_policy")).map(Rule::And)
}

fn not(not: &Not, at: &mut Checker<'_>) -> Option<Rule> {
    let rule = basic(&not.not_sub_policy, &mut at.key("not_sub_policy"))?;
    Some(Rule::Not(Box::new(rule)))
}

fn composite(config: &Composite, at: &mut Checker<'_>) -> Option<Rule> {
    let subs = &config.composite_sub_policy;
    let names: Vec<&String> = subs.iter().map(|sub| &sub.basic.name).collect();
    if !config.policy_order.is_empty() && !config.policy_order.iter().eq(names.iter().copied()) {
        let text = "has no effect, as in the collector: the order of composite_sub_policy counts";
        at.warn("policy_order", text);
    }
    if subs.is_empty() {
        at.error("composite_sub_policy", "needs at least one policy");
    }
    let total = config.max_total_spans_per_second;
    let mut at = at.key("composite_sub_policy");
    let made = subs.iter().enumerate().map(|(index, sub)| {
        let at = &mut at.item(index);
        let rule = match sub.basic.kind.as_str() {
            "and" => and(&sub.and, &mut at.key("and")),
            _ => basic(&sub.basic, at),
        };
        let mut shares = config.rate_allocation.iter().rev();
        let share = shares.find(|share| share.policy == sub.basic.name && share.percent > 0);
        let allowed = match share {
            Some(share) => share.percent as f64 / 100.0 * total as f64,
            None => total as f64 / subs.len() as f64,
        };
        Some((rule?, Budget::new((allowed as i64).min(total))))
    });
    let made = made.collect::<Vec<_>>().into_iter().collect::<Option<Vec<_>>>()?;
    Some(Rule::Composite { subs: made, second: 0 })
}

fn basic(policy: &Basic, at: &mut Checker<'_>) -> Option<Rule> {
    Some(match policy.kind.as_str() {
        "always_sample" => Rule::Always,
        "latency" => {
            let latency = &policy.latency;
            Rule::Latency { over: latency.threshold_ms, upto: latency.upper_threshold_ms }
        }
        "numeric_attribute" => {
            let it = &policy.numeric_attribute;
            if it.min_value == 0 && it.max_value == 0 {
                let text = "at least one of min_value and max_value must be set, 0 is no bound";
                at.error("numeric_attribute", text);
                return None;
            }
            let min = if it.min_value == 0 { i64::MIN } else { it.min_value };
            let max = if it.max_value == 0 { i64::MAX } else { it.max_value };
            let matcher = Matcher::Number(Numbers { min, max });
            Rule::Attribute { key: it.key.clone(), matcher, invert: it.invert_match }
        }
        "boolean_attribute" => {
            let it = &policy.boolean_attribute;
            let matcher = Matcher::Bool(it.value);
            Rule::Attribute { key: it.key.clone(), matcher, invert: it.invert_match }
        }
        "string_attribute" => {
            let it = &policy.string_attribute;
            let matcher = Matcher::Text(texts(it, &mut at.key("string_attribute"))?);
            Rule::Attribute { key: it.key.clone(), matcher, invert: it.invert_match }
        }
        "probabilistic" => {
            let it = &policy.probabilistic;
            if !it.sampling_percentage.is_finite() {
                at.key("probabilistic").error("sampling_percentage", "must be a number");
                return None;
            }
            let salt = if it.hash_salt.is_empty() { HASH_SALT } else { &it.hash_salt };
            Rule::share(salt, it.sampling_percentage)
        }
        "status_code" => statuses(&policy.status_code.status_codes, &mut at.key("status_code"))?,
        "rate_limiting" => {
            let it = &policy.rate_limiting;
            Rule::Spans(Bucket::new(it.spans_per_second, it.burst_capacity))
        }
        "bytes_limiting" => {
            let it = &policy.bytes_limiting;
            Rule::Bytes(Bucket::new(it.bytes_per_second, it.burst_capacity))
        }
        "span_count" => {
            let it = &policy.span_count;
            Rule::SpanCount { min: it.min_spans.into(), max: it.max_spans.into() }
        }
        "trace_state" => {
            let it = &policy.trace_state;
            let fits = |value: &&String| {
                !value.is_empty() && it.key.len() + value.len() < TRACE_STATE_MEMBER_MAX
            };
            let values = it.values.iter().filter(fits).cloned().collect();
            Rule::TraceState { key: it.key.clone(), values }
        }
        "trace_flags" => Rule::TraceFlags,
        "ottl_condition" => {
            at.error("type", "policy type ottl_condition is not supported yet");
            return None;
        }
        kind => {
            at.error("type", format!("unknown sampling policy type {kind}"));
            return None;
        }
    })
}

fn statuses(codes: &[String], at: &mut Checker<'_>) -> Option<Rule> {
    if codes.is_empty() {
        at.error("status_codes", "expected at least one status code to filter on");
        return None;
    }
    let mut wanted = [false; 3];
    for code in codes {
        match ["UNSET", "OK", "ERROR"].iter().position(|name| name == code) {
            Some(number) => wanted[number] = true,
            None => {
                let text = format!("unknown status code \"{code}\", supported: OK, ERROR, UNSET");
                at.error("status_codes", text);
                return None;
            }
        }
    }
    Some(Rule::Status { wanted })
}

fn texts(config: &StringAttribute, at: &mut Checker<'_>) -> Option<Texts> {
    if !config.enabled_regex_matching {
        let values = config.values.iter().filter(|value| !value.is_empty());
        return Some(Texts::Exactly(values.cloned().collect()));
    }
    let mut expressions = Vec::new();
    for value in &config.values {
        let error = |error| format!("invalid regex `{value}`: {error}");
        expressions.push(at.check("values", Regex::new(value).map_err(error))?);
    }
    let remembered = match config.cache_max_size {
        0 => MATCHES_REMEMBERED,
        size => size,
    };
    Some(Texts::Like { expressions, known: Lru::new(remembered) })
}
