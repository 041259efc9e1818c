// SPDX-License-Identifier: Apache-2.0
//! Bounds: traces, their size, bytes of the process's budget.

use super::*;

#[tokio::test]
async fn the_oldest_undecided_trace_makes_room_only_when_no_decided_one_can() {
    let mut rig = Rig::new(&format!("{{decision_wait: 5s, num_traces: 2, {ALL}}}"));
    rig.comes(&[span(1, 0), span(2, 0), span(3, 0)]).await;
    assert_eq!(rig.met(Fate::Dropped(Reason::Overloaded)), 1);
    assert_eq!(rig.value("sampling_trace_dropped_too_early", &[]), Some(1.0));
    rig.pass(7.0).await;
    assert_eq!(rig.went_on(), [(2, 0), (3, 0)]);
    rig.comes(&[span(4, 0), span(5, 0), span(4, 1)]).await;
    assert_eq!(rig.value("sampling_trace_dropped_too_early", &[]), Some(1.0));
    assert_eq!(rig.value("sampling_trace_removal_age", &[]), Some(3.0));
    assert_eq!(rig.sampler.traces.len(), 2);
    rig.ends().await;
    assert_eq!(rig.went_on(), [(2, 0), (3, 0), (4, 0), (4, 1), (5, 0)]);
}

#[tokio::test(start_paused = true)]
async fn a_sampler_that_blocks_waits_for_decisions_and_drops_nothing() {
    let yaml = format!("{{decision_wait: 5s, num_traces: 2, block_on_overflow: true, {ALL}}}");
    let mut rig = Rig::new(&yaml);
    rig.comes(&[span(1, 0), span(2, 0)]).await;
    // What is behind it fails: that is told, and no reason to drop anything here.
    rig.rest.fail(Error::retry("later"));
    let clock = rig.clock.clone();
    let more = [span(1, 1), span(3, 0), span(4, 0), span(5, 0)];
    tokio::select! {
        outcome = rig.sampler.take(Batch::new(request(&more), Arc::default()), &rig.out) => {
            assert!(outcome.is_err());
        }
        () = async {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                clock.advance(Duration::from_millis(100));
            }
        } => {}
    }
    assert!(clock.now() - START >= 10_000_000_000, "waited for two rounds");
    assert!(rig.sampler.finish(&rig.out).await.is_err());
    assert_eq!(rig.rest.kept(), 0);
    assert_eq!(rig.went_on().len(), 6);
    assert!(rig.rest.left().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sampler_that_blocks_does_not_keep_the_process_from_stopping() {
    let yaml = format!("{{num_traces: 1, block_on_overflow: true, {ALL}}}");
    let mut rig = Rig::new(&yaml);
    rig.rest.close();
    rig.comes(&[span(1, 0), span(2, 0), span(3, 0)]).await;
    rig.ends().await;
    assert_eq!(rig.went_on().len(), 3);
}

#[tokio::test]
async fn traces_that_grow_too_large_are_dropped_and_their_late_spans_too() {
    let mut rig = Rig::new(&format!("{{maximum_trace_size_bytes: 300, {ALL}}}"));
    let many: Vec<Span> = (0..10).map(|n| span(1, n)).collect();
    rig.comes(&[span(2, 0)]).await;
    rig.comes(&many).await;
    assert_eq!(rig.value("traces_dropped_too_large", &[]), Some(1.0));
    let dropped = rig.met(Fate::Dropped(Reason::Overloaded));
    assert!(dropped > 2 && dropped + rig.met(Fate::SampledOut) == 10, "{dropped} dropped");
    assert_eq!(rig.value("sampling_late_span_age", &[]), Some(0.0), "no policy was asked");
    rig.ends().await;
    assert_eq!(rig.went_on(), [(2, 0)]);
}

#[tokio::test]
async fn what_is_held_is_taken_from_the_budget_and_given_back() {
    let mut rig = Rig::new(&format!("{{decision_wait: 5s, {NONE}}}"));
    let budget = rig.context.host.budget().clone();
    let spans: Vec<Span> = (0..1000).map(|n| span(n % 10, n)).collect();
    let payload = request(&spans);
    let size = payload.len() as u64;
    let bytes = payload.bytes().clone();
    let batch = Batch::new(payload, Arc::default()).holding(budget.take(size).unwrap());
    rig.sampler.take(batch, &rig.out).await.unwrap();
    assert!(bytes.is_unique(), "the request is not pinned");
    let used = budget.used();
    assert!((size / 2..3 * size).contains(&used), "{used} for {size}");
    rig.pass(7.0).await;
    assert!(budget.used() <= 1024, "only the head is left: {}", budget.used());
    assert!(rig.sampler.held == 0 && rig.sampler.traces.len() == 10);
}

#[tokio::test]
async fn when_memory_is_spent_the_oldest_traces_are_decided_early() {
    let mut rig = Rig::new(ALL);
    rig.sampler.most_held = 100_000;
    for trace in 0..100 {
        let spans: Vec<Span> = (0..50).map(|n| span(trace, n)).collect();
        rig.comes(&spans).await;
        assert!(rig.sampler.held <= 100_000);
    }
    let early = rig.context.host.telemetry();
    let labels = [("processor", "tail_sampling")];
    let early = early.value("foreglow_tail_sampling_decided_early_traces", &labels).unwrap();
    assert!(early > 50.0 && early < 100.0, "{early}");
    assert_eq!(rig.went_on().len() as f64, early * 50.0);
    assert!(rig.rest.left().is_empty(), "nothing is lost");
    // The same when others have the budget.
    let budget = rig.context.host.budget().clone();
    let others = budget.take(budget.limit() - budget.used()).unwrap();
    rig.comes(&(0..900).map(|n| span(1000, n)).collect::<Vec<_>>()).await;
    assert!(rig.went_on().len() as f64 > early * 50.0);
    drop(others);
    rig.ends().await;
    assert_eq!(rig.went_on().len(), 100 * 50 + 900);
}

#[tokio::test]
async fn resources_that_no_trace_needs_any_more_are_forgotten() {
    let mut rig = Rig::new(&format!("{{decision_wait: 1s, {NONE}}}"));
    for round in [0, 10_000, 20_000] {
        for n in 0..2000 {
            let mut w = write::Traces::new();
            w.resource(|r| r.int("session", n));
            w.span(&write::Span { trace_id: id_of(round + n as u64), ..<_>::default() }, |_| ());
            let batch = Batch::new(w.finish(), Arc::default());
            rig.sampler.take(batch, &rig.out).await.unwrap();
        }
        assert!(rig.sampler.heads.bytes() > 50_000);
        rig.pass(5.0).await;
        assert_eq!(rig.sampler.heads.bytes(), 0);
    }
}

#[tokio::test]
async fn queues_do_not_grow_with_traces_that_are_gone() {
    let yaml = "{decision_wait_after_root_received: 1s, decision_cache: {sampled_cache_size: 10}, ";
    let mut rig = Rig::new(&format!("{yaml}{ALL}}}"));
    for trace in 0..20_000 {
        rig.comes(&[Span { root: true, ..span(trace, 0) }]).await;
        rig.pass(0.001).await;
    }
    let (waiting, hurried) = rig.sampler.traces.queues();
    assert!(waiting < 8000 && hurried < 8000, "{waiting} {hurried}");
    rig.ends().await;
    assert_eq!(rig.went_on().len(), 20_000);
}
