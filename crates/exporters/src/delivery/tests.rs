// SPDX-License-Identifier: Apache-2.0

mod batching;
mod durable;
mod outages;

use std::collections::VecDeque;

use basics::{BackoffSettings, Clock, Kind};
use otlp_wire::Signal;
use pipeline::testing::{Answer, batch, eventually, watched};
use pipeline::{Budget, Host, Meta};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::*;

/// Answers as told, then with success; notes when and what it was asked.
#[derive(Clone, Default)]
struct Script(Arc<Inner>);

#[derive(Default)]
struct Inner {
    outcomes: Mutex<VecDeque<Result<Pushed, Unsent>>>,
    attempts: Mutex<Vec<Attempt>>,
    /// Permits needed for each attempt; `None` = none.
    gate: Option<Semaphore>,
}

struct Attempt {
    at: Instant,
    items: u64,
    bytes: usize,
    meta: Arc<Meta>,
}

/// The labels of the queue's gauges.
const QUEUE: [(&str, &str); 2] = [("exporter", "test"), ("data_type", "metrics")];

impl Script {
    fn new(outcomes: impl IntoIterator<Item = Result<Pushed>>) -> Self {
        let script = Script::default();
        script.parts(outcomes.into_iter().map(|outcome| outcome.map_err(Unsent::from)));
        script
    }

    /// The next outcomes.
    fn parts(&self, outcomes: impl IntoIterator<Item = Result<Pushed, Unsent>>) {
        self.0.outcomes.lock().extend(outcomes);
    }

    fn gated() -> Self {
        Script(Arc::new(Inner { gate: Some(Semaphore::new(0)), ..Inner::default() }))
    }

    fn open(&self, count: usize) {
        self.0.gate.as_ref().expect("gated").add_permits(count);
    }

    /// Seconds from the first attempt to each.
    fn times(&self) -> Vec<u64> {
        let attempts = self.0.attempts.lock();
        attempts.iter().map(|attempt| (attempt.at - attempts[0].at).as_secs()).collect()
    }

    fn items(&self) -> Vec<u64> {
        self.0.attempts.lock().iter().map(|attempt| attempt.items).collect()
    }

    fn bytes(&self) -> Vec<usize> {
        self.0.attempts.lock().iter().map(|attempt| attempt.bytes).collect()
    }

    fn metas(&self) -> Vec<Arc<Meta>> {
        self.0.attempts.lock().iter().map(|attempt| attempt.meta.clone()).collect()
    }
}

#[async_trait]
impl Push for Script {
    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        self.push_part(batch).await.map_err(|unsent| unsent.error)
    }

    async fn push_part(&self, batch: &Batch) -> Result<Pushed, Unsent> {
        let (at, items, bytes) = (Instant::now(), batch.items(), batch.payload.len());
        self.0.attempts.lock().push(Attempt { at, items, bytes, meta: batch.meta.clone() });
        if let Some(gate) = &self.0.gate {
            gate.acquire().await.expect("open").forget();
        }
        self.0.outcomes.lock().pop_front().unwrap_or(Ok(Pushed::default()))
    }
}

fn context() -> Context {
    let host = Host::with(std::env::temp_dir(), Clock::system(), Budget::new(1 << 20));
    Context {
        id: "test".into(),
        signal: Signal::Metrics,
        pipeline: "".into(),
        clock: Clock::system(),
        host,
    }
}

/// 10 s, 20 s, 30 s, 30 s ... without jitter, for 5 min.
fn retry() -> Option<RetrySettings> {
    let backoff = BackoffSettings {
        initial: Duration::from_secs(10),
        multiplier: 2.0,
        randomization: 0.0,
        ..BackoffSettings::default()
    };
    Some(RetrySettings { backoff, ..RetrySettings::default() })
}

fn settings(queue: Option<QueueSettings>) -> DeliverySettings {
    DeliverySettings { timeout: Duration::from_secs(5), retry: retry(), queue }
}

fn later(after: Option<u64>) -> Result<Pushed> {
    Err(Error::new(Kind::Retry { after: after.map(Duration::from_secs) }, "busy"))
}

fn counted(context: &Context, name: &str) -> f64 {
    context.host.telemetry().value(name, &[("exporter", "test")]).unwrap_or(0.0)
}

#[tokio::test(start_paused = true)]
async fn attempts_go_on_while_the_kind_says_so() {
    let no = || Err(Error::rejected("no"));
    /// What is answered, when it is tried, whether it is delivered.
    type Case = (Vec<Result<Pushed>>, &'static [u64], bool);
    let cases: [Case; 5] = [
        (vec![later(None), later(None), later(None)], &[0, 10, 30, 60], true),
        (vec![later(Some(100)), later(Some(1))], &[0, 100, 120], true),
        (vec![later(None), no()], &[0, 10], false),
        (vec![no()], &[0], false),
        (
            (0..99).map(|_| later(None)).collect(),
            &[0, 10, 30, 60, 90, 120, 150, 180, 210, 240, 270, 300],
            false,
        ),
    ];
    for (outcomes, times, delivered) in cases {
        let (context, script) = (context(), Script::new(outcomes));
        let exporter = Delivery::new(&context, settings(None), script.clone());
        let (batch, answer) = watched(batch(3));
        let outcome = exporter.export(batch).await;
        assert_eq!(script.times(), times);
        assert_eq!(outcome.is_ok(), delivered, "{outcome:?}");
        assert_eq!(answer.get().map(|a| a.is_ok()), Some(delivered));
        let sent = counted(&context, "otelcol_exporter_sent_metric_points");
        let failed = counted(&context, "otelcol_exporter_send_failed_metric_points");
        assert_eq!((sent, failed), if delivered { (3.0, 0.0) } else { (0.0, 3.0) });
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_ends_with_its_timeout_and_is_tried_again() {
    let script = Script::gated();
    let exporter = Delivery::new(&context(), settings(None), script.clone());
    let open = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        script.open(1);
    };
    let (outcome, ()) = tokio::join!(exporter.export(batch(1)), open);
    outcome.expect("delivered");
    assert_eq!(script.times(), [0, 15]);
}

#[tokio::test]
async fn a_full_queue_refuses_or_waits() {
    let one = QueueSettings { size: 2, consumers: 1, ..QueueSettings::default() };
    let (context, script) = (context(), Script::gated());
    let exporter = Delivery::new(&context, settings(Some(one.clone())), script.clone());
    exporter.start().await.expect("starts");
    exporter.export(batch(1)).await.expect("room for two");
    exporter.export(batch(2)).await.expect("room for two");
    let (third, answer) = watched(batch(3));
    let error = exporter.export(third).await.expect_err("full");
    assert_eq!(error.kind(), Kind::Overloaded);
    assert!(error.message().contains("sending queue is full"), "{error}");
    assert!(matches!(answer.get(), Some(Err(_))));
    assert_eq!(counted(&context, "otelcol_exporter_enqueue_failed_metric_points"), 3.0);
    script.open(2);
    exporter.stop().await.expect("stops");
    assert_eq!(script.items(), [1, 2], "in order");

    let waits = QueueSettings { block_on_overflow: true, size: 1, ..one };
    let script = Script::gated();
    let exporter = Delivery::new(&context, settings(Some(waits)), script.clone());
    exporter.start().await.expect("starts");
    exporter.export(batch(1)).await.expect("room for one");
    let (outcome, ()) = tokio::join!(exporter.export(batch(2)), async { script.open(2) });
    outcome.expect("waited for room");
    exporter.stop().await.expect("stops");
    assert_eq!(script.items(), [1, 2]);
}

#[tokio::test]
async fn queues_count_in_the_unit_they_are_told() {
    for (sizer, size, taken) in
        [(Sizer::Requests, 2, 2), (Sizer::Items, 25, 2), (Sizer::Bytes, 1 << 20, 4)]
    {
        let queue = QueueSettings { sizer, size, consumers: 1, ..QueueSettings::default() };
        let exporter = Delivery::new(&context(), settings(Some(queue)), Script::gated());
        let mut outcomes = 0;
        for _ in 0..4 {
            outcomes += usize::from(exporter.export(batch(10)).await.is_ok());
        }
        assert_eq!(outcomes, taken, "{sizer:?}");
        let error = exporter.export(batch(100_000)).await.expect_err("no room");
        let never = sizer != Sizer::Requests;
        assert_eq!(error.kind() == Kind::Rejected, never, "{sizer:?}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_sends_what_waits_without_back_off() {
    let queue = QueueSettings { consumers: 1, ..QueueSettings::default() };
    let script = Script::new([later(None)]);
    let exporter = Delivery::new(&context(), settings(Some(queue)), script.clone());
    exporter.start().await.expect("starts");
    let answers: Vec<Answer> = export_all(&exporter, 3).await;
    while script.items().is_empty() {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    exporter.stop().await.expect("stops");
    assert!(begun.elapsed() < Duration::from_secs(1), "no back-off is waited for");
    let outcomes: Vec<bool> = answers.iter().map(|a| a.get().expect("answered").is_ok()).collect();
    assert_eq!(outcomes, [false, true, true]);
    let error = exporter.export(batch(1)).await.expect_err("stopped");
    assert_eq!(error.kind(), Kind::Closed);
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_at_its_deadline_and_answers_everyone() {
    let queue = QueueSettings { consumers: 1, ..QueueSettings::default() };
    let settings = DeliverySettings { timeout: Duration::ZERO, ..settings(Some(queue)) };
    let exporter = Delivery::new(&context(), settings, Script::gated());
    exporter.start().await.expect("starts");
    let answers = export_all(&exporter, 3).await;
    exporter.stop().await.expect("stops");
    eventually("all are answered", || answers.iter().all(|a| a.get().is_some())).await;
    assert!(answers.iter().all(|a| matches!(a.get(), Some(Err(e)) if e.kind().is_retryable())));
}

async fn export_all(exporter: &Delivery, count: u32) -> Vec<Answer> {
    let mut answers = Vec::new();
    for items in 1..=count {
        let (batch, answer) = watched(batch(items));
        exporter.export(batch).await.expect("room");
        answers.push(answer);
    }
    answers
}
