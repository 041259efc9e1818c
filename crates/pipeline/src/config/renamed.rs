// SPDX-License-Identifier: Apache-2.0
//! Component types that the collector renamed: both spellings load, whichever a component is
//! listed under, and the old one gives one warning in the collector's words.
//!
//! Other spellings (`logging` for `debug`) are the component's own
//! [`aliases`](crate::component::Factory::aliases).

/// Section, old spelling, new spelling; renamed in the collector's releases of 2026.
const RENAMED: [(&str, &str, &str); 15] = [
    ("receivers", "filelog", "file_log"),
    ("receivers", "hostmetrics", "host_metrics"),
    ("receivers", "otlpjsonfile", "otlp_json_file"),
    ("receivers", "prometheusremotewrite", "prometheus_remote_write"),
    ("processors", "cumulativetodelta", "cumulative_to_delta"),
    ("processors", "deltatocumulative", "delta_to_cumulative"),
    ("processors", "k8sattributes", "k8s_attributes"),
    ("processors", "metricstransform", "metrics_transform"),
    ("processors", "resourcedetection", "resource_detection"),
    ("exporters", "loadbalancing", "load_balancing"),
    ("exporters", "otlp", "otlp_grpc"),
    ("exporters", "otlphttp", "otlp_http"),
    ("exporters", "prometheusremotewrite", "prometheus_remote_write"),
    ("connectors", "servicegraph", "service_graph"),
    ("connectors", "spanmetrics", "span_metrics"),
];

/// The other spelling of `kind`, and whether `kind` is the old one.
pub(crate) fn other_spelling(section: &str, kind: &str) -> Option<(&'static str, bool)> {
    RENAMED.iter().filter(|(within, ..)| *within == section).find_map(|(_, old, new)| match kind {
        kind if kind == *old => Some((*new, true)),
        kind if kind == *new => Some((*old, false)),
        _ => None,
    })
}
