// SPDX-License-Identifier: Apache-2.0
//! Queries: instant and range.
//!
//! Evaluated and written on a thread that may block, cancelled when the client leaves.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Response;
use promql::{Context, Engine, Limits, QueryError, QueryResult, SeriesSource};

use super::{Answer, Handler, write};
use crate::Api;
use crate::answer::{self, Failure};
use crate::params::Params;
use crate::stream;

/// Most points of a series in an answer: a week at one minute. A bound of the answer, not of the
/// work.
const POINTS_MAX: i64 = 11_000;

/// `/api/v1/query`: `query`, `time`, `timeout`, `limit`, `lookback_delta`, `stats`.
pub async fn instant((axum::extract::State(api), request): Handler) -> Answer {
    let gzip = stream::takes_gzip(request.headers());
    let params = Params::read(request).await?;
    let limit = params.limit()?;
    let time = params.time("time", api.clock.now_ms())?;
    let query = params.get("query").to_owned();
    let shape = Shape { limit, time_ms: time, steps: write::Steps::default() };
    answer(&api, &params, gzip, shape, move |engine, source, context| {
        engine.instant(source, &query, time, context)
    })
    .await
}

/// `/api/v1/query_range`: `query`, `start`, `end`, `step`, `timeout`, `limit`, `lookback_delta`,
/// `stats`.
pub async fn range((axum::extract::State(api), request): Handler) -> Answer {
    let gzip = stream::takes_gzip(request.headers());
    let params = Params::read(request).await?;
    let limit = params.limit()?;
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
    if (end - start) / step > POINTS_MAX {
        return Err(Failure::bad_data(
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ));
    }
    let query = params.get("query").to_owned();
    let count = ((end - start) / step + 1) as usize;
    let shape = Shape { limit, time_ms: end, steps: write::Steps::new(start, step, count) };
    answer(&api, &params, gzip, shape, move |engine, source, context| {
        engine.range(source, &query, (start, end), step, context)
    })
    .await
}

/// How a result is written.
struct Shape {
    limit: Option<usize>,
    time_ms: i64,
    steps: write::Steps,
}

/// Cancels the query when the handler is dropped, which is what happens when the client leaves.
struct CancelOnDrop(Arc<AtomicBool>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn answer(
    api: &Api,
    params: &Params,
    gzip: bool,
    shape: Shape,
    evaluate: impl FnOnce(&Engine, &dyn SeriesSource, &Context) -> Result<QueryResult, QueryError>
    + Send
    + 'static,
) -> Result<Response<Body>, Failure> {
    let deadline = params
        .duration("timeout")?
        .map(|ms| Instant::now() + Duration::from_millis(ms.max(0) as u64));
    let mut limits: Limits = api.limits.clone();
    if let Some(lookback) = params.duration("lookback_delta")? {
        limits.lookback_ms = lookback;
    }
    let with_stats = !params.get("stats").is_empty();
    let context = Context { deadline, ..Default::default() };
    let _guard = CancelOnDrop(context.cancel.clone());
    let source = api.source()?;
    stream::json(gzip, move |out| {
        let begun = Instant::now();
        let mut result = evaluate(&Engine::new(limits), &source, &context).map_err(failure)?;
        let seconds = begun.elapsed().as_secs_f64();
        write::truncate(&mut result, shape.limit);
        out.text().push_str(answer::BEGIN);
        write::result(out, &result.value, shape.time_ms, &shape.steps);
        if with_stats {
            stats(out.text(), seconds, &result.stats);
        }
        answer::end(out.text(), &result.warnings, &result.infos);
        Ok(())
    })
    .await
}

/// Puts what the evaluation took into the object that ends `out`.
fn stats(out: &mut String, seconds: f64, stats: &promql::Stats) {
    out.pop();
    let (total, peak) = (stats.samples_total(), stats.samples_peak);
    let _ = write!(
        out,
        r#","stats":{{"timings":{{"evalTotalTime":{seconds},"resultSortTime":0,"queryPreparationTime":0,"innerEvalTime":{seconds},"execQueueTime":0,"execTotalTime":{seconds}}},"samples":{{"totalQueryableSamples":{total},"peakSamples":{peak}}}}}}}"#
    );
}

pub(super) fn failure(error: QueryError) -> Failure {
    match error {
        QueryError::Parse(e) => Failure::parameter("query", e),
        QueryError::Timeout => Failure::timeout(error.to_string()),
        QueryError::Cancelled => Failure::canceled(error.to_string()),
        QueryError::Execution(_) | QueryError::TooMuch(_) => Failure::execution(error.to_string()),
        QueryError::Source(e) => e.into(),
    }
}
