// SPDX-License-Identifier: Apache-2.0
//! Everything at once on several threads: exporters that refuse and panic, a pass and a stage that
//! panic, a watch that makes data, senders that give up, a stop in the middle. Whatever happens,
//! every item is accounted for and every sender answered once.

use async_trait::async_trait;
use basics::{Error, Random, Result};
use otlp_wire::{Pass, Payload, Record, Signal, Verdict};
use parking_lot::Mutex;

use super::*;
use crate::ack::Acks;
use crate::batch::Batch;
use crate::component::{Exporter, Outlet, Processor, Stage, Watch};
use crate::testing::{Blueprint, TestReceiver, batch, payload, watched};

const SENDERS: u64 = 4;
const BATCHES: u64 = 150;

/// Takes, refuses, panics or waits, by chance.
struct Moody(Mutex<Random>);

#[async_trait]
impl Exporter for Moody {
    async fn export(&self, batch: Batch) -> Result<()> {
        let dice = self.0.lock().below(20);
        assert_ne!(dice, 0, "told to panic");
        if dice < 4 {
            tokio::task::yield_now().await;
        }
        let outcome = if dice < 8 { Err(Error::retry("moody")) } else { Ok(()) };
        batch.settle(outcome.clone());
        outcome
    }
}

/// Drops a point in eight; panics on one in some thousand.
struct Picky(Random);

impl Pass for Picky {
    fn point(&mut self, _: &mut Record<'_>, _: &otlp_wire::Context<'_>) -> Verdict {
        assert_ne!(self.0.below(3000), 0, "told to panic");
        if self.0.below(8) == 0 { Verdict::Drop } else { Verdict::Keep }
    }
}

/// Joins what it is given until it has enough; samples some out; panics now and then.
struct Hoarder {
    random: Random,
    parts: Vec<Payload>,
    acks: Acks,
}

#[async_trait]
impl Stage for Hoarder {
    async fn take(&mut self, batch: Batch, out: &Outlet) -> Result<()> {
        assert_ne!(self.random.below(80), 0, "told to panic");
        if self.random.below(10) == 0 {
            out.discard(batch, Fate::SampledOut);
            return Ok(());
        }
        self.parts.push(batch.payload);
        self.acks.join(batch.acks);
        if self.parts.len() < 5 {
            return Ok(());
        }
        self.finish(out).await
    }

    async fn finish(&mut self, out: &Outlet) -> Result<()> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let payload = Payload::concat(&std::mem::take(&mut self.parts));
        let acks = std::mem::take(&mut self.acks);
        out.forward(Batch { acks, ..Batch::new(payload, Arc::default()) }).await
    }
}

/// Makes a point for each batch it sees.
#[derive(Default)]
struct Echo(Mutex<u64>);

#[async_trait]
impl Watch for Echo {
    fn see(&self, _: &Batch) {
        *self.0.lock() += 1;
    }

    async fn run(self: Arc<Self>, out: Outlet) -> Result<()> {
        let mut closing = out.clone();
        loop {
            let ended = tokio::select! {
                () = closing.closed() => true,
                () = tokio::task::yield_now() => false,
            };
            let seen = std::mem::take(&mut *self.0.lock());
            for _ in 0..seen {
                // What becomes of it is in the ledger.
                let _ = out.generate(payload(Signal::Metrics, "echo", 1), Arc::default()).await;
            }
            if ended {
                return Ok(());
            }
        }
    }
}

async fn storm(seed: u64) {
    let (host, input) = (host(), TestReceiver::new());
    let plan = Blueprint::new()
        .receiver("in", &input)
        .processor("picky", move |_| {
            let random = Arc::new(Mutex::new(Random::seeded(seed)));
            Ok(Processor::Pass(Box::new(move || {
                Box::new(Picky(Random::seeded(random.lock().next_u64())))
            })))
        })
        .processor("echo", |_| Ok(Processor::Watch(Arc::new(Echo::default()))))
        .processor("hoarder", move |_| {
            let random = Random::seeded(seed ^ 1);
            let (parts, acks) = (Vec::new(), Acks::none());
            Ok(Processor::Stage(Box::new(Hoarder { random, parts, acks })))
        })
        .exporter("one", Arc::new(Moody(Mutex::new(Random::seeded(seed ^ 2)))))
        .exporter("two", Arc::new(Moody(Mutex::new(Random::seeded(seed ^ 3)))))
        .pipeline("metrics/a", &["in"], &["picky", "echo", "hoarder"], &["one", "two"])
        .pipeline("metrics/b", &["in"], &["hoarder", "picky"], &["two"]);
    let running = start(plan.plan(), &host).await.unwrap();
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (input, mut random) = (input.clone(), Random::seeded(seed ^ (10 + sender)));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for _ in 0..BATCHES {
                    let (batch, answer) = watched(batch(random.below(20) as u32));
                    let patience = Duration::from_micros(random.below(300));
                    // Whether it was taken, refused, or given up on.
                    let _ = tokio::time::timeout(patience, input.send(batch)).await;
                    answers.push(answer);
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for (at, sender) in senders.into_iter().enumerate() {
        // The last sender is still at it when the stop begins.
        if at as u64 + 1 < SENDERS {
            answers.extend(sender.await.unwrap());
        } else {
            // What the storm broke on its last way out is told; the account is checked below.
            if let Err(error) = running.stop(DEADLINE).await {
                assert!(error.to_string().contains("items were not delivered"), "{error}");
            }
            answers.extend(sender.await.unwrap());
            break;
        }
    }
    settled(&host, &["metrics/a", "metrics/b"]).await;
    assert!(answers.iter().all(|answer| answer.get().is_some()), "seed {seed}: unanswered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn in_a_storm_every_item_is_accounted_for() {
    for seed in 0..6 {
        storm(seed).await;
    }
}
