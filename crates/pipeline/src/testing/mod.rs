// SPDX-License-Identifier: Apache-2.0
//! Test doubles and contract suites for components, behind the feature `testing`.
//!
//! [`Blueprint`] makes a graph of ready components without YAML; [`Recorder`] is an exporter that
//! remembers, fails or waits as told; [`outlet`] stands in for the rest of a pipeline; [`contract`]
//! holds what every exporter and stage must do. Nothing here waits for wall-clock time except
//! [`eventually`], which has a deadline.

mod blueprint;
pub mod contract;
mod outlet;
mod recorder;

use std::sync::Arc;
use std::time::{Duration, Instant};

use basics::Result;
use otlp_wire::{Payload, Signal, write};
use parking_lot::Mutex;

pub use blueprint::{Blueprint, Made, TestReceiver};
pub use outlet::{Rest, outlet};
pub use recorder::Recorder;

use crate::ack::{Acks, Delivered, Token};
use crate::batch::{Batch, Meta};
use crate::component::Context;

/// Longest wait for a condition: far above what a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
///
/// # Panics
/// After 20 s.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A payload of `signal` with `items` items, named by `name` and numbered from 0.
pub fn payload(signal: Signal, name: &str, items: u32) -> Payload {
    match signal {
        Signal::Metrics => {
            let mut w = write::Metrics::new();
            w.resource(|r| r.str("service.name", "test"));
            w.gauge(name, "1", "", |p| {
                for i in 0..items {
                    p.int(u64::from(i) + 1, i64::from(i), |a| a.int("n", i64::from(i)));
                }
            });
            w.finish()
        }
        Signal::Logs => {
            let mut w = write::Logs::new();
            w.resource(|r| r.str("service.name", "test"));
            for i in 0..items {
                let log =
                    write::Log { time: u64::from(i) + 1, body: name.into(), ..<_>::default() };
                w.log(&log, |a| a.int("n", i64::from(i)));
            }
            w.finish()
        }
        Signal::Traces => {
            let mut w = write::Traces::new();
            w.resource(|r| r.str("service.name", "test"));
            for i in 0..items {
                let span = write::Span {
                    trace_id: [7; 16],
                    span_id: [1; 8],
                    name,
                    start: u64::from(i) + 1,
                    ..<_>::default()
                };
                w.span(&span, |a| a.int("n", i64::from(i)));
            }
            w.finish()
        }
    }
}

/// When the batches of [`batch`] were received: 2023-11-14T22:13:20Z. A log drops what is old by
/// its clock, so tests with a manual clock set it to this.
pub const RECEIVED: basics::UnixNano = 1_700_000_000_000_000_000;

/// A batch of `items` data points.
pub fn batch(items: u32) -> Batch {
    let meta = Meta { received: RECEIVED, ..Meta::default() };
    Batch::new(payload(Signal::Metrics, "m", items), Arc::new(meta))
}

/// A context for building one component of `signal` on `clock`; keeps nothing on disk.
pub fn context(id: &str, signal: Signal, clock: &basics::Clock) -> Context {
    let budget = crate::budget::Budget::new(64 << 20);
    let host = crate::host::Host::with("unused".into(), clock.clone(), budget);
    let pipeline = signal.name().into();
    Context { id: id.into(), signal, pipeline, clock: clock.clone(), host }
}

/// What was answered to one batch, and how often.
#[derive(Clone, Default)]
pub struct Answer(Arc<Mutex<Vec<Result<Delivered>>>>);

impl Answer {
    /// Acks that note the answer here.
    pub fn acks(&self) -> Acks {
        let answers = self.0.clone();
        Acks::one(Token::new(move |outcome| answers.lock().push(outcome)))
    }

    /// The one answer so far, if there was one.
    ///
    /// # Panics
    /// When there was more than one.
    pub fn get(&self) -> Option<Result<()>> {
        self.delivered().map(|answer| answer.map(drop))
    }

    /// As [`Answer::get`], with what was rejected.
    ///
    /// # Panics
    /// When there was more than one.
    pub fn delivered(&self) -> Option<Result<Delivered>> {
        let answers = self.0.lock();
        assert!(answers.len() <= 1, "answered {} times", answers.len());
        answers.first().cloned()
    }
}

/// `batch`, with a note of what is answered to it.
pub fn watched(mut batch: Batch) -> (Batch, Answer) {
    let answer = Answer::default();
    batch.acks.join(answer.acks());
    (batch, answer)
}
