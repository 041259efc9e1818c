// SPDX-License-Identifier: Apache-2.0
//! From the receiver to the exporters and back.

use basics::{Error, Kind};
use otlp_wire::Signal;
use parking_lot::Mutex;

use super::*;
use crate::ack::Delivered;
use crate::batch::Batch;
use crate::component::{Context, Gate, Processor};
use crate::ledger::Reason;
use crate::testing::{Blueprint, Recorder, TestReceiver, batch, payload, watched};

#[tokio::test]
async fn every_exporter_gets_every_batch_and_the_errors_come_back_in_one() {
    let (host, input) = (host(), TestReceiver::new());
    let (good, bad, worse) = (Recorder::new(), Recorder::new(), Recorder::new());
    bad.fail(Some(Error::rejected("never")));
    worse.fail(Some(Error::retry("later")));
    let plan = Blueprint::new()
        .receiver("in", &input)
        .exporter("bad", bad)
        .exporter("good", good.clone())
        .exporter("worse", worse)
        .pipeline("metrics", &["in"], &[], &["bad", "good", "worse"]);
    let running = start(plan.plan(), &host).await.unwrap();
    let (batch, answer) = watched(batch(10));
    let error = input.send(batch).await.unwrap_err();
    assert_eq!(error.message(), "bad: never; worse: later");
    assert!(error.kind().is_retryable());
    assert!(answer.get().unwrap().unwrap_err().kind().is_retryable());
    assert_eq!(good.items(), 10);
    settled(&host, &["metrics"]).await;
    assert_eq!(count(&host, "metrics", "good", Fate::Delivered), 10);
    assert_eq!(count(&host, "metrics", "bad", Fate::Dropped(Reason::Rejected)), 10);
    assert_eq!(count(&host, "metrics", "worse", Fate::Dropped(Reason::Retry)), 10);
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn one_receiver_feeds_several_pipelines_and_one_exporter_serves_several() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let plan = Blueprint::new()
        .receiver("in", &input)
        .exporter("out", output.clone())
        .pipeline("metrics/a", &["in"], &[], &["out"])
        .pipeline("metrics/b", &["in"], &[], &["out"])
        .pipeline("logs", &["in"], &[], &["out"]);
    let running = start(plan.plan(), &host).await.unwrap();
    let (metrics, answer) = watched(batch(3));
    input.send(metrics).await.unwrap();
    assert!(matches!(answer.get(), Some(Ok(()))));
    let logs = Batch::new(payload(Signal::Logs, "l", 2), Arc::default());
    input.send(logs).await.unwrap();
    assert_eq!(output.items(), 3 + 3 + 2);
    settled(&host, &["metrics/a", "metrics/b", "logs"]).await;
    running.stop(DEADLINE).await.unwrap();
    // One instance for each signal it is used for.
    assert_eq!(output.events(), ["start", "start", "stop", "stop"]);
}

#[tokio::test]
async fn a_processor_that_two_pipelines_name_is_made_for_each_and_order_is_the_pipelines() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let made = Arc::new(Mutex::new(Vec::new()));
    let maker = |name: &'static str| {
        let made = made.clone();
        move |context: Context| {
            made.lock().push(format!("{name} of {}", context.pipeline));
            Ok(Processor::Gate(Arc::new(Open)))
        }
    };
    let plan = Blueprint::new()
        .receiver("in", &input)
        .processor("p", maker("p"))
        .processor("q", maker("q"))
        .exporter("out", output.clone())
        .pipeline("metrics/a", &["in"], &["p", "q"], &["out"])
        .pipeline("metrics/b", &["in"], &["q", "p"], &["out"]);
    let running = start(plan.plan(), &host).await.unwrap();
    running.stop(DEADLINE).await.unwrap();
    let made = made.lock();
    assert_eq!(*made, ["p of metrics/a", "q of metrics/a", "q of metrics/b", "p of metrics/b"]);
}

/// Lets everything on.
struct Open;

impl Gate for Open {
    fn admit(&self, _: &Batch) -> basics::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_exporter_that_panics_costs_its_siblings_nothing() {
    let (host, input) = (host(), TestReceiver::new());
    let (good, bad) = (Recorder::new(), Recorder::new());
    bad.panic(true);
    let plan = Blueprint::new()
        .receiver("in", &input)
        .exporter("bad", bad.clone())
        .exporter("good", good.clone())
        .pipeline("metrics", &["in"], &[], &["bad", "good"]);
    let running = start(plan.plan(), &host).await.unwrap();
    let (refused, answer) = watched(batch(4));
    assert!(input.send(refused).await.unwrap_err().kind().is_retryable());
    assert!(answer.get().unwrap().is_err());
    bad.panic(false);
    input.send(batch(1)).await.unwrap();
    assert_eq!((good.items(), bad.items()), (5, 1));
    settled(&host, &["metrics"]).await;
    let panics = [("kind", "exporter"), ("id", "bad")];
    assert_eq!(host.telemetry().value("foreglow_component_panics", &panics), Some(1.0));
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_full_exporter_is_a_refusal_at_the_door() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    output.fail(Some(Error::overloaded("sending queue is full")));
    let plan = Blueprint::new().receiver("in", &input).exporter("out", output.clone()).pipeline(
        "metrics",
        &["in"],
        &[],
        &["out"],
    );
    let running = start(plan.plan(), &host).await.unwrap();
    assert_eq!(input.send(batch(4)).await.unwrap_err().kind(), Kind::Overloaded);
    output.fail(None);
    input.send(batch(4)).await.unwrap();
    settled(&host, &["metrics"]).await;
    assert_eq!(count(&host, "metrics", "out", Fate::Dropped(Reason::Overloaded)), 4);
    assert_eq!(count(&host, "metrics", "out", Fate::Delivered), 4);
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_sender_that_goes_away_leaves_nothing_in_flight() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    output.hold();
    let plan = Blueprint::new().receiver("in", &input).exporter("out", output.clone()).pipeline(
        "metrics",
        &["in"],
        &[],
        &["out"],
    );
    let running = start(plan.plan(), &host).await.unwrap();
    let sending = tokio::spawn({
        let input = input.clone();
        async move { input.send(batch(9)).await }
    });
    eventually("it is on its way", || book(&host, "metrics").in_flight() == 9).await;
    sending.abort();
    settled(&host, &["metrics"]).await;
    assert_eq!(count(&host, "metrics", "out", Fate::Delivered), 0);
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_stopped_pipeline_refuses_and_counts_nothing() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let plan = Blueprint::new().receiver("in", &input).exporter("out", output.clone()).pipeline(
        "metrics",
        &["in"],
        &[],
        &["out"],
    );
    let running = start(plan.plan(), &host).await.unwrap();
    running.stop(DEADLINE).await.unwrap();
    let (batch, answer) = watched(batch(4));
    assert_eq!(input.send(batch).await.unwrap_err().kind(), Kind::Closed);
    assert!(answer.get().unwrap().is_err());
    settled(&host, &["metrics"]).await;
    assert_eq!(book(&host, "metrics").total_received(), 0);
}

#[tokio::test]
async fn the_time_from_receipt_to_delivery_is_measured_and_the_ledger_is_shown() {
    let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
    let plan = Blueprint::new().receiver("in", &input).exporter("out", output.clone()).pipeline(
        "metrics",
        &["in"],
        &[],
        &["out"],
    );
    let running = start(plan.plan(), &host).await.unwrap();
    let meta = crate::batch::Meta { received: NOW - 250_000_000, ..Default::default() };
    input.send(Batch::new(payload(Signal::Metrics, "m", 7), Arc::new(meta))).await.unwrap();
    let page = host.telemetry().render();
    for line in [
        "foreglow_pipeline_latency_seconds_sum{pipeline=\"metrics\"} 0.25\n",
        "foreglow_ledger_items_total{exporter=\"out\",fate=\"received\",pipeline=\"metrics\"} 7\n",
        "foreglow_ledger_items_total{exporter=\"out\",fate=\"delivered\",pipeline=\"metrics\"} 7\n",
        "foreglow_ledger_in_flight_items{pipeline=\"metrics\"} 0\n",
    ] {
        assert!(page.contains(line), "{line} in {page}");
    }
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn items_that_several_exporters_reject_are_told_once_and_counted_at_each() {
    let (host, input) = (host(), TestReceiver::new());
    let (one, two) = (Recorder::new(), Recorder::new());
    one.reject(Delivered { rejected: 2, message: "one: old".to_owned() });
    two.reject(Delivered { rejected: 3, message: String::new() });
    let plan = Blueprint::new()
        .receiver("in", &input)
        .exporter("one", one)
        .exporter("two", two)
        .pipeline("metrics/a", &["in"], &[], &["one", "two"])
        .pipeline("metrics/b", &["in"], &[], &["one"]);
    let running = start(plan.plan(), &host).await.unwrap();
    let (batch, answer) = watched(batch(10));
    input.send(batch).await.unwrap();
    let told = answer.delivered().unwrap().unwrap();
    assert_eq!((told.rejected, &*told.message), (3, "one: old; one: old"));
    settled(&host, &["metrics/a", "metrics/b"]).await;
    let rejected = Fate::Dropped(Reason::Rejected);
    for (pipeline, exporter, items) in
        [("metrics/a", "one", 2), ("metrics/a", "two", 3), ("metrics/b", "one", 2)]
    {
        assert_eq!(count(&host, pipeline, exporter, rejected), items, "{pipeline} {exporter}");
        assert_eq!(count(&host, pipeline, exporter, Fate::Delivered), 10 - items);
    }
    running.stop(DEADLINE).await.unwrap();
}

/// Refuses batches of more than one item.
struct Narrow;

impl crate::component::Gate for Narrow {
    fn admit(&self, batch: &Batch) -> Result<()> {
        if batch.items() > 1 { Err(Error::retry("too much")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn what_a_gate_refuses_its_sender_keeps_and_a_later_gate_drops() {
    let gate = |_| Ok(crate::component::Processor::Gate(Arc::new(Narrow)));
    for (processors, dropped) in [(&["gate", "look"][..], 0), (&["look", "gate"][..], 5)] {
        let (host, input, output) = (host(), TestReceiver::new(), Recorder::new());
        let plan = Blueprint::new()
            .receiver("in", &input)
            .exporter("out", output.clone())
            .processor("gate", gate)
            .processor("look", shared_watch(Arc::new(Look)))
            .pipeline("metrics", &["in"], processors, &["out"]);
        let running = start(plan.plan(), &host).await.unwrap();
        let (large, answer) = watched(batch(5));
        let error = input.send(large).await.unwrap_err();
        assert!(error.kind().is_retryable());
        assert!(answer.get().unwrap().is_err());
        input.send(batch(1)).await.unwrap();
        assert_eq!(output.items(), 1, "{processors:?}");
        settled(&host, &["metrics"]).await;
        assert_eq!(count(&host, "metrics", "out", Fate::Dropped(Reason::Retry)), dropped);
        running.stop(DEADLINE).await.unwrap();
    }
}

struct Look;

#[async_trait::async_trait]
impl crate::component::Watch for Look {
    fn see(&self, _: &Batch) {}
}
