// SPDX-License-Identifier: Apache-2.0
//! The shop of a data plane: six endpoints, each of its own latency class, with its faults switched
//! on from outside.
//!
//! ```text
//! GET  /health         at once
//! GET  /api/products   fast; from the cache four times of five
//! POST /api/orders     medium; reserves stock, then writes the order
//! GET  /api/reports    slow
//! GET  /api/search     anything between
//! POST /api/payments   asks a gateway behind a circuit breaker; some fail
//! GET, PUT /admin/faults   error rate, latency and the gateway's failures, as JSON
//! ```
//! Nothing is kept: orders are numbers.

mod endpoints;
mod faults;
mod instruments;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::routing::{get, post};
use opentelemetry::KeyValue;
use parking_lot::Mutex;

use crate::breaker::Breaker;
use crate::serving;
use crate::telemetry::{Signals, Target, Telemetry};

pub use faults::Faults;

use instruments::Instruments;

/// What a shop is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `deployment.environment.name`: prod, dev, qa or another.
    pub environment: String,
    /// `data_plane_id`.
    pub data_plane_id: String,
    /// `address:port`.
    pub listen: String,
    /// What goes wrong from the start.
    pub faults: Faults,
    /// Where telemetry goes.
    pub target: Target,
}

impl Settings {
    /// As the environment says; `variable` gives the value of one. `ENV` is prod by default, and
    /// decides on the port: 8081 prod, 8082 dev, 8083 qa, 8080 for any other.
    ///
    /// # Errors
    /// When a variable's value is none that makes sense; it is named.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Settings> {
        let environment = variable("ENV").or_else(|| variable("ENVIRONMENT"));
        let environment = environment.unwrap_or_else(|| "prod".to_owned());
        let port = match variable("PORT") {
            Some(port) => port.parse::<u16>().with_context(|| format!("PORT={port}: no port"))?,
            None => match environment.as_str() {
                "prod" => 8081,
                "dev" => 8082,
                "qa" => 8083,
                _ => 8080,
            },
        };
        Ok(Settings {
            data_plane_id: variable("DATA_PLANE_ID")
                .unwrap_or_else(|| format!("dp-{environment}-01")),
            environment,
            listen: format!("127.0.0.1:{port}"),
            faults: Faults::of(&variable)?,
            target: Target::of(variable),
        })
    }
}

/// What all handlers share.
struct Shop {
    settings: Settings,
    telemetry: Arc<Telemetry>,
    instruments: Instruments,
    faults: Mutex<Faults>,
    gateway: Arc<Breaker>,
    random: Mutex<basics::Random>,
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
    let attributes = vec![
        KeyValue::new("deployment.environment.name", settings.environment.clone()),
        KeyValue::new("environment", settings.environment.clone()),
        KeyValue::new("data_plane_id", settings.data_plane_id.clone()),
    ];
    let signals = Signals::given();
    let telemetry = Telemetry::start("api-service", attributes, &settings.target, signals)?;
    let shop = Arc::new(Shop {
        instruments: Instruments::new(&telemetry.meter),
        faults: Mutex::new(settings.faults.clone()),
        gateway: Arc::default(),
        random: Mutex::new(basics::Random::from_os()),
        telemetry: telemetry.clone(),
        settings,
    });
    instruments::watch_breaker(&telemetry.meter, shop.gateway.clone());
    let routes = Router::new()
        .route("/health", get(endpoints::health))
        .route("/api/products", get(endpoints::products))
        .route("/api/orders", post(endpoints::orders))
        .route("/api/reports", get(endpoints::reports))
        .route("/api/search", get(endpoints::search))
        .route("/api/payments", post(endpoints::payments))
        .route("/admin/faults", get(faults::show).put(faults::change))
        .with_state(shop);
    ready(listener.local_addr()?);
    let served = serving::serve(routes, listener, "", telemetry.clone(), stop).await;
    telemetry.end().await;
    served
}
