// SPDX-License-Identifier: Apache-2.0
//! `/api/v1/query_exemplars`: the exemplars of all series that a query's selectors name.
//!
//! `[{"seriesLabels":{..},"exemplars":[{"labels":{..},"value":"1","timestamp":1.5}]}]`, ascending by
//! labels, then time. A query without a selector is answered
//! by 204, as in Prometheus.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use basics::labels::{Labels, Matcher};
use promql::ast::{Expr, ExprKind};
use store::Exemplar;

use super::{Answer, Handler, blocking};
use crate::answer::{self, Failure, success};
use crate::params::{Params, TIME_MS_MAX, TIME_MS_MIN};

/// `query`, `start`, `end`.
pub async fn list((State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let (start, end) = (params.time("start", TIME_MS_MIN)?, params.time("end", TIME_MS_MAX)?);
    if end < start {
        return Err(Failure::bad_data("end timestamp must not be before start timestamp"));
    }
    let expr = promql::parse(params.get("query")).map_err(|e| Failure::bad_data(e.to_string()))?;
    let selectors = selectors(&expr);
    if selectors.is_empty() {
        return Ok(answer::no_content());
    }
    let store = api.store()?;
    let data = blocking(move || {
        let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
        for matchers in &selectors {
            // A series that two selectors name is the same both times.
            found.extend(store.exemplars(matchers, start, end)?);
        }
        Ok(written(&found))
    })
    .await?;
    Ok(success(&data))
}

/// The matchers of every selector of a query.
fn selectors(expr: &Expr) -> Vec<Vec<Matcher>> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    expr.walk(&mut |expr| {
        if let ExprKind::Vector(selector) | ExprKind::Matrix { selector, .. } = &expr.kind
            && seen.insert(format!("{:?}", selector.matchers))
        {
            all.push(selector.matchers.clone());
        }
    });
    all
}

fn written(found: &BTreeMap<Labels, Vec<Exemplar>>) -> String {
    let mut out = String::from("[");
    for (series, exemplars) in found {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str("{\"seriesLabels\":");
        answer::labels(&mut out, series);
        out.push_str(",\"exemplars\":[");
        for (at, exemplar) in exemplars.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            out.push_str("{\"labels\":");
            answer::labels(&mut out, &exemplar.labels);
            out.push_str(",\"value\":\"");
            answer::float(&mut out, exemplar.value);
            out.push_str("\",\"timestamp\":");
            answer::timestamp(&mut out, exemplar.time_ms);
            out.push('}');
        }
        out.push_str("]}");
    }
    out.push(']');
    out
}
