// SPDX-License-Identifier: Apache-2.0
//! What Grafana asks, from `interop/grafana.json`, which a real Prometheus and a real Jaeger answer
//! likewise in `make interop`.

use super::*;

const REQUESTS: &str = include_str!("../../../../interop/grafana.json");

/// A counter with an exemplar, and a trace of two services.
fn payloads() -> [otlp_wire::Payload; 2] {
    let mut w = write::Metrics::new();
    w.resource(|r| r.str("service.name", "shop"));
    w.sum("orders", "", "orders taken", Temporality::Cumulative, true, |p| {
        for n in 0..3 {
            p.start(NOW - 60_000_000_000);
            p.int(NOW - (2 - n) * 15_000_000_000, n as i64 * 30, |a| a.str("http.route", "/o"));
            p.exemplar(NOW, otlp_wire::Number::Double(1.5), Some(([1; 16], [2; 8])), |_| ());
        }
    });
    let mut t = write::Traces::new();
    let root = write::Span {
        trace_id: [1; 16],
        span_id: [2; 8],
        name: "GET /",
        kind: otlp_wire::SpanKind::Client,
        start: NOW - 2_000_000,
        end: NOW,
        ..Default::default()
    };
    t.resource(|r| r.str("service.name", "web"));
    t.span(&root, |a| a.int("http.status_code", 200));
    t.resource(|r| r.str("service.name", "shop"));
    let child = write::Span {
        span_id: [3; 8],
        parent_span_id: Some([2; 8]),
        name: "order",
        kind: otlp_wire::SpanKind::Server,
        ..root
    };
    t.span(&child, |_| ());
    [w.finish(), t.finish()]
}

fn filled(text: &str) -> String {
    let mut out = text.to_owned();
    for (name, value) in [
        // Longer names first: `$start` begins `$start_us`.
        ("$start_us", ((NOW_S - 3600) * 1_000_000).to_string()),
        ("$end_us", (NOW_S * 1_000_000).to_string()),
        ("$end_ms", (NOW_S * 1000).to_string()),
        ("$start", (NOW_S - 3600).to_string()),
        ("$end", NOW_S.to_string()),
        ("$now", NOW_S.to_string()),
        ("$metric", "orders_total".to_owned()),
        ("$service", "web".to_owned()),
        ("$operation", "GET /".to_owned()),
        ("$trace", "01".repeat(16)),
    ] {
        out = out.replace(name, &value);
    }
    out
}

fn encoded(form: &Value) -> String {
    let escape = |text: &str| -> String { text.bytes().map(|b| format!("%{b:02x}")).collect() };
    let pairs = form.as_object().into_iter().flatten();
    let pairs = pairs.map(|(name, value)| {
        format!("{}={}", escape(name), escape(&filled(value.as_str().unwrap_or(""))))
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// Where a value is not what the shape says.
fn differs(shape: &Value, value: &Value, at: &str) -> Option<String> {
    let wrong = || Some(format!("{at}: {value} is not {shape}"));
    let is = |fits: bool| if fits { None } else { wrong() };
    match shape {
        Value::String(kind) => is(match kind.as_str() {
            "any" => true,
            "string" => value.is_string(),
            "number" => value.is_number(),
            "bool" => value.is_boolean(),
            "decimal" => {
                let text = value.as_str().unwrap_or("");
                text.parse::<f64>().is_ok() || matches!(text, "+Inf" | "-Inf" | "NaN")
            }
            "time" => value.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
            _ => false,
        }),
        Value::Array(rule) => match (rule[0].as_str(), value.as_array()) {
            (Some("="), _) => is(rule[1] == *value),
            (Some("|"), _) => {
                let mut all = rule[1..].iter().map(|shape| differs(shape, value, at));
                is(all.any(|found| found.is_none()))
            }
            (Some("*"), Some(list)) => {
                list.iter().find_map(|item| differs(&rule[1], item, &format!("{at}[]")))
            }
            // A pair, as points are.
            (_, Some(pair)) if rule.len() > 1 => match pair.len() == rule.len() {
                true => rule.iter().zip(pair).find_map(|(s, v)| differs(s, v, &format!("{at}()"))),
                false => wrong(),
            },
            (_, Some(list)) if !list.is_empty() => {
                list.iter().find_map(|item| differs(&rule[0], item, &format!("{at}[]")))
            }
            _ => wrong(),
        },
        Value::Object(keys) => {
            let Some(found) = value.as_object() else { return wrong() };
            for (any, may_be_empty) in [("*", false), ("*?", true)] {
                if let Some(shape) = keys.get(any) {
                    if found.is_empty() && !may_be_empty {
                        return wrong();
                    }
                    return found.iter().find_map(|(k, v)| differs(shape, v, &format!("{at}.{k}")));
                }
            }
            let name = |key: &str| key.trim_end_matches('?').to_owned();
            if let Some(key) = keys.keys().find(|k| !k.ends_with('?') && !found.contains_key(*k)) {
                return Some(format!("{at}: {key} is missing in {value}"));
            }
            let open = keys.contains_key("...?");
            let unknown = |k: &&String| !keys.keys().any(|key| name(key) == **k);
            if let Some(key) = found.keys().find(unknown).filter(|_| !open) {
                return Some(format!("{at}: {key} is unknown to Grafana"));
            }
            keys.iter().find_map(|(key, shape)| {
                let key = name(key);
                found.get(&key).and_then(|v| differs(shape, v, &format!("{at}.{key}")))
            })
        }
        other => is(other == value),
    }
}

#[tokio::test]
async fn what_grafana_asks_is_answered_as_it_expects() {
    let folder = tempfile::tempdir().expect("temp dir");
    let (router, _) = api_with(folder.path(), &payloads());
    let requests: Value = serde_json::from_str(REQUESTS).expect("JSON");
    let (mut asked, mut wrong) = (0, Vec::new());
    for source in ["prometheus", "jaeger"] {
        for request in requests[source].as_array().expect("requests") {
            let moment = request["moment"].as_str().expect("a name");
            let form = encoded(&request["form"]);
            let (status, body) = match request["get"].as_str() {
                Some(path) => get(&router, &format!("{}?{form}", filled(path))).await,
                None => post(&router, request["post"].as_str().expect("path"), &form).await,
            };
            let expected = request["status"].as_u64().unwrap_or(200);
            if u64::from(status) != expected {
                wrong.push(format!("{moment}: {status}, not {expected}: {body}"));
            }
            let text = request["text"].as_str().unwrap_or("");
            if !text.is_empty() && !body.as_str().is_some_and(|body| body.contains(text)) {
                wrong.push(format!("{moment}: {body} does not say {text:?}"));
            }
            if let Some(shape) = request.get("is") {
                wrong.extend(differs(shape, &body, moment));
            }
            asked += 1;
        }
    }
    assert!(asked > 50 && wrong.is_empty(), "{asked} asked:\n{}", wrong.join("\n"));
}
