// SPDX-License-Identifier: Apache-2.0
//! A back end that fails for a while, in a whole pipeline on a paused clock: every item that was
//! accepted arrives once, what is refused is told, the books balance.

use std::sync::atomic::{AtomicU64, Ordering};

use pipeline::ledger::{Fate, Reason};
use pipeline::runtime::Graph;
use pipeline::testing::{Blueprint, TestReceiver};

use super::*;

/// Fails as told until its time has come; counts what arrives.
struct Outage {
    until: Instant,
    failure: Error,
    took: Duration,
    arrived: Arc<AtomicU64>,
    attempts: Arc<AtomicU64>,
}

#[async_trait]
impl Push for Outage {
    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(self.took).await;
        if Instant::now() < self.until {
            return Err(self.failure.clone());
        }
        self.arrived.fetch_add(batch.items(), Ordering::Relaxed);
        Ok(Pushed::default())
    }
}

fn host() -> Host {
    Host::with("unused".into(), Clock::system(), Budget::new(64 << 20))
}

async fn outage(failure: Error, took: Duration) {
    const ITEMS: u32 = 7;
    const QUEUE_SIZE: usize = 20;
    let (host, input) = (host(), TestReceiver::new());
    let (arrived, attempts) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let until = Instant::now() + Duration::from_secs(60);
    let push =
        Outage { until, failure, took, arrived: arrived.clone(), attempts: attempts.clone() };
    let queue = QueueSettings { size: QUEUE_SIZE, consumers: 4, ..QueueSettings::default() };
    let context = Context { id: "out".into(), host: host.clone(), ..context() };
    let exporter = Arc::new(Delivery::new(&context, settings(Some(queue)), push));
    let plan = Blueprint::new()
        .receiver("in", &input)
        .exporter("out", exporter)
        .pipeline("metrics", &["in"], &[], &["out"])
        .plan();
    let graph = Graph::build(&plan, &host).map_err(|mut errors| errors.remove(0)).expect("builds");
    let running = graph.start().await.expect("starts");
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..100 {
        match input.send(batch(ITEMS)).await {
            Ok(()) => accepted += u64::from(ITEMS),
            Err(error) => {
                assert_eq!(error.kind(), Kind::Overloaded, "{error}");
                refused += u64::from(ITEMS);
            }
        }
        let held = host.ledger().book("metrics").expect("a book").in_flight();
        assert!(held <= (QUEUE_SIZE as i64) * i64::from(ITEMS), "the queue bounds what is held");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(refused > 0, "a queue of 20 is full in a minute");
    running.stop(Duration::from_secs(60)).await.expect("stops");
    assert_eq!(arrived.load(Ordering::Relaxed), accepted, "all that was accepted, once");
    host.ledger().check().expect("balanced");
    let book = host.ledger().book("metrics").expect("a book");
    assert_eq!(book.count("out", Fate::Delivered), accepted);
    assert_eq!(book.count("out", Fate::Dropped(Reason::Overloaded)), refused);
    // Four consumers, waits that grow to 30 s: no storm.
    assert!(attempts.load(Ordering::Relaxed) < 4 * 8 + 100, "{attempts:?}");
}

#[tokio::test(start_paused = true)]
async fn a_minute_without_a_back_end_loses_and_doubles_nothing() {
    outage(Error::retry("connection refused"), Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn a_minute_of_503_with_retry_after_loses_and_doubles_nothing() {
    let failure = Error::new(Kind::Retry { after: Some(Duration::from_secs(20)) }, "busy");
    outage(failure, Duration::from_millis(300)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_rejected_in_part_is_counted_as_dropped_and_the_books_balance() {
    let (host, input) = (host(), TestReceiver::new());
    let part = Pushed { rejected: 3, message: "too old".to_owned() };
    let script = Script::new([later(None), Ok(part)]);
    let context = Context { id: "out".into(), host: host.clone(), ..context() };
    let exporter = Delivery::new(&context, settings(Some(QueueSettings::default())), script);
    let plan = Blueprint::new()
        .receiver("in", &input)
        .exporter("out", Arc::new(exporter))
        .pipeline("metrics", &["in"], &[], &["out"])
        .plan();
    let graph = Graph::build(&plan, &host).map_err(|mut errors| errors.remove(0)).expect("builds");
    let running = graph.start().await.expect("starts");
    input.send(batch(10)).await.expect("queued");
    let book = host.ledger().book("metrics").expect("a book");
    eventually("its fate is known", || book.in_flight() == 0).await;
    assert_eq!(book.count("out", Fate::Delivered), 7);
    assert_eq!(book.count("out", Fate::Dropped(Reason::Rejected)), 3);
    running.stop(Duration::from_secs(60)).await.expect("stops");
    host.ledger().check().expect("balanced");
}
