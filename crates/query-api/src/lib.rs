// SPDX-License-Identifier: Apache-2.0
//! HTTP handlers over the store: the Prometheus API, Jaeger's and our own.
//!
//! In: requests on one listener (who may talk to it is the listener's business). Out: JSON.
//! [`routes`] gives the router; nothing here binds a port. `store` knows no PromQL and `promql` no
//! store: [`source`] is where they meet.

pub mod answer;
mod encoding;
pub mod jaeger;
mod logs;
mod own;
pub mod params;
mod prometheus;
pub mod rules;
pub mod source;
mod stream;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use basics::{Clock, UnixNano};
use pipeline::host::Host;
use promql::Limits;
use store::Store;

use crate::answer::Failure;
use crate::source::{Index, Source};

/// What the handlers work on; clone = refcounts.
#[derive(Clone)]
pub struct Api {
    /// The process's shared things: ledger, health, telemetry.
    pub host: Host,
    /// Time.
    pub clock: Clock,
    /// When the process started.
    pub started: UnixNano,
    /// Version of the binary.
    pub version: &'static str,
    /// Bounds of every query.
    pub limits: Limits,
    /// Whether series may be deleted and snapshots made over the API.
    pub admin: bool,
    /// The store, once some exporter has opened it.
    pub store: Arc<dyn Fn() -> Option<Arc<Store>> + Send + Sync>,
}

impl Api {
    fn store(&self) -> Result<Arc<Store>, Failure> {
        self.opened().map_err(|error| Failure::execution(error.to_string()))
    }

    fn opened(&self) -> basics::Result<Arc<Store>> {
        (self.store)().ok_or_else(|| {
            basics::Error::closed(
                "nothing is stored here: the configuration names no embedded_store exporter, or it is still starting",
            )
        })
    }

    fn source(&self) -> Result<Source, Failure> {
        self.store().map(Source)
    }

    fn index(&self) -> Result<Index, Failure> {
        self.store().map(Index)
    }

    fn is_ready(&self) -> bool {
        self.host.health().ready_since().is_some()
    }
}

/// All routes.
pub fn routes(api: Api) -> Router {
    let all = prometheus::routes().merge(jaeger::routes()).merge(own::routes());
    all.merge(logs::routes()).with_state(api)
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(Failure::internal(format!("the query failed unexpectedly: {e}"))))
}
