// SPDX-License-Identifier: Apache-2.0
//! What runs beside the pipelines: the page with its APIs.

pub mod dashboard;
pub mod query_server;
