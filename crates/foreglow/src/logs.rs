// SPDX-License-Identifier: Apache-2.0
//! Log lines on standard error, by `service.telemetry.logs` or the variable `FOREGLOW_LOG`.

use pipeline::config::LogsTelemetry;
use tracing_subscriber::EnvFilter;

use crate::configuration::use_color;

/// Libraries that talk at `debug` about every frame.
const QUIET: &str = "h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn";

/// Starts logging; `FOREGLOW_LOG` (`debug`, `receivers=trace`) goes before the configuration.
pub fn start(settings: &LogsTelemetry) {
    let filter = match std::env::var("FOREGLOW_LOG") {
        Ok(filter) if !filter.is_empty() => filter,
        _ => format!("{},{QUIET}", settings.level),
    };
    let filter = EnvFilter::new(filter);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if settings.json {
        lines.json().init();
    } else {
        lines.with_ansi(use_color()).init();
    }
}
