// SPDX-License-Identifier: Apache-2.0
//! The one table of components. What is not listed here does not exist.

use pipeline::Components;

/// Every component type of this build.
pub fn components() -> Components {
    Components {
        receivers: vec![
            receivers::otlp::factory(),
            receivers::hostmetrics::factory(),
            receivers::jaeger::factory(),
            receivers::prometheus::factory(),
            receivers::otlpjsonfile::factory(),
        ],
        processors: vec![
            processors::attributes::factory(),
            processors::batch::factory(),
            processors::memory_limiter::factory(),
            processors::metricsinference::factory(),
            processors::probabilistic_sampler::factory(),
            processors::redaction::factory(),
            processors::resource::factory(),
            processors::resource_detection::factory(),
            processors::tail_sampling::factory(),
        ],
        exporters: vec![
            exporters::otlp::factory(),
            exporters::otlphttp::factory(),
            exporters::debug::factory(),
            exporters::prometheus::factory(),
            exporters::prometheusremotewrite::factory(),
            exporters::elasticsearch::factory(),
            exporters::embedded_store::factory(),
            exporters::file::factory(),
            exporters::jaeger::factory(),
            exporters::jaeger_thrift::factory(),
            exporters::nop::factory(),
        ],
        extensions: vec![
            extensions::basicauth::factory(),
            extensions::bearertokenauth::factory(),
            extensions::file_storage::factory(),
            extensions::health_check::factory(),
            extensions::health_check::v2::factory(),
            extensions::pprof::factory(),
            extensions::zpages::factory(),
            extensions::query_server::factory(),
            extensions::rules::factory(),
        ],
    }
}
