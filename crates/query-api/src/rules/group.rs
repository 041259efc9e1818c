// SPDX-License-Identifier: Apache-2.0
//! A group at work: its rules one after the other, each seeing what those before it recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use basics::labels::{Labels, METRIC_NAME, MatchOp, Matcher};
use basics::{Clock, Error, Result};
use otlp_series::{NativeHistogram, STALE};
use promql::{Context, Engine, Hints, Limits, QueryValue, Sample, Select, SeriesSource};
use store::Store;
use store::remote_write::{Encoder, Version};

use super::Settings;
use super::alert::{Alert, Alerts, Notice, State};
use super::board::{ShownGroup, ShownRule};
use super::file::{AlertRule, Group, Rule};
use super::template::{self, Value, World, sample};
use crate::source::Source;

/// Evaluations before alerts are restored: what they depend on has been scraped and recorded then.
const RESTORE_AFTER: u64 = 2;

/// What groups work with.
#[derive(Clone)]
pub struct Surroundings {
    /// Where series are read and recorded.
    pub store: Arc<Store>,
    /// Time.
    pub clock: Clock,
    /// Bounds of each query.
    pub limits: Limits,
    /// Of all groups.
    pub settings: Arc<Settings>,
}

/// A group with its state.
pub struct Running {
    group: Group,
    states: Vec<RuleState>,
    evaluations: u64,
    seconds: f64,
    last_ms: i64,
}

#[derive(Clone, Debug, Default)]
struct RuleState {
    /// Series of the evaluation before, to end those that are gone.
    returned: BTreeSet<Labels>,
    alerts: Alerts,
    restored: bool,
    error: Option<String>,
    seconds: f64,
    last_ms: i64,
}

/// What a rule gave.
enum Recorded {
    Number(f64),
    Histogram(Arc<promql::FloatHistogram>),
}

impl Running {
    /// A group that begins; rules that `before` had already keep their state.
    pub fn new(group: Group, before: Option<Running>) -> Self {
        let mut old: Vec<(Rule, RuleState)> =
            before.map_or_else(Vec::new, |b| b.group.rules.into_iter().zip(b.states).collect());
        let mut states = Vec::with_capacity(group.rules.len());
        for rule in &group.rules {
            let same = |(known, _): &(Rule, RuleState)| {
                known.name == rule.name && known.labels == rule.labels
            };
            let state = old.iter().position(same).map(|at| old.swap_remove(at).1);
            states.push(state.unwrap_or_default());
        }
        // Series of rules that are gone end with the first evaluation.
        let gone = old.into_iter().flat_map(|(_, state)| state.returned);
        if let Some(first) = states.first_mut() {
            first.returned.extend(gone);
        }
        Running { group, states, evaluations: 0, seconds: 0.0, last_ms: 0 }
    }

    /// The group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// Evaluates all rules at `now_ms`. Blocks; what is recorded is durable when it returns.
    pub fn evaluate(&mut self, now_ms: i64, with: &Surroundings) -> Vec<Notice> {
        let begun = Instant::now();
        let settings = with.settings.clone();
        let offset = self.group.query_offset.unwrap_or(settings.query_offset);
        let at_ms = now_ms - offset.as_millis() as i64;
        let interval = self.group.interval.unwrap_or(settings.interval);
        let mut notices = Vec::new();
        let mut tickets = Vec::new();
        for (rule, state) in self.group.rules.iter().zip(&mut self.states) {
            let rule_begun = Instant::now();
            let given = evaluate(rule, state, at_ms, now_ms, self.group.limit, with);
            let written = given.and_then(|series| record(state, series, at_ms, with));
            state.error = match written {
                Ok(ticket) => {
                    tickets.extend(ticket);
                    None
                }
                Err(error) => {
                    tracing::warn!(
                        group = self.group.name,
                        rule = rule.name,
                        "rule failed: {error}"
                    );
                    Some(error.message().to_owned())
                }
            };
            if rule.alert.is_some() && state.error.is_none() {
                let url = format!("{}{}", settings.external_url, template::table_link(&rule.query));
                notices.extend(state.alerts.notices(now_ms, settings.resend_delay, interval, &url));
            }
            state.seconds = rule_begun.elapsed().as_secs_f64();
            state.last_ms = now_ms;
        }
        for ticket in tickets {
            if let Err(error) = ticket.wait() {
                tracing::warn!(
                    group = self.group.name,
                    "what rules recorded is not durable: {error}"
                );
            }
        }
        self.evaluations += 1;
        if self.evaluations == RESTORE_AFTER {
            self.restore(now_ms, with);
        }
        self.seconds = begun.elapsed().as_secs_f64();
        self.last_ms = now_ms;
        notices
    }

    /// Takes up the alerts that pended before a restart.
    fn restore(&mut self, now_ms: i64, with: &Surroundings) {
        let settings = &with.settings;
        for (rule, state) in self.group.rules.iter().zip(&mut self.states) {
            let Some(alert) = &rule.alert else { continue };
            if !state.restored && alert.hold >= settings.grace {
                let known = for_state(rule, now_ms, with).unwrap_or_default();
                for (labels, (seen_ms, since_ms)) in known {
                    state.alerts.restore(
                        &labels,
                        since_ms,
                        seen_ms,
                        alert.hold,
                        settings.grace,
                        now_ms,
                    );
                }
            }
            state.restored = true;
        }
    }

    /// How it is, for the board.
    pub fn shown(&self, settings: &Settings) -> ShownGroup {
        let rules = self.group.rules.iter().zip(&self.states).map(|(rule, state)| ShownRule {
            rule: rule.clone(),
            alerts: state.alerts.0.iter().map(|(l, a)| (l.clone(), a.clone())).collect(),
            error: state.error.clone(),
            seconds: state.seconds,
            last_ms: state.last_ms,
        });
        ShownGroup {
            name: self.group.name.clone(),
            file: self.group.file.clone(),
            interval: self.group.interval.unwrap_or(settings.interval),
            limit: self.group.limit,
            seconds: self.seconds,
            last_ms: self.last_ms,
            rules: rules.collect(),
        }
    }

    /// Ends all series the group recorded: it is gone.
    pub fn end(&mut self, now_ms: i64, with: &Surroundings) {
        for state in &mut self.states {
            // What cannot be written now ends by itself in five minutes.
            let _ = record(state, Vec::new(), now_ms, with);
        }
    }
}

type Given = Vec<(Labels, Recorded)>;

fn evaluate(
    rule: &Rule,
    state: &mut RuleState,
    at_ms: i64,
    now_ms: i64,
    limit: usize,
    with: &Surroundings,
) -> Result<Given> {
    let found = query(&rule.query, at_ms, with)?;
    let Some(alert) = &rule.alert else { return recording(rule, found, limit) };
    let asked = Asked { at_ms, with };
    let mut given: BTreeMap<Labels, Alert> = BTreeMap::new();
    for (labels, value) in found {
        let value = match value {
            Sample::Float(value) => value,
            Sample::Histogram(histogram) => histogram.count,
        };
        let (labels, alert) = raised(rule, alert, &labels, value, now_ms, &asked);
        if given.insert(labels, alert).is_some() {
            return Err(Error::rejected(
                "vector contains metrics with the same labelset after applying alert labels",
            ));
        }
    }
    let active = state.alerts.step(given, alert, now_ms);
    if limit > 0 && active > limit {
        state.alerts = Alerts::default();
        return Err(Error::rejected(format!("exceeded limit of {limit} with {active} alerts")));
    }
    let series = match state.restored {
        true => state.alerts.series(&rule.labels),
        false => Vec::new(),
    };
    Ok(series.into_iter().map(|(labels, value)| (labels, Recorded::Number(value))).collect())
}

fn recording(rule: &Rule, found: Vec<(Labels, Sample)>, limit: usize) -> Result<Given> {
    let mut seen = BTreeSet::new();
    let mut given = Vec::with_capacity(found.len());
    for (labels, sample) in found {
        let named = labels.with(METRIC_NAME, &rule.name);
        let labels =
            rule.labels.iter().fold(named, |labels, (name, value)| labels.with(name, value));
        if !seen.insert(labels.clone()) {
            return Err(Error::rejected(
                "vector contains metrics with the same labelset after applying rule labels",
            ));
        }
        given.push((
            labels,
            match sample {
                Sample::Float(value) => Recorded::Number(value),
                Sample::Histogram(histogram) => Recorded::Histogram(histogram),
            },
        ));
    }
    if limit > 0 && given.len() > limit {
        return Err(Error::rejected(format!(
            "exceeded limit of {limit} with {} series",
            given.len()
        )));
    }
    Ok(given)
}

/// The alert that a sample raises.
fn raised(
    rule: &Rule,
    alert: &AlertRule,
    labels: &Labels,
    value: f64,
    now_ms: i64,
    asked: &Asked<'_>,
) -> (Labels, Alert) {
    let map = |pairs: &mut dyn Iterator<Item = (String, String)>| {
        Value::Map(pairs.map(|(name, value)| (name, Value::Text(value))).collect())
    };
    let settings = &asked.with.settings;
    let variables = [
        ("labels", map(&mut labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())))),
        ("externalLabels", map(&mut settings.external_labels.clone().into_iter())),
        ("externalURL", Value::Text(settings.external_url.clone())),
        ("value", Value::Float(value)),
    ];
    let expand = |template: &super::template::Template| {
        let expanded = template.expand(&variables, asked);
        expanded.unwrap_or_else(|error| format!("<error expanding template: {error}>"))
    };
    let mut own = labels.with(METRIC_NAME, "");
    for (name, template) in &alert.label_templates {
        own = own.with(name, &expand(template));
    }
    let own = own.with("alertname", &rule.name);
    let annotations =
        alert.annotation_templates.iter().map(|(name, template)| (name.clone(), expand(template)));
    let alert = Alert {
        state: State::Pending,
        annotations: annotations.collect(),
        value,
        active_ms: now_ms,
        fired_ms: 0,
        resolved_ms: 0,
        sent_ms: 0,
        keeping_ms: 0,
    };
    (own, alert)
}

/// The samples a query gives at a time.
fn query(text: &str, at_ms: i64, with: &Surroundings) -> Result<Vec<(Labels, Sample)>> {
    let engine = Engine::new(with.limits.clone());
    let source = Source(with.store.clone());
    let answer = engine.instant(&source, text, at_ms, &Context::default());
    match answer.map_err(|e| Error::rejected(e.to_string()))?.value {
        QueryValue::Vector(list) => Ok(list.into_iter().map(|e| (e.labels, e.sample)).collect()),
        QueryValue::Scalar(value) => Ok(vec![(Labels::default(), Sample::Float(value))]),
        _ => Err(Error::rejected("rule result is not a vector or scalar")),
    }
}

/// Queries in templates.
struct Asked<'w> {
    at_ms: i64,
    with: &'w Surroundings,
}

impl World for Asked<'_> {
    fn query(&self, text: &str) -> std::result::Result<Vec<Value>, String> {
        let found = query(text, self.at_ms, self.with).map_err(|e| e.to_string())?;
        let value = |sample: &Sample| match sample {
            Sample::Float(value) => *value,
            Sample::Histogram(histogram) => histogram.count,
        };
        Ok(found.iter().map(|(labels, one)| sample(labels, value(one))).collect())
    }

    fn now(&self) -> f64 {
        self.at_ms as f64 / 1000.0
    }

    fn external_url(&self) -> &str {
        &self.with.settings.external_url
    }
}

/// Records what a rule gave and ends the series it gives no more.
fn record(
    state: &mut RuleState,
    given: Given,
    at_ms: i64,
    with: &Surroundings,
) -> Result<Option<store::Ticket>> {
    let mut encoder = Encoder::default();
    let mut returned = BTreeSet::new();
    for (labels, value) in given {
        match value {
            Recorded::Number(value) => encoder.sample(&labels, at_ms, value),
            Recorded::Histogram(histogram) => {
                encoder.histogram(&labels, at_ms, &native(&histogram))
            }
        }
        returned.insert(labels);
    }
    for gone in state.returned.difference(&returned) {
        encoder.sample(gone, at_ms, STALE);
    }
    if encoder.is_empty() {
        state.returned = returned;
        return Ok(None);
    }
    let body = encoder.finish()?;
    let (written, ticket) = with.store.write(Version::V1, &body, with.clock.now())?;
    state.returned = returned;
    if written.report.rejected.total() > 0 {
        let reasons: Vec<&str> =
            written.report.rejected.iter().map(|(reason, _)| reason.meaning()).collect();
        return Err(Error::rejected(format!(
            "recorded samples were refused: {}",
            reasons.join(", ")
        )));
    }
    Ok(Some(ticket))
}

fn native(histogram: &promql::FloatHistogram) -> NativeHistogram {
    NativeHistogram {
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: histogram.zero_count,
        count: histogram.count,
        sum: histogram.sum,
        positive: histogram.positive.clone(),
        negative: histogram.negative.clone(),
        bounds: histogram.bounds.clone(),
    }
}

/// By labels of the alert: when it was recorded last, and since when it is active.
fn for_state(
    rule: &Rule,
    now_ms: i64,
    with: &Surroundings,
) -> Result<BTreeMap<Labels, (i64, i64)>> {
    let matchers = [
        Matcher::new(MatchOp::Equal, METRIC_NAME, "ALERTS_FOR_STATE")?,
        Matcher::new(MatchOp::Equal, "alertname", &rule.name)?,
    ];
    let outage_ms = with.settings.outage.as_millis() as i64;
    let hints = Hints { series_max: with.limits.series_max, ..Hints::default() };
    let select =
        Select { matchers: &matchers, start_ms: now_ms - outage_ms, end_ms: now_ms, hints };
    let mut known = BTreeMap::new();
    for series in Source(with.store.clone()).select(&select)? {
        let last = series.timestamps_ms.last().zip(series.values.last());
        if let Some((time, value)) = last.filter(|(_, value)| value.to_bits() != STALE.to_bits()) {
            let labels = series.labels.with(METRIC_NAME, "");
            known.insert(labels, (*time, (*value * 1000.0) as i64));
        }
    }
    Ok(known)
}
