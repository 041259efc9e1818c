// SPDX-License-Identifier: Apache-2.0
//! What runs beside the pipelines: the page with its APIs, the health check, authenticators.

pub mod basicauth;
pub mod bearertokenauth;
pub mod dashboard;
pub mod file_storage;
pub mod health_check;
pub mod pprof;
pub mod query_server;
pub mod rules;
mod secrets;
mod serving;
pub mod zpages;
