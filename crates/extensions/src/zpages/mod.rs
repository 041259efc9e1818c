// SPDX-License-Identifier: Apache-2.0
//! `zpages`: small pages about the running process, for a person with a terminal or a browser.
//!
//! In: GET on `endpoint` (default `localhost:55679`). Out: HTML without scripts:
//! `/debug/servicez` (version, uptime), `/debug/pipelinez` (what leads where, with the account of
//! each exporter), `/debug/extensionz`, `/debug/featurez` (there are no gates), `/debug/tracez`
//! (how long requests took, by pipeline); with `expvar.enabled` `/debug/expvarz`, the same as
//! text. Only ids and counts are shown, never a setting or telemetry. A page has a row for each
//! configured component, which is its bound.
//! Source: opentelemetry-collector, extension/zpagesextension.

mod html;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use basics::{Error, Result};
use net::listen::{Rules, Serving};
use parking_lot::Mutex;
use pipeline::component::{Context, Extension, ExtensionFactory};
use pipeline::config::shared::{HttpServer, TimeOuts};
use pipeline::config::{Checker, ComponentConfig, Decoded};
use pipeline::host::Host;
use serde::Deserialize;

use crate::serving::{self, ALPN};
use html::{Table, page};

/// The collector's address.
const ENDPOINT: &str = "localhost:55679";

/// A page takes no time.
const DRAIN: Duration = Duration::from_millis(500);

/// The histogram of the runtime that `/debug/tracez` shows.
const LATENCY: &str = "foreglow_pipeline_latency_seconds";

/// What a user writes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to listen.
    #[serde(rename = "..server")]
    pub server: HttpServer,
    /// Numbers as text.
    pub expvar: Expvar,
}

/// Numbers as text.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Expvar {
    /// Whether `/debug/expvarz` is there.
    pub enabled: bool,
}

impl ComponentConfig for Config {
    fn validate(&self, at: &mut Checker<'_>) {
        self.server.validate(at);
    }
}

/// The entry of this type in the component table.
pub fn factory() -> ExtensionFactory {
    ExtensionFactory {
        kind: "zpages",
        aliases: &[],
        signals: &[],
        summary: "small pages about the running process: pipelines, extensions, latencies",
        decode: pipeline::config::decode::<Config>,
        build,
    }
}

fn build(config: Decoded, _: Context) -> Result<Arc<dyn Extension>> {
    let config = config
        .downcast::<Config>()
        .map_err(|_| Error::invalid("zpages was given another component's settings"))?;
    Ok(Arc::new(Zpages { config, serving: Mutex::new(None) }))
}

struct Zpages {
    config: Arc<Config>,
    serving: Mutex<Option<Serving>>,
}

#[async_trait]
impl Extension for Zpages {
    async fn start(&self, host: &Host) -> Result<()> {
        let server = &self.config.server;
        let rules = server.rules("zpages", ALPN, TimeOuts::default())?;
        let listener = host.listeners().bind(&server.address(ENDPOINT)).await?;
        let router = router(host.clone(), self.config.expvar);
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

fn router(host: Host, expvar: Expvar) -> Router {
    let mut router = Router::new()
        .route("/debug/servicez", get(servicez))
        .route("/debug/pipelinez", get(pipelinez))
        .route("/debug/extensionz", get(extensionz))
        .route("/debug/featurez", get(featurez))
        .route("/debug/tracez", get(tracez));
    if expvar.enabled {
        router = router.route("/debug/expvarz", get(expvarz));
    }
    router.with_state(host)
}

/// Which pipeline to show alone.
#[derive(Debug, Default, Deserialize)]
struct Wanted {
    pipelinenamez: Option<String>,
}

async fn servicez(State(host): State<Host>) -> Html<String> {
    let overview = host.overview();
    let uptime = match host.health().ready_since() {
        Some(since) => {
            let nanos = host.clock().now().saturating_sub(since);
            basics::duration::format(Duration::from_secs(nanos / 1_000_000_000))
        }
        None => "not ready".to_owned(),
    };
    let mut table = Table::new(&["", ""]);
    table.row(&["version".into(), env!("CARGO_PKG_VERSION").into()]);
    table.row(&["ready for".into(), uptime]);
    table.row(&["pipelines".into(), overview.pipelines.len().to_string()]);
    table.row(&["extensions".into(), overview.extensions.len().to_string()]);
    page("Service", &table.done())
}

async fn pipelinez(State(host): State<Host>, Query(wanted): Query<Wanted>) -> Html<String> {
    let mut flow = Table::new(&["pipeline", "receivers", "processors", "exporters", "in flight"]);
    let mut account =
        Table::new(&["pipeline", "exporter", "received", "made here", "delivered", "dropped"]);
    let overview = host.overview();
    let is_wanted = |id: &str| wanted.pipelinenamez.as_deref().is_none_or(|name| name == id);
    for it in overview.pipelines.iter().filter(|it| is_wanted(&it.id)) {
        let Some(book) = host.ledger().book(&it.id) else { continue };
        let list = |ids: &[Arc<str>]| ids.join(", ");
        let (receivers, processors) = (list(&it.receivers), list(&it.processors));
        let moving = book.in_flight().to_string();
        flow.row(&[it.id.to_string(), receivers, processors, list(&it.exporters), moving]);
        for exporter in &it.exporters {
            let numbers = [
                book.total_received(),
                book.total_generated(),
                book.count(exporter, pipeline::Fate::Delivered),
                book.dropped_by(exporter),
            ];
            let mut cells = vec![it.id.to_string(), exporter.to_string()];
            cells.extend(numbers.iter().map(u64::to_string));
            account.row(&cells);
        }
    }
    page("Pipelines", &format!("{}<h2>Items</h2>{}", flow.done(), account.done()))
}

async fn extensionz(State(host): State<Host>) -> Html<String> {
    let mut table = Table::new(&["extension"]);
    for id in &host.overview().extensions {
        table.row(&[id.to_string()]);
    }
    page("Extensions", &table.done())
}

async fn featurez() -> Html<String> {
    page("Features", "<p>There are no feature gates.</p>")
}

async fn tracez(State(host): State<Host>) -> Html<String> {
    let mut table = Table::new(&["pipeline", "requests", "mean", "half within", "99 % within"]);
    for (labels, reading) in host.telemetry().histograms(LATENCY) {
        let pipeline = labels.first().map(|(_, value)| value.clone()).unwrap_or_default();
        let mean = if reading.count == 0 { 0.0 } else { reading.sum / reading.count as f64 };
        let within = |part: f64| {
            let rank = (reading.count as f64 * part).ceil() as u64;
            let bound = reading.cumulative.iter().find(|(_, count)| *count >= rank.max(1));
            bound.map_or_else(|| "-".to_owned(), |(bound, _)| format!("{bound} s"))
        };
        table.row(&[
            pipeline,
            reading.count.to_string(),
            format!("{mean:.4} s"),
            within(0.5),
            within(0.99),
        ]);
    }
    page("Requests, from received to delivered", &table.done())
}

async fn expvarz(State(host): State<Host>) -> String {
    host.telemetry().render()
}
