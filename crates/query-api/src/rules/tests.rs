// SPDX-License-Identifier: Apache-2.0
//! Groups over a small store: what is recorded, how alerts live, what survives a restart.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use basics::Clock;
use basics::files::RealFiles;
use basics::labels::Labels;
use promql::{Context, Engine, Limits, QueryValue, Sample};
use store::remote_write::{Encoder, Version};
use store::{Store, StoreOptions};

use super::alert::State;
use super::*;
use crate::source::Source;

const NOW_MS: i64 = 1_790_000_000_000;
const MINUTE_MS: i64 = 60_000;

fn open(folder: &Path, now_ms: i64) -> Surroundings {
    let clock = Clock::manual(now_ms as u64 * 1_000_000);
    let store = Store::open(folder, StoreOptions::default(), Arc::new(RealFiles), clock.clone());
    let settings = Settings {
        external_labels: [("cluster".to_owned(), "eu".to_owned())].into(),
        external_url: "http://here".to_owned(),
        grace: Duration::from_secs(60),
        ..Settings::default()
    };
    let store = Arc::new(store.expect("opens"));
    Surroundings { store, clock, limits: Limits::default(), settings: Arc::new(settings) }
}

fn put(with: &Surroundings, name: &str, instance: &str, time_ms: i64, value: f64) {
    let mut encoder = Encoder::default();
    let labels = Labels::new([("__name__", name), ("instance", instance)]);
    encoder.sample(&labels, time_ms, value);
    let body = encoder.finish().expect("small");
    let received = time_ms as u64 * 1_000_000;
    with.store.write(Version::V1, &body, received).expect("taken").1.wait().expect("durable");
}

fn ask(with: &Surroundings, query: &str, at_ms: i64) -> Vec<(String, f64)> {
    let engine = Engine::new(with.limits.clone());
    let source = Source(with.store.clone());
    let answer = engine.instant(&source, query, at_ms, &Context::default()).expect("answers");
    let QueryValue::Vector(list) = answer.value else { panic!("no vector") };
    let value = |sample: &Sample| match sample {
        Sample::Float(value) => *value,
        Sample::Histogram(histogram) => histogram.count,
    };
    list.iter().map(|entry| (entry.labels.to_string(), value(&entry.sample))).collect()
}

fn running(text: &str) -> Running {
    let groups = file::parse("rules.yml", text).expect("valid rules");
    Running::new(groups.into_iter().next().expect("a group"), None)
}

#[test]
fn what_a_rule_records_the_next_one_sees_and_what_is_gone_ends() {
    let folder = tempfile::tempdir().expect("temp dir");
    let with = open(folder.path(), NOW_MS);
    put(&with, "load", "a", NOW_MS, 1.0);
    put(&with, "load", "b", NOW_MS, 3.0);
    let mut group = running(
        "groups:
- name: g
  labels: {team: x}
  rules:
  - {record: 'load:double', expr: load * 2, labels: {kind: doubled}}
  - {record: 'load:all', expr: 'sum(load:double)'}
  - {record: 'broken', expr: 'load + on () load'}
  - {record: 'one', expr: '1'}",
    );
    assert!(group.evaluate(NOW_MS, &with).is_empty());
    let all = ask(&with, "{team=\"x\"}", NOW_MS);
    let expected = [
        ("{__name__=\"load:all\", team=\"x\"}", 8.0),
        ("{__name__=\"load:double\", instance=\"a\", kind=\"doubled\", team=\"x\"}", 2.0),
        ("{__name__=\"load:double\", instance=\"b\", kind=\"doubled\", team=\"x\"}", 6.0),
        ("{__name__=\"one\", team=\"x\"}", 1.0),
    ];
    assert_eq!(all, expected.map(|(labels, value)| (labels.to_owned(), value)));
    let shown = group.shown(&with.settings);
    let errors: Vec<bool> = shown.rules.iter().map(|rule| rule.error.is_some()).collect();
    assert_eq!(errors, [false, false, true, false]);
    // Ten minutes on nobody tells a load: its series end.
    let later = NOW_MS + 10 * MINUTE_MS;
    with.clock.advance(Duration::from_secs(10 * 60));
    put(&with, "load", "b", later, 5.0);
    group.evaluate(later, &with);
    let left = ask(&with, "{__name__=\"load:double\"}", later + 1);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].1, 10.0);
}

const ALERTING: &str = "groups:
- name: g
  rules:
  - alert: Hot
    expr: heat > 50
    for: 5m
    keep_firing_for: 2m
    labels: {severity: '{{ if gt $value 80.0 }}page{{ else }}ticket{{ end }}'}
    annotations: {summary: '{{ $labels.instance }} at {{ $value }} in {{ $externalLabels.cluster }}'}";

fn state(group: &Running, with: &Surroundings) -> Vec<State> {
    let shown = group.shown(&with.settings);
    shown.rules[0].alerts.iter().map(|(_, alert)| alert.state).collect()
}

#[test]
fn an_alert_pends_fires_keeps_firing_and_ends() {
    let folder = tempfile::tempdir().expect("temp dir");
    let with = open(folder.path(), NOW_MS);
    let mut group = running(ALERTING);
    let mut seen = Vec::new();
    for minute in 0..14 {
        let now = NOW_MS + minute * MINUTE_MS;
        put(&with, "heat", "a", now, if minute < 8 { 60.0 } else { 40.0 });
        let notices = group.evaluate(now, &with);
        seen.push((state(&group, &with).first().copied(), notices.len()));
        with.clock.advance(Duration::from_secs(60));
        if minute == 5 {
            let notice = &notices[0];
            assert_eq!(
                notice.labels.to_string(),
                "{alertname=\"Hot\", instance=\"a\", severity=\"ticket\"}"
            );
            assert_eq!(notice.annotations["summary"], "a at 60 in eu");
            assert_eq!(notice.starts_ms, now);
            assert_eq!(notice.ends_ms, now + 4 * MINUTE_MS);
            assert_eq!(notice.generator_url, "http://here/graph?g0.expr=heat+%3E+50&g0.tab=1");
            let series = ask(&with, "ALERTS", now);
            let labels = "{__name__=\"ALERTS\", alertname=\"Hot\", alertstate=\"firing\", instance=\"a\", severity=\"ticket\"}";
            assert_eq!(series, [(labels.to_owned(), 1.0)]);
            assert_eq!(ask(&with, "ALERTS_FOR_STATE", now)[0].1, (NOW_MS / 1000) as f64);
        }
    }
    let (pending, firing, over) =
        (Some(State::Pending), Some(State::Firing), Some(State::Inactive));
    let states: Vec<Option<State>> = seen.iter().map(|(state, _)| *state).collect();
    let mut expected = vec![pending; 5];
    expected.extend([firing; 5]);
    expected.extend([over; 4]);
    assert_eq!(states, expected);
    // Told when it begins to fire, each minute it fires on (a minute is not more than a minute),
    // and when it is over.
    assert_eq!(seen[5].1, 1);
    assert_eq!(seen[10].1, 1);
    assert!(ask(&with, "ALERTS", NOW_MS + 13 * MINUTE_MS).is_empty());
}

#[test]
fn an_alert_that_pends_goes_on_pending_after_a_restart() {
    let folder = tempfile::tempdir().expect("temp dir");
    let with = open(folder.path(), NOW_MS);
    let mut group = running(ALERTING);
    for minute in 0..4 {
        let now = NOW_MS + minute * MINUTE_MS;
        put(&with, "heat", "a", now, 60.0);
        group.evaluate(now, &with);
        with.clock.advance(Duration::from_secs(60));
    }
    // Two minutes away: they do not count for the alert's five.
    let back = NOW_MS + 5 * MINUTE_MS;
    with.clock.advance(Duration::from_secs(60));
    let mut group = running(ALERTING);
    let mut fired = None;
    for step in 0..20 {
        let now = back + step * MINUTE_MS / 4;
        put(&with, "heat", "a", now, 60.0);
        group.evaluate(now, &with);
        if fired.is_none() && state(&group, &with) == [State::Firing] {
            fired = Some(now - NOW_MS);
        }
        with.clock.advance(Duration::from_secs(15));
    }
    let fired = fired.expect("it fires") as f64 / MINUTE_MS as f64;
    assert!((7.0..8.0).contains(&fired), "fired after {fired} minutes, two of which it was away");
}

#[test]
fn mistakes_in_rules_name_their_place() {
    for (text, says) in [
        ("groups: [{name: a, rules: [{record: b}]}]", "field 'expr' must be set in rule"),
        ("groups: [{name: a}, {name: a}]", "group name \"a\" is there twice"),
        ("groups: [{rules: []}]", "a group needs a name"),
        (
            "groups: [{name: a, rules: [{record: b, alert: c, expr: up}]}]",
            "only one of 'record' and 'alert'",
        ),
        ("groups: [{name: a, rules: [{expr: up}]}]", "one of 'record' or 'alert' must be set"),
        ("groups: [{name: a, rules: [{record: b, expr: 'sum('}]}]", "could not parse expression"),
        (
            "groups: [{name: a, rules: [{record: b, expr: up, for: 5m}]}]",
            "invalid field 'for' in recording rule",
        ),
        ("groups: [{name: a, interval: 5, rules: []}]", "interval"),
        (
            "groups: [{name: a, rules: [{alert: b, expr: up, annotations: {c: '{{ nope }}'}}]}]",
            "function \"nope\" not defined",
        ),
        ("groups: [{name: a, ruels: []}]", "unknown key \"ruels\""),
        ("groups: [{name: a, rules: [{record: 'up{}', expr: up}]}]", "braces present"),
    ] {
        let error = file::parse("r.yml", text).expect_err(text).to_string();
        assert!(error.contains(says) && error.contains("r.yml:1:"), "{text}: {error}");
    }
}
