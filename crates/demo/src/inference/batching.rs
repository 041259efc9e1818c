// SPDX-License-Identifier: Apache-2.0
//! Requests that come together are computed together.
//!
//! Nobody waits for others on purpose: while all [`INSTANCES`] of the model are busy requests queue,
//! and the next free one takes as many as a batch may hold. Bound: [`QUEUE`] requests wait, whoever
//! comes then is refused.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry::metrics::{Histogram, Meter};
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Batches computed at a time, as by so many instances of the model.
const INSTANCES: usize = 16;

/// Requests that wait: at 100 ms a batch of 32 they wait half a second at most.
pub(super) const QUEUE: usize = 1024;

/// Bounds of batch sizes.
const SIZES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Bounds of waits in seconds.
const WAITS: [f64; 8] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5];

/// What became of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Computed {
    pub prediction: f64,
    /// Requests in the batch.
    pub batch: usize,
    /// How long the model took.
    pub time: Duration,
}

struct Asked {
    features: Vec<f64>,
    since: Instant,
    answer: oneshot::Sender<Computed>,
}

/// The door to the model.
pub(super) struct Batcher(mpsc::Sender<Asked>);

impl Batcher {
    /// Begins to compute, batches of `batch_max` at most, each in `latency`.
    pub fn start(latency: Duration, batch_max: usize, meter: &Meter) -> Batcher {
        let sizes = meter
            .u64_histogram("batch_size")
            .with_unit("{request}")
            .with_description("Requests computed together.")
            .with_boundaries(SIZES.to_vec())
            .build();
        let waits = meter
            .f64_histogram("queue_wait")
            .with_unit("s")
            .with_description("Time requests waited for the model.")
            .with_boundaries(WAITS.to_vec())
            .build();
        let (sender, asked) = mpsc::channel(QUEUE);
        let model = Model { latency, batch_max, sizes, waits };
        tokio::spawn(Arc::new(model).run(asked));
        Batcher(sender)
    }

    /// The model's answer; none when too many wait already.
    pub async fn ask(&self, features: Vec<f64>) -> Option<Computed> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Asked { features, since: Instant::now(), answer }).ok()?;
        answered.await.ok()
    }
}

struct Model {
    latency: Duration,
    batch_max: usize,
    sizes: Histogram<u64>,
    waits: Histogram<f64>,
}

impl Model {
    async fn run(self: Arc<Self>, mut asked: mpsc::Receiver<Asked>) {
        let instances = Arc::new(Semaphore::new(INSTANCES));
        let mut batch = Vec::new();
        loop {
            // Never closed: it is ours.
            let Ok(instance) = instances.clone().acquire_owned().await else { return };
            if asked.recv_many(&mut batch, self.batch_max).await == 0 {
                return;
            }
            let batch = std::mem::take(&mut batch);
            if self.latency.is_zero() {
                self.compute(batch).await;
                continue;
            }
            let model = self.clone();
            tokio::spawn(async move {
                model.compute(batch).await;
                drop(instance);
            });
        }
    }

    async fn compute(&self, batch: Vec<Asked>) {
        let begun = Instant::now();
        let size = batch.len();
        self.sizes.record(size as u64, &[]);
        for asked in &batch {
            self.waits.record((begun - asked.since).as_secs_f64(), &[]);
        }
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let time = begun.elapsed();
        for asked in batch {
            let prediction = asked.features.iter().sum();
            // Whoever asked may be gone.
            let _ = asked.answer.send(Computed { prediction, batch: size, time });
        }
    }
}
