// SPDX-License-Identifier: Apache-2.0
//! What tests share: payloads with known content and fake back ends that speak the real protocols
//! and misbehave on demand. For tests only: it panics where a test should fail.

pub mod backend;
pub mod elasticsearch;
pub mod jaeger;
pub mod kserve;
pub mod otlp;
pub mod pki;
pub mod remote_write;
pub mod workload;

pub use backend::{Backend, Fault, Received};
/// The generated OTLP types and services, as an independent peer.
pub use opentelemetry_proto::tonic as proto;
pub use tonic;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::workload::Workload;

    #[test]
    fn the_workload_is_2020_series_each_named_once() {
        let mut workload = Workload::new(10, 1);
        let mut labels: Vec<_> = workload.series.iter().map(|series| &series.labels).collect();
        labels.sort();
        labels.dedup();
        assert_eq!(labels.len(), 2_020);
        let mut counts = BTreeMap::new();
        workload.series.iter().for_each(|series| *counts.entry(series.kind()).or_insert(0) += 1);
        let expected = [
            ("bucket", 240),
            ("constant", 660),
            ("count", 20),
            ("cpu", 400),
            ("decimal", 120),
            ("fast counter", 200),
            ("full precision", 40),
            ("pages", 200),
            ("slow counter", 120),
            ("sum", 20),
        ];
        assert_eq!(counts, BTreeMap::from(expected));
        assert_eq!(workload.columns(3), Workload::new(10, 1).columns(3));
    }
}
