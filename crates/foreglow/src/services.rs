// SPDX-License-Identifier: Apache-2.0
//! `foreglow demo shop|inference|worker`: a service to watch, as a process of its own.

use anyhow::Result;
use tracing_subscriber::EnvFilter;

use crate::cli::{Options, Service};
use crate::configuration::use_color;
use crate::stop;

/// What is logged unless `FOREGLOW_LOG` says otherwise: of the SDK only what went wrong.
const FILTER: &str = "info,opentelemetry=warn,opentelemetry_sdk=warn,opentelemetry_otlp=warn";

/// Serves until SIGINT or SIGTERM.
pub fn run(options: &Options, service: &Service) -> Result<()> {
    let filter = EnvFilter::try_from_env("FOREGLOW_LOG").unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(use_color())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stopped = stop::flag(|| ())?;
        let stop = async move {
            // It fails only at the end of the process.
            let _ = stopped.wait_for(|stopped| *stopped).await;
            tracing::info!("Stopping; once more to stop at once.");
        };
        let ready = |address| tracing::info!("Listening on http://{address}");
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match service {
            Service::Shop(how) => {
                let given = |name: &str| match (name, &how.environment) {
                    ("ENV", Some(environment)) => Some(environment.clone()),
                    _ => variable(name),
                };
                let mut settings = demo::shop::Settings::of(given)?;
                settings.listen = options.listen.clone().unwrap_or(settings.listen);
                demo::shop::run(settings, ready, stop).await
            }
            Service::Inference => {
                let mut settings = demo::inference::Settings::of(variable)?;
                settings.listen = options.listen.clone().unwrap_or(settings.listen);
                demo::inference::run(settings, ready, stop).await
            }
            Service::Worker => demo::worker::run(demo::worker::Settings::of(variable)?, stop).await,
        }
    })
}
