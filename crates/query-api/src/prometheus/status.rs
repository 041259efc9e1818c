// SPDX-License-Identifier: Apache-2.0
//! What the server says about itself.

use axum::extract::State;
use axum::http::StatusCode;

use super::{Answer, Handler};
use crate::Api;
use crate::answer::{string, success};

/// The Prometheus version whose API and language we follow; clients pick features by it.
const PROMETHEUS_VERSION: &str = "3.5.0";

/// `/api/v1/status/buildinfo`. No `features` key: Grafana takes a server that has one for Mimir.
pub async fn build_info((State(api), _): Handler) -> Answer {
    let mut data = String::from("{\"version\":");
    string(&mut data, PROMETHEUS_VERSION);
    data.push_str(",\"revision\":");
    string(&mut data, &format!("foreglow-{}", api.version));
    data.push_str(r#","branch":"main","buildUser":"","buildDate":"","goVersion":""}"#);
    Ok(success(&data))
}

/// `/api/v1/status/runtimeinfo`.
pub async fn runtime_info((State(api), _): Handler) -> Answer {
    let series = api.index().map_or(0, |index| index.series_count());
    let start = jiff::Timestamp::from_nanosecond(i128::from(api.started)).unwrap_or_default();
    Ok(success(&format!(
        "{{\"startTime\":\"{start}\",\"CWD\":\"\",\"reloadConfigSuccess\":true,\"lastConfigTime\":\"{start}\",\"timeSeriesCount\":{series},\"corruptionCount\":0,\"goroutineCount\":0,\"GOMAXPROCS\":0,\"GOGC\":\"\",\"GODEBUG\":\"\",\"storageRetention\":\"24h\"}}"
    )))
}

/// `/api/v1/rules`: there are none yet.
pub async fn no_rules() -> Answer {
    Ok(success(r#"{"groups":[]}"#))
}

/// `/api/v1/alerts`: there are none yet.
pub async fn no_alerts() -> Answer {
    Ok(success(r#"{"alerts":[]}"#))
}

/// `/-/healthy`: the process answers.
pub async fn healthy() -> &'static str {
    "Foreglow is Healthy.\n"
}

/// `/-/ready`: 200 when the log has been replayed and the pipelines run, 503 before.
pub async fn ready(State(api): State<Api>) -> (StatusCode, &'static str) {
    if api.is_ready() {
        (StatusCode::OK, "Foreglow is Ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "Foreglow is starting.\n")
    }
}
