// SPDX-License-Identifier: Apache-2.0
//! What a log gives again.

use super::*;

fn again(received: UnixNano) -> Meta {
    Meta { received, replay: true, ..Meta::default() }
}

const SECOND: u64 = 1_000_000_000;

#[tokio::test]
async fn a_log_of_hours_is_decided_in_its_own_time() {
    // Room for three traces: read back in an instant, each of a hundred still gets its decision.
    let yaml = format!("{{decision_wait: 5s, num_traces: 3, {ALL}}}");
    let mut rig = Rig::with(&yaml, &Clock::manual(START + 3600 * SECOND));
    for n in 0..100 {
        rig.comes_with(&[span(n, 0)], again(START + n * 4 * SECOND)).await;
        rig.comes_with(&[span(n, 1)], again(START + (n * 4 + 1) * SECOND)).await;
        assert_ne!(rig.sampler.deadline(), Some(Duration::ZERO), "the clock's time is not asked");
    }
    assert_eq!(rig.met(Fate::Dropped(Reason::Overloaded)), 0);
    rig.pass(10.0).await;
    assert_eq!(rig.went_on().len(), 200);
    assert!(rig.rest.forwarded().iter().all(|batch| batch.meta.replay));
}

#[tokio::test]
async fn a_trace_that_a_restart_cut_gets_one_decision() {
    let yaml = format!("{{decision_wait: 5s, {ERRORS}}}");
    let mut rig = Rig::with(&yaml, &Clock::manual(START + 3 * SECOND));
    rig.comes_with(&[span(1, 0), span(2, 0)], again(START)).await;
    rig.comes_with(&[span(3, 0)], again(START + SECOND)).await;
    rig.comes(&[failed(1, 1), span(2, 1)]).await;
    rig.pass(5.0).await;
    assert_eq!(rig.went_on(), [(1, 0), (1, 1)]);
    // Each half goes its own way: what was read back only to who is behind.
    let ways = rig.rest.forwarded().iter().map(|b| (b.meta.replay, b.items())).collect::<Vec<_>>();
    assert_eq!(ways, [(true, 1), (false, 1)]);
    rig.comes(&[failed(3, 1)]).await;
    rig.ends().await;
    assert_eq!(rig.met(Fate::SampledOut), 4, "a late span follows what was decided before");
}

#[tokio::test]
async fn after_a_long_stop_the_first_live_request_brings_the_time_forward() {
    let mut rig = Rig::with(&format!("{{decision_wait: 5s, {ALL}}}"), &Clock::manual(START));
    rig.clock.advance(Duration::from_secs(3600));
    rig.comes_with(&[span(1, 0)], again(START)).await;
    assert!(rig.sampler.deadline().unwrap() >= Duration::from_secs(5));
    rig.comes(&[span(2, 0), span(1, 1)]).await;
    assert_eq!(rig.went_on(), [(1, 0), (1, 1)], "it was due, and a late span follows");
    assert!(rig.sampler.deadline().unwrap() >= Duration::from_secs(5));
}

#[tokio::test]
async fn tenants_are_decided_about_together_and_sent_on_apart() {
    let mut rig = Rig::new(&format!("{{decision_wait: 1s, {ERRORS}}}"));
    let of = |tenant: &str| Meta { tenant: tenant.into(), ..Meta::default() };
    rig.comes_with(&[span(1, 0)], of("a")).await;
    rig.comes_with(&[failed(1, 1)], of("b")).await;
    rig.pass(3.0).await;
    let sent = rig.rest.forwarded();
    let tenants: Vec<_> = sent.iter().map(|batch| &*batch.meta.tenant).collect();
    assert_eq!(tenants, ["a", "b"]);
}
