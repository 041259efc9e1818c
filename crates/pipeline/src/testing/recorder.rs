// SPDX-License-Identifier: Apache-2.0
//! An exporter for tests.

use std::sync::Arc;

use async_trait::async_trait;
use basics::{Error, Result};
use parking_lot::Mutex;
use segment_log::Log;
use tokio::sync::Semaphore;

use crate::ack::{Acks, Delivered};
use crate::batch::Batch;
use crate::component::Exporter;

/// Remembers what it is given; fails, waits or panics as told.
pub struct Recorder {
    state: Mutex<State>,
    gate: Semaphore,
    log: Option<Arc<Log>>,
}

#[derive(Default)]
struct State {
    batches: Vec<Batch>,
    events: Vec<&'static str>,
    failure: Option<Error>,
    /// What it says of each batch it takes.
    verdict: Delivered,
    start_failure: Option<Error>,
    panics: bool,
}

impl Recorder {
    /// One that takes everything.
    pub fn new() -> Arc<Self> {
        Self::made(None)
    }

    /// One that is durable by `log`.
    pub fn durable(log: Arc<Log>) -> Arc<Self> {
        Self::made(Some(log))
    }

    fn made(log: Option<Arc<Log>>) -> Arc<Self> {
        let gate = Semaphore::new(Semaphore::MAX_PERMITS);
        Arc::new(Recorder { state: Mutex::default(), gate, log })
    }

    /// From now on it refuses with `failure` (`None`: takes again).
    pub fn fail(&self, failure: Option<Error>) {
        self.state.lock().failure = failure;
    }

    /// From now on it takes all but `verdict.rejected` items of each batch, and says so.
    pub fn reject(&self, verdict: Delivered) {
        self.state.lock().verdict = verdict;
    }

    /// Its start will fail.
    pub fn fail_start(&self, failure: Error) {
        self.state.lock().start_failure = Some(failure);
    }

    /// From now on it panics.
    pub fn panic(&self, panics: bool) {
        self.state.lock().panics = panics;
    }

    /// From now on every batch waits for [`Recorder::let_through`].
    pub fn hold(&self) {
        self.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets `batches` through that wait or will come.
    pub fn let_through(&self, batches: usize) {
        self.gate.add_permits(batches);
    }

    /// What it took, in order, without acks.
    pub fn batches(&self) -> Vec<Batch> {
        self.state.lock().batches.clone()
    }

    /// Items it took.
    pub fn items(&self) -> u64 {
        self.state.lock().batches.iter().map(Batch::items).sum()
    }

    /// `start` and `stop`, in order.
    pub fn events(&self) -> Vec<&'static str> {
        self.state.lock().events.clone()
    }
}

#[async_trait]
impl Exporter for Recorder {
    async fn start(&self) -> Result<()> {
        let mut state = self.state.lock();
        state.events.push("start");
        state.start_failure.clone().map_or(Ok(()), Err)
    }

    async fn export(&self, mut batch: Batch) -> Result<()> {
        if let Ok(pass) = self.gate.acquire().await {
            pass.forget();
        }
        let (failure, panics, verdict) = {
            let state = self.state.lock();
            (state.failure.clone(), state.panics, state.verdict.clone())
        };
        assert!(!panics, "told to panic");
        let outcome = failure.map_or(Ok(()), Err);
        let acks = std::mem::replace(&mut batch.acks, Acks::none());
        if outcome.is_ok() {
            self.state.lock().batches.push(batch);
        }
        acks.settle_as(outcome.clone().map(|()| verdict));
        outcome
    }

    async fn stop(&self) -> Result<()> {
        self.state.lock().events.push("stop");
        Ok(())
    }

    fn log(&self) -> Option<Arc<Log>> {
        self.log.clone()
    }
}
