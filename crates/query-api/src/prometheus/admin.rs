// SPDX-License-Identifier: Apache-2.0
//! `/api/v1/admin/tsdb/...`: deleting series, cleaning up after that, snapshots.
//!
//! Off unless `query_server.admin_api` is set: 500 then, as a Prometheus without
//! `--web.enable-admin-api`. What is deleted is gone from every answer at once and from the disk with
//! the next merges, or with `clean_tombstones`. Whoever may look may call this, hence the key.

use axum::extract::{Path, State};
use basics::files::RealFiles;
use basics::{Error, Kind, Random};
use serde_json::json;

use super::{Answer, NamedHandler, blocking, selectors, time_range};
use crate::answer::{Failure, no_content, success};
use crate::params::Params;

/// `delete_series` (`match[]`, `start`, `end`), `clean_tombstones`, `snapshot` (`skip_head`).
pub async fn call((State(api), Path(what), request): NamedHandler) -> Answer {
    let known = matches!(what.as_str(), "delete_series" | "clean_tombstones" | "snapshot");
    if !known {
        return Ok(super::status::not_found().await);
    }
    if !api.admin {
        return Err(Failure::disabled("admin APIs disabled"));
    }
    if !api.is_ready() {
        return Err(Failure::unavailable("TSDB not ready"));
    }
    let params = Params::read(request).await?;
    let store = api.store()?;
    match what.as_str() {
        "delete_series" => {
            if params.all("match[]").next().is_none() {
                return Err(Failure::bad_data("no match[] parameter provided"));
            }
            let (sets, (start, end)) = (selectors(&params)?, time_range(&params)?);
            blocking(move || store.delete_series(&sets, start, end).map_err(failure)).await?;
            tracing::warn!(start, end, matchers = ?params.all("match[]").collect::<Vec<_>>(), "series were deleted");
            Ok(no_content())
        }
        "clean_tombstones" => {
            blocking(move || store.storage().clean_deleted().map_err(failure)).await?;
            Ok(no_content())
        }
        _ => {
            let skip = match params.get("skip_head") {
                "" | "0" | "f" | "false" => false,
                "1" | "t" | "true" => true,
                other => {
                    let message = format!("unable to parse boolean {other:?} argument");
                    return Err(Failure::parameter("skip_head", message));
                }
            };
            let clock = api.clock.clone();
            let time = jiff::Timestamp::from_nanosecond(i128::from(clock.now()));
            let time = time.unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
            let name = format!("{time}-{:016x}", Random::from_os().next_u64());
            let folder = api.host.data_dir().join("snapshots").join(&name);
            blocking(move || {
                let files = RealFiles::shared();
                store.snapshot(&folder, !skip, files, clock).map_err(failure)
            })
            .await?;
            Ok(success(&json!({ "name": name }).to_string()))
        }
    }
}

/// What cannot be done now is unavailable; the rest is our own fault.
fn failure(error: Error) -> Failure {
    match error.kind() {
        Kind::Retry { .. } | Kind::Overloaded | Kind::Closed => {
            Failure::unavailable(error.to_string())
        }
        Kind::Invalid => Failure::bad_data(error.to_string()),
        Kind::Rejected | Kind::Corrupt => Failure::internal(error.to_string()),
    }
}
