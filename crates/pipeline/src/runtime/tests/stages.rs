// SPDX-License-Identifier: Apache-2.0
//! Stages and watches: queues, merging, panics, what they make themselves.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use basics::{Kind, Result};
use otlp_wire::{Payload, Signal};
use tokio::sync::Notify;

use super::*;
use crate::batch::{Batch, Meta};
use crate::component::{Context, Outlet, Processor, Stage, Watch};
use crate::ledger::Reason;
use crate::runtime::STAGE_QUEUE_BATCHES;
use crate::testing::{Blueprint, Recorder, TestReceiver, batch, payload, watched};

/// Holds batches until two are there or time is up, then sends them on as one. A batch of 13
/// items makes it panic; one of 7 it leaves out.
#[derive(Default)]
struct Pairs {
    held: Option<Batch>,
    patience: Option<Duration>,
}

#[async_trait]
impl Stage for Pairs {
    async fn take(&mut self, batch: Batch, out: &Outlet) -> Result<()> {
        assert_ne!(batch.items(), 13, "told to panic");
        if batch.items() == 7 {
            out.discard(batch, Fate::SampledOut);
            return Ok(());
        }
        let Some(mut first) = self.held.take() else {
            self.held = Some(batch);
            return Ok(());
        };
        let Batch { payload, acks, .. } = batch;
        first.acks.join(acks);
        let merged = Payload::concat(&[first.payload.clone(), payload]);
        out.forward(first.with_payload(merged)).await
    }

    async fn tick(&mut self, out: &Outlet) -> Result<()> {
        self.finish(out).await
    }

    fn deadline(&self) -> Option<Duration> {
        self.held.as_ref().and(self.patience)
    }

    async fn finish(&mut self, out: &Outlet) -> Result<()> {
        match self.held.take() {
            Some(batch) => out.forward(batch).await,
            None => Ok(()),
        }
    }
}

fn pairs(patience: Option<Duration>) -> impl Fn(Context) -> Result<Processor> + Send + Sync {
    move |_| Ok(Processor::Stage(Box::new(Pairs { held: None, patience })))
}

fn plan(
    input: &Arc<TestReceiver>,
    output: &Arc<Recorder>,
    make: impl Fn(Context) -> Result<Processor> + Send + Sync + 'static,
) -> Plan {
    Blueprint::new()
        .receiver("in", input)
        .processor("p", make)
        .exporter("out", output.clone())
        .pipeline("metrics", &["in"], &["p"], &["out"])
        .plan()
}

#[tokio::test]
async fn what_a_stage_merges_is_answered_to_all_and_the_rest_flushed_at_the_stop() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let running = start(plan(&input, &output, pairs(None)), &host).await.unwrap();
    let mut answers = Vec::new();
    for items in [1, 2, 7, 4] {
        let (batch, answer) = watched(batch(items));
        input.send(batch).await.unwrap();
        answers.push(answer);
    }
    eventually("the pair has arrived", || output.items() == 3).await;
    assert!(matches!(answers[0].get(), Some(Ok(()))));
    assert!(matches!(answers[1].get(), Some(Ok(()))));
    eventually("the third is settled", || answers[2].get().is_some()).await;
    assert!(answers[3].get().is_none(), "still held");
    running.stop(DEADLINE).await.unwrap();
    assert!(matches!(answers[3].get(), Some(Ok(()))));
    assert_eq!(output.items(), 7);
    settled(&host, &["metrics"]).await;
    assert_eq!(count(&host, "metrics", "out", Fate::SampledOut), 7);
    let labels = [("processor", "p"), ("otel_signal", "metrics")];
    let value = |name| host.telemetry().value(name, &labels);
    assert_eq!(value("otelcol_processor_incoming_items"), Some(14.0));
    assert_eq!(value("otelcol_processor_outgoing_items"), Some(7.0));
}

#[tokio::test(start_paused = true)]
async fn a_stage_is_called_when_its_time_is_up() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let patience = Some(Duration::from_secs(10));
    let running = start(plan(&input, &output, pairs(patience)), &host).await.unwrap();
    input.send(batch(5)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(output.items(), 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(output.items(), 5);
    running.stop(DEADLINE).await.unwrap();
    settled(&host, &["metrics"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_stage_refuses_after_a_while_and_says_so() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    output.hold();
    let running = start(plan(&input, &output, pairs(None)), &host).await.unwrap();
    // Two are in the exporter's hands, as many wait as the queue takes.
    for _ in 0..STAGE_QUEUE_BATCHES + 2 {
        input.send(batch(1)).await.unwrap();
    }
    let (refused, answer) = watched(batch(1));
    let error = input.send(refused).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Overloaded);
    assert!(answer.get().unwrap().is_err());
    output.let_through(STAGE_QUEUE_BATCHES);
    running.stop(DEADLINE).await.unwrap();
    settled(&host, &["metrics"]).await;
    let delivered = STAGE_QUEUE_BATCHES as u64 + 2;
    assert_eq!(count(&host, "metrics", "out", Fate::Delivered), delivered);
    assert_eq!(count(&host, "metrics", "out", Fate::Dropped(Reason::Overloaded)), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_done_by_the_deadline_is_counted_as_lost() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    output.hold();
    let running = start(plan(&input, &output, pairs(None)), &host).await.unwrap();
    for _ in 0..5 {
        input.send(batch(2)).await.unwrap();
    }
    let error = running.stop(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("items were not delivered"), "{error}");
    settled(&host, &["metrics"]).await;
    assert_eq!(count(&host, "metrics", "out", Fate::Delivered), 0);
}

#[tokio::test]
async fn a_stage_that_panics_loses_what_it_held_and_goes_on() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let running = start(plan(&input, &output, pairs(None)), &host).await.unwrap();
    let mut answers = Vec::new();
    for items in [3, 13, 1, 1] {
        let (batch, answer) = watched(batch(items));
        input.send(batch).await.unwrap();
        answers.push(answer);
    }
    eventually("the pair behind it has arrived", || output.items() == 2).await;
    for (answer, fine) in answers.iter().zip([false, false, true, true]) {
        assert_eq!(answer.get().unwrap().is_ok(), fine);
    }
    settled(&host, &["metrics"]).await;
    assert_eq!(count(&host, "metrics", "out", Fate::Dropped(Reason::Panic)), 16);
    running.stop(DEADLINE).await.unwrap();
}

/// Takes everything over until the end, then sends half of it on. A batch of 13 items makes it
/// panic.
#[derive(Default)]
struct Keeper(Vec<(Payload, Arc<Meta>)>);

#[async_trait]
impl Stage for Keeper {
    async fn take(&mut self, batch: Batch, out: &Outlet) -> Result<()> {
        assert_ne!(batch.items(), 13, "told to panic");
        self.0.push((batch.payload.clone(), batch.meta.clone()));
        out.keep(batch);
        Ok(())
    }

    async fn finish(&mut self, out: &Outlet) -> Result<()> {
        for (at, (payload, meta)) in self.0.drain(..).enumerate() {
            if at % 2 == 0 {
                out.release(payload, meta).await?;
            } else {
                out.let_go(&meta, payload.items().into(), Fate::SampledOut);
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn what_a_stage_takes_over_is_accepted_at_once_and_in_flight_until_it_leaves() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let make = |_| Ok(Processor::Stage(Box::new(Keeper::default())));
    let running = start(plan(&input, &output, make), &host).await.unwrap();
    for items in [3, 4, 5] {
        let (batch, answer) = watched(batch(items));
        input.send(batch).await.unwrap();
        eventually("it is accepted", || matches!(answer.get(), Some(Ok(())))).await;
    }
    assert_eq!(book(&host, "metrics").in_flight(), 12);
    running.stop(DEADLINE).await.unwrap();
    settled(&host, &["metrics"]).await;
    assert_eq!(output.items(), 8);
    assert_eq!(count(&host, "metrics", "out", Fate::SampledOut), 4);
}

#[tokio::test]
async fn what_a_stage_took_over_is_counted_when_it_panics() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let make = |_| Ok(Processor::Stage(Box::new(Keeper::default())));
    let running = start(plan(&input, &output, make), &host).await.unwrap();
    for items in [3, 13, 2] {
        input.send(batch(items)).await.unwrap();
    }
    eventually("only the last is kept", || book(&host, "metrics").in_flight() == 2).await;
    running.stop(DEADLINE).await.unwrap();
    settled(&host, &["metrics"]).await;
    assert_eq!(count(&host, "metrics", "out", Fate::Dropped(Reason::Panic)), 16);
    assert_eq!(output.items(), 2);
}

/// Makes two points for every batch it sees; panics on 13 items while it is told to.
#[derive(Default)]
struct Doubler {
    seen: parking_lot::Mutex<Vec<Arc<Meta>>>,
    some: Notify,
    panics: AtomicBool,
}

#[async_trait]
impl Watch for Doubler {
    fn see(&self, batch: &Batch) {
        assert!(batch.items() != 13 || !self.panics.load(Ordering::SeqCst), "told to panic");
        self.seen.lock().push(batch.meta.clone());
        self.some.notify_one();
    }

    async fn run(self: Arc<Self>, out: Outlet) -> Result<()> {
        let mut closing = out.clone();
        loop {
            let ended = tokio::select! {
                () = self.some.notified() => false,
                () = closing.closed() => true,
            };
            let seen = std::mem::take(&mut *self.seen.lock());
            for meta in seen {
                out.generate(payload(Signal::Metrics, "made", 2), meta).await?;
            }
            if ended {
                return Ok(());
            }
        }
    }
}

#[tokio::test]
async fn what_a_watch_makes_goes_on_from_its_place_and_is_in_the_ledger() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let doubler = Arc::new(Doubler::default());
    let behind = Arc::new(Doubler::default());
    let made = Blueprint::new()
        .receiver("in", &input)
        .processor("p", shared_watch(doubler.clone()))
        .processor("q", shared_watch(behind.clone()))
        .exporter("out", output.clone())
        .pipeline("metrics", &["in"], &["p", "q"], &["out"]);
    let running = start(made.plan(), &host).await.unwrap();
    input.send(batch(5)).await.unwrap();
    running.stop(DEADLINE).await.unwrap();
    // 5 came; p made 2; q saw both batches and made 2 for each; nobody saw q's.
    assert_eq!(output.items(), 5 + 2 + 2 * 2);
    settled(&host, &["metrics"]).await;
    assert_eq!(book(&host, "metrics").total_generated(), 6);
}

#[tokio::test]
async fn a_watch_that_panics_costs_the_data_nothing() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let doubler = Arc::new(Doubler::default());
    doubler.panics.store(true, Ordering::SeqCst);
    let made = plan(&input, &output, shared_watch(doubler.clone()));
    let running = start(made, &host).await.unwrap();
    input.send(batch(13)).await.unwrap();
    assert_eq!(output.items(), 13);
    doubler.panics.store(false, Ordering::SeqCst);
    input.send(batch(1)).await.unwrap();
    eventually("it works again", || output.items() == 13 + 1 + 2).await;
    settled(&host, &["metrics"]).await;
    running.stop(DEADLINE).await.unwrap();
}
