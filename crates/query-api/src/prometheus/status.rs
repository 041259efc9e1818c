// SPDX-License-Identifier: Apache-2.0
//! Status pages: version, flags, configuration, the store's sizes, health.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, StatusCode, header};
use basics::UnixNano;
use serde_json::{Value, json};

use super::{Answer, Handler, blocking};
use crate::Api;
use crate::answer::{Failure, string, success};
use crate::params::Params;

/// The Prometheus version whose API and language we follow; clients pick features by it.
const PROMETHEUS_VERSION: &str = "3.5.0";

/// Rows of each list of `/api/v1/status/tsdb` when the request names no limit, and the most.
const CARDINALITY_DEFAULT: usize = 10;
const CARDINALITY_MAX: usize = 10_000;

/// A time as Go writes it in JSON; its zero time for "never".
pub(super) fn time(at: UnixNano) -> String {
    match at {
        0 => "0001-01-01T00:00:00Z".to_owned(),
        at => jiff::Timestamp::from_nanosecond(i128::from(at)).unwrap_or_default().to_string(),
    }
}

fn ok(data: &Value) -> Answer {
    Ok(success(&data.to_string()))
}

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
    let start = time(api.started);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let hostname = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let folder = std::env::current_dir().unwrap_or_default();
    ok(&json!({
        "startTime": start, "CWD": folder.to_string_lossy(), "hostname": hostname.trim(),
        "serverTime": time(api.clock.now()), "reloadConfigSuccess": true, "lastConfigTime": start,
        "timeSeriesCount": series, "corruptionCount": 0, "goroutineCount": 0, "GOMAXPROCS": cores,
        "GOMEMLIMIT": 0, "GOGC": "", "GODEBUG": "", "storageRetention": "",
    }))
}

/// `/api/v1/status/config`: the pipelines that run; secrets of a file are not shown.
pub async fn config((State(api), _): Handler) -> Answer {
    let mut yaml = String::from("service:\n  pipelines:\n");
    for pipeline in &api.host.overview().pipelines {
        yaml.push_str(&format!("    {}:\n", pipeline.id));
        for (key, list) in [
            ("receivers", &pipeline.receivers),
            ("processors", &pipeline.processors),
            ("exporters", &pipeline.exporters),
        ] {
            let ids: Vec<&str> = list.iter().map(|id| &**id).collect();
            yaml.push_str(&format!("      {key}: [{}]\n", ids.join(", ")));
        }
    }
    ok(&json!({ "yaml": yaml }))
}

/// `/api/v1/status/flags`: the few whose meaning is the same here.
pub async fn flags((State(api), _): Handler) -> Answer {
    let seconds =
        |ms: i64| basics::duration::format(std::time::Duration::from_millis(ms.max(0) as u64));
    ok(&json!({
        "query.lookback-delta": seconds(api.limits.lookback_ms),
        "query.max-samples": api.limits.samples_max.to_string(),
        "query.timeout": basics::duration::format(api.limits.timeout),
        "storage.tsdb.path": api.host.data_dir().to_string_lossy(),
        "web.enable-remote-write-receiver": "true",
        "web.enable-otlp-receiver": "true",
        "web.enable-admin-api": api.admin.to_string(),
    }))
}

/// `/api/v1/status/tsdb`: `limit`. How many series there are and what makes them many.
pub async fn tsdb((State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let limit = match params.get("limit") {
        "" => CARDINALITY_DEFAULT,
        text => {
            text.parse().ok().filter(|limit| (1..=CARDINALITY_MAX).contains(limit)).ok_or_else(
                || Failure::parameter("limit", "limit must be a positive number up to 10000"),
            )?
        }
    };
    let store = api.store()?;
    let (series, range, found) = blocking(move || {
        let head = store.head();
        Ok((head.series_count(), head.time_range(), head.cardinality(limit)))
    })
    .await?;
    let rows = |list: &[(String, u64)]| -> Value {
        list.iter().map(|(name, count)| json!({"name": name, "value": count})).collect()
    };
    let (min, max) = range.unwrap_or((i64::MAX, i64::MIN));
    ok(&json!({
        "headStats": {"numSeries": series, "numLabelPairs": found.pairs, "chunkCount": 0, "minTime": min, "maxTime": max},
        "seriesCountByMetricName": rows(&found.series_by_name),
        "labelValueCountByLabelName": rows(&found.values_by_label),
        "memoryInBytesByLabelName": rows(&found.bytes_by_label),
        "seriesCountByLabelValuePair": rows(&found.series_by_pair),
    }))
}

/// `/api/v1/status/tsdb/blocks`: those of other stores cannot be told from ours, so none.
pub async fn blocks((_, _): Handler) -> Answer {
    ok(&json!({ "blocks": [] }))
}

/// `/api/v1/status/walreplay`.
pub async fn replay((State(api), _): Handler) -> Answer {
    let current = u8::from(api.is_ready());
    ok(&json!({ "min": 0, "max": 1, "current": current }))
}

/// `/api/v1/alertmanagers`.
pub async fn alertmanagers((State(api), _): Handler) -> Answer {
    let urls = crate::rules::Board::of(&api.host).alertmanagers();
    let active: Vec<Value> = urls.iter().map(|url| json!({ "url": url })).collect();
    ok(&json!({ "activeAlertmanagers": active, "droppedAlertmanagers": [] }))
}

/// `/api/v1/features`: what of Prometheus' optional parts there is.
pub async fn features((State(api), _): Handler) -> Answer {
    let functions: serde_json::Map<String, Value> =
        promql::functions::FUNCTIONS.iter().map(|f| (f.name.to_owned(), json!(true))).collect();
    let aggregators: serde_json::Map<String, Value> = promql::ast::AggregateOp::ALL
        .iter()
        .map(|(name, _)| ((*name).to_owned(), json!(true)))
        .collect();
    ok(&json!({
        "api": {
            "admin": api.admin, "exclude_alerts": true, "label_values_match": true, "lifecycle": false,
            "otlp_write_receiver": true, "query_stats": true, "query_warnings": true,
            "remote_write_receiver": true, "time_range_labels": true, "time_range_series": true,
        },
        "promql": {"at_modifier": true, "negative_offset": true, "offset": true, "subqueries": true},
        "promql_functions": functions,
        "promql_operators": aggregators,
    }))
}

/// `/api/v1/notifications`: there are none.
pub async fn notifications((_, _): Handler) -> Answer {
    ok(&json!([]))
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

/// Whatever else is asked for below `/api/v1`: the words by which clients know that it is not there.
pub async fn not_found() -> Response<Body> {
    let mut answer = Response::new(Body::from("404 page not found\n"));
    *answer.status_mut() = StatusCode::NOT_FOUND;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    answer
}
