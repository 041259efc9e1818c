// SPDX-License-Identifier: Apache-2.0
//! Exporter `prometheus`: a page that Prometheus pulls.
//!
//! In: metrics. Out: the last value of every series at `GET /metrics`, as Prometheus' text or as
//! OpenMetrics. Names and labels are those of remote write and of the store (`otlp-series`), with
//! scope labels always. Deltas are added up, stale series go at once, others after
//! `metric_expiration`. A batch is taken when it is in the table; what has no place there is
//! counted and left out. Bounds: `table::SERIES_MAX`, and those of the translator's cache.

mod accept;
mod config;
mod page;
mod server;
mod table;
#[cfg(test)]
mod tests;
mod text;

use std::sync::Arc;
use std::time::Duration;

use ::net::listen::Serving;
use async_trait::async_trait;
use basics::{Error, Result};
use otlp_wire::Signal;
use parking_lot::Mutex;
use pipeline::component::ExporterFactory;
use pipeline::config::shared::{Auth, HttpServer};
use pipeline::telemetry::{Counter, Gauge};
use pipeline::{Batch, Context, Exporter, Host};

pub use config::Config;

use crate::delivery::{Delivery, DeliverySettings, Push, Pushed};
use page::Pages;
use server::Offer;

/// How the component table makes it.
pub fn factory() -> ExporterFactory {
    ExporterFactory {
        kind: "prometheus",
        aliases: &[],
        signals: &[Signal::Metrics],
        summary: "a page of metrics that Prometheus pulls",
        decode: pipeline::config::decode::<Config>,
        build: |config, context| {
            let config = config.downcast::<Config>().map_err(|_| {
                Error::invalid("exporter prometheus got another component's settings")
            })?;
            Ok(Arc::new(Pull::new(&config, &context)))
        },
    }
}

/// The exporter.
pub struct Pull {
    endpoint: String,
    http: HttpServer,
    host: Host,
    offer: Offer,
    pages: Arc<Pages>,
    delivery: Delivery,
    server: Mutex<Option<Serving>>,
}

impl Pull {
    /// The exporter as configured; listens from [`Exporter::start`] on.
    pub fn new(config: &Config, context: &Context) -> Self {
        let pages = Arc::new(Pages::new(config, context.clock.clone()));
        let telemetry = context.host.telemetry();
        let labels = [("exporter", &*context.id)];
        let refused = telemetry.counter(
            "foreglow_exporter_prometheus_refused_points_total",
            "Points that have no place on the page: conflicting type, too many series, and the like.",
            &labels,
        );
        let queue = config.sending_queue.as_ref().and_then(crate::settings::queue);
        let settings = DeliverySettings { timeout: Duration::ZERO, retry: None, queue };
        let series =
            telemetry.gauge("foreglow_exporter_prometheus_series", "Series on the page.", &labels);
        let table = Filling { pages: pages.clone(), refused, series };
        Pull {
            endpoint: config.endpoint().to_owned(),
            http: config.server.clone(),
            host: context.host.clone(),
            offer: Offer { open_metrics: config.enable_open_metrics, utf8: config.utf8() },
            pages,
            delivery: Delivery::new(context, settings, table),
            server: Mutex::new(None),
        }
    }
}

#[async_trait]
impl Exporter for Pull {
    async fn start(&self) -> Result<()> {
        let find = |auth: &Auth| self.host.authenticators().server(&auth.authenticator);
        let auth = self.http.auth.as_ref().map(find).transpose()?;
        let pages = self.pages.clone();
        let (sockets, endpoint) = (self.host.listeners(), &self.endpoint);
        let served = server::serve(sockets, &self.http, endpoint, auth, pages, self.offer).await?;
        *self.server.lock() = Some(served);
        self.delivery.start().await
    }

    async fn export(&self, batch: Batch) -> Result<()> {
        self.delivery.export(batch).await
    }

    async fn stop(&self) -> Result<()> {
        let stopped = self.delivery.stop().await;
        let served = self.server.lock().take();
        if let Some(served) = served {
            served.stop().await;
        }
        stopped
    }
}

/// Puts batches into the table.
struct Filling {
    pages: Arc<Pages>,
    refused: Counter,
    series: Gauge,
}

#[async_trait]
impl Push for Filling {
    async fn push(&self, batch: &Batch) -> Result<Pushed> {
        let report = self.pages.take(&batch.payload);
        self.series.set(self.pages.len() as f64);
        let refused = report.refused.total();
        if refused == 0 {
            return Ok(Pushed::default());
        }
        self.refused.add(refused);
        let reasons = report.refused.iter();
        let reasons: Vec<String> =
            reasons.map(|(reason, count)| format!("{} {count}", reason.name())).collect();
        Ok(Pushed { rejected: refused, message: format!("not shown: {}", reasons.join(", ")) })
    }
}
