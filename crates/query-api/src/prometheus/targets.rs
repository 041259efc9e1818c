// SPDX-License-Identifier: Apache-2.0
//! What is scraped: targets, their pools, and what is known of their metrics.

use std::collections::BTreeSet;

use axum::extract::State;
use pipeline::scrapes::{Scrape, Scrapes};
use serde_json::{Map, Value, json};

use super::{Answer, Handler, blocking, status};
use crate::Api;
use crate::answer::success;
use crate::params::Params;

fn all(api: &Api) -> Vec<Scrape> {
    Scrapes::find(&api.host).map_or_else(Vec::new, |scrapes| scrapes.list())
}

/// `/api/v1/targets`: `state` (`active`, `dropped`, `any`), `scrapePool`.
pub async fn targets((State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let (state, pool) = (params.get("state").to_lowercase(), params.get("scrapePool"));
    let mut data = Map::new();
    if state != "dropped" {
        let wanted = all(&api).into_iter().filter(|s| pool.is_empty() || *s.pool == *pool);
        data.insert("activeTargets".into(), wanted.map(|scrape| target(&scrape)).collect());
    } else {
        data.insert("activeTargets".into(), json!([]));
    }
    data.insert("droppedTargets".into(), json!([]));
    // Nobody counts them where none are asked for.
    let counts = if state == "active" { Value::Null } else { json!({}) };
    data.insert("droppedTargetCounts".into(), counts);
    Ok(success(&Value::Object(data).to_string()))
}

fn target(scrape: &Scrape) -> Value {
    let text = basics::duration::format;
    let (health, error) = match (&scrape.error, scrape.last) {
        (_, 0) => ("unknown", ""),
        (None, _) => ("up", ""),
        (Some(error), _) => ("down", error.as_str()),
    };
    json!({
        "discoveredLabels": labels(&scrape.discovered),
        "labels": labels(&scrape.labels),
        "scrapePool": scrape.pool,
        "scrapeUrl": scrape.url,
        "globalUrl": scrape.url,
        "lastError": error,
        "lastScrape": status::time(scrape.last),
        "lastScrapeDuration": scrape.seconds,
        "health": health,
        "scrapeInterval": text(scrape.interval),
        "scrapeTimeout": text(scrape.timeout),
    })
}

fn labels(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect()
}

/// `/api/v1/scrape_pools`.
pub async fn pools((State(api), _): Handler) -> Answer {
    let pools: BTreeSet<String> =
        all(&api).into_iter().map(|scrape| scrape.pool.to_string()).collect();
    Ok(success(&json!({ "scrapePools": pools }).to_string()))
}

/// `/api/v1/targets/metadata`: `match_target`, `metric`, `limit`. Types and help are kept for each
/// metric, not for each target: every target that fits is told all of them.
pub async fn metadata((State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let limit = params.limit()?.unwrap_or(usize::MAX);
    let matchers = match params.get("match_target") {
        "" => Vec::new(),
        text => super::selector("match_target", text)?,
    };
    let metric = params.get("metric").to_owned();
    let fits = |scrape: &Scrape| {
        matchers.iter().all(|m| {
            let value = scrape.labels.iter().find(|(name, _)| **name == *m.name);
            m.matches(value.map_or("", |(_, value)| value))
        })
    };
    let targets: Vec<Scrape> = all(&api).into_iter().filter(fits).collect();
    let index = api.index()?;
    let known = blocking(move || Ok(index.metadata())).await?;
    let mut data = Vec::new();
    'all: for scrape in &targets {
        for entry in known.iter().filter(|entry| metric.is_empty() || entry.metric == metric) {
            if data.len() >= limit {
                break 'all;
            }
            let mut one = json!({
                "target": labels(&scrape.labels), "type": entry.kind, "help": entry.help,
                "unit": entry.unit,
            });
            if metric.is_empty() {
                one["metric"] = json!(entry.metric);
            }
            data.push(one);
        }
    }
    Ok(success(&Value::Array(data).to_string()))
}
