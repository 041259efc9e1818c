// SPDX-License-Identifier: Apache-2.0
//! The end of a pipeline: every exporter gets every batch (a refcount), whatever its siblings say.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};

use basics::{Clock, Error, Result};
use futures::FutureExt;

use super::chain::{Books, InHand};
use super::door::joined;
use crate::ack::{Lane, Token};
use crate::batch::Batch;
use crate::component::Exporter;
use crate::ledger::{Fate, Reason};
use crate::telemetry::{Counter, Followed, Histogram, OwnSpan, Spans};

pub(crate) struct FanOut {
    pub edges: Vec<Edge>,
    pub books: Books,
    pub clock: Clock,
    /// From received to delivered, of the pipeline.
    pub latency: Histogram,
    pub pipeline: Arc<str>,
    pub spans: Spans,
}

/// The way from a pipeline to one exporter; its position in the list is the one in the books.
pub(crate) struct Edge {
    pub id: Arc<str>,
    pub exporter: Arc<dyn Exporter>,
    pub lane: Lane,
    /// Set at the start when the exporter has a log.
    pub durable: OnceLock<()>,
    pub panics: Counter,
}

impl FanOut {
    /// Hands `batch` to the exporters; replayed data to those only that have a log.
    pub async fn deliver(&self, batch: Batch, hand: InHand) -> Result<()> {
        let followed = if batch.meta.replay { None } else { self.spans.follow() };
        // Made for all edges before the first await: from here on each edge accounts for its own.
        let mut handed = Vec::with_capacity(self.edges.len());
        for (at, edge) in self.edges.iter().enumerate() {
            if batch.meta.replay && edge.durable.get().is_none() {
                self.books.replay.at(at, Fate::Filtered, batch.items());
            } else {
                handed.push((edge, self.for_edge(at, edge, &batch, followed.as_ref())));
            }
        }
        hand.taken();
        if let Some(followed) = followed {
            self.follow(followed, &mut handed, &batch);
        }
        let Batch { mut acks, .. } = batch;
        acks.enter(Lane::default(), false);
        let outcome = match handed.len() {
            1 => {
                let mut outcome = Ok(());
                for (edge, batch) in handed {
                    outcome = edge.export(batch).await;
                }
                outcome
            }
            _ => {
                let exports = handed
                    .into_iter()
                    .map(|(edge, batch)| async move { (&*edge.id, edge.export(batch).await) });
                let outcomes = futures::future::join_all(exports).await;
                joined(outcomes.iter().map(|(id, outcome)| (*id, outcome)))
            }
        };
        // The exporters hold the acks; what they answer later counts, not that they took it.
        acks.settle(Ok(()));
        outcome
    }

    /// `batch` with a token that tells the books what `edge`, number `at`, made of it.
    fn for_edge(
        &self,
        at: usize,
        edge: &Edge,
        batch: &Batch,
        followed: Option<&Followed>,
    ) -> Batch {
        let (book, items) = (self.books.of(&batch.meta).clone(), batch.items());
        let (clock, latency) = (self.clock.clone(), self.latency.clone());
        let (received, replay) = (batch.meta.received, batch.meta.replay);
        let mut batch = batch.clone();
        batch.acks.add(Token::of_books(move |outcome| match outcome {
            Ok(delivered) => {
                let rejected = delivered.of(items).rejected;
                book.at(at, Fate::Delivered, items - rejected);
                book.at(at, Fate::Dropped(Reason::Rejected), rejected);
                if !replay {
                    latency.observe(clock.now().saturating_sub(received) as f64 / 1e9);
                }
            }
            Err(error) => book.at(at, Fate::Dropped(error.kind().into()), items),
        }));
        if let Some(followed) = followed.cloned() {
            let (id, clock) = (edge.id.clone(), self.clock.clone());
            let handed = clock.now();
            batch.acks.add(Token::of_books(move |outcome| {
                let span = OwnSpan::new(format!("exporter/{id}"), handed, clock.now(), items);
                followed.edge(at, span.with_outcome(&outcome));
            }));
        }
        batch.acks.enter(edge.lane, edge.durable.get().is_some());
        batch
    }

    /// Ends the span of the whole way when every exporter has settled.
    fn follow(&self, followed: Followed, handed: &mut [(&Edge, Batch)], batch: &Batch) {
        let (clock, received, items) = (self.clock.clone(), batch.meta.received, batch.items());
        let name = format!("pipeline/{}", self.pipeline);
        let settled = Token::of_books(move |outcome| {
            let span = OwnSpan::new(name, received, clock.now(), items);
            followed.root(span.with_outcome(&outcome));
        });
        handed.iter_mut().for_each(|(_, batch)| batch.acks.add(settled.clone()));
    }
}

impl Edge {
    async fn export(&self, batch: Batch) -> Result<()> {
        match AssertUnwindSafe(self.exporter.export(batch)).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(_) => {
                self.panics.inc();
                Err(Error::retry(format!("exporter {} panicked", self.id)))
            }
        }
    }
}
