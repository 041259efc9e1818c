// SPDX-License-Identifier: Apache-2.0
//! Going over to another plan while data flows: nothing refused, nothing lost, what stays stays.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use basics::Error;

use super::*;
use crate::component::{Context, Outlet, Processor, Stage};
use crate::testing::{Blueprint, Recorder, TestReceiver, batch};

/// Sends on what it gets, one batch late.
#[derive(Default)]
struct Late(Option<crate::Batch>);

#[async_trait]
impl Stage for Late {
    async fn take(&mut self, batch: crate::Batch, out: &Outlet) -> Result<()> {
        match self.0.replace(batch) {
            Some(held) => out.forward(held).await,
            None => Ok(()),
        }
    }

    async fn finish(&mut self, out: &Outlet) -> Result<()> {
        match self.0.take() {
            Some(held) => out.forward(held).await,
            None => Ok(()),
        }
    }
}

fn late(_: Context) -> Result<Processor> {
    Ok(Processor::Stage(Box::new(Late::default())))
}

/// `in` -> late -> `out`; every call makes instances that differ from the ones before.
fn plan(input: &Arc<TestReceiver>, output: &Arc<Recorder>) -> Plan {
    Blueprint::new()
        .receiver("in", input)
        .processor("late", late)
        .exporter("out", output.clone())
        .pipeline("metrics", &["in"], &["late"], &["out"])
        .plan()
}

/// `new` with the receivers and exporters of `old`.
fn with_the_ends_of(old: &Plan, mut new: Plan) -> Plan {
    new.receivers.clone_from(&old.receivers);
    new.exporters.clone_from(&old.exporters);
    new
}

#[tokio::test]
async fn what_is_unchanged_goes_on_untouched() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let plan = plan(&input, &output);
    let mut running = start(plan.clone(), &host).await.unwrap();
    input.send(batch(2)).await.unwrap();
    running.reload(&plan, DEADLINE).await.unwrap();
    assert!(input.events() == ["start"] && output.events() == ["start"]);
    input.send(batch(3)).await.unwrap();
    // The stage still holds what it got before the reload, and its queue the rest.
    eventually("one batch is through", || output.items() == 2).await;
    running.stop(DEADLINE).await.unwrap();
    assert_eq!(output.items(), 5);
    host.ledger().check().expect("balanced");
}

#[tokio::test]
async fn a_changed_pipeline_is_exchanged_between_a_receiver_and_an_exporter_that_stay() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let first = plan(&input, &output);
    let mut running = start(first.clone(), &host).await.unwrap();
    input.send(batch(2)).await.unwrap();
    let mut second = with_the_ends_of(&first, plan(&input, &output));
    second.processors.clear();
    second.pipelines[0].processors.clear();
    running.reload(&second, DEADLINE).await.unwrap();
    input.send(batch(3)).await.unwrap();
    eventually("the old stage has sent on what it held", || output.items() == 5).await;
    assert!(input.events() == ["start"] && output.events() == ["start"]);
    settled(&host, &["metrics"]).await;
    assert_eq!(book(&host, "metrics").total_received(), 5, "the account goes on");
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn parts_that_are_gone_stop_and_new_ones_start() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let (input_2, output_2) = (TestReceiver::new(), Recorder::new());
    let mut running = start(plan(&input, &output), &host).await.unwrap();
    let mut second = plan(&input_2, &output_2);
    for id in [&mut second.receivers[0].id, &mut second.pipelines[0].receivers[0]] {
        *id = "in/2".into();
    }
    for id in [&mut second.exporters[0].id, &mut second.pipelines[0].exporters[0]] {
        *id = "out/2".into();
    }
    input.send(batch(2)).await.unwrap();
    running.reload(&second, DEADLINE).await.unwrap();
    input_2.send(batch(3)).await.unwrap();
    eventually("the old ends are stopped", || {
        input.events() == ["start", "stop"] && output.events() == ["start", "stop"]
    })
    .await;
    running.stop(DEADLINE).await.unwrap();
    assert_eq!((output.items(), output_2.items()), (2, 3));
}

#[tokio::test]
async fn a_part_that_cannot_start_changes_nothing() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let first = plan(&input, &output);
    let mut running = start(first.clone(), &host).await.unwrap();
    let (broken, fine) = (Recorder::new(), Recorder::new());
    broken.fail_start(Error::invalid("no such place"));
    let mut second = with_the_ends_of(&first, plan(&input, &output));
    let more = Blueprint::new().exporter("fine", fine.clone()).exporter("broken", broken).plan();
    second.exporters.extend(more.exporters);
    second.pipelines[0].exporters.extend(["fine".into(), "broken".into()]);
    let errors = running.reload(&second, DEADLINE).await.unwrap_err();
    assert_eq!(errors[0].to_string(), "exporter broken: no such place");
    assert_eq!(fine.events(), ["start", "stop"]);
    input.send(batch(3)).await.unwrap();
    running.stop(DEADLINE).await.unwrap();
    assert_eq!(output.items(), 3);
    assert_eq!(output.events(), ["start", "stop"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reloads_under_load_refuse_and_lose_nothing() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let first = plan(&input, &output);
    let mut running = start(first.clone(), &host).await.unwrap();
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let senders: Vec<_> = (0..4)
        .map(|_| {
            let (input, stop, sent) = (input.clone(), stop.clone(), sent.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Acquire) {
                    input.send(batch(3)).await.expect("never refused");
                    sent.fetch_add(3, Ordering::AcqRel);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 0..200 {
        let mut next = with_the_ends_of(&first, plan(&input, &output));
        if round % 2 == 0 {
            next.pipelines[0].processors.clear();
        }
        running.reload(&next, DEADLINE).await.unwrap();
        let before = sent.load(Ordering::Acquire);
        eventually("data goes through", || sent.load(Ordering::Acquire) > before).await;
    }
    stop.store(true, Ordering::Release);
    for sender in senders {
        sender.await.unwrap();
    }
    running.stop(DEADLINE).await.unwrap();
    assert_eq!(output.items(), sent.load(Ordering::Acquire));
    host.ledger().check().expect("balanced");
}

#[tokio::test(start_paused = true)]
async fn a_dead_exporter_ends_within_the_deadline_and_what_is_left_is_told() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    output.hold();
    let plan = Blueprint::new()
        .receiver("in", &input)
        .processor("late", late)
        .exporter("out", output.clone())
        .pipeline("metrics", &["in"], &["late"], &["out"]);
    let running = start(plan.plan(), &host).await.unwrap();
    for items in [2, 3, 4] {
        input.send(batch(items)).await.unwrap();
    }
    let begun = tokio::time::Instant::now();
    let error = running.stop(DEADLINE).await.unwrap_err();
    assert!(begun.elapsed() <= DEADLINE, "{:?}", begun.elapsed());
    assert!(error.to_string().contains("9 items were not delivered"), "{error}");
}
