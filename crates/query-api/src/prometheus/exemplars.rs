// SPDX-License-Identifier: Apache-2.0
//! `/api/v1/query_exemplars`: the query is checked; exemplars are not kept yet.

use super::{Answer, Handler};
use crate::answer::{Failure, success};
use crate::params::Params;

/// `query`, `start`, `end`.
pub async fn list((_, request): Handler) -> Answer {
    let params = Params::read(request).await?;
    let (start, end) = (params.time("start", i64::MIN)?, params.time("end", i64::MAX)?);
    if end < start {
        return Err(Failure::bad_data("end timestamp must not be before start timestamp"));
    }
    promql::parse(params.get("query")).map_err(|e| Failure::parameter("query", e))?;
    Ok(success("[]"))
}
