// SPDX-License-Identifier: Apache-2.0
//! Who waits for which position to be durable, and what they hear.
//!
//! The syncer moves `synced` forward or fails the log once and for all; tickets wait for it by
//! callback, by blocking or as a future. Callbacks run on the syncer's thread, outside the lock.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use basics::{Error, Result};
use parking_lot::{Condvar, Mutex};

use crate::Position;

type Callback = Box<dyn FnOnce(Result<()>) + Send>;

#[derive(Default)]
pub(crate) struct Commit {
    state: Mutex<State>,
    /// Something was written, or the log closes.
    work: Condvar,
    /// `synced` moved, or the log failed.
    done: Condvar,
}

#[derive(Default)]
struct State {
    written: u64,
    synced: u64,
    failed: Option<Error>,
    closing: bool,
    waiting: Vec<(u64, Callback)>,
}

/// What the syncer should do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Sync,
    Idle,
    Close,
}

impl Commit {
    pub(crate) fn starting_at(position: u64) -> Self {
        let state = State { written: position, synced: position, ..State::default() };
        Commit { state: Mutex::new(state), ..Commit::default() }
    }

    /// # Errors
    /// [`basics::Kind::Closed`] once the log is poisoned or closing.
    pub(crate) fn usable(&self) -> Result<()> {
        let state = self.state.lock();
        match &state.failed {
            Some(error) => Err(error.clone()),
            None if state.closing => Err(Error::closed("the log is closed")),
            None => Ok(()),
        }
    }

    /// Everything before `end` is written.
    pub(crate) fn written(&self, end: u64) {
        let mut state = self.state.lock();
        state.written = state.written.max(end);
        self.work.notify_one();
    }

    /// Everything before `end` is durable.
    pub(crate) fn synced(&self, end: u64) {
        let resolved: Vec<Callback> = {
            let mut state = self.state.lock();
            state.synced = state.synced.max(end);
            let synced = state.synced;
            self.done.notify_all();
            state.waiting.extract_if(.., |(until, _)| *until <= synced).map(|(_, f)| f).collect()
        };
        resolved.into_iter().for_each(|callback| callback(Ok(())));
    }

    /// Nothing more will ever become durable. The first reason stays.
    pub(crate) fn fail(&self, error: Error) {
        let waiting = {
            let mut state = self.state.lock();
            state.failed.get_or_insert_with(|| error.clone());
            self.done.notify_all();
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(|(_, callback)| callback(Err(error.clone())));
    }

    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
        self.work.notify_one();
    }

    pub(crate) fn synced_position(&self) -> u64 {
        self.state.lock().synced
    }

    pub(crate) fn failure(&self) -> Option<Error> {
        self.state.lock().failed.clone()
    }

    /// Blocks until there is something to sync (and `not_before` has passed or `bytes` wait), the
    /// log closes, or `idle` has passed.
    pub(crate) fn await_work(&self, not_before: Instant, bytes: u64, idle: Duration) -> Work {
        let idle_end = Instant::now() + idle;
        let mut state = self.state.lock();
        loop {
            if state.closing {
                return Work::Close;
            }
            let unsynced = state.written - state.synced;
            let now = Instant::now();
            let until = if unsynced == 0 || state.failed.is_some() {
                idle_end
            } else if now >= not_before || unsynced >= bytes {
                return Work::Sync;
            } else {
                not_before.min(idle_end)
            };
            if self.work.wait_until(&mut state, until).timed_out() && Instant::now() >= idle_end {
                return Work::Idle;
            }
        }
    }

    /// What became of everything before `end`, if that is known.
    fn outcome(state: &State, end: u64) -> Option<Result<()>> {
        if state.synced >= end { Some(Ok(())) } else { state.failed.clone().map(Err) }
    }

    fn on_durable(&self, end: u64, callback: Callback) {
        let outcome = {
            let mut state = self.state.lock();
            match Commit::outcome(&state, end) {
                Some(outcome) => outcome,
                None => return state.waiting.push((end, callback)),
            }
        };
        callback(outcome);
    }

    fn wait(&self, end: u64) -> Result<()> {
        let mut state = self.state.lock();
        loop {
            if let Some(outcome) = Commit::outcome(&state, end) {
                return outcome;
            }
            self.done.wait(&mut state);
        }
    }
}

/// The promise that a record will be durable. It resolves once: after the group commit that covers
/// the record, or with [`basics::Kind::Closed`] when that failed. Under [`crate::Durability::Interval`]
/// and [`crate::Durability::None`] it is resolved from the start.
#[must_use = "until the ticket resolves the record may be lost"]
pub struct Ticket {
    pub(crate) position: Position,
    pub(crate) next: Position,
    pub(crate) commit: Option<Arc<Commit>>,
    pub(crate) polled: Option<Arc<Mutex<Polled>>>,
}

/// Meeting point of a polled ticket and its callback.
#[derive(Default)]
pub(crate) struct Polled {
    outcome: Option<Result<()>>,
    waker: Option<Waker>,
}

impl Ticket {
    /// Where the record starts.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Where the next record starts at the earliest.
    pub fn next(&self) -> Position {
        self.next
    }

    /// Runs `callback` when the outcome is known: at once, on this thread, or later on the syncer's,
    /// so it must be short and must not block.
    pub fn on_durable(self, callback: impl FnOnce(Result<()>) + Send + 'static) {
        match &self.commit {
            Some(commit) => commit.on_durable(self.next.0, Box::new(callback)),
            None => callback(Ok(())),
        }
    }

    /// Blocks until the record is durable.
    ///
    /// # Errors
    /// [`basics::Kind::Closed`] when it will never be.
    pub fn wait(self) -> Result<()> {
        self.commit.as_ref().map_or(Ok(()), |commit| commit.wait(self.next.0))
    }
}

/// A ticket can be awaited, on any runtime; the outcome is that of [`Ticket::wait`].
impl Future for Ticket {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(commit) = self.commit.clone() else { return Poll::Ready(Ok(())) };
        let next = self.next.0;
        let polled = self.polled.get_or_insert_with(|| {
            let polled = Arc::new(Mutex::new(Polled::default()));
            let meeting = polled.clone();
            commit.on_durable(
                next,
                Box::new(move |outcome| {
                    let mut polled = meeting.lock();
                    polled.outcome = Some(outcome);
                    if let Some(waker) = polled.waker.take() {
                        waker.wake();
                    }
                }),
            );
            polled
        });
        let mut polled = polled.lock();
        match &polled.outcome {
            Some(outcome) => Poll::Ready(outcome.clone()),
            None => {
                polled.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
