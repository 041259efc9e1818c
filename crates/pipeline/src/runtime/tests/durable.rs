// SPDX-License-Identifier: Apache-2.0
//! Pipelines with a durable exporter, on a disk that forgets what was not synced.

use std::path::Path;

use async_trait::async_trait;
use basics::files::{Fault, TestFiles};
use basics::{Error, Random, Result};
use otlp_wire::Signal;
use parking_lot::Mutex;
use segment_log::{Durability, Full, Log, Options};

use super::*;
use crate::ack::Delivered;
use crate::batch::{Batch, Meta};
use crate::component::{Context, Outlet, Processor, Stage, Watch};
use crate::testing::{Blueprint, Recorder, TestReceiver, batch, payload, watched};

fn open(disk: &TestFiles, options: Options) -> Arc<Log> {
    let log = Log::open(Path::new("/log"), options, disk.shared(), Clock::manual(NOW));
    Arc::new(log.expect("the log opens"))
}

fn plan(input: &Arc<TestReceiver>, durable: &Arc<Recorder>, other: &Arc<Recorder>) -> Plan {
    Blueprint::new()
        .receiver("in", input)
        .exporter("store", durable.clone())
        .exporter("other", other.clone())
        .pipeline("metrics", &["in"], &[], &["store", "other"])
        .plan()
}

#[tokio::test]
async fn what_was_acknowledged_comes_back_after_a_power_cut_to_the_durable_exporter_only() {
    let disk = TestFiles::new();
    let mut random = Random::seeded(7);
    let mut acknowledged = 0;
    for life in 0..4 {
        let (host, input) = (host(), TestReceiver::new());
        let log = open(&disk, Options::default());
        let (store, other) = (Recorder::durable(log), Recorder::new());
        let running = start(plan(&input, &store, &other), &host).await.unwrap();
        assert_eq!((store.items(), other.items()), (acknowledged, 0), "in life {life}");
        assert!(store.batches().iter().all(|batch| batch.meta.replay));
        for items in 1..=3 {
            let (batch, answer) = watched(batch(items));
            input.send(batch).await.unwrap();
            assert!(matches!(answer.get(), Some(Ok(()))));
            acknowledged += u64::from(items);
        }
        assert_eq!((store.items(), other.items()), (acknowledged, 6));
        settled(&host, &["metrics"]).await;
        // No stop: the power goes.
        disk.crash_torn(&mut random);
        drop(running);
    }
}

#[tokio::test]
async fn a_log_that_refuses_is_a_refusal_at_the_door_and_nothing_is_delivered() {
    let (disk, host, input) = (TestFiles::new(), host(), TestReceiver::new());
    let options =
        Options { bytes_max: 2048, segment_bytes: 1024, full: Full::Refuse, ..Options::default() };
    let log = open(&disk, options);
    // Someone who has read nothing: the log may not drop anything.
    let _laggard = log.consumer("laggard", segment_log::Start::Oldest).unwrap();
    let (store, other) = (Recorder::durable(log), Recorder::new());
    let running = start(plan(&input, &store, &other), &host).await.unwrap();
    let mut sent = 0;
    let error = loop {
        match input.send(batch(5)).await {
            Ok(()) => sent += 5,
            Err(error) => break error,
        }
        assert!(sent < 1000, "the log never refused");
    };
    assert!(error.kind().is_retryable(), "{error}");
    assert_eq!((store.items(), other.items()), (sent, sent));
    settled(&host, &["metrics"]).await;
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_fails_is_never_acknowledged() {
    let (disk, host, input) = (TestFiles::new(), host(), TestReceiver::new());
    let (store, other) = (Recorder::durable(open(&disk, Options::default())), Recorder::new());
    let running = start(plan(&input, &store, &other), &host).await.unwrap();
    disk.inject(Fault::FailedSync);
    let (first, answer) = watched(batch(1));
    assert!(input.send(first).await.unwrap_err().kind().is_retryable());
    assert!(answer.get().unwrap().is_err());
    assert!(input.send(batch(1)).await.is_err(), "a poisoned log takes nothing more");
    settled(&host, &["metrics"]).await;
    running.stop(DEADLINE).await.unwrap();
}

#[tokio::test]
async fn what_another_exporter_refuses_is_acknowledged_all_the_same_and_counted() {
    let (disk, host, input) = (TestFiles::new(), host(), TestReceiver::new());
    let (store, other) = (Recorder::durable(open(&disk, Options::default())), Recorder::new());
    other.fail(Some(Error::overloaded("sending queue is full")));
    let running = start(plan(&input, &store, &other), &host).await.unwrap();
    input.send(batch(8)).await.unwrap();
    settled(&host, &["metrics"]).await;
    let lost = Fate::Dropped(crate::ledger::Reason::Overloaded);
    assert_eq!(count(&host, "metrics", "other", lost), 8);
    assert_eq!(count(&host, "metrics", "store", Fate::Delivered), 8);
    running.stop(DEADLINE).await.unwrap();
}

/// Keeps everything until the end.
struct Keeper(Vec<Batch>);

#[async_trait]
impl Stage for Keeper {
    async fn take(&mut self, batch: Batch, _: &Outlet) -> Result<()> {
        self.0.push(batch);
        Ok(())
    }
    async fn finish(&mut self, out: &Outlet) -> Result<()> {
        for batch in self.0.drain(..) {
            out.forward(batch).await?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_stage_that_keeps_data_delays_no_acknowledgement() {
    let (disk, host, input) = (TestFiles::new(), host(), TestReceiver::new());
    let store = Recorder::durable(open(&disk, Options::default()));
    let made = Blueprint::new()
        .receiver("in", &input)
        .processor("keep", |_| Ok(Processor::Stage(Box::new(Keeper(Vec::new())))))
        .exporter("store", store.clone())
        .pipeline("metrics", &["in"], &["keep"], &["store"]);
    let running = start(made.plan(), &host).await.unwrap();
    let (batch, answer) = watched(batch(8));
    input.send(batch).await.unwrap();
    assert!(matches!(answer.get(), Some(Ok(()))));
    assert_eq!(store.items(), 0);
    running.stop(DEADLINE).await.unwrap();
    assert_eq!(store.items(), 8);
    settled(&host, &["metrics"]).await;
}

/// Sends on what it gets at once, and says so or not.
struct Through {
    at_once: bool,
}

#[async_trait]
impl Stage for Through {
    async fn take(&mut self, batch: Batch, out: &Outlet) -> Result<()> {
        out.forward(batch).await
    }
    fn passes_at_once(&self) -> bool {
        self.at_once
    }
}

#[tokio::test]
async fn what_the_exporter_with_the_log_rejects_is_told_if_nothing_holds_it_back() {
    for (at_once, told) in [(true, 2), (false, 0)] {
        let (disk, host, input) = (TestFiles::new(), host(), TestReceiver::new());
        let (store, other) = (Recorder::durable(open(&disk, Options::default())), Recorder::new());
        store.reject(Delivered { rejected: 2, message: "too old".to_owned() });
        // What becomes of it at an exporter without a log is none of the sender's, nor its time.
        other.hold();
        let made = Blueprint::new()
            .receiver("in", &input)
            .processor("through", move |_| Ok(Processor::Stage(Box::new(Through { at_once }))))
            .exporter("store", store.clone())
            .exporter("other", other.clone())
            .pipeline("metrics", &["in"], &["through"], &["store", "other"]);
        let running = start(made.plan(), &host).await.unwrap();
        let (batch, answer) = watched(batch(8));
        input.send(batch).await.unwrap();
        let delivered = answer.delivered().unwrap().unwrap();
        assert_eq!(delivered.rejected, told, "at once: {at_once}");
        other.let_through(1);
        running.stop(DEADLINE).await.unwrap();
        settled(&host, &["metrics"]).await;
        let rejected = Fate::Dropped(crate::ledger::Reason::Rejected);
        assert_eq!(count(&host, "metrics", "store", rejected), 2);
        assert_eq!(count(&host, "metrics", "other", Fate::Delivered), 8);
    }
}

/// Makes one point named by its place for each batch it sees, at once when it runs.
struct Maker {
    name: &'static str,
    seen: Mutex<Vec<Arc<Meta>>>,
    some: tokio::sync::Notify,
}

#[async_trait]
impl Watch for Maker {
    fn see(&self, batch: &Batch) {
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
                out.generate(payload(Signal::Metrics, self.name, 1), meta).await?;
            }
            if ended {
                return Ok(());
            }
        }
    }
}

fn maker(name: &'static str) -> impl Fn(Context) -> Result<Processor> + Send + Sync {
    move |_| {
        let (seen, some) = (Mutex::default(), tokio::sync::Notify::new());
        Ok(Processor::Watch(Arc::new(Maker { name, seen, some })))
    }
}

fn names(store: &Recorder) -> Vec<String> {
    let batches = store.batches();
    let mut names: Vec<String> = batches
        .iter()
        .flat_map(|batch| batch.payload.metrics())
        .flat_map(|resource| resource.scopes())
        .flat_map(|scope| scope.metrics())
        .map(|metric| metric.name().to_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_made_is_read_back_from_its_place_and_not_made_again() {
    let disk = TestFiles::new();
    let plan = |input: &Arc<TestReceiver>, store: &Arc<Recorder>| {
        Blueprint::new()
            .receiver("in", input)
            .processor("first", maker("first"))
            .processor("second", maker("second"))
            .exporter("store", store.clone())
            .pipeline("metrics", &["in"], &["first", "second"], &["store"])
            .plan()
    };
    // The point "m" came; "first" was made from it; "second" from "m" and from "first".
    let expected = ["first", "m", "second", "second"];
    let (before, input) = (host(), TestReceiver::new());
    let store = Recorder::durable(open(&disk, Options::default()));
    let running = start(plan(&input, &store), &before).await.unwrap();
    input.send(batch(1)).await.unwrap();
    running.stop(DEADLINE).await.unwrap();
    assert_eq!(names(&store), expected);
    settled(&before, &["metrics"]).await;
    disk.crash();

    let (after, input) = (host(), TestReceiver::new());
    let store = Recorder::durable(open(&disk, Options::default()));
    let running = start(plan(&input, &store), &after).await.unwrap();
    running.stop(DEADLINE).await.unwrap();
    assert_eq!(names(&store), expected);
    assert_eq!(after.telemetry().value("foreglow_replayed_items", &[]), Some(4.0));
}

#[tokio::test]
async fn records_of_a_pipeline_that_is_gone_go_to_the_next_of_their_signal() {
    let disk = TestFiles::new();
    let options = Options { durability: Durability::None, ..Options::default() };
    let plan = |input: &Arc<TestReceiver>, store: &Arc<Recorder>, pipeline: &str| {
        Blueprint::new()
            .receiver("in", input)
            .exporter("store", store.clone())
            .pipeline(pipeline, &["in"], &[], &["store"])
            .plan()
    };
    for (pipeline, items, skipped) in [("metrics/old", 0, 0), ("metrics/new", 4, 0), ("logs", 0, 1)]
    {
        let (host, input) = (host(), TestReceiver::new());
        let log = open(&disk, options.clone());
        let store = Recorder::durable(log.clone());
        let running = start(plan(&input, &store, pipeline), &host).await.unwrap();
        assert_eq!(store.items(), items, "{pipeline}");
        let value = host.telemetry().value("foreglow_replay_skipped_records", &[]);
        assert_eq!(value.unwrap_or(0.0), f64::from(skipped), "{pipeline}");
        if pipeline == "metrics/old" {
            input.send(batch(4)).await.unwrap();
        }
        running.stop(DEADLINE).await.unwrap();
        log.close().unwrap();
    }
}

#[tokio::test]
async fn two_logs_in_one_pipeline_are_refused_at_the_start() {
    let (host, input) = (host(), TestReceiver::new());
    let one = Recorder::durable(open(&TestFiles::new(), Options::default()));
    let two = Recorder::durable(open(&TestFiles::new(), Options::default()));
    let error = start(plan(&input, &one, &two), &host).await.err().unwrap();
    assert!(error.message().contains("pipeline metrics"), "{error}");
    assert_eq!(one.events(), ["start", "stop"]);
}

/// Looks at one header.
struct Asking;

impl otlp_wire::Pass for Asking {
    fn visits(&self) -> otlp_wire::Visits {
        otlp_wire::Visits::RESOURCES
    }

    fn asks(&self) -> Vec<otlp_wire::Asked> {
        vec![otlp_wire::Asked::Header("x-team".to_owned())]
    }
}

#[tokio::test]
async fn what_processors_ask_of_a_request_is_there_again_after_a_restart_and_nothing_else_is() {
    let disk = TestFiles::new();
    for replayed in [0, 1] {
        let (host, input) = (host(), TestReceiver::new());
        let store = Recorder::durable(open(&disk, Options::default()));
        let made = Blueprint::new()
            .receiver("in", &input)
            .processor("asks", |_| Ok(Processor::Pass(Box::new(|| Box::new(Asking)))))
            .exporter("store", store.clone())
            .pipeline("metrics", &["in"], &["asks"], &["store"]);
        let running = start(made.plan(), &host).await.unwrap();
        let batches = store.batches();
        assert_eq!(batches.len(), replayed);
        for batch in batches {
            assert_eq!(batch.meta.headers, [("x-team".to_owned(), "shop".to_owned())]);
        }
        if replayed == 0 {
            let mut batch = batch(1);
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let headers = vec![pair("x-team", "shop"), pair("cookie", "secret")];
            batch.meta = Arc::new(Meta { headers, ..Meta::default() });
            input.send(batch).await.unwrap();
        }
        running.stop(DEADLINE).await.unwrap();
    }
}

#[tokio::test]
async fn a_record_is_on_its_way_until_the_exporter_with_the_log_has_settled_it() {
    let (disk, host, input) = (TestFiles::new(), host(), TestReceiver::new());
    let log = open(&disk, Options::default());
    let (store, other) = (Recorder::durable(log.clone()), Recorder::new());
    let running = start(plan(&input, &store, &other), &host).await.unwrap();
    input.send(batch(1)).await.unwrap();
    settled(&host, &["metrics"]).await;
    let first = log.settled();
    assert_eq!(first, log.end());
    for (held, expected) in [(&other, true), (&store, false)] {
        let before = log.end();
        held.hold();
        let sending = tokio::spawn({
            let input = input.clone();
            async move { input.send(batch(1)).await }
        });
        crate::testing::eventually("it is in the log", || log.end() > before).await;
        crate::testing::eventually("it is where it waits", || {
            (log.settled() == log.end()) == expected
        })
        .await;
        assert_eq!(log.settled() == before, !expected);
        held.let_through(100);
        sending.await.unwrap().unwrap();
        settled(&host, &["metrics"]).await;
        assert_eq!(log.settled(), log.end());
    }
    running.stop(DEADLINE).await.unwrap();
}
