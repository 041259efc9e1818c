// SPDX-License-Identifier: Apache-2.0
//! What goes wrong on purpose: set by environment variables at the start, by `PUT /admin/faults` at
//! any time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Shop;
use crate::serving::Refusal;

/// Longest latency that can be added: a client's patience ends before.
const LATENCY_MAX_MS: u64 = 60_000;

/// What goes wrong. Absent keys of a change leave things as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Faults {
    /// Share of `/api` requests answered with 500, 0 to 1. `ERROR_RATE`.
    pub error_rate: f64,
    /// Added to every `/api` request. `LATENCY_MS`.
    pub latency_ms: u64,
    /// Up to so much more, at random. `LATENCY_JITTER_MS`.
    pub latency_jitter_ms: u64,
    /// Share of the payment gateway's calls that fail, 0 to 1. `DEPENDENCY_ERROR_RATE`, 0.02 if unset.
    pub dependency_error_rate: f64,
}

/// A change of some faults.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    error_rate: Option<f64>,
    latency_ms: Option<u64>,
    latency_jitter_ms: Option<u64>,
    dependency_error_rate: Option<f64>,
}

impl Faults {
    /// As the environment says.
    ///
    /// # Errors
    /// When a value is out of its range; the variable is named.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Result<Faults> {
        fn read<T: std::str::FromStr>(name: &str, value: Option<String>) -> Result<Option<T>> {
            let Some(text) = value else { return Ok(None) };
            match text.trim().parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => bail!("{name}={text}: not a number"),
            }
        }
        let share = |name: &str| read::<f64>(name, variable(name));
        let count = |name: &str| read::<u64>(name, variable(name));
        let change = Change {
            error_rate: share("ERROR_RATE")?,
            latency_ms: count("LATENCY_MS")?,
            latency_jitter_ms: count("LATENCY_JITTER_MS")?,
            dependency_error_rate: share("DEPENDENCY_ERROR_RATE")?,
        };
        let usual = Faults { dependency_error_rate: 0.02, ..Faults::default() };
        match usual.changed(&change) {
            Ok(faults) => Ok(faults),
            Err(what) => bail!("{}", what.to_uppercase()),
        }
    }

    /// With a change; what is wrong with it otherwise.
    fn changed(&self, change: &Change) -> Result<Faults, String> {
        let share = |name: &str, new: Option<f64>, old: f64| match new {
            Some(value) if !(0.0..=1.0).contains(&value) => {
                Err(format!("{name}={value}: a share is between 0 and 1"))
            }
            value => Ok(value.unwrap_or(old)),
        };
        let time = |name: &str, new: Option<u64>, old: u64| match new {
            Some(value) if value > LATENCY_MAX_MS => {
                Err(format!("{name}={value}: at most {LATENCY_MAX_MS}"))
            }
            value => Ok(value.unwrap_or(old)),
        };
        Ok(Faults {
            error_rate: share("error_rate", change.error_rate, self.error_rate)?,
            latency_ms: time("latency_ms", change.latency_ms, self.latency_ms)?,
            latency_jitter_ms: time(
                "latency_jitter_ms",
                change.latency_jitter_ms,
                self.latency_jitter_ms,
            )?,
            dependency_error_rate: share(
                "dependency_error_rate",
                change.dependency_error_rate,
                self.dependency_error_rate,
            )?,
        })
    }

    /// What is added to one request; `unit` is between 0 and 1.
    pub(super) fn delay(&self, unit: f64) -> Duration {
        Duration::from_millis(self.latency_ms)
            + Duration::from_millis(self.latency_jitter_ms).mul_f64(unit)
    }
}

/// `GET /admin/faults`
pub(super) async fn show(State(shop): State<Arc<Shop>>) -> Json<Faults> {
    Json(shop.faults.lock().clone())
}

/// `PUT /admin/faults`
pub(super) async fn change(
    State(shop): State<Arc<Shop>>,
    change: Result<Json<Change>, JsonRejection>,
) -> Result<Json<Faults>, Refusal> {
    let refused = |message| Refusal::new(StatusCode::BAD_REQUEST, "invalid_faults", message);
    let Json(change) = change.map_err(|error| refused(error.body_text()))?;
    let mut faults = shop.faults.lock();
    *faults = faults.changed(&change).map_err(refused)?;
    tracing::info!(?faults, "faults changed");
    Ok(Json(faults.clone()))
}
