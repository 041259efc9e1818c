// SPDX-License-Identifier: Apache-2.0
//! Sends on what the embedded store is written past all pipelines (`forward_written`): remote write and
//! OTLP that the query server took, and what rules record. So a Prometheus configuration's
//! `remote_write` gets what it would get from Prometheus.
//!
//! What comes waits for a place in the exporter's queue, [`WAITING_MAX`] requests at most; more are
//! dropped and told. What is read from the log again after a restart is not sent again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use basics::Result;
use otlp_wire::Payload;
use parking_lot::Mutex;
use pipeline::component::Exporter;
use pipeline::{Batch, Host};
use store::Store;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::delivery::Delivery;
use crate::embedded_store::STORE;

/// Requests that wait for the queue: seconds of what a busy server is written.
const WAITING_MAX: usize = 1000;

/// Until the store is there, and until a full queue is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// The exporter, and the task that listens to the store.
pub struct Forwarding {
    inner: Arc<Delivery>,
    host: Host,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Forwarding {
    /// Sends on by `inner`.
    pub fn new(inner: Delivery, host: Host) -> Self {
        Forwarding { inner: Arc::new(inner), host, task: Mutex::default() }
    }
}

#[async_trait]
impl Exporter for Forwarding {
    async fn start(&self) -> Result<()> {
        self.inner.start().await?;
        let (inner, host) = (self.inner.clone(), self.host.clone());
        *self.task.lock() = Some(tokio::spawn(async move {
            loop {
                // A configuration that is loaded anew may open another one.
                match host.find::<Store>(STORE) {
                    Some(store) => {
                        let written = listen(&store);
                        drop(store);
                        forward(written, &inner).await;
                    }
                    None => tokio::time::sleep(PAUSE).await,
                }
            }
        }));
        Ok(())
    }

    async fn export(&self, batch: Batch) -> Result<()> {
        self.inner.export(batch).await
    }

    async fn stop(&self) -> Result<()> {
        if let Some(task) = self.task.lock().take() {
            task.abort();
        }
        self.inner.stop().await
    }
}

/// What is written from now on; ends with the store.
fn listen(store: &Store) -> mpsc::Receiver<Payload> {
    let (put, written) = mpsc::channel(WAITING_MAX);
    let dropped = AtomicU64::new(0);
    store.on_written(move |payload| match put.try_send(payload.clone()) {
        Ok(()) => true,
        Err(mpsc::error::TrySendError::Closed(_)) => false,
        Err(mpsc::error::TrySendError::Full(_)) => {
            let before = dropped.fetch_add(1, Ordering::Relaxed);
            if before.is_multiple_of(100) {
                tracing::warn!(
                    dropped_requests = before + 1,
                    "what was written is not sent on: the peer is too slow"
                );
            }
            true
        }
    });
    written
}

async fn forward(mut written: mpsc::Receiver<Payload>, inner: &Delivery) {
    while let Some(payload) = written.recv().await {
        while let Err(error) = inner.export(Batch::new(payload.clone(), Arc::default())).await {
            if !error.kind().is_retryable() {
                tracing::warn!(%error, "what was written is not sent on");
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
