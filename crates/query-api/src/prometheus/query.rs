// SPDX-License-Identifier: Apache-2.0
//! Queries: instant, range, exemplars (none yet), formatting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use promql::{Context, Engine, Limits, QueryError, QueryResult};

use super::{Answer, Handler, blocking, write};
use crate::Api;
use crate::answer::{Failure, string, success, success_with};
use crate::params::Params;

/// `/api/v1/query`: `query`, `time`, `timeout`, `limit`, `lookback_delta`.
pub async fn instant((axum::extract::State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let time = params.time("time", api.clock.now_ms())?;
    let limit = params.limit()?;
    let query = params.get("query").to_owned();
    let (mut result, _guard) = run(&api, &params, move |engine, source, context| {
        engine.instant(source, &query, time, context)
    })
    .await?;
    write::truncate(&mut result, limit);
    let mut data = String::new();
    write::result(&mut data, &result.value, time);
    Ok(success_with(&data, &result.warnings, &result.infos))
}

/// `/api/v1/query_range`: `query`, `start`, `end`, `step`, `timeout`, `limit`.
pub async fn range((axum::extract::State(api), request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let start = params.time_required("start")?;
    let end = params.time_required("end")?;
    if end < start {
        return Err(Failure::parameter("end", "end timestamp must not be before start time"));
    }
    let step = params.duration_required("step")?;
    if step <= 0 {
        let message = "zero or negative query resolution step widths are not accepted. Try a positive integer";
        return Err(Failure::parameter("step", message));
    }
    // A bound of the answer, not of the work: 11,000 points are a week at one minute.
    if (end - start) / step > 11_000 {
        return Err(Failure::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let limit = params.limit()?;
    let query = params.get("query").to_owned();
    let (mut result, _guard) = run(&api, &params, move |engine, source, context| {
        engine.range(source, &query, (start, end), step, context)
    })
    .await?;
    write::truncate(&mut result, limit);
    let mut data = String::new();
    write::result(&mut data, &result.value, end);
    Ok(success_with(&data, &result.warnings, &result.infos))
}

/// `/api/v1/query_exemplars`: the query is checked; exemplars are not kept yet.
pub async fn exemplars((_, request): Handler) -> Answer {
    let params = Params::read(request).await?;
    promql::parse(params.get("query")).map_err(|e| Failure::parameter("query", e))?;
    Ok(success("[]"))
}

/// `/api/v1/format_query`: the query in its canonical form.
pub async fn format((_, request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let expr = promql::parse(params.get("query")).map_err(|e| Failure::parameter("query", e))?;
    let mut data = String::new();
    string(&mut data, &expr.to_string());
    Ok(success(&data))
}

/// Cancels the query when the handler is dropped, which is what happens when the client leaves.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn run(
    api: &Api,
    params: &Params,
    evaluate: impl FnOnce(
        &Engine,
        &dyn promql::SeriesSource,
        &Context,
    ) -> Result<QueryResult, QueryError>
    + Send
    + 'static,
) -> Result<(QueryResult, CancelOnDrop), Failure> {
    let deadline = params
        .duration("timeout")?
        .map(|ms| Instant::now() + Duration::from_millis(ms.max(0) as u64));
    let mut limits: Limits = api.limits.clone();
    if let Some(lookback) = params.duration("lookback_delta")? {
        limits.lookback_ms = lookback;
    }
    let context = Context { deadline, ..Default::default() };
    let guard = CancelOnDrop(context.cancel.clone());
    let source = api.source()?;
    let result =
        blocking(move || evaluate(&Engine::new(limits), &source, &context).map_err(failure))
            .await?;
    Ok((result, guard))
}

fn failure(error: QueryError) -> Failure {
    match error {
        QueryError::Parse(e) => Failure::parameter("query", e),
        QueryError::Execution(message) | QueryError::TooMuch(message) => {
            Failure::execution(message)
        }
        QueryError::Timeout | QueryError::Cancelled => Failure::timeout(error.to_string()),
        QueryError::Source(e) => Failure::from(e),
    }
}
