// SPDX-License-Identifier: Apache-2.0
//! Where data enters a pipeline: counted, in a durable pipeline appended to the log, and
//! acknowledged when the log has it.
//!
//! The log's group commit and the way through the pipeline overlap; the answer waits for both. In
//! a durable pipeline only the log's verdict counts for the sender: what exporters without a log
//! refuse is counted as dropped, since a second attempt would store everything twice. What the
//! exporter with the log rejects for good is told if it is known in time: where no stage holds data
//! back that is before the log has synced, and [`VERDICT_WAIT_MAX`] bounds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use basics::{Error, Kind, Result};
use segment_log::{Hold, Log, Record, Ticket};
use tokio::sync::oneshot;

use super::asked;
use super::chain::Chain;
use crate::ack::{Delivered, Token};
use crate::batch::Batch;
use crate::component::Consumer;

/// Longest wait, once the log has a batch, for what its exporter says about single items. Ten times
/// what the way through takes; an answer must not wait for more than the log.
const VERDICT_WAIT_MAX: Duration = Duration::from_millis(20);

/// Where a batch enters.
#[derive(Clone, Copy)]
pub(crate) struct Entrance {
    /// 0 at the door, k behind the k-th processor; what the log keeps.
    pub entry: u8,
    /// The link it meets first.
    pub link: usize,
}

/// Lets new data into a chain.
pub(crate) async fn admit(chain: &Arc<Chain>, mut batch: Batch, at: Entrance) -> Result<()> {
    let kept = match chain.log.get().map(|log| append(log, chain, &batch, at.entry)).transpose() {
        Ok(kept) => kept,
        Err(error) => {
            batch.settle(Err(error.clone()));
            return Err(error);
        }
    };
    let book = &chain.books.live;
    if at.entry == 0 {
        book.received(batch.items())
    } else {
        book.generated(batch.items())
    }
    let Some((ticket, hold)) = kept else {
        batch.acks.add(in_flight(chain, &batch));
        return chain.run(at.link, batch).await;
    };
    let mut waiting = batch.acks.take_waiting();
    waiting.enter(chain.lane, true);
    batch.acks.add(in_flight(chain, &batch));
    batch.acks.add(Token::of_record(hold));
    let verdict = (!waiting.is_none() && chain.passes_at_once()).then(|| {
        let (token, verdict) = Token::pair_of_log();
        batch.acks.add(token);
        verdict
    });
    let (through, kept) = tokio::join!(chain.run(at.link, batch), ticket);
    if let Err(error) = through {
        tracing::debug!(pipeline = &*chain.pipeline, %error, "in the log, but not delivered");
    }
    match &kept {
        Ok(()) => waiting.settle_as(Ok(told(verdict).await)),
        Err(error) => waiting.settle(Err(error.clone())),
    }
    kept
}

/// What the exporter with the log says, if it says so in time and does not fail: the log has it all.
async fn told(verdict: Option<oneshot::Receiver<Result<Delivered>>>) -> Delivered {
    let Some(verdict) = verdict else { return Delivered::default() };
    match tokio::time::timeout(VERDICT_WAIT_MAX, verdict).await {
        Ok(Ok(Ok(delivered))) => delivered,
        _ => Delivered::default(),
    }
}

/// A token that takes `batch` out of what is in flight when its fate is known everywhere.
pub(crate) fn in_flight(chain: &Chain, batch: &Batch) -> Arc<Token> {
    let (book, items) = (chain.books.of(&batch.meta).clone(), batch.items() as i64);
    book.moving(items);
    Token::of_books(move |_| book.moving(-items))
}

fn append(log: &Log, chain: &Chain, batch: &Batch, entry: u8) -> Result<(Ticket, Hold)> {
    let answered = asked::body(&chain.asked, &batch.meta, batch.payload.bytes());
    log.append_held(&Record {
        signal: batch.signal().number(),
        entry,
        encoding: if answered.is_some() { asked::ANSWERED } else { asked::PLAIN },
        tenant: &batch.meta.tenant,
        pipeline: &chain.pipeline,
        received: batch.meta.received,
        body: answered.as_deref().unwrap_or(batch.payload.bytes()),
    })
}

/// The door of one pipeline.
pub(crate) struct Door {
    pub chain: Arc<Chain>,
    pub open: AtomicBool,
}

impl Door {
    pub fn new(chain: Arc<Chain>) -> Self {
        Door { chain, open: AtomicBool::new(false) }
    }

    pub fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Release);
    }
}

#[async_trait]
impl Consumer for Door {
    async fn consume(&self, batch: Batch) -> Result<()> {
        if !self.open.load(Ordering::Acquire) {
            let error = Error::closed(format!("pipeline {} is not running", self.chain.pipeline));
            batch.settle(Err(error.clone()));
            return Err(error);
        }
        let link = match self.chain.ask_gates(&batch) {
            Ok(link) => link,
            Err(error) => {
                batch.settle(Err(error.clone()));
                return Err(error);
            }
        };
        admit(&self.chain, batch, Entrance { entry: 0, link }).await
    }
}

/// The doors of all pipelines that name one receiver for one signal: each gets every batch, and
/// all that they refuse is told.
pub(crate) struct Doors(pub Vec<Arc<Door>>);

#[async_trait]
impl Consumer for Doors {
    async fn consume(&self, batch: Batch) -> Result<()> {
        let taken = self.0.iter().map(|door| {
            let batch = batch.clone();
            async move { (&door.chain.pipeline, door.consume(batch).await) }
        });
        let outcomes = futures::future::join_all(taken).await;
        let joined = joined(outcomes.iter().map(|(id, outcome)| (&***id, outcome)));
        batch.settle(joined.clone());
        joined
    }
}

/// One outcome of several: the errors in one, as one that may pass if any of them may.
pub(crate) fn joined<'a>(outcomes: impl Iterator<Item = (&'a str, &'a Result<()>)>) -> Result<()> {
    let mut kind: Option<Kind> = None;
    let mut messages = Vec::new();
    for (id, outcome) in outcomes {
        let Err(error) = outcome else { continue };
        messages.push(format!("{id}: {error}"));
        let outranks = kind.is_none_or(|old| !old.is_retryable() && error.kind().is_retryable());
        if outranks {
            kind = Some(error.kind());
        }
    }
    match kind {
        None => Ok(()),
        Some(kind) => Err(Error::new(kind, messages.join("; "))),
    }
}
