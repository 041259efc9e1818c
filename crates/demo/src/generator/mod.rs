// SPDX-License-Identifier: Apache-2.0
//! Telemetry that needs no service: a small simulated shop whose CPU, memory, request durations,
//! traces and logs belong together, sent through real OTLP over a socket like any other client's.
//!
//! [`run`] ticks until told to stop; a server that is not there yet costs a log line and the next
//! try. Nothing is queued: what cannot be sent at its time is skipped, as a live source would.

mod send;
mod signals;
mod world;

#[cfg(test)]
mod tests;

use std::time::Duration;

use basics::{Clock, Random};

pub use signals::Shop;
pub(crate) use world::gauss;
pub use world::{SERVICES, incident};

/// How to send.
#[derive(Clone, Debug)]
pub struct Options {
    /// OTLP/HTTP base address, `http://host:port`.
    pub endpoint: String,
    /// Time between two sendings; 1 to 5 s keep the page fresh.
    pub interval: Duration,
    /// Metrics of this much time before the start are sent first, so that charts have a past.
    /// Only for a store that has none: older points than it holds would be out of order.
    pub backfill: Duration,
    /// Time between two sendings of the past, for pipelines that do more than store it.
    pub pause: Duration,
    /// `service.namespace` of all services, if they are to be told from those of another source.
    pub namespace: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            endpoint: "http://127.0.0.1:4318".into(),
            interval: Duration::from_secs(1),
            backfill: Duration::ZERO,
            pause: Duration::ZERO,
            namespace: None,
        }
    }
}

/// Step of the backfilled past: what a dashboard shows of an hour needs no more.
const BACKFILL_STEP: Duration = Duration::from_secs(5);

/// Sends telemetry until `stop` resolves.
///
/// # Errors
/// When `endpoint` is not an `http://` address.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let sender = send::Sender::new(&options.endpoint)?;
    let clock = Clock::system();
    let begin = clock.now().saturating_sub(options.backfill.as_nanos() as u64);
    let mut shop = Shop::new(begin, options.namespace, Random::from_os());
    let work = async {
        sender.wait_until_there().await;
        let mut past = begin;
        while past + (BACKFILL_STEP.as_nanos() as u64) < clock.now() {
            past += BACKFILL_STEP.as_nanos() as u64;
            shop.advance(past);
            sender.send(&shop.metrics()).await;
            tokio::time::sleep(options.pause).await;
        }
        let mut ticks = tokio::time::interval(options.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            shop.advance(clock.now());
            for payload in [shop.metrics(), shop.traces(), shop.logs()] {
                sender.send(&payload).await;
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop => {}
    }
    Ok(())
}
