// SPDX-License-Identifier: Apache-2.0
//! An AI inference service: `POST /predict`, batched, with its telemetry.
//!
//! ```text
//! POST /predict {"features": [0.5, 1.5, 2.0]}
//!   -> {"prediction": 4.0, "model_name": "simple-linear-demo", "latency_ms": 100, "trace_id": ".."}
//! GET  /health -> {"status": "ok", "env": "local", "tracing_enabled": true}
//! ```
//! KServe v2 by REST and gRPC on the same port: [`kserve`].
//! The model adds the features up and takes `DEFAULT_LATENCY_MS`. Wrong input is 422 with the place
//! of each mistake; more than the queue holds is 429 with Retry-After ([`batching`]).

mod batching;
mod kserve;
mod lab;
mod predict;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use opentelemetry::KeyValue;

use crate::serving;
use crate::telemetry::{Signals, Target, Telemetry};

use batching::Batcher;
use lab::Lab;

/// Name and version of the model.
const MODEL: (&str, &str) = ("simple-linear-demo", "1");

/// What the service is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `APP_ENV`: told by `/health`, and `deployment.environment.name`.
    pub environment: String,
    /// `address:port`.
    pub listen: String,
    /// How long the model takes for a batch. `DEFAULT_LATENCY_MS`, 100 if unset.
    pub latency: Duration,
    /// Most requests of one batch. `MAX_BATCH_SIZE`, 32 if unset.
    pub batch_max: usize,
    /// Where telemetry goes.
    pub target: Target,
}

impl Settings {
    /// As the environment says; `variable` gives the value of one.
    ///
    /// # Errors
    /// When a variable's value is none that makes sense; it is named.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Settings> {
        let number = |name: &str, usual: u64, range: std::ops::RangeInclusive<u64>| {
            let Some(text) = variable(name) else { return Ok(usual) };
            let number: u64 = text.trim().parse().with_context(|| format!("{name}={text}"))?;
            if !range.contains(&number) {
                bail!("{name}={text}: not between {} and {}", range.start(), range.end());
            }
            Ok(number)
        };
        Ok(Settings {
            environment: variable("APP_ENV").unwrap_or_else(|| "local".to_owned()),
            listen: format!("127.0.0.1:{}", number("PORT", 9000, 0..=65535)?),
            latency: Duration::from_millis(number("DEFAULT_LATENCY_MS", 100, 0..=60_000)?),
            batch_max: number("MAX_BATCH_SIZE", 32, 1..=4096)? as usize,
            target: Target::of(&variable),
        })
    }
}

/// What all handlers share.
struct Service {
    settings: Settings,
    telemetry: Arc<Telemetry>,
    lab: Lab,
    batcher: Batcher,
}

/// Serves until `stop` resolves and what is being served has ended; calls `ready` with the address
/// when it listens.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn run(
    settings: Settings,
    ready: impl FnOnce(std::net::SocketAddr),
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let listener = serving::listen(&settings.listen).await?;
    let attributes =
        vec![KeyValue::new("deployment.environment.name", settings.environment.clone())];
    let (name, signals) = ("ai-inference-service", Signals::given());
    let telemetry = Telemetry::start(name, attributes, &settings.target, signals)?;
    let service = Arc::new(Service {
        lab: Lab::new(&telemetry.meter),
        batcher: Batcher::start(settings.latency, settings.batch_max, &telemetry.meter),
        telemetry: telemetry.clone(),
        settings,
    });
    let routes = Router::new()
        .route("/health", get(predict::health))
        .route("/predict", post(predict::predict))
        .merge(kserve::routes())
        .layer(from_fn_with_state(service.clone(), lab::watch))
        .with_state(service);
    ready(listener.local_addr()?);
    let served = serving::serve(routes, listener, "HTTP ", telemetry.clone(), stop).await;
    telemetry.end().await;
    served
}
