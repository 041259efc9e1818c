// SPDX-License-Identifier: Apache-2.0
//! How success or failure travels back.
//!
//! Whoever must know what became of a batch makes a [`Token`] with a callback and puts it into the
//! batch's [`Acks`]. Fan-out and splitting clone the acks, merging joins them; the callback runs
//! once, when the last holder has given its verdict, with the worst verdict given.
//! A holder that goes away without one (a panic, a lost task) counts as a retryable failure, so
//! that what was not delivered is never taken for delivered.
//!
//! A delivered batch may lack items that its destination will never take ([`Delivered`]). The parts
//! of a split batch are told apart from the copies of a fan-out by their [`Lane`]: within a lane
//! rejected items add up, of several lanes the largest number counts, so that an item which two
//! exporters reject is one rejected item.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use basics::{Error, Result};
use parking_lot::Mutex;
use segment_log::{Hold, Position};
use tokio::sync::oneshot;

use crate::budget::Permit;

type Callback = Box<dyn FnOnce(Result<Delivered>) + Send>;

/// What was delivered: everything (the default), or all but some items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Items that the destination will never take.
    pub rejected: u64,
    /// Why, or a warning about a batch that was taken whole.
    pub message: String,
}

impl Delivered {
    /// True when all was taken and nothing said about it.
    pub fn is_whole(&self) -> bool {
        self.rejected == 0 && self.message.is_empty()
    }

    /// The same for one who brought `items` of it: not more than these can have been rejected.
    #[must_use]
    pub fn of(mut self, items: u64) -> Self {
        self.rejected = self.rejected.min(items);
        self
    }
}

/// The way to one exporter of one pipeline, as far as counting rejected items is concerned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lane(u32);

impl Lane {
    /// One that no one has.
    pub fn new() -> Self {
        static LAST: AtomicU32 = AtomicU32::new(0);
        Lane(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// One waiting party, shared by all batches that carry a part of its data.
pub struct Token {
    heard: Mutex<Heard>,
    callback: Mutex<Option<Callback>>,
    role: Role,
    /// The record in the log that the data comes from.
    held: Option<Hold>,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Someone waits for the data to be safe.
    Waits,
    /// The same, of exporters with a log alone.
    WaitsForLog,
    /// The books, which want to know how it ends.
    Books,
    /// The log's books: which records are on their way to the exporters with the log.
    BooksOfLog,
}

/// The verdicts so far.
#[derive(Default)]
struct Heard {
    worst: Option<Error>,
    /// One for each lane that was not delivered whole.
    lanes: Vec<(Lane, Delivered)>,
}

impl Heard {
    fn outcome(self) -> Result<Delivered> {
        if let Some(error) = self.worst {
            return Err(error);
        }
        let mut all = Delivered::default();
        for (_, lane) in self.lanes {
            all.rejected = all.rejected.max(lane.rejected);
            if !all.message.is_empty() && !lane.message.is_empty() {
                all.message.push_str("; ");
            }
            all.message.push_str(&lane.message);
        }
        Ok(all)
    }
}

impl Token {
    /// A token whose `callback` runs once, with `Ok` if every holder delivered.
    pub fn new(callback: impl FnOnce(Result<Delivered>) + Send + 'static) -> Arc<Self> {
        Self::make(callback, Role::Waits)
    }

    /// As [`Token::new`], for the books: a durable queue does not answer it before the data has
    /// left the queue.
    pub(crate) fn of_books(callback: impl FnOnce(Result<Delivered>) + Send + 'static) -> Arc<Self> {
        Self::make(callback, Role::Books)
    }

    /// A token and its verdict, there once the last holder has settled.
    pub fn pair() -> (Arc<Self>, oneshot::Receiver<Result<Delivered>>) {
        Self::make_pair(Role::Waits)
    }

    /// As [`Token::pair`], but exporters without a log do not hold it.
    pub(crate) fn pair_of_log() -> (Arc<Self>, oneshot::Receiver<Result<Delivered>>) {
        Self::make_pair(Role::WaitsForLog)
    }

    fn make_pair(role: Role) -> (Arc<Self>, oneshot::Receiver<Result<Delivered>>) {
        let (tell, heard) = oneshot::channel();
        let token = Self::make(
            move |outcome| {
                // Whoever waited may have gone.
                let _ = tell.send(outcome);
            },
            role,
        );
        (token, heard)
    }

    /// A token for a record on its way from the log to the exporters with that log; it ends with
    /// the last of them, and with what stages keep of it.
    pub(crate) fn of_record(hold: Hold) -> Arc<Self> {
        let callback = Mutex::default();
        Arc::new(Token {
            heard: Mutex::default(),
            callback,
            role: Role::BooksOfLog,
            held: Some(hold),
        })
    }

    fn make(callback: impl FnOnce(Result<Delivered>) + Send + 'static, role: Role) -> Arc<Self> {
        let callback = Mutex::new(Some(Box::new(callback) as Callback));
        Arc::new(Token { heard: Mutex::default(), callback, role, held: None })
    }

    /// True for those who wait for the data to be safe.
    fn waits(&self) -> bool {
        matches!(self.role, Role::Waits | Role::WaitsForLog)
    }

    fn fail(&self, error: Error) {
        let worst = &mut self.heard.lock().worst;
        // A failure that may pass outranks one that will not: the holder can still be retried.
        let outranks = match worst {
            None => true,
            Some(old) => error.kind().is_retryable() && !old.kind().is_retryable(),
        };
        if outranks {
            *worst = Some(error);
        }
    }

    fn delivered(&self, lane: Lane, delivered: &Delivered) {
        if delivered.is_whole() {
            return;
        }
        let lanes = &mut self.heard.lock().lanes;
        match lanes.iter_mut().find(|(known, _)| *known == lane) {
            // The first message stands for all parts: what they say is the same or too long.
            Some((_, sum)) => sum.rejected += delivered.rejected,
            None => lanes.push((lane, delivered.clone())),
        }
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(callback) = self.callback.get_mut().take() {
            callback(std::mem::take(self.heard.get_mut()).outcome());
        }
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

/// What ends with the fate of one batch: the parties that wait to hear it, and the memory that is
/// free again then. Every holder ends with [`Acks::settle`].
#[derive(Debug, Default)]
pub struct Acks {
    tokens: Vec<(Arc<Token>, Lane)>,
    permits: Vec<Arc<Permit>>,
}

impl Acks {
    /// Nobody waits.
    pub fn none() -> Self {
        Self::default()
    }

    /// `token` waits.
    pub fn one(token: Arc<Token>) -> Self {
        Acks { tokens: vec![(token, Lane::default())], permits: Vec::new() }
    }

    /// True when nobody waits.
    pub fn is_none(&self) -> bool {
        self.tokens.is_empty()
    }

    /// `token` waits as well.
    pub fn add(&mut self, token: Arc<Token>) {
        self.tokens.push((token, Lane::default()));
    }

    /// Keeps `permit` until the last holder has settled.
    pub fn hold(&mut self, permit: Permit) {
        self.permits.push(Arc::new(permit));
    }

    /// Takes over the parties of `other`, as when two batches become one.
    pub fn join(&mut self, mut other: Acks) {
        self.tokens.append(&mut other.tokens);
        self.permits.append(&mut other.permits);
    }

    /// Takes those who wait out, as when someone else answers them; the memory stays held.
    pub(crate) fn take_waiting(&mut self) -> Acks {
        Acks { tokens: std::mem::take(&mut self.tokens), permits: Vec::new() }
    }

    /// Takes those out who wait for the data to be safe, and the memory; who keeps the books stays.
    pub fn take_parties(&mut self) -> Acks {
        let books = |held: &mut (Arc<Token>, Lane)| !held.0.waits();
        let mut parties = std::mem::take(self);
        self.tokens = parties.tokens.extract_if(.., books).collect();
        parties
    }

    /// From here on this copy goes its own way; `log` says whether that leads to an exporter with
    /// a log.
    pub(crate) fn enter(&mut self, lane: Lane, log: bool) {
        self.tokens.retain_mut(|(token, at)| {
            *at = lane;
            log || !matches!(token.role, Role::WaitsForLog | Role::BooksOfLog)
        });
    }

    /// The last record of the log that this data comes from; none before it is in a log, and behind
    /// the exporters without one.
    pub fn last_record(&self) -> Option<Position> {
        let held = self.tokens.iter().filter_map(|(token, _)| token.held.as_ref());
        held.map(Hold::position).max()
    }

    /// The verdict of this holder.
    pub fn settle(self, outcome: Result<()>) {
        self.settle_as(outcome.map(|()| Delivered::default()));
    }

    /// The verdict of this holder, who may have delivered all but some items.
    pub fn settle_as(mut self, outcome: Result<Delivered>) {
        for (token, lane) in self.tokens.drain(..) {
            match &outcome {
                Ok(delivered) => token.delivered(lane, delivered),
                Err(error) => token.fail(error.clone()),
            }
        }
    }
}

impl Clone for Acks {
    fn clone(&self) -> Self {
        Acks { tokens: self.tokens.clone(), permits: self.permits.clone() }
    }
}

impl Drop for Acks {
    fn drop(&mut self) {
        for (token, _) in self.tokens.drain(..) {
            token.fail(Error::retry("a component lost the batch without a verdict"));
        }
    }
}

#[cfg(test)]
mod tests;
