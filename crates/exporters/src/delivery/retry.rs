// SPDX-License-Identifier: Apache-2.0
//! Trying again: the collector's `retry_on_failure`.

use std::time::Duration;

use basics::{Backoff, BackoffSettings, Error, Kind};
use pipeline::{Acks, Batch};
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

/// How all attempts at one batch end.
pub(super) enum End {
    /// All of it is delivered, or rejected for good.
    Delivered(Pushed),
    /// `items` of it will not be tried again; what was delivered before is in `pushed`.
    GivenUp { error: Error, items: u64, pushed: Pushed },
    /// The exporter is stopping; `items` of it could have been tried again.
    Unfinished { error: Error, items: u64 },
}

/// What is still to be sent, and what became of the rest.
struct Left<'b> {
    whole: &'b Batch,
    /// `None` = all of it.
    part: Option<Batch>,
    pushed: Pushed,
}

impl Left<'_> {
    fn batch(&self) -> &Batch {
        self.part.as_ref().unwrap_or(self.whole)
    }

    fn add(&mut self, pushed: Pushed) {
        self.pushed.rejected += pushed.rejected;
        if self.pushed.message.is_empty() {
            self.pushed.message = pushed.message;
        }
    }
}

impl Worker {
    /// Attempts until one succeeds, fails for good, or time is up or the exporter stops.
    pub(super) async fn retry(&self, batch: &Batch) -> End {
        let begun = Instant::now();
        let mut left = Left { whole: batch, part: None, pushed: Pushed::default() };
        let mut backoff = Backoff::new(self.settings.retry.unwrap_or_default().backoff);
        loop {
            let unsent = match self.attempt(left.batch()).await {
                Ok(pushed) => {
                    left.add(pushed);
                    return End::Delivered(left.pushed);
                }
                Err(unsent) => unsent,
            };
            left.add(unsent.rest);
            if let Some(payload) = unsent.remains {
                // Nobody waits for the part: whoever waits for the whole hears of both.
                let meta = batch.meta.clone();
                let payload = *payload;
                left.part = Some(Batch { payload, encoded: None, meta, acks: Acks::none() });
            }
            let (error, items) = (unsent.error, left.batch().items());
            let Some(settings) = self.settings.retry else {
                return End::GivenUp { error, items, pushed: left.pushed };
            };
            if !error.kind().is_retryable() {
                let error = error.within("not retryable error");
                return End::GivenUp { error, items, pushed: left.pushed };
            }
            let mut wait = backoff.next_wait(&mut self.random.lock());
            if let Kind::Retry { after: Some(asked) } = error.kind() {
                wait = wait.max(asked);
            }
            if !settings.max_elapsed.is_zero() && begun.elapsed() + wait > settings.max_elapsed {
                let error = error.within("no more retries left");
                return End::GivenUp { error, items, pushed: left.pushed };
            }
            tracing::info!(exporter = %self.id, interval = ?wait, "Exporting failed. Will retry the request after interval. {error}");
            if !self.pause(wait).await {
                return End::Unfinished { error: error.within("stopping, not tried again"), items };
            }
        }
    }

    /// Waits; false when the exporter stops before.
    async fn pause(&self, wait: Duration) -> bool {
        let mut stopping = self.stopping.clone();
        if *stopping.borrow() {
            return false;
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            _ = stopping.wait_for(|stop| *stop) => false,
        }
    }
}
