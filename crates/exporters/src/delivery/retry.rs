// SPDX-License-Identifier: Apache-2.0
//! Trying again: the collector's `retry_on_failure`.

use std::time::Duration;

use basics::{Backoff, BackoffSettings, Kind, Result};
use pipeline::Batch;
use tokio::time::Instant;

use super::{Pushed, Worker};

/// When and how long to try again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetrySettings {
    /// Waits between attempts.
    pub backoff: BackoffSettings,
    /// Time from the first attempt after which no other begins; zero = for ever.
    pub max_elapsed: Duration,
}

impl Default for RetrySettings {
    fn default() -> Self {
        RetrySettings { backoff: BackoffSettings::default(), max_elapsed: Duration::from_secs(300) }
    }
}

impl Worker {
    /// Attempts until one succeeds, fails for good, or time is up or the exporter stops.
    pub(super) async fn retry(&self, settings: RetrySettings, batch: &Batch) -> Result<Pushed> {
        let begun = Instant::now();
        let mut backoff = Backoff::new(settings.backoff);
        loop {
            let error = match self.attempt(batch).await {
                Ok(pushed) => return Ok(pushed),
                Err(error) => error,
            };
            if !error.kind().is_retryable() {
                return Err(error.within("not retryable error"));
            }
            let mut wait = backoff.next_wait(&mut self.random.lock());
            if let Kind::Retry { after: Some(asked) } = error.kind() {
                wait = wait.max(asked);
            }
            if !settings.max_elapsed.is_zero() && begun.elapsed() + wait > settings.max_elapsed {
                return Err(error.within("no more retries left"));
            }
            if *self.stopping.borrow() {
                return Err(error.within("stopping, not tried again"));
            }
            tracing::info!(exporter = %self.id, interval = ?wait, "Exporting failed. Will retry the request after interval. {error}");
            let mut stopping = self.stopping.clone();
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stopping.wait_for(|stop| *stop) => {
                    return Err(error.within("stopping, not tried again"));
                }
            }
        }
    }
}
