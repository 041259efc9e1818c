// SPDX-License-Identifier: Apache-2.0
//! The life of alerts: pending, firing, over.
//!
//! One alert a label set. It pends for the rule's `for`, fires while the query gives it (and
//! `keep_firing_for` longer), and is remembered a quarter of an hour after its end so that the end
//! is told as well. Source: Prometheus' `rules/alerting.go`.

use std::collections::BTreeMap;
use std::time::Duration;

use basics::labels::{Labels, METRIC_NAME};

use super::file::AlertRule;

/// How long an alert that is over is told.
const RESOLVED_MS: i64 = 15 * 60 * 1000;

/// Where an alert is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Over.
    Inactive,
    /// Not long enough to fire.
    Pending,
    /// Fires.
    Firing,
}

impl State {
    /// As the API and `ALERTS` name it.
    pub fn name(self) -> &'static str {
        match self {
            State::Inactive => "inactive",
            State::Pending => "pending",
            State::Firing => "firing",
        }
    }
}

/// One alert; times in Unix milliseconds, 0 = never.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Where it is.
    pub state: State,
    /// Expanded annotations.
    pub annotations: BTreeMap<String, String>,
    /// What the query gave last.
    pub value: f64,
    /// Since when the query gives it.
    pub active_ms: i64,
    /// Since when it fires.
    pub fired_ms: i64,
    /// Since when it is over.
    pub resolved_ms: i64,
    /// When it was told last.
    pub sent_ms: i64,
    /// Since when it fires although the query does not give it.
    pub keeping_ms: i64,
}

/// What an Alertmanager is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Labels of the alert.
    pub labels: Labels,
    /// What is told with it.
    pub annotations: BTreeMap<String, String>,
    /// Since when it fires, Unix milliseconds.
    pub starts_ms: i64,
    /// When it ended, or until when it holds if it is not told again.
    pub ends_ms: i64,
    /// A page with its query.
    pub generator_url: String,
}

/// All alerts of a rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Alerts(pub BTreeMap<Labels, Alert>);

impl Alerts {
    /// Moves all alerts on to `now_ms`, given what the query gives. The number of those that pend
    /// or fire.
    pub fn step(&mut self, given: BTreeMap<Labels, Alert>, rule: &AlertRule, now_ms: i64) -> usize {
        let hold_ms = rule.hold.as_millis() as i64;
        let keep_ms = rule.keep_firing.as_millis() as i64;
        let names: std::collections::BTreeSet<Labels> = given.keys().cloned().collect();
        for (labels, new) in given {
            match self.0.get_mut(&labels).filter(|alert| alert.state != State::Inactive) {
                Some(known) => {
                    known.value = new.value;
                    known.annotations = new.annotations;
                }
                None => drop(self.0.insert(labels, new)),
            }
        }
        let mut active = 0;
        self.0.retain(|labels, alert| {
            let mut stays = true;
            if names.contains(labels) {
                alert.keeping_ms = 0;
            } else {
                let mut keeps = false;
                if alert.state == State::Firing && keep_ms > 0 {
                    if alert.keeping_ms == 0 {
                        alert.keeping_ms = now_ms;
                    }
                    keeps = now_ms - alert.keeping_ms < keep_ms;
                }
                let told = alert.resolved_ms != 0 && now_ms - alert.resolved_ms > RESOLVED_MS;
                stays = alert.state != State::Pending && !told;
                if !keeps {
                    if alert.state != State::Inactive {
                        alert.state = State::Inactive;
                        alert.resolved_ms = now_ms;
                    }
                    return stays;
                }
            }
            active += 1;
            let long_enough = now_ms - alert.active_ms >= hold_ms;
            if alert.state == State::Pending && long_enough {
                alert.state = State::Firing;
                alert.fired_ms = now_ms;
            } else if alert.state == State::Firing && !long_enough {
                // The rule was changed to wait longer.
                alert.state = State::Pending;
                (alert.fired_ms, alert.sent_ms, alert.keeping_ms) = (0, 0, 0);
            }
            stays
        });
        active
    }

    /// Series to record: labels and value.
    pub fn series(&self, rule: &BTreeMap<String, String>) -> Vec<(Labels, f64)> {
        let active = self.0.iter().filter(|(_, alert)| alert.state != State::Inactive);
        active
            .flat_map(|(labels, alert)| {
                let base = rule.iter().fold(labels.clone(), |labels, (name, value)| {
                    if labels.get(name).is_empty() { labels.with(name, value) } else { labels }
                });
                let alerts =
                    base.with(METRIC_NAME, "ALERTS").with("alertstate", alert.state.name());
                let since = base.with(METRIC_NAME, "ALERTS_FOR_STATE");
                [(alerts, 1.0), (since, alert.active_ms.div_euclid(1000) as f64)]
            })
            .collect()
    }

    /// What is to be told now, and notes that it was.
    pub fn notices(
        &mut self,
        now_ms: i64,
        resend: Duration,
        interval: Duration,
        url: &str,
    ) -> Vec<Notice> {
        let resend_ms = resend.as_millis() as i64;
        // Two tellings may be lost before the Alertmanager takes an alert for over.
        let valid_ms = 4 * resend_ms.max(interval.as_millis() as i64);
        let mut notices = Vec::new();
        for (labels, alert) in &mut self.0 {
            let due = alert.resolved_ms > alert.sent_ms || alert.sent_ms + resend_ms < now_ms;
            if alert.state == State::Pending || !due {
                continue;
            }
            alert.sent_ms = now_ms;
            notices.push(Notice {
                labels: labels.clone(),
                annotations: alert.annotations.clone(),
                starts_ms: alert.fired_ms,
                ends_ms: if alert.resolved_ms > 0 { alert.resolved_ms } else { now_ms + valid_ms },
                generator_url: url.to_owned(),
            });
        }
        notices
    }

    /// Takes up an alert that was known before a restart: `since_ms` it is active, `seen_ms` it
    /// was recorded last.
    pub fn restore(
        &mut self,
        labels: &Labels,
        since_ms: i64,
        seen_ms: i64,
        hold: Duration,
        grace: Duration,
        now_ms: i64,
    ) {
        let Some(alert) = self.0.get_mut(labels) else { return };
        let (hold_ms, grace_ms) = (hold.as_millis() as i64, grace.as_millis() as i64);
        let remaining = hold_ms - (seen_ms - since_ms);
        alert.active_ms = if remaining <= 0 {
            since_ms
        } else if remaining < grace_ms {
            now_ms + grace_ms - hold_ms
        } else {
            since_ms + (now_ms - seen_ms)
        };
    }
}
