// SPDX-License-Identifier: Apache-2.0
//! When traces are decided about, and what becomes of late spans.

use pipeline::testing::{contract, watched};

use super::*;

#[tokio::test]
async fn it_accounts_for_everything() {
    for yaml in [ALL, NONE] {
        let mut rig = Rig::new(yaml);
        contract::stage_accounts_for_everything(&mut rig.sampler, Signal::Traces).await;
    }
}

#[tokio::test]
async fn a_trace_is_decided_about_so_long_after_its_first_span() {
    let mut rig = Rig::new(&format!("{{decision_wait: 10s, {ERRORS}}}"));
    rig.comes(&[span(1, 0), span(2, 0)]).await;
    rig.pass(9.0).await;
    rig.comes(&[failed(1, 1), span(2, 1)]).await;
    assert!(rig.went_on().is_empty());
    // Decisions are made on whole seconds: 0.3 s + 10 s is the 11th.
    rig.pass(1.6).await;
    assert!(rig.went_on().is_empty());
    assert_eq!(rig.rest.kept(), 4);
    rig.pass(0.2).await;
    assert_eq!(rig.went_on(), [(1, 0), (1, 1)]);
    assert_eq!((rig.met(Fate::SampledOut), rig.rest.kept()), (2, 0));
    assert_eq!(rig.sampler.deadline(), None);
}

#[tokio::test]
async fn a_root_hurries_the_decision() {
    let yaml = "{decision_wait: 30s, decision_wait_after_root_received: 2s, ";
    let mut rig = Rig::new(&format!("{yaml}{ALL}}}"));
    rig.comes(&[span(1, 0), span(2, 0)]).await;
    rig.pass(5.0).await;
    rig.comes(&[Span { root: true, ..span(1, 1) }]).await;
    rig.pass(3.0).await;
    assert_eq!(rig.went_on(), [(1, 0), (1, 1)]);
    // A second root does not put it off, and neither does one that comes late.
    rig.comes(&[Span { root: true, ..span(2, 1) }]).await;
    rig.pass(1.0).await;
    rig.comes(&[Span { root: true, ..span(2, 2) }]).await;
    rig.pass(2.0).await;
    assert_eq!(rig.went_on().len(), 5);
    rig.pass(60.0).await;
    assert_eq!(rig.went_on().len(), 5, "nothing is decided twice");
    rig.ends().await;
}

#[tokio::test]
async fn late_spans_follow_the_decision() {
    let caches = "decision_cache: {sampled_cache_size: 10, non_sampled_cache_size: 10}";
    for cached in [false, true] {
        let caches = if cached { caches } else { "decision_wait_after_root_received: 0s" };
        let mut rig = Rig::new(&format!("{{decision_wait: 1s, {caches}, {ERRORS}}}"));
        rig.comes(&[failed(1, 0), span(2, 0)]).await;
        rig.pass(3.0).await;
        let in_memory = if cached { 0 } else { 2 };
        assert_eq!(rig.sampler.traces.len(), in_memory);
        rig.comes(&[span(1, 1), failed(2, 1), span(1, 2)]).await;
        assert_eq!(rig.went_on(), [(1, 0), (1, 1), (1, 2)], "at once");
        assert_eq!(rig.met(Fate::SampledOut), 2);
        let released =
            |sampled| rig.value("early_releases_from_cache_decision", &[("sampled", sampled)]);
        let late = rig.value("sampling_late_span_age", &[]);
        if cached {
            assert_eq!((released("true"), released("false")), (Some(2.0), Some(1.0)));
            assert_eq!(late, Some(0.0));
        } else {
            assert_eq!((released("true"), late), (None, Some(3.0)));
        }
        assert_eq!(rig.value("new_trace_id_received", &[]), Some(2.0));
        rig.ends().await;
    }
}

#[tokio::test]
async fn a_decision_that_is_forgotten_is_made_again() {
    let yaml = "{decision_wait: 1s, decision_cache: {sampled_cache_size: 1}, ";
    let mut rig = Rig::new(&format!("{yaml}{ERRORS}}}"));
    rig.comes(&[failed(1, 0), failed(2, 0)]).await;
    rig.pass(3.0).await;
    rig.comes(&[span(1, 1), span(2, 1)]).await;
    assert_eq!(rig.went_on(), [(1, 0), (2, 0), (2, 1)], "only the last is remembered");
    rig.pass(3.0).await;
    assert_eq!((rig.met(Fate::SampledOut), rig.went_on().len()), (1, 3));
}

#[tokio::test]
async fn requests_are_accepted_at_once_and_errors_downstream_lose_nothing_else() {
    let mut rig = Rig::new(&format!("{{decision_wait: 1s, {ALL}}}"));
    let meta = Arc::new(Meta::default());
    let (batch, answer) = watched(Batch::new(request(&[span(1, 0), span(2, 0)]), meta));
    rig.sampler.take(batch, &rig.out).await.unwrap();
    assert!(matches!(answer.get(), Some(Ok(()))));
    assert_eq!(rig.rest.kept(), 2);
    rig.rest.fail(Error::retry("later"));
    rig.clock.advance(Duration::from_secs(5));
    assert!(rig.sampler.tick(&rig.out).await.is_err());
    assert_eq!((rig.rest.kept(), rig.went_on().len()), (0, 2));
}

#[tokio::test]
async fn at_the_end_traces_are_decided_about_as_they_are_or_dropped() {
    let mut rig = Rig::new(ERRORS);
    rig.comes(&[failed(1, 0), span(2, 0)]).await;
    rig.ends().await;
    assert_eq!((rig.went_on(), rig.met(Fate::SampledOut)), (vec![(1, 0)], 1));
    let mut rig = Rig::new(&format!("{{drop_pending_traces_on_shutdown: true, {ERRORS}}}"));
    rig.comes(&[failed(1, 0), span(2, 0)]).await;
    rig.ends().await;
    assert_eq!((rig.went_on(), rig.met(Fate::Dropped(Reason::Closed))), (vec![], 2));
}

#[tokio::test]
async fn what_goes_on_has_the_resources_and_scopes_it_came_with() {
    let mut rig = Rig::new(&format!("{{decision_wait: 1s, {ALL}}}"));
    let other = Span { service: "b", ..span(1, 1) };
    rig.comes(&[span(1, 0), span(2, 0), other]).await;
    rig.comes(&[span(1, 2)]).await;
    rig.pass(3.0).await;
    let sent = rig.rest.forwarded();
    assert_eq!(sent.len(), 1, "traces of one round go together");
    let services = sent[0].payload.traces().map(|resource| {
        let service = resource.attr("service.name").expect("a name").text().into_owned();
        let scope = resource.scopes().next().expect("a scope");
        (service, scope.name().to_owned(), scope.spans().count())
    });
    let expected = [("a", 2), ("b", 1), ("a", 1)];
    let expected = expected.map(|(service, spans)| (service.to_owned(), "test".to_owned(), spans));
    assert_eq!(services.collect::<Vec<_>>(), expected);
    assert_eq!(sent[0].meta.received, START);
}

#[tokio::test]
async fn decisions_are_counted_by_policy() {
    let policies = "policies: [\
         {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}, \
         {name: long, type: span_count, span_count: {min_spans: 2}}, \
         {name: not b, type: drop, drop: {drop_sub_policy: [{name: b, type: string_attribute, \
          string_attribute: {key: service.name, values: [b]}}]}}]";
    let b = Span { service: "b", ..failed(3, 0) };
    for (first, long_sampled) in [(false, 2.0), (true, 1.0)] {
        let yaml = format!("{{decision_wait: 1s, sample_on_first_match: {first}, {policies}}}");
        let mut rig = Rig::new(&yaml);
        rig.comes(&[failed(1, 0), span(1, 1), span(2, 0), span(2, 1), b, span(4, 0)]).await;
        rig.pass(3.0).await;
        assert_eq!(rig.went_on(), [(1, 0), (1, 1), (2, 0), (2, 1)]);
        let count = |policy, sampled, decision, name| {
            let labels = [("policy", policy), ("sampled", sampled), ("decision", decision)];
            rig.value(name, &labels)
        };
        let traces = "count_traces_sampled";
        assert_eq!(count("errors", "true", "sampled", traces), Some(1.0));
        assert_eq!(count("errors", "false", "not_sampled", traces), Some(2.0));
        assert_eq!(count("long", "true", "sampled", traces), Some(long_sampled));
        assert_eq!(count("not b", "false", "dropped", traces), Some(1.0));
        assert_eq!(count("not b", "false", "not_sampled", traces), Some(3.0));
        assert_eq!(count("errors", "true", "sampled", "count_spans_sampled"), Some(2.0));
        let all = |sampled, decision| {
            let labels = [("sampled", sampled), ("decision", decision)];
            rig.value("global_count_traces_sampled", &labels)
        };
        assert_eq!(all("true", "sampled"), Some(2.0));
        assert_eq!((all("false", "not_sampled"), all("false", "dropped")), (Some(1.0), Some(1.0)));
        assert_eq!(rig.value("sampling_traces_on_memory", &[]), Some(4.0));
        assert_eq!(rig.value("sampling_policy_evaluation_error", &[]), Some(0.0));
        assert_eq!(rig.value("sampling_decision_timer_latency", &[]), Some(1.0));
    }
}

#[test]
fn policies_of_a_named_processor_are_counted_under_both_names() {
    let telemetry = pipeline::Telemetry::new();
    let meters = Meters::new(&telemetry, "tail_sampling/eu", ["p".to_owned()].into_iter());
    meters.policy(0, Verdict::Sampled, 3);
    let name = "otelcol_processor_tail_sampling_count_traces_sampled";
    let labels = [("policy", "eu.p"), ("sampled", "true"), ("decision", "sampled")];
    assert_eq!(telemetry.value(name, &labels), Some(1.0));
}

#[tokio::test]
async fn with_span_ingest_a_trace_is_kept_as_soon_as_a_policy_wants_it() {
    let yaml = "decision_wait: 5s, sampling_strategy: span-ingest";
    let mut rig = Rig::new(&format!("{{{yaml}, {ERRORS}}}"));
    rig.comes(&[span(1, 0), span(2, 0), span(1, 1)]).await;
    assert_eq!(rig.rest.kept(), 3);
    rig.comes(&[span(2, 1), failed(1, 2)]).await;
    assert_eq!(rig.went_on(), [(1, 0), (1, 1), (1, 2)], "with what came before");
    rig.comes(&[span(1, 3)]).await;
    rig.pass(7.0).await;
    assert_eq!(rig.went_on().len(), 4);
    assert_eq!((rig.met(Fate::SampledOut), rig.rest.kept()), (2, 0));
    // A policy that drops does so at once; as long as it may, nothing is kept.
    let drop = "policies: [{name: all, type: always_sample}, {name: d, type: drop, \
                drop: {drop_sub_policy: [{name: e, type: status_code, \
                status_code: {status_codes: [ERROR]}}]}}]";
    let mut rig = Rig::new(&format!("{{{yaml}, {drop}}}"));
    rig.comes(&[span(1, 0), failed(2, 0)]).await;
    assert_eq!((rig.met(Fate::SampledOut), rig.rest.kept()), (1, 1));
    rig.ends().await;
    assert!(rig.went_on().is_empty());
}
