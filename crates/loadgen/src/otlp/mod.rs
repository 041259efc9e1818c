// SPDX-License-Identifier: Apache-2.0
//! OTLP load: telemetry made or read from a file, sent by several connections.
//!
//! ```text
//! make     what is made: spans, points and log records as telemetrygen makes them, and disorder
//! replay   what is read: requests of a file, with their times moved to now
//! send     one request over gRPC or HTTP: taken, put off, or failed
//! ```
//! Requests are numbered. What is in request `n` follows from `n` and the seed alone, whoever sends
//! it, so a count is met exactly and runs with one seed have the same ids. A request that the peer
//! puts off (429, 503, UNAVAILABLE, RESOURCE_EXHAUSTED with a wait) is sent again until the time-out;
//! that is part of its time. One that broke in the middle is not: it may have been taken.
//! Bounds: [`crate::CONNECTIONS_MAX`] connections, [`REQUEST_BYTES_MAX`] a request,
//! [`replay::FILE_BYTES_MAX`] of files.

mod attributes;
mod make;
pub(crate) mod replay;
mod send;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use basics::{Clock, Random};
use otlp_wire::{Payload, Signal};
use tokio::sync::watch;
use tokio::time::Instant;

pub use attributes::{Attribute, Value};
pub use make::{Content, Disorder, Kind, Make, Metrics, Records, Spans};
pub use replay::Replay;
pub use send::Target;

use crate::CONNECTIONS_MAX;
use crate::drive::{Course, Progress, Work, drive};
use crate::pace::Pace;
use crate::report::About;
use crate::tally::Tally;

/// Largest request that is made: what receivers commonly take.
pub const REQUEST_BYTES_MAX: u64 = 64 << 20;

/// Where what is sent comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// It is made.
    Made(Make),
    /// It was recorded.
    Replayed(Replay),
}

/// The load on one OTLP receiver.
#[derive(Clone, Debug)]
pub struct OtlpLoad {
    /// Where, and how.
    pub target: Target,
    /// What.
    pub source: Source,
    /// Spans, points or records a second of each worker; 0 = as fast as answers come.
    pub rate: f64,
    /// Workers, each with a connection of its own; at most [`CONNECTIONS_MAX`].
    pub workers: usize,
    /// Ends after so long.
    pub duration: Option<Duration>,
    /// What is wrong with it, on purpose.
    pub disorder: Disorder,
    /// Longest time from the sending of a request until it is taken.
    pub timeout: Duration,
    /// Seed of ids and disorder.
    pub seed: u64,
}

impl OtlpLoad {
    fn pace(&self) -> Pace {
        match self.rate > 0.0 {
            true => Pace::Steady(self.rate * self.workers as f64),
            false => Pace::Closed,
        }
    }

    /// What is told of it.
    pub fn about(&self) -> About {
        let pace = self.pace();
        let by_time = self.duration.and_then(|time| pace.due_before(time));
        let expected = match (&self.source, by_time) {
            // Requests are whole: the last one that is due in time may go beyond it.
            (Source::Made(make), Some(all)) => Some(all.next_multiple_of(make.batch)),
            (Source::Made(make), None) => make.items,
            (Source::Replayed(replay), _) => Some(replay.items()).filter(|_| !replay.repeats),
        };
        About {
            url: self.target.url(),
            unit: unit(self.target.signal),
            expected,
            duration: self.duration,
            workers: self.workers,
            rate: pace.rate(),
            each: pace.rate().and(Some(self.rate)).filter(|_| self.workers > 1),
        }
    }

    fn check(&self) -> Result<()> {
        let OtlpLoad { workers, rate, .. } = self;
        let is_fine = (1..=CONNECTIONS_MAX).contains(workers);
        ensure!(is_fine, "{workers} workers: not between 1 and {CONNECTIONS_MAX}");
        ensure!(rate.is_finite() && *rate >= 0.0, "a rate of {rate}: it must be 0 or above");
        Ok(())
    }
}

/// What a signal's items are called.
fn unit(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "spans",
        Signal::Metrics => "points",
        Signal::Logs => "records",
    }
}

/// Sends `load` until it is over or `stop` says so.
///
/// # Errors
/// When the load makes no sense or a certificate cannot be read. What the peer does is no error.
pub async fn run_otlp(
    load: OtlpLoad,
    progress: Progress,
    stop: watch::Receiver<bool>,
) -> Result<Tally> {
    load.check()?;
    let (pace, workers, duration) = (load.pace(), load.workers, load.duration);
    let link = send::Link::new(&load.target)?;
    let load = Arc::new(load);
    let (clock, boxes) = (Clock::system(), Arc::new(make::Boxes::default()));
    let begun = clock.now();
    drive(Course { pace, workers, duration }, progress, stop, |_| Worker {
        load: load.clone(),
        // Each its own connection.
        sender: link.sender(),
        boxes: boxes.clone(),
        clock: clock.clone(),
        begun,
    })
    .await
}

struct Worker {
    load: Arc<OtlpLoad>,
    sender: send::Sender,
    boxes: Arc<make::Boxes>,
    clock: Clock,
    begun: u64,
}

impl Worker {
    fn payload(&self, index: u64, random: &mut Random) -> Option<Payload> {
        let load = &*self.load;
        match &load.source {
            Source::Made(make) => {
                let now = self.clock.now();
                let spacing = if load.rate > 0.0 { (1e9 / load.rate) as u64 } else { 1000 };
                let first_box = make.boxes(index, &self.boxes);
                let when = make::When { now, spacing, begun: self.begun, first_box };
                Some(make.payload(load.seed, index, when, &load.disorder, random))
            }
            Source::Replayed(replay) => {
                replay.payload(index, load.seed, self.clock.now(), &load.disorder, random)
            }
        }
    }
}

impl Work for Worker {
    fn before(&self, index: u64) -> Option<u64> {
        match &self.load.source {
            Source::Made(make) => make.before(index),
            Source::Replayed(replay) => replay.before(index),
        }
    }

    async fn one(&mut self, index: u64, due: Instant, tally: &mut Tally) -> u64 {
        let mut random = Random::seeded(self.load.seed ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let Some(payload) = self.payload(index, &mut random) else { return 0 };
        let items = u64::from(payload.items());
        tally.items.offered += items;
        let sent = Instant::now();
        let answer = self.sender.deliver(&payload, self.load.timeout, tally).await;
        let now = Instant::now();
        match answer {
            Err(why) => tally.failed(why),
            Ok(rejected) => {
                tally.successful += 1;
                tally.items.rejected += rejected;
                tally.items.accepted += items.saturating_sub(rejected);
                tally.time(now - due.min(sent), now - sent);
                if random.unit() < self.load.disorder.duplicates
                    && let Ok(rejected) =
                        self.sender.deliver(&payload, self.load.timeout, tally).await
                {
                    tally.items.duplicated += items.saturating_sub(rejected);
                }
            }
        }
        items
    }
}
