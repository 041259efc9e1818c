// SPDX-License-Identifier: Apache-2.0
//! `health_check`: one address that says whether all pipelines run.
//!
//! In: any HTTP request to `path` (with `/`, the default, to any path) on `endpoint`, default
//! `localhost:13133`. Out: 200 while all pipelines run, 503 before and after; the JSON of the
//! collector, or the texts of `response_body`. Starts before the pipelines and stops after them.
//! `ready` below `path` also says 503 while a sending queue is full: for load balancers, which
//! should send elsewhere then; not for a probe that restarts the process, which would lose what
//! the queue holds.
//! Source: opentelemetry-collector-contrib, extension/healthcheckextension.

#[cfg(test)]
mod tests;
pub mod v2;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use basics::{Clock, Error, Result, UnixNano};
use net::listen::{Rules, Serving};
use parking_lot::Mutex;
use pipeline::Health;
use pipeline::component::{Context, Extension, ExtensionFactory};
use pipeline::config::shared::{HttpServer, TimeOuts};
use pipeline::config::{Checker, ComponentConfig, Decoded};
use pipeline::host::Host;
use pipeline::telemetry::{Labels, Telemetry};
use serde::Deserialize;

use crate::serving::{self, ALPN};

/// The collector's address.
const ENDPOINT: &str = "localhost:13133";

/// An answer takes no time; a probe that hangs must not hold up the stop.
const DRAIN: Duration = Duration::from_millis(500);

/// What a user writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to listen.
    #[serde(rename = "..server")]
    pub server: HttpServer,
    /// The path that answers; `/` = every path.
    pub path: String,
    /// Texts instead of the JSON.
    pub response_body: Option<ResponseBody>,
    check_collector_pipeline: Pipelines,
}

/// Texts to answer with.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ResponseBody {
    /// While all pipelines run.
    pub healthy: String,
    /// Else.
    pub unhealthy: String,
}

/// A check of exporters that the collector has deprecated.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Pipelines {
    enabled: bool,
    interval: serde::de::IgnoredAny,
    exporter_failure_threshold: serde::de::IgnoredAny,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            server: HttpServer::default(),
            path: "/".to_owned(),
            response_body: None,
            check_collector_pipeline: Pipelines::default(),
        }
    }
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        self.server.validate(at);
        if !self.path.starts_with('/') {
            at.error("path", "path must start with /");
        }
        if self.check_collector_pipeline.enabled {
            at.key("check_collector_pipeline").no_effect("enabled", "ask .../ready about queues");
        }
    }
}

/// The entry of this type in the component table.
pub fn factory() -> ExtensionFactory {
    ExtensionFactory {
        kind: "health_check",
        aliases: &[],
        signals: &[],
        summary: "one address that says whether all pipelines run",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: Decoded, context: Context) -> Result<Arc<dyn Extension>> {
    let config = config
        .downcast::<Config>()
        .map_err(|_| Error::invalid("health_check was given another component's settings"))?;
    Ok(made(config, context))
}

fn made(config: Arc<Config>, context: Context) -> Arc<dyn Extension> {
    Arc::new(HealthCheck { config, clock: context.clock, serving: Mutex::new(None) })
}

struct HealthCheck {
    config: Arc<Config>,
    clock: Clock,
    serving: Mutex<Option<Serving>>,
}

#[async_trait]
impl Extension for HealthCheck {
    async fn start(&self, host: &Host) -> Result<()> {
        let server = &self.config.server;
        let rules = server.rules("health_check", ALPN, TimeOuts::default())?;
        let listener = host.listeners().bind(&server.address(ENDPOINT)).await?;
        let probe = Probe {
            config: self.config.clone(),
            clock: self.clock.clone(),
            health: host.health().clone(),
            telemetry: host.telemetry().clone(),
        };
        let router = axum::Router::new().fallback(answer).with_state(Arc::new(probe));
        let router = serving::behind(server.auth.as_ref(), host, router)?;
        let rules = Rules { drain: DRAIN, ..rules };
        *self.serving.lock() = Some(serving::serve(listener, rules, router)?);
        Ok(())
    }

    async fn stop(&self) -> Result<()> {
        let serving = self.serving.lock().take();
        if let Some(serving) = serving {
            serving.stop().await;
        }
        Ok(())
    }
}

/// What an answer is made of.
struct Probe {
    config: Arc<Config>,
    clock: Clock,
    health: Health,
    telemetry: Telemetry,
}

impl Probe {
    /// True if `path` asks for readiness.
    fn is_ready_path(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.config.path.trim_end_matches('/'));
        below == Some("/ready")
    }

    /// The sending queues that are full, as `exporter (signal)`.
    fn full_queues(&self) -> Vec<String> {
        let capacities = self.telemetry.series("otelcol_exporter_queue_capacity");
        let sizes = self.telemetry.series("otelcol_exporter_queue_size");
        let is_full = |(labels, size): &&(Labels, f64)| {
            let of_it = capacities.iter().find(|(other, _)| other == labels);
            of_it.is_some_and(|(_, capacity)| *capacity > 0.0 && size >= capacity)
        };
        let full = sizes.iter().filter(is_full);
        let value = |labels: &Labels, key| {
            labels.iter().find(|(k, _)| *k == key).map_or("", |(_, v)| v.as_str()).to_owned()
        };
        full.map(|(labels, _)| {
            format!("{} ({})", value(labels, "exporter"), value(labels, "data_type"))
        })
        .collect()
    }
}

async fn answer(State(probe): State<Arc<Probe>>, request: Request) -> Response {
    let path = &probe.config.path;
    let asks_ready = probe.is_ready_path(request.uri().path());
    if path != "/" && request.uri().path() != path && !asks_ready {
        return StatusCode::NOT_FOUND.into_response();
    }
    let full = if asks_ready { probe.full_queues() } else { Vec::new() };
    let ready_since = probe.health.ready_since().filter(|_| full.is_empty());
    let status = match ready_since {
        Some(_) => StatusCode::OK,
        None => StatusCode::SERVICE_UNAVAILABLE,
    };
    let body = match (&probe.config.response_body, ready_since) {
        (Some(texts), Some(_)) => texts.healthy.clone(),
        (Some(texts), None) => texts.unhealthy.clone(),
        (None, None) if !full.is_empty() => {
            // Ids have no quotes: they are printable and the signal is ours.
            let queues: Vec<String> = full.iter().map(|it| format!("{it:?}")).collect();
            format!("{{\"status\":\"Queue full\",\"queues\":[{}]}}", queues.join(","))
        }
        (None, ready_since) => status_json(ready_since, probe.clock.now()),
    };
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The collector's answer; before the start Go's zero time stands for the time.
fn status_json(ready_since: Option<UnixNano>, now: UnixNano) -> String {
    let (status, since, uptime) = match ready_since {
        Some(since) => {
            let uptime = Duration::from_nanos(now.saturating_sub(since));
            let since = jiff::Timestamp::from_nanosecond(i128::from(since)).unwrap_or_default();
            ("Server available", since.to_string(), basics::duration::format(uptime))
        }
        None => ("Server not available", "0001-01-01T00:00:00Z".to_owned(), String::new()),
    };
    format!("{{\"status\":\"{status}\",\"upSince\":\"{since}\",\"uptime\":\"{uptime}\"}}")
}
