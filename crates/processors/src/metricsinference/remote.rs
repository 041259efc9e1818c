// SPDX-License-Identifier: Apache-2.0
//! Rules whose model runs on a KServe server: one task per rule, fed through a bounded queue.
//!
//! The pipeline never waits for it: when the queue is full the rows are dropped and counted. A
//! model is asked only after its server and it said that they are ready; its metadata is read then,
//! and again after any failure and every [`METADATA_AGE`]. While it is not ready, rows are
//! dropped and it is asked again at most every [`READY_PAUSE`]. A call that may succeed at a second
//! try gets one. Answers are written with the input's time, so a late one still lands where it
//! belongs; one call at a time per rule keeps a series in order.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use basics::{Clock, Error, Kind, Result};
use models::kserve::{Client, ModelCall, ModelMetadata};
use models::{Outputs, Rows};
use otlp_wire::Payload;
use otlp_wire::write::Metrics;
use pipeline::{Meta, Outlet};
use tokio::sync::mpsc;

use super::answer::{self, Results};
use super::meters::{Meters, Outcome, Skip};
use super::series::Target;

/// Batches of rows that wait for one rule's model. At one batch a second this bridges a pause of
/// the server; what waits longer is better answered by the batches behind it.
pub const QUEUE: usize = 16;
/// Calls per batch of rows.
const ATTEMPTS: usize = 2;
/// Wait before the second one.
const BACKOFF: Duration = Duration::from_millis(20);
/// Shortest time between two questions whether a model is ready.
const READY_PAUSE: Duration = Duration::from_secs(1);
/// Longest time that one question may take: a hanging server must not use up a long timeout.
const READY_TIMEOUT: Duration = Duration::from_secs(2);
/// Age at which metadata is read again.
const METADATA_AGE: Duration = Duration::from_secs(60);

/// Where results go.
#[async_trait]
pub trait Emit: Send + Sync {
    /// Sends results on.
    async fn emit(&self, payload: Payload, meta: Arc<Meta>) -> Result<()>;
}

#[async_trait]
impl Emit for Outlet {
    async fn emit(&self, payload: Payload, meta: Arc<Meta>) -> Result<()> {
        self.generate(payload, meta).await
    }
}

/// Rows that wait for an answer.
pub struct Job {
    /// The rows.
    pub rows: Rows,
    /// Whom they are about, one per row.
    pub targets: Vec<Target>,
    /// Unit of the first input.
    pub unit: String,
    /// What is known about the batch they came in.
    pub meta: Arc<Meta>,
}

/// What one rule's task works with.
pub struct Worker {
    /// The server.
    pub client: Client,
    /// What is asked; its metadata is filled in by the worker.
    pub call: ModelCall,
    /// What results are called.
    pub results: Arc<Results>,
    /// Counters.
    pub meters: Meters,
    /// Time.
    pub clock: Clock,
    /// Where results go.
    pub out: Arc<dyn Emit>,
}

/// What is known of the model's readiness.
enum Ready {
    Unknown,
    /// Since then.
    Yes(u64),
    /// Not before then is it asked again.
    NotBefore(u64),
}

impl Worker {
    /// Answers jobs until the queue is closed and empty.
    pub async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut ready = Ready::Unknown;
        while let Some(job) = jobs.recv().await {
            ready = self.ensure_ready(ready).await;
            if !matches!(ready, Ready::Yes(_)) {
                self.meters.request(Outcome::Unavailable);
                continue;
            }
            match self.ask(&job.rows).await {
                Ok(answer) => self.write(&job, &answer).await,
                Err(error) => {
                    self.meters.request(outcome_of(&error));
                    tracing::warn!(model = self.call.model, %error, "inference failed");
                    ready = Ready::Unknown;
                }
            }
        }
    }

    async fn ensure_ready(&mut self, ready: Ready) -> Ready {
        let now = self.clock.monotonic();
        let age = METADATA_AGE.as_nanos() as u64;
        match ready {
            Ready::Yes(since) if now.saturating_sub(since) < age => return ready,
            Ready::NotBefore(then) if now < then => return ready,
            _ => {}
        }
        match self.check().await {
            Ok(metadata) => {
                self.call.metadata = metadata;
                Ready::Yes(self.clock.monotonic())
            }
            Err(error) => {
                tracing::warn!(model = self.call.model, %error, "model is not ready");
                Ready::NotBefore(self.clock.monotonic() + READY_PAUSE.as_nanos() as u64)
            }
        }
    }

    async fn check(&self) -> Result<ModelMetadata> {
        let timeout = self.call.timeout.min(READY_TIMEOUT);
        let (model, version) = (&self.call.model, &self.call.version);
        if !self.client.server_ready(timeout).await? {
            return Err(Error::retry("the server says it is not ready"));
        }
        if !self.client.model_ready(model, version, timeout).await? {
            return Err(Error::retry("the server says the model is not ready"));
        }
        let metadata = match self.client.model_metadata(model, version, timeout).await {
            // A server that is ready but describes nothing is asked without a description.
            Err(error) if error.kind() == Kind::Rejected && is_unimplemented(&error) => {
                ModelMetadata::default()
            }
            other => other?,
        };
        metadata.rows_max(self.call.inputs.len())?;
        Ok(metadata)
    }

    async fn ask(&self, rows: &Rows) -> Result<Outputs> {
        let mut attempt = 1;
        loop {
            let started = self.clock.monotonic();
            let answer = self.client.infer(&self.call, rows).await;
            let took = self.clock.monotonic().saturating_sub(started);
            self.meters.duration.observe(took as f64 / 1e9);
            match answer {
                Err(error) if attempt < ATTEMPTS && matches!(error.kind(), Kind::Retry { .. }) => {
                    attempt += 1;
                    tokio::time::sleep(BACKOFF).await;
                }
                other => return other,
            }
        }
    }

    async fn write(&self, job: &Job, answer: &Outputs) {
        self.meters.request(Outcome::Ok);
        let mut to = Metrics::new();
        let written = self.results.written(&answer.columns, &job.unit);
        let tally = answer::write(
            &mut to,
            &self.results,
            &written,
            &answer.columns,
            &job.rows.times,
            |row| job.targets.get(row),
        );
        self.meters.skip(Skip::NoAnswer, tally.empty_rows);
        if tally.points == 0 {
            return;
        }
        match self.out.emit(to.finish(), job.meta.clone()).await {
            Ok(()) => self.meters.points.add(tally.points),
            Err(error) => {
                self.meters.skip(Skip::Refused, tally.points);
                tracing::debug!(%error, "results not taken");
            }
        }
    }
}

fn is_unimplemented(error: &Error) -> bool {
    error.message().contains("Unimplemented")
}

fn outcome_of(error: &Error) -> Outcome {
    match error.kind() {
        Kind::Retry { .. } => Outcome::Unavailable,
        Kind::Overloaded => Outcome::Timeout,
        _ => Outcome::Error,
    }
}
