// SPDX-License-Identifier: Apache-2.0
//! Exporters against back ends that behave and that do not.

mod contract;
mod elasticsearch;
mod embedded_store;
mod jaeger;
mod otlp;
mod secure;
mod support;
mod yaml;
