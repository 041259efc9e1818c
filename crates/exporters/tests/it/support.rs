// SPDX-License-Identifier: Apache-2.0
//! Exporters of each kind, pointed at a back end.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use basics::Clock;
use otlp_wire::Signal;
use pipeline::{Budget, Context, Exporter, Host};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A context for `signal` with its own host.
pub fn context(signal: Signal, data: &Path) -> Context {
    let host = Host::with(data.to_owned(), Clock::system(), Budget::new(64 << 20));
    Context { id: "test".into(), signal, pipeline: "".into(), clock: Clock::system(), host }
}

/// Settings from JSON; the keys under `client` stand among the others in YAML.
pub fn config<T: DeserializeOwned>(client: Value, more: Value) -> T {
    let mut all = json!({"..client": client});
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        all[key] = value;
    }
    serde_json::from_value(all).expect("valid")
}

/// Retries quickly and gives up after 30 s.
pub fn quick_retry() -> Value {
    json!({"initial_interval": "5ms", "max_interval": "20ms", "max_elapsed_time": "30s"})
}

/// The kinds of network exporters.
pub const KINDS: [&str; 4] = ["otlp", "otlphttp", "otlphttp json", "prometheusremotewrite"];

/// An exporter of `kind` for metrics; `more` are further keys.
pub fn exporter(kind: &str, to: SocketAddr, more: Value) -> Arc<dyn Exporter> {
    let context = context(Signal::Metrics, &std::env::temp_dir());
    let mut keys = json!({"retry_on_failure": quick_retry()});
    for (key, value) in more.as_object().cloned().unwrap_or_default() {
        keys[key] = value;
    }
    let url = format!("http://{to}");
    match kind {
        "otlp" => {
            let client = json!({"endpoint": to.to_string(), "tls": {"insecure": true}});
            let built = exporters::otlp::build(&config(client, keys), &context);
            Arc::new(built.expect("valid"))
        }
        "otlphttp" | "otlphttp json" => {
            if kind.ends_with("json") {
                keys["encoding"] = json!("json");
            }
            let built =
                exporters::otlphttp::build(&config(json!({"endpoint": url}), keys), &context);
            Arc::new(built.expect("valid"))
        }
        _ => {
            let client = json!({"endpoint": format!("{url}/api/v1/write")});
            let built = exporters::prometheusremotewrite::build(&config(client, keys), &context);
            Arc::new(built.expect("valid"))
        }
    }
}
