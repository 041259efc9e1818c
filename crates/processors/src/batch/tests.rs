// SPDX-License-Identifier: Apache-2.0

use basics::Kind;
use otlp_wire::Payload;
use pipeline::config::from_yaml;
use pipeline::testing::{Rest, context, contract, outlet, payload, watched};
use proptest::prelude::*;

use super::*;

fn batcher(yaml: &str, clock: &Clock) -> Batcher {
    let config = from_yaml::<Config>(yaml).expect("a right configuration");
    let context = context("batch", Signal::Metrics, clock);
    let meter = BatchMeter::new(context.host.telemetry(), "batch");
    Batcher::new(&config, meter, clock.clone())
}

fn of(items: u32, meta: Meta) -> Batch {
    Batch::new(payload(Signal::Metrics, "m", items), Arc::new(meta))
}

/// Gives the stage batches of so many items, then asks what went on, then ends it.
async fn check(yaml: &str, came: &[u32], went: &[u64], at_the_end: &[u64]) {
    let mut stage = batcher(yaml, &Clock::manual(0));
    let (out, rest) = outlet();
    for items in came {
        stage.take(of(*items, Meta::default()), &out).await.unwrap();
    }
    assert_eq!(rest.items(), went, "{yaml} {came:?}");
    stage.finish(&out).await.unwrap();
    assert_eq!(rest.items()[went.len()..], *at_the_end, "{yaml} {came:?}");
}

#[tokio::test]
async fn a_batch_goes_on_when_it_is_large_enough() {
    check("send_batch_size: 10", &[4, 5], &[], &[9]).await;
    check("send_batch_size: 10", &[4, 5, 1], &[10], &[]).await;
    check("send_batch_size: 10", &[4, 5, 30, 2], &[39], &[2]).await;
    check("{}", &[8191], &[], &[8191]).await;
    check("{}", &[8192, 1], &[8192], &[1]).await;
}

#[tokio::test]
async fn no_batch_is_larger_than_allowed_and_what_is_too_little_waits() {
    let yaml = "{send_batch_size: 10, send_batch_max_size: 10}";
    check(yaml, &[4, 5], &[], &[9]).await;
    check(yaml, &[25], &[10, 10], &[5]).await;
    check(yaml, &[25, 6], &[10, 10, 10], &[1]).await;
    let yaml = "{send_batch_size: 10, send_batch_max_size: 15}";
    check(yaml, &[42], &[15, 15, 12], &[]).await;
    check(yaml, &[38], &[15, 15], &[8]).await;
}

#[tokio::test]
async fn without_a_timeout_or_a_size_nothing_waits() {
    check("{timeout: 0s, send_batch_size: 10}", &[4, 20], &[4, 20], &[]).await;
    check("{send_batch_size: 0}", &[4, 20], &[4, 20], &[]).await;
    let yaml = "{timeout: 0s, send_batch_size: 10, send_batch_max_size: 10}";
    check(yaml, &[25, 3], &[10, 10, 5, 3], &[]).await;
}

#[tokio::test]
async fn a_batch_goes_on_when_its_time_is_up() {
    let clock = Clock::manual(0);
    let mut stage = batcher("timeout: 10s", &clock);
    let (out, rest) = outlet();
    assert_eq!(stage.deadline(), None);
    stage.take(of(1, Meta::default()), &out).await.unwrap();
    assert_eq!(stage.deadline(), Some(Duration::from_secs(10)));
    clock.advance(Duration::from_secs(4));
    stage.take(of(2, Meta::default()), &out).await.unwrap();
    assert_eq!(stage.deadline(), Some(Duration::from_secs(6)));
    stage.tick(&out).await.unwrap();
    assert!(rest.items().is_empty(), "too early");
    clock.advance(Duration::from_secs(6));
    assert_eq!(stage.deadline(), Some(Duration::ZERO));
    stage.tick(&out).await.unwrap();
    assert_eq!(rest.items(), [3]);
    assert_eq!(stage.deadline(), None);
}

#[tokio::test]
async fn everyone_hears_of_the_batches_that_carried_a_part_of_theirs() {
    let mut stage = batcher("{send_batch_size: 10, send_batch_max_size: 10}", &Clock::manual(0));
    let (out, rest) = outlet();
    let (first, small) = watched(of(4, Meta::default()));
    let (second, large) = watched(of(10, Meta::default()));
    stage.take(first, &out).await.unwrap();
    assert!(small.get().is_none());
    stage.take(second, &out).await.unwrap();
    assert!(matches!(small.get(), Some(Ok(()))));
    assert!(large.get().is_none(), "four of its items still wait");
    rest.fail(Error::retry("later"));
    assert!(stage.finish(&out).await.is_err());
    assert!(large.get().unwrap().is_err());
}

#[tokio::test]
async fn tenants_replayed_data_and_chosen_metadata_are_kept_apart() {
    let meta = |tenant: &str, replay, region: &str| Meta {
        received: 5,
        tenant: tenant.into(),
        replay,
        headers: vec![("region".into(), region.into()), ("x".into(), "y".into())],
        client: Some(([127, 0, 0, 1], 80).into()),
        ..Meta::default()
    };
    let mut stage = batcher("metadata_keys: [Region]", &Clock::manual(0));
    let (out, rest) = outlet();
    for meta in [
        meta("a", false, "eu"),
        meta("b", false, "eu"),
        meta("a", true, "eu"),
        meta("a", false, "us"),
        meta("a", false, "eu"),
    ] {
        stage.take(of(1, meta), &out).await.unwrap();
    }
    stage.finish(&out).await.unwrap();
    assert_eq!(rest.items(), [2, 1, 1, 1]);
    let first = &rest.forwarded()[0].meta;
    assert_eq!(first.headers, [("region".to_owned(), "eu".to_owned())]);
    assert_eq!((first.client, first.received), (None, 5));
    assert!(rest.forwarded()[2].meta.replay);
}

#[tokio::test]
async fn too_many_combinations_are_refused() {
    let yaml = "{metadata_keys: [k], metadata_cardinality_limit: 2}";
    let mut stage = batcher(yaml, &Clock::manual(0));
    let (out, rest) = outlet();
    let meta = |value: &str| Meta { headers: vec![("k".into(), value.into())], ..Meta::default() };
    for value in ["a", "b", "a"] {
        stage.take(of(1, meta(value)), &out).await.unwrap();
    }
    let (batch, answer) = watched(of(3, meta("c")));
    assert_eq!(stage.take(batch, &out).await.unwrap_err().kind(), Kind::Rejected);
    assert!(answer.get().unwrap().is_err());
    assert_eq!(rest.left().len(), 1);
}

#[tokio::test]
async fn it_keeps_the_contract_of_a_stage() {
    for yaml in [
        "{}",
        "{timeout: 0s}",
        "{send_batch_size: 0}",
        "{send_batch_size: 5, send_batch_max_size: 7}",
        "{timeout: 1h, send_batch_size: 100000}",
    ] {
        for signal in Signal::ALL {
            let mut stage = batcher(yaml, &Clock::manual(0));
            contract::stage_accounts_for_everything(&mut stage, signal).await;
        }
    }
}

#[test]
fn mistakes_are_told() {
    let cases = [
        (
            "{send_batch_size: 10, send_batch_max_size: 5}",
            "send_batch_max_size must be greater or equal to send_batch_size",
        ),
        ("metadata_keys: [a, A]", "duplicate entry in metadata_keys: \"a\" (case-insensitive)"),
        ("timeout: soon", "timeout"),
        ("send_batch_sizes: 5", "did you mean \"send_batch_size\""),
    ];
    for (yaml, wanted) in cases {
        let errors = from_yaml::<Config>(yaml).expect_err(yaml);
        assert!(errors.contains(wanted), "{yaml}: {errors}");
    }
}

/// The points of a payload in order, by name.
fn points(rest: &Rest) -> Vec<u64> {
    let mut times = Vec::new();
    for batch in rest.forwarded() {
        let logs = batch.payload.logs().flat_map(|r| r.scopes()).flat_map(|s| s.logs());
        times.extend(logs.map(|log| log.time()).collect::<Vec<_>>());
    }
    times
}

proptest! {
    #[test]
    fn order_and_answers_survive_any_batching(
        came in proptest::collection::vec(1..30u32, 1..12),
        size in 0..40u32,
        slack in 0..10u32,
    ) {
        let max = if slack == 0 { 0 } else { size + slack };
        let yaml = format!("{{send_batch_size: {size}, send_batch_max_size: {max}}}");
        let mut stage = batcher(&yaml, &Clock::manual(0));
        let (out, rest) = outlet();
        let mut next = 0;
        let mut answers = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            for items in &came {
                let (batch, answer) =
                    watched(Batch::new(numbered(&mut next, *items), Arc::default()));
                stage.take(batch, &out).await.unwrap();
                answers.push(answer);
            }
            stage.finish(&out).await.unwrap();
        });
        prop_assert_eq!(points(&rest), (1..=next).collect::<Vec<_>>());
        prop_assert!(max == 0 || rest.items().iter().all(|items| *items <= u64::from(max)));
        for answer in answers {
            prop_assert!(matches!(answer.get(), Some(Ok(()))));
        }
    }
}

/// Log records whose times go on counting from `next`.
fn numbered(next: &mut u64, items: u32) -> Payload {
    let mut w = otlp_wire::write::Logs::new();
    for _ in 0..items {
        *next += 1;
        w.log(&otlp_wire::write::Log { time: *next, ..<_>::default() }, |_| ());
    }
    w.finish()
}
